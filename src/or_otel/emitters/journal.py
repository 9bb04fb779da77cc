"""Call record → lines in this process's own journal file, for the local ledger.

One `write` per finished call on a file opened with `O_APPEND`: no thread, no lock, no
`fsync`, so nothing can hang in a fork and nothing is lost to SIGKILL. The file is
`<host>-<pid>-<start>.jsonl`; readers import it into the ledger and may delete it.
What cannot be written is counted and said once, then the journal is off in this process.
"""

from __future__ import annotations

import errno
import logging
import os
import time
import uuid
from collections import Counter
from pathlib import Path

from or_otel import amendments, runs
from or_otel.calls import Amendment, CallRecord, CallStarted, Emission, Emitter
from or_otel.entries import Entry, entries_of, from_line, host_label, to_line
from or_otel.runs import RunEmission, RunRecord, RunSaying, RunStarted

logger = logging.getLogger(__name__)

OPEN_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
SIZE_CAP = "size_cap"


class Journal(Emitter):
    """Appends every finished call to a file of its own process.

    Args:
        folder: Made when missing, readable by its owner alone.
        run_id: Marks the lines of one run; None makes one up, so that forked children share it.
        service_name: `service.name` to note down.
        max_bytes: Largest journal of one process.

    Attributes:
        dropped: Lines not written, by reason: an errno name, or `size_cap`.
        run_id: What marks this journal's lines.
    """

    def __init__(self, folder: Path, *, run_id: str | None, service_name: str | None, max_bytes: int) -> None:
        self.dropped: Counter[str] = Counter()
        self.run_id = run_id or uuid.uuid4().hex[:16]
        self._folder = folder
        self._service_name = service_name
        self._max_bytes = max_bytes
        self._began_at_s = time.time()
        self._off: dict[int, str] = {}
        # By process id: dict operations are atomic, so threads that race to open agree without a lock.
        self._names: dict[int, str] = {}
        self._files: dict[int, int] = {}

    def begin(self, call: CallStarted) -> Emission:
        """Give what will write the call when it ends."""
        del call
        return _Line(self)

    def write(self, record: CallRecord) -> None:
        """Append the lines of one finished call."""
        pid = os.getpid()
        entries = entries_of(record, run_id=self.run_id, service_name=self._service_name, pid=pid)
        self._write(pid, tuple(map(to_line, entries)))

    def amend(self, record: CallRecord, amendment: Amendment) -> None:
        """Append what was learned of an attempt that was written before: readers put both together."""
        del record
        self._write(os.getpid(), (amendments.to_line(amendment),))

    def begin_run(self, run: RunStarted) -> RunEmission:
        """Give what will write the run when it ends."""
        del run
        return _LineOfRun(self)

    def judge(self, saying: RunSaying) -> bool:
        """Append what is said of a run; whether it was written."""
        return self._write(os.getpid(), (runs.to_line(saying),))

    def written(self) -> tuple[Entry, ...]:
        """Read back what this process and its forked children wrote so far."""
        entries: list[Entry] = []
        learned: list[Amendment] = []
        try:
            # A file that was last changed before we began cannot hold our lines; a second for coarse clocks.
            paths = [path for path in self._folder.glob("*.jsonl") if path.stat().st_mtime >= self._began_at_s - 1]
            for path in sorted(paths):
                with path.open("rb") as lines:
                    for line in lines:
                        if entry := from_line(line):
                            entries += [entry] if entry.run_id == self.run_id else []
                        elif amendment := amendments.from_line(line):
                            learned.append(amendment)
        except OSError as error:
            logger.warning("or-otel: cannot read the journal in %s: %s", self._folder, error.strerror)
        entries.sort(key=lambda entry: (entry.call_started_at_s, entry.call_id, entry.number))
        newest = amendments.newest(learned)
        return tuple(amendments.amended(entry, newest.get(entry.attempt_id)) for entry in entries)

    def after_fork(self) -> None:
        """Close the parent's file in the child; the child opens its own at its first call."""
        self.dropped.clear()
        self._off.clear()
        self._names.clear()
        while self._files:
            os.close(self._files.popitem()[1])

    def _write(self, pid: int, lines: tuple[bytes, ...]) -> bool:
        reason = self._off.get(pid)
        if reason is None:
            reason = self._append(pid, b"".join(lines))
        if reason is not None:
            self.dropped[reason] += len(lines)
        return reason is None

    def _append(self, pid: int, data: bytes) -> str | None:
        """Write, or say why not and switch off."""
        try:
            file, size = self._file(pid)
            if size + len(data) > self._max_bytes:
                return self._switch_off(pid, SIZE_CAP, f"it reached its limit of {self._max_bytes:,} bytes")
            if os.write(file, data) < len(data):
                # What is missing cannot be appended, another thread may have written in between. A whole second
                # copy can: readers skip the broken line and know each attempt by its id.
                again = b"\n" + data
                if os.write(file, again) < len(again):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 -- one place tells it
        except OSError as error:
            return self._switch_off(pid, errno.errorcode.get(error.errno or 0, "OSError"), error.strerror or "OSError")
        return None

    def _file(self, pid: int) -> tuple[int, int]:
        """Give the open journal of this process and its size."""
        file = self._files.get(pid)
        if file is not None:
            status = os.fstat(file)
            if status.st_nlink:
                return file, status.st_size
            # Deleted under us (`or-otel ledger erase`). Not closed: another thread may be writing to it.
            self._files.pop(pid, None)
            self._names.pop(pid, None)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = self._names.setdefault(pid, f"{host_label()}-{pid}-{time.time_ns()}.jsonl")
        opened = os.open(self._folder / name, OPEN_FLAGS, 0o600)
        file = self._files.setdefault(pid, opened)
        if file != opened:
            os.close(opened)
        return file, os.fstat(file).st_size

    def _switch_off(self, pid: int, reason: str, why: str) -> str:
        if pid not in self._off:
            self._off[pid] = reason
            logger.warning("or-otel: the ledger's journal in %s is off from now on: %s", self._folder, why)
        return reason


class _LineOfRun(RunEmission):
    """A run under way, to be written when it ends."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def end(self, record: RunRecord, context: object | None) -> None:
        del context
        self._journal.judge(runs.saying_of(record))


class _Line(Emission):
    """A running call, to be written when it ends."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def end(self, record: CallRecord, context: object | None) -> None:
        del context
        self._journal.write(record)
