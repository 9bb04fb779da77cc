"""Journals → ledger: each line once, in any order, however often and by however many importers it is read.

A journal is read from where the last import stopped to its last whole line; a half line is
read again next time. A journal is deleted when it is imported whole, its process is gone
and nothing was added for a while.
"""

from __future__ import annotations

import os
import sqlite3
import time
from dataclasses import dataclass, field
from pathlib import Path

from or_otel import amendments, runs
from or_otel.calls import Amendment
from or_otel.entries import Entry, from_line, host_label, to_line
from or_otel.ledger import DATABASE, open_ledger, writing
from or_otel.runs import RunSaying
from or_otel.wire.endpoints import FETCH_RESPONSE

IDLE_S = 600.0
"""A journal that changed since stays: containers may share a host name, and what is dead in one lives in the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What one import did.

    Attributes:
        lines: Attempts that are new in the ledger.
        repeated: Attempts the ledger had already.
        broken: Lines that could not be read.
        deleted: Journals removed because nothing in them is needed any more.
        problems: Journals that could not be read, in sentences for people.
        amended: Attempts of which something new was learned.
    """

    lines: int = 0
    repeated: int = 0
    broken: int = 0
    deleted: int = 0
    problems: tuple[str, ...] = field(default=())
    amended: int = 0


def import_journals(folder: Path, db_path: Path | None = None, *, now_s: float | None = None) -> Imported:
    """Bring everything the journals of a folder hold into the ledger.

    Args:
        folder: Where programs write their journals.
        db_path: The ledger; `ledger.db` in the folder by default.
        now_s: Unix time; read from the clock when None.

    Raises:
        LedgerError: The ledger itself cannot be used.
    """
    now_s = time.time() if now_s is None else now_s
    lines = repeated = broken = deleted = amended = 0
    problems: list[str] = []
    with open_ledger(db_path or folder / DATABASE) as ledger:
        for path in sorted(folder.glob("*.jsonl")):
            try:
                with writing(ledger):
                    done = _import_one(ledger, path, now_s)
            except FileNotFoundError:  # another importer deleted it meanwhile
                continue
            except OSError as error:
                problems.append(f"{path.name}: {error.strerror}")
                continue
            lines += done.lines
            repeated += done.repeated
            broken += done.broken
            deleted += done.deleted
            amended += done.amended
            if done.deleted:
                # After the commit: a crash in between only repeats lines, which are known by their ids.
                path.unlink(missing_ok=True)
    return Imported(
        lines=lines, repeated=repeated, broken=broken, deleted=deleted, problems=tuple(problems), amended=amended
    )


def _import_one(ledger: sqlite3.Connection, path: Path, now_s: float) -> Imported:
    lines = repeated = broken = amended = 0
    with path.open("rb") as journal:
        # Asked before reading: what a process that is dead now wrote is all there.
        is_over = is_process_gone(path.name) and now_s - os.fstat(journal.fileno()).st_mtime > IDLE_S
        status = os.fstat(journal.fileno())
        offset = _known_offset(ledger, path.name, status)
        journal.seek(offset)
        for line in journal:
            if not line.endswith(b"\n") and not is_over:
                break
            offset += len(line)
            entry = from_line(line)
            if entry is None:
                amendment = amendments.from_line(line)
                if amendment is None:
                    saying = runs.from_line(line)
                    if saying is None:
                        broken += bool(line.strip())
                    else:
                        insert_saying(ledger, saying)
                elif insert_amendment(ledger, amendment):
                    amended += 1
                else:
                    repeated += 1
            elif _insert(ledger, entry):
                lines += 1
            else:
                repeated += 1
    if is_over:
        ledger.execute("DELETE FROM journals WHERE name = ?", (path.name,))
    else:
        ledger.execute("REPLACE INTO journals VALUES (?, ?, ?)", (path.name, status.st_ino, offset))
    return Imported(lines=lines, repeated=repeated, broken=broken, deleted=int(is_over), amended=amended)


def _known_offset(ledger: sqlite3.Connection, name: str, status: os.stat_result) -> int:
    row = ledger.execute("SELECT inode, offset FROM journals WHERE name = ?", (name,)).fetchone()
    if row is None or row[0] != status.st_ino or row[1] > status.st_size:
        return 0
    return int(row[1])


def _insert(ledger: sqlite3.Connection, entry: Entry) -> bool:
    done = ledger.execute(
        "INSERT OR IGNORE INTO attempts VALUES (?, ?, ?, ?, ?, ?)",
        (
            entry.attempt_id,
            entry.call_id,
            entry.call_started_at_s,
            entry.run_id,
            entry.generation_id,
            to_line(entry),
        ),
    )
    if done.rowcount and entry.tags:
        ledger.executemany("INSERT OR IGNORE INTO tag_keys VALUES (?)", [(key,) for key in entry.tags])
    job = job_of(entry)
    if done.rowcount and job is not None:
        ledger.execute("INSERT OR IGNORE INTO fetches VALUES (?, ?)", (job, entry.attempt_id))
    return bool(done.rowcount)


def job_of(entry: Entry) -> str | None:
    """Name the job whose end an attempt fetched and booked; None for every other attempt."""
    if entry.operation != FETCH_RESPONSE or entry.response_id is None:
        return None
    told = (entry.charged, entry.unpriced, entry.input_tokens, entry.output_tokens)
    return None if all(value is None for value in told) else f"{entry.host} {entry.response_id}"


def insert_saying(ledger: sqlite3.Connection, saying: RunSaying) -> None:
    """Keep what was said of a workflow's run, once; readers put together what was said of one."""
    row = (saying.outcome_of, saying.said_at_s, runs.to_line(saying))
    ledger.execute("INSERT OR IGNORE INTO run_sayings VALUES (?, ?, ?)", row)


def insert_amendment(ledger: sqlite3.Connection, amendment: Amendment) -> bool:
    """Keep an amendment, whether its attempt is there or not; False when as much or more is known already."""
    learned_at_s, line = amendments.to_order(amendment)
    done = ledger.execute(
        "INSERT INTO amendments VALUES (?, ?, ?, ?) ON CONFLICT (attempt_id) DO UPDATE SET"
        " learned_at_s = excluded.learned_at_s, line = excluded.line"
        " WHERE (excluded.learned_at_s, excluded.line) > (amendments.learned_at_s, amendments.line)",
        (amendment.amends, amendment.call_started_at_s, learned_at_s, line),
    )
    return bool(done.rowcount)


def is_process_gone(name: str) -> bool:
    """Whether the process that writes a journal is known to be dead; False for one of another host."""
    host, _, rest = name.partition("-")
    pid = rest.partition("-")[0]
    if host != host_label() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
