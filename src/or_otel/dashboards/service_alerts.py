"""Alerts about service and about the figures themselves: can they be trusted, is it up, does telemetry arrive."""

from __future__ import annotations

from collections.abc import Iterable

from or_otel import catalogue
from or_otel.dashboards.alert import DURATION, SHARE, VALUE, Alert, lately, shown
from or_otel.dashboards.labels import (
    DAY,
    ENDPOINT,
    FAILED,
    FELL_BACK,
    KEY_HASH,
    KEY_NAME,
    MODEL,
    OVERFLOW,
    PROVIDER,
    RULE,
    STATUS,
    YESTERDAY,
)
from or_otel.dashboards.promql import JOB, of
from or_otel.dashboards.rules import Choices, increase

EXPORTER = "exporter"
"""Label of the collector's own metrics."""


def service_alerts(choices: Choices) -> Iterable[Alert]:
    """Give the alerts about trust, service and plumbing."""
    yield from _trust_alerts(choices)
    yield from _service_alerts(choices)
    yield from _plumbing_alerts()


def _trust_alerts(choices: Choices) -> Iterable[Alert]:
    unpriced = lately(increase(catalogue.UNPRICED_CALLS), "1h", (JOB,))
    calls = lately(increase(catalogue.CALLS), "1h", (JOB,))
    yield Alert(
        name="OrOtelUnpricedCalls",
        severity="warning",
        expr=f"({unpriced}\n/ {calls} > 0.05)\nand on ({JOB}) {calls} >= {choices.min_calls}",
        for_="30m",
        summary=f"{SHARE} of the calls of {shown(JOB)} have no known price",
        description=f"{SHARE} of the calls of {shown(JOB)} are missing from its cost, which is too low therefore.",
        board="or-otel-byok",
        variables={"service": JOB},
    )
    of_day = (DAY, KEY_NAME, KEY_HASH)
    ours, theirs = (
        f"max by ({', '.join(of_day)}) (last_over_time({of(row).where(YESTERDAY)}[5m]))"
        for row in (catalogue.RECONCILIATION_CLIENT_COST, catalogue.RECONCILIATION_PROVIDER_COST)
    )
    gap = f"abs({theirs}\n- {ours})"
    yield Alert(
        name="OrOtelCaptureGap",
        severity="warning",
        # Where nothing was billed, all that was tracked is the gap.
        expr=f"({gap}\n/ (({theirs} > 0)\n  or {ours}) > 0.05)\nand {gap} > 1",
        for_="2h",
        summary=f"Tracked and billed differ by {SHARE} for key {shown(KEY_NAME)}",
        description="For the last closed UTC day what clients tracked and what OpenRouter billed differ by "
        f"{SHARE} and more than a dollar for key {shown(KEY_NAME)} ({shown(KEY_HASH)}).",
        board="or-otel-byok",
        variables={"key": KEY_NAME},
    )
    success = of(catalogue.POLL_SUCCESS_TIME).name
    # Seven days back, so that whoever never had an exporter is left in peace.
    yield Alert(
        name="OrOtelAccountDataStale",
        severity="warning",
        expr=f"time() - max(last_over_time({success}[7d])) > 300",
        for_="2m",
        summary=f"No account data for {DURATION}",
        description=f"The exporter last heard from OpenRouter {DURATION} ago, or is not heard itself: credits, keys "
        "and budgets stand still, and their alerts with them.",
        board="or-otel-health",
    )
    failures = f"sum by ({ENDPOINT}) (increase({of(catalogue.POLL_ERRORS).name}[1h]))"
    yield Alert(
        name="OrOtelAccountPollFailing",
        severity="warning",
        expr=f"{failures} >= 2\n"
        f"unless on ({ENDPOINT}) time() - max by ({ENDPOINT}) (last_over_time({success}[1h])) <= 1800",
        for_="15m",
        summary=f"OpenRouter's {shown(ENDPOINT)} cannot be read",
        description=f"{VALUE} polls of {shown(ENDPOINT)} failed in an hour and none succeeded in half an hour.",
        board="or-otel-health",
    )
    seen = of(catalogue.CALLS).name
    yield Alert(
        name="OrOtelServiceSilent",
        severity="info",
        expr=f"count by ({JOB}) (last_over_time({seen}[1h] offset 1d))\n"
        f"unless count by ({JOB}) (last_over_time({seen}[1h]))",
        for_="1h",
        summary=f"{shown(JOB)} sends no telemetry",
        description=f"{shown(JOB)} sent telemetry at this time yesterday and none in the last hour.",
        board="or-otel-health",
        variables={"service": JOB},
    )


