"""Metrics with the real SDK."""

from __future__ import annotations

from decimal import Decimal
from threading import Thread

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from or_otel import catalogue
from or_otel.calls import Amendment
from or_otel.emitters import sums
from or_otel.emitters.metrics import Metrics
from or_otel.facts import Cost, Failure, Request, Route, ToolCalls, Usage


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader):
    return MeterProvider([reader], shutdown_on_exit=False)


@pytest.fixture
def emitter(provider):
    return Metrics(provider, version="1.2", faults=dict)


def publish(emitter, record, context=None):
    emitter.begin(record.started).end(record, context)


def read(reader):
    data = reader.get_metrics_data()
    if data is None:
        return {}
    (resource,) = data.resource_metrics
    (scope,) = resource.scope_metrics
    return {metric.name: metric for metric in scope.metrics}


def points(reader, name):
    metric = read(reader).get(name)
    return [(dict(point.attributes), point) for point in metric.data.data_points] if metric else []


def by(reader, name, *attributes):
    return {tuple(told.get(each) for each in attributes): point.value for told, point in points(reader, name)}


def test_a_call_is_counted_with_the_common_attributes(emitter, reader, record):
    publish(emitter, record())

    ((told, point),) = points(reader, "openrouter.client.calls")
    assert point.value == 1
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": "openai/gpt-5",
        "gen_ai.response.model": "openai/gpt-5-2026",
        "openrouter.provider.name": "Azure",
        "openrouter.key.id": "0123456789ab",
        "openrouter.app.name": "Shop",
        "openrouter.tag.team": "search",
        "openrouter.outcome": "ok",
        "openrouter.route.fallback": "provider",
        "openrouter.route.policy": "default",
        "openrouter.finish_reason": "stop",
    }


def test_money_is_summed_exactly_and_in_disjoint_parts(emitter, reader, record):
    for _ in range(10):
        publish(emitter, record(cost=Cost(charged=Decimal("0.3"), input=Decimal("0.1"), is_byok=False)))

    found = by(reader, "openrouter.client.cost", "openrouter.cost.ledger", "openrouter.cost.part")
    assert found == {("openrouter", "input"): 1.0, ("openrouter", "other"): 2.0}


def test_both_ledgers_of_byok_are_counted(emitter, reader, record):
    publish(emitter, record(cost=Cost(charged=Decimal("0.05"), upstream=Decimal(1), is_byok=True)))

    found = by(reader, "openrouter.client.cost", "openrouter.cost.ledger", "openrouter.cost.part", "openrouter.billing")
    assert found == {("openrouter", "fee", "byok"): 0.05, ("upstream", "other", "byok"): 1.0}


def amendment(charged, **fields):
    return Amendment(
        amends=f"{1:032x}",
        generation_id="gen-1",
        learned_at_s=1_000_000_005.0,
        call_started_at_s=1_000_000_000.0,
        charged=Decimal(charged),
        is_byok=False,
        billing="credits",
        **fields,
    )


@pytest.fixture
def awaited(record, attempt):
    cancelled = attempt(unpriced="cancelled", outcome="cancelled", is_awaited=True)
    facts = {"provider": None, "model": None, "usage": None, "cost": None}
    return record(attempts=(cancelled,), unpriced="cancelled", outcome="cancelled", **facts)


def test_money_learned_later_is_added_to_counters_only(emitter, reader, awaited):
    publish(emitter, awaited)

    emitter.amend(awaited, amendment("0.5", served_provider="Azure", input_tokens=7, output_tokens=0))

    names = ("openrouter.outcome", "openrouter.cost.source", "openrouter.provider.name")
    assert by(reader, "openrouter.client.cost", *names) == {("cancelled", "generation", "Azure"): 0.5}
    assert by(reader, "openrouter.client.tokens", "openrouter.token.type") == {("input_fresh",): 7}
    assert points(reader, "openrouter.client.call.cost") == points(reader, "gen_ai.client.token.usage") == []
    assert points(reader, "openrouter.client.unpriced_calls") == []


def test_who_the_answer_named_stays_who_served_and_only_a_silence_is_filled(emitter, reader, record, attempt):
    told = record(attempts=(attempt(unpriced="not_reported"),), cost=None, provider="Azure")

    emitter.amend(told, amendment("0.5", served_provider="OpenAI"))

    assert by(reader, "openrouter.client.cost", "openrouter.provider.name") == {("Azure",): 0.5}


