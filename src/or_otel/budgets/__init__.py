"""Limit, spending, time → how a budget stands: spent, remaining, pace, forecast, thresholds crossed.

Readings of the account or sums of the ledger come in as `Spending`, one for each key (or tag value)
and ledger; a `BudgetState` goes out. Knows no clock, no file, no network. Money is exact `Decimal`
US dollars, times are Unix seconds. `docs/budgets.md` tells the same for people; what of the account's
figures can be believed is in `budgets.spending`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from fnmatch import fnmatchcase
from typing import Literal

from or_otel.budgets.spending import (
    PERIODS,
    Period,
    PeriodName,
    Sample,
    Source,
    Spending,
    curve_of,
    period_at,
    rise_of,
    spendings_of_key,
    spent_in,
    thinned,
    totals_of,
)
from or_otel.days import DAY_S
from or_otel.facts import EXACT, ZERO

__all__ = [
    "PERIODS",
    "Budget",
    "BudgetState",
    "Forecast",
    "Period",
    "PeriodName",
    "Sample",
    "Spending",
    "budget_state",
    "period_at",
    "spendings_of_key",
    "thinned",
]

State = Literal["ok", "warn", "over", "unknown"]
Window = Literal["1d", "7d"]

ACCOUNT_SCOPES = ("account", "key", "company", "team", "environment", "product")
"""Scopes that the account's own figures answer; every other one is a tag that only clients know."""
TAG_PREFIX = "tag:"
"""Before the name of a tag that is no scope of its own: `tag:cost_center`, or `tag:team` for the clients' team."""

WINDOWS: Mapping[Window, int] = {"1d": DAY_S, "7d": 7 * DAY_S}
MIN_COVERED = 0.5
"""A rate is told once the totals reach back over half its window: less is a mood, not a rate."""
MIN_ELAPSED = 0.05
"""Below, one burst decides the pace: 5 % is an hour of a day, a shift of a week, a day and a half of a month."""
ESTIMATE = Decimal("1e-9")
"""Digits of a rate: it is no bill."""
HASH_PREFIX = re.compile(r"[0-9a-f]{8,64}")

# The host may have set a coarse context, and no figure of a server may raise here.
_CONTEXT = Context(prec=EXACT.prec, traps=[])


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent in a period, by whom.

    Attributes:
        name: For people, and the key of its state.
        scope: One of `ACCOUNT_SCOPES`, or a tag: `feature`, `customer`, `workflow`, `tag:<any>`.
        value: Whose money of that scope: a name, or a pattern with `*`; for keys also 8 or more hex
            digits of the key's hash. `*` takes all together.
        limit_usd: None for no limit: then nothing is ever crossed.
        period: When it starts anew.
        thresholds: Shares of the limit at which to tell, ascending.
        pace_alarm: From which pace on it is ahead of its time.
        is_byok_included: Whether spending over own provider keys counts.
    """

    name: str
    scope: str = "account"
    value: str = "*"
    limit_usd: Decimal | None = None
    period: PeriodName = "month"
    thresholds: tuple[Decimal, ...] = (Decimal("0.5"), Decimal("0.8"), Decimal(1))
    pace_alarm: Decimal = Decimal("1.2")
    is_byok_included: bool = True

    @property
    def source(self) -> Source:
        """Who knows what was spent."""
        return "account" if self.scope in ACCOUNT_SCOPES else "client"

    @property
    def label(self) -> str:
        """The label of a `Spending` that `value` is compared with."""
        return self.scope.removeprefix(TAG_PREFIX)

    def covers(self, spending: Spending) -> bool:
        """Whether this spending counts against the budget."""
        if spending.source != self.source or (spending.ledger == "upstream" and not self.is_byok_included):
            return False
        if self.scope == "account":
            return True
        if self.scope == "key" and HASH_PREFIX.fullmatch(self.value) and spending.key_hash is not None:
            return spending.key_hash.startswith(self.value) or spending.labels.get("key") == self.value
        told = spending.labels.get(self.label)
        return told is not None and fnmatchcase(told, self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the rate of the recent past leads to.

    Attributes:
        window: The past that the rate is taken from.
        usd_per_day: The rate; refunds do not lower it.
        at_end_usd: Spent at the end of the period; None without an end.
        days_left: Until the limit, which may lie beyond the period's end; 0 when it is reached; None when
            nothing is being spent or nothing limits it.
    """

    window: Window
    usd_per_day: Decimal
    at_end_usd: Decimal | None = None
    days_left: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """How a budget stands at one moment.

    Attributes:
        budget: Which.
        period: Its running period.
        at_s: The moment.
        as_of_s: Newest reading of the period; None without any.
        spent_usd: In the period; None when nothing of it was read yet.
        remaining_usd: Limit less spent, exactly; below zero when overspent.
        used: Spent as a share of the limit; None without a limit above zero.
        elapsed: Share of the period that is over; None for a lifetime.
        pace: `used` by `elapsed`, 1 being even spending; None before `MIN_ELAPSED`.
        forecasts: By the rate of each window that is known.
        crossed: Thresholds reached, ascending.
        is_ahead: The pace and the steadiest forecast are both above the alarm.
        is_exact: Every part is a gauge, or a total known at the period's begin.
        state: `over` at the limit; `warn` from the last threshold below it, or when ahead; `unknown`
            when nothing of the period was read.
        has_subject: Whether any spending counts against this budget at all; else its name may be wrong.
    """

    budget: Budget
    period: Period
    at_s: float
    as_of_s: float | None = None
    spent_usd: Decimal | None = None
    remaining_usd: Decimal | None = None
    used: float | None = None
    elapsed: float | None = None
    pace: float | None = None
    forecasts: tuple[Forecast, ...] = ()
    crossed: tuple[Decimal, ...] = ()
    is_ahead: bool = False
    is_exact: bool = True
    state: State = "unknown"
    has_subject: bool = False


