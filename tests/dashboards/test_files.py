"""What is committed is what the code makes; what is installed is what is committed."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from or_otel.dashboards import installed
from or_otel.dashboards.__main__ import all_files, write
from or_otel.dashboards.rulefiles import rule_files
from or_otel.dashboards.rules import Choices

ROOT = Path(__file__).parents[2]
FILES = all_files()


@pytest.mark.parametrize("name", FILES)
def test_the_committed_file_is_current(name):
    assert (ROOT / "dashboards" / name).read_text(encoding="utf-8") == FILES[name], "run `make generate`"


def test_no_file_is_left_over_from_a_board_that_is_no_more():
    there = {path.name for path in (ROOT / "dashboards").glob("*.json")}

    assert there == {name for name in FILES if name.endswith(".json")}


def test_writing_deletes_boards_that_are_no_more_and_nothing_else(tmp_path):
    (tmp_path / "or-otel-old.json").write_text("{}")
    (tmp_path / "README.md").write_text("mine")

    write(tmp_path)

    assert not (tmp_path / "or-otel-old.json").exists()
    assert (tmp_path / "README.md").read_text() == "mine"
    assert (tmp_path / "rules" / "or-otel-alerts.yml").exists()


def test_making_them_twice_gives_the_same():
    assert all_files() == FILES


def test_an_installation_carries_the_boards():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel["force-include"] == {"dashboards": "or_otel/dashboards/files"}
    assert set(installed.board_files()) == {name for name in FILES if name.endswith(".json")}


def test_an_installation_without_boards_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(installed, "FOLDERS", (tmp_path,))

    with pytest.raises(FileNotFoundError, match="make generate"):
        installed.board_files()


def test_the_documents_address_goes_into_the_boards():
    boards = installed.board_files("https://docs.example/")

    assert all('"url": "https://docs.example/docs/runbooks/README.md"' in text for text in boards.values())


def test_the_renderers_packages_are_locked_for_every_machine_and_name_no_registry():
    folder = ROOT / "tools" / "render"
    wanted = json.loads((folder / "package.json").read_text(encoding="utf-8"))["dependencies"]
    (itself, *packages) = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"].items()
    rollup = dict(packages)["node_modules/rollup"]

    assert itself[1]["dependencies"] == wanted
    assert [name for name, package in packages if "resolved" in package or "integrity" not in package] == []
    assert {f"node_modules/{name}" for name in rollup["optionalDependencies"]} - {"node_modules/fsevents"} <= dict(
        packages
    ).keys()


def test_rules_load_in_every_prometheus_that_is_here(every_tool, tmp_path):
    for name, text in rule_files(Choices(sources={"a": "spans", "b": "ledger"})).items():
        path = tmp_path / Path(name).name
        path.write_text(text, encoding="utf-8")
        for promtool in every_tool("promtool"):
            command = [promtool, "check", "rules", str(path)]
            told = subprocess.run(command, capture_output=True, text=True, check=False)
            assert told.returncode == 0, told.stdout + told.stderr


def test_rule_files_hold_what_yaml_readers_read():
    groups = [
        (group["name"], group["interval"])
        for name in ("recording", "alerts")
        for group in yaml.safe_load(FILES[f"rules/or-otel-{name}.yml"])["groups"]
    ]

    # Money, budgets and alerts each minute: what they promise to tell in time rests on that.
    assert groups == [
        ("or-otel-cost", "1m"),
        ("or-otel-counters", "5m"),
        ("or-otel-calendar", "5m"),
        ("or-otel-usual", "5m"),
        ("or-otel-budgets", "1m"),
        ("or-otel-alerts", "1m"),
    ]
