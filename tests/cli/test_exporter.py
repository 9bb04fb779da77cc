"""`or-otel exporter` as a real process, over loopback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from decimal import Decimal

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from or_otel import catalogue
from or_otel.catalogue import prometheus_name
from or_otel.days import DAY_S
from or_otel.entries import to_line
from or_otel.simulator.account import MANAGEMENT_KEY
from or_otel.simulator.book import fingerprint
from or_otel.simulator.history import COMPANIES, entries_of_history, write_history

FERRIES = COMPANIES[0]
KEYS = (MANAGEMENT_KEY, *(company.key for company in COMPANIES))
TOML = """
[account]
watch_models = ["openai/gpt-5-mini"]
[[budgets]]
name = "all"
limit_usd = 50
"""
TRIES = 500


class Process:
    """The exporter as a child."""

    def __init__(self, process):
        self._process = process
        self.said = []

    def serving(self):
        """Wait until it listens; gives the address."""
        line = self.line()
        assert "health at " in line, line + self._process.stderr.read()
        return line.partition("health at ")[2].partition("/healthz")[0]

    def line(self):
        """Wait for the next line of standard error."""
        self.said.append(self._process.stderr.readline())
        return self.said[-1]

    def signal(self, number):
        self._process.send_signal(number)

    def end(self, timeout_s=60.0):
        """Wait for the end; gives status, output and errors."""
        out, err = self._process.communicate(timeout=timeout_s)
        return self._process.returncode, out, "".join(self.said) + err


@pytest.fixture
def environment(tmp_path, openrouter):
    kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
    return {
        **kept,
        "HOME": str(tmp_path),
        "OR_OTEL_BASE_URL": openrouter.base_url,
        "OR_OTEL_LEDGER": str(tmp_path / "ledger"),
        "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY,
    }


@pytest.fixture
def start(tmp_path, environment, begin):
    def start(*options, **variables):
        chosen = {name: value for name, value in (environment | variables).items() if value is not None}
        (tmp_path / "or-otel.toml").write_text(TOML)
        process = begin(
            [sys.executable, "-m", "or_otel.cli", "exporter", *options],
            env=chosen,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return Process(process)

    return start


@pytest.fixture
def past(openrouter, tmp_path):
    """Write nine days into account and ledger."""
    history = write_history(openrouter.account, until_s=time.time(), days=9, calls_per_day=30)
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "host-1-1.jsonl").write_bytes(b"".join(map(to_line, entries_of_history(history))))
    return history


def scraped(url):
    """Give {family: {labels: value}} of the page."""
    found = defaultdict(dict)
    for family in text_string_to_metric_families(httpx.get(url + "/metrics").text):
        for sample in family.samples:
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if value))
            found[sample.name][labels] = sample.value
    return found


def until(condition, url, path="/metrics"):
    """Ask a page until it says what is waited for."""
    for _ in range(TRIES):
        answer = httpx.get(url + path)
        if condition(answer):
            return answer
    raise AssertionError(answer.text)


def test_every_row_is_on_the_page_and_every_dollar_is_the_books(start, openrouter, past):
    openrouter.account.change_key(FERRIES.key, expires_at_s=time.time() + DAY_S)
    openrouter.account_fails("/workspaces", 500)
    process = start("--listen", "127.0.0.1:0", "--ledger", OPENROUTER_API_KEY=FERRIES.key)
    url = process.serving()
    assert "This management key sees the account" in process.line()

    page = scraped(url)

    rows = {prometheus_name(metric) for metric in catalogue.METRICS if metric.source == "exporter"}
    assert set(page) == rows
    lifetime = openrouter.book.lifetime()
    for company in COMPANIES:
        usage = {
            dict(labels)["openrouter_cost_ledger"]: value
            for labels, value in page["openrouter_key_usage_lifetime"].items()
            if dict(labels)["openrouter_key_name"] == company.name
        }
        tally = lifetime[fingerprint(company.key)]
        assert usage == {"openrouter": float(tally.charged), "upstream": float(tally.byok)}
    assert page["openrouter_account_credits_used"] == {(): float(openrouter.account.used())}
    assert sum(page["openrouter_ledger_calls"].values()) == len(tuple(entries_of_history(past)))
    assert httpx.get(url + "/healthz").status_code == 200
    assert not [key for key in KEYS if key in httpx.get(url + "/metrics").text + "".join(process.said)]


def test_an_inference_key_shows_its_own_rows_and_is_told_what_it_does_not_see(start, past):
    process = start("--listen", "127.0.0.1:0", OPENROUTER_MANAGEMENT_KEY=None, OPENROUTER_API_KEY=FERRIES.key)
    url = process.serving()

    said = process.line()
    page = scraped(url)

    assert "not the balance, other keys, closed days" in said
    assert "openrouter.ai/settings/management-keys" in said
    assert {dict(labels)["openrouter_key_name"] for labels in page["openrouter_key_usage_daily"]} == {
        fingerprint(FERRIES.key)
    }
    assert "openrouter_account_credits_used" not in page
    assert httpx.get(url + "/healthz").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_also_while_a_question_hangs(start, openrouter, number):
    openrouter.account_fails("/key", wait="forever")
    process = start("--listen", "127.0.0.1:0")
    process.serving()
    openrouter.wait_for(1)

    process.signal(number)
    # Far less than the client would wait for the answer.
    status, _, err = process.end(timeout_s=5)

    assert status == 0
    assert "Traceback" not in err


def test_a_rejected_key_is_no_health_and_an_error_of_each_endpoint(start, openrouter):
    openrouter.account.reject(MANAGEMENT_KEY)
    url = start("--listen", "127.0.0.1:0").serving()

    answer = until(lambda answer: "wrong, disabled or deleted" in answer.text, url, "/healthz")
    page = scraped(url)

    assert answer.status_code == 503
    assert len(answer.json()["reasons"]) == 3
    errors = {
        dict(labels)["or_otel_endpoint"]: value for labels, value in page["or_otel_exporter_poll_errors_total"].items()
    }
    assert errors.items() >= {"key": 1, "keys": 1, "credits": 1}.items()


def test_once_tells_exact_money_and_no_key(start, openrouter, past):
    status, out, _ = start("--once", "--json", OPENROUTER_API_KEY=FERRIES.key).end()

    told = json.loads(out)
    assert (status, told["status"], told["key_kind"]) == (0, "ok", "management")
    (used,) = told["metrics"]["openrouter.account.credits.used"]
    assert Decimal(used["value"]) == openrouter.account.used()
    assert not [key for key in KEYS if key in out]


def test_once_without_json_says_how_each_endpoint_is(start):
    status, out, _ = start("--once").end()

    assert status == 0
    assert "ok  credits" in out


def test_once_fails_when_nothing_can_be_read(start, openrouter):
    openrouter.account.reject(MANAGEMENT_KEY)
    status, out, err = start("--once", "--json").end()

    assert status == 1
    assert json.loads(out)["status"] == "failing"
    assert "wrong, disabled or deleted" in err


def test_check_counts_series_and_asks_nobody(start, openrouter):
    status, out, _ = start("--check").end()

    assert status == 0
    assert "openrouter.key.usage_daily" in out
    assert "Assumed: 20 keys" in out
    assert openrouter.requests == ()


def test_a_missing_key_is_told_with_where_to_get_one(start):
    status, _, err = start(OPENROUTER_MANAGEMENT_KEY=None).end()

    assert status == 2
    assert "OPENROUTER_MANAGEMENT_KEY" in err
    assert "openrouter.ai/settings" in err


def test_a_key_may_come_from_a_file(start, tmp_path):
    (tmp_path / "secret").write_text(MANAGEMENT_KEY + "\n")
    (tmp_path / "empty").write_text("")
    process = start(
        "--once",
        OPENROUTER_MANAGEMENT_KEY=None,
        OPENROUTER_MANAGEMENT_KEY_FILE=str(tmp_path / "secret"),
        OPENROUTER_API_KEY_FILE=str(tmp_path / "empty"),
    )

    status, out, _ = process.end()

    assert (status, out.splitlines()[0]) == (0, "key: management")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "9877"], "expected host:port"),
        (["--listen", "127.0.0.1:99999"], "expected host:port"),
        (["--json"], "goes with --once"),
        (["--no-otlp", "--metrics", "both"], "choose one"),
        (["--config", "missing.toml"], "expected a readable file"),
    ],
)
def test_wrong_usage_is_told_with_what_would_be_right(start, options, said):
    status, _, err = start(*options).end()

    assert status == 2
    assert said in err


def test_a_port_in_use_is_told(start):
    taken = start("--listen", "127.0.0.1:0").serving().rpartition("/")[2]

    status, _, err = start("--listen", taken).end()

    assert status == 1
    assert "choose another address" in err


def test_a_ledger_that_is_off_cannot_be_told(start):
    status, _, err = start("--ledger", OR_OTEL_LEDGER="off").end()

    assert status == 2
    assert "--ledger DIR" in err


def test_an_endpoint_pushes_too_and_warns_of_both(start, sink, past):
    process = start("--listen", "127.0.0.1:0", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_METRIC_EXPORT_INTERVAL="50")
    url = process.serving()

    assert "pushes by OTLP" in process.said[0]
    assert "every sum doubles" in process.line()
    process.line()
    until(lambda _: sink.sums("openrouter.account.credits.used"), url)
    (pushed,) = sink.sums("openrouter.account.credits.used").values()
    assert scraped(url)["openrouter_account_credits_used"] == {(): pushed}


def test_who_means_both_is_not_warned(start, sink):
    process = start("--listen", "127.0.0.1:0", "--metrics", "both", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
    process.serving()

    assert "sees the account" in process.line()


def test_who_pushes_alone_serves_only_health(start, sink):
    url = start("--listen", "127.0.0.1:0", "--metrics", "push", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url).serving()

    assert httpx.get(url + "/metrics").status_code == 404
    assert httpx.get(url + "/healthz").status_code in {200, 503}


def test_no_otlp_never_pushes(start, sink):
    process = start("--listen", "127.0.0.1:0", "--no-otlp", OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
    process.serving()

    assert "pushes" not in process.said[0]
    assert "sees the account" in process.line()
