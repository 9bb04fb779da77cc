import errno
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from or_otel import amendments
from or_otel.calls import Amendment, Attempt, CallRecord, CallStarted
from or_otel.emitters.journal import Journal
from or_otel.entries import from_line
from or_otel.facts import Cost, Endpoint, Request

ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)
STARTED = CallStarted(id="0" * 32, endpoint=ENDPOINT, request=Request(model="m"), started_at_s=100.0)

WRITER = """
import os, sys
from pathlib import Path
from or_otel.calls import Attempt, CallRecord, CallStarted
from or_otel.emitters.journal import Journal
from or_otel.facts import Endpoint, Request

ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)
journal = Journal(Path(sys.argv[1]), run_id="run", service_name=None, max_bytes=10**9)

def call(name):
    started = CallStarted(id=name, endpoint=ENDPOINT, request=Request(model="m"), started_at_s=100.0)
    attempt = Attempt(id=name, number=1, started_at_s=100.0, ended_at_s=101.0)
    record = CallRecord(started=started, ended_at_s=101.0, outcome="ok", attempts=(attempt,))
    journal.begin(started).end(record, None)
"""


def record(name="call", attempts=1):
    made = tuple(
        Attempt(
            id=f"{name}-{number}",
            number=number,
            started_at_s=100.0,
            ended_at_s=101.0,
            cost=Cost(charged=Decimal("0.001"), is_byok=False),
        )
        for number in range(1, attempts + 1)
    )
    return CallRecord(started=replace(STARTED, id=name), ended_at_s=101.0, outcome="ok", attempts=made)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "ledger", run_id="run", service_name="shop", max_bytes=10**9)


def end(journal, each):
    journal.begin(each.started).end(each, None)


def lines(folder):
    return [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_bytes().splitlines(keepends=True)]


def names(folder):
    return sorted(from_line(line).attempt_id for line in lines(folder))


def test_all_attempts_of_a_call_are_written_at_once_for_the_owner_alone(journal, tmp_path, monkeypatch):
    written = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda file, data: written.append(data) or real(file, data))

    end(journal, record(attempts=3))

    (path,) = (tmp_path / "ledger").glob("*.jsonl")
    assert written == [path.read_bytes()]
    assert names(tmp_path / "ledger") == ["call-1", "call-2", "call-3"]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert path.name.split("-")[1] == str(os.getpid())


def test_nothing_is_made_before_the_first_call(journal, tmp_path):
    journal.begin(STARTED)

    assert not (tmp_path / "ledger").exists()


def test_what_was_written_can_be_read_back_and_is_that_of_this_run_only(journal, tmp_path):
    end(journal, record("ours"))
    end(Journal(tmp_path / "ledger", run_id="other", service_name=None, max_bytes=10**9), record("theirs"))

    assert [entry.call_id for entry in journal.written()] == ["ours"]
    assert journal.written()[0].service_name == "shop"


def test_what_is_learned_later_is_a_line_of_its_own_that_is_read_back_with_its_attempt(journal, tmp_path):
    amendment = Amendment(
        amends="call-1", generation_id="gen-1", learned_at_s=200.0, call_started_at_s=100.0, charged=Decimal("0.5")
    )
    end(journal, record(attempts=2))

    journal.amend(record(), amendment)

    assert [entry.charged for entry in journal.written()] == [Decimal("0.5"), Decimal("0.001")]
    *_, last = lines(tmp_path / "ledger")
    assert amendments.from_line(last) == amendment


def test_journals_without_a_run_do_not_mix(tmp_path):
    first, second = (Journal(tmp_path, run_id=None, service_name=None, max_bytes=10**9) for _ in range(2))
    end(first, record("first"))

    assert len(first.written()) == 1
    assert second.written() == ()


