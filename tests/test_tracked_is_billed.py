"""The promise: what we track is what is billed, to the last digit; and where it is not, the right cause is named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.queries import entries
from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.history import CLEAN, Company, Faults, Shares, entries_of_history, write_history
from or_otel.simulator.server import ScriptedOpenRouter

DAY_S = 86_400
NOON_S = time.time() // DAY_S * DAY_S + DAY_S / 2
"""Of today: closed days are those before it, whenever this runs."""
NOTES = {"byok_to_credits", "midnight", "cache_hit"}
PROCESSES = 8
ROUNDS = 22
"""Of the program below, in each of its two days."""

PROGRAM = """
import os, sys, time
from contextlib import suppress

days_ago = 2
real_time = time.time
time.time = lambda: real_time() - days_ago * 86_400  # before anybody takes it: this host lives in the past

import httpx
import or_otel
from or_otel.simulator.account import BYOK_KEY, SEARCH_KEY, SUPPORT_KEY

HAIKU, SONNET, MINI = "anthropic/claude-haiku-4.5", "anthropic/claude-sonnet-4.6", "openai/gpt-5-mini"
LLAMA, GEMINI, DEEPSEEK = "meta-llama/llama-3.3-70b-instruct", "google/gemini-3-flash-preview", "deepseek/deepseek-v3.2"
BASE, WHO, ROUNDS = os.environ["BASE_URL"], os.environ["WHO"], int(os.environ["ROUNDS"])
CACHED = [{"role": "system", "content": "Rules of the harbour. " * 220}, {"role": "user", "content": "Which?"}]
or_otel.start()
client = httpx.Client(timeout=60)
sdk = None
if WHO.endswith(("0", "1")):  # it is slow to import
    import openai
    sdk = openai.OpenAI(base_url=BASE, api_key=SUPPORT_KEY, max_retries=2)
cancelled = 0


def ask(model, words, key=SEARCH_KEY, trouble="", messages=None, **more):
    headers = {"authorization": f"Bearer {key}", **more.pop("headers", {})}
    if trouble:
        headers["x-simulator"] = trouble
    messages = messages or [{"role": "user", "content": words}]
    return dict(method="POST", url=BASE + "/chat/completions", headers=headers,
                json={"model": model, "messages": messages, **more})


def whole(*arguments, **options):
    client.request(**ask(*arguments, **options)).raise_for_status()


def streamed(*arguments, is_left=False, **options):
    with client.stream(**ask(*arguments, stream=True, **options)) as answer:
        for line in answer.iter_lines():
            if is_left and '"content":"' in line:
                return


def one_round(number):
    global cancelled
    words = f"{WHO} asks {number} " * (1 + number % 7)
    for model in (HAIKU, MINI, GEMINI, LLAMA, DEEPSEEK):
        whole(model, words)
        whole(model, words + "again", key=SUPPORT_KEY)
        (streamed if model in {GEMINI, DEEPSEEK} else whole)(model, words + "slowly")
    whole(SONNET, words, key=BYOK_KEY)
    streamed(SONNET, words, key=BYOK_KEY)
    whole(SONNET, words, key=BYOK_KEY, trouble="fail anthropic 429")
    whole(HAIKU, words, trouble="fail anthropic 529")
    whole(HAIKU, words, trouble="fail anthropic 529 amazon-bedrock 429", models=[MINI])
    whole("openrouter/auto", words, key=SUPPORT_KEY)
    whole(LLAMA + ":free", words)
    for _ in range(2):
        whole(GEMINI, words + "the same", headers={"x-openrouter-cache": "true"})
    if number % 4 == 0:
        whole(HAIKU, words, messages=CACHED)
    with or_otel.operation():  # a retry loop of its own
        for _ in range(2):
            if client.request(**ask(MINI, words + "retried", trouble="refuse 429")).is_success:
                break
    for key in (SEARCH_KEY, BYOK_KEY):
        streamed(DEEPSEEK if key == SEARCH_KEY else SONNET, words, key=key, trouble="hold 3", is_left=True)
        cancelled += 1
    if sdk and number % 3 == 0:
        sdk.chat.completions.create(model=MINI, messages=[{"role": "user", "content": words}],
                                    extra_headers={"x-simulator": "refuse 429"})
        with suppress(openai.APIError):
            list(sdk.chat.completions.create(model=SONNET, messages=[{"role": "user", "content": words}], stream=True,
                                             extra_headers={"x-simulator": "break 3"}))


