"""Under OpenTelemetry's own OpenAI instrumentation: one span, theirs, with what only we know; each metric once."""

from __future__ import annotations

import pytest

from or_otel.simulator import scenarios

theirs = pytest.importorskip("opentelemetry.instrumentation.genai.openai")


@pytest.fixture(autouse=True)
def _their_instrumentation(telemetry, instrumented):
    instrumentor = theirs.OpenAIInstrumentor()
    instrumentor.instrument(**telemetry.providers, skip_dep_check=True)
    yield
    instrumentor.uninstrument()


@pytest.mark.parametrize("stream", [False, True])
def test_their_span_is_the_only_one_and_carries_what_only_we_know(ask, openrouter, telemetry, stream):
    ask(stream=stream)

    (span,) = telemetry.spans
    (entry,) = openrouter.book.entries
    assert span.instrumentation_scope.name != "or_otel"
    assert span.attributes["openrouter.cost.total"] == float(entry.spend)
    assert span.attributes["openrouter.provider.name"] == entry.provider
    assert span.attributes["openrouter.generation.id"] == entry.id
    assert span.attributes["gen_ai.provider.name"] == "openai"


def test_their_metrics_and_ours_count_the_call_once(ask, openrouter, telemetry):
    ask()

    data = telemetry.reader.get_metrics_data()
    scopes_of = {}
    for scope in data.resource_metrics[0].scope_metrics:
        for metric in scope.metrics:
            scopes_of.setdefault(metric.name, []).append(scope.scope.name)
    assert "or_otel" not in scopes_of["gen_ai.client.operation.duration"]
    assert "or_otel" not in scopes_of["gen_ai.client.token.usage"]
    assert scopes_of["openrouter.client.call.cost"] == ["or_otel"]
    assert scopes_of["openrouter.client.calls"] == ["or_otel"]
    assert len(openrouter.book.entries) == 1


def test_attempts_of_a_retried_call_hang_below_their_span(ask, openrouter, telemetry):
    openrouter.script(scenarios.server_error())

    ask()

    *attempts, span = telemetry.spans
    assert [attempt.name for attempt in attempts] == ["attempt 1", "attempt 2"]
    assert {attempt.parent.span_id for attempt in attempts} == {span.context.span_id}
    assert span.attributes["openrouter.attempt_count"] == 2
