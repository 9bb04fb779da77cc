from __future__ import annotations

import json
import tomllib
from datetime import date
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.cli.budget import first_file
from or_otel.config import read_config
from or_otel.simulator.book import fingerprint

TODAY = date(2026, 11, 21)


def limits(text):
    return {budget.name: budget.limit_usd for budget in read_config(text, {}).budgets}


def run(*arguments, **environ):
    return CliRunner().invoke(main, ["budget", *arguments], env={"OR_OTEL_CONFIG": None, "HOME": "/nowhere", **environ})


def test_a_month_is_shared_evenly_among_its_days():
    text = first_file(Decimal(100), today=TODAY, names=[], is_working_days=False)

    assert limits(text) == {"month": Decimal(100), "week": Decimal("23.33"), "day": Decimal("3.33")}
    assert [budget.period for budget in read_config(text, {}).budgets] == ["month", "week", "day"]


@pytest.mark.parametrize(("today", "days"), [(TODAY, 21), (date(2026, 2, 1), 20), (date(2028, 2, 29), 21)])
def test_working_days_are_counted_for_the_running_month(today, days):
    text = first_file(Decimal(2100), today=today, names=[], is_working_days=True)

    assert f"of the {days} working days of" in text
    assert limits(text)["day"] == (Decimal(2100) / days).quantize(Decimal("0.01"))


@pytest.mark.parametrize("monthly", ["0.1", "1", "99.99", "100", "1e6"])
@pytest.mark.parametrize("is_working_days", [False, True])
def test_shares_never_exceed_the_month_and_every_file_is_in_order(monthly, is_working_days):
    names = ["search", 'odd "name" \\ *', "ünï"]
    text = first_file(Decimal(monthly), today=TODAY, names=names, is_working_days=is_working_days)
    told = limits(text)

    days = 21 if is_working_days else 30
    assert told["day"] * days <= told["month"] == Decimal(monthly)
    assert sum(told[f"key {name}"] for name in names) <= told["month"]
    assert [budget["value"] for budget in tomllib.loads(text)["budgets"][3:]] == names


def test_the_matching_limit_at_openrouter_is_advised_and_left_to_the_owner():
    text = first_file(Decimal(100), today=TODAY, names=["search"], is_working_days=False)

    assert "give the key itself there the limit\n# $100.00, reset monthly" in text


def test_init_prints_a_file_that_check_finds_in_order(tmp_path):
    printed = run("init", "--monthly", "100", "--keys", "2")
    path = tmp_path / "or-otel.toml"
    path.write_text(printed.output)

    checked = run("check", str(path))

    assert (printed.exit_code, checked.exit_code) == (0, 0)
    assert "in order; 5 budgets" in checked.output
    assert "  key key-2: $50.00 a month, key key-2" in checked.output


def test_a_file_that_is_there_is_not_replaced_without_force(tmp_path):
    path = tmp_path / "or-otel.toml"
    path.write_text("# mine\n")

    refused = run("init", "--monthly", "5", "--output", str(path))
    kept = path.read_text()
    forced = run("init", "--monthly", "5", "--output", str(path), "--force")

    assert (refused.exit_code, kept) == (1, "# mine\n")
    assert "--force" in refused.output
    assert forced.exit_code == 0
    assert limits(path.read_text())["month"] == Decimal(5)


def test_a_file_that_cannot_be_written_is_told(tmp_path):
    answer = run("init", "--monthly", "5", "--output", str(tmp_path / "none" / "x.toml"))

    assert answer.exit_code == 1
    assert "No such file or directory" in answer.output


def test_a_new_file_is_written_and_what_to_do_next_is_said(tmp_path):
    done = run("init", "--monthly", "5", "--keys", "search, ci", "--output", str(tmp_path / "x.toml"))

    assert "or-otel budget check" in done.stderr
    assert {"key search", "key ci"} <= limits((tmp_path / "x.toml").read_text()).keys()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--monthly", "0"],
        ["--monthly", "-1"],
        ["--monthly", "nan"],
        ["--monthly", "many"],
        ["--monthly", "5", "--keys", "0"],
        ["--monthly", "5", "--keys", "1001"],
        ["--monthly", "5", "--keys", "sk-or-v1-secret"],
        [],
    ],
)
def test_nonsense_is_a_usage_error_that_repeats_no_key(arguments):
    answer = run("init", *arguments)

    assert answer.exit_code == 2
    assert "secret" not in answer.output


def test_check_tells_every_problem_and_fails(tmp_path):
    path = tmp_path / "or-otel.toml"
    path.write_text('[[budgets]]\nname = "a"\nlimit_usd = 1\nperiod = "weekly"\n[exporter]\nprot = 1\n')

    answer = run("check", str(path))

    assert answer.exit_code == 2
    assert "budgets[0].period = 'weekly'" in answer.stderr
    assert "exporter.prot: no such key" in answer.stderr
    assert "2 problems" in answer.stderr


