from __future__ import annotations

import logging

import pytest

from or_otel import guard


@pytest.fixture(autouse=True)
def _no_faults():
    guard.reset()
    yield
    guard.reset()


def test_a_fault_is_swallowed_counted_and_logged_once_without_its_text(caplog):
    @guard.guarded("test.place", default=7)
    def fails():
        raise ValueError("the secret prompt")

    with caplog.at_level(logging.WARNING, logger="or_otel.guard"):
        assert [fails(), fails()] == [7, 7]

    assert guard.faults == {"test.place": 2}
    assert len(caplog.records) == 1
    assert "ValueError" in caplog.text
    assert "test_guard.py" in caplog.text
    assert "secret" not in caplog.text


def test_what_ends_a_program_passes_the_wall():
    with pytest.raises(KeyboardInterrupt), guard.wall("test.place"):
        raise KeyboardInterrupt

    assert not guard.faults


def test_a_block_behind_the_wall_cannot_raise():
    with guard.wall("test.block"):
        raise RuntimeError

    assert guard.faults["test.block"] == 1


def test_a_block_behind_the_wall_that_is_well_goes_on():
    done = []

    with guard.wall("test.block"):
        done.append(1)
    done.append(2)

    assert done == [1, 2]
    assert not guard.faults
