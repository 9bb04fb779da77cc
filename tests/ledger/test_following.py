from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel import amendments
from or_otel.calls import Amendment
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.following import SWEEP_S, Following
from or_otel.ledger.importing import import_journals
from or_otel.ledger.retention import erase, prune


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
    ledger.set_trace_callback(None)
    looks = [each for each in asked if "ORDER BY" in each]

    first, later = (" ".join(row[-1] for row in ledger.execute(f"EXPLAIN QUERY PLAN {look}")) for look in looks)

    assert "SEARCH attempts USING INDEX attempts_by_time (call_started_at_s>?)" in first
    assert "SEARCH attempts USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)" in later


@pytest.fixture
def made(entry):
    """Give three attempts, the first one old."""
    old = {"started_at_s": 1.0, "call_started_at_s": 1.0}
    return [
        entry(None, unpriced="cancelled", generation_id="gen-1", **(old if not number else {})) for number in range(3)
    ]


@pytest.fixture
def following(tmp_path, ledger, write, made):
    """Follow a ledger that has them, up to now."""
    following = Following(tmp_path, ledger, since_s=0)
    write(*map(to_line, made))
    assert len(list(following.changes(10))) == 3
    return following


def test_a_ledger_that_grows_and_lets_go_of_what_is_old_keeps_its_places(tmp_path, ledger, write, entry, following):
    write(to_line(entry("1")))
    import_journals(tmp_path, now_s=11)
    prune(ledger, older_than_s=2)

    assert not following.is_astray()
    assert ids(following.changes(12)) == [("4", False)]
    assert not following.is_astray()


@pytest.mark.parametrize("is_another_there", [False, True])
def test_a_ledger_that_lost_what_was_told_last_has_lost_its_places(
    tmp_path, ledger, write, entry, made, following, is_another_there
):
    ledger.execute("DELETE FROM attempts WHERE attempt_id = ?", [made[-1].attempt_id])
    if is_another_there:
        write(to_line(entry("1")))
        import_journals(tmp_path, now_s=11)

    assert following.is_astray()


def test_amendments_have_places_too(ledger, write, made, following):
    write(*(amendment(each, "0.5") for each in made))
    assert len(list(following.changes(11))) == 3
    assert not following.is_astray()

    ledger.execute("DELETE FROM amendments WHERE attempt_id = ?", [made[-1].attempt_id])

    assert following.is_astray()


def test_a_ledger_made_anew_is_another(tmp_path, following):
    erase(tmp_path)
    assert following.is_astray()

    with open_ledger(tmp_path / DATABASE):
        assert following.is_astray()
