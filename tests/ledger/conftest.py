from decimal import Decimal

import pytest

from or_otel.entries import Entry


@pytest.fixture
def entry():
    """Make an entry: each one a call of its own, told apart by its number."""
    made = []

    def make(cost=None, **fields):
        made.append(None)
        number = len(made)
        defaults = {
            "call_id": f"call{number:028}",
            "attempt_id": f"attempt{number:025}",
            "number": 1,
            "attempt_count": 1,
            "is_last": True,
            "started_at_s": 1000.0 + number,
            "ended_at_s": 1002.0 + number,
            "call_started_at_s": 1000.0 + number,
            "duration_s": 2.0,
            "api": "chat",
            "operation": "chat",
            "server": "openrouter",
            "host": "openrouter.ai",
            "request_model": "openai/gpt-5-mini",
            "served_provider": "Azure",
            "outcome": "ok",
            "attempt_outcome": "ok",
            "is_byok": False,
            "billing": "credits",
            "charged": None if cost is None else Decimal(cost),
        }
        return Entry(**defaults | fields)

    return make
