"""The page that Prometheus scrapes, and the one that tells how it goes: readings in, HTTP out.

Names and labels come from the catalogue. Written from the readings of the moment and not through an SDK meter: a meter
never forgets a set of attributes, and after some months of new models would fold new ones into an unnamed set
(its limit of 2,000 counts every set ever seen). So the page holds neither `_created`, `target_info` nor labels of
an instrumentation scope. Listens on loopback unless told otherwise; asks for no password.
Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from or_otel.account.readings import Reading
from or_otel.catalogue import Metric, prometheus_label, prometheus_name
from or_otel.exporter.health import Health, to_json
from or_otel.guard import guarded

METRICS_PATH = "/metrics"
HEALTH_PATH = "/healthz"
CLIENT_TIMEOUT_S = 10.0
STOP_CHECK_S = 0.1

Read = Callable[[], Iterable[Reading]]


class Families(Collector):
    """Readings as Prometheus families.

    Args:
        read: Gives the readings of the moment.
    """

    def __init__(self, read: Read) -> None:
        self._read = guarded("exporter.page", default=())(read)

    def collect(self) -> Iterator[Family]:
        """Give one family for each metric."""
        families: dict[str, tuple[Metric, list[Reading]]] = {}
        for reading in self._read():
            families.setdefault(reading.metric.name, (reading.metric, []))[1].append(reading)
        for metric, readings in families.values():
            yield _family(metric, readings)

    def describe(self) -> Iterable[Family]:
        """Give nothing, so that registering reads nothing."""
        return ()


def _family(metric: Metric, readings: list[Reading]) -> Family:
    names = sorted({name for reading in readings for name in reading.attributes})
    kind = CounterMetricFamily if metric.kind == "observable_counter" else GaugeMetricFamily
    family = kind(prometheus_name(metric), metric.description, labels=[prometheus_label(name) for name in names])
    for reading in readings:
        # An empty label is an absent one to Prometheus.
        labels = [str(reading.attributes.get(name, "")) for name in names]
        family.add_metric(labels, float(reading.value))
    return family


class Page:
    """Serves both pages on a thread of its own.

    Args:
        host, port: Where; port 0 takes a free one.
        read: Gives the readings of the moment; None serves no metrics.
        health: Says how it goes.

    Raises:
        OSError: The address cannot be had.
    """

    def __init__(self, host: str, port: int, *, read: Read | None, health: Callable[[], Health]) -> None:
        metrics = None
        if read is not None:
            registry = CollectorRegistry()
            registry.register(Families(read))
            metrics = make_wsgi_app(registry)

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            path, method = environ.get("PATH_INFO", ""), environ.get("REQUEST_METHOD")
            if method == "HEAD":
                # What GET would answer, without its body; the application of the metrics refuses it.
                answer({**environ, "REQUEST_METHOD": "GET"}, start)
                # Not a tuple: the server would tell that the page has no content.
                return iter([b""])
            if method != "GET":
                return _text(start, "405 Method Not Allowed", "only GET\n")
            if path == METRICS_PATH and metrics is not None:
                return metrics(environ, start)  # type: ignore[no-any-return]
            if path == HEALTH_PATH:
                told = health()
                status = "200 OK" if told.is_ok else "503 Service Unavailable"
                return _text(start, status, json.dumps(to_json(told), indent=2) + "\n", "application/json")
            pages = f"{METRICS_PATH} and {HEALTH_PATH}" if metrics is not None else HEALTH_PATH
            return _text(start, "404 Not Found", f"or-otel exporter: {pages}\n")

        self._server = make_server(host, port, answer, _server_class(host), _Quiet)
        self.port = self._server.server_port

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(
            target=self._server.serve_forever, args=(STOP_CHECK_S,), name="or-otel-page", daemon=True
        ).start()

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()


def _text(start: Callable[..., Any], status: str, text: str, kind: str = "text/plain") -> Iterable[bytes]:
    body = text.encode()
    start(status, [("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]


def _server_class(host: str) -> type[WSGIServer]:
    import socket  # noqa: PLC0415

    class Threads(ThreadingMixIn, WSGIServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def server_bind(self) -> None:
            # Without asking a name server for the name of this host, as the inherited one does.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()
            self.server_name, self.server_port = host, self.server_address[1]
            self.setup_environ()

    return Threads


class _Quiet(WSGIRequestHandler):
    """Logs nothing; gives up on a client that sends nothing."""

    timeout = CLIENT_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the inherited name
        """Say nothing."""
