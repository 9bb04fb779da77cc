"""Records for the application's own code."""

from __future__ import annotations

import asyncio
import os
from threading import Event, Thread

import pytest

from or_otel import guard
from or_otel.emitters.callbacks import Callbacks

WAIT_S = 30


@pytest.fixture
def callbacks():
    return Callbacks()


def publish(callbacks, record):
    callbacks.begin(record.started).end(record, None)


def test_captured_records_are_there_when_the_call_has_ended(callbacks, record):
    finished = record()

    with callbacks.capture() as calls:
        publish(callbacks, finished)
        inside = list(calls)
    publish(callbacks, record())

    assert inside == calls == [finished]


def test_nested_captures_each_get_the_record(callbacks, record):
    with callbacks.capture() as outer:
        with callbacks.capture() as inner:
            publish(callbacks, record())
        publish(callbacks, record())

    assert (len(outer), len(inner)) == (2, 1)


def test_a_call_that_ends_in_another_thread_is_captured_where_it_began(callbacks, record):
    with callbacks.capture() as calls:
        emission = callbacks.begin(record().started)
    thread = Thread(target=emission.end, args=(record(), None))
    thread.start()
    thread.join()

    assert len(calls) == 1


async def test_tasks_do_not_capture_each_other_s_calls(callbacks, record):
    async def one(count):
        with callbacks.capture() as calls:
            for _ in range(count):
                await asyncio.sleep(0)
                publish(callbacks, record())
            return len(calls)

    assert await asyncio.gather(one(1), one(3)) == [1, 3]


async def test_a_capture_may_be_left_in_another_context(callbacks):
    capture = callbacks.capture()

    await asyncio.create_task(_enter(capture))

    assert capture.__exit__(None, None, None) is not True


async def _enter(capture):
    capture.__enter__()


def test_functions_get_every_record_off_the_host_s_path(callbacks, record):
    first, second = record(), record(response_id="gen-2")
    got = []
    callbacks.on_call(got.append)

    publish(callbacks, first)
    publish(callbacks, second)
    callbacks.flush(WAIT_S)

    assert got == [first, second]


def test_a_failing_function_silences_neither_others_nor_later_calls(callbacks, record):
    got = []

    def fail(_):
        raise ValueError("mine")

    callbacks.on_call(fail)
    callbacks.on_call(got.append)
    publish(callbacks, record())
    publish(callbacks, record())
    callbacks.flush(WAIT_S)

    assert len(got) == 2
    assert guard.faults["callbacks.on_call"] == 2
    guard.reset()


def test_an_ended_subscription_gets_nothing_more(callbacks, record):
    got = []
    end = callbacks.on_call(got.append)
    publish(callbacks, record())
    callbacks.flush(WAIT_S)

    end()
    end()
    publish(callbacks, record())
    callbacks.flush(WAIT_S)

    assert len(got) == 1


def test_a_slow_function_loses_the_oldest_records_and_they_are_counted(record):
    callbacks = Callbacks(queue_length=2)
    begun, go_on, got = Event(), Event(), []

    def slow(finished):
        begun.set()
        go_on.wait(WAIT_S)
        got.append(finished.response_id)

    callbacks.on_call(slow)
    publish(callbacks, record(response_id="0"))
    begun.wait(WAIT_S)
    for number in range(1, 5):
        publish(callbacks, record(response_id=str(number)))
    go_on.set()
    callbacks.flush(WAIT_S)

    assert got == ["0", "3", "4"]
    assert callbacks.dropped == 2


def test_flush_gives_up_at_its_timeout(callbacks, record):
    go_on = Event()
    callbacks.on_call(lambda _: go_on.wait(WAIT_S) and None)
    publish(callbacks, record())

    callbacks.flush(0.01)

    assert not go_on.is_set()
    go_on.set()
    callbacks.flush(WAIT_S)


def test_a_function_may_flush_without_waiting_for_itself(callbacks, record):
    done = Event()

    def function(_):
        callbacks.flush(WAIT_S)
        done.set()

    callbacks.on_call(function)
    publish(callbacks, record())

    assert done.wait(WAIT_S / 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_calls_on_a_thread_of_its_own(callbacks, record):
    got = []
    callbacks.on_call(got.append)
    publish(callbacks, record())
    callbacks.flush(WAIT_S)

    child = os.fork()
    if child == 0:
        publish(callbacks, record())
        callbacks.flush(WAIT_S)
        os._exit(0 if len(got) == 2 else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(got) == 1


def test_it_knows_whether_anybody_asked(callbacks):
    before = callbacks.is_used
    callbacks.on_call(print)

    assert (before, callbacks.is_used) == (False, True)
