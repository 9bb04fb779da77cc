"""`or-otel top` in a pipe and in a terminal."""

from __future__ import annotations

import os
import pty
import signal
import sys
import time

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.ledger.retention import erase


@pytest.fixture
def fill(tmp_path, entry):
    def write(cost, **fields):
        at_s = time.time() - 1
        times = {"started_at_s": at_s, "call_started_at_s": at_s, "ended_at_s": at_s}
        with (tmp_path / "host-1-1.jsonl").open("ab") as journal:
            journal.write(to_line(entry(cost, **times | fields)))

    return write


def test_one_frame_is_printed_and_that_is_all(tmp_path, fill):
    fill("0.5", tags={"team": "ads"}, request_model="m/a")

    answer = CliRunner().invoke(main, ["top", "--once", "--by", "team", "--ledger", str(tmp_path)])

    assert answer.exit_code == 0
    assert [line.split() for line in answer.stdout.splitlines()].count(
        ["ads", "$0.50", "$0.50", "$0.50", "1", "0"]
    ) == 1
    assert "m/a" in answer.stdout


def test_a_wrong_group_is_told(tmp_path):
    answer = CliRunner().invoke(main, ["top", "--by", "modle", "--ledger", str(tmp_path)])

    assert answer.exit_code == 2
    assert "did you mean 'model'" in answer.stderr


def test_in_a_terminal_it_follows_the_journals_until_ctrl_c(tmp_path, fill, begin):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "or_otel.cli", "top", "--interval", "0.2", "--ledger", str(tmp_path)]
    environ = os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    fill("0.5", request_model="m/first")
    seen = b""

    def until(text):
        nonlocal seen
        while text not in seen:
            seen += os.read(ours, 65_536)

    top = begin(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environ, start_new_session=True)
    os.close(theirs)
    until(b"m/first")
    fill("0.25", request_model="m/second")
    until(b"m/second")
    until(b"$0.75")
    erase(tmp_path)
    fill("0.125", request_model="m/third")
    until(b"$0.125")
    top.send_signal(signal.SIGINT)
    until(b"\x1b[?1049l")  # back on the ordinary screen
    until(b"times in UTC")
    assert top.wait(timeout=60) == 0
    os.close(ours)

    assert b"Traceback" not in seen
