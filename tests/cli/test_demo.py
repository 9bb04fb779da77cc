import json
import os
import re
import signal
import subprocess
import sys
from decimal import Decimal

import httpx
import pytest

from or_otel.simulator.account import MANAGEMENT_KEY


def demo(tmp_path, *options, **variables):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "or_otel.cli", "demo", *options],
        env={**kept, "XDG_STATE_HOME": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_demo_proves_that_tracked_is_billed(tmp_path):
    answer = demo(tmp_path, "--json")

    value = json.loads(answer.stdout)
    assert answer.returncode == 0, answer.stderr
    assert value["proof"]["is_equal"]
    assert Decimal(value["proof"]["tracked_usd"]) == Decimal(value["receipt"]["cost_usd"]) > 0
    assert value["receipt"]["calls"] > 20


def test_the_demo_without_a_terminal_prints_lines_a_receipt_and_what_is_next(tmp_path):
    answer = demo(tmp_path, OR_OTEL_ENABLED="false")

    assert answer.stdout.startswith(("ok · ", "error · ", "cancelled · "))
    assert "or-otel receipt" in answer.stdout
    assert "tracked = billed, to the last digit" in answer.stdout
    assert "or-otel run -- python app.py" in answer.stdout
    assert answer.stderr == ""


def test_the_demo_leaves_no_ledger_behind(tmp_path):
    demo(tmp_path, "--json")

    assert not list(tmp_path.iterdir())


def test_a_taken_prometheus_port_is_a_clear_error(tmp_path, openrouter):
    answer = demo(tmp_path, "--prometheus-port", str(openrouter.port))

    assert answer.returncode == 1
    assert "choose another port" in answer.stderr


def test_the_demo_sends_its_telemetry_where_it_is_told(tmp_path, sink):
    answer = demo(tmp_path, "--json", "--otlp-endpoint", sink.url)

    value = json.loads(answer.stdout)
    assert sum(sink.sums("openrouter.client.cost").values()) == pytest.approx(float(value["receipt"]["cost_usd"]))
    assert len(sink.spans()) >= value["receipt"]["calls"]


def test_a_taken_port_of_the_simulated_openrouter_is_a_clear_error(tmp_path, openrouter):
    answer = demo(tmp_path, "--port", str(openrouter.port))

    assert answer.returncode == 1
    assert f"--port {openrouter.port}" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_an_interrupted_demo_tells_what_was_spent_so_far(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-u", "-m", "or_otel.cli", "demo", "--plain", "--duration", "600"]
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)

    assert first.startswith(("ok · ", "error · ", "cancelled · "))
    assert "or-otel receipt" in out
    assert re.search(r"tracked (= billed|\$\S+ is not billed)", out)
    assert out.endswith(
        "Interrupted: so far. What was asked at that moment may be billed, and its answer was never read.\n"
    )
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_without_end_serves_others_and_ends_when_it_is_told(tmp_path, sink, end):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    options = ("--forever", "--plain", "--otlp-endpoint", sink.url)
    command = [sys.executable, "-u", "-m", "or_otel.cli", "demo", *options]
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        base_url = re.search(r"http://127\.0\.0\.1:\d+/api/v1", process.stdout.readline())[0]

        key = httpx.get(f"{base_url}/key", headers={"authorization": "Bearer sk-or-v1-demo-search"})
        process.send_signal(end)
        _, err = process.communicate(timeout=30)

    assert key.json()["data"]["limit"] == 50
    assert process.returncode in {0, -end}
    assert "Traceback" not in err


def test_a_demo_without_end_that_sends_nowhere_says_nothing_about_it(tmp_path):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-u", "-m", "or_otel.cli", "demo", "--forever"]
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        base_url = re.search(r"http://127\.0\.0\.1:\d+/api/v1", process.stdout.readline())[0]
        with httpx.Client(headers={"authorization": f"Bearer {MANAGEMENT_KEY}"}) as client:
            while not client.get(f"{base_url}/credits").json()["data"]["total_usage"]:
                assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)

    assert err == ""
