"""Alerts about money: budgets, credits, keys, unusual spending. Recorded series and account gauges in, alerts out."""

from __future__ import annotations

from collections.abc import Iterable

from or_otel import catalogue
from or_otel.dashboards import rules
from or_otel.dashboards.alert import DURATION, SHARE, VALUE, Alert, Severity, latest, shown
from or_otel.dashboards.labels import BUDGET, KEY_HASH, KEY_NAME, SCOPE, WINDOW
from or_otel.dashboards.promql import JOB
from or_otel.dashboards.rules import Choices, increase

THRESHOLDS: tuple[tuple[str, float, Severity], ...] = (
    ("HalfSpent", 0.5, "info"),
    ("MostlySpent", 0.8, "warning"),
    ("Spent", 1.0, "critical"),
)
FAST_BURN = 14.4
"""Times the even pace: 2 % of a month's budget in an hour."""
SLOW_BURN = 6.0
"""Times the even pace: 5 % of a month's budget in six hours."""


def money_alerts(choices: Choices) -> Iterable[Alert]:
    """Give the alerts about money."""
    yield from _budget_alerts()
    yield from _account_alerts()
    yield from _spend_alerts(choices)


def _budget_alerts() -> Iterable[Alert]:
    whose = f"Budget {shown(BUDGET)} ({shown(SCOPE)})"
    variables = {"budget": BUDGET}
    used, elapsed = rules.USED.name, rules.ELAPSED.name
    for name, share, severity in THRESHOLDS:
        yield Alert(
            name=f"OrOtelBudget{name}",
            severity=severity,
            expr=f"{used} >= {share:g}",
            summary=f"{whose} is used to {SHARE}",
            description=f"{whose} has used {SHARE} of its limit; this is told at {share:.0%}.",
            board="or-otel-budgets",
            variables=variables,
        )
    week, day = (rules.FORECAST.where(f'{WINDOW}="{window}"') for window in ("7d", "1d"))
    yield Alert(
        name="OrOtelBudgetForecastOver",
        severity="warning",
        expr=f"(({week} or on ({BUDGET}, {SCOPE}) {day}) > on ({BUDGET}, {SCOPE}) {rules.LIMIT.name})\n"
        f"and on ({BUDGET}, {SCOPE}) {elapsed} > 0.1\nand on ({BUDGET}, {SCOPE}) {used} < 1",
        for_="1h",
        summary=f"{whose} will be overspent",
        description=f"At the pace of the last week {whose} ends its period at {VALUE} USD, above its limit.",
        board="or-otel-budgets",
        variables=variables,
    )
    yield Alert(
        name="OrOtelBudgetPaceAhead",
        severity="info",
        expr=f"{rules.PACE.name} > 1.2 and {elapsed} > 0.1 and {used} < 1",
        for_="1h",
        summary=f"{whose} is ahead of its time",
        description=f"{whose} is used {VALUE} times as fast as its period passes.",
        board="or-otel-budgets",
        variables=variables,
    )
    burns: tuple[tuple[str, Severity, float, str, str], ...] = (
        ("Fast", "critical", FAST_BURN, "1h", "15m"),
        ("Slow", "warning", SLOW_BURN, "6h", "30m"),
    )
    for name, severity, pace, long, short in burns:
        yield Alert(
            name=f"OrOtelBudgetBurn{name}",
            severity=severity,
            expr=f"{rules.BURN[long].name} > {pace} and {rules.BURN[short].name} > {pace}",
            summary=f"{whose} burns {VALUE} times as fast as even",
            description=f"In the last {long} {whose} was used {VALUE} times as fast as it may be to last its period, "
            f"and it still is.",
            board="or-otel-budgets",
            variables=variables,
        )


