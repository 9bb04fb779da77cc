"""What is known so far of one answer, whichever API it has: the part that all shapes share.

A shape's module reads its payloads and says what it found here. Content is said in deltas
of the chat form, so that tool calls and captured content are counted and kept in one way.
Nothing of a payload is kept, except content where capture is on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from or_otel.facts import Answer, Cost, Failure, Request, RouterMetadata, Usage
from or_otel.wire.content import OutputContent
from or_otel.wire.failures import failure_from, failure_from_finish
from or_otel.wire.fields import object_of, text_of, value_of
from or_otel.wire.metadata import metadata_from
from or_otel.wire.tool_calls import ToolCallCounter
from or_otel.wire.usage import cost_from, usage_from

MAX_CHOICES = 128
"""Choices beyond it are not told apart: an index is a number the server chose."""
ABSENT = msgspec.Raw()
NO_USAGE = Usage()
ENDED = frozenset({"completed", "incomplete", "failed", "cancelled", "expired"})
"""The last states of a job or a response, as OpenRouter and OpenAI name them; any other is not the last."""
ALWAYS = (b"[DONE]", b"\\u00")
"""Always read on: the terminal event, and escaped ASCII letters, which could spell any key."""

_CONTENT_KEYS = (
    "content",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "tool_calls",
    "function_call",
    "refusal",
    "audio",
    "images",
)


class AnswerFacts(ABC):
    """What is known so far of one answer; a shape adds `read`.

    Attributes:
        has_content: Whether content, reasoning or a tool call was read that is not empty.
        is_terminal: Whether an event was read behind which nothing follows.
    """

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
        self.has_content = False
        self.is_terminal = False
        self._is_openrouter = is_openrouter
        self._status = status
        self._header = header
        self._choice_count = min(request.choice_count or 1, MAX_CHOICES)
        self._has_choices = False
        self._finish_reasons: dict[int, str] = {}
        self._id: str | None = None
        self._model: str | None = None
        self._provider: str | None = None
        self._native_finish_reason: str | None = None
        self._service_tier: str | None = None
        self._usage: Usage | None = None
        self._cost: Cost | None = None
        self._is_usage_unreadable = False
        self._metadata: RouterMetadata | None = None
        self._failure: Failure | None = None
        self._tool_calls = ToolCallCounter(request.tool_names)
        self._content = OutputContent(content_limit_bytes) if content_limit_bytes > 0 else None
        self._needles: tuple[bytes, ...] = ALWAYS
        self._nullable: tuple[bytes, ...] = ()

    def matters(self, data: bytes) -> bool:
        """Tell whether bytes of whole events could hold anything but more of the same content.

        Quotes inside JSON strings are escaped, so a quoted key is a key, or a string that
        looks like one: then the answer is a cautious yes. It never wrongly says no.
        """
        if not self.has_content or self._content is not None:
            return True
        for needle in self._needles:
            if needle in data:
                return True
        for key in self._nullable:
            if key in data:
                named = data.count(key)
                if data.count(key + b":null") != named and data.count(key + b": null") != named:
                    return True
        return False

    @abstractmethod
    def read(self, data: bytes) -> bool:
        """Take one JSON object: a stream's payload or a whole body; False when it is none."""

    def answer(self, *, is_complete: bool) -> Answer:
        """Give the facts so far."""
        reasons = self._finish_reasons
        failure = self._failure
        if failure is None and "error" in reasons.values():
            failure = failure_from_finish(self._status)
        size = max(self._choice_count - 1, *reasons) + 1 if reasons else self._choice_count
        return Answer(
            id=self._id,
            model=self._model,
            provider=self._provider or self._selected(),
            finish_reasons=tuple(reasons.get(index) for index in range(size)) if self._has_choices else (),
            native_finish_reason=self._native_finish_reason,
            service_tier=self._service_tier,
            usage=self._usage,
            cost=self._billed(),
            is_usage_unreadable=self._is_usage_unreadable,
            metadata=self._metadata,
            failure=failure,
            tool_calls=self._tool_calls.count(),
            is_complete=is_complete,
        )

    @property
    def has_finished(self) -> bool:
        """Whether every choice told why it ended."""
        return self._has_choices and len(self._finish_reasons) >= self._choice_count

    def output_messages(self) -> list[dict[str, object]] | None:
        """Give the content as messages of the conventions; None when none is kept."""
        return None if self._content is None else self._content.messages()

    def _named(
        self,
        body_id: msgspec.Raw = ABSENT,
        model: msgspec.Raw = ABSENT,
        provider: msgspec.Raw = ABSENT,
        service_tier: msgspec.Raw = ABSENT,
    ) -> None:
        """Take names; the first that can be read counts."""
        self._id = self._id or text_of(value_of(body_id))
        self._model = self._model or text_of(value_of(model))
        self._provider = self._provider or text_of(value_of(provider))
        self._service_tier = self._service_tier or text_of(value_of(service_tier))

    def _routed(self, metadata: msgspec.Raw) -> None:
        if metadata:
            self._metadata = metadata_from(value_of(metadata)) or self._metadata

    def _said(self, index: int, delta: Mapping[str, object]) -> None:
        """Take content of one choice, in the form of a chat delta or message."""
        tool_calls = delta.get("tool_calls")
        if tool_calls:
            self._tool_calls.feed(index, tool_calls)
        if not self.has_content:
            self.has_content = any(delta.get(key) for key in _CONTENT_KEYS)
        if self._content is not None:
            self._content.add(index, delta)

    def _ended(self, index: int, reason: str | None) -> None:
        if reason is not None:
            self._finish_reasons.setdefault(index, reason)

    def _used(self, value: object) -> None:
        """Take a `usage` value: the last that can be read counts."""
        if value is None:
            return
        told = object_of(value)
        usage, cost = self._counted(told), cost_from(told, is_direct=not self._is_openrouter)
        has_tokens = usage != NO_USAGE
        if has_tokens or cost is not None:
            self._usage, self._cost = usage if has_tokens else self._usage, cost
            self._is_usage_unreadable = told.get("cost") is not None and (cost is None or cost.charged is None)
        elif value != {}:
            self._is_usage_unreadable = True

    def _counted(self, told: Mapping[str, object]) -> Usage:
        return usage_from(told)

    def _failed(self, error: object, error_type: object = None) -> None:
        """Take an `error` value; the first counts."""
        if self._failure is None:
            self._failure = failure_from(
                error,
                error_type=error_type,
                status=self._status,
                header=self._header,
                metadata=self._metadata,
                is_openrouter=self._is_openrouter,
                has_served=self._has_choices or self._provider is not None,
            )

    def _selected(self) -> str | None:
        """Give the provider that the route names: bodies of the Responses API name none."""
        selected = self._metadata.selected if self._metadata is not None else None
        return selected.provider if selected is not None else None

    def _billed(self) -> Cost | None:
        cost, metadata = self._cost, self._metadata
        if cost is None or cost.is_byok is not None or metadata is None or metadata.is_byok is None:
            return cost
        return replace(cost, is_byok=metadata.is_byok)
