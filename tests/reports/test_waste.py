"""Sections about money that need not have been spent."""

from __future__ import annotations

from decimal import Decimal

from or_otel.accounts import Model, Prices
from or_otel.reports.caching import Caching
from or_otel.reports.dearness import Fallbacks, OutputShare, PriceTiers
from or_otel.reports.leaks import Waste
from or_otel.reports.waste import PARTS, Retries, loops, oversized

GPT = Model(
    id="openai/gpt-5-mini",
    prices=Prices(input=Decimal("0.000001"), output=Decimal("0.00001"), cache_read=Decimal("0.0000001")),
)
DEAR = Model(id="openai/gpt-5", prices=Prices(input=Decimal("0.00001"), output=Decimal("0.0001")))


def test_a_loop_is_waste(frame, call, sections_of, rows_of):
    section = sections_of(Waste(frame()), [call("2", is_retry_loop=True), call("1")])["waste"]

    ((kind, cost),) = [(row["kind"], row["cost_usd"]) for row in rows_of(section)]
    assert (kind, cost) == ("retry_loop", Decimal(2))


def test_retries_are_told_by_what_failed_with_the_time_they_took(frame, call, sections_of, rows_of):
    failed = [call(None, call_id="c", number=n, is_last=False, error_type="429")[0] for n in (1, 2)]
    (last,) = call("1", call_id="c", number=3)
    (odd,) = call("0.5", call_id="d", is_last=False, attempt_outcome="error", unpriced="error")
    (end,) = call("1", call_id="d", number=2)

    section = sections_of(Retries(frame()), [(*failed, last), (odd, end), call("1")])["retries"]

    assert [(row["reason"], row["attempts"], row["seconds"], row["cost_usd"]) for row in rows_of(section)] == [
        ("429", 2, 4.0, Decimal(0)),
        ("error", 1, 2.0, Decimal("0.5")),
    ]
    assert section.table.floors == {1}
    assert section.lead == "2 calls took 3 attempts that came to nothing: 6 s of waiting, ≥ $0.50."


def test_loops_and_large_inputs_are_told_by_what_they_were_for(frame, call, sections_of, rows_of):
    calls = [
        call("3", is_retry_loop=True, input_tokens=100, tags={"feature": "chat"}),
        call("1", is_oversized=True, input_tokens=90_000, workflow="research"),
        call("9"),
    ]

    (loop,) = rows_of(sections_of(loops(frame()), calls)["retry_loops"])
    (large,) = rows_of(sections_of(oversized(frame()), calls)["oversized"])

    assert (loop["use"], loop["calls"], loop["cost_usd"]) == ("chat", 1, Decimal(3))
    assert (large["use"], large["input_tokens_each"]) == ("research", 90_000)


def test_loops_without_a_price_are_no_free_ones_and_the_dearest_come_first(frame, call, sections_of, rows_of):
    loop = {"is_retry_loop": True, "input_tokens": 30}
    calls = [
        call("1", **loop, tags={"feature": "a"}),
        call(None, **loop, tags={"feature": "b"}, unpriced="cancelled"),
        call("3", **loop, tags={"feature": "b"}),
    ]

    section = sections_of(loops(frame()), calls)["retry_loops"]

    assert [(row["use"], row["calls"], row["input_tokens_each"], row["cost_usd"]) for row in rows_of(section)] == [
        ("b", 2, 30, Decimal(3)),
        ("a", 1, 30, Decimal(1)),
    ]
    assert section.table.floors == {0}
    assert section.lead.endswith(": ≥ $4.00.")


def test_what_caches_saved_is_what_was_figured_then_else_by_the_list(frame, call, sections_of, rows_of):
    calls = [
        call("1", input_tokens=1000, cache_read_tokens=500, cache_saved=Decimal("0.5"), cache_premium=Decimal("0.125")),
        call("1", input_tokens=1000, cache_read_tokens=1000),
        call("1", input_tokens=2000, cache_read_tokens=0, missed_tokens=1500),
    ]

    section = sections_of(Caching(frame(models=(GPT,))), calls)["caching"]

    (row,) = rows_of(section)
    # 0.5 as told, and 1,000 * (0.000001 - 0.0000001); 1,500 tokens at the same difference
    assert (row["saved_usd"], row["premium_usd"], row["could_save_usd"]) == (
        Decimal("0.5009"),
        Decimal("0.125"),
        Decimal("0.00135"),
    )
    assert (row["missed_tokens"], row["cached_share"]) == (1500, Decimal("0.375"))
    assert section.table.floors == frozenset()
    assert section.lead.startswith(
        "Caches saved $0.501, and writing to them cost $0.125 more: $0.376 in all. 1,500 tokens"
    )


