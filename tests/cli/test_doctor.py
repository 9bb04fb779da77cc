import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.doctor.live import PROMPT
from or_otel.simulator.account import BROKE_KEY, MANAGEMENT_KEY, SEARCH_KEY


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("OR_OTEL_", "OTEL_", "OPENROUTER_"))]:
        monkeypatch.delenv(name)

    def run(*args, **environ):
        return CliRunner().invoke(main, ["doctor", "--ledger", str(tmp_path / "ledger"), *args], env=environ)

    return run


def unwrapped(answer):
    return " ".join(answer.output.split())


def test_a_machine_in_order_exits_with_0(doctor):
    answer = doctor()

    assert answer.exit_code == 0, answer.output
    assert "0 failed" in answer.output
    assert "OPENROUTER_API_KEY" in answer.output


def test_a_failure_exits_with_1_and_says_what_would_be_right(doctor):
    answer = doctor(OTEL_EXPORTER_OTLP_ENDPOINT="nowhere")

    assert answer.exit_code == 1
    assert "→ OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318" in answer.output


def test_without_a_flag_nothing_is_asked(doctor, openrouter):
    answer = doctor(OPENROUTER_API_KEY=SEARCH_KEY, OR_OTEL_BASE_URL=openrouter.base_url)

    assert answer.exit_code == 0
    assert "fingerprint dbffae3131ee" in answer.output
    assert openrouter.requests == ()


def test_the_key_is_asked_without_a_call(doctor, openrouter):
    answer = doctor("--key", OPENROUTER_API_KEY=SEARCH_KEY, OR_OTEL_BASE_URL=f"{openrouter.base_url}/")

    assert answer.exit_code == 0, answer.output
    assert [request.path for request in openrouter.requests] == ["/api/v1/key"]


def test_the_live_call_shows_which_fields_came_and_nothing_secret(doctor, openrouter):
    answer = doctor("--live", OPENROUTER_API_KEY=SEARCH_KEY, OR_OTEL_BASE_URL=openrouter.base_url)

    assert answer.exit_code == 0, answer.output
    assert "came: attempt," in answer.output
    assert "answer and generation record agree" in answer.output
    assert SEARCH_KEY not in answer.output
    assert PROMPT not in answer.output


def test_json_holds_every_check_with_its_fields(doctor, openrouter):
    answer = doctor("--live", "--json", OPENROUTER_API_KEY=SEARCH_KEY, OR_OTEL_BASE_URL=openrouter.base_url)

    told = json.loads(answer.output)
    chat = next(check for check in told["checks"] if check["name"] == "chat answer")
    assert told["failed"] == 0
    assert "usage.cost" in chat["came"]
    assert chat["lacked"] == chat["new"] == []


def test_a_key_that_is_refused_exits_with_1(doctor, openrouter):
    answer = doctor("--live", OPENROUTER_API_KEY=BROKE_KEY, OR_OTEL_BASE_URL=openrouter.base_url)

    assert answer.exit_code == 1
    assert "add credits" in answer.output


@pytest.mark.parametrize("flag", ["--key", "--live"])
def test_what_needs_a_key_fails_without_one(doctor, flag):
    answer = doctor(flag)

    assert answer.exit_code == 1
    assert "export OPENROUTER_API_KEY=" in answer.output


def test_a_base_url_that_is_none_fails(doctor):
    answer = doctor("--key", OPENROUTER_API_KEY="k", OR_OTEL_BASE_URL="openrouter.ai")

    assert answer.exit_code == 1
    assert "OR_OTEL_BASE_URL='openrouter.ai': expected a URL, as https://openrouter.ai/api/v1" in unwrapped(answer)


def test_it_asks_whom_and_with_what_the_other_commands_would(doctor, openrouter, tmp_path):
    (tmp_path / "key").write_text(f"{SEARCH_KEY}\n")
    (tmp_path / "or-otel.toml").write_text(f'[account]\nbase_url = "{openrouter.base_url}"\n')
    surroundings = {
        "OPENROUTER_API_KEY_FILE": str(tmp_path / "key"),
        "OR_OTEL_CONFIG": str(tmp_path / "or-otel.toml"),
    }

    answer = doctor("--key", **surroundings)
    elsewhere = doctor("--key", "--base-url", "http://127.0.0.1:1/api/v1", **surroundings)

    assert answer.exit_code == 0, answer.output
    assert "dbffae3131ee" in answer.output
    assert elsewhere.exit_code == 1
    assert len(openrouter.requests) == 1


def test_a_management_key_alone_may_be_asked_about_but_calls_no_model(doctor, openrouter):
    surroundings = {"OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY, "OR_OTEL_BASE_URL": openrouter.base_url}

    answer = doctor("--key", **surroundings)
    live = doctor("--live", **surroundings)

    assert answer.exit_code == 0, answer.output
    assert "is a management key" in answer.output
    assert live.exit_code == 1
    assert "OPENROUTER_API_KEY" in live.output


def test_a_mistake_in_the_settings_file_fails(doctor, tmp_path):
    (tmp_path / "or-otel.toml").write_text("[acount]\n")

    answer = doctor("--config", str(tmp_path / "or-otel.toml"))

    assert answer.exit_code == 1
    assert "acount" in answer.output
    assert "0 failed" not in answer.output


def test_looking_around_imports_no_client(tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from or_otel.cli import main;"
        "print(CliRunner().invoke(main, ['doctor']).exit_code,"
        "[name for name in ('openai', 'openrouter', 'requests', 'aiohttp') if name in sys.modules])"
    )

    answer = subprocess.run(
        [sys.executable, "-c", code], env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True
    )

    assert answer.stdout == "0 []\n"