def budget_state(budget: Budget, spendings: Iterable[Spending], *, now_s: float) -> BudgetState:
    """Say how a budget stands.

    Args:
        budget: Which.
        spendings: Everything that is known; the budget takes what it covers.
        now_s: The moment; what was read later is not looked at.

    Returns:
        The state. A key that vanished counts with its last reading while that lies in the running period.
    """
    covered = [spending for spending in spendings if budget.covers(spending) and spending.at_s <= now_s]
    period = period_at(budget.period, now_s)
    elapsed = _elapsed(period, now_s)
    with localcontext(_CONTEXT):
        read = [(spending, totals_of(spending)) for spending in covered]
        parts = [
            (spending.at_s, part)
            for spending, totals in read
            if (part := spent_in(budget.period, period, spending, totals))
        ]
        if not parts:
            return BudgetState(budget=budget, period=period, at_s=now_s, elapsed=elapsed, has_subject=bool(covered))
        as_of_s = max(at_s for at_s, _ in parts)
        spent = sum((amount for _, (amount, _) in parts), ZERO)
        forecasts = _forecasts(budget, read, period, spent=spent, as_of_s=as_of_s)
        used = _ratio(spent, budget.limit_usd)
        pace = used / elapsed if used is not None and elapsed is not None and elapsed >= MIN_ELAPSED else None
        is_ahead = _is_ahead(budget, pace, forecasts)
        crossed = _crossed(budget, spent)
        return BudgetState(
            budget=budget,
            period=period,
            at_s=now_s,
            as_of_s=as_of_s,
            spent_usd=spent,
            remaining_usd=None if budget.limit_usd is None else budget.limit_usd - spent,
            used=used,
            elapsed=elapsed,
            pace=pace,
            forecasts=forecasts,
            crossed=crossed,
            is_ahead=is_ahead,
            is_exact=all(is_exact for _, (_, is_exact) in parts),
            state=_state(budget, spent, crossed, is_ahead=is_ahead),
            has_subject=True,
        )


def _elapsed(period: Period, now_s: float) -> float | None:
    if period.start_s is None or period.end_s is None:
        return None
    return min(max(0.0, (now_s - period.start_s) / (period.end_s - period.start_s)), 1.0)


def _forecasts(
    budget: Budget, read: list[tuple[Spending, list[Sample]]], period: Period, *, spent: Decimal, as_of_s: float
) -> tuple[Forecast, ...]:
    curves = [curve for spending, totals in read if (curve := curve_of(spending, totals))]
    if not curves:
        return ()
    first_s = min(curve[0].at_s for curve in curves)
    forecasts = []
    for window, window_s in WINDOWS.items():
        start_s = max(first_s, as_of_s - window_s)
        covered_s = as_of_s - start_s
        if covered_s < window_s * MIN_COVERED:
            continue
        rise = sum((rise_of(curve, start_s, as_of_s) for curve in curves), ZERO)
        usd_per_day = (rise * DAY_S / Decimal(covered_s)).quantize(ESTIMATE)
        rest_days = None if period.end_s is None else Decimal(period.end_s - as_of_s) / DAY_S
        forecasts.append(
            Forecast(
                window=window,
                usd_per_day=usd_per_day,
                at_end_usd=None if rest_days is None else spent + (usd_per_day * rest_days).quantize(ESTIMATE),
                days_left=_days_left(budget, spent, usd_per_day),
            )
        )
    return tuple(forecasts)


def _days_left(budget: Budget, spent: Decimal, usd_per_day: Decimal) -> float | None:
    if budget.limit_usd is None:
        return None
    if spent >= budget.limit_usd:
        return 0.0
    return float((budget.limit_usd - spent) / usd_per_day) if usd_per_day > 0 else None


def _ratio(amount: Decimal, whole: Decimal | None) -> float | None:
    return float(amount / whole) if whole is not None and whole > 0 else None


def _crossed(budget: Budget, spent: Decimal) -> tuple[Decimal, ...]:
    limit = budget.limit_usd
    # A limit of zero with nothing spent is kept, not crossed.
    if limit is None or spent <= 0:
        return ()
    return tuple(sorted(threshold for threshold in budget.thresholds if spent >= threshold * limit))


def _is_ahead(budget: Budget, pace: float | None, forecasts: tuple[Forecast, ...]) -> bool:
    """Compare pace and steadiest forecast with the alarm.

    The pace alone would alarm in each month that begins on a Monday: five working days of 21 in a
    sixth of the time. The seven-day rate knows the weekend.
    """
    if pace is None or budget.limit_usd is None or pace < budget.pace_alarm:
        return False
    ends = [forecast.at_end_usd for forecast in forecasts if forecast.at_end_usd is not None]
    return not ends or ends[-1] >= budget.pace_alarm * budget.limit_usd


def _state(budget: Budget, spent: Decimal, crossed: tuple[Decimal, ...], *, is_ahead: bool) -> State:
    if budget.limit_usd is not None and spent > 0 and spent >= budget.limit_usd:
        return "over"
    warning = max((threshold for threshold in budget.thresholds if threshold < 1), default=None)
    return "warn" if is_ahead or (warning is not None and warning in crossed) else "ok"
