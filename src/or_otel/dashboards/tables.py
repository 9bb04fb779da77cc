"""Tables: columns of queries in, a builder of Grafana's table out, whose rows are joined, sorted and lead on.

Format: as in `panels.py`; links to Explore as Grafana 10 and later read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.models import dashboard as models

from or_otel.dashboards import labels
from or_otel.dashboards.panels import (
    COUNT,
    NO_RULES,
    SHARE,
    TIME,
    Link,
    Panel,
    Query,
    Steps,
    counted,
    dressed,
    figure,
    target,
)
from or_otel.dashboards.promql import said

NO_FIGURE = "-"
"""Stands in a cell for what cannot be reckoned."""
FIGURE_WIDTH, SHARE_WIDTH, BAR_WIDTH, TIME_WIDTH, LEAST_NAME_WIDTH = 80, 68, 120, 115, 90
"""Of a table's columns, in pixels."""
NAME_WIDTHS: Mapping[str, int] = {
    labels.KEY_HASH: 148,
    labels.PROVIDER: 140,
    labels.LEDGER: 100,
    labels.PART: 80,
    labels.FALLBACK: 90,
    labels.ERROR_ORIGIN: 90,
    labels.PRICE_KIND: 100,
    labels.UNPRICED_REASON: 110,
    "severity": 85,
}
"""Of columns whose names are all short: what they leave goes to the long names of models and rules."""
LETTER_WIDTH, MARGIN = 7, 22
"""Of their heads."""
SEVERITIES: Mapping[str, str] = {"critical": "red", "warning": "orange", "info": "blue"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure of a table.

    Attributes:
        title: Its head.
        expr: PromQL, instant, one value a row; "" where another step makes the column.
        unit: Grafana's.
        decimals: How many; None lets Grafana choose.
        steps: Thresholds that colour it.
        is_bar: Whether a bar shows its size.
    """

    title: str
    expr: str
    unit: str = COUNT
    decimals: int | None = None
    steps: Steps = ()
    is_bar: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """A way to the traces of a row, in the Tempo of the board's variable.

    Attributes:
        title: For people.
        attribute: Attribute of spans that holds the cell's value.
    """

    title: str
    attribute: str

    def url(self, value: str) -> str:
        """Give the address of the search in Explore, with the time range kept."""
        source = {"type": "tempo", "uid": "${tempo}"}
        query = f'{{ span.{self.attribute} = "{value}" }}'
        pane = {
            "datasource": "${tempo}",
            "queries": [{"refId": "A", "datasource": source, "queryType": "traceql", "query": query}],
            "range": {"from": "${__from}", "to": "${__to}"},
        }
        # Grafana's variables stay as they are: it puts their values before anybody reads the address.
        return f"/explore?schemaVersion=1&panes={quote(json.dumps({'a': pane}, separators=(',', ':')), safe='${}')}"


def table(  # noqa: PLR0913 -- keyword-only choices of a panel
    title: str,
    says: str,
    *columns: Column,
    keys: Sequence[tuple[str, str]],
    links: Sequence[Link | Traces] = (),
    empty: str = NO_RULES,
    width: int = 12,
    height: int = 9,
    transformations: Sequence[models.DataTransformerConfig] = (),
    added: Sequence[Column] = (),
    hidden: Sequence[str] = (),
    by_key: bool = False,
) -> Panel:
    """Rows by label, one column for each query, dearest or largest first; its rows lead on.

    Args:
        title: Head.
        says: Description.
        columns: Figures; the first sorts.
        keys: Label and head of the columns that name a row.
        links: Ways on from the first of these.
        empty: What stands there when nothing does.
        width: Of 24.
        height: In grid rows.
        transformations: More steps after the columns are joined.
        added: Columns that these steps make.
        hidden: Labels that queries carry and nobody reads.
        by_key: Whether the first key sorts, upwards, and not the first figure.
    """
    panel = tables.Panel()
    for place, column in enumerate(columns):
        # A row without one of the labels would be merged into all that have it.
        expr = said(column.expr, *(label for label, _ in keys))
        panel = panel.with_target(target(Query(expr=expr), place, is_instant=True, is_table=True))
    panel = dressed(panel, title=title, says=says, unit=COUNT, empty=empty, size=(width, height))
    named = {
        "Value": columns[0].title,
        **{f"Value #{chr(ord('A') + at)}": each.title for at, each in enumerate(columns)},
    }
    order = [label for label, _ in keys] + list(named)
    steps = [
        models.DataTransformerConfig(id_val="merge", options={}),
        models.DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(["Time", *hidden], True),
                "indexByName": {name: at for at, name in enumerate(order)},
                "renameByName": dict(keys) | named,
            },
        ),
        *transformations,
        models.DataTransformerConfig(
            id_val="sortBy",
            options={
                "fields": {},
                "sort": [{"field": keys[0][1]} if by_key else {"field": columns[0].title, "desc": True}],
            },
        ),
    ]
    panel = panel.transformations(steps).filterable(True)
    for column in (*columns, *added):
        panel = panel.override_by_name(column.title, _cell(column))
    ways = [{"title": link.title, "url": link.url("${__value.raw}")} for link in links]
    for place, (label, head) in enumerate(keys):
        # One column is as wide as the others leave.
        is_fixed = label in NAME_WIDTHS and any(other not in NAME_WIDTHS for other, _ in keys)
        size = ("custom.width", NAME_WIDTHS[label]) if is_fixed else ("custom.minWidth", LEAST_NAME_WIDTH)
        settings = [models.DynamicConfigValue(id_val=size[0], value=size[1])]
        if ways and place == 0:
            settings.append(models.DynamicConfigValue(id_val="links", value=ways))
        if label == "severity":
            settings += _SEVERE
        panel = panel.override_by_name(head, settings)
    done: Panel = panel
    return done


def _width(column: Column) -> int:
    if column.is_bar:
        # A bar as long as the others beside a longer figure.
        return BAR_WIDTH + LETTER_WIDTH * max(0, (column.decimals or 0) - 2)
    least = {TIME: TIME_WIDTH, SHARE: SHARE_WIDTH}.get(column.unit, FIGURE_WIDTH)
    return max(least, LETTER_WIDTH * len(column.title) + MARGIN)


def _cell(column: Column) -> list[models.DynamicConfigValue]:
    # Names of rows share what the figures leave.
    settings = [
        models.DynamicConfigValue(id_val="unit", value=counted(figure(column.unit), column.decimals)),
        models.DynamicConfigValue(id_val="noValue", value=NO_FIGURE),
        models.DynamicConfigValue(id_val="custom.width", value=_width(column)),
    ]
    if column.decimals is not None:
        settings.append(models.DynamicConfigValue(id_val="decimals", value=column.decimals))
    if column.steps:
        steps = [{"color": color, "value": value} for value, color in column.steps]
        settings += [
            models.DynamicConfigValue(id_val="thresholds", value={"mode": "absolute", "steps": steps}),
            models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
            models.DynamicConfigValue(id_val="mappings", value=[_NOTHING]),
        ]
    if column.is_bar:
        settings += [
            models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "gauge", "mode": "basic"}),
            models.DynamicConfigValue(id_val="min", value=0),
            models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "blue"}),
        ]
    return settings


_NOTHING = {"type": "special", "options": {"match": "null+nan", "result": {"text": NO_FIGURE, "color": "text"}}}
"""What is not there has no colour: without this it would have that of the lowest threshold."""


_SEVERE = (
    models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
    models.DynamicConfigValue(
        id_val="mappings",
        value=[
            {
                "type": "value",
                "options": {word: {"color": color, "text": word} for word, color in SEVERITIES.items()},
            }
        ],
    ),
)
