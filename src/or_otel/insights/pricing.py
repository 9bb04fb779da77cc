"""Tokens by kind and a list's prices → what they cost; exact. Cached and reasoning tokens are priced apart."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from or_otel.accounts import Prices
from or_otel.facts import EXACT, ZERO, TokenType

INPUT_KINDS: tuple[TokenType, ...] = ("input_fresh", "input_cache_read", "input_cache_write")
OUTPUT_KINDS: tuple[TokenType, ...] = ("output_text", "output_reasoning")

Tokens = Mapping[TokenType, int]
Rates = Mapping[TokenType, Decimal]
ONE = Decimal(1)


def rates_of(prices: Prices) -> Rates | None:
    """Give US dollars per token of each kind; None where a list does not say what input and output cost.

    A kind without a price of its own costs what its whole does; a discount is taken off.
    """
    if prices.is_variable or prices.input is None or prices.output is None:
        return None
    paid = EXACT.subtract(ONE, prices.discount or ZERO)
    told = {
        "input_fresh": prices.input,
        "input_cache_read": prices.input if prices.cache_read is None else prices.cache_read,
        "input_cache_write": prices.input if prices.cache_write is None else prices.cache_write,
        "output_text": prices.output,
        "output_reasoning": prices.output if prices.reasoning is None else prices.reasoning,
    }
    return {kind: EXACT.multiply(price, paid) for kind, price in told.items()}  # type: ignore[misc]


def cost_of(tokens: Tokens, rates: Rates, kinds: tuple[TokenType, ...] = INPUT_KINDS + OUTPUT_KINDS) -> Decimal:
    """Give what the tokens of some kinds cost."""
    total = ZERO
    for kind in kinds:
        if count := tokens.get(kind, 0):
            total = EXACT.add(total, EXACT.multiply(Decimal(count), rates[kind]))
    return total
