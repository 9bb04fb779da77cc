"""What the recording rules say about money, asked of a real Prometheus engine."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from or_otel import catalogue, semconv
from or_otel.budgets import Budget
from or_otel.dashboards import rules
from or_otel.dashboards.promql import label, of, tag
from or_otel.dashboards.rules import Choices

CLIENT = of(catalogue.COST).name
SPANS = of(catalogue.SPANS_COST).name
LEDGER = of(catalogue.LEDGER_COST).name
HOUR = rules.COST_1H.name
COST = {"or-otel-cost"}
CALENDAR = {"or-otel-cost", "or-otel-calendar"}


def client(**labels):
    told = ", ".join(f'{key}="{value}"' for key, value in labels.items())
    return f"{CLIENT}{{{told}}}"


def test_a_job_that_exports_once_is_counted_whole(promtool):
    series = {client(job="a", instance=f"one-shot-{n}"): f"_x{125 + 5 * n} 5 stale" for n in range(7)}

    hour, naive = promtool.sums(
        series, [(HOUR, "3h"), (f"sum(increase({CLIENT}[1h])) or vector(0)", "3h")], groups=COST
    )

    assert hour == 35
    assert naive == 0


def test_long_and_short_lives_add_up_to_what_was_spent(promtool):
    series = {
        client(job="a", instance="long-lived"): "0+0.01x180",  # 0.6 in the last hour
        client(job="a", instance="before"): "_x30 7 stale",  # 0
        client(job="a", instance="three exports"): "_x140 1 2 3 stale",  # 3
        client(job="a", instance="over the edge"): "_x110 1+0.1x20 stale",  # 1 of its 3 after 2 h
        client(job="a", instance="silent over the edge"): "0+0.1x100 _x40 11 11 11",  # 1 of its 11
    }

    (hour,) = promtool.sums(series, [(HOUR, "3h")], groups=COST)

    assert hour == pytest.approx(0.6 + 3 + 1 + 1)


@pytest.mark.parametrize(
    ("values", "truth", "tolerance"),
    [
        ("0+1x150 0+1x30", 60, 0.02),  # falls inside the window: within a sample's spacing
        ("0+1x150 0+10x29", 30 + 290, 0.02),  # falls inside and ends higher than before
        ("0+1x130 0+1x20 0+1x28", 10 + 20 + 28, 0.04),  # falls twice inside
        ("0+1x120 0+1x59", 59, 0.02),  # falls on the edge and stays lower
        ("0+1x120 0+10x59", 590, 0.02),  # falls on the edge and ends higher than before
        ("0+1x100 _x30 0+10x49", 490, 0),  # was away over the edge, and ends higher
        ("5+0x180", 0, 0),  # spends nothing
    ],
)
def test_a_restart_neither_loses_money_nor_invents_it(promtool, values, truth, tolerance):
    (hour,) = promtool.sums({client(job="a", instance="a:80"): values}, [(HOUR, "3h")], groups=COST)

    assert hour == pytest.approx(truth, rel=tolerance, abs=1e-9)


def test_adjoining_windows_share_nothing_and_miss_nothing(promtool):
    series = {
        client(job="a", instance="x"): "0+0.5x300",
        client(job="a", instance="y"): "_x59 3 stale",
        client(job="a", instance="z"): "_x60 4 stale",
        client(job="a", instance="w"): "_x61 5 stale",
    }
    questions = [
        (f"sum(sum_over_time({HOUR}[4h:1h]))", "4h"),
        (f"sum(sum_over_time({rules.COST_5M.name}[4h:5m]))", "4h"),
    ]

    hours, minutes = promtool.sums(series, questions, groups=COST)

    assert hours == pytest.approx(120 + 12)
    assert minutes == pytest.approx(120 + 12)


def test_processes_and_releases_become_one_series_and_tags_stay(promtool):
    team = tag("team")
    series = {
        client(job="a", instance="1", service_version="1.0", **{team: "search"}): "0+1x60",
        client(job="a", instance="2", service_version="1.1", **{team: "search"}): "0+1x60",
    }

    (hour,) = promtool.ask(series, [(HOUR, "1h")], groups=COST)

    assert hour == {(("job", "a"), (team, "search"), ("source", "client")): 120}


def test_a_dollar_that_three_pipelines_count_shows_once(promtool):
    job = "nightly"
    service = label(semconv.SERVICE_NAME)
    series = {
        client(job=job, instance="p1"): "0+1x60",
        f'{SPANS}{{job="{job}", instance="collector"}}': "0+1x60",
        f'{LEDGER}{{job="or-otel-exporter", instance="e:9877", {service}="{job}"}}': "100+1x60",
    }
    query = f"sum by (job, source) ({rules.COST_5M.name})"

    for choices, source in (
        (Choices(), "client"),
        (Choices(sources={job: "spans"}), "spans"),
        (Choices(sources={job: "ledger"}), "ledger"),
        (Choices(default_source="spans"), "spans"),
        (Choices(default_source="ledger"), "ledger"),
        (Choices(default_source="ledger", sources={job: "client"}), "client"),
    ):
        (seen,) = promtool.ask(series, [(query, "50m")], choices=choices, groups=COST)
        assert seen == {(("job", job), ("source", source)): 5}


def test_each_service_may_take_another_pipeline(promtool):
    series = {f'{name}{{job="{job}", instance="i"}}': "0+1x60" for job in ("api", "cron") for name in (CLIENT, SPANS)}

    (seen,) = promtool.ask(
        series,
        [(f"sum by (job, source) ({rules.COST_5M.name})", "50m")],
        choices=Choices(sources={"cron": "spans"}),
        groups=COST,
    )

    assert seen == {(("job", "api"), ("source", "client")): 5, (("job", "cron"), ("source", "spans")): 5}


def test_starting_the_exporter_books_nothing_of_the_ledger_s_past(promtool):
    ledger = f'{LEDGER}{{job="e", model="%s"}}'
    series = {ledger % "old": "_x60 500+1x200", ledger % "new": "_x220 7 7 7+0x60"}
    choices = Choices(default_source="ledger")

    first, later = promtool.sums(series, [(f"{HOUR} or vector(0)", "90m"), (HOUR, "4h")], choices=choices, groups=COST)

    assert first == 0
    assert later == 60 + 7


def test_a_pruned_ledger_books_nothing(promtool):
    (hour,) = promtool.sums(
        {f'{LEDGER}{{job="e"}}': "500+1x100 20+1x80"},
        [(HOUR, "2h")],
        choices=Choices(default_source="ledger"),
        groups=COST,
    )

    assert hour == 0


def test_a_month_is_summed_from_its_first_second_and_starts_anew(promtool):
    month = f"sum({rules.TO_DATE['month'].name})"
    day = f"sum({rules.TO_DATE['day'].name})"
    questions = [
        (month, "30d23h"),
        (month, "30d23h30m"),
        (f"{month} or vector(0)", "31d"),
        (month, "31d5h30m"),
        (month, "33d0h30m"),
        (day, "33d0h30m"),
        (day, "33d23h30m"),
        (rules.MONTH_ELAPSED.name, "45d"),
    ]
    three_dollars_an_hour = {f"{HOUR}{{}}": "3x14000", f"{rules.COST_5M.name}{{}}": "0.25x14000"}

    answers = promtool.sums(three_dollars_an_hour, questions, groups={"or-otel-calendar"}, interval="30m", sampled="5m")

    assert answers == pytest.approx([743 * 3, 743.5 * 3, 0, 5.5 * 3, 48.5 * 3, 0.5 * 3, 23.5 * 3, 0.5], abs=0.01)


def test_a_month_is_held_against_the_same_day_of_the_month_before(promtool):
    # Of 1970: a day of March that February has is held against it, a later one against the end of the 28th.
    then = {
        "59d6h": "31d6h",  # 1 March, 1 February
        "61d12h": "33d12h",
        "86d12h": "58d12h",  # the 28th
        "87d12h": "58d12h",
        "88d12h": "58d12h",
        "89d22h": "58d22h",
        "90d6h": "59d6h",  # 1 April, 1 March
    }
    questions = [(rules.MONTH_BEFORE.name, at) for at in then]
    questions += [(rules.TO_DATE["month"].name, at) for at in then.values()]
    # A dollar more each hour: no two hours of a month cost the same.
    dearer = {f"{HOUR}{{}}": "0+1x2200", f"{rules.COST_5M.name}{{}}": "0x2200"}

    answers = promtool.sums(dearer, questions, groups={"or-otel-calendar"}, interval="2h", sampled="1h")

    assert answers[: len(then)] == answers[len(then) :]
    assert min(answers) > 0


def test_weeks_begin_on_monday(promtool):
    start = rules.PERIOD_START.where('period="week"')

    # The first of January 1970 was a Thursday.
    answers = promtool.sums(
        {}, [(start, "3d23h"), (start, "4d"), (start, "10d23h")], groups={"or-otel-calendar"}, interval="1h"
    )

    assert answers == [-3 * 86400, 4 * 86400, 4 * 86400]


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


def test_a_client_side_budget_reads_the_money_of_its_tag(promtool):
    team, ledger = tag("team"), label(semconv.OPENROUTER_COST_LEDGER)
    budget = Budget(name="search", scope="team", value="search*", limit_usd=Decimal(100), period="day")
    budgets = (
        Budget(name="all", scope="feature", value="*", limit_usd=Decimal(50), period="day"),
        Budget(name="docs", scope="feature", value="d?cs", limit_usd=Decimal("0.10"), period="month"),
        Budget(name="own", scope="feature", value="d?cs", limit_usd=Decimal(7), period="week", is_byok_included=False),
        Budget(name="none", scope="customer", value="acme", limit_usd=Decimal(7), period="lifetime"),
        budget,
    )
    feature = tag("feature")
    series = {
        client(job="a", instance="1", **{feature: "docs", ledger: "openrouter"}): "0+1x48",
        client(job="a", instance="1", **{feature: "docs", ledger: "upstream"}): "0+2x48",
        client(job="a", instance="1", **{feature: "chat", ledger: "openrouter"}): "0+4x48",
        client(job="a", instance="1", **{team: "search-eu"}): "0+8x48",
    }

    spent, limits = promtool.ask(
        series,
        [
            (f"sum by ({rules.BUDGET}) ({rules.SPENT.name})", "4h"),
            (f"sum by ({rules.BUDGET}) ({rules.LIMIT.name})", "4h"),
        ],
        choices=Choices(budgets=budgets),
        groups={*CALENDAR, "or-otel-budgets"},
        interval="5m",
    )

    assert {name: value for ((_, name),), value in spent.items()} == {
        "all": 7 * 48,
        "docs": 3 * 48,
        "own": 48,
        "none": 0,
    }
    assert {name: value for ((_, name),), value in limits.items()} == {"all": 50, "docs": 0.1, "own": 7, "none": 7}


def test_a_budget_that_the_rules_work_out_is_not_taken_from_the_exporter_as_well(promtool):
    labels = f'{rules.BUDGET}="docs.eu", {rules.SCOPE}="feature", job="e", instance="i"'
    series = {
        client(job="a", instance="1", **{tag("feature"): "docs"}): "0+1x48",
        f"{of(catalogue.BUDGET_SPENT).name}{{{labels}}}": "999x48",
    }
    budget = Budget(name="docs.eu", scope="feature", value="docs", limit_usd=Decimal(100), period="day")

    (spent,) = promtool.ask(
        series,
        [(f"sum by ({rules.BUDGET}) ({rules.SPENT.name})", "4h")],
        choices=Choices(budgets=(budget,)),
        groups={*CALENDAR, "or-otel-budgets"},
        interval="5m",
    )

    assert list(spent.values()) == [48]


def test_a_budget_only_the_account_knows_comes_from_the_exporter(promtool):
    labels = f'{rules.BUDGET}="month", {rules.SCOPE}="account", job="e", instance="i"'
    series = {
        f"{of(catalogue.BUDGET_LIMIT).name}{{{labels}}}": "200x60",
        f"{of(catalogue.BUDGET_SPENT).name}{{{labels}}}": "50x30 _x4 60x30",
        f"{of(catalogue.BUDGET_PERIOD_START_TIME).name}{{{labels}}}": "0x60",
        f"{of(catalogue.BUDGET_PERIOD_END_TIME).name}{{{labels}}}": "36000x60",
    }
    choices = Choices(budgets=(Budget(name="month", limit_usd=Decimal(200)),))
    questions = [
        (rules.USED.name, "30m"),
        (rules.USED.name, "34m"),
        (rules.PACE.name, "30m"),
        (rules.ELAPSED.name, "30m"),
    ]

    answers = promtool.sums(series, questions, choices=choices, groups={"or-otel-budgets"})

    assert answers == pytest.approx([0.25, 0.25, 5, 0.05])


def test_every_name_recorded_is_declared_and_the_reverse():
    budgets = (Budget(name="b", scope="feature", limit_usd=Decimal(1)),)
    recorded = {
        rule.record for group in rules.groups(Choices(sources={"a": "spans"}, budgets=budgets)) for rule in group.rules
    }

    assert recorded == {series.name for series in rules.RECORDED}
