from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from or_otel.accounts import AccountKey, ActivityRow, Spend
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


@pytest.mark.parametrize(
    ("credits_usd", "byok_usd", "today_usd"),
    [("1.5", "0.25", Decimal("1.75")), ("1.5", None, None), (None, "0.25", None)],
)
def test_the_running_day_is_told_where_every_key_tells_both_of_its_ledgers(credits_usd, byok_usd, today_usd):
    def key(hash_, credits_usd, byok_usd):
        daily = [Spend(daily_usd=None if usd is None else Decimal(usd)) for usd in (credits_usd, byok_usd)]
        return AccountKey(hash=hash_, credits=daily[0], byok=daily[1])

    keys = [key("a", credits_usd, byok_usd), key("b", "0", "0")]

    split = split_by_rows((), ["key"], keys=keys, labels={}, between=(DAY, NEXT), at_s=0.0)

    assert (None if split.today is None else sum(split.today.values())) == today_usd
