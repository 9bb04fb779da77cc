from __future__ import annotations

import re
import subprocess

import pytest
import yaml

from or_otel.dashboards.alertmanager import alertmanager_file
from or_otel.dashboards.labels import BUDGET
from or_otel.dashboards.rulefiles import alerts
from or_otel.dashboards.rules import Choices

CONFIG = yaml.safe_load(alertmanager_file())
ALERTS = {alert.name: alert for alert in alerts(Choices())}
NAMES = set(ALERTS)


def silences():
    """Give, for each rule of silence, the alert that speaks, those that need not, and the labels that they share."""
    for rule in CONFIG["inhibit_rules"]:
        (source,), (target,) = rule["source_matchers"], rule["target_matchers"]
        pattern = re.fullmatch(r'alertname=~"(.+)"', target)[1]
        silenced = {name for name in NAMES if re.fullmatch(pattern, name)}
        yield re.fullmatch(r'alertname="(.+)"', source)[1], silenced, set(rule.get("equal", ()))


@pytest.fixture
def amtool(tool, tmp_path):
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_file(), encoding="utf-8")

    def run(*arguments):
        return subprocess.run([tool("amtool"), *arguments], capture_output=True, text=True, check=False, cwd=tmp_path)

    return run


def test_every_alertmanager_that_is_here_accepts_the_example(every_tool, tmp_path):
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager_file(), encoding="utf-8")

    for amtool in every_tool("amtool"):
        told = subprocess.run([amtool, "check-config", str(path)], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("alertname=OrOtelBudgetSpent", "severity=critical"), "wake"),
        (("alertname=OrOtelCreditsLow", "severity=warning"), "today"),
        (("alertname=OrOtelBudgetHalfSpent", "severity=info"), "whenever"),
        (("alertname=Else", "severity=none"), "tickets"),
    ],
)
def test_who_is_told_goes_by_severity(amtool, labels, receiver):
    told = amtool(
        "config", "routes", "test", "--config.file=alertmanager.yml", f"--verify.receivers={receiver}", *labels
    )

    assert told.returncode == 0, told.stdout + told.stderr


def test_secrets_are_files():
    text = alertmanager_file()

    for secret in ("api_url", "password", "credentials"):
        assert not re.search(rf"{secret}: ", text), secret
        assert f"{secret}_file: " in text


def test_one_message_tells_one_budget_s_trouble():
    assert CONFIG["route"]["group_by"] == ["alertname", BUDGET]
    assert CONFIG["route"]["repeat_interval"] == "12h"


def test_every_rule_of_silence_is_about_alerts_that_exist():
    for speaks, silenced, _ in silences():
        assert speaks in NAMES
        assert silenced
        assert speaks not in silenced


def test_the_worse_silences_the_better():
    told = {speaks: silenced for speaks, silenced, _ in silences() if "Stale" not in speaks}
    budget = {f"OrOtelBudget{each}" for each in ("HalfSpent", "MostlySpent", "ForecastOver", "PaceAhead")}

    assert told == {
        "OrOtelBudgetSpent": budget,
        "OrOtelBudgetMostlySpent": {"OrOtelBudgetHalfSpent"},
        "OrOtelBudgetForecastOver": {"OrOtelBudgetPaceAhead"},
        "OrOtelBudgetBurnFast": {"OrOtelBudgetBurnSlow"},
        "OrOtelCreditsNearlyGone": {"OrOtelCreditsLow"},
        "OrOtelKeyExhausted": {"OrOtelKeyNearLimit"},
        "OrOtelSpendSpike": {"OrOtelSpendUnusual"},
    }


def test_nothing_silences_what_is_about_another_budget_key_or_service():
    for speaks, silenced, equal in silences():
        for name in silenced:
            of_both = [
                set(re.findall(r"\$labels\.(\w+)", alert.summary + alert.description))
                for alert in (ALERTS[speaks], ALERTS[name])
            ]
            # What speaks of no one in particular is about the whole account.
            assert equal <= of_both[0] & of_both[1], (speaks, name)
            assert bool(equal) is bool(of_both[0]), (speaks, name)


def test_stale_account_data_silence_money_and_not_the_clients_own_alarm():
    (silenced,) = [silenced for speaks, silenced, _ in silences() if "Stale" in speaks]

    assert {"OrOtelBudgetSpent", "OrOtelCreditsLow", "OrOtelKeyExhausted", "OrOtelCaptureGap"} <= silenced
    assert not {"OrOtelSpendSpike", "OrOtelErrorsHigh", "OrOtelAccountPollFailing"} & silenced
