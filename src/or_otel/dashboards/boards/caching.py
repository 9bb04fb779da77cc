"""What do we save, and what could we?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import CACHE_HIT, FEATURE, MODEL, TOKEN_TYPE, WASTE, named
from or_otel.dashboards.panels import SHARE, SIGNED_USD, USD, Link, Query, graph, money_graph, stat
from or_otel.dashboards.rules import COST_5M, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import Scope, ratio

SCOPE = Scope(names=("environment", "service", "model", "team", "feature"))
CALLS, TOKENS = increase(catalogue.CALLS), increase(catalogue.CLIENT_TOKENS)
SAVED, PREMIUM = increase(catalogue.CACHE_SAVINGS), increase(catalogue.CACHE_WRITE_PREMIUM)
MISSED, WASTED = increase(catalogue.CACHE_MISSED_TOKENS), increase(catalogue.WASTE)
INPUT, READ = f'{TOKEN_TYPE}=~"input_.+"', f'{TOKEN_TYPE}="input_cache_read"'
HIT = f'{CACHE_HIT}=~"(?i)true"'
BY = (MODEL,)
NO_CACHE = "nothing was cached, or prices are not known"


def _net(*, group: tuple[str, ...] = ()) -> str:
    saved = SCOPE.total(SAVED, group=group)
    return f"{saved} - ({SCOPE.total(PREMIUM, group=group)} or {saved} * 0)"


def _read_share(*, group: tuple[str, ...] = ()) -> str:
    whole = SCOPE.total(TOKENS, INPUT, group=group)
    return ratio(f"({SCOPE.total(TOKENS, READ, group=group)} or {whole} * 0)", whole)


GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Input from cache",
            "Share of the input tokens in this range that were read from prompt caches. Source: clients, as "
            "providers report it.",
            _read_share(),
            unit=SHARE,
            decimals=1,
        ),
        stat(
            "Saved",
            "US dollars that cache reads cost less than fresh input would have, minus what cache writes cost more, "
            "in this range. Needs list prices. Below zero: caching cost more than it saved.",
            _net(),
            unit=SIGNED_USD,
            decimals=2,
            empty=NO_CACHE,
        ),
        stat(
            "Paid for writes",
            "US dollars that cache writes cost more than fresh input, in this range. Needs list prices.",
            SCOPE.total(PREMIUM),
            unit=USD,
            decimals=2,
            empty=NO_CACHE,
        ),
        stat(
            "Missed tokens",
            "Input tokens in this range whose prefix had been cached before and was not read from there. Source: "
            "clients.",
            SCOPE.total(MISSED),
            empty="none missed, or not watched",
        ),
        stat(
            "Answers replayed",
            "Share of the calls in this range that OpenRouter's response cache answered, for nothing. Source: clients.",
            ratio(f"({SCOPE.total(CALLS, HIT)} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS)),
            unit=SHARE,
            decimals=1,
        ),
        stat(
            "Wasted",
            "Share of the money in this range that bought nothing of use: cancelled, failed, cut off, or in a retry "
            "loop. Source: clients.",
            ratio(f"({SCOPE.total(WASTED)} or {SCOPE.total(COST_5M)} * 0)", SCOPE.total(COST_5M)),
            unit=SHARE,
            decimals=1,
        ),
    ),
)

DETAIL = Row(
    title="Prompt caches",
    panels=(
        graph(
            "Input tokens",
            "Input tokens in each step: fresh, read from cache, written to cache; the bars add up. Source: clients.",
            Query(expr=SCOPE.each(TOKENS, INPUT, group=(TOKEN_TYPE,)), legend=named(TOKEN_TYPE)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
        ),
        money_graph(
            "Saved by model",
            "US dollars in each step that cache reads cost less than fresh input, before the price of writes. Needs "
            "list prices.",
            SCOPE.each(SAVED, group=BY),
            named(MODEL),
        ),
        table(
            "Models",
            "Each model in this range: share of input read from cache, US dollars saved (reads minus writes), "
            "tokens whose prefix was cached before and missed. Source: clients. Empty cells: nothing cached, or no "
            "prices.",
            Column(title="Saved", expr=_net(group=BY), unit=SIGNED_USD, decimals=2, is_bar=True),
            Column(title="From cache", expr=_read_share(group=BY), unit=SHARE, decimals=1),
            Column(title="Missed tokens", expr=SCOPE.total(MISSED, group=BY)),
            Column(title="Cost", expr=SCOPE.total(COST_5M, group=BY), unit=USD, decimals=2),
            keys=((MODEL, "Model"),),
            links=(Link(title="Open in Models", board="or-otel-models", variable="model"),),
        ),
        table(
            "Where more could be saved",
            "Features by input tokens in this range whose prefix was cached before and missed: order the prompt so "
            "that its fixed part comes first, and keep calls within the cache's lifetime. Source: clients.",
            Column(title="Missed tokens", expr=SCOPE.total(MISSED, group=(FEATURE, MODEL)), is_bar=True),
            keys=((FEATURE, "Feature"), (MODEL, "Model")),
            links=(Link(title="Open in Attribution", board="or-otel-attribution", variable="feature"),),
            empty="none missed, or not watched",
        ),
    ),
)

WASTE_ROW = Row(
    title="Waste",
    panels=(
        money_graph(
            "Wasted by kind",
            "US dollars in each step that bought nothing of use: cancelled, error, truncated, retry_loop; a part of "
            "the cost. Source: clients.",
            SCOPE.each(WASTED, group=(WASTE,)),
            named(WASTE),
        ),
        table(
            "Wasted by feature",
            "US dollars in this range that bought nothing of use, by feature and kind. Source: clients.",
            Column(title="Wasted", expr=SCOPE.total(WASTED, group=(FEATURE, WASTE)), unit=USD, decimals=2, is_bar=True),
            keys=((FEATURE, "Feature"), (WASTE, "Kind")),
            links=(Link(title="Open in Attribution", board="or-otel-attribution", variable="feature"),),
            empty="nothing wasted",
        ),
    ),
)

BOARD = Board(
    uid="or-otel-caching",
    subject="Caching and waste",
    question="What do we save, and what could we?",
    scope=SCOPE,
    rows=(GLANCE, DETAIL, WASTE_ROW),
    time_from="now-7d",
)
