"""What a garbage collection ends takes no lock there, and is told afterwards."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

import or_otel
from or_otel import garbage, guard, instrumentor
from or_otel.emitters.metrics import Metrics
from or_otel.operations import current_operation
from or_otel.simulator import scenarios

PROMPT = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "say ok"}]}


@pytest.fixture(autouse=True)
def _collect_by_hand():
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def ask(openrouter):
    with httpx.Client(headers={"authorization": "Bearer k"}) as client:
        yield lambda: client.post(openrouter.base_url + "/chat/completions", json=PROMPT)


def sums_lock():
    """Give the lock that every finished call takes."""
    emitters = instrumentor._process.recorder.emitters
    return next(each for each in emitters if isinstance(each, Metrics))._board.lock


async def lost(work):
    """Have a task wait, after `work`, for what nobody will ever tell, and let go of it."""
    is_waiting = asyncio.Event()

    async def wait():
        with work():
            is_waiting.set()
            await asyncio.get_running_loop().create_future()

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
    task = asyncio.create_task(wait())
    await is_waiting.wait()
    await asyncio.sleep(0)
    del task


def collect_holding(lock):
    """Collect garbage on a thread that holds a lock, as a collection that begins at any line of ours does."""

    def collect():
        with lock:
            gc.collect()

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    thread.join(10)
    if thread.is_alive():
        lock.release()  # so that this test alone fails
        thread.join()
        pytest.fail("the collection waited for a lock that its own thread holds")


@pytest.mark.parametrize("is_own_lock", [True, False], ids=["the operation's lock", "the lock of the sums"])
async def test_a_task_lost_between_its_tries_tells_its_call_after_the_collection(ask, openrouter, calls, is_own_lock):
    locks = [sums_lock()]

    class Retrying(or_otel.operation):
        def __enter__(self):
            super().__enter__()
            ask()
            locks.append(current_operation()._lock)

    openrouter.script(scenarios.rate_limited())
    await lost(Retrying)

    collect_holding(locks[is_own_lock])
    assert calls == []
    or_otel.flush()

    assert [(record.outcome, record.status) for record in calls] == [("error", 429)]


@pytest.mark.parametrize("is_own_lock", [True, False], ids=["the run's lock", "the lock of the sums"])
async def test_a_task_lost_in_a_workflow_tells_its_run_after_the_collection(ask, calls, telemetry, is_own_lock):
    runs = []

    class Research(or_otel.workflow):
        def __enter__(self):
            runs.append(super().__enter__())
            ask()

    def told():
        return [span.attributes["openrouter.outcome"] for span in telemetry.spans if span.name.startswith("invoke_")]

    await lost(lambda: Research("research"))

    collect_holding(runs[0]._lock if is_own_lock else sums_lock())
    assert told() == []
    ask()  # the next call is chance enough

    assert told() == ["cancelled"]
    assert [record.started.workflow for record in calls] == ["research", None]


async def test_a_lost_run_ends_when_it_was_lost_and_not_when_that_is_told(calls, telemetry):
    await lost(lambda: or_otel.workflow("research"))
    gc.collect()
    collected_at_s = time.time()
    or_otel.flush()

    (span,) = telemetry.spans
    assert span.end_time < collected_at_s * 1e9


def test_a_fault_in_what_was_put_off_costs_that_alone():
    done = []
    garbage.put_off(lambda: 1 / 0)
    garbage.put_off(lambda: done.append(True))

    garbage.catch_up()

    assert done == [True]
    assert guard.faults.pop("garbage.catch_up") == 1


def test_what_was_put_off_before_a_fork_is_the_parents_to_do(calls):
    done = []
    garbage.put_off(lambda: done.append(True))

    instrumentor._process.recorder.after_fork()
    garbage.catch_up()

    assert done == []


@pytest.fixture
def collected():
    """Give what asks a question in the middle of a collection, and its answer."""

    class Asking:
        def __init__(self, question):
            self.itself = self
            self.question = question
            self.answers = []

        def __del__(self):
            self.answers.append(self.question())

    def ask(question):
        answers = Asking(question).answers
        gc.collect()
        (answer,) = answers
        return answer

    garbage.watch()
    yield ask
    garbage.unwatch()


def test_a_collection_is_noticed_while_it_lasts(collected):
    assert collected(garbage.is_collecting)
    assert not garbage.is_collecting()


def test_a_collection_of_one_thread_is_none_of_another(collected):
    def ask_elsewhere():
        answers = []
        thread = threading.Thread(target=lambda: answers.append(garbage.is_collecting()))
        thread.start()
        thread.join()
        return answers

    assert collected(ask_elsewhere) == [False]


def test_a_collection_that_ends_unwatched_is_over_all_the_same(collected):
    assert collected(garbage.unwatch) is None
    assert not garbage.is_collecting()

    garbage.watch()

    assert not garbage.is_collecting()


def test_nothing_put_off_is_done_within_a_collection(collected):
    done = []
    garbage.put_off(lambda: done.append(True))

    collected(garbage.catch_up)

    assert done == []
    garbage.catch_up()
    assert done == [True]


def test_what_is_put_off_again_waits_for_the_next_chance():
    tries = []

    def work():
        tries.append(True)
        if len(tries) < 3:
            garbage.put_off(work)

    garbage.put_off(work)

    garbage.catch_up()
    assert len(tries) == 1
    garbage.catch_up()
    garbage.catch_up()
    assert len(tries) == 3


def test_watching_twice_notices_once_and_leaves_nothing_behind():
    garbage.unwatch()
    before = [*gc.callbacks]

    garbage.watch()
    once = [*gc.callbacks]
    garbage.watch()
    twice = [*gc.callbacks]
    garbage.unwatch()
    garbage.unwatch()

    assert twice == once != before
    assert gc.callbacks == before


INTERRUPTED = """
import gc, signal
from or_otel import garbage

gc.disable()
gc.callbacks.clear()
much = [[] for _ in range(1_000_000)]  # a collection that is still at it when the signal comes
garbage.watch()
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    gc.collect()
    for _ in range(100_000_000):
        pass
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer that sends a signal")
def test_a_signal_that_comes_during_a_collection_reaches_the_application():
    run = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)

    assert (run.stdout, run.stderr) == ("interrupted\n", "")
