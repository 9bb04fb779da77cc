"""Fixtures of the stack's tests: real programs on loopback with the shipped files, and clients that feed them."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import grpc
import httpx
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import or_otel
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer

ROOT = Path(__file__).resolve().parents[2]
STACK = ROOT / "stack"
WAIT_S = 90.0
NEVER_MS = 86_400_000
CHEAP = {"input_cost": Decimal("0.0002"), "output_cost": Decimal("0.00005")}
DEAR = {"input_cost": Decimal("0.05"), "output_cost": Decimal("0.0125")}
QUESTION = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "Who pilots tonight?"}]}


def load(name):
    """Import a program of stack/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"stack_{name}", STACK / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


native = load("native")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
DEMO_ENV = dict(re.findall(r"^(\w+)=(.*)$", load("prepare").DEMO_ENV, re.MULTILINE))
OURS = {"demo", "exporter"}
"""Parts of the compose file that are this package."""


@pytest.fixture(name="native")
def native_program():
    """The program that starts the stack."""
    return native


@pytest.fixture
def prepare():
    """The program that writes what compose wants."""
    return load("prepare")


def until(told, timeout_s=WAIT_S):
    """Ask other programs until they tell something true, and give it."""
    end_s = time.monotonic() + timeout_s
    while True:
        found = told()
        if found or time.monotonic() > end_s:
            return found
        time.sleep(0.1)


def fetched(url, **query):
    """Give the JSON of a page."""
    if query:
        url += "?" + urllib.parse.urlencode(query)
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


class Running(native.Stack):
    """The stack, our own parts of docker-compose.yml with it, and what may be asked of it."""

    def command(self, part):
        """Give how a part is started; ours as docker-compose.yml says, only with other addresses and folders."""
        if part not in OURS:
            return super().command(part)
        service, ports = COMPOSE["services"][part], self.ports
        replacements = {
            "0.0.0.0:9877": f"127.0.0.1:{ports.exporter}",
            "0.0.0.0": "127.0.0.1",
            "8080": str(ports.demo),
            "http://collector:4318": self.endpoint,
            "http://demo:": "http://127.0.0.1:",
            "/run/secrets": f"{self.folder}/secrets",
            "/var/lib/or-otel": f"{self.folder}/or-otel",
            "/etc/or-otel/or-otel.toml": str(STACK / "demo.toml"),
        }

        def put(text):
            # As compose does with what `make stack-demo-env` wrote.
            text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: DEMO_ENV.get(found[1], found[2]), text)
            for old, new in replacements.items():
                text = text.replace(old, new)
            return text

        environment = [f"{name}={put(value)}" for name, value in service.get("environment", {}).items()]
        program = Path(sys.executable).with_name("or-otel")
        return ["env", "-i", f"PATH={os.environ['PATH']}", *environment, str(program), *map(put, service["command"])]

    def ready_url(self, part):
        if part not in OURS:
            return super().ready_url(part)
        return {
            "exporter": f"http://127.0.0.1:{self.ports.exporter}/healthz",
            "demo": f"http://127.0.0.1:{self.ports.demo}/api/v1/models",
        }[part]

    def query(self, expr):
        """Give what an instant query finds: labels and value."""
        url = f"http://127.0.0.1:{self.ports.prometheus}/api/v1/query"
        return [(each["metric"], float(each["value"][1])) for each in fetched(url, query=expr)["data"]["result"]]

    def value(self, expr):
        """Give one number, or None."""
        found = self.query(expr)
        return found[0][1] if found else None

    def settled(self, expr, expected):
        """Wait until a query gives a number; give what it gives."""
        expected = float(expected)
        until(lambda: (found := self.value(expr)) is not None and abs(found - expected) <= 1e-9 * abs(expected))
        return self.value(expr)

    def own(self, name, **labels):
        """Give the sum of one of the collector's own metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports.collector_metrics}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(f"{name}{{") and all(each in line for each in wanted)
        )

    @property
    def endpoint(self):
        return f"http://127.0.0.1:{self.ports.otlp_http}"

    until = staticmethod(until)
    fetched = staticmethod(fetched)


@pytest.fixture
def stack(request, tmp_path):
    """The stack's configuration on free ports; a test starts the parts it needs, and may parametrize how it is made."""
    try:
        for name in ("otelcol", "prometheus", "alertmanager"):
            native.binary(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    rules = tmp_path / "rules"
    rules.mkdir()
    (tmp_path / "secrets").mkdir()
    stack = Running(tmp_path, ports=native.Ports.free(), rules=rules, **getattr(request, "param", {}))
    yield stack
    stack.stop_all()


class TraceStore(trace_service_pb2_grpc.TraceServiceServicer):
    """Stands where Tempo stands, and tells exactly what it was given; can be away."""

    def __init__(self, port):
        self.port = port
        self.spans = {}
        self._server = None
        self.come()

    def Export(self, request, _context):  # noqa: N802 -- gRPC's name
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[span.span_id] = span
        return trace_service_pb2.ExportTraceServiceResponse()

    def come(self):
        self._server = grpc.server(ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def go(self):
        self._server.stop(grace=None).wait()

    def costs(self):
        """Give the cost of each stored span that tells one."""
        found = (attributes_of(span).get("openrouter.cost.total") for span in list(self.spans.values()))
        return [cost for cost in found if cost is not None]


def attributes_of(span):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in span.attributes}


@pytest.fixture
def store(stack):
    store = TraceStore(stack.ports.tempo_otlp)
    yield store
    store.go()


@pytest.fixture
def content_store(stack):
    """Stands where the Tempo of compose.content.yml stands."""
    store = TraceStore(stack.ports.content_otlp)
    yield store
    store.go()


class Service:
    """An instrumented program with its own OpenTelemetry, which asks the scripted OpenRouter."""

    def __init__(self, openrouter, endpoint, **resource):
        self.openrouter = openrouter
        given = Resource({"service.name": "pilots", "service.instance.id": "1", **resource})
        self.tracer_provider = TracerProvider(resource=given, shutdown_on_exit=False)
        exporter = OTLPSpanExporter(f"{endpoint}/v1/traces")
        self.tracer_provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=NEVER_MS))
        self.seen = InMemoryMetricReader()
        pushed = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), NEVER_MS)
        self.meter_provider = MeterProvider([pushed, self.seen], resource=given, shutdown_on_exit=False)
        or_otel.instrument(
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            hosts={openrouter.base_url.split("/")[2]: "openrouter"},
        )
        self._client = httpx.Client(headers={"authorization": "Bearer sk-or-v1-pilot"})

    def ask(self, *, cheap=0, dear=0, failed=0):
        """Make so many calls that cost $0.00025, so many at $0.0625, and so many that fail."""
        answers = [scenarios.plain(Answer(**price)) for price in [CHEAP] * cheap + [DEAR] * dear]
        for scenario in (*answers, *[scenarios.moderated()] * failed):
            self.openrouter.script(scenario)
            self._client.post(f"{self.openrouter.base_url}/chat/completions", json=QUESTION)

    def flush(self):
        """Send all there is; True when the collector acknowledged it."""
        return self.tracer_provider.force_flush() and self.meter_provider.force_flush()

    def end(self):
        self._client.close()
        or_otel.uninstrument()
        self.tracer_provider.shutdown()
        self.meter_provider.shutdown()


@pytest.fixture
def service(openrouter, stack):
    made = []

    def make(**resource):
        made.append(Service(openrouter, stack.endpoint, **resource))
        return made[-1]

    yield make
    for each in made:
        each.end()
