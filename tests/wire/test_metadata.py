from __future__ import annotations

import pytest

from or_otel.facts import RouteAttempt, RouterMetadata
from or_otel.wire.metadata import MAX_ATTEMPTS, attempts_from, metadata_from


def test_what_the_router_tells_is_read_whole():
    available = [
        "strange",
        {"provider": "A", "model": "a/m", "selected": False},
        {"provider": "B", "model": "b/m", "selected": True},
    ]
    told = {
        "requested": "a/m",
        "strategy": "fallback",
        "region": "eu",
        "attempt": 2,
        "is_byok": False,
        "attempts": [{"provider": "A", "model": "a/m", "status": 429}],
        "endpoints": {"available": available},
    }

    assert metadata_from(told) == RouterMetadata(
        requested="a/m",
        strategy="fallback",
        region="eu",
        attempt=2,
        is_byok=False,
        attempts=(RouteAttempt(provider="A", model="a/m", status=429),),
        selected=RouteAttempt(provider="B", model="b/m"),
    )


def test_an_endpoint_that_was_not_selected_served_nothing():
    assert metadata_from({"endpoints": {"available": [{"provider": "A"}]}}).selected is None


@pytest.mark.parametrize("nothing", [None, {}, [], "attempt", 7])
def test_no_metadata_is_none(nothing):
    assert metadata_from(nothing) is None


def test_tries_are_told_in_either_spelling_and_strange_ones_left_out():
    told = [{}, "strange", {"provider_name": "A", "code": 500}, {"provider": "B", "status": 429, "code": "x"}]

    assert attempts_from(told) == (RouteAttempt(provider="A", status=500), RouteAttempt(provider="B", status=429))


def test_endless_tries_are_cut():
    assert len(attempts_from([{"status": 500}] * (MAX_ATTEMPTS + 1))) == MAX_ATTEMPTS
