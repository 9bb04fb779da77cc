"""What the account said before: closed days and keys, kept in the ledger's SQLite file.

An open connection (`isolation_level=None`) and times come in; rows go in and out. The account API forgets days after
30 days, and keys as soon as they are deleted; here they stay. A day that OpenRouter books again is a new revision
beside the old one, and the newest counts. Money is exact text. Knows nothing of the rest of that file.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from or_otel.accounts import AccountKey, ActivityRow, Spend
from or_otel.days import ONE_DAY, begin_s, utc_day
from or_otel.facts import EXACT

T = TypeVar("T", int, Decimal)

SCHEMA = (
    """CREATE TABLE IF NOT EXISTS activity (
        day TEXT NOT NULL, key_hash TEXT NOT NULL, permaslug TEXT NOT NULL, endpoint TEXT NOT NULL,
        revision INTEGER NOT NULL, fetched_at_s REAL NOT NULL, line TEXT NOT NULL,
        PRIMARY KEY (day, key_hash, permaslug, endpoint, revision)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS activity_days (
        day TEXT NOT NULL, key_hash TEXT NOT NULL, fetched_at_s REAL NOT NULL, PRIMARY KEY (day, key_hash)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS account_keys (
        hash TEXT PRIMARY KEY, first_seen_s REAL NOT NULL, last_seen_s REAL NOT NULL, line TEXT NOT NULL
    ) WITHOUT ROWID""",
)
DAYS = 30
"""How far back the account API tells."""
SETTLED_S = 3_600.0
"""A day fetched earlier than so long after its end may lack its last calls, and is fetched again."""
MONEY_OF_ROW = ("credits_usd", "byok_usd")
MONEY_OF_KEY = ("limit_usd", "limit_remaining_usd")
SPENDS = ("credits", "byok")
GONE = "null"
"""The line of a row that a later answer told no more: booked elsewhere, it must not count twice."""
NOT_KEPT_OF_KEY = ("budgets", "free_requests_limit", "free_requests_used")
"""What only the asking key tells of itself, and what is worth nothing later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key as it was last seen; it may be gone.

    Attributes:
        key: Its last row. Sums of a day, week or month are those of the period of `last_seen_s`.
        first_seen_s, last_seen_s: Unix times.
    """

    key: AccountKey
    first_seen_s: float
    last_seen_s: float


def store_activity(
    connection: sqlite3.Connection,
    rows: Iterable[ActivityRow],
    fetched_at_s: float,
    *,
    covered: Iterable[date] = (),
    key_hash: str | None = None,
    is_whole: bool = True,
) -> int:
    """Keep what one question to `/activity` gave, for the whole account or for one key.

    Rows of several workspaces are added up: what is asked later is the account, or a key.

    Args:
        connection: To the ledger.
        rows: All rows of the answer.
        fetched_at_s: When it was asked.
        covered: Days the question was about, which are thereby known even where nothing was booked.
        key_hash: The key it was narrowed to, for the days covered.
        is_whole: Whether every row of the answer could be read. Else the missing ones are not gone: what is known of
            them stays, and no day counts as fetched.

    Returns:
        How many rows were new or had changed.
    """
    merged: dict[tuple[str, str, str, str], ActivityRow] = {}
    for row in rows:
        identity = (row.day.isoformat(), row.key_hash or "", row.permaslug or "", row.endpoint_id or "")
        before = merged.get(identity)
        row = replace(row, workspace_id=None)  # noqa: PLW2901 -- the row as it is kept
        merged[identity] = row if before is None else _added(before, row)
    told = {(day, hash_) for day, hash_, _, _ in merged}
    asked = {(day.isoformat(), key_hash or "") for day in covered}
    days = told | asked if is_whole else set()
    count = 0
    with _writing(connection):
        for identity, row in merged.items():
            revision, line, stored_at_s = _newest(connection, identity)
            if stored_at_s > fetched_at_s or (line not in {None, GONE} and _row(line or "") == row):
                continue
            connection.execute(
                "INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*identity, revision + 1, fetched_at_s, _line(asdict(row))),
            )
            count += 1
        # A day that came back without any row is left as it is: a server may forget what it once billed.
        for identity in _stored(connection, told & asked & days) - set(merged):
            revision, line, stored_at_s = _newest(connection, identity)
            if stored_at_s < fetched_at_s and line != GONE:
                connection.execute(
                    "INSERT INTO activity VALUES (?, ?, ?, ?, ?, ?, ?)", (*identity, revision + 1, fetched_at_s, GONE)
                )
                count += 1
        connection.executemany(
            "INSERT INTO activity_days VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET fetched_at_s = max(fetched_at_s, excluded.fetched_at_s)",
            [(day, hash_, fetched_at_s) for day, hash_ in sorted(days)],
        )
    return count


def read_activity(
    connection: sqlite3.Connection, since: date, until: date, key_hash: str | None = None
) -> tuple[ActivityRow, ...]:
    """Give the newest revision of each row.

    Args:
        connection: To the ledger.
        since: First day.
        until: The day after the last one.
        key_hash: One key's; None for the account's own rows, which hold all keys.
    """
    _prepare(connection)
    found = connection.execute(
        "SELECT line, max(revision) FROM activity WHERE day >= ? AND day < ? AND key_hash = ? "
        "GROUP BY day, permaslug, endpoint ORDER BY day, permaslug, endpoint",
        (since.isoformat(), until.isoformat(), key_hash or ""),
    )
    return tuple(_row(line) for line, _ in found if line != GONE)


def covered_days(asked_s: float, now_s: float) -> list[date]:
    """Give the days that an answer of `/activity` was about, newest first.

    Of a midnight between question and answer, only what both sides hold.

    Args:
        asked_s: When it was asked.
        now_s: When it was there.
    """
    asked, oldest = utc_day(asked_s), utc_day(now_s) - timedelta(days=DAYS)
    return [day for ago in range(1, DAYS + 1) if (day := asked - timedelta(days=ago)) >= oldest]


def missing_days(
    connection: sqlite3.Connection, today: date, days: int = DAYS, key_hash: str | None = None
) -> tuple[date, ...]:
    """Give the closed days that were never fetched, or too soon after their end; the oldest first."""
    _prepare(connection)
    wanted = [today - timedelta(days=ago) for ago in range(days, 0, -1)]
    fetched = dict(
        connection.execute("SELECT day, fetched_at_s FROM activity_days WHERE key_hash = ?", (key_hash or "",))
    )
    return tuple(day for day in wanted if fetched.get(day.isoformat(), 0.0) < begin_s(day + ONE_DAY) + SETTLED_S)


def store_keys(connection: sqlite3.Connection, keys: Iterable[AccountKey], seen_at_s: float) -> None:
    """Keep the rows of `/keys`; a row without a hash cannot be kept."""
    with _writing(connection):
        connection.executemany(
            "INSERT INTO account_keys VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
            "first_seen_s = min(first_seen_s, excluded.first_seen_s), "
            "line = CASE WHEN excluded.last_seen_s >= last_seen_s THEN excluded.line ELSE line END, "
            "last_seen_s = max(last_seen_s, excluded.last_seen_s)",
            [(key.hash, seen_at_s, seen_at_s, _key_line(key)) for key in keys if key.hash is not None],
        )


def read_keys(connection: sqlite3.Connection) -> tuple[KnownKey, ...]:
    """Give every key ever seen, in the order of first sight."""
    _prepare(connection)
    found = connection.execute("SELECT line, first_seen_s, last_seen_s FROM account_keys ORDER BY first_seen_s, hash")
    return tuple(KnownKey(key=_key(line), first_seen_s=first, last_seen_s=last) for line, first, last in found)


# The tables -----------------------------------------------------------------------------------------------------------


def _prepare(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        connection.execute(statement)


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one transaction, whose lock is taken at its begin."""
    _prepare(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _stored(connection: sqlite3.Connection, days: Iterable[tuple[str, str]]) -> set[tuple[str, str, str, str]]:
    """Give the identities of all rows ever kept of some days."""
    found: set[tuple[str, str, str, str]] = set()
    for day in days:
        found.update(
            connection.execute(
                "SELECT DISTINCT day, key_hash, permaslug, endpoint FROM activity WHERE day = ? AND key_hash = ?", day
            )
        )
    return found


def _newest(connection: sqlite3.Connection, identity: tuple[str, str, str, str]) -> tuple[int, str | None, float]:
    found: tuple[int, str, float] | None = connection.execute(
        "SELECT revision, line, fetched_at_s FROM activity WHERE day = ? AND key_hash = ? AND permaslug = ? "
        "AND endpoint = ? ORDER BY revision DESC LIMIT 1",
        identity,
    ).fetchone()
    return (0, None, 0.0) if found is None else found


# Lines ----------------------------------------------------------------------------------------------------------------


def _line(told: Mapping[str, object]) -> str:
    """Write what is known, money and days as text."""
    return json.dumps({name: value for name, value in told.items() if value is not None}, default=str)


def _key_line(key: AccountKey) -> str:
    told = {name: value for name, value in asdict(key).items() if name not in NOT_KEPT_OF_KEY}
    for name in SPENDS:
        told[name] = {period: amount for period, amount in told[name].items() if amount is not None}
    return _line(told)


def _row(line: str) -> ActivityRow:
    told = _known(json.loads(line), ActivityRow)
    for name in MONEY_OF_ROW:
        if name in told:
            told[name] = Decimal(told[name])
    return ActivityRow(**told | {"day": date.fromisoformat(told["day"])})


def _key(line: str) -> AccountKey:
    told = _known(json.loads(line), AccountKey)
    for name in MONEY_OF_KEY:
        if name in told:
            told[name] = Decimal(told[name])
    for name in SPENDS:
        told[name] = Spend(**{period: Decimal(amount) for period, amount in told.get(name, {}).items()})
    return AccountKey(**told)


def _known(told: Mapping[str, Any], kind: type[AccountKey | ActivityRow]) -> dict[str, Any]:
    """Leave out what a newer or-otel wrote and this one does not know."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in told.items() if name in names}


# Figures --------------------------------------------------------------------------------------------------------------


def _added(row: ActivityRow, other: ActivityRow) -> ActivityRow:
    return replace(
        row,
        credits_usd=_sum(row.credits_usd, other.credits_usd, EXACT.add),
        byok_usd=_sum(row.byok_usd, other.byok_usd, EXACT.add),
        requests=_sum(row.requests, other.requests, int.__add__),
        input_tokens=_sum(row.input_tokens, other.input_tokens, int.__add__),
        output_tokens=_sum(row.output_tokens, other.output_tokens, int.__add__),
        reasoning_tokens=_sum(row.reasoning_tokens, other.reasoning_tokens, int.__add__),
        cache_read_tokens=_sum(row.cache_read_tokens, other.cache_read_tokens, int.__add__),
    )


def _sum(figure: T | None, other: T | None, add: Callable[[T, T], T]) -> T | None:
    if figure is None or other is None:
        return other if figure is None else figure
    return add(figure, other)
