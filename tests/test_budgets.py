from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from or_otel.accounts import AccountKey, Spend
from or_otel.budgets import (
    Budget,
    Period,
    Sample,
    Spending,
    budget_state,
    period_at,
    spendings_of_key,
    thinned,
)
from or_otel.budgets.spending import curve_of, spending_of_days, totals_of
from or_otel.days import DAY_S

HOUR_S = 3600


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


MIDMONTH_S = at("2026-11-16T00:00")  # half of November, a Monday


def reading(at_s=MIDMONTH_S, samples=(), labels=None, ledger="openrouter", source="account", **spend):
    return Spending(
        at_s=at_s,
        source=source,
        ledger=ledger,
        labels=labels or {},
        spend=Spend(**{f"{name}_usd": Decimal(amount) for name, amount in spend.items()}),
        samples=tuple(Sample(at_s=sample_s, total_usd=Decimal(total)) for sample_s, total in samples),
    )


def budget(limit="100", **fields):
    return Budget(name="b", limit_usd=None if limit is None else Decimal(limit), **fields)


@pytest.mark.parametrize(
    ("name", "moment", "start", "end"),
    [
        ("day", "2026-11-21T23:59:59", "2026-11-21", "2026-11-22"),
        ("day", "2028-02-29T12:00", "2028-02-29", "2028-03-01"),
        ("week", "2026-11-22T23:00", "2026-11-16", "2026-11-23"),
        ("week", "2027-01-01T00:00", "2026-12-28", "2027-01-04"),
        ("month", "2028-02-29T23:59", "2028-02-01", "2028-03-01"),
        ("month", "2100-02-28T23:59", "2100-02-01", "2100-03-01"),
        ("month", "2026-12-31T23:59", "2026-12-01", "2027-01-01"),
        ("month", "2026-11-01T00:00", "2026-11-01", "2026-12-01"),
    ],
)
def test_a_period_begins_and_ends_at_utc_midnights_of_the_calendar(name, moment, start, end):
    assert period_at(name, at(moment)) == Period(start_s=at(start), end_s=at(end))


def test_a_lifetime_has_neither_begin_nor_end():
    assert period_at("lifetime", 5.0) == Period()
    assert 5.0 in Period()


def test_a_period_holds_its_first_moment_and_not_its_last():
    period = Period(start_s=100.0, end_s=200.0)

    assert [moment in period for moment in (99.9, 100.0, 199.9, 200.0)] == [False, True, True, False]


def test_what_was_read_after_the_moment_is_not_looked_at():
    later = reading(MIDMONTH_S + 1, monthly="60")

    assert budget_state(budget(), [later], now_s=MIDMONTH_S + 1).spent_usd == Decimal(60)
    before = budget_state(budget(), [later], now_s=MIDMONTH_S)
    assert (before.spent_usd, before.has_subject) == (None, False)


def test_a_pace_at_its_alarm_is_ahead():
    at_alarm, below = (budget(pace_alarm=Decimal(alarm)) for alarm in ("1.5", "1.51"))

    found = [budget_state(each, [reading(monthly="75")], now_s=MIDMONTH_S) for each in (at_alarm, below)]

    assert [(state.pace, state.is_ahead, state.state) for state in found] == [(1.5, True, "warn"), (1.5, False, "ok")]


def test_a_budget_at_half_of_its_time_tells_all_its_figures():
    state = budget_state(budget(), [reading(monthly="60", lifetime="500")], now_s=MIDMONTH_S)

    assert (state.spent_usd, state.remaining_usd) == (Decimal(60), Decimal(40))
    assert (state.used, state.elapsed, state.pace) == (0.6, 0.5, 1.2)
    assert state.crossed == (Decimal("0.5"),)
    assert state.is_exact
    assert state.has_subject


@pytest.mark.parametrize(
    ("spent", "crossed", "state"),
    [
        ("49.99", 0, "ok"),
        ("50", 1, "ok"),
        ("79.99", 1, "ok"),
        ("80", 2, "warn"),
        ("100", 3, "over"),
        ("250", 3, "over"),
    ],
)
def test_the_state_follows_the_thresholds(spent, crossed, state):
    late_s = at("2026-11-30T12:00")

    told = budget_state(budget(), [reading(at_s=late_s, monthly=spent)], now_s=late_s)

    assert (len(told.crossed), told.state) == (crossed, state)


