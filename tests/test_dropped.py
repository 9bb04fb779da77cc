"""What is lost is told: the journal's lines and the records of `on_call`, by reason."""

from __future__ import annotations

from threading import Event

import httpx

import or_otel
from or_otel import instrumentor

DROPPED = "or_otel.telemetry.dropped"
REASON = "or_otel.drop.reason"
BODY = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}


def ask(openrouter):
    httpx.post(f"{openrouter.base_url}/chat/completions", json=BODY, headers={"authorization": "Bearer k"})


def hosts(openrouter):
    return {openrouter.base_url.split("/")[2]: "openrouter"}


def test_lines_that_the_journal_could_not_write_are_counted_as_dropped(openrouter, telemetry, tmp_path):
    folder = tmp_path / "a file, no folder"
    folder.touch()
    or_otel.instrument(**telemetry.providers, hosts=hosts(openrouter), ledger=str(folder))

    ask(openrouter)
    ask(openrouter)

    assert telemetry.points(DROPPED) == {((REASON, "EEXIST"),): 2}


def test_without_a_loss_nothing_is_counted_as_dropped(openrouter, telemetry, tmp_path):
    or_otel.instrument(**telemetry.providers, hosts=hosts(openrouter), ledger=str(tmp_path))

    ask(openrouter)

    assert telemetry.points(DROPPED) == {}


def test_records_that_a_slow_function_did_not_take_are_counted_as_dropped(openrouter, telemetry, monkeypatch):
    monkeypatch.setattr(instrumentor.callbacks, "_queue_length", 1)
    monkeypatch.setattr(instrumentor.callbacks, "dropped", 0)
    or_otel.instrument(**telemetry.providers, hosts=hosts(openrouter), ledger="off")
    may_go, is_busy = Event(), Event()

    def slow(record):
        del record
        is_busy.set()
        may_go.wait(10)

    end = or_otel.on_call(slow)
    try:
        ask(openrouter)
        assert is_busy.wait(10)
        for _ in range(3):  # one waits, two push it out
            ask(openrouter)
        found = telemetry.points(DROPPED)
    finally:
        may_go.set()
        or_otel.flush()
        end()

    assert found == {((REASON, instrumentor.QUEUE_FULL),): 2}
