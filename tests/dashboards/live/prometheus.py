"""A real Prometheus on loopback: questions, and samples of any time written into it.

Format of remote write: https://prometheus.io/docs/specs/prw/remote_write_spec/ (1.0: one protobuf message, snappy).
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from prometheus_client.core import Metric

ROOT = Path(__file__).resolve().parents[3]
Labels = tuple[tuple[str, str], ...]
"""Sorted pairs, the name as `__name__`."""
BATCH = 2_000
"""Series of one request."""
PATIENCE_S = 60


def load(path):
    """Import a program of the repository that is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


native = load(ROOT / "stack" / "native.py")


class LongMemory(native.Stack):
    """The shipped stack, but that it takes samples of the last weeks, and asks itself often."""

    def __init__(self, folder, *, rules):
        super().__init__(folder, ports=native.Ports.free(), rules=rules)
        self.replace("prometheus.yml", "out_of_order_time_window: 1d", "out_of_order_time_window: 60d")
        self.replace("prometheus.yml", "scrape_interval: 30s", "scrape_interval: 2s")

    def replace(self, name, old, new):
        """Change a configuration file."""
        text = (self.folder / name).read_text()
        assert old in text, old
        (self.folder / name).write_text(text.replace(old, new))

    def command(self, part):
        more = ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=90d"]
        return [*super().command(part), *(more if part == "prometheus" else ())]


def labels_of(name: str, labels: Mapping[str, str]) -> Labels:
    """Give what names a series; an empty label is none."""
    return tuple(sorted({"__name__": name, **{key: value for key, value in labels.items() if value}}.items()))


def scraped(families: Iterable[Metric], target: Mapping[str, str]) -> Iterator[tuple[Labels, float]]:
    """Give what a scrape of a page keeps: the samples of its families with the target's labels."""
    for family in families:
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield labels_of(sample.name, {**sample.labels, **target}), float(sample.value)


class Prometheus:
    """Asks and writes.

    Args:
        url: Of the server.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def api(self, path: str, **parameters: object):
        """Give what the API answers.

        Raises:
            ValueError: It refuses; with what it says.
        """
        body = urllib.parse.urlencode(parameters, doseq=True).encode() if parameters else None
        # By POST, as Grafana does: a query may be longer than an address.
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=body)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(f"{parameters.get('query')}: {error.read().decode()}") from error

    def ask(self, expr: str, at_s: float) -> list[tuple[dict[str, str], float]]:
        """Give labels and values at a time."""
        found = self.api("query", query=expr, time=at_s)
        if found["resultType"] == "scalar":
            return [({}, float(found["result"][1]))]
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    def total(self, expr: str, at_s: float) -> float | None:
        """Give the sum of what answers; None for nothing."""
        found = self.ask(expr, at_s)
        return sum(value for _, value in found) if found else None

    def over(self, expr: str, start_s: float, end_s: float, step_s: float) -> list[tuple[dict[str, str], list]]:
        """Give labels and (time, value) pairs over a time."""
        found = self.api("query_range", query=expr, start=start_s, end=end_s, step=step_s)
        return [
            (each["metric"], [(float(at_s), float(value)) for at_s, value in each["values"]])
            for each in found["result"]
        ]

    def wait_for(self, expr: str, expected: float) -> None:
        """Wait until the sum of what answers now is this.

        Raises:
            RuntimeError: It never was.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while not math.isclose((found := self.total(expr, time.time())) or 0, expected, rel_tol=1e-9):
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{expr}: {found}, not {expected}")
            time.sleep(0.2)

    def write(self, series: Mapping[Labels, Iterable[tuple[float, float]]]) -> None:
        """Write samples: series → (Unix time, value) pairs, oldest first."""
        names = list(series)
        for begin in range(0, len(names), BATCH):
            request = WriteRequest()
            for name in names[begin : begin + BATCH]:
                one = request.timeseries.add()
                for key, value in name:
                    one.labels.add(name=key, value=value)
                for at_s, value in series[name]:
                    one.samples.add(value=value, timestamp=round(at_s * 1000))
            self._post("write", bytes(cramjam.snappy.compress_raw(request.SerializeToString())))

    def _post(self, path: str, body: bytes) -> None:
        headers = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        request = urllib.request.Request(f"{self.url}/api/v1/{path}", data=body, headers=headers, method="POST")
        try:
            urllib.request.urlopen(request, timeout=60).close()
        except urllib.error.HTTPError as error:
            raise ValueError(error.read().decode()) from error


def _messages():
    """Describe the messages of remote write 1.0 that are used here."""
    file = descriptor_pb2.FileDescriptorProto(name="remote_write.proto", package="or_otel_tests", syntax="proto3")
    field = descriptor_pb2.FieldDescriptorProto
    for message, fields in {
        "Label": (("name", 1, field.TYPE_STRING, ""), ("value", 2, field.TYPE_STRING, "")),
        "Sample": (("value", 1, field.TYPE_DOUBLE, ""), ("timestamp", 2, field.TYPE_INT64, "")),
        "TimeSeries": (("labels", 1, field.TYPE_MESSAGE, "Label"), ("samples", 2, field.TYPE_MESSAGE, "Sample")),
        "WriteRequest": (("timeseries", 1, field.TYPE_MESSAGE, "TimeSeries"),),
    }.items():
        described = file.message_type.add(name=message)
        for name, number, kind, of in fields:
            label = field.LABEL_REPEATED if of else field.LABEL_OPTIONAL
            described.field.add(
                name=name, number=number, type=kind, label=label, type_name=f".or_otel_tests.{of}" if of else None
            )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("or_otel_tests.WriteRequest"))


WriteRequest = _messages()
