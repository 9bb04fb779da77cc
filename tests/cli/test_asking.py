"""What every command that asks the account has in common: whom it asks, its settings file, what it says of failures."""

from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.simulator.account import MANAGEMENT_KEY
from or_otel.simulator.history import Company

ACCOUNT = ("account",)
KEYS = ("keys",)
STATEMENT = ("statement", "--company", "North", "--month", "2026-11")
BUDGET = ("budget", "status")
WATCH = ("watch", "--once")
RECONCILE = ("reconcile", "--since", "2026-11-18")
SHOW = ("show", "gen-1793700005-E1f2G3h4I5j6K7l8M9n0")
EXPORTER = ("exporter", "--once")
ASKING = (ACCOUNT, KEYS, STATEMENT, BUDGET, WATCH, RECONCILE, SHOW, EXPORTER)
"""Every command that asks the account."""
READING = (*ASKING, ("report", "--digest"), ("report", "--send"), ("export", "calls"), ("dashboards", "export"))
"""Every command that reads the settings file."""
NOWHERE = "http://127.0.0.1:9/api/v1"
BUDGETS = '[[budgets]]\nname = "all"\nlimit_usd = 1000\n'


@pytest.fixture(autouse=True)
def _with_a_budget(desk):
    desk.config.write_text(desk.config.read_text() + BUDGETS)


def named(command):
    return " ".join(command[:2]) if command[0] in {"budget", "report"} else command[0]


def asked(desk, command, *, file=None, environment=None, option=None):
    """Run a command with base URLs at three places; gives how many requests came to the server."""
    where = "" if file is None else f'[account]\nbase_url = "{file}"\n'
    desk.config.write_text(f"{where}{BUDGETS}")
    options = () if option is None else ("--base-url", option)
    before = len(desk.server.requests)
    desk.run(*command, *options, OR_OTEL_BASE_URL=environment)
    return len(desk.server.requests) - before


# Whom to ask ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ASKING, ids=named)
def test_the_file_says_whom_to_ask_the_environment_wins_and_the_option_wins_over_both(desk, command):
    here = desk.server.base_url
    desk.past(days=3, calls_per_day=3, is_ledger=True)

    assert asked(desk, command, file=here)
    assert asked(desk, command, file=NOWHERE, environment=here)
    assert asked(desk, command, file=NOWHERE, environment=NOWHERE, option=here)
    assert not asked(desk, command, file=here, environment=NOWHERE)
    assert not asked(desk, command, file=here, environment=here, option=NOWHERE)


@pytest.mark.parametrize("command", ASKING, ids=named)
@pytest.mark.parametrize(
    "url", ["openrouter.ai", "https://me:SECRET@openrouter.ai/api/v1", "https://", "http://a:99999"]
)
def test_a_url_that_is_none_is_refused_wherever_it_stands_and_never_repeated(desk, command, url):
    desk.past(days=2, calls_per_day=3, is_ledger=True)
    desk.config.write_text(BUDGETS)

    by_option = desk.run(*command, "--base-url", url)
    by_environment = desk.run(*command, OR_OTEL_BASE_URL=url)
    desk.config.write_text(f'[account]\nbase_url = "{url}"\n')
    by_file = desk.run(*command, OR_OTEL_BASE_URL=None)

    for answer, where in (
        (by_option, "--base-url"),
        (by_environment, "OR_OTEL_BASE_URL"),
        (by_file, "account.base_url"),
    ):
        assert (answer.exit_code, answer.stdout) == (2, ""), answer.output
        assert where in answer.stderr
        assert "expected a URL" in answer.stderr
        assert "SECRET" not in answer.stderr


# The settings file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", READING, ids=named)
def test_a_settings_file_with_faults_ends_every_command_with_2_and_names_all_of_them(desk, command, monkeypatch):
    monkeypatch.chdir(desk.folder)
    desk.past(days=2, calls_per_day=3, is_ledger=True)
    desk.config.write_text('[[budgets]]\nname = "a"\nlimit_usd = 1\nperiod = "weekly"\n[exporter]\nprot = 1\n')

    answer = desk.run(*command)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert f"{desk.config}: budgets[0].period = 'weekly': expected one of" in answer.stderr
    assert f"{desk.config}: exporter.prot: no such key" in answer.stderr


