"""`or-otel report --workflows`: what the ledger knows of runs → a section with the price of a finished task."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from decimal import Decimal

from or_otel.facts import ZERO
from or_otel.ledger.workflow_runs import Workflow, workflow_runs, workflows
from or_otel.reports.money import plural, share
from or_otel.reports.sections import Section
from or_otel.reports.tables import Column, Table, Value

SHOWN_MODELS = 3
COLUMNS = (
    Column(name="workflow", title="workflow"),
    Column(name="runs", title="runs", kind="count"),
    Column(name="ok", title="finished", kind="count"),
    Column(name="errors", title="failed", kind="count"),
    Column(name="cancelled", title="cancelled", kind="count"),
    Column(name="cost_usd", title="cost", kind="usd"),
    Column(name="cost_per_ok_usd", title="per finished", kind="usd"),
    Column(name="units", title=""),
    Column(name="cost_per_unit_usd", title="per result", kind="usd"),
    Column(name="models", title="models"),
)


def sections_of_workflows(
    ledger: sqlite3.Connection, *, since_s: float, until_s: float, where: Mapping[str, str]
) -> list[Section]:
    """Give a row for each workflow whose runs began in the period; nothing without a run."""
    found = workflows(workflow_runs(ledger, since_s=since_s, until_s=until_s, where=where))
    if not found:
        return []
    section = Section(
        name="workflows",
        title="Workflows",
        lead=f"{plural(sum(each.runs for each in found), 'run')} of {plural(len(found), 'workflow')}.",
        table=Table(
            columns=COLUMNS,
            rows=tuple(map(_row, found)),
            floors=frozenset(number for number, each in enumerate(found) if each.unpriced_calls),
        ),
        notes=(
            "Per finished: the money of all runs, failed ones too, over those that ended well, as last judged.",
            "An inner run stands under its own name and in the run around it.",
        ),
    )
    return [section]


def _row(each: Workflow) -> tuple[Value, ...]:
    per_ok, per_unit = each.cost_per_ok_run, each.cost_per_unit
    counts = (each.runs, each.ok, each.errors, each.cancelled)
    return (each.name or "unnamed", *counts, each.cost, per_ok, each.units, per_unit, _mix(each))


def _mix(each: Workflow) -> str | None:
    paid: list[tuple[str, Decimal]] = [(model, cost) for model, cost in each.models.items() if cost > ZERO]
    if not paid or not each.cost:
        return None
    shown = [f"{model} {share(cost / each.cost)}" for model, cost in paid[:SHOWN_MODELS]]
    return " · ".join([*shown, *([f"{len(paid) - SHOWN_MODELS} more"] if len(paid) > SHOWN_MODELS else [])])