def test_money_of_an_attempt_that_the_call_does_not_know_is_counted_whole(emitter, reader, record):
    emitter.amend(record(attempts=()), amendment("0.5", input_tokens=7))

    assert by(reader, "openrouter.client.cost", "openrouter.cost.source") == {("generation",): 0.5}
    assert by(reader, "openrouter.client.tokens", "openrouter.token.type") == {("input_fresh",): 7}


def test_of_a_priced_attempt_only_what_is_more_is_added_and_nothing_is_taken_back(emitter, reader, record, attempt):
    told = record(attempts=(attempt(cost=Cost(charged=Decimal("0.3"), is_byok=False), usage=Usage(input_tokens=5)),))
    publish(emitter, told)
    before = sum(by(reader, "openrouter.client.cost", "openrouter.cost.source").values())

    emitter.amend(told, amendment("0.2", input_tokens=9))
    emitter.amend(told, amendment("0.5", input_tokens=9))

    found = by(reader, "openrouter.client.cost", "openrouter.cost.source")
    assert found[("generation",)] == 0.2
    assert sum(found.values()) == pytest.approx(before + 0.2)
    assert sum(by(reader, "openrouter.client.tokens", "openrouter.token.type").values()) == 120


def test_a_price_given_up_is_counted_as_unpriced_then_and_not_before(emitter, reader, awaited):
    publish(emitter, awaited)
    before = points(reader, "openrouter.client.unpriced_calls")

    emitter.give_up(awaited)

    assert before == []
    assert by(reader, "openrouter.client.unpriced_calls", "openrouter.unpriced.reason") == {("cancelled",): 1}


def test_a_price_that_nobody_asks_for_is_counted_at_once(emitter, reader, record, attempt):
    lost = attempt(1, unpriced="error", is_awaited=False)
    publish(
        emitter, record(attempts=(lost, attempt(2, unpriced="error", is_awaited=True)), unpriced="error", cost=None)
    )

    assert by(reader, "openrouter.client.unpriced_calls", "openrouter.unpriced.reason") == {("error",): 1}


def test_tokens_tools_and_attempts_are_counted_by_kind(emitter, reader, record, attempt):
    failed = attempt(1, status=429, failure=Failure(error_type="429", origin="upstream"))
    publish(emitter, record(attempts=(failed, attempt(2)), tool_calls=ToolCalls(valid=2, invalid_json=1)))

    assert by(reader, "openrouter.client.tokens", "openrouter.token.type") == {
        ("input_fresh",): 70,
        ("input_cache_read",): 30,
        ("output_text",): 15,
        ("output_reasoning",): 5,
    }
    assert by(reader, "openrouter.client.attempts", "openrouter.attempt.status") == {("429",): 1, ("200",): 1}
    assert by(reader, "openrouter.client.tool_calls", "openrouter.tool_call.outcome") == {
        ("valid",): 2,
        ("invalid_json",): 1,
    }


def test_upstream_tries_name_their_own_provider(emitter, reader, record):
    publish(emitter, record())

    found = by(reader, "openrouter.client.route_attempts", "openrouter.provider.name", "openrouter.attempt.status")
    assert found == {("OpenAI", "429"): 1, ("Azure", "200"): 1}


def test_a_single_upstream_try_counts_although_openrouter_lists_only_several(emitter, reader, record):
    once = Route(fallback="none", attempt_count=1)
    refused = Failure(error_type="429", origin="upstream", status=429, provider="OpenAI")
    publish(emitter, record(route=once))
    publish(emitter, record(route=once, outcome="error", failure=refused, cost=None))
    publish(emitter, record(route=Route(), provider=None))

    found = by(reader, "openrouter.client.route_attempts", "openrouter.provider.name", "openrouter.attempt.status")
    assert found == {("Azure", "200"): 1, ("OpenAI", "429"): 1}


def test_a_running_call_is_active_until_it_ends(emitter, reader, record):
    emission = emitter.begin(record().started)
    during = by(reader, "openrouter.client.active_calls", "gen_ai.request.model")
    emission.end(record(), None)
    after = by(reader, "openrouter.client.active_calls", "gen_ai.request.model")

    assert during == {("openai/gpt-5",): 1}
    assert after == {("openai/gpt-5",): 0}


