"""`or-otel statement` before a scripted account: every sum is the book's, and what is not known is said."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from or_otel.simulator.book import fingerprint
from or_otel.simulator.history import COMPANIES, Company

DAY_S = 86_400
DOCK = "sk-or-v1-demo-dry-dock"
NOVEMBER_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
MIDNIGHT_S = datetime(2026, 11, 20, tzinfo=UTC).timestamp()


def told(answer):
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def money(row):
    return Decimal(row["credits_usd"]), Decimal(row["byok_usd"])


def of_dock(desk, since_s=NOVEMBER_S, until_s=MIDNIGHT_S, **wanted):
    return desk.billed(since_s, until_s, key=fingerprint(DOCK), **wanted)


@pytest.fixture
def november(desk):
    return lambda *arguments, **more: desk.run(
        "statement", "--company", "Dock", "--month", "2026-11", *arguments, **more
    )


def test_a_statement_is_the_book_s_to_the_last_digit(desk, november):
    desk.past()

    shown = told(november("--json"))

    assert money(shown["total"]) == of_dock(desk)
    assert all(of_dock(desk))
    assert {row["model"]: money(row) for row in shown["by_model"]} == {
        row["model"]: of_dock(desk, model=row["model"]) for row in shown["by_model"]
    }
    for row in shown["by_day"]:
        begin_s = datetime.fromisoformat(row["day"]).replace(tzinfo=UTC).timestamp()
        assert money(row) == of_dock(desk, begin_s, begin_s + DAY_S)
    for name in ("by_model", "by_key", "by_day", "lines"):
        assert tuple(map(sum, zip(*map(money, shown[name]), strict=True))) == of_dock(desk)
    assert (shown["is_complete"], shown["missing_days"], shown["left_over_usd"]) == (True, {}, "0")
    assert (shown["since"], shown["until"], shown["is_running"]) == ("2026-11-01", "2026-11-20", True)


def test_requests_and_tokens_are_the_book_s_too(desk, november):
    desk.past()
    mine = [
        entry
        for entry in desk.server.book.entries
        if entry.key == fingerprint(DOCK) and NOVEMBER_S <= entry.created_at_s < MIDNIGHT_S
    ]

    shown = told(november("--json"))["total"]

    assert shown["requests"] == len(mine)
    assert shown["input_tokens"] == sum(entry.usage.input_tokens for entry in mine)
    assert shown["output_tokens"] == sum(entry.usage.output_tokens for entry in mine)


def test_a_contract_lowers_own_keys_and_nothing_else(desk, november):
    desk.past()
    with desk.config.open("a") as file:
        file.write("[byok.anthropic]\ndiscount = 0.15\ncommitted_usd = 1000\n")
    credits_usd, byok_usd = of_dock(desk)

    shown = told(november("--json"))

    assert Decimal(shown["total"]["byok_effective_usd"]) == byok_usd * Decimal("0.85")
    assert Decimal(shown["total"]["total_usd"]) == credits_usd + byok_usd * Decimal("0.85")
    assert money(shown["total"]) == (credits_usd, byok_usd)
    assert f"| sum | {Decimal(shown['total']['total_usd']):f} |" in november("--markdown").stdout
    assert "Commitments to anthropic are owed beside this" in " ".join(shown["notes"])


def test_all_companies_together_are_the_account(desk):
    desk.past()
    desk.config.write_text("".join(f'[[keys]]\nname = "{c.name}"\ncompany = "{c.name}"\n' for c in COMPANIES))

    sums = [
        money(told(desk.run("statement", "--company", c.name, "--month", "2026-11", "--json"))["total"])
        for c in COMPANIES
    ]

    assert tuple(map(sum, zip(*sums, strict=True))) == desk.billed(NOVEMBER_S, MIDNIGHT_S)


def test_a_key_deleted_after_it_was_seen_is_billed_on(desk, november):
    desk.past()
    november()
    desk.account.delete_key(DOCK)

    shown = told(november("--json"))

    assert money(shown["total"]) == of_dock(desk)
    assert "Deleted since, and billed all the same: dry-dock" in " ".join(shown["notes"])


def test_the_last_days_of_a_deleted_key_are_still_asked_for(desk, november):
    desk.past()
    desk.now_s -= 5 * DAY_S
    november()
    desk.now_s += 5 * DAY_S
    desk.account.delete_key(DOCK)

    assert money(told(november("--json"))["total"]) == of_dock(desk)


def test_a_rotated_key_goes_on_under_the_same_company(desk, november):
    desk.past(keys=(*COMPANIES, Company(name="dry-dock-2", share=3)))

    shown = told(november("--json"))

    new = desk.billed(NOVEMBER_S, MIDNIGHT_S, key=fingerprint("sk-or-v1-demo-dry-dock-2"))
    assert money(shown["total"]) == tuple(map(sum, zip(of_dock(desk), new, strict=True)))
    assert len(shown["by_key"]) == 2


def test_a_key_deleted_before_anybody_looked_is_nobody_s_and_told(desk, november):
    desk.past()
    desk.account.delete_key("sk-or-v1-demo-lighthouse")
    lost = sum(desk.billed(NOVEMBER_S, MIDNIGHT_S, key=fingerprint("sk-or-v1-demo-lighthouse")))

    shown = told(november("--json"))

    assert Decimal(shown["left_over_usd"]) == lost > 0
    assert "they are in no company's statement" in " ".join(shown["notes"])


def test_days_before_the_thirty_are_missing_and_not_guessed(desk):
    desk.past(days=40)

    shown = told(desk.run("statement", "--company", "Dock", "--month", "2026-10", "--json"))
    answer = desk.run("statement", "--company", "Dock", "--month", "2026-10")

    (days,) = shown["missing_days"].values()
    # The key was made on the 10th: nothing can be missing before.
    assert (days[0], days[-1], len(days)) == ("2026-10-10", "2026-10-20", 11)
    assert shown["is_complete"] is False
    assert "2026-10-10 to 2026-10-20" in answer.stdout
    assert "≥ 0." in answer.stdout
    first_s = MIDNIGHT_S - 30 * DAY_S
    assert money(shown["total"]) == of_dock(desk, first_s, NOVEMBER_S)


def test_what_was_stored_in_time_is_told_after_openrouter_forgot(desk):
    desk.past(days=28)
    desk.run("statement", "--company", "Dock")
    whole = of_dock(desk, 0, NOVEMBER_S)
    desk.now_s += 60 * DAY_S

    shown = told(desk.run("statement", "--company", "Dock", "--month", "2026-10", "--json"))
    offline = desk.run("statement", "--company", "Dock", "--month", "2026-10", "--json", management_key=None)

    assert money(shown["total"]) == money(told(offline)["total"]) == whole != (0, 0)
    assert shown["is_complete"] is True
    assert "The account was not asked, no management key is given" in offline.stderr


def test_the_last_whole_month_is_meant_without_a_month(desk):
    desk.past()

    assert told(desk.run("statement", "--company", "Dock", "--json"))["since"] == "2026-10-01"


def test_a_running_month_says_that_today_is_not_in_it(desk, november):
    desk.past()

    assert "today and the days to come are not in it" in november().stdout
    assert "today and the days" not in desk.run("statement", "--company", "Dock").stdout


def test_a_day_just_over_is_asked_for_again(desk, november):
    desk.now_s = MIDNIGHT_S + 600
    desk.past()

    early = told(november("--json"))
    desk.now_s = MIDNIGHT_S + 2 * 3600
    later = told(november("--json"))

    assert list(early["missing_days"].values()) == [["2026-11-19"]]
    assert later["is_complete"] is True


def test_csv_adds_up_and_markdown_has_every_digit(desk, november):
    desk.past()
    credits_usd, _ = of_dock(desk)

    rows = list(csv.DictReader(november("--csv").stdout.splitlines()))
    document = november("--markdown").stdout

    assert sum(Decimal(row["credits_usd"]) for row in rows) == credits_usd
    assert {row["company"] for row in rows} == {"Dock"}
    by_key = defaultdict(Decimal)
    for row in rows:
        by_key[row["key"], row["key_hash"]] += Decimal(row["credits_usd"])
    assert dict(by_key) == {("dry-dock", fingerprint(DOCK)): credits_usd}
    assert document.startswith("# Statement for Dock, November 2026\n")
    assert f"| OpenRouter credits | {credits_usd.normalize():f} |" in document


def test_keys_that_could_not_be_asked_leave_their_days_missing(desk, november):
    desk.past()
    desk.server.account_fails("/activity", 503)

    answer = november("--json")

    assert answer.exit_code == 0
    assert "not told: dry-dock: /activity: HTTP 503" in answer.stderr
    assert json.loads(answer.stdout)["is_complete"] is False


def test_a_second_run_asks_for_the_company_s_own_keys_alone(desk, november):
    desk.past()
    november()
    before = len(desk.server.requests)

    november()

    asked = [request.path for request in desk.server.requests[before:] if "/activity" in request.path]
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--company", "Dok"), 2, "did you mean 'Dock'?"),
        (("--company", "Empty"), 1, "no key that was ever seen meets its rows"),
        (("--company", "Dock", "--month", "2026-13"), 2, "expected a month as 2026-11"),
        (("--company", "Dock", "--month", "2026-12"), 2, "has not begun"),
        (("--company", "Dock", "--json", "--markdown"), 2, "choose one"),
        ((), 2, "--company"),
    ],
)
def test_what_cannot_be_stated_says_what_would_be_right(desk, arguments, code, sentence):
    desk.past(days=2)
    with desk.config.open("a") as file:
        file.write('[[keys]]\nname = "empty-*"\ncompany = "Empty"\n')

    answer = desk.run("statement", *arguments)

    assert (answer.exit_code, answer.stdout) == (code, "")
    assert sentence in answer.stderr


def test_without_key_and_history_nothing_is_invented(desk):
    answer = desk.run("statement", "--company", "Dock", management_key=None)

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "no key of the account was ever seen" in answer.stderr


def test_an_account_without_any_key_has_nothing_to_state(desk):
    desk.server.account_fails("/keys", body={"data": []})

    answer = desk.run("statement", "--company", "Dock")

    assert (answer.exit_code, answer.stdout) == (1, "")
    assert "the account has no key, and none of it was ever seen" in answer.stderr


def test_an_ordinary_key_cannot_make_statements_and_is_told_which_could(desk):
    desk.past(days=2)

    answer = desk.run("statement", "--company", "Dock", management_key=None, api_key=DOCK)

    assert answer.exit_code == 1
    assert "OPENROUTER_MANAGEMENT_KEY" in answer.stderr


def test_a_file_without_companies_says_how_to_name_one(desk):
    desk.past(days=2)
    desk.config.write_text("")

    answer = desk.run("statement", "--company", "Acme")

    assert answer.exit_code == 1
    assert 'name = "acme-*" company = "Acme"' in answer.stderr


FINGERPRINT_ROW = f'[[keys]]\nfingerprint = "{fingerprint(DOCK)[:12]}"\ncompany = "Dock"\n'


def test_a_row_of_a_fingerprint_is_met_where_a_held_key_proves_it(desk, november):
    desk.past()
    desk.config.write_text(FINGERPRINT_ROW)

    shown = told(november("--json", api_key="sk-or-v1-demo-north-ferries"))
    unproven = november("--json")

    assert money(shown["total"]) == of_dock(desk)
    assert (unproven.exit_code, "a fingerprint meets its key by a hash" in unproven.stderr) == (1, True)


def test_every_command_meets_a_row_of_a_fingerprint(desk):
    desk.past()
    desk.config.write_text(
        FINGERPRINT_ROW + '[[budgets]]\nname = "b"\nscope = "company"\nvalue = "Dock"\nlimit_usd = 9\n'
    )
    held = {"api_key": "sk-or-v1-demo-north-ferries"}

    split = told(desk.run("account", "--by", "company", "--json", **held))["rows"]
    (budget,) = told(desk.run("budget", "status", "--json", **held))["budgets"]

    assert "Dock" in {row["company"] for row in split}
    assert Decimal(budget["spent_usd"]) == sum(of_dock(desk, until_s=desk.now_s + DAY_S))
