"""Trouble staged by real causes: a collector that can neither take nor deliver everything.

The shipped collector, its queues short, is alone at first: what foreign programs send fills the queues, and of the rest
it says so. Then there is a Prometheus, which takes no deltas, and a store of traces that takes nothing: what had waited
is lost. Formats: https://opentelemetry.io/docs/specs/otlp/ (JSON over HTTP, gRPC).
"""

from __future__ import annotations

import json
import secrets
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import grpc

from live.prometheus import LongMemory, Prometheus

QUEUE = 50
"""Requests that the collector keeps for whom it cannot reach."""
SENT = 2 * QUEUE
OK, UNAVAILABLE = 200, 503
FAILED, DELTA = 2, 1
"""Status of a span, temporality of a sum."""


class UpsetStack(LongMemory):
    """A stack whose collector has short queues, and a store of traces behind it that takes nothing."""

    def __init__(self, folder, *, rules):
        super().__init__(folder, rules=rules)
        self.replace("collector.yaml", "queue_size: 100000", f"queue_size: {QUEUE}")
        self._store = None

    def start_upset(self, prometheus: Prometheus) -> Mapping[str, int]:
        """Start collector and Prometheus.

        Returns:
            What the collector's own counters must tell from now on: name → sum.

        Raises:
            RuntimeError: They do not.
        """
        self.start("collector")
        points = Counter(self._send("metrics", _deltas()) for _ in range(SENT))
        self._send("traces", _failed_spans(SENT))
        self.start("prometheus")
        self._store = _refusing_store(self.ports.tempo_otlp)
        told = {
            "otelcol_exporter_enqueue_failed_metric_points": points[UNAVAILABLE],
            "otelcol_exporter_enqueue_failed_spans": SENT - QUEUE,
            "otelcol_receiver_refused_metric_points": points[UNAVAILABLE],
        }
        lost = {
            "otelcol_exporter_send_failed_metric_points": points[OK],
            "otelcol_exporter_send_failed_spans": QUEUE,
        }
        _wait_for(prometheus, told | lost)
        # Once more: a counter is first seen with what it has, and grows from then on.
        self._send("metrics", _deltas())
        self._send("traces", _failed_spans(1))
        lost = {name: count + 1 for name, count in lost.items()}
        _wait_for(prometheus, lost)
        return told | lost

    def _send(self, signal: str, body: object) -> int:
        url = f"http://127.0.0.1:{self.ports.otlp_http}/v1/{signal}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def stop_all(self):
        """End everything."""
        super().stop_all()
        if self._store is not None:
            self._store.stop(None)


def _wait_for(prometheus, told):
    for name, count in told.items():
        prometheus.wait_for(f"sum({name})", count)


def _times():
    now_ns = time.time_ns()
    return {"startTimeUnixNano": str(now_ns - 10**9), "timeUnixNano": str(now_ns), "endTimeUnixNano": str(now_ns)}


def _deltas():
    """Give a foreign program's sum as a delta, which Prometheus refuses for good."""
    grown = {"aggregationTemporality": DELTA, "isMonotonic": True, "dataPoints": [{"asInt": "3", **_times()}]}
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "jobs", "sum": grown}]}]}]}


def _failed_spans(count):
    """Give spans of as many traces, each to be stored at once since it failed."""
    spans = [
        {
            "traceId": secrets.token_hex(16),
            "spanId": secrets.token_hex(8),
            "name": "job",
            "status": {"code": FAILED},
            **_times(),
        }
        for _ in range(count)
    ]
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


class _Refusing(grpc.GenericRpcHandler):
    """Calls every request invalid, which nobody may repeat."""

    def service(self, handler_call_details):
        del handler_call_details
        return grpc.unary_unary_rpc_method_handler(
            lambda _, context: context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no spans today")
        )


def _refusing_store(port: int) -> grpc.Server:
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((_Refusing(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server