for days_ago in (2, 1):
    for number in range(ROUNDS):
        with or_otel.tags(team=f"team-{number % 3}", customer=WHO):
            one_round(number)
    print(cancelled, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def reconcile(tmp_path, monkeypatch):
    for name in ("OPENROUTER_API_KEY", "OPENROUTER_MANAGEMENT_KEY", "OR_OTEL_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    monkeypatch.chdir(tmp_path)

    def run(server, *arguments, key=SEARCH_KEY, folder=None):
        keys = {"OPENROUTER_API_KEY": key, "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY}
        known = keys | {"OR_OTEL_BASE_URL": server.base_url}
        line = ["reconcile", "--json", *arguments, "--ledger", str(folder or tmp_path / "ledger")]
        answer = CliRunner().invoke(main, line, env=known)
        assert answer.exit_code in {0, 1}, answer.output
        return answer.exit_code, json.loads(answer.stdout)

    return run


def held(folder):
    with open_ledger(folder / DATABASE) as ledger:
        return list(entries(ledger))


def causes(told, day=None):
    """Name what explains a difference, without notes of what both sides have."""
    named = {cause["cause"] for cause in told["causes"] if day in {None, cause["day"]}}
    return named - NOTES


def sums(bills):
    """Add up (group, credits, byok)."""
    found = defaultdict(lambda: [Decimal(0), Decimal(0)])
    for group, credits_usd, byok_usd in bills:
        found[group][0] += credits_usd
        found[group][1] += byok_usd
    return {group: money for group, money in found.items() if any(money)}


def test_ten_thousand_calls_of_eight_processes_are_tracked_as_billed_to_the_last_digit(tmp_path, reconcile):
    clock = {"now_s": 0.0}
    folder = tmp_path / "ledger"
    with ScriptedOpenRouter(wall=lambda: clock["now_s"] or time.time() - 2 * DAY_S) as server:
        programs = [start(server, folder, number) for number in range(PROCESSES)]
        cancelled = sum(int(program.stdout.readline()) for program in programs)
        server.wait_for_disconnect(cancelled, 60)
        clock["now_s"] = time.time() - DAY_S
        for program in programs:
            program.stdin.write("\n")
            program.stdin.flush()
        cancelled = sum(int(program.stdout.readline()) for program in programs)
        server.wait_for_disconnect(cancelled, 60)
        for program in programs:
            program.communicate("\n", timeout=60)
            assert program.returncode == 0
        exchanges = sum("/chat/" in request.path for request in server.requests)
        clock["now_s"] = time.time()

        before, gaps = reconcile(server, "--since", "3d", "--tolerance", "0")
        after, told = reconcile(server, "--since", "3d", "--tolerance", "0", "--by", "key,model", "--lookup", "5000")

    assert exchanges >= 10_000
    ours, billed = held(folder), server.book.entries
    assert {entry.tags["customer"] for entry in ours} == {f"process-{number}" for number in range(PROCESSES)}
    assert sums(((e.key_id, int(e.started_at_s // DAY_S), e.served_provider), *money_of(e)) for e in ours) == sums(
        ((e.key, int(e.created_at_s // DAY_S), e.provider), e.charged, e.spend - e.charged) for e in billed
    )
    assert before == 1
    assert causes(gaps) == {"cancelled", "unpriced"}
    assert after == 0
    assert told["is_within"] is True
    assert {row["verdict"] for row in told["rows"]} == {"equal"}
    assert len({row["key"] for row in told["rows"]}) == 3
    assert len({row["model"] for row in told["rows"]}) >= 7
    assert len({row["day"] for row in told["rows"]}) == 2
    assert sum(Decimal(row["client_credits_usd"]) for row in told["rows"]) == server.book.total()
    assert sum(Decimal(row["client_byok_usd"]) for row in told["rows"]) == server.book.total("upstream")


def money_of(entry):
    return entry.charged or Decimal(0), entry.upstream_bill or Decimal(0)


def start(server, folder, number):
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        env={
            **kept,
            "BASE_URL": server.base_url,
            "WHO": f"process-{number}",
            "ROUNDS": str(ROUNDS),
            "OR_OTEL_HOSTS": server.base_url.split("/")[2] + "=openrouter",
            "OR_OTEL_LEDGER": str(folder),
            # Half of them learn prices by themselves, the others leave it to who reads the ledger.
            "OR_OTEL_RECONCILE": "missing" if number % 2 else "off",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


# Planted faults -------------------------------------------------------------------------------------------------------

OWN = [Company(name="own", byok=("Anthropic", "OpenAI"), fee_rate=Decimal("0.05")), Company(name="plain")]


@pytest.fixture
def past(tmp_path):
    """Write a past into a server's account and into a ledger of ours; gives both and the past."""
    servers = []

    def write(*, days=8, calls_per_day=120, shares=CLEAN, faults=None, change=lambda entry: entry):
        server = ScriptedOpenRouter(wall=lambda: NOON_S).start()
        servers.append(server)
        history = write_history(
            server.account,
            until_s=NOON_S,
            days=days,
            calls_per_day=calls_per_day,
            seed=3,
            keys=OWN,
            shares=shares,
            faults=faults or Faults(),
        )
        folder = tmp_path / "ledger"
        folder.mkdir()
        lines = [to_line(kept) for entry in entries_of_history(history) if (kept := change(entry)) is not None]
        (folder / "host-1-1.jsonl").write_bytes(b"".join(lines))
        return server, history

    yield write
    for server in servers:
        server.stop()


def bills(history, fault):
    """Give the generations of a fault that are booked on the seven closed days which are compared by default."""
    named, today_s = set(history.faults[fault]), NOON_S - DAY_S / 2
    return [
        entry
        for entry in history.generations
        if entry.id in named and today_s - 7 * DAY_S <= entry.created_at_s < today_s
    ]


def money(told, cause):
    rows = [row for row in told["causes"] if row["cause"] == cause]
    return sum(row["count"] for row in rows), sum(
        Decimal(row[name]) for row in rows for name in ("credits_usd", "byok_usd")
    )


def spend(generations):
    return len(generations), sum(entry.spend for entry in generations)


def test_lost_lines_and_another_program_on_the_key_are_told_apart(past, reconcile):
    server, history = past(faults=Faults(lost_export=4, foreign_client=3))

    blind = reconcile(server, "--tolerance", "0")[1]
    code, told = reconcile(server, "--tolerance", "0", "--lookup", "100")

    lost, foreign = bills(history, "lost_export"), bills(history, "foreign_client")
    assert code == 1
    assert causes(blind) == {"untracked"}
    assert money(blind, "untracked") == spend([*lost, *foreign])
    assert causes(told) == {"lost_export", "other_program"}
    assert money(told, "lost_export") == spend(lost)
    assert money(told, "other_program") == spend(foreign)
    assert {name for row in told["causes"] if row["examples"] for name in row["examples"].split()} == {
        entry.id for entry in (*lost, *foreign)
    }


def test_cancelled_streams_are_a_gap_until_their_records_are_asked_for(past, reconcile):
    server, history = past(shares=Shares(cancelled=0.05, replayed=0, fallback=0))

    code, told = reconcile(server, "--tolerance", "0")
    priced, after = reconcile(server, "--tolerance", "0", "--lookup", "1000")

    assert (code, causes(told)) == (1, {"cancelled"})
    assert money(told, "cancelled") == spend(bills(history, "cancelled_unpriced"))
    assert (priced, causes(after)) == (0, set())


def test_calls_over_midnight_are_no_gap_and_are_told(past, reconcile):
    server, history = past(faults=Faults(crosses_midnight=6))

    code, told = reconcile(server, "--tolerance", "0")

    assert (code, causes(told)) == (0, set())
    assert money(told, "midnight") == spend(bills(history, "crosses_midnight"))


def test_money_that_fell_from_byok_to_credits_behind_our_back_is_a_switch(past, reconcile):
    fallen = []

    def unaware(entry):
        """As if the answers had said that the own key paid."""
        if " 429" not in " ".join(entry.route_path):
            return entry
        fallen.append(entry)
        return replace(entry, is_byok=True, billing="byok", upstream=entry.charged, charged=Decimal(0), route_path=())

    server, history = past(faults=Faults(byok_to_credits=3), change=unaware)

    code, told = reconcile(server, "--tolerance", "0")

    closed = bills(history, "byok_to_credits")
    assert (code, causes(told)) == (1, {"byok_switch"})
    assert money(told, "byok_switch") == (len(closed), 0)
    assert sum(Decimal(row["credits_usd"]) for row in told["causes"]) == sum(entry.charged for entry in closed)
    assert len(fallen) >= len(closed) > 0


def test_money_that_fell_from_byok_to_credits_before_our_eyes_is_no_gap_but_noted(past, reconcile):
    server, history = past(faults=Faults(byok_to_credits=3))

    code, told = reconcile(server, "--tolerance", "0")

    assert (code, causes(told)) == (0, set())
    assert money(told, "byok_to_credits") == spend(bills(history, "byok_to_credits"))


def test_all_faults_at_once_are_each_named_and_add_up(past, reconcile):
    planted = Faults(lost_export=5, foreign_client=4, crosses_midnight=6, byok_to_credits=2)
    server, _ = past(shares=Shares(cancelled=0.02, replayed=0.02, fallback=0.02), faults=planted)

    code, told = reconcile(server, "--tolerance", "0", "--lookup", "30")

    assert code == 1
    assert causes(told) <= {"lost_export", "other_program", "cancelled", "untracked"}
    for day in told["days"]:
        mine = [row for row in told["causes"] if row["day"] == day["day"] and row["cause"] not in NOTES]
        assert sum(Decimal(row["credits_usd"]) for row in mine) == Decimal(day["credits_difference_usd"])
        assert sum(Decimal(row["byok_usd"]) for row in mine) == Decimal(day["byok_difference_usd"])


def test_thirty_clean_days_give_no_false_alarm(past, reconcile):
    server, _ = past(days=31, calls_per_day=40)

    code, told = reconcile(server, "--since", "30d", "--tolerance", "0")
    each = [reconcile(server, "--day", day["day"], "--tolerance", "0")[0] for day in told["days"]]

    assert (code, causes(told)) == (0, set())
    assert each == [0] * 30
