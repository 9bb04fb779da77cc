from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest

from or_otel.notices.memory import alone, read_state, write_state
from or_otel.notices.rules import Notice, NoticeState

NOTICE = Notice(id="a|b", kind="pace", severity="warning", title="Grün", text="t", made_at_s=5.5)
STATE = NoticeState(told={"a|b": 20_000}, waiting=((NOTICE, None), (NOTICE, ("0123456789ab",))))


def test_what_was_told_comes_back_as_it_was(tmp_path):
    path = tmp_path / "deep" / "notices.json"

    write_state(path, STATE)

    assert read_state(path) == STATE


def test_only_the_owner_may_read_it_and_no_scrap_is_left(tmp_path):
    path = tmp_path / "notices.json"

    write_state(path, STATE)
    write_state(path, NoticeState())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_was_told_before_there_is_a_file(tmp_path):
    assert read_state(tmp_path / "none.json") == NoticeState()


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 9}', '{"version": 1, "told": [], "waiting": []}', "\xff"]
)
def test_a_file_that_cannot_be_read_counts_as_none_and_is_told(tmp_path, text, caplog):
    path = tmp_path / "notices.json"
    path.write_text(text, encoding="latin-1")

    assert read_state(path) == NoticeState()
    assert "is not readable" in caplog.text


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "notices.json"
    path.mkdir()

    with pytest.raises(OSError):
        write_state(path, STATE)

    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_plain_json(tmp_path):
    write_state(tmp_path / "n.json", STATE)

    told = json.loads((tmp_path / "n.json").read_text())

    assert told["told"] == {"a|b": 20_000}
    assert told["waiting"][1]["for"] == ["0123456789ab"]


# One process at a time ------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from or_otel.notices.memory import alone
with alone(Path(sys.argv[1]), 0) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path, begin):
    """Start another process that holds the file until it is told to end."""
    process = begin(
        [sys.executable, "-c", HOLDER, str(tmp_path / "notices.json")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "True\n"
    return process


def test_two_processes_never_hold_the_file_at_once(tmp_path, holder):
    with alone(tmp_path / "notices.json", 0) as is_ours:
        assert not is_ours
    holder.communicate("")

    with alone(tmp_path / "notices.json", 0) as is_ours:
        assert is_ours


def test_who_waits_gets_the_file_when_the_other_process_ends_even_by_force(tmp_path, holder):
    holder.kill()

    with alone(tmp_path / "notices.json", 20) as is_ours:
        assert is_ours


def test_two_threads_of_one_process_hold_each_other_off_too(tmp_path):
    with alone(tmp_path / "notices.json", 0) as first, alone(tmp_path / "notices.json", 0) as second:
        assert (first, second) == (True, False)
    with alone(tmp_path / "notices.json", 0) as is_ours:
        assert is_ours


def test_the_lock_is_the_owners_alone_and_another_file_is_another_lock(tmp_path):
    with alone(tmp_path / "deep" / "notices.json", 0), alone(tmp_path / "notices.json", 0) as is_ours:
        assert is_ours

    assert stat.S_IMODE((tmp_path / "deep" / "notices.lock").stat().st_mode) == 0o600


def test_a_place_that_cannot_be_locked_is_an_error_that_names_it(tmp_path):
    (tmp_path / "notices.lock").write_bytes(b"no database, but a file of somebody else" * 20)

    with pytest.raises(OSError, match="cannot be locked") as failure, alone(tmp_path / "notices.json", 0):
        pass

    assert failure.value.filename == str(tmp_path / "notices.lock")
