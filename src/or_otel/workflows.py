"""One task's calls as one run: its figures, its outcome, its place among other runs.

*A run ends when its block is left and no call of it is open.* It lives in the OpenTelemetry
context, as tags do, so threads and tasks that carry the context belong to it. A run inside
another counts for both. Calls under the span of an agent framework that nobody wrapped
take the workflow's name from that. Knows no emitter: a watch is told, where there is one.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol, Self, cast

from opentelemetry import context as otel_context
from opentelemetry import trace

from or_otel import garbage, semconv
from or_otel.calls import CallRecord
from or_otel.facts import EXACT, ZERO, Outcome
from or_otel.guard import guarded, wall
from or_otel.operations import ENVIRONMENT_TAG, Scope, current_tags, tag_text
from or_otel.runs import RunEmission, RunRecord, RunSaying, RunStarted

_RUN = otel_context.create_key("or_otel.run")

NAMED_BY = (
    (semconv.GEN_AI_WORKFLOW_NAME, None),
    # On the spans of OpenLLMetry's instrumentations; of langgraph's graphs: opentelemetry-instrumentation-langchain
    # 0.62, seen 2026-11.
    ("traceloop.workflow.name", None),
    # On every span of an agent's run: pydantic-ai 2.68, seen 2026-11.
    (semconv.GEN_AI_AGENT_NAME, semconv.GEN_AI_AGENT_CALL_ID),
)
"""Attributes of a foreign span that name the workflow, and the run."""


class Watch(Protocol):
    """Who publishes runs."""

    def begin_run(self, run: RunStarted) -> Sequence[RunEmission] | None:
        """A run begins."""

    def judge(self, saying: RunSaying) -> bool | None:
        """Somebody judges a run that ended; whether that was kept."""


class _Watching:
    def __init__(self) -> None:
        self.by: Watch | None = None


_watching = _Watching()


def watch(by: Watch | None) -> None:
    """Tell this one of runs from now on; None for nobody."""
    _watching.by = by


class Run:
    """One run under way. Figures include the runs inside it, and grow as calls end.

    Attributes:
        id: Random id, 32 hex: keep it to judge the run later, by `or_otel.outcome`.
        name: Of the workflow.
        parent: The run around it.
        calls, steps, retries, tool_calls: So far.
        input_tokens, output_tokens, cost: So far; None while nobody told.
        unpriced_calls: Calls some of whose money is not known.
    """

    def __init__(self, name: str, parent: Run | None = None) -> None:
        self.id = uuid.uuid4().hex
        self.name = name
        self.parent = parent
        self.calls = self.steps = self.retries = self.tool_calls = self.unpriced_calls = 0
        self.input_tokens: int | None = None
        self.output_tokens: int | None = None
        self.cost: Decimal | None = None
        self._ok: bool | None = None
        self._units: float | None = None
        self._lock = threading.Lock()
        self._open = 0
        self._pid = os.getpid()
        self._ended: tuple[float, Outcome, str | None] | None = None
        self._emissions: Sequence[RunEmission] = ()
        self._is_published = False
        self._started = RunStarted(id=self.id, name=name, started_at_s=time.time())
        self._began_at_s = time.perf_counter()

    def finish(self, *, ok: bool | None = None, units: float | None = None) -> None:
        """Say whether the task was done, and how many results it brought; wins over what leaving the block says.

        After the block was left, and in a forked child, this is `or_otel.outcome`.
        """
        if not self._is_elsewhere():
            units = _counted(units)
            with self._lock:
                if self._ended is None:
                    self._ok = self._ok if ok is None else ok
                    self._units = self._units if units is None else units
                    return
        outcome(self.id, ok=ok, units=units)

    def entered(self, tags: Mapping[str, str]) -> object | None:
        """Begin to be published; gives the context of the run's span, if there is one."""
        self._started = RunStarted(
            id=self.id,
            name=self.name,
            started_at_s=self._started.started_at_s,
            parent_id=self.parent.id if self.parent else None,
            tags={key: value for key, value in tags.items() if key != ENVIRONMENT_TAG},
            environment=tags.get(ENVIRONMENT_TAG),
        )
        if _watching.by is not None:
            self._emissions = _watching.by.begin_run(self._started) or ()
        return next((each.context for each in self._emissions if each.context is not None), None)

    def left(self, error: BaseException | None) -> None:
        """The block was left, by an exception or not."""
        if self._is_elsewhere():
            return
        ended_at_s = self._started.started_at_s + time.perf_counter() - self._began_at_s
        how: Outcome = "ok" if error is None else "error" if isinstance(error, Exception) else "cancelled"
        end = functools.partial(self._end, ended_at_s, how, None if error is None else type(error).__name__)
        if garbage.is_collecting():  # the block of a task that nobody held
            garbage.put_off(end)
        else:
            end()

    def opened(self) -> None:
        """A call of this run, or of one inside it, began."""
        if self._is_elsewhere():
            return
        with self._lock:
            self.steps += not self._open
            self._open += 1
        if self.parent is not None:
            self.parent.opened()

    def closed(self, record: CallRecord | None) -> None:
        """That call ended; None when there is nothing to count."""
        if self._is_elsewhere():
            return
        with self._lock:
            self._open -= 1
            if record is not None:
                self._add(record)
        if self.parent is not None:
            self.parent.closed(record)
        self._publish_when_over()

    def _end(self, at_s: float, how: Outcome, error_type: str | None) -> None:
        with self._lock:
            if self._ok is not None:
                how = "ok" if self._ok else "error"
            self._ended = (at_s, how, error_type if how == "error" else None)
        self._publish_when_over()

    def _is_elsewhere(self) -> bool:
        # A forked child leaves the run to its parent; also its lock, which a thread of the parent may have held.
        return self._pid != os.getpid()

    def _add(self, record: CallRecord) -> None:
        self.calls += 1
        self.retries += len(record.attempts) - 1
        asked = record.tool_calls
        self.tool_calls += asked.valid + asked.invalid_json + asked.unknown_tool
        self.unpriced_calls += record.unpriced is not None
        if record.usage is not None:
            self.input_tokens = _sum(self.input_tokens, record.usage.input_tokens)
            self.output_tokens = _sum(self.output_tokens, record.usage.output_tokens)
        total = record.cost.total if record.cost is not None else None
        if total is not None:
            self.cost = EXACT.add(self.cost or ZERO, total)
        if self._ended is not None:
            self._ended = (max(self._ended[0], record.ended_at_s), *self._ended[1:])

    def _publish_when_over(self) -> None:
        with self._lock:
            if self._ended is None or self._open or self._is_published:
                return
            self._is_published = True
            ended_at_s, how, error_type = self._ended
            record = RunRecord(
                started=self._started,
                ended_at_s=ended_at_s,
                outcome=how,
                error_type=error_type,
                units=self._units,
                calls=self.calls,
                steps=self.steps,
                retries=self.retries,
                tool_calls=self.tool_calls,
                input_tokens=self.input_tokens,
                output_tokens=self.output_tokens,
                cost=self.cost,
                unpriced_calls=self.unpriced_calls,
            )
        context = next((each.context for each in self._emissions if each.context is not None), None)
        for emission in self._emissions:
            with wall("emitters.end_run"):
                emission.end(record, context)


