"""One run of a workflow: what is known at its begin and at its end, and its line in the journal.

A *run* is what one task took: an agent's loop, a pipeline, a job, with all calls made in
it. Values only; knows no clock, file or back end. A run may be judged again after it ended,
by another process, so its line has a type of its own (`outcome_of`) and may come more than
once: what is said later wins, field by field. Format: `docs/ledger.md`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from typing import get_args

from or_otel.facts import Outcome

TYPE_FIELD = "outcome_of"
"""The field that makes a journal's line a run's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """What is known of a run when it begins.

    Attributes:
        id: Random id, 32 hex.
        name: Of the workflow.
        started_at_s: Unix time.
        parent_id: Id of the run around it; None for an outermost one.
        tags: Attribution in force.
        environment: `deployment.environment.name`; None leaves it to the resource.
    """

    id: str
    name: str
    started_at_s: float
    parent_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A finished run. Its figures include those of the runs inside it.

    Attributes:
        started: What was known at its begin.
        ended_at_s: Unix time of the end of its block, or of its last call when that came later.
        outcome: `ok`, `error`, `cancelled`.
        error_type: Class of the exception that ended it; None otherwise.
        units: How many results it brought, as the application counts them; None when not said.
        calls: Calls made.
        steps: Times it asked a model anew; calls that overlap are one step.
        retries: HTTP attempts beyond the first of each call.
        tool_calls: Tool calls that models asked for.
        input_tokens, output_tokens: None when nobody told.
        cost: US dollars, as far as known; None when nobody told.
        unpriced_calls: Calls some of whose money is not known.
    """

    started: RunStarted
    ended_at_s: float
    outcome: Outcome
    error_type: str | None = None
    units: float | None = None
    calls: int = 0
    steps: int = 0
    retries: int = 0
    tool_calls: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    unpriced_calls: int = 0

    @property
    def duration_s(self) -> float:
        """Begin to end."""
        return max(0.0, self.ended_at_s - self.started.started_at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSaying:
    """What one journal line says of a run: its own end, or somebody's later judgement. None is not said.

    Attributes:
        outcome_of: The run's id.
        said_at_s: Unix time of the saying.
        outcome: How the run ended.
        units: How many results it brought.
        workflow: Name of the workflow.
        parent_run_id: Id of the run around it.
        started_at_s, ended_at_s: Unix time.
    """

    outcome_of: str
    said_at_s: float
    outcome: Outcome | None = None
    units: float | None = None
    workflow: str | None = None
    parent_run_id: str | None = None
    started_at_s: float | None = None
    ended_at_s: float | None = None


class RunEmission:
    """One emitter's share of one run under way; the base does nothing.

    Attributes:
        context: Opaque OpenTelemetry context with the run's span, for what happens inside; None without one.
    """

    context: object | None = None

    def end(self, record: RunRecord, context: object | None) -> None:
        """Publish the finished run; `context` is that of the run's span, if there is one."""


def saying_of(record: RunRecord) -> RunSaying:
    """Give what a finished run says of itself."""
    return RunSaying(
        outcome_of=record.started.id,
        said_at_s=record.ended_at_s,
        outcome=record.outcome,
        units=record.units,
        workflow=record.started.name,
        parent_run_id=record.started.parent_id,
        started_at_s=record.started.started_at_s,
        ended_at_s=record.ended_at_s,
    )


def to_line(saying: RunSaying) -> bytes:
    """Write one line of compact JSON; what is None is left out."""
    values = {name: value for name in NAMES if (value := getattr(saying, name)) is not None}
    return json.dumps(values, separators=(",", ":")).encode("ascii") + b"\n"


def from_line(line: bytes) -> RunSaying | None:
    """Read one line; None when it is broken or says nothing of a run. Unknown fields are ignored."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not all(_is_well_told(name, values.get(name)) for name in NAMES):
        return None
    if values.get(TYPE_FIELD) is None or values.get("said_at_s") is None:
        return None
    return RunSaying(**{name: values[name] for name in NAMES if values.get(name) is not None})


def _is_well_told(name: str, value: object) -> bool:
    if name == "outcome":
        return value is None or value in OUTCOMES
    if name in NUMBERS:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return abs(value) <= sys.float_info.max  # Python's JSON knows NaN and Infinity
        return value is None
    return value is None or isinstance(value, str)


def settled(sayings: Iterable[RunSaying]) -> RunSaying | None:
    """Put together what was said of one run: of each field what was said last."""
    whole: RunSaying | None = None
    for saying in sorted(sayings, key=lambda each: each.said_at_s):
        told = {name: value for name in NAMES if (value := getattr(saying, name)) is not None}
        whole = saying if whole is None else replace(whole, **told)
    return whole


OUTCOMES = get_args(Outcome)
NAMES = tuple(item.name for item in fields(RunSaying))
NUMBERS = frozenset({"said_at_s", "units", "started_at_s", "ended_at_s"})
