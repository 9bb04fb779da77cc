from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import Spend
from or_otel.budgets import Budget, Spending, budget_state


@pytest.fixture
def other_webhook(webhooks):
    return webhooks()


NOON_S = 1_794_830_400.0  # 2026-11-16 12:00 UTC


@pytest.fixture
def now_s():
    return NOON_S


@pytest.fixture
def spent():
    """Give a budget's state after so much was spent in its month; its pace alarms only where asked."""

    def state(amount, *, limit="100", name="search", at_s=NOON_S, pace_alarm="1000", period="month"):
        spend = Spend(**{"lifetime_usd" if period == "lifetime" else "monthly_usd": Decimal(amount)})
        budget = Budget(name=name, limit_usd=Decimal(limit), pace_alarm=Decimal(pace_alarm), period=period)
        return budget_state(budget, [Spending(at_s=at_s, spend=spend)], now_s=at_s)

    return state
