"""Records made by hand for the emitters' tests."""

from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.calls import Attempt, CallRecord, CallStarted
from or_otel.facts import Cost, Endpoint, Request, Route, RouteAttempt, Usage

ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)


def _started(**changes):
    facts = {
        "id": "a" * 32,
        "endpoint": ENDPOINT,
        "request": Request(model="openai/gpt-5", is_stream=True, max_tokens=64, temperature=1, app_name="Shop"),
        "started_at_s": 1_000_000_000.0,
        "tags": {"team": "search", "customer": "acme"},
        "key_id": "0123456789ab",
    }
    return CallStarted(**(facts | changes))


def _attempt(number=1, **changes):
    facts = {"id": f"{number:032x}", "number": number, "started_at_s": 1_000_000_000.0, "ended_at_s": 1_000_000_002.0}
    return Attempt(**(facts | {"status": 200} | changes))


def _record(**changes):
    facts = {
        "started": _started(),
        "ended_at_s": 1_000_000_002.0,
        "outcome": "ok",
        "attempts": (_attempt(),),
        "status": 200,
        "response_id": "gen-1",
        "generation_id": "gen-1",
        "model": "openai/gpt-5-2026",
        "provider": "Azure",
        "finish_reasons": ("stop",),
        "usage": Usage(input_tokens=100, output_tokens=20, cache_read_tokens=30, reasoning_tokens=5),
        "cost": Cost(charged=Decimal("0.003"), input=Decimal("0.001"), output=Decimal("0.002"), is_byok=False),
        "route": Route(
            fallback="provider",
            attempt_count=2,
            attempts=(
                RouteAttempt(provider="OpenAI", model="openai/gpt-5", status=429),
                RouteAttempt(provider="Azure", model="openai/gpt-5", status=200),
            ),
        ),
        "time_to_first_chunk_s": 0.5,
    }
    return CallRecord(**(facts | changes))


@pytest.fixture
def started():
    return _started


@pytest.fixture
def attempt():
    return _attempt


@pytest.fixture
def record():
    return _record
