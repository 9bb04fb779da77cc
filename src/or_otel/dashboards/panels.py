"""Panels: a question in words and its queries in, builders of Grafana panels out.

Every panel says what it shows, in which unit, from where, and why it may be empty. No datasource is named but by the
board's variable, no plugin outside Grafana's core is used. Format: grafana-foundation-sdk 0.0.21, dashboard schema 42.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders import heatmap as heatmaps
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import text as texts
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as queries
from grafana_foundation_sdk.models import units

from or_otel.dashboards.promql import said

USD = units.Dollars
SHARE = units.PercentUnit
SECONDS = units.Seconds
PER_SECOND = units.RequestsPerSecond
COUNT = units.Short
WHOLE_COUNT = "locale"
TIME = units.DateTimeFromNow
FACTOR = "suffix:x"
WHOLE_USD = "currency:financial:$"
"""Dollars and cents that are never shortened to thousands: for figures; axes take `USD`."""
NO_FIGURE = "-"
"""Stands in a cell for what cannot be reckoned."""
LEAST_TOPS = {USD: 0.01, SHARE: 0.05, PER_SECOND: 0.01, SECONDS: 0.1, COUNT: 1.0}
"""How far an axis reaches at least: Grafana would draw one of a hundred for nothing but zeros."""
FIGURE_WIDTH, BAR_WIDTH, TIME_WIDTH, LEAST_NAME_WIDTH = 80, 120, 115, 90
"""Of a table's columns, in pixels."""
LETTER_WIDTH, MARGIN = 7, 22
"""Of their heads."""
BARS = 100
"""Of a graph of parts: more would be thinner than what is between them."""

DATASOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDE = 12
"""Of the 24 columns: from here on a legend stands beside its graph."""
NO_CALLS = "no calls"
NO_RULES = "no calls, or the recording rules are not loaded"
NO_ACCOUNT = "needs the account exporter"
NO_ACCOUNT_YET = "needs the account exporter and a closed UTC day"

Panel = Builder[models.Panel]
Steps = Sequence[tuple[float | None, str]]
GOOD_UNTIL: dict[str, Steps] = {
    "budget": ((None, "green"), (0.5, "yellow"), (0.8, "orange"), (1, "red")),
    "errors": ((None, "green"), (0.02, "orange"), (0.1, "red")),
    "unpriced": ((None, "green"), (0.01, "orange"), (0.05, "red")),
    "lost": ((None, "green"), (1, "orange")),
    "age": ((None, "green"), (300, "orange"), (900, "red")),
    "capture": ((None, "red"), (0.9, "orange"), (0.95, "green"), (1.05, "orange"), (1.1, "red")),
    "runway": ((None, "red"), (86400, "orange"), (3 * 86400, "green")),
    "uptime": ((None, "red"), (0.95, "orange"), (0.99, "green")),
}
"""Thresholds with a meaning; panels without one stay neutral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL.
        legend: How its series are called, such as `{{label}}`.
        has_exemplars: Whether single calls are marked, with a way to their trace.
    """

    expr: str
    legend: str = ""
    has_exemplars: bool = False


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
class Link:
    """A way down from a figure.

    Attributes:
        title: For people.
        board: Uid.
        variable: Which variable of that board it sets.
        label: By which label of the series, in graphs; tables take the cell.
    """

    title: str
    board: str
    variable: str = ""
    label: str = ""

    def url(self, value: str) -> str:
        """Give the address, with the time range kept."""
        chosen = f"var-{self.variable}={value}&" if self.variable else ""
        return f"/d/{self.board}?{chosen}${{__url_time_range}}"


def _target(query: Query, place: int, *, is_instant: bool, is_table: bool = False, step: str = "") -> Any:
    target = prometheus.Dataquery().datasource(DATASOURCE).expr(query.expr).ref_id(chr(ord("A") + place))
    target = target.instant() if is_instant else target.range()
    if query.legend:
        target = target.legend_format(query.legend)
    if is_table:
        target = target.format(queries.PromQueryFormat.TABLE)
    if query.has_exemplars:
        target = target.exemplar(True)
    return target.interval(step) if step else target


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    given = steps or ((None, "text"),)
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=color) for value, color in given])
    )


