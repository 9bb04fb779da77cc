"""Anthropic's SDK makes a span of its own, which ends before a call's cost is known: ours nests below it."""

from __future__ import annotations

import pytest
from opentelemetry import trace

from or_otel.simulator.account import SEARCH_KEY

anthropic = pytest.importorskip("anthropic", minversion="2")


def test_our_span_is_the_child_of_its_span(openrouter, telemetry, instrumented, monkeypatch):
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: telemetry.tracer_provider)
    base_url = openrouter.base_url.removesuffix("/v1")
    with anthropic.Anthropic(base_url=base_url, auth_token=SEARCH_KEY, max_retries=0) as client:
        client.messages.create(
            model="anthropic/claude-haiku-4.5", max_tokens=100, messages=[{"role": "user", "content": "Hello there"}]
        )

    theirs, ours = telemetry.spans
    assert theirs.instrumentation_scope.name == "com.anthropic.sdk.python"
    assert ours.parent.span_id == theirs.context.span_id
    assert ours.attributes["openrouter.cost.total"] == float(openrouter.book.entries[0].spend)
