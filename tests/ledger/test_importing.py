import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from or_otel.entries import host_label, to_line
from or_otel.ledger import DATABASE, LedgerError, open_ledger
from or_otel.ledger.importing import IDLE_S, import_journals, is_process_gone
from or_otel.ledger.queries import entries


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def write(folder, name, *made, tail=b""):
    path = folder / name
    with path.open("ab") as journal:
        journal.write(b"".join(map(to_line, made)) + tail)
    return path


def held(folder):
    with open_ledger(folder / DATABASE) as ledger:
        return [entry.attempt_id for entry in entries(ledger)]


def living_name():
    return f"{host_label()}-{os.getpid()}-1.jsonl"


def test_every_line_comes_in_once_however_often_it_is_imported(tmp_path, entry):
    first, second = entry("0.1"), entry("0.2")
    write(tmp_path, living_name(), first, second)

    done = [import_journals(tmp_path) for _ in range(2)]

    assert [each.lines for each in done] == [2, 0]
    assert held(tmp_path) == [first.attempt_id, second.attempt_id]


def test_the_next_import_reads_only_what_was_added(tmp_path, entry):
    path = write(tmp_path, living_name(), entry("0.1"))
    import_journals(tmp_path)
    write(tmp_path, path.name, entry("0.2"))

    done = import_journals(tmp_path)

    assert (done.lines, done.repeated) == (1, 0)


def test_the_same_attempt_in_two_journals_counts_once(tmp_path, entry):
    twin = entry("0.1")
    write(tmp_path, "other-1-1.jsonl", twin)
    write(tmp_path, "other-2-1.jsonl", twin)

    done = import_journals(tmp_path)

    assert (done.lines, done.repeated) == (1, 1)


def test_a_half_last_line_is_read_when_it_is_whole(tmp_path, entry):
    line = to_line(entry("0.1"))
    path = write(tmp_path, living_name(), tail=line[:40])
    before = import_journals(tmp_path)
    write(tmp_path, path.name, tail=line[40:])

    after = import_journals(tmp_path)

    assert (before.lines, before.broken, after.lines, after.broken) == (0, 0, 1, 0)


def test_a_broken_line_is_counted_and_the_others_come_in(tmp_path, entry):
    first, second = entry("0.1"), entry("0.2")
    write(tmp_path, living_name(), first, tail=b'{"cut\n\n' + to_line(second))

    done = import_journals(tmp_path)

    assert (done.lines, done.broken) == (2, 1)


def test_the_journal_of_a_dead_process_is_deleted_once_it_rests(tmp_path, entry, dead_pid):
    path = write(tmp_path, f"{host_label()}-{dead_pid}-1.jsonl", entry("0.1"), tail=b'{"half')
    changed_s = path.stat().st_mtime

    early = import_journals(tmp_path, now_s=changed_s + 1)
    assert path.exists()
    late = import_journals(tmp_path, now_s=changed_s + IDLE_S + 1)

    assert not path.exists()
    assert (early.lines, early.deleted, late.deleted, late.broken) == (1, 0, 1, 1)
    assert len(held(tmp_path)) == 1
    with open_ledger(tmp_path / DATABASE) as ledger:
        # A later journal may get both its name and its inode.
        assert ledger.execute("SELECT count(*) FROM journals").fetchone() == (0,)


def test_journals_of_living_processes_and_of_other_hosts_stay(tmp_path, entry, dead_pid):
    living = write(tmp_path, living_name(), entry("0.1"))
    foreign = write(tmp_path, f"another_host-{dead_pid}-1.jsonl", entry("0.2"))

    import_journals(tmp_path, now_s=living.stat().st_mtime + 100 * IDLE_S)

    assert living.exists()
    assert foreign.exists()


def test_a_name_without_a_process_says_nothing_about_one():
    assert not is_process_gone("stray.jsonl")
    assert not is_process_gone(f"{host_label()}-{10**30}-1.jsonl")
    assert "-" not in host_label()
    assert socket.gethostname()


@pytest.mark.parametrize("lines", [1, 3])
def test_a_journal_that_was_replaced_is_read_from_its_begin(tmp_path, entry, lines):
    path = write(tmp_path, living_name(), entry("0.1"), entry("0.2"))
    import_journals(tmp_path)
    write(tmp_path, "another", *(entry("0.3") for _ in range(lines))).replace(path)

    import_journals(tmp_path)

    assert len(held(tmp_path)) == 2 + lines


def test_a_journal_that_was_cut_is_read_from_its_begin(tmp_path, entry):
    path = write(tmp_path, living_name(), entry("0.1"), entry("0.2"))
    import_journals(tmp_path)
    path.write_bytes(to_line(entry("0.3")))

    import_journals(tmp_path)

    assert len(held(tmp_path)) == 3


def test_a_row_that_cannot_be_read_hides_no_other(tmp_path, entry):
    broken, whole = entry("0.1"), entry("0.2")
    write(tmp_path, living_name(), broken, whole)
    import_journals(tmp_path)

    with open_ledger(tmp_path / DATABASE) as ledger:
        ledger.execute("UPDATE attempts SET line = 'x' WHERE attempt_id = ?", (broken.attempt_id,))

    assert held(tmp_path) == [whole.attempt_id]


def test_what_cannot_be_read_is_named_and_stops_nothing(tmp_path, entry):
    (tmp_path / "a-folder.jsonl").mkdir()
    write(tmp_path, living_name(), entry("0.1"))

    done = import_journals(tmp_path)

    assert done.lines == 1
    assert done.problems[0].startswith("a-folder.jsonl: ")


def test_concurrent_importers_agree(tmp_path, entry):
    for number in range(20):
        write(tmp_path, f"other-{number}-1.jsonl", *(entry("0.1") for _ in range(5)))
    found = []
    gate = threading.Barrier(4)

    def work():
        gate.wait()
        found.append(import_journals(tmp_path))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(done.lines for done in found) == 100
    assert sum(done.repeated for done in found) == 0
    assert len(held(tmp_path)) == 100


def test_the_ledger_is_readable_by_its_owner_alone(tmp_path, entry):
    folder = tmp_path / "state"
    import_journals(folder)

    assert (folder / DATABASE).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_ledger_is_refused_with_its_name(tmp_path):
    (tmp_path / DATABASE).write_text("this is no database, and long enough to be looked at as one " * 20)

    with pytest.raises(LedgerError, match=r"ledger\.db"):
        import_journals(tmp_path)


def test_a_ledger_of_a_newer_version_is_refused_with_the_remedy(tmp_path):
    with open_ledger(tmp_path / DATABASE) as ledger:
        ledger.execute("PRAGMA user_version = 99")

    with pytest.raises(LedgerError, match="upgrade or-otel"):
        import_journals(tmp_path)


def test_a_ledger_that_cannot_be_made_is_an_error_of_its_own(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(LedgerError, match="cannot open the ledger"):
        import_journals(tmp_path, Path(tmp_path / "file" / DATABASE))


def test_a_failed_import_leaves_nothing_half_done(tmp_path, entry, monkeypatch):
    write(tmp_path, living_name(), entry("0.1"), entry("0.2"))
    seen = []

    def fail_at_the_second(line):
        seen.append(line)
        if len(seen) == 2:
            raise OSError(5, "Input/output error")
        return entry("0.1")

    with monkeypatch.context() as patch:
        patch.setattr("or_otel.ledger.importing.from_line", fail_at_the_second)
        done = import_journals(tmp_path)

    assert done.problems
    assert held(tmp_path) == []
    assert import_journals(tmp_path).lines == 2
