"""The account as it was last seen: polls what is due, and gives frozen snapshots.

A client, times and chance come in, snapshots go out; no thread and no clock of its own but one for durations. A
failing endpoint hides no other one and erases nothing: its last value stays, with its age. Who reads a snapshot may
be another thread: it is swapped whole, at the end of a poll.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from or_otel.account.client import AccountClient
from or_otel.account.errors import AccountError, WrongKeyError
from or_otel.account.schedule import INTERVALS_S, Endpoint, Schedule, Task
from or_otel.accounts import (
    AccountKey,
    ActivityRow,
    AnalyticsMeta,
    Credits,
    Guardrail,
    KeyKind,
    Member,
    Model,
    ModelEndpoint,
    Provider,
    Workspace,
)
from or_otel.guard import wall

T = TypeVar("T")

PLACE = "account.poll"
FAULT = "fault"
"""The error type of a fault of our own, which the wall has counted and logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed(Generic[T]):
    """A value and when it was asked for.

    Attributes:
        value: As the account told it.
        at_s: Unix time of the question: a sum that came after a midnight may still be of the day before,
            but none is taken for younger than it is.
        is_whole: Whether every row of the answer could be read, as far as that matters.
    """

    value: T
    at_s: float
    is_whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why an endpoint gives nothing now.

    Attributes:
        error_type: HTTP status or a word.
        message: For people.
        since_s: When it began.
        at_s: When it was last so.
        count: Failures in a row.
        is_hidden: The key at hand may not see this endpoint: no outage, and asked rarely.
    """

    error_type: str
    message: str
    since_s: float
    at_s: float
    count: int
    is_hidden: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is known of the account. None: not asked yet, or never answered.

    Attributes:
        key: The asking key.
        workspaces, keys, credits, members, guardrails: As told.
        activity: Of the last 30 closed UTC days, all keys.
        activity_by_key: The same, by key hash; empty unless wanted.
        models, providers: As told.
        endpoints: Who offers the watched models, by model as it was asked for.
        analytics_meta: What analytics may be asked.
        troubles: What fails now; a task that is not in it is in order or was not asked yet.
        succeeded_at_s: When an endpoint was last answered, of several subjects the oldest.
        duration_s: How long the last question to an endpoint took.
        errors: Failures so far, by endpoint and error type.
        strange_rows: Rows that could not be read so far, by path.
    """

    key: Observed[AccountKey] | None = None
    workspaces: Observed[tuple[Workspace, ...]] | None = None
    keys: Observed[tuple[AccountKey, ...]] | None = None
    credits: Observed[Credits] | None = None
    activity: Observed[tuple[ActivityRow, ...]] | None = None
    activity_by_key: Mapping[str, Observed[tuple[ActivityRow, ...]]] = field(default_factory=dict)
    models: Observed[tuple[Model, ...]] | None = None
    providers: Observed[tuple[Provider, ...]] | None = None
    endpoints: Mapping[str, Observed[tuple[ModelEndpoint, ...]]] = field(default_factory=dict)
    members: Observed[tuple[Member, ...]] | None = None
    guardrails: Observed[tuple[Guardrail, ...]] | None = None
    analytics_meta: Observed[AnalyticsMeta] | None = None
    troubles: Mapping[Task, Trouble] = field(default_factory=dict)
    succeeded_at_s: Mapping[Endpoint, float] = field(default_factory=dict)
    duration_s: Mapping[Endpoint, float] = field(default_factory=dict)
    errors: Mapping[tuple[Endpoint, str], int] = field(default_factory=dict)
    strange_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def hidden(self) -> frozenset[Endpoint]:
        """The endpoints that the keys at hand may not see."""
        return frozenset(task.endpoint for task, trouble in self.troubles.items() if trouble.is_hidden)

    @property
    def key_kind(self) -> KeyKind | None:
        """What the keys at hand are worth: `management` when the account can be read; None while unknown."""
        if self.keys is not None or (self.key is not None and self.key.value.is_management):
            return "management"
        return "inference" if "keys" in self.hidden else None


