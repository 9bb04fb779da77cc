"""The Chat Completions shape and its elder, Completions: JSON payloads in, `Answer` out, one payload at a time.

Takes whole bodies and stream chunks alike, whatever framing the usage comes in: the last
readable `usage` counts, the first finish reason of each choice, the first id, model and
provider.
Source: OpenRouter "Chat completions", "Streaming", "Usage accounting" (seen 2026-08), recordings of 2025-11 to 2026-09.
"""

from __future__ import annotations

import msgspec

from or_otel.wire.answers import ABSENT, ALWAYS, MAX_CHOICES, AnswerFacts
from or_otel.wire.fields import UNREADABLE, count_of, object_of, text_of, value_of

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
    text: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_BODY = msgspec.json.Decoder(_Body, strict=False)
_CHOICES = msgspec.json.Decoder(list[_Choice], strict=False)
_RAW_CHOICES = msgspec.json.Decoder(list[msgspec.Raw])
_CHOICE = msgspec.json.Decoder(_Choice, strict=False)


class ChatFacts(AnswerFacts):
    """What is known so far of one chat completion, or of one legacy completion."""

    def read(self, data: bytes) -> bool:
        """Take one JSON object: a stream chunk or a whole body; False when it is none."""
        try:
            body = _BODY.decode(data)
        except UNREADABLE:
            return False
        self._named(body.id, body.model, body.provider, body.service_tier)
        self._routed(body.openrouter_metadata)
        if body.usage:
            self._used(value_of(body.usage))
        if body.error:
            self._failed(value_of(body.error), value_of(body.error_type))
        if body.choices:
            self._read_choices(body.choices)
        self._watch()
        return True

    def _watch(self) -> None:
        """Look out for what is not known yet; a key that only repeats is passed over."""
        if not self.has_content:
            return
        wanted = ((b'"id"', self._id), (b'"model"', self._model), (b'"provider"', self._provider))
        self._needles = (*ALWAYS, *(key for key, known in wanted if known is None))
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
        self._ended(index, text_of(value_of(choice.finish_reason)))
        if index == 0 and self._native_finish_reason is None:
            self._native_finish_reason = text_of(value_of(choice.native_finish_reason))
        if choice.error:
            self._failed(value_of(choice.error))
        content = object_of(value_of(choice.delta)) or object_of(value_of(choice.message))
        if content:
            self._said(index, content)
        elif choice.text:
            self._said(index, {"content": value_of(choice.text)})


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
