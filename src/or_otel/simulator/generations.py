"""The record of one generation, as `/generation` tells it some time after the answer ended.

An id and the book in, a record out. Any key of the account may ask; the generations of another account are
not found. Shape: OpenRouter Python SDK 1.3.84 and recordings, seen 2026-11.
"""

from __future__ import annotations

from collections.abc import Collection

from or_otel.simulator.account import Account, endpoint_id, iso
from or_otel.simulator.book import Entry
from or_otel.simulator.questions import Query
from or_otel.simulator.scenarios import Received, Scenario

OK = 200


class Generations:
    """Tells generations, late as the true service does.

    Attributes:
        not_found_first: How often each id is answered with 404 before it is known.
        delay_s: Time of the account's clock from a generation's date until it is known.
        cancelled_delay_s: The same for one whose reader left.
        is_content_empty: Whether `/generation/content` tells empty texts instead of 404.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self.not_found_first = 0
        self.delay_s = 0.0
        self.cancelled_delay_s = 0.0
        self.is_content_empty = False
        self._asked: dict[str, int] = {}

    def answer(self, path: str, query: Query, request: Received) -> Scenario | None:
        """Answer `/generation` and `/generation/content`; None for every other path."""
        if path not in {"/generation", "/generation/content"}:
            return None
        key = self.account.authorised(request)
        if isinstance(key, Scenario):
            return key
        wanted = query.get("id", "")
        asked = self._asked[wanted] = self._asked.get(wanted, 0) + 1
        entry = self.account.book.find(wanted)
        is_told = (
            entry is not None
            and asked > self.not_found_first
            and self.account.is_of(entry.key, key.organization_id)
            and self.account.now_s >= entry.created_at_s + self._delay_s(entry)
        )
        if entry is None or not is_told or (path == "/generation/content" and not self.is_content_empty):
            return Scenario(status=404, body={"error": {"code": 404, "message": f"Generation {wanted[:64]} not found"}})
        if path == "/generation/content":
            nothing = {"input": {"messages": []}, "output": {"completion": None, "reasoning": None}, "error": None}
            return Scenario(body={"data": nothing})
        asked_with = self.account.known(entry.key)
        if asked_with is None:
            return Scenario(body={"data": generation_body(entry)})
        told = {"workspace_id": asked_with.workspace_id, "external_user": asked_with.external_user}
        return Scenario(body={"data": generation_body(entry, asked_with.byok) | told})

    def _delay_s(self, entry: Entry) -> float:
        return max(self.delay_s, self.cancelled_delay_s if entry.is_cancelled else 0.0)


def generation_body(entry: Entry, byok: Collection[str] = ()) -> dict[str, object]:
    """Write the generation record of a bill.

    Args:
        entry: The bill.
        byok: Providers whose own key the caller brought: they were tried with it.
    """
    usage, total = entry.usage, entry.charged
    responses = [
        {
            "id": endpoint_id(entry.id, str(number)),
            "endpoint_id": endpoint_id(attempt.model or "", attempt.provider or ""),
            "provider_name": attempt.provider,
            "model_permaslug": attempt.model,
            "status": attempt.status,
            "latency": entry.latency_ms,
            "is_byok": entry.is_byok if attempt.status == OK else attempt.provider in byok,
        }
        for number, attempt in enumerate(entry.attempts)
    ]
    absent = (
        "app_id", "http_referer", "external_user", "preset_id", "moderation_latency", "num_media_prompt",
        "num_media_completion", "num_input_audio_prompt", "num_fetches", "web_search_engine",
    )  # fmt: skip
    return {
        "id": entry.id,
        "request_id": entry.id.replace("gen-", "req-", 1),
        "upstream_id": None,
        "model": entry.permaslug,
        "provider_name": entry.provider,
        "provider_responses": responses,
        "api_type": entry.api,
        "router": entry.router,
        "streamed": entry.is_stream,
        "cancelled": entry.is_cancelled,
        "is_byok": entry.is_byok,
        "created_at": iso(entry.created_at_s),
        "origin": "",
        "user_agent": entry.user_agent,
        "session_id": entry.session_id,
        "workspace_id": None,
        "data_region": "global",
        "service_tier": "standard",
        "response_cache_source_id": entry.cache_source_id,
        "finish_reason": entry.finish_reason,
        "native_finish_reason": entry.native_finish_reason,
        "latency": entry.latency_ms,
        "generation_time": entry.generation_ms,
        "tokens_prompt": usage.input_tokens,
        "tokens_completion": usage.output_tokens,
        "native_tokens_prompt": usage.input_tokens,
        "native_tokens_completion": usage.output_tokens,
        "native_tokens_reasoning": usage.reasoning_tokens or 0,
        "native_tokens_cached": usage.cache_read_tokens or 0,
        "native_tokens_completion_images": usage.image_output_tokens or 0,
        "num_search_results": usage.web_searches,
        "total_cost": total,
        "usage": total,
        "upstream_inference_cost": entry.upstream if entry.is_byok else 0,
        "cache_discount": entry.cache_discount,
        **dict.fromkeys(absent),
    }
