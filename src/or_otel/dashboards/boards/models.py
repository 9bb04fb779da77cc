"""Which model gives what for which price?"""

from __future__ import annotations

from collections.abc import Callable

from or_otel import catalogue, semconv
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import FAILED, FINISH_REASON, MODEL, PART, TOKEN_TYPE, named
from or_otel.dashboards.panels import (
    COUNT,
    GOOD_UNTIL,
    NO_CALLS,
    SECONDS,
    SHARE,
    USD,
    Link,
    Panel,
    Query,
    graph,
    money_graph,
)
from or_otel.dashboards.promql import label
from or_otel.dashboards.rules import COST_5M, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, Scope, ratio

SCOPE = Scope(names=("environment", "service", "model", "other"))
CALLS, TOKENS = increase(catalogue.CALLS), increase(catalogue.CLIENT_TOKENS)
BY = (MODEL,)
INPUT, OUTPUT = f'{TOKEN_TYPE}=~"input_.+"', f'{TOKEN_TYPE}=~"output_.+"'
THINKING = f'{TOKEN_TYPE}="output_reasoning"'
CUT, FILTERED = f'{FINISH_REASON}="length"', f'{FINISH_REASON}="content_filter"'
INPUT_KIND = f'{label(semconv.GEN_AI_TOKEN_TYPE)}="input"'
ENOUGH = 20
"""Calls below which a percentile is not shown in a table."""
TO_ROUTING = (Link(title="Who served it", board="or-otel-routing", variable="model"),)


def _share(part: str, *, group: tuple[str, ...] = BY) -> str:
    whole = SCOPE.total(CALLS, group=group)
    return ratio(f"({SCOPE.total(CALLS, part, group=group)} or {whole} * 0)", whole)


def _sure(quantile: str) -> str:
    """Keep a quantile only where enough calls stand behind it."""
    return (
        f"{quantile}\nand on ({MODEL}) {SCOPE.count(catalogue.OPERATION_DURATION, group=BY, window=RANGE)} >= {ENOUGH}"
    )


def _per_million(part: str, tokens: str) -> str:
    return f"1e6 * {ratio(SCOPE.total(COST_5M, part, group=BY), SCOPE.total(TOKENS, tokens, group=BY))}"


MODELS = Row(
    title="All models",
    panels=(
        table(
            "Price and speed",
            "Each requested model in this range: what it cost, for a thousand calls, for a million tokens in and out, "
            "and how it answered. Prices are what was paid (cache reads and all), not list prices. "
            f"A percentile needs {ENOUGH} calls, the mean stands beside it; `First p95` is of the first token. "
            "Sources: or:cost_usd rules, clients' counters and histograms. Empty cells: not said, or too few calls.",
            Column(title="Cost", expr=SCOPE.total(COST_5M, group=BY), unit=USD, decimals=2, is_bar=True),
            Column(title="Calls", expr=SCOPE.total(CALLS, group=BY), decimals=0),
            Column(
                title="1,000 calls",
                expr=f"1000 * {ratio(SCOPE.total(COST_5M, group=BY), SCOPE.total(CALLS, group=BY))}",
                unit=USD,
                decimals=2,
            ),
            Column(title="1M in", expr=_per_million(f'{PART}="input"', INPUT), unit=USD, decimals=2),
            Column(title="1M out", expr=_per_million(f'{PART}="output"', OUTPUT), unit=USD, decimals=2),
            Column(
                title="Mean",
                expr=SCOPE.mean(catalogue.OPERATION_DURATION, group=BY, window=RANGE),
                unit=SECONDS,
            ),
            Column(
                title="p95",
                expr=_sure(SCOPE.quantile(0.95, catalogue.OPERATION_DURATION, group=BY, window=RANGE)),
                unit=SECONDS,
            ),
            Column(
                title="First p95",
                expr=_sure(SCOPE.quantile(0.95, catalogue.TIME_TO_FIRST_CHUNK, group=BY, window=RANGE)),
                unit=SECONDS,
            ),
            Column(title="Tokens/s", expr=SCOPE.mean(catalogue.OUTPUT_RATE, group=BY, window=RANGE), decimals=0),
            Column(title="Failed", expr=_share(FAILED), unit=SHARE, decimals=1, steps=GOOD_UNTIL["errors"]),
            Column(title="Cut off", expr=_share(CUT), unit=SHARE, decimals=1),
            Column(title="Filtered", expr=_share(FILTERED), unit=SHARE, decimals=1),
            Column(
                title="Reasoning",
                expr=ratio(SCOPE.total(TOKENS, THINKING, group=BY), SCOPE.total(TOKENS, OUTPUT, group=BY)),
                unit=SHARE,
                decimals=0,
            ),
            keys=((MODEL, "Model"),),
            links=TO_ROUTING,
            width=24,
            height=11,
        ),
    ),
)

