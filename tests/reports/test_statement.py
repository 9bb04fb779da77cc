from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from or_otel.accounts import AccountKey, ActivityRow
from or_otel.reports.statement import BilledKey, Statement, lines, notes, of_days, sections, to_json

HASH = "ab" * 32


def row(day, credits_usd="1", byok_usd="0", provider="Anthropic"):
    money = [None if amount is None else Decimal(amount) for amount in (credits_usd, byok_usd)]
    return ActivityRow(
        day=date(2026, 10, day),
        model="m",
        provider=provider,
        credits_usd=money[0],
        byok_usd=money[1],
        requests=1,
        key_hash=HASH,
    )


def stated(*rows, missing=(), **fields):
    billed = BilledKey(key=AccountKey(hash=HASH, name="acme"), rows=rows, missing=tuple(missing))
    known = {"since": date(2026, 10, 1), "until": date(2026, 11, 1), "left_over_usd": Decimal(0), "keys": (billed,)}
    return Statement(company="Acme", **known | fields)


def told(shown):
    return " ".join(notes(shown))


def test_a_whole_month_needs_no_note():
    assert list(notes(stated(row(1)))) == []


def test_missing_days_are_told_as_spans():
    shown = stated(missing=[date(2026, 10, day) for day in (1, 2, 3, 7, 9, 10)])

    assert "2026-10-01 to 2026-10-03, 2026-10-07, 2026-10-09 to 2026-10-10" in told(shown)
    assert shown.is_complete is False


def test_a_row_without_its_money_makes_the_sum_a_floor():
    shown = stated(row(1), row(2, credits_usd=None))

    assert "the sums are what is known at least" in told(shown)
    assert sections(shown)[0].is_alarm is True


@pytest.mark.parametrize(("provider", "paid"), [("Anthropic", "0.85"), ("Google", "1"), ("Amazon Bedrock", "0.5")])
def test_each_provider_has_its_own_contract(provider, paid):
    discounts = {"anthropic": Decimal("0.15"), "amazon-bedrock": Decimal("0.5")}

    shown = to_json(stated(row(1, "0.1", "1", provider), discounts=discounts))["total"]

    assert Decimal(shown["byok_effective_usd"]) == Decimal(paid)
    assert Decimal(shown["total_usd"]) == Decimal(paid) + Decimal("0.1")


def test_lines_are_in_order_of_days():
    table = lines(stated(row(3), row(1), row(2)))

    assert [each[1] for each in table.rows] == ["2026-10-01", "2026-10-02", "2026-10-03"]


def test_an_unknown_rest_and_a_known_one_are_told_apart():
    assert "is not known" in told(stated(left_over_usd=None))
    assert "$5.00 for keys that or-otel never saw" in told(stated(left_over_usd=Decimal(5)))


def test_days_before_a_key_was_made_cannot_be_missing():
    days = [date(2026, 10, day) for day in (1, 2, 3)]
    made_s = datetime(2026, 10, 2, 15, tzinfo=UTC).timestamp()

    assert of_days(AccountKey(created_at_s=made_s), days) == (date(2026, 10, 2), date(2026, 10, 3))
    assert of_days(AccountKey(), days) == tuple(days)


def test_the_sum_shows_every_digit():
    table = sections(stated(row(1, "0.000000000001", "2")))[0].table

    assert table.rows == (
        ("OpenRouter credits", "0.000000000001"),
        ("own provider keys, list price", "2.00"),
        ("sum", "2.000000000001"),
    )
