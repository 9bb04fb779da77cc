"""What the ledger ever held, by group: sums that outlive the rows they come from.

Rows are deleted after a while; before that their sums are put by in a table of their own, in the same transaction,
so that a total never falls by pruning or by a restart. Days that did not change since the last reading are not read
again. Money is exact. A total falls by a refund, and when a person erases.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from or_otel.budgets.spending import Ledger, Spending, spending_of_days
from or_otel.days import DAY_S
from or_otel.entries import Entry
from or_otel.facts import EXACT, ZERO, TokenType, Usage, plus, token_parts
from or_otel.ledger.queries import entries

SCHEMA = (
    # What pruned rows added up to, and the tags by which that is kept apart.
    "CREATE TABLE IF NOT EXISTS pruned_sums (grouping TEXT PRIMARY KEY, sums TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS pruned_by (tag TEXT PRIMARY KEY) WITHOUT ROWID",
)
USUAL_TAGS = ("team", "feature")
"""Tags by which sums of pruned rows are kept apart where nobody asked for others."""


class Group(NamedTuple):
    """Who called what; None where not said.

    Attributes:
        service, operation, server, request_model, response_model, provider: As in an entry.
        key_id, key_name, app_name, environment: As in an entry.
        tags: Key and value, by key.
    """

    service: str | None
    operation: str | None
    server: str | None
    request_model: str | None
    response_model: str | None
    provider: str | None
    key_id: str | None
    key_name: str | None
    app_name: str | None
    environment: str | None
    tags: tuple[tuple[str, str], ...] = ()


ASKED_AS: Mapping[str, tuple[str, ...]] = {
    "model": ("response_model", "request_model"),
    "provider": ("provider", "server"),
    "key": ("key_name", "key_id"),
    "service": ("service",),
    "operation": ("operation",),
    "server": ("server",),
    "request_model": ("request_model",),
    "app": ("app_name",),
    "environment": ("environment",),
}
"""Words of a question to the ledger → fields of a group that answer them: the first one that is told."""


@dataclass(slots=True)
class GroupSums:
    """What one group's attempts add up to.

    Attributes:
        first_day: UTC day of the first one, since 1970.
        credits, upstream: Money by who bills it; None while nobody told.
        calls: Calls that ended here.
        tokens: In disjoint kinds.
    """

    first_day: int
    credits: Decimal | None = None
    upstream: Decimal | None = None
    calls: int = 0
    tokens: dict[TokenType, int] = field(default_factory=dict)

    def add(self, other: GroupSums) -> None:
        """Add what another one holds."""
        self.first_day = min(self.first_day, other.first_day)
        self.credits = plus(self.credits, other.credits)
        self.upstream = plus(self.upstream, other.upstream)
        self.calls += other.calls
        for kind, tokens in other.tokens.items():
            self.tokens[kind] = self.tokens.get(kind, 0) + tokens


Sums = dict[Group, GroupSums]


@dataclass(frozen=True, slots=True)
class _Day:
    """A day as it was last read, and what told that nothing had changed."""

    mark: tuple[object, ...]
    sums: Sums


class Lifetime:
    """Reads one ledger again and again.

    Args:
        tags: Tags that tell groups apart.
    """

    def __init__(self, tags: Iterable[str] = USUAL_TAGS) -> None:
        self.tags = frozenset(tags)
        self._days: dict[int, _Day] = {}
        self._pruned: Sums = {}
        self._twice = 0

    def read(self, ledger: sqlite3.Connection) -> None:
        """Read what is new."""
        keep_apart_by(ledger, self.tags)
        # One state of the file, also while another process imports or prunes.
        ledger.execute("BEGIN")
        try:
            self._read(ledger)
        finally:
            ledger.execute("COMMIT")

    def _read(self, ledger: sqlite3.Connection) -> None:
        marks = _marks(ledger)
        (twice,) = ledger.execute("SELECT count(*) - count(DISTINCT job) FROM fetches").fetchone()
        # A job fetched twice counts once, in whichever day: then no day can be told apart by itself.
        kept = self._days if twice == self._twice else {}
        self._twice = twice
        self._days = {
            day: held if (held := kept.get(day)) and held.mark == mark else _Day(mark, self._sums_of_day(ledger, day))
            for day, mark in marks.items()
        }
        self._pruned = {}
        for group, sums in _pruned(ledger):
            _add(self._pruned, group._replace(tags=_chosen(group.tags, self.tags)), sums)

    def _sums_of_day(self, ledger: sqlite3.Connection, day: int) -> Sums:
        since_s = float(day * DAY_S)
        return sums_of(entries(ledger, since_s=since_s, until_s=since_s + DAY_S), self.tags)

    @property
    def first_day(self) -> int | None:
        """UTC day of the first call, since 1970; None without any."""
        return min((sums.first_day for sums in self.totals().values()), default=None)

    def totals(self) -> Sums:
        """Give what each group ever added up to, the oldest group first."""
        totals: Sums = {}
        for held in (self._pruned, *(day.sums for day in self._days.values())):
            for group, sums in held.items():
                _add(totals, group, sums)
        return dict(sorted(totals.items(), key=lambda item: (item[1].first_day, _text(item[0]))))

    def spendings(self, tags: Iterable[str], *, at_s: float) -> tuple[Spending, ...]:
        """Give what each combination of these tags spent, with a total at each day's end for the rate.

        Args:
            tags: Those that budgets ask for; calls without any of them are left out.
            at_s: The moment.
        """
        wanted = frozenset(tags)
        days: dict[tuple[Ledger, tuple[tuple[str, str], ...]], dict[int, Decimal]] = {}
        for day, held in [(None, self._pruned), *((day, each.sums) for day, each in sorted(self._days.items()))]:
            for group, sums in held.items():
                labels = _chosen(group.tags, wanted)
                for ledger, amount in _by_ledger(sums):
                    if labels and amount is not None:
                        of_day = days.setdefault((ledger, labels), {})
                        when = sums.first_day if day is None else day
                        of_day[when] = EXACT.add(of_day.get(when, ZERO), amount)
        return tuple(
            spending_of_days(of_day, at_s=at_s, source="client", ledger=ledger, labels=dict(labels))
            for (ledger, labels), of_day in days.items()
        )


def keep_apart_by(ledger: sqlite3.Connection, tags: Iterable[str]) -> None:
    """Note by which tags sums of rows that will be pruned are kept apart, beside the usual ones."""
    _prepare(ledger)
    known = {tag for (tag,) in ledger.execute("SELECT tag FROM pruned_by")}
    new = sorted(set(tags) - known - set(USUAL_TAGS))
    if new:
        ledger.executemany("INSERT OR IGNORE INTO pruned_by VALUES (?)", [(tag,) for tag in new])


def put_by(ledger: sqlite3.Connection, leaving: Iterable[Entry]) -> None:
    """Add up attempts that are about to be pruned; to be called within their transaction."""
    _prepare(ledger)
    tags = {tag for (tag,) in ledger.execute("SELECT tag FROM pruned_by")} | set(USUAL_TAGS)
    new = sums_of(leaving, frozenset(tags))
    if not new:
        return
    held = dict(_pruned(ledger))
    for group, sums in new.items():
        if group in held:
            sums.add(held[group])
    ledger.executemany(
        "REPLACE INTO pruned_sums VALUES (?, ?)", [(_text(group), _sums_text(sums)) for group, sums in new.items()]
    )


def forget_where(ledger: sqlite3.Connection, where: Mapping[str, str]) -> None:
    """Delete the sums of pruned rows that a question chooses, if every word of it is kept apart in them.

    A question by a run, a day, or a tag that sums are not kept apart by, chooses none of them: then they hold no trace
    of what it asks for either.
    """
    _prepare(ledger)
    for group, _ in list(_pruned(ledger)):
        if where and all(_answer(group, word) == value for word, value in where.items()):
            ledger.execute("DELETE FROM pruned_sums WHERE grouping = ?", (_text(group),))


def sums_of(attempts: Iterable[Entry], tags: frozenset[str]) -> Sums:
    """Add up attempts by group."""
    sums: Sums = {}
    for entry in attempts:
        usage = Usage(
            input_tokens=entry.input_tokens,
            output_tokens=entry.output_tokens,
            cache_read_tokens=entry.cache_read_tokens,
            cache_write_tokens=entry.cache_write_tokens,
            reasoning_tokens=entry.reasoning_tokens,
        )
        group = Group(
            service=entry.service_name,
            operation=entry.operation,
            server=entry.server,
            request_model=entry.request_model,
            response_model=entry.response_model,
            provider=entry.served_provider,
            key_id=entry.key_id,
            key_name=entry.key_name,
            app_name=entry.app_name,
            environment=entry.environment,
            tags=_chosen(entry.tags.items(), tags),
        )
        one = GroupSums(
            first_day=int(entry.call_started_at_s // DAY_S),
            credits=entry.charged,
            upstream=entry.upstream_bill,
            calls=int(entry.is_last),
            tokens=dict(token_parts(usage)),
        )
        _add(sums, group, one)
    return sums


# Parts ----------------------------------------------------------------------------------------------------------------


def _answer(group: Group, word: str) -> str | None:
    if word not in ASKED_AS:
        return dict(group.tags).get(word)
    told: list[str | None] = [getattr(group, name) for name in ASKED_AS[word]]
    return next(filter(None, told), told[-1])


def _prepare(ledger: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        ledger.execute(statement)


def _marks(ledger: sqlite3.Connection) -> dict[int, tuple[object, ...]]:
    """Give, by UTC day, figures that change whenever what is known of its calls does."""
    day = f"CAST(call_started_at_s / {DAY_S} AS INTEGER)"
    attempts = ledger.execute(f"SELECT {day} AS day, count(*), sum(rowid) FROM attempts GROUP BY day")  # noqa: S608
    marks: dict[int, tuple[object, ...]] = {int(row[0]): tuple(row[1:]) for row in attempts}
    learned = ledger.execute(
        f"SELECT {day} AS day, count(*), total(learned_at_s) FROM amendments GROUP BY day"  # noqa: S608
    )
    for row in learned:
        if int(row[0]) in marks:
            marks[int(row[0])] += tuple(row[1:])
    return dict(sorted(marks.items()))


def _chosen(tags: Iterable[tuple[str, str]], wanted: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, value) for key, value in tags if key in wanted))


def _add(sums: Sums, group: Group, one: GroupSums) -> None:
    held = sums.setdefault(group, GroupSums(first_day=one.first_day))
    held.add(one)


def _by_ledger(sums: GroupSums) -> tuple[tuple[Ledger, Decimal | None], ...]:
    return (("openrouter", sums.credits), ("upstream", sums.upstream))


# Text -----------------------------------------------------------------------------------------------------------------


def _text(group: Group) -> str:
    told = {name: value for name, value in group._asdict().items() if value is not None and name != "tags"}
    return json.dumps({**told, "tags": dict(group.tags)}, sort_keys=True)


def _sums_text(sums: GroupSums) -> str:
    told = {"first_day": sums.first_day, "calls": sums.calls, "tokens": sums.tokens}
    money = {"credits": sums.credits, "upstream": sums.upstream}
    return json.dumps(told | {name: str(amount) for name, amount in money.items() if amount is not None})


def _pruned(ledger: sqlite3.Connection) -> Iterator[tuple[Group, GroupSums]]:
    for grouping, sums in ledger.execute("SELECT grouping, sums FROM pruned_sums ORDER BY grouping"):
        who, told = json.loads(grouping), json.loads(sums)
        tags = tuple(sorted(who.pop("tags").items()))
        yield (
            Group(**{name: who.get(name) for name in Group._fields if name != "tags"}, tags=tags),
            GroupSums(
                first_day=told["first_day"],
                credits=Decimal(told["credits"]) if "credits" in told else None,
                upstream=Decimal(told["upstream"]) if "upstream" in told else None,
                calls=told["calls"],
                tokens=told["tokens"],
            ),
        )
