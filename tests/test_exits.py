"""How processes end and fork: real ones, against a local OTLP sink. Money must arrive, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest

PROGRAM = """
import multiprocessing, os, signal, sys, threading, time
from concurrent.futures import ProcessPoolExecutor
import httpx
import or_otel

BASE_URL = os.environ["BASE_URL"]

def call(number=0):
    body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
    answer = httpx.post(BASE_URL + "/chat/completions", json=body, headers={"Authorization": "Bearer sk-or-v1-x"})
    answer.raise_for_status()
    return number

def in_child():
    or_otel.start()
    call()
"""


class Program:
    """Runs a program's text as a real process."""

    def __init__(self, tmp_path, openrouter, sink):
        self.folder = tmp_path
        self.server = openrouter
        self.sink = sink

    def start(self, body, *, arguments=(), **environment):
        path = Path(self.folder) / "program.py"
        path.write_text(PROGRAM + textwrap.dedent(body))
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
        return subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(path), *arguments],
            env={
                **kept,
                "BASE_URL": self.server.base_url,
                "OR_OTEL_HOSTS": self.server.base_url.split("/")[2] + "=openrouter",
                "OR_OTEL_LEDGER": str(self.folder / "ledger"),
                "OTEL_EXPORTER_OTLP_ENDPOINT": self.sink.url,
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, body, **environment):
        process = self.start(body, **environment)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err or "expected" in err or "KeyboardInterrupt" in err, err
        return process.returncode, out, err

    @property
    def billed(self):
        return float(self.server.book.total())

    @property
    def tracked(self):
        return sum(self.sink.sums("openrouter.client.cost").values())


@pytest.fixture
def program(tmp_path, openrouter, sink):
    return Program(tmp_path, openrouter, sink)


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('expected')", 1),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", -2),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)", -15),
    ],
    ids=["return", "sys.exit", "unhandled exception", "ctrl-c", "sigterm"],
)
def test_the_last_export_is_sent_and_the_exit_status_kept(program, ending, status):
    code, _, _ = program.run(f"or_otel.start()\ncall()\ncall()\n{ending}")

    assert code == status
    assert len(program.server.book.entries) == 2
    assert program.tracked == pytest.approx(program.billed, rel=1e-12)
    assert len(program.sink.spans()) == 2


@pytest.mark.parametrize("arguments", [["program.py"], ["-m", "program"]])
def test_ctrl_c_before_a_receipt_still_ends_the_process_by_the_signal(program, arguments):
    process = program.start(
        """
        if sys.argv[1:]:
            del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
            os.chdir(os.path.dirname(__file__))
            sys.stdout.flush()
            os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
        or_otel.start()
        call()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(30)
        """,
        arguments=arguments,
    )

    _, err = process.communicate(timeout=60)

    assert "or-otel receipt" in err
    assert process.returncode == -signal.SIGINT


def test_a_program_whose_children_alone_make_calls_has_its_receipt(program):
    code, _, err = program.run(
        """
        del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        or_otel.start()
        with multiprocessing.get_context("fork").Pool(1) as pool:
            pool.map(call, range(2))
        """
    )

    assert code == 0
    assert err.count("or-otel receipt") == 1
    assert "2 calls" in err


def test_ctrl_c_that_the_program_answered_is_no_end_by_a_signal(program):
    code, _, err = program.run(
        """
        del os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"]
        or_otel.start()
        call()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        except KeyboardInterrupt:
            print("answered")
        """
    )

    assert "or-otel receipt" in err
    assert code == 0


def test_a_sigterm_handler_of_the_application_is_left_alone(program):
    code, out, _ = program.run(
        """
        signal.signal(signal.SIGTERM, lambda *_: (print("mine"), sys.exit(5)))
        or_otel.start()
        call()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        """
    )

    assert (code, out.strip()) == (5, "mine")
    assert program.tracked == pytest.approx(program.billed, rel=1e-12)


FOREIGN = """
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
or_otel.instrument()
call()
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(30)
"""


@pytest.mark.parametrize(("is_on", "spans"), [("true", 1), ("false", 0)])
def test_sigterm_flushes_the_application_s_own_providers_where_that_is_asked_for(program, is_on, spans):
    code, _, _ = program.run(FOREIGN, OR_OTEL_SIGTERM_FLUSH=is_on)

    assert code == -15
    assert len(program.sink.spans()) == spans
    assert program.tracked == pytest.approx(program.billed * spans, rel=1e-12)


