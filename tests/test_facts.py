from __future__ import annotations

from decimal import Decimal, localcontext

from or_otel.facts import Cost, added, plus, total


def test_a_total_is_exact_whatever_decimal_context_the_host_has_set():
    cost = Cost(charged=Decimal("123.456789"), upstream=Decimal("0.000000123"), is_byok=True)

    with localcontext() as context:
        context.prec = 3
        total = cost.total

    assert total == Decimal("123.456789123")


def test_the_upstream_figure_is_a_second_bill_only_when_byok_is_certain():
    figures = {"charged": Decimal("0.05"), "upstream": Decimal(1)}

    assert Cost(**figures, is_byok=True).total == Decimal("1.05")
    assert Cost(**figures, is_byok=False).total == Decimal("0.05")
    assert Cost(**figures).total == Decimal("0.05")


def test_a_total_is_unknown_while_neither_side_is_known_and_zero_when_one_said_zero():
    assert Cost(input=Decimal(1)).total is None
    assert Cost(upstream=Decimal(1)).total is None
    assert Cost(charged=Decimal(0)).total == 0


def test_who_pays_is_told_by_byok_and_by_the_server_asked():
    assert [Cost(is_byok=said).billing for said in (True, False, None)] == ["byok", "credits", "unknown"]
    assert Cost(is_direct=True).billing == "direct"
    assert Cost(upstream=Decimal(1)).is_billing_unknown
    assert not Cost(upstream=Decimal(1), is_byok=False).is_billing_unknown


def test_sums_hold_every_digit_whatever_decimal_context_the_host_has_set():
    amounts = [Decimal("123456.789"), Decimal("0.000000001")]

    with localcontext() as context:
        context.prec = 3

        assert [plus(*amounts), added(amounts), total(amounts)] == [Decimal("123456.789000001")] * 3


def test_what_is_not_said_adds_nothing_and_a_sum_of_nothing_said_is_not_zero():
    assert plus(None, Decimal(0)) == Decimal(0)
    assert plus(None, None) is None
    assert added([None, Decimal("0.1"), None]) == Decimal("0.1")
    assert added([None]) is None
    assert total([None]) == Decimal(0)
