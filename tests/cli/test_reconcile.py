"""`reconcile` as a person or a script uses it; what its causes are is tested where they are found."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.simulator.account import MANAGEMENT_KEY
from or_otel.simulator.history import CLEAN, Company, Shares, entries_of_history, write_history
from or_otel.simulator.server import ScriptedOpenRouter

DAY_S = 86_400
NOON_S = time.time() // DAY_S * DAY_S + DAY_S / 2
TODAY = datetime.fromtimestamp(NOON_S, UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
KEYS = [Company(name="own", byok=("Anthropic",), fee_rate=Decimal("0.05")), Company(name="plain")]
OWN, PLAIN = (company.key for company in KEYS)


def mark(key):
    return hashlib.sha256(key.encode()).hexdigest()[:12]


@pytest.fixture
def server():
    with ScriptedOpenRouter(wall=lambda: NOON_S) as running:
        yield running


@pytest.fixture
def fill(tmp_path, server):
    """Write a past into account and ledger; `keep` says which of our entries are there."""

    def write(*, days=4, calls_per_day=40, keep=lambda _: True, shares=CLEAN):
        history = write_history(
            server.account,
            until_s=NOON_S,
            days=days,
            calls_per_day=calls_per_day,
            seed=5,
            keys=KEYS,
            shares=shares,
        )
        lines = [to_line(entry) for entry in entries_of_history(history) if keep(entry)]
        (tmp_path / "host-1-1.jsonl").write_bytes(b"".join(lines))
        return history

    return write


@pytest.fixture
def ask(tmp_path, server, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments, key=OWN, management=MANAGEMENT_KEY, **environment):
        keys = {"OPENROUTER_API_KEY": key, "OPENROUTER_MANAGEMENT_KEY": management, "OR_OTEL_CONFIG": None}
        known = keys | {"OR_OTEL_BASE_URL": server.base_url} | environment
        return CliRunner().invoke(main, ["reconcile", *arguments, "--ledger", str(tmp_path)], env=known)

    return run


def is_lost(entry):
    return entry.started_at_s // DAY_S == NOON_S // DAY_S - 1 and entry.key_name == "plain"


def test_equal_days_end_with_0_and_say_to_the_last_digit(ask, fill, server):
    fill()

    answer = ask()

    assert (answer.exit_code, "Not matched" in answer.stderr) == (0, False)
    assert "tracked = billed, to the last digit: $" in answer.stdout
    assert answer.stdout.count("100.0000%") == 4  # it begins four days ago, at noon; today is not over


def test_a_gap_ends_with_1_and_is_named(ask, fill):
    fill(keep=lambda entry: not is_lost(entry))

    answer = ask("--day", "yesterday")

    assert answer.exit_code == 1
    assert "beyond 1% on 1 of 1" in answer.stdout
    assert "untracked" in answer.stdout
    assert ask("--day", "yesterday", "--tolerance", "1").exit_code == 0


def test_json_and_csv_hold_exact_money(ask, fill, server):
    fill(keep=lambda entry: not is_lost(entry))

    value = json.loads(ask("--since", "3d", "--by", "key,model", "--json").stdout)
    rows = list(csv.DictReader(io.StringIO(ask("--since", "3d", "--by", "key,model", "--csv").stdout)))

    assert [row["key"] for row in rows] == [row["key"] for row in value["rows"]]
    assert {row["key"] for row in rows} == {"own", "plain"}
    assert value["is_within"] is False
    billed = server.book.summed(lambda slot: slot.day if slot.day == NOON_S // DAY_S - 1 else None)
    (tally,) = billed.values()
    mine = [row for row in rows if row["day"] == YESTERDAY.isoformat()]
    assert sum(Decimal(row["provider_credits_usd"]) for row in mine) == tally.charged
    assert sum(Decimal(row["provider_byok_usd"]) for row in mine) == tally.byok
    (cause,) = [row for row in value["causes"] if row["cause"] == "untracked"]
    assert Decimal(cause["credits_usd"]) == Decimal(value["days"][-1]["credits_difference_usd"])
    assert {row["verdict"] for row in mine if row["key"] == "own"} == {"equal"}
    assert {row["verdict"] for row in mine if row["key"] == "plain"} == {"beyond", "equal"}  # free models


def test_a_stored_day_is_not_asked_for_again_and_outlives_the_account(ask, fill, server):
    fill()
    ask()
    asked = len(server.requests)

    again, alone = ask(), ask(key=None, management=None)

    assert "/activity" not in " ".join(request.path for request in server.requests[asked:])
    assert again.exit_code == 0
    assert "the account was not asked" in alone.stderr.lower()
    assert "100.0000%" in alone.stdout


def test_days_before_the_ledger_began_are_left_out_and_told(ask, fill):
    fill(keep=lambda entry: entry.started_at_s >= NOON_S - 2 * DAY_S)

    answer = ask("--since", "10d", "--json")

    assert "The ledger begins on" in answer.stderr
    assert len(json.loads(answer.stdout)["days"]) == 2


def test_days_that_nobody_knows_any_more_are_left_out_and_told(ask, fill):
    fill(days=40, calls_per_day=5)

    answer = ask("--since", "35d", "--json")
    older = ask("--day", (TODAY - timedelta(days=33)).isoformat())

    assert len(json.loads(answer.stdout)["days"]) == 30
    assert "Nothing is known of 5 days" in answer.stderr
    assert (older.exit_code, older.stdout) == (2, "")
    assert "30 closed days" in older.stderr


def test_prices_whose_records_are_not_there_stay_unknown_and_are_told(ask, fill, server):
    fill(shares=Shares(cancelled=0.3, replayed=0, fallback=0))
    server.behaviour.generation_not_found_first = 1000

    answer = ask("--lookup", "3", "--json")

    assert answer.exit_code == 1
    assert "0 prices of" in answer.stderr
    assert "3 records not there" in answer.stderr
    assert {row["cause"] for row in json.loads(answer.stdout)["causes"]} == {"cancelled"}


def test_keys_that_nobody_matches_are_named_on_both_sides_and_not_guessed(ask, fill, tmp_path):
    fill()

    loose = ask("--by", "key", "--json", key=None)
    rows = json.loads(loose.stdout)["rows"]
    hashes = {row["key"]: row["key_hash"] for row in rows if row["key_hash"]}
    table = '[[keys]]\nhash = "{}"\nfingerprint = "{}"\n'
    config = tmp_path / "keys.toml"
    config.write_text("".join(table.format(hashes[company.name], mark(company.key)) for company in KEYS))
    joined = ask("--by", "key", "--json", key=None, OR_OTEL_CONFIG=str(config))

    assert loose.exit_code == 0  # both sides together are the same money
    assert "Not matched: fingerprints" in loose.stderr
    assert mark(OWN) in loose.stderr
    assert {row["verdict"] for row in rows} == {"one side only"}
    assert {row["verdict"] for row in json.loads(joined.stdout)["rows"]} == {"equal"}
    assert "Not matched" not in joined.stderr


def test_calls_with_another_account_s_key_are_left_out_once_all_keys_are_matched(ask, fill, tmp_path, entry):
    fill()
    times = dict.fromkeys(("started_at_s", "ended_at_s", "call_started_at_s"), NOON_S - DAY_S)
    (tmp_path / "host-2-2.jsonl").write_bytes(to_line(entry("5", key_id="f" * 12, **times)))

    answer = ask("--tolerance", "0")
    value = json.loads(ask("--json").stdout)

    assert answer.exit_code == 0
    assert f"Left out: calls with {'f' * 12}" in answer.stderr
    assert "; not compared: $5.00 tracked with another account's keys" in " ".join(answer.stdout.split())
    assert value["not_compared"]["left_out_client_usd"] == "5"


def test_the_caption_says_what_was_compared_as_sums_alone_and_how_much_money_stands_there(ask, fill, server):
    fill()

    answer, value = ask(key=None), json.loads(ask("--json", key=None).stdout)
    proven = json.loads(ask("--json").stdout)

    billed = sum(Decimal(row[name]) for row in value["days"] for name in ("provider_credits_usd", "provider_byok_usd"))
    assert billed > 0
    assert value["not_compared"] == {
        "unmatched_client_usd": f"{billed.normalize():f}",
        "unmatched_provider_usd": f"{billed.normalize():f}",
        "left_out_client_usd": "0",
    }
    assert "compared as sums of days alone, for their keys are not matched: tracked $" in " ".join(
        answer.stdout.split()
    )
    assert set(proven["not_compared"].values()) == {"0"}  # a held key proves what the account's hashes are
    assert "sums of days" not in " ".join(ask().stdout.split())


def test_one_key_of_two_that_is_matched_leaves_the_money_of_the_other_as_not_compared(ask, fill, tmp_path):
    fill()
    rows = json.loads(ask("--by", "key", "--json").stdout)["rows"]
    (key_hash,) = {row["key_hash"] for row in rows if row["key"] == "own"}
    config = tmp_path / "one.toml"
    config.write_text(f'[[keys]]\nhash = "{key_hash}"\nfingerprint = "{mark(OWN)}"\n')

    value = json.loads(ask("--json", key=None, OR_OTEL_CONFIG=str(config)).stdout)

    names = ("provider_credits_usd", "provider_byok_usd")
    plain = sum(Decimal(row[name]) for row in rows if row["key"] == "plain" for name in names)
    assert Decimal(value["not_compared"]["unmatched_provider_usd"]) == plain > 0
    assert Decimal(value["not_compared"]["unmatched_client_usd"]) == plain


def test_an_account_that_knows_none_of_our_keys_is_not_taken_for_equal(ask, server, tmp_path, entry):
    times = dict.fromkeys(("started_at_s", "ended_at_s", "call_started_at_s"), NOON_S - DAY_S)
    (tmp_path / "host-2-2.jsonl").write_bytes(to_line(entry("5", key_id="f" * 12, **times)))

    answer = ask("--json")

    assert answer.exit_code == 1
    assert [row["cause"] for row in json.loads(answer.stdout)["causes"]] == ["unmatched_fingerprint"]


def test_an_inference_key_tells_its_running_periods_alone(ask, fill):
    fill(days=40, calls_per_day=10)

    answer = ask("--json", management=None)
    named = ask("--day", "yesterday", management=None)

    assert "is an inference key" in answer.stderr
    assert answer.exit_code == 0
    rows = json.loads(answer.stdout)["rows"]
    assert [row["model"] for row in rows] == ["running day", "running week", "running month"]
    assert {row["fingerprint"] for row in rows} == {mark(OWN)}
    assert all(row["client_credits_usd"] == row["provider_credits_usd"] for row in rows)
    assert named.exit_code == 2
    assert "needs a management key" in named.stderr


def test_a_period_older_than_the_ledger_says_nothing_for_an_inference_key(ask, fill):
    fill(days=40, calls_per_day=10, keep=lambda entry: entry.started_at_s >= NOON_S - 60)

    answer = ask(management=None)

    assert answer.exit_code == 2
    assert "The ledger begins after the month did" in answer.stderr or "the ledger is empty" in answer.stderr


def test_an_account_without_lists_of_generations_leaves_the_sums(ask, fill, server):
    fill(keep=lambda entry: not is_lost(entry))
    server.account_fails("/analytics/meta", 404)

    answer = ask("--day", "yesterday", "--json")

    (cause,) = json.loads(answer.stdout)["causes"]
    assert "Single generations could not be listed" in answer.stderr
    assert (cause["cause"], cause["is_certain"]) == ("untracked", "likely")


def test_a_list_that_does_not_add_up_is_left_aside(ask, fill, server):
    fill(keep=lambda entry: not is_lost(entry))
    row = {"generation_id": "gen-1", "credits_usage": 1, "byok_usage": 0}
    server.account_fails("/analytics/query", body={"data": {"data": [row], "metadata": {"truncated": False}}})

    answer = ask("--day", "yesterday", "--json")

    assert "does not add up" in answer.stderr
    assert {cause["is_certain"] for cause in json.loads(answer.stdout)["causes"]} == {"likely"}


def test_an_account_without_workspaces_has_but_one(ask, fill, server):
    fill()
    server.account_fails("/workspaces", 404)

    assert ask().exit_code == 0


def test_analytics_that_know_no_generations_are_not_asked_for_them(ask, fill, server):
    fill(keep=lambda entry: not is_lost(entry))
    server.account_fails("/analytics/meta", body={"data": {"dimensions": [], "metrics": [], "granularities": []}})

    answer = ask("--day", "yesterday")

    assert "do not list single generations" in answer.stderr
    assert not any("/analytics/query" in request.path for request in server.requests)


def test_records_that_are_not_there_are_told(ask, fill, server):
    history = fill(keep=lambda entry: not is_lost(entry))
    server.behaviour.generation_not_found_first = 1000

    answer = ask("--day", "yesterday", "--lookup", "5", "--json")

    (cause,) = json.loads(answer.stdout)["causes"]
    assert history.generations
    assert cause["cause"] == "untracked"


@pytest.mark.parametrize(
    ("arguments", "options", "sentence"),
    [
        (("--day", "yesterday", "--since", "7d"), {}, "choose one"),
        (("--day", "20.11.2026"), {}, "expected a UTC day"),
        (("--day", TODAY.isoformat()), {}, "not over yet"),
        (("--since", "today"), {}, "no day since then is over yet"),
        (("--by", "team"), {}, "expected key, model"),
        (("--tolerance", "2"), {}, "expected a share of the bill"),
        (("--tolerance", "1%"), {}, "expected a share of the bill"),
        (("--json", "--csv"), {}, "choose one"),
        (("--columns", "a=b"), {}, "belong to --invoice"),
        ((), {"key": None, "management": None}, "set OPENROUTER_MANAGEMENT_KEY"),
        ((), {"OR_OTEL_BASE_URL": "http://127.0.0.1:9"}, "check network"),
        ((), {"OR_OTEL_BASE_URL": "nowhere"}, "OR_OTEL_BASE_URL"),
        ((), {"management": "two words"}, "OPENROUTER_MANAGEMENT_KEY"),
        ((), {"OR_OTEL_CONFIG": "/nowhere/or-otel.toml"}, "expected a readable file"),
    ],
)
def test_what_cannot_be_compared_ends_with_2_and_says_what_would_be_right(ask, fill, arguments, options, sentence):
    fill(days=2, calls_per_day=5)

    answer = ask(*arguments, **options)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert sentence in answer.stderr


def test_an_empty_ledger_compares_nothing(ask):
    answer = ask()

    assert answer.exit_code == 2
    assert "the ledger is empty" in answer.stderr


def test_a_refused_key_is_told_and_not_shown(ask, fill, server):
    fill(days=2, calls_per_day=5)
    server.account_fails("/workspaces", 401)

    answer = ask()

    assert answer.exit_code == 2
    assert "is wrong, disabled or deleted" in answer.stderr
    assert MANAGEMENT_KEY not in answer.output


# Invoices -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def bill(tmp_path):
    """Write a provider's bill of all BYOK generations of closed days, at 15 % off."""

    def write(history, *, more=Decimal(0)):
        rows = [
            (datetime.fromtimestamp(each.created_at_s, UTC).date(), each.permaslug, each.upstream * Decimal("0.85"))
            for each in history.generations
            if each.is_byok and each.created_at_s < NOON_S - DAY_S / 2
        ]
        path = tmp_path / "bill.csv"
        lines = [f"{day},{model.partition('/')[2]},{cost + more}" for day, model, cost in rows]
        path.write_text("\n".join(["usage_date,model,amount", *lines]) + "\n")
        return path

    return write


