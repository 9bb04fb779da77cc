"""Attempts as they end → what was spent in the last minute, hour and day, and by whom; bounded in memory.

Fed attempt by attempt, in any order; the moment comes in. The last minute is kept by the second, the last
hour by the minute, the running UTC day in one: memory grows with the groups, not with the calls. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from or_otel.days import DAY_S, utc_day
from or_otel.entries import Entry
from or_otel.facts import EXACT, ZERO
from or_otel.reports.money import count, seconds, tokens, usd
from or_otel.reports.words import shown

MINUTE_S, HOUR_S = 60, 3600
KEPT: Mapping[int, int] = {1: 60, MINUTE_S: 60, DAY_S: 1}
"""Length of a span → how many make the last minute, the last hour, today."""
NEWEST, DEAREST = 8, 5
SHOWN_GROUPS = 10
NOBODY = "(none)"
NARROW = 72
"""Columns of a terminal below which there is no room for everything: figures go before words, names are cut."""
STYLES = {"ok": "green", "error": "red", "cancelled": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums of some attempts.

    Attributes:
        calls, errors: Calls that ended, and those that failed.
        cost: What is known of their cost.
        unpriced: Attempts whose cost is not known.
    """

    calls: int = 0
    errors: int = 0
    cost: Decimal = ZERO
    unpriced: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            calls=self.calls + other.calls,
            errors=self.errors + other.errors,
            cost=EXACT.add(self.cost, other.cost),
            unpriced=self.unpriced + other.unpriced,
        )

    @property
    def cost_text(self) -> str:
        """The cost for people; `≥` where some of it is not known."""
        return usd(None if self.unpriced and not self.cost else self.cost, is_floor=bool(self.unpriced))


