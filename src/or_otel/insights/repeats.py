"""Hashed beginnings of requests → is this a retry loop, and how much of it was sent before.

*A loop is the same request, or one conversation that goes on, more often than the rules allow in their time.*
*A beginning is known once a call that had it was answered, and as long as caches keep it.* A conversation goes on
when an earlier request is whole at the beginning of this one. Both windows are bounded: the oldest is forgotten.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

IDENTICAL = 5
"""So many equal requests are no loop yet; some are asked again on purpose."""
GROWING = 30
"""So many steps of one conversation are none yet."""
WITHIN_S = 60.0
CACHED_S = 300.0
"""How long a beginning counts as cached: five minutes with those who say how long."""
MAX_REQUESTS = 1024
MAX_BEGINNINGS = 4096
NONE_KNOWN = 0.0

Times = tuple[float, ...]
"""The last few, the oldest first. No deque: most requests come once, and an empty deque takes 600 bytes."""
Beginning = tuple[bytes, float]
"""A part of a request from its start: its hash, and how much of the request it is, 0 to 1."""


class Repeats:
    """Remembers requests by their hashes; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By the hash of a whole request: when it was asked, and when its conversation took a step. Dictionaries keep
        # the order in which things came, so the oldest is the first.
        self._asked: dict[bytes, tuple[Times, Times]] = {}
        # By the hash of a beginning: when the first and the last call that had it were answered.
        self._answered: dict[bytes, tuple[float, float]] = {}

    def see(
        self, beginnings: Sequence[Beginning], *, started_at_s: float, answered_at_s: float | None, least_share: float
    ) -> tuple[bool, float]:
        """Take a finished call, and say what was seen of it before.

        Args:
            beginnings: Of its request, the whole one last; at least one.
            started_at_s: When it was sent.
            answered_at_s: When its answer was there; None when it failed, and nothing can be cached.
            least_share: Beginnings that are a smaller part of it are too short for a cache.

        Returns:
            Whether it is a loop, and the share of the request that an earlier call had sent.
        """
        with self._lock:
            is_loop = self._is_loop(beginnings, started_at_s)
            known_share = self._known_share(beginnings, started_at_s)
            if answered_at_s is not None:
                self._remember(beginnings, answered_at_s, least_share)
        return is_loop, known_share if known_share >= least_share else NONE_KNOWN

    def after_fork(self) -> None:
        """Replace the lock, which a thread that is lost may hold, and forget what the parent saw."""
        self._lock = threading.Lock()
        self._asked.clear()
        self._answered.clear()

    def _is_loop(self, beginnings: Sequence[Beginning], now_s: float) -> bool:
        asked = self._asked
        whole = beginnings[-1][0]
        known = asked.pop(whole, None)
        if known is None:
            before = next((met for digest, _ in reversed(beginnings) if (met := asked.get(digest))), None)
            known = ((), before[1] if before else ())
        equal, steps = known
        asked[whole] = ((*equal[1 - IDENTICAL :], now_s), (*steps[1 - GROWING :], now_s))
        if len(asked) > MAX_REQUESTS:
            del asked[next(iter(asked))]
        return _is_often(equal, IDENTICAL, now_s) or _is_often(steps, GROWING, now_s)

    def _known_share(self, beginnings: Sequence[Beginning], now_s: float) -> float:
        for digest, share in reversed(beginnings):
            first_s, last_s = self._answered.get(digest, (now_s + 1, now_s))
            if first_s <= now_s <= last_s + CACHED_S:
                return share
        return NONE_KNOWN

    def _remember(self, beginnings: Sequence[Beginning], at_s: float, least_share: float) -> None:
        answered = self._answered
        for digest, share in reversed(beginnings):
            if share < least_share:
                break
            first_s, last_s = answered.pop(digest, (at_s, at_s))
            is_new = at_s - last_s > CACHED_S
            answered[digest] = (at_s if is_new else min(first_s, at_s), max(last_s, at_s))
        while len(answered) > MAX_BEGINNINGS:
            del answered[next(iter(answered))]


def _is_often(times: Times, number: int, now_s: float) -> bool:
    return len(times) == number and now_s - times[0] <= WITHIN_S