def test_what_was_never_cached_saved_nothing_and_is_not_unknown(frame, call, sections_of, rows_of):
    section = sections_of(Caching(frame()), [call("1", input_tokens=10, missed_tokens=5)])["caching"]

    ((saved, missed),) = [(row["saved_usd"], row["missed_tokens"]) for row in rows_of(section)]
    assert (saved, missed) == (Decimal(0), 5)
    assert section.lead.startswith("Nothing was cached. 5 tokens could have been read")


def test_a_cached_call_without_a_price_is_told_as_missing(frame, call, sections_of, rows_of):
    section = sections_of(Caching(frame()), [call("1", input_tokens=10, cache_read_tokens=5)])["caching"]

    (row,) = rows_of(section)
    assert row["saved_usd"] is None
    assert section.table.floors == {0}
    assert section.lead == "What caches saved is not known."
    assert "No price is known for 1 cached call" in section.notes[-1]


def test_a_list_without_a_price_of_reads_does_not_say_they_saved_nothing(frame, call, sections_of, rows_of):
    calls = [call("1", request_model="openai/gpt-5", input_tokens=10, cache_read_tokens=5)]

    (row,) = rows_of(sections_of(Caching(frame(models=(DEAR,))), calls)["caching"])

    assert row["saved_usd"] is None


def test_uses_that_pay_for_output_are_told(frame, call, sections_of, rows_of):
    calls = [
        call("1", tags={"feature": "write"}, input=Decimal("0.1"), output=Decimal("0.9"), output_tokens=500),
        call("1", tags={"feature": "read"}, input=Decimal("0.9"), output=Decimal("0.1"), output_tokens=5),
        call("1", tags={"feature": "think"}, input_tokens=1000, output_tokens=1000, reasoning_tokens=900),
    ]

    rows = rows_of(sections_of(OutputShare(frame(models=(GPT,))), calls)["output"])

    assert [(row["use"], row["output_usd"], row["output_share"]) for row in rows] == [
        ("write", Decimal("0.9"), Decimal("0.9")),
        ("think", Decimal("0.01"), Decimal("0.01") / Decimal("0.011")),
    ]


def test_the_price_of_a_fallback_is_the_difference_to_what_the_asked_one_lists(frame, call, sections_of, rows_of):
    calls = [
        call("0.02", fallback="model", response_model="openai/gpt-5", input_tokens=1000, output_tokens=100),
        call("0.02", fallback="provider", response_model="openai/gpt-5-mini", input_tokens=1000, output_tokens=100),
    ]

    section = sections_of(Fallbacks(frame(models=(GPT, DEAR))), calls)["fallbacks"]

    # 1,000 * 0.000001 + 100 * 0.00001
    ((asked, served, listed, difference),) = [
        (row["asked"], row["served"], row["listed_usd"], row["difference_usd"]) for row in rows_of(section)
    ]
    assert (asked, served) == ("openai/gpt-5-mini", "openai/gpt-5")
    assert (listed, difference) == (Decimal("0.002"), Decimal("0.018"))
    assert "more" in section.lead


def test_money_is_told_by_how_dear_the_models_are(frame, call, sections_of, rows_of):
    calls = [
        call("3", request_model="a/dear", input_tokens=100_000, output_tokens=0),
        call("1", request_model="b/cheap", input_tokens=10_000_000, output_tokens=0),
        call("1", request_model="c/cheap", input_tokens=9_000_000, output_tokens=1_000_000),
    ]

    rows = rows_of(sections_of(PriceTiers(frame()), calls)["price_tiers"])

    assert [(row["tier"], row["cost_usd"], row["cost_share"], row["million_usd"]) for row in rows] == [
        ("low", Decimal(2), Decimal("0.4"), Decimal("0.1")),
        ("top", Decimal(3), Decimal("0.6"), Decimal(30)),
    ]


def test_good_calls_give_no_section(frame, call, sections_of):
    calls = [call("1", input_tokens=10, output_tokens=1), call("1", days_ago=9, is_retry_loop=True)]

    assert [sections_of(make(frame(models=(GPT,))), calls) for make in PARTS] == [{}] * len(PARTS)
