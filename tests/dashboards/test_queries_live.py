"""Every query of every board and rule, asked of a real Prometheus that holds five weeks of traffic."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal

import promql_parser
import pytest
from live.prometheus import ROOT, native
from live.recorded import rules_of
from live.weeks import EDGE, LANES, live_through

from or_otel import catalogue
from or_otel.catalogue import prometheus_name
from or_otel.dashboards.rules import COST_5M, RECORDED, Choices
from or_otel.dashboards.rules import groups as rule_groups

pytestmark = pytest.mark.xdist_group("weeks of traffic")

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("or-otel-*.json"))}
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SENT_EVERY_S = 300
"""How often the traffic's programs tell their sums: the data source's `timeInterval` must say the same."""
RIGHTLY_UNTOLD = {
    "or:telemetry_dropped:increase5m": "no record was dropped",
    "or:telemetry_folded:increase5m": "no limit of distinct values was reached",
    "or:guard_faults:increase5m": "or-otel had no fault",
    'otel_metric_overflow="true"': "no instrument reached the SDK's limit",
    "otelcol_exporter_send_failed": "the collector counts failures from the first on, and none was final",
    "otelcol_exporter_enqueue_failed_spans": "the same",
    "otelcol_exporter_enqueue_failed_metric_points": "the same",
    "otelcol_receiver_refused_log_records": "no logs are sent",
}
"""What stands in a query → why nothing is the right answer to it."""


@pytest.fixture(scope="session")
def weeks(tmp_path_factory):
    pytest.importorskip("openai")
    try:
        for name in ("prometheus", "otelcol"):
            native.binary(name)
    except FileNotFoundError as missing:
        pytest.skip(str(missing))
    weeks = live_through(tmp_path_factory.mktemp("weeks") / "folder")
    yield weeks
    weeks.stop()


def is_rightly_untold(expr):
    # What may be nothing is asked for beside what must be something: `or … * 0`.
    return any(part in expr for part in RIGHTLY_UNTOLD) and " * 0" not in expr


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


def chosen(weeks, board):
    """Choose everything, or the first that is offered; give that for every grouping there is."""
    values, groupings = {}, [{}]
    for variable in board["templating"]["list"]:
        if variable["type"] == "custom":
            groupings = [{variable["name"]: option["value"]} for option in variable["options"]]
        if variable["type"] == "query":
            offered = offers(weeks, variable, values)
            values[variable["name"]] = variable["allValue"] if variable["includeAll"] else (*offered, "")[0]
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


def answered(weeks, board, target, values):
    """Whether a target gives any number, as Grafana asks for it."""
    begin_s = begin_of(board, weeks.now_s)
    expr, step_s = filled(target["expr"], values, weeks.now_s - begin_s)
    if target.get("interval"):
        step_s = max(step_s, int(target["interval"][:-1]) * SECONDS[target["interval"][-1]])
    if target["instant"]:
        return any(math.isfinite(value) for _, value in weeks.prometheus.ask(expr, weeks.now_s))
    found = weeks.prometheus.over(expr, begin_s, weeks.now_s, step_s)
    return any(math.isfinite(value) for _, samples in found for _, value in samples)


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_of_every_panel_answers(weeks, uid):
    board = BOARDS[uid]
    silent = {
        (uid, panel["title"], target["refId"], *values.values())
        for values in chosen(weeks, board)
        for panel in panels(board)
        for target in panel["targets"]
        if not is_rightly_untold(target["expr"]) and not answered(weeks, board, target, values)
    }

    assert silent == set()


def test_every_variable_offers_something(weeks):
    for uid, board in BOARDS.items():
        (values, *_) = chosen(weeks, board)
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                assert offers(weeks, variable, values), (uid, variable["name"])


def test_every_recording_rule_records_something(weeks):
    rules = [rule for rule in rules_of(weeks.folder / "rules") if "record" in rule]
    silent = {
        rule["record"]
        for rule in rules
        if not weeks.prometheus.ask(f"last_over_time({rule['record']}[1d])", weeks.now_s)
    }

    assert {rule["record"] for rule in rules} == {series.name for series in RECORDED}
    assert {name for name in silent if not is_rightly_untold(name)} == set()


def test_every_alert_can_be_judged_by_what_is_there(weeks):
    """Silence of an alert must never come from a series that nobody has."""
    unknown = set()
    for rule in rules_of(weeks.folder / "rules"):
        if "alert" in rule:
            weeks.prometheus.ask(rule["expr"], weeks.now_s)
            unknown |= {
                (rule["alert"], selector)
                for selector in selectors(promql_parser.parse(rule["expr"]))
                if not weeks.prometheus.ask(f"last_over_time({selector}[1d])", weeks.now_s)
            }

    assert {each for each in unknown if not is_rightly_untold(each[1])} == set()


def test_the_running_server_evaluates_every_rule(weeks):
    groups = weeks.prometheus.api("rules")["groups"]

    assert {group["name"] for group in groups} == {"or-otel-alerts", *(group.name for group in rule_groups(Choices()))}
    assert [rule["name"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []


def test_annotations_are_asked_for_in_words_that_prometheus_understands(weeks):
    for board in BOARDS.values():
        for annotation in board["annotations"]["list"]:
            weeks.prometheus.ask(annotation["expr"], weeks.now_s)


def selectors(node):
    """Give the selectors of an expression, without their ranges."""
    if isinstance(node, promql_parser.VectorSelector):
        yield re.sub(r" (offset|@) .*$", "", node.prettify())
    for field in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        below = getattr(node, field, None)
        for each in below if isinstance(below, list) else [below]:
            if hasattr(each, "prettify"):
                yield from selectors(each)


# What is true ---------------------------------------------------------------------------------------------------------


def shown(weeks, uid, title, column=None):
    """Give the sum of what a panel, or a column of a table, shows."""
    board = BOARDS[uid]
    (panel,) = [panel for panel in panels(board) if panel["title"] == title]
    target = panel["targets"][0]
    if column:
        heads = next(step["options"]["renameByName"] for step in panel["transformations"] if step["id"] == "organize")
        (place,) = [value[-1] for value, head in heads.items() if head == column and "#" in value]
        (target,) = [each for each in panel["targets"] if each["refId"] == place]
    values = chosen(weeks, board)[0]
    expr, _ = filled(target["expr"], values, weeks.now_s - begin_of(board, weeks.now_s))
    return weeks.prometheus.total(expr, weeks.now_s)


class Truth:
    """What a board of a range should show, from the server's book and from the programs' own counts."""

    def __init__(self, weeks, uid):
        since_s = begin_of(BOARDS[uid], weeks.now_s)
        self.bills = weeks.bills(since_s)
        # Spans do not tell who bills.
        self.told_bills = weeks.bills(since_s, *LANES)
        self.ledger = weeks.account.ours(since_s)
        self.counts = weeks.count(since_s)
        self.account = weeks.account

    @property
    def spent(self):
        """Everything, by whichever pipeline."""
        return sum((entry.spend for entry in self.bills), Decimal(0)) + self.credits_of_ledger + self.byok_of_ledger

    @property
    def credits_of_ledger(self):
        return sum((entry.charged or 0 for entry in self.ledger), Decimal(0))

    @property
    def byok_of_ledger(self):
        return sum((entry.upstream_bill or 0 for entry in self.ledger), Decimal(0))

    @property
    def charged(self):
        return sum((entry.charged for entry in self.told_bills), Decimal(0)) + self.credits_of_ledger

    @property
    def upstream(self):
        return sum((entry.spend - entry.charged for entry in self.told_bills), Decimal(0)) + self.byok_of_ledger

    def share(self, part, whole):
        return Decimal(self.counts[part]) / self.counts[whole]

    def lifetime(self):
        spent = [spent.lifetime for _, spent in self.account.keys.values()]
        return sum((tally.charged + tally.byok for tally in spent), Decimal(0))


TRUTHS = {
    ("or-otel-overview", "Spent in this range", None): lambda truth: truth.spent,
    ("or-otel-overview", "Models", "Cost"): lambda truth: truth.spent,
    ("or-otel-overview", "Calls", None): lambda truth: truth.counts["calls"],
    ("or-otel-models", "Price and speed", "Cost"): lambda truth: truth.spent,
    ("or-otel-models", "Price and speed", "Calls"): lambda truth: truth.counts["calls"],
    ("or-otel-routing", "Providers of each model", "Cost"): lambda truth: truth.spent,
    ("or-otel-routing", "Fell back", None): lambda truth: truth.share("fell back", "calls"),
    ("or-otel-routing", "Client retries", None): lambda truth: truth.counts["attempts"] - truth.counts["calls"],
    ("or-otel-reliability", "Failed", None): lambda truth: truth.share("error calls", "calls"),
    ("or-otel-reliability", "Left early", None): lambda truth: truth.share("cancelled calls", "calls"),
    ("or-otel-budgets", "Credits left", None): lambda truth: truth.account.credits_left,
    ("or-otel-attribution", "Spent in this range", None): lambda truth: truth.spent,
    ("or-otel-attribution", "Companies", "Ever"): lambda truth: truth.lifetime(),
    ("or-otel-agents", "Runs", None): lambda truth: truth.counts["runs"],
    ("or-otel-agents", "Finished", None): lambda truth: truth.share("finished runs", "runs"),
    ("or-otel-agents", "Tool calls by model", "Calls"): lambda truth: truth.counts["tool calls"],
    ("or-otel-caching", "Answers replayed", None): lambda truth: truth.share("replayed", "calls"),
    ("or-otel-byok", "From credits", None): lambda truth: truth.charged,
    ("or-otel-byok", "To providers", None): lambda truth: truth.upstream,
    ("or-otel-health", "Records dropped", None): lambda _: 0,
    ("or-otel-health", "Own faults", None): lambda _: 0,
    ("or-otel-governance", "Rules broken", None): lambda truth: truth.counts["violations"],
    ("or-otel-governance", "Who broke what", "Calls"): lambda truth: truth.counts["violations"],
}
"""(board, panel, column of a table) → what it must show."""


def test_panels_show_what_is_true(weeks):
    wrong = {}
    for (uid, title, column), tell in TRUTHS.items():
        expected, found = float(tell(Truth(weeks, uid))), shown(weeks, uid, title, column)
        # Float sums of the exact figures: the counters are floats.
        if found is None or not math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12):
            wrong[uid, title, column] = (found, expected)

    assert wrong == {}
    assert {uid for uid, *_ in TRUTHS} == set(BOARDS)


@pytest.mark.parametrize("service", LANES)
def test_each_pipeline_tells_the_money_of_its_service_exactly(weeks, service):
    """By scrape, by push, and by a process a day that tells its sum once."""
    for days in (1, 30):
        expr = f"sum(sum_over_time({COST_5M.where(f'job={json.dumps(service)}')}[{days}d:5m]))"
        expected = sum((entry.spend for entry in weeks.bills(weeks.now_s - days * 86_400, service)), Decimal(0))

        assert expected > 0
        assert weeks.prometheus.total(expr, weeks.now_s) == pytest.approx(float(expected), rel=1e-9)


def test_a_dollar_seen_by_two_pipelines_is_counted_once(weeks):
    expr = f"sum by (source) (sum_over_time({COST_5M.where(f'job={json.dumps(EDGE)}')}[1d:5m]))"
    told = {labels["source"]: value for labels, value in weeks.prometheus.ask(expr, weeks.now_s)}
    raw = f"sum(last_over_time({prometheus_name(catalogue.COST)}{{job={json.dumps(EDGE)}}}[1d]))"
    expected = float(sum((entry.spend for entry in weeks.bills(0, EDGE)), Decimal(0)))

    assert weeks.prometheus.total(raw, weeks.now_s) == pytest.approx(expected, rel=1e-9)
    assert told == {"spans": pytest.approx(expected, rel=1e-9)}
