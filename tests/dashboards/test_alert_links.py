"""Alerts lead to a board that shows what they are about, and read the same money as boards do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import promql_parser
import pytest

from or_otel import catalogue
from or_otel.dashboards import rules
from or_otel.dashboards.alert import annotations_of
from or_otel.dashboards.rulefiles import alerts
from or_otel.dashboards.rules import Choices

ROOT = Path(__file__).parents[2]
ALERTS = {alert.name: alert for alert in alerts(Choices())}
RAW_MONEY = {catalogue.prometheus_name(row) for row in (catalogue.COST, catalogue.SPANS_COST, catalogue.LEDGER_COST)}
WRITERS = {rules.COST_5M.name, rules.COST_1H.name}
"""The only rules that read what pipelines count."""


def names_in(expression):
    """Give the names of the series that an expression reads."""
    return set(re.findall(r"[a-zA-Z_:][\w:]*", promql_parser.parse(expression).prettify()))


@pytest.mark.parametrize("name", ALERTS)
def test_a_link_sets_variables_that_the_board_has_to_values_that_they_list(name):
    alert = ALERTS[name]
    board = json.loads((ROOT / "dashboards" / f"{alert.board}.json").read_text(encoding="utf-8"))
    listed = {
        variable["name"]: re.search(r"(\w+)\)$", variable["query"]["query"])[1]
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
    }

    assert {variable: listed.get(variable) for variable in alert.variables} == dict(alert.variables)


@pytest.mark.parametrize("name", ALERTS)
def test_a_link_sets_every_variable_that_the_alert_knows_a_value_of(name):
    """A reader must not look for the service again that the alert is about."""
    alert = ALERTS[name]
    told = set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
    board = json.loads((ROOT / "dashboards" / f"{alert.board}.json").read_text(encoding="utf-8"))
    listed = {
        re.search(r"(\w+)\)$", variable["query"]["query"])[1]
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
    }

    assert told & listed <= set(alert.variables.values())
    assert all(f"var-{each}=" in annotations_of(alert, Choices())["dashboard_url"] for each in alert.variables)


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_reads_no_pipelines_money(name):
    read = names_in(ALERTS[name].expr) & RAW_MONEY

    # It asks whether there is an overflow, not how much money is in it.
    assert read == ({catalogue.prometheus_name(catalogue.COST)} if name == "OrOtelAttributionLost" else set())
    assert not read or f"count by ({rules.JOB})" in ALERTS[name].expr


def test_only_the_rules_that_choose_a_pipeline_read_any():
    every = Choices(sources={"a": "spans", "b": "ledger"})
    readers = {rule.record for group in rules.groups(every) for rule in group.rules if names_in(rule.expr) & RAW_MONEY}

    assert readers == WRITERS
