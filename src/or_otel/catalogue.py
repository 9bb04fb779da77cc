"""Every metric, one row each: what instruments, dashboards, alerts and the documented table read.

`prometheus_name` and `prometheus_label` give the spelling that the Python Prometheus exporter,
the Collector and Prometheus' own OTLP receiver agree on under their default strategy
(otlptranslator `UnderscoreEscapingWithSuffixes`, seen 2026-11). `python -m or_otel.catalogue`
prints `docs/metrics.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from or_otel import semconv

Kind = Literal["counter", "gauge", "histogram", "observable_counter", "observable_gauge"]
Source = Literal["calls", "insight", "exporter", "collector"]

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""As the GenAI conventions advise, up to v1.41."""
TOKENS = tuple(float(4**power) for power in range(14))
"""As the GenAI conventions advise, up to v1.41."""
DOLLARS = (*(float(f"{digit}e{power}") for power in range(-6, 1) for digit in (1, 2, 5)), 10.0)
TOKENS_PER_SECOND = (1.0, 2.0, 5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 1000.0, 2000.0)
RUN_DOLLARS = (*(float(f"{digit}e{power}") for power in range(-4, 2) for digit in (1, 2, 5)), 100.0)
RUN_CALLS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
RUN_SECONDS = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)

TAGS = semconv.OPENROUTER_TAG_PREFIX + "*"
"""Stands for the attribution tags that are let onto metrics (`metric_tags`, default team and feature)."""

