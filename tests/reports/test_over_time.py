from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from or_otel.reports.over_time import Days, Spent, change, month_before, read_from_s


def test_a_period_stands_beside_the_one_before_up_to_the_same_time(frame, call, sections_of, rows_of):
    calls = [
        call("9", days_ago=15),  # long ago: the ledger reaches back over both periods
        call("4", days_ago=8),
        call("100", days_ago=6.9),  # 14:24 of the last day before: later than the noon now
        call("6", days_ago=6),
        call("2"),
    ]

    section = sections_of(Spent(frame()), calls)["spent"]
    rows = {row["period"]: row for row in rows_of(section)}

    assert (rows["period"]["cost_usd"], rows["before"]["cost_usd"]) == (Decimal(8), Decimal(4))
    assert rows["period"]["change"] == "+100%"
    assert section.lead == "$8.00 for 2 calls, +100% against the 7 days before."


def test_a_month_stands_beside_the_same_stretch_of_the_last_one_and_the_whole_of_it(frame, call, sections_of, rows_of):
    calls = [call("9", days_ago=60), call("5", days_ago=40), call("7", days_ago=25), call("3", days_ago=15), call("1")]

    rows = {row["period"]: row for row in rows_of(sections_of(Spent(frame()), calls)["spent"])}

    assert rows["month"]["cost_usd"] == Decimal(4)
    assert rows["last_so_far"]["cost_usd"] == Decimal(5)
    assert rows["last_month"]["cost_usd"] == Decimal(12)
    assert rows["month"]["change"] == "-20%"


def test_what_lies_before_the_ledger_s_begin_is_not_taken_for_nothing(frame, call, sections_of, rows_of):
    section = sections_of(Spent(frame()), [call("4", days_ago=8), call("8")])["spent"]

    assert [row["change"] for row in rows_of(section)] == [None] * 5
    assert section.lead == "$8.00 for 1 call."
    assert section.notes == ("The ledger begins on 2026-11-13: what came before it is not in these figures.",)


def test_unknown_money_makes_a_sum_a_floor(frame, call, sections_of):
    section = sections_of(Spent(frame()), [call("1"), call(None, unpriced="cancelled")])["spent"]

    assert section.lead == "≥ $1.00 for 2 calls."
    assert section.table.floors == {0, 2}


def test_money_that_nobody_told_is_unknown_and_a_time_without_calls_cost_nothing(frame, call, sections_of, rows_of):
    calls = [call("9", days_ago=60), call(None, unpriced="cancelled")]

    spent = {row["period"]: row["cost_usd"] for row in rows_of(sections_of(Spent(frame()), calls)["spent"])}
    days = sections_of(Days(frame()), calls)["days"]

    assert (spent["period"], spent["before"], spent["last_month"]) == (None, Decimal(0), Decimal(0))
    assert [row["cost_usd"] for row in rows_of(days)] == [*[Decimal(0)] * 6, None]
    assert days.table.floors == {6}


def test_months_begin_at_midnight_utc_and_end_at_the_period_s_end(frame, call, sections_of, rows_of):
    begin = 20 + 0.5 - 60 / 86_400  # days from the first of November to the noon's last minute
    calls = [
        call("1", days_ago=begin + 31.001),  # 30 September
        call("2", days_ago=begin + 31),
        call("4", days_ago=begin + 0.001),
        call("8", days_ago=begin),
        call("16"),
        call("32", days_ago=-60 / 86_400),  # at the very end
    ]

    section = sections_of(Spent(frame()), calls)["spent"]
    rows = {row["period"]: row["cost_usd"] for row in rows_of(section)}

    assert (rows["month"], rows["last_month"], rows["last_so_far"]) == (Decimal(24), Decimal(6), Decimal(2))
    assert [series.values[-1] for series in section.chart.series] == [Decimal(24), Decimal(6)]


def test_a_period_that_ends_with_a_month_is_held_against_that_month(frame, call, noon_s, sections_of, rows_of):
    end_s = noon_s - 20.5 * 86_400  # 1 November, 00:00
    october = frame(since_s=end_s - 7 * 86_400, until_s=end_s)

    section = sections_of(Spent(october), [call("4", days_ago=60), call("2", days_ago=30)])["spent"]

    spent = {row["period"]: row["cost_usd"] for row in rows_of(section)}
    assert (spent["month"], spent["last_month"]) == (Decimal(2), Decimal(4))
    assert read_from_s(frame(since_s=end_s - 86_400, until_s=end_s, days=1)) == end_s - 61 * 86_400  # 1 September


