"""What is far larger than usual."""

from __future__ import annotations

from or_otel.insights.sizes import KEPT_CALLS, LEAST_CALLS, MAX_KINDS, Sizes


def fill(sizes, *tokens, kind=("chat", None, "search")):
    return [sizes.is_oversized(kind, each) for each in tokens]


def test_an_input_far_above_the_median_is_oversized():
    sizes = Sizes()
    fill(sizes, *[1000] * LEAST_CALLS)

    assert fill(sizes, 5000, 5001) == [False, True]


def test_nothing_is_usual_before_enough_calls():
    sizes = Sizes()

    assert not any(fill(sizes, *[10] * (LEAST_CALLS - 1), 90_000))


def test_a_small_input_is_never_oversized():
    sizes = Sizes()
    fill(sizes, *[10] * LEAST_CALLS)

    assert fill(sizes, 4095, 4096) == [False, True]


def test_kinds_do_not_mix():
    sizes = Sizes()
    fill(sizes, *[100_000] * LEAST_CALLS, kind=("chat", "research", None))
    fill(sizes, *[1000] * LEAST_CALLS)

    assert fill(sizes, 90_000) == [True]


def test_what_is_usual_follows_the_last_calls():
    sizes = Sizes()
    fill(sizes, *[1000] * KEPT_CALLS)
    fill(sizes, *[20_000] * KEPT_CALLS)

    assert fill(sizes, 20_001) == [False]
    ((recent, ordered),) = sizes._kinds.values()
    assert len(recent) == len(ordered) == KEPT_CALLS


def test_one_wild_call_does_not_move_what_is_usual():
    sizes = Sizes()
    fill(sizes, *[1000] * LEAST_CALLS, 10**9)

    assert fill(sizes, 6000) == [True]


def test_only_so_many_kinds_are_remembered():
    sizes = Sizes()
    for number in range(MAX_KINDS + 10):
        fill(sizes, 1, kind=(str(number),))

    assert len(sizes._kinds) == MAX_KINDS
    assert ("0",) not in sizes._kinds
