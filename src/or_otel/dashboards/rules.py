"""Recording rules: catalogue and the owner's choices in, groups of rules out.

Money on boards and in alerts is read from `or:cost_usd:*` alone. Three pipelines may count the same dollar: the
clients' counter, the counter that the collector derives from spans, the exporter's sums of a local ledger. Of each
service one is taken, so a dollar shows once whichever run beside each other.

Windows tile: a rule of a group is evaluated at the same second of each minute, so the hour ending now and the hour
before meet without gap or overlap, and sums of hours are exact. Calendar periods are UTC, as OpenRouter's.
Knows no board, no alert, no file. Loads in Prometheus 2.42 and later without feature flags.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from or_otel import catalogue
from or_otel.budgets import Budget, PeriodName
from or_otel.catalogue import Metric
from or_otel.dashboards import labels
from or_otel.dashboards.labels import BUDGET, MODEL, PROVIDER, SCOPE, SERVICE_NAME, WINDOW
from or_otel.dashboards.promql import (
    JOB,
    PROCESS_LABELS,
    SOURCE,
    Series,
    exact_growth,
    exact_increase,
    indented,
    of,
    tag,
)

MoneySource = Literal["client", "spans", "ledger"]
SOURCES: tuple[MoneySource, ...] = ("client", "spans", "ledger")

FAST = "1m"
SLOW = "5m"
WINDOWS = ("1d", "7d")
"""Of forecasts: yesterday's pace, and one over whole weeks."""

