"""Faults of ours at any seam cost telemetry and never the host's answer; and how calls are put together."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
from dataclasses import replace
from decimal import Decimal

import httpx
import openai
import pytest

import or_otel
from or_otel import guard
from or_otel.calls import Emission, Emitter
from or_otel.recorder import ContentRules, Recorder
from or_otel.sensors import httpx as httpx_sensor
from or_otel.sensors import patching, sdks
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Wait
from or_otel.wire.endpoints import Hosts

PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
ANSWER = Answer(id="gen-1793700001-a1B2c3D4e5F6g7H8i9J0", created=1793700001)
HEADERS = {"authorization": "Bearer sk-or-v1-x"}


class Faulty(Emission):
    """Fails where it is told to."""

    def __init__(self, place):
        self._place = place

    def _maybe(self, place):
        if self._place == place:
            raise ZeroDivisionError("CANARY")

    def enter(self):
        self._maybe("enter")

    def leave(self, token):
        del token
        self._maybe("leave")

    def end(self, record, context):
        del record, context
        self._maybe("end")


class FaultyEmitter(Emitter):
    """An emitter that fails at one of its edges."""

    def __init__(self, place):
        self.place = place

    def begin(self, call):
        del call
        if self.place == "begin":
            raise ZeroDivisionError("CANARY")
        return Faulty(self.place)


class Kept(Emitter):
    """Keeps the records."""

    def __init__(self):
        self.records = []

    def begin(self, call):
        del call
        kept = self

        class Keeping(Emission):
            def end(self, record, context):
                del context
                kept.records.append(record)

        return Keeping()


@pytest.fixture
def watch(openrouter):
    """Watch with emitters of the test's own, and give the recorder."""

    def watch(*emitters, **options):
        recorder = Recorder(emitters, hosts=Hosts({openrouter.base_url.split("/")[2]: "openrouter"}), **options)
        hooks = dict.fromkeys(httpx_sensor.MODULES, httpx_sensor.install) | sdks.hooks()
        patching.activate(recorder, hooks)
        return recorder

    yield watch
    patching.deactivate()


@pytest.fixture
def client(openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x", max_retries=0) as client:
        yield client


def both(client, openrouter):
    """Give what a caller sees of a plain and of a streamed answer."""
    openrouter.script(scenarios.plain(ANSWER), scenarios.stream(ANSWER, comments=1))
    plain = client.chat.completions.create(**PROMPT).model_dump()
    return plain, [chunk.model_dump() for chunk in client.chat.completions.create(**PROMPT, stream=True)]


@pytest.mark.parametrize("place", ["begin", "enter", "leave", "end"])
def test_an_emitter_that_fails_costs_its_own_telemetry_only(place, client, openrouter, watch, caplog):
    unwatched = both(client, openrouter)
    kept = Kept()
    watch(FaultyEmitter(place), kept)

    assert both(client, openrouter) == unwatched

    assert [record.cost.total for record in kept.records] == [Decimal("0.00025")] * 2
    assert sum(guard.faults.values()) == 2
    assert len(caplog.records) == 1
    assert "ZeroDivisionError" in caplog.text
    assert "CANARY" not in caplog.text
    guard.reset()


class Hostile:
    """A response header look-up, a key table or a hook that fails whatever it is asked."""

    def __call__(self, *_):
        raise ZeroDivisionError("CANARY")


def test_a_first_call_hook_that_fails_is_told_and_the_call_is_recorded(client, openrouter, watch):
    unwatched = both(client, openrouter)
    kept = Kept()
    watch(kept, on_first_call=Hostile())

    assert both(client, openrouter) == unwatched

    assert len(kept.records) == 2
    assert guard.faults == {"recorder.first_call": 1}
    guard.reset()


def test_a_redact_hook_that_fails_costs_the_content_only(client, openrouter, watch):
    unwatched = both(client, openrouter)
    kept = Kept()
    watch(kept, content=ContentRules(limit_bytes=1000, redact=Hostile()))

    assert both(client, openrouter) == unwatched

    assert [(record.input_messages, record.output_messages) for record in kept.records] == [(None, None)] * 2
    assert set(guard.faults) == {"recorder.content"}
    guard.reset()


def test_an_appraisal_that_fails_costs_what_it_would_have_said(client, openrouter, watch):
    unwatched = both(client, openrouter)
    kept = Kept()
    watch(kept, appraise=Hostile())

    assert both(client, openrouter) == unwatched

    assert [record.cost.total for record in kept.records] == [Decimal("0.00025")] * 2
    assert guard.faults == {"recorder.appraise": 2}
    guard.reset()


def test_an_appraisal_gets_the_request_as_it_was_sent(client, openrouter, watch):
    bodies = []
    kept = Kept()
    watch(kept, appraise=lambda record, body: bodies.append(body) or record)

    both(client, openrouter)

    assert [json.loads(body)["messages"] for body in bodies] == [PROMPT["messages"]] * 2


@pytest.mark.parametrize(
    ("seam", "place", "is_recorded"),
    [
        ("or_otel.recorder.read_request", "sensors.httpx.open", False),
        ("or_otel.recorder.reader_for", "recorder.answered", True),
        ("or_otel.wire.chat.ChatFacts.read", "recorder.", True),
        ("or_otel.wire.chat.ChatFacts.answer", "recorder.", True),
        ("or_otel.routes.route", "recorder.end", False),
        ("or_otel.wire.endpoints.Hosts.endpoint", "recorder.endpoint", False),
    ],
)
def test_a_fault_at_any_seam_of_ours_never_reaches_the_caller(
    seam, place, is_recorded, client, openrouter, watch, monkeypatch
):
    unwatched = both(client, openrouter)
    kept = Kept()
    watch(kept, router_metadata=False)
    monkeypatch.setattr(seam, Hostile())  # a fault put into the real thing: what is told stays ours

    assert both(client, openrouter) == unwatched

    assert guard.faults
    assert all(name.startswith(place) for name in guard.faults)
    assert len(kept.records) == (2 if is_recorded else 0)
    guard.reset()


def held():
    return [each for each in gc.get_objects() if type(each).__name__ in {"_Exchange", "_Call"}]


def test_a_finished_call_is_let_go_without_the_garbage_collector(client, openrouter, watch):
    recorder = watch(Kept())
    gc.collect()
    before = held()  # of failed tests, whose tracebacks are kept
    gc.disable()
    try:
        both(client, openrouter)

        assert recorder.open_exchanges == {}
        assert [each for each in held() if not any(each is old for old in before)] == []
    finally:
        gc.enable()


def test_what_is_open_at_the_end_of_the_process_is_told_as_cancelled(openrouter, watch):
    kept = Kept()
    recorder = watch(kept)
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))
    with (
        httpx.Client(headers=HEADERS) as client,
        client.stream("POST", openrouter.base_url + "/chat/completions", json={**PROMPT, "stream": True}) as response,
    ):
        next(response.iter_lines())

        recorder.finish(0.0)

        (record,) = kept.records
        assert (record.outcome, record.unpriced, record.response_id) == ("cancelled", "cancelled", ANSWER.id)


