from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from or_otel.accounts import Spend
from or_otel.budgets import (
    PERIODS,
    Budget,
    Sample,
    Spending,
    budget_state,
    period_at,
    thinned,
)
from or_otel.budgets.spending import RESET_GRACE_S

SECONDS = st.one_of(
    st.floats(min_value=0, max_value=200e9),
    st.integers(min_value=0, max_value=200_000_000_000),
    # Where calendars go wrong: a month's, leap day's and year's edge, and the seconds beside it.
    st.builds(
        lambda edge, offset: edge + offset,
        st.sampled_from([1835395200, 1835481600, 4107456000, 4107542400, 1796083200, 1798761600, 0]),
        st.sampled_from([0, 0.001, 1, 86_399.999]),
    ),
)
MONEY = st.decimals(min_value=-1_000_000, max_value=1_000_000, places=9)
SPENT = st.decimals(min_value=0, max_value=1_000_000, places=9)
PERIOD = st.sampled_from(PERIODS)
NOW_S = 1_795_000_000.0
PAST = st.floats(min_value=NOW_S - 40 * 86_400, max_value=NOW_S)


def readings(money=MONEY, at_s=PAST):
    gauges = st.none() | money
    return st.builds(
        Spending,
        at_s=at_s,
        ledger=st.sampled_from(["openrouter", "upstream"]),
        created_at_s=st.none() | PAST,
        spend=st.builds(Spend, lifetime_usd=gauges, daily_usd=gauges, weekly_usd=gauges, monthly_usd=gauges),
        samples=st.lists(st.builds(Sample, at_s=PAST, total_usd=money), max_size=6).map(tuple),
    )


BUDGETS = st.builds(
    Budget,
    name=st.just("b"),
    limit_usd=st.none() | st.decimals(min_value=0, max_value=1_000_000, places=6),
    period=PERIOD,
    is_byok_included=st.booleans(),
)


@given(PERIOD, SECONDS)
def test_a_period_holds_its_time_and_meets_its_neighbours(name, at_s):
    period = period_at(name, at_s)

    assert at_s in period
    if name != "lifetime":
        assert period_at(name, period.start_s) == period
        assert period_at(name, period.end_s).start_s == period.end_s
        if period.start_s > 0:
            assert period_at(name, period.start_s - 1).end_s == period.start_s


@given(BUDGETS, st.lists(readings(), max_size=4))
def test_spent_and_remaining_are_the_limit_exactly_in_any_context_of_the_host(budget, spendings):
    with localcontext(prec=3):
        state = budget_state(budget, spendings, now_s=NOW_S)

    if state.spent_usd is None:
        assert state.state == "unknown"
    elif budget.limit_usd is not None:
        with localcontext(prec=60):
            assert state.spent_usd + state.remaining_usd == budget.limit_usd


@given(BUDGETS, st.lists(readings(), min_size=1, max_size=4))
def test_money_goes_on_being_spent_so_no_forecast_is_below_it(budget, spendings):
    state = budget_state(budget, spendings, now_s=NOW_S)

    for forecast in state.forecasts:
        assert forecast.usd_per_day >= 0
        assert forecast.at_end_usd is None or forecast.at_end_usd >= state.spent_usd
        assert forecast.days_left is None or forecast.days_left >= 0


@given(BUDGETS, SPENT, SPENT)
def test_who_spends_more_crosses_no_less(budget, spent, more):
    def state(amount):
        spend = Spend(lifetime_usd=amount, daily_usd=amount, weekly_usd=amount, monthly_usd=amount)
        return budget_state(budget, [Spending(at_s=NOW_S, spend=spend)], now_s=NOW_S)

    less, greater = state(spent), state(spent + more)

    assert set(less.crossed) <= set(greater.crossed)
    assert (less.state == "over") <= (greater.state == "over")


@given(BUDGETS, st.lists(readings(), min_size=1, max_size=3), st.decimals(min_value=0, max_value=1000, places=2))
def test_a_raised_limit_crosses_no_more(budget, spendings, more):
    if budget.limit_usd is None:
        return
    raised = replace(budget, limit_usd=budget.limit_usd + more)

    before, after = (budget_state(each, spendings, now_s=NOW_S) for each in (budget, raised))

    assert set(after.crossed) <= set(before.crossed)
    assert before.spent_usd == after.spent_usd


@given(
    PERIOD.filter(lambda name: name != "lifetime"), SPENT, SPENT, st.floats(min_value=0, max_value=RESET_GRACE_S - 1)
)
def test_no_poll_across_the_turn_makes_the_new_period_pay_for_the_old(name, old, new, late_s):
    start_s = period_at(name, NOW_S).start_s
    with localcontext(prec=60):
        total = old + new
    # The server answers with the gauge of before the turn, our clock is already behind it.
    stale = Spend(lifetime_usd=total, daily_usd=total, weekly_usd=total, monthly_usd=total)
    spending = Spending(at_s=start_s + late_s, spend=stale, samples=(Sample(at_s=start_s - 30, total_usd=old),))

    state = budget_state(Budget(name="b", period=name), [spending], now_s=start_s + late_s)

    assert state.spent_usd <= new


ODD_SECONDS = st.floats(allow_nan=True, allow_infinity=True)
ODD_MONEY = st.decimals(allow_nan=True, allow_infinity=True)


@given(
    BUDGETS,
    st.lists(
        st.builds(
            Spending,
            at_s=ODD_SECONDS,
            created_at_s=st.none() | ODD_SECONDS,
            spend=st.builds(Spend, lifetime_usd=st.none() | ODD_MONEY, monthly_usd=st.none() | ODD_MONEY),
            samples=st.lists(st.builds(Sample, at_s=ODD_SECONDS, total_usd=ODD_MONEY), max_size=4).map(tuple),
        ),
        max_size=3,
    ),
    ODD_SECONDS,
)
def test_nothing_that_a_server_or_a_clock_may_say_raises(budget, spendings, now_s):
    state = budget_state(budget, spendings, now_s=now_s)

    assert state.state in {"ok", "warn", "over", "unknown"}


@given(st.lists(st.builds(Sample, at_s=PAST, total_usd=MONEY), max_size=50))
def test_thinning_invents_nothing_and_keeps_the_newest(samples):
    kept = thinned(samples, now_s=NOW_S)

    assert set(kept) <= set(samples)
    assert list(kept) == sorted(kept, key=lambda sample: sample.at_s)
    if samples:
        assert kept[-1].at_s == max(sample.at_s for sample in samples)
    assert thinned(kept, now_s=NOW_S) == kept or len(kept) < len(samples)
    assert sum((sample.total_usd for sample in kept), Decimal(0)).is_finite()