def test_histograms_hold_each_call_once_with_few_attributes(emitter, reader, record):
    failure = Failure(error_type="429", origin="upstream")
    publish(emitter, record())
    publish(emitter, record(outcome="error", failure=failure, usage=None, cost=None, time_to_first_chunk_s=None))

    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": "openai/gpt-5",
        "openrouter.provider.name": "Azure",
    }
    found = {name: points(reader, name) for name in ("gen_ai.client.operation.duration", "gen_ai.client.token.usage")}
    assert [(told, point.sum) for told, point in found["gen_ai.client.operation.duration"]] == [
        (common, 2.0),
        (common | {"error.type": "429"}, 2.0),
    ]
    assert [(told, point.sum) for told, point in found["gen_ai.client.token.usage"]] == [
        (common | {"gen_ai.token.type": "input"}, 100),
        (common | {"gen_ai.token.type": "output"}, 20),
    ]
    ((told, cost),) = points(reader, "openrouter.client.call.cost")
    assert (told, cost.sum, cost.explicit_bounds) == (common, 0.003, catalogue.DOLLARS)
    ((_, rate),) = points(reader, "openrouter.client.output.rate")
    assert rate.sum == 19 / 1.5
    ((_, first),) = points(reader, "gen_ai.client.operation.time_to_first_chunk")
    assert first.sum == 0.5


def test_exemplars_point_at_the_call_s_span(emitter, reader, record):
    span_context = trace.SpanContext(7, 9, is_remote=False, trace_flags=trace.TraceFlags(1))
    context = trace.set_span_in_context(trace.NonRecordingSpan(span_context))

    publish(emitter, record(), context)

    ((_, point),) = points(reader, "gen_ai.client.operation.duration")
    assert [(each.trace_id, each.span_id) for each in point.exemplars] == [(7, 9)]


def test_every_instrument_is_a_row_of_the_catalogue(emitter, reader, record):
    publish(emitter, record(unpriced="billing_unknown", tool_calls=ToolCalls(valid=1)))

    rows = {metric.name: metric for metric in catalogue.METRICS if metric.source == "calls"}
    found = read(reader)
    assert set(rows) - set(found) == {"or_otel.telemetry.dropped", "or_otel.telemetry.folded", "or_otel.guard.faults"}
    for name, metric in found.items():
        assert (metric.unit, metric.description) == (rows[name].unit, rows[name].description)
        for told, _ in points(reader, name):
            allowed = set(rows[name].attributes)
            assert {key for key in told if not key.startswith("openrouter.tag.")} <= allowed


def test_our_own_health_is_told(provider, reader):
    Metrics(provider, version="1", faults=lambda: {"recorder.end": 3}, dropped=lambda: {"callbacks": 2})

    assert by(reader, "or_otel.guard.faults", "or_otel.module") == {("recorder.end",): 3}
    assert by(reader, "or_otel.telemetry.dropped", "or_otel.drop.reason") == {("callbacks",): 2}


def test_a_forked_child_begins_with_nothing(emitter, reader, record):
    publish(emitter, record())

    emitter.after_fork()

    assert points(reader, "openrouter.client.calls") == []
    publish(emitter, record())
    assert by(reader, "openrouter.client.calls") == {(): 1}


def test_instrumenting_again_goes_on_with_the_sums_of_before(provider, reader, record):
    publish(Metrics(provider, version="1"), record())

    publish(Metrics(provider, version="1"), record())

    assert by(reader, "openrouter.client.calls") == {(): 2}


def test_tags_beyond_their_limit_become_other_and_no_count_is_lost(emitter, reader, record, started):
    for number in range(250):
        publish(emitter, record(started=started(tags={"team": f"team-{number}"})))

    found = by(reader, "openrouter.client.calls", "openrouter.tag.team")
    assert len(found) == 201
    assert found["_OTHER",] == 50
    assert sum(found.values()) == 250
    assert sum(by(reader, "or_otel.telemetry.folded", "or_otel.fold.reason").values()) > 0


def test_no_instrument_makes_more_sets_than_the_sdk_keeps(emitter, reader, record, started):
    for number in range(2600):
        request = Request(model=f"model-{number % 499}")
        tags = {"team": f"team-{number % 199}", "feature": f"feature-{number % 7}"}
        publish(emitter, record(started=started(request=request, tags=tags), provider=f"provider-{number % 11}"))

    for name, metric in read(reader).items():
        assert len(metric.data.data_points) <= sums.MAX_SETS, name
    calls = points(reader, "openrouter.client.calls")
    assert sum(point.value for _, point in calls) == 2600
    assert not any("otel.metric.overflow" in told for told, _ in calls)
    spent = sum(point.value for _, point in points(reader, "openrouter.client.cost"))
    assert spent == pytest.approx(2600 * 0.003)


def test_threads_lose_no_count(emitter, reader, record):
    finished = record()
    threads = [Thread(target=lambda: [publish(emitter, finished) for _ in range(100)]) for _ in range(4)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert by(reader, "openrouter.client.calls") == {(): 400}
    assert sum(by(reader, "openrouter.client.cost", "openrouter.cost.part").values()) == pytest.approx(1.2)
