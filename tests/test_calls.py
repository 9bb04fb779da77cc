from __future__ import annotations

from decimal import Decimal, localcontext

from or_otel.calls import sum_costs
from or_otel.facts import Cost


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
