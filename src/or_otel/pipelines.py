"""SDK providers of our own, for `start()` and `or-otel run`; the only importer of the SDK on the host's side.

The exporters come from the standard `OTEL_*` variables. Ours differ from the SDK's
defaults where short-lived and forking programs lose money by them: a random
`service.instance.id` per process, short delays, an end within seconds even when nobody
listens, and nothing sent again by a forked child that inherited the sums.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

EXPORT_TIMEOUT_S = 2
"""The SDK's 10 s would hold a program at its end for 12 s when the collector is down (measured)."""
SPAN_DELAY_MS = 1_000
METRIC_INTERVAL_MS = 10_000
ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipelines:
    """Three providers of one process.

    Attributes:
        tracer_provider, meter_provider, logger_provider: None where the signal goes nowhere.
    """

    tracer_provider: TracerProvider | None = None
    meter_provider: MeterProvider | None = None
    logger_provider: LoggerProvider | None = None

    def flush(self, timeout_s: float) -> bool:
        """Export what is waiting, money first; on this thread. False when time ran out.

        A signal whose turn comes after the deadline is left out: its endpoint is most likely as dead as the first.
        """
        deadline_s = time.monotonic() + timeout_s
        done = True
        for provider in (self.meter_provider, self.tracer_provider, self.logger_provider):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            if provider is not None:
                done = provider.force_flush(int(left_s * 1000)) and done
        return done


def is_configured(environ: Mapping[str, str]) -> bool:
    """Whether the environment names somewhere to send to."""
    if any(environ.get(name) for name in ENDPOINTS):
        return True
    return any(set(_names(environ, f"OTEL_{signal}_EXPORTER")) - {"none"} for signal in ("TRACES", "METRICS", "LOGS"))


def build(
    environ: Mapping[str, str],
    *,
    readers: tuple[MetricReader, ...] = (),
    service_name: str | None = None,
) -> Pipelines:
    """Build providers as `OTEL_*` says; signals without an exporter get no provider.

    Args:
        environ: Such as `os.environ`.
        readers: Metric readers beside the configured exporter.
        service_name: When `OTEL_SERVICE_NAME` is not set.

    Raises:
        ValueError: An exporter or protocol is named that we do not know; the message says which are known.
    """
    resource = _resource(environ, service_name)
    exporters = {signal: _exporters(environ, signal) for signal in ("TRACES", "METRICS", "LOGS")}
    tracer_provider = meter_provider = logger_provider = None
    if exporters["TRACES"]:
        tracer_provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in exporters["TRACES"]:
            delay = _milliseconds(environ, "OTEL_BSP_SCHEDULE_DELAY", SPAN_DELAY_MS)
            tracer_provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=delay))
    all_readers: list[MetricReader] = list(readers)
    for exporter in exporters["METRICS"]:
        interval = _milliseconds(environ, "OTEL_METRIC_EXPORT_INTERVAL", METRIC_INTERVAL_MS)
        all_readers.append(PeriodicExportingMetricReader(_OwnProcessOnly(exporter), interval))
    if all_readers:
        meter_provider = MeterProvider(all_readers, resource=resource, shutdown_on_exit=False)
    if exporters["LOGS"]:
        logger_provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
        for exporter in exporters["LOGS"]:
            processor = BatchLogRecordProcessor(exporter, schedule_delay_millis=SPAN_DELAY_MS)
            logger_provider.add_log_record_processor(processor)
    return Pipelines(tracer_provider=tracer_provider, meter_provider=meter_provider, logger_provider=logger_provider)


def metric_exporters(environ: Mapping[str, str], service_name: str) -> tuple[tuple[MetricExporter, ...], Resource]:
    """Give the configured exporters of metrics themselves, for who has metrics without instruments.

    Raises:
        ValueError: An exporter or protocol is named that we do not know; the message says which are known.
    """
    return tuple(_exporters(environ, "METRICS")), _resource(environ, service_name)


def flush_within(pipelines: Pipelines, timeout_s: float) -> bool:
    """Flush on a thread of its own and abandon it at the timeout; on this thread when the interpreter is ending."""
    result: list[bool] = []
    thread = threading.Thread(
        target=lambda: result.append(pipelines.flush(timeout_s)), name="or-otel-flush", daemon=True
    )
    try:
        thread.start()
    except RuntimeError:  # no new thread at interpreter shutdown (3.12+); the exporters' own timeout bounds this
        return pipelines.flush(timeout_s)
    thread.join(timeout_s)
    return bool(result) and result[0]


