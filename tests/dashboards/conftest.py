"""`promtool` as a measuring device: series in, what queries answer out."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from or_otel.dashboards.rulefiles import group_specs
from or_otel.dashboards.rules import Choices

ROOT = Path(__file__).parents[2]
SAMPLE = re.compile(r"([\w:]*\{[^}]*\}) (-?[\d.]+E[+-]\d+|NaN|[+-]Inf)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def found(tool):
    """Give the path of a tool of the native stack, or of the machine; else skip."""
    stack = ROOT / ".stack" / "bin" / tool
    path = str(stack) if stack.exists() else shutil.which(tool)
    if path is None:
        pytest.skip(f"{tool} is not installed (Debian: prometheus, prometheus-alertmanager; or `make stack`)")
    return path


def every(tool):
    """Give the paths of all versions of a tool that are here: Debian's are the oldest that we promise."""
    return sorted({found(tool), shutil.which(tool)} - {None})


class Promtool:
    """Evaluates our own rules over given series, as Prometheus does."""

    def __init__(self, path, folder):
        self._path = path
        self._folder = folder

    def run(self, *arguments):
        return subprocess.run([self._path, *arguments], capture_output=True, text=True, check=False, cwd=self._folder)

    def ask(self, series, questions, *, choices=None, groups=None, only=(), interval="1m", sampled=None):
        """Give {labels: value} for each (expression, time); labels are a tuple of pairs, without the name.

        Args:
            series: Series → values in promtool's notation.
            questions: Expressions and times.
            choices: Of the rules; defaults where None.
            groups: Names of the groups to evaluate; all for None.
            only: Alerts to evaluate; all for none.
            interval: Between evaluations; also between samples unless `sampled` says otherwise.
            sampled: Between samples.
        """
        specs = [each for file in group_specs(choices or Choices()).values() for each in file]
        chosen = [
            # However often a group is evaluated in life: here the test's interval rules.
            {
                "name": spec["name"],
                "rules": [rule for rule in spec["rules"] if not only or rule.get("alert", only[0]) in only],
            }
            for spec in specs
            if groups is None or spec["name"] in groups
        ]
        (self._folder / "rules.yml").write_text(yaml.safe_dump({"groups": chosen}), encoding="utf-8")
        test = {
            "rule_files": ["rules.yml"],
            "evaluation_interval": interval,
            "group_eval_order": [spec["name"] for spec in chosen],
            "tests": [
                {
                    "interval": sampled or interval,
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    # An impossible sample makes promtool tell what it got.
                    "promql_expr_test": [
                        {"expr": expr, "eval_time": at, "exp_samples": [{"labels": '{not="there"}', "value": 0}]}
                        for expr, at in questions
                    ],
                }
            ],
        }
        (self._folder / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
        done = self.run("test", "rules", "test.yml")
        told = [line.partition("got: ")[2] for line in (done.stdout + done.stderr).splitlines() if "got: " in line]
        assert len(told) == len(questions), done.stdout + done.stderr
        return [
            {
                tuple((key, value) for key, value in LABEL.findall(labels) if key != "__name__"): float(value)
                for labels, value in SAMPLE.findall(line)
            }
            for line in told
        ]

    def sums(self, series, questions, **options):
        """Give one figure for each question: the sum over all its labels; None where nothing answers."""
        return [sum(answer.values()) if answer else None for answer in self.ask(series, questions, **options)]

    def firing(self, alert, series, times, **options):
        """Give, for each time, the labels of what fires of one alert."""
        query = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
        return [
            [{key: value for key, value in labels if key not in {"alertname", "alertstate"}} for labels in answer]
            for answer in self.ask(series, [(query, at) for at in times], only=(alert,), **options)
        ]


@pytest.fixture
def tool():
    return found


@pytest.fixture
def every_tool():
    return every


@pytest.fixture
def promtool(tmp_path):
    return Promtool(found("promtool"), tmp_path)


@pytest.fixture(scope="session")
def weeks(tmp_path_factory):
    """Live through five weeks of traffic, in a minute or two; skips where the native stack is not built."""
    pytest.importorskip("openai")
    from live.prometheus import native  # noqa: PLC0415 -- slow, and few tests need it
    from live.weeks import live_through  # noqa: PLC0415 -- the same

    try:
        for name in ("prometheus", "otelcol"):
            native.binary(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    weeks = live_through(tmp_path_factory.mktemp("weeks") / "folder")
    yield weeks
    weeks.stop()
