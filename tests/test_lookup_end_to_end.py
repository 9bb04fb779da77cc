"""Costs that come too late for the answer: learned from the generation record, and counted once everywhere."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import httpx
import openai
import pytest

import or_otel
from or_otel import instrumentor, semconv
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import entries
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Scenario, Wait

KEY = "sk-or-v1-CANARY"
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
COST, UNPRICED = "openrouter.client.cost", "openrouter.client.unpriced_calls"


@pytest.fixture
def client(openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def instrument(openrouter, telemetry, tmp_path):
    def instrument(reconcile, **options):
        hosts = {openrouter.base_url.split("/")[2]: "openrouter"}
        ledger = str(tmp_path / "ledger")
        or_otel.instrument(**telemetry.providers, hosts=hosts, ledger=ledger, reconcile=reconcile, **options)

    return instrument


def leave_early(client, openrouter, answer=None):
    """Read one piece of a stream and go; the server has billed when this returns."""
    openrouter.script(scenarios.stream(answer or Answer(), middle=(Wait("never"),)))
    left = len(openrouter.disconnects)
    with client.chat.completions.create(**PROMPT, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
    openrouter.wait_for_disconnect(left + 1)


def asked(openrouter):
    return [request for request in openrouter.requests if "/generation" in request.path]


def held(tmp_path):
    folder = tmp_path / "ledger"
    import_journals(folder)
    with open_ledger(folder / DATABASE) as ledger:
        return list(entries(ledger))


def exact(points):
    return sum((Decimal(repr(value)) for value in points.values()), Decimal(0))


def by(points, attribute):
    return {dict(key).get(attribute): value for key, value in points.items()}


def reconciled(telemetry):
    return [each for each in telemetry.logs if each.event_name == semconv.EVENT_GENERATION_RECONCILED]


def test_a_stream_left_early_is_priced_to_the_last_digit(client, openrouter, telemetry, instrument, tmp_path):
    instrument("missing")
    openrouter.behaviour.generation_not_found_first = 1
    with or_otel.capture() as calls:
        leave_early(client, openrouter, Answer(input_cost=Decimal("0.000123456789")))

    while_waiting = telemetry.points(UNPRICED)
    for _ in range(3):
        assert or_otel.flush()

    (record,) = calls
    (span,) = telemetry.spans
    (entry,) = held(tmp_path)
    (event,) = reconciled(telemetry)
    billed = openrouter.book.total()
    assert while_waiting == {}
    assert (record.unpriced, record.cost, record.is_awaited) == ("cancelled", None, True)
    assert len(asked(openrouter)) == 2  # 404 at first, then the record, then nothing any more
    assert exact(telemetry.points(COST)) == entry.total == billed
    assert by(telemetry.points(COST), semconv.OPENROUTER_COST_SOURCE) == {"generation": float(billed)}
    assert telemetry.points(UNPRICED) == {}
    assert (entry.source, entry.billing, entry.unpriced) == ("generation", "credits", None)
    assert entry.input_tokens == openrouter.book.entries[0].usage.input_tokens
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)
    told = dict(event.attributes)
    assert told[semconv.OPENROUTER_COST_TOTAL] == float(billed)
    assert told[semconv.OPENROUTER_BILLING] == "credits"
    assert told[semconv.OPENROUTER_PROVIDER_NAME] == "Anthropic"
    assert told[semconv.GEN_AI_USAGE_INPUT_TOKENS] == entry.input_tokens
    assert semconv.OPENROUTER_COST_TOTAL not in span.attributes


def test_both_bills_of_byok_are_learned(client, openrouter, telemetry, instrument, tmp_path):
    instrument("missing")
    leave_early(client, openrouter, scenarios.byok(fee=Decimal("0.000225")))

    or_otel.flush()

    (entry,) = held(tmp_path)
    (billed,) = openrouter.book.entries
    assert (entry.charged, entry.upstream_bill, entry.billing) == (billed.charged, billed.upstream, "byok")
    assert by(telemetry.points(COST), semconv.OPENROUTER_COST_LEDGER) == {
        "openrouter": float(billed.charged),
        "upstream": float(billed.upstream),
    }


def test_off_by_default_nothing_is_asked(client, openrouter, telemetry, instrument):
    instrument(None)
    leave_early(client, openrouter)

    or_otel.flush()
    or_otel.uninstrument()

    assert asked(openrouter) == []
    assert by(telemetry.points(UNPRICED), semconv.OPENROUTER_UNPRICED_REASON) == {"cancelled": 1}


def test_a_record_that_never_comes_leaves_one_unpriced_call(client, openrouter, telemetry, instrument, tmp_path):
    instrument("missing")
    openrouter.behaviour.generation_not_found_first = 1000
    leave_early(client, openrouter)

    or_otel.flush()
    while_waiting = telemetry.points(UNPRICED)
    or_otel.uninstrument()

    (entry,) = held(tmp_path)
    assert while_waiting == {}
    assert by(telemetry.points(UNPRICED), semconv.OPENROUTER_UNPRICED_REASON) == {"cancelled": 1}
    assert (telemetry.points(COST), reconciled(telemetry)) == ({}, [])
    assert (entry.total, entry.unpriced) == (None, "cancelled")


def test_missing_does_not_ask_for_what_the_answer_told(client, openrouter, telemetry, instrument):
    instrument("missing")
    client.chat.completions.create(**PROMPT)
    openrouter.script(scenarios.no_credits())
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(**PROMPT)

    or_otel.flush()

    assert asked(openrouter) == []


def test_speech_tells_its_price_only_by_its_record(client, openrouter, telemetry, instrument, tmp_path):
    instrument("missing")
    client.audio.speech.create(model="hexgrad/kokoro-82m", voice="af_bella", input="hello").read()

    or_otel.flush()

    (entry,) = held(tmp_path)
    assert entry.api == "speech"
    assert exact(telemetry.points(COST)) == entry.total == openrouter.book.total()
    assert telemetry.points(UNPRICED) == {}


def test_each_lost_attempt_of_a_call_is_priced_by_its_own_record(openrouter, telemetry, instrument, tmp_path):
    instrument("missing")
    openrouter.script(scenarios.lost_mid_stream(), scenarios.lost_mid_stream(), scenarios.stream(Answer()))

    with or_otel.operation(), httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
        for _ in range(3):
            with (
                suppress(httpx.RemoteProtocolError),
                client.stream(
                    "POST", openrouter.base_url + "/chat/completions", json=PROMPT | {"stream": True}
                ) as answer,
            ):
                answer.read()
    assert or_otel.flush()

    found = held(tmp_path)
    assert [entry.source for entry in found] == ["generation", "generation", "response"]
    assert len({entry.generation_id for entry in found}) == 3
    assert sum(entry.total for entry in found) == openrouter.book.total()
    assert sum(telemetry.points(COST).values()) == pytest.approx(float(openrouter.book.total()), rel=1e-12)
    assert telemetry.points(UNPRICED) == {}


def test_all_reports_where_answer_and_record_differ(client, openrouter, telemetry, instrument, tmp_path):
    instrument("all")
    answers = [client.chat.completions.create(**PROMPT) for _ in range(3)]
    before = openrouter.book.total()
    dearer, cheaper = answers[1].id, answers[2].id
    for generation_id, factor in ((dearer, 2), (cheaper, Decimal("0.5"))):
        billed = openrouter.book.find(generation_id)
        openrouter.book.enter(replace(billed, charged=billed.charged * factor))

    or_otel.flush()

    found = {entry.generation_id: entry for entry in held(tmp_path)}
    single = before / 3
    assert len(asked(openrouter)) == 3
    assert {key: entry.total for key, entry in found.items()} == {
        answers[0].id: single,
        dearer: single * 2,
        cheaper: single / 2,
    }
    events = {
        event.attributes[semconv.OPENROUTER_GENERATION_ID]: dict(event.attributes) for event in reconciled(telemetry)
    }
    assert {key: told[semconv.OPENROUTER_COST_DIFFERENCE] for key, told in events.items()} == {
        dearer: float(single),
        cheaper: float(-single / 2),
    }
    # A counter cannot fall: the refund is in ledger and event alone.
    assert sum(telemetry.points(COST).values()) == pytest.approx(float(before + single), rel=1e-12)


def test_a_thousand_calls_from_several_threads_are_each_priced_once(openrouter, telemetry, instrument, tmp_path):
    instrument("missing")
    openrouter.script(*(scenarios.without_cost() for _ in range(1000)))

    def work():
        with httpx.Client(headers={"authorization": f"Bearer {KEY}"}) as client:
            for _ in range(250):
                client.post(openrouter.base_url + "/chat/completions", json=PROMPT)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while instrumentor._process.lookups.waiting:
        or_otel.flush()

    found = held(tmp_path)
    billed = openrouter.book.total()
    assert len(found) == len(openrouter.book.entries) == len(asked(openrouter)) == len(reconciled(telemetry)) == 1000
    assert sum(entry.total for entry in found) == billed
    assert sum(telemetry.points(COST).values()) == pytest.approx(float(billed), rel=1e-12)
    assert telemetry.points(UNPRICED) == telemetry.points("or_otel.telemetry.dropped") == {}


def test_records_are_given_to_the_application_once(client, openrouter, instrument):
    instrument("missing")
    heard = []
    stop = or_otel.on_call(heard.append)
    with or_otel.capture() as calls:
        leave_early(client, openrouter)

    for _ in range(2):
        or_otel.flush()
    stop()

    assert (len(heard), len(calls)) == (1, 1)
    assert len(asked(openrouter)) == 1


def test_the_key_goes_to_the_server_and_nowhere_else(client, openrouter, telemetry, instrument, tmp_path, caplog):
    caplog.set_level("DEBUG", logger="or_otel")
    instrument("missing")
    openrouter.script(Scenario(status=401, body={"error": {"message": KEY}}), path="/generation")
    with or_otel.capture() as calls:
        leave_early(client, openrouter)
        leave_early(client, openrouter)

    or_otel.flush()
    or_otel.uninstrument()

    assert [request.headers["authorization"] for request in asked(openrouter)] == [f"Bearer {KEY}"] * 2
    journal = b"".join(path.read_bytes() for path in (tmp_path / "ledger").glob("*"))
    told = (telemetry.spans, [span.attributes for span in telemetry.spans], telemetry.points(COST), telemetry.logs)
    assert b"CANARY" not in journal + pickle.dumps(calls)
    assert "CANARY" not in f"{calls!r} {told!r} {caplog.text}"
    assert len(reconciled(telemetry)) == 1


# Whole programs -------------------------------------------------------------------------------------------------------

PROGRAM = """
import json, os, sys, urllib.request
import openai
import or_otel

