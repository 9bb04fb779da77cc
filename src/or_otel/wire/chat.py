"""The Chat Completions shape: JSON payloads in, `Answer` out, one payload at a time.

Takes whole bodies and stream chunks alike, whatever framing the usage comes in: the last
readable `usage` counts, the first finish reason of each choice, the first id, model and
provider. Nothing of a payload is kept, except content where capture is on.
Source: OpenRouter "Chat completions", "Streaming", "Usage accounting" (seen 2026-08), recordings of 2025-11 to 2026-09.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from or_otel.facts import Answer, Cost, Failure, Request, RouterMetadata, Usage
from or_otel.wire.content import OutputContent
from or_otel.wire.failures import failure_from, failure_from_finish
from or_otel.wire.fields import (
    UNREADABLE,
    count_of,
    flag_of,
    object_of,
    text_of,
    usd_of,
    value_of,
)
from or_otel.wire.metadata import metadata_from
from or_otel.wire.tool_calls import ToolCallCounter

MAX_CHOICES = 128
"""Choices beyond it are not told apart: an index is a number the server chose."""
ABSENT = msgspec.Raw()

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
_FINAL = (b"[DONE]", b"\\u00")
"""Always read on: the terminal event, and escaped ASCII letters, which could spell any key."""
_NULLABLE = (
    b'finish_reason"',
    b'"usage"',
    b'"tool_calls"',
    b'"error"',
    b'"openrouter_metadata"',
)
"""Keys whose value matters unless it is null; the first covers `native_finish_reason` as well."""


class _Body(msgspec.Struct):
    """Every field raw: a strange one must not cost the others."""

    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    provider: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    choices: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    error_type: msgspec.Raw = ABSENT
    openrouter_metadata: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct):
    index: msgspec.Raw = ABSENT
    finish_reason: msgspec.Raw = ABSENT
    native_finish_reason: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_BODY = msgspec.json.Decoder(_Body, strict=False)
_CHOICES = msgspec.json.Decoder(list[_Choice], strict=False)
_RAW_CHOICES = msgspec.json.Decoder(list[msgspec.Raw])
_CHOICE = msgspec.json.Decoder(_Choice, strict=False)


class ChatFacts:
    """What is known so far of one answer.

    Attributes:
        has_content: Whether content, reasoning or a tool call was read that is not empty.
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
        self._needles: tuple[bytes, ...] = _FINAL
        self._nullable: tuple[bytes, ...] = _NULLABLE
        self._watch()

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

    def read(self, data: bytes) -> bool:
        """Take one JSON object: a stream chunk or a whole body; False when it is none."""
        try:
            body = _BODY.decode(data)
        except UNREADABLE:
            return False
        self._id = self._id or text_of(value_of(body.id))
        self._model = self._model or text_of(value_of(body.model))
        self._provider = self._provider or text_of(value_of(body.provider))
        self._service_tier = self._service_tier or text_of(value_of(body.service_tier))
        if body.openrouter_metadata:
            self._metadata = metadata_from(value_of(body.openrouter_metadata)) or self._metadata
        if body.usage:
            self._read_usage(value_of(body.usage))
        if body.error:
            self._fail(value_of(body.error), value_of(body.error_type))
        if body.choices:
            self._read_choices(body.choices)
        self._watch()
        return True

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
            provider=self._provider,
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

    def _watch(self) -> None:
        """Look out for what is not known yet; a key that only repeats is passed over."""
        if not self.has_content:
            return
        wanted = ((b'"id"', self._id), (b'"model"', self._model), (b'"provider"', self._provider))
        self._needles = (*_FINAL, *(key for key, known in wanted if known is None))
        self._nullable = _NULLABLE if self._service_tier is not None else (*_NULLABLE, b'"service_tier"')

    def _read_choices(self, raw: msgspec.Raw) -> None:
        try:
            choices = _CHOICES.decode(raw)
        except UNREADABLE:
            choices = _readable_choices(raw)
        for place, choice in enumerate(choices):
            told = count_of(value_of(choice.index)) if choice.index else None
            index = place if told is None else told
            self._has_choices = True
            if index < MAX_CHOICES:
                self._read_choice(index, choice)

    def _read_choice(self, index: int, choice: _Choice) -> None:
        reason = text_of(value_of(choice.finish_reason))
        if reason is not None:
            self._finish_reasons.setdefault(index, reason)
        if index == 0 and self._native_finish_reason is None:
            self._native_finish_reason = text_of(value_of(choice.native_finish_reason))
        if choice.error:
            self._fail(value_of(choice.error), None)
        content = object_of(value_of(choice.delta)) or object_of(value_of(choice.message))
        if not content:
            return
        tool_calls = content.get("tool_calls")
        if tool_calls:
            self._tool_calls.feed(index, tool_calls)
        if not self.has_content:
            self.has_content = any(content.get(key) for key in _CONTENT_KEYS)
        if self._content is not None:
            self._content.add(index, content)

    def _read_usage(self, value: object) -> None:
        if value is None:
            return
        told = object_of(value)
        usage, cost = usage_from(told), cost_from(told, is_direct=not self._is_openrouter)
        has_tokens = usage != Usage()
        if has_tokens or cost is not None:
            self._usage, self._cost = usage if has_tokens else self._usage, cost
            self._is_usage_unreadable = told.get("cost") is not None and usd_of(told["cost"]) is None
        elif value != {}:
            self._is_usage_unreadable = True

    def _fail(self, error: object, error_type: object) -> None:
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

    def _billed(self) -> Cost | None:
        cost, metadata = self._cost, self._metadata
        if cost is None or cost.is_byok is not None or metadata is None or metadata.is_byok is None:
            return cost
        return replace(cost, is_byok=metadata.is_byok)


