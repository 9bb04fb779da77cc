"""What came into the ledger since one last looked: each attempt once, and each change of its money once.

For whoever watches: the work of a look grows with what is new, not with what is kept. Journals that did not
grow are not opened. Knows an open ledger and its folder; times come in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from or_otel import amendments
from or_otel.entries import Entry, from_line
from or_otel.ledger import DATABASE
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import SELECT, as_it_stands

SWEEP_S = 60.0
"""So often journals are imported though none grew: one may be gone by then, and be cleared away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something new of an attempt.

    Attributes:
        entry: As it stands now.
        before: As it was told earlier; None for a new attempt.
    """

    entry: Entry
    before: Entry | None = None


class _Place(NamedTuple):
    """The last row of a table that was looked at, and whose it was; none of an empty table."""

    row: int = 0
    attempt_id: str | None = None


class Following:
    """Follows a ledger.

    Args:
        folder: Of the journals and the ledger.
        ledger: Open.
        since_s: Calls that began before are passed over.
    """

    def __init__(self, folder: Path, ledger: sqlite3.Connection, *, since_s: float) -> None:
        self._folder, self._ledger, self._since_s = folder, ledger, since_s
        self._attempt = self._amendment = _Place()
        self._file = self._inode()
        self._journals: dict[str, tuple[int, int]] = {}
        self._imported_at_s = float("-inf")
        self.problems: tuple[str, ...] = ()

    def is_astray(self) -> bool:
        """Whether what was told last has left the ledger: begin again then, with the ledger opened again.

        Other attempts take its place, and would be passed over; or the whole file was erased.
        """
        return (
            self._file != self._inode()
            or self._whose("attempts", self._attempt.row) != self._attempt.attempt_id
            or self._whose("amendments", self._amendment.row) != self._amendment.attempt_id
        )

    def changes(self, now_s: float) -> Iterator[Change]:
        """Import what journals gained, and give what is new since the last look, in order of arrival."""
        journals = self._sizes()
        if journals != self._journals or now_s - self._imported_at_s >= SWEEP_S:
            self.problems = import_journals(self._folder, now_s=now_s).problems
            self._journals, self._imported_at_s = journals, now_s
        attempt, amendment = self._last("attempts"), self._last("amendments")
        yield from self._amended(amendment.row)
        # The first look searches by time, a later one by place; a plus keeps the other index out of the search.
        by_place, by_time, order = "attempts.rowid", "+attempts.call_started_at_s", "attempts.rowid"
        if not self._attempt.row:
            by_place, by_time, order = "+attempts.rowid", "attempts.call_started_at_s", "attempts.call_started_at_s"
        rows = self._ledger.execute(
            f"{SELECT} WHERE {by_place} > ? AND {by_place} <= ? AND {by_time} >= ? ORDER BY {order}",
            (self._attempt.row, attempt.row, self._since_s),
        )
        for line, learned in rows:
            entry = as_it_stands(self._ledger, line, learned)
            if entry is not None:
                yield Change(entry=entry)
        self._attempt, self._amendment = attempt, amendment

    def _amended(self, learned_to: int) -> Iterator[Change]:
        """Give what was learned of attempts told before; a second amendment of one changes no figure here."""
        rows = self._ledger.execute(
            "SELECT attempts.line, amendments.line FROM amendments"
            " JOIN attempts ON attempts.attempt_id = amendments.attempt_id"
            " WHERE amendments.rowid > ? AND amendments.rowid <= ? AND attempts.rowid <= ?"
            " AND attempts.call_started_at_s >= ?",
            (self._amendment.row, learned_to, self._attempt.row, self._since_s),
        )
        for line, learned in rows:
            before = from_line(line)
            if before is not None:
                yield Change(entry=amendments.amended(before, amendments.from_line(learned)), before=before)

    def _last(self, table: str) -> _Place:
        # Beside `max` SQLite gives the other columns of that very row.
        found = self._ledger.execute(f"SELECT coalesce(max(rowid), 0), attempt_id FROM {table}")  # noqa: S608 -- fixed
        return _Place(*found.fetchone())

    def _whose(self, table: str, row: int) -> str | None:
        found = self._ledger.execute(f"SELECT attempt_id FROM {table} WHERE rowid = ?", (row,)).fetchone()  # noqa: S608
        return None if found is None else found[0]

    def _inode(self) -> int | None:
        try:
            return (self._folder / DATABASE).stat().st_ino
        except FileNotFoundError:
            return None

    def _sizes(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in self._folder.glob("*.jsonl"):
            try:
                status = path.stat()
            except FileNotFoundError:  # imported and deleted by another reader meanwhile
                continue
            found[path.name] = (status.st_size, status.st_mtime_ns)
        return found