@pytest.mark.parametrize("command", READING, ids=named)
@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file or directory: expected a readable file"), (b"[[budgets]", "no TOML"), (b"\xff", "not UTF-8")],
)
def test_a_settings_file_that_cannot_be_read_ends_every_command_with_2(desk, command, content, said, monkeypatch):
    monkeypatch.chdir(desk.folder)
    desk.past(days=2, calls_per_day=3, is_ledger=True)
    desk.config.unlink()
    if content is not None:
        desk.config.write_bytes(content)

    answer = desk.run(*command)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert f"{desk.config}: {said}" in answer.stderr


# What fails -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ASKING, ids=named)
def test_a_wrong_key_is_named_by_its_variable_and_never_shown(desk, command):
    desk.past(days=3, calls_per_day=3, is_ledger=True)

    managing = desk.run(*command, management_key="sk-or-v1-WRONG-management")
    ordinary = desk.run(*command, management_key=None, api_key="sk-or-v1-WRONG-ordinary")

    for answer in (managing, ordinary):
        assert answer.exit_code == (2 if command is RECONCILE else 1)
        assert "Traceback" not in answer.output
        assert "WRONG" not in answer.output
    assert "the key in OPENROUTER_MANAGEMENT_KEY is wrong, disabled or deleted" in managing.output
    assert "openrouter.ai/settings/management-keys" in managing.output
    if command is not STATEMENT:  # it asks with a management key alone
        assert "the key in OPENROUTER_API_KEY is wrong, disabled or deleted" in ordinary.output


@pytest.mark.parametrize("command", ASKING, ids=named)
def test_a_server_that_wants_to_be_left_alone_is_quoted_with_how_long(desk, command):
    desk.past(days=3, calls_per_day=3, is_ledger=True)
    for path in ("/key", "/keys", "/credits", "/activity", "/workspaces", "/generation"):
        desk.server.account_fails(path, 429, retry_after_s=3600)

    answer = desk.run(*command)

    assert answer.exit_code == (2 if command is RECONCILE else 1)
    assert "asked too often; wait 3,600 s" in answer.output


@pytest.mark.parametrize("command", [ACCOUNT, KEYS, STATEMENT, BUDGET], ids=named)
def test_what_several_endpoints_fail_for_is_said_once(desk, command):
    answer = desk.run(*command, OR_OTEL_BASE_URL=f"{desk.server.base_url}/nowhere")
    (line,) = answer.stderr.splitlines()

    assert answer.exit_code == 1
    assert line.startswith("Error: /key, /workspaces, /keys")
    assert line.endswith("check OR_OTEL_BASE_URL")


@pytest.mark.parametrize("command", [ACCOUNT, ("account", "--by", "model"), STATEMENT, RECONCILE], ids=named)
def test_rows_that_cannot_be_read_are_counted_aloud(desk, command):
    desk.past(days=3, calls_per_day=3, is_ledger=True)
    rows = [{"date": "the day before yesterday", "usage": 1}, {"date": "2026-11-19", "usage": "much"}]
    desk.server.account_fails("/activity", body={"data": rows})

    answer = desk.run(*command, api_key=MANAGEMENT_KEY)

    (said,) = [line for line in answer.stderr.splitlines() if "could not be read" in line]
    assert "/activity: " in said
    assert "rows could not be read" in said


@pytest.mark.parametrize("command", ASKING, ids=named)
def test_the_name_of_a_key_steers_no_terminal(desk, command):
    key = Company(name="north-a")
    desk.past(days=3, calls_per_day=6, keys=[key, Company(name="b")], is_ledger=True)
    name = "north-\x1b]0;title\x07\x1b[31m\r\n\u202e[bold]"
    desk.account.change_key(key.key, name=name, limit_usd=Decimal("0.000001"), limit_reset=None)
    desk.server.account_fails("/activity", 503, times=2)

    answer = desk.run(*command)

    assert not set("\x1b\x07\r\u202e") & set(answer.output)


def test_the_settings_of_the_exporter_are_checked_without_any_key(desk):
    answer = desk.run("exporter", "--check", management_key=None)

    assert answer.exit_code == 0
    assert "note: no key is given" in answer.stderr
    assert "series in all" in answer.stdout
