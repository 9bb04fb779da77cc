"""What a board is: a question, and rows of panels that answer it from the general to the special."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from or_otel.dashboards.panels import Panel
from or_otel.dashboards.variables import Scope

Annotation = Literal["alerts", "missed polls", "price changes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading.

    Attributes:
        title: The heading.
        panels: Left to right, then down.
        is_collapsed: Whether it waits to be opened.
    """

    title: str
    panels: Sequence[Panel]
    is_collapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard.

    Attributes:
        uid: Fixed for ever; the name of its file too.
        subject: Its title after `OpenRouter / `.
        question: What its reader wants to know.
        scope: Its variables.
        rows: The first answers at a glance.
        time_from: Where its range begins.
        refresh: How often it asks again.
        has_groups: Whether the reader chooses what to group by.
        has_traces: Whether its rows lead to traces, in the Tempo that the reader chooses.
        annotations: Events marked in its graphs.
    """

    uid: str
    subject: str
    question: str
    scope: Scope
    rows: Sequence[Row]
    time_from: str = "now-24h"
    refresh: str = "1m"
    has_groups: bool = False
    has_traces: bool = False
    annotations: Sequence[Annotation] = ("alerts",)
