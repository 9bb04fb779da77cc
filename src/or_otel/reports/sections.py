"""What a digest is made of: sections of sentences, a table and a chart, in values only.

A `Part` is fed every call and gives its sections at the end; `Frame` is what it may know beside the
calls. The formats (terminal, JSON, `markdown`, `html`) show any section, so a new subject is one class
and one entry in `digest.PARTS`. Pure: no clock, no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol

from rich.console import Group, RenderableType
from rich.text import Text

from or_otel.accounts import Model
from or_otel.budgets import Budget
from or_otel.budgets.spending import Spending
from or_otel.days import DAY_S
from or_otel.entries import Entry
from or_otel.reports.tables import Table, render, to_rows
from or_otel.reports.words import shown

Call = tuple[Entry, ...]
"""All attempts of one call, in order; the last one stands for it."""

ChartKind = Literal["stack", "lines"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line or colour of a chart.

    Attributes:
        name: In the legend.
        values: US dollars, one per label; None leaves a gap.
    """

    name: str
    values: tuple[Decimal | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture of money over time.

    Attributes:
        title: What is drawn.
        kind: Bars on top of each other, or lines.
        labels: Along the bottom.
        series: In order, the most important first.
    """

    title: str
    kind: ChartKind
    labels: tuple[str, ...]
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One subject.

    Attributes:
        name: In JSON.
        title: For people.
        lead: What it comes to, in a sentence.
        table: The figures.
        chart: A picture of them.
        notes: What must be known to read them right.
        is_alarm: Whether it wants a reaction; it is repeated at the top.
    """

    name: str
    title: str
    lead: str | None = None
    table: Table | None = None
    chart: Chart | None = None
    notes: tuple[str, ...] = ()
    is_alarm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What a part may know beside the calls.

    Attributes:
        since_s, until_s: The period, whole UTC days but for its end.
        days: How many UTC days it touches; the period before lies so many days earlier.
        budgets: Limits of the settings file.
        account_spendings: What the account itself told of its keys; empty when it was never asked.
        labels_of_key: Fingerprint → whose key it is, by the settings file.
        models: The account's list of models, the newest known; empty when there is none.
        models_before: The list at the period's begin; None when it is not known.
    """

    since_s: float
    until_s: float
    days: int
    budgets: tuple[Budget, ...] = ()
    account_spendings: tuple[Spending, ...] = ()
    labels_of_key: Callable[[str | None], Mapping[str, str]] = field(default=lambda _: {})
    models: tuple[Model, ...] = ()
    models_before: tuple[Model, ...] | None = None

    @property
    def shift_s(self) -> float:
        """How far back the period before lies."""
        return float(self.days * DAY_S)

    def is_now(self, call: Call) -> bool:
        """Whether a call belongs to the period."""
        return self.since_s <= call[-1].call_started_at_s < self.until_s

    def is_before(self, call: Call) -> bool:
        """Whether a call belongs to the period before, up to the same time of its last day."""
        return self.since_s <= call[-1].call_started_at_s + self.shift_s < self.until_s


class Part(Protocol):
    """Gathers what its sections need, call by call, in bounded memory."""

    def add(self, call: Call) -> None:
        """Take one call, of the period or of the weeks before it."""

    def sections(self) -> Iterable[Section]:
        """Give what is worth saying; nothing where there is nothing to say."""


def render_section(section: Section) -> RenderableType:
    """Give what a rich console prints."""
    parts: list[RenderableType] = [shown(section.title, style="bold red" if section.is_alarm else "bold cyan")]
    if section.lead is not None:
        parts.append(shown(section.lead))
    if section.table is not None and section.table.rows:
        parts.append(render(section.table))
    parts += [shown(note, style="dim") for note in section.notes]
    return Group(*parts, Text())


def section_to_json(section: Section) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    return {
        "title": section.title,
        "lead": section.lead,
        "is_alarm": section.is_alarm,
        "rows": [] if section.table is None else to_rows(section.table),
        "notes": list(section.notes),
    }