COLUMNS = ("--columns", "date=usage_date,model=model,cost=amount")


def test_an_invoice_is_compared_at_contract_prices_without_asking_anybody(ask, fill, bill, tmp_path, server):
    path = bill(fill())
    (tmp_path / "or-otel.toml").write_text("[byok.anthropic]\ndiscount = 0.15\n")

    answer = ask("--invoice", str(path), *COLUMNS, "--provider", "Anthropic", "--tolerance", "0", key=None)
    at_list_price = ask("--invoice", str(path), *COLUMNS, "--provider", "Anthropic", OR_OTEL_CONFIG="empty.toml")

    assert answer.exit_code == 0, answer.output
    assert "tracked = billed, to the last digit" in answer.stdout
    assert at_list_price.exit_code == 2  # there is no such file
    assert server.requests == ()


def test_an_invoice_that_is_more_ends_with_1(ask, fill, bill):
    path = bill(fill(), more=Decimal("0.001"))

    answer = ask("--invoice", str(path), *COLUMNS, "--provider", "Anthropic", "--json")

    assert answer.exit_code == 1
    assert {row["verdict"] for row in json.loads(answer.stdout)["rows"]} <= {"beyond", "within"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (COLUMNS, "say with --provider whose it is"),
        ((*COLUMNS, "--provider", "Acme"), "served by own keys were: Anthropic"),
        (
            ("--columns", "date=usage_day,model=model,cost=amount", "--provider", "Anthropic"),
            "did you mean 'usage_date'",
        ),
        ((*COLUMNS, "--provider", "Anthropic", "--day", "2020-01-01"), "no line of these days"),
    ],
)
def test_an_invoice_that_cannot_be_compared_ends_with_2(ask, fill, bill, arguments, sentence):
    answer = ask("--invoice", str(bill(fill())), *arguments)

    assert (answer.exit_code, answer.stdout) == (2, "")
    assert sentence in answer.stderr


