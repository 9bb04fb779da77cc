"""Tags for every task of a Celery worker, and a flush before a worker process ends.

A task's headers, and whatever a function makes of it, come in; tags are in force while the
task runs. The only module that imports Celery: import it where Celery is used. Sources:
Celery "Signals" and "Task message protocol 2", 5.7, seen 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import Token
from typing import Any
from weakref import WeakKeyDictionary

from celery import signals
from opentelemetry import context as otel_context

from or_otel.guard import guarded, wall
from or_otel.instrumentor import flush
from or_otel.operations import tag_context

TaskTags = Callable[[Any, tuple[Any, ...], dict[str, Any]], Mapping[str, object]]


def tag_tasks(tags: TaskTags | None = None, *, headers: Mapping[str, str] | None = None) -> Callable[[], None]:
    """Tag the calls of every task from now on: `tag_tasks(headers={"tenant": "customer"})`.

    The tags of one task never reach the next one; a task that runs eagerly keeps those of its
    caller. Nothing is added to messages: send the header yourself,
    `task.apply_async(args, headers={"tenant": "acme"})`.

    Args:
        tags: Makes tags of task, args and kwargs; wins over headers. A fault of it costs the tags, not the task.
        headers: Message header → tag.

    Returns:
        A function that ends this.
    """
    tagging = _Tagging(tags, dict(headers or {}))
    connected = (
        (signals.task_prerun, tagging.begin),
        (signals.task_postrun, tagging.end),
        (signals.worker_process_shutdown, _flush_process),
    )
    for signal, receiver in connected:
        signal.connect(receiver, weak=False)

    def stop() -> None:
        for signal, receiver in connected:
            signal.disconnect(receiver)

    return stop


class _Tagging:
    """The runs of tasks under way. Not by id: one task can run twice at a time, delivered again or eagerly inside."""

    def __init__(self, tags: TaskTags | None, headers: Mapping[str, str]) -> None:
        self._tags = tags
        self._headers = headers
        self._running: WeakKeyDictionary[Any, tuple[otel_context.Context, Token[otel_context.Context]]]
        self._running = WeakKeyDictionary()  # by the request, of which each run has its own

    @guarded("celery.begin")
    def begin(self, task: Any, args: Any, kwargs: Any, **_: object) -> None:
        if task.request.is_eager:
            return
        found: dict[str, object] = {}
        with wall("celery.tags"):
            sent = task.request.headers or {}
            found.update({tag: sent[name] for name, tag in self._headers.items() if name in sent})
            if self._tags is not None:
                found.update(self._tags(task, tuple(args or ()), dict(kwargs or {})))
        # Alone: what another's signals may have left of the task before must not reach this one.
        context = tag_context(found, is_alone=True)
        self._running[task.request] = (context, otel_context.attach(context))

    @guarded("celery.end")
    def end(self, task: Any, **_: object) -> None:
        found = self._running.pop(task.request, None)
        if found is None:
            return
        context, token = found
        # Signals come in one order at both ends: another's context may lie over ours, or be gone with it.
        if otel_context.get_current() is context:
            otel_context.detach(token)


def _flush_process(**_: object) -> None:
    flush()  # worker processes leave without running exit hooks
