"""Is it fast and up?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import ERROR_ORIGIN, ERROR_TYPE, FAILED, MODEL, OUTCOME, STATUS, named
from or_otel.dashboards.panels import (
    COUNT,
    FACTOR,
    GOOD_UNTIL,
    NO_CALLS,
    SECONDS,
    SHARE,
    Link,
    Query,
    graph,
    heat,
    stat,
)
from or_otel.dashboards.promql import JOB, of
from or_otel.dashboards.rules import increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, Scope, ratio

SCOPE = Scope(names=("environment", "service", "model", "provider"))
CALLS, ATTEMPTS = increase(catalogue.CALLS), increase(catalogue.ATTEMPTS)
LEFT = f'{OUTCOME}="cancelled"'
TIMEOUT = f'{ERROR_TYPE}=~"(?i).*timeout.*|408|504"'
DURATION, FIRST = catalogue.OPERATION_DURATION, catalogue.TIME_TO_FIRST_CHUNK
OBJECTIVE = 0.99
"""The share of calls that should succeed; its complement is what may fail."""


def _share(matcher: str) -> str:
    return ratio(f"({SCOPE.total(CALLS, matcher)} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS))


def _burn(window: str) -> str:
    """Give how many times faster than allowed calls failed in a window."""
    failed, whole = (f"sum(sum_over_time({SCOPE.pick(CALLS, *more)}[{window}:5m]))" for more in ((FAILED,), ()))
    return f"{ratio(f'({failed} or {whole} * 0)', whole)}\n/ {1 - OBJECTIVE:.2f}"


GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Calls a minute",
            "Calls that ended, a minute, over the last five minutes. Source: clients.",
            SCOPE.per_minute(CALLS),
            unit=COUNT,
            decimals=1,
        ),
        stat(
            "Failed",
            "Share of the calls in this range that failed, retries exhausted. Source: clients.",
            _share(FAILED),
            unit=SHARE,
            decimals=1,
            steps=GOOD_UNTIL["errors"],
        ),
        stat(
            "Left early",
            "Share of the calls in this range that their caller cancelled or whose stream it left. Source: clients.",
            _share(LEFT),
            unit=SHARE,
            decimals=1,
        ),
        stat(
            "Timed out",
            "Share of the calls in this range that ended in a timeout, the client's or the server's. Source: clients.",
            _share(TIMEOUT),
            unit=SHARE,
            decimals=1,
        ),
        stat(
            "Mean duration",
            "Mean seconds from request to last byte, in this range; with few calls more honest than a percentile.",
            SCOPE.mean(DURATION, window=RANGE),
            unit=SECONDS,
            empty=NO_CALLS,
        ),
        stat(
            "Under way",
            "Calls under way now. Source: clients; sampled when they export.",
            f"sum({SCOPE.pick(of(catalogue.ACTIVE_CALLS))})",
            unit=COUNT,
            decimals=0,
            empty=NO_CALLS,
        ),
    ),
)

RED = Row(
    title="Rate, errors, duration",
    panels=(
        graph(
            "Calls by outcome",
            "Calls a minute by how they ended. Source: clients.",
            Query(expr=SCOPE.per_minute(CALLS, group=(OUTCOME,)), legend=named(OUTCOME)),
            unit=COUNT,
        ),
        graph(
            "Failures by type",
            "Failed calls in each step by error type; the bars add up. Source: clients. Empty is good.",
            Query(expr=SCOPE.each(CALLS, FAILED, group=(ERROR_TYPE,)), legend=named(ERROR_TYPE)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty="nothing failed",
        ),
        heat(
            "Durations",
            "How many calls took how long; darker is more. Source: clients' histogram, whose buckets double.",
            SCOPE.buckets(DURATION),
            unit=SECONDS,
        ),
        graph(
            "Duration",
            "Seconds from request to last byte: mean, median, 95th and 99th percentile, with exemplars that lead to "
            "traces. Percentiles are estimates from buckets and mean little for few calls.",
            Query(expr=SCOPE.mean(DURATION), legend="mean"),
            Query(expr=SCOPE.quantile(0.5, DURATION), legend="p50"),
            Query(expr=SCOPE.quantile(0.95, DURATION), legend="p95", has_exemplars=True),
            Query(expr=SCOPE.quantile(0.99, DURATION), legend="p99", has_exemplars=True),
            unit=SECONDS,
            empty=NO_CALLS,
        ),
    ),
)

STREAMS = Row(
    title="Streams",
    panels=(
        graph(
            "First token",
            "Seconds until the first content of a stream: mean, median, 95th percentile. Empty when nothing was "
            "streamed.",
            Query(expr=SCOPE.mean(FIRST), legend="mean"),
            Query(expr=SCOPE.quantile(0.5, FIRST), legend="p50"),
            Query(expr=SCOPE.quantile(0.95, FIRST), legend="p95", has_exemplars=True),
            unit=SECONDS,
            empty="nothing streamed",
            width=8,
        ),
        graph(
            "Between tokens",
            "Seconds between output tokens after the first one: one over the mean speed of whole streams. Empty "
            "when nothing was streamed.",
            Query(expr=f"1 / ({SCOPE.mean(catalogue.OUTPUT_RATE, group=(MODEL,))} > 0)", legend=named(MODEL)),
            unit=SECONDS,
            empty="nothing streamed",
            width=8,
        ),
        graph(
            "Left early, over time",
            "Share of the calls of the hour before each moment that their caller cancelled or whose stream it left. "
            "Source: clients.",
            Query(expr=SCOPE.hourly_share(CALLS, LEFT), legend="left early"),
            unit=SHARE,
            width=8,
        ),
    ),
)

WHERE = Row(
    title="Where it fails",
    panels=(
        table(
            "Failures",
            "Failed calls in this range by model, error type and where the error came from: client, edge, router or "
            "upstream. Source: clients.",
            Column(title="Calls", expr=SCOPE.total(CALLS, FAILED, group=(MODEL, ERROR_TYPE, ERROR_ORIGIN)), decimals=0),
            keys=((MODEL, "Model"), (ERROR_TYPE, "Error"), (ERROR_ORIGIN, "From")),
            links=(Link(title="Its routing", board="or-otel-routing", variable="model"),),
            empty="nothing failed",
        ),
        table(
            "Services",
            "Services in this range: calls, failed share, mean duration. Source: clients.",
            Column(title="Calls", expr=SCOPE.total(CALLS, group=(JOB,)), decimals=0, is_bar=True),
            Column(
                title="Failed",
                expr=ratio(
                    f"({SCOPE.total(CALLS, FAILED, group=(JOB,))} or {SCOPE.total(CALLS, group=(JOB,))} * 0)",
                    SCOPE.total(CALLS, group=(JOB,)),
                ),
                unit=SHARE,
                decimals=1,
                steps=GOOD_UNTIL["errors"],
            ),
            Column(title="Mean", expr=SCOPE.mean(DURATION, group=(JOB,), window=RANGE), unit=SECONDS),
            keys=((JOB, "Service"),),
            links=(Link(title="Only this one", board="or-otel-reliability", variable="service"),),
        ),
        graph(
            "HTTP exchanges by answer",
            "HTTP exchanges a minute by status or error, retried ones included. Source: clients.",
            Query(expr=SCOPE.per_minute(ATTEMPTS, group=(STATUS,)), legend=named(STATUS)),
            unit=COUNT,
        ),
        graph(
            "Error budget burn",
            f"How many times faster than an objective of {OBJECTIVE:.0%} allows calls failed, over one and six "
            "hours; above 1 the objective will be missed. Source: clients.",
            Query(expr=_burn("1h"), legend="1 h"),
            Query(expr=_burn("6h"), legend="6 h"),
            unit=FACTOR,
            decimals=1,
            steps=((None, "green"), (1, "orange"), (6, "red")),
        ),
    ),
)

BOARD = Board(
    uid="or-otel-reliability",
    subject="Reliability",
    question="Is it fast and up?",
    scope=SCOPE,
    rows=(GLANCE, RED, STREAMS, WHERE),
)
