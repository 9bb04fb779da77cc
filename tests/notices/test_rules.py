from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from or_otel.accounts import AccountKey, Credits, Spend
from or_otel.budgets import Budget, Sample, Spending, budget_state
from or_otel.config.options import NotifyOptions
from or_otel.days import DAY_S
from or_otel.notices.rules import ClosedDay, NoticeState, due

NOON_S = 1_794_830_400.0  # 2026-11-16 12:00 UTC
OPTIONS = NotifyOptions(low_balance_usd=Decimal(10))
NOTHING = NoticeState()


class Rounds:
    """Rounds one after another, with the state carried on."""

    def __init__(self, now_s, options=OPTIONS):
        self.state, self.now_s, self.options = NOTHING, now_s, options

    def __call__(self, **seen):
        new, self.state = due(self.state, options=self.options, now_s=self.now_s, **seen)
        return [notice.title for notice in new]


@pytest.fixture
def rounds(now_s):
    return Rounds(now_s)


def balance(left):
    return Credits(purchased_usd=Decimal(100), used_usd=Decimal(100) - Decimal(left))


def test_each_threshold_is_told_once(rounds, spent):
    told = [rounds(budgets=[spent(amount)]) for amount in ("49", "50", "60", "81", "82", "100", "130")]

    assert told == [
        [],
        ["Budget search: 50 % spent"],
        [],
        ["Budget search: 80 % spent"],
        [],
        ["Budget search: spent"],
        [],
    ]


@pytest.mark.parametrize(
    ("amount", "severity", "is_over"),
    [("50", "info", False), ("80", "warning", False), ("100", "critical", False), ("100.5", "critical", True)],
)
def test_a_notice_is_as_grave_as_its_threshold_and_says_over_only_beyond_the_limit(
    rounds, spent, amount, severity, is_over
):
    rounds(budgets=[spent(amount)])

    ((notice, _),) = rounds.state.waiting
    assert (notice.severity, "Over by" in notice.text) == (severity, is_over)


@pytest.mark.parametrize(("left", "severity"), [("10", "warning"), ("0", "critical")])
def test_a_low_balance_warns_and_none_is_grave(rounds, left, severity):
    rounds(credits=balance(left))

    assert [notice.severity for notice, _ in rounds.state.waiting] == [severity]


def test_many_thresholds_in_one_round_are_one_notice_of_the_highest(rounds, spent):
    assert rounds(budgets=[spent("95")]) == ["Budget search: 80 % spent"]
    assert rounds(budgets=[spent("99")]) == []


def test_a_refund_over_a_threshold_and_back_is_told_once(rounds, spent):
    assert rounds(budgets=[spent("81")])
    assert rounds(budgets=[spent("79")]) == []
    assert rounds(budgets=[spent("81")]) == []


def test_a_new_period_tells_anew(rounds, spent, now_s):
    rounds(budgets=[spent("100")])
    rounds.now_s = now_s + 15 * DAY_S

    assert rounds(budgets=[spent("0", at_s=rounds.now_s)]) == []
    assert rounds(budgets=[spent("85", at_s=rounds.now_s)]) == ["Budget search: 80 % spent"]


def test_a_raised_limit_may_be_crossed_anew(rounds, spent):
    rounds(budgets=[spent("80")])

    assert rounds(budgets=[spent("80", limit="200")]) == []
    assert rounds(budgets=[spent("160", limit="200")]) == ["Budget search: 80 % spent"]


def test_an_unknown_budget_tells_nothing_and_forgets_nothing(rounds, now_s, spent):
    rounds(budgets=[spent("81")])
    unknown = budget_state(Budget(name="search", limit_usd=Decimal(100)), [], now_s=now_s)

    assert rounds(budgets=[unknown]) == []
    assert rounds(budgets=[spent("81")]) == []


