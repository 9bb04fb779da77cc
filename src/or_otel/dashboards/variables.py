"""Variables of boards, and queries narrowed by them.

A board says which variables it has; a query is narrowed by those whose label its series carries, and by no other: a
filter on a label that a metric never has would empty the panel. Every filter matches what lacks the label as long as
"All" is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from or_otel import catalogue
from or_otel.dashboards import labels, rules
from or_otel.dashboards.promql import JOB, Series, by, of, said, tag

RANGE = "$__range"
RATE = "$__rate_interval"
STEP = "$__interval"
ALL = ".*"
TILE = "5m"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top of a board.

    Attributes:
        title: For people.
        label: The label that it narrows.
        series: Whose label values are offered.
        is_multi: Whether several may be chosen, and all.
        among: Matchers of what is offered.
    """

    title: str
    label: str
    series: Series
    is_multi: bool = True
    among: tuple[str, ...] = ()


_CALLS = of(catalogue.CALLS)
SUCCEEDED = f'{labels.OUTCOME}="ok"'
"""A model that never answered is nothing to compare with."""
_KEYS = of(catalogue.KEY_USAGE_LIFETIME)
VARIABLES: Mapping[str, Variable] = {
    "environment": Variable(title="Environment", label=labels.ENVIRONMENT, series=_CALLS),
    "service": Variable(title="Service", label=JOB, series=_CALLS),
    "model": Variable(title="Model", label=labels.MODEL, series=_CALLS),
    "other": Variable(title="Compare with", label=labels.MODEL, series=_CALLS, is_multi=False, among=(SUCCEEDED,)),
    "provider": Variable(title="Provider", label=labels.PROVIDER, series=_CALLS),
    "team": Variable(title="Team", label=labels.TEAM, series=_CALLS),
    "feature": Variable(title="Feature", label=labels.FEATURE, series=_CALLS),
    "company": Variable(title="Company", label=labels.COMPANY, series=_KEYS),
    "key": Variable(title="Key", label=labels.KEY_NAME, series=_KEYS),
    "budget": Variable(title="Budget", label=labels.BUDGET, series=rules.LIMIT),
    "workflow": Variable(title="Workflow", label=labels.WORKFLOW, series=of(catalogue.WORKFLOW_RUNS)),
}
"""Name → variable. Later ones offer what is left after the earlier ones of a board."""
CLIENT_TAGS = frozenset({"team", "feature"})
ACCOUNT_TAGS = frozenset({"team", "company"})
"""Of the tags above: what clients put on calls, and what the settings file puts on keys."""

GROUPINGS: Mapping[str, str] = {
    "model": labels.MODEL,
    "provider": labels.PROVIDER,
    "service": JOB,
    "team": labels.TEAM,
    "feature": labels.FEATURE,
    "customer": tag("customer"),
    "environment": labels.ENVIRONMENT,
    "key": labels.KEY_NAME,
    "app": labels.APP,
}
"""What the attribution board may group by: word for people → label."""
GROUP = "$group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The variables of one board, and its queries.

    Attributes:
        names: Variables, in their order at the top.
    """

    names: tuple[str, ...] = ()

    def matchers(self, series: Series, *more: str) -> tuple[str, ...]:
        """Give the matchers that narrow these series."""
        tags = (CLIENT_TAGS if JOB in series.labels else ACCOUNT_TAGS) if series.has_tags else frozenset()
        mine = tuple(
            f'{VARIABLES[name].label}=~"${name}"'
            for name in self.names
            if VARIABLES[name].is_multi and (VARIABLES[name].label in series.labels or name in tags)
        )
        return (*mine, *more)

    def pick(self, series: Series, *more: str) -> str:
        """Select series by the board's variables and by more matchers."""
        return series.where(*self.matchers(series, *more))

    def total(self, series: Series, *more: str, group: tuple[str, ...] = (), back: str = "") -> str:
        """Give what a recorded counter grew in the range shown, in whole tiles of five minutes.

        Args:
            series: Growth in five minutes.
            more: Matchers.
            group: Labels to keep apart.
            back: How far before, such as `$__range`.
        """
        offset = f" offset {back}" if back else ""
        return f"sum {by(*group)}(sum_over_time({self.pick(series, *more)}[{RANGE}:{TILE}]{offset}))"

    def each(self, series: Series, *more: str, group: tuple[str, ...] = ()) -> str:
        """Give what a recorded counter grew in each step of a graph: the steps add up to the total."""
        return said(f"sum {by(*group)}(sum_over_time({self.pick(series, *more)}[{STEP}:{TILE}]))", *group)

    def per_minute(self, series: Series, *more: str, group: tuple[str, ...] = ()) -> str:
        """Give a recorded counter's growth a minute: of a second little traffic makes unreadable fractions."""
        return said(f"sum {by(*group)}({self.pick(series, *more)}) / 5", *group)

    def hourly_share(self, series: Series, part: str, *more: str, group: tuple[str, ...] = ()) -> str:
        """Give which share of the hour before each moment has a matcher; of five minutes one call in two is 50 %."""
        picked, whole = (
            f"sum_over_time({self.pick(series, *matchers)}[1h:{TILE}])" for matchers in ((*more, part), more)
        )
        if group:
            return f"sum {by(*group)}({picked})\n/ on () group_left () (sum({whole}) > 0)"
        return ratio(f"(sum({picked}) or sum({whole}) * 0)", f"sum({whole})")

    def quantile(
        self, share: float, row: catalogue.Metric, *more: str, group: tuple[str, ...] = (), window: str = RATE
    ) -> str:
        """Give a quantile of a histogram, from summed buckets."""
        buckets = self.pick(of(row, "_bucket"), *more)
        # Where nothing was counted a quantile is no number; the comparison leaves it out.
        return f"histogram_quantile({share}, sum {by('le', *group)}(rate({buckets}[{window}]))) >= 0"

    def mean(self, row: catalogue.Metric, *more: str, group: tuple[str, ...] = (), window: str = RATE) -> str:
        """Give the mean of a histogram: the sums divided, never a mean of means."""
        total, count = (self.pick(of(row, part), *more) for part in ("_sum", "_count"))
        grouping = by(*group)
        return f"sum {grouping}(rate({total}[{window}])) / (sum {grouping}(rate({count}[{window}])) > 0)"

    def buckets(self, row: catalogue.Metric) -> str:
        """Give how a histogram's buckets grew; a boundary of 1 is `1` when pushed and `1.0` when scraped."""
        grown = f"increase({self.pick(of(row, '_bucket'))}[{RATE}])"
        return f'sum by (le) (label_replace({grown}, "le", "$1", "le", "(.+)\\\\.0"))'

    def count(self, row: catalogue.Metric, *more: str, group: tuple[str, ...] = (), window: str = RATE) -> str:
        """Give how many a histogram counted."""
        return f"sum {by(*group)}(increase({self.pick(of(row, '_count'), *more)}[{window}]))"


def latest(series: Series, *matchers: str, group: tuple[str, ...] = ()) -> str:
    """Give gauges of the account over a missed scrape or two, the same from whichever exporter."""
    return f"max {by(*group)}(last_over_time({series.where(*matchers)}[5m]))"


def ratio(part: str, whole: str) -> str:
    """Divide, and give nothing where there is nothing to divide by."""
    return f"{part}\n/ ({whole} > 0)"
