from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import Model, Prices
from or_otel.reports.market import Market


def model(name, price="0.000001", **fields):
    return Model(id=name, prices=Prices(input=Decimal(price), output=Decimal("0.000004")), **fields)


def test_price_changes_and_ends_are_told_of_models_in_use_only(frame, call, noon_s, sections_of, rows_of):
    list_now = (
        model("m/a", "0.0000012"),
        model("m/b", expires_at_s=noon_s + 86_400),
        model("m/unused", "0.5", expires_at_s=noon_s),
    )
    before = (model("m/a"), model("m/b"), model("m/unused"))
    calls = [call("2", response_model="m/a"), call("3", response_model="m/b")]

    section = sections_of(Market(frame(models=list_now, models_before=before)), calls)["market"]

    assert rows_of(section) == [
        {"model": "m/b", "what": "expires", "words": "goes on 2026-11-22", "spent_usd": Decimal(3)},
        {
            "model": "m/a",
            "what": "repriced",
            "words": "input $1.00 → $1.20 a million (+20%)",
            "spent_usd": Decimal(2),
        },
    ]
    assert section.is_alarm
    assert section.notes == ()


def test_new_models_are_named_and_unknown_prices_of_the_past_are_admitted(frame, call, noon_s, sections_of):
    new = model("m/new", created_at_s=noon_s - 86_400)
    old = model("m/old", created_at_s=noon_s - 86_400 * 30)

    section = sections_of(Market(frame(models=(new, old))), [call("1", response_model="m/old")])["market"]

    assert section.notes == (
        "New in this period: m/new.",
        "Price changes are not known: no list of models was kept from the period's begin.",
    )
    assert section.lead is None


@pytest.mark.parametrize(
    "names",
    [{"response_model": "m/a-2026-01-01"}, {"request_model": "m/a", "response_model": "other"}],
)
def test_a_dated_name_is_the_same_model_and_so_is_the_one_asked_for(frame, call, noon_s, sections_of, names):
    now = (model("m/a", permaslug="m/a-2026-01-01", expires_at_s=noon_s),)

    assert sections_of(Market(frame(models=now)), [call("1", **names)])


def test_without_lists_there_is_nothing_to_say(frame, call, sections_of):
    assert sections_of(Market(frame()), [call("1")]) == {}