def test_the_text_says_where_it_stands_and_where_it_ends(now_s):
    samples = (Sample(at_s=now_s - 8 * DAY_S, total_usd=Decimal(100)),)
    spend = Spend(lifetime_usd=Decimal(140), monthly_usd=Decimal("81.5"))
    spending = Spending(at_s=now_s, spend=spend, samples=samples)
    state = budget_state(Budget(name="search", limit_usd=Decimal(100)), [spending], now_s=now_s)

    new, _ = due(NOTHING, options=OPTIONS, now_s=now_s, budgets=[state])

    (notice,) = new
    assert notice.severity == "warning"
    assert notice.title == "Budget search: 80 % spent, 1.6 times too fast"
    assert notice.text == (
        "$81.50 of $100.00 this month, 51 % of the time gone\n"
        "At the last 7 days' rate, $5.00 a day, it ends at $154.00; 3.7 days to the limit."
    )


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("82", "$82.00 of $100.00 since the beginning\nAt the last 7 days' rate, $0.00 a day."),
        ("61", "$82.00 of $100.00 since the beginning\nAt the last 7 days' rate, $3.00 a day; 6.0 days to the limit."),
    ],
)
def test_a_budget_for_ever_has_no_end_and_an_idle_one_no_days(now_s, before, words):
    samples = (Sample(at_s=now_s - 7 * DAY_S, total_usd=Decimal(before)),)
    spending = Spending(at_s=now_s, spend=Spend(lifetime_usd=Decimal(82)), samples=samples)
    budget = Budget(name="b", limit_usd=Decimal(100), period="lifetime")

    new, _ = due(NOTHING, options=OPTIONS, now_s=now_s, budgets=[budget_state(budget, [spending], now_s=now_s)])

    assert [notice.text for notice in new] == [words]


def test_spending_ahead_of_time_is_told_once_a_period(rounds, spent):
    assert rounds(budgets=[spent("49", pace_alarm="0.9")]) == ["Budget search: spending 0.9 times too fast"]
    assert rounds(budgets=[spent("40", pace_alarm="0.9")]) == []
    assert rounds(budgets=[spent("49.5", pace_alarm="0.9")]) == []


def test_a_threshold_crossed_ahead_of_time_is_one_notice(rounds, spent):
    assert rounds(budgets=[spent("70", pace_alarm="1.2")]) == ["Budget search: 50 % spent, 1.4 times too fast"]
    assert rounds(budgets=[spent("71", pace_alarm="1.2")]) == []


def test_a_spent_budget_needs_no_word_about_its_pace(rounds, spent):
    assert rounds(budgets=[spent("120", pace_alarm="1.2")]) == ["Budget search: spent"]
    rounds.options = NotifyOptions(kinds=("pace",))
    assert rounds(budgets=[spent("120", name="other", pace_alarm="1.2")]) == []


def test_by_how_much_a_budget_is_overspent_is_said_to_the_digits_that_matter(rounds, spent):
    rounds(budgets=[spent("0.0123", limit="0.01", period="lifetime")])

    assert rounds.state.waiting[0][0].text == "$0.0123 of $0.0100 since the beginning\nOver by $0.0023."


def test_a_low_balance_is_told_once_until_it_rose_well_above_its_mark(rounds):
    told = [rounds(credits=balance(left)) for left in ("11", "9.99", "9", "10.5", "9.9", "11", "9")]

    assert [len(titles) for titles in told] == [0, 1, 0, 0, 0, 0, 1]
    assert told[1] == ["OpenRouter credits are low: $9.99 left"]


def test_used_up_credits_are_told_without_any_mark(now_s):
    rounds = Rounds(now_s, NotifyOptions())

    assert rounds(credits=balance("0.01")) == []
    assert rounds(credits=balance("-3")) == ["OpenRouter credits are used up"]
    assert rounds(credits=balance("-4")) == []


def test_used_up_and_low_at_once_is_one_notice(rounds):
    assert rounds(credits=balance("-1")) == ["OpenRouter credits are used up"]


def test_a_round_without_the_balance_forgets_nothing(rounds):
    rounds(credits=balance("5"))
    rounds(credits=None)

    assert rounds(credits=balance("5")) == []


def test_an_account_that_never_bought_credits_has_none_to_lose(rounds):
    assert rounds(credits=Credits(purchased_usd=Decimal(0), used_usd=Decimal(0))) == []


