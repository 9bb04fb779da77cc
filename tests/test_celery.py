"""Tags of Celery tasks: from headers and functions, never into the next task; and what a worker's end hands over."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from celery import Celery, signals
from celery.app.trace import build_tracer
from celery.contrib.testing.worker import start_worker
from opentelemetry import context as otel_context

from or_otel import guard
from or_otel.celery import tag_tasks
from or_otel.operations import current_tags, tags

ACME = {"headers": {"tenant": "acme"}}


@pytest.fixture(scope="module")
def app():
    app = Celery("test", broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    return app


@pytest.fixture(scope="module")
def task(app):
    @app.task(name="summarise", bind=True, max_retries=1, shared=False)
    def summarise(self, text, *, plan=None, is_failing=False, is_eager_inside=False):
        if is_failing:
            raise self.retry(countdown=0)
        if is_eager_inside:
            self.apply([text], task_id=self.request.id)
        return dict(current_tags())

    return summarise


@pytest.fixture(scope="module")
def ask(app, task):
    """Have a worker do the task; its answer is the tags that it saw."""
    signals.setup_logging.connect(_leave_logging_alone)
    with start_worker(app, perform_ping_check=False, pool="solo", shutdown_timeout=30):
        yield lambda **kwargs: task.apply_async(["text"], **kwargs).get(timeout=30, interval=0.01)
    signals.setup_logging.disconnect(_leave_logging_alone)


def _leave_logging_alone(**_):
    """Celery configures the logging of the whole process unless somebody else does."""


@pytest.fixture
def tagged():
    stop = tag_tasks(
        lambda task, _args, kwargs: {"feature": task.name, "plan": kwargs.get("plan")}, headers={"tenant": "customer"}
    )
    yield
    stop()


def test_a_task_is_tagged_by_header_and_function(ask, tagged):
    assert ask(kwargs={"plan": "pro"}, **ACME) == {"customer": "acme", "feature": "summarise", "plan": "pro"}


def test_nothing_of_a_task_is_left_for_the_next(ask, tagged):
    ask(kwargs={"plan": "pro"}, **ACME)

    assert ask() == {"feature": "summarise"}


def test_a_task_that_is_tried_again_leaves_nothing_either(ask, task, tagged):
    with pytest.raises(task.MaxRetriesExceededError):
        ask(kwargs={"is_failing": True}, **ACME)

    assert ask() == {"feature": "summarise"}


def test_an_eager_task_keeps_the_tags_of_its_caller(task, tagged):
    with tags(team="search"):
        assert task.apply(["text"], **ACME).get() == {"team": "search"}
        assert current_tags() == {"team": "search"}


def test_a_task_that_runs_itself_eagerly_keeps_its_tags(ask, tagged):
    found = ask(kwargs={"plan": "pro", "is_eager_inside": True}, **ACME)

    assert found == {"customer": "acme", "feature": "summarise", "plan": "pro"}


def test_a_task_that_is_delivered_twice_at_a_time_leaves_nothing_on_either_thread(app, tagged):
    both, during, after = threading.Barrier(2), [], []

    @app.task(name="meet", shared=False)
    def meet():
        during.append(dict(current_tags()))
        both.wait(30)

    def deliver():
        # What every pool of a worker runs; of a whole second worker the end would end the first as well.
        build_tracer(meet.name, meet, app=app)("the same", (), {}, {"id": "the same", "delivery_info": {}, **ACME})
        after.append(dict(current_tags()))

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert during == [{"customer": "acme", "feature": "meet"}] * 2
    assert after == [{}, {}]


@pytest.mark.parametrize("is_first", [True, False], ids=["before us", "after us"])
def test_another_instrumentation_of_tasks_makes_nothing_leak(ask, is_first):
    tokens = []

    def enter(**_):
        tokens.append(otel_context.attach(otel_context.set_value("span", "theirs")))

    def leave(**_):
        otel_context.detach(tokens.pop())

    def connect_theirs():
        signals.task_prerun.connect(enter)
        signals.task_postrun.connect(leave)

    if is_first:
        connect_theirs()
    stop = tag_tasks(headers={"tenant": "customer"})
    if not is_first:
        connect_theirs()
    found = [ask(**more) for more in (ACME, {}, ACME)]
    stop()
    signals.task_prerun.disconnect(enter)
    signals.task_postrun.disconnect(leave)

    assert found == [{"customer": "acme"}, {}, {"customer": "acme"}]


def test_a_fault_of_the_function_costs_the_tags_and_not_the_task(ask):
    stop = tag_tasks(lambda _task, _args, kwargs: kwargs["no such key"], headers={"tenant": "customer"})
    during = ask(**ACME)
    stop()

    assert during == {"customer": "acme"}
    assert guard.faults.pop("celery.tags") == 1


def test_after_its_end_nothing_is_tagged(ask):
    tag_tasks(headers={"tenant": "customer"})()

    assert ask(headers={"tenant": "another"}).get("customer") != "another"


PREFORK = """
import os, httpx
from celery import Celery
import or_otel
from or_otel.celery import tag_tasks

or_otel.start(ledger="off")
tag_tasks(headers={"tenant": "customer"})
app = Celery("prefork", broker="filesystem://")
folder = os.environ["HOME"] + "/messages"
app.conf.broker_transport_options = {"data_folder_in": folder, "data_folder_out": folder, "polling_interval": 0.05}


@app.task(name="ask")
def ask():
    body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "say ok"}]}
    httpx.post(os.environ["BASE_URL"] + "/chat/completions", json=body, headers={"authorization": "Bearer k"})


if __name__ == "__main__":
    ask.apply_async(headers={"tenant": "acme"})
"""


def test_what_a_prefork_worker_has_not_sent_yet_is_handed_over_at_its_end(tmp_path, openrouter, sink):
    (tmp_path / "prefork.py").write_text(PREFORK)
    (tmp_path / "messages").mkdir()
    an_hour = "3600000"  # nothing is sent by itself
    run = {
        "cwd": tmp_path,
        "env": {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "BASE_URL": openrouter.base_url,
            "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
            "OTEL_METRIC_EXPORT_INTERVAL": an_hour,
            "OTEL_BSP_SCHEDULE_DELAY": an_hour,
        },
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    subprocess.run([sys.executable, "prefork.py"], check=True, **run)
    worker = subprocess.Popen([sys.executable, "-m", "celery", "-A", "prefork", "worker", "-c", "1"], **run)
    try:
        openrouter.wait_for(1, timeout_s=60)
        worker.terminate()
        worker.wait(timeout=60)
    finally:
        worker.kill()
        worker.wait()

    assert [attributes["openrouter.tag.customer"] for _, attributes in sink.spans()] == ["acme"]
    assert sum(sink.sums("openrouter.client.cost").values()) == pytest.approx(float(openrouter.book.total()))