NOTHING = Tally()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One group.

    Attributes:
        name: Of the group.
        minute, hour, today: Its sums.
    """

    name: str
    minute: Tally
    hour: Tally
    today: Tally


class Top:
    """Sums of the recent past.

    Args:
        group_of: Entry → the group it is shown in; None for nobody.
    """

    def __init__(self, group_of: Callable[[Entry], str | None]) -> None:
        self._group_of = group_of
        self._spans: dict[int, dict[int, dict[str, Tally]]] = {length_s: {} for length_s in KEPT}
        self._newest: list[Entry] = []
        self._dearest: list[Entry] = []

    def add(self, entry: Entry, before: Entry | None = None) -> None:
        """Take an attempt, or a change of one that was taken already."""
        tally = _tally(entry)
        if before is not None:
            # Counted when it ended; only its money is news.
            old = _tally(before)
            tally = Tally(cost=EXACT.subtract(tally.cost, old.cost), unpriced=tally.unpriced - old.unpriced)
        group = self._group_of(entry) or NOBODY
        for length_s, spans in self._spans.items():
            groups = spans.setdefault(int(entry.ended_at_s // length_s), {})
            groups[group] = groups.get(group, NOTHING) + tally
        if entry.is_last:
            self._newest = _with(self._newest, entry, is_new=before is None)
            self._newest.sort(key=lambda each: -each.ended_at_s)
            del self._newest[NEWEST:]
            self._dearest = _with(self._dearest, entry, is_new=True)
            # Of two days a few each: the next one's begin before this one is forgotten.
            self._dearest.sort(key=lambda each: (-(each.ended_at_s // DAY_S), -(each.total or ZERO)))
            del self._dearest[2 * DEAREST :]

    def forget(self, now_s: float) -> None:
        """Drop what no frame shows any more."""
        for length_s, count_kept in KEPT.items():
            first = int(now_s // length_s) - count_kept
            self._spans[length_s] = {at: groups for at, groups in self._spans[length_s].items() if at > first}

    def lines(self, now_s: float) -> tuple[Line, ...]:
        """Give the groups, by what they spent in the last hour, then today."""
        minute, hour, today = (self._sums(length_s, now_s) for length_s in KEPT)
        found = [
            Line(
                name=name,
                minute=minute.get(name, NOTHING),
                hour=hour.get(name, NOTHING),
                today=today.get(name, NOTHING),
            )
            for name in {*minute, *hour, *today}
        ]
        return tuple(sorted(found, key=lambda line: (-line.hour.cost, -line.today.cost, line.name)))

    def newest(self) -> tuple[Entry, ...]:
        """Give the calls that ended last, the latest first."""
        return tuple(self._newest)

    def dearest(self, now_s: float) -> tuple[Entry, ...]:
        """Give today's dearest calls."""
        today = now_s // DAY_S
        return tuple(each for each in self._dearest if each.ended_at_s // DAY_S == today and each.total)[:DEAREST]

    def _sums(self, length_s: int, now_s: float) -> dict[str, Tally]:
        first = int(now_s // length_s) - KEPT[length_s]
        sums: dict[str, Tally] = {}
        for at, groups in self._spans[length_s].items():
            if at > first:
                for name, tally in groups.items():
                    sums[name] = sums.get(name, NOTHING) + tally
        return sums


def _with(calls: list[Entry], entry: Entry, *, is_new: bool) -> list[Entry]:
    """Put an attempt into a list, in the place of what was known of it before."""
    others = [each for each in calls if each.attempt_id != entry.attempt_id]
    return [*others, entry] if is_new or len(others) < len(calls) else calls


def _tally(entry: Entry) -> Tally:
    return Tally(
        calls=int(entry.is_last),
        errors=int(entry.is_last and entry.outcome == "error"),
        cost=entry.total or ZERO,
        unpriced=int(entry.unpriced is not None),
    )


def whole(lines: tuple[Line, ...]) -> Line:
    """Add up all groups."""
    total = Line(name="all", minute=NOTHING, hour=NOTHING, today=NOTHING)
    for line in lines:
        total = replace(
            total, minute=total.minute + line.minute, hour=total.hour + line.hour, today=total.today + line.today
        )
    return total


# For people -----------------------------------------------------------------------------------------------------------


def render(top: Top, *, by: str, now_s: float, width: int = 80, problems: tuple[str, ...] = ()) -> RenderableType:
    """Give one frame for a terminal of so many columns."""
    is_narrow = width < NARROW
    lines = top.lines(now_s)
    total = whole(lines)
    parts: list[RenderableType] = [_head(total, is_narrow=is_narrow), Text(), _groups(lines, by, is_narrow=is_narrow)]
    for title, calls in (("newest", top.newest()), ("dearest today", top.dearest(now_s))):
        if calls:
            parts += [Text(title, style="bold cyan"), _calls(calls, is_narrow=is_narrow), Text()]
    parts += [shown(f"journal not read: {problem}", style="red") for problem in problems]
    parts.append(Text(f"{utc_day(now_s)}, times in UTC; calls count when they end", style="dim"))
    return Group(*parts)


def _head(total: Line, *, is_narrow: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2 if is_narrow else 3))
    table.add_row(*(Text(title, style="dim") for title in ("last minute", "last hour", "today", "calls/s", "failed")))
    rate = total.minute.calls / MINUTE_S
    failed = f"{total.minute.errors} · {total.hour.errors} · {total.today.errors}"
    table.add_row(
        *(Text(tally.cost_text, style="bold green") for tally in (total.minute, total.hour, total.today)),
        Text(f"{rate:.2f}", style="bold"),
        Text(failed, style="bold red" if total.minute.errors else "bold"),
    )
    return table


def _groups(lines: tuple[Line, ...], by: str, *, is_narrow: bool) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column(shown(by.replace("_", " ")))
    # Where it is narrow, the head alone tells what failed.
    for title in ("minute", "hour", "today", "calls/h", *(() if is_narrow else ("failed/h",))):
        table.add_column(title, justify="right", no_wrap=True)
    named = [(_cut(line.name), line) for line in lines[:SHOWN_GROUPS]]
    rest = lines[SHOWN_GROUPS:]
    if rest:
        named.append((Text(f"{len(rest)} more", style="dim"), whole(rest)))
    for name, line in named:
        figures = [line.minute.cost_text, line.hour.cost_text, line.today.cost_text, count(line.hour.calls)]
        failed = Text(count(line.hour.errors), style="red" if line.hour.errors else "")
        table.add_row(name, *figures, *(() if is_narrow else (failed,)))
    return table


def _calls(calls: tuple[Entry, ...], *, is_narrow: bool) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    columns = ("outcome", "model", "tokens", "took", "cost")
    for column in columns if is_narrow else ("at", *columns, "said"):
        table.add_column(no_wrap=column not in {"model", "said"})
    for entry in calls:
        used = [
            f"{tokens(number)} {way}"
            for number, way in ((entry.input_tokens, "in"), (entry.output_tokens, "out"))
            if number
        ]
        said = entry.error_type if entry.outcome == "error" else entry.tags.get("feature") or entry.tags.get("team")
        at = Text(f"{datetime.fromtimestamp(entry.ended_at_s, UTC):%H:%M:%S}", style="dim")
        cells = (
            shown(entry.outcome, style=STYLES.get(entry.outcome, "")),
            _cut(entry.model or "unknown"),
            Text(" · ".join(used)),
            Text(seconds(entry.duration_s), justify="right"),
            Text(_tally(entry).cost_text, justify="right"),
        )
        table.add_row(*(cells if is_narrow else (at, *cells, _cut(said or "", style="dim"))))
    return table


def _cut(name: str, style: str = "") -> Text:
    """Give a name that is cut where its column is too narrow; its column wraps, so that it is narrowed first."""
    text = shown(name, style)
    text.overflow, text.no_wrap = "ellipsis", True
    return text
