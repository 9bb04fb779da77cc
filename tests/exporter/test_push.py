from __future__ import annotations

import json
import os
import threading
from decimal import Decimal

import pytest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from or_otel import catalogue
from or_otel.account.readings import Reading
from or_otel.exporter import push as pushing
from or_otel.exporter.push import Push, metrics_data

READINGS = (
    Reading(catalogue.KEY_USAGE_LIFETIME, Decimal("0.25"), {"openrouter.key.name": "a"}),
    Reading(catalogue.ACTIVITY_REQUESTS, 7, {"openrouter.day": 1}),
    Reading(catalogue.POLL_ERRORS, 3, {"or_otel.endpoint": "keys"}),
)


def sent(sink):
    (request,) = sink.requests["/v1/metrics"]
    (resource,) = request.resource_metrics
    (scope,) = resource.scope_metrics
    return resource.resource, scope, {metric.name: metric for metric in scope.metrics}


@pytest.fixture
def push(sink, monkeypatch):
    # The SDK's exporter reads it itself.
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)

    def push(read=lambda: READINGS, **variables):
        made = Push({**os.environ, **variables}, read, version="1.2")
        made.send()
        return made

    return push


def test_readings_arrive_exactly_with_unit_and_kind(push, sink):
    push()

    resource, scope, metrics = sent(sink)
    assert {each.key: each.value.string_value for each in resource.attributes}["service.name"] == "or-otel-exporter"
    assert (scope.scope.name, scope.scope.version) == ("or_otel", "1.2")
    usage = metrics["openrouter.key.usage_lifetime"]
    (point,) = usage.gauge.data_points
    assert (point.as_double, usage.unit) == (0.25, "{USD}")
    (point,) = metrics["openrouter.activity.requests"].gauge.data_points
    assert (point.as_int, point.attributes[0].value.int_value) == (7, 1)


def test_a_lifetime_total_has_no_start_and_a_counter_has_one(push, sink):
    push()

    _, _, metrics = sent(sink)
    assert metrics["openrouter.key.usage_lifetime"].gauge.data_points[0].start_time_unix_nano == 0
    errors = metrics["or_otel.exporter.poll.errors"].sum
    assert errors.is_monotonic
    assert errors.data_points[0].start_time_unix_nano > 0


def test_what_is_known_at_the_end_is_sent_before_it_ends(push, sink):
    known = [()]
    made = push(read=lambda: known[0], OTEL_METRIC_EXPORT_INTERVAL="3600000")
    made.start()
    known[0] = READINGS

    made.stop()

    assert set(sent(sink)[2]) == {reading.metric.name for reading in READINGS}


@pytest.mark.parametrize(("told", "usual_s"), [("5", 3600.0), ("", 0.005)])
def test_readings_are_sent_again_and_again(push, monkeypatch, told, usual_s):
    monkeypatch.setattr(pushing, "INTERVAL_S", usual_s)
    asked, enough = [], threading.Event()

    def read():
        asked.append(1)
        if len(asked) > 3:
            enough.set()
        return READINGS

    made = push(read=read, OTEL_METRIC_EXPORT_INTERVAL=told)
    made.start()

    assert enough.wait(20)
    made.stop()


@pytest.mark.parametrize("variables", [{}, {"OTEL_METRICS_EXPORTER": ""}])
def test_without_an_exporter_or_an_address_it_is_otlp_to_where_the_sdk_sends(push, sink, monkeypatch, variables):
    monkeypatch.delenv("OTEL_METRICS_EXPORTER", raising=False)

    push(OTEL_EXPORTER_OTLP_ENDPOINT="", **variables)

    assert sent(sink)


def test_every_exporter_can_write_the_points_as_json():
    data = metrics_data(READINGS, Resource.get_empty(), InstrumentationScope("or_otel"), started_ns=1, now_ns=2)

    told = json.loads(data.to_json())["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    points = [point for metric in told for point in metric["data"]["data_points"]]
    assert [(point["value"], point["start_time_unix_nano"]) for point in points] == [(0.25, None), (7, None), (3, 1)]


def test_nothing_known_sends_nothing(push, sink):
    push(read=tuple)

    assert sink.requests["/v1/metrics"] == []


def test_sets_of_attributes_that_are_gone_leave_no_room_taken(push, sink):
    """An SDK meter would fold everything into one unnamed set by now."""
    day = [0]

    def read():
        return tuple(
            Reading(catalogue.ACTIVITY_REQUESTS, number, {"gen_ai.response.model": f"{day[0]} {number}"})
            for number in range(500)
        )

    made = push(read=read)
    for day[0] in range(1, 6):
        made.send()

    last = sink.requests["/v1/metrics"][-1].resource_metrics[0].scope_metrics[0].metrics[0]
    assert len(last.gauge.data_points) == 500
    assert {each.attributes[0].key for each in last.gauge.data_points} == {"gen_ai.response.model"}


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_METRIC_EXPORT_INTERVAL": "soon"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
        {"OTEL_METRICS_EXPORTER": "prometheus"},
    ],
)
def test_a_variable_that_says_nothing_known_is_refused(push, variables):
    with pytest.raises(ValueError, match="expected"):
        push(**variables)


def test_a_collector_that_is_away_is_survived(push, sink, caplog):
    made = push()
    sink.close()

    made.send()
