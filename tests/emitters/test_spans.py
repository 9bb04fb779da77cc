"""Spans with the real SDK."""

from __future__ import annotations

import hashlib

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode

from or_otel.emitters import attributes
from or_otel.emitters.spans import Spans
from or_otel.facts import Endpoint, Failure, Request


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def publish(provider, record, **options):
    emission = Spans(provider, version="1.2", **options).begin(record.started)
    emission.end(record, emission.context)
    return emission


def test_a_call_is_one_client_span_with_its_own_times(provider, exporter, record):
    finished = record()

    emission = publish(provider, finished)

    (span,) = exporter.get_finished_spans()
    assert span.name == "chat openai/gpt-5"
    assert span.kind is SpanKind.CLIENT
    assert (span.start_time, span.end_time) == (1_000_000_000 * 10**9, 1_000_000_002 * 10**9)
    assert dict(span.attributes) == attributes.span_attributes(finished)
    assert span.status.status_code is StatusCode.UNSET
    assert (span.instrumentation_scope.name, span.instrumentation_scope.version) == ("or_otel", "1.2")
    assert emission.trace_id == f"{span.context.trace_id:032x}"
    assert emission.span_id == f"{span.context.span_id:016x}"
    assert span.events == ()


def test_a_call_without_a_model_is_named_after_its_operation(provider, exporter, record, started):
    publish(provider, record(started=started(request=Request())))

    assert exporter.get_finished_spans()[0].name == "chat"


def test_the_span_is_under_the_current_one_and_current_only_while_entered(provider, exporter, record):
    with provider.get_tracer("app").start_as_current_span("agent") as outer:
        emission = Spans(provider, version="1").begin(record().started)
        before = trace.get_current_span()
        token = emission.enter()
        inside = trace.get_current_span()
        emission.leave(token)
        after = trace.get_current_span()
        emission.end(record(), None)

    assert before is after is outer
    assert f"{inside.get_span_context().span_id:016x}" == emission.span_id
    assert exporter.get_finished_spans()[0].parent.span_id == outer.get_span_context().span_id


def test_a_failed_call_has_an_error_status_in_our_own_words(provider, exporter, record):
    failure = Failure(error_type="429", origin="upstream", exception_type="openai.RateLimitError")

    publish(provider, record(outcome="error", failure=failure))

    (span,) = exporter.get_finished_spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "429")
    assert span.attributes["error.type"] == "429"


def test_a_cancelled_call_is_no_error(provider, exporter, record):
    publish(provider, record(outcome="cancelled"))

    (span,) = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes["openrouter.outcome"] == "cancelled"
    assert "error.type" not in span.attributes


def test_a_retried_call_has_a_leaf_span_for_each_attempt(provider, exporter, record, attempt):
    first = attempt(1, status=503, failure=Failure(error_type="503", origin="edge"), ended_at_s=1_000_000_001.0)
    second = attempt(2, started_at_s=1_000_000_001.5)

    publish(provider, record(attempts=(first, second)))

    one, two, call = exporter.get_finished_spans()
    assert [span.name for span in (one, two)] == ["attempt 1", "attempt 2"]
    assert {span.kind for span in (one, two)} == {SpanKind.INTERNAL}
    assert {span.parent.span_id for span in (one, two)} == {call.context.span_id}
    assert dict(one.attributes) == {"http.response.status_code": 503, "error.type": "503"}
    assert one.status.status_code is StatusCode.ERROR
    assert dict(two.attributes) == {"http.request.resend_count": 1, "http.response.status_code": 200}
    assert two.start_time == 1_000_000_001_500_000_000
    assert call.attributes["openrouter.attempt_count"] == 2
    assert call.status.status_code is StatusCode.UNSET


def test_content_goes_onto_the_span_only_when_switched_on(provider, exporter, record):
    captured = record(input_messages='[{"role":"user"}]')

    publish(provider, captured)
    publish(provider, captured, has_content=True)

    without, with_content = exporter.get_finished_spans()
    assert "gen_ai.input.messages" not in without.attributes
    assert with_content.attributes["gen_ai.input.messages"] == '[{"role":"user"}]'


def test_an_unsampled_call_is_published_nowhere_and_harms_nobody(exporter, record):
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    publish(provider, record())

    assert exporter.get_finished_spans() == ()


def test_without_a_provider_there_are_no_ids(record):
    emission = publish(trace.NoOpTracerProvider(), record())

    assert emission.trace_id is None
    assert emission.span_id is None


def test_a_call_links_to_the_trace_that_broadcast_makes_of_it(provider, exporter, record, attempt):
    attempts = (attempt(1, generation_id="gen-1", status=502), attempt(2, generation_id="gen-2"))

    publish(provider, record(attempts=attempts), broadcast_links=True)

    links = exporter.get_finished_spans()[-1].links
    digests = [hashlib.sha256(id_).hexdigest() for id_ in (b"gen-1", b"gen-2")]
    assert [f"{link.context.trace_id:032x}" for link in links] == [digest[:32] for digest in digests]
    assert [f"{link.context.span_id:016x}" for link in links] == [digest[:16] for digest in digests]
    assert [link.attributes["openrouter.generation.id"] for link in links] == ["gen-1", "gen-2"]


def test_there_is_no_link_unless_asked_for_or_without_a_generation(provider, exporter, record, attempt):
    publish(provider, record(attempts=(attempt(generation_id="gen-1"),)))
    publish(provider, record(), broadcast_links=True)

    assert [span.links for span in exporter.get_finished_spans()] == [(), ()]


def test_there_is_no_link_from_servers_that_are_not_openrouter(provider, exporter, record, started, attempt):
    theirs = Endpoint(api="chat", operation="chat", provider="vllm", host="gpu", port=80, is_openrouter=False)

    publish(
        provider,
        record(started=started(endpoint=theirs), attempts=(attempt(generation_id="gen-1"),)),
        broadcast_links=True,
    )

    assert exporter.get_finished_spans()[0].links == ()
