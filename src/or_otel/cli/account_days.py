"""What the account says of closed days, for commands: asked where it can be, else as it was stored before.

A client and the open ledger come in. Days and keys that are fetched are stored, so that they outlive the 30 days
that OpenRouter tells of, and are not asked for twice. Single generations are listed by the analytics API and believed
only where they add up to the day.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from or_otel.account.client import AccountClient
from or_otel.account.errors import AccountError, NotFoundError, RefusedError
from or_otel.account.history import (
    DAYS,
    missing_days,
    read_activity,
    read_keys,
    store_activity,
    store_keys,
)
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.days import begin_s, utc_day
from or_otel.facts import ZERO
from or_otel.reports.causes import Billed
from or_otel.reports.reconciliation import ROUNDING_USD, Comparison

LISTED_MAX = 10_000
"""Rows that one answer of the analytics API holds at most."""
ID, KEY = "generation_id", "api_key_id"
CREDITS, BYOK = "credits_usage", "byok_usage"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDays:
    """The account's side of some closed days.

    Attributes:
        keys: Every key, those that are gone included.
        rows: The account's own rows, and those of single keys.
        days: Closed days that are known, in order.
        is_fresh: Whether the account was asked.
    """

    keys: tuple[AccountKey, ...]
    rows: tuple[ActivityRow, ...]
    days: tuple[date, ...]
    is_fresh: bool


def span(first: date, last: date) -> list[date]:
    """Give the days from the first to the last."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def read_days(
    client: AccountClient | None, ledger: sqlite3.Connection, first: date, last: date, now_s: float
) -> AccountDays:
    """Give the closed days among these, asking for those that are not stored.

    Args:
        client: Asks with a management key; None leaves it to what is stored.
        ledger: Where days and keys are stored.
        first: First day.
        last: Last day; today and later are left out.
        now_s: Unix time.

    Raises:
        AccountError: The account does not answer, or not to this key.
    """
    today = utc_day(now_s)
    wanted = span(first, min(last, today - timedelta(days=1)))
    if client is not None:
        listed = client.keys(_workspace_ids(client))
        store_keys(ledger, listed, now_s)
    keys = tuple(known.key for known in read_keys(ledger))
    hashes: list[str | None] = [None, *(key.hash for key in keys)]
    fetched: set[date] = set()
    if client is not None:
        gone = {key.hash for key in keys} - {key.hash for key in listed}
        idle = {key.hash for key in listed if _is_idle_since(key, wanted[0])} if wanted else set()
        for key_hash in hashes:
            if key_hash is None or key_hash not in gone | idle:
                days = [day for day in missing_days(ledger, today, DAYS, key_hash) if day in wanted]
                _fetch(client, ledger, days, key_hash, now_s)
                fetched.update(days if key_hash is None else ())
    missing = missing_days(ledger, today, (today - first).days)
    rows = [row for key_hash in hashes for row in read_activity(ledger, first, last + timedelta(days=1), key_hash)]
    known = tuple(day for day in wanted if day not in missing or day in fetched)
    return AccountDays(keys=keys, rows=tuple(rows), days=known, is_fresh=client is not None)


def _workspace_ids(client: AccountClient) -> tuple[str, ...]:
    try:
        return tuple(workspace.id for workspace in client.workspaces())
    except (NotFoundError, RefusedError):  # an older account, which has but one
        return ()


def _is_idle_since(key: AccountKey, day: date) -> bool:
    if not key.credits.lifetime_usd and not key.byok.lifetime_usd and key.last_used_at_s is None:
        return True
    return key.last_used_at_s is not None and key.last_used_at_s < begin_s(day)


def _fetch(
    client: AccountClient, ledger: sqlite3.Connection, days: Sequence[date], key_hash: str | None, now_s: float
) -> None:
    if not days:
        return
    listing = client.activity(day=days[0] if len(days) == 1 else None, key_hash=key_hash)
    asked = frozenset(days)
    rows = [row for row in listing.rows if row.day in asked]
    store_activity(ledger, rows, now_s, covered=days, key_hash=key_hash, is_whole=not listing.strange_count)


def list_generations(
    client: AccountClient, cells: Iterable[Comparison], *, limit: int
) -> tuple[dict[tuple[date, str], Mapping[str, Billed]], list[str]]:
    """List the generations of keys on days that differ, largest difference first.

    Args:
        client: Asks with a management key.
        cells: By key.
        limit: Questions at most.

    Returns:
        Day and key hash → generation id → bill; and why some are missing, in sentences for people.
    """
    wanted = sorted(
        (cell for cell in cells if cell.key_hash is not None and cell.is_two_sided and not cell.is_equal),
        key=lambda cell: -max(abs(cell.credits_difference_usd), abs(cell.byok_difference_usd)),
    )
    if not wanted:
        return {}, []
    found: dict[tuple[date, str], Mapping[str, Billed]] = {}
    told: list[str] = []
    try:
        meta = client.analytics_meta()
        if not {ID, KEY} <= meta.dimensions or not {CREDITS, BYOK} <= meta.metrics:
            return {}, ["The account's analytics do not list single generations: causes rest on the sums alone."]
        for cell in wanted[:limit]:
            bills = _listed(client, cell)
            if bills is None:
                told.append(f"The list of generations of {cell.day} does not add up to its sums, and was left aside.")
            elif cell.key_hash is not None:
                found[cell.day, cell.key_hash] = bills
    except AccountError as error:
        told.append(f"Single generations could not be listed: {error}")
    if len(wanted) > limit:
        told.append(f"Generations were listed for the {limit} largest of {len(wanted)} differences.")
    return found, list(dict.fromkeys(told))


def _listed(client: AccountClient, cell: Comparison) -> Mapping[str, Billed] | None:
    begin = begin_s(cell.day)
    listing = client.analytics(
        (CREDITS, BYOK),
        (ID,),
        between_s=(begin, begin_s(cell.day + timedelta(days=1))),
        filters=[{"field": KEY, "operator": "eq", "value": cell.key_hash}],
        limit=LISTED_MAX,
    )
    bills = {
        row.dimensions[ID]: Billed(
            id=row.dimensions[ID],
            day=cell.day,
            credits_usd=row.metrics.get(CREDITS, ZERO),
            byok_usd=row.metrics.get(BYOK, ZERO),
        )
        for row in listing.rows
        if ID in row.dimensions
    }
    sums = (sum(bill.credits_usd for bill in bills.values()), sum(bill.byok_usd for bill in bills.values()))
    told = (cell.provider.credits_usd, cell.provider.byok_usd)
    is_whole = all(abs(found - wanted) <= ROUNDING_USD for found, wanted in zip(sums, told, strict=True))
    return bills if is_whole and not listing.is_truncated and len(bills) == len(listing.rows) else None
