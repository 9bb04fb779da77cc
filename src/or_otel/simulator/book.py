"""What the simulated server truly billed, one entry per generation.

Entries in, sums out, everything in `Decimal`. This is the truth that tests and the demo
compare tracked money with; it knows nothing of HTTP. Sums by key, UTC day and endpoint are kept
running, so that asking does not grow with every generation.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal, NamedTuple, TypeVar

from or_otel.days import DAY_S
from or_otel.facts import ZERO, Outcome, RouteAttempt, Usage

Money = Literal["charged", "upstream", "spend"]
Group = TypeVar("Group", bound=Hashable)


def fingerprint(key: str) -> str:
    """Give the first 12 hex digits of a key's SHA-256: all that is ever kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One generation as billed.

    Attributes:
        id: Generation id.
        key: Fingerprint of the API key; empty until a request is answered with it.
        model: Model as the answer names it.
        permaslug: Its dated name.
        provider: Display name of who served.
        usage: Tokens by kind.
        charged: What the credits lost.
        upstream: The provider's own price; a second bill only under BYOK.
        input_cost, output_cost: Parts of the provider's price, for answers cut short.
        is_byok: Whose key paid.
        stops_on_cancel: Whether the provider stops billing when the client leaves.
        is_cancelled: Whether the client left before the end.
        outcome: How it ended.
        attempts: Upstream tries, the one that served included.
        created_at_s: Unix time; 0 until a request is answered with it.
        api: `api_type` of the generation record.
        is_stream: Whether it was streamed.
        finish_reason, native_finish_reason: As told; None when cancelled.
        router: Router that chose the model, such as `openrouter/auto`.
        cache_source_id: Generation replayed by the response cache.
        cache_discount: Saved by cache reads; negative when writes cost extra.
        session_id, user_agent: As the request said.
        latency_ms, generation_ms: To the provider's headers; of the generation.
    """

    id: str
    key: str = ""
    model: str
    permaslug: str
    provider: str
    usage: Usage
    charged: Decimal
    upstream: Decimal = ZERO
    input_cost: Decimal = ZERO
    output_cost: Decimal = ZERO
    is_byok: bool = False
    stops_on_cancel: bool = True
    is_cancelled: bool = False
    outcome: Outcome = "ok"
    attempts: tuple[RouteAttempt, ...] = ()
    created_at_s: float = 0.0
    api: str = "completions"
    is_stream: bool = False
    finish_reason: str | None = "stop"
    native_finish_reason: str | None = "stop"
    router: str | None = None
    cache_source_id: str | None = None
    cache_discount: Decimal | None = None
    session_id: str | None = None
    user_agent: str | None = None
    latency_ms: int = 640
    generation_ms: int = 1490

    @property
    def spend(self) -> Decimal:
        """What the generation cost its owner over both ledgers."""
        return self.charged + (self.upstream if self.is_byok else ZERO)

    def cancelled(self, sent: int, planned: int) -> Entry:
        """Bill an answer whose reader left after some of the planned pieces.

        A provider that stops bills the prompt and the share of the tokens already sent, and nothing
        when not one was; a provider that does not stop bills everything.
        """
        left = replace(self, is_cancelled=True, outcome="cancelled", finish_reason=None, native_finish_reason=None)
        if not self.stops_on_cancel:
            return left
        tokens = self.usage.output_tokens or 0
        kept = tokens * sent // max(1, planned)
        if not kept:
            usage = replace(self.usage, output_tokens=0, reasoning_tokens=0)
            return replace(left, usage=usage, charged=ZERO, upstream=ZERO, input_cost=ZERO, output_cost=ZERO)
        output_cost = self.output_cost * kept / tokens
        upstream = self.input_cost + output_cost
        charged = self.charged * upstream / self.upstream if self.upstream else self.charged
        return replace(
            left,
            usage=replace(self.usage, output_tokens=kept, reasoning_tokens=min(self.usage.reasoning_tokens or 0, kept)),
            charged=upstream if self.charged == self.upstream else charged,
            upstream=upstream,
            output_cost=output_cost,
        )


class Slot(NamedTuple):
    """What running sums are kept by; `day` counts UTC days since 1970."""

    key: str
    day: int
    model: str
    permaslug: str
    provider: str


@dataclass(slots=True, kw_only=True)
class Tally:
    """What some generations add up to.

    Attributes:
        requests: How many.
        charged, byok: What the credits lost, what providers bill over own keys.
        input_tokens, output_tokens, reasoning_tokens, cache_read_tokens: Tokens.
        last_at_s: Unix time of the last one.
    """

    requests: int = 0
    charged: Decimal = ZERO
    byok: Decimal = ZERO
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cache_read_tokens: int = 0
    last_at_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Add another tally."""
        self.requests += other.requests
        self.charged += other.charged
        self.byok += other.byok
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cache_read_tokens += other.cache_read_tokens
        self.last_at_s = max(self.last_at_s, other.last_at_s)


