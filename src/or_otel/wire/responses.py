"""The Responses shape: whole bodies and stream events in, `Answer` out, one payload at a time.

Events carry their name in `type`; those about the whole answer carry it in `response`, and
the last of them holds usage, route and error. The serving provider is told by the route only.
Source: OpenAI "Responses" and "Streaming events" (seen 2026-11), OpenRouter "Responses API" (seen 2026-08).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

import msgspec

from or_otel.facts import Answer, Job, Request
from or_otel.wire.answers import ABSENT, ALWAYS, ENDED, AnswerFacts
from or_otel.wire.failures import ERROR_STATUS
from or_otel.wire.fields import UNREADABLE, count_of, flag_of, items_of, object_of, text_of, value_of

MAX_ITEMS = 1024
"""Items beyond it are not told apart: an index is a number the server chose."""

_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed", "response.error", "error"})
_ERRORS = frozenset({"response.error", "error"})
_ITEMS = frozenset({"response.output_item.added", "response.output_item.done"})
_ARGUMENTS = "response.function_call_arguments.delta"
_TEXTS: Mapping[str, str] = {
    "response.output_text.delta": "content",
    "response.refusal.delta": "refusal",
    "response.reasoning.delta": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.custom_tool_call_input.delta": "function_call",
    "response.audio.delta": "audio",
    "response.image_generation_call.partial_image": "images",
}
"""Events that bring content → which kind; the later ones only count as content."""
_FINISH_REASONS = {"max_output_tokens": "length", "content_filter": "content_filter"}
"""Why an answer is incomplete, in the words of chat."""
_NEEDLES = (
    *ALWAYS,
    *(b'"%s"' % name.encode() for name in sorted(_TERMINAL)),
    b'"response"',
    b'"item"',
    b"function_call_arguments",
    b'"error"',
    b'"openrouter_metadata"',
)
"""What no event of mere text, reasoning or refusal holds."""


class _Told(msgspec.Struct):
    """An event, or the whole answer; every field raw: a strange one must not cost the others."""

    type: msgspec.Raw = ABSENT
    response: msgspec.Raw = ABSENT
    item: msgspec.Raw = ABSENT
    output_index: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    partial_image_b64: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    provider: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    background: msgspec.Raw = ABSENT
    incomplete_details: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    error_type: msgspec.Raw = ABSENT
    openrouter_metadata: msgspec.Raw = ABSENT


_TOLD = msgspec.json.Decoder(_Told, strict=False)


class ResponsesFacts(AnswerFacts):
    """What is known so far of one response."""

    _has_events = False
    _has_pieces = False
    _has_arguments: frozenset[int] = frozenset()
    _last_status: str | None = None

    def __init__(
        self,
        request: Request,
        *,
        is_openrouter: bool,
        status: int,
        header: Callable[[str], str | None],
        content_limit_bytes: int,
    ) -> None:
        """Set up; a content limit of 0 keeps no content."""
        super().__init__(
            request,
            is_openrouter=is_openrouter,
            status=status,
            header=header,
            content_limit_bytes=content_limit_bytes,
        )
        self._is_background = True if request.is_background else None

    def read(self, data: bytes) -> bool:
        """Take one JSON object: an event or a whole body; False when it is none."""
        try:
            told = _TOLD.decode(data)
        except UNREADABLE:
            return False
        kind = text_of(value_of(told.type))
        self._needles = _NEEDLES
        self._routed(told.openrouter_metadata)
        if told.response:
            with suppress(*UNREADABLE):
                self._read_whole(_TOLD.decode(told.response))
        elif kind is None:
            # Among events, what has no name is none: it can only be an error.
            self._read_whole(told if not self._has_events else _Told(error=told.error, error_type=told.error_type))
        elif kind in _ITEMS:
            self._read_item(_index(told), object_of(value_of(told.item)))
        elif kind == _ARGUMENTS:
            self._read_arguments(_index(told), value_of(told.delta))
        elif kind in _TEXTS:
            self._has_pieces = True
            self._said(0, {_TEXTS[kind]: value_of(told.delta) or value_of(told.partial_image_b64)})
        elif kind in _ERRORS:
            # OpenAI's event is the error itself, others hold one.
            self._failed(value_of(told.error) or value_of(data), value_of(told.error_type))
        self._has_events = self._has_events or kind is not None
        self.is_terminal = self.is_terminal or kind in _TERMINAL
        return True

    def answer(self, *, is_complete: bool) -> Answer:
        """Give the facts so far."""
        answer = super().answer(is_complete=is_complete)
        if self._last_status is None or self._status >= ERROR_STATUS:
            return answer
        return replace(answer, job=self._job(has_ended=self._last_status in ENDED))

    def _job(self, *, has_ended: bool) -> Job | None:
        if not self._is_background:
            return None
        return "ended" if has_ended else "pending"

    def _read_whole(self, told: _Told) -> None:
        self._named(told.id, told.model, told.provider, told.service_tier)
        self._routed(told.openrouter_metadata)
        if told.usage:
            self._used(value_of(told.usage))
        if told.error:
            self._failed(value_of(told.error), value_of(told.error_type))
        if told.output and not self._has_pieces:
            for index, item in enumerate(items_of(value_of(told.output))):
                self._read_whole_item(index, object_of(item))
        status = text_of(value_of(told.status))
        if status is not None:
            self._has_choices = True
            self._last_status = status
            if self._is_background is None:
                self._is_background = flag_of(value_of(told.background))
            self._read_status(status, text_of(object_of(value_of(told.incomplete_details)).get("reason")))

    def _read_status(self, status: str, reason: str | None) -> None:
        if status == "completed":
            self._native_finish_reason = status
            calls = self._tool_calls.count()
            self._ended(0, "tool_calls" if calls.valid + calls.invalid_json + calls.unknown_tool else "stop")
        elif status == "incomplete":
            self._native_finish_reason = reason or status
            self._ended(0, _FINISH_REASONS.get(reason or "", reason or "length"))
        elif status in {"failed", "cancelled"}:
            self._native_finish_reason = status
            self._ended(0, "error" if status == "failed" else status)

    def _read_whole_item(self, index: int, item: Mapping[str, object]) -> None:
        kind = text_of(item.get("type"))
        if kind == "message":
            for part in map(object_of, items_of(item.get("content"))):
                self._said(0, {"content": part.get("text"), "refusal": part.get("refusal")})
        elif kind == "reasoning":
            for part in map(object_of, [*items_of(item.get("summary")), *items_of(item.get("content"))]):
                self._said(0, {"reasoning": part.get("text")})
        else:
            self._read_item(index, item)

    def _read_item(self, index: int, item: Mapping[str, object]) -> None:
        """Take an item as it begins or as it ended; arguments that came in pieces are not taken again."""
        self._has_pieces = True
        kind = text_of(item.get("type"))
        if kind not in {"function_call", "custom_tool_call"}:
            return
        # The input of a custom tool is free text: nothing to check.
        arguments = item.get("arguments") if kind == "function_call" and index not in self._has_arguments else None
        self._call(index, {"name": item.get("name"), "arguments": arguments}, text_of(item.get("call_id")))

    def _read_arguments(self, index: int, piece: object) -> None:
        self._has_pieces = True
        self._call(index, {"arguments": piece}, None)

    def _call(self, index: int, function: Mapping[str, object], call_id: str | None) -> None:
        is_new = index not in self._has_arguments and len(self._has_arguments) < MAX_ITEMS
        if is_new and function.get("arguments"):
            self._has_arguments |= {index}
        self._said(0, {"tool_calls": [{"index": index, "id": call_id, "function": function}]})


class FetchedFacts(ResponsesFacts):
    """A stored response read again: unless it was made in the background, it was counted when it was made."""

    def _job(self, *, has_ended: bool) -> Job | None:
        # Only a server that does not say how it was made leaves an unfinished one unexplained.
        if self._is_background is None and not has_ended:
            return "pending"
        return super()._job(has_ended=has_ended) or "stored"


def _index(told: _Told) -> int:
    return count_of(value_of(told.output_index)) or 0
