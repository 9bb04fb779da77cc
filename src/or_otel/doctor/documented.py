"""The fields that OpenRouter documents for four answers, and how an answer compares: JSON values in, a `Check` out.

Only names of fields leave this module, never values. Pure.
Source: OpenRouter's API reference, "Router Metadata" and Python SDK 1.3.84 (seen 2026-08 to
2026-11); `provider`, `native_finish_reason` and `image_tokens` from recordings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from or_otel.doctor import Check

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
"""What stands where a name should be, but looks like something else, may be content."""
STRANGE = "(unprintable name)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What is documented of one answer.

    Attributes:
        name: Of the answer.
        always: Fields that an ordinary answer has, as `usage.cost` or `choices[].index`.
        sometimes: Fields that are optional, or come in special cases.
    """

    name: str
    always: frozenset[str]
    sometimes: frozenset[str] = frozenset()


def _paths(prefix: str, words: str) -> set[str]:
    return {f"{prefix}{word}" for word in words.split()}


CHAT = Document(
    name="chat answer",
    always=frozenset(
        _paths("", "id object created model provider system_fingerprint choices usage")
        | _paths("choices[].", "index finish_reason native_finish_reason message message.role message.content")
        | _paths("usage.", "prompt_tokens completion_tokens total_tokens cost is_byok cost_details")
        | _paths("usage.cost_details.upstream_inference_", "cost prompt_cost completions_cost")
        | _paths("usage.", "prompt_tokens_details completion_tokens_details")
        | {"usage.prompt_tokens_details.cached_tokens", "usage.completion_tokens_details.reasoning_tokens"}
    ),
    sometimes=frozenset(
        _paths("", "service_tier openrouter_metadata alignment safeguard_results error")
        | _paths("choices[].", "logprobs error message.refusal message.reasoning message.reasoning_details")
        | _paths("choices[].message.", "tool_calls annotations images audio")
        | _paths("usage.", "server_tool_use_details server_tool_use service_tier cost_details.server_tool_cost")
        | _paths("usage.prompt_tokens_details.", "cache_write_tokens audio_tokens video_tokens file_tokens")
        | _paths("usage.completion_tokens_details.", "audio_tokens image_tokens accepted_prediction_tokens")
        | {"usage.completion_tokens_details.rejected_prediction_tokens"}
    ),
)
METADATA = Document(
    name="openrouter_metadata",
    always=frozenset(
        _paths("", "requested strategy region summary attempt is_byok endpoints endpoints.total endpoints.available")
        | _paths("endpoints.available[].", "provider model selected")
    ),
    sometimes=frozenset(
        _paths("", "attempts generation_time params pipeline") | _paths("attempts[].", "provider model status")
    ),
)
_BUDGET = "scope limit_usd spend_usd remaining_usd reset_interval resets_at include_byok guardrail_id budget_id"
"""Of a budget, wherever one stands."""
KEY = Document(
    name="/key",
    always=frozenset(
        _paths("", "label limit limit_remaining limit_reset include_byok_in_limit is_free_tier is_management_key")
        | _paths("usage", "_daily _weekly _monthly")
        | _paths("byok_usage", "_daily _weekly _monthly")
        | {"usage", "byok_usage"}
        | _paths("", "creator_user_id organization_id workspace_id allowed_data_regions budgets effective_budget")
        | {"free_model_daily_requests"}
        | _paths("free_model_daily_requests.", "limit used remaining")
    ),
    sometimes=frozenset(
        _paths("", "is_provisioning_key rate_limit expires_at")
        | _paths("budgets[].", _BUDGET)
        | _paths("effective_budget.", _BUDGET)
    ),
)
GENERATION = Document(
    name="/generation",
    always=frozenset(
        _paths("", "id upstream_id model provider_name provider_responses api_type router streamed cancelled is_byok")
        | _paths("provider_responses[].", "status")
        | _paths("", "created_at finish_reason native_finish_reason service_tier latency generation_time")
        | _paths("", "moderation_latency tokens_prompt tokens_completion native_tokens_prompt")
        | _paths("native_tokens_", "completion reasoning cached completion_images")
        | _paths("num_", "media_prompt media_completion input_audio_prompt search_results fetches")
        | _paths("", "web_search_engine total_cost usage upstream_inference_cost cache_discount data_region app_id")
        | _paths("", "origin http_referer user_agent external_user preset_id workspace_id")
    ),
    sometimes=frozenset(
        _paths("", "request_id session_id response_cache_source_id")
        | _paths("provider_responses[].", "provider_name model_permaslug endpoint_id id latency is_byok")
        | {"provider_responses[].routed_service_tier"}
    ),
)


def compare(told: object, document: Document) -> Check:
    """Say which documented fields an answer had, which it had not, and which are new.

    A field below one that is null or an empty list is not called lacking. What lies below a
    field that is documented without parts, or new, is not looked at.
    """
    came, empty = set[str](), set[str]()
    for path, is_empty in _walk(told, document):
        came.add(path)
        if is_empty:
            empty.add(path)
    known = document.always | document.sometimes
    lacked = sorted(
        path
        for path in document.always - came
        if not any(path.startswith((f"{parent}.", f"{parent}[]")) for parent in empty | (document.always - came))
    )
    new = sorted({path if path in known or _is_plain(path) else STRANGE for path in came - known})
    found = sorted(came & known)
    parts = [f"{len(found)} documented fields came"]
    if lacked:
        parts.append(f"lacked: {', '.join(lacked)}")
    if new:
        parts.append(f"new: {', '.join(new)}")
    return Check(
        topic="live",
        name=document.name,
        state="warn" if lacked else "info" if new else "ok",
        sentence="; ".join(parts),
        remedy="what or-otel reads from a lacking field stays unknown; please report it" if lacked else None,
        came=tuple(found),
        lacked=tuple(lacked),
        new=tuple(new),
    )


def _walk(told: object, document: Document, prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Give the path of each field, and whether nothing can be below it."""
    if not isinstance(told, Mapping):
        return
    known = document.always | document.sometimes
    for name, value in told.items():
        path = f"{prefix}{name}"
        yield path, value is None or value in ([], {})
        for item, below in ((value, f"{path}."), *((each, f"{path}[].") for each in _items(value))):
            if any(each.startswith(below) for each in known):
                yield from _walk(item, document, below)


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _is_plain(path: str) -> bool:
    return all(FIELD_NAME.fullmatch(part) for part in re.split(r"\[\]\.|\.", path))