PERIOD = "period"
BURN_WINDOWS = ("15m", "30m", "1h", "6h")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the owner decides about rules and alerts.

    Attributes:
        default_source: Which pipeline tells the money of a service that `sources` does not name.
        sources: Service (`job`) → pipeline.
        budgets: Budgets; those that only clients know become rules, the exporter tells the others.
        grafana_url, docs_url: Put before the paths in alerts; "" leaves them relative.
        spike_usd: Least money in five minutes that may page anyone.
        anomaly_usd: Least money in an hour that may be called unusual.
        slow_s: How long 95 % of calls may take.
        min_calls: Fewer calls in a quarter of an hour prove nothing about a share.
    """

    default_source: MoneySource = "client"
    sources: Mapping[str, MoneySource] = field(default_factory=dict)
    budgets: tuple[Budget, ...] = ()
    grafana_url: str = ""
    docs_url: str = ""
    spike_usd: float = 1.0
    anomaly_usd: float = 5.0
    slow_s: float = 30.0
    min_calls: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One recording rule.

    Attributes:
        record: Name of what it records.
        expr: What it records.
        labels: Labels it adds.
    """

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated one after the other, at the same instant.

    Attributes:
        name, interval: As Prometheus wants them.
        rules: Each may read what those above it just recorded.
    """

    name: str
    interval: str
    rules: tuple[Rule, ...]


def _recorded(name: str, *carried: str, has_tags: bool = False) -> Series:
    return Series(name=name, labels=frozenset(carried), has_tags=has_tags)


def _merged(row: Metric, name: str, *more: str) -> Series:
    raw = of(row)
    return Series(name=name, labels=(raw.labels - set(PROCESS_LABELS)) | set(more), has_tags=raw.has_tags)


COST_5M = _merged(catalogue.COST, "or:cost_usd:increase5m", SOURCE)
COST_1H = _merged(catalogue.COST, "or:cost_usd:increase1h", SOURCE)
JOB_COST_5M = _recorded("or:cost_usd:job_increase5m", JOB)
JOB_COST_1H = _recorded("or:cost_usd:job_increase1h", JOB)
USUAL_5M_MEAN = _recorded("or:cost_usd:job_increase5m_mean7d", JOB)
USUAL_5M_HIGH = _recorded("or:cost_usd:job_increase5m_high7d", JOB)
USUAL_1H_MEDIAN = _recorded("or:cost_usd:job_increase1h_median7d", JOB)
USUAL_1H_HIGH = _recorded("or:cost_usd:job_increase1h_high7d", JOB)
SOURCE_INFO = _recorded("or:cost_source:info", JOB, SOURCE)

DETAIL = (
    labels.OPERATION,
    labels.RESPONSE_MODEL,
    labels.PART,
    labels.COST_SOURCE,
    labels.OUTCOME,
    labels.FALLBACK,
    labels.POLICY,
)
"""Labels that sums over calendar periods leave out: a month of them for each label set is a lot to read."""
_KEPT = COST_1H.labels - set(DETAIL)
_HOURS: Mapping[PeriodName, str] = {"day": "1d", "week": "7d", "month": "31d"}
TO_DATE: Mapping[PeriodName, Series] = {
    period: _recorded(f"or:cost_usd:{period}_to_date", *_KEPT, has_tags=True) for period in _HOURS
}
CLOSED: Mapping[PeriodName, Series] = {
    period: _recorded(f"or:cost_usd:{period}_closed_hours", *_KEPT, has_tags=True) for period in _HOURS
}
RUNNING_HOUR = _recorded("or:cost_usd:running_hour", *_KEPT, has_tags=True)
PERIOD_START = _recorded("or:period_start:seconds", PERIOD)
PERIOD_END = _recorded("or:period_end:seconds", PERIOD)
MONTH_ELAPSED = _recorded("or:month_elapsed:ratio")
MONTH_BEFORE_AGE = _recorded("or:month_before_age:days")
MONTH_BEFORE = _recorded("or:cost_usd:month_before_to_date", *_KEPT, has_tags=True)
MONTH_FORECAST = _recorded("or:cost_usd:month_forecast", WINDOW)

SPENT = _recorded("or:budget_spent:usd", BUDGET, SCOPE)
LIMIT = _recorded("or:budget_limit:usd", BUDGET, SCOPE)
START = _recorded("or:budget_start:seconds", BUDGET, SCOPE)
END = _recorded("or:budget_end:seconds", BUDGET, SCOPE)
FORECAST = _recorded("or:budget_forecast:usd", BUDGET, SCOPE, WINDOW)
USED = _recorded("or:budget_used:ratio", BUDGET, SCOPE)
ELAPSED = _recorded("or:budget_elapsed:ratio", BUDGET, SCOPE)
PACE = _recorded("or:budget_pace:ratio", BUDGET, SCOPE)
RUNWAY = _recorded("or:credits_runway:seconds")
BURN: Mapping[str, Series] = {
    window: _recorded(f"or:budget_burn:pace{window}", BUDGET, SCOPE) for window in BURN_WINDOWS
}

COUNTERS: Mapping[Metric, Series] = {
    catalogue.COST: COST_5M,
    **{
        row: _merged(row, "or:" + row.name.split(".", maxsplit=1)[1].replace(".", "_") + ":increase5m")
        for row in catalogue.METRICS
        if row.kind in {"counter", "observable_counter"}
        and row.source in {"calls", "insight"}
        and row != catalogue.COST
    },
}
"""A counter → its recorded growth in five minutes."""
CALLS_1H = _merged(catalogue.CALLS, "or:client_calls:increase1h")
TOKENS_1H = _merged(catalogue.CLIENT_TOKENS, "or:client_tokens:increase1h")
CALLS_RATE = {window: _recorded(f"or:client_calls:rate{window}", JOB, MODEL, PROVIDER) for window in ("5m", "1h")}
ERRORS_RATE = {window: _recorded(f"or:client_errors:rate{window}", JOB, MODEL, PROVIDER) for window in ("5m", "1h")}
TOKENS_RATE = {window: _recorded(f"or:client_tokens:rate{window}", JOB, MODEL, PROVIDER) for window in ("5m", "1h")}

RECORDED: tuple[Series, ...] = (
    *(COST_5M, COST_1H, JOB_COST_5M, JOB_COST_1H, USUAL_5M_MEAN, USUAL_5M_HIGH, USUAL_1H_MEDIAN, USUAL_1H_HIGH),
    *(SOURCE_INFO, *TO_DATE.values(), *CLOSED.values(), RUNNING_HOUR, PERIOD_START, PERIOD_END, MONTH_ELAPSED),
    *(MONTH_BEFORE_AGE, MONTH_BEFORE, MONTH_FORECAST),
    *(SPENT, LIMIT, START, END, FORECAST, USED, ELAPSED, PACE, RUNWAY, *BURN.values()),
    *(series for row, series in COUNTERS.items() if row != catalogue.COST),
    *(CALLS_1H, TOKENS_1H, *CALLS_RATE.values(), *ERRORS_RATE.values(), *TOKENS_RATE.values()),
)
"""Everything that the rules record."""


def increase(row: Metric) -> Series:
    """Give the recorded growth of a counter, five minutes at a time."""
    return COUNTERS[row]


def groups(choices: Choices) -> tuple[Group, ...]:
    """Give all groups of recording rules."""
    return (
        Group(name="or-otel-cost", interval=FAST, rules=tuple(_cost_rules(choices))),
        Group(name="or-otel-counters", interval=SLOW, rules=tuple(_counter_rules())),
        Group(name="or-otel-calendar", interval=SLOW, rules=tuple(_calendar_rules())),
        Group(name="or-otel-usual", interval=SLOW, rules=tuple(_usual_rules())),
        Group(name="or-otel-budgets", interval=FAST, rules=(*_client_budget_rules(choices), *_budget_rules(choices))),
    )


def _without_processes(expression: str) -> str:
    return f"sum without ({', '.join(PROCESS_LABELS)}) (\n{indented(expression)}\n)"


def _of_ledger(row: Metric, window: str) -> str:
    """Give the growth of ledger sums, each under the service whose program wrote it."""
    growth = indented(exact_growth(of(row).name, window))
    own = f'label_replace(\n{growth},\n  "{JOB}", "$1", "{SERVICE_NAME}", "(.+)"\n)'
    return f"sum without ({', '.join((*PROCESS_LABELS, SERVICE_NAME))}) (\n{indented(own)}\n)"


def _chosen(source: MoneySource, expression: str, choices: Choices) -> str:
    """Keep the services whose money this pipeline tells, and say so in a label."""
    marked = f'label_replace(\n{indented(expression)},\n  "{SOURCE}", "{source}", "", ""\n)'
    if source == choices.default_source:
        return f"({marked} unless on ({JOB}) {SOURCE_INFO.where(f'{SOURCE}!={_quoted(source)}')})"
    return f"({marked} and on ({JOB}) {SOURCE_INFO.where(f'{SOURCE}={_quoted(source)}')})"


def _cost_rules(choices: Choices) -> Iterable[Rule]:
    for job, source in sorted(choices.sources.items()):
        yield Rule(record=SOURCE_INFO.name, expr="vector(1)", labels={JOB: job, SOURCE: source})
    for series, window in ((COST_5M, "5m"), (COST_1H, "1h")):
        pipelines = {
            "client": _without_processes(exact_increase(of(catalogue.COST).name, window)),
            "spans": _without_processes(exact_increase(of(catalogue.SPANS_COST).name, window)),
            "ledger": _of_ledger(catalogue.LEDGER_COST, window),
        }
        yield Rule(
            record=series.name,
            expr="\nor\n".join(_chosen(source, pipelines[source], choices) for source in SOURCES),
        )
    yield Rule(record=JOB_COST_5M.name, expr=f"sum by ({JOB}) ({COST_5M.name})")
    yield Rule(record=JOB_COST_1H.name, expr=f"sum by ({JOB}) ({COST_1H.name})")
    calls = COUNTERS[catalogue.CALLS]
    yield Rule(record=calls.name, expr=_without_processes(exact_increase(of(catalogue.CALLS).name, "5m")))


def _counter_rules() -> Iterable[Rule]:
    for row, series in COUNTERS.items():
        if row not in {catalogue.COST, catalogue.CALLS}:
            yield Rule(record=series.name, expr=_without_processes(exact_increase(of(row).name, "5m")))
    for series, row in ((CALLS_1H, catalogue.CALLS), (TOKENS_1H, catalogue.CLIENT_TOKENS)):
        yield Rule(record=series.name, expr=_without_processes(exact_increase(of(row).name, "1h")))
    for window, seconds, calls, tokens in (
        ("5m", 300, COUNTERS[catalogue.CALLS], COUNTERS[catalogue.CLIENT_TOKENS]),
        ("1h", 3600, CALLS_1H, TOKENS_1H),
    ):
        grouping = f"sum by ({JOB}, {MODEL}, {PROVIDER})"
        yield Rule(record=CALLS_RATE[window].name, expr=f"{grouping} ({calls.name}) / {seconds}")
        yield Rule(
            record=ERRORS_RATE[window].name,
            expr=f"({grouping} ({calls.where(labels.FAILED)}) or {grouping} ({calls.name}) * 0) / {seconds}",
        )
        yield Rule(record=TOKENS_RATE[window].name, expr=f"{grouping} ({tokens.name}) / {seconds}")


def _calendar_rules() -> Iterable[Rule]:
    start_of: Mapping[str, str] = {
        "hour": "vector(time() - time() % 3600)",
        "day": "vector(time() - time() % 86400)",
        # Unix time began on a Thursday; the week begins on Monday.
        "week": "vector(time() - (time() + 3 * 86400) % (7 * 86400))",
        "month": "vector(time() - time() % 86400) - (day_of_month() - 1) * 86400",
    }
    length_of = {"hour": "3600", "day": "86400", "week": "7 * 86400", "month": "days_in_month() * 86400"}
    for period, start in start_of.items():
        yield Rule(record=PERIOD_START.name, expr=start, labels={PERIOD: period})
        yield Rule(record=PERIOD_END.name, expr=f"{start} + {length_of[period]}", labels={PERIOD: period})
    month = f'{PERIOD}="month"'
    yield Rule(
        record=MONTH_ELAPSED.name,
        expr=f"(time() - sum({PERIOD_START.where(month)}))"
        f" / (sum({PERIOD_END.where(month)}) - sum({PERIOD_START.where(month)}))",
    )
    yield Rule(record=RUNNING_HOUR.name, expr=_since("hour", COST_5M, "1h", "5m"))
    for period, span in _HOURS.items():
        closed, to_date = CLOSED[period].name, TO_DATE[period].name
        yield Rule(record=closed, expr=_since(period, COST_1H, span, "1h"))
        yield Rule(record=to_date, expr=f"({closed} + {RUNNING_HOUR.name})\nor {closed}\nor {RUNNING_HOUR.name}")
    yield from _month_before_rules()
    for window in WINDOWS:
        yield Rule(
            record=MONTH_FORECAST.name,
            expr=f"sum({TO_DATE['month'].name})\n+ avg_over_time({_hours()}[{window}:1h]) / 3600\n"
            f"* (sum({PERIOD_END.where(month)}) - time())",
            labels={WINDOW: window},
        )


def _month_before_rules() -> Iterable[Rule]:
    """Record what the month before had cost at its same day and time, at its last day where it had no such day."""
    start, to_date = PERIOD_START.where(f'{PERIOD}="month"'), TO_DATE["month"].name
    length = f"days_in_month(sum({start}) - 86400)"
    yield Rule(record=MONTH_BEFORE_AGE.name, expr=f"(day_of_month() > {length})\nor {length}")
    # No offset of PromQL can be reckoned: there is one expression for each that can be.
    aged = (
        f"(last_over_time({to_date}[10m] offset {days}d) and on () {MONTH_BEFORE_AGE.name} == {days})"
        for days in range(28, 32)
    )
    yield Rule(record=MONTH_BEFORE.name, expr="\nor ".join(aged))


def _since(period: str, tiles: Series, span: str, step: str) -> str:
    """Sum the tiles that ended after a period began: those that end on the minute of its begin belong before it."""
    start = PERIOD_START.where(f'{PERIOD}="{period}"')
    return (
        f"sum without ({', '.join(DETAIL)}) (sum_over_time((\n"
        f"  {tiles.name} and on () (vector(time()) > on () ({start} @ end()))\n)[{span}:{step}]))"
    )


def _hours(*matchers: str) -> str:
    """Give what an hour cost: nothing when nobody was running, but only where somebody was in the week before.

    Else a nightly job would be taken to spend all day what it spends in its hour; and a service of yesterday would
    count the days before it was there.
    """
    return f"(sum({COST_1H.where(*matchers)}) or sum(last_over_time({JOB_COST_1H.name}[7d])) * 0)"


def _usual_rules() -> Iterable[Rule]:
    # The last minutes are left out, so that what is judged is not in its own measure; and what is a day young has no
    # usual yet.
    for series, spent, kind in (
        (USUAL_5M_MEAN, JOB_COST_5M.name, "avg_over_time({}[7d] offset 10m)"),
        (USUAL_5M_HIGH, JOB_COST_5M.name, "quantile_over_time(0.99, {}[7d] offset 10m)"),
        (USUAL_1H_MEDIAN, JOB_COST_1H.name, "quantile_over_time(0.5, {}[7d] offset 1h)"),
        (USUAL_1H_HIGH, JOB_COST_1H.name, "quantile_over_time(0.95, {}[7d] offset 1h)"),
    ):
        known = f"last_over_time({spent}[6d] offset 1d)"
        yield Rule(record=series.name, expr=f"{kind.format(spent)}\nand on ({JOB}) {known}")


def _client_budget_rules(choices: Choices) -> Iterable[Rule]:
    for budget in worked_out(choices):
        named = {BUDGET: budget.name, SCOPE: budget.scope}
        chosen = _matchers(budget)
        yield Rule(record=LIMIT.name, expr=f"vector({budget.limit_usd:f})", labels=named)
        if budget.period == "lifetime":
            # Prometheus forgets: a lifetime budget reaches back as far as it remembers, a year at most.
            yield Rule(
                record=SPENT.name,
                expr=f"sum(sum_over_time({COST_1H.where(*chosen)}[1y:1h])) or vector(0)",
                labels=named,
            )
            continue
        period = f'{PERIOD}="{budget.period}"'
        start, end = f"sum({PERIOD_START.where(period)})", f"sum({PERIOD_END.where(period)})"
        spent = f"(sum({TO_DATE[budget.period].where(*chosen)}) or vector(0))"
        yield Rule(record=START.name, expr=start, labels=named)
        yield Rule(record=END.name, expr=end, labels=named)
        yield Rule(record=SPENT.name, expr=spent, labels=named)
        for window in WINDOWS:
            yield Rule(
                record=FORECAST.name,
                expr=f"{spent} + avg_over_time({_hours(*chosen)}[{window}:1h]) / 3600 * ({end} - time())",
                labels={**named, WINDOW: window},
            )


def worked_out(choices: Choices) -> tuple[Budget, ...]:
    """Give the budgets whose figures come from the clients' money."""
    return tuple(budget for budget in choices.budgets if budget.source == "client" and budget.limit_usd is not None)


