from __future__ import annotations

from datetime import date
from decimal import Decimal

from or_otel.accounts import ActivityRow
from or_otel.reports.split import split_by_rows, split_note, split_table

DAY, NEXT = date(2026, 11, 20), date(2026, 11, 21)


def test_a_row_without_its_money_makes_its_group_and_the_sum_floors():
    money = {"byok_usd": Decimal(0)}
    rows = [
        ActivityRow(day=DAY, model="told", credits_usd=Decimal(2), **money),
        ActivityRow(day=DAY, model="silent", credits_usd=None, **money),
    ]

    split = split_by_rows(rows, ["model"], keys=(), labels={}, between=(DAY, NEXT), at_s=0.0)

    assert [row[0] for row in split_table(split).rows] == ["told", "silent"]
    assert split_table(split).floors == {1}
    assert split_note(split) == "≥ $2.00 on the closed UTC days 2026-11-20 to 2026-11-20."
