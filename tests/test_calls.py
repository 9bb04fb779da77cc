from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from or_otel.calls import Attempt, CallRecord, CallStarted, sum_costs
from or_otel.facts import Cost, Endpoint, Request, Usage

ENDPOINT = Endpoint(api="chat", operation="chat", provider="openrouter", host="h", port=443, is_openrouter=True)
STARTED = CallStarted(id="c" * 32, endpoint=ENDPOINT, request=Request(), started_at_s=100.0)


def _record(**facts):
    return CallRecord(**({"started": STARTED, "ended_at_s": 104.0, "outcome": "ok"} | facts))


def _attempt(number, **facts):
    return Attempt(id=f"{number:032x}", number=number, started_at_s=100.0, ended_at_s=104.0, **facts)


def test_no_costs_have_no_sum_and_one_is_its_own():
    cost = Cost(charged=Decimal(1))

    assert sum_costs([]) is None
    assert sum_costs([cost]) is cost


def test_costs_are_summed_exactly_whatever_decimal_context_the_host_has_set():
    costs = [Cost(charged=Decimal("123.456"), is_byok=False), Cost(charged=Decimal("0.000789"), is_byok=False)]

    with localcontext() as context:
        context.prec = 2
        total = sum_costs(costs)

    assert total.charged == Decimal("123.456789")


def test_under_mixed_keys_only_the_byok_bills_are_summed_as_upstream():
    prepaid = Cost(charged=Decimal(3), upstream=Decimal(3), is_byok=False)
    byok = Cost(charged=Decimal("0.1"), upstream=Decimal(2), is_byok=True)

    total = sum_costs([prepaid, byok])

    assert total.is_byok is True
    assert (total.charged, total.upstream) == (Decimal("3.1"), Decimal(2))
    assert total.total == prepaid.total + byok.total


def test_under_credits_alone_the_upstream_figures_stay_no_second_bill():
    cost = Cost(charged=Decimal(3), upstream=Decimal(3), is_byok=False)

    total = sum_costs([cost, cost])

    assert (total.charged, total.upstream, total.total) == (Decimal(6), Decimal(6), Decimal(6))


def test_one_unknown_payer_makes_the_payer_of_the_sum_unknown():
    known = Cost(charged=Decimal(1), is_byok=False)
    unknown = Cost(charged=Decimal(1), upstream=Decimal(2))

    total = sum_costs([known, unknown])

    assert total.is_byok is None
    assert total.is_billing_unknown
    assert total.charged == Decimal(2)


def test_parts_are_summed_where_told_and_stay_unknown_where_nobody_told():
    total = sum_costs(
        [
            Cost(charged=Decimal(3), input=Decimal(1), output=Decimal(2), is_byok=False),
            Cost(charged=Decimal(1), input=Decimal(1), is_byok=False),
        ]
    )

    assert (total.input, total.output, total.tools) == (Decimal(2), Decimal(2), None)


def test_the_sum_comes_from_the_last_source_and_is_direct_only_if_all_are():
    total = sum_costs(
        [
            Cost(charged=Decimal(1), source="catalog", is_direct=True),
            Cost(charged=Decimal(1), source="response", is_direct=False),
        ]
    )

    assert (total.source, total.is_direct) == ("response", False)


def test_the_sum_comes_from_the_last_source_also_of_three():
    sources = ("catalog", "response", "generation")

    assert sum_costs([Cost(charged=Decimal(1), source=source) for source in sources]).source == "generation"


def test_a_clock_that_was_set_back_makes_no_call_shorter_than_nothing():
    assert _record().duration_s == 4.0
    assert _record(ended_at_s=99.0).duration_s == 0.0


@pytest.mark.parametrize(
    ("changes", "rate"),
    [
        ({}, 5.0),
        ({"outcome": "cancelled"}, None),
        ({"time_to_first_chunk_s": None}, None),
        ({"time_to_first_chunk_s": 4.0}, None),
        ({"usage": None}, None),
        ({"usage": Usage(input_tokens=9)}, None),
        ({"usage": Usage(output_tokens=1)}, None),
    ],
    ids=["whole", "cancelled", "no stream", "all at once", "no usage", "no output told", "one token"],
)
def test_only_a_whole_stream_of_several_tokens_has_an_output_rate(changes, rate):
    told = {"time_to_first_chunk_s": 2.0, "usage": Usage(output_tokens=11)}

    assert _record(**(told | changes)).output_rate == rate


def test_only_the_attempt_that_gave_the_cut_answer_is_wasted_by_the_cut():
    first, last = _attempt(1), _attempt(2)
    record = _record(attempts=(first, last), finish_reasons=("length",))

    assert [record.waste_of(attempt) for attempt in (first, last)] == [None, "truncated"]


@pytest.mark.parametrize(
    ("attempts", "is_awaited"),
    [
        ((), False),
        ((_attempt(1, is_awaited=True),), False),
        ((_attempt(1, unpriced="error", is_awaited=True), _attempt(2)), True),
        ((_attempt(1, unpriced="error", is_awaited=True), _attempt(2, unpriced="error")), False),
    ],
    ids=["none", "priced", "one priced", "one nobody asks for"],
)
def test_a_call_is_awaited_while_all_of_its_missing_money_is(attempts, is_awaited):
    assert _record(attempts=attempts).is_awaited is is_awaited
