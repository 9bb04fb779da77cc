"""The boards as Grafana asks for them: targets with variables filled in, answered by a Prometheus of the weeks."""

from __future__ import annotations

import json
import math
import re

from live.prometheus import ROOT

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("or-otel-*.json"))}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SENT_EVERY_S = 300
"""How often the traffic's programs tell their sums: the data source's `timeInterval` must say the same."""


def panels(board):
    for panel in board["panels"]:
        yield from panel["panels"] if panel["type"] == "row" else [panel]


def begin_of(board, now_s):
    """Give the Unix time at which a board's range begins."""
    count, unit = re.fullmatch(r"now-(\d+)([smhd])", board["time"]["from"]).groups()
    return now_s - int(count) * SECONDS[unit]


def filled(expr, values, range_s):
    """Put values for variables, as Grafana does for a graph of a thousand points."""
    step_s = max(range_s // 1000 // 60 * 60, SENT_EVERY_S)
    known = {
        **values,
        "__range": f"{range_s:.0f}s",
        "__interval": f"{step_s:.0f}s",
        "__rate_interval": f"{4 * SENT_EVERY_S}s",
    }
    return re.sub(r"\$([a-z_]+)", lambda found: known[found[1]], expr), step_s


def chosen(weeks, board, **picked):
    """Choose everything, or the first that is offered, or what is picked; give that for every grouping there is."""
    values, groupings = {}, [{}]
    for variable in board["templating"]["list"]:
        name = variable["name"]
        if variable["type"] == "custom":
            groupings = [{name: option["value"]} for option in variable["options"]]
        if variable["type"] == "query":
            offered = offers(weeks, variable, values)
            values[name] = variable["allValue"] if variable["includeAll"] else (*offered, "")[0]
            if name in picked:
                assert picked[name] in offered, offered
                values[name] = picked[name]
    return [{**values, **grouping} for grouping in groupings]


def offers(weeks, variable, values):
    series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
    series, _ = filled(series, values, SECONDS["d"])
    return sorted(
        {
            labels[label]
            for labels, _ in weeks.prometheus.ask(f"group by ({label}) (last_over_time({series}[1d]))", weeks.now_s)
            if label in labels
        }
    )


def answers(weeks, board, target, values):
    """Give labels and samples of the range, numbers alone, of what a target answers to Grafana."""
    begin_s = begin_of(board, weeks.now_s)
    expr, step_s = filled(target["expr"], values, weeks.now_s - begin_s)
    if target.get("interval"):
        step_s = max(step_s, int(target["interval"][:-1]) * SECONDS[target["interval"][-1]])
    if target["instant"]:
        found = [(labels, [(weeks.now_s, value)]) for labels, value in weeks.prometheus.ask(expr, weeks.now_s)]
    else:
        found = weeks.prometheus.over(expr, begin_s, weeks.now_s, step_s)
    numbers = [
        # The first sample stands for what was before the range.
        (labels, [value for at_s, value in samples if at_s > begin_s and math.isfinite(value)])
        for labels, samples in found
    ]
    return [(labels, samples) for labels, samples in numbers if samples]


def named_by(panel, target):
    """Give the labels by which a panel tells a target's answers apart."""
    if panel["type"] != "table":
        return set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
    heads = next(step["options"]["renameByName"] for step in panel["transformations"] if step["id"] == "organize")
    return {label for label in heads if not label.startswith("Value")}
