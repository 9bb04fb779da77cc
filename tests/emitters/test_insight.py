"""Derived counters with the real SDK."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from or_otel import catalogue
from or_otel.calls import Amendment, Insight
from or_otel.emitters.metrics import Metrics
from or_otel.facts import Cost

ONE = Cost(charged=Decimal(1), is_byok=False)


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def emitter(reader):
    return Metrics(MeterProvider([reader], shutdown_on_exit=False), version="1", faults=dict)


def publish(emitter, record):
    emitter.begin(record.started).end(record, None)


def by(reader, metric, *attributes):
    (resource,) = reader.get_metrics_data().resource_metrics
    found = [each for each in resource.scope_metrics[0].metrics if each.name == metric.name]
    return {
        tuple(point.attributes.get(name) for name in attributes): point.value
        for each in found
        for point in each.data.data_points
    }


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"outcome": "cancelled", "insight": Insight(is_retry_loop=True)}, "cancelled"),
        ({"outcome": "error", "finish_reasons": ("length",)}, "error"),
        ({"finish_reasons": ("length", "stop"), "insight": Insight(is_retry_loop=True)}, "truncated"),
        ({"insight": Insight(is_retry_loop=True)}, "retry_loop"),
    ],
)
def test_money_is_wasted_for_the_first_reason_that_applies(emitter, reader, record, attempt, changes, kind):
    publish(emitter, record(attempts=(attempt(cost=ONE),), cost=ONE, **changes))

    assert by(reader, catalogue.WASTE, "openrouter.waste.kind", "openrouter.tag.team") == {(kind, "search"): 1.0}


def test_of_a_call_that_succeeded_at_last_only_the_failed_attempts_are_waste(emitter, reader, record, attempt):
    attempts = (attempt(1, outcome="error", cost=Cost(charged=Decimal("0.2"))), attempt(2, cost=ONE))

    publish(emitter, record(attempts=attempts, cost=Cost(charged=Decimal("1.2"))))

    assert by(reader, catalogue.WASTE, "openrouter.waste.kind") == {("error",): 0.2}


def test_a_good_call_wastes_nothing(emitter, reader, record, attempt):
    publish(emitter, record(attempts=(attempt(cost=ONE),), cost=ONE))

    assert by(reader, catalogue.WASTE) == {}


def test_waste_is_both_ledgers_money(emitter, reader, record, attempt):
    cost = Cost(charged=Decimal("0.05"), upstream=Decimal(1), is_byok=True)

    publish(emitter, record(attempts=(attempt(outcome="cancelled", cost=cost),), cost=cost, outcome="cancelled"))

    assert by(reader, catalogue.WASTE, "openrouter.waste.kind") == {("cancelled",): 1.05}


def test_what_a_cancelled_call_cost_is_waste_also_when_it_is_learned_later(emitter, reader, record, attempt):
    cancelled = attempt(outcome="cancelled", unpriced="cancelled", is_awaited=True)
    call = record(attempts=(cancelled,), cost=None, outcome="cancelled", unpriced="cancelled")
    publish(emitter, call)

    emitter.amend(
        call,
        Amendment(
            amends=cancelled.id,
            generation_id="gen-1",
            learned_at_s=5.0,
            call_started_at_s=0.0,
            charged=Decimal("0.5"),
            is_byok=False,
        ),
    )

    assert by(reader, catalogue.WASTE, "openrouter.waste.kind") == {("cancelled",): 0.5}


def test_what_caches_did_is_counted(emitter, reader, record):
    insight = Insight(missed_tokens=1500, cache_saved=Decimal("0.25"), cache_premium=Decimal("0.125"))

    for _ in range(2):
        publish(emitter, record(insight=insight))

    assert by(reader, catalogue.CACHE_SAVINGS) == {(): 0.5}
    assert by(reader, catalogue.CACHE_WRITE_PREMIUM) == {(): 0.25}
    assert by(reader, catalogue.CACHE_MISSED_TOKENS) == {(): 3000}
    assert by(reader, catalogue.OVERSIZED_CALLS) == {}


def test_a_cache_that_cost_more_than_it_saved_lets_no_counter_fall(emitter, reader, record):
    publish(emitter, record(insight=Insight(cache_saved=Decimal(-1), cache_premium=Decimal(-1))))

    assert by(reader, catalogue.CACHE_SAVINGS) == by(reader, catalogue.CACHE_WRITE_PREMIUM) == {(): 0}


def test_oversized_calls_and_each_broken_rule_are_counted(emitter, reader, record):
    publish(emitter, record(insight=Insight(is_oversized=True), violated=("eu/provider", "eu/zdr")))
    publish(emitter, record(violated=("eu/zdr",)))

    assert by(reader, catalogue.OVERSIZED_CALLS) == {(): 1}
    rules = by(reader, catalogue.POLICY_VIOLATIONS, "openrouter.policy.rule")
    assert rules == {("eu/provider",): 1, ("eu/zdr",): 2}


def test_every_derived_instrument_is_a_row_of_the_catalogue(emitter, reader, record, attempt):
    insight = Insight(
        is_retry_loop=True,
        is_oversized=True,
        missed_tokens=1,
        cache_saved=Decimal(1),
        cache_premium=Decimal(1),
    )
    call = record(attempts=(attempt(cost=ONE),), cost=ONE, insight=insight, violated=("a/zdr",))
    publish(emitter, replace(call))

    (resource,) = reader.get_metrics_data().resource_metrics
    found = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    for row in (
        catalogue.WASTE,
        catalogue.CACHE_SAVINGS,
        catalogue.CACHE_WRITE_PREMIUM,
        catalogue.CACHE_MISSED_TOKENS,
        catalogue.OVERSIZED_CALLS,
        catalogue.POLICY_VIOLATIONS,
    ):
        assert (found[row.name].unit, found[row.name].description) == (row.unit, row.description)
        (point,) = found[row.name].data.data_points
        assert {name for name in point.attributes if not name.startswith("openrouter.tag.")} <= set(row.attributes)
