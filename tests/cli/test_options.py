from datetime import UTC, datetime, timedelta

import pytest

from or_otel.cli.options import moment_from

NOW = datetime(2026, 11, 21, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("4w", NOW - timedelta(weeks=4)),
        ("today", datetime(2026, 11, 21, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 20, tzinfo=UTC)),
        ("week", datetime(2026, 11, 16, tzinfo=UTC)),
        ("month", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-02", datetime(2026, 11, 2, tzinfo=UTC)),
        ("2026-11-02T10:00+02:00", datetime(2026, 11, 2, 8, tzinfo=UTC)),
    ],
)
def test_a_moment_is_an_age_a_word_or_a_date_in_utc(text, moment):
    assert moment_from(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "7", "7y", "-7d", "2026-13-01", "999999w", "d"])
def test_what_is_no_moment_is_none(text):
    assert moment_from(text, NOW) is None