class Book:
    """The server's own account of everything it billed. Safe to read from any thread."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._new: list[Entry] = []
        self._tallies: dict[str, dict[Slot, Tally]] = {}
        self._totals: dict[str, Tally] = {}
        self._lock = threading.Lock()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every generation, oldest first."""
        with self._lock:
            return tuple(self._entries.values())

    def enter(self, *entries: Entry) -> None:
        """Write entries; the same generation a second time is the same generation again."""
        with self._lock:
            for entry in entries:
                if entry.id in self._entries:  # rare: everything is added up anew at the next question
                    self._tallies, self._totals, self._new = {}, {}, []
                    self._entries[entry.id] = entry
                    self._new = list(self._entries.values())
                else:
                    self._entries[entry.id] = entry
                    self._new.append(entry)

    def find(self, generation_id: str) -> Entry | None:
        """Give one entry by its generation id."""
        with self._lock:
            return self._entries.get(generation_id)

    def summed(self, group: Callable[[Slot], Group | None], *, key: str | None = None) -> dict[Group, Tally]:
        """Add up by any grouping of slots, of one key or of all; slots grouped under None are left out."""
        sums: dict[Group, Tally] = {}
        with self._lock:
            self._add_new()
            for slots in self._tallies.values() if key is None else [self._tallies.get(key, {})]:
                for slot, tally in slots.items():
                    name = group(slot)
                    if name is not None:
                        sums.setdefault(name, Tally()).add(tally)
        return sums

    def lifetime(self) -> dict[str, Tally]:
        """Add up by key over all time."""
        with self._lock:
            self._add_new()
            return {key: replace(tally) for key, tally in self._totals.items()}

    def total(self, of: Money = "charged") -> Decimal:
        """Add up what the credits lost, what providers bill under BYOK, or both (`spend`)."""
        sums = self.lifetime().values()
        charged = sum((tally.charged for tally in sums), ZERO) if of != "upstream" else ZERO
        return charged + (sum((tally.byok for tally in sums), ZERO) if of != "charged" else ZERO)

    def by(self, field: str, of: Money = "charged") -> dict[str, Decimal]:
        """Add up money by a field of the entries, such as `provider`, `model` or `key`."""
        sums: dict[str, Decimal] = {}
        for entry in self.entries:
            value = str(getattr(entry, field))
            sums[value] = sums.get(value, ZERO) + _money(entry, of)
        return sums

    def _add_new(self) -> None:
        for entry in self._new:
            usage = entry.usage
            one = Tally(
                requests=1,
                charged=entry.charged,
                byok=entry.spend - entry.charged,
                input_tokens=usage.input_tokens or 0,
                output_tokens=usage.output_tokens or 0,
                reasoning_tokens=usage.reasoning_tokens or 0,
                cache_read_tokens=usage.cache_read_tokens or 0,
                last_at_s=entry.created_at_s,
            )
            slot = Slot(entry.key, int(entry.created_at_s // DAY_S), entry.model, entry.permaslug, entry.provider)
            self._tallies.setdefault(entry.key, {}).setdefault(slot, Tally()).add(one)
            self._totals.setdefault(entry.key, Tally()).add(one)
        self._new = []


def _money(entry: Entry, of: Money) -> Decimal:
    if of == "charged":
        return entry.charged
    return entry.spend if of == "spend" else entry.spend - entry.charged
