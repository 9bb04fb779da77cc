"""Request bodies and headers in, `Request` out: what was asked for, never its content.

The key leaves this module only as a fingerprint.
Source: OpenRouter "Parameters", "Provider routing", "App attribution" (seen 2026-08).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping

import msgspec

from or_otel.facts import FINGERPRINT_DIGITS, ProviderPreferences, Request
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

FORM_BYTES = 8192
"""Looked at from either end of a multipart form: uploads are large, and their fields come first or last."""
_FORM_FIELD = re.compile(rb'name="(model|stream)"(?:\r\n[^\r\n]+)*\r\n\r\n([^\r\n]{1,256})\r\n')
_OUTPUT_TYPES = {"text": "text", "json_object": "json", "json_schema": "json"}


_BODY = msgspec.json.Decoder(dict[str, msgspec.Raw])
"""Every field raw: a strange one must not cost the others. Messages are passed over undecoded."""


def read_request(body: bytes | None, header: Callable[[str], str | None]) -> Request:
    """Read what a chat request asks for.

    Args:
        body: The encoded body; None when it could not be had.
        header: Gives a request header by case-insensitive name.

    Returns:
        The facts that could be read; the headers' alone when the body is none of JSON.
    """
    try:
        told = _form(body) if body is not None and body.startswith(b"--") else _BODY.decode(body or b"{}")
    except UNREADABLE:
        told = {}
    # From what is there, not by what could be: of some twenty fields a body holds three or four.
    facts = {name: read(value_of(told[key])) for key, (name, read) in _FIELDS.items() if key in told}
    if (tokens := count_of(_value(told, "max_completion_tokens"))) is not None:
        facts["max_tokens"] = tokens
    if "reasoning" in told or "reasoning_effort" in told:
        effort = _value(told, "reasoning_effort") or object_of(_value(told, "reasoning")).get("effort")
        facts["reasoning_level"] = text_of(effort)
    if "response_format" in told or "modalities" in told:
        facts["output_type"] = _output_type(_value(told, "response_format"), _value(told, "modalities"))
    elif "text" in told:  # responses
        facts["output_type"] = _output_type(object_of(_value(told, "text")).get("format"), None)
    if facts.get("session_id") is None:
        facts["session_id"] = text_of(header("x-session-id"))
    return Request(
        app_name=text_of(header("x-openrouter-title")) or text_of(header("x-title")),
        app_url=text_of(header("http-referer")),
        **facts,  # type: ignore[arg-type]
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


def _value(told: Mapping[str, msgspec.Raw], key: str) -> object:
    raw = told.get(key)
    return None if raw is None else value_of(raw)


def _is_true(value: object) -> bool:
    return value is True


def _form(body: bytes) -> dict[str, msgspec.Raw]:
    """Read the short fields at either end of a multipart form; a file lies between them."""
    ends = body[:FORM_BYTES] + body[max(FORM_BYTES, len(body) - FORM_BYTES) :]
    found: dict[str, msgspec.Raw] = {}
    for name, value in _FORM_FIELD.findall(ends):
        word = value.decode("utf-8", "replace")
        found[name.decode()] = msgspec.Raw(b"true" if word.lower() == "true" else msgspec.json.encode(word))
    return found


def _fallbacks(value: object) -> tuple[str, ...]:
    """Read the models that messages name as objects."""
    return texts_of([object_of(each).get("model") for each in items_of(value)])


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


def _metadata(value: object) -> dict[str, str]:
    return {key: text for key, each in object_of(value).items() if (text := text_of(each)) is not None}


def _tool_names(value: object) -> frozenset[str] | None:
    tools = items_of(value)
    if not tools:
        return None
    # Server tools have a type and no function: their calls never reach the client.
    told = (object_of(tool) for tool in tools)
    names = (text_of(object_of(tool.get("function")).get("name")) or text_of(tool.get("name")) for tool in told)
    return frozenset(name for name in names if name is not None)


_FIELDS: Mapping[str, tuple[str, Callable[[object], object]]] = {
    "model": ("model", text_of),
    "models": ("models", texts_of),
    "stream": ("is_stream", _is_true),
    "background": ("is_background", _is_true),
    "preset": ("preset", text_of),
    "provider": ("provider", _preferences),
    "max_tokens": ("max_tokens", count_of),
    "temperature": ("temperature", float_of),
    "top_p": ("top_p", float_of),
    "top_k": ("top_k", count_of),
    "frequency_penalty": ("frequency_penalty", float_of),
    "presence_penalty": ("presence_penalty", float_of),
    "seed": ("seed", integer_of),
    "n": ("choice_count", count_of),
    "stop": ("stop_sequences", texts_of),
    # As responses and messages say it.
    "max_output_tokens": ("max_tokens", count_of),
    "stop_sequences": ("stop_sequences", texts_of),
    "fallbacks": ("models", _fallbacks),
    "service_tier": ("service_tier", text_of),
    "user": ("user", text_of),
    "session_id": ("session_id", text_of),
    "tools": ("tool_names", _tool_names),
    "metadata": ("metadata", _metadata),
}
"""Body field → the fact it tells, and its reader. Facts told by two fields are not here."""
