"""Prometheus, the trace store and the collector go away, the last by a crash: what was acknowledged is not lost."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from or_otel import catalogue

CLIENT = catalogue.prometheus_name(catalogue.COST)
SPANS = "openrouter_spans_cost_total"
EVERY_RUN = f"sum(last_over_time({SPANS}[1h]))"
"""Each run of the collector has its own `instance` and begins at zero, so their last values add up."""


def test_a_crash_of_the_collector_while_both_stores_are_away_loses_nothing(stack, store, service, openrouter):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(dear=3)
    assert watched.flush()
    stack.settled(EVERY_RUN, openrouter.book.total())

    stack.stop("prometheus")
    store.go()
    watched.ask(dear=4)
    assert watched.flush()
    # The lane of the money is empty when all seven spans have come out of it and become metrics; the spans are in the
    # queue for the store. Before that moment a crash may count a request twice, never leave it out.
    assert stack.until(lambda: stack.own("otelcol_exporter_sent_spans", exporter="otlp_grpc/money") == 7)
    assert stack.until(lambda: stack.own("otelcol_exporter_queue_size", exporter="otlp_grpc/money") == 0)
    assert stack.until(lambda: stack.own("otelcol_exporter_queue_size", exporter="otlp_grpc/tempo") > 0)
    stack.kill("collector")

    stack.start("collector")
    watched.ask(dear=2)
    assert watched.flush()
    store.come()
    stack.start("prometheus")

    billed = openrouter.book.total()
    assert billed == 9 * Decimal("0.0625")
    assert stack.settled(EVERY_RUN, billed) == pytest.approx(float(billed), rel=1e-9)
    assert stack.settled(f"sum({CLIENT})", billed) == pytest.approx(float(billed), rel=1e-9)
    assert stack.until(lambda: len(store.costs()) == 9)
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


def test_money_that_was_acknowledged_at_the_moment_of_a_crash_is_counted(stack, store, service, openrouter):
    stack.start("prometheus", "collector")
    watched = service()
    watched.ask(dear=4)
    assert watched.flush()
    stack.kill("collector")

    stack.start("collector")

    assert stack.settled(EVERY_RUN, openrouter.book.total()) == pytest.approx(0.25, rel=1e-9)
    assert stack.settled(f"sum({CLIENT})", openrouter.book.total()) == pytest.approx(0.25, rel=1e-9)
