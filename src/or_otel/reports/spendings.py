"""Calls of the ledger → `Spending` for budgets: by the labels that budgets ask for, on both ledgers.

Stands in for the account where only clients know (features, customers, tags), and, marked so by its
reader, where the account was never asked. Pure; the moment comes in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from or_otel.accounts import Spend
from or_otel.budgets import Budget
from or_otel.budgets.spending import Ledger, PeriodName, Sample, Source, Spending, period_at
from or_otel.days import DAY_S
from or_otel.entries import Entry
from or_otel.facts import ZERO

Group = tuple[Source, Ledger, tuple[tuple[str, str], ...]]


class LedgerSpendings:
    """Adds up attempts per day and set of labels.

    Args:
        budgets: Whose labels matter; all others are left out, so that memory does not grow with customers.
        at_s: The moment; later calls are passed over.
        is_account_known: Whether the account tells of itself; else its budgets get the ledger's sums.
    """

    def __init__(self, budgets: Iterable[Budget], *, at_s: float, is_account_known: bool) -> None:
        self._at_s = at_s
        self._tags = {budget.label for budget in budgets if budget.source == "client"}
        self._is_account_known = is_account_known
        self._days: dict[Group, dict[int, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))

    def add(self, entry: Entry, key_labels: Mapping[str, str]) -> None:
        """Add one attempt, and whose key made it."""
        if entry.call_started_at_s > self._at_s:
            return
        tags = tuple((tag, entry.tags[tag]) for tag in sorted(self._tags) if tag in entry.tags)
        owners: list[tuple[Source, tuple[tuple[str, str], ...]]] = []
        if tags:
            owners.append(("client", tags))
        if not self._is_account_known:
            key = {"key": entry.key} if entry.key else {}
            owners.append(("account", tuple(sorted({**key, **key_labels}.items()))))
        day = int(entry.call_started_at_s // DAY_S)
        amounts: tuple[tuple[Ledger, Decimal | None], ...] = (
            ("openrouter", entry.charged),
            ("upstream", entry.upstream_bill),
        )
        for source, labels in owners:
            for ledger, amount in amounts:
                if amount is not None:
                    self._days[source, ledger, labels][day] += amount

    def spendings(self) -> tuple[Spending, ...]:
        """Give what was added, with a total at the end of each day for the rate."""
        return tuple(self._spending(group, days) for group, days in self._days.items())

    def _spending(self, group: Group, days: Mapping[int, Decimal]) -> Spending:
        source, ledger, labels = group
        total = ZERO
        samples = [Sample(at_s=float(min(days) * DAY_S), total_usd=ZERO)]
        for day in sorted(days):
            if days[day] and samples[-1].at_s < day * DAY_S:
                samples.append(Sample(at_s=float(day * DAY_S), total_usd=total))  # idle days rose by nothing
            total += days[day]
            samples.append(Sample(at_s=min(float((day + 1) * DAY_S), self._at_s), total_usd=total))
        return Spending(
            source=source,
            ledger=ledger,
            labels=dict(labels),
            at_s=self._at_s,
            spend=Spend(
                lifetime_usd=total,
                daily_usd=self._since("day", days),
                weekly_usd=self._since("week", days),
                monthly_usd=self._since("month", days),
            ),
            samples=tuple(samples),
        )

    def _since(self, period: PeriodName, days: Mapping[int, Decimal]) -> Decimal:
        start_s = period_at(period, self._at_s).start_s or 0.0
        return sum((amount for day, amount in days.items() if day * DAY_S >= start_s), ZERO)
