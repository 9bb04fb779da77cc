"""Every query of every board and rule, asked of a real Prometheus that holds five weeks of traffic."""

from __future__ import annotations

import re

import promql_parser
import pytest
from live.grafana import BOARDS, answers, chosen, named_by, offers, panels
from live.recorded import rules_of
from live.weeks import EDGE, TROUBLED

from or_otel.dashboards.promql import UNSAID
from or_otel.dashboards.rules import RECORDED, Choices
from or_otel.dashboards.rules import groups as rule_groups

pytestmark = pytest.mark.timeout(2400)  # the weeks are lived through in the first test that asks

UNTOLD = "otelcol_exporter_send_failed_log_records"
"""No answer is the right one: the shipped collector takes logs and hands them to nobody, so none can fail to arrive."""


@pytest.mark.parametrize("uid", BOARDS)
def test_every_query_of_every_panel_answers_and_has_the_labels_it_is_shown_by(weeks, uid):
    board = BOARDS[uid]
    silent, nameless = set(), set()
    for values in chosen(weeks, board):
        for panel in panels(board):
            for target in panel["targets"]:
                found = answers(weeks, board, target, values)
                where = (uid, panel["title"], target["refId"], *values.values())
                silent |= {where} if not found and UNTOLD not in target["expr"] else set()
                names = {name for labels, _ in found for name, value in labels.items() if value != UNSAID}
                nameless |= {(*where, name) for name in named_by(panel, target) - names if found}

    assert silent == set()
    assert nameless == set()


def test_every_variable_offers_something(weeks):
    for uid, board in BOARDS.items():
        (values, *_) = chosen(weeks, board)
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                assert offers(weeks, variable, values), (uid, variable["name"])


@pytest.mark.parametrize("uid", BOARDS)
def test_every_variable_decides_what_the_queries_that_name_it_show(weeks, uid):
    board = BOARDS[uid]
    values = chosen(weeks, board)[0]
    deaf, idle = set(), set()
    for variable in board["templating"]["list"]:
        if variable["type"] != "query":
            continue
        name = variable["name"]
        naming = [
            (panel["title"], target)
            for panel in panels(board)
            for target in panel["targets"]
            if re.search(rf"\${name}\b", target["expr"])
        ]
        for title, target in naming:
            found = answers(weeks, board, target, {**values, name: "nobody's"})
            deaf |= {(name, title, target["refId"]) for _, samples in found if any(samples)}
        offered = [{**values, name: value} for value in offers(weeks, variable, values)]
        if not any(answers(weeks, board, target, one) for one in offered for _, target in naming):
            idle.add(name)

    assert deaf == set()
    assert idle == set()


def test_every_recording_rule_records_something(weeks):
    rules = [rule for rule in rules_of(weeks.folder / "rules") if "record" in rule]
    silent = {
        rule["record"]
        for rule in rules
        if not weeks.prometheus.ask(f"last_over_time({rule['record']}[1d])", weeks.now_s)
    }

    assert {rule["record"] for rule in rules} == {series.name for series in RECORDED}
    assert silent == set()


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

    assert unknown == set()


@pytest.mark.parametrize(
    ("alert", "label", "subjects"),
    [
        ("OrOtelAttributionLost", "job", {TROUBLED, EDGE}),
        ("OrOtelTelemetryDropped", "job", {TROUBLED}),
        ("OrOtelOwnFaults", "job", {TROUBLED}),
        ("OrOtelKeyExhausted", "openrouter_key_name", {"broke"}),
        ("OrOtelCreditsNearlyGone", "", set()),
        ("OrOtelAccountDataStale", "", set()),
        ("OrOtelCollectorQueueFull", "exporter", set()),
    ],
)
def test_an_alert_is_raised_by_its_trouble_alone(weeks, alert, label, subjects):
    (rule,) = [rule for rule in rules_of(weeks.folder / "rules") if rule.get("alert") == alert]

    assert {labels.get(label) for labels, _ in weeks.prometheus.ask(rule["expr"], weeks.now_s)} == subjects


def test_the_running_server_evaluates_every_rule(weeks):
    groups = weeks.prometheus.api("rules")["groups"]

    assert {group["name"] for group in groups} == {"or-otel-alerts", *(group.name for group in rule_groups(Choices()))}
    assert [rule["name"] for group in groups for rule in group["rules"] if rule.get("lastError")] == []


def test_annotations_are_made_of_series_that_are_there_and_have_the_labels_they_are_named_by(weeks):
    for board in BOARDS.values():
        for annotation in board["annotations"]["list"]:
            weeks.prometheus.ask(annotation["expr"], weeks.now_s)
            (selector,) = selectors(promql_parser.parse(annotation["expr"]))
            found = weeks.prometheus.ask(f"last_over_time({selector}[1d])", weeks.now_s)
            names = set(re.findall(r"{{(\w+)}}", annotation["titleFormat"]))

            assert found
            assert names
            assert all(names <= set(labels) for labels, _ in found)


def selectors(node):
    """Give the selectors of an expression, without their ranges."""
    if isinstance(node, promql_parser.VectorSelector):
        yield re.sub(r" (offset|@) .*$", "", node.prettify())
    for field in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        below = getattr(node, field, None)
        for each in below if isinstance(below, list) else [below]:
            if hasattr(each, "prettify"):
                yield from selectors(each)
