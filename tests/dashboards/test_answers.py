"""Every query of every board, asked of a real Prometheus engine that holds a little of every metric."""

from __future__ import annotations

import re
from decimal import Decimal

from or_otel import catalogue
from or_otel.budgets import Budget
from or_otel.dashboards import labels
from or_otel.dashboards.boards.all_boards import BOARDS
from or_otel.dashboards.promql import LE, label, of, tag
from or_otel.dashboards.render import board_json
from or_otel.dashboards.rules import MONTH_BEFORE, Choices
from or_otel.dashboards.variables import VARIABLES

HOURS = 26
VALUES = {
    labels.MODEL: ("m1", "m2"),
    labels.OUTCOME: ("ok", "error", "cancelled"),
    labels.ERROR_TYPE: ("429", "timeout"),
    labels.FINISH_REASON: ("stop", "length", "content_filter"),
    labels.FALLBACK: ("none", "provider", "model"),
    labels.STATUS: ("200", "429", "503"),
    labels.CACHE_HIT: ("false", "true"),
    labels.TOOL_OUTCOME: ("valid", "invalid_json"),
    labels.TOKEN_TYPE: ("input_fresh", "input_cache_read", "output_text", "output_reasoning"),
    labels.LEDGER: ("openrouter", "upstream"),
    labels.PART: ("input", "output", "fee"),
    labels.WINDOW: ("7d", "1d"),
    labels.DAY: ("1", "2"),
    labels.UPTIME_WINDOW: ("1d", "5m"),
    labels.PERCENTILE: ("p50", "p90"),
    "gen_ai_token_type": ("input", "output"),
    labels.BUDGET: ("month",),
    labels.KEY_NAME: ("acme",),
}
GAUGES = {
    catalogue.POLL_SUCCESS_TIME: "0+300x{n}",
    catalogue.PRICES_TIME: "0+300x{n}",
    catalogue.BUDGET_LIMIT: "1000x{n}",
    catalogue.BUDGET_SPENT: "1+0.1x{n}",
    catalogue.BUDGET_FORECAST: "900x{n}",
    catalogue.BUDGET_PERIOD_START_TIME: "0x{n}",
    catalogue.BUDGET_PERIOD_END_TIME: "864000x{n}",
    catalogue.ACCOUNT_CREDITS_USED: "0+1x{n}",
    catalogue.KEY_DISABLED: "0x{n}",
    catalogue.KEY_LAST_USED_TIME: "0x{n}",
    catalogue.LEDGER_COST: "5+1x{n}",
}
EMPTY = {
    # Found only where something is wrong, or where nobody has anything at all.
    ("or-otel-overview", "Alerts"),
    ("or-otel-health", "Overflowing"),
    ("or-otel-governance", "New in this range"),
    # Of Prometheus and the collector themselves, which are not part of this.
    ("or-otel-health", "Collector: not delivered"),
    ("or-otel-health", "Collector: refused"),
    ("or-otel-health", "Collector: queues"),
    ("or-otel-health", "Rules: time against interval"),
    ("or-otel-health", "Rules: failed and missed"),
}


def label_sets(row):
    """Give one set of labels for each value of each label, the others at their first."""
    names = [label(name) for name in row.attributes if name != catalogue.TAGS]
    if catalogue.TAGS in row.attributes:
        names += [tag("team"), tag("feature"), tag("company")]
    first = {name: VALUES.get(name, ("x",))[0] for name in names}
    yield first
    for name in names:
        for value in VALUES.get(name, ("x",))[1:]:
            yield first | {name: value}


def everything():
    samples = HOURS * 12
    series = {}
    for row in catalogue.METRICS:
        for fixed in label_sets(row):
            told = ", ".join(f'{name}="{value}"' for name, value in {"job": "api", "instance": "i", **fixed}.items())
            if row.kind == "histogram":
                for edge, step in (("1.28", 4), ("20.48", 9), ("+Inf", 10)):
                    series[f'{of(row, "_bucket").name}{{{told}, {LE}="{edge}"}}'] = f"0+{step}x{samples}"
                series[f"{of(row, '_sum').name}{{{told}}}"] = f"0+30x{samples}"
                series[f"{of(row, '_count').name}{{{told}}}"] = f"0+10x{samples}"
            elif "gauge" in row.kind:
                series[f"{of(row).name}{{{told}}}"] = GAUGES.get(row, "5x{n}").format(n=samples)
            else:
                series[f"{of(row).name}{{{told}}}"] = f"0+3x{samples}"
    # Which reads what was recorded a month ago.
    before = ", ".join(f'{name}="x"' for name in sorted(MONTH_BEFORE.labels | {tag("team"), tag("feature")}))
    series[f"{MONTH_BEFORE.name}{{{before}}}"] = f"5x{samples}"
    return series


def asked():
    fills = {
        "$__rate_interval": "15m",
        "$__range": "6h",
        "$__interval": "5m",
        "$group": tag("team"),
        "$other": "m2",
    }
    for board in BOARDS:
        for panel in board_json(board)["panels"]:
            for each in panel["panels"] if panel["type"] == "row" else [panel]:
                for target in each["targets"]:
                    expr = target["expr"]
                    for name, value in fills.items():
                        expr = expr.replace(name, value)
                    for name in VARIABLES:
                        expr = re.sub(rf"\${name}\b", ".*", expr)
                    yield (board.uid, each["title"]), expr


def test_every_panel_answers_when_every_metric_has_data(promtool):
    """One run for all of them: a many-to-many match or a label nobody carries shows only here."""
    places, questions = zip(*asked(), strict=True)
    choices = Choices(budgets=(Budget(name="own", scope="feature", value="*", limit_usd=Decimal(10)),))

    answers = promtool.ask(everything(), [(expr, f"{HOURS}h") for expr in questions], choices=choices, interval="5m")

    empty = {place: expr for place, expr, answer in zip(places, questions, answers, strict=True) if not answer}
    assert {place: expr for place, expr in empty.items() if place not in EMPTY} == {}
    assert set(EMPTY) <= set(places)
