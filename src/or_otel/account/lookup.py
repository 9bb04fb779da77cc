"""Generation records of finished calls: what OpenRouter told too late for the answer, asked for in the background.

Finished calls and the credentials of their attempts come in; amendments, and calls whose price nobody knows,
go out, each at most once. *A question is asked again, ever more rarely, until the record is there, asking is
of no use, or its time is up; whichever comes first settles it.* It goes to the base URL that the call itself
used, with the call's own key, which is held in memory only, until the question is settled.

One daemon thread asks, begun at the first question. The host's path only puts a question into a bounded queue.
`flush` has everything that waits asked at once; `finish` does so too and then gives up what is left, for the
ledger's readers to ask later. A forked child begins empty: what waits is the parent's.
The record is written after the answer has ended, much later for a cancelled one; a 404 at first is normal
(reports of 2026-07 to 2026-09 range from half a second to minutes).
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from or_otel.account.client import AccountClient
from or_otel.account.errors import AccountError, KeyRejectedError, RefusedError, WrongKeyError
from or_otel.accounts import Generation
from or_otel.amendments import amendment_of
from or_otel.calls import Amendment, Attempt, CallRecord
from or_otel.entries import entries_of
from or_otel.guard import guarded, wall

logger = logging.getLogger(__name__)

QUEUE_LENGTH = 1000
"""Questions that wait; about 5 MB. One thread asks about two a second, so a longer queue would only be late."""
FIRST_DELAY_S = 1.0
MAX_DELAY_S = 64.0
PATIENCE_S = 150.0
PATIENCE_CANCELLED_S = 600.0
"""Records of interrupted streams are written much later than others."""
TIMEOUT_S = 10.0
MAX_CLIENTS = 8
"""Keys whose connections stay open."""
USELESS = (KeyRejectedError, WrongKeyError, RefusedError, ValueError)
"""The same question with the same key is answered so again."""


class Ask(Protocol):
    """Gets generation records."""

    def __call__(self, base_url: str, authorization: str, generation_id: str, *, timeout_s: float) -> Generation:
        """Ask for one.

        Raises:
            AccountError: There is none, or not yet.
            ValueError: URL or credential cannot be one.
        """

    def close(self) -> None:
        """Close the connections; asking again opens new ones."""


@dataclass(slots=True, eq=False)
class _Asked:
    """A call some of whose records are asked for.

    Attributes:
        record: The call, without content.
        left: Awaited attempts whose questions are not settled.
        is_missing: Whether an awaited price was given up.
    """

    record: CallRecord
    left: int = 0
    is_missing: bool = False


@dataclass(slots=True, eq=False)
class _Question:
    """One attempt's record, asked for until it is settled; never pickled, for it holds the key."""

    asked: _Asked
    attempt: Attempt
    base_url: str
    generation_id: str
    gives_up_at_s: float
    authorization: str | None = field(repr=False)
    tries: int = 0
    is_settled: bool = False

    def __reduce__(self) -> NoReturn:
        raise TypeError("a question holds a credential and is not pickled")


