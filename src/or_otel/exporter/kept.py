"""What the exporter keeps in the ledger's file, and what it reads from there: closed days, keys, models, sums of calls.

Snapshots and times come in. Closed days are kept once, so that a restart has them at once and OpenRouter's 30 days are
no limit; keys, so that one that was deleted still counts in its period. A file that cannot be used is told once, and
the exporter goes on with what it has in memory. Everything happens on the poller's thread.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from or_otel.account.history import (
    DAYS,
    KnownKey,
    covered_days,
    missing_days,
    read_activity,
    read_keys,
    store_activity,
    store_keys,
)
from or_otel.account.market import store_models
from or_otel.account.poller import Observed, Snapshot
from or_otel.account.readings import NamedKey, ReconciledDay
from or_otel.account.samples import HORIZON_S, Samples, samples_from_days
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.days import DAY_S, ONE_DAY, begin_s, utc_day
from or_otel.exporter.comparing import COMPARED_DAYS, reconciled_days
from or_otel.ledger import DATABASE, LedgerError, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.lifetime import Lifetime
from or_otel.ledger.queries import entries
from or_otel.ledger.retention import keep_within

logger = logging.getLogger(__name__)

EPOCH = date(1970, 1, 1)
KEEP_KEYS_S = 600.0
"""How often the rows of keys are written, if none came or went."""
KEEP_MODELS_S = 3600.0
"""How often the list of models is compared with the kept one: reports tell new models and prices by the day."""
GONE_S = 32 * DAY_S
"""A key that was not seen for so long spent nothing in a running month."""


@dataclass(slots=True)
class _Written:
    """What was written last, so that nothing is written twice."""

    activity_at_s: float | None = None
    by_key_at_s: dict[str, float] = field(default_factory=dict)
    keys_at_s: float = 0.0
    models_at_s: float = 0.0
    hashes: frozenset[str] = frozenset()
    day: date | None = None
    pruned_on: date | None = None


class Kept:
    """Keeps and reads.

    Args:
        folder: Of the ledger; None keeps nothing.
        tags: Tags by which sums of calls are told apart.
        has_calls: Whether sums of calls are wanted, and not closed days and keys alone.

    Attributes:
        activity: What was booked for the last closed days, all keys together.
        known_keys: Every key seen in the last month, by hash; also those that are gone.
        calls: Sums of calls; None unless wanted.
        reconciled: The last closed days from both sides; empty unless sums of calls are wanted.
    """

    def __init__(self, folder: Path | None, *, tags: Iterable[str] = (), has_calls: bool = False) -> None:
        self.activity: tuple[ActivityRow, ...] = ()
        self.known_keys: dict[str, KnownKey] = {}
        self.calls = Lifetime(tags) if has_calls and folder is not None else None
        self._folder = folder
        self._written = _Written()
        self._is_read = False
        self._problems: dict[str, str | None] = {}
        self.reconciled: tuple[ReconciledDay, ...] = ()
        self._is_to_compare = False

    def take(self, snapshot: Snapshot, now_s: float) -> None:
        """Keep what is new in a snapshot, and read what others added."""
        today = utc_day(now_s)
        self._see(snapshot, now_s)
        if self._folder is None:
            self._take_activity(snapshot, today)
            return
        try:
            if self.calls is not None:
                problems = import_journals(self._folder, now_s=now_s).problems
                self._say("journals", "; ".join(problems) if problems else None)
            if self.calls is not None or self._is_due(snapshot, now_s, today):
                with open_ledger(self._folder / DATABASE) as ledger:
                    self._exchange(ledger, snapshot, now_s, today)
                self._say("file", None)
            self._written.day = today
        except (LedgerError, OSError) as error:
            self._say("file", str(error))
            self._take_activity(snapshot, today)

    def samples_of(self, key: AccountKey, at_s: float) -> Samples:
        """Reckon what a key had spent at earlier midnights, as far as its closed days were kept."""
        if self._folder is None or key.hash is None:
            return {}
        today = utc_day(at_s)
        days = round(HORIZON_S / DAY_S)
        try:
            with open_ledger(self._folder / DATABASE) as ledger:
                rows = read_activity(ledger, today - timedelta(days=days), today, key.hash)
                missing = frozenset(missing_days(ledger, today, days, key.hash))
        except (LedgerError, OSError) as error:
            self._say("file", str(error))
            return {}
        known = {today - timedelta(days=ago) for ago in range(1, days + 1)} - missing
        return samples_from_days(key, at_s, rows, known)

    def compare(self, keys: Mapping[str, NamedKey], hash_of: Mapping[str, str], now_s: float) -> None:
        """Hold the last closed days against the calls of the ledger, if either side is new.

        Args:
            keys: The account's keys, by hash.
            hash_of: Fingerprint → hash.
            now_s: Unix time.
        """
        if self._folder is None or not self._is_to_compare:
            return
        try:
            with open_ledger(self._folder / DATABASE) as ledger:
                self.reconciled = self._compared(ledger, utc_day(now_s), keys, hash_of)
        except (LedgerError, OSError) as error:
            self._say("comparison", str(error))
        else:
            self._say("comparison", None)
            self._is_to_compare = False

    # The account ------------------------------------------------------------------------------------------------------

    def _see(self, snapshot: Snapshot, now_s: float) -> None:
        if snapshot.keys is not None:
            at_s = snapshot.keys.at_s
            for key in snapshot.keys.value:
                if key.hash is not None:
                    before = self.known_keys.get(key.hash)
                    first_s = at_s if before is None else before.first_seen_s
                    self.known_keys[key.hash] = KnownKey(key=key, first_seen_s=first_s, last_seen_s=at_s)
        gone = [hash_ for hash_, known in self.known_keys.items() if known.last_seen_s < now_s - GONE_S]
        for hash_ in gone:
            del self.known_keys[hash_]

    def _is_due(self, snapshot: Snapshot, now_s: float, today: date) -> bool:
        written = self._written
        return (
            today != written.day
            or (snapshot.activity is not None and snapshot.activity.at_s != written.activity_at_s)
            or any(each.at_s != written.by_key_at_s.get(hash_) for hash_, each in snapshot.activity_by_key.items())
            or self._are_keys_due(snapshot, now_s)
            or self._are_models_due(snapshot, now_s)
        )

    def _are_keys_due(self, snapshot: Snapshot, now_s: float) -> bool:
        if snapshot.keys is None:
            return False
        return now_s - self._written.keys_at_s >= KEEP_KEYS_S or _hashes(snapshot) != self._written.hashes

    def _are_models_due(self, snapshot: Snapshot, now_s: float) -> bool:
        return snapshot.models is not None and now_s - self._written.models_at_s >= KEEP_MODELS_S

    def _exchange(self, ledger: sqlite3.Connection, snapshot: Snapshot, now_s: float, today: date) -> None:
        if not self._is_read:
            for known in read_keys(ledger):
                if known.key.hash is not None and known.last_seen_s >= now_s - GONE_S:
                    self.known_keys.setdefault(known.key.hash, known)
            self._is_read = True
        self._keep_keys(ledger, snapshot, now_s)
        if snapshot.models is not None and self._are_models_due(snapshot, now_s):
            store_models(ledger, snapshot.models.value, snapshot.models.at_s)
            self._written.models_at_s = now_s
        is_new = self._keep_activity(ledger, snapshot, now_s) or today != self._written.day
        if is_new:
            self.activity = read_activity(ledger, today - timedelta(days=DAYS), today)
        if self.calls is not None:
            if self._written.pruned_on != today:
                keep_within(ledger, now_s=now_s)
                self._written.pruned_on = today
            self.calls.read(ledger)
            self._is_to_compare = self._is_to_compare or is_new

    def _keep_keys(self, ledger: sqlite3.Connection, snapshot: Snapshot, now_s: float) -> None:
        if not self._are_keys_due(snapshot, now_s):
            return
        # With those that went since: their last row is the one that counts.
        hashes = _hashes(snapshot)
        rows: dict[float, list[AccountKey]] = {}
        for key_hash, known in self.known_keys.items():
            if key_hash in hashes | self._written.hashes:
                rows.setdefault(known.last_seen_s, []).append(known.key)
        for seen_at_s, keys in rows.items():
            store_keys(ledger, keys, seen_at_s)
        self._written.keys_at_s, self._written.hashes = now_s, hashes

    def _keep_activity(self, ledger: sqlite3.Connection, snapshot: Snapshot, now_s: float) -> bool:
        """Keep closed days; False when nothing was asked since."""
        written, is_new = self._written, False
        told = snapshot.activity
        if told is not None and told.at_s != written.activity_at_s:
            self._store(ledger, told, now_s)
            written.activity_at_s, is_new = told.at_s, True
        for key_hash, rows in snapshot.activity_by_key.items():
            if rows.at_s != written.by_key_at_s.get(key_hash):
                self._store(ledger, rows, now_s, key_hash)
                written.by_key_at_s[key_hash], is_new = rows.at_s, True
        is_whole = (told is None or told.is_whole) and all(rows.is_whole for rows in snapshot.activity_by_key.values())
        rows_problem = "rows of /activity could not be read; what was known of those days stays"
        self._say("rows", None if is_whole else rows_problem)
        return is_new

    def _store(
        self,
        ledger: sqlite3.Connection,
        told: Observed[tuple[ActivityRow, ...]],
        now_s: float,
        key_hash: str | None = None,
    ) -> None:
        covered = covered_days(told.at_s, now_s)
        store_activity(ledger, told.value, told.at_s, covered=covered, key_hash=key_hash, is_whole=told.is_whole)

    def _take_activity(self, snapshot: Snapshot, today: date) -> None:
        """Without a file: what the last answer told, while it is young enough."""
        if snapshot.activity is not None:
            first = today - timedelta(days=DAYS)
            self.activity = tuple(row for row in snapshot.activity.value if first <= row.day < today)

    # Both sides -------------------------------------------------------------------------------------------------------

    def _compared(
        self, ledger: sqlite3.Connection, today: date, keys: Mapping[str, NamedKey], hash_of: Mapping[str, str]
    ) -> tuple[ReconciledDay, ...]:
        first_day = self.calls.first_day if self.calls is not None else None
        missing = frozenset(missing_days(ledger, today, COMPARED_DAYS))
        # The day of the first call was half over when it came: only those after it were watched whole.
        days = [
            day
            for ago in range(COMPARED_DAYS, 0, -1)
            if (day := today - timedelta(days=ago)) not in missing
            and first_day is not None
            and (day - EPOCH).days > first_day
        ]
        if not days:
            return ()
        begin, end = days[0] - ONE_DAY, days[-1] + timedelta(days=2)
        rows = list(read_activity(ledger, begin, end))
        for key_hash in keys:
            rows += read_activity(ledger, begin, end, key_hash)
        attempts = tuple(entries(ledger, since_s=begin_s(begin), until_s=begin_s(end)))
        return reconciled_days(attempts, rows, days, keys, hash_of)

    def _say(self, work: str, problem: str | None) -> None:
        """Say a problem once while it lasts: each kind of work forgets its own when it goes well."""
        if problem is not None and problem not in self._problems.values():
            logger.warning("or-otel: %s; the exporter goes on without", problem)
        self._problems[work] = problem


def _hashes(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(key.hash for key in snapshot.keys.value if key.hash) if snapshot.keys is not None else frozenset()
