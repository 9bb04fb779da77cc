from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from rich.console import Console

from or_otel.budgets import Budget
from or_otel.reports.digest import digest_of, render, summary, to_json, whole_days


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("since", "until", "begin", "days"),
    [
        ("2026-11-14T12:00", "2026-11-21T12:00", "2026-11-15", 7),
        ("2026-11-09", "2026-11-16", "2026-11-09", 7),
        ("2026-11-21T10:30", "2026-11-21T12:00", "2026-11-21", 1),
        ("2026-11-20T12:00", "2026-11-21T12:00", "2026-11-21", 1),
        ("2026-11-21", "2026-11-21T00:00:01", "2026-11-21", 1),
    ],
)
def test_a_period_is_made_of_whole_utc_days(since, until, begin, days):
    assert whole_days(at(since), at(until)) == (at(begin), days)


@pytest.fixture
def digest(frame, call):
    budgets = (Budget(name="month", limit_usd=Decimal(1)),)
    calls = [
        call("9", days_ago=30),
        call("2", tags={"team": "a|b"}),
        call("0.5", outcome="cancelled", tags={"team": "c"}),
    ]
    return digest_of(frame(budgets=budgets), calls)


def test_a_digest_says_its_period_and_what_wants_a_look(digest):
    assert digest.title == "LLM spending, Sun 15 Nov to Sat 21 Nov 2026"
    assert [section.name for section in digest.alarms] == ["budgets"]


def test_parts_come_in_their_order_and_only_where_they_have_something_to_say(digest):
    names = [section.name for section in digest.sections]

    assert names == ["spent", "budgets", "days", "models", "teams", "dearest", "waste"]


def test_json_holds_exact_money_by_section(digest):
    told = json.loads(json.dumps(to_json(digest)))

    assert told["sections"]["spent"]["rows"][0]["cost_usd"] == "2.5"
    assert (
        told["sections"]["teams"]["rows"][0] | {"team": "a|b", "cost_usd": "2"} == told["sections"]["teams"]["rows"][0]
    )
    assert told["alarms"] == ["Budgets: month: ≥ $2.50 of $1.00 (250%), over."]


def test_people_see_alarms_first_and_every_section(digest):
    screen = Console(file=io.StringIO(), width=120, color_system=None)
    screen.print(render(digest))
    lines = screen.file.getvalue().splitlines()

    assert lines[1] == "! Budgets: month: ≥ $2.50 of $1.00 (250%), over."
    assert {section.title for section in digest.sections} <= {line.strip() for line in lines}


def test_a_message_is_a_few_lines(digest):
    assert summary(digest).splitlines() == [
        "$2.50 for 2 calls.",
        "Budgets: month: ≥ $2.50 of $1.00 (250%), over.",
        "$0.50 (20%) went into answers that are not whole.",
    ]
