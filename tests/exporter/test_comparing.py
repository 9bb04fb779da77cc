from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from or_otel.account.readings import NamedKey, ReconciledDay
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.exporter.comparing import closed_days, reconciled_days
from or_otel.notices.rules import ClosedDay

DAY = date(2026, 11, 19)
NOON_S = (DAY - date(1970, 1, 1)).days * 86_400 + 43_200.0
KEY = NamedKey(key=AccountKey(hash="a" * 64, name="known"))


def rows(*pairs):
    return [
        ActivityRow(day=DAY, model="m", permaslug="m", requests=1, credits_usd=Decimal(usd), key_hash=key_hash)
        for key_hash, usd in pairs
    ]


def test_a_matched_key_stands_alone_and_the_rest_together(entry):
    attempts = [
        entry("1", key_id="mark", started_at_s=NOON_S, response_model="m"),
        entry("2", key_id="stranger", started_at_s=NOON_S, response_model="m"),
    ]
    booked = rows((None, "6"), (KEY.key.hash, "1"))

    known, rest = reconciled_days(attempts, booked, [DAY], {KEY.key.hash: KEY}, {"mark": KEY.key.hash})

    assert known == ReconciledDay(day=DAY, key=KEY, client_usd=Decimal(1), provider_usd=Decimal(1))
    assert rest == ReconciledDay(day=DAY, client_usd=Decimal(2), provider_usd=Decimal(5))
    assert closed_days([known, rest]) == (ClosedDay(day=DAY, client_usd=Decimal(3), provider_usd=Decimal(6)),)


def test_a_key_whose_days_were_not_asked_yet_is_part_of_the_rest(entry):
    attempts = [entry("1", key_id="mark", started_at_s=NOON_S, response_model="m")]

    (rest,) = reconciled_days(attempts, rows((None, "1")), [DAY], {KEY.key.hash: KEY}, {"mark": KEY.key.hash})

    assert rest == ReconciledDay(day=DAY, client_usd=Decimal(1), provider_usd=Decimal(1))


def test_where_every_key_is_matched_there_is_no_rest(entry):
    attempts = [entry("1", key_id="mark", started_at_s=NOON_S, response_model="m")]
    booked = rows((None, "1"), (KEY.key.hash, "1"))

    (known,) = reconciled_days(attempts, booked, [DAY], {KEY.key.hash: KEY}, {"mark": KEY.key.hash})

    assert known.key == KEY


@pytest.mark.parametrize(("client", "provider"), [("2", "0"), ("0", "2")])
def test_a_rest_that_only_one_side_knows_is_told(entry, client, provider):
    attempts = [
        entry("1", key_id="mark", started_at_s=NOON_S, response_model="m"),
        entry(client, key_id="stranger", started_at_s=NOON_S, response_model="m"),
    ]
    booked = rows((None, str(1 + int(provider))), (KEY.key.hash, "1"))

    _, rest = reconciled_days(attempts, booked, [DAY], {KEY.key.hash: KEY}, {"mark": KEY.key.hash})

    assert rest == ReconciledDay(day=DAY, client_usd=Decimal(client), provider_usd=Decimal(provider))


def test_a_key_that_the_account_does_not_list_any_more_is_part_of_the_rest(entry):
    attempts = [entry("1", key_id="mark", started_at_s=NOON_S, response_model="m")]
    booked = rows((None, "1"), (KEY.key.hash, "1"))

    (rest,) = reconciled_days(attempts, booked, [DAY], {}, {"mark": KEY.key.hash})

    assert rest == ReconciledDay(day=DAY, client_usd=Decimal(1), provider_usd=Decimal(1))


def test_a_day_on_which_nothing_happened_is_told_where_no_key_tells_it():
    (day,) = reconciled_days([], [], [DAY], {}, {})

    assert day == ReconciledDay(day=DAY, client_usd=Decimal(0), provider_usd=Decimal(0))
