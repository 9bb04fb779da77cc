"""Lifetime totals of keys over the last days: snapshots in, samples for budgets out.

Pure but for what it remembers; times come in. The rate of a budget needs to know what a key had spent a day and a week
ago. In a running process that is remembered; after a restart it is reckoned back from closed days, where those of
the key are known: total less today is the total at the last midnight, less yesterday at the one before.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from or_otel.accounts import AccountKey, ActivityRow, Spend
from or_otel.budgets.spending import RESET_GRACE_S, Ledger, Sample, thinned
from or_otel.days import DAY_S, utc_day
from or_otel.facts import EXACT, ZERO

STEP_S = 900.0
"""No closer than this: a rate over a day is not told better by each minute."""
HORIZON_S = 8 * DAY_S
"""Beyond the longest window of a forecast; a thousand busy keys then take some 50 MB."""
LEDGERS: tuple[Ledger, ...] = ("openrouter", "upstream")

Samples = Mapping[Ledger, tuple[Sample, ...]]


class Memory:
    """Remembers totals by key and ledger."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, Ledger], tuple[Sample, ...]] = {}

    def note(self, identity: str, key: AccountKey, at_s: float) -> None:
        """Take in a reading.

        Args:
            identity: The key's hash, or a word for the asking key.
            key: As told.
            at_s: When it was asked for.
        """
        for ledger, spend in _ledgers(key):
            if spend.lifetime_usd is not None:
                held = self._held.get((identity, ledger), ())
                self._held[identity, ledger] = _noted(held, Sample(at_s=at_s, total_usd=spend.lifetime_usd))

    def seed(self, identity: str, samples: Samples) -> None:
        """Take in what was reckoned of the time before the first reading."""
        for ledger, earlier in samples.items():
            held = self._held.get((identity, ledger), ())
            before_s = held[0].at_s if held else math.inf
            self._held[identity, ledger] = (*(each for each in earlier if each.at_s < before_s), *held)

    def of(self, identity: str) -> Samples:
        """Give what is remembered of a key."""
        return {ledger: held for ledger in LEDGERS if (held := self._held.get((identity, ledger)))}

    def forget_but(self, identities: Iterable[str]) -> None:
        """Forget all other keys."""
        kept = set(identities)
        self._held = {place: samples for place, samples in self._held.items() if place[0] in kept}


def _noted(held: tuple[Sample, ...], new: Sample) -> tuple[Sample, ...]:
    if held and new.at_s <= held[-1].at_s:
        return held
    is_flat = len(held) > 1 and held[-1].total_usd == held[-2].total_usd == new.total_usd
    is_near = len(held) > 1 and new.at_s - held[-2].at_s < STEP_S
    if is_flat or is_near:
        return (*held[:-1], new)
    samples = thinned((*held, new), now_s=new.at_s)
    # One before the horizon stays: it tells what the total was there.
    first = next((place for place, each in enumerate(samples) if each.at_s >= new.at_s - HORIZON_S), 0)
    return samples[max(0, first - 1) :]


def samples_from_days(key: AccountKey, at_s: float, rows: Iterable[ActivityRow], known: Iterable[date]) -> Samples:
    """Reckon back what a key's totals were at earlier midnights.

    Args:
        key: A reading of the key.
        at_s: When it was asked for.
        rows: What was booked for this key alone on closed days.
        known: The closed days that were asked about for this key, also those without rows.

    Returns:
        Samples as far back as days are known without a gap; none just after midnight, when today's gauge may
        still be yesterday's.
    """
    spent: dict[tuple[Ledger, date], Decimal] = {}
    for row in rows:
        for ledger, amount in _booked(row):
            spent[ledger, row.day] = EXACT.add(spent.get((ledger, row.day), ZERO), amount or ZERO)
    if at_s % DAY_S < RESET_GRACE_S:
        return {}
    days = frozenset(known)
    today = utc_day(at_s)
    found: dict[Ledger, tuple[Sample, ...]] = {}
    for ledger, spend in _ledgers(key):
        if spend.lifetime_usd is None or spend.daily_usd is None:
            continue
        total = EXACT.subtract(spend.lifetime_usd, spend.daily_usd)
        midnight_s = at_s - at_s % DAY_S
        samples = [Sample(at_s=midnight_s, total_usd=total)]
        day = today - timedelta(days=1)
        while day in days and midnight_s > at_s - HORIZON_S:
            total = EXACT.subtract(total, spent.get((ledger, day), ZERO))
            midnight_s -= DAY_S
            samples.append(Sample(at_s=midnight_s, total_usd=total))
            day -= timedelta(days=1)
        found[ledger] = tuple(reversed(samples))
    return found


def _ledgers(key: AccountKey) -> tuple[tuple[Ledger, Spend], ...]:
    return (("openrouter", key.credits), ("upstream", key.byok))


def _booked(row: ActivityRow) -> tuple[tuple[Ledger, Decimal | None], ...]:
    return (("openrouter", row.credits_usd), ("upstream", row.byok_usd))
