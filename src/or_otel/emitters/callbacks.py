"""Call records → the application's own code: `capture` at once, `on_call` off its path.

Records of `capture` are appended on the thread that ended the call. Functions given to
`on_call` run on one daemon thread, started at the first record, over a bounded queue: a slow
or failing function can lose records, counted in `dropped`, but never hold up a call. A record
is given once, as known when its call ended: a cost that is learned later goes to counter,
ledger and log event only. Knows nothing of OpenTelemetry.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from or_otel.calls import CallRecord, CallStarted, Emission, Emitter
from or_otel.guard import wall

OnCall = Callable[[CallRecord], None]

QUEUE_LENGTH = 10_000
"""Records waiting for slow functions; about 20 MB at the worst."""

_last_generation_id: ContextVar[str | None] = ContextVar("or_otel_last_generation_id", default=None)
_capturing: ContextVar[tuple[list[CallRecord], ...]] = ContextVar("or_otel_capturing", default=())


class Callbacks(Emitter):
    """Gives records to the application.

    Attributes:
        dropped: Records lost because functions were slower than calls came.
        is_used: Whether anybody ever asked for records.
    """

    def __init__(self, *, queue_length: int = QUEUE_LENGTH) -> None:
        self.dropped = 0
        self.is_used = False
        self._queue_length = queue_length
        self._functions: tuple[OnCall, ...] = ()
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[tuple[CallRecord, tuple[OnCall, ...]]] = deque()
        self._worker: threading.Thread | None = None
        self._is_busy = False
        self._pid = os.getpid()

    def begin(self, call: CallStarted) -> Emission:
        """Carry the lists that capture here: the call may end in another task or thread."""
        del call
        return _Carried(self, _capturing.get())

    @contextmanager
    def capture(self) -> Iterator[list[CallRecord]]:
        """Collect the records of calls begun inside."""
        self.is_used = True
        records: list[CallRecord] = []
        token = _capturing.set((*_capturing.get(), records))
        try:
            yield records
        finally:
            # An async fixture leaves in another context than it entered, where nothing was set.
            with suppress(ValueError):
                _capturing.reset(token)

    def on_call(self, function: OnCall) -> Callable[[], None]:
        """Have `function` called with every record from now on, on a thread of ours.

        Returns:
            A function that ends this; calling it again does nothing.
        """
        self.is_used = True

        # A wrapper of its own, so that a function given twice can be ended once.
        def subscription(record: CallRecord) -> None:
            function(record)

        def unsubscribe() -> None:
            with self._changed:
                self._functions = tuple(each for each in self._functions if each is not subscription)

        with self._changed:
            self._functions = (*self._functions, subscription)
        return unsubscribe

    def publish(self, record: CallRecord) -> None:
        """Queue a record for the functions; never waits for them."""
        if not self._functions:
            return
        if self._pid != os.getpid():
            self.after_fork()
        with self._changed:
            if len(self._waiting) >= self._queue_length:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append((record, self._functions))
            self._start_worker()
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> None:
        """Wait until every record was taken, at most so long."""
        if self._pid != os.getpid() or threading.current_thread() is self._worker:
            return
        with self._changed:
            if self._waiting:
                self._start_worker()
            self._changed.wait_for(lambda: not self._waiting and not self._is_busy, timeout_s)

    def after_fork(self) -> None:
        """Leave what was waiting to the parent, whose thread did not come along."""
        self.dropped = 0
        self._begin_anew()

    def _start_worker(self) -> None:
        if self._worker is not None and self._worker.is_alive():
            return
        self._is_busy = False
        worker = threading.Thread(target=self._work, name="or-otel-callbacks", daemon=True)
        try:
            worker.start()
        except RuntimeError:  # the interpreter is ending (3.12+): no new threads, so here and now
            self._work_off()
        else:
            self._worker = worker

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                record, functions = self._waiting.popleft()
                self._is_busy = True
            try:
                _tell(record, functions)
            finally:
                with self._changed:
                    self._is_busy = False
                    self._changed.notify_all()

    def _work_off(self) -> None:
        while self._waiting:
            _tell(*self._waiting.popleft())


class _Carried(Emission):
    """The lists that captured when the call began."""

    __slots__ = ("_callbacks", "_lists")

    def __init__(self, callbacks: Callbacks, lists: tuple[list[CallRecord], ...]) -> None:
        self._callbacks = callbacks
        self._lists = lists

    def end(self, record: CallRecord, context: object | None) -> None:
        """Append at once, then queue."""
        del context
        _last_generation_id.set(record.generation_id)
        for records in self._lists:
            records.append(record)
        self._callbacks.publish(record)


class GenerationIdFilter(logging.Filter):
    """Gives every log record a `generation_id`: that of the last call finished in this context, or None.

    `handler.addFilter(or_otel.GenerationIdFilter())`, then `%(generation_id)s` in the format. Drops no record.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the attribute."""
        record.generation_id = _last_generation_id.get()
        return True


def _tell(record: CallRecord, functions: tuple[OnCall, ...]) -> None:
    for function in functions:
        with wall("callbacks.on_call"):
            function(record)
