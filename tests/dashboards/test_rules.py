"""What the recording rules say about money, asked of a real Prometheus engine."""

from __future__ import annotations

from decimal import Decimal

import pasts
import pytest

from or_otel import catalogue, semconv
from or_otel.budgets import Budget
from or_otel.dashboards import labels, rules
from or_otel.dashboards.promql import label, of, tag
from or_otel.dashboards.rules import Choices

CLIENT = of(catalogue.COST).name
SPANS = of(catalogue.SPANS_COST).name
LEDGER = of(catalogue.LEDGER_COST).name
HOUR = rules.COST_1H.name
COST = {"or-otel-cost"}


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
        client(job="a", instance="the hour before"): "_x90 7 stale",  # 0
        client(job="a", instance="restarted before"): "0+1x90 0+1x10 _x40 10+0.1x37",  # 3.7
        client(job="a", instance="three exports"): "_x140 1 2 3 stale",  # 3
        client(job="a", instance="over the edge"): "_x110 1+0.1x20 stale",  # 1 of its 3 after 2 h
        client(job="a", instance="silent over the edge"): "0+0.1x100 _x40 11 11 11",  # 1 of its 11
    }

    (hour,) = promtool.sums(series, [(HOUR, "3h")], groups=COST)

    assert hour == pytest.approx(0.6 + 3.7 + 3 + 1 + 1)


def test_a_process_goes_on_after_a_day_s_silence_and_not_after_two(promtool):
    # Silent from the second hour on; with 1 USD more when it is heard again.
    series = {client(job=f"{hours} h", instance="i"): f"0+0.5x24 _x{12 * hours} 13" for hours in (20, 30)}
    hour = f"sum by (job) (max_over_time({HOUR}[1h:5m]))"

    answers = promtool.ask(series, [(hour, "22h30m"), (hour, "32h30m")], groups=COST, interval="5m")

    assert answers == [{(("job", "20 h"),): 1}, {(("job", "30 h"),): 13}]


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


def test_an_exporter_that_was_away_books_what_came_meanwhile_for_a_day(promtool):
    ledger = f'{LEDGER}{{job="%s"}}'
    series = {
        # Away from the second hour on; with 1 USD more when it is back.
        **{ledger % f"{hours} h": f"500+0.5x24 _x{12 * hours} 513" for hours in (20, 30)},
        ledger % "gone": "500+1x26 _x700",  # since ten minutes after the second hour
    }
    hour = f"sum by (job) (max_over_time({HOUR}[1h:5m]))"
    choices = Choices(default_source="ledger")

    answers = promtool.ask(
        series,
        [(f"sum by (job) ({HOUR})", "3h"), (hour, "22h30m"), (f"{hour} or vector(0)", "32h30m")],
        choices=choices,
        groups=COST,
        interval="5m",
    )

    assert answers == [{(("job", "gone"),): 2}, {(("job", "20 h"),): 1}, {(): 0}]


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


def test_day_week_and_month_begin_at_midnight_and_leave_out_what_tells_calls_apart(promtool):
    kept = {"job": "a", "source": "client", labels.MODEL: "m", labels.LEDGER: "openrouter", tag("team"): "search"}
    first = kept | dict.fromkeys(rules.DETAIL, "x")
    # A dollar an hour each, that differ in what is left out; and two of another model.
    everyone = [first, *(first | {name: "y"} for name in rules.DETAIL), first | {labels.MODEL: "n"}]
    series = {}
    for told in everyone:
        whose = ", ".join(f'{name}="{value}"' for name, value in told.items())
        series |= {f"{HOUR}{{{whose}}}": "1x2500", f"{rules.COST_5M.name}{{{whose}}}": "0.125x2500"}
    times = ("4d", "4d45m", "4d3h", "4d3h45m", "8d12h")
    recorded = (rules.RUNNING_HOUR, *(rules.TO_DATE[period] for period in ("day", "week", "month")))

    answers = promtool.ask(
        series,
        [(each.name, at) for each in recorded for at in times],
        groups={"or-otel-calendar"},
        interval="45m",
        sampled="5m",
    )

    def hours(*spent):
        """Give what the two models spent in so many hours, at each time."""
        names = [tuple(sorted((kept | {labels.MODEL: model}).items())) for model in "mn"]
        return [dict(zip(names, (each * 8, each), strict=True)) if each else {} for each in spent]

    told = [{tuple(sorted(name)): value for name, value in answer.items()} for answer in answers]
    # The fifth of January 1970 is a Monday.
    assert told[0:5] == hours(0, 1.125, 0, 1.125, 0)
    assert told[5:10] == hours(0, 1.125, 3, 4.125, 12)
    assert told[10:15] == hours(0, 1.125, 3, 4.125, 108)
    assert told[15:20] == hours(96, 97.125, 99, 100.125, 204)


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


