from __future__ import annotations

from decimal import Decimal

from or_otel.reports.leaks import Unattributed, Waste


def test_each_wasted_attempt_counts_once_under_its_first_reason(frame, call, sections_of, rows_of):
    calls = [
        call("1", outcome="cancelled", attempt_outcome="cancelled", finish_reason="length"),
        call("2", outcome="error", attempt_outcome="error"),
        call("3", finish_reason="length"),
        call("14", finish_reason="stop"),
        call("100", days_ago=9, outcome="error", attempt_outcome="error"),
    ]

    section = sections_of(Waste(frame()), calls)["waste"]

    assert {row["kind"]: (row["cost_usd"], row["calls"]) for row in rows_of(section)} == {
        "cancelled": (Decimal(1), 1),
        "error": (Decimal(2), 1),
        "truncated": (Decimal(3), 1),
    }
    assert section.lead == "$6.00 (30%) went into answers that are not whole."


def test_a_failed_attempt_is_wasted_though_its_call_ended_well(frame, call, sections_of, rows_of):
    (failed,) = call("1", call_id="c", attempt_outcome="error", is_last=False, attempt_count=2)
    (good,) = call("3", call_id="c", number=2, attempt_count=2)

    (row,) = rows_of(sections_of(Waste(frame()), [(failed, good)])["waste"])

    assert (row["kind"], row["calls"], row["cost_usd"]) == ("error", 1, Decimal(1))


def test_a_cancelled_call_without_a_price_is_unknown_waste_and_not_none(frame, call, sections_of, rows_of):
    calls = [call(None, outcome="cancelled", attempt_outcome="cancelled", unpriced="cancelled")]

    section = sections_of(Waste(frame()), calls)["waste"]

    assert [row["cost_usd"] for row in rows_of(section)] == [None]
    assert section.table.floors == {0}


def test_good_calls_waste_nothing(frame, call, sections_of):
    assert sections_of(Waste(frame()), [call("1", finish_reason="stop")]) == {}


def test_money_that_nobody_answers_for_is_told_with_where_it_comes_from(frame, call, sections_of, rows_of):
    calls = [call("1", service_name="batch"), call("3", tags={"feature": "chat"}), call("1", tags={"other": "x"})]

    section = sections_of(Unattributed(frame()), calls)["unattributed"]

    assert rows_of(section) == [{"calls": 2, "cost_usd": Decimal(2), "cost_share": Decimal("0.4")}]
    assert "most of these calls come from batch, an unnamed program" in section.lead


def test_a_key_that_belongs_to_somebody_attributes_its_calls(frame, call, sections_of):
    owned = frame(labels_of_key=lambda key_id: {"company": "acme"} if key_id == "k" else {})

    assert sections_of(Unattributed(owned), [call("1", key_id="k")]) == {}