def test_without_a_reading_of_the_period_nothing_is_known():
    before = reading(at_s=at("2026-10-31T23:59:30"), monthly="99", lifetime="99")

    fresh = budget_state(budget(), [before], now_s=at("2026-11-01T00:00:10"))
    wrong_name = budget_state(budget(scope="company", value="acne"), [before], now_s=MIDMONTH_S)

    assert (fresh.state, fresh.spent_usd, fresh.has_subject) == ("unknown", None, True)
    assert (wrong_name.state, wrong_name.has_subject) == ("unknown", False)


def test_a_gauge_of_the_old_period_read_after_its_turn_is_not_believed():
    midnight_s = at("2026-11-01T00:00")
    history = [(midnight_s - 60, "500"), (midnight_s - 30, "500.1")]

    stale = reading(at_s=midnight_s + 2, monthly="95", lifetime="500.2", samples=history)
    later = reading(at_s=midnight_s + HOUR_S, monthly="1", lifetime="501.2", samples=history)

    assert budget_state(budget(), [stale], now_s=midnight_s + 3).spent_usd == Decimal("0.1")
    assert budget_state(budget(), [later], now_s=midnight_s + HOUR_S).spent_usd == Decimal(1)


def test_without_a_gauge_the_total_since_the_begin_counts_and_says_whether_it_is_exact():
    start_s = at("2026-11-01")
    on_time = reading(lifetime="130", samples=[(start_s - 60, "100"), (start_s + 60, "101")])
    too_late = reading(lifetime="130", samples=[(start_s + DAY_S, "110")])
    alone = reading(lifetime="130")

    exact = budget_state(budget(), [on_time], now_s=MIDMONTH_S)
    floor = budget_state(budget(), [too_late], now_s=MIDMONTH_S)

    assert (exact.spent_usd, exact.is_exact) == (Decimal(30), True)
    assert (floor.spent_usd, floor.is_exact) == (Decimal(20), False)
    assert budget_state(budget(), [alone], now_s=MIDMONTH_S).state == "unknown"


def test_keys_of_one_company_add_up_and_a_vanished_one_counts_in_its_period_only():
    acme, other = {"company": "acme"}, {"company": "other"}
    spendings = [
        reading(labels=acme, monthly="10"),
        reading(labels=acme, at_s=at("2026-11-03"), monthly="5"),
        reading(labels=acme, at_s=at("2026-10-20"), monthly="70"),
        reading(labels=other, monthly="1000"),
    ]

    state = budget_state(budget(scope="company", value="acme"), spendings, now_s=MIDMONTH_S)

    assert state.spent_usd == Decimal(15)


def test_byok_counts_unless_the_budget_says_otherwise():
    key = AccountKey(
        hash="ab" * 32,
        name="search",
        credits=Spend(monthly_usd=Decimal(3)),
        byok=Spend(monthly_usd=Decimal(40)),
    )
    both = spendings_of_key(key, at_s=MIDMONTH_S, labels={"team": "x"})

    assert budget_state(budget(), both, now_s=MIDMONTH_S).spent_usd == Decimal(43)
    assert budget_state(budget(is_byok_included=False), both, now_s=MIDMONTH_S).spent_usd == Decimal(3)


@pytest.mark.parametrize("value", ["search", "sea*", "abababab", "ab" * 32])
def test_a_key_is_meant_by_name_pattern_or_hash(value):
    spending, _ = spendings_of_key(AccountKey(hash="ab" * 32, name="search"), at_s=0.0, labels={})

    assert budget(scope="key", value=value).covers(spending)
    assert not budget(scope="key", value="cdcdcdcd").covers(spending)
    assert not budget(scope="key", value="other").covers(spending)


