"""What do we spend, on what, and is it healthy?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.boards.trust import trust_row
from or_otel.dashboards.labels import BUDGET, FAILED, FELL_BACK, KEY_HASH, KEY_NAME, LEDGER, MODEL, SEVEN_DAYS, named
from or_otel.dashboards.panels import (
    COUNT,
    GOOD_UNTIL,
    NO_ACCOUNT,
    NO_CALLS,
    SECONDS,
    SHARE,
    USD,
    Link,
    Panel,
    Query,
    bars,
    graph,
    money_graph,
    stat,
)
from or_otel.dashboards.promql import JOB, of
from or_otel.dashboards.rules import COST_5M, MONTH_FORECAST, TO_DATE, USED, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, Scope, ratio

SCOPE = Scope(names=("environment", "service", "model"))
CALLS = increase(catalogue.CALLS)
TOKENS = increase(catalogue.CLIENT_TOKENS)
MONEY_OF_RANGE = "Source: or:cost_usd rules over the one pipeline chosen for each service."
TO_MODELS = (Link(title="Open in Models", board="or-otel-models", variable="model", label=MODEL),)

GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Spent today",
            f"US dollars since midnight UTC, up to the last five minutes. {MONEY_OF_RANGE}",
            f"sum({SCOPE.pick(TO_DATE['day'])})",
            unit=USD,
            decimals=2,
        ),
        stat(
            "Spent this month",
            f"US dollars since the first of the month, UTC. {MONEY_OF_RANGE}",
            f"sum({SCOPE.pick(TO_DATE['month'])})",
            unit=USD,
            decimals=2,
            links=(Link(title="Who spent it", board="or-otel-attribution"),),
        ),
        stat(
            "Month's forecast",
            "US dollars at the end of the month at the pace of the last seven days, of everything, whatever is chosen "
            "above. Source: or:cost_usd:month_forecast.",
            MONTH_FORECAST.where(SEVEN_DAYS),
            unit=USD,
            decimals=2,
            links=(Link(title="Budgets", board="or-otel-budgets"),),
        ),
        stat(
            "Fullest budget",
            "The highest used share of all budgets now. Source: account exporter and the rules of client-side budgets. "
            "Empty when no budget is set.",
            f"max({USED.name})",
            unit=SHARE,
            decimals=0,
            steps=GOOD_UNTIL["budget"],
            empty="no budget set",
            links=(Link(title="Budgets", board="or-otel-budgets"),),
        ),
        stat(
            "Spent in this range",
            f"US dollars in the range shown. {MONEY_OF_RANGE}",
            SCOPE.total(COST_5M),
            unit=USD,
            decimals=2,
        ),
        stat(
            "Against the range before",
            "Spending in this range compared with the range of the same length before it; 0 % is no change. Empty when "
            "nothing was spent before.",
            f"{ratio(SCOPE.total(COST_5M), SCOPE.total(COST_5M, back=RANGE))} - 1",
            unit=SHARE,
            decimals=0,
            empty="nothing before",
        ),
        stat(
            "Per 1,000 calls",
            "US dollars for a thousand calls, in this range: all money over all calls. Empty when there were no calls.",
            f"1000 * {ratio(SCOPE.total(COST_5M), SCOPE.total(CALLS))}",
            unit=USD,
            decimals=2,
            width=3,
        ),
        stat(
            "Tokens",
            "Input and output tokens in this range, cached ones included. Source: clients.",
            SCOPE.total(TOKENS),
            unit=COUNT,
            width=3,
        ),
        stat("Calls", "Calls that ended in this range. Source: clients.", SCOPE.total(CALLS), unit=COUNT, width=3),
        stat(
            "Failed",
            "Share of the calls in this range that failed, retries exhausted. Source: clients.",
            ratio(f"({SCOPE.total(CALLS, FAILED)} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS)),
            unit=SHARE,
            decimals=1,
            steps=GOOD_UNTIL["errors"],
            links=(Link(title="Reliability", board="or-otel-reliability"),),
            width=3,
        ),
        stat(
            "Fell back",
            "Share of the calls in this range that another provider or model served than the first choice. Routing "
            "that was asked for (auto, free) does not count. Source: router metadata in the answers.",
            ratio(f"({SCOPE.total(CALLS, FELL_BACK)} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS)),
            unit=SHARE,
            decimals=1,
            links=(Link(title="Routing", board="or-otel-routing"),),
            width=3,
        ),
        stat(
            "Mean duration",
            "Mean seconds from request to last byte, in this range. Beside the 95th percentile, which means little for "
            "few calls.",
            SCOPE.mean(catalogue.OPERATION_DURATION, window=RANGE),
            unit=SECONDS,
            empty=NO_CALLS,
            width=3,
        ),
        stat(
            "Duration, p95",
            "One call in twenty takes longer than these seconds, in this range; estimated from buckets.",
            SCOPE.quantile(0.95, catalogue.OPERATION_DURATION, window=RANGE),
            unit=SECONDS,
            empty=NO_CALLS,
            width=3,
        ),
        stat(
            "First token, p95",
            "One stream in twenty makes its caller wait longer than these seconds for the first content. Empty when "
            "nothing was streamed.",
            SCOPE.quantile(0.95, catalogue.TIME_TO_FIRST_CHUNK, window=RANGE),
            unit=SECONDS,
            empty="nothing streamed",
            width=3,
        ),
    ),
)

SPEND = Row(
    title="Spending",
    panels=(
        money_graph(
            "Cost by model",
            f"US dollars in each step, by requested model; the bars add up to the total. {MONEY_OF_RANGE}",
            SCOPE.each(COST_5M, group=(MODEL,)),
            named(MODEL),
            links=TO_MODELS,
            width=14,
        ),
        graph(
            "Cost of single calls",
            "US dollars of one call: mean and 95th percentile, with exemplars that lead from a dear call to its trace "
            "(histograms over OTLP only). Source: clients' histogram; for sums of money see the other panels.",
            Query(expr=SCOPE.mean(catalogue.CALL_COST), legend="mean", has_exemplars=True),
            Query(expr=SCOPE.quantile(0.95, catalogue.CALL_COST), legend="95th percentile", has_exemplars=True),
            unit=USD,
            empty=NO_CALLS,
            width=10,
        ),
    ),
)


def _firing() -> str:
    """Give what fires, and in one label what it is about."""
    told = 'ALERTS{alertname=~"OrOtel.+", alertstate="firing"}'
    about = ", ".join(f'"{label}"' for label in (JOB, BUDGET, KEY_NAME, MODEL))
    return f'sum by (alertname, severity, about) (label_join({told}, "about", " ", {about}))'


NARROW = 8


def _top(title: str, label: str, head: str, link: Link, *, width: int) -> Panel:
    return table(
        title,
        f"The 20 dearest in this range, by {head.lower()}: US dollars, calls, and dollars for a thousand calls. "
        f"{MONEY_OF_RANGE}",
        Column(
            title="Cost",
            expr=f"topk(20, {SCOPE.total(COST_5M, group=(label,))})",
            unit=USD,
            decimals=2,
            # Beside a bar there would be no place for names.
            is_bar=width > NARROW,
        ),
        Column(title="Calls", expr=SCOPE.total(CALLS, group=(label,)), decimals=0),
        Column(
            title="Per 1,000",
            expr=f"1000 * {ratio(SCOPE.total(COST_5M, group=(label,)), SCOPE.total(CALLS, group=(label,)))}",
            unit=USD,
            decimals=2,
        ),
        keys=((label, head),),
        links=(link,),
        empty="no spending in this range",
        width=width,
    )


def _of_keys(gauges: str) -> str:
    """Add up what keys spent, each key and ledger once, however many exporters tell them."""
    return f"sum by ({KEY_NAME}) (max by ({KEY_NAME}, {KEY_HASH}, {LEDGER}) ({gauges}))"


LIFETIME = of(catalogue.KEY_USAGE_LIFETIME).name

TOP = Row(
    title="Dearest",
    panels=(
        _top(
            "Models",
            MODEL,
            "Model",
            Link(title="Open in Models", board="or-otel-models", variable="model"),
            width=10,
        ),
        _top(
            "Services",
            JOB,
            "Service",
            Link(title="Open in Attribution", board="or-otel-attribution", variable="service"),
            width=7,
        ),
        table(
            "Keys",
            "US dollars of each key in this range and this UTC month, credits and own provider keys together, as "
            "OpenRouter counts them: of every program that uses the key, whatever is chosen above. Source: account "
            "exporter, as of the last poll; the range reaches back as far as it has been running.",
            Column(
                title="Cost",
                expr=_of_keys(f"max_over_time({LIFETIME}[{RANGE}]) - min_over_time({LIFETIME}[{RANGE}])"),
                unit=USD,
                decimals=2,
                is_bar=True,
            ),
            Column(
                title="Month",
                expr=_of_keys(f"last_over_time({of(catalogue.KEY_USAGE_MONTHLY).name}[5m])"),
                unit=USD,
                decimals=2,
            ),
            keys=((KEY_NAME, "Key"),),
            links=(Link(title="Open in Budgets", board="or-otel-budgets", variable="key"),),
            empty=NO_ACCOUNT,
            width=7,
        ),
    ),
)

WATCH = Row(
    title="What needs attention",
    panels=(
        table(
            "Alerts",
            "Alerts that fire now, with what they are about. Source: ALERTS of this Prometheus. Empty is good, if the "
            "alert rules are loaded.",
            Column(title="Firing", expr=_firing(), decimals=0),
            keys=(("alertname", "Alert"), ("about", "About"), ("severity", "Severity")),
            empty="nothing fires",
        ),
        bars(
            "Budgets used",
            "Used share of each budget in its period. Source: account exporter, and the rules of client-side budgets. "
            "Empty when no budget is set.",
            USED.name,
            named(BUDGET),
            unit=SHARE,
            decimals=0,
            steps=GOOD_UNTIL["budget"],
            most=1,
            empty="no budget set",
            width=12,
            height=9,
            links=(Link(title="Open in Budgets", board="or-otel-budgets", variable="budget", label=BUDGET),),
        ),
    ),
)

BOARD = Board(
    uid="or-otel-overview",
    subject="Overview",
    question="What do we spend, on what, and is it healthy?",
    scope=SCOPE,
    rows=(trust_row(SCOPE), GLANCE, SPEND, TOP, WATCH),
    annotations=("alerts", "price changes", "missed polls"),
)