def test_check_takes_the_file_in_force_and_notes_a_variable_that_is_not_set(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[notify]\nurls = ["$OR_OTEL_TEST_URL"]\n')

    answer = run("check", OR_OTEL_CONFIG=str(path))

    assert answer.exit_code == 0
    assert f"{path}: in order; 0 budgets" in answer.output
    assert "note: notify.urls[0]: $OR_OTEL_TEST_URL is not set" in answer.stderr


def test_check_without_any_file_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    answer = run("check", XDG_CONFIG_HOME=str(tmp_path))

    assert answer.exit_code == 1
    assert "or-otel budget init --monthly 100" in answer.output


# How they stand -------------------------------------------------------------------------------------------------------

LIMITS = """
[[budgets]]
name = "all"
limit_usd = 1000

[[budgets]]
name = "dock"
scope = "company"
value = "Dock"
limit_usd = 1000
include_byok = false
period = "week"

[[budgets]]
name = "search"
scope = "feature"
value = "search"
limit_usd = 1000
"""
WEEK_S, MONTH_S = 1_794_787_200.0, 1_793_491_200.0
DOCK = "sk-or-v1-demo-dry-dock"


@pytest.fixture
def limits_at(desk):
    def write(more="", *, past=True):
        if past:
            desk.past(is_ledger=True)
        with desk.config.open("a") as file:
            file.write(LIMITS + more)
        return desk

    return write


def standing(answer):
    assert answer.exit_code == 0, answer.output
    return {row["budget"]: row for row in json.loads(answer.stdout)["budgets"]}


def test_status_tells_what_the_account_and_the_ledger_know(limits_at):
    desk = limits_at()
    tracked = [entry for entry in desk.server.book.entries if not entry.is_cancelled and entry.created_at_s >= MONTH_S]

    rows = standing(desk.run("budget", "status", "--json"))

    assert Decimal(rows["all"]["spent_usd"]) == sum(desk.billed(MONTH_S))
    assert Decimal(rows["dock"]["spent_usd"]) == desk.billed(WEEK_S, key=fingerprint(DOCK))[0]
    assert 0 < Decimal(rows["search"]["spent_usd"]) < sum(entry.spend for entry in tracked)
    assert {name: row["witness"] for name, row in rows.items()} == {
        "all": "account",
        "dock": "account",
        "search": "ledger",
    }
    assert Decimal(rows["all"]["remaining_usd"]) == 1000 - Decimal(rows["all"]["spent_usd"])
    assert rows["all"]["forecasts"]["7d"]["days_left"] > 0


def test_features_together_are_what_the_ledger_tracked(limits_at):
    desk = limits_at('[[budgets]]\nname = "any"\nscope = "feature"\nvalue = "*"\nlimit_usd = 1\n')
    tracked = [entry for entry in desk.server.book.entries if not entry.is_cancelled and entry.created_at_s >= MONTH_S]

    rows = standing(desk.run("budget", "status", "--json"))

    assert Decimal(rows["any"]["spent_usd"]) == sum(entry.spend for entry in tracked)


@pytest.mark.parametrize(("limit", "arguments", "code"), [("0.000001", ["--fail-over"], 1), ("0.000001", [], 0)])
def test_over_fails_only_on_demand(limits_at, limit, arguments, code):
    desk = limits_at(f'[[budgets]]\nname = "tight"\nlimit_usd = {limit}\n')

    answer = desk.run("budget", "status", *arguments)

    assert answer.exit_code == code
    assert "over" in answer.stdout


def test_within_all_limits_nothing_fails(limits_at):
    assert limits_at().run("budget", "status", "--fail-over").exit_code == 0


def test_a_deleted_key_counts_with_its_last_reading(limits_at):
    desk = limits_at()
    desk.run("budget", "status")
    desk.account.delete_key(DOCK)
    desk.now_s += 60

    rows = standing(desk.run("budget", "status", "--json"))

    assert Decimal(rows["all"]["spent_usd"]) == sum(desk.billed(MONTH_S))


def test_without_a_management_key_the_better_witness_gives_a_floor(limits_at):
    desk = limits_at()
    tracked = [entry for entry in desk.server.book.entries if not entry.is_cancelled and entry.created_at_s >= MONTH_S]

    answer = desk.run("budget", "status", "--json", management_key=None, api_key=DOCK)

    row = standing(answer)["all"]
    assert (row["witness"], row["is_floor"]) == ("ledger", True)
    assert Decimal(row["spent_usd"]) == sum(entry.spend for entry in tracked)
    assert "does not see other keys" in answer.stderr


def test_without_a_ledger_the_asking_key_is_the_witness(limits_at):
    desk = limits_at(past=False)
    desk.past()

    answer = desk.run("budget", "status", "--json", management_key=None, api_key=DOCK)

    row = standing(answer)["all"]
    assert (row["witness"], row["is_floor"]) == ("key", True)
    assert Decimal(row["spent_usd"]) == sum(desk.billed(MONTH_S, key=fingerprint(DOCK)))


def test_without_any_key_the_ledger_answers(limits_at):
    desk = limits_at()

    answer = desk.run("budget", "status", "--json", management_key=None)

    assert (
        standing(answer)["search"]["spent_usd"]
        == standing(desk.run("budget", "status", "--json"))["search"]["spent_usd"]
    )
    assert "The account was not asked, no key is given" in answer.stderr


def test_what_nobody_belongs_to_is_unknown_and_said(limits_at):
    desk = limits_at('[[budgets]]\nname = "typo"\nscope = "company"\nvalue = "Dokc"\nlimit_usd = 1\n')

    answer = desk.run("budget", "status")

    assert "typo is unknown: no key of the account belongs to company Dokc" in answer.stderr


def test_status_without_budgets_says_how_to_make_one(desk):
    answer = desk.run("budget", "status")

    assert answer.exit_code == 1
    assert "or-otel budget init" in answer.stderr


def test_status_of_a_broken_file_tells_every_problem(desk):
    desk.config.write_text('[[budgets]]\nname = "a"\nlimit_usd = 1\nperiod = "weekly"\n[exporter]\nprot = 1\n')

    answer = desk.run("budget", "status")

    assert answer.exit_code == 2
    assert "budgets[0].period = 'weekly'" in answer.stderr
    assert "exporter.prot: no such key" in answer.stderr


def test_an_account_that_cannot_be_reached_is_an_error(limits_at):
    answer = limits_at().run("budget", "status", "--fail-over", OR_OTEL_BASE_URL="http://127.0.0.1:9")

    assert answer.exit_code == 1
    assert "check network" in answer.stderr
