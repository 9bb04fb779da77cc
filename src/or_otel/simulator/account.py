"""The simulated account: keys, limits, guardrails, workspaces, members, credits, and who may do what.

Every figure is computed from the book, so that account and calls always agree. Periods are UTC days,
weeks from Monday, months. Knows nothing of HTTP answers but the refusals; `statements` tells what is here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, TypedDict, Unpack

from or_otel.days import DAY_S
from or_otel.facts import ZERO
from or_otel.simulator.book import Book, Tally, fingerprint
from or_otel.simulator.scenarios import USER_ID, Received, Scenario, forbidden, no_credits, unauthorized

Reset = Literal["daily", "weekly", "monthly"]

WORKSPACE_ID = "0df9e665-d932-5740-b2c7-b52af166bc11"
"""The account's default workspace."""
SECOND_USER_ID = "user_2simulatedsimulatedtwo"
SEARCH_KEY = "sk-or-v1-demo-search"
SUPPORT_KEY = "sk-or-v1-demo-support"
BYOK_KEY = "sk-or-v1-demo-byok"
BROKE_KEY = "sk-or-v1-demo-broke"
MANAGEMENT_KEY = "sk-or-v1-demo-management"
PERIODS: tuple[Reset, ...] = ("daily", "weekly", "monthly")
BEGAN_AT_S = 1_767_603_600.0
"""2026-01-05T09:00:00Z, when everything was made that says nothing else."""


class KeyFields(TypedDict, total=False):
    """What may be said of a key; the meaning is that of `Key`."""

    name: str
    limit_usd: Decimal | None
    limit_reset: Reset | None
    is_byok_in_limit: bool
    byok: Collection[str]
    fee_rate: Decimal
    is_management: bool
    is_disabled: bool
    created_at_s: float
    expires_at_s: float | None
    external_user: str | None
    creator_user_id: str
    workspace_id: str
    organization_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key of the account, without the key.

    Attributes:
        hash: SHA-256 of the key, hex.
        label: The key, masked.
        name: For people.
        limit_usd: Spending limit; None for none.
        limit_reset: When the limit starts anew; None for never.
        is_byok_in_limit: Whether what providers bill over own keys counts against the limit.
        byok: Display names of providers whose own key the owner brought.
        fee_rate: Part of the list price that BYOK costs in credits.
        is_management: Whether it may read the account and may not ask models.
        is_disabled: Whether it is switched off.
        created_at_s, updated_at_s, expires_at_s: Unix times; None for never.
        external_user, creator_user_id, workspace_id: Whose it is.
        organization_id: A key of another organisation sees, and adds to, only what is that organisation's.
    """

    hash: str
    label: str
    name: str = "unnamed"
    limit_usd: Decimal | None = None
    limit_reset: Reset | None = None
    is_byok_in_limit: bool = False
    byok: Collection[str] = ()
    fee_rate: Decimal = ZERO
    is_management: bool = False
    is_disabled: bool = False
    created_at_s: float = BEGAN_AT_S
    updated_at_s: float | None = None
    expires_at_s: float | None = None
    external_user: str | None = None
    creator_user_id: str = USER_ID
    workspace_id: str = WORKSPACE_ID
    organization_id: str | None = None

    @property
    def fingerprint(self) -> str:
        """What the book knows it by."""
        return self.hash[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A room of the account that keys belong to.

    Attributes:
        id, name: As told.
    """

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A person of the organisation.

    Attributes:
        id, first_name, last_name: As told.
        role: `org:admin` or `org:member`.
    """

    id: str
    first_name: str
    last_name: str
    role: Literal["org:admin", "org:member"] = "org:member"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrail:
    """A budget, and what may be asked; only the budget is enforced here.

    Attributes:
        id, name: As told.
        limit_usd: Spending limit of each key it is assigned to; None for none.
        reset_interval: When the limit starts anew; None for never.
        is_byok_included: Whether what providers bill over own keys counts.
        allowed_models, allowed_providers: Dated names and slugs; None allows everything.
        workspace_id: Where it is listed.
        keys: Fingerprints of the keys it is assigned to.
    """

    id: str
    name: str
    limit_usd: Decimal | None = None
    reset_interval: Reset | None = None
    is_byok_included: bool = False
    allowed_models: tuple[str, ...] | None = None
    allowed_providers: tuple[str, ...] | None = None
    workspace_id: str = WORKSPACE_ID
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A limit on a key, and how it stands.

    Attributes:
        scope: `key_limit`, or `api_key` for a guardrail's.
        limit_usd, spend_usd: Of the running period.
        reset: When it starts anew; None for never.
        resets_at_s: The next time it does.
        is_byok_included: Whether what providers bill over own keys counts.
        guardrail_id: The guardrail that sets it.
    """

    scope: Literal["key_limit", "api_key"]
    limit_usd: Decimal
    spend_usd: Decimal
    reset: Reset | None
    resets_at_s: float | None
    is_byok_included: bool
    guardrail_id: str | None = None

    @property
    def remaining_usd(self) -> Decimal:
        """What is left; requests are refused at or below zero."""
        return self.limit_usd - self.spend_usd


