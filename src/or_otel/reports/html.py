"""A digest → one self-contained HTML page: no script, nothing fetched, light and dark, fit for paper.

Charts are SVG drawn by pygal, which comes with the extra `or-otel[report]`; without it the page is made all
the same, of tables. Pure but for that import. pygal 3.1 writes a script into every chart and its tooltips as
`desc`; both are changed here, so that the page's policy can forbid scripts and browsers show the figures.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator
from decimal import Decimal
from importlib.util import find_spec
from typing import Any
from xml.etree.ElementTree import Comment, Element

from or_otel.reports.digest import Digest, alarm_lines
from or_otel.reports.money import usd
from or_otel.reports.sections import Chart, Section
from or_otel.reports.tables import Table, Value, shown_cell

COLORS = 6
"""More series than that are put together before."""
WIDTH, HEIGHT = 960, 260
SVG = "{http://www.w3.org/2000/svg}"
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --page: #f4f6f8; --ink: #17212b; --soft: #566573; --line: #e1e6eb;
  --bar: #d6e6fa; --alarm: #b3261e; --alarm-paper: #fdecea; --accent: #1f5fbf;
  --c0: #2f6fd0; --c1: #e0803a; --c2: #3a9d73; --c3: #a463c2; --c4: #d0526f; --c5: #8a97a5; }
@media (prefers-color-scheme: dark) { :root { --paper: #18212b; --page: #10161d; --ink: #e6ebf0; --soft: #9aa8b5;
  --line: #2b3743; --bar: #25456e; --alarm: #ff9a8f; --alarm-paper: #3a1d1b; --accent: #83b4f5;
  --c0: #6ca4f0; --c1: #f0a066; --c2: #5fc49a; --c3: #c08fda; --c4: #ee7f98; --c5: #8796a5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 18px; }
h2 { font-size: 17px; margin: 0 0 6px; }
section, .alarms { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px;
  margin: 0 0 16px; }
.alarms { background: var(--alarm-paper); border-color: var(--alarm); color: var(--alarm); }
.alarms ul { margin: 0; padding-left: 18px; }
.alarm h2 { color: var(--alarm); }
p { margin: 0 0 10px; } .lead { font-size: 16px; } #spent .lead { font-size: 22px; font-weight: 600; }
.note { color: var(--soft); font-size: 13px; margin: 8px 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: break-word; max-width: 340px; }
tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
.number + td:not(.number), .number + th:not(.number) { padding-left: 20px; }
.share { min-width: 110px; background: linear-gradient(to right, var(--bar) var(--part), transparent var(--part))
  no-repeat 12px 5px / calc(100% - 12px) calc(100% - 10px); }
figure { margin: 10px 0 14px; overflow-x: auto; }
figure svg { width: 100%; min-width: 560px; height: auto; display: block; }
figcaption, .legend { color: var(--soft); font-size: 13px; margin: 4px 0; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 0; list-style: none; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
footer { color: var(--soft); font-size: 13px; }
@media print { body { background: none; } section, .alarms { break-inside: avoid; } main { padding: 0; } }
"""


def can_draw() -> bool:
    """Tell whether charts can be drawn: the extra `or-otel[report]` is installed."""
    return find_spec("pygal") is not None


def to_html(digest: Digest) -> str:
    """Write a digest as a page."""
    title = html.escape(digest.title)
    alarms = "".join(f"<li>{html.escape(line)}</li>" for line in alarm_lines(digest))
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head>",
            f"<body><main><h1>{title}</h1>",
            *([f'<div class="alarms" role="alert"><ul>{alarms}</ul></div>'] if alarms else []),
            *(line for section in digest.sections for line in _section(section)),
            "<footer>Made by or-otel. Days are UTC; ≥ marks sums some of whose calls told no price.</footer>",
            "</main></body></html>",
            "",
        )
    )