class workflow(Scope):  # noqa: N801 -- reads as a verb: `with or_otel.workflow("research") as run:`
    """Make one run of all calls inside: `with or_otel.workflow("research") as run: …`.

    An exception that leaves the block makes the run failed; `run.finish(ok=…, units=…)` says
    it better. Also `async with`, and a decorator: `or_otel.current_run()` is the run then.

    Args:
        name: Of the workflow: few of them, they become metric attributes.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._runs: list[Run] = []

    def _fresh(self) -> Self:
        return type(self)(self._name)

    def _opened(self) -> otel_context.Context:
        run = Run(tag_text(self._name) or "workflow", current_run())
        self._runs.append(run)
        context = None
        with wall("workflows.enter"):
            context = cast("otel_context.Context | None", run.entered(current_tags()))
        return otel_context.set_value(_RUN, run, context)

    def _closed(self, error: BaseException | None) -> None:
        run = self._runs.pop()
        with wall("workflows.leave"):
            run.left(error)

    def __enter__(self) -> Run:
        """Begin a run."""
        super().__enter__()
        return self._runs[-1]

    async def __aenter__(self) -> Run:
        """Begin a run."""
        return self.__enter__()


def current_run() -> Run | None:
    """Give the run around this line, the innermost; None outside of any."""
    found = otel_context.get_value(_RUN)
    return found if isinstance(found, Run) else None


@guarded("workflows.outcome", default=False)
def outcome(run_id: str, *, ok: bool | None = None, units: float | None = None) -> bool:
    """Judge a run that ended, hours later or from another process: what is said last wins in the ledger.

    Spans and metrics of the run stay as they were.

    Args:
        run_id: `run.id`.
        ok: Whether the task was done.
        units: How many results it brought.

    Returns:
        Whether it was written down; False where no ledger is on.
    """
    if _watching.by is None:
        return False
    how: Outcome | None = None if ok is None else "ok" if ok else "error"
    told = RunSaying(outcome_of=run_id, said_at_s=time.time(), outcome=how, units=_counted(units))
    return _watching.by.judge(told) is True


def _counted(units: float | None) -> float | None:
    """Give a count as it can be written down, whatever kind of number it is; None for what is no count."""
    if units is None or (type(units) is int and abs(units) <= sys.float_info.max):
        return units
    with wall("workflows.units"):
        number = float(units)  # of numpy, of `decimal`
        if not math.isfinite(number):
            raise ValueError("no finite number")
        return number
    return None


def workflow_here() -> tuple[str | None, str | None, Run | None]:
    """Give name, id and, if it is ours, the run that a call begun on this line belongs to."""
    run = current_run()
    if run is not None:
        return run.name, run.id, run
    with wall("workflows.recognise"):
        return (*_recognised(), None)
    return None, None, None


def _recognised() -> tuple[str | None, str | None]:
    """Name and id as an agent framework tells them."""
    told = getattr(trace.get_current_span(), "attributes", None)  # the API has no reading; the SDK's spans do
    if isinstance(told, Mapping):
        for name_key, id_key in NAMED_BY:
            if name := tag_text(told.get(name_key)):
                return name, tag_text(told.get(id_key)) if id_key else None
    # openai-agents keeps traces of its own, beside OpenTelemetry (0.24, seen 2026-11).
    current_trace = getattr(sys.modules.get("agents.tracing"), "get_current_trace", None)
    trace_of_agents = current_trace() if current_trace is not None else None
    if trace_of_agents is not None and trace_of_agents.trace_id != "no-op":  # tracing is off
        return tag_text(trace_of_agents.name), tag_text(trace_of_agents.trace_id)
    return None, None


def _sum(held: int | None, more: int | None) -> int | None:
    return held if more is None else (held or 0) + more
