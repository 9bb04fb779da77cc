from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from or_otel.accounts import AccountKey, Spend
from or_otel.config.keys import NOBODY, Assignment
from or_otel.reports.keys import Use, review

NOW_S = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
DAY_S = 86_400.0
MINE = Assignment(team="search")


def key(**fields):
    """Make a key without fault."""
    sound = {
        "hash": "ab" * 32,
        "name": "search",
        "limit_usd": Decimal(10),
        "limit_remaining_usd": Decimal(9),
        "expires_at_s": NOW_S + 100 * DAY_S,
        "created_at_s": NOW_S - 100 * DAY_S,
        "last_used_at_s": NOW_S - DAY_S,
        "credits": Spend(lifetime_usd=Decimal(1), monthly_usd=Decimal(1)),
    }
    return AccountKey(**sound | fields)


def reviewed(*keys, assignment=MINE, uses=None, fingerprint=None):
    return review(
        keys,
        assign=lambda _key, _mark: assignment,
        fingerprint_of=lambda _: fingerprint,
        uses=uses or {},
        now_s=NOW_S,
    )


def names(*keys, **more):
    return [finding.name for finding in reviewed(*keys, **more).keys[0].findings]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"limit_usd": None, "limit_remaining_usd": None}, ["no_limit"]),
        ({"limit_remaining_usd": Decimal("2.01")}, []),
        ({"limit_remaining_usd": Decimal(2)}, ["near_limit"]),
        ({"limit_remaining_usd": Decimal(0)}, ["exhausted"]),
        ({"limit_remaining_usd": Decimal("-0.01")}, ["exhausted"]),
        ({"limit_usd": Decimal(0), "limit_remaining_usd": Decimal(0)}, []),
        ({"expires_at_s": None}, ["never_expires"]),
        ({"expires_at_s": NOW_S + 14 * DAY_S}, ["expiring"]),
        ({"expires_at_s": NOW_S + 15 * DAY_S}, []),
        ({"expires_at_s": NOW_S, "limit_usd": None}, ["expired"]),
        ({"is_disabled": True, "limit_usd": None, "expires_at_s": None}, ["disabled"]),
        ({"last_used_at_s": NOW_S - 30 * DAY_S}, ["unused"]),
        ({"last_used_at_s": NOW_S - 29 * DAY_S}, []),
        ({"last_used_at_s": None, "credits": Spend(lifetime_usd=Decimal(0))}, ["unused"]),
        ({"last_used_at_s": None, "credits": Spend(lifetime_usd=Decimal(0)), "created_at_s": NOW_S - DAY_S}, []),
        ({"last_used_at_s": None}, []),
    ],
)
def test_each_finding_has_its_own_cause(fields, expected):
    assert names(key(**fields)) == expected


def test_a_key_of_nobody_is_unassigned():
    assert names(key(), assignment=NOBODY) == ["unassigned"]


def test_what_clients_saw_younger_than_the_account_tells_is_use():
    use = Use(fingerprint="0123456789ab", last_used_at_s=NOW_S - DAY_S)

    found = names(key(last_used_at_s=NOW_S - 40 * DAY_S), uses={use.fingerprint: use}, fingerprint=use.fingerprint)

    assert found == []


def test_one_service_is_no_sharing_and_two_are():
    use = Use(fingerprint="0123456789ab", services=frozenset({"a"}))
    both = Use(fingerprint="0123456789ab", services=frozenset({"a", "b"}))

    assert names(key(), uses={use.fingerprint: use}, fingerprint=use.fingerprint) == []
    assert names(key(), uses={both.fingerprint: both}, fingerprint=both.fingerprint) == ["shared"]


def test_the_worst_key_comes_first_then_the_dearer_one():
    cheap = key(name="cheap", expires_at_s=None)
    dear = key(name="dear", expires_at_s=None, credits=Spend(monthly_usd=Decimal(5)))
    bad = key(name="bad", limit_remaining_usd=Decimal(0))

    assert [row.key.name for row in reviewed(key(), cheap, dear, bad).keys] == ["bad", "dear", "cheap", "search"]


def test_unmatched_sides_are_listed():
    shown = reviewed(key(), uses={"0123456789ab": Use(fingerprint="0123456789ab", calls=3)})

    assert [use.calls for use in shown.unknown] == [3]
    assert [each.name for each in shown.unseen] == ["search"]