def test_what_is_usual_is_of_the_last_week_and_of_those_who_were_there_a_day_ago(promtool):
    hours = {
        # Dear once, 3 USD and 1 USD each half of the last week, and what is judged now.
        "old": "100x167 3x83 1x83 50",
        "of a day": "_x310 2x25 50",
        "young": "_x315 2x20 50",
        "paused": "_x200 2x23 _x108 2x3 50",
        "back": "2x100 _x230 2x4 50",
        "rising": "_x168 0+1x167 50",
    }
    series = {
        f'{spent.name}{{job="{job}"}}': told
        for spent in (rules.JOB_COST_5M, rules.JOB_COST_1H)
        for job, told in hours.items()
    }
    asked = (rules.USUAL_5M_MEAN, rules.USUAL_5M_HIGH, rules.USUAL_1H_MEDIAN, rules.USUAL_1H_HIGH)

    answers = promtool.ask(series, [(each.name, "14d") for each in asked], groups={"or-otel-usual"}, interval="1h")

    rising = (83.5, 0.99 * 167, 83.5, 0.95 * 167)
    for answer, of_old, of_rising in zip(answers, (2, 3, 2, 3), rising, strict=True):
        assert {job: value for ((_, job),), value in answer.items()} == {
            "old": pytest.approx(of_old, rel=0.01),
            "of a day": 2,
            "paused": 2,
            "rising": pytest.approx(of_rising),
        }


def test_periods_begin_and_end_on_the_second(promtool):
    questions = [(f"sum by (period) ({each.name})", "45d5h30m") for each in (rules.PERIOD_START, rules.PERIOD_END)]

    answers = promtool.ask({}, questions, groups={"or-otel-calendar"}, interval="30m")

    starts, ends = ({name: value / 3600 for ((_, name),), value in answer.items()} for answer in answers)
    # A Sunday of February.
    assert starts == {"hour": 45 * 24 + 5, "day": 45 * 24, "week": 39 * 24, "month": 31 * 24}
    assert ends == {"hour": 45 * 24 + 6, "day": 46 * 24, "week": 46 * 24, "month": 59 * 24}


def test_rates_are_of_a_second_by_service_model_and_provider(promtool):
    past = {
        **pasts.calls("0+6x90", "0+6x90", **{labels.PROVIDER: "p"}),
        **pasts.calls("0+6x90", "0x90", instance="another", **{labels.PROVIDER: "p"}),
        pasts.series(catalogue.CALLS, **{labels.MODEL: "never fails", labels.PROVIDER: "p"}): "0+6x90",
        **{
            pasts.series(catalogue.CLIENT_TOKENS, **{labels.MODEL: "m", labels.TOKEN_TYPE: kind}): f"0+{tokens}x90"
            for kind, tokens in {"input_fresh": 600, "output_text": 60}.items()
        },
    }
    recorded = (rules.CALLS_RATE, rules.ERRORS_RATE, rules.TOKENS_RATE)

    answers = promtool.ask(
        past,
        [(of_window[window].name, "90m") for of_window in recorded for window in ("5m", "1h")],
        groups={"or-otel-cost", "or-otel-counters"},
    )

    calls, calls_1h, errors, errors_1h, tokens, tokens_1h = (
        {dict(told)[labels.MODEL]: value for told, value in answer.items()} for answer in answers
    )
    assert calls == calls_1h == {"m": pytest.approx(0.3), "never fails": pytest.approx(0.1)}
    assert errors == errors_1h == {"m": pytest.approx(0.1), "never fails": 0}
    assert tokens == tokens_1h == {"m": pytest.approx(11)}
    assert {dict(told)[labels.PROVIDER] for told in answers[0]} == {"p"}


def test_every_name_recorded_is_declared_and_the_reverse():
    budgets = (Budget(name="b", scope="feature", limit_usd=Decimal(1)),)
    recorded = {
        rule.record for group in rules.groups(Choices(sources={"a": "spans"}, budgets=budgets)) for rule in group.rules
    }

    assert recorded == {series.name for series in rules.RECORDED}
