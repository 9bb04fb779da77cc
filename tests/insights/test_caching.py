"""What caches saved, by hand-computed figures."""

from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.facts import Usage
from or_otel.insights.caching import NO_MONEY, NO_RATES, InputRates, KnownRates, cache_money, solved

SOURCE = ("openrouter", "Anthropic", "anthropic/claude-haiku-4.5", None)
HAIKU = InputRates(fresh=Decimal("0.000001"), read=Decimal("0.0000001"), write=Decimal("0.00000125"))


def usage(fresh=0, read=0, write=0):
    return Usage(input_tokens=fresh + read + write, cache_read_tokens=read, cache_write_tokens=write, output_tokens=5)


def cost(fresh=0, read=0, write=0):
    return fresh * HAIKU.fresh + read * HAIKU.read + write * HAIKU.write


def test_reads_save_and_writes_cost_beside_fresh_input():
    # Reads: 12,312 times 0.0000009. Writes: 402 times 0.00000025.
    assert cache_money(usage(6, 12_312, 402), HAIKU) == (Decimal("0.0110808"), Decimal("0.0001005"))


@pytest.mark.parametrize("known", [NO_RATES, InputRates(fresh=Decimal(1)), InputRates(read=Decimal(1))])
def test_without_a_price_there_is_no_figure(known):
    assert cache_money(usage(6, 12_312, 402), known) == NO_MONEY


def test_a_cache_that_was_not_used_is_no_zero():
    assert cache_money(usage(100), HAIKU) == NO_MONEY


def test_a_double_report_is_counted_once():
    both = Usage(input_tokens=2168, cache_read_tokens=2161, cache_write_tokens=2161)

    assert cache_money(both, HAIKU) == (2161 * Decimal("0.0000009"), 7 * Decimal("0.00000025"))


def test_an_answer_that_leaves_one_price_open_tells_it():
    assert solved(NO_RATES, {"fresh": 100, "read": 0, "write": 0}, Decimal("0.0001")).fresh == HAIKU.fresh
    known = InputRates(fresh=HAIKU.fresh)
    assert solved(known, {"fresh": 6, "read": 0, "write": 402}, cost(6, 0, 402)).write == HAIKU.write


def test_an_answer_that_leaves_two_prices_open_tells_none():
    assert solved(NO_RATES, {"fresh": 6, "read": 5, "write": 0}, Decimal(1)) == NO_RATES


def test_prices_are_learned_from_answers_one_after_the_other():
    rates = KnownRates()

    assert rates.money(SOURCE, usage(100), cost(100)) == NO_MONEY
    assert rates.money(SOURCE, usage(6, 0, 400), cost(6, 0, 400)) == (None, Decimal("0.0001"))
    assert rates.money(SOURCE, usage(6, 1000), cost(6, 1000)) == (Decimal("0.0009"), None)
    assert rates.money(SOURCE, usage(6, 1000, 400), cost(6, 1000, 400)) == (Decimal("0.0009"), Decimal("0.0001"))


def test_nothing_is_guessed_before_the_price_of_fresh_input_is_known():
    assert KnownRates().money(SOURCE, usage(6, 1000), cost(6, 1000)) == NO_MONEY


def test_a_list_tells_what_answers_did_not():
    assert KnownRates().money(SOURCE, usage(6, 1000), None, lambda: HAIKU) == (Decimal("0.0009"), None)


def test_a_list_that_contradicts_the_answer_is_not_believed():
    assert KnownRates().money(SOURCE, usage(6, 1000), cost(6, 1000) * 2, lambda: HAIKU) == NO_MONEY


def test_a_list_is_asked_once_until_it_knows():
    asked = []

    def listed():
        asked.append(None)
        return HAIKU if len(asked) > 1 else None

    rates = KnownRates()
    found = [rates.money(SOURCE, usage(6, 1000), None, listed) for _ in range(4)]

    assert [money[0] is not None for money in found] == [False, True, True, True]
    assert len(asked) == 2


def test_a_price_that_changed_is_learned_anew():
    rates = KnownRates()
    rates.money(SOURCE, usage(100), cost(100))
    rates.money(SOURCE, usage(100), cost(100) * 3)

    assert rates.money(SOURCE, usage(6, 1000), cost(6, 1000) * 3) == (Decimal("0.0027"), None)


def test_longer_prompts_have_prices_of_their_own():
    rates = KnownRates()
    rates.money(SOURCE, usage(100), cost(100))

    assert rates.money(SOURCE, usage(6, 300_000), cost(6, 300_000)) == NO_MONEY


def test_pictures_and_sounds_teach_nothing():
    rates = KnownRates()
    rates.money(SOURCE, Usage(input_tokens=100, image_input_tokens=90), Decimal(1))

    assert rates.money(SOURCE, usage(6, 1000), cost(6, 1000)) == NO_MONEY


def test_a_free_model_saves_zero():
    rates = KnownRates()
    rates.money(SOURCE, usage(100), Decimal(0))

    assert rates.money(SOURCE, usage(6, 1000), Decimal(0)) == (Decimal(0), None)