def test_sums_of_days_tell_each_period_and_rise_only_on_days_with_spending():
    day = int(MIDMONTH_S // DAY_S) + 2  # a Wednesday
    at_s = day * DAY_S + 3600.0
    days = {day - 20: Decimal(8), day - 3: Decimal(4), day - 1: Decimal(2), day: Decimal(1)}

    told = spending_of_days(days, at_s=at_s, source="client", ledger="upstream", labels={"team": "search"})

    assert told.spend == Spend(
        lifetime_usd=Decimal(15), daily_usd=Decimal(1), weekly_usd=Decimal(3), monthly_usd=Decimal(7)
    )
    assert (told.ledger, told.labels) == ("upstream", {"team": "search"})
    assert [((each.at_s - at_s + 3600) / DAY_S, each.total_usd) for each in told.samples] == [
        (-20, 0),
        (-19, 8),
        (-3, 8),  # nothing in between
        (-2, 12),
        (-1, 12),
        (0, 14),
        (3600 / DAY_S, 15),  # today has come no further
    ]


def test_tags_of_clients_and_labels_of_the_account_are_not_mixed():
    client = reading(source="client", labels={"team": "search", "feature": "summary"})
    account = reading(labels={"team": "search"})

    assert budget(scope="team", value="search").covers(account)
    assert not budget(scope="team", value="search").covers(client)
    assert budget(scope="tag:team", value="search").covers(client)
    assert budget(scope="feature", value="summary").covers(client)
    assert not budget(scope="account").covers(client)


def test_one_reading_alone_tells_the_rate_of_a_week():
    wednesday_s = at("2026-11-18T00:00")
    told = reading(at_s=wednesday_s, lifetime="1000", monthly="170", weekly="20", daily="0")

    state = budget_state(budget("400"), [told], now_s=wednesday_s)

    day, week = state.forecasts
    # 150 in the 15 days before Monday, 20 in the two days since.
    assert day.usd_per_day == Decimal(10)
    assert week.usd_per_day == Decimal(10)
    assert day.at_end_usd == Decimal(170) + 13 * Decimal(10)
    assert day.days_left == pytest.approx(23)


@pytest.mark.parametrize(("made", "is_known"), [("2026-10-01T00:00", True), ("2026-11-03T00:00", False)])
def test_a_gauge_tells_the_total_at_its_begin_where_the_key_was_there_already(made, is_known):
    told = replace(reading(lifetime="100", monthly="60"), created_at_s=at(made))

    begin = Sample(at_s=at("2026-11-01T00:00"), total_usd=Decimal(40))

    assert (begin in curve_of(told, totals_of(told))) is is_known


def test_a_forecast_just_after_the_turn_goes_by_the_total_not_by_the_fallen_gauge():
    now_s = at("2026-12-01T06:00")
    history = [(now_s - hours * HOUR_S, str(1000 - hours)) for hours in range(1, 24 * 8)]

    state = budget_state(
        budget("800"), [reading(at_s=now_s, lifetime="1000", monthly="6", samples=history)], now_s=now_s
    )

    assert [forecast.at_end_usd for forecast in state.forecasts] == [Decimal(744), Decimal(744)]
    assert state.state == "ok"


def test_a_refund_lowers_what_is_spent_and_not_the_rate():
    history = [(MIDMONTH_S - 24 * HOUR_S, "100"), (MIDMONTH_S - 12 * HOUR_S, "112"), (MIDMONTH_S - HOUR_S, "80")]
    refunded = reading(lifetime="81", monthly="31", samples=history)

    state = budget_state(budget(), [refunded], now_s=MIDMONTH_S)

    assert state.spent_usd == Decimal(31)
    assert state.forecasts[0].usd_per_day == Decimal(13)


def test_a_new_key_is_reckoned_from_its_making():
    key = AccountKey(hash="ab" * 32, created_at_s=MIDMONTH_S - 18 * HOUR_S, credits=Spend(lifetime_usd=Decimal(9)))

    state = budget_state(budget(), spendings_of_key(key, at_s=MIDMONTH_S, labels={}), now_s=MIDMONTH_S)

    assert (state.spent_usd, state.is_exact) == (Decimal(9), True)
    assert [(forecast.window, forecast.usd_per_day) for forecast in state.forecasts] == [("1d", Decimal(12))]


def test_the_time_before_a_key_was_made_does_not_dilute_its_rate():
    now_s = at("2026-11-18T12:00")
    spend = Spend(lifetime_usd=Decimal(9), weekly_usd=Decimal(9), monthly_usd=Decimal(9))
    key = AccountKey(hash="ab" * 32, created_at_s=now_s - 18 * HOUR_S, credits=spend)

    state = budget_state(budget(), spendings_of_key(key, at_s=now_s, labels={}), now_s=now_s)

    assert [(forecast.window, forecast.usd_per_day) for forecast in state.forecasts] == [("1d", Decimal(12))]


def test_a_gauge_of_the_old_day_makes_no_rate_of_the_new_one():
    wednesday_s = at("2026-11-18T00:00:02")
    stale = reading(at_s=wednesday_s, lifetime="1000", weekly="40", daily="20")

    state = budget_state(budget(period="week"), [stale], now_s=wednesday_s)

    assert float(state.forecasts[0].usd_per_day) == pytest.approx(20, rel=0.001)


def test_days_left_are_told_while_money_flows_and_zero_at_the_limit():
    idle = [(MIDMONTH_S - 8 * DAY_S, "50")]
    busy = [(MIDMONTH_S - 8 * DAY_S, "10")]

    def first(limit, samples):
        spendings = [reading(lifetime="50", samples=samples)]
        return budget_state(budget(limit, period="lifetime"), spendings, now_s=MIDMONTH_S).forecasts[0]

    assert first("100", idle).days_left is None
    assert first("100", busy).days_left == 10.0
    assert first("50", busy).days_left == first("50", idle).days_left == 0.0
    assert first("100", busy).at_end_usd is None
    assert first(None, busy).days_left is None


def test_a_sample_of_the_period_s_first_moment_is_its_exact_beginning():
    samples = [(at("2026-11-01T00:00"), "10")]

    state = budget_state(budget(), [reading(lifetime="40", samples=samples)], now_s=MIDMONTH_S)

    assert (state.spent_usd, state.is_exact) == (Decimal(30), True)


def test_the_pace_is_told_from_a_twentieth_of_the_period_on():
    def pace(moment):
        moment_s = at(f"2026-11-16T{moment}")
        return budget_state(budget(period="day"), [reading(moment_s, daily="10")], now_s=moment_s).pace

    assert (pace("01:11:59"), pace("01:12:00")) == (None, 2.0)


def test_early_in_a_period_there_is_no_pace():
    early_s = at("2026-11-02T11:00")

    state = budget_state(budget(), [reading(at_s=early_s, monthly="90")], now_s=early_s)

    assert (state.pace, state.is_ahead) == (None, False)


def weekday_month(now_s, limit, per_working_day):
    """Give a state after spending evenly on working days from eight days before the month on."""
    start_s = period_at("month", now_s).start_s
    total, history, spent = Decimal(1000), [], Decimal(0)
    for hour in range(int(start_s - 8 * DAY_S) // HOUR_S, int(now_s) // HOUR_S):
        history.append((hour * HOUR_S, str(total)))
        if datetime.fromtimestamp(hour * HOUR_S, UTC).weekday() < 5:
            total += Decimal(per_working_day) / 24
            spent += Decimal(per_working_day) / 24 if hour * HOUR_S >= start_s else 0
    told = reading(at_s=now_s, lifetime=total, monthly=spent, samples=history)
    return budget_state(budget(limit), [told], now_s=now_s)


def test_a_month_that_begins_on_a_monday_is_not_ahead_by_its_weekdays_alone():
    thursday_s = at("2026-06-05T00:00")  # June 2026 begins on a Monday and has 22 working days

    even = weekday_month(thursday_s, "220", 10)
    fast = weekday_month(thursday_s, "220", 15)

    assert even.pace > 1.2
    assert not even.is_ahead
    assert fast.is_ahead
    assert (even.state, fast.state) == ("ok", "warn")


def test_on_the_tenth_day_the_week_s_rate_forecasts_a_weekday_month_within_a_tenth():
    for month in range(1, 13):
        state = weekday_month(at(f"2026-{month:02}-11T00:00"), "1000", 10)
        days = (state.period.end_s - state.period.start_s) // DAY_S
        truth = 10 * sum(
            datetime.fromtimestamp(state.period.start_s + day * DAY_S, UTC).weekday() < 5 for day in range(int(days))
        )

        assert float(state.forecasts[-1].at_end_usd) == pytest.approx(truth, rel=0.1)


def test_a_raised_limit_is_uncrossed_and_a_removed_one_crosses_nothing():
    spent = [reading(monthly="90")]

    assert budget_state(budget("100"), spent, now_s=MIDMONTH_S).state == "warn"
    assert budget_state(budget("500"), spent, now_s=MIDMONTH_S).crossed == ()
    removed = budget_state(budget(None), spent, now_s=MIDMONTH_S)
    assert (removed.state, removed.remaining_usd, removed.used) == ("ok", None, None)


def test_a_limit_of_zero_is_kept_until_something_is_spent():
    assert budget_state(budget("0"), [reading(monthly="0")], now_s=MIDMONTH_S).state == "ok"
    assert budget_state(budget("0"), [reading(monthly="0.000001")], now_s=MIDMONTH_S).state == "over"


def test_thinned_totals_keep_the_state_and_fit_the_memory():
    minutes = [Sample(at_s=MIDMONTH_S - 60.0 * minute, total_usd=Decimal(100_000 - minute)) for minute in range(60_000)]
    kept = thinned(minutes, now_s=MIDMONTH_S)

    def state(samples):
        told = Spending(at_s=MIDMONTH_S, spend=Spend(lifetime_usd=Decimal(100_000)), samples=tuple(samples))
        return budget_state(budget("1000000"), [told], now_s=MIDMONTH_S)

    assert len(kept) < 1200
    assert kept[-1] == minutes[0]
    rates = [[each.usd_per_day for each in state(samples).forecasts] for samples in (kept, minutes)]
    assert rates == [[Decimal(1440)] * 2] * 2
