"""Prometheus, the trace store and the collector go away, the last by a crash: what was acknowledged is not lost."""

from __future__ import annotations

import math
import time
from decimal import Decimal

import pytest

from or_otel import catalogue
from or_otel.dashboards.rulefiles import alerts
from or_otel.dashboards.rules import Choices

CLIENT = catalogue.prometheus_name(catalogue.COST)
SPANS = "openrouter_spans_cost_total"
EVERY_RUN = f"sum(last_over_time({SPANS}[1h]))"
"""Each run of the collector has its own `instance` and begins at zero, so their last values add up."""


OUTAGE_S = 30.0


def test_a_crash_of_the_collector_while_both_stores_are_away_loses_nothing(stack, store, service, openrouter):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(dear=3)
    assert watched.flush()
    stack.settled(EVERY_RUN, openrouter.book.total())

    stack.stop("prometheus")
    store.go()
    began_s = time.monotonic()

    def spends_until(after_s):
        """Make calls, each acknowledged, until so much of the outage is over."""

        def spends():
            watched.ask(dear=1)
            assert watched.flush()
            return time.monotonic() - began_s > after_s

        assert stack.until(spends)

    spends_until(OUTAGE_S / 2)
    # The lane of the money is empty when all spans have come out of it and become metrics; the spans are in the queue
    # for the store. Before that moment a crash may count a request twice, never leave it out.
    calls = len(openrouter.book.entries)
    assert stack.until(lambda: stack.own("otelcol_exporter_sent_spans", exporter="otlp_grpc/money") == calls)
    assert stack.until(lambda: stack.own("otelcol_exporter_queue_size", exporter="otlp_grpc/money") == 0)
    assert stack.until(lambda: stack.own("otelcol_exporter_queue_size", exporter="otlp_grpc/tempo") > 0)
    stack.kill("collector")

    stack.start("collector")
    spends_until(OUTAGE_S)
    store.come()
    stack.start("prometheus")

    billed = openrouter.book.total()
    calls = len(openrouter.book.entries)
    assert billed == calls * Decimal("0.0625")
    assert stack.settled(EVERY_RUN, billed) == pytest.approx(float(billed), rel=1e-9)
    assert stack.settled(f"sum({CLIENT})", billed) == pytest.approx(float(billed), rel=1e-9)
    assert stack.until(lambda: len(store.costs()) == calls)
    assert math.fsum(store.costs()) == pytest.approx(float(billed), rel=1e-9)
    assert len(stack.query(f"count by (instance) (last_over_time({SPANS}[1h]))")) == 2


def test_a_service_is_not_held_up_while_both_stores_are_away(stack, store, service, openrouter):
    stack.start("collector")
    store.go()
    watched = service()

    watched.ask(dear=1)

    assert watched.flush()
    store.come()
    stack.start("prometheus")
    assert stack.until(lambda: len(store.costs()) == 1)
    assert stack.settled(EVERY_RUN, "0.0625") == pytest.approx(0.0625, rel=1e-9)


def test_a_store_that_is_away_is_told_of_although_the_collector_retries_without_end(stack, store, service, tmp_path):
    prometheus = tmp_path / "prometheus.yml"
    prometheus.write_text(prometheus.read_text().replace("scrape_interval: 30s", "scrape_interval: 1s"))
    (failing,) = [alert.expr for alert in alerts(Choices()) if alert.name == "OrOtelCollectorFailing"]
    stack.start("prometheus", "collector")
    store.go()
    watched = service()
    watched.ask(dear=1)
    assert watched.flush()

    def undelivered():
        return {labels["exporter"] for labels, _ in stack.query(failing)}

    assert stack.until(lambda: undelivered() == {"otlp_grpc/tempo"})
    store.come()
    assert stack.until(lambda: undelivered() == set())


def test_money_that_was_acknowledged_at_the_moment_of_a_crash_is_counted(stack, store, service, openrouter):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(dear=4)
    assert watched.flush()
    stack.kill("collector")

    stack.start("collector")

    assert stack.settled(EVERY_RUN, openrouter.book.total()) == pytest.approx(0.25, rel=1e-9)
    assert stack.settled(f"sum({CLIENT})", openrouter.book.total()) == pytest.approx(0.25, rel=1e-9)
