"""`or-otel show`: our side from the ledger, the other from a real server."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from decimal import Decimal

import openai
import pytest
from click.testing import CliRunner

import or_otel
from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Scenario, Wait

PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}


@pytest.fixture
def show(tmp_path, openrouter, monkeypatch):
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_MANAGEMENT_KEY", "OR_OTEL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, key="sk-or-v1-CANARY", **environment):
        no_file = {"OR_OTEL_CONFIG": None, "XDG_CONFIG_HOME": str(tmp_path)}
        known = {"OPENROUTER_API_KEY": key, "OR_OTEL_BASE_URL": openrouter.base_url} | no_file | environment
        return CliRunner().invoke(main, ["show", *arguments, "--ledger", str(tmp_path)], env=known)

    return run


@pytest.fixture
def made(tmp_path, openrouter, telemetry):
    """Make a real call with the ledger on; gives its generation id."""

    def call(scenario=None, *, is_left=False):
        openrouter.script(scenario or scenarios.plain(Answer()))
        hosts = {openrouter.base_url.split("/")[2]: "openrouter"}
        or_otel.instrument(**telemetry.providers, hosts=hosts, ledger=str(tmp_path))
        with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x", max_retries=0) as client:
            if is_left:
                with client.chat.completions.create(**PROMPT, stream=True) as stream:
                    next(iter(stream))
                openrouter.wait_for_disconnect()
            else:
                client.chat.completions.create(**PROMPT)
        or_otel.uninstrument()
        return openrouter.book.entries[-1].id

    return call


def row(answer, name):
    return next(line.split() for line in answer.stdout.splitlines() if line.strip().startswith(name))


def test_both_sides_of_an_answer_agree(show, made):
    answer = show(made())

    assert (answer.exit_code, answer.stderr) == (0, "")
    assert "differs" not in answer.stdout
    assert row(answer, "charged") == ["charged", "$0.00025", "$0.00025"]
    assert row(answer, "billing") == ["billing", "credits", "credits"]
    assert "CANARY" not in answer.output


def test_what_differs_is_marked(show, made, openrouter):
    generation_id = made()
    billed = openrouter.book.find(generation_id)
    openrouter.book.enter(replace(billed, charged=billed.charged + Decimal("1e-12"), provider="Acme"))

    answer = show(generation_id)
    value = json.loads(show(generation_id, "--json").stdout)

    assert row(answer, "charged") == ["charged", "$0.00025", "$0.000250000001", "differs"]
    assert value["generations"][0]["differences"] == ["total_usd", "charged_usd", "provider"]
    assert value["generations"][0]["record"]["charged_usd"] == "0.000250000001"


def test_upstream_attempts_come_in_order(show, made):
    answer = show(made(scenarios.plain(scenarios.provider_fallback())))

    (line,) = [line for line in answer.stdout.splitlines() if line.startswith("upstream  ")]
    assert line.index("Anthropic") < line.index("529") < line.index(" > ") < line.index("Amazon Bedrock")


def test_both_ledgers_of_byok_are_shown(show, made):
    answer = show(made(scenarios.plain(scenarios.byok(fee=Decimal("0.000225")))))

    assert "differs" not in answer.stdout
    assert row(answer, "billing") == ["billing", "byok", "byok"]
    assert row(answer, "upstream")[1] == row(answer, "upstream")[2] != "-"


def test_a_price_the_ledger_lacked_is_noted(show, made, openrouter):
    generation_id = made(scenarios.stream(middle=(Wait("never"),)), is_left=True)

    first, again = show(generation_id), show(generation_id)

    assert "it is noted now" in first.stderr
    assert row(first, "unpriced") == ["unpriced", "cancelled", "-"]
    assert again.stderr == ""
    assert row(again, "cost source") == ["cost", "source", "generation", "-"]
    assert row(again, "charged")[1] == f"${openrouter.book.total():f}"


def test_a_call_is_shown_by_any_of_its_ids(show, made, tmp_path, entry):
    generation_id = made()
    value = json.loads(show(generation_id, "--json").stdout)
    (side,) = value["generations"]

    for identity in (side["call_id"], side["attempt_id"], side["trace_id"]):
        assert json.loads(show(identity, "--json").stdout)["generations"] == value["generations"]


def test_every_attempt_of_a_call_is_shown(show, tmp_path, entry):
    fields = {"call_started_at_s": time.time(), "attempt_count": 2, "is_last": False}
    first = entry(None, generation_id="gen-1", unpriced="error", **fields)
    second = replace(first, attempt_id="second", number=2, generation_id=None, is_last=True)
    (tmp_path / "host-1-1.jsonl").write_bytes(to_line(first) + to_line(second))

    answer = show(first.call_id)

    assert "attempt 1 of 2" in answer.stdout
    assert "attempt 2 of 2" in answer.stdout
    assert "No record of gen-1" in answer.stderr
    assert "has no generation id" in answer.stderr


def test_without_a_key_the_ledger_alone_answers_and_says_so(show, made, openrouter):
    generation_id = made()
    asked = len(openrouter.requests)

    answer = show(generation_id, key=None)

    assert answer.exit_code == 0
    assert "OPENROUTER_API_KEY is not set" in answer.stderr
    assert row(answer, "charged") == ["charged", "$0.00025", "-"]
    assert len(openrouter.requests) == asked


def test_a_generation_of_others_is_asked_for_without_a_ledger(show, openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x") as client:
        generation_id = client.chat.completions.create(**PROMPT).id

    answer = show(generation_id, key=None, OPENROUTER_MANAGEMENT_KEY="sk-or-v1-other")

    assert answer.exit_code == 0
    assert row(answer, "charged")[1] == "-"


def test_a_record_that_is_not_there_yet_is_explained(show, made, openrouter):
    generation_id = made()
    openrouter.behaviour.generation_not_found_first = 100

    known, unknown = show(generation_id), show("gen-never")

    for answer in (known, unknown):
        assert "some seconds after the answer has ended" in answer.stderr
        assert "same account" in answer.stderr
    assert (known.exit_code, unknown.exit_code) == (0, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "code", "sentence"),
    [
        (("call-1",), {}, 1, "or-otel calls lists the ids"),
        (("gen-1",), {"key": None}, 1, "set OPENROUTER_API_KEY"),
        (("gen-1",), {"OR_OTEL_BASE_URL": "nowhere"}, 2, "OR_OTEL_BASE_URL"),
        (("gen-1",), {"key": "two words"}, 2, "OPENROUTER_API_KEY"),
        (("gen-1",), {"OR_OTEL_BASE_URL": "http://127.0.0.1:9"}, 1, "check network"),
    ],
)
def test_what_cannot_be_answered_says_what_would_be_right(show, arguments, options, code, sentence):
    answer = show(*arguments, **options)

    assert answer.exit_code == code
    assert answer.stdout == ""
    assert sentence in answer.stderr


def test_a_refused_key_is_told_and_not_shown(show, made, openrouter):
    generation_id = made()
    openrouter.script(Scenario(status=401, body={"error": {"message": "CANARY"}}), path="/generation")

    answer = show(generation_id)

    assert answer.exit_code == 0
    assert "is wrong, disabled or deleted" in answer.stderr
    assert "CANARY" not in answer.output


def test_the_answer_s_own_route_is_shown_without_a_record(show, made):
    generation_id = made(scenarios.plain(scenarios.provider_fallback()))

    told = [[line for line in show(generation_id, key=key).stdout.splitlines() if " > " in line] for key in (None, "k")]
    assert told[0] == told[1] != []
