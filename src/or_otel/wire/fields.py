"""Foreign JSON, one field at a time: bytes or decoded values in, typed values or None out.

A server may send any type anywhere. Every function here gives None for what it cannot
read, so that one strange field costs that field only. Numbers with a fraction or an
exponent arrive as `Decimal`, exact as written; money never passes through a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

MAX_TEXT = 512
"""Ids, names and words beyond it are not what they claim to be."""
MAX_COUNT = 10**15
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**63 - 1
ZERO = Decimal(0)
MAX_USD = Decimal(10**9)
MIN_EXPONENT = -60
"""A double's noise around zero still ends above it; a longer number is an attack on the sums."""
MAX_DIGITS = 40
NO_OBJECT: Mapping[str, object] = {}
NO_ITEMS: Sequence[object] = ()

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)
"""What msgspec raises for bytes it cannot read; ValueError is Python's limit on the digits of an int."""

_NUMBER = re.compile(r"-?[0-9]{1,64}(\.[0-9]{1,64})?([eE][+-]?[0-9]{1,4})?", re.ASCII)


def _exact(digits: str) -> Decimal | None:
    return Decimal(digits) if _NUMBER.fullmatch(digits) else None


_ANYTHING = msgspec.json.Decoder(float_hook=_exact)


def value_of(raw: bytes | msgspec.Raw) -> object:
    """Decode any JSON value; None when it is absent, null or not JSON."""
    if not raw:  # most fields of most bodies: do not raise for each of them
        return None
    try:
        return _ANYTHING.decode(raw)
    except UNREADABLE:
        return None


def text_of(value: object) -> str | None:
    """Give a non-empty string of reasonable length."""
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def count_of(value: object) -> int | None:
    """Give a whole number of things, also when it is written as `12.0` or `"12"`."""
    if value is None:
        return None
    if value.__class__ is int:
        return value if 0 <= value <= MAX_COUNT else None
    number = _number_of(value)
    if number is None or not 0 <= number <= MAX_COUNT or number != int(number):
        return None
    return int(number)


def integer_of(value: object) -> int | None:
    """Give a whole number of either sign within 64 bits."""
    number = _number_of(value)
    if number is None or not MIN_INTEGER <= number <= MAX_INTEGER or number != int(number):
        return None
    return int(number)


def float_of(value: object) -> float | None:
    """Give a setting such as a temperature."""
    number = _number_of(value)
    return float(number) if number is not None and -MAX_COUNT <= number <= MAX_COUNT else None


def usd_of(value: object) -> Decimal | None:
    """Give an amount of money, exact as written; None for negative and absurd ones."""
    if value is None:
        return None
    number = _number_of(value)
    if number is None:
        return None
    amount = number if isinstance(number, Decimal) else Decimal(number)
    parts = amount.as_tuple()
    if not isinstance(parts.exponent, int) or parts.exponent < MIN_EXPONENT or len(parts.digits) > MAX_DIGITS:
        return None
    # copy_abs (for -0.0), because abs() rounds to the digits of the context.
    return amount.copy_abs() if ZERO <= amount < MAX_USD else None


def flag_of(value: object) -> bool | None:
    """Give a boolean; a number or a word is none."""
    return value if isinstance(value, bool) else None


def object_of(value: object) -> Mapping[str, object]:
    """Give an object, empty when it is something else."""
    return value if isinstance(value, dict) else NO_OBJECT


def items_of(value: object) -> Sequence[object]:
    """Give an array, empty when it is something else."""
    return value if isinstance(value, list) else NO_ITEMS


def texts_of(value: object) -> tuple[str, ...]:
    """Give the strings of an array, or a single string as one."""
    if isinstance(value, str):
        value = [value]
    return tuple(text for item in items_of(value)[:MAX_TEXT] if (text := text_of(item)) is not None)


def _number_of(value: object) -> int | Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        value = _exact(value.strip())
    if isinstance(value, float):  # msgspec gives whole numbers beyond 64 bits as floats
        value = Decimal(value)
    if isinstance(value, Decimal):
        # A huge exponent would make int() build a number of as many digits.
        return value if value.is_finite() and value.adjusted() < MAX_DIGITS else None
    return value if isinstance(value, int) else None
