"""Rows of figures → a table for people, JSON for programs, CSV for spreadsheets.

A `Table` is values and nothing else; the three formats show the same rows. JSON and CSV
hold exact money, people get the digits that matter: on a narrow terminal names are folded,
columns that can be spared are left out, and no figure is ever cut.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from or_otel.reports.money import NOT_TOLD, UNKNOWN, count, exact, seconds, share, tokens, usd
from or_otel.reports.words import tame

Kind = Literal["text", "usd", "count", "tokens", "seconds", "share", "time"]
Value = str | int | float | Decimal | None

WIDE_GAP = 3
GAP = 2
"""Between two columns, where it is narrow."""
LEAST_TEXT = 14
"""Names may be folded to so many columns, and no further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        name: In JSON and CSV.
        title: For people; empty hides it from them.
        kind: How values are written.
        is_certain: Whether money here is whole in every row, such as a limit, and may be none.
        is_whole: Whether text here is never folded, such as an id that is copied.
        spare: How easily people on a narrow terminal miss it; the highest goes first, 0 never.
    """

    name: str
    title: str
    kind: Kind = "text"
    is_certain: bool = False
    is_whole: bool = False
    spare: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns and their rows.

    Attributes:
        columns: In order.
        rows: One value per column.
        floors: Numbers of the rows whose money is only what is known at least.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Value, ...], ...]
    floors: frozenset[int] = frozenset()


def render(table: Table, *, caption: str | None = None) -> RenderableType:
    """Give what a rich console prints."""
    return _Fitted(table, caption)


class _Fitted:
    """A table in the room there is: folded, then without what can be spared, then a line for each value."""

    def __init__(self, table: Table, caption: str | None) -> None:
        self._table = table
        self._caption = caption
        self._places = [place for place, column in enumerate(table.columns) if column.title]
        self._rows = [
            {place: shown_cell(table, number, place, row) for place in self._places}
            for number, row in enumerate(table.rows)
        ]
        self._widths = {
            place: max(map(cell_len, (table.columns[place].title, *(row[place] for row in self._rows))))
            for place in self._places
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        del console
        places = list(self._places)
        gap = WIDE_GAP if _needed([self._widths[place] for place in places], WIDE_GAP) <= options.max_width else GAP
        spared = sorted(
            (place for place in places if self._column(place).spare), key=lambda place: self._column(place).spare
        )
        missed: list[str] = []
        while spared and _needed(map(self._narrowest, places), gap) > options.max_width:
            places.remove(place := spared.pop())
            missed.append(self._column(place).title)
        if _needed(map(self._narrowest, places), gap) <= options.max_width:
            yield self._grid(places, gap)
        else:
            missed.clear()
            yield from self._values()
        if missed:
            yield Text(f"a wider terminal also shows: {', '.join(missed)}", style="dim")
        if self._caption is not None:
            yield Text(self._caption, style="table.caption")

    def _column(self, place: int) -> Column:
        return self._table.columns[place]

    def _is_folded(self, place: int) -> bool:
        return self._column(place).kind == "text" and not self._column(place).is_whole

    def _narrowest(self, place: int) -> int:
        return min(self._widths[place], LEAST_TEXT) if self._is_folded(place) else self._widths[place]

    def _grid(self, places: Sequence[int], gap: int) -> RichTable:
        grid = RichTable(
            box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, gap // 2, 0, (gap - 1) // 2)
        )
        for place in places:
            is_folded = self._is_folded(place)
            grid.add_column(
                self._column(place).title,
                justify="left" if self._column(place).kind == "text" else "right",
                no_wrap=not is_folded,
                overflow="fold",
                min_width=self._narrowest(place),
            )
        for row in self._rows:
            grid.add_row(*(Text(row[place]) for place in places))
        return grid

    def _values(self) -> Iterator[RenderableType]:
        for row in self._rows:
            grid = RichTable.grid(padding=(0, 2))
            grid.add_column(style="bold", overflow="fold")
            grid.add_column(overflow="fold")
            for place in self._places:
                grid.add_row(self._column(place).title, Text(row[place]))
            yield grid
            yield Text()


def _needed(widths: Iterable[int], gap: int) -> int:
    """Give the columns of a terminal that a table takes, its edges included."""
    listed = list(widths)
    return sum(listed) + gap * (len(listed) - 1) + 2


def to_rows(table: Table) -> list[dict[str, object]]:
    """Give rows for `json.dumps`: money as exact text, null for what is not known."""
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in table.rows]


def to_csv(table: Table) -> str:
    """Write a header and rows; an empty field is not known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([column.name for column in table.columns])
    for row in table.rows:
        cells = ["" if value is None else harmless(_plain(value)) for value in row]
        writer.writerow([tame(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def _plain(value: Value) -> object:
    return exact(value) if isinstance(value, Decimal) else value


def harmless(value: object) -> object:
    """Put a quote before text that a spreadsheet would run: a tag's value comes from whoever made the call."""
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULA_STARTS and not _is_number(value) else value


FORMULA_STARTS: Sequence[str] = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""The last four are the first four at full width, which some spreadsheets take for the same."""


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdigit()


def shown_cell(table: Table, number: int, place: int, row: Sequence[Value]) -> str:
    """Write one value of a row for people, given the numbers of its row and column."""
    column, value = table.columns[place], row[place]
    kind, is_floor = column.kind, number in table.floors and not column.is_certain
    if value is None:
        return UNKNOWN if kind == "usd" and not column.is_certain else NOT_TOLD
    if isinstance(value, str):
        return tame(value)
    if isinstance(value, Decimal) and kind == "usd":
        return usd(value, is_floor=is_floor)
    return WRITERS[kind](value)


def _utc_time(unix_s: float | Decimal) -> str:
    return datetime.fromtimestamp(float(unix_s), UTC).strftime("%Y-%m-%d %H:%M:%S")


WRITERS: Mapping[Kind, Callable[[float | Decimal], str]] = {
    "text": str,
    "usd": str,
    "count": lambda value: count(int(value)),
    "tokens": lambda value: tokens(int(value)),
    "seconds": lambda value: seconds(float(value)),
    "share": share,
    "time": _utc_time,
}
