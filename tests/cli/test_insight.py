"""`report --waste`, `--governance`, `--what-if` as a person uses them."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.account.offers import read_offers
from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.runs import RunSaying
from or_otel.runs import to_line as run_line


@pytest.fixture
def ask(tmp_path, openrouter, monkeypatch):
    monkeypatch.setenv("OR_OTEL_BASE_URL", openrouter.base_url)
    monkeypatch.setenv("OR_OTEL_CONFIG", str(tmp_path / "or-otel.toml"))
    (tmp_path / "or-otel.toml").touch()

    def run(*arguments):
        return CliRunner().invoke(main, ["report", *arguments, "--ledger", str(tmp_path / "ledger")])

    return run


@pytest.fixture
def fill(tmp_path, entry):
    now_s = time.time()
    (tmp_path / "ledger").mkdir()

    def write(*costs, **fields):
        made = [entry(cost, **{"call_started_at_s": now_s - 60 + place} | fields) for place, cost in enumerate(costs)]
        with (tmp_path / "ledger" / "host-1-1.jsonl").open("ab") as journal:
            journal.write(b"".join(map(to_line, made)))

    return write


def named(answer):
    return {section["name"]: section for section in json.loads(answer.stdout)["sections"]}


NOBODY = "http://127.0.0.1:1/api/v1"
SONNET = {"request_model": "anthropic/claude-sonnet-4.6", "input_tokens": 10_000, "output_tokens": 1000}


def test_what_if_prices_the_calls_by_the_list_of_today(ask, fill, monkeypatch):
    fill("0.045", **SONNET)
    question = ("--what-if", "anthropic/claude-sonnet-4.6=deepseek/deepseek-v3.2", "--json")

    (row,) = named(ask(*question))["what_if"]["rows"]

    assert (row["now_usd"], row["calls"]) == ("0.045", 1)
    assert Decimal(row["low_usd"]) < Decimal(row["high_usd"]) < Decimal("0.045")
    monkeypatch.setenv("OR_OTEL_BASE_URL", NOBODY)
    assert named(ask(*question, "--offline"))["what_if"]["rows"] == [row]


def test_what_if_names_a_provider(ask, fill, tmp_path):
    fill("0.045", **SONNET)
    question = "anthropic/claude-sonnet-4.6=anthropic/claude-sonnet-4.6@amazon-bedrock"

    answer = ask("--what-if", question)

    assert "claude-sonnet-4.6@amazon-bedrock" in answer.stdout, answer.output
    assert "is yours to judge" in answer.stdout
    assert "anthropic/claude-sonnet-4.6" in read_offers(tmp_path / "ledger").endpoints


def test_one_model_asks_for_cheaper_ones(ask, fill):
    fill("0.045", **SONNET)

    rows = named(ask("--what-if", "anthropic/claude-sonnet-4.6", "--json"))["alternatives"]["rows"]

    costs = [Decimal(row["cost_usd"]) for row in rows]
    assert costs
    assert costs == sorted(costs)


def test_without_a_list_nothing_is_priced(ask, fill):
    fill("1")

    answer = ask("--what-if", "a/b=c/d", "--offline")

    assert answer.exit_code == 1
    assert "run it once without --offline" in answer.stderr


def test_a_server_that_does_not_answer_leaves_what_was_kept(ask, fill, monkeypatch):
    fill("0.045", **SONNET)
    ask("--what-if", "anthropic/claude-sonnet-4.6")
    monkeypatch.setenv("OR_OTEL_BASE_URL", NOBODY)

    answer = ask("--what-if", "anthropic/claude-sonnet-4.6")

    assert answer.exit_code == 0
    assert "what was kept before stands" in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--what-if", "=x"), "expected old=new"),
        (("--what-if", "anthropic/claude-sonnet-4.6=no/such"), "'no/such' is not among the"),
        (("--waste", "--csv"), "go with --json, and with no other form"),
        (("--governance", "--by", "team"), "go with --json, and with no other form"),
        (("--waste", "--digest"), "go with --json, and with no other form"),
    ],
)
def test_a_wrong_question_exits_with_two(ask, fill, arguments, said):
    fill("1")

    answer = ask(*arguments)

    assert answer.exit_code == 2
    assert said in answer.stderr


def test_waste_shows_what_entries_tell(ask, fill):
    fill("1", is_retry_loop=True, tags={"feature": "chat"})
    fill("2", outcome="cancelled", attempt_outcome="cancelled")

    found = named(ask("--waste", "--json"))

    assert {row["kind"]: row["cost_usd"] for row in found["waste"]["rows"]} == {"cancelled": "2", "retry_loop": "1"}
    assert [row["use"] for row in found["retry_loops"]["rows"]] == ["chat"]
    assert "Asked again and again" in ask("--waste").stdout


def test_governance_lists_broken_rules_and_keeps_where_providers_sit(ask, fill, tmp_path):
    (tmp_path / "or-otel.toml").write_text('[[policies]]\nname = "eu"\nheadquarters = ["DE"]\n')
    fill("1", violated=("eu/headquarters",))
    fill("0", call_started_at_s=time.time() - 9 * 86_400, is_byok=True, upstream=Decimal(1), served_provider="OpenAI")
    fill("4", served_provider="OpenAI")

    found = named(ask("--governance", "--json"))

    assert [(row["rule"], row["calls"]) for row in found["violations"]["rows"]] == [("eu/headquarters", 1)]
    assert [row["cost_usd"] for row in found["byok_to_credits"]["rows"]] == ["4"]
    assert read_offers(tmp_path / "ledger").providers


def test_workflows_tell_the_price_of_a_finished_task_with_what_was_judged_later(ask, fill, tmp_path):
    at_s = time.time() - 60
    fill("0.3", workflow="research", workflow_run_id="a")
    fill("0.1", workflow="research", workflow_run_id="b")
    ends = [
        RunSaying(outcome_of=run, said_at_s=at_s + 5, started_at_s=at_s, workflow="research", outcome="ok", units=4)
        for run in "ab"
    ]
    late = RunSaying(outcome_of="b", said_at_s=at_s + 9, outcome="error")
    (tmp_path / "ledger" / "host-2-1.jsonl").write_bytes(b"".join(map(run_line, [*ends, late])))

    (row,) = named(ask("--workflows", "--json"))["workflows"]["rows"]

    assert (row["runs"], row["ok"], row["errors"]) == (2, 1, 1)
    assert (row["cost_usd"], row["cost_per_ok_usd"], row["cost_per_unit_usd"]) == ("0.4", "0.4", "0.05")
    assert "openai/gpt-5-mini 100%" in ask("--workflows").stdout


def test_without_a_run_workflows_say_so(ask, fill):
    fill("1")

    assert "No run of a workflow" in ask("--workflows").stderr


def test_calls_that_nothing_is_to_be_said_of_are_not_called_missing(ask, fill):
    fill("1", served_provider="OpenAI")

    answer = ask("--governance")

    assert "Nothing stands out in 1 call.\nNo [[policies]] stand in or-otel.toml" in answer.stderr
    assert "No call in this period" in ask("--governance", "--since", "0m").stderr


def test_an_empty_ledger_says_what_to_run_next(ask, fill):
    fill()

    assert "or-otel run -- python app.py" in ask("--waste").stderr


def test_routing_policies_are_compared_with_their_latency(ask, fill):
    for seconds in range(1, 21):
        fill("0.1", policy="throughput", duration_s=float(seconds))
    fill("0.01", policy="price", duration_s=30.0, outcome="error")

    rows = {row["policy"]: row for row in json.loads(ask("--by", "policy", "--json").stdout)["rows"]}
    shown = ask("--by", "policy").stdout

    assert (rows["throughput"]["p50_s"], rows["throughput"]["p95_s"]) == (10.0, 19.0)
    assert (rows["price"]["cost_usd"], rows["price"]["errors"]) == ("0.01", 1)
    assert "p95" in shown
    assert "p95" not in ask("--by", "model").stdout