def wait_until_billed():
    key = urllib.request.Request(os.environ["BASE_URL"] + "/key", headers={"authorization": "Bearer sk-or-v1-CANARY"})
    while not json.load(urllib.request.urlopen(key))["data"]["usage"]:
        pass

def leave_early():
    client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key="sk-or-v1-CANARY", max_retries=0)
    messages = [{"role": "user", "content": "hello"}]
    with client.chat.completions.create(model="openai/gpt-5-mini", messages=messages, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)

or_otel.start()
leave_early()
"""


def run(body, openrouter, tmp_path, **environment):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM + textwrap.dedent(body)],
        env={
            **kept,
            "BASE_URL": openrouter.base_url,
            "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
            "OR_OTEL_LEDGER": str(tmp_path / "ledger"),
            "OR_OTEL_RECONCILE": "missing",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def streams_to_leave(openrouter, count):
    openrouter.script(*(scenarios.stream(middle=(Wait("never"),)) for _ in range(count)))


def test_a_program_that_ends_asks_once_more(openrouter, tmp_path, sink):
    streams_to_leave(openrouter, 1)

    run("wait_until_billed()", openrouter, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)

    (entry,) = held(tmp_path)
    assert entry.total == openrouter.book.total()
    assert sum(sink.sums(COST).values()) == float(openrouter.book.total())
    assert sum(sink.sums(UNPRICED).values()) == 0


@pytest.mark.parametrize("trouble", ["never there", "never answers"])
def test_a_program_ends_in_time_whatever_the_server_does(openrouter, tmp_path, sink, trouble):
    streams_to_leave(openrouter, 1)
    openrouter.behaviour.generation_not_found_first = 1000
    if trouble == "never answers":
        openrouter.script(Scenario(before=(Wait("never"),), body={}), path="/generation")

    done = run("", openrouter, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)

    (entry,) = held(tmp_path)
    assert entry.unpriced == "cancelled"
    assert sum(sink.sums(UNPRICED).values()) == 1
    assert "Traceback" not in done.stderr


def test_the_receipt_of_a_program_knows_what_was_learned(openrouter, tmp_path):
    streams_to_leave(openrouter, 1)
    openrouter.behaviour.generation_not_found_first = 0

    done = run("wait_until_billed()", openrouter, tmp_path)

    assert "unpriced" not in done.stderr
    assert "1 cancelled" in done.stderr


def test_a_forked_child_leaves_its_parent_s_questions_alone(openrouter, tmp_path, sink):
    streams_to_leave(openrouter, 1)

    body = """
    wait_until_billed()
    for _ in range(2):
        if os.fork() == 0:
            or_otel.flush()
            sys.exit(0)
    for _ in range(2):
        os.wait()
    """
    run(body, openrouter, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)

    (entry,) = held(tmp_path)
    assert entry.total == openrouter.book.total()
    assert sum(sink.sums(COST).values()) == float(openrouter.book.total())
    assert sum(sink.sums(UNPRICED).values()) == 0


def test_a_child_of_multiprocessing_asks_for_its_own(openrouter, tmp_path, sink):
    streams_to_leave(openrouter, 2)

    body = """
    import multiprocessing
    child = multiprocessing.get_context("fork").Process(target=leave_early)
    child.start()
    child.join()
    """
    run(body, openrouter, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)

    found = held(tmp_path)
    assert len({entry.pid for entry in found}) == 2
    known = sum(entry.total or 0 for entry in found)
    assert sum(sink.sums(COST).values()) == pytest.approx(float(known), rel=1e-12)
    assert sum(sink.sums(UNPRICED).values()) == sum(entry.unpriced is not None for entry in found)