def test_threads_share_one_file_and_lose_nothing(journal, tmp_path):
    gate = threading.Barrier(8)

    def work(number):
        gate.wait()
        for turn in range(50):
            end(journal, record(f"{number}.{turn}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(list((tmp_path / "ledger").glob("*.jsonl"))) == 1
    assert len(set(names(tmp_path / "ledger"))) == 400


def test_the_size_cap_switches_off_says_so_once_and_counts(tmp_path, caplog):
    journal = Journal(tmp_path, run_id=None, service_name=None, max_bytes=1000)

    for number in range(5):
        end(journal, record(f"{number}"))

    assert journal.dropped["size_cap"] == 5 - len(lines(tmp_path))
    assert len(lines(tmp_path)) >= 1
    assert len(caplog.records) == 1
    assert "limit of 1,000 bytes" in caplog.text


def test_a_folder_that_cannot_be_made_is_said_once_and_counted(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    journal = Journal(tmp_path / "file" / "ledger", run_id=None, service_name=None, max_bytes=10**9)

    end(journal, record(attempts=2))
    end(journal, record(attempts=1))

    assert journal.dropped == {"ENOTDIR": 3}
    assert [each.levelno for each in caplog.records] == [logging.WARNING]


def test_a_full_disk_is_counted_and_does_not_raise(journal, monkeypatch, caplog):
    def full(file, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)

    end(journal, record())

    assert journal.dropped == {"ENOSPC": 1}
    assert "No space left" in caplog.text


def test_a_short_write_is_repeated_whole(journal, tmp_path, monkeypatch):
    real = os.write
    cuts = [20]
    monkeypatch.setattr(os, "write", lambda file, data: real(file, data[: cuts.pop() if cuts else None]))

    end(journal, record(attempts=2))

    read = [from_line(line) for line in lines(tmp_path / "ledger")]
    assert [entry and entry.attempt_id for entry in read] == [None, "call-1", "call-2"]
    assert not journal.dropped


def test_a_write_that_stays_short_is_counted_as_a_full_disk(journal, monkeypatch):
    monkeypatch.setattr(os, "write", lambda *_: 1)

    end(journal, record())

    assert journal.dropped == {"ENOSPC": 1}


def test_a_journal_deleted_under_a_running_program_begins_anew(journal, tmp_path):
    end(journal, record("before"))
    for path in (tmp_path / "ledger").glob("*.jsonl"):
        path.unlink()

    end(journal, record("after"))

    assert names(tmp_path / "ledger") == ["after-1"]


def test_an_unreadable_folder_gives_nothing_and_says_so(journal, tmp_path, caplog):
    end(journal, record())
    (path,) = (tmp_path / "ledger").glob("*.jsonl")
    path.unlink()
    path.mkdir()

    assert journal.written() == ()
    assert "cannot read the journal" in caplog.text


def test_the_child_of_a_fork_closes_the_file_of_its_parent(journal):
    end(journal, record())
    (file,) = journal._files.values()

    journal.after_fork()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def run(tmp_path, body):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER + body, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_fork_writes_to_a_journal_of_its_own_and_nothing_is_lost_or_doubled(tmp_path):
    process = run(
        tmp_path,
        """
call("parent-before")
for number in range(3):
    if os.fork() == 0:
        call(f"child-{number}")
        os._exit(0)
for _ in range(3):
    os.wait()
call("parent-after")
""",
    )

    _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert names(tmp_path) == ["child-0", "child-1", "child-2", "parent-after", "parent-before"]
    assert len(list(tmp_path.glob("*.jsonl"))) == 4


def test_sigkill_loses_no_finished_call(tmp_path):
    process = run(
        tmp_path,
        """
import itertools
for number in itertools.count():
    call(str(number))
    print(number, flush=True)
""",
    )
    last = [process.stdout.readline() for _ in range(30)][-1]

    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read()  # not communicate(): it would miss what readline() has buffered
    process.communicate(timeout=60)

    told = {int(line) for line in [*range(int(last) + 1), *rest.split()] if str(line).isdigit()}
    written = {int(entry.call_id) for line in lines(tmp_path) if (entry := from_line(line))}
    assert told <= written
    assert len(written - told) <= 1


def test_a_disk_quota_cuts_the_journal_but_not_the_program(tmp_path):
    process = run(
        tmp_path,
        f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, {resource.getrlimit(resource.RLIMIT_FSIZE)[1]}))
for number in range(20):
    call(str(number))
print(sum(journal.dropped.values()))
""",
    )

    out, errors = process.communicate(timeout=60)

    whole = {entry.call_id for line in lines(tmp_path) if (entry := from_line(line))}
    assert process.returncode == 0, errors
    assert int(out) + len(whole) == 20
    assert len(whole) >= 2