def _dressed(panel: Any, *, title: str, says: str, unit: str, empty: str, size: tuple[int, int]) -> Any:
    width, height = size
    return (
        panel.title(title)
        .description(says)
        .unit(unit)
        .no_value(empty)
        .datasource(DATASOURCE)
        .span(width)
        .height(height)
    )


def _linked(panel: Any, links: Sequence[Link]) -> Any:
    if not links:
        return panel
    return panel.data_links(
        [
            dashboard.DashboardLink(link.title).url(link.url(f"${{__field.labels.{link.label}}}" if link.label else ""))
            for link in links
        ]
    )


def stat(  # noqa: PLR0913 -- keyword-only choices of a panel
    title: str,
    says: str,
    expr: str,
    *,
    unit: str = COUNT,
    decimals: int | None = None,
    steps: Steps = (),
    empty: str = NO_RULES,
    is_trend: bool = False,
    width: int = 4,
    links: Sequence[Link] = (),
) -> Panel:
    """One figure: of now, of the range shown, or with `is_trend` of each moment with its line."""
    panel = stats.Panel().with_target(_target(Query(expr=expr), 0, is_instant=not is_trend))
    panel = _dressed(panel, title=title, says=says, unit=_figure(unit), empty=empty, size=(width, 4)).thresholds(
        _thresholds(steps)
    )
    panel = panel.graph_mode(shapes.BigValueGraphMode.AREA if is_trend else shapes.BigValueGraphMode.NONE)
    panel = panel.color_mode(shapes.BigValueColorMode.VALUE).reduce_options(
        common.ReduceDataOptions().calcs(["lastNotNull"])
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    linked: Panel = _linked(panel, links)
    return linked


def _figure(unit: str) -> str:
    return WHOLE_USD if unit == USD else unit


def graph(  # noqa: PLR0913 -- keyword-only choices of a panel
    title: str,
    says: str,
    *asked: Query,
    unit: str = COUNT,
    decimals: int | None = None,
    is_stacked: bool = False,
    steps: Steps = (),
    empty: str = NO_RULES,
    width: int = 12,
    height: int = 8,
    links: Sequence[Link] = (),
    calcs: Sequence[str] = ("mean", "max"),
    least: float | None = 0,
    step: str = "",
) -> Panel:
    """Lines over time; stacked bars for parts of a whole."""
    panel = timeseries.Panel()
    for place, query in enumerate(asked):
        panel = panel.with_target(_target(query, place, is_instant=False, step=step))
    panel = _dressed(panel, title=title, says=says, unit=unit, empty=empty, size=(width, height))
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.TABLE)
        .placement(shapes.LegendPlacement.RIGHT if width >= WIDE else shapes.LegendPlacement.BOTTOM)
        .calcs(list(calcs))
        .sort_by(_CALC_TITLES[calcs[0]])
        .sort_desc(True)
        .show_legend(True)
    ).tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    if is_stacked:
        panel = panel.draw_style(shapes.GraphDrawStyle.BARS).fill_opacity(70).line_width(0)
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL)).max_data_points(BARS)
    else:
        panel = panel.fill_opacity(8).show_points(shapes.VisibilityMode.AUTO).span_nulls(600000)
    if least is not None:
        panel = panel.min(least)
        if unit in LEAST_TOPS:
            panel = panel.axis_soft_max(LEAST_TOPS[unit])
    if decimals is not None:
        panel = panel.decimals(decimals)
    if steps:
        panel = panel.thresholds(_thresholds(steps)).thresholds_style(
            common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        )
    linked: Panel = _linked(panel, links)
    return linked


_CALC_TITLES = {"sum": "Total", "mean": "Mean", "max": "Max", "lastNotNull": "Last *"}