def _section(section: Section) -> Iterator[str]:
    kind = ' class="alarm"' if section.is_alarm else ""
    yield f'<section id="{html.escape(section.name)}"{kind}><h2>{html.escape(section.title)}</h2>'
    if section.lead is not None:
        yield f'<p class="lead">{html.escape(section.lead)}</p>'
    if section.chart is not None and can_draw():
        yield from _figure(section.chart, section.name)
    if section.table is not None and section.table.rows:
        yield from _table(section.table)
    for note in section.notes:
        yield f'<p class="note">{html.escape(note)}</p>'
    yield "</section>"


def _table(table: Table) -> Iterator[str]:
    shown = [place for place, column in enumerate(table.columns) if column.title]
    if not shown:
        return
    yield '<div class="wide"><table><thead><tr>'
    for place in shown:
        column = table.columns[place]
        yield f"<th{_class(column.kind)}>{html.escape(column.title)}</th>"
    yield "</tr></thead><tbody>"
    for number, row in enumerate(table.rows):
        yield "<tr>"
        for place in shown:
            said = html.escape(shown_cell(table, number, place, row))
            yield f"<td{_class(table.columns[place].kind, row[place])}>{said}</td>"
        yield "</tr>"
    yield "</tbody></table></div>"


def _class(kind: str, value: Value = None) -> str:
    if kind == "share" and value is not None and not isinstance(value, str):
        part = min(max(float(value), 0.0), 1.0)
        return f' class="number share" style="--part:{part:.1%}"'
    return "" if kind == "text" else ' class="number"'


# Charts ---------------------------------------------------------------------------------------------------------------


def _figure(chart: Chart, name: str) -> Iterator[str]:
    yield f"<figure><figcaption>{html.escape(chart.title)}</figcaption>"
    yield _svg(chart, name)
    yield '<ul class="legend">'
    for place, series in enumerate(chart.series):
        yield f'<li><i style="background:var(--c{place % COLORS})"></i>{html.escape(series.name)}</li>'
    yield "</ul></figure>"


def _svg(chart: Chart, name: str) -> str:
    pygal = _pygal()
    style = pygal.style.Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--soft)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--line)",
        guide_stroke_color="var(--line)",
        major_guide_stroke_color="var(--line)",
        guide_stroke_dasharray="none",
        major_guide_stroke_dasharray="none",
        colors=tuple(f"var(--c{place})" for place in range(COLORS)),
        opacity="1",
        stroke_opacity="1",
        stroke_width="2.5",
        label_font_size=12,
        major_label_font_size=12,
        font_family="inherit",
    )
    kinds: dict[str, Any] = {"stack": pygal.StackedBar, "lines": pygal.Line}
    drawing = kinds[chart.kind](
        style=style,
        js=(),
        width=WIDTH,
        height=HEIGHT,
        margin=6,
        show_legend=False,
        show_dots=False,
        show_minor_x_labels=False,
        truncate_label=-1,
        min_scale=3,
        max_scale=5,
        disable_xml_declaration=True,
        # Floats: a picture has a thousand points of height.
        value_formatter=lambda value: usd(Decimal(repr(float(value)))),
        range=None,
        include_x_axis=True,
    )
    drawing.uuid = name  # else a random one: the same digest gives the same page
    drawing.x_labels = chart.labels
    drawing.x_labels_major_every = max(1, len(chart.labels) // 10)
    for series in chart.series:
        drawing.add(series.name, [None if value is None else float(value) for value in series.values])
    drawing.add_xml_filter(_still)
    drawn: str = drawing.render(is_unicode=True)
    return drawn


def _pygal() -> Any:
    # Imported here: optional.
    import pygal  # noqa: PLC0415
    import pygal.style  # noqa: PLC0415

    # It looks for plugins by a finder of its own that Python warns of at every later import.
    sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__module__ != pygal.__name__]
    return pygal


def _still(root: Element) -> Element:
    """Take scripts and dated comments out of a drawing, and make its values what a browser shows at the pointer."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in {"script", f"{SVG}script", Comment}:
                parent.remove(child)
            elif child.tag in {"desc", f"{SVG}desc"}:
                if child.get("class") == "value":
                    child.tag = child.tag.replace("desc", "title")
                else:
                    parent.remove(child)
    return root
