"""Marked secrets go in at every place; nothing marked may come out of any door of ours.

Keys, prompts, completions, header values, tool arguments and the texts of server errors carry a mark through every
scenario that the simulated server can play. Doors: every byte sent over OTLP, every log line of ours, the journal, the
receipt. The last test lets content out on purpose, so that this suite is known to be able to fail.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import os
from dataclasses import replace

import openai
import pytest
from rich.console import Console

import or_otel
from or_otel import guard, pipelines
from or_otel.entries import from_line
from or_otel.reports.receipt import receipt_of, render
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Chunk, Scenario, ToolCall

MARK = "CANARY"
KEY = "sk-or-v1-CANARY-key"
TEXT_KEYS = {
    "message",
    "raw",
    "flagged_input",
    "content",
    "reasoning",
    "arguments",
    "text",
    "detail",
    "reasons",
    "title",
}
ARGUMENTS = {
    "error": {"status": 418, "message": "CANARY-error", "told": {"raw": "CANARY-raw", "provider_name": "Acme"}},
    "huge_line": {"size": 50_000},
    "unauthorized": {"message": "CANARY-error"},
    "forbidden": {"message": "CANARY-error"},
}
REQUEST = {
    "model": "anthropic/claude-haiku-4.5",
    "messages": [
        {"role": "system", "content": "CANARY-system"},
        {"role": "user", "content": [{"type": "text", "text": "CANARY-prompt"}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "CANARY-city"}'}}
        ]},
        {"role": "tool", "tool_call_id": "c1", "content": "CANARY-result"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "description": "CANARY-tool", "parameters": {}}}],
    "extra_headers": {"x-mine": "CANARY-header", "cookie": "CANARY-cookie"},
    "extra_query": {"q": "CANARY-query"},
    "extra_body": {"metadata": {"a": "CANARY-metadata"}},
}  # fmt: skip


def builders(returned):
    """Give every public builder of the simulator that returns a `Scenario` or an `Answer`."""
    found = {}
    for name, function in vars(scenarios).items():
        is_ours = (
            inspect.isfunction(function) and function.__module__ == scenarios.__name__ and not name.startswith("_")
        )
        if is_ours and inspect.get_annotations(function).get("return") == returned:
            found[name] = function
    return found


def marked(value, key=""):
    """Put the mark into every text that a server may have taken from the prompt."""
    if isinstance(value, dict):
        return {name: marked(item, name) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [marked(item, key) for item in value]
    if isinstance(value, str) and key in TEXT_KEYS and value:
        return '{"a": "CANARY-argument"}' if key == "arguments" else f"CANARY-{key} {value}"
    if isinstance(value, bytes):
        return value.replace(b"Lisbon", b"CANARY-Lisbon")
    return value


def marked_scenario(scenario):
    steps = scenario.steps and tuple(
        replace(step, data=marked(step.data)) if isinstance(step, Chunk) else step for step in scenario.steps
    )
    body = scenario.body.replace("Bad", "CANARY-bad") if isinstance(scenario.body, str) else marked(scenario.body)
    return replace(scenario, steps=steps, body=body, headers=(*scenario.headers, ("x-echo", "CANARY-echo")))


def every_scenario(base_url):
    """Give (is streamed, scenario) of every builder, with both values of `is_stream` where it has that."""
    for name, build in builders("Scenario").items():
        options = {"redirected": {"to": base_url + "/chat/completions?CANARY=1"}}.get(name, ARGUMENTS.get(name, {}))
        variants = [{}]
        if "is_stream" in inspect.signature(build).parameters:
            variants = [{"is_stream": False}, {"is_stream": True}]
        for variant in variants:
            scenario = build(**options, **variant)
            yield scenario.steps is not None, marked_scenario(scenario)
    for build in builders("Answer").values():
        answer = build()
        yield False, marked_scenario(scenarios.plain(answer))
        yield True, marked_scenario(scenarios.stream(answer))


class Doors:
    """All that leaves this process: OTLP, logs, journal, receipt."""

    def __init__(self, sink, folder, caplog):
        self._sink, self._folder, self._caplog = sink, folder, caplog
        self.pipelines = pipelines.build(os.environ)

    @property
    def options(self):
        made = self.pipelines
        return {
            "tracer_provider": made.tracer_provider,
            "meter_provider": made.meter_provider,
            "logger_provider": made.logger_provider,
            "ledger": str(self._folder),
        }

    def receipt(self):
        entries = [from_line(line) for line in self.journal().splitlines()]
        text = io.StringIO()
        Console(file=text, width=200).print(render(receipt_of(entries)))
        return text.getvalue().encode()

    def journal(self):
        return b"".join(path.read_bytes() for path in self._folder.glob("*.jsonl"))

    def otlp(self):
        assert self.pipelines.flush(10)
        return b"".join(self._sink.bodies)

    def logs(self):
        lines = [record for record in self._caplog.records if record.name.startswith("or_otel")]
        told = [f"{record.getMessage()} {record.exc_text} {record.args}" for record in lines]
        return "\n".join(told).encode()

    def everything(self):
        return {"otlp": self.otlp(), "logs": self.logs(), "journal": self.journal(), "receipt": self.receipt()}

    def close(self):
        for provider in (self.pipelines.tracer_provider, self.pipelines.meter_provider, self.pipelines.logger_provider):
            provider.shutdown()


@pytest.fixture
def doors(sink, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
    caplog.set_level(logging.DEBUG, logger="or_otel")
    doors = Doors(sink, tmp_path / "ledger", caplog)
    yield doors
    or_otel.uninstrument()
    doors.close()


@pytest.fixture
def instrument(doors, openrouter):
    def instrument(**options):
        or_otel.instrument(**doors.options, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, **options)

    return instrument


def play(openrouter, played):
    with openai.OpenAI(base_url=openrouter.base_url, api_key=KEY, max_retries=0) as client:
        for is_stream, scenario in played:
            openrouter.script(scenario)
            # Whatever the client makes of it: only what we tell is looked at.
            with contextlib.suppress(Exception):
                answer = client.chat.completions.create(**REQUEST, stream=is_stream)
                if is_stream:
                    list(answer)


def test_the_builders_are_all_played(openrouter):
    assert len(builders("Scenario")) > 20
    assert len(builders("Answer")) > 8
    assert all(isinstance(scenario, Scenario) for _, scenario in every_scenario(openrouter.base_url))


def test_nothing_marked_leaves_by_any_door(doors, instrument, openrouter):
    played = list(every_scenario(openrouter.base_url))
    instrument()

    play(openrouter, played)

    assert len(openrouter.requests) >= len(played)
    seen = doors.everything()
    assert b"openrouter.client.cost" in seen["otlp"]
    assert b"anthropic/claude-haiku-4.5" in seen["journal"]
    assert seen["receipt"]
    assert [door for door, told in seen.items() if MARK.encode() in told] == []
    # A body that quotes the prompt in the provider's own words, and the whole key in any case.
    assert [door for door, told in seen.items() if b"nobody may keep" in told or KEY.encode() in told] == []


def content_answers():
    call = ToolCall(name="weather", arguments='{"a": "CANARY-argument"}')
    answers = (Answer(content="CANARY-answer", reasoning="CANARY-thought"), scenarios.calling(call))
    return [
        *((False, scenarios.plain(answer)) for answer in answers),
        *((True, scenarios.stream(answer)) for answer in answers),
        (False, marked_scenario(scenarios.moderated())),
    ]


def test_redacted_content_holds_nothing_marked(doors, instrument, openrouter):
    instrument(content="SPAN_AND_EVENT", redact=lambda _: [{"role": "user", "parts": "removed by me"}])

    play(openrouter, content_answers())

    seen = doors.everything()
    assert b"removed by me" in seen["otlp"]
    assert [door for door, told in seen.items() if MARK.encode() in told] == []


def test_a_redact_hook_that_fails_lets_nothing_through(doors, instrument, openrouter):
    def redact(value):
        raise ValueError(f"cannot redact {value}")

    instrument(content="SPAN_AND_EVENT", redact=redact)

    play(openrouter, content_answers())

    seen = doors.everything()
    assert b"openrouter.client.cost" in seen["otlp"]
    assert b"recorder.content failed with ValueError" in seen["logs"]
    assert [door for door, told in seen.items() if MARK.encode() in told] == []
    assert set(guard.faults) == {"recorder.content"}
    guard.reset()


def test_content_without_redaction_is_on_the_span_and_still_no_key(doors, instrument, openrouter):
    instrument(content="SPAN_AND_EVENT")

    play(openrouter, content_answers())

    seen = doors.everything()
    for text in (b"CANARY-prompt", b"CANARY-system", b"CANARY-answer", b"CANARY-argument"):
        assert text in seen["otlp"]
    for secret in (KEY.encode(), b"CANARY-key", b"CANARY-header", b"CANARY-cookie", b"CANARY-echo"):
        assert [door for door, told in seen.items() if secret in told] == []
    assert [door for door in ("logs", "journal", "receipt") if MARK.encode() in seen[door]] == []
