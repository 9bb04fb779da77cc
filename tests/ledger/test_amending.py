"""What is learned after an attempt's end reads as part of it, once, however it comes."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest

from or_otel import amendments
from or_otel.accounts import Generation
from or_otel.amendments import amendment_of
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.amending import amend, unpriced
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import entries, find, totals
from or_otel.ledger.retention import erase_where, keep_within, prune

RECORD = Generation(id="gen-1", charged_usd=Decimal("0.30"), is_byok=False)


@pytest.fixture
def cancelled(entry):
    return entry(unpriced="cancelled", generation_id="gen-1", billing="unknown", is_byok=None, tags={"team": "search"})


@pytest.fixture
def learned(cancelled):
    return amendments.to_line(amendment_of(cancelled, RECORD, learned_at_s=2000.0))


@pytest.fixture
def journal(tmp_path):
    def write(name, *lines):
        with (tmp_path / f"host-{name}-1.jsonl").open("ab") as file:
            file.write(b"".join(lines))

    return write


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path / DATABASE) as ledger:
        yield ledger


def whole(ledger, **options):
    (row,) = totals(ledger, **options)
    return row.sums


def test_the_order_of_journals_and_reading_twice_do_not_matter(tmp_path, cancelled, learned, ledger):
    for number, lines in enumerate(permutations((to_line(cancelled), learned, learned))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for place, line in enumerate(lines):
            (folder / f"host-{place}-1.jsonl").write_bytes(line)
            for _ in range(2):
                import_journals(folder)
        with open_ledger(folder / DATABASE) as mine:
            sums = whole(mine)
        assert (sums.total, sums.calls, sums.unpriced) == (Decimal("0.30"), 1, {})


def test_an_import_tells_what_it_amended(tmp_path, journal, cancelled, learned):
    journal("1", to_line(cancelled), learned, learned)

    first, again = import_journals(tmp_path), import_journals(tmp_path)

    assert (first.lines, first.amended, first.repeated, first.broken) == (1, 1, 1, 0)
    assert (again.lines, again.amended) == (0, 0)


def test_what_amends_nothing_we_know_waits_and_counts_nothing(tmp_path, journal, cancelled, learned, ledger):
    journal("1", learned)
    import_journals(tmp_path)

    assert totals(ledger) == ()
    journal("2", to_line(cancelled))
    import_journals(tmp_path)
    assert whole(ledger).total == Decimal("0.30")


def test_the_line_as_it_was_stays_for_older_versions(tmp_path, journal, cancelled, learned, ledger):
    journal("1", to_line(cancelled), learned)
    import_journals(tmp_path)

    assert ledger.execute("SELECT line FROM attempts").fetchall() == [(to_line(cancelled),)]


def test_a_ledger_of_before_is_taken_over(tmp_path, entry, journal, cancelled, learned):
    journal("1", to_line(cancelled))
    import_journals(tmp_path)
    with sqlite3.connect(tmp_path / DATABASE) as old:
        old.executescript("DROP TABLE amendments; DROP TABLE fetches")
    old.close()
    journal("2", learned)

    import_journals(tmp_path)

    with open_ledger(tmp_path / DATABASE) as ledger:
        assert whole(ledger).total == Decimal("0.30")


def test_a_question_by_source_or_billing_sees_the_amended_entry(tmp_path, journal, cancelled, learned, ledger):
    journal("1", to_line(cancelled), learned)
    import_journals(tmp_path)

    assert whole(ledger, where={"billing": "credits", "team": "search"}).total == Decimal("0.30")
    assert totals(ledger, where={"billing": "unknown"}) == ()


def test_pruned_and_erased_attempts_take_what_was_learned_with_them(
    tmp_path, journal, entry, cancelled, learned, ledger
):
    other = entry("1", call_started_at_s=5000.0, tags={"team": "ads"})
    fields = {"call_started_at_s": 5000.0, "generation_id": "gen-1", "unpriced": "error", "tags": {"team": "search"}}
    young = entry(**fields)
    journal("1", to_line(cancelled), learned, to_line(other), to_line(young))
    journal("1", amendments.to_line(amendment_of(young, RECORD, learned_at_s=6000.0)))
    import_journals(tmp_path)

    left = [ledger.execute("SELECT count(*) FROM amendments").fetchone()[0]]
    prune(ledger, older_than_s=4000.0)
    left += ledger.execute("SELECT count(*) FROM amendments").fetchone()
    erase_where(tmp_path, {"team": "search"}, now_s=7000.0)
    left += ledger.execute("SELECT count(*) FROM amendments").fetchone()

    assert left == [2, 1, 0]
    assert whole(ledger).total == 1


def test_what_comes_for_a_pruned_attempt_is_forgotten_too(tmp_path, journal, entry, learned, ledger):
    journal("1", learned, to_line(entry("1", call_started_at_s=5000.0)))
    import_journals(tmp_path)

    keep_within(ledger, now_s=5000.0 + 90 * 86_400)

    assert ledger.execute("SELECT count(*) FROM amendments").fetchone() == (0,)
    assert whole(ledger).total == 1


# By who reads ---------------------------------------------------------------------------------------------------------


def test_a_reader_puts_in_what_the_account_tells_once(tmp_path, journal, entry, cancelled, ledger):
    journal("1", to_line(cancelled), to_line(entry("1", generation_id="gen-2")), to_line(entry(unpriced="error")))
    import_journals(tmp_path)

    (missing,) = unpriced(ledger)
    first = amend(ledger, missing.attempt_id, RECORD, learned_at_s=3000.0)
    again = amend(ledger, missing.attempt_id, RECORD, learned_at_s=4000.0)

    assert missing.generation_id == "gen-1"
    assert (first.charged, again) == (Decimal("0.30"), None)
    assert whole(ledger).total == Decimal("1.30")
    assert list(unpriced(ledger)) == []
    assert amend(ledger, "nobody", RECORD, learned_at_s=1.0) is None


def test_only_what_openrouter_can_be_asked_for_in_the_period_is_asked_for(tmp_path, journal, entry, ledger):
    missing = {"unpriced": "cancelled", "generation_id": "gen-1"}
    made = [entry(**missing, call_started_at_s=at_s) for at_s in (10.0, 20.0, 30.0)]
    journal("1", *map(to_line, made), to_line(entry(**missing, billing="direct", call_started_at_s=20.0)))
    import_journals(tmp_path)

    assert list(unpriced(ledger, since_s=15.0, until_s=30.0)) == [made[1]]
    assert list(unpriced(ledger)) == made


def test_a_record_is_put_beside_the_attempt_it_is_of(tmp_path, journal, cancelled, ledger):
    again = replace(cancelled, attempt_id="second", number=2, generation_id="gen-2")
    journal("1", to_line(cancelled), to_line(again))
    import_journals(tmp_path)

    amend(ledger, "second", replace(RECORD, id="gen-2"), learned_at_s=3000.0)

    assert [each.total for each in find(ledger, "gen-1")] == [None, Decimal("0.30")]


def test_what_program_and_reader_both_learned_counts_once(tmp_path, journal, cancelled, learned, ledger):
    journal("1", to_line(cancelled))
    import_journals(tmp_path)
    amend(ledger, cancelled.attempt_id, RECORD, learned_at_s=3000.0)
    journal("1", learned)
    import_journals(tmp_path)

    assert whole(ledger).total == Decimal("0.30")


# Finding --------------------------------------------------------------------------------------------------------------


def test_a_call_is_found_by_every_id_it_has(tmp_path, journal, entry, ledger):
    mine = entry("1", generation_id="gen-1", response_id="msg_1", trace_id="f" * 32)
    twin = replace(mine, attempt_id="second", number=2, generation_id="gen-2")
    journal("1", to_line(twin), to_line(mine), to_line(entry("1", request_model="gen-1 msg_1")))
    import_journals(tmp_path)

    for identity in ("gen-1", "gen-2", mine.call_id, mine.attempt_id, "second", "msg_1", "f" * 32):
        assert find(ledger, identity) == (mine, twin)
    assert find(ledger, "msg_") == ()


# Jobs -----------------------------------------------------------------------------------------------------------------


def polled(entry, cost="0.5", **fields):
    return entry(
        cost,
        **{
            "api": "videos",
            "operation": "fetch_response",
            "response_id": "job-1",
            "generation_id": "gen-job",
            "output_tokens": 7,
        }
        | fields,
    )


def test_a_job_that_two_processes_polled_to_its_end_counts_once(tmp_path, journal, entry, ledger):
    first, second = polled(entry), polled(entry)
    pending = [polled(entry, None, output_tokens=None, generation_id=None) for _ in range(3)]
    other = polled(entry, "0.25", response_id="job-2")
    elsewhere = polled(entry, "0.125", host="other.example")
    journal("1", to_line(second), *map(to_line, pending))
    journal("2", to_line(first), to_line(other), to_line(elsewhere))
    import_journals(tmp_path)

    sums = whole(ledger)
    day_of_second = whole(ledger, since_s=second.call_started_at_s, until_s=second.call_started_at_s + 0.5)

    assert (sums.calls, sums.total, sums.output_tokens) == (7, Decimal("0.875"), 21)
    assert (day_of_second.calls, day_of_second.total) == (1, None)
    assert [each.total for each in entries(ledger)][:2] == [Decimal("0.5"), None]


def test_no_figure_of_a_job_counts_twice(tmp_path, journal, entry, ledger):
    figures = {
        **dict.fromkeys(("upstream", "input", "output", "tools"), Decimal("0.5")),
        **dict.fromkeys(("input_tokens", "output_tokens"), 9),
        **dict.fromkeys(("cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), 3),
    }
    first, second = (polled(entry, **figures, is_byok=True, billing="byok") for _ in range(2))
    journal("1", to_line(first), to_line(second))
    import_journals(tmp_path)

    booked, other = entries(ledger)

    assert booked == first
    assert other == replace(second, charged=None, **dict.fromkeys(figures))


def test_the_one_that_told_a_price_books_the_job(tmp_path, journal, entry, ledger):
    blind = polled(entry, None, unpriced="not_reported")
    journal("1", to_line(blind), to_line(polled(entry)))
    import_journals(tmp_path)
    before = whole(ledger)

    amend(ledger, blind.attempt_id, replace(RECORD, id="gen-job", charged_usd=Decimal("0.5")), learned_at_s=1.0)

    assert (before.total, before.unpriced) == (Decimal("0.5"), {})
    assert (whole(ledger).total, whole(ledger).unpriced) == (Decimal("0.5"), {})


def test_an_answer_that_is_no_job_counts_whatever_its_id(tmp_path, journal, entry, ledger):
    journal("1", *(to_line(entry("0.5", response_id="same", generation_id="same")) for _ in range(2)))
    import_journals(tmp_path)

    assert whole(ledger).total == 1
