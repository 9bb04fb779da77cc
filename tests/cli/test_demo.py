import json
import os
import re
import signal
import subprocess
import sys
import threading
from decimal import Decimal

import httpx
import pytest

from or_otel.cli.demo import _Ending, _Interrupted
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


@pytest.fixture
def start(begin):
    """Start the command as a process of its own."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def run(*options):
        command = [sys.executable, "-u", "-m", "or_otel.cli", "demo", *options]
        return begin(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run


def served(process):
    """Wait until the demo's OpenRouter listens; gives its address."""
    return re.search(r"http://127\.0\.0\.1:\d+/api/v1", process.stdout.readline())[0]


def wait_until_something_was_spent(base_url, process):
    with httpx.Client(headers={"authorization": f"Bearer {MANAGEMENT_KEY}"}) as client:
        while not client.get(f"{base_url}/credits").json()["data"]["total_usage"]:
            assert process.poll() is None


def test_an_interrupted_demo_tells_what_was_spent_so_far(start):
    process = start("--plain", "--duration", "600")
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert first.startswith(("ok · ", "error · ", "cancelled · "))
    assert "or-otel receipt" in out
    assert "tracked = billed" in out
    assert out.endswith("Interrupted: this is what was asked so far.\n")
    assert (process.returncode, err) == (130, "")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_without_end_serves_others_and_ends_when_it_is_told(start, sink, end):
    process = start("--forever", "--plain", "--otlp-endpoint", sink.url)
    base_url = served(process)
    key = httpx.get(f"{base_url}/key", headers={"authorization": "Bearer sk-or-v1-demo-search"})
    process.send_signal(end)
    _, err = process.communicate(timeout=60)

    assert key.json()["data"]["limit"] == 50
    assert process.returncode in {0, -end}
    assert "Traceback" not in err


def test_a_demo_without_end_that_sends_nowhere_says_nothing_about_it(start):
    process = start("--forever")
    wait_until_something_was_spent(served(process), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")


def test_the_first_ctrl_c_waits_for_the_end_of_a_scene_and_a_second_one_does_not():
    before = signal.getsignal(signal.SIGINT)
    with _Ending() as ending:
        ending.between()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(_Interrupted):
            ending.between()

    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_the_pause_between_two_scenes_ends_the_pause():
    ctrl_c = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT))
    with _Ending() as ending:
        ctrl_c.start()
        with pytest.raises(_Interrupted):
            ending.between(600)