class Lookups:
    """The questions of this process. Safe to use from any thread.

    Attributes:
        dropped: Questions that found the queue full.
    """

    def __init__(
        self,
        *,
        is_all: bool,
        amend: Callable[[CallRecord, Amendment], None],
        give_up: Callable[[CallRecord], None],
        ask: Ask,
        queue_length: int = QUEUE_LENGTH,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        wait: Callable[[threading.Condition, float | None], object] = threading.Condition.wait,
    ) -> None:
        """Set up; no thread begins before the first question.

        Args:
            is_all: Whether records of priced attempts are asked for as well.
            amend: Told what was learned of an attempt.
            give_up: Told of a call when the last of its awaited prices is settled and one was not found.
            ask: Gets a record.
            queue_length: How many questions may wait.
            clock: Seconds that only go forward.
            wall_clock: Unix time.
            wait: Waits for a condition, at most so long.
        """
        self._is_all = is_all
        self._amend = amend
        self._give_up = give_up
        self._ask = ask
        self._queue_length = queue_length
        self._clock = clock
        self._wall_clock = wall_clock
        self._wait = wait
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.dropped = 0
        self._changed = threading.Condition()
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, _Question]] = []
        self._hurried: list[_Question] = []
        self._asking: _Question | None = None
        self._worker: threading.Thread | None = None
        self._is_over = False
        self._pid = os.getpid()

    @property
    def waiting(self) -> int:
        """Questions that are not settled."""
        with self._changed:
            return len(self._due) + len(self._hurried) + (self._asking is not None)

    def ask_later(self, record: CallRecord, authorizations: Sequence[str | None]) -> CallRecord:
        """Put the questions of a finished call.

        Args:
            record: The call.
            authorizations: The credential of each of its attempts.

        Returns:
            The call with the attempts marked whose price is awaited now.
        """
        wanted = [
            (attempt, authorization)
            for attempt, authorization in zip(record.attempts, authorizations, strict=True)
            if authorization is not None and self._is_wanted(attempt)
        ]
        base_url = record.endpoint.base_url
        if not wanted or base_url is None or self._pid != os.getpid():
            return record
        bare = replace(record, input_messages=None, output_messages=None, system_instructions=None)
        asked = _Asked(bare)
        with self._changed:
            if self._is_over:
                return record
            taken = [self._put(asked, attempt, base_url, authorization) for attempt, authorization in wanted]
            awaited = {question.attempt.id for question in taken if question and question.attempt.unpriced is not None}
            asked.left = len(awaited)
            asked.record = _marked(bare, awaited)
            self._start_worker()
            self._changed.notify_all()
        return _marked(record, awaited)

    def _is_wanted(self, attempt: Attempt) -> bool:
        if attempt.generation_id is None:
            return False
        return attempt.unpriced is not None or (self._is_all and attempt.cost is not None)

    def _put(self, asked: _Asked, attempt: Attempt, base_url: str, authorization: str) -> _Question | None:
        if len(self._due) + len(self._hurried) >= self._queue_length:
            self.dropped += 1
            return None
        now_s = self._clock()
        patience_s = PATIENCE_CANCELLED_S if attempt.unpriced == "cancelled" else PATIENCE_S
        question = _Question(
            asked=asked,
            attempt=attempt,
            base_url=base_url,
            generation_id=attempt.generation_id or "",
            gives_up_at_s=now_s + patience_s,
            authorization=authorization,
        )
        heapq.heappush(self._due, (now_s + FIRST_DELAY_S, next(self._numbers), question))
        return question

    def flush(self, timeout_s: float) -> None:
        """Have everything that waits asked once now, at most so long."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            if self._pid != os.getpid() or threading.current_thread() is self._worker:
                return
            self._hurried += [question for _, _, question in sorted(self._due, key=lambda due: due[:2])]
            self._due.clear()
            if not self._hurried and self._asking is None:
                return
            self._start_worker()
            is_alone = self._worker is None
            self._changed.notify_all()
            if not is_alone:
                # By the thread: however slowly a server answers, we go on at the deadline.
                self._changed.wait_for(lambda: not self._hurried and self._asking is None, timeout_s)
        while is_alone and (left_s := deadline_s - time.monotonic()) > 0:
            with self._changed:
                question = self._asking = self._hurried.pop(0) if self._hurried else None
            if question is None:
                break
            self._try(question, min(TIMEOUT_S, left_s))

    def finish(self, timeout_s: float) -> None:
        """Ask once what waits, then give up the rest; nothing is taken afterwards."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            if self._pid != os.getpid():
                return
            self._is_over = True
        self.flush(timeout_s)
        with self._changed:
            left = [*self._hurried, *(question for _, _, question in self._due)]
            if self._asking is not None:
                left.append(self._asking)
            self._hurried.clear()
            self._due.clear()
            self._changed.notify_all()
        for question in left:
            self._settle(question, None)
        worker = self._worker
        if worker is not None and worker is not threading.current_thread():
            worker.join(max(0.0, deadline_s - time.monotonic()))

    @guarded("account.lookup.fork")
    def after_fork(self) -> None:
        """Begin empty in a child: what waits is the parent's to learn."""
        self._begin_anew()

    # The thread -------------------------------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        if self._worker is not None and self._worker.is_alive():
            return
        self._worker = worker = threading.Thread(target=self._work, name="or-otel-lookup", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # the interpreter is ending (3.12+): no new threads, `finish` asks by itself
            self._worker = None

    def _work(self) -> None:
        while (question := self._next()) is not None:
            self._try(question, TIMEOUT_S)
        with wall("account.lookup.close"):
            self._ask.close()

    def _next(self) -> _Question | None:
        """Wait for the next question that is due; None at the end."""
        with self._changed:
            while not self._hurried:
                if self._is_over:
                    return None
                if not self._due:
                    self._wait(self._changed, None)
                    continue
                left_s = self._due[0][0] - self._clock()
                if left_s <= 0:
                    self._asking = heapq.heappop(self._due)[2]
                    return self._asking
                self._wait(self._changed, left_s)
            self._asking = self._hurried.pop(0)
            return self._asking

    def _try(self, question: _Question, timeout_s: float) -> None:
        """Ask once; settle the question or put it back."""
        amendment: Amendment | None = None
        again_in_s: float | None = None
        with wall("account.lookup"):
            amendment, again_in_s = self._learn(question, timeout_s)
        with self._changed:
            now_s = self._clock()
            is_left = again_in_s is not None and now_s < question.gives_up_at_s and not question.is_settled
            if is_left and again_in_s is not None:
                due_s = min(now_s + again_in_s, question.gives_up_at_s)
                heapq.heappush(self._due, (due_s, next(self._numbers), question))
        if not is_left:
            self._settle(question, amendment)
        with self._changed:
            self._asking = None
            self._changed.notify_all()

    def _learn(self, question: _Question, timeout_s: float) -> tuple[Amendment | None, float | None]:
        """Give what was learned, or the time after which to ask again; neither when that is of no use."""
        delay_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2 ** (question.tries + 1))
        question.tries += 1
        authorization = question.authorization
        if authorization is None:
            return None, None
        try:
            generation = self._ask(question.base_url, authorization, question.generation_id, timeout_s=timeout_s)
        except USELESS as error:
            logger.debug("or-otel: the record of %s is not told: %s", question.generation_id, error)
            return None, None
        except AccountError as error:
            return None, max(delay_s, error.retry_after_s or 0.0)
        entry = next(entry for entry in entries_of(question.asked.record) if entry.attempt_id == question.attempt.id)
        amendment = amendment_of(entry, generation, learned_at_s=self._wall_clock())
        is_unclear = amendment is None and question.attempt.unpriced is not None
        return amendment, delay_s if is_unclear else None

    def _settle(self, question: _Question, amendment: Amendment | None) -> None:
        """Tell the end of a question, once; outside the lock, for others are told."""
        asked = question.asked
        with self._changed:
            if question.is_settled:
                return
            question.is_settled = True
            question.authorization = None
            if question.attempt.unpriced is not None:
                asked.left -= 1
                asked.is_missing = asked.is_missing or amendment is None
            is_given_up = not asked.left and asked.is_missing and question.attempt.unpriced is not None
        if amendment is not None:
            with wall("account.lookup.amend"):
                self._amend(asked.record, amendment)
        if is_given_up and asked.record.is_awaited:
            with wall("account.lookup.give_up"):
                self._give_up(asked.record)


