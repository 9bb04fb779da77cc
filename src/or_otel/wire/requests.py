"""Request bodies and headers in, `Request` out: what was asked for, never its content.

The key leaves this module only as a fingerprint.
Source: OpenRouter "Parameters", "Provider routing", "App attribution" (seen 2026-08).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

from or_otel.facts import ProviderPreferences, Request
from or_otel.wire.fields import (
    UNREADABLE,
    count_of,
    flag_of,
    float_of,
    integer_of,
    items_of,
    object_of,
    text_of,
    texts_of,
    value_of,
)

ABSENT = msgspec.Raw()
FINGERPRINT_DIGITS = 12
_OUTPUT_TYPES = {"text": "text", "json_object": "json", "json_schema": "json"}


class _Body(msgspec.Struct):
    """Every field raw: a strange one must not cost the others. Messages are passed over undecoded."""

    model: msgspec.Raw = ABSENT
    models: msgspec.Raw = ABSENT
    stream: msgspec.Raw = ABSENT
    preset: msgspec.Raw = ABSENT
    provider: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    max_completion_tokens: msgspec.Raw = ABSENT
    temperature: msgspec.Raw = ABSENT
    top_p: msgspec.Raw = ABSENT
    top_k: msgspec.Raw = ABSENT
    frequency_penalty: msgspec.Raw = ABSENT
    presence_penalty: msgspec.Raw = ABSENT
    seed: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT
    stop: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    modalities: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_effort: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    user: msgspec.Raw = ABSENT
    session_id: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT


_BODY = msgspec.json.Decoder(_Body, strict=False)


def read_request(body: bytes | None, header: Callable[[str], str | None]) -> Request:
    """Read what a chat request asks for.

    Args:
        body: The encoded body; None when it could not be had.
        header: Gives a request header by case-insensitive name.

    Returns:
        The facts that could be read; the headers' alone when the body is none of JSON.
    """
    try:
        told = _BODY.decode(body or b"{}")
    except UNREADABLE:
        told = _Body()
    effort = _value(told.reasoning_effort) or object_of(_value(told.reasoning)).get("effort")
    tokens = count_of(_value(told.max_completion_tokens))
    return Request(
        model=text_of(_value(told.model)),
        models=texts_of(_value(told.models)),
        is_stream=_value(told.stream) is True,
        preset=text_of(_value(told.preset)),
        provider=_preferences(_value(told.provider)),
        max_tokens=count_of(_value(told.max_tokens)) if tokens is None else tokens,
        temperature=float_of(_value(told.temperature)),
        top_p=float_of(_value(told.top_p)),
        top_k=count_of(_value(told.top_k)),
        frequency_penalty=float_of(_value(told.frequency_penalty)),
        presence_penalty=float_of(_value(told.presence_penalty)),
        seed=integer_of(_value(told.seed)),
        choice_count=count_of(_value(told.n)),
        stop_sequences=texts_of(_value(told.stop)),
        output_type=_output_type(_value(told.response_format), _value(told.modalities)),
        reasoning_level=text_of(effort),
        service_tier=text_of(_value(told.service_tier)),
        user=text_of(_value(told.user)),
        session_id=text_of(_value(told.session_id)) or text_of(header("x-session-id")),
        tool_names=_tool_names(_value(told.tools)),
        app_name=text_of(header("x-openrouter-title")) or text_of(header("x-title")),
        app_url=text_of(header("http-referer")),
    )


def key_fingerprint(authorization: str | None) -> str | None:
    """Name a key without telling anything of it: 12 hex digits of its SHA-256.

    Args:
        authorization: An `Authorization` header with a bearer token, or a bare key.
    """
    words = (authorization or "").split()
    if words and words[0].lower() == "bearer":
        words = words[1:]
    if len(words) != 1:
        return None
    return hashlib.sha256(words[0].encode("utf-8", "surrogateescape")).hexdigest()[:FINGERPRINT_DIGITS]


def _value(raw: msgspec.Raw) -> object:
    return value_of(raw) if raw else None


def _preferences(value: object) -> ProviderPreferences:
    told = object_of(value)
    if not told:
        return ProviderPreferences()
    sort = told.get("sort")
    return ProviderPreferences(
        order=texts_of(told.get("order")),
        only=texts_of(told.get("only")),
        ignore=texts_of(told.get("ignore")),
        sort=text_of(object_of(sort).get("by") or sort),
        data_collection=text_of(told.get("data_collection")),
        zdr=flag_of(told.get("zdr")),
        allow_fallbacks=flag_of(told.get("allow_fallbacks")),
    )


def _output_type(response_format: object, modalities: object) -> str | None:
    asked = texts_of(modalities)
    if "image" in asked:
        return "image"
    if "audio" in asked:
        return "speech"
    return _OUTPUT_TYPES.get(text_of(object_of(response_format).get("type")) or "")


def _tool_names(value: object) -> frozenset[str] | None:
    tools = items_of(value)
    if not tools:
        return None
    # Server tools have a type and no function: their calls never reach the client.
    told = (object_of(tool) for tool in tools)
    names = (text_of(object_of(tool.get("function")).get("name")) or text_of(tool.get("name")) for tool in told)
    return frozenset(name for name in names if name is not None)
