"""UTC days, by which OpenRouter counts: Unix time → its day, a day → the Unix time of its begin. Pure."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

DAY_S = 86_400
ONE_DAY = timedelta(days=1)


def utc_day(at_s: float) -> date:
    """Give the UTC day that holds a Unix time."""
    return datetime.fromtimestamp(at_s, UTC).date()


def begin_s(day: date) -> float:
    """Give the Unix time at which a UTC day begins."""
    return datetime.combine(day, time(), UTC).timestamp()