def _service_alerts(choices: Choices) -> Iterable[Alert]:
    route = (JOB, MODEL)
    calls = lately(increase(catalogue.CALLS), "15m", route)
    enough = f"and on ({JOB}, {MODEL}) {calls} >= {choices.min_calls}"
    failed = lately(increase(catalogue.CALLS), "15m", route, FAILED)
    variables = {"service": JOB, "model": MODEL}
    yield Alert(
        name="OrOtelErrorsHigh",
        severity="warning",
        expr=f"({failed}\n/ {calls} > 0.1)\n{enough}",
        for_="10m",
        summary=f"{SHARE} of the calls of {shown(JOB)} to {shown(MODEL)} fail",
        description=f"In a quarter of an hour {SHARE} of the calls of {shown(JOB)} to {shown(MODEL)} failed.",
        board="or-otel-reliability",
        variables=variables,
    )
    fell = lately(increase(catalogue.CALLS), "15m", route, FELL_BACK)
    yield Alert(
        name="OrOtelFallbackHigh",
        severity="warning",
        expr=f"({fell}\n/ {calls} > 0.25)\n{enough}",
        for_="15m",
        summary=f"{SHARE} of the calls of {shown(JOB)} to {shown(MODEL)} fall back",
        description=f"In a quarter of an hour {SHARE} of the calls of {shown(JOB)} to {shown(MODEL)} were served by "
        "another provider or model than the first choice.",
        board="or-otel-routing",
        variables=variables,
    )
    buckets, count = (of(catalogue.OPERATION_DURATION, part) for part in ("_bucket", "_count"))
    yield Alert(
        name="OrOtelLatencyHigh",
        severity="warning",
        expr=f"(histogram_quantile(0.95, sum by (le, {JOB}, {MODEL}) (rate({buckets.name}[15m])))"
        f" > {choices.slow_s:g})\n"
        f"and on ({JOB}, {MODEL}) sum by ({JOB}, {MODEL}) (increase({count.name}[15m])) >= {choices.min_calls}",
        for_="10m",
        summary=f"{shown(JOB)} waits {DURATION} for {shown(MODEL)}",
        description=f"One in twenty calls of {shown(JOB)} to {shown(MODEL)} takes longer than {DURATION}.",
        board="or-otel-reliability",
        variables=variables,
    )
    tries = (JOB, PROVIDER)
    # Of tries by OpenRouter, else of HTTP exchanges: each refused part is held against its own whole.
    parts = [
        (lately(increase(row), "15m", tries, f'{STATUS}="429"'), lately(increase(row), "15m", tries))
        for row in (catalogue.ROUTE_ATTEMPTS, catalogue.ATTEMPTS)
    ]
    shares = "\n  or ".join(f"{refused}\n  / {tried}" for refused, tried in parts)
    every = "\n  or ".join(tried for _, tried in parts)
    yield Alert(
        name="OrOtelProviderThrottling",
        severity="warning",
        expr=f"((\n  {shares}\n) > 0.2)\nand (\n  {every}\n) >= {choices.min_calls}",
        for_="10m",
        summary=f"{shown(PROVIDER)} refuses {SHARE} of the tries of {shown(JOB)} with 429",
        description=f"In a quarter of an hour {SHARE} of the tries of {shown(JOB)} at {shown(PROVIDER)} were "
        "answered with 429; fallback may hide it from the callers, not from their waiting time.",
        board="or-otel-routing",
        variables={"service": JOB, "provider": PROVIDER},
    )
    yield Alert(
        name="OrOtelPolicyViolation",
        severity="warning",
        expr=f"{lately(increase(catalogue.POLICY_VIOLATIONS), '15m', (JOB, RULE))} > 0",
        summary=f"{shown(JOB)} broke the rule {shown(RULE)}",
        description=f"{VALUE} calls of {shown(JOB)} broke the rule {shown(RULE)} in a quarter of an hour.",
        board="or-otel-governance",
        variables={"service": JOB},
    )


