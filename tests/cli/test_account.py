"""`or-otel account` before a scripted account with a past: every figure is the book's."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from or_otel.simulator.account import SEARCH_KEY, WORKSPACE_ID
from or_otel.simulator.book import fingerprint
from or_otel.simulator.history import COMPANIES, Company

DAY_S = 86_400
MIDNIGHT_S = datetime(2026, 11, 20, tzinfo=UTC).timestamp()
BEGINS = {
    "day": MIDNIGHT_S,
    "week": datetime(2026, 11, 16, tzinfo=UTC).timestamp(),
    "month": datetime(2026, 11, 1, tzinfo=UTC).timestamp(),
}
FIRST_S = MIDNIGHT_S - 30 * DAY_S
NORTH = "sk-or-v1-demo-north-ferries"
DOCK = "sk-or-v1-demo-dry-dock"


def told(answer):
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def money(row):
    return Decimal(row["credits_usd"]), Decimal(row["byok_usd"])


def test_today_week_and_month_are_the_book_s(desk):
    desk.past()

    shown = told(desk.run("account", "--json"))

    assert {name: money(row) for name, row in shown["spent"].items()} == {
        name: desk.billed(begin_s) for name, begin_s in BEGINS.items()
    }
    assert all(Decimal(row["total_usd"]) == sum(money(row)) > 0 for row in shown["spent"].values())
    balance = shown["credits"]
    assert Decimal(balance["remaining_usd"]) == desk.account.credits_usd - desk.server.book.total("charged")


def test_closed_days_of_a_deleted_key_still_count(desk):
    desk.past()
    spent = desk.billed(BEGINS["month"])
    desk.account.delete_key(NORTH)
    today = desk.billed(MIDNIGHT_S, key=fingerprint(NORTH))

    shown = told(desk.run("account", "--json"))

    assert money(shown["spent"]["month"]) == (spent[0] - today[0], spent[1] - today[1])


def test_the_credits_last_as_long_as_the_last_seven_days_say(desk):
    desk.past()

    shown = told(desk.run("account", "--json"))

    balance, rate = shown["credits"], Decimal(shown["credits"]["usd_per_day"])
    assert shown["forecast"]["window"] == "7d"
    assert balance["days_left"] == float(Decimal(balance["remaining_usd"]) / rate)
    week = desk.billed(MIDNIGHT_S - 6 * DAY_S)[0]
    assert week / 7 <= rate <= week / 6


def test_a_terminal_shows_balance_pace_and_what_is_near_its_limit(desk):
    desk.past()
    spent = desk.billed(MIDNIGHT_S, key=fingerprint("sk-or-v1-demo-pilot-office"))[0]
    desk.account.change_key("sk-or-v1-demo-pilot-office", limit_usd=spent / Decimal("0.9"))

    answer = desk.run("account")

    assert "Balance $" in answer.stdout
    assert "times the 7 days before; the month ends at $" in answer.stdout
    (row,) = [line.split() for line in answer.stdout.splitlines() if "pilot-office" in line]
    assert row[3:] == ["90%", "2026-11-21"]


def test_an_ordinary_key_shows_itself_and_says_what_it_does_not_see(desk):
    desk.past()

    shown = told(desk.run("account", "--json", management_key=None, api_key=DOCK))
    answer = desk.run("account", management_key=None, api_key=DOCK)

    assert (shown["key_kind"], shown["is_whole_account"], shown["credits"]) == ("inference", False, None)
    assert money(shown["spent"]["month"]) == desk.billed(BEGINS["month"], key=fingerprint(DOCK))
    assert shown["free_requests"]["limit"] == 1000
    assert "does not see the balance, other keys, closed days" in answer.stdout
    assert "OPENROUTER_MANAGEMENT_KEY" in answer.stdout
    assert DOCK not in answer.output


def test_both_kinds_of_key_together_show_account_and_quota(desk):
    desk.past()

    shown = told(desk.run("account", "--json", api_key=DOCK))

    assert shown["is_whole_account"] is True
    assert shown["free_requests"] is not None
    assert shown["notes"] == []


def test_keys_come_from_files_too(desk, tmp_path):
    (tmp_path / "secret").write_text("sk-or-v1-demo-management\n")

    answer = desk.run("account", "--json", management_key=None, OPENROUTER_MANAGEMENT_KEY_FILE=str(tmp_path / "secret"))

    assert told(answer)["is_whole_account"] is True


@pytest.mark.parametrize("name", ["model", "provider"])
def test_a_split_by_what_was_asked_is_the_book_s(desk, name):
    desk.past()

    rows = told(desk.run("account", "--by", name, "--json"))["rows"]

    assert {row[name]: money(row) for row in rows} == {
        each: desk.billed(FIRST_S, MIDNIGHT_S, **{name: each})
        for each in {getattr(e, name) for e in desk.server.book.entries if FIRST_S <= e.created_at_s < MIDNIGHT_S}
    }


def test_a_split_by_day_has_the_running_day_apart(desk):
    desk.past()

    rows = told(desk.run("account", "--by", "day", "--json"))["rows"]

    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    for row in rows[:-1]:
        begin_s = datetime.combine(date.fromisoformat(row["day"]), datetime.min.time(), UTC).timestamp()
        assert money(row) == desk.billed(begin_s, begin_s + DAY_S)
    assert (rows[-1]["day"], rows[-1]["requests"]) == ("2026-11-20", None)
    assert Decimal(rows[-1]["today_usd"]) == sum(desk.billed(MIDNIGHT_S))


def test_a_split_by_key_names_even_what_deleted_keys_spent(desk):
    desk.past()
    desk.account.delete_key(NORTH)

    rows = told(desk.run("account", "--by", "key", "--json"))["rows"]

    found = {row["key"]: money(row) for row in rows}
    assert found["(deleted keys)"] == desk.billed(FIRST_S, MIDNIGHT_S, key=fingerprint(NORTH))
    assert found["dry-dock"] == desk.billed(FIRST_S, MIDNIGHT_S, key=fingerprint(DOCK))
    assert tuple(map(sum, zip(*found.values(), strict=True))) == desk.billed(FIRST_S, MIDNIGHT_S)


def test_a_split_by_company_follows_the_settings_file(desk):
    desk.past()

    rows = told(desk.run("account", "--by", "company,team", "--json"))["rows"]

    found = {(row["company"], row["team"]): row for row in rows}
    assert found.keys() == {("North", "ferries"), ("Dock", "yard"), (None, None)}
    assert money(found["Dock", "yard"]) == desk.billed(FIRST_S, MIDNIGHT_S, key=fingerprint(DOCK))
    assert Decimal(found["Dock", "yard"]["today_usd"]) == sum(desk.billed(MIDNIGHT_S, key=fingerprint(DOCK)))


def test_keys_of_every_workspace_and_page_count(desk):
    room = "11111111-2222-4333-8444-555555555555"
    desk.account.add_workspace(room, "Research")
    desk.account.page_size = 2
    desk.past(keys=(*COMPANIES, Company(name="lab", share=5, workspace_id=room)))
    assert room != WORKSPACE_ID

    rows = told(desk.run("account", "--by", "key", "--json"))["rows"]

    assert {"lab", "north-ferries", "lighthouse"} <= {row["key"] for row in rows}
    assert "(deleted keys)" not in {row["key"] for row in rows}


def test_members_and_apps_come_from_analytics(desk):
    desk.past(calls_per_day=60)

    rows = told(desk.run("account", "--by", "member,key", "--json"))["rows"]

    assert {row["member"] for row in rows} == {"Ada Ferreira"}
    found = {row["key"]: money(row) for row in rows}
    assert found["dry-dock"] == desk.billed(FIRST_S, MIDNIGHT_S, key=fingerprint(DOCK))
    today = {row["key"]: Decimal(row["today_usd"]) for row in rows}
    assert today["dry-dock"] == sum(desk.billed(MIDNIGHT_S, key=fingerprint(DOCK))) > 0


def test_days_by_app_are_those_of_the_book(desk):
    desk.past()

    rows = told(desk.run("account", "--by", "app,day", "--days", "3", "--json"))["rows"]

    assert sorted(row["day"] for row in rows) == ["2026-11-17", "2026-11-18", "2026-11-19", "2026-11-20"]
    closed = [money(row) for row in rows if row["day"] != "2026-11-20"]
    assert tuple(map(sum, zip(*closed, strict=True))) == desk.billed(MIDNIGHT_S - 3 * DAY_S, MIDNIGHT_S)


def test_a_dimension_this_account_is_not_told_is_named(desk):
    desk.server.account_fails("/analytics/meta", body={"data": {"dimensions": [{"name": "model"}], "metrics": []}})

    answer = desk.run("account", "--by", "app")

    assert answer.exit_code == 1
    assert "not told by app ('app'); offered are model" in answer.stderr


def test_csv_holds_exact_money(desk):
    desk.past()

    rows = list(csv.DictReader(desk.run("account", "--by", "model", "--csv").stdout.splitlines()))
    figures = dict(list(csv.reader(desk.run("account", "--csv").stdout.splitlines()))[1:])

    assert sum(Decimal(row["credits_usd"]) for row in rows) == desk.billed(FIRST_S, MIDNIGHT_S)[0]
    assert Decimal(figures["spent.month.credits_usd"]) == desk.billed(BEGINS["month"])[0]


def test_one_endpoint_that_fails_leaves_the_rest(desk):
    desk.past()
    desk.server.account_fails("/activity", 503)

    answer = desk.run("account", "--json")

    assert money(told(answer)["spent"]["month"]) == desk.billed(BEGINS["month"])
    assert "not told: /activity: HTTP 503" in answer.stderr


def test_being_asked_to_wait_is_waiting(desk):
    desk.past()
    desk.server.account_fails("/activity", 429, times=2, retry_after_s=0)

    assert told(desk.run("account", "--by", "model", "--json"))["rows"]


def test_a_server_that_keeps_refusing_ends_the_command(desk):
    desk.server.account_fails("/activity", 429, retry_after_s=0)

    answer = desk.run("account", "--by", "model")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "asked too often" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "options", "code", "sentence"),
    [
        ((), {"management_key": None}, 1, "set OPENROUTER_MANAGEMENT_KEY"),
        ((), {"OR_OTEL_BASE_URL": "http://127.0.0.1:9"}, 1, "check network"),
        ((), {"OR_OTEL_BASE_URL": "nowhere"}, 2, "OR_OTEL_BASE_URL"),
        (("--base-url", "nowhere"), {}, 2, "--base-url"),
        ((), {"management_key": "two words"}, 2, "OPENROUTER_MANAGEMENT_KEY"),
        ((), {"management_key": None, "OPENROUTER_API_KEY_FILE": "/nowhere/at/all"}, 2, "OPENROUTER_API_KEY_FILE"),
        ((), {"OR_OTEL_CONFIG": "/nowhere/at/all.toml"}, 2, "expected a readable file"),
        (("--by", "modle"), {}, 2, "did you mean 'model'?"),
        (("--by", "company,app"), {}, 2, "ask for key,app"),
        (("--by", "app,model,key"), {}, 2, "at most two"),
        (("--json", "--csv"), {}, 2, "choose one"),
        (("--by", "model"), {"management_key": None, "api_key": SEARCH_KEY}, 1, "needs a management key"),
    ],
)
def test_what_cannot_be_answered_says_what_would_be_right(desk, arguments, options, code, sentence):
    answer = desk.run("account", *arguments, **options)

    assert (answer.exit_code, answer.stdout) == (code, "")
    assert sentence in answer.stderr


def test_a_rejected_key_is_told_and_not_shown(desk):
    desk.account.reject("sk-or-v1-CANARY")

    answer = desk.run("account", management_key="sk-or-v1-CANARY")

    assert answer.exit_code == 1
    assert "the key in OPENROUTER_MANAGEMENT_KEY is wrong, disabled or deleted" in answer.stderr
    assert "CANARY" not in answer.output


def test_a_split_in_a_terminal_says_which_days_it_holds(desk):
    desk.past()

    answer = desk.run("account", "--by", "company", "--days", "2")

    assert "on the closed UTC days 2026-11-18 to 2026-11-19" in " ".join(answer.stdout.split())
    assert "(none)" in answer.stdout


def test_one_key_that_cannot_be_asked_leaves_no_table_that_looks_whole(desk):
    desk.past()
    desk.server.account_fails("/activity", 429, retry_after_s=600)

    answer = desk.run("account", "--by", "company")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "asked too often" in answer.stderr


def test_an_answer_that_was_cut_is_not_shown_as_whole(desk):
    row = {"app": "a", "credits_usage": 1}
    desk.server.account_fails("/analytics/query", body={"data": {"data": [row], "metadata": {"truncated": True}}})

    answer = desk.run("account", "--by", "app")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "more than 10,000 rows" in answer.stderr