def test_an_exhausted_key_is_told_once_in_each_of_its_periods(rounds, now_s):
    key = AccountKey(
        hash="ab" * 32,
        label="sk-or-v1-abc...123",
        name="ci",
        limit_usd=Decimal(5),
        limit_remaining_usd=Decimal("-0.01"),
        limit_reset="daily",
    )

    assert rounds(keys=[key]) == ["Key ci: its limit at OpenRouter is reached"]
    assert rounds(keys=[key]) == []
    assert "until 2026-11-17 00:00 UTC" in rounds.state.waiting[0][0].text
    rounds.now_s = now_s + DAY_S
    assert rounds(keys=[key]) == ["Key ci: its limit at OpenRouter is reached"]
    assert "sk-or" not in repr(rounds.state)


@pytest.mark.parametrize(
    "fields",
    [
        {"limit_usd": None},
        {"limit_usd": Decimal(0)},
        {"limit_remaining_usd": None},
        {"limit_remaining_usd": Decimal("0.01")},
        {"is_disabled": True},
    ],
)
def test_a_key_without_limit_or_switched_off_or_with_money_left_is_no_news(rounds, fields):
    key = AccountKey(hash="ab" * 32, limit_usd=Decimal(5), limit_remaining_usd=Decimal(0))

    assert rounds(keys=[replace(key, **fields)]) == []


@pytest.mark.parametrize(
    ("client", "provider", "is_told"),
    [("100", "100", False), ("96", "100", False), ("94", "100", True), ("106", "100", True), ("0", "0.9", False)],
)
def test_a_closed_day_that_differs_by_share_and_by_a_dollar_is_told_once(rounds, client, provider, is_told):
    day = ClosedDay(day=date(2026, 11, 15), client_usd=Decimal(client), provider_usd=Decimal(provider))

    assert len(rounds(days=[day])) == is_told
    assert rounds(days=[day]) == []


@pytest.mark.parametrize(
    ("client", "provider", "words"),
    [("90", "100", "are missing from what clients tracked"), ("100", "90", "were tracked beyond what was billed")],
)
def test_of_a_day_that_differs_it_is_said_on_which_side(rounds, client, provider, words):
    rounds(days=[ClosedDay(day=date(2026, 11, 15), client_usd=Decimal(client), provider_usd=Decimal(provider))])

    ((notice, _),) = rounds.state.waiting
    assert f"$10.00 {words}" in notice.text


def test_a_kind_that_is_not_wanted_is_not_told(now_s, spent):
    rounds = Rounds(now_s, NotifyOptions(kinds=("pace",)))

    assert rounds(budgets=[spent("70", pace_alarm="1.2")]) == ["Budget search: spending 1.4 times too fast"]


def test_what_ended_long_ago_is_forgotten(rounds, spent, now_s):
    rounds(budgets=[spent("81")])
    rounds.now_s = now_s + 41 * DAY_S
    rounds()

    assert rounds.state == NOTHING


def test_a_notice_that_could_not_be_delivered_for_a_day_is_dropped(rounds, spent, now_s):
    rounds(budgets=[spent("81")])
    rounds.now_s = now_s + DAY_S
    rounds()
    kept = len(rounds.state.waiting)
    rounds.now_s += 1
    rounds()

    assert (kept, len(rounds.state.waiting)) == (1, 0)


@given(st.lists(st.tuples(st.integers(0, 140), st.sampled_from(["100", "120"]), st.integers(-5, 30)), max_size=25))
def test_whatever_the_figures_do_no_crossing_of_a_budget_is_told_twice(steps):
    rounds, ids = Rounds(NOON_S), []
    for spent_usd, limit, left in steps:
        spending = Spending(at_s=NOON_S, spend=Spend(monthly_usd=Decimal(spent_usd)))
        state = budget_state(Budget(name="b", limit_usd=Decimal(limit)), [spending], now_s=NOON_S)
        new, rounds.state = due(rounds.state, options=OPTIONS, now_s=NOON_S, budgets=[state], credits=balance(left))
        ids += [notice.id for notice in new if notice.kind in {"threshold", "pace"}]
        assert len({notice.kind for notice in new}) == len(new)

    assert len(ids) == len(set(ids))
