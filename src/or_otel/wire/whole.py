"""Answers without choices in, `Answer` out: embeddings, rerank, images, transcription, speech.

One JSON object with usage beside the work; some servers stream the work in pieces and tell
usage in the last event. What a body leaves out (id, provider) stands in the headers.
Source: OpenRouter API reference (seen 2026-08), OpenAI API reference (seen 2026-11), recordings of 2026-08.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import msgspec

from or_otel.facts import Usage
from or_otel.wire.answers import ABSENT, AnswerFacts
from or_otel.wire.fields import UNREADABLE, count_of, text_of, value_of
from or_otel.wire.usage import usage_from

_PIECES = frozenset(
    {
        "transcript.text.delta",
        "speech.audio.delta",
        "image_generation.partial_image",
        "image_edit.partial_image",
    }
)
_TERMINAL = frozenset(
    {"transcript.text.done", "speech.audio.done", "image_generation.completed", "image_edit.completed", "error"}
)


class _Body(msgspec.Struct):
    """Every field raw: a strange one must not cost the others. The work itself is passed over."""

    type: msgspec.Raw = ABSENT
    id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    provider: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    error_type: msgspec.Raw = ABSENT
    openrouter_metadata: msgspec.Raw = ABSENT


_BODY = msgspec.json.Decoder(_Body, strict=False)


class WholeFacts(AnswerFacts):
    """What is known so far of one answer without choices."""

    def matters(self, data: bytes) -> bool:
        """Every event: they are few."""
        del data
        return True

    def read(self, data: bytes) -> bool:
        """Take one JSON object: a whole body, or an event; False when it is none."""
        try:
            body = _BODY.decode(data)
        except UNREADABLE:
            return False
        kind = text_of(value_of(body.type))
        self._named(body.id, body.model, body.provider)
        self._routed(body.openrouter_metadata)
        if body.usage:
            self._used(value_of(body.usage))
        if body.error:
            self._failed(value_of(body.error), value_of(body.error_type))
        self.has_content = self.has_content or kind in _PIECES
        self.is_terminal = self.is_terminal or kind in _TERMINAL
        return True


class RerankFacts(WholeFacts):
    """What is known so far of one ranking: nothing is generated, so all tokens told are input."""

    def _counted(self, told: Mapping[str, object]) -> Usage:
        usage = usage_from(told)
        return (
            usage if usage.input_tokens is not None else replace(usage, input_tokens=count_of(told.get("total_tokens")))
        )