def test_bytes_after_the_terminal_event_change_nothing(openrouter, watch):
    kept = Kept()
    watch(kept)
    late = scenarios.Chunk(b'data: {"id":"late","usage":{"cost":9}}\n\n')
    whole = scenarios.stream(ANSWER)
    openrouter.script(replace(whole, steps=(*whole.steps, late)))

    with (
        httpx.Client(headers=HEADERS) as client,
        client.stream("POST", openrouter.base_url + "/chat/completions", json={**PROMPT, "stream": True}) as response,
    ):
        assert '"late"' in "".join(response.iter_lines())

    assert [(record.response_id, record.cost.total) for record in kept.records] == [(ANSWER.id, Decimal("0.00025"))]


def test_a_key_is_known_by_its_name_and_never_kept(openrouter, watch):
    key_id = hashlib.sha256(b"sk-or-v1-x").hexdigest()[:12]
    kept = Kept()
    watch(kept, key_names={key_id: "production"})

    with httpx.Client(headers=HEADERS) as client:
        client.post(openrouter.base_url + "/chat/completions", json=PROMPT)

    (record,) = kept.records
    assert (record.started.key_id, record.started.key_name) == (key_id, "production")
    assert "sk-or-v1-x" not in repr(record)


def test_concurrent_attempts_of_one_operation_are_one_call(openrouter, watch):
    kept = Kept()
    watch(kept)
    openrouter.script(*(scenarios.stream(Answer(), middle=(Wait("all"),)) for _ in range(2)))
    url = openrouter.base_url + "/chat/completions"

    with httpx.Client(headers=HEADERS) as client, or_otel.operation(), contextlib.ExitStack() as stack:
        responses = [stack.enter_context(client.stream("POST", url, json={**PROMPT, "stream": True})) for _ in range(2)]
        openrouter.release("all")
        for response in responses:
            list(response.iter_lines())

    (record,) = kept.records
    assert [attempt.number for attempt in record.attempts] == [1, 2]
    assert record.cost.total == openrouter.book.total()


@pytest.mark.parametrize("left_early", [0, 1])
def test_a_call_keeps_what_only_one_of_its_attempts_told(left_early, openrouter, watch):
    kept = Kept()
    watch(kept)
    openrouter.script(*(scenarios.stream(Answer(), middle=(Wait("all"),)) for _ in range(2)))
    url = openrouter.base_url + "/chat/completions"

    with httpx.Client(headers=HEADERS) as client, or_otel.operation(), contextlib.ExitStack() as stack:
        responses = [stack.enter_context(client.stream("POST", url, json={**PROMPT, "stream": True})) for _ in range(2)]
        responses.pop(left_early).close()
        openrouter.release("all")
        list(responses.pop().iter_lines())

    (record,) = kept.records
    read, left = record.attempts[1 - left_early], record.attempts[left_early]
    assert (read.unpriced, left.usage, left.unpriced) == (None, None, "cancelled")
    assert (record.usage, record.unpriced) == (read.usage, "cancelled")
    assert (record.outcome, record.response_id, record.ended_at_s) == ("ok", read.response_id, read.ended_at_s)