HISTOGRAM_NAMES = (
    semconv.GEN_AI_OPERATION_NAME,
    semconv.GEN_AI_PROVIDER_NAME,
    semconv.GEN_AI_REQUEST_MODEL,
    semconv.OPENROUTER_PROVIDER_NAME,
)
"""What every histogram of calls carries."""
COUNTER_NAMES = (
    semconv.GEN_AI_OPERATION_NAME,
    semconv.GEN_AI_PROVIDER_NAME,
    semconv.GEN_AI_REQUEST_MODEL,
    semconv.GEN_AI_RESPONSE_MODEL,
    semconv.OPENROUTER_PROVIDER_NAME,
    semconv.OPENROUTER_KEY_ID,
    semconv.OPENROUTER_KEY_NAME,
    semconv.OPENROUTER_APP_NAME,
    semconv.DEPLOYMENT_ENVIRONMENT_NAME,
)
"""What every counter of calls carries, before the tags."""
_COUNTER = (*COUNTER_NAMES, TAGS)
_RUN = (semconv.GEN_AI_WORKFLOW_NAME, semconv.OPENROUTER_OUTCOME, TAGS)
_KEY = (semconv.OPENROUTER_KEY_NAME, semconv.OPENROUTER_KEY_HASH, semconv.OPENROUTER_KEY_ID, TAGS)
_BUDGET = (semconv.OPENROUTER_BUDGET_NAME, semconv.OPENROUTER_BUDGET_SCOPE)
_ACTIVITY = (semconv.OPENROUTER_DAY, semconv.GEN_AI_RESPONSE_MODEL, semconv.OPENROUTER_PROVIDER_NAME)
_LEDGER = (semconv.SERVICE_NAME, *_COUNTER)
"""The ledger holds many programs' calls, and its exporter is none of them."""
_ENDPOINT = (semconv.GEN_AI_RESPONSE_MODEL, semconv.OPENROUTER_PROVIDER_NAME, semconv.OPENROUTER_ENDPOINT_TAG)
_DAY_AND_KEY = (semconv.OPENROUTER_DAY, semconv.OPENROUTER_KEY_NAME, semconv.OPENROUTER_KEY_HASH)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric.

    Attributes:
        name: OpenTelemetry name.
        unit: UCUM unit, or an annotation in braces.
        kind: Which instrument makes it.
        description: One sentence, ours alone: exporters merge families that share a description with others.
        attributes: Names it may carry.
        buckets: Advised boundaries of a histogram.
        source: Who emits it: every `calls`, derived `insight`, the account `exporter`, or a `collector` rule.
    """

    name: str
    unit: str
    kind: Kind
    description: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    source: Source = "calls"


OPERATION_DURATION = Metric(
    name="gen_ai.client.operation.duration",
    unit="s",
    kind="histogram",
    description="How long a call took its caller, with all retries, until the last byte (or_otel).",
    attributes=(*HISTOGRAM_NAMES, semconv.ERROR_TYPE),
    buckets=SECONDS,
)
TOKEN_USAGE = Metric(
    name="gen_ai.client.token.usage",
    unit="{token}",
    kind="histogram",
    description="Whole input and whole output tokens per call, as the provider counted them (or_otel).",
    attributes=(*HISTOGRAM_NAMES, semconv.GEN_AI_TOKEN_TYPE),
    buckets=TOKENS,
)
TIME_TO_FIRST_CHUNK = Metric(
    name="gen_ai.client.operation.time_to_first_chunk",
    unit="s",
    kind="histogram",
    description="How long a streaming caller waited for the first content, reasoning or tool call (or_otel).",
    attributes=HISTOGRAM_NAMES,
    buckets=SECONDS,
)
CALL_COST = Metric(
    name="openrouter.client.call.cost",
    unit="{USD}",
    kind="histogram",
    description="What single calls cost their owner; for sums of money use openrouter.client.cost.",
    attributes=HISTOGRAM_NAMES,
    buckets=DOLLARS,
)
OUTPUT_RATE = Metric(
    name="openrouter.client.output.rate",
    unit="{token}/s",
    kind="histogram",
    description="Output tokens per second after the first one, of whole streams.",
    attributes=HISTOGRAM_NAMES,
    buckets=TOKENS_PER_SECOND,
)
COST = Metric(
    name="openrouter.client.cost",
    unit="{USD}",
    kind="observable_counter",
    description="Money spent, in disjoint parts: the sum is the total, each ledger is what that side bills.",
    attributes=(
        *_COUNTER,
        semconv.OPENROUTER_COST_LEDGER,
        semconv.OPENROUTER_COST_PART,
        semconv.OPENROUTER_COST_SOURCE,
        semconv.OPENROUTER_BILLING,
        semconv.OPENROUTER_OUTCOME,
        semconv.OPENROUTER_ROUTE_FALLBACK,
        semconv.OPENROUTER_ROUTE_POLICY,
    ),
)
CALLS = Metric(
    name="openrouter.client.calls",
    unit="{call}",
    kind="observable_counter",
    description="Calls that ended, by how they ended and which way they were routed.",
    attributes=(
        *_COUNTER,
        semconv.OPENROUTER_OUTCOME,
        semconv.ERROR_TYPE,
        semconv.OPENROUTER_ERROR_ORIGIN,
        semconv.OPENROUTER_ROUTE_FALLBACK,
        semconv.OPENROUTER_ROUTE_POLICY,
        semconv.OPENROUTER_FINISH_REASON,
        semconv.OPENROUTER_RESPONSE_CACHE_HIT,
    ),
)
UNPRICED_CALLS = Metric(
    name="openrouter.client.unpriced_calls",
    unit="{call}",
    kind="observable_counter",
    description="Calls whose money is not fully known, by reason; they are missing from the cost.",
    attributes=(*_COUNTER, semconv.OPENROUTER_UNPRICED_REASON),
)
CLIENT_TOKENS = Metric(
    name="openrouter.client.tokens",
    unit="{token}",
    kind="observable_counter",
    description="Tokens in disjoint kinds: the sum is input plus output.",
    attributes=(*_COUNTER, semconv.OPENROUTER_TOKEN_TYPE),
)
ATTEMPTS = Metric(
    name="openrouter.client.attempts",
    unit="{attempt}",
    kind="observable_counter",
    description="HTTP exchanges, the retried ones included, by status code or error.",
    attributes=(*_COUNTER, semconv.OPENROUTER_ATTEMPT_STATUS),
)
ROUTE_ATTEMPTS = Metric(
    name="openrouter.client.route_attempts",
    unit="{attempt}",
    kind="observable_counter",
    description="Upstream tries by OpenRouter, also those a fallback hides; model and provider are those of the try.",
    attributes=(*_COUNTER, semconv.OPENROUTER_ATTEMPT_STATUS),
)
TOOL_CALLS = Metric(
    name="openrouter.client.tool_calls",
    unit="{call}",
    kind="observable_counter",
    description="Tool calls that models asked for, by whether they could be run.",
    attributes=(*_COUNTER, semconv.OPENROUTER_TOOL_CALL_OUTCOME),
)
ACTIVE_CALLS = Metric(
    name="openrouter.client.active_calls",
    unit="{call}",
    kind="observable_gauge",
    description="Calls under way now.",
    attributes=(semconv.GEN_AI_OPERATION_NAME, semconv.GEN_AI_PROVIDER_NAME, semconv.GEN_AI_REQUEST_MODEL),
)
TELEMETRY_DROPPED = Metric(
    name="or_otel.telemetry.dropped",
    unit="{record}",
    kind="observable_counter",
    description="Records of ours that were lost, by where.",
    attributes=(semconv.OR_OTEL_DROP_REASON,),
)
TELEMETRY_FOLDED = Metric(
    name="or_otel.telemetry.folded",
    unit="{record}",
    kind="observable_counter",
    description="Metric records of which an attribute became _OTHER, by which limit was reached.",
    attributes=(semconv.OR_OTEL_FOLD_REASON,),
)
GUARD_FAULTS = Metric(
    name="or_otel.guard.faults",
    unit="{fault}",
    kind="observable_counter",
    description="Faults of or-otel itself that were kept from the application, by place.",
    attributes=(semconv.OR_OTEL_MODULE,),
)


def _insight(name: str, unit: str, description: str, *attributes: str) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        kind="observable_counter",
        description=description,
        attributes=(*_COUNTER, *attributes),
        source="insight",
    )


def _account(name: str, unit: str, description: str, *attributes: str) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        kind="observable_gauge",
        description=description,
        attributes=attributes,
        source="exporter",
    )


def _run(name: str, unit: str, description: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(
        name=name,
        unit=unit,
        kind="histogram",
        description=description,
        attributes=_RUN,
        buckets=buckets,
        source="insight",
    )


WORKFLOW_COST = _run("openrouter.workflow.cost", "{USD}", "What one run of a workflow cost.", RUN_DOLLARS)
WORKFLOW_CALL_COUNT = _run(
    "openrouter.workflow.call_count", "{call}", "How many calls one run of a workflow made.", RUN_CALLS
)
WORKFLOW_DURATION = _run("openrouter.workflow.duration", "s", "How long one run of a workflow took.", RUN_SECONDS)
WORKFLOW_RUNS = Metric(
    name="openrouter.workflow.runs",
    unit="{run}",
    kind="observable_counter",
    description="Runs of workflows that ended, by outcome.",
    attributes=_RUN,
    source="insight",
)

WASTE = _insight(
    "openrouter.client.waste",
    "{USD}",
    "The share of the cost that bought nothing of use, by why.",
    semconv.OPENROUTER_WASTE_KIND,
)
CACHE_SAVINGS = _insight(
    "openrouter.cache.savings", "{USD}", "What prompt-cache reads cost less than fresh input would have."
)
CACHE_WRITE_PREMIUM = _insight(
    "openrouter.cache.write_premium", "{USD}", "What prompt-cache writes cost more than fresh input."
)
CACHE_MISSED_TOKENS = _insight(
    "openrouter.cache.missed_tokens", "{token}", "Input tokens that the same prefix had cached before."
)
OVERSIZED_CALLS = _insight(
    "openrouter.client.oversized_calls", "{call}", "Calls far larger than is usual for their feature."
)
POLICY_VIOLATIONS = _insight(
    "openrouter.policy.violations",
    "{violation}",
    "Calls that broke a rule of the owner, by rule.",
    semconv.OPENROUTER_POLICY_RULE,
)
ACCOUNT_CREDITS_PURCHASED = _account(
    "openrouter.account.credits.purchased", "{USD}", "Credits ever bought for the account."
)
ACCOUNT_CREDITS_USED = _account("openrouter.account.credits.used", "{USD}", "Credits the account ever used.")
ACCOUNT_CREDITS_REMAINING = _account("openrouter.account.credits.remaining", "{USD}", "Credits the account has left.")
KEY_USAGE_DAILY = _account(
    "openrouter.key.usage_daily", "{USD}", "A key's spend this UTC day.", *_KEY, semconv.OPENROUTER_COST_LEDGER
)
KEY_USAGE_WEEKLY = _account(
    "openrouter.key.usage_weekly", "{USD}", "A key's spend this UTC week.", *_KEY, semconv.OPENROUTER_COST_LEDGER
)
KEY_USAGE_MONTHLY = _account(
    "openrouter.key.usage_monthly", "{USD}", "A key's spend this UTC month.", *_KEY, semconv.OPENROUTER_COST_LEDGER
)
KEY_USAGE_LIFETIME = _account(
    "openrouter.key.usage_lifetime",
    "{USD}",
    "A key's spend since it was made.",
    *_KEY,
    semconv.OPENROUTER_COST_LEDGER,
)
KEY_LIMIT = _account("openrouter.key.limit", "{USD}", "The spending limit of a key.", *_KEY)
KEY_LIMIT_REMAINING = _account("openrouter.key.limit_remaining", "{USD}", "What is left of a key's limit.", *_KEY)
KEY_LIMIT_RESET_TIME = _account(
    "openrouter.key.limit_reset_time", "s", "When a key's limit starts anew, Unix time.", *_KEY
)
KEY_DISABLED = _account("openrouter.key.disabled", "{state}", "1 while a key is disabled, else 0.", *_KEY)
KEY_EXPIRES_TIME = _account("openrouter.key.expires_time", "s", "When a key ends, Unix time.", *_KEY)
KEY_LAST_USED_TIME = _account(
    "openrouter.key.last_used_time", "s", "When a key was last seen in use, Unix time.", *_KEY
)
KEY_FREE_REQUESTS_LIMIT = _account(
    "openrouter.key.free_requests_limit", "{request}", "Free requests a key may make a day.", *_KEY
)
KEY_FREE_REQUESTS_USED = _account(
    "openrouter.key.free_requests_used", "{request}", "Free requests a key made this day.", *_KEY
)
KEY_UNASSIGNED = _account("openrouter.key.unassigned", "{key}", "Keys that the settings give to nobody.")
BUDGET_LIMIT = _account("openrouter.budget.limit", "{USD}", "What a budget allows in its period.", *_BUDGET)
BUDGET_SPENT = _account("openrouter.budget.spent", "{USD}", "What was spent of a budget in its period.", *_BUDGET)
BUDGET_FORECAST = _account(
    "openrouter.budget.forecast",
    "{USD}",
    "What a budget's period will have cost at the pace of the window.",
    *_BUDGET,
    semconv.OPENROUTER_FORECAST_WINDOW,
)
BUDGET_THRESHOLD_RATIO = _account(
    "openrouter.budget.threshold.ratio", "1", "The share of a budget at which to warn.", *_BUDGET
)
BUDGET_PERIOD_START_TIME = _account(
    "openrouter.budget.period_start_time", "s", "When a budget's period began, Unix time.", *_BUDGET
)
BUDGET_PERIOD_END_TIME = _account(
    "openrouter.budget.period_end_time", "s", "When a budget's period ends, Unix time.", *_BUDGET
)
ACTIVITY_COST = _account(
    "openrouter.activity.cost",
    "{USD}",
    "What OpenRouter booked for a closed UTC day.",
    *_ACTIVITY,
    semconv.OPENROUTER_COST_LEDGER,
)
ACTIVITY_REQUESTS = _account(
    "openrouter.activity.requests", "{request}", "Requests OpenRouter booked for a closed UTC day.", *_ACTIVITY
)
ACTIVITY_TOKENS = _account(
    "openrouter.activity.tokens",
    "{token}",
    "Tokens OpenRouter booked for a closed UTC day.",
    *_ACTIVITY,
    semconv.OPENROUTER_TOKEN_TYPE,
)
MODEL_PRICE = _account(
    "openrouter.model.price",
    "{USD}/{token}",
    "List price of a watched model.",
    *_ENDPOINT,
    semconv.OPENROUTER_PRICE_KIND,
)
ENDPOINT_UPTIME_RATIO = _account(
    "openrouter.endpoint.uptime.ratio",
    "1",
    "Share of minutes in which an endpoint was in order, as OpenRouter reports it.",
    *_ENDPOINT,
    semconv.OPENROUTER_UPTIME_WINDOW,
)
ENDPOINT_LATENCY = _account(
    "openrouter.endpoint.latency",
    "s",
    "Latency of an endpoint, as OpenRouter reports it.",
    *_ENDPOINT,
    semconv.OPENROUTER_LATENCY_PERCENTILE,
)
ENDPOINT_THROUGHPUT = _account(
    "openrouter.endpoint.throughput",
    "{token}/s",
    "Throughput of an endpoint, as OpenRouter reports it.",
    *_ENDPOINT,
    semconv.OPENROUTER_LATENCY_PERCENTILE,
)
ENDPOINT_STATUS = _account(
    "openrouter.endpoint.status", "{state}", "Status code that OpenRouter gives an endpoint.", *_ENDPOINT
)
RECONCILIATION_CLIENT_COST = _account(
    "openrouter.reconciliation.client_cost", "{USD}", "What clients tracked for a closed UTC day.", *_DAY_AND_KEY
)
RECONCILIATION_PROVIDER_COST = _account(
    "openrouter.reconciliation.provider_cost",
    "{USD}",
    "What OpenRouter billed for that closed UTC day.",
    *_DAY_AND_KEY,
)
RECONCILIATION_CAPTURE_RATIO = _account(
    "openrouter.reconciliation.capture.ratio", "1", "Tracked cost as a share of billed cost.", *_DAY_AND_KEY
)
LEDGER_COST = _account(
    "openrouter.ledger.cost",
    "{USD}",
    "Money in the local ledger, ever.",
    *_LEDGER,
    semconv.OPENROUTER_COST_LEDGER,
)
LEDGER_CALLS = _account("openrouter.ledger.calls", "{call}", "Calls in the local ledger, ever.", *_LEDGER)
LEDGER_TOKENS = _account(
    "openrouter.ledger.tokens",
    "{token}",
    "Tokens in the local ledger, ever.",
    *_LEDGER,
    semconv.OPENROUTER_TOKEN_TYPE,
)
PRICES_TIME = _account("or_otel.prices.time", "s", "When the prices in use were fetched, Unix time.")
POLL_SUCCESS_TIME = _account(
    "or_otel.exporter.poll.success_time",
    "s",
    "When an endpoint was last polled with success, Unix time.",
    semconv.OR_OTEL_ENDPOINT,
)
POLL_DURATION = _account(
    "or_otel.exporter.poll.duration", "s", "How long the last poll of an endpoint took.", semconv.OR_OTEL_ENDPOINT
)
POLL_ERRORS = Metric(
    name="or_otel.exporter.poll.errors",
    unit="{error}",
    kind="observable_counter",
    description="Polls of the account API that failed.",
    attributes=(semconv.OR_OTEL_ENDPOINT, semconv.ERROR_TYPE),
    source="exporter",
)
SPANS_COST = Metric(
    name="openrouter.spans.cost",
    unit="{USD}",
    kind="counter",
    description="Money summed from spans in the collector; needs spans that were not sampled before.",
    attributes=_COUNTER,
    source="collector",
)

METRICS: tuple[Metric, ...] = (
    OPERATION_DURATION,
    TOKEN_USAGE,
    TIME_TO_FIRST_CHUNK,
    CALL_COST,
    OUTPUT_RATE,
    COST,
    CALLS,
    UNPRICED_CALLS,
    CLIENT_TOKENS,
    ATTEMPTS,
    ROUTE_ATTEMPTS,
    TOOL_CALLS,
    ACTIVE_CALLS,
    TELEMETRY_DROPPED,
    TELEMETRY_FOLDED,
    GUARD_FAULTS,
    WORKFLOW_COST,
    WORKFLOW_CALL_COUNT,
    WORKFLOW_DURATION,
    WORKFLOW_RUNS,
    WASTE,
    CACHE_SAVINGS,
    CACHE_WRITE_PREMIUM,
    CACHE_MISSED_TOKENS,
    OVERSIZED_CALLS,
    POLICY_VIOLATIONS,
    ACCOUNT_CREDITS_PURCHASED,
    ACCOUNT_CREDITS_USED,
    ACCOUNT_CREDITS_REMAINING,
    KEY_USAGE_DAILY,
    KEY_USAGE_WEEKLY,
    KEY_USAGE_MONTHLY,
    KEY_USAGE_LIFETIME,
    KEY_LIMIT,
    KEY_LIMIT_REMAINING,
    KEY_LIMIT_RESET_TIME,
    KEY_DISABLED,
    KEY_EXPIRES_TIME,
    KEY_LAST_USED_TIME,
    KEY_FREE_REQUESTS_LIMIT,
    KEY_FREE_REQUESTS_USED,
    KEY_UNASSIGNED,
    BUDGET_LIMIT,
    BUDGET_SPENT,
    BUDGET_FORECAST,
    BUDGET_THRESHOLD_RATIO,
    BUDGET_PERIOD_START_TIME,
    BUDGET_PERIOD_END_TIME,
    ACTIVITY_COST,
    ACTIVITY_REQUESTS,
    ACTIVITY_TOKENS,
    MODEL_PRICE,
    ENDPOINT_UPTIME_RATIO,
    ENDPOINT_LATENCY,
    ENDPOINT_THROUGHPUT,
    ENDPOINT_STATUS,
    RECONCILIATION_CLIENT_COST,
    RECONCILIATION_PROVIDER_COST,
    RECONCILIATION_CAPTURE_RATIO,
    LEDGER_COST,
    LEDGER_CALLS,
    LEDGER_TOKENS,
    PRICES_TIME,
    POLL_SUCCESS_TIME,
    POLL_DURATION,
    POLL_ERRORS,
    SPANS_COST,
)


def prometheus_name(metric: Metric) -> str:
    """Give a metric's name in Prometheus; for a histogram the family's, without `_bucket`, `_sum`, `_count`."""
    name = prometheus_label(metric.name)
    number, _, per = metric.unit.partition("/")
    if number == "s":
        name += "_seconds"
    if per == "s":
        name += "_per_second"
    if metric.kind in {"counter", "observable_counter"}:
        name += "_total"
    return name


def prometheus_series(metric: Metric) -> tuple[str, ...]:
    """Give the names of the series that Prometheus keeps of a metric."""
    name = prometheus_name(metric)
    if metric.kind != "histogram":
        return (name,)
    return (f"{name}_bucket", f"{name}_sum", f"{name}_count")


def prometheus_label(attribute: str) -> str:
    """Give an attribute's label in Prometheus."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", attribute)


