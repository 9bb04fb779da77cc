"""From a call to Prometheus through the real collector: names, labels and, above all, the money."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from or_otel import catalogue
from or_otel.simulator.workload import run_workload

CLIENT = catalogue.prometheus_name(catalogue.COST)
SPANS = "openrouter_spans_cost_total"
OF_PROCESS = {"__name__", "job", "instance", "service_name", "service_namespace", "service_version"}

JOBS = """
# Everything is imported before the fork: a hundred interpreters would take a minute to start.
import os, sys
import httpx, requests
import opentelemetry.exporter.otlp.proto.http.metric_exporter, opentelemetry.exporter.otlp.proto.http.trace_exporter
import or_otel, or_otel.pipelines, or_otel.instrumentor

def job():
    or_otel.start(ledger="off")
    body = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": "Bearer sk-or-v1-job"}
    url = os.environ["BASE_URL"] + "/chat/completions"
    httpx.post(url, json=body, headers=headers, verify=False).raise_for_status()

at_once, rounds = int(sys.argv[1]), int(sys.argv[2])
for _ in range(rounds):
    children = []
    for _ in range(at_once):
        child = os.fork()
        if child == 0:
            job()
            sys.exit()
        children.append(child)
    for child in children:
        assert os.waitpid(child, 0)[1] == 0
"""


def run_jobs(stack, openrouter, tmp_path, *, at_once, rounds):
    """Run one-shot processes: each starts OpenTelemetry, makes one call and is gone."""
    path = tmp_path / "jobs.py"
    path.write_text(JOBS)
    environ = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "BASE_URL": openrouter.base_url,
        "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
        "OTEL_SERVICE_NAME": "nightly",
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.endpoint,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "20",
        "OTEL_LOGS_EXPORTER": "none",
    }
    command = [sys.executable, "-W", "ignore::DeprecationWarning", str(path), str(at_once), str(rounds)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr


def test_every_metric_of_a_workload_has_the_catalogues_name_and_labels(stack, store, service, openrouter):
    pytest.importorskip("openai")
    stack.start("prometheus", "collector")
    watched = service()
    run_workload(openrouter.base_url)
    assert watched.flush()
    stack.settled(f"sum({CLIENT})", sum(record_cost(watched.seen)))

    rows = {row.name: row for row in catalogue.METRICS}
    emitted = {name: keys for name, keys in seen_of(watched.seen).items() if name in rows}
    assert len(emitted) > 10
    for name, keys in emitted.items():
        for series in catalogue.prometheus_series(rows[name]):
            found = [labels for labels, _ in stack.query(series)]
            assert found, f"{series} is not in Prometheus"
            labels = set().union(*found) - OF_PROCESS - {"le"}
            assert labels == {catalogue.prometheus_label(key) for key in keys}, series


def test_an_exemplar_leads_from_what_a_call_cost_to_its_trace(stack, store, service):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(dear=1)
    assert watched.flush()
    assert stack.until(lambda: store.spans)

    url = f"http://127.0.0.1:{stack.ports.prometheus}/api/v1/query_exemplars"
    found = stack.until(
        lambda: stack.fetched(url, query="openrouter_client_call_cost_bucket", start=0, end=4e9)["data"]
    )
    traces = {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}
    assert traces == {span.trace_id.hex() for span in store.spans.values()}


def test_a_hundred_one_shot_jobs_are_counted_exactly(stack, store, openrouter, tmp_path):
    stack.start("prometheus", "collector")

    run_jobs(stack, openrouter, tmp_path, at_once=20, rounds=5)

    billed = openrouter.book.total()
    assert len(openrouter.book.entries) == 100
    assert stack.settled(f"sum({SPANS})", billed) == pytest.approx(float(billed), rel=1e-9)
    assert stack.settled(f"sum({CLIENT})", billed) == pytest.approx(float(billed), rel=1e-9)
    # One writer, one series, whoever sent: this is what makes it countable over time.
    assert len(stack.query(SPANS)) == 1
    assert len(stack.query(f"count by (instance) ({CLIENT})")) == 100


def test_requests_at_the_same_moment_are_all_counted(stack, store):
    stack.start("prometheus", "collector")
    per_thread, threads, cost = 250, 16, 0.25

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda number: send_spans(stack.endpoint, number, per_thread, cost), range(threads)))

    expected = per_thread * threads * cost
    assert stack.settled(f"sum({SPANS})", expected) == expected


def send_spans(endpoint, number, count, cost):
    """Send requests of one span each, as fast as they are acknowledged."""
    key, model = "openrouter.cost.total", "gen_ai.request.model"
    with httpx.Client() as client:
        for each in range(count):
            span = Span(name="chat", trace_id=bytes([number]) * 14 + each.to_bytes(2), span_id=b"parallel")
            span.attributes.add(key=key).value.double_value = cost
            span.attributes.add(key=model).value.string_value = "m"
            request = ExportTraceServiceRequest()
            request.resource_spans.add().scope_spans.add().spans.append(span)
            headers = {"content-type": "application/x-protobuf"}
            body = request.SerializeToString()
            client.post(f"{endpoint}/v1/traces", content=body, headers=headers).raise_for_status()


def test_the_spans_counter_has_its_rows_labels_and_no_others(stack, store, service):
    stack.start("prometheus", "collector")
    watched = service(**{"deployment.environment.name": "harbour"})
    watched.ask(cheap=1)
    assert watched.flush()

    (labels, _), *more = stack.until(lambda: stack.query(SPANS))
    row = next(row for row in catalogue.METRICS if row.name == "openrouter.spans.cost")
    assert not more
    assert set(labels) - OF_PROCESS <= {catalogue.prometheus_label(name) for name in row.attributes}
    assert labels["deployment_environment_name"] == "harbour"
    assert labels["job"] == "pilots"
    assert labels["instance"] != "1"


def test_sampling_keeps_dear_and_failed_calls_and_changes_no_money(stack, store, service, openrouter):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(cheap=200, dear=3, failed=3)
    assert watched.flush()

    billed = openrouter.book.total()
    assert stack.settled(f"sum({SPANS})", billed) == pytest.approx(float(billed), rel=1e-9)
    assert stack.until(lambda: stack.own("otelcol_exporter_sent_spans", exporter="otlp_grpc/tempo") == len(store.spans))
    spans = list(store.spans.values())
    cheap = [cost for cost in store.costs() if cost < 0.05]
    assert len([cost for cost in store.costs() if cost >= 0.05]) == 3
    assert len([span for span in spans if span.status.code == span.status.STATUS_CODE_ERROR]) == 3
    # Chance keeps a tenth: fewer than 2 or more than 60 of 200 never come in a million runs.
    assert 2 <= len(cheap) <= 60


def seen_of(reader):
    """Give the metrics that the SDK told: name → attribute names."""
    found = {}
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    found.setdefault(metric.name, set()).update(point.attributes)
    return found


def record_cost(reader):
    """Give the money that the SDK told, point by point."""
    for resource in reader.get_metrics_data().resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == catalogue.COST.name:
                    yield from (point.value for point in metric.data.data_points)
