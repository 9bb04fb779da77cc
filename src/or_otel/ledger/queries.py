"""Ledger → frozen rows: totals by any dimension, and single calls.

Rows are read back as entries and added up here, in `Decimal`: SQLite would add money as
floats. What a call may be asked by is one table, `DIMENSIONS`, and every tag.

An attempt reads as amended by what was learned later. A job's money counts once: of several
attempts that fetched its result, in whatever processes, the first that tells a price has it.
"""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Literal

from or_otel import amendments
from or_otel.entries import Adding, Entry, Sums, add_up, from_line
from or_otel.facts import ZERO
from or_otel.ledger.importing import job_of

Sort = Literal["cost", "duration", "tokens", "started"]
SORTS: tuple[Sort, ...] = ("cost", "duration", "tokens", "started")

Dimension = Callable[[Entry], str | None]


def _utc(form: str) -> Dimension:
    return lambda entry: datetime.fromtimestamp(entry.call_started_at_s, UTC).strftime(form)


DIMENSIONS: Mapping[str, Dimension] = {
    "model": lambda entry: entry.model,
    "provider": lambda entry: entry.provider,
    "request_model": lambda entry: entry.request_model,
    "server": lambda entry: entry.server,
    "host": lambda entry: entry.host,
    "api": lambda entry: entry.api,
    "operation": lambda entry: entry.operation,
    "key": lambda entry: entry.key,
    "app": lambda entry: entry.app_name,
    "environment": lambda entry: entry.environment,
    "service": lambda entry: entry.service_name,
    "run": lambda entry: entry.run_id,
    # The tag says the same, unless the application set it.
    "workflow": lambda entry: entry.tags.get("workflow") or entry.workflow,
    "workflow_run": lambda entry: entry.workflow_run_id,
    "outcome": lambda entry: entry.outcome,
    "error": lambda entry: entry.error_type,
    "billing": lambda entry: entry.billing,
    "fallback": lambda entry: entry.fallback,
    "policy": lambda entry: entry.policy,
    "finish_reason": lambda entry: entry.finish_reason,
    "day": _utc("%Y-%m-%d"),
    "hour": _utc("%Y-%m-%d %H:00"),
}
"""What entries may be grouped and chosen by, beside tags. Days and hours are UTC, as OpenRouter counts them."""


class QuestionError(ValueError):
    """A question that cannot be answered; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """Sums of one group.

    Attributes:
        group: Value per dimension asked for; None where entries do not say.
        sums: What its entries add up to.
    """

    group: tuple[str | None, ...]
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call with all its attempts.

    Attributes:
        entries: Its attempts, in order.
        sums: What they add up to.
        cumulative_share: Part of the cost of all chosen calls up to this row; None without cost.
    """

    entries: tuple[Entry, ...]
    sums: Sums
    cumulative_share: Decimal | None = None

    @property
    def last(self) -> Entry:
        """The attempt that stands for the call."""
        return self.entries[-1]

    @property
    def generation_ids(self) -> tuple[str, ...]:
        """Generation ids of all attempts that have one."""
        return tuple(entry.generation_id for entry in self.entries if entry.generation_id is not None)


def entries(
    ledger: sqlite3.Connection,
    *,
    since_s: float | None = None,
    until_s: float | None = None,
    where: Mapping[str, str] | None = None,
) -> Iterator[Entry]:
    """Read attempts whose call began in `[since_s, until_s)`, in order of calls and attempts.

    Raises:
        QuestionError: `where` names something that no call has.
    """
    dimensions = [(dimension_of(ledger, key), value) for key, value in (where or {}).items()]
    conditions: list[str] = []
    values: list[float | str] = []
    if since_s is not None:
        conditions.append("attempts.call_started_at_s >= ?")
        values.append(since_s)
    if until_s is not None:
        conditions.append("attempts.call_started_at_s < ?")
        values.append(until_s)
    if where and "run" in where:
        conditions.append("run_id = ?")
        values.append(where["run"])
    chosen = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    # Only fixed text is put together here; values are bound.
    rows = ledger.execute(f"{SELECT}{chosen} ORDER BY attempts.call_started_at_s, call_id", values)
    for line, learned in rows:
        entry = as_it_stands(ledger, line, learned)
        if entry is not None and all(dimension(entry) == value for dimension, value in dimensions):
            yield entry


