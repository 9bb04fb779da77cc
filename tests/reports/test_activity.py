from __future__ import annotations

from datetime import date
from decimal import Decimal, localcontext

from or_otel.accounts import ActivityRow
from or_otel.facts import total
from or_otel.reports.activity import add_rows, grouped, left_over

DAY = date(2026, 11, 19)


def row(credits_usd=None, byok_usd=None, **fields):
    money = {"credits_usd": credits_usd, "byok_usd": byok_usd}
    known = {name: Decimal(value) for name, value in money.items() if value is not None}
    return ActivityRow(day=DAY, permaslug=fields.pop("permaslug", "m"), endpoint_id="e", **known, **fields)


def test_sums_are_exact_under_any_decimal_context():
    with localcontext(prec=3):
        sums = add_rows([row("1000.000000001", "0.1"), row("0.000000001")])

    assert (sums.credits_usd, sums.byok_usd) == (Decimal("1000.000000002"), Decimal("0.1"))
    assert sums.total_usd == Decimal("1000.100000002")


def test_what_no_row_says_stays_unknown_and_zero_stays_zero():
    assert add_rows([row("0", requests=0)]).requests == 0
    assert (add_rows([row("0")]).requests, add_rows([row("0")]).byok_usd) == (None, None)


def test_a_row_without_money_makes_a_floor():
    assert add_rows([row("1"), row()]).is_floor is True
    assert add_rows([row("1"), row("0")]).is_floor is False


def test_money_taken_back_brings_a_sum_to_zero():
    assert total([Decimal(5), None, Decimal(-5)]) == 0


def test_groups_hold_every_row_once():
    found = grouped([row("1", model="a"), row("2", model="b"), row("4", model="a")], (lambda each: each.model,))

    assert {group: sums.credits_usd for group, sums in found.items()} == {("a",): 5, ("b",): 2}


def test_what_keys_leave_of_the_account_is_that_of_nobody():
    whole = [row("5", requests=5), row("2", permaslug="n", requests=1)]
    parts = [row("3", requests=3, key_hash="a"), row("2", permaslug="n", requests=1, key_hash="b")]

    (rest,) = left_over(whole, parts)

    assert (rest.permaslug, rest.credits_usd, rest.requests, rest.key_hash) == ("m", 2, 2, None)


def test_nothing_is_left_where_keys_explain_everything():
    assert left_over([row("5", "1", requests=5)], [row("2", "1", requests=2), row("3", requests=3)]) == ()
