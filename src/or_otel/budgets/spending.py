"""What keys and tags spent, as it was read: readings with earlier totals → spent in a period, rise over a window.

Two figures of different nature are never mixed: what was *spent* comes from the gauge of the period,
exact and falling at its turn; the *rate* comes from the lifetime total, which never starts anew. A
rate taken from the gauge forecasts negative money just after each turn. Periods are UTC days, weeks
from Monday and months, as OpenRouter counts them (API reference of `/key`, seen 2026-11).
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from or_otel.accounts import AccountKey, Spend
from or_otel.days import DAY_S
from or_otel.facts import EXACT, ZERO, total

PeriodName = Literal["day", "week", "month", "lifetime"]
PERIODS: tuple[PeriodName, ...] = ("day", "week", "month", "lifetime")
Source = Literal["account", "client"]
Ledger = Literal["openrouter", "upstream"]

RESET_GRACE_S = 300
"""How long after the turn of a period a gauge may still be the old period's: clocks differ, answers are cached."""
EXACT_BASELINE_S = 3600
"""A total read at most so long before a period began stands for the total at its begin."""
HISTORY_S = 32 * DAY_S
LAST_TIME_S = 250_000_000_000
"""In the year 9892: the calendar ends soon after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A stretch of time that holds its begin and not its end.

    Attributes:
        start_s, end_s: Unix time; None for a period without begin or end.
    """

    start_s: float | None = None
    end_s: float | None = None

    def __contains__(self, at_s: float) -> bool:
        return (self.start_s is None or self.start_s <= at_s) and (self.end_s is None or at_s < self.end_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A lifetime total at a time.

    Attributes:
        at_s: When it was asked for, not when the answer came.
        total_usd: Spent since the key, tag or account exists. It may fall, by a refund.
    """

    at_s: float
    total_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The last reading of what one key or tag value spent on one ledger, and earlier totals.

    Attributes:
        source: Whose figures.
        ledger: `openrouter` for credits, `upstream` for bills of providers over own keys.
        labels: Whose spending: `key` (its name), `company`, `team`, …; or the tag.
        key_hash: Of the key.
        at_s: When the reading was asked for, not when its answer came: an answer that crosses midnight
            then belongs to the day before, as its figures do.
        spend: The reading; a gauge that is None is reckoned from the totals.
        created_at_s: When the key was made: then its total was zero.
        samples: Earlier totals, in any order.
    """

    source: Source = "account"
    ledger: Ledger = "openrouter"
    labels: Mapping[str, str] = field(default_factory=dict)
    key_hash: str | None = None
    at_s: float
    spend: Spend
    created_at_s: float | None = None
    samples: tuple[Sample, ...] = ()


def period_at(name: PeriodName, at_s: float) -> Period:
    """Give the period of that name which holds a time; times outside 1970…9892 count as the nearest inside."""
    if name == "lifetime":
        return Period()
    day = datetime.fromtimestamp(min(max(0.0, at_s), LAST_TIME_S), UTC).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    if name == "day":
        start, end = day, day + timedelta(days=1)
    elif name == "week":
        start = day - timedelta(days=day.weekday())
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    return Period(start_s=start.timestamp(), end_s=end.timestamp())


def spendings_of_key(
    key: AccountKey,
    *,
    at_s: float,
    labels: Mapping[str, str],
    samples: Mapping[Ledger, tuple[Sample, ...]] | None = None,
) -> tuple[Spending, Spending]:
    """Give what a key of the account spent, on either ledger.

    Args:
        key: As the account tells it.
        at_s: When it was asked.
        labels: Company, team, … of the key; its name is added as `key`.
        samples: Earlier totals of each ledger.
    """
    named = {**labels, "key": key.name} if key.name else dict(labels)

    def on(ledger: Ledger, spend: Spend) -> Spending:
        return Spending(
            ledger=ledger,
            labels=named,
            key_hash=key.hash,
            at_s=at_s,
            spend=spend,
            created_at_s=key.created_at_s,
            samples=(samples or {}).get(ledger, ()),
        )

    return on("openrouter", key.credits), on("upstream", key.byok)


def spending_of_days(
    days: Mapping[int, Decimal], *, at_s: float, source: Source, ledger: Ledger, labels: Mapping[str, str]
) -> Spending:
    """Give what sums of whole UTC days tell, with a total at each day's end for the rate.

    Args:
        days: Number of the day since 1970 → spent on it; at least one.
        at_s: The moment; the day that holds it has come as far as that.
        source: Whose figures.
        ledger: Which of the two.
        labels: Whose spending.
    """
    whole = ZERO
    samples = [Sample(at_s=float(min(days) * DAY_S), total_usd=ZERO)]
    for day in sorted(days):
        if samples[-1].at_s < day * DAY_S:
            samples.append(Sample(at_s=float(day * DAY_S), total_usd=whole))  # idle days rose by nothing
        whole = EXACT.add(whole, days[day])
        samples.append(Sample(at_s=min(float((day + 1) * DAY_S), at_s), total_usd=whole))

    def spent_in(period: PeriodName) -> Decimal:
        start_s = period_at(period, at_s).start_s or 0.0
        return total(amount for day, amount in days.items() if day * DAY_S >= start_s)

    return Spending(
        source=source,
        ledger=ledger,
        labels=labels,
        at_s=at_s,
        spend=Spend(
            lifetime_usd=whole,
            daily_usd=spent_in("day"),
            weekly_usd=spent_in("week"),
            monthly_usd=spent_in("month"),
        ),
        samples=tuple(samples),
    )


def thinned(samples: Sequence[Sample], *, now_s: float) -> tuple[Sample, ...]:
    """Keep of many totals what states need, so that polling for months does not fill the memory.

    Every five minutes of the last day, every hour of the last 32 days, and one before them: about a
    thousand at most. The newest always stays.
    """
    kept: list[Sample] = []
    ordered = sorted(samples, key=_at_s)
    for index, sample in enumerate(ordered):
        age_s = now_s - sample.at_s
        is_last = index == len(ordered) - 1
        if age_s > HISTORY_S:
            kept = [sample]
        elif not kept or is_last or sample.at_s - kept[-1].at_s >= (300 if age_s < DAY_S else 3600):
            kept.append(sample)
    return tuple(kept)


def gauge_of(name: PeriodName, spend: Spend) -> Decimal | None:
    """Give the gauge of a period; None when it was not said."""
    told = {
        "day": spend.daily_usd,
        "week": spend.weekly_usd,
        "month": spend.monthly_usd,
        "lifetime": spend.lifetime_usd,
    }[name]
    return told if told is not None and told.is_finite() else None


def spent_in(name: PeriodName, period: Period, spending: Spending, totals: list[Sample]) -> tuple[Decimal, bool] | None:
    """Give what was spent in the period and whether that is exact; None when it was not read in the period."""
    gauge = gauge_of(name, spending.spend)
    if period.start_s is None:
        return None if gauge is None else (gauge, True)
    if spending.at_s not in period:
        return None
    before = [sample for sample in totals if sample.at_s <= period.start_s]
    if gauge is not None:
        if before and spending.at_s - period.start_s < RESET_GRACE_S:
            # Just after the turn the gauge may be the old period's; it cannot be above what the total rose since.
            gauge = min(gauge, max(ZERO, totals[-1].total_usd - before[-1].total_usd))
        return gauge, True
    if len(totals) > 1:
        baseline = before[-1] if before else totals[0]
        is_new = totals[0].at_s == spending.created_at_s
        is_exact = period.start_s - baseline.at_s <= EXACT_BASELINE_S if before else is_new
        return totals[-1].total_usd - baseline.total_usd, is_exact
    return None


def totals_of(spending: Spending) -> list[Sample]:
    """Give all known totals in order: earlier ones, the reading's own, zero when the key was made."""
    samples = [*spending.samples]
    if spending.spend.lifetime_usd is not None:
        samples.append(Sample(at_s=spending.at_s, total_usd=spending.spend.lifetime_usd))
    if spending.created_at_s is not None and all(spending.created_at_s < sample.at_s for sample in samples):
        samples.append(Sample(at_s=spending.created_at_s, total_usd=ZERO))
    return sorted(
        (sample for sample in samples if sample.at_s <= spending.at_s and sample.total_usd.is_finite()),
        key=_at_s,
    )


def curve_of(spending: Spending, totals: list[Sample]) -> list[Sample]:
    """Give the totals, with those that the gauges of the reading tell of the time before the first one.

    Total less gauge is the total at the begin of the gauge's period: so one single reading tells a rate.
    """
    lifetime = spending.spend.lifetime_usd
    made_s = spending.created_at_s
    if lifetime is None or not lifetime.is_finite():
        return totals
    read_s = next((sample.at_s for sample in totals if sample.at_s != made_s), spending.at_s)
    earlier = []
    for name in PERIODS[:3]:
        start_s, gauge = period_at(name, spending.at_s).start_s, gauge_of(name, spending.spend)
        # Of the time between the begin and the first total only; and no gauge that may be the old period's.
        if start_s is None or gauge is None or start_s >= read_s or spending.at_s - start_s < RESET_GRACE_S:
            continue
        if made_s is None or made_s < start_s:
            earlier.append(Sample(at_s=start_s, total_usd=lifetime - gauge))
    return sorted([*earlier, *totals], key=_at_s) if earlier else totals


def rise_of(curve: list[Sample], start_s: float, end_s: float) -> Decimal:
    """Add up what a total rose in a stretch of time; a pair of totals across its edge counts by its share."""
    rise = ZERO
    first = max(bisect_right(curve, start_s, key=_at_s) - 1, 0)
    for earlier, later in itertools.pairwise(curve[first:]):
        if later.total_usd <= earlier.total_usd:
            continue
        step_s = later.at_s - earlier.at_s
        inside_s = min(later.at_s, end_s) - max(earlier.at_s, start_s)
        step_usd = later.total_usd - earlier.total_usd
        if inside_s == step_s:
            rise += step_usd
        elif inside_s > 0:
            rise += step_usd * (Decimal(inside_s) / Decimal(step_s))
    return rise


def _at_s(sample: Sample) -> float:
    return sample.at_s
