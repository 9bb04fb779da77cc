"""Readings → OTLP, every now and then, by the exporters of the SDK.

Data points are made from the readings of the moment; no meter stands in between, for the reason that `page` gives.
Lifetime totals are gauges: a counter with a start time would look like a spike of the whole past at the start of the
exporter. Where to send comes from the standard `OTEL_*` variables.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from or_otel import catalogue
from or_otel.account.readings import Reading
from or_otel.guard import wall
from or_otel.pipelines import metric_exporters

SCOPE = "or_otel"
SERVICE_NAME = "or-otel-exporter"
INTERVAL_S = 30.0
"""The account is asked every minute: more often tells nothing new."""
EXPORT_TIMEOUT_MS = 5_000
LAST_SEND_S = 1.0


class Push:
    """Sends on a thread of its own.

    Args:
        environ: Such as `os.environ`; says where to.
        read: Gives the readings of the moment.
        version: Of the instrumentation scope.

    Raises:
        ValueError: A variable says something that is not known.
    """

    def __init__(self, environ: Mapping[str, str], read: Callable[[], Iterable[Reading]], *, version: str) -> None:
        chosen = dict(environ)
        # An empty variable is an unset one.
        chosen["OTEL_METRICS_EXPORTER"] = chosen.get("OTEL_METRICS_EXPORTER") or "otlp"
        self._exporters, self._resource = metric_exporters(chosen, SERVICE_NAME)
        self._interval_s = _interval_s(environ)
        self._read = read
        self._scope = InstrumentationScope(SCOPE, version)
        self._started_ns = time.time_ns()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="or-otel-push", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send once more, and no more; waits a second for it, the end of the process being waited for as well."""
        self._stop.set()
        self._thread.join(LAST_SEND_S)

    def send(self) -> None:
        """Send once."""
        with wall("exporter.push"):
            data = metrics_data(
                self._read(), self._resource, self._scope, started_ns=self._started_ns, now_ns=time.time_ns()
            )
            if data.resource_metrics[0].scope_metrics[0].metrics:
                for exporter in self._exporters:
                    exporter.export(data, timeout_millis=EXPORT_TIMEOUT_MS)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.send()
        self.send()


def _interval_s(environ: Mapping[str, str]) -> float:
    told = environ.get("OTEL_METRIC_EXPORT_INTERVAL", "").strip()
    if not told:
        return INTERVAL_S
    if not told.isdecimal() or int(told) == 0:
        raise ValueError(f"OTEL_METRIC_EXPORT_INTERVAL={told!r}: expected milliseconds above 0")
    return int(told) / 1000


def metrics_data(
    readings: Iterable[Reading],
    resource: Resource,
    scope: InstrumentationScope,
    *,
    started_ns: int,
    now_ns: int,
) -> MetricsData:
    """Put readings into the shape that exporters take."""
    points: dict[catalogue.Metric, list[NumberDataPoint]] = {}
    for reading in readings:
        is_counter = reading.metric.kind == "observable_counter"
        value = float(reading.value) if isinstance(reading.value, Decimal) else reading.value
        points.setdefault(reading.metric, []).append(
            NumberDataPoint(
                attributes=dict(reading.attributes),
                start_time_unix_nano=started_ns if is_counter else None,  # type: ignore[arg-type]
                time_unix_nano=now_ns,
                value=value,
            )
        )
    metrics = [_metric(metric, found) for metric, found in points.items()]
    scoped = ScopeMetrics(scope=scope, metrics=metrics, schema_url="")
    return MetricsData(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scoped], schema_url="")])


def _metric(metric: catalogue.Metric, points: Sequence[NumberDataPoint]) -> Metric:
    data: Sum | Gauge
    if metric.kind == "observable_counter":
        data = Sum(data_points=points, aggregation_temporality=AggregationTemporality.CUMULATIVE, is_monotonic=True)
    else:
        data = Gauge(data_points=points)
    return Metric(name=metric.name, description=metric.description, unit=metric.unit, data=data)
