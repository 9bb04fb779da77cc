"""Calls of the ledger → `Spending` for budgets: by the labels that budgets ask for, on both ledgers.

Stands in for the account where only clients know (features, customers, tags), and, marked so by its
reader, where the account was never asked. Pure; the moment comes in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal

from or_otel.budgets import Budget
from or_otel.budgets.spending import Ledger, Source, Spending, spending_of_days
from or_otel.days import DAY_S
from or_otel.entries import Entry
from or_otel.facts import EXACT, ZERO

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
                    days = self._days[source, ledger, labels]
                    days[day] = EXACT.add(days[day], amount)

    def spendings(self) -> tuple[Spending, ...]:
        """Give what was added, with a total at the end of each day for the rate."""
        return tuple(
            spending_of_days(days, at_s=self._at_s, source=source, ledger=ledger, labels=dict(labels))
            for (source, ledger, labels), days in self._days.items()
        )
