from __future__ import annotations

from dataclasses import replace

import pytest

from or_otel.reports.digest import whole_days
from or_otel.reports.sections import Frame

NOON_S = 1_795_262_400.0  # Saturday 2026-11-21, 12:00 UTC
DAY_S = 86_400


@pytest.fixture
def noon_s():
    return NOON_S


@pytest.fixture
def frame():
    """Give the seven days that end at that noon, with what else is known."""

    def make(**fields):
        since_s, days = whole_days(NOON_S - 7 * DAY_S, NOON_S)
        return replace(Frame(since_s=since_s, until_s=NOON_S, days=days), **fields)

    return make


@pytest.fixture
def call(entry):
    """Make a call of one attempt, so many days before the noon."""

    def make(cost=None, days_ago=0.0, **fields):
        at_s = NOON_S - 60 - days_ago * DAY_S
        times = {"started_at_s": at_s, "call_started_at_s": at_s, "ended_at_s": at_s + 2}
        return (entry(cost, **times | fields),)

    return make


@pytest.fixture
def sections_of():
    """Feed calls to a part, and give its sections by name."""

    def feed(part, calls):
        for each in calls:
            part.add(each)
        return {section.name: section for section in part.sections()}

    return feed


@pytest.fixture
def rows_of():
    """Give a section's rows as one dict each."""

    def rows(section):
        names = [column.name for column in section.table.columns]
        return [dict(zip(names, row, strict=True)) for row in section.table.rows]

    return rows