def find(ledger: sqlite3.Connection, identity: str) -> tuple[Entry, ...]:
    """Give the attempts of every call that an id belongs to, in order.

    Args:
        ledger: The ledger.
        identity: Id of a generation, call, attempt, response or trace.
    """
    asked = "SELECT DISTINCT call_id FROM attempts WHERE"
    rows = ledger.execute(f"{asked} attempt_id = ? OR generation_id = ?", (identity, identity)).fetchall()
    # The others have no index; most lines are told apart without being decoded.
    rows = rows or ledger.execute(f"{asked} call_id = ? OR instr(line, ?)", (identity, identity.encode())).fetchall()
    found = [entry for (call_id,) in rows for entry in _of_call(ledger, call_id)]
    named = {entry.call_id for entry in found if identity in _ids(entry)}
    return tuple(entry for entry in found if entry.call_id in named)


def _of_call(ledger: sqlite3.Connection, call_id: str) -> list[Entry]:
    rows = ledger.execute(f"{SELECT} WHERE call_id = ?", (call_id,))
    found = [entry for line, learned in rows if (entry := as_it_stands(ledger, line, learned)) is not None]
    return sorted(found, key=attrgetter("number"))


def _ids(entry: Entry) -> tuple[str | None, ...]:
    return entry.generation_id, entry.call_id, entry.attempt_id, entry.response_id, entry.trace_id


def as_it_stands(ledger: sqlite3.Connection, line: bytes, learned: bytes | None) -> Entry | None:
    """Read an attempt as it stands now."""
    entry = from_line(line)
    if entry is None:
        return None
    if learned is not None:
        entry = amendments.amended(entry, amendments.from_line(learned))
    job = job_of(entry)
    return entry if job is None or _is_booked_by(ledger, entry, job) else _uncounted(entry)


def _is_booked_by(ledger: sqlite3.Connection, entry: Entry, job: str) -> bool:
    rows = ledger.execute(f"{SELECT} JOIN fetches ON fetches.attempt_id = attempts.attempt_id WHERE job = ?", (job,))
    fetched = []
    for line, learned in rows:
        other = from_line(line)
        if other is not None:
            fetched.append(amendments.amended(other, amendments.from_line(learned) if learned else None))
    first = min(fetched, key=lambda each: (each.total is None, each.started_at_s, each.attempt_id), default=entry)
    return first.attempt_id == entry.attempt_id


def _uncounted(entry: Entry) -> Entry:
    return replace(
        entry,
        charged=None,
        upstream=None,
        input=None,
        output=None,
        tools=None,
        unpriced=None,
        input_tokens=None,
        output_tokens=None,
        cache_read_tokens=None,
        cache_write_tokens=None,
        reasoning_tokens=None,
    )


SELECT = (
    "SELECT attempts.line, amendments.line FROM attempts"
    " LEFT JOIN amendments ON amendments.attempt_id = attempts.attempt_id"
)


def totals(
    ledger: sqlite3.Connection,
    *,
    by: Sequence[str] = (),
    since_s: float | None = None,
    until_s: float | None = None,
    where: Mapping[str, str] | None = None,
) -> tuple[Total, ...]:
    """Add up attempts by dimensions, dearest group first.

    Raises:
        QuestionError: A dimension or a `where` key that no call has.
    """
    dimensions = [dimension_of(ledger, key) for key in by]
    groups: dict[tuple[str | None, ...], Adding] = {}
    for entry in entries(ledger, since_s=since_s, until_s=until_s, where=where):
        group = tuple(dimension(entry) for dimension in dimensions)
        groups.setdefault(group, Adding()).add(entry)
    rows = [Total(group=group, sums=adding.sums()) for group, adding in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-(row.sums.total or ZERO), tuple(value or "" for value in row.group))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """How much of the spend nobody can be asked about.

    Attributes:
        unattributed: Calls without any of the tags.
        whole: All calls.
    """

    unattributed: Sums
    whole: Sums

    @property
    def unattributed_share(self) -> Decimal | None:
        """Part of the cost; None where nothing was spent."""
        return (self.unattributed.total or ZERO) / self.whole.total if self.whole.total else None