class Asking:
    """Asks with the key of each call, over connections that stay open; the thread's alone."""

    def __init__(self) -> None:
        # By process as well: connections of its parent are not a forked child's to use, nor to close.
        self._clients: OrderedDict[tuple[int, str, str], AccountClient] = OrderedDict()

    def __call__(self, base_url: str, authorization: str, generation_id: str, *, timeout_s: float) -> Generation:
        """Ask for one."""
        words = authorization.split()
        key = words[-1] if words else ""
        if timeout_s != TIMEOUT_S:
            with AccountClient(base_url, key, timeout_s=timeout_s) as client:
                return client.generation(generation_id)
        known = (os.getpid(), base_url, key)
        if known not in self._clients:
            self._clients[known] = AccountClient(base_url, key, timeout_s=timeout_s)
            if len(self._clients) > MAX_CLIENTS:
                self._clients.popitem(last=False)[1].close()
        return self._clients[known].generation(generation_id)

    def close(self) -> None:
        """Close this process' connections."""
        for known in [known for known in self._clients if known[0] == os.getpid()]:
            self._clients.pop(known).close()


def _marked(record: CallRecord, awaited: set[str]) -> CallRecord:
    if not awaited:
        return record
    attempts = (replace(attempt, is_awaited=attempt.id in awaited) for attempt in record.attempts)
    return replace(record, attempts=tuple(attempts))
