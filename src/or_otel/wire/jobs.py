"""Work that outlives its request: videos, batches and background responses are billed after they were asked for.

*A job is submitted by one call and asked about by others. The first answer that finds it ended
counts its tokens and money, once in each process; no other answer counts any.* A submission is a
call without money: not billed yet is neither unknown nor zero. Asking again is a `fetch_response`
call without money, as reading any stored response is; the one that finds the end carries usage,
cost, tool calls and failure, the model that was asked for, and the tags around it.

What a process has counted is remembered for the last `MAX_JOBS` jobs and ends with it. Two
processes that ask about the same job both count it; their attempts share the generation id (for
servers without such ids the response id), by which a ledger can tell. A response that was not made
in the background was counted when it was made, unless this process saw it unfinished. A job that
nobody asks about is never seen to end: only the account knows its price.

Bodies of videos and batches in, `Answer` out; then an `Answer` in, and what counts of it out.
Source: OpenRouter "Video generation" and "Batches" (SDK 1.3.84), OpenAI API reference (seen 2026-11).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import NamedTuple

import msgspec

from or_otel.facts import Answer, Endpoint, Job, Request, ToolCalls
from or_otel.wire.answers import ABSENT, ENDED, AnswerFacts
from or_otel.wire.endpoints import FETCH_RESPONSE
from or_otel.wire.failures import ERROR_STATUS, failure_from_finish
from or_otel.wire.fields import UNREADABLE, object_of, text_of, value_of

MAX_JOBS = 4096
"""Jobs a process remembers; the one not heard of for longest is forgotten."""
_FAILED = frozenset({"failed", "expired"})


class _Body(msgspec.Struct):
    """Every field raw: a strange one must not cost the others. The work itself is passed over."""

    id: msgspec.Raw = ABSENT
    generation_id: msgspec.Raw = ABSENT
    model: msgspec.Raw = ABSENT
    provider: msgspec.Raw = ABSENT
    status: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_BODY = msgspec.json.Decoder(_Body, strict=False)


class JobFacts(AnswerFacts):
    """What is known of one job."""

    _job_status: str | None = None
    _generation_id: str | None = None

    def read(self, data: bytes) -> bool:
        """Take one JSON object, the whole body; False when it is none."""
        try:
            body = _BODY.decode(data)
        except UNREADABLE:
            return False
        self._named(body.id, body.model, body.provider)
        self._generation_id = text_of(value_of(body.generation_id))
        self._job_status = text_of(value_of(body.status))
        if body.usage:
            self._used(value_of(body.usage))
        # A job's error may be a mere sentence: its status then is the better word.
        error = value_of(body.error)
        if object_of(error) or self._status >= ERROR_STATUS:
            self._failed(error)
        elif self._job_status in _FAILED:
            self._failure = replace(failure_from_finish(self._status), error_type=self._job_status)
        return True

    def answer(self, *, is_complete: bool) -> Answer:
        """Give the facts so far."""
        answer = super().answer(is_complete=is_complete)
        if self._job_status is None or self._status >= ERROR_STATUS:
            return answer
        job: Job = "ended" if self._job_status in ENDED else "pending"
        return replace(answer, job=job, generation_id=self._generation_id)


class BatchFacts(JobFacts):
    """What is known of one batch: its prices are a tier of their own, about half of the usual ones."""

    def answer(self, *, is_complete: bool) -> Answer:
        """Give the facts so far."""
        return replace(super().answer(is_complete=is_complete), service_tier="batch")


class _Known(NamedTuple):
    """What this process knows of a job.

    Attributes:
        model: Model asked for: a video's own answers name none.
        told: 0 while it is pending, 1 once it has ended, 2 once its usage or money was told.
    """

    model: str | None
    told: int


class Jobs:
    """The jobs of this process; bounded, safe from any thread."""

    __slots__ = ("_known", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def settled(self, endpoint: Endpoint, request: Request, answer: Answer) -> Answer:
        """Leave in an answer what counts and was not counted before.

        Args:
            endpoint: Who answered.
            request: What it was asked.
            answer: As read; every answer may come here, those that are the work itself pass unchanged.

        Returns:
            The answer with `job` `ended` when its usage and money count now; else without them.
        """
        if answer.job is None or answer.id is None:
            return _uncounted(answer) if endpoint.operation == FETCH_RESPONSE else answer
        key = (endpoint.host, answer.id)
        told = 0 if answer.job == "pending" else 1 + (answer.usage is not None or answer.cost is not None)
        with self._lock:
            known = self._known.pop(key, None)
            if known is None:
                if answer.job == "stored":  # not made in the background, and not seen unfinished here
                    return _uncounted(answer)
                known = _Known(model=request.model, told=0)
            self._known[key] = known._replace(told=max(told, known.told))
            if len(self._known) > MAX_JOBS:
                self._known.popitem(last=False)
        if told <= known.told:
            return _uncounted(answer)
        return replace(answer, job="ended", model=answer.model or known.model)

    def after_fork(self) -> None:
        """Replace the lock, which a lost thread may hold; what the parent counted stays counted."""
        self._lock = threading.Lock()


def _uncounted(answer: Answer) -> Answer:
    """Take away what counts; a refusal to tell stays a failure."""
    return replace(
        answer,
        usage=None,
        cost=None,
        is_usage_unreadable=False,
        failure=answer.failure if answer.job is None else None,
        tool_calls=ToolCalls(),
        job="stored" if answer.job == "ended" else answer.job,
    )
