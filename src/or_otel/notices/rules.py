"""What is known of budgets, credits, keys and closed days → what is worth telling now, once.

Pure: the state of the last round and the moment come in, notices and the next state go out. Each
crossing has an id made of its subject, its period and the limit it crossed; an id once told is not
told again while it lasts, so a limit that was raised may be crossed anew. Texts hold no key, no
label of a key and no address.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Literal

from or_otel.accounts import AccountKey, Credits
from or_otel.budgets import BudgetState, PeriodName, period_at
from or_otel.config.options import NoticeKind, NotifyOptions
from or_otel.days import DAY_S
from or_otel.facts import ZERO

Severity = Literal["info", "warning", "critical"]

REARM = Decimal("1.1")
"""A balance must rise so far above its mark before a second fall below it is told: one call must not make it flap."""
REMEMBER_DAYS = 40
"""An id not seen for so long is forgotten: longer than the longest period."""
STALE_S = DAY_S
"""A notice that could not be delivered for so long is news no more."""
GAP_FLOOR_USD = Decimal(1)
"""A gap below it is not worth a message, whatever share of the day it is."""
RESETS: Mapping[str | None, PeriodName] = {"daily": "day", "weekly": "week", "monthly": "month"}
PERIOD_WORDS: Mapping[PeriodName, str] = {
    "day": "today",
    "week": "this week",
    "month": "this month",
    "lifetime": "since the beginning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell.

    Attributes:
        id: Which crossing it tells.
        kind, severity: For whoever filters.
        title, text: For people; plain text.
        made_at_s: When it became due.
        attachment: Path of a file that goes with it.
    """

    id: str
    kind: NoticeKind
    severity: Severity
    title: str
    text: str
    made_at_s: float
    attachment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedDay:
    """A closed UTC day from both sides.

    Attributes:
        day: Which.
        client_usd, provider_usd: What clients tracked, and what OpenRouter billed.
    """

    day: date
    client_usd: Decimal
    provider_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeState:
    """What was told, and what still waits for delivery.

    Attributes:
        told: Id → day it was last seen to last, as days since 1970.
        waiting: Notices with the marks of the addresses that have not got them yet; None for all.
    """

    told: Mapping[str, int] = field(default_factory=dict)
    waiting: tuple[tuple[Notice, tuple[str, ...] | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Crossing:
    """A crossing that lasts; `notice` is None where a higher one of the same subject is told instead."""

    id: str
    notice: Notice | None


def due(
    previous: NoticeState,
    *,
    options: NotifyOptions,
    now_s: float,
    budgets: Iterable[BudgetState] = (),
    credits: Credits | None = None,  # noqa: A002 -- the word of the subject
    keys: Iterable[AccountKey] = (),
    days: Iterable[ClosedDay] = (),
) -> tuple[tuple[Notice, ...], NoticeState]:
    """Say what is new since the last round.

    Args:
        previous: State after the last round.
        options: Which kinds, and their marks.
        now_s: Unix time.
        budgets: How budgets stand; unknown ones tell nothing.
        credits: The balance; None when not known.
        keys: Keys of the account.
        days: Closed days that were reconciled.

    Returns:
        The new notices, and the state in which they wait for delivery. What is not seen now, as in a
        round without account data, stays told.
    """
    today = int(now_s // DAY_S)
    crossings = [
        *(crossing for state in budgets for crossing in _of_budget(state, options, previous, now_s)),
        *(_of_credits(credits, options, previous, now_s) if credits is not None else ()),
        *(crossing for key in keys for crossing in _of_key(key, now_s)),
        *(crossing for day in days for crossing in _of_day(day, options, now_s)),
    ]
    told = {id_: day for id_, day in previous.told.items() if today - day <= REMEMBER_DAYS}
    if credits is not None:
        lasting = {crossing.id for crossing in crossings}
        told = {id_: day for id_, day in told.items() if not id_.startswith("low_balance|") or id_ in lasting}
    new = []
    for crossing in crossings:
        notice = crossing.notice
        if crossing.id not in told and notice is not None and notice.kind in options.kinds:
            new.append(notice)
        told[crossing.id] = today
    waiting = [each for each in previous.waiting if now_s - each[0].made_at_s <= STALE_S]
    return tuple(new), NoticeState(told=told, waiting=(*waiting, *((notice, None) for notice in new)))


def _of_budget(state: BudgetState, options: NotifyOptions, previous: NoticeState, now_s: float) -> Iterator[_Crossing]:
    budget, limit = state.budget, state.budget.limit_usd
    if limit is None or state.spent_usd is None:
        return
    subject = f"{budget.name}|{_day(state.period.start_s)}|{limit}"
    haste = f"{state.pace:.1f} times too fast" if state.is_ahead and state.pace is not None else None
    words = _budget_words(state, state.spent_usd, limit)
    is_news = False
    for threshold in state.crossed:
        id_ = f"threshold|{subject}|{threshold}"
        if threshold != state.crossed[-1]:
            # From nothing to 90 % in one round is one message, not two; the lower ones count as told.
            yield _Crossing(id=id_, notice=None)
            continue
        is_news = id_ not in previous.told and "threshold" in options.kinds
        title = f"Budget {budget.name}: {'spent' if threshold == 1 else f'{_percent(threshold)} spent'}"
        notice = Notice(
            id=id_,
            kind="threshold",
            severity="critical" if threshold >= 1 else "warning" if state.state == "warn" else "info",
            title=f"{title}, {haste}" if haste and threshold < 1 else title,
            text=words,
            made_at_s=now_s,
        )
        yield _Crossing(id=id_, notice=notice)
    if haste:
        notice = Notice(
            id=f"pace|{subject}",
            kind="pace",
            severity="warning",
            title=f"Budget {budget.name}: spending {haste}",
            text=words,
            made_at_s=now_s,
        )
        # Said with the threshold already, or of no use any more.
        yield _Crossing(id=notice.id, notice=None if is_news or state.state == "over" else notice)


def _budget_words(state: BudgetState, spent: Decimal, limit: Decimal) -> str:
    """Say how a budget stands in three short lines."""
    lines = [f"{_usd(spent)} of {_usd(limit)} {PERIOD_WORDS[state.budget.period]}"]
    if state.elapsed is not None:
        lines[0] += f", {_percent(state.elapsed)} of the time gone"
    if spent > limit:
        lines.append(f"Over by {_usd(spent - limit)}.")
    if state.forecasts:
        last = state.forecasts[-1]
        rate = f"At the {'last day' if last.window == '1d' else 'last 7 days'}' rate, {_usd(last.usd_per_day)} a day"
        if last.at_end_usd is not None:
            rate += f", it ends at {_usd(last.at_end_usd)}"
        if last.days_left:
            rate += f"; {last.days_left:.1f} days to the limit"
        lines.append(rate + ".")
    return "\n".join(lines)


def _of_credits(
    credits: Credits,  # noqa: A002 -- the word of the subject
    options: NotifyOptions,
    previous: NoticeState,
    now_s: float,
) -> Iterator[_Crossing]:
    if credits.purchased_usd <= 0:  # an account that lives on own provider keys or free models has none to lose
        return
    left = credits.remaining_usd
    marks = [(ZERO, "critical")]
    if options.low_balance_usd:
        marks.append((options.low_balance_usd, "warning"))
    is_told_lower = False
    for mark, severity in marks:
        id_ = f"low_balance|{mark}"
        again = max(mark * REARM, mark + 1)
        if left > mark and not (id_ in previous.told and left < again):
            continue
        notice = Notice(
            id=id_,
            kind="low_balance",
            severity="critical" if severity == "critical" else "warning",
            title="OpenRouter credits are used up" if mark == 0 else f"OpenRouter credits are low: {_usd(left)} left",
            text=f"Balance {_usd(left)}. "
            + ("Requests are refused until credits are bought." if mark == 0 else f"The mark is {_usd(mark)}."),
            made_at_s=now_s,
        )
        yield _Crossing(id=id_, notice=None if is_told_lower else notice)
        is_told_lower = True


def _of_key(key: AccountKey, now_s: float) -> Iterator[_Crossing]:
    limit, left = key.limit_usd, key.limit_remaining_usd
    # A limit of zero is a way to switch a key off.
    if limit is None or limit <= 0 or left is None or left > 0 or key.is_disabled:
        return
    name = key.name or (key.hash or "")[:12] or "unnamed"
    period = RESETS.get(key.limit_reset, "lifetime")
    end_s = period_at(period, now_s).end_s
    notice = Notice(
        id=f"key_exhausted|{(key.hash or name)[:12]}|{_day(period_at(period, now_s).start_s)}|{limit}",
        kind="key_exhausted",
        severity="critical",
        title=f"Key {name}: its limit at OpenRouter is reached",
        text=f"{_usd(limit)} {PERIOD_WORDS[period]}. Its requests are refused "
        + ("until the limit is raised." if end_s is None else f"until {_day(end_s)} 00:00 UTC."),
        made_at_s=now_s,
    )
    yield _Crossing(id=notice.id, notice=notice)


def _of_day(day: ClosedDay, options: NotifyOptions, now_s: float) -> Iterator[_Crossing]:
    gap = day.provider_usd - day.client_usd
    whole = max(abs(day.provider_usd), abs(day.client_usd))
    if abs(gap) <= GAP_FLOOR_USD or abs(gap) <= options.capture_gap * whole:
        return
    side = "are missing from what clients tracked" if gap > 0 else "were tracked beyond what was billed"
    notice = Notice(
        id=f"capture_gap|{day.day.isoformat()}",
        kind="capture_gap",
        severity="warning",
        title=f"{day.day.isoformat()}: tracked and billed differ by {_percent(abs(gap) / whole)}",
        text=f"OpenRouter billed {_usd(day.provider_usd)}, clients tracked {_usd(day.client_usd)}: "
        f"{_usd(abs(gap))} {side}. or-otel reconcile says why.",
        made_at_s=now_s,
    )
    yield _Crossing(id=notice.id, notice=notice)


def _day(at_s: float | None) -> str:
    return "ever" if at_s is None else f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


def _percent(share: Decimal | float) -> str:
    # Rounded down: 99.6 % of a budget is not all of it.
    return f"{math.floor(float(share) * 100 + 1e-9)} %"


def _usd(amount: Decimal) -> str:
    digits = Decimal("0.01") if abs(amount) >= Decimal("0.1") or not amount else Decimal("0.0001")
    return f"{'-' if amount < 0 else ''}${abs(amount).quantize(digits, ROUND_HALF_UP):,}"
