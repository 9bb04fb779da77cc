"""JSON text whose numbers are exactly the `Decimal`s given: no binary fraction ever touches money.

Values in, text out. Knows nothing of OpenRouter.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal

_PLAIN_FROM = Decimal("0.000001")
_ROOMY = Context(prec=200)


def number(value: Decimal) -> str:
    """Write a decimal as servers do: plain digits, and an exponent below one millionth."""
    if not value:
        return "0"
    if abs(value) < _PLAIN_FROM:
        return str(value.normalize(_ROOMY)).replace("E", "e")
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def dumps(value: object) -> str:
    """Write JSON with exact decimals.

    Raises:
        TypeError: The value holds something JSON has no word for.
    """
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(str(key))}:{dumps(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
