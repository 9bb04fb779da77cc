from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from or_otel.entries import add_up, from_line, to_line
from or_otel.reports.proof import proof_of
from or_otel.simulator.account import WORKSPACE_ID
from or_otel.simulator.history import (
    CLEAN,
    Company,
    Faults,
    Shares,
    entries_of_history,
    write_history,
)
from or_otel.simulator.server import ScriptedOpenRouter

PLANTED = Faults(lost_export=4, foreign_client=3, crosses_midnight=5, byok_to_credits=2)
OWN = [Company(name="own", byok=("Anthropic", "OpenAI"), fee_rate=Decimal("0.05")), Company(name="plain")]


def past(clock, *, days=6, calls_per_day=120, **more):
    server = ScriptedOpenRouter(wall=clock)
    return server, write_history(server.account, until_s=clock.now_s, days=days, calls_per_day=calls_per_day, **more)


def billed(history, faults=("lost_export", "foreign_client")):
    unseen = {name for fault in faults for name in history.faults[fault]}
    return sum((entry.spend for entry in history.generations if entry.id in unseen), Decimal(0))


def test_the_same_seed_gives_the_same_past_and_another_one_another(clock):
    (_, first), (_, same), (_, other) = (past(clock, seed=seed, faults=PLANTED) for seed in (7, 7, 8))

    assert first == same
    assert list(entries_of_history(first)) == list(entries_of_history(same))
    assert not {entry.id for entry in first.generations} & {entry.id for entry in other.generations}


def test_the_past_lies_in_its_window_and_in_the_book(clock):
    server, history = past(clock, days=3)

    times = [entry.created_at_s for entry in history.generations]
    assert times == sorted(times)
    assert clock.now_s - 3 * 86_400 <= times[0] < times[-1] < clock.now_s
    assert server.book.entries == history.generations
    assert len({entry.id for entry in history.generations}) == len(history) > 200


def test_weekdays_are_busier_than_weekends_and_days_than_nights(clock):
    _, history = past(clock, days=14, calls_per_day=200)

    dates = [datetime.fromtimestamp(entry.created_at_s, UTC) for entry in history.generations]
    week, hours = Counter(date.weekday() for date in dates), Counter(date.hour for date in dates)

    assert len(history) == pytest.approx(14 * 200, rel=0.02)
    assert min(week[day] for day in range(5)) > 2 * max(week[5], week[6])
    assert hours[10] > 4 * hours[3]


def test_companies_get_keys_and_their_share_of_the_load(clock):
    keys = [Company(name="big", share=3, limit_usd=Decimal(9), limit_reset="daily"), Company(name="small")]
    server, history = past(clock, keys=keys)

    made = {key.name: key for key in server.account.keys}
    load = Counter(history.key_names[entry.key] for entry in history.generations)

    assert (made["big"].limit_usd, made["big"].limit_reset, made["big"].workspace_id) == (9, "daily", WORKSPACE_ID)
    assert 2 < load["big"] / load["small"] < 4.5


def test_credits_are_bought_as_they_are_used(clock):
    server, _ = past(clock)

    left = server.account.credits_usd - server.book.total()
    assert 110 <= left < 111


def test_own_keys_pay_their_providers_and_the_fee(clock):
    _, history = past(clock, keys=OWN, shares=CLEAN)

    own = [entry for entry in history.generations if entry.is_byok]
    assert {entry.provider for entry in own} == {"Anthropic", "OpenAI"}
    assert {history.key_names[entry.key] for entry in own} == {"own"}
    assert all(entry.charged == entry.upstream * Decimal("0.05") for entry in own)


def test_our_side_of_a_clean_past_is_the_account_s_to_the_last_digit(clock):
    server, history = past(clock, keys=OWN, shares=CLEAN)
    entries = list(entries_of_history(history))

    sums = add_up(entries)

    assert (sums.charged, sums.upstream) == (server.book.total(), server.book.total("upstream"))
    assert sums.calls == len(history)
    assert {fault for fault, names in history.faults.items() if names} <= {"crosses_midnight"}
    assert proof_of(entries, {entry.id: entry.spend for entry in history.generations}).is_equal


