"""Answers of the OpenRouter account API: bytes in, values of `or_otel.accounts` out.

Knows nothing of HTTP, keys or clocks. Every field is read apart: a strange one is None, a row that does not say
what it is about is left out and counted, and only an answer without the promised shape is an error
(`UnreadableAnswerError`). ISO times become Unix seconds, milliseconds seconds, percents shares 0…1.
Source: OpenRouter Python SDK 1.3.84 and API reference, seen 2026-08 to 2026-11; no answer was ever seen live.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from or_otel.accounts import (
    AccountKey,
    ActivityRow,
    AnalyticsMeta,
    AnalyticsRow,
    Credits,
    Generation,
    Guardrail,
    KeyBudget,
    Member,
    Model,
    ModelEndpoint,
    Prices,
    Provider,
    Spend,
    Workspace,
)
from or_otel.facts import RouteAttempt, Usage
from or_otel.wire.fields import (
    count_of,
    flag_of,
    float_of,
    integer_of,
    items_of,
    object_of,
    text_of,
    texts_of,
    usd_of,
)
from or_otel.wire.listings import (
    TO_SECONDS,
    TO_SHARE,
    Listing,
    UnreadableAnswerError,
    amount_of,
    data_of,
    day_of,
    figure_of,
    listing_of,
    rows_of,
    scaled_of,
    time_of,
)

T = TypeVar("T")

MAX_ATTEMPTS = 64
VARIES = Decimal(-1)
"""The price of routers: it depends on the model they choose (field reports)."""
PRICE_FIELDS = {
    "input": "prompt",
    "output": "completion",
    "cache_read": "input_cache_read",
    "cache_write": "input_cache_write",
    "reasoning": "internal_reasoning",
    "request": "request",
    "image": "image",
    "web_search": "web_search",
}
TIME_BUCKETS = ("date__", "created_at__")
"""How the time of an analytics row begins; its granularity follows."""
UPTIME_WINDOWS = ("5m", "30m", "1d")
PERCENTILES = ("p50", "p75", "p90", "p99")


# One answer each ------------------------------------------------------------------------------------------------------


def read_key(body: bytes) -> AccountKey:
    """Read `/key`: what it says of the key that asks."""
    told = data_of(body)
    free = object_of(told.get("free_model_daily_requests"))
    return replace(
        _key(told),
        is_management=_first(flag_of, told, "is_management_key", "is_provisioning_key"),
        is_free_tier=flag_of(told.get("is_free_tier")),
        budgets=tuple(_budget(each) for item in items_of(told.get("budgets")) if (each := object_of(item))),
        free_requests_limit=count_of(free.get("limit")),
        free_requests_used=count_of(free.get("used")),
    )


def read_keys(body: bytes) -> Listing[AccountKey]:
    """Read a page of `/keys`."""
    return listing_of(body, lambda told: _key(told) if text_of(told.get("hash")) is not None else None)


def read_credits(body: bytes) -> Credits:
    """Read `/credits`."""
    told = data_of(body)
    purchased, used = amount_of(told.get("total_credits")), amount_of(told.get("total_usage"))
    if purchased is None or used is None:
        raise UnreadableAnswerError("expected the numbers 'data.total_credits' and 'data.total_usage'")
    return Credits(purchased_usd=purchased, used_usd=used)


def read_activity(body: bytes, *, key_hash: str | None = None, workspace_id: str | None = None) -> Listing[ActivityRow]:
    """Read `/activity`.

    Args:
        body: The answer.
        key_hash: The key that the question was narrowed to; the rows do not say it.
        workspace_id: The workspace that it was narrowed to; the rows need not say it.
    """

    def row(told: Mapping[str, object]) -> ActivityRow | None:
        day = day_of(told.get("date"))
        credits_usd, byok_usd = (amount_of(told.get(name)) for name in ("usage", "byok_usage_inference"))
        # Money that is said and cannot be read is not none.
        if day is None or (credits_usd is None and told.get("usage") is not None):
            return None
        if byok_usd is None and told.get("byok_usage_inference") is not None:
            return None
        return ActivityRow(
            day=day,
            model=text_of(told.get("model")),
            permaslug=text_of(told.get("model_permaslug")),
            endpoint_id=text_of(told.get("endpoint_id")),
            provider=text_of(told.get("provider_name")),
            credits_usd=credits_usd,
            byok_usd=byok_usd,
            requests=count_of(told.get("requests")),
            input_tokens=count_of(told.get("prompt_tokens")),
            output_tokens=count_of(told.get("completion_tokens")),
            reasoning_tokens=count_of(told.get("reasoning_tokens")),
            cache_read_tokens=count_of(told.get("cached_tokens")),
            key_hash=key_hash,
            workspace_id=text_of(told.get("workspace_id")) or workspace_id,
        )

    return listing_of(body, row)


def read_analytics_meta(body: bytes) -> AnalyticsMeta:
    """Read `/analytics/meta`."""
    told = data_of(body)
    return AnalyticsMeta(
        metrics=_names(told.get("metrics")),
        dimensions=_names(told.get("dimensions")),
        granularities=_names(told.get("granularities")),
    )


def read_analytics(body: bytes, *, metrics: Collection[str], dimensions: Collection[str] = ()) -> Listing[AnalyticsRow]:
    """Read the answer to an analytics query; figures stay in the units of their metrics (latencies: milliseconds).

    Args:
        body: The answer.
        metrics: What was asked for: counts and labels both come as text, a row alone does not tell them apart.
        dimensions: Likewise.
    """

    def row(told: Mapping[str, object]) -> AnalyticsRow | None:
        times = (time_of(value) for name, value in told.items() if name.startswith(TIME_BUCKETS))
        found = AnalyticsRow(
            at_s=next((at_s for at_s in times if at_s is not None), None),
            dimensions={name: label for name in dimensions if (label := text_of(told.get(name))) is not None},
            metrics={name: figure for name in metrics if (figure := figure_of(told.get(name))) is not None},
        )
        return found if found.metrics or found.dimensions else None

    answer = data_of(body)
    is_truncated = object_of(answer.get("metadata")).get("truncated") is True
    return rows_of(answer.get("data"), row, where="data.data", is_truncated=is_truncated)


def read_models(body: bytes) -> Listing[Model]:
    """Read `/models`, or a page of it."""
    return listing_of(body, _model)


def read_endpoints(body: bytes) -> Listing[ModelEndpoint]:
    """Read `/models/{author}/{slug}/endpoints`."""
    told = data_of(body)
    model = text_of(told.get("id"))
    return rows_of(told.get("endpoints"), lambda row: _endpoint(row, model), where="data.endpoints")


def read_providers(body: bytes) -> Listing[Provider]:
    """Read `/providers`."""

    def row(told: Mapping[str, object]) -> Provider | None:
        name = text_of(told.get("name"))
        if name is None:
            return None
        return Provider(
            name=name,
            slug=text_of(told.get("slug")),
            headquarters=text_of(told.get("headquarters")),
            datacenters=texts_of(told.get("datacenters")),
        )

    return listing_of(body, row)


def read_workspaces(body: bytes) -> Listing[Workspace]:
    """Read a page of `/workspaces`."""

    def row(told: Mapping[str, object]) -> Workspace | None:
        identity = text_of(told.get("id"))
        return None if identity is None else Workspace(id=identity, name=text_of(told.get("name")))

    return listing_of(body, row)


def read_members(body: bytes) -> Listing[Member]:
    """Read a page of `/organization/members`; addresses are left where they are."""

    def row(told: Mapping[str, object]) -> Member | None:
        identity = text_of(told.get("id"))
        if identity is None:
            return None
        names = filter(None, (text_of(told.get("first_name")), text_of(told.get("last_name"))))
        name = " ".join(names) or text_of(told.get("name"))
        return Member(id=identity, name=name, role=text_of(told.get("role")))

    return listing_of(body, row)


def read_guardrails(body: bytes) -> Listing[Guardrail]:
    """Read a page of `/guardrails`."""

    def row(told: Mapping[str, object]) -> Guardrail | None:
        identity = text_of(told.get("id"))
        if identity is None:
            return None
        return Guardrail(
            id=identity,
            name=text_of(told.get("name")),
            limit_usd=amount_of(told.get("limit_usd")),
            reset_interval=text_of(told.get("reset_interval")),
            is_byok_included=flag_of(told.get("include_byok_in_budgets")),
            allowed_models=_allowed(told.get("allowed_models")),
            allowed_providers=_allowed(told.get("allowed_providers")),
        )

    return listing_of(body, row)


def read_generation(body: bytes) -> Generation:
    """Read `/generation`."""
    told = data_of(body)
    identity = text_of(told.get("id"))
    if identity is None:
        raise UnreadableAnswerError("expected a generation id in 'data.id'")
    is_byok = flag_of(told.get("is_byok"))
    return Generation(
        id=identity,
        model=text_of(told.get("model")),
        provider=text_of(told.get("provider_name")),
        created_at_s=time_of(told.get("created_at")),
        charged_usd=_first(amount_of, told, "total_cost", "usage"),
        # Zero without BYOK, where the same figure of an answer's usage repeats the price.
        upstream_usd=amount_of(told.get("upstream_inference_cost")) if is_byok else None,
        is_byok=is_byok,
        is_cancelled=flag_of(told.get("cancelled")),
        is_stream=flag_of(told.get("streamed")),
        finish_reason=text_of(told.get("finish_reason")),
        native_finish_reason=text_of(told.get("native_finish_reason")),
        usage=Usage(
            input_tokens=count_of(told.get("native_tokens_prompt")),
            output_tokens=count_of(told.get("native_tokens_completion")),
            cache_read_tokens=count_of(told.get("native_tokens_cached")),
            reasoning_tokens=count_of(told.get("native_tokens_reasoning")),
            image_output_tokens=count_of(told.get("native_tokens_completion_images")),
        ),
        attempts=tuple(
            RouteAttempt(
                provider=text_of(each.get("provider_name")),
                model=text_of(each.get("model_permaslug")),
                status=count_of(each.get("status")),
            )
            for item in items_of(told.get("provider_responses"))[:MAX_ATTEMPTS]
            if (each := object_of(item))
        ),
        latency_s=scaled_of(told.get("latency"), TO_SECONDS),
        duration_s=scaled_of(told.get("generation_time"), TO_SECONDS),
        cache_discount_usd=amount_of(told.get("cache_discount")),
        service_tier=text_of(told.get("service_tier")),
        router=text_of(told.get("router")),
        region=text_of(told.get("data_region")),
        api_type=text_of(told.get("api_type")),
        session_id=text_of(told.get("session_id")),
        response_cache_source_id=text_of(told.get("response_cache_source_id")),
        user_agent=text_of(told.get("user_agent")),
    )


# Rows -----------------------------------------------------------------------------------------------------------------


def _key(told: Mapping[str, object]) -> AccountKey:
    return AccountKey(
        hash=text_of(told.get("hash")),
        label=text_of(told.get("label")),
        name=text_of(told.get("name")),
        is_disabled=flag_of(told.get("disabled")),
        limit_usd=amount_of(told.get("limit")),
        limit_remaining_usd=amount_of(told.get("limit_remaining")),
        limit_reset=text_of(told.get("limit_reset")),
        is_byok_in_limit=flag_of(told.get("include_byok_in_limit")),
        credits=_spend(told, "usage"),
        byok=_spend(told, "byok_usage"),
        created_at_s=time_of(told.get("created_at")),
        updated_at_s=time_of(told.get("updated_at")),
        last_used_at_s=time_of(told.get("last_used_at")),
        expires_at_s=time_of(told.get("expires_at")),
        creator_user_id=text_of(told.get("creator_user_id")),
        external_user=text_of(told.get("external_user")),
        workspace_id=text_of(told.get("workspace_id")),
    )


def _spend(told: Mapping[str, object], name: str) -> Spend:
    return Spend(
        lifetime_usd=amount_of(told.get(name)),
        daily_usd=amount_of(told.get(f"{name}_daily")),
        weekly_usd=amount_of(told.get(f"{name}_weekly")),
        monthly_usd=amount_of(told.get(f"{name}_monthly")),
    )


def _budget(told: Mapping[str, object]) -> KeyBudget:
    return KeyBudget(
        scope=text_of(told.get("scope")),
        limit_usd=amount_of(told.get("limit_usd")),
        spend_usd=amount_of(told.get("spend_usd")),
        remaining_usd=amount_of(told.get("remaining_usd")),
        reset_interval=text_of(told.get("reset_interval")),
        resets_at_s=time_of(told.get("resets_at")),
        is_byok_included=flag_of(told.get("include_byok")),
        guardrail_id=text_of(told.get("guardrail_id")),
    )


def _model(told: Mapping[str, object]) -> Model | None:
    identity = text_of(told.get("id"))
    if identity is None:
        return None
    architecture = object_of(told.get("architecture"))
    return Model(
        id=identity,
        permaslug=text_of(told.get("canonical_slug")),
        alias_target=text_of(object_of(told.get("alias_target")).get("slug")),
        name=text_of(told.get("name")),
        created_at_s=time_of(told.get("created")),
        expires_at_s=time_of(told.get("expiration_date")),
        context_length=count_of(told.get("context_length")),
        prices=_prices(told.get("pricing")),
        input_modalities=frozenset(texts_of(architecture.get("input_modalities"))),
        output_modalities=frozenset(texts_of(architecture.get("output_modalities"))),
        supported_parameters=frozenset(texts_of(told.get("supported_parameters"))),
    )


def _endpoint(told: Mapping[str, object], asked: str | None) -> ModelEndpoint | None:
    model = text_of(told.get("model_id")) or asked
    provider, tag = text_of(told.get("provider_name")), text_of(told.get("tag"))
    if model is None or (provider is None and tag is None):
        return None
    latency, throughput = object_of(told.get("latency_last_30m")), object_of(told.get("throughput_last_30m"))
    return ModelEndpoint(
        model=model,
        provider=provider,
        tag=tag,
        prices=_prices(told.get("pricing")),
        status=integer_of(told.get("status")),
        context_length=count_of(told.get("context_length")),
        quantization=text_of(told.get("quantization")),
        uptime=_known({window: scaled_of(told.get(f"uptime_last_{window}"), TO_SHARE) for window in UPTIME_WINDOWS}),
        latency_s=_known({each: scaled_of(latency.get(each), TO_SECONDS) for each in PERCENTILES}),
        throughput=_known({each: float_of(throughput.get(each)) for each in PERCENTILES}),
    )


def _prices(value: object) -> Prices:
    told = object_of(value)
    discount = usd_of(told.get("discount"))
    return Prices(
        **_known({field: usd_of(told.get(name)) for field, name in PRICE_FIELDS.items()}),
        discount=discount if discount is not None and discount <= 1 else None,
        is_variable=any(amount_of(told.get(name)) == VARIES for name in PRICE_FIELDS.values()),
    )


def _names(value: object) -> frozenset[str]:
    """Give the names of a list of objects with a `name`, or of names."""
    named = (text_of(object_of(item).get("name")) or text_of(item) for item in items_of(value))
    return frozenset(name for name in named if name is not None)


def _allowed(value: object) -> tuple[str, ...] | None:
    """Give an allow-list, whatever its length: a cut one would forbid what is allowed."""
    if not isinstance(value, list):
        return None
    return tuple(text for item in value if (text := text_of(item)) is not None)


def _first(read: Callable[[object], T | None], told: Mapping[str, object], *names: str) -> T | None:
    found = (read(told.get(name)) for name in names)
    return next((value for value in found if value is not None), None)


def _known(told: Mapping[str, T | None]) -> dict[str, T]:
    return {name: value for name, value in told.items() if value is not None}
