"""Rows of figures → a table for people, JSON for programs, CSV for spreadsheets.

A `Table` is values and nothing else; the three formats show the same rows. JSON and CSV
hold exact money, people get the digits that matter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from rich import box
from rich.console import RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from or_otel.reports.money import NOT_TOLD, UNKNOWN, count, exact, seconds, share, tokens, usd
from or_otel.reports.words import tame

Kind = Literal["text", "usd", "count", "tokens", "seconds", "share", "time"]
Value = str | int | float | Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        name: In JSON and CSV.
        title: For people; empty hides it from them.
        kind: How values are written.
        is_certain: Whether money here is whole in every row, such as a limit, and may be none.
    """

    name: str
    title: str
    kind: Kind = "text"
    is_certain: bool = False


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
    shown = [place for place, column in enumerate(table.columns) if column.title]
    rich_table = RichTable(
        box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", caption=caption, caption_justify="left"
    )
    for place in shown:
        column = table.columns[place]
        is_text = column.kind == "text"
        rich_table.add_column(
            column.title, justify="left" if is_text else "right", no_wrap=not is_text, overflow="fold"
        )
    for number, row in enumerate(table.rows):
        rich_table.add_row(*(Text(shown_cell(table, number, place, row)) for place in shown))
    return rich_table


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
