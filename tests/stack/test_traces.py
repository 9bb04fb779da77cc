"""What is stored of a trace, and how it is found: without content always, in a real Tempo where there is one."""

from __future__ import annotations

import pytest
from opentelemetry import trace

CONTENT = {
    "gen_ai.input.messages": "CANARY",
    "gen_ai.output.messages": "CANARY",
    "gen_ai.system_instructions": "CANARY",
    "gen_ai.tool.call.arguments": "CANARY",
    "gen_ai.prompt.0.content": "CANARY",
    "gen_ai.completion.0.content": "CANARY",
    "input.value": "CANARY",
    "llm.input_messages.0.message.content": "CANARY",
    "traceloop.entity.output": "CANARY",
}


def test_no_content_reaches_the_store_whoever_recorded_it(stack, store, service):
    stack.start("collector")
    watched = service()
    tracer = watched.tracer_provider.get_tracer("another instrumentation")
    with tracer.start_as_current_span("chat", attributes={"gen_ai.request.model": "m", **CONTENT}) as span:
        span.add_event("gen_ai.user.message", {"content": "CANARY", "gen_ai.system": "CANARY"})
        span.add_event("exception", {"exception.type": "Refused", "exception.message": "CANARY"})
        span.set_status(trace.StatusCode.ERROR, "refused")
    assert watched.flush()

    assert stack.until(lambda: store.spans)
    (stored,) = store.spans.values()
    assert b"CANARY" not in stored.SerializeToString()
    assert {pair.key for pair in stored.attributes} == {"gen_ai.request.model"}
    assert [pair.key for event in stored.events for pair in event.attributes] == ["exception.type"]


def test_a_dear_call_is_stored_although_its_trace_began_long_ago(stack, store, service):
    stack.start("collector")
    watched = service()
    tracer = watched.tracer_provider.get_tracer("agent")
    with tracer.start_as_current_span("agent"):
        watched.ask(cheap=1)
        assert watched.flush()
        assert stack.until(lambda: stack.own("otelcol_receiver_accepted_spans", receiver="otlp/money") == 1)
        watched.ask(dear=1)
        assert watched.flush()

    assert stack.until(lambda: 0.0625 in store.costs())
    # What waited of the same trace came with it.
    assert sorted(store.costs()) == [0.00025, 0.0625]


def test_tempo_finds_a_dear_call_by_its_cost(stack, service, native):
    try:
        native.binary("tempo")
    except FileNotFoundError:
        pytest.skip("no tempo on the path nor in .stack/bin: it cannot be built from a Go module (docs/stack.md)")
    stack.start("tempo", "collector")
    watched = service()
    watched.ask(cheap=1, dear=1)
    assert watched.flush()

    url = f"http://127.0.0.1:{stack.ports.tempo}"
    dear = "{ span.openrouter.cost.total > 0.05 }"
    found = stack.until(lambda: stack.fetched(f"{url}/api/search", q=dear).get("traces"))
    assert len(found) == 1
    assert found[0]["rootTraceName"] == "chat anthropic/claude-haiku-4.5"

    by_model = "{ } | sum_over_time(span.openrouter.cost.total) by (span.gen_ai.request.model)"
    said = stack.until(lambda: stack.fetched(f"{url}/api/metrics/query", q=by_model).get("series"))
    assert 0.0625 <= sum(series["value"] for series in said) <= 0.06275
    stack.kill("tempo")  # asked to end, it takes half a minute
