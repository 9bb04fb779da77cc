"""How long the ledger keeps what it knows: by age, by size, and by request.

Deleted rows are overwritten (`secure_delete`) and the file is packed when a person asked. What is pruned stays in the
lifetime's sums (`ledger.lifetime`); what a person erases does not.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from or_otel.days import DAY_S
from or_otel.ledger import DATABASE, open_ledger, writing
from or_otel.ledger.importing import import_journals, is_process_gone
from or_otel.ledger.lifetime import forget_where, put_by
from or_otel.ledger.queries import entries

KEEP_DAYS = 90
MAX_BYTES = 512 * 1024 * 1024
"""About half a million attempts."""
AT_ONCE = 10_000
"""Attempts whose ids are held in memory at once."""
OLD = "WHERE call_started_at_s < ? ORDER BY call_started_at_s LIMIT ?"
OLDEST_TENTH = "ORDER BY call_started_at_s LIMIT (SELECT count(*) / 10 + 1 FROM attempts)"


def keep_within(ledger: sqlite3.Connection, *, now_s: float, days: int = KEEP_DAYS, max_bytes: int = MAX_BYTES) -> int:
    """Delete what is too old, then the oldest tenths until the rest is small enough; gives how many attempts."""
    deleted = prune(ledger, older_than_s=now_s - days * DAY_S)
    while _used_bytes(ledger) > max_bytes:
        with writing(ledger):
            gone = _let_go(ledger, OLDEST_TENTH)
        if not gone:
            break
        deleted += gone
    return deleted


def prune(ledger: sqlite3.Connection, *, older_than_s: float) -> int:
    """Delete attempts of calls that began before a moment; gives how many."""
    deleted = 0
    with writing(ledger):
        while gone := _let_go(ledger, OLD, older_than_s, AT_ONCE):
            deleted += gone
        ledger.execute("DELETE FROM amendments WHERE call_started_at_s < ?", (older_than_s,))
        ledger.execute("DELETE FROM run_sayings WHERE said_at_s < ?", (older_than_s,))
    return deleted


def _let_go(ledger: sqlite3.Connection, which: str, *values: float) -> int:
    """Put attempts by and delete them; gives how many. To be called within a transaction."""
    rows = ledger.execute(f"SELECT attempt_id, call_started_at_s FROM attempts {which}", values)  # noqa: S608 -- fixed
    leaving = dict(rows.fetchall())
    # Who fetched the same job leaves with it: alone it would book the job's money once more.
    fetched = ledger.execute(
        "SELECT one.attempt_id, attempts.attempt_id, call_started_at_s FROM fetches AS one"
        " JOIN fetches AS other ON other.job = one.job AND other.attempt_id <> one.attempt_id"
        " JOIN attempts ON attempts.attempt_id = other.attempt_id"
    ).fetchall()
    leaving |= {other: at_s for one, other, at_s in fetched if one in leaving}
    until_s = math.nextafter(max(leaving.values(), default=0.0), math.inf)
    put_by(ledger, (entry for entry in entries(ledger, until_s=until_s) if entry.attempt_id in leaving))
    ledger.executemany("DELETE FROM attempts WHERE attempt_id = ?", [(attempt_id,) for attempt_id in leaving])
    _forget_what_hung_on_them(ledger)
    return len(leaving)


def _forget_what_hung_on_them(ledger: sqlite3.Connection) -> None:
    """Delete amendments and fetches of attempts that are gone; an amendment of one yet to come is younger."""
    ledger.execute("DELETE FROM fetches WHERE attempt_id NOT IN (SELECT attempt_id FROM attempts)")
    ledger.execute(
        "DELETE FROM amendments WHERE call_started_at_s < (SELECT min(call_started_at_s) FROM attempts)"
        " AND attempt_id NOT IN (SELECT attempt_id FROM attempts)"
    )
    ledger.execute("DELETE FROM run_sayings WHERE said_at_s < (SELECT min(call_started_at_s) FROM attempts)")


def pack(ledger: sqlite3.Connection) -> None:
    """Give freed space back to the file system."""
    ledger.execute("VACUUM")


def erase(folder: Path) -> tuple[str, ...]:
    """Delete the ledger and every journal; running programs go on in a new journal.

    Returns:
        Names of what was deleted.

    Raises:
        OSError: Something could not be deleted.
    """
    database = (folder / DATABASE, *(folder / f"{DATABASE}{end}" for end in ("-journal", "-wal", "-shm")))
    # The journals first: an import between the two would otherwise bring them back.
    paths = [*sorted(folder.glob("*.jsonl")), *(path for path in database if path.exists())]
    for path in paths:
        path.unlink(missing_ok=True)
    return tuple(path.name for path in paths)


def erase_where(folder: Path, where: Mapping[str, str], *, now_s: float) -> tuple[int, tuple[str, ...]]:
    """Delete the attempts that a question chooses, in the ledger and in journals that are done.

    Returns:
        How many attempts, and the journals of programs that may still run: they keep their lines
        until they end, but nothing of them comes back into the ledger.

    Raises:
        LedgerError: The ledger cannot be used.
        QuestionError: The question names something that no call has.
    """
    import_journals(folder, now_s=now_s)
    with open_ledger(folder / DATABASE) as ledger:
        erased = tuple(entries(ledger, where=where))
        chosen = [(entry.attempt_id,) for entry in erased]
        with writing(ledger):
            ledger.executemany("DELETE FROM attempts WHERE attempt_id = ?", chosen)
            ledger.executemany("DELETE FROM amendments WHERE attempt_id = ?", chosen)
            runs = {(entry.workflow_run_id,) for entry in erased}
            ledger.executemany("DELETE FROM run_sayings WHERE run_id = ?", runs)
            forget_where(ledger, where)
            _forget_what_hung_on_them(ledger)
        pack(ledger)
    left = []
    for path in sorted(folder.glob("*.jsonl")):
        if is_process_gone(path.name):
            path.unlink(missing_ok=True)
        else:
            left.append(path.name)
    return len(chosen), tuple(left)


def _used_bytes(ledger: sqlite3.Connection) -> int:
    (pages,) = ledger.execute("PRAGMA page_count").fetchone()
    (free,) = ledger.execute("PRAGMA freelist_count").fetchone()
    (size,) = ledger.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)
