from __future__ import annotations

import json
import stat

import pytest

from or_otel.notices.memory import read_state, write_state
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
