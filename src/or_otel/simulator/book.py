"""What the simulated server truly billed, one entry per generation.

Entries in, sums out, everything in `Decimal`. This is the truth that tests and the demo
compare tracked money with; it knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from or_otel.facts import ZERO, Outcome, RouteAttempt, Usage

Money = Literal["charged", "upstream", "spend"]


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


class Book:
    """The server's own account of everything it billed. Safe to read from any thread."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._lock = threading.Lock()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Every generation, oldest first."""
        with self._lock:
            return tuple(self._entries.values())

    def enter(self, entry: Entry) -> None:
        """Write an entry; the same generation a second time is the same generation again."""
        with self._lock:
            self._entries[entry.id] = entry

    def find(self, generation_id: str) -> Entry | None:
        """Give one entry by its generation id."""
        with self._lock:
            return self._entries.get(generation_id)

    def total(self, of: Money = "charged") -> Decimal:
        """Add up what the credits lost, what providers bill under BYOK, or both (`spend`)."""
        return sum((_money(entry, of) for entry in self.entries), ZERO)

    def by(self, field: str, of: Money = "charged") -> dict[str, Decimal]:
        """Add up money by a field of the entries, such as `provider`, `model` or `key`."""
        sums: dict[str, Decimal] = {}
        for entry in self.entries:
            value = str(getattr(entry, field))
            sums[value] = sums.get(value, ZERO) + _money(entry, of)
        return sums


def _money(entry: Entry, of: Money) -> Decimal:
    if of == "charged":
        return entry.charged
    return entry.spend if of == "spend" else entry.spend - entry.charged