def test_start_leaves_sigterm_alone_where_that_is_asked_for(program):
    code, _, _ = program.run(
        "or_otel.start()\ncall()\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(30)", OR_OTEL_SIGTERM_FLUSH="false"
    )

    assert code == -15
    assert program.sink.spans() == []


@pytest.mark.parametrize("ending", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_what_no_export_survives_is_still_in_the_ledger(program, ending):
    program.run(f"or_otel.start()\ncall()\ncall()\n{ending}")

    assert program.tracked == 0
    lines = [line for path in (program.folder / "ledger").glob("*.jsonl") for line in path.read_bytes().splitlines()]
    assert len(lines) == 2


def test_flush_sends_before_a_process_is_frozen_or_killed(program):
    program.run("or_otel.start()\ncall()\nassert or_otel.flush()\nos._exit(0)")

    assert program.tracked == pytest.approx(program.billed, rel=1e-12)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_are_counted(program, method):
    target = "call" if method == "fork" else "in_child"
    program.run(
        f"""
        if __name__ == "__main__":
            or_otel.start()
            call()
            processes = [multiprocessing.get_context("{method}").Process(target={target}) for _ in range(2)]
            for process in processes: process.start()
            for process in processes: process.join()
        """
    )

    assert len(program.server.book.entries) == 3
    assert program.tracked == pytest.approx(program.billed, rel=1e-12)
    assert len(program.sink.sums("openrouter.client.cost")) == 3


def test_workers_of_a_process_pool_are_counted(program):
    program.run(
        """
        or_otel.start()
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            assert sorted(pool.map(call, range(4))) == [0, 1, 2, 3]
        """
    )

    assert len(program.server.book.entries) == 4
    assert program.tracked == pytest.approx(program.billed, rel=1e-12)


def test_a_forked_child_does_not_tell_its_parents_spend_again(program):
    program.run(
        """
        or_otel.start()
        call()
        for _ in range(3):
            if os.fork() == 0:
                call()
                sys.exit(0)
        while True:
            try: os.wait()
            except ChildProcessError: break
        """
    )

    assert len(program.server.book.entries) == 4
    assert program.tracked == pytest.approx(program.billed, rel=1e-12)
    assert sum(program.sink.sums("openrouter.client.call.cost").values()) == pytest.approx(program.billed, rel=1e-12)


def test_a_daemon_thread_that_still_calls_at_the_end_stops_nobody(program):
    code, _, _ = program.run(
        """
        or_otel.start()
        call()
        begun = threading.Event()
        def forever():
            while True:
                try: call()
                except Exception: return
                begun.set()
        threading.Thread(target=forever, daemon=True).start()
        begun.wait()
        """
    )

    assert code == 0
    assert program.tracked > 0


def test_a_dead_collector_does_not_hold_the_program(program):
    code, _, err = program.run(
        """
        or_otel.start()
        call()
        """,
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9",
    )

    assert code == 0
    assert "sk-or-v1-x" not in err


PRELOADED = """
import os
import httpx
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
import or_otel

metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(), 300_000)]))
or_otel.instrument()

def call():
    body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
    url, headers = os.environ["BASE_URL"] + "/chat/completions", {"Authorization": "Bearer k"}
    return httpx.post(url, json=body, headers=headers).status_code

call()

def application(environ, start_response):
    status = call()
    metrics.get_meter_provider().force_flush()
    start_response(f"{status} OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
"""


def test_gunicorn_with_preload_and_a_foreign_provider_counts_each_dollar_once(tmp_path, openrouter, sink):
    (tmp_path / "preloaded.py").write_text(PRELOADED)
    socket = tmp_path / "gunicorn.sock"
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"unix:{socket}", "preloaded"],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "BASE_URL": openrouter.base_url,
            "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "PYTHONPATH": str(tmp_path),
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for line in process.stderr:
            if "Booting worker" in line:
                break
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket), retries=10), timeout=30) as client:
            for _ in range(6):
                assert client.get("http://worker/", headers={"connection": "close"}).status_code == 200
    finally:
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
        process.wait(30)
        process.stderr.close()

    assert len(openrouter.book.entries) == 7
    assert sum(sink.sums("openrouter.client.cost").values()) == pytest.approx(float(openrouter.book.total()), rel=1e-12)