def _matchers(budget: Budget) -> tuple[str, ...]:
    """Select the money of a client-side budget; its patterns know `*` and `?`."""
    pattern = re.escape(budget.value).replace(r"\*", ".*").replace(r"\?", ".")
    whose = '!=""' if budget.value == "*" else f"=~{_quoted(pattern)}"
    byok = () if budget.is_byok_included else (f'{labels.LEDGER}!="upstream"',)
    return (f"{tag(budget.label)}{whose}", *byok)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _budget_rules(choices: Choices) -> Iterable[Rule]:
    grouping = f"max by ({BUDGET}, {SCOPE})"
    # An exporter with a ledger tells those as well: one series must not be written twice.
    own = "|".join(re.escape(budget.name) for budget in worked_out(choices))
    others = (f"{BUDGET}!~{_quoted(own)}",) if own else ()
    told = {
        LIMIT: catalogue.BUDGET_LIMIT,
        SPENT: catalogue.BUDGET_SPENT,
        START: catalogue.BUDGET_PERIOD_START_TIME,
        END: catalogue.BUDGET_PERIOD_END_TIME,
    }
    for series, row in told.items():
        # The last value within five minutes: one missed scrape must not end an alert.
        yield Rule(record=series.name, expr=f"{grouping} (last_over_time({of(row).where(*others)}[5m]))")
    forecast = of(catalogue.BUDGET_FORECAST).where(*others)
    yield Rule(record=FORECAST.name, expr=f"max by ({BUDGET}, {SCOPE}, {WINDOW}) (last_over_time({forecast}[5m]))")
    yield Rule(record=USED.name, expr=f"{SPENT.name} / ({LIMIT.name} > 0)")
    yield Rule(
        record=ELAPSED.name,
        expr=f"clamp((time() - {START.name}) / ({END.name} - {START.name} > 0), 0, 1)",
    )
    yield Rule(record=PACE.name, expr=f"{USED.name} / ({ELAPSED.name} > 0)")
    used, left = of(catalogue.ACCOUNT_CREDITS_USED).name, of(catalogue.ACCOUNT_CREDITS_REMAINING).name
    lately = f"max(last_over_time({used}[5m])) - max(last_over_time({used}[15m] offset 6h))"
    yield Rule(record=RUNWAY.name, expr=f"max(last_over_time({left}[5m])) / ({lately} > 0) * 21600")
    for window, seconds in zip(BURN_WINDOWS, (900, 1800, 3600, 21600), strict=True):
        yield Rule(record=BURN[window].name, expr=_burn(window, seconds))


def _burn(window: str, seconds: int) -> str:
    """Give how many times faster than even a budget was used in a window.

    A period that began inside the window began at nothing; elsewhere a missing base tells nothing, so that a young
    exporter does not page anyone. A gauge that fell was refunded, not reset.
    """
    base = f"last_over_time({SPENT.name}[10m] offset {window})"
    return (
        f"clamp_min({SPENT.name} - (\n"
        f"  ({base} and {START.name} <= time() - {seconds})\n"
        f"  or ({SPENT.name} * 0 and {START.name} > time() - {seconds})\n"
        f"), 0)\n"
        f"/ ({LIMIT.name} > 0)\n"
        f"* (({END.name} - {START.name}) / {seconds})"
    )