def _resource(environ: Mapping[str, str], service_name: str | None) -> Resource:
    attributes: dict[str, Any] = {"service.instance.id": str(uuid.uuid4())}
    resource = Resource.create()
    named = environ.get("OTEL_SERVICE_NAME") or (
        "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "") and resource.attributes.get("service.name")
    )
    if not named:
        attributes["service.name"] = service_name or default_service_name()
    return resource.merge(Resource(attributes))


def default_service_name() -> str:
    """Name a program after its script, else after Python."""
    script = os.path.basename(sys.argv[0]) if sys.argv and sys.argv[0] not in {"-c", "-m"} else ""  # noqa: PTH119
    return os.path.splitext(script)[0] or "python"  # noqa: PTH122


def _names(environ: Mapping[str, str], variable: str) -> list[str]:
    return [name for part in environ.get(variable, "").split(",") if (name := part.strip().lower())]


def _milliseconds(environ: Mapping[str, str], variable: str, default: int) -> float:
    told = environ.get(variable, "").strip()
    if not told:
        return default
    try:
        number = float(told)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise ValueError(f"{variable}={told[:40]!r}: expected milliseconds above 0")
    return number


def _exporters(environ: Mapping[str, str], signal: str) -> list[Any]:
    names = _names(environ, f"OTEL_{signal}_EXPORTER")
    if not names:
        has_endpoint = environ.get(ENDPOINTS[0]) or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        names = ["otlp"] if has_endpoint else []
    made: list[Any] = []
    for name in names:
        if name == "otlp":
            made.append(_otlp(environ, signal))
        elif name == "console":
            made.append(_console(signal))
        elif name != "none":
            raise ValueError(f"OTEL_{signal}_EXPORTER={name!r}: expected otlp, console or none")
    return made


def _otlp(environ: Mapping[str, str], signal: str) -> Any:
    protocol = (
        environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL")
        or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )
    timeout = EXPORT_TIMEOUT_S
    if environ.get("OTEL_EXPORTER_OTLP_TIMEOUT") or environ.get(f"OTEL_EXPORTER_OTLP_{signal}_TIMEOUT"):
        timeout = None  # type: ignore[assignment]  # the exporter reads the variable itself
    # Imported where they are used: gRPC alone costs more to import than the rest of the SDK.
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (  # noqa: PLC0415
            OTLPMetricExporter as GrpcMetrics,
        )
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter as GrpcSpans,
        )

        return {"TRACES": GrpcSpans, "METRICS": GrpcMetrics, "LOGS": GrpcLogs}[signal](timeout=timeout)
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

        return {"TRACES": OTLPSpanExporter, "METRICS": OTLPMetricExporter, "LOGS": OTLPLogExporter}[signal](
            timeout=timeout
        )
    raise ValueError(f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol!r}: expected http/protobuf or grpc")


def _console(signal: str) -> Any:
    if signal == "TRACES":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter()
    if signal == "METRICS":
        from opentelemetry.sdk.metrics.export import ConsoleMetricExporter  # noqa: PLC0415

        return ConsoleMetricExporter()
    from opentelemetry.sdk._logs import export  # noqa: PLC0415

    # Renamed in 1.39; both names have been in the field.
    name = "ConsoleLogRecordExporter" if hasattr(export, "ConsoleLogRecordExporter") else "ConsoleLogExporter"
    return getattr(export, name)()


class _OwnProcessOnly(MetricExporter):
    """Sends for the process that made it only.

    A forked child inherits the sums with the reader and would report its parent's spend a
    second time under a new instance id; it gets pipelines of its own instead.
    """

    def __init__(self, inner: MetricExporter) -> None:
        super().__init__(
            preferred_temporality=inner._preferred_temporality,  # noqa: SLF001 -- the SDK gives no public way
            preferred_aggregation=inner._preferred_aggregation,  # noqa: SLF001
        )
        self._inner = inner
        self._pid = os.getpid()

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export, in the process that made this."""
        if os.getpid() != self._pid:
            return MetricExportResult.SUCCESS
        return self._inner.export(metrics_data, timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Flush the exporter behind."""
        return self._inner.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Shut the exporter behind down."""
        self._inner.shutdown(timeout_millis=timeout_millis, **kwargs)
