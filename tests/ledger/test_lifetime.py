from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import Generation
from or_otel.days import DAY_S
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.amending import amend
from or_otel.ledger.importing import import_journals
from or_otel.ledger.lifetime import Lifetime
from or_otel.ledger.retention import erase_where, prune

NOW_S = 20_000 * DAY_S + 1000.0


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path / DATABASE) as ledger:
        yield ledger


@pytest.fixture
def write(tmp_path, ledger):
    def write(*made, name="host-1-1.jsonl"):
        with (tmp_path / name).open("ab") as journal:
            journal.write(b"".join(map(to_line, made)))
        import_journals(tmp_path, now_s=NOW_S)

    return write


def read(lifetime, ledger):
    lifetime.read(ledger)
    return list(lifetime.totals().values())


def test_a_day_that_did_not_change_is_not_read_again(ledger, write, entry):
    lifetime = Lifetime()
    write(entry("1", call_started_at_s=NOW_S - DAY_S), entry("2", call_started_at_s=NOW_S))
    read(lifetime, ledger)
    statements = []
    ledger.set_trace_callback(statements.append)
    write(entry("4", call_started_at_s=NOW_S))

    (total,) = read(lifetime, ledger)

    read_days = [each for each in statements if "attempts.line" in each and "call_started_at_s >=" in each]
    assert total.credits == 7
    assert len(read_days) == 1


def test_a_price_learned_later_is_told(ledger, write, entry):
    lifetime = Lifetime()
    late = entry(call_started_at_s=NOW_S, generation_id="gen-1", unpriced="cancelled", billing="unknown", is_byok=None)
    write(late)
    (before,) = read(lifetime, ledger)
    record = Generation(id="gen-1", charged_usd=Decimal("0.25"), is_byok=False)
    assert amend(ledger, late.attempt_id, record, learned_at_s=NOW_S + 60)

    (after,) = read(lifetime, ledger)

    assert (before.credits, after.credits) == (None, Decimal("0.25"))


def test_a_job_fetched_twice_counts_once_also_over_two_days(ledger, write, entry):
    job = {"operation": "fetch_response", "response_id": "resp_1", "input_tokens": 5}
    lifetime = Lifetime()
    write(entry("3", call_started_at_s=NOW_S, started_at_s=NOW_S, **job))
    read(lifetime, ledger)
    earlier_s = NOW_S - DAY_S
    write(entry("3", call_started_at_s=earlier_s, started_at_s=earlier_s, **job), name="host-2-1.jsonl")

    totals = read(lifetime, ledger)

    assert sum(total.credits for total in totals if total.credits is not None) == 3
    assert sum(total.calls for total in totals) == 2


def test_upstream_bills_count_only_under_byok(ledger, write, entry):
    byok = {"is_byok": True, "billing": "byok"}
    write(
        entry("0.1", upstream=Decimal(5), call_started_at_s=NOW_S),
        entry("0.2", upstream=Decimal(7), call_started_at_s=NOW_S, **byok),
    )

    (total,) = read(Lifetime(), ledger)

    assert (total.credits, total.upstream) == (Decimal("0.3"), 7)


def test_pruned_sums_stay_apart_by_the_tags_that_are_told(ledger, write, entry):
    lifetime = Lifetime(["customer"])
    write(*(entry("1", call_started_at_s=NOW_S, tags={"customer": name, "other": "x"}) for name in "aab"))
    before = read(lifetime, ledger)
    assert prune(ledger, older_than_s=NOW_S + 1) == 3

    after = read(lifetime, ledger)

    assert [total.credits for total in before] == [total.credits for total in after] == [2, 1]
    assert {group.tags for group in lifetime.totals()} == {(("customer", "a"),), (("customer", "b"),)}


def test_pruning_again_adds_to_what_was_pruned(ledger, write, entry):
    lifetime = Lifetime()
    for number in range(3):
        write(entry("0.1", call_started_at_s=NOW_S + number, app_name=None, service_name=""))
        prune(ledger, older_than_s=NOW_S + number + 1)

    (total,) = read(lifetime, ledger)

    assert (total.credits, total.calls) == (Decimal("0.3"), 3)


def test_the_oldest_group_stays_first_when_its_rows_are_pruned(ledger, write, entry):
    lifetime = Lifetime()
    write(
        entry("1", call_started_at_s=NOW_S - 2 * DAY_S, app_name="z"),
        entry("1", call_started_at_s=NOW_S - DAY_S, app_name="b"),
        entry("1", call_started_at_s=NOW_S, app_name="a"),
    )
    read(lifetime, ledger)
    before = list(lifetime.totals())
    prune(ledger, older_than_s=NOW_S)

    read(lifetime, ledger)

    assert [group.app_name for group in before] == ["z", "b", "a"]
    assert list(lifetime.totals()) == before


def test_what_a_person_erases_is_gone_from_the_sums_too(tmp_path, ledger, write, entry):
    lifetime = Lifetime(["customer"])
    made = [entry("1", call_started_at_s=NOW_S, tags={"customer": name}) for name in ("acme", "other")]
    write(*made)
    read(lifetime, ledger)
    prune(ledger, older_than_s=NOW_S + 1)

    erase_where(tmp_path, {"customer": "acme"}, now_s=NOW_S)

    (left,) = read(lifetime, ledger)
    assert left.credits == 1
    assert [group.tags for group in lifetime.totals()] == [(("customer", "other"),)]


def test_erasing_by_what_sums_are_not_kept_apart_by_leaves_them(tmp_path, ledger, write, entry):
    lifetime = Lifetime()
    write(entry("1", call_started_at_s=NOW_S, tags={"customer": "acme"}))
    read(lifetime, ledger)
    prune(ledger, older_than_s=NOW_S + 1)

    erase_where(tmp_path, {"customer": "acme"}, now_s=NOW_S)

    (left,) = read(lifetime, ledger)
    assert left.credits == 1


def test_spendings_tell_each_period_and_the_totals_at_midnights(ledger, write, entry):
    lifetime = Lifetime(["customer"])
    write(
        *(entry("1", call_started_at_s=NOW_S - ago * DAY_S, tags={"customer": "acme"}) for ago in (0, 1, 40)),
        entry("9", call_started_at_s=NOW_S),
    )
    lifetime.read(ledger)

    (spending,) = lifetime.spendings(["customer"], at_s=NOW_S)

    assert (spending.source, spending.labels) == ("client", {"customer": "acme"})
    assert (spending.spend.daily_usd, spending.spend.lifetime_usd) == (1, 3)
    totals = {each.at_s: each.total_usd for each in spending.samples}
    midnight_s = NOW_S - NOW_S % DAY_S
    assert (totals[midnight_s - DAY_S], totals[midnight_s], totals[NOW_S]) == (1, 2, 3)
