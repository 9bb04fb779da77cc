"""Which reader reads a response: the shape of its facts by API, the way they come by what the server sends.

A body comes as a stream of events, as one JSON object, or as something that tells nothing (audio, plain text).

Content-decoded bytes go in, in any chunking; an `Answer` comes out at any time. No bytes
make a reader raise. Knows nothing of HTTP clients, clocks or telemetry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from or_otel.facts import Answer, Api, Endpoint, Request
from or_otel.wire.answers import AnswerFacts
from or_otel.wire.chat import ChatFacts
from or_otel.wire.endpoints import FETCH_RESPONSE
from or_otel.wire.failures import ERROR_STATUS, failure_without_body
from or_otel.wire.jobs import BatchFacts, JobFacts
from or_otel.wire.messages import MessagesFacts
from or_otel.wire.responses import FetchedFacts, ResponsesFacts
from or_otel.wire.sse import MAX_EVENT_BYTES, EventStream
from or_otel.wire.whole import RerankFacts, WholeFacts

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A longer body is not read: images and audio in base64 stay far below it."""
DONE = b"[DONE]"
CONTENT_BEGIN = b'"content":"'
MAX_FRAME_BYTES = 4096
EVENT_ENDS = (b"\n\n", b"\r\n\r\n")

FACTS: Mapping[Api, type[AnswerFacts]] = {
    "chat": ChatFacts,
    "completions": ChatFacts,
    "responses": ResponsesFacts,
    "messages": MessagesFacts,
    "embeddings": WholeFacts,
    "rerank": RerankFacts,
    "images": WholeFacts,
    "speech": WholeFacts,
    "transcription": WholeFacts,
    "videos": JobFacts,
    "batches": BatchFacts,
}
"""What each API's payloads are read by."""
SILENT_APIS = frozenset({"speech", "transcription"})
"""Their good answers may be no JSON: audio, plain text, subtitles."""


class Reader(Protocol):
    """Reads one response body.

    Attributes:
        has_content: Whether a stream brought content, reasoning or a tool call that is not empty.
        is_terminal: Whether the API's end was seen: later bytes say nothing.
    """

    @property
    def has_content(self) -> bool: ...  # noqa: D102 -- described above

    @property
    def is_terminal(self) -> bool: ...  # noqa: D102 -- described above

    def feed(self, data: bytes) -> None:
        """Take the next bytes, content-decoded."""

    def close(self) -> None:
        """The body came to its end."""

    def answer(self) -> Answer:
        """Give what is known so far."""

    def output_messages(self) -> list[dict[str, object]] | None:
        """Give the content as messages of the GenAI conventions; None when none is kept."""


def reader_for(
    endpoint: Endpoint,
    request: Request,
    *,
    status: int,
    header: Callable[[str], str | None],
    content_limit_bytes: int = 0,
) -> Reader:
    """Choose the reader of a response.

    Args:
        endpoint: Where the request went.
        request: What it asked for.
        status: HTTP status.
        header: Gives a response header by case-insensitive name.
        content_limit_bytes: Longest content to keep; 0 keeps none.

    Returns:
        A reader for events or for a whole body, by what the server says it sends: one that
        was asked for a stream may answer without, errors above all.
    """
    is_fetched = endpoint.api == "responses" and endpoint.operation == FETCH_RESPONSE
    shape = FetchedFacts if is_fetched else FACTS[endpoint.api]
    facts = shape(
        request,
        is_openrouter=endpoint.is_openrouter,
        status=status,
        header=header,
        content_limit_bytes=content_limit_bytes,
    )
    content_type = (header("content-type") or "").lower()
    is_stream = "event-stream" in content_type
    if not content_type and status < ERROR_STATUS:
        is_stream = request.is_stream
    reader: Reader
    if is_stream:
        reader = _StreamReader(facts)
    elif endpoint.api in SILENT_APIS and status < ERROR_STATUS and "json" not in content_type:
        reader = _SilentReader(facts)
    else:
        reader = _BodyReader(facts)
    if status >= ERROR_STATUS:
        return _RefusalReader(reader, status, header, is_openrouter=endpoint.is_openrouter)
    return reader


