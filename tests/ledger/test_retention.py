import os
import subprocess
import sys

import pytest

from or_otel.days import DAY_S
from or_otel.entries import host_label, to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import QuestionError, entries
from or_otel.ledger.retention import KEEP_DAYS, erase, erase_where, keep_within, prune

NOW_S = 2_000_000_000.0


@pytest.fixture
def fill(tmp_path):
    def write(*made, name="host-1-1.jsonl"):
        with (tmp_path / name).open("ab") as journal:
            journal.write(b"".join(map(to_line, made)))
        import_journals(tmp_path)
        return tmp_path

    return write


def held(folder):
    with open_ledger(folder / DATABASE) as ledger:
        return [entry.call_id for entry in entries(ledger)]


def test_what_is_older_than_ninety_days_goes(fill, entry):
    folder = fill(
        entry("1", call_id="old", call_started_at_s=NOW_S - KEEP_DAYS * DAY_S - 1),
        entry("1", call_id="young", call_started_at_s=NOW_S - KEEP_DAYS * DAY_S + 1),
    )

    with open_ledger(folder / DATABASE) as ledger:
        assert keep_within(ledger, now_s=NOW_S) == 1

    assert held(folder) == ["young"]


def test_a_ledger_too_large_loses_its_oldest_calls_first(fill, entry):
    folder = fill(*(entry("1", call_started_at_s=NOW_S + number, app_name="x" * 1000) for number in range(400)))

    with open_ledger(folder / DATABASE) as ledger:
        deleted = keep_within(ledger, now_s=NOW_S, max_bytes=300_000)
        left = [entry.call_started_at_s for entry in entries(ledger)]

    assert 0 < deleted < 400
    assert left == [NOW_S + number for number in range(deleted, 400)]


def test_an_impossible_size_ends_with_an_empty_ledger_and_does_not_hang(fill, entry):
    folder = fill(entry("1", call_started_at_s=NOW_S))

    with open_ledger(folder / DATABASE) as ledger:
        assert keep_within(ledger, now_s=NOW_S, max_bytes=0) == 1


def test_what_was_pruned_is_not_imported_again(fill, entry):
    folder = fill(entry("1", call_started_at_s=5.0))
    with open_ledger(folder / DATABASE) as ledger:
        prune(ledger, older_than_s=10.0)

    assert import_journals(folder).lines == 0
    assert held(folder) == []


def test_erase_leaves_no_file_of_ours(fill, entry):
    folder = fill(entry("1"))
    (folder / "notes.txt").write_text("mine")

    names = erase(folder)

    assert set(names) == {"host-1-1.jsonl", DATABASE}
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_erasing_a_customer_leaves_no_trace_in_ledger_and_finished_journals(fill, entry, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    fill(
        entry("1", call_id="gone", tags={"customer": "acme-secret"}),
        entry("1", call_id="kept", tags={"customer": "other"}),
        name=f"{host_label()}-{process.pid}-1.jsonl",
    )

    count, left = erase_where(tmp_path, {"customer": "acme-secret"}, now_s=NOW_S)

    assert (count, left, held(tmp_path)) == (1, (), ["kept"])
    assert all(b"acme-secret" not in path.read_bytes() for path in tmp_path.iterdir())


def test_erasing_one_customer_keeps_what_nobody_had_imported_of_others(entry, tmp_path):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    made = [entry("1", call_id=name, tags={"customer": name}) for name in ("acme", "other")]
    (tmp_path / f"{host_label()}-{process.pid}-1.jsonl").write_bytes(b"".join(map(to_line, made)))

    count, left = erase_where(tmp_path, {"customer": "acme"}, now_s=NOW_S)

    assert (count, left, held(tmp_path)) == (1, (), ["other"])


def test_erasing_says_which_journals_may_still_hold_lines(fill, entry, tmp_path):
    name = f"{host_label()}-{os.getpid()}-1.jsonl"
    fill(entry("1", tags={"customer": "acme"}), name=name)

    count, left = erase_where(tmp_path, {"customer": "acme"}, now_s=NOW_S)

    assert (count, left) == (1, (name,))
    assert import_journals(tmp_path).lines == 0


def test_erasing_by_a_misspelt_key_erases_nothing(fill, entry, tmp_path):
    fill(entry("1", tags={"customer": "acme"}))

    with pytest.raises(QuestionError):
        erase_where(tmp_path, {"custommer": "acme"}, now_s=NOW_S)

    assert len(held(tmp_path)) == 1