def _account_alerts() -> Iterable[Alert]:
    left = latest(catalogue.ACCOUNT_CREDITS_REMAINING)
    runway = rules.RUNWAY.name
    yield Alert(
        name="OrOtelCreditsLow",
        severity="warning",
        expr=f"{runway} < 3 * 86400",
        for_="30m",
        summary=f"OpenRouter credits last {DURATION}",
        description=f"At the pace of the last six hours the account's credits last {DURATION}.",
        board="or-otel-budgets",
    )
    yield Alert(
        name="OrOtelCreditsNearlyGone",
        severity="critical",
        # The balance without a pace: an account that ran dry spends nothing.
        expr=f"{runway} < 86400\nor\n{left} <= 0",
        for_="5m",
        summary="OpenRouter credits end within a day",
        description="The account's credits are used up or will be within a day; then every call fails with 402.",
        board="or-otel-budgets",
    )
    key = f"Key {shown(KEY_NAME)} ({shown(KEY_HASH)})"
    remaining, limit = (latest(row, KEY_NAME, KEY_HASH) for row in (catalogue.KEY_LIMIT_REMAINING, catalogue.KEY_LIMIT))
    enabled = f"unless {latest(catalogue.KEY_DISABLED, KEY_NAME, KEY_HASH)} == 1"
    yield Alert(
        name="OrOtelKeyNearLimit",
        severity="warning",
        expr=f"({remaining}\n/ ({limit} > 0) < 0.1 > 0)\n{enabled}",
        for_="5m",
        summary=f"{key} has {SHARE} of its limit left",
        description=f"{key} has {SHARE} of its limit left; at none OpenRouter refuses its calls.",
        board="or-otel-budgets",
        variables={"key": KEY_NAME},
    )
    yield Alert(
        name="OrOtelKeyExhausted",
        severity="critical",
        expr=f"({remaining} <= 0)\n{enabled}",
        summary=f"{key} has nothing left",
        description=f"{key} is at its limit ({VALUE} USD left): OpenRouter refuses its calls until that changes.",
        board="or-otel-budgets",
        variables={"key": KEY_NAME},
    )
    used, quota = (
        latest(row, KEY_NAME, KEY_HASH) for row in (catalogue.KEY_FREE_REQUESTS_USED, catalogue.KEY_FREE_REQUESTS_LIMIT)
    )
    yield Alert(
        name="OrOtelFreeQuotaNearlyUsed",
        severity="warning",
        expr=f"{used}\n/ ({quota} > 0) >= 0.9",
        for_="5m",
        summary=f"{key} used {SHARE} of today's free requests",
        description=f"{key} used {SHARE} of the free requests of this UTC day; beyond, `:free` models answer 429.",
        board="or-otel-budgets",
        variables={"key": KEY_NAME},
    )


def _spend_alerts(choices: Choices) -> Iterable[Alert]:
    few_calls = f"sum by ({JOB}) ({increase(catalogue.CALLS).name}) < 10"
    yield Alert(
        name="OrOtelSpendSpike",
        severity="critical",
        expr=f"{rules.JOB_COST_5M.name} > 5 * {rules.USUAL_5M_MEAN.name}\n"
        # 2.5, not 2: of 40 simulated months of noise eight had more than one false page at 2, none at 2.5.
        f"and {rules.JOB_COST_5M.name} > 2.5 * {rules.USUAL_5M_HIGH.name}\n"
        f"and {rules.JOB_COST_5M.name} > {choices.spike_usd:g}\n"
        f"unless {few_calls}",
        summary=f"{shown(JOB)} spent {VALUE} USD in five minutes",
        description=f"{shown(JOB)} spent {VALUE} USD in five minutes: five times its mean of a week, and two "
        "and a half times as much as all but its highest hundredth. Retry loops and runaway agents look like this.",
        board="or-otel-overview",
        variables={"service": JOB},
    )
    yield Alert(
        name="OrOtelSpendUnusual",
        severity="warning",
        expr=f"{rules.JOB_COST_1H.name} > 3 * {rules.USUAL_1H_MEDIAN.name}\n"
        f"and {rules.JOB_COST_1H.name} > 1.25 * {rules.USUAL_1H_HIGH.name}\n"
        f"and {rules.JOB_COST_1H.name} > {choices.anomaly_usd:g}",
        for_="30m",
        summary=f"{shown(JOB)} spends {VALUE} USD an hour",
        description=f"{shown(JOB)} spent {VALUE} USD in an hour: three times its median of a week, and above nearly "
        "every hour of it.",
        board="or-otel-attribution",
        variables={"service": JOB},
    )
