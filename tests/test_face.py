"""The public face in bare processes: what one line switches on, says, and leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CALL = """
import os

def call():
    import httpx
    body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(os.environ["BASE_URL"] + "/chat/completions", json=body, headers={"Authorization": "Bearer k"})
    assert answer.status_code == 200

def is_patched():
    import httpx
    return type(httpx.Client.__dict__["send"]).__name__ != "function"
"""
OPENTELEMETRY_INSTRUMENT = str(Path(sys.executable).parent / "opentelemetry-instrument")


class Bare:
    """Runs a program with nothing in its environment but the server's address."""

    def __init__(self, folder, openrouter):
        self.folder = folder
        self._server = openrouter

    def run(self, body, *, command=(), **environment):
        path = self.folder / "program.py"
        path.write_text(CALL + textwrap.dedent(body))
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
        done = subprocess.run(
            [*command, sys.executable, str(path)],
            env={
                **kept,
                "HOME": str(self.folder),
                "BASE_URL": self._server.base_url,
                "OR_OTEL_HOSTS": self._server.base_url.split("/")[2] + "=openrouter",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split(), done.stderr

    @property
    def ledger_lines(self):
        return [line for path in self.folder.rglob("*.jsonl") for line in path.read_text().splitlines()]


@pytest.fixture
def bare(tmp_path, openrouter):
    return Bare(tmp_path, openrouter)


def test_without_any_provider_one_line_says_what_to_do(bare):
    _, err = bare.run("import or_otel\nor_otel.instrument()\nfor _ in range(3): call()")

    (line,) = err.splitlines()
    assert "no OpenTelemetry provider is set up" in line
    assert "or_otel.start()" in line
    assert "opentelemetry-instrument" in line
    assert bare.ledger_lines == []


def test_a_start_that_keeps_and_sends_nothing_is_not_told_to_start(bare):
    _, err = bare.run("import or_otel\nor_otel.start(ledger='off')\ncall()")

    assert "set OTEL_EXPORTER_OTLP_ENDPOINT" in err
    assert "or_otel.start()" not in err


def test_nothing_is_said_where_the_application_reads_its_own_calls(bare):
    out, err = bare.run(
        """
        import or_otel
        or_otel.instrument()
        with or_otel.capture() as calls: call()
        print(len(calls))
        """
    )

    assert (out, err) == (["1"], "")


def test_providers_may_be_set_after_instrument(bare, openrouter):
    out, err = bare.run(
        """
        import or_otel
        or_otel.instrument()
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
        tracer_provider = TracerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(tracer_provider)
        metrics.set_meter_provider(MeterProvider([reader], Resource({"service.instance.id": "1"})))
        call()
        print(len(exporter.get_finished_spans()))
        scopes = reader.get_metrics_data().resource_metrics[0].scope_metrics
        cost = [m for s in scopes for m in s.metrics if m.name == "openrouter.client.cost"]
        print(sum(point.value for point in cost[0].data.data_points))
        """
    )

    assert err == ""
    assert out[0] == "1"
    assert float(out[1]) == pytest.approx(float(openrouter.book.total()), rel=1e-12)


def test_a_meter_provider_whose_processes_look_alike_is_warned_of_once(bare):
    _, err = bare.run(
        """
        import or_otel
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        metrics.set_meter_provider(MeterProvider(resource=Resource({"service.name": "a"})))
        or_otel.instrument()
        call(); call()
        """
    )

    (line,) = err.splitlines()
    assert "service.instance.id" in line


def test_a_reader_that_exports_deltas_is_told_of(bare):
    _, err = bare.run(
        """
        import or_otel
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import Counter, MeterProvider
        from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
        from opentelemetry.sdk.resources import Resource
        reader = InMemoryMetricReader(preferred_temporality={Counter: AggregationTemporality.DELTA})
        metrics.set_meter_provider(MeterProvider([reader], Resource({"service.instance.id": "1"})))
        or_otel.instrument()
        call()
        call()
        """
    )

    (line,) = [line for line in err.splitlines() if "or-otel" in line]
    assert "deltas" in line
    assert "CUMULATIVE" in line


def test_a_prometheus_reader_in_a_forked_worker_is_told_of(bare):
    _, err = bare.run(
        """
        import sys
        import or_otel
        from opentelemetry import metrics
        from opentelemetry.exporter.prometheus import PrometheusMetricReader
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        provider = MeterProvider([PrometheusMetricReader()], Resource({"service.instance.id": "1"}))
        metrics.set_meter_provider(provider)
        or_otel.instrument()
        call()
        if os.fork() == 0:
            call()
            sys.exit(0)
        os.wait()
        """
    )

    (line,) = [line for line in err.splitlines() if "or-otel" in line]
    assert "one port per worker" in line


@pytest.mark.parametrize("off", [{"OR_OTEL_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}], ids=str)
def test_switched_off_nothing_at_all_is_touched(bare, sink, off):
    out, err = bare.run(
        """
        import signal
        import or_otel
        or_otel.instrument()
        or_otel.start()
        print(is_patched(), signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
        call()
        print(or_otel.flush())
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
        OR_OTEL_LEDGER="true",
        **off,
    )

    assert (out[:2], err) == (["False", "True"], "")
    assert bare.ledger_lines == []
    assert sink.bodies == []


def test_start_with_an_endpoint_sends_and_keeps_the_ledger_but_prints_no_receipt(bare, sink, openrouter):
    _, err = bare.run(
        "import or_otel\nor_otel.start()\ncall()", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_SERVICE_NAME="shop"
    )

    assert err == ""
    assert [name for name, _ in sink.spans()] == ["chat openai/gpt-5-mini"]
    assert sum(sink.sums("openrouter.client.cost").values()) == pytest.approx(float(openrouter.book.total()), rel=1e-12)
    assert len(bare.ledger_lines) == 1


def test_start_without_an_endpoint_keeps_the_ledger_and_prints_a_receipt(bare):
    out, err = bare.run("import or_otel\nor_otel.start()\ncall()\ncall()\nprint('mine')")

    assert out == ["mine"]
    assert len(bare.ledger_lines) == 2
    assert "gpt-5-mini" in err
    assert re.search(r"\$\s?0?\.?\d", err)


def test_start_with_the_ledger_off_and_no_endpoint_leaves_nothing(bare):
    out, _ = bare.run("import or_otel\nor_otel.start(ledger='off')\ncall()\nprint('mine')")

    assert out == ["mine"]
    assert bare.ledger_lines == []


def test_started_again_after_uninstrument_everything_is_still_sent(bare, sink, openrouter):
    _, err = bare.run(
        """
        import or_otel
        or_otel.start()
        call()
        or_otel.uninstrument()
        call()
        or_otel.start()
        call()
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
    )

    assert err == ""
    assert len(openrouter.book.entries) == 3
    assert len(sink.spans()) == 2
    billed = float(openrouter.book.total())
    assert sum(sink.sums("openrouter.client.cost").values()) == pytest.approx(billed * 2 / 3, rel=1e-12)


def test_a_setting_that_cannot_be_read_is_told_and_stops_nothing(bare):
    out, err = bare.run(
        "import or_otel\nor_otel.instrument(colour='red')\nprint(is_patched())",
        OR_OTEL_ROUTER_METADATA="perhaps",
    )

    assert out == ["True"]
    assert len(err.splitlines()) == 2
    assert "OR_OTEL_ROUTER_METADATA='perhaps': expected true or false" in err
    assert "option 'colour': no such option" in err


def test_an_exporter_that_nobody_knows_is_told_and_stops_nothing(bare):
    out, err = bare.run("import or_otel\nor_otel.start()\ncall()\nprint('mine')", OTEL_TRACES_EXPORTER="pigeon")

    assert out == ["mine"]
    assert "OTEL_TRACES_EXPORTER='pigeon': expected otlp, console or none" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("variable", ["OTEL_METRIC_EXPORT_INTERVAL", "OTEL_BSP_SCHEDULE_DELAY"])
@pytest.mark.parametrize("told", ["soon", "0"])
def test_an_interval_that_is_none_is_named(bare, variable, told):
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}

    out, err = bare.run("import or_otel\nor_otel.start()\nprint('mine')", **endpoint, **{variable: told})

    assert out == ["mine"]
    assert f"{variable}={told!r}: expected milliseconds above 0" in err


@pytest.mark.parametrize(
    ("environment", "is_on"),
    [
        ({}, True),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "or_otel"}, False),
        ({"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "requests, or_otel"}, False),
        ({"OR_OTEL_ENABLED": "false"}, False),
    ],
    ids=str,
)
def test_opentelemetry_instrument_finds_us(bare, environment, is_on):
    out, _ = bare.run(
        "print(is_patched())\ncall()",
        command=[OPENTELEMETRY_INSTRUMENT],
        OR_OTEL_LEDGER="true",
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        **environment,
    )

    assert out == [str(is_on)]
    assert len(bare.ledger_lines) == is_on


def test_importing_and_switching_on_loads_neither_library_nor_the_sdk(bare):
    out, _ = bare.run(
        """
        import sys
        import or_otel
        or_otel.instrument()
        loaded = {"httpx", "httpx2", "openai", "requests", "opentelemetry.sdk", "rich", "click"} & set(sys.modules)
        print(sorted(loaded))
        """
    )

    assert out == ["[]"]


@pytest.mark.parametrize("order", ["alias first", "instrument first", "imported first"])
def test_an_application_that_calls_httpx2_httpx_still_works_and_is_seen(bare, order):
    alias = "import httpx2\nhttpx2.alias_httpx()\n"
    switch = "import or_otel\nor_otel.instrument(ledger='off')\n"
    before = {
        "alias first": alias + switch,
        "instrument first": switch + alias,
        "imported first": alias + "import httpx\n" + switch,
    }[order]
    out, err = bare.run(
        before
        + """
import httpx
assert httpx is httpx2 and httpx.Client is httpx2.Client
with or_otel.capture() as calls:
    call()
    with httpx2.Client() as client:
        client.post(os.environ["BASE_URL"] + "/chat/completions", json={"model": "openai/gpt-5-mini", "messages": []})
print(len(calls), all(record.cost is not None for record in calls))
or_otel.uninstrument()
print(is_patched())
"""
    )

    assert out[0] == "2"
    assert out[-1] == "False"
    assert "Traceback" not in err


def test_spans_of_the_application_itself_are_sent_even_when_it_calls_no_model(bare, sink):
    bare.run(
        """
        import or_otel
        or_otel.start()
        from opentelemetry import trace
        with trace.get_tracer("application").start_as_current_span("mine"): pass
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT=sink.url,
    )

    assert [name for name, _ in sink.spans()] == ["mine"]