_TITLES: dict[Source, str] = {
    "calls": "Metrics of calls",
    "insight": "Insight",
    "exporter": "Account metrics of the exporter",
    "collector": "Derived in the collector",
}


def markdown() -> str:
    """Give the documented table, `docs/metrics.md`."""
    lines = [
        "# Metrics",
        "",
        "<!-- Generated by `make generate`; change catalogue.py instead. -->",
        "",
        f"`{TAGS}` stands for the tags let onto metrics (`OR_OTEL_METRIC_TAGS`, default `team`, `feature`).",
        "A label in Prometheus is the attribute's name with `_` for each dot. What was not said is absent.",
    ]
    for source, title in _TITLES.items():
        lines += ["", f"## {title}", "", "| metric | in Prometheus | unit | kind | says |", "|---|---|---|---|---|"]
        metrics = [metric for metric in METRICS if metric.source == source]
        for metric in metrics:
            kind = metric.kind.replace("_", " ")
            lines.append(
                f"| `{metric.name}` | `{prometheus_name(metric)}` | `{metric.unit}` | {kind} | {metric.description} |"
            )
        lines += ["", "| metric | attributes | boundaries |", "|---|---|---|"]
        for metric in metrics:
            attributes = ", ".join(f"`{name}`" for name in metric.attributes) or "none"
            buckets = " ".join(f"{boundary:g}" for boundary in metric.buckets)
            lines.append(f"| `{metric.name}` | {attributes} | {buckets} |")
    return "\n".join(lines) + "\n"
