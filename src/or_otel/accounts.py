"""What the OpenRouter account API tells, in our words: frozen values.

`wire.account` makes these from answers; the exporter, reports and commands only read them. Money
is `Decimal` US dollars, times are Unix seconds. `None` means "not said", `0` means it said zero.
Days are UTC days, as OpenRouter counts them.
Source: OpenRouter Python SDK 1.3.84 and API reference, seen 2026-08 to 2026-11; no answer of any account
endpoint was ever seen live by us.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

from or_otel.facts import RouteAttempt, Usage

KeyKind = Literal["inference", "management"]

DEFAULT_BASE_URL = "https://openrouter.ai/api/v1"
NO_USAGE = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What one key spent on one ledger. All but `lifetime_usd` fall at the turn of their UTC period.

    Attributes:
        lifetime_usd: Since the key was made.
        daily_usd, weekly_usd, monthly_usd: In the running UTC day, week from Monday, month.
    """

    lifetime_usd: Decimal | None = None
    daily_usd: Decimal | None = None
    weekly_usd: Decimal | None = None
    monthly_usd: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBudget:
    """A limit that OpenRouter itself enforces on a key.

    Attributes:
        scope: `key_limit`, `api_key`, `member`, `workspace`, `workspace_default_key`, …; an open set.
        limit_usd, spend_usd, remaining_usd: At or below zero remaining, requests are refused.
        reset_interval: `daily`, `weekly`, `monthly`; None for never.
        resets_at_s: When it starts anew.
        is_byok_included: Whether spending over own provider keys counts.
        guardrail_id: The guardrail that sets it.
    """

    scope: str | None = None
    limit_usd: Decimal | None = None
    spend_usd: Decimal | None = None
    remaining_usd: Decimal | None = None
    reset_interval: str | None = None
    resets_at_s: float | None = None
    is_byok_included: bool | None = None
    guardrail_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """One API key, without the key: a row of `/keys`, or what `/key` says of the key that asks.

    Attributes:
        hash: The API's own stable id, 64 hex; None from `/key`, which does not tell it.
        label: The key masked, as `sk-or-v1-abc...123`.
        name: As the owner named it; None from `/key`.
        is_disabled, is_management, is_free_tier: Its state and kind.
        limit_usd: None for no limit.
        limit_remaining_usd: What is left of the limit.
        limit_reset: `daily`, `weekly`, `monthly`; None for a limit over its lifetime.
        is_byok_in_limit: Whether spending over own provider keys counts against the limit.
        credits: What it took from the credits, BYOK fees included.
        byok: What providers bill for its calls over own provider keys.
        created_at_s, updated_at_s, last_used_at_s, expires_at_s: Times; None when never or not said.
        creator_user_id, external_user, workspace_id: Whose it is.
        budgets: Limits that OpenRouter enforces; `/key` only.
        free_requests_limit, free_requests_used: Free-model requests of the running UTC day; `/key` only.
    """

    hash: str | None = None
    label: str | None = None
    name: str | None = None
    is_disabled: bool | None = None
    is_management: bool | None = None
    is_free_tier: bool | None = None
    limit_usd: Decimal | None = None
    limit_remaining_usd: Decimal | None = None
    limit_reset: str | None = None
    is_byok_in_limit: bool | None = None
    credits: Spend = Spend()
    byok: Spend = Spend()
    created_at_s: float | None = None
    updated_at_s: float | None = None
    last_used_at_s: float | None = None
    expires_at_s: float | None = None
    creator_user_id: str | None = None
    external_user: str | None = None
    workspace_id: str | None = None
    budgets: tuple[KeyBudget, ...] = ()
    free_requests_limit: int | None = None
    free_requests_used: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Credits:
    """The account's credits over its whole life.

    Attributes:
        purchased_usd, used_usd: Bought and used, ever.
    """

    purchased_usd: Decimal
    used_usd: Decimal

    @property
    def remaining_usd(self) -> Decimal:
        """The balance; it may be negative."""
        return self.purchased_usd - self.used_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    """What OpenRouter booked for one closed UTC day on one endpoint of one model.

    Attributes:
        day: The UTC day.
        model, permaslug: Model id, and its dated name.
        endpoint_id: Stable id of the endpoint.
        provider: Display name of who served.
        credits_usd: What the credits lost, BYOK fees included.
        byok_usd: What providers bill over own keys.
        requests: How many.
        input_tokens, output_tokens, reasoning_tokens, cache_read_tokens: Reasoning is part of the output;
            cached tokens are normally part of the input.
        key_hash, workspace_id: Which key or workspace the question was narrowed to; None for all.
    """

    day: date
    model: str | None = None
    permaslug: str | None = None
    endpoint_id: str | None = None
    provider: str | None = None
    credits_usd: Decimal | None = None
    byok_usd: Decimal | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_read_tokens: int | None = None
    key_hash: str | None = None
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsMeta:
    """What the analytics API can be asked for; names change, so ask for them at the start.

    Attributes:
        metrics, dimensions, granularities: Names.
    """

    metrics: frozenset[str] = frozenset()
    dimensions: frozenset[str] = frozenset()
    granularities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyticsRow:
    """One row of an analytics answer.

    Attributes:
        at_s: Begin of its time bucket; None without a granularity.
        dimensions: Dimension → label, such as `model` → `Anthropic: Claude Haiku 4.5`; null is left out.
        metrics: Metric → figure; null is left out.
    """

    at_s: float | None = None
    dimensions: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """US dollars per single token (or per request, image, search), as OpenRouter lists them.

    Attributes:
        input, output: Per token.
        cache_read, cache_write: Per token; None means the input's price.
        reasoning: Per token; None means the output's price.
        request, image, web_search: Per piece.
        discount: 0…1; part of the price that is not paid.
        is_variable: The price depends on what a router chooses.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    request: Decimal | None = None
    image: Decimal | None = None
    web_search: Decimal | None = None
    discount: Decimal | None = None
    is_variable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A row of `/models`.

    Attributes:
        id, permaslug: Slug in requests, and its dated name.
        alias_target: Model that a moving alias stands for today.
        name: For people.
        created_at_s, expires_at_s: When it appeared, and when it goes.
        context_length: Tokens.
        prices: List prices.
        input_modalities, output_modalities: As `text`, `image`.
        supported_parameters: As `tools`, `response_format`.
    """

    id: str
    permaslug: str | None = None
    alias_target: str | None = None
    name: str | None = None
    created_at_s: float | None = None
    expires_at_s: float | None = None
    context_length: int | None = None
    prices: Prices = Prices()
    input_modalities: frozenset[str] = frozenset()
    output_modalities: frozenset[str] = frozenset()
    supported_parameters: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEndpoint:
    """One provider's offer of one model.

    Attributes:
        model: Model id.
        provider: Display name.
        tag: Provider slug with region or tier.
        prices: List prices.
        status: 0 is in order; below zero degraded to off.
        context_length, quantization: Limits of this endpoint.
        uptime: Window (`5m`, `30m`, `1d`) → share 0…1 of minutes in order.
        latency_s: Percentile (`p50`, `p75`, `p90`, `p99`) → seconds to the first token.
        throughput: Percentile → output tokens per second.
    """

    model: str
    provider: str | None = None
    tag: str | None = None
    prices: Prices = Prices()
    status: int | None = None
    context_length: int | None = None
    quantization: str | None = None
    uptime: Mapping[str, float] = field(default_factory=dict)
    latency_s: Mapping[str, float] = field(default_factory=dict)
    throughput: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A row of `/providers`.

    Attributes:
        name, slug: Display name, and name in requests.
        headquarters, datacenters: Country codes.
    """

    name: str
    slug: str | None = None
    headquarters: str | None = None
    datacenters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace of the organisation.

    Attributes:
        id, name: As told.
    """

    id: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of the organisation, without address or e-mail.

    Attributes:
        id, name, role: As told.
    """

    id: str
    name: str | None = None
    role: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A guardrail: a budget and what may be asked.

    Attributes:
        id, name: As told.
        limit_usd, reset_interval: Its budget; None without one.
        is_byok_included: Whether spending over own provider keys counts.
        allowed_models, allowed_providers: None when everything is allowed.
    """

    id: str
    name: str | None = None
    limit_usd: Decimal | None = None
    reset_interval: str | None = None
    is_byok_included: bool | None = None
    allowed_models: tuple[str, ...] | None = None
    allowed_providers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The account's record of one answer, as `/generation` tells it some seconds after its end.

    Attributes:
        id: `gen-…`.
        model: Dated name.
        provider: Display name of who served.
        created_at_s: When.
        charged_usd: What the credits lost.
        upstream_usd: What the provider bills over an own key; None unless BYOK.
        is_byok: Whose key paid.
        is_cancelled, is_stream: How it went.
        finish_reason, native_finish_reason: Why it ended.
        usage: Tokens by the provider's own count.
        attempts: Upstream tries, in order.
        latency_s, duration_s: To the provider's headers; of the generation.
        cache_discount_usd: Saved by cache reads; below zero when writes cost more.
        service_tier, router, region, api_type, session_id: As told.
        response_cache_source_id: The generation whose answer was replayed; None when none was.
        user_agent: Of the client that asked, as it named itself.
    """

    id: str
    model: str | None = None
    provider: str | None = None
    created_at_s: float | None = None
    charged_usd: Decimal | None = None
    upstream_usd: Decimal | None = None
    is_byok: bool | None = None
    is_cancelled: bool | None = None
    is_stream: bool | None = None
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage = NO_USAGE
    attempts: tuple[RouteAttempt, ...] = ()
    latency_s: float | None = None
    duration_s: float | None = None
    cache_discount_usd: Decimal | None = None
    service_tier: str | None = None
    router: str | None = None
    region: str | None = None
    api_type: str | None = None
    session_id: str | None = None
    response_cache_source_id: str | None = None
    user_agent: str | None = None
