"""A watched program: orders in, calls out, and what they come to sent on as its lane does.

Everything here takes its time from the clock, which stands in the place of the real one before this is imported.
"""

from __future__ import annotations

import json
import random
import sys
import uuid
from collections import Counter

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider, ObservableCounter
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import REGISTRY

import or_otel
from live.prometheus import Prometheus, scraped
from live.scenes import STAGED, UNUSUAL, all_scenes, play, stage_at
from or_otel.facts import Usage
from or_otel.simulator.account import SEARCH_KEY, SUPPORT_KEY
from or_otel.simulator.book import fingerprint

OTLP_PATH = "/api/v1/otlp/v1/metrics"
NEVER_MS = 10_000_000
OFTEN_MS = 10_000
FLUSH_MS = 60_000
BEFORE_S = 240
FEW_SETS = 25
"""Limit of the SDK in the program that sends to the collector: its money and tokens have more sets, its calls fewer."""
ENVIRONMENTS = {"job": "staging"} | dict.fromkeys(("scrape", "push", "collector", "troubled"), "production")


def counted(record) -> Counter:
    """Give what one call adds to the counts that boards are held against."""
    usage = record.usage or Usage()
    return Counter(
        {
            "calls": 1,
            f"{record.outcome} calls": 1,
            "fell back": record.route.fallback in {"provider", "model"},
            "unpriced": record.unpriced is not None and not record.is_awaited,
            "attempts": len(record.attempts),
            "tool calls": sum(
                (record.tool_calls.valid, record.tool_calls.invalid_json, record.tool_calls.unknown_tool)
            ),
            "replayed": record.is_response_cache_hit is True,
            "violations": len(record.violated),
            "tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
            "cached tokens": usage.cache_read_tokens or 0,
        }
    )


class FailingPlugin(SpanProcessor):
    """A foreign span processor that fails at each span, inside of whoever starts one.

    Attributes:
        failed: How often it did.
    """

    def __init__(self):
        self.failed = 0

    def on_start(self, span, parent_context=None):
        """Fail."""
        del span, parent_context
        self.failed += 1
        raise RuntimeError("a plug-in of somebody else")


class Program:
    """One service, and the processes it has been.

    Args:
        chosen: Name, lane, where to ask and where to send; see `Service`.
        clock: Tells and is told the time.
    """

    def __init__(self, chosen, clock):
        self.name, self.lane, self.url = chosen["name"], chosen["lane"], chosen["url"]
        self._base_url, self._ledger = chosen["base_url"], chosen["ledger"]
        self._clock = clock
        self._chance = random.Random(self.name)
        self._providers = ()
        self._plugin = FailingPlugin()
        self._counts = Counter()
        or_otel.on_call(lambda record: self._counts.update(counted(record)))

    def run(self):
        """Live from order to order."""
        scenes = list(all_scenes(is_priced_at_once=self.lane == "collector"))
        weights = [weight for *_, weight in scenes]
        with stage_at(self._base_url, self._chance, self.name) as stage:
            for line in sys.stdin:
                order = json.loads(line)
                if not self._providers:
                    self._begin()
                # After the step before, and not yet at this one: what is spent belongs to it.
                self._clock.run(order["at_s"] - BEFORE_S, order["at_s"] - 1)
                named = [each for each in (*scenes, *UNUSUAL) if each[0].__name__.lstrip("_") in order["more"]]
                for scene, team, feature, _ in (*self._chance.choices(scenes, weights, k=order["scenes"]), *named):
                    play(stage, scene, team, feature, ENVIRONMENTS[self.lane])
                self._clock.run(order["at_s"], order["at_s"])
                self._export()
                if self.lane == "job":
                    self._end()
                faults, self._plugin.failed = self._plugin.failed, 0
                sys.stdout.write(json.dumps(self._counts + STAGED + Counter({"faults": faults})) + "\n")
                sys.stdout.flush()
                self._counts.clear()
                STAGED.clear()
        self._end()

    def _begin(self):
        instance = str(uuid.UUID(int=self._chance.getrandbits(128)))
        resource = Resource({"service.name": self.name, "service.version": "1.0", "service.instance.id": instance})
        metrics = MeterProvider([self._reader()], resource=resource, shutdown_on_exit=False)
        traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
        if self.lane == "collector":
            traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(self.url + "/v1/traces")))
            logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(self.url + "/v1/logs")))
        if self.lane == "troubled":
            traces.add_span_processor(self._plugin)
        self._providers = (traces, metrics, logs)
        or_otel.instrument(
            tracer_provider=traces,
            meter_provider=metrics,
            logger_provider=logs,
            hosts={self._base_url.split("/")[2]: "openrouter"},
            metric_tags=("team", "feature", "customer"),
            key_names={fingerprint(SEARCH_KEY): "search", fingerprint(SUPPORT_KEY): "support"},
            # What nobody asks for later stays unpriced.
            reconcile="off" if self.lane == "troubled" else "missing",
            ledger=self._ledger,
        )

    def _reader(self):
        if self.lane == "scrape":
            return PrometheusMetricReader()
        if self.lane != "collector":
            return PeriodicExportingMetricReader(OTLPMetricExporter(self.url + OTLP_PATH, timeout=60), NEVER_MS)
        # It lives now, and so long as others live through their weeks.
        exporter, limits = OTLPMetricExporter(self.url + "/v1/metrics"), {ObservableCounter: FEW_SETS}
        return PeriodicExportingMetricReader(exporter, OFTEN_MS, cardinality_limits=limits)

    def _export(self):
        or_otel.flush(5)
        if self.lane == "scrape":
            target = {"job": self.name, "instance": f"{self.name}:8000"}
            kept = scraped(REGISTRY.collect(), target)
            Prometheus(self.url).write({labels: [(self._clock.now_s(), value)] for labels, value in kept})
        else:
            for provider in self._providers:
                assert provider.force_flush(FLUSH_MS)

    def _end(self):
        if self._providers:
            or_otel.uninstrument()
            if self.lane != "scrape":
                for provider in self._providers:
                    provider.shutdown()
        self._providers = ()