def test_keys_may_come_from_files(ask, fill, tmp_path):
    fill()
    files = {}
    for name, key in (("OPENROUTER_API_KEY", OWN), ("OPENROUTER_MANAGEMENT_KEY", MANAGEMENT_KEY)):
        (tmp_path / name).write_text(f"{key}\n")
        files[f"{name}_FILE"] = str(tmp_path / name)

    answer = ask(key=None, management=None, **files)

    assert (answer.exit_code, answer.stderr) == (0, ask().stderr)
    assert "tracked = billed, to the last digit: $" in answer.stdout


@pytest.mark.parametrize("option", ["--day", "--since"])
@pytest.mark.parametrize("day", ["0001-01-01", "0001-01-02", "1969-12-31"])
def test_a_day_before_openrouter_is_refused_at_once(ask, fill, option, day):
    fill()

    answer = ask(option, day)

    assert answer.exit_code == 2
    assert f"{day}: there was no OpenRouter yet" in answer.stderr


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_an_invoice_of_days_that_cannot_be_is_refused(ask, fill, tmp_path, day):
    fill()
    bill = tmp_path / "bill.csv"
    bill.write_text(f"day,model,usd\n{day},claude,1\n")

    answer = ask("--invoice", str(bill), "--provider", "Anthropic", "--columns", "date=day,model=model,cost=usd")

    assert answer.exit_code == 2
    assert f"bill.csv: a line is of {day}" in answer.stderr
