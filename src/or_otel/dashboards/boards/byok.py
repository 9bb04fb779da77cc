"""Does our count equal OpenRouter's, and what do we pay upstream?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.boards.trust import OURS, THEIRS, trust_row
from or_otel.dashboards.labels import (
    BILLING,
    COST_SOURCE,
    DAY,
    KEY_HASH,
    KEY_NAME,
    LEDGER,
    MODEL,
    PART,
    PROVIDER,
    RESPONSE_MODEL,
    UNPRICED_REASON,
    YESTERDAY,
    named,
)
from or_otel.dashboards.panels import (
    GOOD_UNTIL,
    NO_ACCOUNT,
    NO_ACCOUNT_YET,
    SHARE,
    SIGNED_USD,
    USD,
    Link,
    Query,
    graph,
    money_graph,
    stat,
)
from or_otel.dashboards.promql import JOB, SOURCE, exact_growth, exact_increase, of
from or_otel.dashboards.rules import COST_5M, TO_DATE, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, Scope, latest

SCOPE = Scope(names=("environment", "service", "model", "key"))
ACCOUNT = Scope(names=("key",))
CALLS, UNPRICED = increase(catalogue.CALLS), increase(catalogue.UNPRICED_CALLS)
OPENROUTER, UPSTREAM = f'{LEDGER}="openrouter"', f'{LEDGER}="upstream"'
FEE = f'{PART}="fee"'
KEYS = (DAY, KEY_NAME, KEY_HASH)
AS_OF = "As of the last poll; the running day is never in it."


def _days(row: catalogue.Metric, *group: str) -> str:
    series = of(row)
    return f"sum by ({', '.join(group)}) ({latest(series, *ACCOUNT.matchers(series), group=KEYS)})"


def _gap(*group: str) -> str:
    ours, theirs = (
        _days(row, *group) for row in (catalogue.RECONCILIATION_CLIENT_COST, catalogue.RECONCILIATION_PROVIDER_COST)
    )
    # Sums of floats differ behind the digits that are shown.
    return f"round({ours}\n- {theirs}, 0.0001)"


def _compared(*group: str) -> tuple[Column, ...]:
    theirs = _days(catalogue.RECONCILIATION_PROVIDER_COST, *group)
    return (
        Column(title="Billed", expr=theirs, unit=USD, decimals=2, is_bar=True),
        Column(title="Tracked", expr=_days(catalogue.RECONCILIATION_CLIENT_COST, *group), unit=USD, decimals=2),
        Column(title="Difference", expr=_gap(*group), unit=SIGNED_USD, decimals=4),
        Column(title="Of billed", expr=f"({_gap(*group)})\n/ ({theirs} > 0)", unit=SHARE, decimals=1),
    )


COMPARED = Row(
    title="Tracked and billed",
    panels=(
        table(
            "Day by day",
            "US dollars of closed UTC days, by days ago: what OpenRouter billed, what clients tracked, their "
            "difference. Below zero is money that no client told of. Source: reconciliation of the account "
            f"exporter. {AS_OF}",
            *_compared(DAY),
            keys=((DAY, "Days ago"),),
            by_key=True,
            empty=NO_ACCOUNT_YET,
        ),
        table(
            "Keys, yesterday",
            "The same by key, for the last closed UTC day. A key with nothing tracked is used by a program without "
            "or-otel. Source: reconciliation of the account exporter.",
            *(
                Column(
                    title=title,
                    expr=latest(series, *ACCOUNT.matchers(series, YESTERDAY), group=(KEY_NAME, KEY_HASH)),
                    unit=unit,
                    decimals=digits,
                    steps=steps,
                )
                for title, series, unit, digits, steps in (
                    ("Billed", THEIRS, USD, 2, ()),
                    ("Tracked", OURS, USD, 2, ()),
                    ("Captured", of(catalogue.RECONCILIATION_CAPTURE_RATIO), SHARE, 1, GOOD_UNTIL["capture"]),
                )
            ),
            keys=((KEY_NAME, "Key"), (KEY_HASH, "Hash")),
            links=(Link(title="Only this one", board="or-otel-byok", variable="key"),),
            empty=NO_ACCOUNT_YET,
        ),
        table(
            "What OpenRouter booked",
            "US dollars, requests and tokens of the last closed UTC day by model and provider, as OpenRouter's "
            f"activity tells them. Needs a management key in the account exporter. {AS_OF}",
            *(
                Column(
                    title=title,
                    expr=f"sum by ({RESPONSE_MODEL}, {PROVIDER}) (max without (job, instance) "
                    f"(last_over_time({of(row).where(YESTERDAY)}[5m])))",
                    unit=unit,
                    decimals=digits,
                )
                for title, row, unit, digits in (
                    ("Cost", catalogue.ACTIVITY_COST, USD, 2),
                    ("Requests", catalogue.ACTIVITY_REQUESTS, "short", 0),
                    ("Tokens", catalogue.ACTIVITY_TOKENS, "short", None),
                )
            ),
            keys=((RESPONSE_MODEL, "Model"), (PROVIDER, "Provider")),
            links=(Link(title="Open in Models", board="or-otel-models", variable="model"),),
            empty="needs a management key and a closed UTC day",
        ),
        table(
            "Why a price is missing",
            "Calls in this range without a fully known price, by reason, service and model: `cancelled` (look them "
            "up with OR_OTEL_RECONCILE), `not_reported`, `unreadable`, `error`, `billing_unknown`. Source: clients. "
            "Empty is good.",
            Column(
                title="Calls", expr=SCOPE.total(UNPRICED, group=(UNPRICED_REASON, JOB, MODEL)), decimals=0, is_bar=True
            ),
            keys=((UNPRICED_REASON, "Reason"), (JOB, "Service"), (MODEL, "Model")),
            empty="none: every price is known",
        ),
    ),
)

LEDGERS = Row(
    title="Credits and own provider keys",
    panels=(
        stat(
            "From credits",
            "US dollars that the OpenRouter balance lost in this range, BYOK fees included. Source: or:cost_usd rules.",
            SCOPE.total(COST_5M, OPENROUTER),
            unit=USD,
            decimals=2,
        ),
        stat(
            "To providers",
            "US dollars that providers bill for calls over own keys in this range, at list price. Source: "
            "or:cost_usd rules.",
            SCOPE.total(COST_5M, UPSTREAM),
            unit=USD,
            decimals=2,
            empty="no call over own keys",
        ),
        stat(
            "BYOK fees",
            "US dollars of OpenRouter's fees for calls over own keys in this range. Source: or:cost_usd rules.",
            SCOPE.total(COST_5M, FEE),
            unit=USD,
            decimals=4,
            empty="no fees",
        ),
        stat(
            "Month, credits: ours to theirs",
            "What clients tracked from credits this UTC month as a share of what OpenRouter says. Both run at their "
            "own delay; a program without or-otel lowers it.",
            f"sum({SCOPE.pick(TO_DATE['month'], OPENROUTER)})\n/ (sum(max by ({KEY_NAME}, {KEY_HASH}) "
            f"({ACCOUNT.pick(of(catalogue.KEY_USAGE_MONTHLY), OPENROUTER)})) > 0)",
            unit=SHARE,
            decimals=1,
            empty=NO_ACCOUNT,
            width=6,
        ),
        stat(
            "Month, own keys: ours to theirs",
            "What clients tracked over own provider keys this UTC month as a share of what OpenRouter says.",
            f"sum({SCOPE.pick(TO_DATE['month'], UPSTREAM)})\n/ (sum(max by ({KEY_NAME}, {KEY_HASH}) "
            f"({ACCOUNT.pick(of(catalogue.KEY_USAGE_MONTHLY), UPSTREAM)})) > 0)",
            unit=SHARE,
            decimals=1,
            empty="no call over own keys, or no exporter",
            width=6,
        ),
        money_graph(
            "Cost by who bills",
            "US dollars in each step by ledger: `openrouter` from credits, `upstream` billed by the provider of an "
            "own key. Source: or:cost_usd rules of clients.",
            SCOPE.each(COST_5M, group=(LEDGER,)),
            named(LEDGER),
        ),
        table(
            "Cost by provider, ledger and part",
            "US dollars of calls in this range: `openrouter` is paid from credits, `upstream` to the provider of an "
            "own key; the part `fee` is OpenRouter's for own keys. Source: or:cost_usd rules of clients.",
            Column(
                title="Cost",
                expr=SCOPE.total(COST_5M, group=(PROVIDER, LEDGER, PART)),
                unit=USD,
                decimals=4,
                is_bar=True,
            ),
            keys=((PROVIDER, "Provider"), (LEDGER, "Ledger"), (PART, "Part")),
            links=(Link(title="Open in Routing", board="or-otel-routing", variable="provider"),),
        ),
    ),
)

PIPELINES = Row(
    title="One dollar, several pipelines",
    panels=(
        *(
            stat(
                title,
                f"US dollars in this range as this pipeline alone counts them, whether chosen or not. {says}",
                f"sum(\n{expr}\n)",
                unit=USD,
                decimals=2,
                empty=empty,
                width=8,
            )
            for title, says, expr, empty in (
                (
                    "Clients' counter",
                    "Processes that ended before they exported are missing.",
                    exact_increase(SCOPE.pick(of(catalogue.COST)), RANGE),
                    "no client's counter",
                ),
                (
                    "Spans' counter",
                    "Spans that were sampled before the collector are missing.",
                    exact_increase(SCOPE.pick(of(catalogue.SPANS_COST)), RANGE),
                    "no such counter in the collector",
                ),
                (
                    "Local ledger",
                    "Programs on the exporter's machine only.",
                    exact_growth(SCOPE.pick(of(catalogue.LEDGER_COST)), RANGE),
                    "exporter runs without ledger",
                ),
            )
        ),
        table(
            "Which pipeline tells whose money",
            "US dollars in this range by service and the pipeline that these boards read for it: `client`, `spans` "
            "or `ledger`. Each service has one. Source: or:cost_usd rules.",
            Column(title="Cost", expr=SCOPE.total(COST_5M, group=(JOB, SOURCE)), unit=USD, decimals=2, is_bar=True),
            keys=((JOB, "Service"), (SOURCE, "Pipeline")),
            links=(Link(title="Open in Attribution", board="or-otel-attribution", variable="service"),),
        ),
        graph(
            "Where prices come from",
            "US dollars in each step by source of the price (answer, generation record, catalogue) and by billing. "
            "Source: or:cost_usd rules of clients.",
            Query(
                expr=SCOPE.each(COST_5M, group=(COST_SOURCE, BILLING)), legend=f"{named(COST_SOURCE)}, {named(BILLING)}"
            ),
            unit=USD,
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
        ),
    ),
)

BOARD = Board(
    uid="or-otel-byok",
    subject="Billing and BYOK",
    question="Does our count equal OpenRouter's, and what do we pay upstream?",
    scope=SCOPE,
    rows=(trust_row(SCOPE), COMPARED, LEDGERS, PIPELINES),
    time_from="now-7d",
    refresh="5m",
)