TRENDS = Row(
    title="Over time",
    panels=(
        money_graph(
            "Cost by model",
            "US dollars in each step, by requested model; the bars add up to the total. Source: or:cost_usd rules.",
            SCOPE.each(COST_5M, group=BY),
            named(MODEL),
        ),
        graph(
            "Cost of a call",
            "US dollars of the mean call, by requested model: all money over all calls. Source: "
            "clients' histogram, with exemplars that lead to traces of single calls.",
            Query(expr=SCOPE.mean(catalogue.CALL_COST, group=BY), legend=named(MODEL), has_exemplars=True),
            unit=USD,
            empty=NO_CALLS,
        ),
        graph(
            "Tokens by kind",
            "Tokens in each step: fresh input, cache reads and writes, text and reasoning output; the kinds are "
            "disjoint and add up. Source: clients.",
            Query(expr=SCOPE.each(TOKENS, group=(TOKEN_TYPE,)), legend=named(TOKEN_TYPE)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
        ),
        graph(
            "Output speed",
            "Output tokens a second after the first one, mean of whole streams, by requested model. Empty when "
            "nothing was streamed.",
            Query(expr=SCOPE.mean(catalogue.OUTPUT_RATE, group=BY), legend=named(MODEL), has_exemplars=True),
            unit=COUNT,
            empty="nothing streamed",
        ),
        graph(
            "Input size",
            "Input tokens of a call, by requested model: mean and 95th percentile; how much of the context is used. "
            "Source: clients' histogram.",
            Query(expr=SCOPE.mean(catalogue.TOKEN_USAGE, INPUT_KIND, group=BY), legend=f"{named(MODEL)} mean"),
            Query(expr=SCOPE.quantile(0.95, catalogue.TOKEN_USAGE, INPUT_KIND, group=BY), legend=f"{named(MODEL)} p95"),
            unit=COUNT,
            empty=NO_CALLS,
        ),
        graph(
            "Finish reasons",
            "Calls in each step by why the model stopped: `stop`, `length` (cut off), `tool_calls`, "
            "`content_filter`. Source: clients.",
            Query(expr=SCOPE.each(CALLS, group=(FINISH_REASON,)), legend=named(FINISH_REASON)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
        ),
    ),
)


OTHERS = Scope(names=("environment", "service"))
OTHER = f'{MODEL}="$other"'


def _versus(title: str, says: str, expr: Callable[[Scope, tuple[str, ...]], str], unit: str, decimals: int) -> Panel:
    """The chosen models beside the one to compare with."""
    return graph(
        title,
        f"{says} The chosen models together, and the one of `Compare with`. Empty when one of them had no calls.",
        Query(expr=expr(SCOPE, ()), legend="${model:text}"),
        Query(expr=expr(OTHERS, (OTHER,)), legend="${other:text}"),
        unit=unit,
        decimals=decimals,
        empty=NO_CALLS,
        width=8,
    )


VERSUS = Row(
    title="Compare two models",
    is_collapsed=True,
    panels=(
        _versus(
            "Cost of 1,000 calls",
            "US dollars for a thousand calls, over the hour before each moment.",
            lambda scope, more: "1000 * " + scope.mean(catalogue.CALL_COST, *more, window="1h"),
            USD,
            2,
        ),
        _versus(
            "Mean duration",
            "Seconds from request to last byte.",
            lambda scope, more: scope.mean(catalogue.OPERATION_DURATION, *more),
            SECONDS,
            1,
        ),
        _versus(
            "Failed calls",
            "Share of the calls of the hour before each moment that failed.",
            lambda scope, more: scope.hourly_share(CALLS, FAILED, *more),
            SHARE,
            1,
        ),
    ),
)

BOARD = Board(
    uid="or-otel-models",
    subject="Models",
    question="Which model gives what for which price?",
    scope=SCOPE,
    rows=(MODELS, TRENDS, VERSUS),
    annotations=("alerts", "price changes"),
)
