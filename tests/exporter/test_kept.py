"""What is kept beside the rounds: keys as long as their money counts, and nothing written or compared twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from or_otel.account.history import DAYS, read_keys
from or_otel.account.poller import Observed, Snapshot
from or_otel.accounts import AccountKey, ActivityRow, Spend
from or_otel.days import DAY_S, utc_day
from or_otel.entries import to_line
from or_otel.exporter.kept import GONE_S, KEEP_KEYS_S, Kept
from or_otel.ledger import DATABASE, open_ledger

NOON_S = 20_000.5 * DAY_S
TODAY = utc_day(NOON_S)


def listing(at_s, **spent):
    keys = tuple(AccountKey(hash=name, credits=Spend(lifetime_usd=Decimal(usd))) for name, usd in spent.items())
    return Snapshot(keys=Observed(value=keys, at_s=at_s))


def closed(at_s, *days_ago):
    rows = tuple(ActivityRow(day=TODAY - timedelta(days=ago), credits_usd=Decimal(1)) for ago in days_ago)
    return Snapshot(activity=Observed(value=rows, at_s=at_s))


def said(caplog):
    return [each.getMessage() for each in caplog.records if "goes on without" in each.getMessage()]


def written(folder):
    """Give {key: (when it was last seen, what it had spent)} as the file tells it."""
    with open_ledger(folder / DATABASE) as ledger:
        return {each.key.hash: (each.last_seen_s, each.key.credits.lifetime_usd) for each in read_keys(ledger)}


@pytest.mark.parametrize(("later_s", "is_known"), [(GONE_S, True), (GONE_S + 1, False)])
@pytest.mark.parametrize("is_restarted", [False, True])
def test_a_key_is_forgotten_when_it_can_have_spent_nothing_in_a_running_month(
    tmp_path, later_s, is_known, is_restarted
):
    kept = Kept(tmp_path)
    kept.take(listing(NOON_S, gone="1"), NOON_S)

    if is_restarted:
        kept = Kept(tmp_path)
    kept.take(listing(NOON_S + later_s), NOON_S + later_s)

    assert ("gone" in kept.known_keys) == is_known


@pytest.mark.parametrize("has_calls", [False, True])
def test_keys_are_written_now_and_then(tmp_path, has_calls):
    kept = Kept(tmp_path, has_calls=has_calls)
    for at_s, usd in [(0, "1"), (KEEP_KEYS_S - 1, "2")]:
        kept.take(listing(NOON_S + at_s, one=usd), NOON_S + at_s)
    before = written(tmp_path)
    kept.take(listing(NOON_S + KEEP_KEYS_S, one="3"), NOON_S + KEEP_KEYS_S)

    assert before == {"one": (NOON_S, 1)}
    assert written(tmp_path) == {"one": (NOON_S + KEEP_KEYS_S, 3)}


def test_a_key_that_came_or_went_is_written_at_once_with_the_last_that_was_known_of_it(tmp_path):
    kept = Kept(tmp_path)
    kept.take(listing(NOON_S, gone="1"), NOON_S)
    kept.take(listing(NOON_S + 60, gone="2"), NOON_S + 60)
    kept.take(listing(NOON_S + 120, new="5"), NOON_S + 120)

    assert written(tmp_path) == {"gone": (NOON_S + 60, 2), "new": (NOON_S + 120, 5)}


def test_without_a_folder_only_closed_days_of_the_last_month_are_told():
    kept = Kept(None)

    kept.take(closed(NOON_S, 0, 1, DAYS, DAYS + 1), NOON_S)

    assert [row.day for row in kept.activity] == [TODAY - timedelta(days=1), TODAY - timedelta(days=DAYS)]


def test_with_a_folder_the_month_goes_on_without_a_new_answer(tmp_path):
    kept = Kept(tmp_path)
    told = closed(NOON_S, 1, DAYS)

    kept.take(told, NOON_S)
    before = {row.day for row in kept.activity}
    kept.take(told, NOON_S + DAY_S)

    assert before == {TODAY - timedelta(days=1), TODAY - timedelta(days=DAYS)}
    assert {row.day for row in kept.activity} == {TODAY - timedelta(days=1)}


def test_days_are_compared_again_when_one_side_is_new_and_only_then(tmp_path, entry):
    (tmp_path / "host-1-1.jsonl").write_bytes(to_line(entry("1", started_at_s=NOON_S - 3 * DAY_S)))
    kept = Kept(tmp_path, has_calls=True)

    def compared(snapshot, now_s):
        kept.take(snapshot, now_s)
        kept.compare({}, {}, now_s)
        return kept.reconciled

    first = compared(closed(NOON_S, 1), NOON_S)
    same = compared(closed(NOON_S, 1), NOON_S + 60)
    of_a_key = compared(Snapshot(activity_by_key={"one": Observed(value=(), at_s=NOON_S)}), NOON_S + 120)
    later = compared(closed(NOON_S + 3600, 1, 2), NOON_S + 3600)

    assert first
    assert same is first
    assert of_a_key is not first
    assert sum(day.provider_usd for day in later) == 2


@pytest.mark.parametrize("has_calls", [False, True])
def test_a_file_that_fails_again_after_it_worked_is_said_again_and_one_that_goes_on_failing_is_not(
    tmp_path, caplog, has_calls
):
    folder, away = tmp_path / "ledger", tmp_path / "away"
    folder.write_text("not a folder")
    kept = Kept(folder, has_calls=has_calls)

    def heard(number):
        kept.take(listing(NOON_S + number * KEEP_KEYS_S), NOON_S + number * KEEP_KEYS_S)
        return len(said(caplog))

    failing = [heard(0), heard(1)]
    folder.rename(away)
    working = heard(2)
    folder.rename(tmp_path / "worked")
    away.rename(folder)

    assert (failing, working, [heard(3), heard(4)]) == ([1, 1], 1, [2, 2])


def test_each_of_two_problems_that_last_is_said_once(tmp_path, caplog):
    (tmp_path / "folder.jsonl").mkdir()
    kept = Kept(tmp_path, has_calls=True)
    kept.take(Snapshot(), NOON_S)
    with open_ledger(tmp_path / DATABASE) as ledger:
        ledger.execute("CREATE TRIGGER full BEFORE INSERT ON account_keys BEGIN SELECT RAISE(ABORT, 'disk full'); END")

    for later_s in (60, 120):
        kept.take(listing(NOON_S + later_s, one="1"), NOON_S + later_s)

    of_journal, of_file = said(caplog)
    assert "folder.jsonl" in of_journal
    assert "disk full" in of_file


@pytest.mark.parametrize("has_calls", [False, True])
@pytest.mark.parametrize("is_by_key", [False, True])
def test_rows_that_could_not_be_read_are_said_again_only_after_whole_answers(tmp_path, caplog, has_calls, is_by_key):
    kept = Kept(tmp_path, has_calls=has_calls)
    heard = []

    for number, is_whole in enumerate([False, False, True, False]):
        at_s = NOON_S + number * 60
        told = Observed(value=(), at_s=at_s, is_whole=is_whole)
        kept.take(Snapshot(activity_by_key={"one": told}) if is_by_key else Snapshot(activity=told), at_s)
        heard.append(len(said(caplog)))

    assert heard == [1, 1, 1, 2]


def test_a_comparison_that_fails_again_after_it_worked_is_said_again(tmp_path, caplog):
    kept = Kept(tmp_path, has_calls=True)
    ledger, away = tmp_path / DATABASE, tmp_path / "away"
    heard = []

    for number, is_broken in enumerate([True, True, False, True]):
        kept.take(closed(NOON_S + number, 1), NOON_S + number)
        if is_broken:
            ledger.rename(away)
            ledger.mkdir()
        kept.compare({}, {}, NOON_S + number)
        if is_broken:
            ledger.rmdir()
            away.rename(ledger)
        heard.append(len(said(caplog)))

    assert heard == [1, 1, 1, 2]


def test_what_a_key_had_spent_at_earlier_midnights_is_reckoned_from_its_own_closed_days(tmp_path):
    kept = Kept(tmp_path)
    day = TODAY - timedelta(days=1)
    rows = [ActivityRow(day=day, key_hash=name, credits_usd=Decimal(usd)) for name, usd in [("one", 2), ("other", 100)]]
    answers = {row.key_hash: Observed(value=(row,), at_s=NOON_S) for row in rows}
    key = AccountKey(hash="one", credits=Spend(lifetime_usd=Decimal(10), daily_usd=Decimal(1)))

    kept.take(Snapshot(activity_by_key=answers), NOON_S)

    midnight_s = NOON_S - DAY_S / 2
    totals = {sample.at_s: sample.total_usd for sample in kept.samples_of(key, NOON_S)["openrouter"]}
    assert totals == {midnight_s: 9} | {midnight_s - ago * DAY_S: 7 for ago in range(1, 9)}
    assert kept.samples_of(replace(key, hash=None), NOON_S) == {}
