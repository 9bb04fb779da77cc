"""The Anthropic Messages shape: whole bodies and stream events in, `Answer` out, one payload at a time.

Its `input_tokens` leave out what the cache read and wrote: our input is the sum of the three.
Usage comes at the start and again, cumulative, before the end: each count's last word holds.
Source: Anthropic "Messages" and "Streaming" (seen 2026-11), OpenRouter "Anthropic Messages API" (seen 2026-08).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

import msgspec

from or_otel.facts import Answer, Usage
from or_otel.wire.answers import ABSENT, ALWAYS, AnswerFacts
from or_otel.wire.fields import UNREADABLE, count_of, object_of, text_of, value_of

MAX_BLOCKS = 1024
"""Blocks beyond it are not told apart: an index is a number the server chose."""

_FINISH_REASONS: Mapping[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""Anthropic's words → those of chat; others stay as they are."""
_TERMINAL = frozenset({"message_stop", "error"})
_NEEDLES = (
    *ALWAYS,
    b'"message"',
    b'"usage"',
    b'"stop_reason"',
    b'"error"',
    b'"message_stop"',
    b'"content_block"',
    b'"partial_json"',
    b'"openrouter_metadata"',
)
"""What no event of mere text or thinking holds."""


class _Told(msgspec.Struct):
    """An event, or the whole message; every field raw: a strange one must not cost the others."""

    type: msgspec.Raw = ABSENT
    message: msgspec.Raw = ABSENT
    index: msgspec.Raw = ABSENT
    content_block: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    provider: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT
    stop_reason: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    openrouter_metadata: msgspec.Raw = ABSENT


class _Block(msgspec.Struct):
    """A block of content, whole or as it begins."""

    type: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT


_TOLD = msgspec.json.Decoder(_Told, strict=False)
_BLOCK = msgspec.json.Decoder(_Block, strict=False)
_BLOCKS = msgspec.json.Decoder(list[msgspec.Raw])


class MessagesFacts(AnswerFacts):
    """What is known so far of one message."""

    _has_events = False
    _told_usage: Mapping[str, object] = {}
    _is_counted_to_the_end = False
    _tool_blocks: frozenset[int] = frozenset()

    def read(self, data: bytes) -> bool:
        """Take one JSON object: an event or a whole body; False when it is none."""
        try:
            told = _TOLD.decode(data)
        except UNREADABLE:
            return False
        kind = text_of(value_of(told.type))
        self._needles = _NEEDLES
        self._routed(told.openrouter_metadata)
        if told.error:
            self._failed(value_of(told.error))
        if kind == "message_start":
            with suppress(*UNREADABLE):
                self._read_message(_TOLD.decode(told.message), is_whole=False)
        elif kind == "content_block_start":
            self._begin_block(_index(told), told.content_block)
        elif kind == "content_block_delta":
            self._continue_block(_index(told), object_of(value_of(told.delta)))
        elif kind == "message_delta":
            self._stopped(object_of(value_of(told.delta)).get("stop_reason"))
            self._read_usage(told, is_last=True)
        elif kind == "message" or (kind is None and not self._has_events):
            self._read_message(told, is_whole=True)
        self._has_events = self._has_events or kind is not None
        self.is_terminal = self.is_terminal or kind in _TERMINAL
        return True

    def answer(self, *, is_complete: bool) -> Answer:
        """Give the facts so far; the output tokens of a message cut short are those of its first word: unknown."""
        answer = super().answer(is_complete=is_complete)
        if answer.usage is None or self._is_counted_to_the_end:
            return answer
        return replace(answer, usage=replace(answer.usage, output_tokens=None), is_usage_partial=True)

    def _read_message(self, told: _Told, *, is_whole: bool) -> None:
        self._named(told.id, told.model, told.provider)
        self._has_choices = self._has_choices or bool(told.content)
        with suppress(*UNREADABLE):
            for index, block in enumerate(_BLOCKS.decode(told.content)):
                self._begin_block(index, block)
        self._stopped(value_of(told.stop_reason))
        self._read_usage(told, is_last=is_whole)

    def _read_usage(self, told: _Told, *, is_last: bool) -> None:
        value = value_of(told.usage)
        usage = object_of(value)
        self._told_usage = {**self._told_usage, **{key: each for key, each in usage.items() if each is not None}}
        self._used(self._told_usage if usage else value)
        self._service_tier = text_of(usage.get("service_tier")) or self._service_tier
        self._is_counted_to_the_end = self._is_counted_to_the_end or (is_last and bool(usage))

    def _counted(self, told: Mapping[str, object]) -> Usage:
        fresh = count_of(told.get("input_tokens"))
        read = count_of(told.get("cache_read_input_tokens"))
        written = count_of(told.get("cache_creation_input_tokens"))
        tools = object_of(told.get("server_tool_use"))
        return Usage(
            input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
            output_tokens=count_of(told.get("output_tokens")),
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=count_of(object_of(told.get("output_tokens_details")).get("thinking_tokens")),
            web_searches=count_of(tools.get("web_search_requests")),
        )

    def _stopped(self, reason: object) -> None:
        native = text_of(reason)
        if native is not None:
            self._has_choices = True
            self._native_finish_reason = self._native_finish_reason or native
            self._ended(0, _FINISH_REASONS.get(native, native))

    def _begin_block(self, index: int, raw: msgspec.Raw) -> None:
        try:
            block = _BLOCK.decode(raw)
        except UNREADABLE:
            return
        if value_of(block.type) != "tool_use":
            self._said(0, {"content": value_of(block.text), "reasoning": value_of(block.thinking)})
            return
        if len(self._tool_blocks) < MAX_BLOCKS:
            self._tool_blocks |= {index}
        # Empty where a stream begins: the pieces follow.
        arguments = bytes(block.input).decode("utf-8", "replace") if value_of(block.input) else None
        function = {"name": value_of(block.name), "arguments": arguments}
        self._said(0, {"tool_calls": [{"index": index, "id": value_of(block.id), "function": function}]})

    def _continue_block(self, index: int, delta: Mapping[str, object]) -> None:
        piece = delta.get("partial_json")
        if piece is None:
            self._said(0, {"content": delta.get("text"), "reasoning": delta.get("thinking")})
        elif index in self._tool_blocks:  # the others are server tools: their calls never reach the client
            self._said(0, {"tool_calls": [{"index": index, "function": {"arguments": piece}}]})


def _index(told: _Told) -> int:
    return count_of(value_of(told.index)) or 0
