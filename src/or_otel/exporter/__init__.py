"""The account exporter: asks OpenRouter, reckons, and publishes by scrape, by push, or both.

    client ─ Poller ─→ Snapshot ─┐
    ledger ─ Kept ───────────────┼─ round ─→ Known (swapped whole) ─→ readings ─┬─ page: /metrics, /healthz
    or-otel.toml ─ Config ───────┘              │                               └─ push: OTLP
                                                └─→ messenger: notices

`Exporter.round` is everything that happens at one time, on one thread; whoever reads takes the last `Known`, without a
lock. Times come in. Nothing here holds up anything else: notices and pushes have threads of their own, and a round that
hangs leaves the last `Known` standing, with its age.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import cast

from or_otel import semconv
from or_otel.account.client import AccountClient
from or_otel.account.observations import readings_of
from or_otel.account.poller import Poller, Snapshot
from or_otel.account.readings import Attributes, Known, LedgerTotal, NamedKey, Reading, told_only
from or_otel.account.samples import Memory
from or_otel.account.schedule import Endpoint
from or_otel.budgets import BudgetState, Spending, budget_state, spendings_of_key
from or_otel.config import Config
from or_otel.config.keys import KeyMap
from or_otel.days import utc_day
from or_otel.exporter.comparing import closed_days
from or_otel.exporter.health import Health, health_of
from or_otel.exporter.kept import Kept
from or_otel.exporter.messenger import Messenger, News
from or_otel.guard import wall
from or_otel.ledger.lifetime import Group, GroupSums
from or_otel.wire.requests import key_fingerprint

ASKED: tuple[Endpoint, ...] = ("key", "workspaces", "keys", "credits", "activity")
"""What metrics are made of; the list of models too where models are watched, or lists are kept for reports."""
OWN = "asking key"
"""Stands for the hash of the asking key, which nobody tells."""
PATIENCE_S = 20.0
"""For the questions of one round; the rest waits for the next one, behind what is due every minute."""
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.2, 30.0
"""Between two rounds: journals are imported and clocks may be set back, also when nothing is to be asked."""


@dataclass(frozen=True, slots=True)
class _Read:
    known: Known
    day: date
    readings: tuple[Reading, ...]


class Exporter:
    """Asks, reckons, and holds the last of it.

    Args:
        client: Asks; for the thread of `round` alone.
        config: The settings file.
        held_keys: API keys at hand, the ordinary one first, if any: they tell which listed key is which fingerprint.
        asking_key: The key whose `/key` is told.
        folder: Of the ledger, where closed days are kept; None keeps nothing.
        has_ledger: Whether the sums of the local ledger are told.
        metric_tags: Tags of calls that are let onto them.
        messenger: Gets the news of each round; None where nobody is to be told.
        chance: Gives numbers 0…1, which spread the questions.
        clock: Gives seconds that never go back, for durations.
    """

    def __init__(  # noqa: PLR0913 -- the composition root is handed everything
        self,
        client: AccountClient,
        config: Config,
        *,
        asking_key: str | None = None,
        held_keys: Sequence[str] = (),
        folder: Path | None = None,
        has_ledger: bool = False,
        metric_tags: Iterable[str] = ("team", "feature"),
        messenger: Messenger | None = None,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._fingerprint = key_fingerprint(asking_key)
        self._held_keys = tuple(held_keys)
        self._tags = frozenset(metric_tags)
        self._messenger = messenger
        self._budget_tags = frozenset(budget.label for budget in config.budgets if budget.source == "client")
        self._is_compared = has_ledger and config.exporter.has_reconciliation
        watched = config.account.watch_models
        self._intervals_s = cast("Mapping[Endpoint, float]", config.account.intervals_s)
        self._poller = Poller(
            client,
            models=watched,
            is_activity_by_key=self._is_compared,
            endpoints=(*ASKED, "models") if watched or folder is not None else ASKED,
            intervals_s=self._intervals_s,
            chance=chance,
            clock=clock,
        )
        self._kept = Kept(folder, tags=self._tags | self._budget_tags, has_calls=has_ledger)
        self._memory = Memory()
        self._seeded: set[str] = set()
        self._known = Known()
        self._read: _Read | None = None

    # Once a round -----------------------------------------------------------------------------------------------------

    def round(self, now_s: float) -> Known:
        """Ask what is due, keep it, reckon, and swap what is known.

        Args:
            now_s: Unix time.
        """
        snapshot = self._poller.poll_due(now_s, patience_s=PATIENCE_S)
        self._kept.take(snapshot, now_s)
        key_map = self._matched(snapshot)
        keys, asking = self._named(snapshot, key_map)
        by_hash = {named.key.hash: named for named in keys if named.key.hash is not None}
        if self._is_compared:
            self._kept.compare(by_hash, key_map.hash_of, now_s)
        # A question of this round was asked after it began.
        asked_s = [each.at_s for each in (snapshot.key, snapshot.keys) if each is not None]
        states = tuple(self._states(snapshot, keys, max(now_s, *asked_s) if asked_s else now_s))
        self._known = Known(
            snapshot=snapshot,
            keys=keys,
            asking_key=asking,
            activity=self._kept.activity,
            budgets=states,
            watched=self._config.account.watch_models,
            ledger=self._ledger_totals(),
            reconciled=self._kept.reconciled,
        )
        if self._messenger is not None:
            self._messenger.offer(self.news(now_s))
        return self._known

    def start(self) -> None:
        """Start the threads that a round hands work to."""
        if self._messenger is not None:
            self._messenger.start()

    def next_due_s(self) -> float:
        """Give the Unix time of the next question."""
        return self._poller.next_due_s()

    def run(self, stop: threading.Event, *, now: Callable[[], float], after: Callable[[Known], None]) -> None:
        """Make rounds until told to stop.

        Args:
            stop: Ends it between two rounds.
            now: Gives Unix time.
            after: Called with what is known after each round.
        """
        while not stop.is_set():
            with wall("exporter.round"):
                after(self.round(now()))
            stop.wait(min(max(self.next_due_s() - now(), SHORTEST_WAIT_S), LONGEST_WAIT_S))

    # At any time, on any thread ---------------------------------------------------------------------------------------

    @property
    def known(self) -> Known:
        """What the last round gave."""
        return self._known

    def readings(self, now_s: float) -> tuple[Reading, ...]:
        """Give what is told at a time; made once for a round and a UTC day."""
        known, day = self._known, utc_day(now_s)
        read = self._read
        if read is None or read.known is not known or read.day != day:
            # Two threads may both make it: they make the same.
            read = self._read = _Read(known, day, tuple(readings_of(known, now_s)))
        return read.readings

    def health(self, now_s: float) -> Health:
        """Say how asking goes."""
        return health_of(self._known.snapshot, now_s, self._intervals_s)

    # Keys -------------------------------------------------------------------------------------------------------------

    def _matched(self, snapshot: Snapshot) -> KeyMap:
        """Find which fingerprint is which listed key."""
        calls = self._kept.calls
        seen = {group.key_id for group in calls.totals() if group.key_id} if calls is not None else set()
        # A row of the file may know a client that the ledger here never saw.
        seen |= {rule.fingerprint for rule in self._config.keys if rule.fingerprint is not None}
        listed = snapshot.keys.value if snapshot.keys is not None else ()
        return self._config.match_keys(listed, sorted(seen), self._held_keys)

    def _named(self, snapshot: Snapshot, key_map: KeyMap) -> tuple[tuple[NamedKey, ...], NamedKey | None]:
        """Name the keys that are told, and the asking one, if it may ask models."""
        mark_of = {key_hash: mark for mark, key_hash in key_map.hash_of.items()}
        listed = tuple(
            NamedKey(key=key, fingerprint=mark, assignment=self._config.assign(key, mark))
            for key in (snapshot.keys.value if snapshot.keys is not None else ())
            for mark in [mark_of.get(key.hash or "")]
        )
        if snapshot.key is None or snapshot.key.value.is_management:
            return listed, None
        mark = self._fingerprint
        asking = NamedKey(key=snapshot.key.value, fingerprint=mark, assignment=self._config.assign(None, mark))
        if snapshot.keys is None:
            return (asking,), asking
        for named in listed:
            if mark is not None and named.fingerprint == mark:
                # The listed row has the name; what it asks for itself has the free requests.
                return listed, replace(named, key=replace(asking.key, hash=named.key.hash, name=named.key.name))
        return listed, asking

    # Money ------------------------------------------------------------------------------------------------------------

    def _states(self, snapshot: Snapshot, keys: Sequence[NamedKey], now_s: float) -> Iterator[BudgetState]:
        if not self._config.budgets:
            return
        of_account = tuple(self._of_account(snapshot, keys))
        calls = self._kept.calls
        of_clients = calls.spendings(self._budget_tags, at_s=now_s) if calls is not None and self._budget_tags else ()
        is_whole = snapshot.keys is not None
        for budget in self._config.budgets:
            # One key's spending is not that of an account, company or team.
            is_seen = budget.source == "client" or is_whole or budget.scope == "key"
            yield budget_state(budget, (*of_account, *of_clients) if is_seen else (), now_s=now_s)

    def _of_account(self, snapshot: Snapshot, keys: Sequence[NamedKey]) -> Iterator[Spending]:
        if snapshot.keys is None:
            if snapshot.key is not None:
                for named in keys:
                    labels = {"key": named.fingerprint} if named.fingerprint else {}
                    yield from self._of_key(OWN, named, snapshot.key.at_s, labels)
            return
        listed = {named.key.hash for named in keys}
        for named in keys:
            yield from self._of_key(named.key.hash or OWN, named, snapshot.keys.at_s, {})
        ever = self._kept.known_keys
        if ever.keys() - listed:
            owner = self._config.owner_of(tuple(known.key for known in ever.values()), self._held_keys)
            for key_hash, known in ever.items():
                if key_hash not in listed:
                    gone = NamedKey(key=known.key, assignment=owner(known.key))
                    yield from self._of_key(key_hash, gone, known.last_seen_s, {})
        self._memory.forget_but({*self._kept.known_keys, OWN})

    def _of_key(self, identity: str, named: NamedKey, at_s: float, labels: Mapping[str, str]) -> Iterable[Spending]:
        if identity not in self._seeded:
            self._seeded.add(identity)
            self._memory.seed(identity, self._kept.samples_of(named.key, at_s))
        self._memory.note(identity, named.key, at_s)
        return spendings_of_key(
            named.key,
            at_s=at_s,
            labels={**named.assignment.labels, **labels},
            samples=self._memory.of(identity),
        )

    def _ledger_totals(self) -> tuple[LedgerTotal, ...]:
        calls = self._kept.calls
        if calls is None:
            return ()
        # Tags that only budgets ask for tell groups apart here, and are added up again.
        sums: dict[Group, GroupSums] = {}
        for group, one in calls.totals().items():
            told = group._replace(tags=tuple(pair for pair in group.tags if pair[0] in self._tags))
            sums.setdefault(told, GroupSums(first_day=one.first_day)).add(one)
        return tuple(
            LedgerTotal(
                attributes=_attributes_of(group),
                credits_usd=one.credits,
                upstream_usd=one.upstream,
                calls=one.calls,
                tokens=one.tokens,
            )
            for group, one in sums.items()
        )

    def news(self, now_s: float) -> News:
        """Give what the last round may have to tell people."""
        known = self._known
        credits = known.snapshot.credits  # noqa: A001 -- the word of the subject
        return News(
            at_s=now_s,
            budgets=known.budgets,
            credits=None if credits is None else credits.value,
            keys=tuple(named.key for named in known.keys),
            days=closed_days(known.reconciled),
        )


def _attributes_of(group: Group) -> Attributes:
    return told_only(
        {
            semconv.SERVICE_NAME: group.service,
            semconv.GEN_AI_OPERATION_NAME: group.operation,
            semconv.GEN_AI_PROVIDER_NAME: group.server,
            semconv.GEN_AI_REQUEST_MODEL: group.request_model,
            semconv.GEN_AI_RESPONSE_MODEL: group.response_model,
            semconv.OPENROUTER_PROVIDER_NAME: group.provider,
            semconv.OPENROUTER_KEY_ID: group.key_id,
            semconv.OPENROUTER_KEY_NAME: group.key_name,
            semconv.OPENROUTER_APP_NAME: group.app_name,
            semconv.DEPLOYMENT_ENVIRONMENT_NAME: group.environment,
            **{semconv.OPENROUTER_TAG_PREFIX + key: value for key, value in group.tags},
        }
    )
