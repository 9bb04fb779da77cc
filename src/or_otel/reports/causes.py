"""Words for why what clients tracked is not what the account billed. Frozen values; who finds them is `explaining`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from or_otel.facts import EXACT, ZERO, added

Kind = Literal[
    "cancelled",
    "unpriced",
    "untracked",
    "other_program",
    "lost_export",
    "unmatched_key",
    "unmatched_fingerprint",
    "unlisted_key",
    "byok_switch",
    "byok_to_credits",
    "refund",
    "repriced",
    "not_booked",
    "counted_twice",
    "batch",
    "midnight",
    "cache_hit",
    "rounding",
    "unexplained",
]

MEANINGS: Mapping[Kind, str] = {
    "cancelled": "cancelled before the price came",
    "unpriced": "answered without a price",
    "untracked": "billed, and in no entry: another program with this key, or lines that were lost",
    "other_program": "made by another program with this key",
    "lost_export": "made by a program that is watched, and its lines are lost",
    "unmatched_key": "a key that no client is known to use",
    "unmatched_fingerprint": "a client's key that is none of the account's as far as is known",
    "unlisted_key": "keys that the account lists no more",
    "byok_switch": "tracked on one ledger, billed on the other",
    "byok_to_credits": "an own provider key failed, and credits paid",
    "refund": "given back, or billed less than the answer said",
    "repriced": "billed more than the answer said",
    "not_booked": "tracked, and not among the account's generations of that day",
    "counted_twice": "one generation in several entries",
    "batch": "work booked when it ended, not when it was fetched",
    "midnight": "booked on the neighbouring day",
    "cache_hit": "answers replayed at no cost",
    "rounding": "less than a billionth of a dollar",
    "unexplained": "no evidence",
}
"""For people."""
NOTES: frozenset[Kind] = frozenset({"byok_to_credits", "midnight", "cache_hit"})
"""Worth telling, but no part of the difference: both sides have it, or it was moved already."""
MAX_EXAMPLES = 5

Money = tuple[Decimal, Decimal]
"""Credits and BYOK."""
NO_MONEY: Money = (ZERO, ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """One generation as the account lists it.

    Attributes:
        id: `gen-…`.
        day: UTC day it is booked on.
        credits_usd, byok_usd: What it cost on each ledger.
        user_agent: Of the client that made it, where its record was looked up.
    """

    id: str
    day: date
    credits_usd: Decimal = ZERO
    byok_usd: Decimal = ZERO
    user_agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A reason why both sides differ, or a note.

    Attributes:
        kind: What it is.
        count: Requests or calls it is about.
        credits_usd, byok_usd: Billed beyond what was tracked because of it; None when that is not known.
        evidence: How that is known, for people.
        is_certain: Whether it was seen answer by answer; else it is what fits the sums.
        examples: Some generation ids.
    """

    kind: Kind
    count: int
    credits_usd: Decimal | None = None
    byok_usd: Decimal | None = None
    evidence: str = ""
    is_certain: bool = True
    examples: tuple[str, ...] = ()

    @property
    def is_note(self) -> bool:
        """Whether it is no part of the difference."""
        return self.kind in NOTES

    @property
    def total_usd(self) -> Decimal | None:
        """Over both ledgers."""
        if self.credits_usd is None and self.byok_usd is None:
            return None
        return EXACT.add(self.credits_usd or ZERO, self.byok_usd or ZERO)


def merged(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Add up causes of several keys or days by kind, largest first, notes last."""
    groups: dict[Kind, list[Cause]] = defaultdict(list)
    for cause in causes:
        groups[cause.kind].append(cause)
    found = [
        Cause(
            kind=kind,
            count=sum(each.count for each in several),
            credits_usd=added(each.credits_usd for each in several),
            byok_usd=added(each.byok_usd for each in several),
            evidence="; ".join(dict.fromkeys(each.evidence for each in several)),
            is_certain=all(each.is_certain for each in several),
            examples=tuple(name for each in several for name in each.examples)[:MAX_EXAMPLES],
        )
        for kind, several in groups.items()
    ]
    return tuple(sorted(found, key=lambda cause: (cause.is_note, -abs(cause.total_usd or ZERO), cause.kind)))
