"""Price of a model → its tier: how dear it is beside others, in words that a month later mean the same.

The price is what a million tokens really cost, input and output, cached and fresh together: what a list says
of a model matters less than what its calls come to.
"""

from __future__ import annotations

from decimal import Decimal

PER_MILLION = Decimal(1_000_000)
TIERS: tuple[tuple[str, Decimal | None], ...] = (
    ("free", Decimal(0)),
    ("low", Decimal("0.5")),
    ("middle", Decimal(3)),
    ("high", Decimal(10)),
    ("top", None),
)
"""Tier → most that a million tokens of it cost in US dollars."""
WORDS = {
    "free": "nothing",
    "low": "up to $0.50 a million tokens",
    "middle": "up to $3",
    "high": "up to $10",
    "top": "more than $10",
}


def tier_of(cost: Decimal, tokens: int) -> str | None:
    """Give the tier of what some tokens cost; None without tokens."""
    if tokens <= 0:
        return None
    price = cost * PER_MILLION / tokens
    return next(name for name, most in TIERS if most is None or price <= most)
