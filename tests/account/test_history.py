from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from or_otel.account.history import (
    KnownKey,
    missing_days,
    read_activity,
    read_keys,
    store_activity,
    store_keys,
)
from or_otel.accounts import AccountKey, ActivityRow, KeyBudget, Spend
from or_otel.ledger import open_ledger

TODAY = date(2026, 3, 1)
DAY = date(2026, 2, 28)
ROW = ActivityRow(
    day=DAY,
    model="openai/gpt-5-mini",
    permaslug="openai/gpt-5-mini-2025-08-07",
    endpoint_id="e1",
    provider="Azure",
    credits_usd=Decimal("0.1234567890123456789"),
    byok_usd=Decimal(0),
    requests=130,
    input_tokens=26_000,
)
KEY = AccountKey(
    hash="a" * 64,
    name="search",
    is_disabled=False,
    limit_usd=Decimal("50.10"),
    limit_remaining_usd=Decimal("-1E-7"),
    credits=Spend(lifetime_usd=Decimal("42.5"), monthly_usd=Decimal(0)),
    created_at_s=1_767_603_600.25,
)


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path / "ledger.db") as connection:
        yield connection


def _s(day, hours=0.0):
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + hours * 3600


def _all(ledger, key_hash=None):
    return read_activity(ledger, date(2026, 1, 1), date(2027, 1, 1), key_hash)


def test_a_closed_day_comes_back_exactly(ledger):
    assert store_activity(ledger, [ROW], _s(TODAY, 2)) == 1

    assert _all(ledger) == (ROW,)


def test_reading_before_anything_was_stored_gives_nothing(ledger):
    assert _all(ledger) == ()
    assert read_keys(ledger) == ()


def test_the_same_row_again_adds_nothing_however_its_money_is_written(ledger):
    store_activity(ledger, [replace(ROW, credits_usd=Decimal("0.5"))], _s(TODAY, 2))

    assert store_activity(ledger, [replace(ROW, credits_usd=Decimal("0.500"))], _s(TODAY, 3)) == 0
    assert ledger.execute("SELECT count(*) FROM activity").fetchone() == (1,)


def test_a_changed_row_is_a_revision_and_the_newest_counts(ledger):
    changed = replace(ROW, credits_usd=Decimal("0.2"))
    store_activity(ledger, [ROW], _s(TODAY, 2))

    assert store_activity(ledger, [changed], _s(TODAY, 3)) == 1
    assert store_activity(ledger, [ROW], _s(TODAY, 4)) == 1
    store_activity(ledger, [changed], _s(TODAY, 5))

    assert _all(ledger) == (changed,)
    assert ledger.execute("SELECT count(*) FROM activity").fetchone() == (4,)


def test_an_older_answer_that_comes_late_changes_nothing(ledger):
    store_activity(ledger, [ROW], _s(TODAY, 3))

    assert store_activity(ledger, [replace(ROW, requests=1)], _s(TODAY, 2)) == 0
    assert _all(ledger) == (ROW,)


def test_rows_of_several_workspaces_are_added_up(ledger):
    rows = [
        replace(ROW, workspace_id="w1", credits_usd=Decimal("0.1"), requests=1, output_tokens=None),
        replace(ROW, workspace_id="w2", credits_usd=Decimal("0.2"), requests=2, output_tokens=5),
    ]

    store_activity(ledger, rows, _s(TODAY, 2))

    assert _all(ledger) == (replace(ROW, credits_usd=Decimal("0.3"), requests=3, input_tokens=52_000, output_tokens=5),)


def test_a_key_s_rows_stand_beside_those_of_the_account(ledger):
    of_key = replace(ROW, key_hash=KEY.hash, requests=7)

    store_activity(ledger, [ROW], _s(TODAY, 2))
    store_activity(ledger, [of_key], _s(TODAY, 2), key_hash=KEY.hash)

    assert _all(ledger) == (ROW,)
    assert _all(ledger, KEY.hash) == (of_key,)


def test_rows_of_several_keys_in_one_answer_are_not_added_up(ledger):
    other = replace(ROW, key_hash="b" * 64, credits_usd=Decimal(2))

    store_activity(ledger, [ROW, replace(ROW, key_hash="a" * 64), other], _s(TODAY, 2))

    assert _all(ledger) == (ROW,)
    assert [row.credits_usd for row in _all(ledger, "b" * 64)] == [Decimal(2)]


def test_days_are_read_from_the_first_up_to_the_last(ledger):
    days = [replace(ROW, day=DAY - timedelta(days=ago)) for ago in range(4)]
    store_activity(ledger, days, _s(TODAY, 2))

    found = read_activity(ledger, DAY - timedelta(days=2), DAY)

    assert [row.day for row in found] == [DAY - timedelta(days=2), DAY - timedelta(days=1)]


def test_every_closed_day_is_missing_at_first(ledger):
    days = missing_days(ledger, TODAY)

    assert (len(days), days[0], days[-1]) == (30, date(2026, 1, 30), DAY)


