"""Switching on and off in one process, and the doors through which an application reads its own calls."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from importlib.metadata import entry_points

import httpx
import openai
import pytest

import or_otel
from or_otel import OpenRouterInstrumentor, guard, instrumentor
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Wait

pytest_plugins = ["pytester"]

PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}


@pytest.fixture
def client(openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x", max_retries=0) as client:
        yield client


@pytest.fixture
def hosts(openrouter):
    return {openrouter.base_url.split("/")[2]: "openrouter"}


def is_patched():
    return type(httpx.Client.__dict__["send"]).__name__ != "function"


def test_the_entry_point_is_the_instrumentor():
    (entry,) = entry_points(group="opentelemetry_instrumentor", name="or_otel")

    assert entry.load() is OpenRouterInstrumentor


def test_switched_on_twice_a_call_is_counted_once(client, telemetry, hosts):
    or_otel.instrument(**telemetry.providers, hosts=hosts)
    or_otel.instrument(**telemetry.providers, hosts=hosts)
    or_otel.start()

    client.chat.completions.create(**PROMPT)

    assert len(telemetry.spans) == 1
    assert sum(telemetry.points("openrouter.client.calls").values()) == 1


def test_switched_off_and_on_again_the_sums_go_on(client, telemetry, hosts, openrouter):
    for _ in range(2):
        or_otel.instrument(**telemetry.providers, hosts=hosts)
        client.chat.completions.create(**PROMPT)
        or_otel.uninstrument()
        client.chat.completions.create(**PROMPT)

    assert sum(telemetry.points("openrouter.client.calls").values()) == 2
    assert len(openrouter.requests) == 4
    assert not is_patched()


def test_told_to_stay_off_it_can_still_be_switched_on(hosts, client):
    or_otel.instrument(enabled=False)
    assert not is_patched()

    or_otel.instrument(hosts=hosts)

    with or_otel.capture() as calls:
        client.chat.completions.create(**PROMPT)
    assert len(calls) == 1


def test_the_instrumentor_and_the_functions_switch_the_same_thing(hosts):
    OpenRouterInstrumentor().instrument(hosts=hosts)
    assert instrumentor.is_on()
    or_otel.uninstrument()
    assert not instrumentor.is_on()

    or_otel.instrument()
    OpenRouterInstrumentor().uninstrument()
    assert not instrumentor.is_on()
    assert not is_patched()


def test_uninstrument_without_instrument_says_and_does_nothing(caplog):
    or_otel.uninstrument()

    assert caplog.records == []


def test_suppressed_calls_are_not_ours(client, calls):
    from opentelemetry.instrumentation.utils import suppress_instrumentation  # noqa: PLC0415

    with suppress_instrumentation():
        client.chat.completions.create(**PROMPT)

    assert calls == []


# Reading one's own calls --------------------------------------------------------------------------------


def test_a_capture_holds_the_calls_begun_inside_and_no_other(client, calls):
    with or_otel.capture() as inner:
        client.chat.completions.create(**PROMPT)
    client.chat.completions.create(**PROMPT)

    assert (len(inner), len(calls)) == (1, 2)


def test_a_record_is_there_before_the_last_read_returns(client, openrouter, calls):
    openrouter.script(scenarios.stream())

    for chunk in client.chat.completions.create(**PROMPT, stream=True):
        if chunk.choices and chunk.usage:
            continue

    assert calls[0].cost.total == openrouter.book.total()


def test_a_call_still_open_at_the_end_of_a_capture_comes_when_it_ends(client, openrouter, telemetry, hosts):
    or_otel.instrument(**telemetry.providers, hosts=hosts)
    openrouter.script(scenarios.stream(middle=(Wait("rest"),)))

    with or_otel.capture() as calls:
        stream = client.chat.completions.create(**PROMPT, stream=True)
    assert calls == []
    openrouter.release("rest")
    list(stream)

    assert [record.outcome for record in calls] == ["ok"]


def test_a_plain_thread_is_captured_when_bound_to_the_context(client, calls):
    def ask():
        client.chat.completions.create(**PROMPT)

    context = copy_context()
    thread = threading.Thread(target=context.run, args=(ask,))
    thread.start()
    thread.join()

    assert len(calls) == 1


async def test_tasks_keep_their_own_captures_and_tags(openrouter, calls):
    async with openai.AsyncOpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x") as client:

        async def ask(team, times):
            with or_otel.tags(team=team), or_otel.capture() as mine:
                for _ in range(times):
                    await client.chat.completions.create(**PROMPT)
            return team, [record.tags["team"] for record in mine]

        found = dict(await asyncio.gather(ask("a", 1), ask("b", 2), ask("c", 3)))

    assert found == {"a": ["a"], "b": ["b", "b"], "c": ["c", "c", "c"]}
    assert len(calls) == 6


def test_bound_functions_carry_tags_and_join_the_operation(client, openrouter, calls):
    heard = []
    end = or_otel.on_call(heard.append)
    with ThreadPoolExecutor(2) as pool, or_otel.tags(team="search"), or_otel.operation():
        ask = or_otel.bind(lambda: client.chat.completions.create(**PROMPT))
        for each in [pool.submit(ask), pool.submit(ask)]:
            each.result()
    or_otel.flush()
    end()

    (record,) = heard
    assert (len(record.attempts), record.tags["team"]) == (2, "search")
    assert record.cost.total == openrouter.book.total()


def test_who_listens_is_called_off_the_callers_path(client, openrouter, telemetry, hosts):
    or_otel.instrument(**telemetry.providers, hosts=hosts)
    go_on, heard = threading.Event(), []

    def slow(record):
        go_on.wait(10)
        heard.append((threading.current_thread() is threading.main_thread(), record.cost.total))

    end = or_otel.on_call(slow)
    client.chat.completions.create(**PROMPT)
    assert heard == []
    assert not or_otel.flush(timeout_s=0.01)
    assert heard == []
    go_on.set()
    assert or_otel.flush()
    end()
    client.chat.completions.create(**PROMPT)
    or_otel.flush()

    assert heard == [(False, openrouter.book.entries[0].charged)]


def test_who_listens_and_fails_is_nobodys_trouble(client, calls):
    def fails(record):
        raise LookupError("the listener's own")

    end = or_otel.on_call(fails)
    completion = client.chat.completions.create(**PROMPT)
    or_otel.flush()
    end()

    assert completion.choices
    assert guard.faults == {"callbacks.on_call": 1}
    guard.reset()


def test_log_lines_name_the_generation_they_come_after(client, calls):
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.generation_id)
    handler.addFilter(or_otel.GenerationIdFilter())
    logger = logging.getLogger("application")
    logger.addHandler(handler)

    copy_context().run(client.chat.completions.create, **PROMPT)
    client.chat.completions.create(**PROMPT)
    logger.warning("summarised")
    logger.removeHandler(handler)

    assert lines == [calls[1].generation_id]
    assert lines[0].startswith("gen-")


def test_flush_gives_what_waits_to_the_providers(client, hosts, telemetry):
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(telemetry.span_exporter, schedule_delay_millis=3_600_000))
    or_otel.instrument(tracer_provider=provider, meter_provider=telemetry.meter_provider, hosts=hosts)
    client.chat.completions.create(**PROMPT)
    assert telemetry.spans == ()

    assert or_otel.flush()

    assert len(telemetry.spans) == 1
    provider.shutdown()


def test_failing_providers_never_reach_the_caller(client, hosts):
    class Broken:
        def __getattr__(self, name):
            raise RuntimeError("not today")

    or_otel.instrument(tracer_provider=Broken(), meter_provider=Broken(), hosts=hosts)

    assert client.chat.completions.create(**PROMPT).choices
    assert "instrumentor.instrument" in guard.faults
    or_otel.uninstrument()
    guard.reset()


PROGRAM = """
from decimal import Decimal
import os
import httpx
import pytest

