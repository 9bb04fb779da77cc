from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import AccountKey, Spend
from or_otel.budgets import Budget, Spending
from or_otel.reports.standings import account_spendings, said, since_s, standings, table, to_json

NOON_S = 1_795_176_000.0  # 2026-11-20 12:00 UTC
DAY_S = 86_400.0
ALL = Budget(name="all", limit_usd=Decimal(10))
SEARCH = Budget(name="search", scope="feature", value="search", limit_usd=Decimal(10))


def spent(amount, **fields):
    return Spending(**{"at_s": NOON_S, "spend": Spend(monthly_usd=Decimal(amount))} | fields)


def stands(budget=ALL, **fields):
    given = {"account": None, "ledger": (), "own_key": (), "now_s": NOON_S} | fields
    return standings([budget], **given)[0]


def test_the_account_is_believed_where_it_answers():
    found = stands(account=[spent(3)], ledger=[spent(9)], own_key=[spent(8)])

    assert (found.state.spent_usd, found.witness, found.is_floor) == (3, "account", False)


@pytest.mark.parametrize(("by_ledger", "by_key", "witness"), [(9, 8, "ledger"), (7, 8, "key")])
def test_of_two_witnesses_who_saw_more_is_believed_as_a_floor(by_ledger, by_key, witness):
    found = stands(ledger=[spent(by_ledger)], own_key=[spent(by_key)])

    assert (found.state.spent_usd, found.witness, found.is_floor) == (max(by_ledger, by_key), witness, True)
    assert said(found).startswith("budget all: watch, ≥ $")


def test_a_feature_is_the_ledger_s_alone():
    tagged = spent(4, source="client", labels={"feature": "search"})

    assert stands(SEARCH, account=[spent(9)], ledger=[tagged]).state.spent_usd == 4


@pytest.mark.parametrize(
    ("budget", "fields", "words"),
    [
        (SEARCH, {}, "no call of feature search is in the ledger"),
        (Budget(name="b", scope="company", value="X"), {"account": [spent(1)]}, "no key of the account belongs to"),
        (ALL, {"account": [spent(1, at_s=NOON_S - 40 * DAY_S)]}, "was not read in this period yet"),
    ],
)
def test_what_is_unknown_says_why(budget, fields, words):
    assert words in said(stands(budget, **fields))


def test_keys_that_are_gone_bring_their_last_reading():
    key = AccountKey(name="old", hash="ab" * 32, credits=Spend(monthly_usd=Decimal(2)), byok=Spend())

    spendings = account_spendings([], at_s=NOON_S, labels_of=lambda _: {"team": "a"}, gone=[(key, NOON_S - DAY_S)])

    found = stands(Budget(name="t", scope="team", value="a", limit_usd=Decimal(5)), account=spendings)
    assert (found.state.spent_usd, found.state.as_of_s) == (2, NOON_S - DAY_S)


def test_the_ledger_is_read_as_far_back_as_budgets_look():
    day, ever = Budget(name="d", period="day"), Budget(name="e", period="lifetime")

    assert since_s([day], NOON_S) == NOON_S - 8 * DAY_S
    assert since_s([day, ALL], NOON_S) == 1_793_491_200.0
    assert since_s([day, ever], NOON_S) is None


def test_programs_get_exact_money_and_people_a_floor_sign():
    found = stands(ledger=[spent("0.000000000001")])

    (row,) = to_json([found], NOON_S)["budgets"]
    assert (row["spent_usd"], row["is_floor"]) == ("0.000000000001", True)
    assert table([found]).floors == {0}
