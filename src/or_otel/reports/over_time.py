"""Parts of a digest about time: the period against earlier ones, day by day, and days that stand out.

A day stands out when it costs twice what the same weekday usually costs: the median of up to eight
weeks before, which one wild day cannot move. Pure.
"""

from __future__ import annotations

import calendar
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal

from or_otel.days import DAY_S, begin_s, utc_day
from or_otel.entries import Adding, Sums
from or_otel.facts import ZERO
from or_otel.reports.money import UNKNOWN, plural, usd
from or_otel.reports.receipt import cost_text
from or_otel.reports.sections import Call, Chart, Frame, Section, Series
from or_otel.reports.tables import Column, Table

WEEKS = 8
"""Weeks before the period that say what is usual."""
MIN_WEEKS = 3
UNUSUAL = 2
LEAST_EXCESS = Decimal("0.01")
SHOWN_SERIES = 5
OTHERS = "others"


def day_name(day: date) -> str:
    """Write a day for people."""
    return f"{day:%a} {day.day} {day:%b}"


def known(sums: Sums) -> Decimal | None:
    """Give the money of a group; zero where nothing may have been spent, None where nobody told."""
    return ZERO if sums.total is None and not sums.unpriced else sums.total


def change(now: Decimal | None, before: Decimal | None) -> str | None:
    """Write what became of an amount; None where that cannot be said."""
    if now is None or before is None:
        return None
    if not before:
        return "new" if now else None
    return f"{float(now / before) - 1:+.0%}"


def month_before(day: date) -> date:
    """Give the first day of the month before that of a day."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)


def read_from_s(frame: Frame) -> float:
    """Give since when calls are needed for a frame: weeks for the usual, and the whole month before."""
    month = month_before(utc_day(frame.until_s - 1))
    return min(frame.since_s - max(frame.shift_s, WEEKS * 7 * DAY_S), begin_s(month))


class Spent:
    """The period against the one before, and the month against the last one."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        today = utc_day(frame.until_s - 1)
        self._month_s, self._last_month_s = begin_s(today.replace(day=1)), begin_s(month_before(today))
        self._month_days = calendar.monthrange(today.year, today.month)[1]
        # The same stretch of a shorter month is that whole month.
        self._last_month_until_s = min(self._last_month_s + frame.until_s - self._month_s, self._month_s)
        self._sums = {name: Adding() for name in ("period", "before", "month", "last_so_far", "last_month")}
        self._by_day: dict[date, Decimal] = defaultdict(lambda: ZERO)
        self._first_s: float | None = None

    def add(self, call: Call) -> None:
        """Take a call."""
        at_s = call[-1].call_started_at_s
        self._first_s = at_s if self._first_s is None else min(self._first_s, at_s)
        if at_s >= self._frame.until_s:
            return
        names = []
        if self._frame.is_now(call):
            names.append("period")
        if self._frame.is_before(call):
            names.append("before")
        if at_s >= self._month_s:
            names.append("month")
        elif at_s >= self._last_month_s:
            names += ["last_month"] if at_s >= self._last_month_until_s else ["last_month", "last_so_far"]
        for entry in call:
            for name in names:
                self._sums[name].add(entry)
            if at_s >= self._last_month_s:
                self._by_day[utc_day(at_s)] += entry.total or ZERO

    def sections(self) -> Iterator[Section]:
        """Give the comparison."""
        sums = {name: adding.sums() for name, adding in self._sums.items()}
        now, days = sums["period"], plural(self._frame.days, "day")
        titles = {
            "period": f"these {days}" if self._frame.days > 1 else "this day",
            "before": f"the {days} before" if self._frame.days > 1 else "the day before",
            "month": "this month",
            "last_so_far": "last month, as far",
            "last_month": "last month, whole",
        }
        against = {"period": "before", "month": "last_so_far"}
        starts = {"before": self._frame.since_s - self._frame.shift_s, "last_so_far": self._last_month_s}
        changes = {
            name: change(known(sums[name]), known(sums[other])) if self._reaches(starts[other]) else None
            for name, other in against.items()
        }
        lead = f"{cost_text(now)} for {plural(now.calls, 'call')}"
        if changes["period"] not in {None, "new"}:
            lead += f", {changes['period']} against {titles['before']}"
        notes = []
        if self._first_s is not None and not self._reaches(self._last_month_s):
            notes.append(f"The ledger begins on {utc_day(self._first_s)}: what came before it is not in these figures.")
        yield Section(
            name="spent",
            title="Spent",
            lead=lead + ".",
            table=Table(
                columns=(
                    Column(name="period", title=""),
                    Column(name="title", title="period"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="change", title="change"),
                ),
                rows=tuple(
                    (name, titles[name], sums[name].calls, known(sums[name]), changes.get(name)) for name in titles
                ),
                floors=frozenset(place for place, name in enumerate(titles) if sums[name].unpriced),
            ),
            chart=self._months(),
            notes=tuple(notes),
        )

    def _reaches(self, at_s: float) -> bool:
        # The first day of a ledger may lack its morning, and the one before it is not zero but unknown.
        return self._first_s is not None and self._first_s < at_s + DAY_S

    def _months(self) -> Chart | None:
        this, last = utc_day(self._month_s), utc_day(self._last_month_s)
        lines = [
            Series(name=f"{this:%B}", values=tuple(self._running(this, self._frame.until_s))),
            Series(name=f"{last:%B}", values=tuple(self._running(last, self._month_s))),
        ]
        lines = [line for line in lines if any(line.values)]
        if not lines:
            return None
        count = max(self._month_days, *(len(line.values) for line in lines))
        labels = tuple(str(number) for number in range(1, count + 1))
        return Chart(title="Spent since the month's begin", kind="lines", labels=labels, series=tuple(lines))

    def _running(self, month: date, until_s: float) -> Iterator[Decimal]:
        total, day = ZERO, month
        while day.month == month.month and begin_s(day) < until_s:
            total += self._by_day.get(day, ZERO)
            yield total
            day += timedelta(days=1)


