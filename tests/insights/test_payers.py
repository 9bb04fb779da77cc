"""From an own provider key to the credits."""

from __future__ import annotations

from or_otel.insights import payers
from or_otel.insights.payers import Payers


def falls(seen, *told, key="0123456789ab", provider="Azure"):
    return [seen.falls_on_credits(key, provider, is_byok=each) for each in told]


def test_the_change_is_told_once():
    assert falls(Payers(), True, False, False, True, False) == [False, True, False, False, True]


def test_what_credits_always_paid_is_no_change():
    assert not any(falls(Payers(), False, False))


def test_what_nobody_said_changes_nothing():
    assert falls(Payers(), True, None, False) == [False, False, True]


def test_keys_and_providers_are_apart():
    seen = Payers()
    falls(seen, True)

    assert falls(seen, False, key="ba9876543210") == falls(seen, False, provider="OpenAI") == [False]
    assert falls(seen, False, provider=None) == [False]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(payers, "MAX_PAYERS", 2)
    seen = Payers()
    for provider in "abc":
        falls(seen, True, provider=provider)

    assert [falls(seen, False, provider=each) for each in "ac"] == [[False], [True]]