def money_graph(title: str, says: str, expr: str, legend: str, *, links: Sequence[Link] = (), width: int = 12) -> Panel:
    """Money in each step, stacked: bars whose sum is the total."""
    return graph(
        title,
        says,
        Query(expr=expr, legend=legend),
        unit=USD,
        is_stacked=True,
        width=width,
        links=links,
        calcs=("sum", "max"),
        step="5m",
    )


def bars(  # noqa: PLR0913 -- keyword-only choices of a panel
    title: str,
    says: str,
    expr: str,
    legend: str,
    *,
    unit: str = COUNT,
    decimals: int | None = None,
    steps: Steps = (),
    most: float | None = None,
    empty: str = NO_RULES,
    width: int = 8,
    height: int = 8,
    links: Sequence[Link] = (),
) -> Panel:
    """One horizontal bar for each of a few things, as of now or of the range shown."""
    panel = bargauge.Panel().with_target(_target(Query(expr=expr, legend=legend), 0, is_instant=True))
    panel = _dressed(panel, title=title, says=says, unit=unit, empty=empty, size=(width, height)).min(0)
    panel = panel.orientation(shapes.VizOrientation.HORIZONTAL).display_mode(shapes.BarGaugeDisplayMode.BASIC)
    panel = panel.thresholds(_thresholds(steps or ((None, "blue"),))).reduce_options(
        common.ReduceDataOptions().calcs(["lastNotNull"])
    )
    if most is not None:
        panel = panel.max(most)
    if decimals is not None:
        panel = panel.decimals(decimals)
    linked: Panel = _linked(panel, links)
    return linked


def heat(title: str, says: str, expr: str, *, unit: str, empty: str = NO_CALLS, width: int = 12) -> Panel:
    """How a histogram's buckets fill over time."""
    query = prometheus.Dataquery().datasource(DATASOURCE).expr(expr).ref_id("A").range().legend_format("{{le}}")
    query = query.format(queries.PromQueryFormat.HEATMAP).exemplar(True)
    panel = heatmaps.Panel().with_target(query).calculate(False)
    panel = _dressed(panel, title=title, says=says, unit=unit, empty=empty, size=(width, 8))
    heated: Panel = panel.y_axis(heatmaps.YAxisConfig().unit(unit)).color(
        heatmaps.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    )
    return heated


def table(  # noqa: PLR0913 -- keyword-only choices of a panel
    title: str,
    says: str,
    *columns: Column,
    keys: Sequence[tuple[str, str]],
    links: Sequence[Link] = (),
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
        panel = panel.with_target(_target(Query(expr=expr), place, is_instant=True, is_table=True))
    panel = _dressed(panel, title=title, says=says, unit=COUNT, empty=empty, size=(width, height))
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
    for place, (_, head) in enumerate(keys):
        settings = [models.DynamicConfigValue(id_val="custom.minWidth", value=LEAST_NAME_WIDTH)]
        if ways and place == 0:
            settings.append(models.DynamicConfigValue(id_val="links", value=ways))
        panel = panel.override_by_name(head, settings)
    done: Panel = panel
    return done


def _width(column: Column) -> int:
    least = BAR_WIDTH if column.is_bar else TIME_WIDTH if column.unit == TIME else FIGURE_WIDTH
    return max(least, LETTER_WIDTH * len(column.title) + MARGIN)


def _cell(column: Column) -> list[models.DynamicConfigValue]:
    # A count is told to the last one. Names of rows share what the figures leave.
    unit = WHOLE_COUNT if column.unit == COUNT and column.decimals == 0 else _figure(column.unit)
    settings = [
        models.DynamicConfigValue(id_val="unit", value=unit),
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
        ]
    if column.is_bar:
        settings += [
            models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "gauge", "mode": "basic"}),
            models.DynamicConfigValue(id_val="min", value=0),
            models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": "blue"}),
        ]
    return settings


def note(text: str, *, width: int = 24) -> Panel:
    """One short line of help."""
    said: Panel = texts.Panel().content(text).span(width).height(2).transparent(True).title("").description(text)
    return said
