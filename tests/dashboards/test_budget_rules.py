"""What the recording rules say about budgets, credits and forecasts, asked of a real Prometheus engine."""

from __future__ import annotations

import random
from decimal import Decimal

import pasts
import pytest

from or_otel import catalogue, semconv
from or_otel.budgets import Budget
from or_otel.dashboards import rules
from or_otel.dashboards.promql import label, of, tag
from or_otel.dashboards.rules import Choices

CALENDAR = {"or-otel-cost", "or-otel-calendar"}
FROM_THE_EXPORTER = {
    rules.LIMIT: catalogue.BUDGET_LIMIT,
    rules.SPENT: catalogue.BUDGET_SPENT,
    rules.START: catalogue.BUDGET_PERIOD_START_TIME,
    rules.END: catalogue.BUDGET_PERIOD_END_TIME,
}


def client(**labels):
    return pasts.series(catalogue.COST, **labels)


WEEKDAYS = [1.0, 1.0, 0.3, 0.3, 1.0, 1.0, 1.0]
"""Load from a Thursday on."""


def weekday_load(days, step_s=300, daily_usd=24.0):
    """Give a counter's values: office hours on weekdays, little at night and on weekends, no five minutes alike."""
    chance = random.Random(7)
    total, values = 0.0, [0.0]
    for step in range(1, int(days * 86400 / step_s) + 1):
        at_s = step * step_s
        hour = at_s % 86400 / 3600
        shape = 2.0 if 8 <= hour < 18 else 0.2857
        total += daily_usd / 86400 * step_s * shape * WEEKDAYS[int(at_s // 86400) % 7] * chance.expovariate(1)
        values.append(total)
    return values


def test_the_forecast_of_day_ten_is_within_a_tenth_on_a_weekday_shaped_load(promtool):
    values = weekday_load(31)
    forecast = rules.MONTH_FORECAST.where(f'{rules.WINDOW}="7d"')

    (answer,) = promtool.sums(
        {client(job="a", instance="i"): " ".join(f"{value:.4f}" for value in values)},
        [(forecast, "10d")],
        groups=CALENDAR,
        interval="5m",
    )

    print(f"day-10 forecast: {answer:.2f} of {values[-1]:.2f} USD, {answer / values[-1] - 1:+.1%}")  # noqa: T201
    assert answer == pytest.approx(values[-1], rel=0.1)


NIGHTLY = dict.fromkeys(range(1, 10), 10) | {10: 17}
"""Day → what a job spends at 03:20."""


@pytest.mark.parametrize(
    ("runs", "daily", "is_alone"),
    [
        (NIGHTLY, {"1d": 17, "7d": (6 * 10 + 17) / 7}, True),
        (NIGHTLY, {"1d": 17, "7d": (6 * 10 + 17) / 7}, False),
        ({1: 10, 8: 10}, {"1d": 0, "7d": 10 / 7}, True),
    ],
)
def test_a_job_that_runs_once_a_night_or_week_is_not_taken_to_spend_all_day(promtool, runs, daily, is_alone):
    team = tag("team")
    series = {
        client(job="n", instance=f"{day}", **{team: "n"}): f"_x{(day * 1440 + 200) // 5} {amount} stale"
        for day, amount in runs.items()
    }
    if not is_alone:
        series[client(job="a", instance="i")] = "0x3100"
    budget = Budget(name="n", scope="tag:team", value="n", limit_usd=Decimal(900), period="month")
    by_window = [f"sum by ({rules.WINDOW}) ({each.name})" for each in (rules.MONTH_FORECAST, rules.FORECAST)]

    answers = promtool.ask(
        series,
        [(expr, "10d12h") for expr in by_window],
        choices=Choices(budgets=(budget,)),
        groups={*CALENDAR, "or-otel-budgets"},
        interval="1h",
        sampled="5m",
    )

    ends_at = {window: pytest.approx(sum(runs.values()) + usd * 20.5) for window, usd in daily.items()}
    assert [{window: value for ((_, window),), value in answer.items()} for answer in answers] == [ends_at] * 2


def test_a_service_of_yesterday_is_not_thought_to_have_been_cheap_before(promtool):
    (answer,) = promtool.ask(
        {client(job="a", instance="i"): "_x2592 0+1x700"},  # from the tenth day on 12 USD an hour
        [(rules.MONTH_FORECAST.name, "10d12h")],
        groups=CALENDAR,
        interval="1h",
        sampled="5m",
    )

    assert list(answer.values()) == pytest.approx([36 * 12 + 12 * 24 * 20.5] * 2, rel=0.03)


def test_a_client_side_budget_reads_the_money_of_its_tag(promtool):
    team, ledger = tag("team"), label(semconv.OPENROUTER_COST_LEDGER)
    budget = Budget(name="search", scope="team", value="search*", limit_usd=Decimal(100), period="day")
    budgets = (
        Budget(name="all", scope="feature", value="*", limit_usd=Decimal(50), period="day"),
        Budget(name="docs", scope="feature", value="d?cs", limit_usd=Decimal("0.10"), period="month"),
        Budget(name="own", scope="feature", value="d?cs", limit_usd=Decimal(7), period="week", is_byok_included=False),
        Budget(name="none", scope="customer", value="acme", limit_usd=Decimal(7), period="lifetime"),
        Budget(name="ever", scope="feature", value="chat", limit_usd=Decimal(7), period="lifetime"),
        Budget(name="nobody", scope="feature", value="doc", limit_usd=Decimal(7), period="day"),
        budget,
    )
    feature = tag("feature")
    series = {
        client(job="a", instance="1", **{feature: "docs", ledger: "openrouter"}): "0+1x48",
        client(job="a", instance="1", **{feature: "docs", ledger: "upstream"}): "0+2x48",
        client(job="a", instance="1", **{feature: "chat", ledger: "openrouter"}): "0+4x48",
        client(job="a", instance="1", **{team: "search-eu"}): "0+8x48",
    }

    forecasts = [rules.FORECAST.where(f'{rules.WINDOW}="{window}"') for window in rules.WINDOWS]
    asked = [*(each.name for each in (rules.SPENT, rules.LIMIT, rules.START, rules.END)), *forecasts]
    answers = promtool.ask(
        series,
        [(f"sum by ({rules.BUDGET}) ({each})", "4h") for each in asked],
        choices=Choices(budgets=budgets),
        groups={*CALENDAR, "or-otel-budgets"},
        interval="5m",
    )
    spent, limits, starts, ends, yesterday, week = (
        {name: value for ((_, name),), value in answer.items()} for answer in answers
    )

    # Of a lifetime, its closed hours.
    assert spent == {"all": 7 * 48, "docs": 3 * 48, "own": 48, "none": 0, "ever": 4 * 48, "nobody": 0}
    assert limits == {"all": 50, "docs": 0.1, "own": 7, "none": 7, "ever": 7, "nobody": 7}
    # Of 1970, which began on a Thursday.
    days = {"all": (0, 1), "docs": (0, 31), "own": (-3, 4), "nobody": (0, 1)}
    assert starts == {name: start * 86400 for name, (start, _) in days.items()}
    assert ends == {name: end * 86400 for name, (_, end) in days.items()}
    # Midnight, before anything was spent, is one of the five hours.
    hours_left = {name: end * 24 - 4 for name, (_, end) in days.items()}
    assert yesterday == week == {name: pytest.approx(spent[name] * (1 + left / 5)) for name, left in hours_left.items()}


def test_a_budget_that_the_rules_work_out_is_not_taken_from_the_exporter_as_well(promtool):
    labels = f'{rules.BUDGET}="docs.eu", {rules.SCOPE}="feature", job="e", instance="i"'
    series = {
        client(job="a", instance="1", **{tag("feature"): "docs"}): "0+1x48",
        **{f"{of(row).name}{{{labels}}}": "999x48" for row in FROM_THE_EXPORTER.values()},
        f'{of(catalogue.BUDGET_FORECAST).name}{{{labels}, {rules.WINDOW}="7d"}}': "999x48",
    }
    budget = Budget(name="docs.eu", scope="feature", value="docs", limit_usd=Decimal(100), period="day")

    answers = promtool.ask(
        series,
        [(f"sum by ({rules.BUDGET}) ({each.name})", "4h") for each in (*FROM_THE_EXPORTER, rules.FORECAST)],
        choices=Choices(budgets=(budget,)),
        groups={*CALENDAR, "or-otel-budgets"},
        interval="5m",
    )

    *told, forecasts = (value for answer in answers for value in answer.values())
    assert told == [100, 48, 0, 86400]
    assert forecasts == pytest.approx(2 * (48 + 48 / 5 * 20))


def test_what_the_exporter_told_last_stands_for_five_minutes(promtool):
    labels = f'{rules.BUDGET}="month", {rules.SCOPE}="account", job="e", instance="i"'
    told = "10x30 2x4 30x29 _x30"  # another value from minute 31 and from minute 36 on, the last in minute 65
    series = {f"{of(row).name}{{{labels}}}": told for row in FROM_THE_EXPORTER.values()}
    series[f'{of(catalogue.BUDGET_FORECAST).name}{{{labels}, {rules.WINDOW}="7d"}}'] = told
    recorded = (*FROM_THE_EXPORTER, rules.FORECAST)
    times = {"30m": 10, "33m": 2, "37m": 30, "69m": 30, "71m": None}

    answers = promtool.sums(series, [(each.name, at) for each in recorded for at in times], groups={"or-otel-budgets"})

    assert answers == [*times.values()] * len(recorded)


def test_a_period_is_never_more_than_over_and_nothing_has_a_pace_at_its_begin(promtool):
    def budget(name, start, end, limit=100):
        return pasts.budget("50x60", name=name, start=f"{start}x60", end=f"{end}x60", limit=limit)

    series = budget("over", -3600, 600) | budget("to come", 3600, 7200) | budget("no limit", 0, 3600, limit=0)
    by_budget = [f"sum by ({rules.BUDGET}) ({each.name})" for each in (rules.ELAPSED, rules.PACE, rules.USED)]

    answers = promtool.ask(series, [(each, "30m") for each in by_budget], groups={"or-otel-budgets"})

    elapsed, pace, used = ({name: value for ((_, name),), value in answer.items()} for answer in answers)
    assert elapsed == {"over": 1, "to come": 0, "no limit": 0.5}
    assert pace == {"over": 0.5}
    assert used == {"over": 0.5, "to come": 0.5}


def test_credits_of_which_nothing_is_spent_do_not_run_out(promtool):
    past = pasts.balance("5x400", "10x400")

    assert promtool.sums(past, [(rules.RUNWAY.name, "390m")], groups={"or-otel-budgets"}) == [None]


def test_a_budget_only_the_account_knows_comes_from_the_exporter(promtool):
    series = pasts.budget("50x30 _x4 60x30", limit=200, start="0x60", end="36000x60")
    choices = Choices(budgets=(Budget(name="month", limit_usd=Decimal(200)),))
    questions = [
        (rules.USED.name, "30m"),
        (rules.USED.name, "34m"),
        (rules.PACE.name, "30m"),
        (rules.ELAPSED.name, "30m"),
    ]

    answers = promtool.sums(series, questions, choices=choices, groups={"or-otel-budgets"})

    assert answers == pytest.approx([0.25, 0.25, 5, 0.05])
