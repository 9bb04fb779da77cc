"""Names that servers and callers chose are shown by every command, and steer no terminal."""

from __future__ import annotations

import json
import re
import time

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.entries import to_line

EVIL = "m/x\x1b]0;pwn\x07\u202ename\r\n\x9b2J\u2066"
STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

COMMANDS = {
    "report": ["report", "--by", "model,provider,team,error,app"],
    "report in CSV": ["report", "--by", "model,provider,team", "--csv"],
    "report in JSON": ["report", "--by", "model,provider,team", "--json"],
    "digest": ["report", "--digest"],
    "digest in Markdown": ["report", "--digest", "--markdown"],
    "runs": ["report", "--workflows"],
    "calls": ["calls"],
    "calls in CSV": ["calls", "--csv"],
    "calls in JSON": ["calls", "--json"],
    "top": ["top", "--once", "--by", "team"],
    "show": ["show", "gen-1"],
    "show in JSON": ["show", "gen-1", "--json"],
}


@pytest.fixture
def ask(tmp_path, entry):
    at_s = time.time() - 60
    fields = {
        "call_started_at_s": at_s,
        "started_at_s": at_s,
        "ended_at_s": at_s + 2,
        "request_model": EVIL,
        "response_model": EVIL,
        "served_provider": EVIL,
        "app_name": EVIL,
        "key_name": EVIL,
        "tags": {"team": EVIL, "feature": EVIL},
        "finish_reason": EVIL,
        "route_path": (EVIL, EVIL),
        "workflow": EVIL,
        "workflow_run_id": EVIL,
    }
    failed = {"outcome": "error", "attempt_outcome": "error", "error_type": EVIL, "error_origin": EVIL}
    made = [entry("0.5", **fields, generation_id="gen-1"), entry("0.25", **fields, **failed, generation_id="gen-2")]
    (tmp_path / "host-1-1.jsonl").write_bytes(b"".join(map(to_line, made)))
    alone = {"OR_OTEL_CONFIG": None, "XDG_CONFIG_HOME": str(tmp_path), "OPENROUTER_API_KEY": None}

    def run(*arguments):
        return CliRunner().invoke(main, [*arguments, "--ledger", str(tmp_path)], env=alone)

    return run


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
def test_a_command_shows_a_hostile_name_and_nothing_of_it_steers(ask, arguments):
    answer = ask(*arguments)

    assert answer.exit_code == 0, answer.output
    assert "]0;pwn" in answer.output
    assert not STEERING.search(answer.output)
    assert not any(line.startswith(("name", "2J")) for line in answer.output.splitlines())


def test_json_still_means_what_was_written(ask):
    value = json.loads(ask("calls", "--json").stdout)

    assert {row["model"] for row in value["rows"]} == {EVIL}
