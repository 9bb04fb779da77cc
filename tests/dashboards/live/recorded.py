"""Recording rules over a past that no server saw: the rule files' own expressions, evaluated by Prometheus.

A rule is evaluated over the whole past before the next one, in the order of the files. An `@ end()` means the end of
one evaluation, so such rules are asked hour by hour, in which their period's begin does not change.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import yaml

from live.prometheus import Prometheus, labels_of

HOUR_S = 3600.0
STEP_S = 300.0
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def rules_of(folder: Path):
    """Give the rules of all files, as Prometheus reads them."""
    files = sorted(folder.glob("*.yml"), reverse=True)  # recording rules before what fires on them
    return [rule for file in files for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


class Span(NamedTuple):
    """A part of the past, until the next one.

    Attributes:
        begin_s: Unix time.
        step_s: Between two evaluations.
        is_hourly: Whether rules are evaluated, too, that must be asked hour by hour.
    """

    begin_s: float
    step_s: float
    is_hourly: bool = False

    def times(self, end_s):
        """Give the first evaluation's time, the last one's, and the step."""
        first_s = math.ceil(self.begin_s / self.step_s) * self.step_s
        return first_s, first_s + (end_s - first_s) // self.step_s * self.step_s, self.step_s


def record(prometheus: Prometheus, rules, spans, end_s: float) -> None:
    """Evaluate recording rules.

    Args:
        prometheus: Asked, and told.
        rules: Of the rule files.
        spans: Oldest first.
        end_s: Until when.
    """
    ends = [span.begin_s - 1 for span in spans[1:]] + [end_s]
    whole = [span.times(until_s) for span, until_s in zip(spans, ends, strict=True)]
    hours = [hour for span, times in zip(spans, whole, strict=True) if span.is_hourly for hour in _by_hour(*times)]
    for rule in rules:
        if "record" not in rule:
            continue
        found = {}
        for start_s, until_s, step_s in hours if "@ end()" in rule["expr"] else whole:
            for labels, samples in prometheus.over(rule["expr"], start_s, until_s, step_s):
                labels.pop("__name__", None)
                named = labels_of(rule["record"], labels | rule.get("labels", {}))
                found.setdefault(named, []).extend(each for each in samples if not math.isnan(each[1]))
        prometheus.write(found)


def fire(prometheus: Prometheus, rules, at_s: float) -> None:
    """Tell which alerts a server would hold for firing at a time: those whose case it was for as long as they ask."""
    for rule in rules:
        if "alert" not in rule:
            continue
        asked_s = SECONDS[rule.get("for", "0s")[-1]] * int(rule.get("for", "0s")[:-1])
        start_s = at_s - math.ceil(asked_s / STEP_S) * STEP_S
        for labels, samples in prometheus.over(rule["expr"], start_s, at_s, STEP_S):
            if len(samples) == (at_s - start_s) / STEP_S + 1:
                labels.pop("__name__", None)
                named = {"alertname": rule["alert"], "alertstate": "firing", **rule["labels"]}
                prometheus.write({labels_of("ALERTS", labels | named): [(at_s, 1.0)]})


def _by_hour(at_s, end_s, step_s):
    while at_s <= end_s:
        until_s = min(at_s // HOUR_S * HOUR_S + HOUR_S - step_s, end_s)
        yield at_s, until_s, step_s
        at_s = until_s + step_s
