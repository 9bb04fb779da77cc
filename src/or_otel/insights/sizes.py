"""Input sizes of calls of one kind → is this one far above what is usual there.

Usual is the median of the last calls, which a few wild ones cannot move. A kind is a workflow, a feature,
or a model where neither is told.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import deque

FACTOR = 5
"""So many times the median is far above it."""
LEAST_TOKENS = 4096
"""A smaller input is not worth a word, whatever is usual."""
LEAST_CALLS = 20
"""Fewer calls say nothing of what is usual."""
KEPT_CALLS = 101
MAX_KINDS = 256

Kind = tuple[str | None, ...]


class Sizes:
    """Remembers the last sizes of each kind; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[Kind, tuple[deque[int], list[int]]] = {}

    def is_oversized(self, kind: Kind, tokens: int) -> bool:
        """Take a call's input, and say whether it is far above the median of those before."""
        with self._lock:
            recent, ordered = self._kinds.pop(kind) if kind in self._kinds else (deque[int](), list[int]())
            self._kinds[kind] = (recent, ordered)
            if len(self._kinds) > MAX_KINDS:  # the one that was not called for the longest time
                del self._kinds[next(iter(self._kinds))]
            is_known = len(ordered) >= LEAST_CALLS
            is_oversized = is_known and tokens >= LEAST_TOKENS and tokens > FACTOR * ordered[len(ordered) // 2]
            recent.append(tokens)
            insort(ordered, tokens)
            if len(recent) > KEPT_CALLS:
                del ordered[bisect_left(ordered, recent.popleft())]
        return is_oversized

    def after_fork(self) -> None:
        """Replace the lock, which a thread that is lost may hold."""
        self._lock = threading.Lock()
        self._kinds.clear()
