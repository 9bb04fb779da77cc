"""A watched program that lives in simulated time, and the parent's hold on it.

The child reads orders from standard input, one JSON object a line: `{"at_s": …, "scenes": …, "more": […]}` plays scenes
before that time and then exports everything as of that time. A `push` service exports by OTLP straight to
Prometheus, a `scrape` service as its page would have been kept, a `job` service is a new process at each order. A
`collector` service lives now, and sends spans, metrics and events to the collector. A `troubled` one pushes, and loses
much. Answered, when it is there, with what its own records counted: a JSON object a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

REAL = time.perf_counter
SPEED = 150
"""A simulated model answers in milliseconds; its watchers see seconds."""


class Clock:
    """Simulated time, put in the place of the process' own before anybody takes that."""

    def __init__(self):
        self._begun_s, self._begin_s, self._end_s = REAL(), time.time(), float("inf")

    def install(self):
        time.time = self.now_s
        time.time_ns = lambda: round(self.now_s() * 1000) * 1_000_000
        time.perf_counter = lambda: REAL() * SPEED

    def now_s(self):
        """Give Unix time."""
        return min(self._begin_s + (REAL() - self._begun_s) * SPEED, self._end_s)

    def run(self, begin_s, end_s):
        """Go on from a time, and stop at another."""
        self._begun_s, self._begin_s, self._end_s = REAL(), begin_s, end_s


class Service:
    """The parent's hold: orders out, answers in."""

    def __init__(self, name: str, lane: str, *, base_url: str, url: str, config: Path, ledger: Path):
        self.name = name
        # `url`: of Prometheus; of the collector's OTLP receiver where that is the lane.
        chosen = {"name": name, "lane": lane, "base_url": base_url, "url": url, "ledger": str(ledger)}
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
        here = Path(__file__).resolve().parent
        self._process = subprocess.Popen(
            [sys.executable, "-m", "live.service", json.dumps(chosen)],
            env={**kept, "OR_OTEL_CONFIG": str(config), "PYTHONPATH": str(here.parent), "OTEL_SERVICE_NAME": name},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, at_s: float, scenes: int, *more: str) -> None:
        """Tell it to live on until a time, with so many scenes that chance chooses and more by name; do not wait."""
        self._process.stdin.write(json.dumps({"at_s": at_s, "scenes": scenes, "more": more}) + "\n")
        self._process.stdin.flush()

    def done(self) -> Mapping[str, int]:
        """Wait for its answer.

        Raises:
            RuntimeError: It has ended; its own words stand on standard error.
        """
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the service {self.name} ended with {self._process.wait()}")
        return json.loads(answer)

    def stop(self) -> None:
        """End it."""
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


# In the child ---------------------------------------------------------------------------------------------------------


def main(chosen):
    """Live."""
    clock = Clock()
    if chosen["lane"] != "collector":
        clock.install()
    from live.program import Program  # noqa: PLC0415 -- what it imports may keep the time it finds

    Program(chosen, clock).run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