def usage_from(told: Mapping[str, object]) -> Usage:
    """Read the token counts of a `usage` object."""
    prompt = object_of(told.get("prompt_tokens_details"))
    completion = object_of(told.get("completion_tokens_details"))
    tools = object_of(told.get("server_tool_use_details")) or object_of(told.get("server_tool_use"))
    return Usage(
        input_tokens=count_of(told.get("prompt_tokens")),
        output_tokens=count_of(told.get("completion_tokens")),
        cache_read_tokens=count_of(prompt.get("cached_tokens")),
        cache_write_tokens=count_of(prompt.get("cache_write_tokens")),
        reasoning_tokens=count_of(completion.get("reasoning_tokens")),
        text_input_tokens=count_of(prompt.get("text_tokens")),
        audio_input_tokens=count_of(prompt.get("audio_tokens")),
        image_input_tokens=count_of(prompt.get("image_tokens")),
        text_output_tokens=count_of(completion.get("text_tokens")),
        audio_output_tokens=count_of(completion.get("audio_tokens")),
        image_output_tokens=count_of(completion.get("image_tokens")),
        server_tool_calls=count_of(tools.get("tool_calls_executed")),
        web_searches=count_of(tools.get("web_search_requests")),
    )


def cost_from(told: Mapping[str, object], *, is_direct: bool) -> Cost | None:
    """Read what a `usage` object says was charged.

    Args:
        told: The decoded `usage` object.
        is_direct: Whether the server is the provider itself and not OpenRouter.

    Returns:
        Cost in US dollars, exact as written; None when it names no figure (most
        OpenAI-compatible servers).

    Source: OpenRouter "Usage accounting" and "BYOK", seen 2026-08.
    """
    details = object_of(told.get("cost_details"))
    charged = usd_of(told.get("cost"))
    upstream = usd_of(details.get("upstream_inference_cost"))
    if charged is None and upstream is None:
        return None
    return Cost(
        charged=charged,
        upstream=upstream,
        input=usd_of(details.get("upstream_inference_prompt_cost")),
        output=usd_of(details.get("upstream_inference_completions_cost")),
        tools=usd_of(details.get("server_tool_cost")),
        is_byok=flag_of(told.get("is_byok")),
        is_direct=is_direct,
    )


def _readable_choices(raw: msgspec.Raw) -> list[_Choice]:
    """Decode an array with strange members: those that are objects."""
    choices = []
    try:
        members = _RAW_CHOICES.decode(raw)
    except UNREADABLE:
        return []
    for member in members[:MAX_CHOICES]:
        try:
            choices.append(_CHOICE.decode(member))
        except UNREADABLE:
            choices.append(_Choice())
    return choices
