"""What the tests of all clients share: one prompt, and what must be told of one logical call."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from or_otel.simulator import scenarios

HERE = Path(__file__).parent
MODEL = "anthropic/claude-haiku-4.5"
MESSAGES = [{"role": "user", "content": "say ok"}]
KEY = "sk-or-v1-0123456789abcdef"


def pytest_collection_modifyitems(items):
    """Some clients never close their sockets, and the warning comes in whatever test is next."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture
def model():
    return MODEL


@pytest.fixture
def messages():
    return [dict(message) for message in MESSAGES]


@pytest.fixture
def key():
    return KEY


@pytest.fixture
def busy():
    """An answer that clients retry, and soon."""
    return replace(scenarios.rate_limited(), headers=(("retry-after-ms", "1"), ("retry-after", "0")))


@pytest.fixture
def the_call(openrouter, calls):
    """Check that one logical call was told, with what the server billed for it; gives its record."""

    def check(*, attempts=1, is_stream=False):
        (record,) = calls
        (entry,) = openrouter.book.entries
        assert record.outcome == "ok"
        assert len(record.attempts) == attempts == len(openrouter.requests)
        assert record.request.model == MODEL
        assert (record.model, record.provider) == (entry.model, entry.provider)
        assert (record.usage.input_tokens, record.usage.output_tokens) == (
            entry.usage.input_tokens,
            entry.usage.output_tokens,
        )
        assert record.cost.total == openrouter.book.total()
        assert record.cost.source == "response"
        assert (record.time_to_first_chunk_s is not None) == is_stream
        return record

    return check