class _StreamReader:
    """Server-sent events. Once content was seen, events that only bring more of it are not decoded."""

    __slots__ = ("_events", "_facts", "_frame", "_is_closed", "is_terminal")

    def __init__(self, facts: AnswerFacts) -> None:
        self.is_terminal = False
        self._facts = facts
        self._events = EventStream()
        self._frame: tuple[bytes, bytes] | None = None
        self._is_closed = False

    @property
    def has_content(self) -> bool:
        return self._facts.has_content

    def feed(self, data: bytes) -> None:
        if self.is_terminal:
            return
        # Whole events that only bring more content are passed over unsplit: most chunks of most streams.
        events = self._events
        if events.is_between_events and data.endswith(EVENT_ENDS) and len(data) <= MAX_EVENT_BYTES:
            if self._repeats(data):
                return
            if not self._facts.matters(data):
                self._frame = _frame_of(data)
                return
        self._read(events.feed(data))

    def close(self) -> None:
        if not self.is_terminal:
            self._read(self._events.close())
        self._is_closed = True

    def answer(self) -> Answer:
        # Some servers never send the terminal event: the body's end after the finish reasons is one.
        return self._facts.answer(is_complete=self.is_terminal or (self._is_closed and self._facts.has_finished))

    def output_messages(self) -> list[dict[str, object]] | None:
        return self._facts.output_messages()

    def _repeats(self, data: bytes) -> bool:
        """Tell whether bytes differ from those last passed over only inside one string without a quote.

        The same keys around it then matter as little as before. A line end inside would begin another event.
        """
        if self._frame is None:
            return False
        head, tail = self._frame
        start, end = len(head), len(data) - len(tail)
        return (
            data.startswith(head)
            and data.endswith(tail)
            and data.find(b'"', start) == end
            and data.find(b"\n", start, end) < 0
            and data.find(b"\r", start, end) < 0
        )

    def _read(self, payloads: list[bytes]) -> None:
        facts = self._facts
        for payload in payloads:
            if payload.strip() == DONE:
                self.is_terminal = True
                return
            if facts.matters(payload):
                facts.read(payload)
                if facts.is_terminal:
                    self.is_terminal = True
                    return


def _frame_of(data: bytes) -> tuple[bytes, bytes] | None:
    """Split bytes around their content string; None when they hold none, or are long."""
    start = data.find(CONTENT_BEGIN) + len(CONTENT_BEGIN)
    end = data.find(b'"', start)
    if start < len(CONTENT_BEGIN) or end < 0 or len(data) > MAX_FRAME_BYTES:
        return None
    return data[:start], data[end:]


class _BodyReader:
    """One JSON object."""

    __slots__ = ("_body", "_facts", "_is_blind", "_is_complete", "has_content", "is_terminal")

    def __init__(self, facts: AnswerFacts) -> None:
        self.has_content = False
        self.is_terminal = False
        self._facts = facts
        self._body = bytearray()
        self._is_blind = False
        self._is_complete = False

    def feed(self, data: bytes) -> None:
        if self._is_blind or self.is_terminal:
            return
        self._body += data
        if len(self._body) > MAX_BODY_BYTES:
            self._is_blind = True
            self._body.clear()

    def close(self) -> None:
        if not self.is_terminal and not self._is_blind:
            self._is_complete = self._facts.read(bytes(self._body))
        self.is_terminal = True
        self._body.clear()

    def answer(self) -> Answer:
        return self._facts.answer(is_complete=self._is_complete)

    def output_messages(self) -> list[dict[str, object]] | None:
        return self._facts.output_messages()


class _SilentReader:
    """A body that tells nothing: what is known of it stands in the headers."""

    __slots__ = ("_facts", "has_content", "is_terminal")

    def __init__(self, facts: AnswerFacts) -> None:
        self.has_content = False
        self.is_terminal = False
        self._facts = facts

    def feed(self, data: bytes) -> None:
        """Nothing is read."""

    def close(self) -> None:
        self.is_terminal = True

    def answer(self) -> Answer:
        return self._facts.answer(is_complete=self.is_terminal)

    def output_messages(self) -> list[dict[str, object]] | None:
        return None


class _RefusalReader:
    """A body under an error status: a failure even when the body says nothing we know."""

    __slots__ = ("_header", "_is_openrouter", "_is_read", "_reader", "_status")

    def __init__(
        self, reader: Reader, status: int, header: Callable[[str], str | None], *, is_openrouter: bool
    ) -> None:
        self._is_read = False
        self._reader = reader
        self._status = status
        self._header = header
        self._is_openrouter = is_openrouter

    @property
    def has_content(self) -> bool:
        return False

    @property
    def is_terminal(self) -> bool:
        return self._reader.is_terminal

    def feed(self, data: bytes) -> None:
        self._is_read = True
        self._reader.feed(data)

    def close(self) -> None:
        self._is_read = True
        self._reader.close()

    def answer(self) -> Answer:
        answer = self._reader.answer()
        if answer.failure is not None:
            return answer
        failure = failure_without_body(
            self._status, self._header, is_openrouter=self._is_openrouter, is_read=self._is_read
        )
        return replace(answer, failure=failure)

    def output_messages(self) -> list[dict[str, object]] | None:
        return self._reader.output_messages()
