"""What is stored of a trace, and how it is found: without content always, in a real Tempo where there is one."""

from __future__ import annotations

import subprocess
import urllib.request

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
    # Queues are files, and files remember what was deleted from them.
    queues = [path for path in (stack.folder / "collector").rglob("*") if path.is_file()]
    assert len(queues) >= 2
    assert not any(b"CANARY" in path.read_bytes() for path in queues)
    assert [pair.key for event in stored.events for pair in event.attributes] == ["exception.type"]


@pytest.mark.parametrize("stack", [{"is_content_kept": True}], indirect=True)
def test_content_that_is_to_be_kept_goes_to_a_store_of_its_own_and_there_alone(stack, store, content_store, service):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(dear=1)
    with watched.tracer_provider.get_tracer("mine").start_as_current_span("chat", attributes=CONTENT) as span:
        span.set_status(trace.StatusCode.ERROR, "refused")
    assert watched.flush()

    assert stack.until(lambda: len(store.spans) == len(content_store.spans) == 2)
    kept = b"".join(span.SerializeToString() for span in content_store.spans.values())
    assert kept.count(b"CANARY") == len(CONTENT)
    assert not any(b"CANARY" in span.SerializeToString() for span in store.spans.values())
    # Money is counted once, whoever stores the spans.
    assert stack.settled("sum(openrouter_spans_cost_total)", 0.0625) == 0.0625


@pytest.mark.parametrize("stack", [{"is_content_kept": True}], indirect=True)
def test_a_store_of_content_that_takes_nothing_changes_no_money(stack, store, content_store, service, tmp_path):
    """Else a client would be refused, and send again what is in the lane of the money already."""
    settings = tmp_path / "content.yaml"
    settings.write_text(settings.read_text().replace("queue_size: 100000", "queue_size: 1"))
    stack.start("prometheus", "collector")
    content_store.go()
    watched = service()

    for _ in range(8):
        watched.ask(dear=1)
        assert watched.flush()

    assert stack.settled("sum(openrouter_spans_cost_total)", 0.5) == 0.5
    assert stack.until(lambda: len(store.costs()) == 8)
    refused = stack.own("otelcol_exporter_enqueue_failed_spans", exporter="otlp_grpc/content")
    assert refused > 0


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

    # The health check of docker-compose.yml: the image holds nothing else that could ask.
    health = [native.binary("tempo"), "-health", f"-health.url={url}/ready"]
    assert subprocess.run(health, capture_output=True, check=False).returncode == 0
    with urllib.request.urlopen(f"{url}/status/config", timeout=10) as answer:
        assert "block_retention: 336h0m0s" in answer.read().decode()

    by_model = "{ } | sum_over_time(span.openrouter.cost.total) by (span.gen_ai.request.model)"
    said = stack.until(lambda: stack.fetched(f"{url}/api/metrics/query", q=by_model).get("series"))
    assert 0.0625 <= sum(series["value"] for series in said) <= 0.06275
    stack.kill("tempo")  # asked to end, it takes half a minute
