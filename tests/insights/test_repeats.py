"""Retry loops and what was sent before."""

from __future__ import annotations

from threading import Thread

import pytest

from or_otel.insights import repeats
from or_otel.insights.repeats import GROWING, IDENTICAL, Repeats


def conversation(steps, name="a"):
    """Give the beginnings of a request of so many messages."""
    return [(f"{name}{step}".encode(), step / steps) for step in range(1, steps + 1)]


@pytest.fixture
def seen():
    return Repeats()


def see(seen, beginnings, at_s, *, is_answered=True, least_share=0.1):
    return seen.see(
        beginnings, started_at_s=at_s, answered_at_s=at_s + 1 if is_answered else None, least_share=least_share
    )


def test_the_same_request_is_a_loop_once_it_was_asked_too_often_in_a_minute(seen):
    loops = [see(seen, conversation(1), at_s)[0] for at_s in range(IDENTICAL + 2)]

    assert loops == [False] * IDENTICAL + [True, True]


def test_the_same_request_now_and_then_is_none(seen):
    assert not any(see(seen, conversation(1), at_s * 20)[0] for at_s in range(20))


def test_a_failed_request_that_is_asked_again_and_again_is_a_loop(seen):
    loops = [see(seen, conversation(1), at_s, is_answered=False)[0] for at_s in range(IDENTICAL + 1)]

    assert loops[-1]


def test_a_conversation_that_takes_too_many_steps_in_a_minute_is_a_loop(seen):
    loops = [see(seen, conversation(1 + 2 * step), step)[0] for step in range(GROWING + 1)]

    assert loops == [False] * GROWING + [True]


def test_an_agent_that_takes_its_time_is_none(seen):
    assert not any(see(seen, conversation(1 + 2 * step), step * 5)[0] for step in range(GROWING * 2))


def test_many_questions_after_the_same_instructions_are_none(seen):
    shared = (b"system", 0.5)

    assert not any(see(seen, [shared, (b"%d" % each, 1.0)], each / 10)[0] for each in range(200))


def test_the_two_ways_a_conversation_goes_on_are_counted_apart(seen):
    see(seen, conversation(1), 0)
    for step in range(GROWING - 2):
        see(seen, conversation(2 + step), 0.1)

    assert not see(seen, [*conversation(1), (b"other", 1.0)], 0.2)[0]


def test_what_was_answered_before_is_known(seen):
    see(seen, [(b"system", 0.5), (b"one", 1.0)], 0)

    assert see(seen, [(b"system", 0.8), (b"two", 1.0)], 2) == (False, 0.8)


def test_the_longest_known_beginning_counts(seen):
    see(seen, conversation(3), 0)

    assert see(seen, conversation(4), 2)[1] == 0.75


@pytest.mark.parametrize(
    ("at_s", "why"),
    [(0.5, "the first is not answered yet"), (302, "caches forgot it")],
)
def test_nothing_is_known_too_early_or_too_late(seen, at_s, why):
    see(seen, conversation(2), 0)

    assert see(seen, conversation(3), at_s)[1] == 0, why


def test_use_keeps_a_beginning_cached(seen):
    for at_s in range(0, 1000, 250):
        known = see(seen, conversation(2), at_s)[1]

    assert known == 1.0


def test_a_later_answer_does_not_hide_the_first(seen):
    see(seen, conversation(2), 0)
    seen.see(conversation(2), started_at_s=1, answered_at_s=9, least_share=0.1)

    assert see(seen, conversation(2), 5)[1] == 1.0


def test_a_failed_request_is_in_no_cache(seen):
    see(seen, conversation(2), 0, is_answered=False)

    assert see(seen, conversation(2), 2)[1] == 0


def test_a_short_beginning_is_in_no_cache(seen):
    see(seen, [(b"system", 0.05), (b"one", 1.0)], 0)

    assert see(seen, [(b"system", 0.05), (b"two", 1.0)], 2)[1] == 0


def test_memory_is_bounded_and_forgets_the_oldest(seen, monkeypatch):
    monkeypatch.setattr(repeats, "MAX_REQUESTS", 10)
    monkeypatch.setattr(repeats, "MAX_BEGINNINGS", 20)
    for number in range(50):
        see(seen, conversation(3, f"c{number}-"), 0)

    assert (len(seen._asked), len(seen._answered)) == (10, 20)
    assert see(seen, conversation(3, "c49-"), 2)[1] == 1.0
    assert see(seen, conversation(3, "c0-"), 2)[1] == 0


def test_a_child_begins_with_nothing_and_an_open_lock(seen):
    see(seen, conversation(1), 0)
    seen._lock.acquire()

    seen.after_fork()

    assert see(seen, conversation(1), 2)[1] == 0


def test_threads_share_one_memory(seen):
    threads = [Thread(target=lambda: [see(seen, conversation(1), 0) for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert see(seen, conversation(1), 1)[0]
