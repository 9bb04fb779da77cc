"""`report`, `calls` and `ledger` as a person or a script uses them."""

import csv
import io
import json
import time

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.entries import to_line


@pytest.fixture
def ask(tmp_path):
    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--ledger", str(tmp_path)])

    return run


@pytest.fixture
def fill(tmp_path, entry):
    now_s = time.time()

    def write(*costs, **fields):
        made = [entry(cost, **{"call_started_at_s": now_s - 60 + place} | fields) for place, cost in enumerate(costs)]
        with (tmp_path / "host-1-1.jsonl").open("ab") as journal:
            journal.write(b"".join(map(to_line, made)))

    return write


@pytest.mark.parametrize("command", ["report", "calls"])
def test_an_empty_ledger_says_what_to_run_next(ask, command):
    answer = ask(command)

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "or-otel run -- python app.py" in answer.stderr


@pytest.mark.parametrize("command", ["report", "calls"])
def test_an_empty_period_does_not_claim_that_the_ledger_is_empty(ask, fill, command):
    fill("1")

    assert "No call in this period" in ask(command, "--since", "2020-01-01", "--until", "2020-01-02").stderr


def test_a_report_shows_groups_and_their_share(ask, fill):
    fill("0.3", tags={"team": "search"})
    fill("0.1", tags={"team": "ads"})

    answer = ask("report", "--by", "team")

    rows = [line.split() for line in answer.stdout.splitlines()]
    assert next(row for row in rows if row[:1] == ["search"])[-2:] == ["$0.30", "75%"]
    assert "$0.40 for 2 calls" in answer.stdout


def test_a_report_as_json_holds_exact_money(ask, fill):
    fill("0.1", "0.1", "0.1000000001", tags={"team": "search"})

    value = json.loads(ask("report", "--by", "team,model", "--json").stdout)

    assert value["by"] == ["team", "model"]
    assert value["total"]["cost_usd"] == "0.3000000001"
    assert value["rows"][0]["team"] == "search"


def test_a_report_as_csv_can_be_read_back(ask, fill):
    fill("0.0000001")

    (row,) = csv.DictReader(io.StringIO(ask("report", "--csv").stdout))

    assert (row["model"], row["cost_usd"], row["cost_share"]) == ("openai/gpt-5-mini", "0.0000001", "1")


def test_unknown_cost_is_told_beside_the_known(ask, fill):
    fill("0.5", None, unpriced="cancelled")

    answer = ask("report")

    assert "≥ $0.50" in answer.stdout
    assert "2 calls with unknown cost" in answer.stdout


def test_a_failed_call_that_cost_nothing_is_zero_and_not_unknown(ask, fill):
    fill(None, outcome="error", error_type="401")

    assert json.loads(ask("report", "--json").stdout)["total"]["unpriced"] == {}
    assert "unknown" not in ask("report").stdout


def test_calls_come_dearest_first_with_their_ids(ask, fill):
    fill("0.1", "0.9", generation_id="gen-1", trace_id="f" * 32)

    value = json.loads(ask("calls", "--json").stdout)
    table = ask("calls", "--top", "1").stdout

    assert [row["cost_usd"] for row in value["rows"]] == ["0.9", "0.1"]
    assert value["rows"][0]["cumulative_share"] == "0.9"
    assert "gen-1" in table
    assert "f" * 32 in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "--since", "soon"), "'soon': expected 90m"),
        (("report", "--where", "team"), "expected key=value"),
        (("report", "--by", "modle"), "did you mean 'model'"),
        (("report", "--json", "--csv"), "choose one"),
        (("calls", "--sort", "price"), "'price' is not one of"),
        (("calls", "--where", "modle=x"), "did you mean 'model'"),
        (("ledger", "erase", "--yes", "--where", "modle=x"), "did you mean 'model'"),
    ],
)
def test_a_wrong_question_exits_with_two_and_says_what_would_be_right(ask, arguments, said):
    answer = ask(*arguments)

    assert answer.exit_code == 2
    assert said in answer.stderr


def test_a_ledger_that_cannot_be_read_is_one_clear_error(ask, tmp_path):
    (tmp_path / "ledger.db").write_text("no database at all, but of some length " * 50)

    answer = ask("report")

    assert answer.exit_code == 1
    assert answer.stderr.startswith("Error: the ledger ")


def test_the_ledger_tells_its_path_and_what_it_holds(ask, fill, tmp_path):
    fill("1", "2", tags={"squad": "a"})

    assert ask("ledger", "path").stdout == f"{tmp_path}\n"
    value = json.loads(ask("ledger", "stats", "--json").stdout)
    assert (value["calls"], value["tags"], value["journals"]) == (2, ["squad"], 1)
    assert "tags     squad" in ask("ledger", "stats").stdout


def test_import_counts_what_is_new_and_what_is_broken(ask, fill, tmp_path):
    fill("1", "2")
    (tmp_path / "stray.jsonl").write_text("broken\n")

    first, second = (json.loads(ask("ledger", "import", "--json").stdout) for _ in range(2))

    assert (first["lines"], first["broken"], second["lines"], second["broken"]) == (2, 1, 0, 0)
    assert "0 new attempts" in ask("ledger", "import").stdout


def test_prune_deletes_what_is_older(ask, fill):
    fill("1", call_started_at_s=time.time() - 7200)
    fill("2")

    assert ask("ledger", "prune", "--older-than", "1h").stdout == "1 attempt deleted\n"
    assert json.loads(ask("report", "--json").stdout)["total"]["cost_usd"] == "2"


def test_erase_asks_first_and_then_leaves_nothing(ask, fill, tmp_path):
    fill("1")

    refused = ask("ledger", "erase")
    assert refused.exit_code == 1
    assert list(tmp_path.iterdir())

    assert ask("ledger", "erase", "--yes").exit_code == 0
    assert not list(tmp_path.iterdir())


def test_erasing_one_customer_keeps_the_others(ask, fill):
    fill("1", tags={"customer": "acme"})
    fill("2", tags={"customer": "other"})

    assert "1 attempt deleted" in ask("ledger", "erase", "--yes", "--where", "customer=acme").stdout
    assert json.loads(ask("report", "--json").stdout)["total"]["cost_usd"] == "2"


def test_the_environment_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("OR_OTEL_LEDGER", str(tmp_path / "named"))
    assert CliRunner().invoke(main, ["ledger", "path"]).stdout == f"{tmp_path / 'named'}\n"

    monkeypatch.setenv("OR_OTEL_LEDGER", "off")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert CliRunner().invoke(main, ["ledger", "path"]).stdout == f"{tmp_path / 'or-otel'}\n"
