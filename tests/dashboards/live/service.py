"""A watched program that lives in simulated time, and the parent's hold on it.

The child reads orders from standard input, one JSON object a line: `{"at_s": …, "scenes": …}` plays so many scenes a
minute before that time and then exports everything as of that time. A `push` service exports by OTLP straight to
Prometheus, a `scrape` service as its page would have been kept, a `job` service is a new process at each order.
Answered with one line when it is there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

REAL = time.perf_counter
SPEED = 150
"""A simulated model answers in milliseconds; its watchers see seconds."""


class Clock:
    """Simulated time, put in the place of the process' own before anybody takes that."""

    def __init__(self):
        self.at_s = time.time()

    def install(self):
        time.time = lambda: self.at_s
        time.time_ns = lambda: round(self.at_s * 1000) * 1_000_000
        time.perf_counter = lambda: REAL() * SPEED


class Service:
    """The parent's hold: orders out, answers in."""

    def __init__(self, name: str, lane: str, *, base_url: str, prometheus_url: str, config: Path, environment: str):
        self.name = name
        chosen = {
            "name": name,
            "lane": lane,
            "base_url": base_url,
            "prometheus_url": prometheus_url,
            "environment": environment,
        }
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        here = Path(__file__).resolve().parent
        self._process = subprocess.Popen(
            [sys.executable, "-m", "live.service", json.dumps(chosen)],
            env={**kept, "OR_OTEL_CONFIG": str(config), "PYTHONPATH": str(here.parent), "OTEL_SERVICE_NAME": name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, at_s: float, scenes: int) -> None:
        """Tell it to live on until a time; do not wait."""
        self._process.stdin.write(json.dumps({"at_s": at_s, "scenes": scenes}) + "\n")
        self._process.stdin.flush()

    def done(self) -> None:
        """Wait for its answer.

        Raises:
            RuntimeError: It has ended; its own words stand on standard error.
        """
        if not self._process.stdout.readline():
            raise RuntimeError(f"the service {self.name} ended with {self._process.wait()}")

    def stop(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


# In the child ---------------------------------------------------------------------------------------------------------


def main(chosen):
    """Live."""
    clock = Clock()
    clock.install()

    import random  # noqa: PLC0415 -- everything below takes its time from the clock
    import uuid  # noqa: PLC0415

    from live.scenes import all_scenes, play, stage_at  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from prometheus_client import REGISTRY  # noqa: PLC0415

    from live.prometheus import Prometheus, scraped  # noqa: PLC0415

    import or_otel  # noqa: PLC0415

    prometheus = Prometheus(chosen["prometheus_url"])
    never_ms = 10_000_000
    is_scraped = chosen["lane"] == "scrape"

    def begin():
        resource = Resource(
            {
                "service.name": chosen["name"],
                "service.version": "1.0",
                "service.instance.id": str(uuid.UUID(int=chance.getrandbits(128))),
            }
        )
        if is_scraped:
            reader = PrometheusMetricReader()
        else:
            exporter = OTLPMetricExporter(f"{chosen['prometheus_url']}/api/v1/otlp/v1/metrics", timeout=60)
            reader = PeriodicExportingMetricReader(exporter, never_ms)
        provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        host = chosen["base_url"].split("/")[2]
        or_otel.instrument(
            meter_provider=provider,
            hosts={host: "openrouter"},
            metric_tags=("team", "feature", "customer"),
            reconcile="missing",
        )
        return provider

    def export(provider):
        or_otel.flush(5)
        if is_scraped:
            target = {"job": chosen["name"], "instance": f"{chosen['name']}:8000"}
            kept = scraped(REGISTRY.collect(), target)
            prometheus.write({labels: [(clock.at_s, value)] for labels, value in kept})
        else:
            assert provider.force_flush(60_000)

    chance = random.Random(chosen["name"])
    scenes = list(all_scenes())
    weights = [weight for *_, weight in scenes]
    provider = None
    with stage_at(chosen["base_url"], chance) as stage:
        for line in sys.stdin:
            order = json.loads(line)
            provider = provider or begin()
            clock.at_s = order["at_s"] - 60
            for scene, team, feature, _ in chance.choices(scenes, weights, k=order["scenes"]):
                play(stage, scene, team, feature, chosen["environment"])
            clock.at_s = order["at_s"]
            export(provider)
            if chosen["lane"] == "job":
                or_otel.uninstrument()
                provider.shutdown()
                provider = None
            print("done", flush=True)
    if provider is not None:
        or_otel.uninstrument()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
