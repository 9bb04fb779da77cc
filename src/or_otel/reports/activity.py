"""Closed days of the account → sums by any dimension, and what single keys leave of the whole.

Pure. `None` stays "not said": a sum of which some row says nothing is what is known at least.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from or_otel.accounts import ActivityRow
from or_otel.facts import EXACT, ZERO, plus

Group = tuple[str | None, ...]
RowDimension = Callable[[ActivityRow], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivitySums:
    """What rows add up to.

    Attributes:
        requests, input_tokens, output_tokens: None when no row says.
        credits_usd: What the credits lost, BYOK fees included.
        byok_usd: What providers bill over own keys, at list price.
        is_floor: Whether some row does not say its money.
    """

    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    credits_usd: Decimal | None = None
    byok_usd: Decimal | None = None
    is_floor: bool = False

    @property
    def total_usd(self) -> Decimal | None:
        """Both ledgers."""
        return plus(self.credits_usd, self.byok_usd)


NOTHING = ActivitySums()


def add_rows(rows: Iterable[ActivityRow]) -> ActivitySums:
    """Add up rows."""
    return grouped(rows, ()).get((), NOTHING)


def grouped(rows: Iterable[ActivityRow], by: Sequence[RowDimension]) -> dict[Group, ActivitySums]:
    """Add up rows by dimensions; groups in order of first sight."""
    found: dict[Group, ActivitySums] = {}
    for row in rows:
        group = tuple(dimension(row) for dimension in by)
        found[group] = joined(found.get(group, NOTHING), _sums(row))
    return found


def joined(sums: ActivitySums, other: ActivitySums) -> ActivitySums:
    """Add two sums."""
    return ActivitySums(
        requests=_count(sums.requests, other.requests),
        input_tokens=_count(sums.input_tokens, other.input_tokens),
        output_tokens=_count(sums.output_tokens, other.output_tokens),
        credits_usd=plus(sums.credits_usd, other.credits_usd),
        byok_usd=plus(sums.byok_usd, other.byok_usd),
        is_floor=sums.is_floor or other.is_floor,
    )


def dearest_first(groups: Mapping[Group, ActivitySums]) -> list[tuple[Group, ActivitySums]]:
    """Order groups for people."""
    return sorted(
        groups.items(), key=lambda each: (-(each[1].total_usd or ZERO), tuple(part or "" for part in each[0]))
    )


def left_over(whole: Iterable[ActivityRow], parts: Iterable[ActivityRow]) -> tuple[ActivityRow, ...]:
    """Give what remains of the account's own rows when those of single keys are taken out.

    That is the spending of keys that nobody can name any more: they were deleted before they were seen.
    """
    rest: dict[tuple[date, str | None, str | None], ActivityRow] = {}
    for rows, sign in ((whole, 1), (parts, -1)):
        for row in rows:
            identity = (row.day, row.permaslug or row.model, row.endpoint_id or row.provider)
            before = rest.get(identity, replace(_scaled(row, 0), key_hash=None, workspace_id=None))
            rest[identity] = _sum(before, _scaled(row, sign))
    return tuple(row for row in rest.values() if row.credits_usd or row.byok_usd or row.requests)


FIGURES = ("requests", "input_tokens", "output_tokens", "reasoning_tokens", "cache_read_tokens")
MONEY = ("credits_usd", "byok_usd")


def _scaled(row: ActivityRow, sign: int) -> ActivityRow:
    told: dict[str, Any] = {
        name: EXACT.multiply(value, sign) for name in MONEY if (value := getattr(row, name)) is not None
    }
    told |= {name: value * sign for name in FIGURES if (value := getattr(row, name)) is not None}
    return replace(row, **told)


def _sum(row: ActivityRow, other: ActivityRow) -> ActivityRow:
    counts = {name: _count(getattr(row, name), getattr(other, name)) for name in FIGURES}
    money = {name: plus(getattr(row, name), getattr(other, name)) for name in MONEY}
    return replace(row, **counts, **money)  # type: ignore[arg-type]


def _sums(row: ActivityRow) -> ActivitySums:
    return ActivitySums(
        requests=row.requests,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        credits_usd=row.credits_usd,
        byok_usd=row.byok_usd,
        is_floor=row.credits_usd is None,
    )


def _count(figure: int | None, other: int | None) -> int | None:
    return other if figure is None else figure if other is None else figure + other