def test_a_day_on_which_nothing_was_booked_is_not_missing_once_it_was_asked_for(ledger):
    asked = [TODAY - timedelta(days=ago) for ago in range(1, 31)]

    store_activity(ledger, [], _s(TODAY, 2), covered=asked)

    assert missing_days(ledger, TODAY) == ()
    assert len(missing_days(ledger, TODAY, key_hash=KEY.hash)) == 30
    assert missing_days(ledger, TODAY + timedelta(days=1)) == (TODAY,)


def test_a_day_asked_for_too_soon_after_its_end_is_still_missing(ledger):
    store_activity(ledger, [ROW], _s(TODAY, 0.1))

    assert missing_days(ledger, TODAY, days=1) == (DAY,)
    store_activity(ledger, [ROW], _s(TODAY, 1))
    assert missing_days(ledger, TODAY, days=1) == ()


def test_a_key_that_is_gone_keeps_its_last_row_and_its_times(ledger):
    spent = replace(KEY, credits=Spend(lifetime_usd=Decimal("43.1")))
    store_keys(ledger, [KEY], 100.0)
    store_keys(ledger, [spent], 200.0)
    store_keys(ledger, [], 300.0)

    assert read_keys(ledger) == (KnownKey(key=spent, first_seen_s=100.0, last_seen_s=200.0),)


def test_an_older_sight_of_a_key_only_moves_its_beginning(ledger):
    store_keys(ledger, [KEY], 200.0)
    store_keys(ledger, [replace(KEY, name="older")], 100.0)

    assert read_keys(ledger) == (KnownKey(key=KEY, first_seen_s=100.0, last_seen_s=200.0),)


def test_a_key_of_which_hardly_anything_is_known_comes_back_so(ledger):
    bare = AccountKey(hash="b" * 64)
    store_keys(ledger, [bare], 1.0)

    assert read_keys(ledger)[0].key == bare


def test_a_row_of_which_hardly_anything_is_known_comes_back_so(ledger):
    bare = ActivityRow(day=DAY)
    store_activity(ledger, [bare], 1.0)

    assert _all(ledger) == (bare,)


def test_what_only_the_asking_key_tells_is_not_kept(ledger):
    store_keys(ledger, [replace(KEY, budgets=(KeyBudget(scope="member"),), free_requests_used=3)], 1.0)
    store_keys(ledger, [AccountKey(label="no hash")], 1.0)

    assert [known.key for known in read_keys(ledger)] == [KEY]


def test_what_a_newer_version_wrote_is_passed_over(ledger):
    store_keys(ledger, [KEY], 1.0)
    store_activity(ledger, [ROW], 1.0)
    for table in ("account_keys", "activity"):
        ledger.execute(f"UPDATE {table} SET line = json_insert(line, '$.of_the_future', 1)")

    assert read_keys(ledger)[0].key == KEY
    assert _all(ledger) == (ROW,)


def test_a_failure_in_the_middle_keeps_nothing(ledger):
    store_activity(ledger, [], 1.0)
    ledger.execute(
        "CREATE TRIGGER full BEFORE INSERT ON activity WHEN new.endpoint = 'e2' BEGIN SELECT RAISE(ABORT, 'full'); END"
    )

    with pytest.raises(sqlite3.IntegrityError):
        store_activity(ledger, [ROW, replace(ROW, endpoint_id="e2")], 1.0)

    assert _all(ledger) == ()
    assert not ledger.in_transaction


def test_a_row_booked_elsewhere_later_does_not_count_twice_and_may_come_back(ledger):
    moved = replace(ROW, endpoint_id="e2")
    store_activity(ledger, [ROW], _s(TODAY, 2), covered=[DAY])

    assert store_activity(ledger, [moved], _s(TODAY, 3), covered=[DAY]) == 2
    assert _all(ledger) == (moved,)
    assert store_activity(ledger, [moved], _s(TODAY, 4), covered=[DAY]) == 0
    store_activity(ledger, [ROW], _s(TODAY, 5), covered=[DAY])
    assert _all(ledger) == (ROW,)


def test_a_row_that_could_not_be_read_is_not_gone_and_its_days_are_asked_for_again(ledger):
    other = replace(ROW, endpoint_id="e2")
    changed = replace(other, credits_usd=Decimal(9))
    store_activity(ledger, [ROW, other], _s(TODAY, 0.1), covered=[DAY])

    stored = store_activity(ledger, [changed], _s(TODAY, 3), covered=[DAY], is_whole=False)

    assert stored == 1
    assert _all(ledger) == (ROW, changed)
    assert DAY in missing_days(ledger, TODAY)
    store_activity(ledger, [changed], _s(TODAY, 4), covered=[DAY])
    assert _all(ledger) == (changed,)
    assert DAY not in missing_days(ledger, TODAY)


def test_an_answer_without_any_row_of_a_day_takes_nothing_away(ledger):
    store_activity(ledger, [ROW], _s(TODAY, 2), covered=[DAY])

    store_activity(ledger, [], _s(TODAY, 3), covered=[DAY])

    assert _all(ledger) == (ROW,)
