"""What is kept beside the rounds: keys as long as their money counts, and nothing written or compared twice."""

from __future__ import annotations

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


def test_keys_are_written_now_and_then(tmp_path):
    kept = Kept(tmp_path)
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
    later = compared(closed(NOON_S + 3600, 1, 2), NOON_S + 3600)

    assert first
    assert same is first
    assert sum(day.provider_usd for day in later) == 2
