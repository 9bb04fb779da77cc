from __future__ import annotations

import json

import pytest
import yaml
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.dashboards import installed


@pytest.fixture
def ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("OR_OTEL_CONFIG", raising=False)

    def run(*arguments):
        return CliRunner().invoke(main, ["dashboards", "export", *arguments])

    return run


def test_boards_and_rules_are_written_as_files(ask, tmp_path):
    told = ask()

    assert told.exit_code == 0, told.output
    folder = tmp_path / "or-otel-dashboards"
    assert len(list(folder.glob("*.json"))) == 11
    assert json.loads((folder / "or-otel-overview.json").read_text())["uid"] == "or-otel-overview"
    assert (folder / "rules" / "or-otel-alerts.yml").exists()
    assert (folder / "alertmanager" / "alertmanager.yml").exists()


def test_files_that_are_there_are_replaced_only_by_force(ask):
    ask("--output", "there")

    refused, forced = ask("--output", "there"), ask("--output", "there", "--force")

    assert refused.exit_code == 1
    assert "pass --force" in refused.output
    assert forced.exit_code == 0


def test_what_is_too_much_and_too_slow_is_for_the_owner_to_say(ask, tmp_path):
    told = ask("--output", "out", "--spike-usd", "0.25", "--unusual-usd", "70", "--slow-s", "75")

    assert told.exit_code == 0, told.output
    groups = yaml.safe_load((tmp_path / "out" / "rules" / "or-otel-alerts.yml").read_text())["groups"]
    queries = {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"]}
    assert "> 0.25" in queries["OrOtelSpendSpike"]
    assert "> 70" in queries["OrOtelSpendUnusual"]
    assert "> 75" in queries["OrOtelLatencyHigh"]


def test_client_side_budgets_of_the_settings_file_become_rules(ask, tmp_path):
    (tmp_path / "or-otel.toml").write_text(
        '[[budgets]]\nname = "summaries"\nscope = "feature"\nvalue = "summary"\nlimit_usd = 50\nperiod = "month"\n'
        '[[budgets]]\nname = "all"\nscope = "account"\nlimit_usd = 900\nperiod = "month"\n'
    )

    told = ask("--output", "out")

    assert told.exit_code == 0, told.output
    groups = yaml.safe_load((tmp_path / "out" / "rules" / "or-otel-recording.yml").read_text())["groups"]
    named = {
        rule["labels"].get("openrouter_budget_name") for group in groups for rule in group["rules"] if "labels" in rule
    }
    assert "summaries" in named
    assert "all" not in named
    assert told.stderr == ""


ACME = '[[budgets]]\nname = "acme"\nscope = "customer"\nvalue = "acme"\nlimit_usd = 50\n'


@pytest.mark.parametrize(
    ("environ", "file", "now"), [({}, "", "team, feature"), ({"OR_OTEL_METRIC_TAGS": "customer"}, "[]", "none")]
)
def test_a_budget_of_a_tag_that_metrics_do_not_carry_is_told(ask, tmp_path, monkeypatch, environ, file, now):
    monkeypatch.delenv("OR_OTEL_METRIC_TAGS", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "or-otel.toml").write_text(ACME + (f"[metrics]\ntags = {file}\n" if file else ""))

    told = ask("--output", "out")

    assert told.exit_code == 0
    assert "budget 'acme': metrics do not carry the tag 'customer'" in told.stderr
    assert f"(now: {now})" in told.stderr


@pytest.mark.parametrize(("environ", "file"), [("team,customer", ""), ("", '[metrics]\ntags = ["customer"]\n')])
def test_a_budget_of_a_tag_that_metrics_carry_needs_no_word(ask, tmp_path, monkeypatch, environ, file):
    monkeypatch.setenv("OR_OTEL_METRIC_TAGS", environ)
    (tmp_path / "or-otel.toml").write_text(ACME + file)

    told = ask("--output", "out")

    assert (told.exit_code, told.stderr) == (0, "")


@pytest.mark.parametrize("wrong", ["nan", "inf", "-1"])
def test_a_limit_is_a_number_that_there_is(ask, wrong):
    told = ask("--spike-usd", wrong)

    assert told.exit_code == 2
    assert "--spike-usd" in told.stderr


def test_a_settings_file_with_faults_is_refused_with_all_of_them(ask, tmp_path):
    (tmp_path / "bad.toml").write_text('[[budgets]]\nname = "x"\nperiod = "weekly"\n')

    told = ask("--config", "bad.toml")

    assert told.exit_code == 2
    assert "'weekly'" in told.output


def test_sources_and_addresses_go_into_the_rules(ask, tmp_path):
    told = ask(
        *("--source", "nightly=spans", "--default-source", "client"),
        *("--grafana-url", "https://grafana.example/", "--docs-url", "https://docs.example", "--output", "out"),
    )

    assert told.exit_code == 0, told.output
    alerts = (tmp_path / "out" / "rules" / "or-otel-alerts.yml").read_text()
    assert "https://grafana.example/d/or-otel-budgets" in alerts
    assert "https://docs.example/docs/runbooks/" in alerts
    recording = yaml.safe_load((tmp_path / "out" / "rules" / "or-otel-recording.yml").read_text())
    assert {"job": "nightly", "source": "spans"} in [rule.get("labels") for rule in recording["groups"][0]["rules"]]
    assert "https://docs.example/docs/runbooks/README.md" in (tmp_path / "out" / "or-otel-health.json").read_text()


@pytest.mark.parametrize("wrong", ["nightly", "nightly=otlp", "=spans"])
def test_a_wrong_source_is_told_what_is_right(ask, wrong):
    told = ask("--source", wrong)

    assert told.exit_code == 2
    assert "expected SERVICE=PIPELINE with one of client, spans, ledger" in told.output


def test_kubernetes_manifests_are_printed_or_written(ask, tmp_path):
    printed = ask("--format", "k8s", "--namespace", "llm")
    written = ask("--format", "k8s", "--namespace", "llm", "--output", "or-otel.yaml")

    assert printed.exit_code == written.exit_code == 0
    assert (tmp_path / "or-otel.yaml").read_text() == printed.output
    assert {document["metadata"]["namespace"] for document in yaml.safe_load_all(printed.output)} == {"llm"}


def test_a_place_that_cannot_be_written_is_told(ask, tmp_path):
    (tmp_path / "file").write_text("")

    told = ask("--output", "file/below")

    assert told.exit_code == 1
    assert "expected a place that can be written" in told.output


def test_an_installation_without_boards_is_told(ask, monkeypatch, tmp_path):
    monkeypatch.setattr(installed, "FOLDERS", (tmp_path / "nowhere",))

    told = ask()

    assert told.exit_code == 1
    assert "make generate" in told.output
