"""Panels: a question in words and its queries in, builders of Grafana panels out.

Every panel says what it shows, in which unit, from where, and why it may be empty. No datasource is named but by the
board's variable, no plugin outside Grafana's core is used. Format: grafana-foundation-sdk 0.0.21, dashboard schema 42.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, timeseries
from grafana_foundation_sdk.builders import heatmap as heatmaps
from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models import prometheus as queries
from grafana_foundation_sdk.models import units

from or_otel.dashboards import labels
from or_otel.dashboards.promql import UNSAID

USD = units.Dollars
SHARE = units.PercentUnit
SECONDS = units.Seconds
COUNT = units.Short
WHOLE_COUNT = "locale"
TIME = units.DateTimeFromNow
FACTOR = "suffix:x"
WHOLE_USD = "currency:financial:$"
"""Dollars and cents that are never shortened to thousands: for figures; axes take `USD`."""
SIGNED_USD = "currency:$"
"""Dollars that may be below zero: the sign stands before the symbol."""
LEAST_TOPS = {USD: 0.01, SHARE: 0.05, SECONDS: 0.1, COUNT: 1.0}
"""How far an axis reaches at least: Grafana would draw one of a hundred for nothing but zeros."""
BARS = 100
"""Of a graph of parts: more would be thinner than what is between them."""

DATASOURCE = shapes.DataSourceRef(type_val="prometheus", uid="${datasource}")
STAT_HEIGHT = 3
WIDE, WIDEST = 12, 24
"""Of the 24 columns: from here on a legend stands beside its graph, short names and long ones."""
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
GREY = "#8e8e8e"
"""Of what is not said: no colour of a model."""
_OUTCOMES = {"ok": "green", "valid": "green", "error": "red", "cancelled": "orange"}
_STATUSES = {"/^2..$/": "green", "/^4..$/": "orange", "/^5..$/": "red"}
MEANING: Mapping[str, Mapping[str, str]] = {
    labels.named(labels.OUTCOME): _OUTCOMES,
    labels.named(labels.TOOL_OUTCOME): _OUTCOMES,
    labels.named(labels.FINISH_REASON): {
        "stop": "green",
        "tool_calls": "blue",
        "length": "orange",
        "content_filter": "purple",
        "error": "red",
    },
    labels.named(labels.STATUS): _STATUSES,
    # Few of many, but mostly the largest: by place two of them would be yellow.
    labels.named(labels.PROVIDER): {
        "OpenAI": "green",
        "Anthropic": "orange",
        "Google AI Studio": "blue",
        "Google": "light-blue",
        "Amazon Bedrock": "yellow",
        "Azure": "purple",
    },
}
"""Legend → name of a series, or a pattern → its colour; other series have one by their place."""


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


def target(query: Query, place: int, *, is_instant: bool, is_table: bool = False, step: str = "") -> Any:
    """One query of a panel, as the data source takes it."""
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


def dressed(panel: Any, *, title: str, says: str, unit: str, empty: str, size: tuple[int, int]) -> Any:
    """Give a panel what every panel has."""
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
    width: int = 4,
    links: Sequence[Link] = (),
) -> Panel:
    """One figure, of now or of the range shown.

    It is asked for at once: the last point of a line would be older by up to a step, hours in a long range.
    """
    panel = stats.Panel().with_target(target(Query(expr=expr), 0, is_instant=True))
    panel = dressed(panel, title=title, says=says, unit=figure(unit), empty=empty, size=(width, STAT_HEIGHT))
    panel = panel.thresholds(_thresholds(steps)).graph_mode(shapes.BigValueGraphMode.NONE)
    panel = panel.color_mode(shapes.BigValueColorMode.VALUE).reduce_options(
        common.ReduceDataOptions().calcs(["lastNotNull"])
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    linked: Panel = _linked(panel, links)
    return linked


def figure(unit: str) -> str:
    """Tell dollars of a figure in full."""
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
    # Beside a graph of half a board the long names of models would take most of its place.
    has_long_names = any(labels.named(labels.MODEL) in query.legend for query in asked)
    wide, height = (WIDEST, height + 2) if has_long_names else (WIDE, height)
    panel = timeseries.Panel()
    for place, query in enumerate(asked):
        panel = panel.with_target(target(query, place, is_instant=False, step=step))
    panel = dressed(panel, title=title, says=says, unit=unit, empty=empty, size=(width, height))
    panel = panel.legend(
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.TABLE)
        .placement(shapes.LegendPlacement.RIGHT if width >= wide else shapes.LegendPlacement.BOTTOM)
        .calcs(list(calcs))
        .sort_by(_CALC_TITLES[calcs[0]])
        .sort_desc(True)
        .show_legend(True)
    ).tooltip(common.VizTooltipOptions().mode(shapes.TooltipDisplayMode.MULTI).sort(shapes.SortOrder.DESCENDING))
    for name, color in {UNSAID: GREY, **MEANING.get(asked[0].legend, {})}.items():
        painted = [models.DynamicConfigValue(id_val="color", value={"mode": "fixed", "fixedColor": color})]
        chosen = panel.override_by_regexp if name.startswith("/") else panel.override_by_name
        panel = chosen(name, painted)
    if is_stacked:
        panel = panel.draw_style(shapes.GraphDrawStyle.BARS).fill_opacity(70).line_width(0)
        panel = panel.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL)).max_data_points(BARS)
    else:
        panel = panel.fill_opacity(0).show_points(shapes.VisibilityMode.AUTO).span_nulls(600000)
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
    """Money in each step, stacked: bars that add up."""
    return graph(
        title,
        f"{says} Their total is of whole steps: the range's first and last minutes may not be in it.",
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
    panel = bargauge.Panel().with_target(target(Query(expr=expr, legend=legend), 0, is_instant=True))
    unit = counted(unit, decimals)
    panel = dressed(panel, title=title, says=says, unit=unit, empty=empty, size=(width, height)).min(0)
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
    panel = dressed(panel, title=title, says=says, unit=unit, empty=empty, size=(width, 8))
    heated: Panel = panel.y_axis(heatmaps.YAxisConfig().unit(unit)).color(
        heatmaps.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Blues").steps(32)
    )
    return heated


def counted(unit: str, decimals: int | None) -> str:
    """Tell a count to the last one, and not in thousands."""
    return WHOLE_COUNT if unit == COUNT and decimals == 0 else unit
