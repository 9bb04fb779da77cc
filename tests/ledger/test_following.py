from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel import amendments
from or_otel.calls import Amendment
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.following import SWEEP_S, Following


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path / DATABASE) as opened:
        yield opened


@pytest.fixture
def write(tmp_path):
    def append(*lines, journal="host-1-1"):
        with (tmp_path / f"{journal}.jsonl").open("ab") as file:
            file.write(b"".join(lines))

    return append


def ids(changes):
    return [(change.entry.call_id[-1], change.before is not None) for change in changes]


def test_each_attempt_is_told_once_in_whatever_journal_it_came(tmp_path, ledger, write, entry):
    following = Following(tmp_path, ledger, since_s=0)
    write(to_line(entry("1")))
    assert ids(following.changes(10)) == [("1", False)]

    write(to_line(entry("1")))
    write(to_line(entry("1")), journal="host-2-1")

    assert sorted(ids(following.changes(11))) == [("2", False), ("3", False)]
    assert ids(following.changes(12)) == []


def test_what_other_readers_imported_is_told_too(tmp_path, ledger, write, entry):
    following = Following(tmp_path, ledger, since_s=0)
    other = Following(tmp_path, ledger, since_s=0)
    write(to_line(entry("1")))

    assert ids(other.changes(10)) == [("1", False)]
    assert ids(following.changes(10)) == [("1", False)]


def amendment(entry, cost):
    return amendments.to_line(
        Amendment(
            amends=entry.attempt_id,
            call_started_at_s=entry.call_started_at_s,
            generation_id="gen-1",
            learned_at_s=2000.0,
            charged=Decimal(cost),
        )
    )


def test_what_is_learned_of_a_told_attempt_comes_with_what_was_told_before(tmp_path, ledger, write, entry):
    following = Following(tmp_path, ledger, since_s=0)
    made = entry(None, unpriced="cancelled", generation_id="gen-1")
    write(to_line(made))
    assert len(list(following.changes(10))) == 1

    write(amendment(made, "0.5"))

    (change,) = following.changes(11)
    assert (change.before.total, change.entry.total) == (None, Decimal("0.5"))
    assert list(following.changes(12)) == []


def test_an_attempt_that_comes_with_its_amendment_is_told_once_and_whole(tmp_path, ledger, write, entry):
    made = entry(None, unpriced="cancelled", generation_id="gen-1")
    write(amendment(made, "0.5"), to_line(made))

    (change,) = Following(tmp_path, ledger, since_s=0).changes(10)

    assert (change.before, change.entry.total) == (None, Decimal("0.5"))


def test_older_calls_are_passed_over(tmp_path, ledger, write, entry):
    write(to_line(entry("1")), to_line(entry("1", call_started_at_s=5000.0)))

    assert ids(Following(tmp_path, ledger, since_s=4000).changes(10)) == [("2", False)]


def test_journals_that_did_not_grow_are_not_opened(tmp_path, ledger, write, entry):
    following = Following(tmp_path, ledger, since_s=0)
    write(to_line(entry("1")))
    list(following.changes(10))
    ledger.execute("DELETE FROM journals")  # what an import would write again

    list(following.changes(11))
    assert ledger.execute("SELECT count(*) FROM journals").fetchone() == (0,)

    list(following.changes(10 + SWEEP_S))
    assert ledger.execute("SELECT count(*) FROM journals").fetchone() == (1,)


def test_the_first_look_searches_by_time_and_a_later_one_only_what_is_new(tmp_path, ledger, write, entry):
    following = Following(tmp_path, ledger, since_s=0)
    write(to_line(entry("1")))
    asked = []
    ledger.set_trace_callback(asked.append)
    for now_s in (10, 11):
        list(following.changes(now_s))
        asked.append("end")
    ledger.set_trace_callback(None)
    looks = [asked[place - 1] for place, each in enumerate(asked) if each == "end"]

    first, later = (" ".join(row[-1] for row in ledger.execute(f"EXPLAIN QUERY PLAN {look}")) for look in looks)

    assert "SEARCH attempts USING INDEX attempts_by_time (call_started_at_s>?)" in first
    assert "SEARCH attempts USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in later
