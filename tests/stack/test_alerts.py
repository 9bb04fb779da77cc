"""Overspending becomes a message: Prometheus' rule, Alertmanager with the shipped file, a webhook on loopback."""

from __future__ import annotations

import subprocess

import pytest

from or_otel import catalogue

OVERSPENT = f"""
groups:
  - name: test
    interval: 1s
    rules:
      - alert: Overspent
        expr: sum by (gen_ai_request_model) ({catalogue.prometheus_name(catalogue.COST)}) > 0.1
        labels: {{severity: critical}}
        annotations: {{summary: "{{{{ $labels.gen_ai_request_model }}}} cost {{{{ $value }}}} USD"}}
"""


def test_overspending_reaches_the_owner_by_the_webhook(stack, store, service, alarm, tmp_path):
    (tmp_path / "rules" / "overspent.yml").write_text(OVERSPENT)
    (tmp_path / "secrets" / "alert_webhook").write_text(alarm.url)
    stack.start("alertmanager", "prometheus", "collector")
    watched = service()
    watched.ask(dear=2)
    assert watched.flush()

    assert alarm.came.wait(90)
    (told,) = alarm.told
    (alert,) = told["alerts"]
    assert told["status"] == "firing"
    assert alert["labels"]["alertname"] == "Overspent"
    assert alert["annotations"]["summary"] == "anthropic/claude-haiku-4.5 cost 0.125 USD"


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
