"""Work that a garbage collection brings up, put off until locks may be taken again.

What nobody holds any more (a response, a task, a generator) is finalised on whichever thread
happens to collect, at any line of it: also one that holds a lock of ours, of OpenTelemetry or of
logging. So nothing that takes a lock is done then; it is remembered, and done at the next chance.
"""

from __future__ import annotations

import gc
import threading
from collections import deque
from collections.abc import Callable

from or_otel.guard import wall

_here = threading.local()
_waiting: deque[Callable[[], None]] = deque()


class _State:
    """One for the process."""

    watch: object | None = None
    """Another one each time: a collection that began in an earlier one may have ended unseen."""


def watch() -> None:
    """Notice collections from now on."""
    _State.watch = _State.watch or object()
    if _note not in gc.callbacks:
        gc.callbacks.append(_note)


def unwatch() -> None:
    """Notice none any more."""
    _State.watch = None
    if _note in gc.callbacks:
        gc.callbacks.remove(_note)


def is_collecting() -> bool:
    """Whether this thread runs a garbage collection now: code we call may hold locks below us on the stack."""
    begun_in = getattr(_here, "begun_in", None)
    return begun_in is not None and begun_in is _State.watch


def put_off(work: Callable[[], None]) -> None:
    """Remember something to be done where locks are allowed; takes none itself."""
    _waiting.append(work)


def catch_up() -> None:
    """Do what was put off, in that order; for places where locks are allowed."""
    if is_collecting():  # called by what is collected
        return
    for _ in range(len(_waiting)):  # what is put off again meanwhile has its turn at the next chance
        try:
            work = _waiting.popleft()
        except IndexError:  # another thread was quicker
            return
        with wall("garbage.catch_up"):
            work()


def forget() -> None:
    """Leave what was put off undone: in a forked child it is the parent's to do."""
    _waiting.clear()


def _note(phase: str, info: dict[str, int]) -> None:
    del info
    _here.begun_in = _State.watch if phase == "start" else None
