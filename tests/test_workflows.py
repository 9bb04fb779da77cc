"""Runs of workflows: their figures, outcome, spans, metrics and lines, and what belongs to them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

import httpx
import openai
import pytest
from opentelemetry.trace import SpanKind, StatusCode

import or_otel
from or_otel import guard, runs, semconv
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer

PROMPT = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "say ok"}]}


@pytest.fixture
def client(openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x", max_retries=2) as client:
        yield client


@pytest.fixture
def ask(client):
    return lambda **more: client.chat.completions.create(**PROMPT, **more)


@pytest.fixture
def run_span(telemetry):
    def find(name="research"):
        return next(span for span in telemetry.spans if span.name == f"invoke_workflow {name}")

    return find


def lines(folder):
    return [line for path in folder.glob("*.jsonl") for line in path.read_bytes().splitlines()]


def test_a_run_has_a_span_with_the_figures_of_its_calls_and_no_cost(ask, calls, openrouter, run_span, telemetry):
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    busy = replace(scenarios.rate_limited(), headers=(("retry-after-ms", "1"),))
    openrouter.script(scenarios.plain(scenarios.calling()), busy, scenarios.plain(Answer()))

    with or_otel.tags(team="search"), or_otel.workflow("research") as run:
        ask(tools=[tool])
        ask()
        run.finish(ok=True, units=3)

    span = run_span()
    expected = {
        semconv.GEN_AI_OPERATION_NAME: "invoke_workflow",
        semconv.GEN_AI_WORKFLOW_NAME: "research",
        "openrouter.tag.team": "search",
        semconv.OPENROUTER_OUTCOME: "ok",
        semconv.OPENROUTER_WORKFLOW_RUN_ID: run.id,
        semconv.OPENROUTER_WORKFLOW_CALLS: 2,
        semconv.OPENROUTER_WORKFLOW_STEPS: 2,
        semconv.OPENROUTER_WORKFLOW_RETRIES: 1,
        semconv.OPENROUTER_WORKFLOW_TOOL_CALLS: 1,
        semconv.OPENROUTER_WORKFLOW_UNPRICED_CALLS: 0,
        semconv.OPENROUTER_WORKFLOW_UNITS: 3.0,
        semconv.OPENROUTER_WORKFLOW_INPUT_TOKENS: sum(call.usage.input_tokens for call in calls),
        semconv.OPENROUTER_WORKFLOW_OUTPUT_TOKENS: sum(call.usage.output_tokens for call in calls),
    }
    assert dict(span.attributes) == expected
    assert (span.kind, span.status.status_code) == (SpanKind.INTERNAL, StatusCode.UNSET)
    of_calls = [each for each in telemetry.spans if each.kind == SpanKind.CLIENT]
    assert {each.parent.span_id for each in of_calls} == {span.context.span_id}
    assert {each.attributes[semconv.GEN_AI_WORKFLOW_NAME] for each in of_calls} == {"research"}
    assert {each.attributes[semconv.OPENROUTER_WORKFLOW_RUN_ID] for each in of_calls} == {run.id}
    assert run.cost == openrouter.book.total()


def test_a_run_is_measured_once_by_name_outcome_and_tags(ask, calls, openrouter, telemetry):
    with or_otel.tags(team="search", customer="acme"), or_otel.workflow("research"):
        ask()
        ask()

    key = (("gen_ai.workflow.name", "research"), ("openrouter.outcome", "ok"), ("openrouter.tag.team", "search"))
    assert telemetry.points("openrouter.workflow.runs") == {key: 1}
    assert telemetry.points("openrouter.workflow.call_count") == {key: 2}
    assert telemetry.points("openrouter.workflow.cost") == {key: pytest.approx(float(openrouter.book.total()))}
    assert list(telemetry.points("openrouter.workflow.duration")) == [key]


@pytest.mark.parametrize(
    ("error", "outcome", "status"),
    [(ValueError("secret"), "error", StatusCode.ERROR), (KeyboardInterrupt(), "cancelled", StatusCode.UNSET)],
    ids=["an exception", "an interrupt"],
)
def test_what_leaves_the_block_says_how_a_run_ended_and_goes_on(calls, run_span, error, outcome, status):
    with pytest.raises(type(error)) as caught, or_otel.workflow("research"):
        raise error

    span = run_span()
    assert caught.value is error
    assert span.attributes[semconv.OPENROUTER_OUTCOME] == outcome
    assert span.status.status_code == status
    assert "secret" not in repr((span.status.description, dict(span.attributes), span.events))


def test_what_the_application_says_wins_over_how_the_block_was_left(calls, run_span, telemetry):
    with or_otel.workflow("research") as run:
        run.finish(ok=False)
    with suppress(OSError), or_otel.workflow("tidied") as run:
        run.finish(ok=True)
        raise OSError

    assert run_span().status.status_code == StatusCode.ERROR
    assert run_span("tidied").attributes[semconv.OPENROUTER_OUTCOME] == "ok"
    assert semconv.ERROR_TYPE not in run_span("tidied").attributes


def test_calls_that_overlap_are_one_step(calls, openrouter):
    async def main():
        async with (
            openai.AsyncOpenAI(base_url=openrouter.base_url, api_key="k") as client,
            or_otel.workflow("research") as run,
        ):
            gate = asyncio.Barrier(3)

            async def one():
                stream = await client.chat.completions.create(**PROMPT, stream=True)
                await gate.wait()  # all three are open
                async for _ in stream:
                    pass

            async with asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(one())
            await client.chat.completions.create(**PROMPT)
        return run

    run = asyncio.run(main())

    assert (run.calls, run.steps) == (4, 2)


def test_a_run_goes_along_into_threads_and_tasks_that_carry_the_context(ask, calls):
    async def in_a_thread():
        await asyncio.to_thread(ask)

    with or_otel.workflow("research") as run:
        thread = threading.Thread(target=or_otel.bind(ask))
        thread.start()
        thread.join()
        asyncio.run(in_a_thread())
        with ThreadPoolExecutor() as pool:
            pool.submit(contextvars.copy_context().run, ask).result()

    assert run.calls == 3
    assert {call.started.workflow_run_id for call in calls} == {run.id}


def test_a_run_ends_when_the_last_stream_of_it_was_read(ask, calls, openrouter, telemetry):
    with or_otel.workflow("research") as run:
        stream = ask(stream=True)
    assert telemetry.points("openrouter.workflow.runs") == {}

    list(stream)

    assert sum(telemetry.points("openrouter.workflow.runs").values()) == 1
    assert run.cost == openrouter.book.total()


def test_an_inner_run_counts_for_the_outer_as_well(ask, calls, openrouter, run_span):
    with or_otel.workflow("research") as outer:
        ask()
        with or_otel.workflow("search") as inner:
            ask()

    assert (outer.calls, inner.calls) == (2, 1)
    assert outer.cost == openrouter.book.total()
    assert run_span("search").attributes[semconv.OPENROUTER_WORKFLOW_PARENT_RUN_ID] == outer.id
    assert run_span("search").parent.span_id == run_span("research").context.span_id
    assert [call.started.workflow for call in calls] == ["research", "search"]


def test_decorated_functions_are_a_run_each_time(ask, calls):
    @or_otel.workflow("research")
    def research():
        ask()
        return or_otel.current_run().id

    @or_otel.workflow("research")
    async def research_async():
        ask()
        return or_otel.current_run().id

    @or_otel.workflow("research")
    def research_in_steps():
        for _ in range(2):
            ask()
            yield or_otel.current_run().id

    stepped = []
    for run_id in research_in_steps():
        assert or_otel.current_run() is None
        stepped.append(run_id)
    found = [research(), research(), asyncio.run(research_async()), *stepped]

    assert len(set(found)) == 4
    assert [call.started.workflow_run_id for call in calls] == [*stepped, *found[:3]]


def test_the_workflow_is_a_tag_unless_the_application_sets_one(ask, calls):
    with or_otel.workflow("research"):
        ask()
        with or_otel.tags(workflow="deep-research"):
            ask()

    assert [call.tags for call in calls] == [{"workflow": "research"}, {"workflow": "deep-research"}]


def test_unknown_money_of_a_run_is_counted_not_guessed(ask, calls, openrouter):
    with or_otel.workflow("research") as run:
        ask(stream=True).close()

    assert (run.calls, run.unpriced_calls, run.cost) == (1, 1, None)


def test_without_instrument_a_run_is_only_a_context():
    with or_otel.workflow("research") as run:
        assert or_otel.current_run() is run

    assert (run.calls, run.cost, or_otel.outcome(run.id, ok=True)) == (0, None, False)


def test_the_journal_holds_the_run_and_what_was_said_of_it_later(ask, openrouter, telemetry, tmp_path):
    or_otel.instrument(
        **telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, ledger=str(tmp_path)
    )
    with or_otel.workflow("research") as run:
        ask()
    assert or_otel.outcome(run.id, ok=False)
    run.finish(units=2)

    said = [saying for line in lines(tmp_path) if (saying := runs.from_line(line))]

    assert [(each.outcome, each.units, each.workflow) for each in said] == [
        ("ok", None, "research"),
        ("error", None, None),
        (None, 2, None),
    ]
    whole = runs.settled(said)
    assert (whole.outcome_of, whole.workflow, whole.outcome, whole.units) == (run.id, "research", "error", 2)


@pytest.mark.parametrize(
    ("units", "written"),
    [(Decimal("2.5"), 2.5), (True, 1.0), (10**30, 10**30), (float("nan"), None), (10**400, None), ("many", None)],
    ids=["decimal", "truth", "large", "no number", "too large", "text"],
)
def test_a_count_of_any_kind_leaves_a_readable_line(units, written, telemetry, tmp_path):
    or_otel.instrument(**telemetry.providers, ledger=str(tmp_path))
    with or_otel.workflow("research") as run:
        run.finish(units=units)
    assert or_otel.outcome(run.id, ok=False, units=units)

    said = [runs.from_line(line) for line in lines(tmp_path)]

    assert [(each.outcome, each.units) for each in said] == [("ok", written), ("error", written)]
    assert telemetry.points("openrouter.workflow.runs")
    guard.reset()


def test_a_forked_child_leaves_the_run_to_its_parent(ask, openrouter, telemetry, tmp_path):
    or_otel.instrument(
        **telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, ledger=str(tmp_path)
    )
    with or_otel.workflow("research") as run:
        pid = os.fork()
        if pid == 0:
            try:
                httpx.post(f"{openrouter.base_url}/chat/completions", json=PROMPT)
                with or_otel.workflow("of the child"):
                    pass
                run.left(None)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    said = [saying for line in lines(tmp_path) if (saying := runs.from_line(line))]
    assert sorted(each.workflow for each in said) == ["of the child", "research"]
    assert b'"workflow_run_id":"%s"' % run.id.encode() in b"".join(lines(tmp_path))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"gen_ai.workflow.name": "triage", "gen_ai.agent.name": "reader"}, ("triage", None)),
        ({"gen_ai.agent.name": "reader", "gen_ai.agent.call.id": "call-7"}, ("reader", "call-7")),
        ({"traceloop.workflow.name": "LangGraph"}, ("LangGraph", None)),
        ({"gen_ai.agent.name": ("odd",), "other": 1}, ("('odd',)", None)),
        ({}, (None, None)),
    ],
    ids=["workflow", "pydantic-ai", "openllmetry", "odd", "none"],
)
def test_a_framework_s_span_names_the_workflow(ask, calls, telemetry, attributes, expected):
    tracer = telemetry.tracer_provider.get_tracer("framework")
    with tracer.start_as_current_span("agent run", attributes=attributes):
        ask()

    assert (calls[0].started.workflow, calls[0].started.workflow_run_id) == expected


def test_a_trace_of_openai_agents_names_the_workflow(ask, calls, monkeypatch):
    module = types.ModuleType("agents.tracing")
    module.get_current_trace = lambda: types.SimpleNamespace(name="Joke workflow", trace_id="trace_1")
    monkeypatch.setitem(sys.modules, "agents.tracing", module)

    ask()
    with or_otel.workflow("mine"):
        ask()

    assert [call.started.workflow for call in calls] == ["Joke workflow", "mine"]
    assert calls[0].started.workflow_run_id == "trace_1"


def test_a_framework_that_changed_costs_no_call(ask, calls, monkeypatch):
    module = types.ModuleType("agents.tracing")
    module.get_current_trace = lambda: 1 / 0
    monkeypatch.setitem(sys.modules, "agents.tracing", module)

    ask()

    assert len(calls) == 1
    assert calls[0].started.workflow is None
    assert guard.faults.pop("workflows.recognise") == 1


def test_lines_that_say_nothing_of_a_run_are_none():
    assert runs.from_line(b'{"call_id":"a"}') is None
    assert runs.from_line(b"{") is None
    assert runs.from_line(b"[]") is None
    assert runs.from_line(b'{"outcome_of":"a","said_at_s":"x"}') is None
    assert runs.from_line(b'{"outcome_of":"a","said_at_s":1,"outcome":"great"}') is None
    assert runs.from_line(b'{"outcome_of":"a","said_at_s":1,"units":NaN}') is None
    assert runs.from_line(b'{"outcome_of":"a","said_at_s":1,"units":-Infinity}') is None
    assert runs.from_line(b'{"outcome_of":"a","said_at_s":1,"more":2}') == runs.RunSaying(outcome_of="a", said_at_s=1)


def test_what_is_said_last_wins_in_any_order():
    end = runs.RunSaying(outcome_of="a", said_at_s=1.0, outcome="ok", workflow="w", units=2)
    late = runs.RunSaying(outcome_of="a", said_at_s=9.0, outcome="error")

    assert runs.settled([late, end]) == runs.settled([end, late])
    assert runs.settled([late, end]) == replace(end, said_at_s=9.0, outcome="error")
    assert runs.settled([]) is None


def test_a_run_of_another_process_counts_nothing_here_and_is_judged_as_a_late_one(calls, telemetry):
    run = or_otel.Run("research")
    run._pid = 0

    run.opened()
    run.closed(None)
    run.finish(ok=True)
    run.left(None)

    assert (run.calls, run.steps) == (0, 0)
    assert telemetry.points("openrouter.workflow.runs") == {}