class Poller:
    """Asks what is due.

    Args:
        client: Asks.
        models: Watched models, whose endpoints are asked.
        is_activity_by_key: Whether closed days are also asked for each key apart.
        endpoints: What is asked at all, beside what the two above want.
        intervals_s: Other intervals than the usual ones.
        chance: Gives numbers 0…1, which spread the questions.
        clock: Gives seconds that never go back, for durations.

    Attributes:
        snapshot: The last one.
    """

    def __init__(
        self,
        client: AccountClient,
        *,
        models: Iterable[str] = (),
        is_activity_by_key: bool = False,
        endpoints: Collection[Endpoint] = tuple(INTERVALS_S),
        intervals_s: Mapping[Endpoint, float] | None = None,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.snapshot = Snapshot()
        self._client = client
        self._models = tuple(dict.fromkeys(models))
        self._is_activity_by_key = is_activity_by_key
        self._endpoints = frozenset(endpoints)
        self._chance = chance
        self._clock = clock
        self._schedule = Schedule(intervals_s={**INTERVALS_S, **(intervals_s or {})})
        self._errors: Counter[tuple[Endpoint, str]] = Counter()
        self._durations_s: dict[Endpoint, float] = {}
        self._asks: Mapping[Endpoint, Callable[[Snapshot, str, float], Snapshot]] = {
            "key": lambda seen, _, at_s: replace(seen, key=Observed(value=client.key(), at_s=at_s)),
            "workspaces": lambda seen, _, at_s: replace(
                seen, workspaces=Observed(value=client.workspaces(), at_s=at_s)
            ),
            "keys": lambda seen, _, at_s: replace(
                seen, keys=Observed(value=client.keys(_workspace_ids(seen)), at_s=at_s)
            ),
            "credits": lambda seen, _, at_s: replace(seen, credits=Observed(value=client.credits(), at_s=at_s)),
            "activity": self._ask_activity,
            "models": lambda seen, _, at_s: replace(seen, models=Observed(value=client.models(), at_s=at_s)),
            "endpoints": lambda seen, model, at_s: replace(
                seen, endpoints={**seen.endpoints, model: Observed(value=client.endpoints(model), at_s=at_s)}
            ),
            "members": lambda seen, _, at_s: replace(seen, members=Observed(value=client.members(), at_s=at_s)),
            "guardrails": lambda seen, _, at_s: replace(
                seen, guardrails=Observed(value=client.guardrails(), at_s=at_s)
            ),
            "analytics_meta": lambda seen, _, at_s: replace(
                seen, analytics_meta=Observed(value=client.analytics_meta(), at_s=at_s)
            ),
            "providers": lambda seen, _, at_s: replace(seen, providers=Observed(value=client.providers(), at_s=at_s)),
        }
        self._want(self.snapshot)

    def next_due_s(self) -> float:
        """Give the Unix time of the next question; wait in short steps, for clocks are set back."""
        return self._schedule.next_due_s()

    def poll_due(self, now_s: float, *, patience_s: float = math.inf) -> Snapshot:
        """Ask what is due, one after the other, and swap the snapshot.

        Args:
            now_s: Unix time.
            patience_s: After so long the rest stays due: a thousand keys' closed days must not make the credits old.
        """
        started_s = self._clock()
        seen = self.snapshot
        asked: set[Task] = set()
        # Again, because an answer may bring tasks: the activity of a key just listed.
        while fresh := [task for task in self._schedule.due(now_s) if task not in asked]:
            for task in fresh:
                seen = self._ask(seen, task, now_s + (self._clock() - started_s))
                asked.add(task)
                if self._clock() - started_s > patience_s:
                    break
            seen = self._want(seen)
            if self._clock() - started_s > patience_s:
                break
        self.snapshot = replace(
            seen,
            succeeded_at_s=self._succeeded_at_s(),
            duration_s=dict(self._durations_s),
            errors=dict(self._errors),
            strange_rows=dict(self._client.strange_rows),
        )
        return self.snapshot

    def _ask(self, seen: Snapshot, task: Task, at_s: float) -> Snapshot:
        begun_s = self._clock()
        answered: Snapshot | None = None
        failure: AccountError | None = None
        with wall(PLACE):
            try:
                answered = self._asks[task.endpoint](seen, task.subject, at_s)
            except AccountError as error:
                failure = error
        self._durations_s[task.endpoint] = self._clock() - begun_s
        if answered is not None:
            self._schedule.succeeded(task, at_s, chance=self._chance())
            rest = {other: trouble for other, trouble in answered.troubles.items() if other != task}
            return replace(answered, troubles=rest)
        is_hidden = isinstance(failure, WrongKeyError)
        error_type = FAULT if failure is None else failure.error_type
        self._errors[task.endpoint, error_type] += 1
        self._schedule.failed(
            task,
            at_s,
            chance=self._chance(),
            retry_after_s=None if failure is None else failure.retry_after_s,
            is_hidden=is_hidden,
        )
        before = seen.troubles.get(task)
        trouble = Trouble(
            error_type=error_type,
            message="a fault of or-otel itself; please report the line in the log" if failure is None else str(failure),
            since_s=at_s if before is None else before.since_s,
            at_s=at_s,
            count=1 if before is None else before.count + 1,
            is_hidden=is_hidden,
        )
        return replace(seen, troubles={**seen.troubles, task: trouble})

    def _ask_activity(self, seen: Snapshot, key_hash: str, at_s: float) -> Snapshot:
        listing = self._client.activity(key_hash=key_hash or None)
        rows = Observed(value=listing.rows, at_s=at_s, is_whole=not listing.strange_count)
        if not key_hash:
            return replace(seen, activity=rows)
        return replace(seen, activity_by_key={**seen.activity_by_key, key_hash: rows})

    def _want(self, seen: Snapshot) -> Snapshot:
        """Let the tasks follow what is known; what is no longer asked does not stay in the snapshot."""
        tasks = [Task(name) for name in INTERVALS_S if name != "endpoints" and name in self._endpoints]
        tasks += [Task("endpoints", model) for model in self._models]
        if self._is_activity_by_key and seen.keys is not None:
            tasks += [Task("activity", key.hash) for key in seen.keys.value if key.hash is not None]
        self._schedule.want(tasks)
        wanted = self._schedule.progress
        return replace(
            seen,
            activity_by_key={
                hash_: rows for hash_, rows in seen.activity_by_key.items() if Task("activity", hash_) in wanted
            },
            troubles={task: trouble for task, trouble in seen.troubles.items() if task in wanted},
        )

    def _succeeded_at_s(self) -> dict[Endpoint, float]:
        oldest: dict[Endpoint, float] = {}
        for task, progress in self._schedule.progress.items():
            if progress.succeeded_at_s is not None:
                at_s = oldest.get(task.endpoint, progress.succeeded_at_s)
                oldest[task.endpoint] = min(at_s, progress.succeeded_at_s)
        return oldest


def _workspace_ids(seen: Snapshot) -> tuple[str, ...]:
    return () if seen.workspaces is None else tuple(workspace.id for workspace in seen.workspaces.value)