class Days:
    """Each day of the period, and whether it is as usual."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._earlier: dict[date, Adding] = defaultdict(Adding)
        self._days: dict[date, Adding] = defaultdict(Adding)
        self._models: dict[str, dict[date, Decimal]] = defaultdict(lambda: defaultdict(lambda: ZERO))
        self._before: Mapping[date, Decimal | None] = {}
        self._first_day: date | None = None

    def add(self, call: Call) -> None:
        """Take a call."""
        day = utc_day(call[-1].call_started_at_s)
        self._first_day = day if self._first_day is None else min(self._first_day, day)
        is_now = self._frame.is_now(call)
        for entry in call:
            if is_now:
                self._days[day].add(entry)
                self._models[entry.model or UNKNOWN][day] += entry.total or ZERO
            elif call[-1].call_started_at_s < self._frame.since_s:
                self._earlier[day].add(entry)

    def sections(self) -> Iterator[Section]:
        """Give the days."""
        if not self._days:
            return
        self._before = {day: known(adding.sums()) for day, adding in self._earlier.items()}
        first = utc_day(self._frame.since_s)
        days = [first + timedelta(days=number) for number in range(self._frame.days)]
        sums = {day: self._days[day].sums() for day in days}
        usual = {day: self._usual(day) for day in days}
        floor = max(self._floor(), LEAST_EXCESS)
        unusual = [
            day
            for day in days
            if (normal := usual[day]) is not None
            and (cost := sums[day].total or ZERO) > UNUSUAL * normal
            and cost - normal > floor
        ]
        table = Table(
            columns=(
                Column(name="day", title=""),
                Column(name="title", title="day"),
                Column(name="calls", title="calls", kind="count"),
                Column(name="errors", title="failed", kind="count"),
                Column(name="cost_usd", title="cost", kind="usd"),
                Column(name="usual_usd", title="usual", kind="usd", is_certain=True),
                Column(name="is_unusual", title="", kind="count"),
            ),
            rows=tuple(
                (
                    day.isoformat(),
                    day_name(day),
                    sums[day].calls,
                    sums[day].errors,
                    known(sums[day]),
                    usual[day],
                    int(day in unusual),
                )
                for day in days
            ),
            floors=frozenset(place for place, day in enumerate(days) if sums[day].unpriced),
        )
        says_usual = any(value is not None for value in usual.values())
        yield Section(
            name="days",
            title="Day by day",
            table=table if says_usual else _without(table, "usual_usd"),
            chart=self._chart(days),
            notes=(f"Usual: the median of the same weekday in up to {WEEKS} weeks before.",) if says_usual else (),
        )
        if unusual:
            said = [_said(day, sums[day], usual[day] or ZERO) for day in unusual]
            yield Section(name="anomalies", title="Days that stand out", lead=" ".join(said), is_alarm=True)

    def _usual(self, day: date) -> Decimal | None:
        same = [day - timedelta(weeks=number) for number in range(1, WEEKS + self._frame.days // 7 + 2)]
        # The ledger's first day lacks its morning; of a day whose prices nobody told nothing is known.
        costs = [
            cost
            for each in same
            if begin_s(each) < self._frame.since_s and self._first_day is not None and each > self._first_day
            if (cost := self._before.get(each, ZERO)) is not None
        ][:WEEKS]
        return statistics.median(costs) if len(costs) >= MIN_WEEKS else None

    def _floor(self) -> Decimal:
        """Half of a usual day: twice nearly nothing is no news."""
        told = [cost for cost in self._before.values() if cost is not None]
        return statistics.median(told) / 2 if told else ZERO

    def _chart(self, days: list[date]) -> Chart:
        ranked = sorted(self._models, key=lambda model: (-sum(self._models[model].values(), ZERO), model))
        series = [_series(model, [self._models[model]], days) for model in ranked[:SHOWN_SERIES]]
        rest = [self._models[model] for model in ranked[SHOWN_SERIES:]]
        if rest:
            series.append(_series(OTHERS, rest, days))
        return Chart(
            title="Spent a day, by model", kind="stack", labels=tuple(map(day_name, days)), series=tuple(series)
        )


def _series(name: str, of: Iterable[Mapping[date, Decimal]], days: list[date]) -> Series:
    parts = list(of)
    return Series(name=name, values=tuple(sum((part.get(day, ZERO) for part in parts), ZERO) for day in days))


def _said(day: date, sums: Sums, usual: Decimal) -> str:
    cost = sums.total or ZERO
    if not usual:
        return f"{day_name(day)}: {cost_text(sums)}, where {day:%A}s usually cost nothing."
    return f"{day_name(day)}: {cost_text(sums)}, {cost / usual:.1f} times the usual {usd(usual)}."


def _without(table: Table, name: str) -> Table:
    places = [place for place, column in enumerate(table.columns) if column.name != name]
    return Table(
        columns=tuple(table.columns[place] for place in places),
        rows=tuple(tuple(row[place] for place in places) for row in table.rows),
        floors=table.floors,
    )
