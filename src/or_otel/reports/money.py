"""Figures → text for people: money to the digits that matter, times, counts, shares.

Exact figures belong into JSON; here a reader compares at a glance. What is not known is
"unknown" and never a zero.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

UNKNOWN = "unknown"
NOT_TOLD = "-"
CENT = Decimal("0.01")
SIGNIFICANT = 3
MINUTE_S = 60.0
TOKENS_IN_FULL = 10_000
TOKEN_UNITS = ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))
ROUNDS_TO_1000 = 999.5
"""From here on three digits would be written with an exponent."""


def usd(amount: Decimal | None, *, is_floor: bool = False) -> str:
    """Write dollars: cents from one dollar on, below three digits that matter.

    Args:
        amount: None is unknown.
        is_floor: Whether more may have been spent than is known.
    """
    if amount is None:
        return UNKNOWN
    return f"{'≥ ' if is_floor else ''}{'-' if amount < 0 else ''}${_digits(abs(amount))}"


def _digits(amount: Decimal) -> str:
    if not amount:
        return "0"
    if amount >= 1:
        return f"{amount.quantize(CENT, ROUND_HALF_UP):,}"
    rounded = amount.quantize(Decimal(1).scaleb(amount.adjusted() - SIGNIFICANT + 1), ROUND_HALF_UP)
    # At least cents, so that $0.50 does not read $0.5; no zeros behind them.
    text = f"{rounded:f}".rstrip("0")
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def exact(amount: Decimal | None) -> str | None:
    """Write an amount with all its digits and without an exponent, for programs."""
    if amount is None:
        return None
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int | None) -> str:
    """Write a count with thousands apart."""
    return UNKNOWN if number is None else f"{number:,}"


def tokens(number: int | None) -> str:
    """Write a token count short: 950, 12.3k, 4.56M."""
    if number is None:
        return UNKNOWN
    if number < TOKENS_IN_FULL:
        return f"{number:,}"
    size, letter = next(unit for unit in TOKEN_UNITS if number >= unit[0])
    amount = number / size
    return f"{amount:.3g}{letter}" if amount < ROUNDS_TO_1000 else f"{amount:.0f}{letter}"


def seconds(duration_s: float | None) -> str:
    """Write a duration: 85 ms, 1.24 s, 3 min 05 s."""
    if duration_s is None:
        return UNKNOWN
    if duration_s < 1:
        return f"{duration_s * 1000:.0f} ms"
    if duration_s < MINUTE_S:
        return f"{duration_s:.2f} s" if duration_s < 10 else f"{duration_s:.1f} s"  # noqa: PLR2004
    minutes, rest = divmod(round(duration_s), 60)
    return f"{minutes} min {rest:02} s"


def share(part: float | Decimal | None) -> str:
    """Write a share between 0 and 1 as percent."""
    return UNKNOWN if part is None else f"{float(part):.0%}"


def plural(number: int, noun: str) -> str:
    """Write a count with its noun: 1 call, 3 calls, 2 retries, 7 days."""
    if number == 1:
        return f"1 {noun}"
    is_changing = noun.endswith("y") and noun[-2:-1] not in set("aeiou")  # retries, but days and keys
    return f"{number:,} {noun[:-1]}ies" if is_changing else f"{number:,} {noun}s"
