from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from or_otel import catalogue, semconv
from or_otel.emitters.sums import (
    DEFAULT_LIMIT,
    FOLD_ALL_AT,
    FOLD_MODELS_AT,
    FOLD_TAGS_AT,
    Board,
    Limits,
    Sums,
    board_of,
)

TAG = semconv.OPENROUTER_TAG_PREFIX + "team"
NAMES = (semconv.GEN_AI_REQUEST_MODEL, TAG, "x")


def filled(sets):
    """Give sums with so many sets, none of which the limits of single attributes stopped."""
    sums = Sums(Limits(), NAMES)
    sums.cells = {("filler", "filler", str(number)): 1 for number in range(sets)}
    return sums


@pytest.mark.parametrize(
    ("sets", "key"),
    [
        (FOLD_TAGS_AT - 1, ("m", "t", "v")),
        (FOLD_TAGS_AT, ("m", "_OTHER", "v")),
        (FOLD_MODELS_AT, ("_OTHER", "_OTHER", "v")),
        (FOLD_ALL_AT, ("_OTHER", "_OTHER", "_OTHER")),
    ],
)
def test_the_more_sets_there_are_the_less_a_new_one_keeps(sets, key):
    assert filled(sets).admit(("m", "t", "v")) == key


def test_what_folds_into_a_set_that_is_there_keeps_it_however_full_it_is():
    sums = filled(FOLD_ALL_AT)
    sums.cells["m", "_OTHER", "v"] = 1

    assert sums.admit(("m", "another", "v")) == ("m", "_OTHER", "v")
    assert sums.admit(("filler", "filler", "1")) == ("filler", "filler", "1")


def test_what_was_not_said_is_not_folded_into_other():
    assert filled(FOLD_TAGS_AT).admit(("m", None, "v")) == ("m", None, "v")


def test_an_attribute_keeps_its_first_values_and_the_rest_is_other():
    limits = Limits()

    told = [limits.admit("x", str(number)) for number in range(DEFAULT_LIMIT + 1)]

    assert told[-2:] == [str(DEFAULT_LIMIT - 1), "_OTHER"]
    assert limits.admit("x", "0") == "0"
    assert limits.folded == {"value_limit": 1}


def test_a_forked_child_has_the_whole_room_again():
    board = Board(None, "1")
    sums = board.sums(catalogue.CALLS, ())
    _, sets = board.histogram(catalogue.CALL_COST)
    key = ("v",) * len(sets._names)
    sums.cells["x",] = 1
    sets.cells[key] = 0
    sets.known[key] = {}
    for number in range(DEFAULT_LIMIT + 1):
        board._limits.admit("x", str(number))

    board.clear()

    assert (sums.cells, sets.cells, sets.known) == ({}, {}, {})
    assert board._limits.folded == {}
    assert board._limits.admit("x", "new") == "new"


def test_a_provider_that_is_set_later_has_one_board_from_the_start():
    assert board_of(None, "1") is board_of(None, "1")


def test_money_is_summed_exactly_in_any_context_of_the_host():
    sums = Sums(Limits(), ("x",))

    with localcontext() as context:
        context.prec = 2
        for amount in ("123.456", "0.000789"):
            sums.count_money(("v",), Decimal(amount))

    assert sums.cells == {("v",): Decimal("123.456789")}
