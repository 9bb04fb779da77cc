"""`or-otel report --digest` in all its forms, as a person or a script uses it."""

from __future__ import annotations

import hashlib
import json
import time
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.account.history import store_keys
from or_otel.account.market import store_models
from or_otel.accounts import AccountKey, Model, Prices, Spend
from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger

DAY_S = 86_400

# Apprise, on the Python versions that still have that module.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "or-otel.toml"
    path.write_text("")
    return path


@pytest.fixture
def ask(tmp_path, config):
    def run(*arguments, **environ):
        environ = {"OR_OTEL_CONFIG": str(config), "OPENROUTER_API_KEY": None, **environ}
        return CliRunner().invoke(main, ["report", *arguments, "--ledger", str(tmp_path)], env=environ)

    return run


@pytest.fixture
def fill(tmp_path, entry):
    def write(cost, days_ago=0.0, **fields):
        at_s = time.time() - 60 - days_ago * DAY_S
        times = {"started_at_s": at_s, "call_started_at_s": at_s, "ended_at_s": at_s + 1}
        with (tmp_path / "host-1-1.jsonl").open("ab") as journal:
            journal.write(to_line(entry(cost, **times | fields)))

    return write


def sections(answer):
    return json.loads(answer.stdout)["sections"]


def test_a_digest_tells_the_period_with_exact_money(ask, fill):
    fill("0.1", response_model="m/a")
    fill("0.2000000001", days_ago=2, response_model="m/b")

    found = sections(ask("--digest", "--json"))

    assert found["spent"]["rows"][0]["cost_usd"] == "0.3000000001"
    assert [row["model"] for row in found["models"]["rows"]] == ["m/b", "m/a"]


def test_people_get_the_same_in_the_terminal_and_as_markdown(ask, fill):
    fill("2", response_model="m/a")

    assert "$2.00 for 1 call." in ask("--digest").stdout
    assert "| m/a | 1 |" in ask("--markdown").stdout


def test_where_narrows_a_digest_and_leaves_budgets_out(ask, fill, config):
    config.write_text('[[budgets]]\nname = "month"\nlimit_usd = 1\n')
    fill("2", tags={"team": "ads"})
    fill("3")

    assert "budgets" in sections(ask("--digest", "--json"))
    narrowed = sections(ask("--digest", "--json", "--where", "team=ads"))
    assert narrowed["spent"]["rows"][0]["cost_usd"] == "2"
    assert "budgets" not in narrowed


def test_what_the_account_told_of_its_keys_stands_against_the_budget(ask, fill, config, tmp_path):
    config.write_text('[[budgets]]\nname = "month"\nlimit_usd = 10\n\n[[keys]]\nname = "prod"\nteam = "search"\n')
    fill("2")
    with open_ledger(tmp_path / DATABASE) as ledger:
        key = AccountKey(hash="a" * 64, name="prod", credits=Spend(monthly_usd=Decimal(25)))
        store_keys(ledger, [key], time.time() - 1)

    (row,) = sections(ask("--digest", "--json"))["budgets"]["rows"]

    assert (row["spent_usd"], row["state"]) == ("25", "over")


def test_the_money_of_a_key_known_by_fingerprint_alone_stands_in_its_teams_budget(ask, fill, config, tmp_path):
    held = "sk-or-v1-held"
    digest = hashlib.sha256(held.encode()).hexdigest()
    config.write_text(
        '[[budgets]]\nname = "search"\nscope = "team"\nvalue = "search"\nlimit_usd = 10\n\n'
        f'[[keys]]\nfingerprint = "{digest[:12]}"\nteam = "search"\n'
    )
    fill("2")
    with open_ledger(tmp_path / DATABASE) as ledger:
        key = AccountKey(hash=digest, name="gone", credits=Spend(monthly_usd=Decimal(25)))
        store_keys(ledger, [key], time.time() - 1)

    (row,) = sections(ask("--digest", "--json", OPENROUTER_API_KEY=held))["budgets"]["rows"]

    assert (row["spent_usd"], row["state"]) == ("25", "over")


def test_price_changes_since_the_period_began_are_told(ask, fill, tmp_path):
    fill("2", response_model="m/a")
    with open_ledger(tmp_path / DATABASE) as ledger:
        store_models(ledger, [Model(id="m/a", prices=Prices(input=Decimal("0.000001")))], time.time() - 20 * DAY_S)
        store_models(ledger, [Model(id="m/a", prices=Prices(input=Decimal("0.000002")))], time.time() - DAY_S)

    (row,) = sections(ask("--digest", "--json"))["market"]["rows"]

    assert row["words"] == "input $1.00 → $2.00 a million (+100%)"


def test_a_page_is_written_beside_the_answer(ask, fill, tmp_path):
    fill("2")

    answer = ask("--html", str(tmp_path / "week.html"))

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "week.html written" in answer.stderr
    assert "$2.00 for 1 call." in (tmp_path / "week.html").read_text()


def test_an_empty_ledger_says_what_to_run_next(ask):
    answer = ask("--digest")

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "or-otel run -- python app.py" in answer.stderr


def test_programs_get_a_document_of_an_empty_ledger_too(ask):
    answer = ask("--digest", "--json")

    assert (answer.exit_code, json.loads(answer.stdout)["version"]) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--digest", "--by", "team"), "--by is for the table"),
        (("--markdown", "--csv"), "--csv is for the table"),
        (("--markdown", "--json"), "choose one"),
        (("--open",), "or-otel report --html report.html --open"),
        (("--digest", "--where", "modle=x"), "did you mean 'model'"),
    ],
)
def test_a_wrong_question_exits_with_two_and_says_what_would_be_right(ask, arguments, said):
    answer = ask(*arguments)

    assert answer.exit_code == 2
    assert said in answer.stderr


def test_a_page_that_cannot_be_written_says_why(ask, fill, tmp_path):
    fill("2")

    answer = ask("--html", str(tmp_path / "none" / "week.html"))

    assert answer.exit_code == 1
    assert "No such file or directory" in answer.stderr


def test_a_digest_is_sent_with_its_page(ask, fill, config, tmp_path, webhook):
    config.write_text('[notify]\nurls = ["$HOOK"]\n')
    fill("2")

    answer = ask("--send", "--html", str(tmp_path / "week.html"), HOOK=webhook.apprise_url)

    assert (answer.exit_code, answer.stdout) == (0, "")
    (message,) = webhook.received
    assert message["title"].startswith("or-otel: LLM spending, ")
    assert "$2.00 for 1 call." in message["message"]
    assert [each["filename"] for each in message["attachments"]] == ["week.html"]


def test_a_digest_that_does_not_arrive_is_a_failure(ask, fill, config, webhook):
    webhook.status = 500
    config.write_text('[notify]\nurls = ["$HOOK"]\n')
    fill("2")

    answer = ask("--send", HOOK=webhook.apprise_url)

    assert (answer.exit_code, len(webhook.asked)) == (1, 1)
    assert "1 of 1 addresses did not take it" in answer.stderr
    assert webhook.apprise_url not in answer.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no address is set; add to"),
        ('[notify]\nurls = ["$HOOK"]\n', "$HOOK is not set"),
        ('[notify]\nurls = ["$PATH"]\n', "notify: address 1 of 1 is no Apprise URL"),
        ("[notify]\nurl = 1\n", "did you mean"),
    ],
)
def test_what_is_missing_for_sending_is_told_before_any_work(ask, config, text, said):
    config.write_text(text)

    answer = ask("--send")

    assert answer.exit_code == 2
    assert said in answer.stderr
