"""Ledger → runs of workflows: what each cost with which models, and what a finished task costs.

A run's own line and later judgements are kept as they were said and put together by who
asks, so that neither their order nor reading twice matters. A run's figures include those
of the runs inside it; sums over workflows therefore leave inner runs out.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import reduce

from or_otel.entries import Adding, Entry, Sums
from or_otel.facts import EXACT, ZERO
from or_otel.ledger.queries import entries
from or_otel.runs import RunSaying, from_line, settled

UNKNOWN_MODEL = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowRun:
    """One run; of one that only its calls tell of, its own end is not known.

    Attributes:
        id: Of the run.
        workflow: Its name.
        parent_run_id: Id of the run around it.
        started_at_s: Unix time; of its first call where the run itself did not tell.
        ended_at_s: Unix time; None when not told.
        outcome: What was said last; None when nobody told.
        units: Results it brought; None when nobody told.
        sums: What its calls add up to, those of inner runs included.
        models: Model → money, dearest first.
    """

    id: str
    workflow: str | None
    parent_run_id: str | None
    started_at_s: float
    ended_at_s: float | None
    outcome: str | None
    units: float | None
    sums: Sums
    models: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """All runs of one name.

    Attributes:
        name: Of the workflow.
        runs, ok, errors, cancelled: How many, and how they ended; the rest did not tell.
        units: Results they brought; None when no run told.
        cost: Money of all runs, the failed ones included; None when nobody told.
        unpriced_calls: Calls that are missing from it.
        models: Model → money, dearest first.
    """

    name: str | None
    runs: int
    ok: int
    errors: int
    cancelled: int
    units: float | None
    cost: Decimal | None
    unpriced_calls: int
    models: Mapping[str, Decimal]

    @property
    def cost_per_ok_run(self) -> Decimal | None:
        """What a finished task costs: the money of all runs, over those that ended well. None without one."""
        return None if self.cost is None or not self.ok else self.cost / self.ok

    @property
    def cost_per_unit(self) -> Decimal | None:
        """What a result costs; None where none was told."""
        return None if self.cost is None or not self.units else self.cost / Decimal(str(self.units))


def workflow_runs(
    ledger: sqlite3.Connection,
    *,
    since_s: float | None = None,
    until_s: float | None = None,
    where: Mapping[str, str] | None = None,
) -> tuple[WorkflowRun, ...]:
    """Give the runs that began in `[since_s, until_s)`, dearest first.

    Args:
        ledger: An open ledger.
        since_s: Unix time.
        until_s: Unix time.
        where: Narrows the calls that are added up, as in `or-otel report`; runs without such a call are left out.

    Raises:
        QuestionError: `where` names something that no call has.
    """
    told = dict(_settled_runs(ledger))
    gathering: dict[str, _Gathered] = defaultdict(_Gathered)
    # No upper bound: a run that began in the period may have called later.
    for entry in entries(ledger, since_s=since_s, where=where):
        for run_id in _run_and_those_around(entry.workflow_run_id, told):
            gathering[run_id].add(entry, is_own=run_id == entry.workflow_run_id)
    for run_id in () if where else told:
        gathering[run_id]  # also one that made no call
    rows = [_row(run_id, gathered, told.get(run_id)) for run_id, gathered in gathering.items()]
    chosen = [
        row
        for row in rows
        if (since_s is None or row.started_at_s >= since_s) and (until_s is None or row.started_at_s < until_s)
    ]
    return tuple(sorted(chosen, key=lambda row: (-(row.sums.total or ZERO), row.started_at_s, row.id)))


def workflows(runs: Iterable[WorkflowRun]) -> tuple[Workflow, ...]:
    """Add runs up by name, dearest first. An inner run stands under its own name, and in the run around it."""
    by_name: dict[str | None, list[WorkflowRun]] = defaultdict(list)
    for run in runs:
        by_name[run.workflow].append(run)
    rows = [_workflow(name, group) for name, group in by_name.items()]
    return tuple(sorted(rows, key=lambda row: (-(row.cost or ZERO), row.name or "")))


@dataclass(slots=True)
class _Gathered:
    adding: Adding = field(default_factory=Adding)
    models: dict[str, Decimal] = field(default_factory=dict)
    workflow: str | None = None
    first_call_at_s: float = 0.0

    def add(self, entry: Entry, *, is_own: bool) -> None:
        self.adding.add(entry)
        self.first_call_at_s = min(self.first_call_at_s or entry.call_started_at_s, entry.call_started_at_s)
        if is_own:
            self.workflow = entry.workflow
        model = entry.model or UNKNOWN_MODEL
        self.models[model] = EXACT.add(self.models.get(model, ZERO), entry.total or ZERO)


def _row(run_id: str, gathered: _Gathered, told: RunSaying | None) -> WorkflowRun:
    said = told or RunSaying(outcome_of=run_id, said_at_s=0.0)
    return WorkflowRun(
        id=run_id,
        workflow=said.workflow or gathered.workflow,
        parent_run_id=said.parent_run_id,
        started_at_s=gathered.first_call_at_s if said.started_at_s is None else said.started_at_s,
        ended_at_s=said.ended_at_s,
        outcome=said.outcome,
        units=said.units,
        sums=gathered.adding.sums(),
        models=_dearest_first(gathered.models),
    )


def _workflow(name: str | None, runs: list[WorkflowRun]) -> Workflow:
    costs = [run.sums.total for run in runs if run.sums.total is not None]
    units = [run.units for run in runs if run.units is not None]
    outcomes = [run.outcome for run in runs]
    models: dict[str, Decimal] = {}
    for run in runs:
        for model, cost in run.models.items():
            models[model] = EXACT.add(models.get(model, ZERO), cost)
    return Workflow(
        name=name,
        runs=len(runs),
        ok=outcomes.count("ok"),
        errors=outcomes.count("error"),
        cancelled=outcomes.count("cancelled"),
        units=sum(units) if units else None,
        cost=reduce(EXACT.add, costs) if costs else None,
        unpriced_calls=sum(run.sums.unpriced_calls for run in runs),
        models=_dearest_first(models),
    )


def _dearest_first(models: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return dict(sorted(models.items(), key=lambda pair: (-pair[1], pair[0])))


def _settled_runs(ledger: sqlite3.Connection) -> Iterator[tuple[str, RunSaying]]:
    said: dict[str, list[RunSaying]] = defaultdict(list)
    for run_id, line in ledger.execute("SELECT run_id, line FROM run_sayings"):
        saying = from_line(line)
        if saying is not None:
            said[run_id].append(saying)
    for run_id, sayings in said.items():
        whole = settled(sayings)
        if whole is not None:
            yield run_id, whole


def _run_and_those_around(run_id: str | None, told: Mapping[str, RunSaying]) -> Iterator[str]:
    seen: set[str] = set()
    while run_id is not None and run_id not in seen:  # a broken line must not make a circle
        seen.add(run_id)
        yield run_id
        around = told.get(run_id)
        run_id = around.parent_run_id if around is not None else None
