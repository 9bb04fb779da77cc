"""What all answers of the account API share: `{"data": …}`, pages, signed money, times.

Bytes in; the object or the rows under `data`, and their values, out. Knows no single endpoint. No text that a
person or a server wrote leaves an error. Amounts may be negative here (balances, refunds), unlike the cost of a call.
Source: OpenRouter Python SDK 1.3.84 and API reference, seen 2026-08 to 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Generic, TypeVar
from urllib.parse import parse_qs, urlsplit

from or_otel.facts import EXACT
from or_otel.wire.fields import count_of, float_of, object_of, text_of, usd_of, value_of

T = TypeVar("T")

TO_SECONDS, TO_SHARE = -3, -2
"""Powers of ten from milliseconds, and from percents."""
DATE_LENGTH = len("2026-11-21")


class UnreadableAnswerError(Exception):
    """A body that is not what its endpoint promises; the message says what was expected, never what came.

    Attributes:
        status: The error code, when the body is an error object whatever its HTTP status.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """One page of a list.

    Attributes:
        rows: What could be read.
        strange_count: Rows left out, because they do not say what they are about.
        next_offset: Where the next page begins, when the answer names one.
        is_truncated: Whether the server says that it left rows out.
    """

    rows: tuple[T, ...] = ()
    strange_count: int = 0
    next_offset: int | None = None
    is_truncated: bool = False

    @property
    def received_count(self) -> int:
        """How many rows came, strange ones included."""
        return len(self.rows) + self.strange_count


def data_of(body: bytes) -> Mapping[str, object]:
    """Give the object under `data`.

    Raises:
        UnreadableAnswerError: There is none.
    """
    told = _answer(body).get("data")
    if not isinstance(told, dict):
        raise UnreadableAnswerError("expected an object in 'data'")
    return told


def listing_of(body: bytes, read: Callable[[Mapping[str, object]], T | None]) -> Listing[T]:
    """Read the list under `data`, and where the next page begins.

    Raises:
        UnreadableAnswerError: There is none.
    """
    answer = _answer(body)
    following = next_offset(object_of(answer.get("links")).get("next"))
    return rows_of(answer.get("data"), read, where="data", following=following)


def rows_of(
    value: object,
    read: Callable[[Mapping[str, object]], T | None],
    *,
    where: str,
    following: int | None = None,
    is_truncated: bool = False,
) -> Listing[T]:
    """Read the rows of a list; those that `read` gives None for are counted.

    Raises:
        UnreadableAnswerError: It is no list.
    """
    if not isinstance(value, list):
        raise UnreadableAnswerError(f"expected a list in '{where}'")
    rows = tuple(row for item in value if isinstance(item, dict) and (row := read(item)) is not None)
    return Listing(rows=rows, strange_count=len(value) - len(rows), next_offset=following, is_truncated=is_truncated)


def next_offset(link: object) -> int | None:
    """Give the offset that a link names; the link itself is never followed, as it could lead a key elsewhere."""
    try:
        return count_of(parse_qs(urlsplit(text_of(link) or "").query).get("offset", [None])[0])
    except ValueError:  # an unclosed bracket, too many fields
        return None


def amount_of(value: object) -> Decimal | None:
    """Give an amount of money of either sign, exact as written; None for absurd ones."""
    amount = usd_of(value)
    if amount is not None:
        return amount
    amount = usd_of(_negated(value))
    return None if amount is None else amount.copy_negate()


def figure_of(value: object) -> Decimal | None:
    """Give a figure of analytics: a count, as number or text, or an amount."""
    count = count_of(value)
    return amount_of(value) if count is None else Decimal(count)


def scaled_of(value: object, power: int) -> float | None:
    """Give a figure times a power of ten, without the noise of a binary division."""
    amount = usd_of(value)
    return None if amount is None else float(EXACT.scaleb(amount, power))


def time_of(value: object) -> float | None:
    """Give Unix seconds, from an ISO text (UTC when it names no zone) or from Unix seconds."""
    text = text_of(value)
    if text is None:
        return float_of(value)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def day_of(value: object) -> date | None:
    """Give the day of a date or of an ISO time."""
    try:
        return date.fromisoformat((text_of(value) or "")[:DATE_LENGTH])
    except ValueError:
        return None


def _answer(body: bytes) -> Mapping[str, object]:
    answer = value_of(body)
    if not isinstance(answer, dict):
        raise UnreadableAnswerError("expected a JSON object")
    if "data" not in answer and answer.get("error"):
        code = count_of(object_of(answer["error"]).get("code"))
        raise UnreadableAnswerError("expected 'data', found an error object", status=code)
    return answer


def _negated(value: object) -> object:
    if isinstance(value, Decimal):
        return value.copy_negate()
    if isinstance(value, str):
        text = value.strip()
        return text[1:] if text.startswith("-") else None
    return -value if isinstance(value, int) and not isinstance(value, bool) else None
