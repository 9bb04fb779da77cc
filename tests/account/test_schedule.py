from __future__ import annotations

import pytest

from or_otel.account.schedule import HOUR_S, INTERVALS_S, MAX_BACKOFF_S, Schedule, Task
from or_otel.days import DAY_S

MIDNIGHT = 20_000 * DAY_S
NOON = MIDNIGHT + DAY_S / 2
CREDITS, ACTIVITY = Task("credits"), Task("activity")


@pytest.fixture
def schedule():
    schedule = Schedule()
    schedule.want([CREDITS, ACTIVITY])
    return schedule


def _due(schedule, task):
    return schedule.progress[task].due_s


def test_everything_is_due_at_the_start(schedule):
    assert schedule.due(0.0) == (CREDITS, ACTIVITY)
    assert schedule.next_due_s() == 0.0


def test_without_tasks_nothing_is_ever_due():
    assert Schedule().next_due_s() == float("inf")


def test_an_answer_is_followed_by_its_interval(schedule):
    schedule.succeeded(CREDITS, NOON, chance=0.0)
    schedule.succeeded(ACTIVITY, NOON, chance=0.0)

    assert schedule.due(NOON + 59.9) == ()
    assert schedule.due(NOON + 60.0) == (CREDITS,)
    assert schedule.next_due_s() == NOON + 60.0


def test_chance_spreads_the_questions_a_little(schedule):
    schedule.succeeded(CREDITS, NOON, chance=1.0)

    assert _due(schedule, CREDITS) == NOON + 63.0


def test_chance_spreads_the_questions_after_midnight_too(schedule):
    schedule.succeeded(ACTIVITY, MIDNIGHT - 1, chance=1.0)

    assert _due(schedule, ACTIVITY) == MIDNIGHT + 300 + 180


@pytest.mark.parametrize(
    ("now_s", "due_s"),
    [
        (MIDNIGHT - 1, MIDNIGHT + 300),
        (MIDNIGHT, MIDNIGHT + 300),
        (MIDNIGHT + 299, MIDNIGHT + 300),
        (MIDNIGHT + 300, MIDNIGHT + 300 + HOUR_S),
        (MIDNIGHT - HOUR_S - 1, MIDNIGHT - 1),
    ],
)
def test_closed_days_are_asked_for_soon_after_midnight(schedule, now_s, due_s):
    schedule.succeeded(ACTIVITY, now_s, chance=0.0)

    assert _due(schedule, ACTIVITY) == due_s


@pytest.mark.parametrize("endpoint", ["credits", "models"])
def test_midnight_hurries_nothing_but_closed_days(schedule, endpoint):
    schedule.succeeded(Task(endpoint), MIDNIGHT + 299, chance=0.0)

    assert _due(schedule, Task(endpoint)) == MIDNIGHT + 299 + INTERVALS_S[endpoint]


def test_failures_wait_longer_each_time_up_to_a_cap_and_an_answer_ends_it(schedule):
    waits = []
    for _ in range(2000):
        schedule.failed(CREDITS, NOON, chance=1.0)
        waits.append(_due(schedule, CREDITS) - NOON)
    schedule.succeeded(CREDITS, NOON, chance=0.0)

    assert waits[:6] == [30.0, 60.0, 120.0, 240.0, 480.0, 900.0]
    assert set(waits[5:]) == {MAX_BACKOFF_S}
    assert schedule.progress[CREDITS].failures == 0
    assert _due(schedule, CREDITS) == NOON + 60.0


def test_chance_takes_up_to_half_of_the_wait_after_a_failure(schedule):
    schedule.failed(CREDITS, NOON, chance=0.0)

    assert _due(schedule, CREDITS) == NOON + 15.0


@pytest.mark.parametrize(("told_s", "wait_s"), [(45.0, 45.0), (1.0, 30.0), (1e9, HOUR_S), (None, 30.0)])
def test_the_wait_a_server_asks_for_is_kept_within_reason(schedule, told_s, wait_s):
    schedule.failed(CREDITS, NOON, chance=1.0, retry_after_s=told_s)

    assert _due(schedule, CREDITS) == NOON + wait_s


def test_what_the_key_may_not_see_is_asked_rarely(schedule):
    schedule.failed(CREDITS, NOON, chance=0.0, is_hidden=True)
    schedule.failed(ACTIVITY, NOON, chance=1.0, is_hidden=True)

    assert _due(schedule, CREDITS) == NOON + HOUR_S
    assert _due(schedule, ACTIVITY) == NOON + 1.05 * HOUR_S


def test_a_failure_keeps_the_time_of_the_last_answer(schedule):
    schedule.succeeded(CREDITS, NOON, chance=0.0)
    schedule.failed(CREDITS, NOON + 60, chance=0.0)

    assert schedule.progress[CREDITS].succeeded_at_s == NOON


def test_a_clock_set_back_does_not_stop_the_questions(schedule):
    schedule.succeeded(CREDITS, NOON, chance=0.0)

    assert CREDITS not in schedule.due(NOON - 30.0)
    assert CREDITS in schedule.due(NOON - HOUR_S)


def test_nor_does_one_set_back_after_a_failure(schedule):
    schedule.failed(CREDITS, NOON, chance=1.0)

    assert CREDITS not in schedule.due(NOON - 30.0)
    assert CREDITS in schedule.due(NOON - HOUR_S)


def test_tasks_come_and_go_without_disturbing_the_others(schedule):
    schedule.succeeded(CREDITS, NOON, chance=0.0)
    schedule.want([CREDITS, Task("endpoints", "a/b")])

    assert schedule.due(NOON) == (Task("endpoints", "a/b"),)
    assert ACTIVITY not in schedule.progress


def test_workspaces_are_asked_before_the_keys_they_hold():
    order = list(INTERVALS_S)

    assert order.index("workspaces") < order.index("keys")
