"""What is derived from a call → counters: waste, what caching gained and missed, oversized calls, broken rules.

Nothing is judged here: the record says it. Every method needs the board's lock, as `sums` do.
"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.calls import NO_INSIGHT, Attempt, CallRecord
from or_otel.emitters.sums import Board, Key
from or_otel.facts import ZERO, Cost


class InsightSums:
    """The derived counters of one board."""

    def __init__(self, board: Board, common: tuple[str, ...]) -> None:
        """Make the instruments; `common` names the attributes that come first in every key."""
        self._waste = board.sums(catalogue.WASTE, common)
        self._savings = board.sums(catalogue.CACHE_SAVINGS, common)
        self._premium = board.sums(catalogue.CACHE_WRITE_PREMIUM, common)
        self._missed = board.sums(catalogue.CACHE_MISSED_TOKENS, common)
        self._oversized = board.sums(catalogue.OVERSIZED_CALLS, common)
        self._violations = board.sums(catalogue.POLICY_VIOLATIONS, common)

    def add(self, values: Key, record: CallRecord) -> None:
        """Count a finished call."""
        insight = record.insight
        for attempt in record.attempts:
            if attempt.cost is not None:
                self._add_waste(values, record, attempt, attempt.cost)
        for rule in record.violated:
            self._violations.count((*values, rule))
        if insight is NO_INSIGHT:
            return
        if insight.cache_saved is not None:
            # A cache dearer than fresh input would make a counter fall.
            self._savings.count_money(values, max(insight.cache_saved, ZERO))
        if insight.cache_premium is not None:
            self._premium.count_money(values, max(insight.cache_premium, ZERO))
        if insight.missed_tokens is not None:
            self._missed.count(values, insight.missed_tokens)
        if insight.is_oversized:
            self._oversized.count(values)

    def add_late(self, values: Key, record: CallRecord, attempt: Attempt | None, more: Cost) -> None:
        """Count money that was learned after the call had ended."""
        if attempt is not None:
            self._add_waste(values, record, attempt, more)

    def _add_waste(self, values: Key, record: CallRecord, attempt: Attempt, cost: Cost) -> None:
        kind = record.waste_of(attempt)
        if kind is not None and (total := cost.total):
            self._waste.count_money((*values, kind), total)