def attribution(
    ledger: sqlite3.Connection,
    *,
    tags: Sequence[str] = ("team", "feature", "customer"),
    since_s: float | None = None,
    until_s: float | None = None,
    where: Mapping[str, str] | None = None,
) -> Attribution:
    """Add up the calls that carry none of these tags, beside all.

    Raises:
        QuestionError: A `where` key that no call has.
    """
    unattributed, whole = Adding(), Adding()
    for entry in entries(ledger, since_s=since_s, until_s=until_s, where=where):
        whole.add(entry)
        if not any(entry.tags.get(tag) for tag in tags):
            unattributed.add(entry)
    return Attribution(unattributed=unattributed.sums(), whole=whole.sums())


def calls(
    ledger: sqlite3.Connection,
    *,
    sort: Sort = "cost",
    top: int | None = 50,
    since_s: float | None = None,
    until_s: float | None = None,
    where: Mapping[str, str] | None = None,
) -> tuple[Call, ...]:
    """Give single calls, largest first (`started`: newest first).

    Raises:
        QuestionError: A `where` key that no call has.
    """
    chosen = sorted(
        gathered(entries(ledger, since_s=since_s, until_s=until_s, where=where)), key=SORT_KEYS[sort], reverse=True
    )
    whole = sum((call.sums.total or ZERO for call in chosen), ZERO)
    rows: list[Call] = []
    running = ZERO
    for call in chosen[:top]:
        running += call.sums.total or ZERO
        share = running / whole if whole else None
        rows.append(Call(entries=call.entries, sums=call.sums, cumulative_share=share))
    return tuple(rows)


def gathered(attempts: Iterable[Entry]) -> Iterator[Call]:
    """Put attempts, in order of calls, together to calls."""
    for _, group in groupby(attempts, key=attrgetter("call_id")):
        ordered = tuple(sorted(group, key=attrgetter("number")))
        yield Call(entries=ordered, sums=add_up(ordered))


SORT_KEYS: Mapping[Sort, Callable[[Call], Decimal | float]] = {
    "cost": lambda call: call.sums.total or ZERO,
    "duration": lambda call: call.last.duration_s,
    "tokens": lambda call: (call.sums.input_tokens or 0) + (call.sums.output_tokens or 0),
    "started": lambda call: call.last.call_started_at_s,
}


def dimension_of(ledger: sqlite3.Connection, key: str) -> Dimension:
    """Give what reads a dimension or a tag from an entry.

    Raises:
        QuestionError: Neither is called so.
    """
    dimension = DIMENSIONS.get(key)
    if dimension is not None:
        return dimension
    known_tags = [str(known) for (known,) in ledger.execute("SELECT key FROM tag_keys ORDER BY key")]
    # The usual tags may be asked for before the first call carries one.
    if key in known_tags or key in USUAL_TAGS:
        return lambda entry: entry.tags.get(key)
    known = list(dict.fromkeys((*DIMENSIONS, *known_tags)))
    near = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    raise QuestionError(f"{key!r} is neither a dimension nor a tag of any call; {hint}")


USUAL_TAGS = frozenset({"team", "feature", "customer", "workflow"})


def where_from(pairs: Iterable[str]) -> dict[str, str]:
    """Read `key=value` pairs.

    Raises:
        QuestionError: A pair without `=`, without a key, or a key named twice.
    """
    where: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip()
        if not equals or not key:
            raise QuestionError(f"{pair!r}: expected key=value, as in team=search")
        if key in where:
            raise QuestionError(f"{pair!r}: {key!r} was given twice; each key once")
        where[key] = value.strip()
    return where