def ask():
    body = {"model": "openai/gpt-5-mini", "messages": []}
    assert httpx.post(os.environ["BASE_URL"] + "/chat/completions", json=body).status_code == 200

def test_cost(llm_calls):
    ask()
    ask()
    assert len(llm_calls) == 2
    assert llm_calls.cost == Decimal(os.environ["PRICE"]) * 2
    assert (llm_calls.input_tokens, llm_calls.output_tokens) == (400, 20)
    assert [call.outcome for call in llm_calls[:1]] == ["ok"]

def test_unpriced(llm_calls):
    ask()
    with pytest.raises(AssertionError, match="1 of 1 calls have no known price: not_reported"):
        llm_calls.cost

def test_off_again():
    assert type(httpx.Client.__dict__["send"]).__name__ == "function"
"""


def test_applications_test_their_calls_with_a_fixture(pytester, openrouter, monkeypatch):
    openrouter.script(scenarios.plain(Answer()), scenarios.plain(Answer()), scenarios.without_cost())
    monkeypatch.setenv("BASE_URL", openrouter.base_url)
    monkeypatch.setenv("PRICE", str(Decimal("0.00025")))
    monkeypatch.setenv("OR_OTEL_HOSTS", openrouter.base_url.split("/")[2] + "=openrouter")
    pytester.makepyfile(PROGRAM)

    result = pytester.runpytest_subprocess("-p", "no:randomly")

    result.assert_outcomes(passed=3)