@dataclass(slots=True, kw_only=True)
class Spent:
    """What one key used, over its life and in each running period.

    Attributes:
        lifetime: Since it was made.
        periods: By `daily`, `weekly`, `monthly`.
    """

    lifetime: Tally = field(default_factory=Tally)
    periods: Mapping[Reset, Tally] = field(default_factory=lambda: {period: Tally() for period in PERIODS})


class Account:
    """Keys and credits; who comes with a key that the account does not have is refused, as at OpenRouter.

    Attributes:
        book: Where spending is read.
        takes_strangers: Whether unknown keys are taken in at their first use, as ordinary ones.
        credits_usd: Credits bought.
        page_size: Keys given at once by `/keys`.
        workspaces, members, guardrails: What the account has; the first workspace is the default one.
    """

    def __init__(self, *, book: Book, wall: Callable[[], float]) -> None:
        self.book = book
        self.takes_strangers = False
        self.credits_usd = Decimal(110)
        self.page_size = 100
        self.workspaces = [Workspace(id=WORKSPACE_ID, name="Default")]
        self.members = [
            Member(id=USER_ID, first_name="Ada", last_name="Ferreira", role="org:admin"),
            Member(id=SECOND_USER_ID, first_name="Nuno", last_name="Alves"),
        ]
        self.guardrails: list[Guardrail] = []
        self._wall = wall
        self._keys: dict[str, Key] = {}
        self._deleted: dict[str, Key] = {}
        self._rejected: set[str] = set()
        self.add_key(SEARCH_KEY, name="search", limit_usd=Decimal(50), limit_reset="monthly")
        self.add_key(SUPPORT_KEY, name="support")
        self.add_key(BYOK_KEY, name="byok", byok=("Anthropic",), fee_rate=Decimal("0.05"))
        self.add_key(BROKE_KEY, name="broke", limit_usd=ZERO)
        self.add_key(MANAGEMENT_KEY, name="management", is_management=True)

    # What the account has -----------------------------------------------------------------------

    def add_key(self, key: str, **fields: Unpack[KeyFields]) -> Key:
        """Add a key or replace it."""
        made = Key(hash=hashlib.sha256(key.encode()).hexdigest(), label=f"{key[:12]}...{key[-3:]}")
        record = replace(made, **fields)
        self._keys[record.fingerprint] = record
        self._deleted.pop(record.fingerprint, None)
        return record

    def change_key(self, key: str, **fields: Unpack[KeyFields]) -> Key:
        """Change some of what a key is, such as its limit; None removes a limit.

        Raises:
            KeyError: The account has no such key.
        """
        mark = fingerprint(key)
        record = replace(self._keys[mark], updated_at_s=self._wall(), **fields)
        self._keys[mark] = record
        return record

    def delete_key(self, key: str) -> None:
        """Take a key out of the list and refuse it; what it spent stays in credits and activity.

        Raises:
            KeyError: The account has no such key.
        """
        mark = fingerprint(key)
        self._deleted[mark] = self._keys.pop(mark)

    def add_workspace(self, workspace_id: str, name: str) -> Workspace:
        """Add a workspace."""
        workspace = Workspace(id=workspace_id, name=name)
        self.workspaces.append(workspace)
        return workspace

    def add_guardrail(self, guardrail: Guardrail, *, keys: Iterable[str] = ()) -> Guardrail:
        """Add a guardrail, or replace the one of the same id, and assign it to keys."""
        assigned = replace(guardrail, keys=guardrail.keys | {fingerprint(key) for key in keys})
        self.guardrails = [each for each in self.guardrails if each.id != guardrail.id] + [assigned]
        return assigned

    def reject(self, key: str) -> None:
        """Answer this key with 401 from now on."""
        self._rejected.add(fingerprint(key))

    @property
    def now_s(self) -> float:
        """The account's Unix time."""
        return self._wall()

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key that is not deleted, in order of making."""
        return tuple(self._keys.values())

    def known(self, mark: str) -> Key | None:
        """Find a key by its fingerprint, deleted ones too."""
        return self._keys.get(mark) or self._deleted.get(mark)

    def is_of(self, mark: str, organization_id: str | None) -> bool:
        """Whether a fingerprint of the book belongs to an organisation; strangers belong to the account itself."""
        key = self.known(mark)
        return (key.organization_id if key is not None else None) == organization_id

    # Who may do what ----------------------------------------------------------------------------

    def authorised(self, request: Received) -> Key | Scenario:
        """Find the request's key, or the refusal it gets."""
        if request.key is None:
            return unauthorized()
        mark = fingerprint(request.key)
        if mark in self._rejected or mark in self._deleted:
            return unauthorized("User not found.")
        record = self._keys.get(mark)
        if record is None and self.takes_strangers:
            record = self.add_key(request.key)
        if record is None or record.is_disabled or self.is_expired(record):
            return unauthorized("User not found.")
        return record

    def managing(self, request: Received) -> Key | Scenario:
        """Find the management key of a request, or the refusal it gets."""
        key = self.authorised(request)
        if isinstance(key, Scenario) or key.is_management:
            return key
        return forbidden("Only management keys can perform this operation")

    def is_expired(self, key: Key) -> bool:
        """Whether a key's time is over."""
        return key.expires_at_s is not None and key.expires_at_s <= self._wall()

    def may_spend(self, request: Received) -> Key | Scenario:
        """Find the key of a request to a model, or the refusal it gets."""
        key = self.authorised(request)
        if isinstance(key, Scenario):
            return key
        if key.is_management:
            return forbidden("Management keys cannot be used for inference")
        for budget in self.budgets(key):
            if budget.remaining_usd <= 0:
                if budget.scope == "key_limit":
                    return no_credits("Key limit exceeded. Raise the limit of the key to continue.")
                return forbidden("Budget exceeded. Raise the limit of the guardrail to continue.")
        return no_credits() if self.credits_usd <= self.used(key.organization_id) else key

    # What was spent -----------------------------------------------------------------------------

    def used(self, organization_id: str | None = None) -> Decimal:
        """Add up what the credits of an organisation lost."""
        sums = self.book.lifetime().items()
        return sum((tally.charged for mark, tally in sums if self.is_of(mark, organization_id)), ZERO)

    def spent(self, key: Key) -> Spent:
        """Add up what a key used, by period."""
        begins = [(period, self.since(period) // DAY_S) for period in PERIODS]
        spent = Spent()
        for day, tally in self.book.summed(lambda slot: slot.day, key=key.fingerprint).items():
            spent.lifetime.add(tally)
            for period, begin in begins:
                if day >= begin:
                    spent.periods[period].add(tally)
        return spent

    def remaining(self, key: Key) -> Decimal:
        """What is left of a key's limit; zero without one."""
        return next((each.remaining_usd for each in self.budgets(key) if each.scope == "key_limit"), ZERO)

    def budgets(self, key: Key, spent: Spent | None = None) -> list[Budget]:
        """Give the limits on a key: those of its guardrails, then its own."""
        limits = [(g.limit_usd, g.reset_interval, g.is_byok_included, g.id) for g in self._guarding(key)]
        own = (key.limit_usd, key.limit_reset, key.is_byok_in_limit, None)
        found = []
        for limit_usd, reset, is_byok_included, guardrail_id in (*limits, own):
            if limit_usd is None:
                continue
            spent = spent or self.spent(key)
            tally = spent.periods[reset] if reset else spent.lifetime
            found.append(
                Budget(
                    scope="api_key" if guardrail_id else "key_limit",
                    limit_usd=limit_usd,
                    spend_usd=tally.charged + (tally.byok if is_byok_included else ZERO),
                    reset=reset,
                    resets_at_s=self.until(reset) if reset else None,
                    is_byok_included=is_byok_included,
                    guardrail_id=guardrail_id,
                )
            )
        return found

    def _guarding(self, key: Key) -> list[Guardrail]:
        return [guardrail for guardrail in self.guardrails if key.fingerprint in guardrail.keys]

    def since(self, period: Reset) -> float:
        """Give the Unix time at which the running period began."""
        return self._begin(period).timestamp()

    def until(self, period: Reset) -> float:
        """Give the Unix time at which the running period ends."""
        begin = self._begin(period)
        if period == "monthly":
            return (begin + timedelta(days=31)).replace(day=1).timestamp()
        return (begin + timedelta(days=7 if period == "weekly" else 1)).timestamp()

    def _begin(self, period: Reset) -> datetime:
        day = datetime.fromtimestamp(self._wall(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if period == "weekly":
            day -= timedelta(days=day.weekday())
        return day.replace(day=1) if period == "monthly" else day


def iso(at_s: float) -> str:
    """Write Unix time as the API does."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def endpoint_id(permaslug: str, provider: str) -> str:
    """Make the stable id of an endpoint."""
    text = hashlib.sha256(f"{provider}|{permaslug}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"