def test_the_running_totals_of_both_months_are_drawn(frame, call, sections_of):
    calls = [call("5", days_ago=51), call("3", days_ago=20), call("1")]

    chart = sections_of(Spent(frame()), calls)["spent"].chart

    assert [series.name for series in chart.series] == ["November", "October"]
    this, last = (series.values for series in chart.series)
    assert (this[0], this[20], len(this)) == (Decimal(3), Decimal(4), 21)
    assert (last[0], len(last), len(chart.labels)) == (Decimal(5), 31, 31)


def weeks(call, cost, days_ago, count=5):
    return [call(cost, days_ago=days_ago + 7 * number) for number in range(count, 0, -1)]


def test_a_day_twice_as_dear_as_its_weekday_usually_is_stands_out(frame, call, sections_of, rows_of):
    usual = [call("1", days_ago=60), *weeks(call, "10", 3)]  # Wednesdays

    calm = sections_of(Days(frame()), [*usual, call("19", days_ago=3)])
    wild = sections_of(Days(frame()), [*usual, call("31", days_ago=3)])

    assert "anomalies" not in calm
    assert wild["anomalies"].lead == "Wed 18 Nov: $31.00, 3.1 times the usual $10.00."
    assert wild["anomalies"].is_alarm
    assert [row["title"] for row in rows_of(wild["days"]) if row["is_unusual"]] == ["Wed 18 Nov"]


def test_one_wild_day_of_the_past_does_not_change_what_is_usual(frame, call, sections_of, rows_of):
    usual = [call("1", days_ago=60), *weeks(call, "10", 3, 4), call("900", days_ago=38)]

    found = sections_of(Days(frame()), [*sorted(usual, key=lambda each: each[0].started_at_s), call("1", days_ago=3)])

    assert {row["title"]: row["usual_usd"] for row in rows_of(found["days"])}["Wed 18 Nov"] == Decimal(10)


def test_nothing_is_usual_before_three_weeks(frame, call, sections_of, rows_of):
    found = sections_of(Days(frame()), [*weeks(call, "10", 3, 2), call("500", days_ago=3)])

    assert list(found) == ["days"]
    assert "usual_usd" not in rows_of(found["days"])[0]


def test_days_whose_prices_nobody_told_do_not_make_a_weekday_usually_free(frame, call, sections_of):
    untold = [call(None, days_ago=3 + 7 * week, unpriced="left") for week in (3, 2, 1)]
    free = [call("0", days_ago=3 + 7 * week) for week in (3, 2, 1)]
    dear = call("40", days_ago=3)

    assert "anomalies" not in sections_of(Days(frame()), [call("1", days_ago=25), *untold, dear])
    assert "anomalies" in sections_of(Days(frame()), [call("1", days_ago=25), *free, dear])


def test_cents_on_a_day_that_usually_costs_nothing_are_no_news(frame, call, sections_of):
    usual = [call("1", days_ago=60), *weeks(call, "10", 3)]

    small = sections_of(Days(frame()), [*usual, call("0.4", days_ago=2)])
    large = sections_of(Days(frame()), [*usual, call("40", days_ago=2)])

    assert "anomalies" not in small
    assert large["anomalies"].lead == "Thu 19 Nov: $40.00, where Thursdays usually cost nothing."


def test_days_are_drawn_by_the_dearest_models_and_the_rest_together(frame, call, sections_of):
    calls = [call(str(10 - number), response_model=f"m/{number}") for number in reversed(range(8))]

    chart = sections_of(Days(frame()), calls)["days"].chart

    assert [series.name for series in chart.series] == ["m/0", "m/1", "m/2", "m/3", "m/4", "others"]
    assert chart.labels[-1] == "Sat 21 Nov"
    assert chart.series[-1].values == (*[Decimal(0)] * 6, Decimal(12))


def test_calls_are_read_from_where_the_usual_and_the_last_month_begin(frame):
    week = frame()

    assert read_from_s(week) == week.since_s - 8 * 7 * 86_400


@pytest.mark.parametrize(
    ("day", "before"), [(date(2026, 1, 31), date(2025, 12, 1)), (date(2028, 3, 31), date(2028, 2, 1))]
)
def test_the_month_before_is_found_over_the_turn_of_years(day, before):
    assert month_before(day) == before


@pytest.mark.parametrize(
    ("now", "before", "said"),
    [
        ("2", "1", "+100%"),
        ("1", "2", "-50%"),
        ("1", "0", "new"),
        ("0", "0", None),
        (None, "1", None),
        ("1", None, None),
    ],
)
def test_a_change_is_said_only_where_both_sides_are_known(now, before, said):
    assert change(now and Decimal(now), before and Decimal(before)) == said
