"""From the owner's file and real calls to span, metrics and ledger."""

from __future__ import annotations

import httpx
import pytest

import or_otel
from or_otel import catalogue, instrumentor
from or_otel.entries import from_line
from or_otel.facts import ZERO
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer

POLICY = """
[[policies]]
name = "approved"
environments = ["production"]
forbidden_providers = ["anthropic"]
max_output_tokens = 100
"""
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}


@pytest.fixture
def instrumented(openrouter, telemetry, tmp_path, monkeypatch):
    """Instrument with a settings file and a ledger, and give what asks, and what was written."""
    config = tmp_path / "or-otel.toml"

    def instrument(text="", **options):
        config.write_text(text)
        monkeypatch.setenv("OR_OTEL_CONFIG", str(config))
        host = openrouter.base_url.split("/")[2]
        or_otel.instrument(
            **telemetry.providers, hosts={host: "openrouter"}, ledger=str(tmp_path / "ledger"), **options
        )

    return instrument


@pytest.fixture
def ask(openrouter):
    def send(answer=None, **fields):
        if answer is not None:
            openrouter.script(scenarios.plain(answer))
        with httpx.Client(headers={"authorization": "Bearer sk-or-v1-x"}) as client:
            client.post(openrouter.base_url + "/chat/completions", json=PROMPT | fields).raise_for_status()

    return send


@pytest.fixture
def written(tmp_path):
    def read():
        lines = [line for path in (tmp_path / "ledger").glob("*.jsonl") for line in path.read_bytes().splitlines()]
        return [entry for line in lines if (entry := from_line(line)) is not None]

    return read


def by(points, *names):
    return {tuple(dict(told).get(name) for name in names): value for told, value in points.items()}


def test_a_broken_policy_is_on_the_span_counted_and_in_the_ledger_and_blocks_nothing(
    instrumented, ask, telemetry, written
):
    instrumented(POLICY)

    with or_otel.tags(environment="production"):
        ask()
    with or_otel.tags(environment="dev"):
        ask()

    rules = ("approved/provider", "approved/output_cap")
    assert [span.attributes.get("openrouter.policy.violated") for span in telemetry.spans] == [rules, None]
    counted = by(telemetry.points(catalogue.POLICY_VIOLATIONS.name), "openrouter.policy.rule")
    assert counted == {(rule,): 1 for rule in rules}
    assert [entry.violated for entry in written()] == [rules, ()]


def test_a_broken_settings_file_costs_policies_and_no_call(instrumented, ask, telemetry, caplog):
    instrumented("[[policies]]\nname = 5")

    ask()

    assert len(telemetry.spans) == 1
    assert "no policy is in force" in caplog.text


def test_a_retry_loop_is_waste_and_its_prompt_is_nowhere(instrumented, ask, telemetry, written, tmp_path):
    instrumented()

    for _ in range(7):
        ask(messages=[{"role": "user", "content": "CANARY"}])

    assert [entry.is_retry_loop for entry in written()] == [None] * 5 + [True] * 2
    (wasted,) = telemetry.points(catalogue.WASTE.name).values()
    assert wasted == pytest.approx(float(sum((entry.total for entry in written()[5:]), ZERO)))
    assert "CANARY" not in "".join(path.read_text() for path in (tmp_path / "ledger").glob("*.jsonl"))


def test_switched_off_no_call_is_compared(instrumented, ask, telemetry):
    instrumented(insights=False)

    for _ in range(7):
        ask()

    assert telemetry.points(catalogue.WASTE.name) == {}


def test_streams_are_judged_as_well(instrumented, ask, telemetry, openrouter):
    instrumented()

    openrouter.script(scenarios.stream(Answer(finish_reason="length")))
    ask(stream=True)

    assert list(by(telemetry.points(catalogue.WASTE.name), "openrouter.waste.kind")) == [("truncated",)]


def test_a_record_tells_what_it_shows(instrumented, ask):
    instrumented(POLICY.replace('["production"]', '["*"]'))

    with or_otel.capture() as calls:
        ask(max_tokens=50)

    assert calls[0].violated == ("approved/provider",)


def test_a_lock_that_was_held_at_a_fork_does_not_stop_the_child(instrumented, ask, telemetry):
    instrumented()
    instrumentor._process.appraiser._repeats._lock.acquire()

    instrumentor._process._after_fork_in_child()

    ask()
    assert len(telemetry.spans) == 1
