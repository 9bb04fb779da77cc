"""Log events with the real SDK."""

from __future__ import annotations

from decimal import Decimal

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs import export as log_export

from or_otel.calls import Amendment
from or_otel.emitters import events
from or_otel.emitters.events import Events
from or_otel.facts import Cost, Failure

pytestmark = pytest.mark.skipif(not events.CAN_EMIT, reason="this logs API has no events")


@pytest.fixture
def exporter():
    return log_export.InMemoryLogRecordExporter()


@pytest.fixture
def provider(exporter):
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(log_export.SimpleLogRecordProcessor(exporter))
    return provider


@pytest.fixture
def context():
    span_context = trace.SpanContext(7, 9, is_remote=False, trace_flags=trace.TraceFlags(1))
    return trace.set_span_in_context(trace.NonRecordingSpan(span_context))


def publish(provider, record, context, **options):
    Events(provider, version="1", **options).begin(record.started).end(record, context)


def test_a_failed_call_tells_types_and_nothing_else(provider, exporter, context, record):
    failure = Failure(error_type="429", origin="upstream", exception_type="openai.RateLimitError")

    publish(provider, record(outcome="error", failure=failure), context)

    (log,) = [each.log_record for each in exporter.get_finished_logs()]
    assert log.event_name == "gen_ai.client.operation.exception"
    assert log.severity_number is SeverityNumber.WARN
    assert dict(log.attributes) == {"exception.type": "openai.RateLimitError", "error.type": "429"}
    assert (log.trace_id, log.span_id) == (7, 9)
    assert log.timestamp == 1_000_000_002 * 10**9
    assert log.body is None


def test_calls_that_did_not_fail_emit_no_event(provider, exporter, context, record):
    publish(provider, record(input_messages="[]"), context)
    publish(provider, record(outcome="cancelled"), context)

    assert exporter.get_finished_logs() == ()


def test_content_is_an_event_only_when_switched_on(provider, exporter, context, record):
    publish(provider, record(input_messages='[{"role":"user"}]'), context, has_content=True)
    publish(provider, record(), context, has_content=True)

    (log,) = [each.log_record for each in exporter.get_finished_logs()]
    assert log.event_name == "gen_ai.client.inference.operation.details"
    assert log.attributes["gen_ai.input.messages"] == '[{"role":"user"}]'
    assert log.attributes["gen_ai.request.model"] == "openai/gpt-5"


def test_without_a_logs_api_that_can_no_event_is_tried(monkeypatch, provider, exporter, context, record):
    monkeypatch.setattr(events, "CAN_EMIT", False)

    publish(provider, record(outcome="error", failure=Failure(error_type="1", origin="edge")), context)

    assert exporter.get_finished_logs() == ()


def amendment():
    return Amendment(
        amends=f"{1:032x}",
        generation_id="gen-1",
        learned_at_s=1_000_000_009.5,
        call_started_at_s=1_000_000_000.0,
        charged=Decimal("0.5"),
        is_byok=False,
        billing="credits",
        served_provider="Azure",
        input_tokens=7,
    )


def test_a_cost_learned_later_is_told_under_the_ids_of_the_call_s_span(provider, exporter, record, attempt):
    told = record(trace_id=f"{7:032x}", span_id=f"{9:016x}", attempts=(attempt(cost=Cost(charged=Decimal("0.7"))),))

    Events(provider, version="1").amend(told, amendment())

    (log,) = [each.log_record for each in exporter.get_finished_logs()]
    assert log.event_name == "openrouter.generation.reconciled"
    assert (log.trace_id, log.span_id, log.timestamp) == (7, 9, 1_000_000_009_500_000_000)
    assert dict(log.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": "openai/gpt-5",
        "gen_ai.response.model": "openai/gpt-5-2026",
        "gen_ai.usage.input_tokens": 7,
        "openrouter.provider.name": "Azure",
        "openrouter.generation.id": "gen-1",
        "openrouter.outcome": "ok",
        "openrouter.cost.total": 0.5,
        "openrouter.cost.charged": 0.5,
        "openrouter.cost.source": "generation",
        "openrouter.cost.difference": -0.2,
        "openrouter.billing": "credits",
    }


def test_a_cost_learned_for_a_call_without_span_belongs_to_no_trace(provider, exporter, context, record):
    token = otel_context.attach(context)  # of somebody else, who happens to run
    Events(provider, version="1").amend(record(), amendment())
    otel_context.detach(token)

    (log,) = [each.log_record for each in exporter.get_finished_logs()]
    assert (log.trace_id, log.span_id) == (0, 0)


def test_a_logs_api_that_cannot_is_not_told_of_a_later_cost(monkeypatch, provider, exporter, record):
    monkeypatch.setattr(events, "CAN_EMIT", False)

    Events(provider, version="1").amend(record(), amendment())

    assert exporter.get_finished_logs() == ()
