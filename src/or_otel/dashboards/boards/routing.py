"""Who served it, and what did fallback cost?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import (
    FALLBACK,
    FELL_BACK,
    MODEL,
    PERCENTILE,
    POLICY,
    PRICE_KIND,
    PROVIDER,
    RESPONSE_MODEL,
    STATUS,
    UPTIME_WINDOW,
    named,
)
from or_otel.dashboards.panels import COUNT, GOOD_UNTIL, SECONDS, SHARE, USD, Link, Query, graph, money_graph, stat
from or_otel.dashboards.promql import of
from or_otel.dashboards.rules import COST_5M, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, Scope, latest, ratio

SCOPE = Scope(names=("environment", "service", "model", "provider"))
CALLS, TRIES = increase(catalogue.CALLS), increase(catalogue.ROUTE_ATTEMPTS)
ATTEMPTS = increase(catalogue.ATTEMPTS)
REFUSED, BROKEN = f'{STATUS}="429"', f'{STATUS}=~"5.."'
WATCHED = "needs the account exporter and `watch_models`"
BY = (MODEL, PROVIDER)
TRIED = (PROVIDER,)
OFFER = (RESPONSE_MODEL, PROVIDER)
NO_FALLBACK = f'{FALLBACK}="none"'


def _of_tries(matcher: str) -> str:
    whole = SCOPE.total(TRIES, group=TRIED)
    return ratio(f"({SCOPE.total(TRIES, matcher, group=TRIED)} or {whole} * 0)", whole)


GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Fell back",
            "Share of the calls in this range that another provider or model served than the first choice. Source: "
            "router metadata in the answers; calls without it count as not fallen back.",
            ratio(f"({SCOPE.total(CALLS, FELL_BACK)} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS)),
            unit=SHARE,
            decimals=1,
        ),
        stat(
            "Cost of fallbacks",
            "US dollars of calls that another provider or model served than the first choice, in this range. Source: "
            "or:cost_usd rules of clients.",
            f"{SCOPE.total(COST_5M, FELL_BACK)} or {SCOPE.total(COST_5M)} * 0",
            unit=USD,
            decimals=2,
        ),
        stat(
            "Dearer by",
            "Mean cost of a call that fell back compared with one that did not, in this range. Different models and "
            "prompts may be behind it. Empty when nothing fell back.",
            f"({ratio(SCOPE.total(COST_5M, FELL_BACK), SCOPE.total(CALLS, FELL_BACK))})\n"
            f"/ ({ratio(SCOPE.total(COST_5M, NO_FALLBACK), SCOPE.total(CALLS, NO_FALLBACK))}) - 1",
            unit=SHARE,
            decimals=0,
            empty="nothing fell back",
        ),
        stat(
            "Refused tries (429)",
            "Share of OpenRouter's upstream tries in this range that providers answered with 429, also those that a "
            "fallback hid. Source: router metadata.",
            ratio(f"({SCOPE.total(TRIES, REFUSED)} or {SCOPE.total(TRIES)} * 0)", SCOPE.total(TRIES)),
            unit=SHARE,
            decimals=1,
            steps=GOOD_UNTIL["errors"],
        ),
        stat(
            "Tries a call",
            "Upstream tries of OpenRouter for each call whose route is known, in this range; 1 is no detour. Source: "
            "router metadata.",
            ratio(SCOPE.total(TRIES), SCOPE.total(CALLS, f'{FALLBACK}!="unknown"')),
            unit=COUNT,
            decimals=2,
        ),
        stat(
            "Client retries",
            "HTTP exchanges beyond the first of each call, in this range: what the client libraries repeated. Source: "
            "clients.",
            f"clamp_min({SCOPE.total(ATTEMPTS)} - {SCOPE.total(CALLS)}, 0)",
            unit=COUNT,
            decimals=0,
        ),
    ),
)

SERVED = Row(
    title="Who served",
    panels=(
        graph(
            "Calls by provider",
            "Calls in each step by the provider that served them; the bars add up. Source: clients.",
            Query(expr=SCOPE.each(CALLS, group=(PROVIDER,)), legend=named(PROVIDER)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            links=(Link(title="Only this one", board="or-otel-routing", variable="provider", label=PROVIDER),),
        ),
        money_graph(
            "Cost by provider",
            "US dollars in each step by the provider that served; the bars add up. Source: or:cost_usd rules.",
            SCOPE.each(COST_5M, group=(PROVIDER,)),
            named(PROVIDER),
        ),
        table(
            "Providers of each model",
            "Requested models and who served them in this range: calls, cost, dollars for a thousand calls, mean "
            "and 95th percentile of the duration. Rows of one model show the spread between its providers. Source: "
            "clients.",
            Column(title="Calls", expr=SCOPE.total(CALLS, group=BY), decimals=0, is_bar=True),
            Column(title="Cost", expr=SCOPE.total(COST_5M, group=BY), unit=USD, decimals=2),
            Column(
                title="Per 1,000",
                expr=f"1000 * {ratio(SCOPE.total(COST_5M, group=BY), SCOPE.total(CALLS, group=BY))}",
                unit=USD,
                decimals=2,
            ),
            Column(
                title="Mean",
                expr=SCOPE.mean(catalogue.OPERATION_DURATION, group=BY, window=RANGE),
                unit=SECONDS,
            ),
            Column(
                title="p95",
                expr=SCOPE.quantile(0.95, catalogue.OPERATION_DURATION, group=BY, window=RANGE),
                unit=SECONDS,
            ),
            Column(
                title="Tokens/s", expr=SCOPE.mean(catalogue.OUTPUT_RATE, group=BY, window=RANGE), unit=COUNT, decimals=0
            ),
            keys=((MODEL, "Model"), (PROVIDER, "Provider")),
            links=(Link(title="Open in Models", board="or-otel-models", variable="model"),),
            width=24,
        ),
        table(
            "Requested and served",
            "Calls in this range by what was asked for and which model answered, with the kind of detour. Source: "
            "clients and router metadata.",
            Column(title="Calls", expr=SCOPE.total(CALLS, group=(MODEL, RESPONSE_MODEL, FALLBACK)), decimals=0),
            keys=((MODEL, "Requested"), (RESPONSE_MODEL, "Served"), (FALLBACK, "Detour")),
            links=(Link(title="Open in Models", board="or-otel-models", variable="model"),),
            width=15,
        ),
        table(
            "Providers' answers",
            "Upstream tries in this range by provider: how many, and the shares refused (429) and broken (5xx). "
            "Source: router metadata.",
            Column(title="Tries", expr=SCOPE.total(TRIES, group=TRIED), decimals=0, is_bar=True),
            Column(title="429", expr=_of_tries(REFUSED), unit=SHARE, decimals=1, steps=GOOD_UNTIL["errors"]),
            Column(title="5xx", expr=_of_tries(BROKEN), unit=SHARE, decimals=1, steps=GOOD_UNTIL["errors"]),
            keys=((PROVIDER, "Provider"),),
            links=(Link(title="Only this one", board="or-otel-routing", variable="provider"),),
            width=9,
        ),
    ),
)

TROUBLE = Row(
    title="Upstream trouble",
    panels=(
        graph(
            "Detours",
            "Share of the calls of the hour before each moment that fell back to another provider or model. Source: "
            "router metadata.",
            Query(expr=SCOPE.hourly_share(CALLS, FELL_BACK, group=(FALLBACK,)), legend=named(FALLBACK)),
            unit=SHARE,
            empty="nothing fell back",
            width=8,
        ),
        graph(
            "Upstream tries by answer",
            "Tries a minute by the answer of the provider, those hidden by a fallback included. Source: router "
            "metadata.",
            Query(expr=SCOPE.per_minute(TRIES, group=(STATUS,)), legend=named(STATUS)),
            unit=COUNT,
            width=8,
        ),
        graph(
            "Policies asked for",
            "Calls a minute by what the request asked of the router: price, latency, throughput, order, only, ignore. "
            "Source: clients.",
            Query(expr=SCOPE.per_minute(CALLS, group=(POLICY,)), legend=named(POLICY)),
            unit=COUNT,
            width=8,
        ),
    ),
)

OFFERS = Row(
    title="What OpenRouter says of watched models",
    is_collapsed=True,
    panels=(
        table(
            "Offers",
            "Providers of watched models: share of minutes in order in the last day, median seconds to the first "
            "token, median tokens a second, and their status (0 is in order). Source: OpenRouter's endpoints, by "
            "the exporter.",
            Column(
                title="Uptime",
                expr=latest(of(catalogue.ENDPOINT_UPTIME_RATIO), f'{UPTIME_WINDOW}="1d"', group=OFFER),
                unit=SHARE,
                decimals=2,
                steps=GOOD_UNTIL["uptime"],
            ),
            Column(
                title="First token",
                expr=latest(of(catalogue.ENDPOINT_LATENCY), f'{PERCENTILE}="p50"', group=OFFER),
                unit=SECONDS,
            ),
            Column(
                title="Tokens/s",
                expr=latest(of(catalogue.ENDPOINT_THROUGHPUT), f'{PERCENTILE}="p50"', group=OFFER),
                decimals=0,
            ),
            Column(title="Status", expr=latest(of(catalogue.ENDPOINT_STATUS), group=OFFER), decimals=0),
            keys=((RESPONSE_MODEL, "Model"), (PROVIDER, "Provider")),
            links=(Link(title="Only this one", board="or-otel-routing", variable="model"),),
            empty=WATCHED,
            width=13,
        ),
        table(
            "List prices",
            "US dollars for a million tokens, as OpenRouter lists them for watched models. Source: the exporter.",
            Column(
                title="Price",
                expr=f"1e6 * {latest(of(catalogue.MODEL_PRICE), group=(*OFFER, PRICE_KIND))}",
                unit=USD,
                decimals=3,
            ),
            keys=((RESPONSE_MODEL, "Model"), (PROVIDER, "Provider"), (PRICE_KIND, "For")),
            links=(Link(title="Only this one", board="or-otel-routing", variable="model"),),
            by_key=True,
            empty=WATCHED,
            width=11,
        ),
    ),
)

BOARD = Board(
    uid="or-otel-routing",
    subject="Routing",
    question="Who served it, and what did fallback cost?",
    scope=SCOPE,
    rows=(GLANCE, SERVED, TROUBLE, OFFERS),
    annotations=("alerts", "price changes"),
)
