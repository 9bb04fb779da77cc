"""The three five-minute starts, followed to the letter: every command is run, every file they show is written.

What stands for the reader's own things is put in their place: the scripted OpenRouter for OpenRouter, an OTLP sink for
the collector, free ports for the usual ones. A program that is not on this machine (promtool, amtool) is passed over.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml

from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.history import COMPANIES, write_history

ROOT = Path(__file__).resolve().parent.parent
PATH = os.pathsep.join([str(Path(sys.executable).parent), str(ROOT / ".stack" / "bin"), os.environ["PATH"]])
FENCE = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONAL = {"promtool", "amtool"}
SERVERS = {
    "opentelemetry-instrument uvicorn service:app --port 8000": "Uvicorn running",
    "python main.py": "Uvicorn running",
    "or-otel run -- uvicorn service:app --port 8000": "Uvicorn running",
    "or-otel exporter": "key sees the account",
}
"""What runs until it is stopped, and what it says when it is ready."""
STARTS = ("docs/start-script.md", "docs/start-service.md", "docs/start-platform.md")


def fences(name):
    return FENCE.findall((ROOT / name).read_text(encoding="utf-8"))


def commands(name):
    """Give the commands of a document, in order."""
    return [line for language, _, text in fences(name) if language == "sh" for line in text.splitlines()]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class Reader:
    """Somebody with an empty folder who follows a document."""

    def __init__(self, name, folder, openrouter, **places):
        self.name = name
        self.folder = folder
        self.places = {"https://openrouter.ai/api/v1": openrouter.base_url, **places}
        kept = {key: os.environ[key] for key in ("COVERAGE_PROCESS_START",) if key in os.environ}
        self.environment = {
            **kept,
            "PATH": PATH,
            "HOME": str(folder),
            "OPENROUTER_API_KEY": SEARCH_KEY,
            "OR_OTEL_BASE_URL": openrouter.base_url,
            "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
            # All they name is installed here: so pip has only to see that it is what the document calls it.
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        for _, file, text in fences(name):
            if file:
                (folder / file).write_text(self.placed(text))

    def placed(self, text):
        for usual, here in self.places.items():
            text = text.replace(usual, here)
        return text

    def do(self, line):
        """Run a command; an export is for those after it."""
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            self.environment[name] = self.placed(value)
            return ""
        if line.split()[0] in OPTIONAL and shutil.which(line.split()[0], path=PATH) is None:
            return ""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self.placed(line)],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{self.name}: {line}\n{done.stdout}{done.stderr}"
        assert "does not provide the extra" not in done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def serving(self, line):
        """Run what does not end by itself, as soon as it says that it is ready."""
        process = subprocess.Popen(
            shlex.split(self.placed(line)),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        try:
            for told in process.stdout:
                said.append(told)
                if SERVERS[line] in told:
                    break
            else:
                pytest.fail(f"{self.name}: {line}\n{''.join(said)}")
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            rest, _ = process.communicate(timeout=30)
        assert "Traceback" not in rest, rest

    def told(self, command):
        """Run a command that prints JSON."""
        return json.loads(self.do(command), parse_float=Decimal)


@pytest.fixture
def follow(tmp_path, openrouter):
    def reader(name, **places):
        return Reader(name, tmp_path, openrouter, **places)

    return reader


def test_the_starts_show_files_and_commands_and_nothing_that_is_neither():
    for name in STARTS:
        for language, file, _ in fences(name):
            assert (language == "sh") != bool(file), f"{name}: a fence of {language!r} is neither run nor written"


def test_a_script_without_any_stack(follow, openrouter, tmp_path):
    reader = follow("docs/start-script.md")

    said = {line: reader.do(line) for line in commands(reader.name)}

    def billed():
        return openrouter.book.total("spend")

    report = reader.told("or-otel report --since today --json")
    by_customer = reader.told("or-otel report --since today --by customer --json")
    assert "or-otel receipt" in said["or-otel run -- python app.py"]
    assert "2 calls" in said["or-otel run -- python app.py"]
    assert Decimal(report["total"]["cost_usd"]) == billed() > 0
    assert report["total"]["calls"] == len(openrouter.book.entries) == 5
    assert "questions" in said["or-otel report --since today --by team,feature"]
    assert {row["customer"] for row in by_customer["rows"]} == {"acme", None}
    assert (tmp_path / "week.html").read_text().startswith("<!doctype html>")
    assert "month" in said["or-otel budget status"]
    assert str(tmp_path) in said["or-otel ledger path"]


def has_distro():
    try:
        return bool(distribution("opentelemetry-distro"))
    except PackageNotFoundError:
        return False


SERVICE = [line for line in commands(STARTS[1]) if line in SERVERS]


@pytest.mark.parametrize("door", SERVICE, ids=lambda line: line.split(" --port")[0])
def test_a_service_with_a_collector(door, follow, openrouter, sink):
    if door.startswith("opentelemetry-instrument") and not has_distro():
        pytest.skip("opentelemetry-distro is not installed here; `make test` has an environment that has it")
    reader = follow("docs/start-service.md", **{"http://localhost:4318": sink.url, "8000": free_port()})
    lines = [line for line in commands(reader.name) if line not in SERVERS]
    ask = next(line for line in lines if line.startswith("curl "))

    for line in lines[: lines.index(ask)]:
        reader.do(line)
    with reader.serving(door):
        answer = reader.do(ask)
    for line in lines[lines.index(ask) + 1 :]:
        reader.do(line)

    assert "harbour" in answer
    spans = [attributes for name, attributes in sink.spans() if name == "chat anthropic/claude-haiku-4.5"]
    arrived = set().union(*spans)
    metrics = {
        metric.name
        for request in sink.requests["/v1/metrics"]
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    promised = re.findall(r"^\| (`.*?)\|", (ROOT / reader.name).read_text(), re.MULTILINE)
    names = {name for cell in promised for name in re.findall(r"`([^`]+)`", cell)}
    assert len(spans) == 1
    assert names
    assert names <= arrived | metrics
    # A double on the wire.
    (cost,) = sink.sums("openrouter.client.cost").values()
    assert cost == spans[0]["openrouter.cost.total"] == float(openrouter.book.total("spend")) > 0


def test_a_platform_with_boards_rules_and_alerts(follow, openrouter, tmp_path):
    reader = follow("docs/start-platform.md", **{"9877": free_port()})
    reader.environment["OPENROUTER_MANAGEMENT_KEY"] = MANAGEMENT_KEY
    del reader.environment["OPENROUTER_API_KEY"]
    write_history(openrouter.account, until_s=time.time(), days=3, calls_per_day=20, keys=COMPANIES)
    lines = commands(reader.name)
    start = lines.index("or-otel exporter")

    said = {line: reader.do(line) for line in lines[:start]}
    with reader.serving(lines[start]):
        said |= {line: reader.do(line) for line in lines[start + 1 :]}

    spent = said["curl --silent http://127.0.0.1:9877/metrics | grep openrouter_budget_spent"]
    assert "3 budgets" in said["or-otel budget check"]
    assert "series in all" in said["or-otel exporter --check"]
    assert re.search(r'^openrouter_budget_spent\{openrouter_budget_name="search",.*\} \d', spent, re.MULTILINE)
    assert "SUCCESS" in said["promtool check config prometheus.yml"] or shutil.which("promtool", path=PATH) is None
    rules = (tmp_path / "or-otel-dashboards" / "rules" / "or-otel-recording.yml").read_text()
    assert "summaries" in rules
    assert "everything" not in rules
    kinds = {document["kind"] for document in yaml.safe_load_all((tmp_path / "or-otel.yaml").read_text())}
    assert kinds >= {"ConfigMap", "PrometheusRule", "Deployment", "Service"}
    (provider,) = yaml.safe_load((tmp_path / "or-otel-provider.yaml").read_text())["providers"]
    (shipped,) = yaml.safe_load((ROOT / "dashboards" / "provisioning" / "or-otel.yaml").read_text())["providers"]
    assert provider | {"options": None} == {name: shipped[name] for name in provider} | {"options": None}
    assert provider["options"]["path"] == shipped["options"]["path"]
