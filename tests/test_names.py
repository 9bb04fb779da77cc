"""Rules that all names keep, over the whole package."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from or_otel import catalogue, semconv
from or_otel.sensors import sdks

SOURCE = Path(semconv.__file__).parent
CONSTANTS = {key: value for key, value in vars(semconv).items() if key.isupper() and "." in str(value)}
EVENTS = {value for key, value in CONSTANTS.items() if key.startswith("EVENT_")}
ATTRIBUTES = set(CONSTANTS.values()) - EVENTS - {semconv.OPENROUTER_TAG_PREFIX}
METRICS = {metric.name for metric in catalogue.METRICS}
HOLDERS = {SOURCE / "semconv.py", SOURCE / "catalogue.py"}


def namespaces(names):
    return {".".join(parts[:depth]) for name in names for parts in [name.split(".")] for depth in range(1, len(parts))}


def test_no_name_is_also_a_namespace():
    for names in (ATTRIBUTES, METRICS, EVENTS):
        assert names & namespaces(names) == set()


def test_no_two_names_are_equal_in_prometheus():
    labels = [catalogue.prometheus_label(name) for name in ATTRIBUTES]
    series = [name for metric in catalogue.METRICS for name in catalogue.prometheus_series(metric)]

    assert len(labels) == len(set(labels))
    assert len(series) == len(set(series))


def test_names_are_spelled_as_the_conventions_ask():
    for name in METRICS | ATTRIBUTES | EVENTS:
        assert re.fullmatch(r"[a-z][a-z0-9]*([._][a-z0-9]+)*", name), name


def test_no_metric_s_name_says_total():
    assert [name for name in METRICS if "total" in name] == []


def test_a_gauge_without_unit_is_a_ratio():
    bare = [metric.name for metric in catalogue.METRICS if metric.unit == "1" and "gauge" in metric.kind]

    assert bare
    assert [name for name in bare if not name.endswith(".ratio")] == []


def test_metrics_carry_only_known_attributes():
    for metric in catalogue.METRICS:
        assert set(metric.attributes) <= ATTRIBUTES | {catalogue.TAGS}, metric.name
        assert len(metric.attributes) == len(set(metric.attributes)), metric.name


def test_names_are_written_in_one_place_only():
    ours = METRICS | EVENTS | {name for name in ATTRIBUTES if name.startswith(("openrouter.", "gen_ai.", "or_otel."))}
    strays = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {node.value}"
        for path in SOURCE.rglob("*.py")
        if path not in HOLDERS
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if node.value in ours or re.fullmatch(r"(openrouter|gen_ai)\.[a-z_]+(\.[a-z_]+)*\.?", node.value)
    ]

    # A host and a module of the SDK look like names of ours.
    foreign = {"openrouter.ai", *sdks.METHODS}
    assert [stray for stray in strays if stray.rpartition(": ")[2] not in foreign] == []
