"""What an exporter, clients and a collector may have told for a while: figures in, promtool's series out."""

from __future__ import annotations

from or_otel import catalogue, semconv
from or_otel.dashboards import rules
from or_otel.dashboards.promql import label, of

MODEL = label(semconv.GEN_AI_REQUEST_MODEL)
OUTCOME = label(semconv.OPENROUTER_OUTCOME)
FALLBACK = label(semconv.OPENROUTER_ROUTE_FALLBACK)
STATUS = label(semconv.OPENROUTER_ATTEMPT_STATUS)
PROVIDER = label(semconv.OPENROUTER_PROVIDER_NAME)
KEY_NAME = label(semconv.OPENROUTER_KEY_NAME)
KEY = {KEY_NAME: "acme", label(semconv.OPENROUTER_KEY_HASH): "0123456789ab"}
ENDPOINT = label(semconv.OR_OTEL_ENDPOINT)
DAY = label(semconv.OPENROUTER_DAY)
DAY_S = 86400
BUDGETS = ("or-otel-budgets",)
CALLS = ("or-otel-cost", "or-otel-counters")


def series(row, part="", **labels):
    told = ", ".join(f'{key}="{value}"' for key, value in {"job": "api", "instance": "i", **labels}.items())
    return f"{of(row, part).name}{{{told}}}"


def budget(spent, *, limit=100, start="0x500", end=f"{30 * DAY_S}x500", name="month", scope="account"):
    whose = {rules.BUDGET: name, rules.SCOPE: scope}
    return {
        series(catalogue.BUDGET_SPENT, **whose): spent,
        series(catalogue.BUDGET_LIMIT, **whose): f"{limit}x500",
        series(catalogue.BUDGET_PERIOD_START_TIME, **whose): start,
        series(catalogue.BUDGET_PERIOD_END_TIME, **whose): end,
    }


def forecast(amount, window="7d", *, name="month", scope="account"):
    whose = {rules.BUDGET: name, rules.SCOPE: scope, rules.WINDOW: window}
    return {series(catalogue.BUDGET_FORECAST, **whose): f"{amount}x500"}


# A period that is a fifth over from the first minute on.
LATE = {"start": f"{-6 * DAY_S}x500", "end": f"{24 * DAY_S}x500"}


def balance(remaining, used):
    return {
        series(catalogue.ACCOUNT_CREDITS_REMAINING): remaining,
        series(catalogue.ACCOUNT_CREDITS_USED): used,
    }


def key(remaining, *, limit="100x60", disabled="0x60", name="acme", **labels):
    whose = {**KEY, KEY_NAME: name, **labels}
    return {
        series(catalogue.KEY_LIMIT_REMAINING, **whose): remaining,
        series(catalogue.KEY_LIMIT, **whose): limit,
        series(catalogue.KEY_DISABLED, **whose): disabled,
    }


def free(used, *, quota="50x60", name="acme"):
    whose = {**KEY, KEY_NAME: name}
    return {
        series(catalogue.KEY_FREE_REQUESTS_USED, **whose): used,
        series(catalogue.KEY_FREE_REQUESTS_LIMIT, **whose): quota,
    }


def calls(ok, failed="0x90", **labels):
    return {
        series(catalogue.CALLS, **{MODEL: "m", OUTCOME: "ok", **labels}): ok,
        series(catalogue.CALLS, **{MODEL: "m", OUTCOME: "error", **labels}): failed,
    }


def day_of(ours, theirs, day="1", *, name="acme", minutes=400, **labels):
    whose = {**KEY, KEY_NAME: name, DAY: day, **labels}
    return {
        series(catalogue.RECONCILIATION_CLIENT_COST, **whose): f"{ours}x{minutes} _x30",
        series(catalogue.RECONCILIATION_PROVIDER_COST, **whose): f"{theirs}x{minutes} _x30",
    }


def histogram(fast, slow, **labels):
    """Give so many calls a minute of up to 10.24 s, and of up to 81.92 s."""
    return durations(f"0+{fast}x90", f"0+{fast + slow}x90", **labels)


def durations(fast, every, **labels):
    whose = {MODEL: "m", **labels}
    buckets = {"10.24": fast, "81.92": every, "+Inf": every}
    return {
        **{series(catalogue.OPERATION_DURATION, "_bucket", **whose, le=le): told for le, told in buckets.items()},
        series(catalogue.OPERATION_DURATION, "_count", **whose): every,
    }


def collector_queue(size, sent, *, exporter="x", signal="spans"):
    return {
        f'otelcol_exporter_queue_size{{job="c", exporter="{exporter}", data_type="traces"}}': size,
        f'otelcol_exporter_sent_{signal}{{job="c", exporter="{exporter}", server_port="4317"}}': sent,
    }
