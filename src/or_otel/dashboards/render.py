"""Boards in, JSON of Grafana's classic dashboards out, always the same for the same board.

Mends what grafana-foundation-sdk 0.0.21 leaves: panels without id, options of interval variables on every variable,
links and annotations hidden in a menu, data links with the fields of board links. Ids come from titles, so that a new
panel moves nobody's saved links. Classic JSON (schema 42) loads in Grafana 10 to 13.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from or_otel import catalogue
from or_otel.dashboards import labels
from or_otel.dashboards.board import Annotation, Board, Row
from or_otel.dashboards.installed import RUNBOOKS
from or_otel.dashboards.panels import DATASOURCE, Panel
from or_otel.dashboards.promql import of
from or_otel.dashboards.variables import ALL, GROUPINGS, VARIABLES, Scope

TAG = "or-otel"
COLUMNS = 24
_LINK_FIELDS = ("title", "url", "targetBlank")

_EVENTS: dict[Annotation, tuple[str, str, str, str, bool]] = {
    "alerts": (
        "Alerts",
        'ALERTS{alertname=~"OrOtel.+", alertstate="firing", severity!="info"}',
        "{{alertname}}",
        "red",
        True,
    ),
    "missed polls": (
        "Missed polls",
        f"changes({of(catalogue.POLL_SUCCESS_TIME).name}[5m]) == 0",
        f"{labels.named(labels.ENDPOINT)} was not polled",
        "purple",
        False,
    ),
    "price changes": (
        "Price changes",
        f"changes({of(catalogue.MODEL_PRICE).name}[1h]) > 0",
        f"price of {labels.named(labels.RESPONSE_MODEL)}",
        "blue",
        False,
    ),
}


def board_text(board: Board) -> str:
    """Give a board's file."""
    return json.dumps(board_json(board), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def board_json(board: Board) -> dict[str, Any]:
    """Give a board as Grafana reads it."""
    made = (
        dashboard.Dashboard(f"OpenRouter / {board.subject}")
        .uid(board.uid)
        .description(board.question)
        .tags([TAG, board.uid.removeprefix("or-otel-")])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(board.time_from, "now")
        .timezone("utc")
        .refresh(board.refresh)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    if board.has_traces:
        made = made.with_variable(dashboard.DatasourceVariable("tempo").label("Tempo").type("tempo"))
    for variable in _variables(board):
        made = made.with_variable(variable)
    for event in board.annotations:
        made = made.annotation(_annotation(event))
    made = made.link(
        dashboard.DashboardLink("Boards")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags([TAG])
        .as_dropdown(True)
        .include_vars(True)
        .keep_time(True)
    ).link(
        dashboard.DashboardLink("What to do")
        .type(models.DashboardLinkType.LINK)
        .url(RUNBOOKS)
        .icon("doc")
        .target_blank(True)
    )
    drawn: dict[str, Any] = json.loads(json.dumps(made.build(), cls=JSONEncoder))
    drawn["panels"] = _laid_out(board)
    drawn["id"] = None
    drawn.pop("version", None)
    for variable in drawn["templating"]["list"]:
        for field in ("auto", "auto_count", "auto_min"):
            variable.pop(field, None)
    for entry in (*drawn["links"], *drawn["annotations"]["list"]):
        entry.pop("placement", None)
    return drawn


def _variables(board: Board) -> Iterable[Any]:
    names = board.scope.names
    for place, name in enumerate(names):
        variable = VARIABLES[name]
        offered = Scope(names=names[:place]).pick(variable.series, *variable.among)
        query = f"label_values({offered}, {variable.label})"
        made = (
            dashboard.QueryVariable(name)
            .label(variable.title)
            .datasource(DATASOURCE)
            .query({"query": query, "refId": name})
            .definition(query)
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
        )
        if variable.is_multi:
            everything = models.VariableOption(selected=True, text=["All"], value=["$__all"])
            made = made.multi(True).include_all(True).all_value(ALL).current(everything)
        yield made
    if board.has_groups:
        options = [
            models.VariableOption(selected=word == "team", text=word, value=each) for word, each in GROUPINGS.items()
        ]
        chosen = next(option for option in options if option.selected)
        yield (
            dashboard.CustomVariable("group")
            .label("Group by")
            .values(", ".join(f"{word} : {each}" for word, each in GROUPINGS.items()))
            .options(options)
            .current(chosen)
        )
        yield dashboard.AdHocVariable("filter").label("Filter").datasource(DATASOURCE)


def _annotation(event: Annotation) -> Any:
    name, expr, title, color, is_on = _EVENTS[event]
    return (
        dashboard.AnnotationQuery()
        .name(name)
        .datasource(DATASOURCE)
        .enable(is_on)
        .icon_color(color)
        .expr(expr)
        .title_format(title)
        .step("60s")
    )


def _laid_out(board: Board) -> list[dict[str, Any]]:
    """Place rows below one another, panels left to right; panels of a closed row wait inside it."""
    placed: list[dict[str, Any]] = []
    top = 0
    for row in board.rows:
        head = _row(board, row, top)
        placed.append(head)
        top += 1
        inside: list[dict[str, Any]] = head["panels"] if row.is_collapsed else placed
        line: list[dict[str, Any]] = []
        end = top
        for each in row.panels:
            panel = _panel(board, row, each)
            if sum(other["gridPos"]["w"] for other in line) + panel["gridPos"]["w"] > COLUMNS:
                end += _set_line(line, end)
                line = []
            line.append(panel)
            inside.append(panel)
        end += _set_line(line, end)
        # Grafana moves what follows when it opens a closed row.
        top = top if row.is_collapsed else end
    return placed


def _set_line(line: list[dict[str, Any]], top: int) -> int:
    """Place panels side by side, all as high as the highest, and give that height."""
    height = max(panel["gridPos"]["h"] for panel in line)
    left = 0
    for panel in line:
        panel["gridPos"].update(x=left, y=top, h=height)
        left += panel["gridPos"]["w"]
    return int(height)


def _row(board: Board, row: Row, top: int) -> dict[str, Any]:
    return {
        "type": "row",
        "id": _id(f"{board.uid}/{row.title}"),
        "title": row.title,
        "collapsed": row.is_collapsed,
        "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
        "panels": [],
    }


def _panel(board: Board, row: Row, panel: Panel) -> dict[str, Any]:
    drawn: dict[str, Any] = json.loads(json.dumps(panel.build(), cls=JSONEncoder))
    drawn["id"] = _id(f"{board.uid}/{row.title}/{drawn['title'] or drawn['description']}")
    drawn.pop("repeatDirection", None)
    defaults = drawn.get("fieldConfig", {}).get("defaults", {})
    if "links" in defaults:
        defaults["links"] = [{key: link[key] for key in _LINK_FIELDS if key in link} for link in defaults["links"]]
    return drawn


def _id(path: str) -> int:
    """Give a panel's id: from its path, so that other panels may come and go."""
    return zlib.crc32(path.encode()) % 1_000_000_000 + 1
