"""Pieces of PromQL: catalogue rows and recorded series in, expressions out.

Knows no rule, alert or board. A metric's name is written by `catalogue.prometheus_name` alone, so a renamed metric
is renamed in every query, and a removed one breaks the import. Grammar: https://prometheus.io/docs/prometheus/latest/querying/basics/
(2.42 understands everything here).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from or_otel import catalogue, semconv
from or_otel.catalogue import Metric

JOB = "job"
"""Label of the service: OTLP's `service.name` (with `service.namespace/` before it), a scrape's `job`."""
INSTANCE = "instance"
SOURCE = "source"
"""Label of recorded money: which pipeline it came from."""
LE = "le"

PROCESS_LABELS = (
    INSTANCE,
    "service_instance_id",
    "service_version",
    "host_name",
    "k8s_pod_name",
    "pod",
    "process_pid",
    "otel_scope_name",
    "otel_scope_version",
    "otel_scope_schema_url",
)
"""Labels that tell one process or release from another; recorded series leave them out."""

UNSAID = "not said"
"""Stands for a label that series lack."""
LOOKBACK = "1d"
"""How long a process may be silent and still go on where it was; longer, and its whole counter counts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Series that a query may name.

    Attributes:
        name: Its name in Prometheus.
        labels: Labels it may carry, tags aside; `job` only where it names a service of the owner.
        has_tags: Whether it carries attribution tags too.
    """

    name: str
    labels: frozenset[str]
    has_tags: bool = False

    def where(self, *matchers: str) -> str:
        """Select by matchers such as `job="api"`."""
        return f"{self.name}{{{', '.join(matchers)}}}" if matchers else self.name


def label(attribute: str) -> str:
    """Give an attribute's label."""
    return catalogue.prometheus_label(attribute)


def tag(name: str) -> str:
    """Give the label of an attribution tag."""
    return label(semconv.OPENROUTER_TAG_PREFIX + name)


def of(row: Metric, part: Literal["", "_bucket", "_sum", "_count"] = "") -> Series:
    """Give the raw series of a metric; for a histogram one of its parts."""
    if (row.kind == "histogram") != bool(part):
        raise ValueError(f"{row.name} is a {row.kind}: a part belongs to histograms, and to every histogram")
    labels = {label(attribute) for attribute in row.attributes if attribute != catalogue.TAGS}
    # What the exporter tells has the exporter's `job`, which is no service of the owner.
    service = set() if row.source == "exporter" else {JOB}
    return Series(
        name=catalogue.prometheus_name(row) + part,
        labels=frozenset(labels | service | {INSTANCE} | ({LE} if part == "_bucket" else set())),
        has_tags=catalogue.TAGS in row.attributes,
    )


def by(*labels: str) -> str:
    """Write the grouping of an aggregation; nothing for one group."""
    return f"by ({', '.join(labels)}) " if labels else ""


def said(expression: str, *labels: str) -> str:
    """Name what lacks labels that a graph or table tells apart: a legend would call it `Value`."""
    for label in labels:
        expression = f'label_replace({expression}, "{label}", "{UNSAID}", "{label}", "")'
    return expression


def exact_increase(selected: str, window: str) -> str:
    """Give what counters of processes grew in a window, first samples included.

    `increase` never sees the first sample of a series, so it counts a job that exports once as nothing, and
    extrapolates what it sees. This is the value now, minus the value at the window's start if the series existed then
    and nothing in the window is lower, else minus nothing. A counter that fell inside the window goes to `increase`.
    A base that is higher than the window's lowest value means a restart on the edge: then all of it is new.
    """
    last = f"last_over_time({selected}[{window}])"
    return (
        f"(increase({selected}[{window}]) and resets({selected}[{window}]) > 0)\n"
        "or\n"
        f"({last} - (last_over_time({selected}[{LOOKBACK}] offset {window})"
        f" <= min_over_time({selected}[{window}]) or {last} * 0))"
    )


def exact_growth(selected: str, window: str) -> str:
    """Give what lifetime totals kept elsewhere grew in a window.

    Unlike a process' counter such a total is old when it is first seen: it counts only where its job was seen before
    the window, so that starting the exporter books nothing. A total that fell books nothing either.
    """
    last = f"last_over_time({selected}[{window}])"
    before = f"last_over_time({selected}[{LOOKBACK}] offset {window})"
    return f"clamp_min({last} - ({before} or {last} * 0), 0)\nand on ({JOB}) count by ({JOB}) ({before})"


def indented(expression: str, depth: int = 2) -> str:
    """Indent every line."""
    return "\n".join(" " * depth + line for line in expression.splitlines())
