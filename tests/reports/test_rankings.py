from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.reports.rankings import Dearest, Pareto, keys, models, teams


def test_groups_come_dearest_first_with_their_share_and_change(frame, call, sections_of, rows_of):
    calls = [
        call("1", days_ago=8, response_model="m/a"),
        call("3", response_model="m/a"),
        call("1", response_model="m/b"),
    ]

    first, second = rows_of(sections_of(models(frame()), calls)["models"])

    assert (first["model"], first["cost_usd"], first["cost_share"]) == ("m/a", Decimal(3), Decimal("0.75"))
    assert (first["before_usd"], first["change"]) == (Decimal(1), "+200%")
    assert (second["model"], second["change"]) == ("m/b", "new")


def test_attempts_of_one_call_stand_where_each_was_served(frame, call, sections_of, rows_of):
    (first,) = call("1", call_id="c", response_model="m/a", is_last=False, attempt_count=2)
    (second,) = call("2", call_id="c", response_model="m/b", number=2, attempt_count=2)

    rows = rows_of(sections_of(models(frame()), [(first, second)])["models"])

    assert [(row["model"], row["cost_usd"], row["calls"]) for row in rows] == [
        ("m/b", Decimal(2), 1),
        ("m/a", Decimal(1), 0),
    ]


def test_a_team_is_told_by_its_tag_or_by_whose_key_it_is(frame, call, sections_of, rows_of):
    owned = frame(labels_of_key=lambda key_id: {"team": "ads"} if key_id == "k" else {})
    calls = [call("3", tags={"team": "search"}), call("2", key_id="k"), call("1")]

    rows = rows_of(sections_of(teams(owned), calls)["teams"])

    assert [(row["team"], row["cost_usd"]) for row in rows] == [
        ("search", Decimal(3)),
        ("ads", Decimal(2)),
        ("(none)", Decimal(1)),
    ]


def test_a_ranking_of_nobody_is_left_out(frame, call, sections_of):
    assert sections_of(teams(frame()), [call("1")]) == {}
    assert sections_of(keys(frame()), [call("1")]) == {}


def test_what_is_not_shown_is_counted(frame, call, sections_of):
    calls = [call("1", response_model=f"m/{number}") for number in range(10)]

    section = sections_of(models(frame()), calls)["models"]

    assert len(section.table.rows) == 8
    assert section.notes == ("2 more make 20% of the cost.",)


def test_the_dearest_calls_of_the_period_come_first(frame, call, sections_of, rows_of):
    calls = [call("99", days_ago=9), *(call(str(number), call_id=f"c{number}") for number in range(1, 8))]

    rows = rows_of(sections_of(Dearest(frame()), calls)["dearest"])

    assert [row["call_id"] for row in rows] == ["c7", "c6", "c5", "c4", "c3"]


def test_calls_that_cost_the_same_are_ranked_without_being_compared(frame, call, sections_of, rows_of):
    calls = [call("1", call_id=f"c{number}") for number in range(7)]

    rows = rows_of(sections_of(Dearest(frame()), calls)["dearest"])

    assert [row["call_id"] for row in rows] == ["c0", "c1", "c2", "c3", "c4"]


def test_how_few_calls_make_how_much_is_exact(frame, call, sections_of, rows_of):
    calls = [call("50"), call("30"), *(call("0.25") for _ in range(80)), *(call(None) for _ in range(18))]

    section = sections_of(Pareto(frame()), calls)["pareto"]
    rows = {row["dearest_percent"]: row for row in rows_of(section)}

    assert section.lead == "Half of the cost is made by 1 call of 100."
    assert (rows[1]["calls"], rows[1]["cost_usd"], rows[1]["cost_share"]) == (1, Decimal(50), Decimal("0.5"))
    assert (rows[5]["calls"], rows[5]["cost_usd"]) == (5, Decimal("80.75"))
    assert rows[50]["cost_usd"] == Decimal(92)


def test_half_of_the_cost_may_need_calls_of_several_prices(frame, call, sections_of):
    calls = [call("10"), *(call("3") for _ in range(10)), *(call("1") for _ in range(20))]

    section = sections_of(Pareto(frame()), calls)["pareto"]

    assert section.lead == "Half of the cost is made by 8 calls of 31."  # 10 + 7 x 3 of 60


@pytest.mark.parametrize(("count", "cost"), [(19, "1"), (200, "0")])
def test_few_calls_or_free_ones_have_no_shares(frame, call, sections_of, count, cost):
    assert sections_of(Pareto(frame()), [call(cost) for _ in range(count)]) == {}
