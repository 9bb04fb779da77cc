"""What was told ↔ a small JSON file, written whole or not at all, its owner's alone, one process at a time.

Holds names of budgets and keys and sums of money, no address and no key. A file that cannot be read counts
as none and is set aside: then what lasts is told once more, which is better than silence.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from or_otel.notices.rules import Notice, NoticeState

logger = logging.getLogger(__name__)

VERSION = 1
NOTHING_TOLD = NoticeState()
STEP_S = 0.1
"""Waiting is done in short steps, so that Ctrl-C ends it."""


@contextmanager
def alone(path: Path, patience_s: float) -> Iterator[bool]:
    """Hold off every other process, and thread, that tells what this file remembers.

    The lock is one of SQLite on an empty file beside it: the same on every system, and gone with its process.

    Args:
        path: The file; the lock stands beside it.
        patience_s: How long to wait for whoever tells at the moment.

    Yields:
        Whether it is ours; False when another one still holds it.

    Raises:
        OSError: There is no place for a lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = path.with_suffix(".lock")
    with suppress(FileExistsError):  # and then not opened here: to close it would end a lock that this process holds
        os.close(os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(place, isolation_level=None, timeout=0)) as lock:
        try:
            is_ours = _is_taken(lock, time.monotonic() + patience_s)
        except sqlite3.Error as error:
            raise OSError(None, f"cannot be locked: {error}", str(place)) from error
        yield is_ours


def _is_taken(lock: sqlite3.Connection, until_s: float) -> bool:
    while True:
        try:
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        else:
            return True
        if time.monotonic() >= until_s:
            return False
        time.sleep(STEP_S)


def read_state(path: Path) -> NoticeState:
    """Read what was told; nothing when there is no file yet."""
    try:
        return _state_from(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return NOTHING_TOLD
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("or-otel: %s is not readable (%s); what lasts is told again", path, type(error).__name__)
        return NOTHING_TOLD


def write_state(path: Path, state: NoticeState) -> None:
    """Write what was told, in one step.

    Raises:
        OSError: It could not be written; the old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {
        "version": VERSION,
        "told": dict(state.told),
        "waiting": [{"notice": asdict(notice), "for": marks} for notice, marks in state.waiting],
    }
    # mkstemp gives mode 0600 and a name that no other process has.
    handle, name = tempfile.mkstemp(prefix=path.name, suffix=".new", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(told, file, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _state_from(told: dict[str, object]) -> NoticeState:
    if told["version"] != VERSION:
        raise ValueError("another version")
    ids, waiting = told["told"], told["waiting"]
    if not isinstance(ids, dict) or not isinstance(waiting, list):
        raise TypeError("expected a table and a list")
    return NoticeState(
        told={str(id_): int(day) for id_, day in ids.items()},
        waiting=tuple(
            (Notice(**each["notice"]), None if each["for"] is None else tuple(each["for"])) for each in waiting
        ),
    )
