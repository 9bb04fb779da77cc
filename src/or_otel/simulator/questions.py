"""What the query of an account request says, or why it cannot be answered.

Query parameters in, values out. Knows nothing of accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TypeVar

Row = TypeVar("Row")
Query = Mapping[str, str]


class QuestionError(Exception):
    """The question is not one the API takes: answered with 400 and this text."""


def whole(query: Query, name: str, default: int, most: int | None = None) -> int:
    """Read a number of things.

    Raises:
        QuestionError: It is none, or too large.
    """
    text = query.get(name, str(default))
    if not text.isdecimal() or (most is not None and int(text) > most):
        limit = "" if most is None else f" up to {most}"
        raise QuestionError(f"{name}={text[:40]!r}: expected a whole number{limit}")
    return int(text)


def truth(query: Query, name: str) -> bool:
    """Read a yes or no; absent is no.

    Raises:
        QuestionError: It is neither.
    """
    text = query.get(name, "false")
    if text not in {"true", "false"}:
        raise QuestionError(f"{name}={text[:40]!r}: expected true or false")
    return text == "true"


def day(query: Query, name: str) -> str | None:
    """Read a UTC date; None when it is absent.

    Raises:
        QuestionError: It is no date.
    """
    text = query.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise QuestionError(f"{name}={text[:40]!r}: expected YYYY-MM-DD") from None


def page(rows: Sequence[Row], query: Query, *, default: int, most: int) -> Sequence[Row]:
    """Give the rows that `offset` and `limit` ask for."""
    begin = whole(query, "offset", 0)
    return rows[begin : begin + whole(query, "limit", default, most)]
