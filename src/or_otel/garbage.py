"""Work that a garbage collection brings up, put off until locks may be taken again.

What nobody holds any more (a response, a task, a generator) is finalised on whichever thread
happens to collect, at any line of it: also one that holds a lock of ours, of OpenTelemetry or of
logging. So nothing that takes a lock is done then; it is remembered, and done at the next chance.

A collection tells its callbacks when it begins and ends. Ours are no Python functions: a signal that
comes during a collection is handled where Python code runs next, and what its handler raises in
a callback of the collector (KeyboardInterrupt, for one) never reaches the application.
"""

from __future__ import annotations

import functools
import gc
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from or_otel.guard import wall


class _Latest:
    """What the collector told last, on any thread."""

    __slots__ = ("start",)

    start: object
    stop: Any


_Latest.stop = _Latest.__dict__["start"]  # one cell under both names: the end takes the place of the beginning
_latest = _Latest()
_here = threading.local()
_waiting: deque[Callable[[], None]] = deque()

# Called with the phase, `start` or `stop`, and a dictionary that is another one each time.
_NOTES: tuple[Callable[[str, dict[str, int]], None], ...] = (
    functools.partial(setattr, _here),
    functools.partial(setattr, _latest),
)


def watch() -> None:
    """Notice collections from now on."""
    if _NOTES[0] not in gc.callbacks:
        gc.callbacks.extend(_NOTES)


def unwatch() -> None:
    """Notice none any more."""
    if _NOTES[0] in gc.callbacks:
        for note in _NOTES:
            gc.callbacks.remove(note)
    _latest.start = None  # one that goes on now ends unseen


def is_collecting() -> bool:
    """Whether this thread runs a garbage collection now: code we call may hold locks below us on the stack."""
    begun = getattr(_here, "start", None)
    return begun is not None and begun is _latest.start


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
