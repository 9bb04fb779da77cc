"""Overspending becomes a message: Prometheus' rule, Alertmanager with the shipped file, a webhook on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request

import pytest

from or_otel import catalogue
from or_otel.dashboards import rules
from or_otel.dashboards.labels import BUDGET, SCOPE
from or_otel.dashboards.promql import JOB

BUDGET_NAME = "a coffee"
"""Of stack/demo.toml: what the demo overspends within a minute or two."""


def test_an_overspending_demo_reaches_the_owner_by_the_webhook(stack, native, webhook, prepare, tmp_path):
    """Demo and exporter as compose starts them, the shipped rules and routes; only minutes are made seconds."""
    for path in (native.ROOT / "dashboards" / "rules").glob("*.yml"):
        (tmp_path / "rules" / path.name).write_text(re.sub(r'interval: "\dm"', "interval: 1s", path.read_text()))
    prometheus = tmp_path / "prometheus.yml"
    prometheus.write_text(re.sub(r"scrape_interval: \d+s", "scrape_interval: 1s", prometheus.read_text()))
    for name, text in {**prepare.DEMO_KEYS, "alert_webhook": webhook.url}.items():
        (tmp_path / "secrets" / name).write_text(text)
    stack.start("alertmanager", "prometheus", "collector", "demo")
    asked = urllib.request.Request(
        f"http://127.0.0.1:{stack.ports.demo}/api/v1/credits",
        headers={"authorization": f"Bearer {prepare.DEMO_KEYS['openrouter_management_key']}"},
    )
    assert stack.until(lambda: stack.fetched(asked)["data"]["total_usage"] > 0.01)
    stack.start("exporter")

    def told():
        alerts = [alert for message in webhook.received for alert in message["alerts"] if message["status"] == "firing"]
        return {
            (labels["alertname"], labels["severity"], alert["annotations"]["dashboard_url"])
            for alert in alerts
            if (labels := alert["labels"]).get(BUDGET) == BUDGET_NAME
        }

    assert stack.until(told)
    assert told() == {("OrOtelBudgetSpent", "critical", "/d/or-otel-budgets?var-budget=a+coffee")}
    # Two pipelines count the demo's money, and a dollar shows once.
    client, spans = (f"sum({catalogue.prometheus_name(row)})" for row in (catalogue.COST, catalogue.SPANS_COST))
    assert stack.settled(f"sum({rules.COST_1H.name}) / {client}", 1) == pytest.approx(1, rel=1e-9)
    assert stack.value(spans) == pytest.approx(stack.value(client), rel=0.5)


def test_prometheus_accepts_its_file_with_the_shipped_rules(stack, native):
    rules = native.ROOT / "dashboards" / "rules"
    if not rules.exists():
        pytest.skip("dashboards/rules is not generated yet: make generate")
    stack = native.Stack(stack.folder / "shipped", ports=stack.ports)
    command = [native.binary("promtool"), "check", "config", str(stack.folder / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_alertmanager_accepts_its_file(stack, native):
    command = [native.binary("amtool"), "check-config", str(native.STACK / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_said_already_silences_the_rest_and_nothing_of_another_budget(stack):
    stack.start("alertmanager")
    url = f"http://127.0.0.1:{stack.ports.alertmanager}/api/v2/alerts"
    alerts = [
        {"labels": {"alertname": f"OrOtelBudget{what}", BUDGET: name, SCOPE: "account"}}
        for what, name in (("Spent", "month"), ("MostlySpent", "month"), ("HalfSpent", "month"), ("HalfSpent", "other"))
    ]
    alerts += [{"labels": {"alertname": "OrOtelSpendSpike", JOB: "api"}}]
    headers = {"content-type": "application/json"}

    def said(expected, more=()):
        """Give (alert, budget) of what is not suppressed, once it is as expected or does not become so."""
        body = json.dumps([*alerts, *more]).encode()
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10).close()

        def heard():
            return {
                (each["labels"]["alertname"], each["labels"].get(BUDGET))
                for each in stack.fetched(url)
                if each["status"]["state"] != "suppressed"
            }

        stack.until(lambda: heard() == expected, timeout_s=20)
        return heard()

    spike, stale = ("OrOtelSpendSpike", None), ("OrOtelAccountDataStale", None)
    while_fresh = {("OrOtelBudgetSpent", "month"), ("OrOtelBudgetHalfSpent", "other"), spike}
    assert said(while_fresh) == while_fresh
    assert said({stale, spike}, [{"labels": {"alertname": stale[0]}}]) == {stale, spike}
