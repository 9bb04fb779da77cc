"""`or-otel export` as finance uses it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.account.history import store_activity, store_keys
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.cli import main
from or_otel.cli.export import _write
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger

SECRET = "sk-or-v1-" + "5" * 64
DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def ask(tmp_path):
    def run(*arguments, **environ):
        arguments = ["export", *arguments, "--ledger", str(tmp_path)]
        environ = {"OR_OTEL_CONFIG": None, "HOME": str(tmp_path), "OPENROUTER_API_KEY": None, **environ}
        return CliRunner().invoke(main, arguments, env=environ)

    return run


@pytest.fixture
def fill(tmp_path, entry):
    def write(*costs, **fields):
        at_s = time.time() - 60
        times = {"started_at_s": at_s, "call_started_at_s": at_s, "ended_at_s": at_s + 1}
        with (tmp_path / "host-1-1.jsonl").open("ab") as journal:
            journal.write(b"".join(to_line(entry(cost, **times | fields)) for cost in costs))

    return write


@pytest.fixture
def account(tmp_path):
    """What was kept of the account: two keys, a day of the account, and one key's part of it."""
    key = AccountKey(hash=DIGEST, name="prod", creator_user_id="user_1", workspace_id="ws_1")
    row = ActivityRow(
        day=YESTERDAY,
        model="m/a",
        permaslug="m/a-1",
        endpoint_id="e",
        provider="X",
        credits_usd=Decimal("1.5"),
        requests=9,
    )
    part = ActivityRow(
        **{name: getattr(row, name) for name in ("day", "model", "permaslug", "endpoint_id", "provider")},
        credits_usd=Decimal("1.2"),
        requests=4,
        key_hash=DIGEST,
    )
    with open_ledger(tmp_path / DATABASE) as ledger:
        store_keys(ledger, [key, AccountKey(hash="b" * 64, name="other")], time.time())
        store_activity(ledger, [row], time.time())
        store_activity(ledger, [part], time.time(), key_hash=DIGEST)


def read(answer):
    assert answer.exit_code == 0, answer.output
    return list(csv.DictReader(io.StringIO(answer.stdout)))


def test_every_charge_is_a_row_with_exact_money(ask, fill):
    fill("0.1", "0.0000000002")

    assert [row["BilledCost"] for row in read(ask("calls", "--since", "1d"))] == ["0.1", "0.0000000002"]


def test_sums_by_month_and_team_as_json_lines(ask, fill):
    fill("0.1", "0.2", tags={"team": "ads"})

    (line,) = ask("calls", "--since", "1d", "--by", "team", "--format", "jsonl").stdout.splitlines()

    told = json.loads(line)
    assert (told["x_Team"], told["BilledCost"], told["x_Requests"]) == ("ads", "0.3", 2)


def test_a_key_s_maker_and_workspace_come_from_the_account(ask, fill, account):
    fill("1", key_id=DIGEST[:12])

    (row,) = read(ask("calls", "--since", "1d", OPENROUTER_API_KEY=SECRET))

    assert (row["SubAccountId"], row["SubAccountName"]) == (DIGEST, "prod")
    assert (row["x_CreatorId"], row["x_WorkspaceId"]) == ("user_1", "ws_1")


def test_a_key_that_is_not_known_is_its_fingerprint(ask, fill):
    fill("1", key_id="abcdef012345", key_name="laptop")

    (row,) = read(ask("calls", "--since", "1d"))

    assert (row["SubAccountId"], row["SubAccountName"], row["x_CreatorId"]) == ("abcdef012345", "laptop", "")


def test_booked_days_by_key_add_up_to_the_account_s(ask, account):
    rows = read(ask("activity", "--since", "3d", "--by", "key,creator"))

    assert {row["x_Key"]: (row["BilledCost"], row["x_Requests"], row["x_Creator"]) for row in rows} == {
        "prod": ("1.2", "4", "user_1"),
        "": ("0.3", "5", ""),
    }


def test_a_key_s_day_that_explains_the_account_s_whole_leaves_no_rest(ask, account, tmp_path):
    with open_ledger(tmp_path / DATABASE) as ledger:
        ledger.execute("DELETE FROM activity WHERE key_hash = ''")

    (row,) = read(ask("activity", "--since", "3d"))

    assert (row["SubAccountName"], row["BilledCost"]) == ("prod", "1.2")


def test_a_file_appears_whole_and_is_the_owner_s_alone(ask, fill, tmp_path):
    fill("1")

    answer = ask("calls", "--since", "1d", "--output", str(tmp_path / "out.csv"))

    assert (answer.exit_code, answer.stdout) == (0, "")
    assert "out.csv: 1 row, FOCUS 1.2 columns" in answer.stderr
    assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("*.part")) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_breaks_off_leaves_nothing_behind_and_the_old_file_as_it_was(tmp_path, error):
    output = tmp_path / "out.csv"
    output.write_text("old")

    def lines():
        yield "first\n"
        assert len(list(tmp_path.glob("*.part"))) == 1
        raise error

    with pytest.raises(error):
        _write(lines(), output)

    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    assert output.read_text() == "old"


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path, entry, begin):
    at_s = time.time() - 60
    times = {"started_at_s": at_s, "call_started_at_s": at_s}
    (tmp_path / "host-1-1.jsonl").write_bytes(b"".join(to_line(entry("1", **times)) for _ in range(1000)))
    command = [sys.executable, "-m", "or_otel.cli", "export", "calls", "--since", "1d", "--ledger", str(tmp_path)]

    export = begin(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert export.stdout.readline().startswith(b'"BilledCost"')
    export.stdout.close()
    assert export.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("calls", "--by", "modle"), "'modle': expected month"),
        (("calls", "--by", "model,model"), "each once"),
        (("activity", "--by", "team"), "'team': expected month"),
        (("activity", "--where", "team=ads"), "--where chooses calls"),
        (("invoices",), "'invoices' is not one of"),
    ],
)
def test_a_wrong_question_exits_with_two_and_says_what_would_be_right(ask, arguments, said):
    answer = ask(*arguments)

    assert answer.exit_code == 2
    assert said in answer.stderr


def test_nothing_to_export_says_why(ask, fill):
    assert "or-otel run -- python app.py" in ask("calls").stderr
    assert "or-otel exporter fetches them" in ask("activity").stderr


def test_a_folder_that_is_not_there_is_told(ask, tmp_path):
    answer = ask("calls", "--output", str(tmp_path / "none" / "out.csv"))

    assert answer.exit_code == 1
    assert "No such file or directory" in answer.stderr
