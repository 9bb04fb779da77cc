"""Fixtures that many tests share: the scripted OpenRouter, in-memory OpenTelemetry, captured records, an OTLP sink."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import threading
from collections import defaultdict
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import or_otel
from or_otel import guard
from or_otel.entries import Entry
from or_otel.simulator.server import ScriptedOpenRouter

try:
    from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
except ImportError:  # its name before SDK 1.39
    from opentelemetry.sdk._logs.export import InMemoryLogExporter as InMemoryLogRecordExporter

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Begun in the background (nohup, `&` in a script): what tests start would inherit it and never hear Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give all tests of files named `*_live.py` to one worker: they share weeks of traffic, made in minutes."""
    from xdist.scheduler import LoadGroupScheduling  # noqa: PLC0415 -- not in every environment

    class Together(LoadGroupScheduling):
        def _split_scope(self, nodeid):
            return "live" if nodeid.partition("::")[0].endswith("_live.py") else nodeid

    return Together(config, log)


REQUESTS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
}


@pytest.fixture(autouse=True)
def _nothing_is_left_behind():
    """No test leaves patches, a fault of ours, or a variable behind."""
    guard.reset()
    yield
    or_otel.uninstrument()
    assert not guard.faults, f"our own code failed behind the wall: {dict(guard.faults)}"


@pytest.fixture
def begin():
    """Start processes, as `subprocess.Popen` does; none outlives its test."""
    processes = []

    def start(command, **options):
        processes.append(subprocess.Popen(command, **options))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def openrouter():
    with ScriptedOpenRouter() as server:
        # What is asked here is rarely about keys; each test may come with one of its own.
        server.account.takes_strangers = True
        yield server


class Telemetry:
    """In-memory OpenTelemetry."""

    def __init__(self):
        self.span_exporter = InMemorySpanExporter()
        self.tracer_provider = TracerProvider(shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.span_exporter))
        self.reader = InMemoryMetricReader()
        self.meter_provider = MeterProvider([self.reader], shutdown_on_exit=False)
        self.log_exporter = InMemoryLogRecordExporter()
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.log_exporter))

    @property
    def providers(self):
        return {
            "tracer_provider": self.tracer_provider,
            "meter_provider": self.meter_provider,
            "logger_provider": self.logger_provider,
        }

    @property
    def spans(self):
        return self.span_exporter.get_finished_spans()

    @property
    def logs(self):
        return [each.log_record for each in self.log_exporter.get_finished_logs()]

    def points(self, name):
        """Give {attributes: value} of one metric; a histogram's value is its sum."""
        data = self.reader.get_metrics_data()
        found = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == name:
                        for point in metric.data.data_points:
                            key = tuple(sorted(point.attributes.items()))
                            found[key] = point.value if hasattr(point, "value") else point.sum
        return found


@pytest.fixture
def telemetry():
    return Telemetry()


def declared(server, provider="openrouter"):
    """Give the `hosts` option that makes a loopback server ours."""
    return {server.base_url.split("/")[2]: provider}


@pytest.fixture
def calls(openrouter, telemetry):
    """Instrument against the scripted server, and give the list that the records come to."""
    or_otel.instrument(**telemetry.providers, hosts=declared(openrouter))
    with or_otel.capture() as records:
        yield records


class Posts:
    """A server on loopback, to which something is posted."""

    def __init__(self):
        taken = self.taken

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                self.send_response(taken(self.path, body))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def taken(self, path, body):
        """Keep it, and give the status to answer with."""
        raise NotImplementedError

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Webhook(Posts):
    """What a webhook was sent, and how it answers: with which status, and when.

    `asked` holds all that came, `received` what was taken with 200.
    """

    def __init__(self):
        self.asked = []
        self.received = []
        self.status = 200
        self.came = threading.Condition()
        self.may_answer = threading.Event()
        self.may_answer.set()
        super().__init__()

    def taken(self, path, body):
        del path
        said = json.loads(body)
        with self.came:
            self.asked.append(said)
            self.came.notify_all()
        self.may_answer.wait(30)
        if self.status == 200:
            self.received.append(said)
        return self.status

    @property
    def apprise_url(self):
        """For Apprise's service `json://`, with something that no message may show."""
        return f"{self.url.replace('http', 'json')}/secret-path"

    @property
    def titles(self):
        return [each["title"] for each in self.received]

    def wait_for(self, count):
        """Give what was asked first, as soon as it is so many."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.asked) >= count, 60), self.asked
            return tuple(self.asked)

    def close(self):
        self.may_answer.set()
        super().close()


@pytest.fixture
def webhooks():
    """Give a function that makes one more webhook."""
    made = []

    def make():
        made.append(Webhook())
        return made[-1]

    yield make
    for hook in made:
        hook.close()


@pytest.fixture
def webhook(webhooks):
    return webhooks()


class Sink(Posts):
    """What an OTLP/HTTP receiver on loopback was sent."""

    def __init__(self):
        self.requests = defaultdict(list)
        self.bodies = []
        super().__init__()

    def taken(self, path, body):
        self.bodies.append(body)
        self.requests[path].append(REQUESTS[path].FromString(body))
        return 200

    def sums(self, name):
        """Give, by service instance, the last exported sum of one counter over all its attribute sets."""
        last = {}
        for request in self.requests["/v1/metrics"]:
            for resource in request.resource_metrics:
                instance = _attributes(resource.resource.attributes).get("service.instance.id")
                for scope in resource.scope_metrics:
                    for metric in scope.metrics:
                        if metric.name == name:
                            points = metric.sum.data_points or metric.gauge.data_points or metric.histogram.data_points
                            last[instance] = sum(
                                point.sum if hasattr(point, "bucket_counts") else point.as_double or point.as_int
                                for point in points
                            )
        return last

    def spans(self):
        """Give the names and attributes of all spans."""
        return [
            (span.name, _attributes(span.attributes))
            for request in self.requests["/v1/traces"]
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in pairs}


@pytest.fixture
def sink():
    sink = Sink()
    yield sink
    sink.close()


@pytest.fixture
def entry():
    """Make an entry: each one a call of its own, told apart by its number."""
    made = []

    def make(cost=None, **fields):
        made.append(None)
        number = len(made)
        defaults = {
            "call_id": f"call{number:028}",
            "attempt_id": f"attempt{number:025}",
            "number": 1,
            "attempt_count": 1,
            "is_last": True,
            "started_at_s": 1000.0 + number,
            "ended_at_s": 1002.0 + number,
            "call_started_at_s": 1000.0 + number,
            "duration_s": 2.0,
            "api": "chat",
            "operation": "chat",
            "server": "openrouter",
            "host": "openrouter.ai",
            "request_model": "openai/gpt-5-mini",
            "served_provider": "Azure",
            "outcome": "ok",
            "attempt_outcome": "ok",
            "is_byok": False,
            "billing": "credits",
            "charged": None if cost is None else Decimal(cost),
        }
        return Entry(**defaults | fields)

    return make
