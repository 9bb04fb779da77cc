"""The local ledger: journals of many processes → one SQLite file → answers.

Only readers (the command, the exporter) open the database; programs that are watched
append to journals and never come here. A row is the journal's line as it was, beside the
few columns that are searched, so that a newer or-otel understands older rows and money
stays exact text. What was learned of an attempt after its end is a row of its own, put
together with it by who reads: so neither the order of journals nor reading twice matters.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DATABASE = "ledger.db"
BUSY_TIMEOUT_MS = 30_000
SCHEMA_VERSION = 1
SCHEMA = (
    """CREATE TABLE attempts (
        attempt_id TEXT PRIMARY KEY, call_id TEXT NOT NULL, call_started_at_s REAL NOT NULL,
        run_id TEXT, generation_id TEXT, line BLOB NOT NULL
    )""",
    "CREATE INDEX attempts_by_time ON attempts (call_started_at_s, call_id)",
    "CREATE INDEX attempts_by_run ON attempts (run_id)",
    # Not unique: only openrouter.ai's `gen-…` ids are.
    "CREATE INDEX attempts_by_generation ON attempts (generation_id)",
    "CREATE TABLE journals (name TEXT PRIMARY KEY, inode INTEGER NOT NULL, offset INTEGER NOT NULL)",
    "CREATE TABLE tag_keys (key TEXT PRIMARY KEY)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

ADDITIONS = (
    # Apart from the attempts: one may be imported before the attempt it amends, or outlive it.
    """CREATE TABLE IF NOT EXISTS amendments (
        attempt_id TEXT PRIMARY KEY, call_started_at_s REAL NOT NULL, learned_at_s REAL NOT NULL, line BLOB NOT NULL
    )""",
    # Who fetched the end of a job: two that polled the same one both have it.
    "CREATE TABLE IF NOT EXISTS fetches (job TEXT NOT NULL, attempt_id TEXT NOT NULL, PRIMARY KEY (job, attempt_id))",
    # What runs of workflows said of themselves, and what others said of them later.
    (
        "CREATE TABLE IF NOT EXISTS run_sayings (run_id TEXT NOT NULL, said_at_s REAL NOT NULL, line BLOB NOT NULL,"
        " PRIMARY KEY (run_id, said_at_s, line))"
    ),
)
"""Tables that came later, made where they are missing: an older or-otel passes over them."""


class LedgerError(Exception):
    """The ledger cannot be used; the message says why and what to do."""


@contextmanager
def open_ledger(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the database, making it (0600) when missing; statements commit on their own.

    Raises:
        LedgerError: It cannot be opened, is no ledger, or was made by a newer version.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would make it world-readable; its side files take over this mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        ledger = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(f"cannot open the ledger {path}: {error}") from error
    try:
        _prepare(ledger, path)
        yield ledger
    except sqlite3.DatabaseError as error:
        raise LedgerError(f"the ledger {path} cannot be read or written: {error}") from error
    finally:
        ledger.close()


def _prepare(ledger: sqlite3.Connection, path: Path) -> None:
    ledger.execute("PRAGMA secure_delete = ON")
    if _schema_version(ledger) == 0:
        with writing(ledger):
            if _schema_version(ledger) == 0:  # nobody else made it while we waited
                for statement in SCHEMA:
                    ledger.execute(statement)
    found = _schema_version(ledger)
    if found > SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger {path} was made by a newer or-otel (format {found}, this one knows {SCHEMA_VERSION}): "
            "upgrade or-otel, or name another folder with --ledger"
        )
    for statement in ADDITIONS:
        ledger.execute(statement)


def _schema_version(ledger: sqlite3.Connection) -> int:
    (version,) = ledger.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def writing(ledger: sqlite3.Connection) -> Iterator[None]:
    """Run a block as one transaction that waits for other writers at its begin, not in its middle."""
    ledger.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        ledger.execute("ROLLBACK")
        raise
    ledger.execute("COMMIT")
