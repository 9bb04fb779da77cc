from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console

from or_otel.reports.top import Top, render, whole

NOON_S = 1_795_262_400.0


@pytest.fixture
def ended(entry):
    """Make an attempt that ended so many seconds before the noon."""

    def make(cost, ago_s, **fields):
        at_s = NOON_S - ago_s
        return entry(cost, **{"started_at_s": at_s - 2, "call_started_at_s": at_s - 2, "ended_at_s": at_s} | fields)

    return make


@pytest.fixture
def top():
    return Top(lambda entry: entry.tags.get("team"))


def test_minute_hour_and_day_each_hold_their_own(top, ended):
    for cost, ago_s in (("1", 5), ("2", 59), ("4", 61), ("8", 3500), ("16", 3700), ("32", 43_000), ("64", 44_000)):
        top.add(ended(cost, ago_s))

    total = whole(top.lines(NOON_S))

    assert (total.minute.cost, total.hour.cost, total.today.cost) == (Decimal(3), Decimal(15), Decimal(63))
    assert (total.minute.calls, total.hour.calls, total.today.calls) == (2, 4, 6)


def test_groups_come_by_what_they_spent_in_the_last_hour(top, ended):
    top.add(ended("1", 10, tags={"team": "ads"}))
    top.add(ended("5", 5000, tags={"team": "batch"}))
    top.add(ended("2", 10, outcome="error"))

    lines = top.lines(NOON_S)

    assert [(line.name, line.hour.cost, line.hour.errors) for line in lines] == [
        ("(none)", Decimal(2), 1),
        ("ads", Decimal(1), 0),
        ("batch", Decimal(0), 0),
    ]


def test_what_is_learned_later_changes_money_and_not_counts(top, ended):
    before = ended(None, 5, unpriced="cancelled")
    top.add(before)
    assert top.lines(NOON_S)[0].minute.cost_text == "unknown"

    top.add(replace(before, charged=Decimal("0.25"), unpriced=None), before)

    tally = top.lines(NOON_S)[0].minute
    assert (tally.calls, tally.cost_text) == (1, "$0.25")
    assert top.dearest(NOON_S)[0].total == top.newest()[0].total == Decimal("0.25")


def test_the_newest_calls_are_those_that_ended_last_whatever_came_first(top, ended):
    made = [ended("1", ago_s) for ago_s in (3, 1, 9, 4, 8, 2, 7, 5, 6, 10)]
    for each in made:
        top.add(each)

    assert [NOON_S - each.ended_at_s for each in top.newest()] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_dearest_are_today_s_though_yesterday_was_dearer(top, ended):
    for number in range(20):
        top.add(ended(str(100 + number), 50_000))
        top.add(ended(str(1 + number), 60))

    assert [each.total for each in top.dearest(NOON_S)] == [20, 19, 18, 17, 16]


def test_at_midnight_the_day_begins_anew(top, ended):
    top.add(ended("1", 60))
    midnight_s = NOON_S + 43_200
    top.forget(midnight_s)

    assert top.lines(midnight_s) == ()
    assert top.dearest(midnight_s) == ()


def test_memory_grows_with_groups_and_not_with_calls(top, ended):
    for number in range(2000):
        top.add(ended("1", number % 50))
    top.forget(NOON_S)

    assert sum(len(groups) for spans in top._spans.values() for groups in spans.values()) <= 50 + 2 + 1
    assert len(top._newest) + len(top._dearest) <= 18


def test_a_frame_shows_sums_groups_and_calls(top, ended):
    top.add(ended("0.5", 30, tags={"team": "ads"}, response_model="m/a"))
    top.add(ended("1", 2000, outcome="error", error_type="429", tags={"team": "ads"}))
    screen = Console(file=io.StringIO(), width=100, color_system=None)
    screen.print(render(top, by="team", now_s=NOON_S, problems=("x.jsonl: Permission denied",)))
    lines = [line.split() for line in screen.file.getvalue().splitlines() if line.strip()]

    assert lines[1] == ["$0.50", "$1.50", "$1.50", "0.02", "0", "·", "1", "·", "1"]
    assert ["ads", "$0.50", "$1.50", "$1.50", "2", "1"] in lines
    assert "m/a" in screen.file.getvalue()
    assert "journal not read: x.jsonl" in screen.file.getvalue()


def test_more_groups_than_fit_are_one_line(ended):
    top = Top(lambda entry: entry.tags["n"])
    for number in range(14):
        top.add(ended("1", 10, tags={"n": str(number)}))
    screen = Console(file=io.StringIO(), width=100, color_system=None)
    screen.print(render(top, by="n", now_s=NOON_S))

    rows = [line.split() for line in screen.file.getvalue().splitlines()]
    assert ["4", "more", "$4.00", "$4.00", "$4.00", "4", "0"] in rows


@pytest.mark.parametrize("width", [60, 80, 120])
def test_long_names_are_cut_before_any_figure_is(ended, width):
    top = Top(lambda entry: entry.tags["team"])
    long = "a-very-long-name-" * 15
    for number in range(3):
        name = f"{number}{long}"
        top.add(
            ended(
                "1234.5678",
                10,
                tags={"team": name, "feature": name},
                response_model=name,
                input_tokens=123_456,
                output_tokens=98_765,
                unpriced="cancelled",
                outcome="error",
                error_type=name,
            )
        )
    screen = Console(file=io.StringIO(), width=width, color_system=None)
    screen.print(render(top, by="team", now_s=NOON_S, width=width))
    lines = [line.strip() for line in screen.file.getvalue().splitlines()]

    assert max(map(len, lines)) <= width
    groups = [line.split() for line in lines if line.startswith(("0a", "1a", "2a"))]
    money = ["≥", "$1,234.57"] * 3
    assert [row[1:8] for row in groups] == [[*money, "1"]] * 3
    assert all(row[0].endswith("…") for row in groups)
    called = [line for line in lines if "123k in · 98.8k out" in line and "≥ $1,234.57" in line and "2.00 s" in line]
    assert len(called) == 6  # the newest and the dearest
    assert all("…" in line for line in called)
    assert any(line.split()[:6] == ["≥", "$3,703.70"] * 3 for line in lines)
