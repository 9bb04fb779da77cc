"""A decoded `usage` object in, tokens and money out; the names of all APIs whose input counts cached tokens too.

Source: OpenRouter "Usage accounting" and "BYOK" (seen 2026-08), OpenAI API reference (seen 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from or_otel.facts import Cost, Usage
from or_otel.wire.fields import NO_OBJECT, count_of, flag_of, object_of, usd_of

_DETAILS = (
    (
        ("prompt_tokens_details", "input_tokens_details", "input_token_details"),
        (
            ("cached_tokens", "cache_read_tokens"),
            ("cache_write_tokens", "cache_write_tokens"),
            ("text_tokens", "text_input_tokens"),
            ("audio_tokens", "audio_input_tokens"),
            ("image_tokens", "image_input_tokens"),
        ),
    ),
    (
        ("completion_tokens_details", "output_tokens_details"),
        (
            ("reasoning_tokens", "reasoning_tokens"),
            ("text_tokens", "text_output_tokens"),
            ("audio_tokens", "audio_output_tokens"),
            ("image_tokens", "image_output_tokens"),
        ),
    ),
    (
        ("server_tool_use_details", "server_tool_use"),
        (
            ("tool_calls_executed", "server_tool_calls"),
            ("web_search_requests", "web_searches"),
        ),
    ),
)
"""An object of details by each of its names, and what its members are to us; the first object that is there counts."""


def usage_from(told: Mapping[str, object]) -> Usage:
    """Read the token counts of a `usage` object whose input counts cached tokens too.

    Chat, completions and embeddings say `prompt` and `completion`; responses, images and
    transcription say `input` and `output` for the same.
    """
    counts = {
        "input_tokens": _count(told, "prompt_tokens", "input_tokens"),
        "output_tokens": _count(told, "completion_tokens", "output_tokens"),
    }
    for names, fields in _DETAILS:
        part = _part(told, names)
        if part:  # most answers tell none of them
            for name, field in fields:
                counts[field] = count_of(part.get(name))
    return Usage(**counts)


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
        input=_usd(details, "upstream_inference_prompt_cost", "upstream_inference_input_cost"),
        output=_usd(details, "upstream_inference_completions_cost", "upstream_inference_output_cost"),
        tools=usd_of(details.get("server_tool_cost")),
        is_byok=flag_of(told.get("is_byok")),
        is_direct=is_direct,
    )


def _part(told: Mapping[str, object], names: tuple[str, ...]) -> Mapping[str, object]:
    for name in names:
        part = object_of(told.get(name))
        if part:
            return part
    return NO_OBJECT


def _count(told: Mapping[str, object], name: str, other: str) -> int | None:
    count = count_of(told.get(name))
    return count_of(told.get(other)) if count is None else count


def _usd(told: Mapping[str, object], name: str, other: str) -> Decimal | None:
    amount = usd_of(told.get(name))
    return usd_of(told.get(other)) if amount is None else amount
