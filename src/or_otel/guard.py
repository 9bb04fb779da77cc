"""The safety wall between our faults and the host.

Every call into our code from the host's path goes through `guarded` or `wall`; no other
module catches `Exception`. A fault is counted by where it happened and logged once for
each such place, without the exception's text, which may hold what servers echo.
"""

from __future__ import annotations

import functools
import logging
from collections import Counter
from collections.abc import Callable
from typing import ParamSpec, TypeVar, overload

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
D = TypeVar("D")

faults: Counter[str] = Counter()
"""Faults swallowed so far, by the place that had them."""


def swallow(place: str, error: Exception) -> None:
    """Count a fault and log the first one of its place with file and line, never with its message."""
    faults[place] += 1
    if faults[place] > 1:
        return
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else "unknown line"
    logger.warning(
        "or-otel: %s failed with %s at %s; the application is not affected", place, type(error).__qualname__, where
    )


@overload
def guarded(place: str) -> Callable[[Callable[P, R]], Callable[P, R | None]]: ...
@overload
def guarded(place: str, default: D) -> Callable[[Callable[P, R]], Callable[P, R | D]]: ...
def guarded(place: str, default: object = None) -> Callable[[Callable[P, R]], Callable[P, object]]:
    """Make a function unable to raise an `Exception`; it gives `default` when it would have."""

    def decorate(function: Callable[P, R]) -> Callable[P, object]:
        @functools.wraps(function)
        def safe(*args: P.args, **kwargs: P.kwargs) -> object:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 -- the one place for it
                swallow(place, error)
                return default

        return safe

    return decorate


class wall:  # noqa: N801 -- reads as a verb: `with wall("emitters.begin"):`
    """Guard a block of our own statements; never put the host's code inside."""

    # A class, because `contextlib.contextmanager` costs three times as much, several times a call.
    __slots__ = ("_place",)

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        del kind, trace
        if not isinstance(error, Exception):
            return False
        swallow(self._place, error)
        return True


def reset() -> None:
    """Forget all faults; after a fork, and between tests."""
    faults.clear()
