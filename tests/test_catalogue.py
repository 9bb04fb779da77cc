"""The catalogue, its Prometheus spelling and its documented table."""

from __future__ import annotations

from pathlib import Path

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CollectorRegistry

from or_otel import catalogue
from or_otel.catalogue import METRICS, prometheus_label, prometheus_name, prometheus_series

CREATE = {
    "counter": "create_counter",
    "gauge": "create_gauge",
    "histogram": "create_histogram",
    "observable_counter": "create_observable_counter",
    "observable_gauge": "create_observable_gauge",
}


def test_the_documented_table_is_the_generated_one():
    documented = Path(__file__).parents[1] / "docs" / "metrics.md"

    assert documented.read_bytes() == catalogue.markdown().encode()


def test_names_and_descriptions_are_unique():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    assert len({metric.description for metric in METRICS}) == len(METRICS)


def test_every_histogram_and_nothing_else_has_rising_boundaries():
    for metric in METRICS:
        assert bool(metric.buckets) == (metric.kind == "histogram"), metric.name
        assert list(metric.buckets) == sorted(set(metric.buckets)), metric.name


def test_money_boundaries_go_from_a_millionth_to_ten_dollars():
    assert (catalogue.DOLLARS[0], catalogue.DOLLARS[-1], len(catalogue.DOLLARS)) == (1e-6, 10.0, 22)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_prometheus_spelling_is_the_exporter_s(metric):
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    meter = MeterProvider([reader], shutdown_on_exit=False).get_meter("test")
    create = getattr(meter, CREATE[metric.kind])
    if metric.kind.startswith("observable"):
        create(metric.name, callbacks=[lambda _: [_observation()]], unit=metric.unit)
    else:
        instrument = create(metric.name, unit=metric.unit)
        getattr(instrument, {"counter": "add", "gauge": "set", "histogram": "record"}[metric.kind])(1)

    found = {sample.name for family in registry.collect() for sample in family.samples} - {"target_info"}

    assert found == set(prometheus_series(metric))
    reader.shutdown()


def _observation():
    from opentelemetry.metrics import Observation  # noqa: PLC0415

    return Observation(1)


def test_some_spellings_by_heart():
    assert prometheus_name(catalogue.COST) == "openrouter_client_cost_total"
    assert prometheus_name(catalogue.OPERATION_DURATION) == "gen_ai_client_operation_duration_seconds"
    assert prometheus_name(catalogue.OUTPUT_RATE) == "openrouter_client_output_rate_per_second"
    assert prometheus_label("openrouter.cost.ledger") == "openrouter_cost_ledger"
