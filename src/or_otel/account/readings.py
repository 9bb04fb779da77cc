"""What observations are made of: keys with their names, sums, closed days, and the readings that come out.

Frozen values without behaviour beyond naming. Money stays `Decimal`. `Known` is swapped whole after each poll; whoever
scrapes reads one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from or_otel import semconv
from or_otel.account.poller import Snapshot
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.budgets import BudgetState
from or_otel.catalogue import Metric
from or_otel.config.keys import Assignment
from or_otel.facts import TokenType

Value = Decimal | int | float
Attributes = Mapping[str, str | int]

HASH_DIGITS = 16
"""Of the account's hash of a key: enough to be the only one, and not as long as a client's fingerprint (12)."""


class Reading(NamedTuple):
    """One point of one metric."""

    metric: Metric
    value: Value
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedKey:
    """A key and what it is called on metrics.

    Attributes:
        key: As told.
        fingerprint: What clients know it by; None while that is not known.
        assignment: Whose it is.
    """

    key: AccountKey
    fingerprint: str | None = None
    assignment: Assignment = field(default_factory=Assignment)

    @property
    def name(self) -> str | None:
        """As the account calls it, else its fingerprint."""
        return self.key.name or self.fingerprint

    @property
    def attributes(self) -> dict[str, str | int]:
        """What every metric of the key carries."""
        tags = {semconv.OPENROUTER_TAG_PREFIX + name: value for name, value in self.assignment.labels.items()}
        return told_only({**name_of(self), semconv.OPENROUTER_KEY_ID: self.fingerprint, **tags})


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTotal:
    """What one group of calls in the local ledger ever added up to.

    Attributes:
        attributes: Who called what.
        credits_usd, upstream_usd: Money by who bills it.
        calls: How many.
        tokens: In disjoint kinds.
    """

    attributes: Attributes
    credits_usd: Decimal | None = None
    upstream_usd: Decimal | None = None
    calls: int = 0
    tokens: Mapping[TokenType, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconciledDay:
    """A closed UTC day of one key from both sides.

    Attributes:
        day: Which.
        key: Which; None for what could not be matched on either side.
        client_usd, provider_usd: What clients tracked, what the account booked; over both ledgers.
    """

    day: date
    key: NamedKey | None = None
    client_usd: Decimal
    provider_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """Everything that is told at one moment.

    Attributes:
        snapshot: As the account was last seen.
        keys: The account's keys, or the asking key where no others may be seen.
        asking_key: The asking key, if it may ask models: it alone tells of free requests.
        activity: What was booked for closed days, all keys together.
        budgets: How they stand.
        watched: Models whose prices and endpoints are told.
        ledger: Sums of the local ledger, the oldest group first.
        reconciled: Closed days from both sides.
    """

    snapshot: Snapshot = field(default_factory=Snapshot)
    keys: tuple[NamedKey, ...] = ()
    asking_key: NamedKey | None = None
    activity: tuple[ActivityRow, ...] = ()
    budgets: tuple[BudgetState, ...] = ()
    watched: tuple[str, ...] = ()
    ledger: tuple[LedgerTotal, ...] = ()
    reconciled: tuple[ReconciledDay, ...] = ()


def name_of(named: NamedKey | None) -> dict[str, str | int | None]:
    """Give name and hash of a key; of what is many keys or none that is known, `_OTHER`."""
    if named is None:
        return {semconv.OPENROUTER_KEY_NAME: semconv.OTHER, semconv.OPENROUTER_KEY_HASH: semconv.OTHER}
    key_hash = named.key.hash
    return {
        semconv.OPENROUTER_KEY_NAME: named.name,
        semconv.OPENROUTER_KEY_HASH: None if key_hash is None else key_hash[:HASH_DIGITS],
    }


def told_only(attributes: Mapping[str, str | int | None]) -> dict[str, str | int]:
    """Leave out what was not said."""
    return {name: value for name, value in attributes.items() if value is not None}