def _plumbing_alerts() -> Iterable[Alert]:
    folded = lately(increase(catalogue.TELEMETRY_FOLDED), "1h", (JOB,))
    yield Alert(
        name="OrOtelAttributionLost",
        severity="warning",
        expr=f"({folded} > 0)\nor\ncount by ({JOB}) ({of(catalogue.COST).where(OVERFLOW)})",
        for_="10m",
        summary=f"{shown(JOB)} has more label values than its metrics hold",
        description=f"{shown(JOB)} reached a cardinality limit: sums stay right, but a part is told under `_OTHER` or "
        "in the overflow set, without model, team or feature.",
        board="or-otel-health",
        variables={"service": JOB},
    )
    yield Alert(
        name="OrOtelTelemetryDropped",
        severity="warning",
        expr=f"{lately(increase(catalogue.TELEMETRY_DROPPED), '15m', (JOB,))} > 0",
        for_="10m",
        summary=f"{shown(JOB)} loses telemetry",
        description=f"{shown(JOB)} dropped {VALUE} of its own records in a quarter of an hour.",
        board="or-otel-health",
        variables={"service": JOB},
    )
    yield Alert(
        name="OrOtelOwnFaults",
        severity="info",
        expr=f"{lately(increase(catalogue.GUARD_FAULTS), '1h', (JOB,))} > 0",
        summary=f"or-otel had faults in {shown(JOB)}",
        description=f"or-otel kept {VALUE} faults of its own from {shown(JOB)} in an hour; records may be missing. "
        "Its log has the first of each place.",
        board="or-otel-health",
        variables={"service": JOB},
    )
    # Counters of the collector lost their `_total` in 0.161; older ones still have it.
    failed = "\nor\n".join(
        f'sum by ({EXPORTER}, {JOB}) (rate({{__name__=~"otelcol_exporter_{what}_{signal}(_total)?"}}[5m])) > 0'
        for signal in ("metric_points", "spans")
        for what in ("send_failed", "enqueue_failed")
    )
    # An exporter that retries without end never counts a failure: its queue waits, and nothing is sent.
    waiting = f"max by ({EXPORTER}, {JOB}) (min_over_time(otelcol_exporter_queue_size[5m])) > 0"
    sent = "\n    or ".join(
        f'sum by ({EXPORTER}, {JOB}) (rate({{__name__=~"otelcol_exporter_sent_{signal}(_total)?"}}[5m])) > 0'
        for signal in ("metric_points", "spans")
    )
    yield Alert(
        name="OrOtelCollectorFailing",
        severity="warning",
        expr=f"{failed}\nor\n(\n  {waiting}\n  unless on ({EXPORTER}, {JOB}) (\n    {sent}\n  )\n)",
        for_="10m",
        summary=f"The collector cannot deliver to {shown(EXPORTER)}",
        description=f"For ten minutes the collector's exporter {shown(EXPORTER)} has failed, or its queue has waited "
        "and nothing was sent.",
        board="or-otel-health",
    )
    yield Alert(
        name="OrOtelCollectorQueueFull",
        severity="warning",
        expr=f"max by ({EXPORTER}, {JOB}) (otelcol_exporter_queue_size)\n"
        f"/ (max by ({EXPORTER}, {JOB}) (otelcol_exporter_queue_capacity) > 0) > 0.8",
        for_="10m",
        summary=f"The collector's queue to {shown(EXPORTER)} is full to {SHARE}",
        description=f"The collector's queue to {shown(EXPORTER)} is full to {SHARE}; at its end data are refused.",
        board="or-otel-health",
    )
