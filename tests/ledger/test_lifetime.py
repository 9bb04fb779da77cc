from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import Generation
from or_otel.amendments import amendment_of
from or_otel.amendments import to_line as to_amendment_line
from or_otel.days import DAY_S
from or_otel.entries import to_line
from or_otel.facts import Usage, token_parts
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


@pytest.mark.parametrize("moved_s", [50.0, DAY_S])
def test_a_job_fetched_twice_counts_once_also_when_only_one_of_both_is_old_enough_to_be_pruned(
    ledger, write, entry, moved_s
):
    job = {"operation": "fetch_response", "response_id": "resp_1"}
    lifetime = Lifetime()
    write(*(entry("3", call_started_at_s=at_s, started_at_s=at_s, **job) for at_s in (NOW_S, NOW_S + moved_s)))
    write(entry("1", call_started_at_s=NOW_S + moved_s))
    before = read(lifetime, ledger)

    prune(ledger, older_than_s=NOW_S + 1)

    after = read(lifetime, ledger)
    assert sum(total.credits for total in before) == sum(total.credits for total in after) == 4
    assert sum(total.calls for total in after) == 3


def test_what_is_learned_of_an_attempt_that_did_not_come_yet_stops_nothing(tmp_path, ledger, write, entry):
    late = entry(call_started_at_s=NOW_S - DAY_S, generation_id="gen-1", unpriced="cancelled", is_byok=None)
    record = Generation(id="gen-1", charged_usd=Decimal("0.25"), is_byok=False)
    learned = to_amendment_line(amendment_of(late, record, learned_at_s=NOW_S))
    (tmp_path / "host-2-1.jsonl").write_bytes(learned)
    write(entry("1", call_started_at_s=NOW_S))
    lifetime = Lifetime()

    before = sum(total.credits for total in read(lifetime, ledger))
    write(late)

    assert (before, sum(total.credits for total in read(lifetime, ledger))) == (1, Decimal("1.25"))


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
    assert lifetime.first_day is None
    for number in range(3):
        write(entry("0.1", call_started_at_s=NOW_S + number * DAY_S, app_name=None, service_name=""))
        prune(ledger, older_than_s=NOW_S + number * DAY_S + 1)

    (total,) = read(lifetime, ledger)

    assert (total.credits, total.calls, total.first_day) == (Decimal("0.3"), 3, NOW_S // DAY_S)


def test_pruning_changes_no_figure_of_either_ledger_nor_any_kind_of_token(ledger, write, entry):
    lifetime = Lifetime()
    tokens = {
        "input_tokens": 100,
        "output_tokens": 30,
        "cache_read_tokens": 40,
        "cache_write_tokens": 20,
        "reasoning_tokens": 10,
    }
    byok = {"is_byok": True, "billing": "byok", "upstream": Decimal("0.7")}
    write(*(entry("0.1", call_started_at_s=NOW_S + number, **tokens, **byok) for number in range(3)))
    write(entry(None, call_started_at_s=NOW_S, app_name="quiet", unpriced="cancelled"))
    before = read(lifetime, ledger)
    first_day = lifetime.first_day
    for number in range(2):
        prune(ledger, older_than_s=NOW_S + number + 1)

    after = read(lifetime, ledger)

    assert after == before
    quiet, told = sorted(after, key=lambda each: each.calls)
    assert (told.credits, told.upstream, told.calls) == (Decimal("0.3"), Decimal("2.1"), 3)
    assert told.tokens == {kind: 3 * tokens for kind, tokens in token_parts(Usage(**tokens))}
    assert (quiet.credits, quiet.upstream, quiet.calls) == (None, None, 1)
    assert first_day == lifetime.first_day == NOW_S // DAY_S


def test_who_asks_only_for_some_tags_gets_pruned_sums_by_those_alone(ledger, write, entry):
    write(*(entry("1", call_started_at_s=NOW_S, tags={"team": "ads", "feature": name}) for name in "ab"))
    prune(ledger, older_than_s=NOW_S + 1)
    lifetime = Lifetime(["team"])

    (total,) = read(lifetime, ledger)

    assert (total.credits, [group.tags for group in lifetime.totals()]) == (2, [(("team", "ads"),)])


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
    assert lifetime.first_day == NOW_S // DAY_S - 2


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


@pytest.mark.parametrize(
    ("word", "value", "fields"),
    [
        ("team", "ads", {"tags": {"team": "ads"}}),
        ("feature", "chat", {"tags": {"feature": "chat"}}),
        ("key", "prod", {"key_id": "0123456789ab", "key_name": "prod"}),
        ("key", "0123456789ab", {"key_id": "0123456789ab"}),
        ("model", "m-2026", {"response_model": "m-2026"}),
        ("model", "m-asked", {"request_model": "m-asked"}),
        ("request_model", "m-asked", {"request_model": "m-asked", "response_model": "m-2026"}),
        ("provider", "Groq", {"served_provider": "Groq"}),
        ("provider", "openai", {"server": "openai", "served_provider": None}),
        ("server", "openai", {"server": "openai"}),
        ("operation", "embeddings", {"operation": "embeddings"}),
        ("service", "web", {"service_name": "web"}),
        ("app", "shop", {"app_name": "shop"}),
        ("environment", "test", {"environment": "test"}),
    ],
)
def test_whatever_sums_are_kept_apart_by_may_choose_what_is_erased(tmp_path, ledger, write, entry, word, value, fields):
    write(entry("1", call_started_at_s=NOW_S, **fields), entry("2", call_started_at_s=NOW_S))
    prune(ledger, older_than_s=NOW_S + 1)

    erase_where(tmp_path, {word: value}, now_s=NOW_S)

    assert [total.credits for total in read(Lifetime(), ledger)] == [2]


def test_erasing_by_what_sums_are_not_kept_apart_by_leaves_them(tmp_path, ledger, write, entry):
    lifetime = Lifetime()
    write(entry("1", call_started_at_s=NOW_S, tags={"customer": "acme"}))
    read(lifetime, ledger)
    prune(ledger, older_than_s=NOW_S + 1)

    erase_where(tmp_path, {"customer": "acme"}, now_s=NOW_S)
    erase_where(tmp_path, {"customer": "acme", "server": "openrouter"}, now_s=NOW_S)

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


def test_spendings_tell_both_ledgers_apart_and_hold_what_was_pruned(ledger, write, entry):
    lifetime = Lifetime(["customer"])
    byok = {"is_byok": True, "billing": "byok", "upstream": Decimal("0.7"), "tags": {"customer": "acme"}}
    write(*(entry("0.1", call_started_at_s=NOW_S - ago * DAY_S, **byok) for ago in (2, 1, 0)))
    lifetime.read(ledger)
    before = lifetime.spendings(["customer"], at_s=NOW_S)
    prune(ledger, older_than_s=NOW_S - DAY_S - 1)
    lifetime.read(ledger)

    after = lifetime.spendings(["customer"], at_s=NOW_S)

    told = {each.ledger: (each.spend.daily_usd, each.spend.lifetime_usd) for each in after}
    assert after == before
    assert told == {"openrouter": (Decimal("0.1"), Decimal("0.3")), "upstream": (Decimal("0.7"), Decimal("2.1"))}