def test_shares_are_kept(clock):
    shares = Shares(streamed=0.5, cached=1, reasoning=0.3, cancelled=0.1, replayed=0.1, fallback=0.2)
    _, history = past(clock, days=14, calls_per_day=200, shares=shares)
    count = len(history)

    entries = history.generations
    assert len(history.faults["cancelled_unpriced"]) / count == pytest.approx(0.1, abs=0.03)
    assert len(history.faults["response_cache_hit"]) / count == pytest.approx(0.1, abs=0.03)
    assert sum(entry.is_stream for entry in entries) / count == pytest.approx(0.5, abs=0.05)
    assert sum(len(entry.attempts) > 1 for entry in entries) / count == pytest.approx(0.2, abs=0.06)
    assert any(entry.usage.cache_read_tokens for entry in entries)
    assert all(entry.cache_discount > 0 for entry in entries if entry.usage.cache_read_tokens)


def test_what_is_lost_or_foreign_is_billed_and_told_by_no_entry(clock):
    server, history = past(clock, shares=CLEAN, faults=PLANTED)
    entries = list(entries_of_history(history))
    known = {entry.generation_id for entry in entries}

    assert [len(history.faults[fault]) for fault in ("lost_export", "foreign_client")] == [4, 3]
    assert {entry.id for entry in history.generations} - known == {
        *history.faults["lost_export"],
        *history.faults["foreign_client"],
    }
    assert add_up(entries).total == server.book.total("spend") - billed(history)
    agents = {entry.id: entry.user_agent for entry in history.generations}
    assert {agents[name] for name in history.faults["foreign_client"]}.isdisjoint(
        {agents[name] for name in history.faults["lost_export"]}
    )


def test_a_cancelled_call_is_billed_and_unpriced_with_us(clock):
    _, history = past(clock, shares=Shares(cancelled=0.1))
    ours = {entry.generation_id: entry for entry in entries_of_history(history)}
    theirs = {entry.id: entry for entry in history.generations}

    names = history.faults["cancelled_unpriced"]
    assert any(theirs[name].spend for name in names)
    assert all(theirs[name].is_cancelled for name in names)
    assert {(ours[n].total, ours[n].unpriced, ours[n].outcome, ours[n].input_tokens) for n in names} == {
        (None, "cancelled", "cancelled", None)
    }


def test_a_replayed_answer_is_free_on_both_sides_and_names_its_source(clock):
    _, history = past(clock, shares=Shares(replayed=0.1))
    ours = {entry.generation_id: entry for entry in entries_of_history(history)}
    theirs = {entry.id: entry for entry in history.generations}

    names = history.faults["response_cache_hit"]
    assert names
    assert {(theirs[n].spend, ours[n].total, ours[n].is_response_cache_hit) for n in names} == {(0, 0, True)}
    assert all(theirs[theirs[name].cache_source_id].cache_source_id is None for name in names)


def test_a_call_over_midnight_begins_on_another_day_than_its_row_is_dated(clock):
    _, history = past(clock, faults=PLANTED)
    ours = {entry.generation_id: entry for entry in entries_of_history(history)}

    crossing = {name for name, entry in ours.items() if entry.started_at_s // 86_400 + 1 == entry.ended_at_s // 86_400}
    assert len(history.faults["crosses_midnight"]) >= PLANTED.crosses_midnight
    assert crossing == set(history.faults["crosses_midnight"]) & set(ours)


def test_a_failed_own_key_turns_the_bill_over_to_the_credits(clock):
    _, history = past(clock, keys=OWN, shares=CLEAN, faults=PLANTED)
    theirs = {entry.id: entry for entry in history.generations}

    turned = [theirs[name] for name in history.faults["byok_to_credits"]]

    assert len(turned) == 2
    assert all(history.key_names[entry.key] == "own" for entry in turned)
    assert all(not entry.is_byok and entry.charged == entry.upstream > 0 for entry in turned)
    assert all([step.status for step in entry.attempts] == [429, 200] for entry in turned)


def test_a_past_too_small_for_its_faults_is_refused(clock):
    with pytest.raises(ValueError, match="999 of lost_export and foreign_client: this past holds only"):
        past(clock, days=1, faults=Faults(lost_export=999))
    with pytest.raises(ValueError, match="1 of crosses_midnight: this past holds only 0"):
        past(clock, days=0, faults=Faults(crosses_midnight=1))
    with pytest.raises(ValueError, match="'acme/nope' is not offered"):
        past(clock, keys=[Company(name="a", models={"acme/nope": 1})])


def test_our_entries_are_lines_of_a_journal(clock):
    _, history = past(clock, days=1)

    for entry in entries_of_history(history):
        assert from_line(to_line(entry)) == entry
