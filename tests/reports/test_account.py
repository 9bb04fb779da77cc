from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from or_otel.accounts import AccountKey, ActivityRow, Credits, Spend
from or_otel.reports.account import Told, figures, near_limits, overview, sections, to_json

DAY_S = 86_400.0
NOON_S = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()


def key(daily="1", weekly="10", monthly="30", lifetime="100", **fields):
    spend = Spend(
        daily_usd=None if daily is None else Decimal(daily),
        weekly_usd=Decimal(weekly),
        monthly_usd=Decimal(monthly),
        lifetime_usd=Decimal(lifetime),
    )
    nothing = Spend(**dict.fromkeys(("daily_usd", "weekly_usd", "monthly_usd", "lifetime_usd"), Decimal(0)))
    return AccountKey(**{"name": "search", "credits": spend, "byok": nothing} | fields)


def days(*amounts):
    """Give rows of the days before the 20th, the last one last."""
    first = 20 - len(amounts)
    return tuple(
        ActivityRow(day=date(2026, 11, first + place), credits_usd=Decimal(amount), byok_usd=Decimal(0))
        for place, amount in enumerate(amounts)
    )


def told(**fields):
    return Told(**{"at_s": NOON_S, "kind": "management", "keys": (key(),), "activity": ()} | fields)


def lead(shown):
    return sections(shown)[0].lead


def test_nothing_told_says_nothing():
    shown = overview(Told(at_s=NOON_S))

    assert (shown.spent, shown.forecast, shown.days_left, shown.near) == ({}, None, None, ())


def test_closed_days_and_the_running_one_are_the_month():
    shown = overview(told(activity=days(*["2"] * 19), keys=(key(daily="1", weekly="9", monthly="39"),)))

    assert {name: spent.credits_usd for name, spent in shown.spent.items()} == {"day": 1, "week": 9, "month": 39}


def test_of_a_deleted_key_closed_days_are_known_and_the_gauge_is_not():
    shown = overview(told(activity=days(*["2"] * 19), keys=(key(daily="1", weekly="1", monthly="1"),)))

    assert shown.spent["month"].credits_usd == 39


def test_a_day_not_booked_yet_is_in_the_gauge():
    shown = overview(told(activity=days(*["2"] * 18, "0"), keys=(key(daily="1", weekly="9", monthly="39"),)))

    assert shown.spent["month"].credits_usd == 39


def test_right_after_the_turn_the_old_gauge_is_not_believed():
    at_s = datetime(2026, 12, 1, 0, 1, tzinfo=UTC).timestamp()

    shown = overview(told(at_s=at_s, keys=(key(daily="0", weekly="4", monthly="39"),)))

    assert shown.spent["month"].credits_usd == 0


def test_without_closed_days_the_gauges_speak():
    shown = overview(told(activity=None))

    assert {name: spent.credits_usd for name, spent in shown.spent.items()} == {"day": 1, "week": 10, "month": 30}


def test_one_key_that_does_not_say_makes_the_sum_unknown():
    shown = overview(told(keys=(key(), key(daily=None)), activity=None))

    assert shown.spent["day"].credits_usd is None


def test_an_account_without_keys_spent_nothing():
    assert overview(told(keys=())).spent["month"].total_usd == 0


def test_an_even_rate_forecasts_the_month_and_the_runway():
    balance = Credits(purchased_usd=Decimal(100), used_usd=Decimal(80))

    shown = overview(told(activity=days(*["2"] * 19), keys=(key(daily="1", monthly="39"),), credits=balance))

    assert shown.forecast.usd_per_day == 2
    assert shown.forecast.at_end_usd == 39 + 2 * Decimal("10.5")
    assert shown.days_left == 10
    assert shown.pace == pytest.approx(1)
    assert "Balance $20.00" in lead(shown)
    assert "It lasts 10 days at $2.00 of credits a day." in lead(shown)


def test_a_doubled_rate_is_a_pace_of_two():
    shown = overview(told(activity=days(*["1"] * 12, *["2"] * 7), keys=(key(daily="1"),)))

    # Noon cuts the first of the seven days in half, and the last of the seven before.
    assert shown.pace == pytest.approx((6.5 * 2 + 1) / (6.5 + 0.5 * 2), rel=0.2)


def test_two_days_are_no_pace_of_a_week():
    assert overview(told(activity=days("1", "1"))).pace is None


def test_nothing_being_spent_lasts_for_ever_and_says_no_number():
    balance = Credits(purchased_usd=Decimal(100), used_usd=Decimal(80))

    shown = overview(told(activity=days(*["0"] * 19), keys=(key("0", "0", "0", "80"),), credits=balance))

    assert shown.days_left is None


def test_a_negative_balance_is_an_alarm_and_lasts_no_day():
    balance = Credits(purchased_usd=Decimal(10), used_usd=Decimal(11))

    shown = overview(told(activity=days(*["2"] * 19), credits=balance))

    assert shown.days_left == 0
    assert sections(shown)[0].is_alarm is True
    assert to_json(shown)["credits"]["remaining_usd"] == "-1"


@pytest.mark.parametrize(
    ("limit", "left", "reset", "found"),
    [
        ("10", "2", "daily", True),
        ("10", "2.01", "daily", False),
        ("10", "-1", None, True),
        ("0", "0", None, False),
        (None, None, None, False),
    ],
)
def test_a_key_is_near_its_limit_from_four_fifths_on(limit, left, reset, found):
    fields = {
        "limit_usd": None if limit is None else Decimal(limit),
        "limit_remaining_usd": None if left is None else Decimal(left),
        "limit_reset": reset,
    }

    near = near_limits([key(**fields)], NOON_S)

    assert bool(near) is found
    if found:
        assert (near[0].resets_at_s is None) is (reset is None)


def test_a_disabled_key_is_near_nothing():
    assert near_limits([key(limit_usd=Decimal(1), limit_remaining_usd=Decimal(0), is_disabled=True)], NOON_S) == ()


def test_the_free_quota_is_an_alarm_when_it_is_used_up():
    mine = key(free_requests_limit=50, free_requests_used=50)

    (*_, section) = sections(overview(told(keys=None, key=mine, activity=None)))

    assert (section.name, section.is_alarm) == ("free_requests", True)
    assert "50 of 50 requests" in section.lead


def test_figures_are_exact_and_one_a_line():
    rows = dict(figures(overview(told(keys=(key(daily="0.000000000001"),), activity=None))).rows)

    assert rows["spent.day.credits_usd"] == "0.000000000001"
    assert rows["credits"] is None
