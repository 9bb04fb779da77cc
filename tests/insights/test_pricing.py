"""Tokens at list prices, by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import Prices
from or_otel.insights.pricing import INPUT_KINDS, OUTPUT_KINDS, cost_of, rates_of
from or_otel.insights.tiers import tier_of

TOKENS = {
    "input_fresh": 1000,
    "input_cache_read": 2000,
    "input_cache_write": 100,
    "output_text": 50,
    "output_reasoning": 10,
}


def prices(**changes):
    told = {"input": "0.000003", "output": "0.000015"} | changes
    return Prices(**{name: Decimal(text) for name, text in told.items()})


def test_each_kind_has_its_price():
    rates = rates_of(prices(cache_read="0.0000003", cache_write="0.00000375", reasoning="0.00002"))

    # 0.003 + 0.0006 + 0.000375 and 0.00075 + 0.0002
    assert cost_of(TOKENS, rates, INPUT_KINDS) == Decimal("0.003975")
    assert cost_of(TOKENS, rates, OUTPUT_KINDS) == Decimal("0.00095")
    assert cost_of(TOKENS, rates) == Decimal("0.004925")


def test_a_kind_without_a_price_costs_what_its_whole_does():
    assert cost_of(TOKENS, rates_of(prices())) == 3100 * Decimal("0.000003") + 60 * Decimal("0.000015")


def test_a_discount_is_taken_off():
    assert cost_of(TOKENS, rates_of(prices(discount="0.25"))) == Decimal("0.0102") * Decimal("0.75")


@pytest.mark.parametrize("unknown", [Prices(), Prices(input=Decimal(1)), Prices(output=Decimal(1))])
def test_without_prices_there_are_no_rates(unknown):
    assert rates_of(unknown) is None


def test_a_price_that_depends_is_none():
    assert rates_of(Prices(input=Decimal(1), output=Decimal(1), is_variable=True)) is None


@pytest.mark.parametrize(
    ("cost", "tokens", "tier"),
    [
        ("0", 10, "free"),
        ("0.5", 1_000_000, "low"),
        ("0.500001", 1_000_000, "middle"),
        ("3", 1_000_000, "middle"),
        ("1", 100_000, "high"),
        ("1.1", 100_000, "top"),
        ("1", 0, None),
    ],
)
def test_a_tier_is_what_a_million_tokens_cost(cost, tokens, tier):
    assert tier_of(Decimal(cost), tokens) == tier
