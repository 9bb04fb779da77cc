from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

from or_otel.account.samples import HORIZON_S, Memory, samples_from_days
from or_otel.accounts import AccountKey, ActivityRow, Spend
from or_otel.budgets import Budget, budget_state, spendings_of_key
from or_otel.days import DAY_S

TODAY = date(2026, 11, 20)
MIDNIGHT_S = (TODAY - date(1970, 1, 1)).days * DAY_S


def key(total, **fields):
    return AccountKey(hash="a" * 64, credits=Spend(lifetime_usd=Decimal(total), **fields))


def totals(samples):
    return [(each.at_s, each.total_usd) for each in samples]


def test_readings_are_kept_a_quarter_of_an_hour_apart_and_the_newest_always():
    memory = Memory()
    for minute in range(60):
        memory.note("k", key(minute), 60.0 * minute)

    kept = memory.of("k")["openrouter"]

    assert totals(kept)[-1] == (59 * 60.0, 59)
    assert len(kept) <= 6


def test_an_idle_key_keeps_two_readings_however_long_it_idles():
    memory = Memory()
    for day in range(30):
        memory.note("k", key(5), day * DAY_S)

    assert totals(memory.of("k")["openrouter"]) == [(0.0, 5), (29 * DAY_S, 5)]


def test_a_busy_key_keeps_what_a_week_s_rate_needs_and_no_more():
    memory = Memory()
    for step in range(40 * 96):
        memory.note("k", key(step), step * 900.0)

    kept = memory.of("k")["openrouter"]

    now_s = kept[-1].at_s
    assert len(kept) < 400
    assert HORIZON_S <= now_s - kept[0].at_s < HORIZON_S + 2 * 3600


def test_a_reading_older_than_the_last_is_passed_over():
    memory = Memory()
    memory.note("k", key(5), 100.0)
    memory.note("k", key(9), 50.0)

    assert totals(memory.of("k")["openrouter"]) == [(100.0, 5)]


def test_what_is_no_longer_asked_is_forgotten():
    memory = Memory()
    memory.note("gone", key(1), 1.0)
    memory.note("kept", key(1), 1.0)

    memory.forget_but(["kept"])

    assert memory.of("gone") == {}
    assert memory.of("kept")


def test_totals_are_reckoned_back_from_closed_days():
    reading = key(100, daily_usd=Decimal(7))
    rows = [ActivityRow(day=TODAY - timedelta(days=ago), credits_usd=Decimal(ago)) for ago in (1, 3)]
    known = [TODAY - timedelta(days=ago) for ago in (1, 2, 3)]

    samples = samples_from_days(reading, MIDNIGHT_S + 40_000.0, rows, known)

    assert totals(samples["openrouter"]) == [
        (MIDNIGHT_S - 3 * DAY_S, 89),
        (MIDNIGHT_S - 2 * DAY_S, 92),
        (MIDNIGHT_S - DAY_S, 92),
        (MIDNIGHT_S, 93),
    ]


def test_a_day_that_is_not_known_ends_it():
    known = [TODAY - timedelta(days=ago) for ago in (1, 3)]

    samples = samples_from_days(key(100, daily_usd=Decimal(7)), MIDNIGHT_S + 40_000.0, [], known)

    assert totals(samples["openrouter"]) == [(MIDNIGHT_S - DAY_S, 93), (MIDNIGHT_S, 93)]


def test_nothing_is_reckoned_while_the_gauge_may_be_yesterday_s():
    assert samples_from_days(key(100, daily_usd=Decimal(7)), MIDNIGHT_S + 100.0, [], []) == {}


def test_the_rate_is_the_same_before_and_after_a_restart():
    """A key that spends a dollar an hour is forecast alike by memory and by its closed days."""
    memory = Memory()
    at_s = MIDNIGHT_S + 12 * 3600.0
    for hour in range(-24 * 9, 13):
        memory.note("k", key(1000 + hour), MIDNIGHT_S + hour * 3600.0)
    reading = key(1012, daily_usd=Decimal(12))
    rows = [ActivityRow(day=TODAY - timedelta(days=ago), credits_usd=Decimal(24)) for ago in range(1, 9)]
    restarted = Memory()
    restarted.seed("k", samples_from_days(reading, at_s, rows, [each.day for each in rows]))
    restarted.note("k", reading, at_s)

    def rates(samples):
        spendings = spendings_of_key(reading, at_s=at_s, labels={}, samples=samples)
        return [each.usd_per_day for each in budget_state(Budget(name="b"), spendings, now_s=at_s).forecasts]

    assert rates(memory.of("k")) == rates(restarted.of("k")) == [24, 24]
    assert rates({}) == []
