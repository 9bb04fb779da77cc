"""Exchanges → call records: choose the reader, feed it, keep the times, tell the emitters.

*An exchange ends once: at the terminal event, the end of its body, an error, an early
close, or when it was abandoned; whichever comes first.* Its call ends when its operation
does (see `operations`). Times come in; this module reads no clock. Everything a sensor
calls is guarded: a fault here costs telemetry, never the host's answer.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from or_otel import garbage, routes
from or_otel.calls import Attempt, CallRecord, CallStarted, Emission, Emitter, sum_costs
from or_otel.exchange import RequestSeen
from or_otel.facts import Answer, Cost, Endpoint, Failure, Outcome, Request, Route, UnpricedReason
from or_otel.guard import guarded, wall
from or_otel.operations import (
    ENVIRONMENT_TAG,
    WORKFLOW_TAG,
    Operation,
    TagSources,
    current_operation,
    is_suppressed,
)
from or_otel.prices import prepare, price
from or_otel.runs import RunEmission, RunSaying, RunStarted
from or_otel.wire.content import read_input
from or_otel.wire.encoding import Decoder, decoder_for
from or_otel.wire.endpoints import FETCH_RESPONSE, Hosts
from or_otel.wire.jobs import Jobs
from or_otel.wire.readers import Reader, reader_for
from or_otel.wire.requests import key_fingerprint, read_request
from or_otel.workflows import Run, workflow_here

METADATA_HEADER = {"X-OpenRouter-Metadata": "enabled"}
METADATA_APIS = frozenset({"chat", "completions", "responses", "messages"})
"""Where OpenRouter documents the header ("Router Metadata", seen 2026-08)."""
NO_HEADERS: Mapping[str, str] = {}
INCOMPLETE = "incomplete_answer"
"""`error.type` of a body that ended in good order without terminal event, finish reason or usage."""
NEVER_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError"})
"""Exceptions of httpx and httpx2 that say no request reached the server: nothing can have been billed."""
REFUSED_STATUS = 300
"""From this status on nobody served: "failed attempts are free" (OpenRouter, "Provider selection")."""
ERROR_STATUS = 400
MAX_ENDPOINTS = 256

_ids = random.Random()  # noqa: S311 -- ids, no secrets
"""Our own, seeded by the system: a host that seeds the shared one would repeat ids, and the ledger would lose calls."""

Redact = Callable[[object], object]
AskLater = Callable[[CallRecord, Sequence[str | None]], CallRecord]
"""Gets a finished call and the credential of each of its attempts, has their generation records asked for, and gives
the call back with the attempts marked whose price is awaited."""

Appraise = Callable[[CallRecord, bytes | None], CallRecord]
"""Gets a finished call and the body of its last request, and gives the call back with what it shows beside others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentRules:
    """How content is recorded, where it is recorded at all.

    Attributes:
        limit_bytes: Longest content per side.
        redact: Gets a list of messages or parts, gives what may be recorded; None drops it.
    """

    limit_bytes: int
    redact: Redact | None = None


class Recorder:
    """The watch that sensors ask; makes a `CallRecord` of each call and hands it to the emitters."""

    def __init__(  # noqa: PLR0913 -- what the composition root decides, each by its name
        self,
        emitters: Sequence[Emitter],
        *,
        hosts: Hosts,
        router_metadata: bool = True,
        key_names: Mapping[str, str] | None = None,
        content: ContentRules | None = None,
        prices: bool = True,
        ask_later: AskLater | None = None,
        appraise: Appraise | None = None,
        tag_sources: TagSources | None = None,
        on_first_call: Callable[[], None] = lambda: None,
    ) -> None:
        """Set up.

        Args:
            emitters: Told of every call, in this order.
            hosts: What is ours.
            router_metadata: Whether to ask OpenRouter for its route.
            key_names: Key fingerprint → name.
            content: How content is recorded; None when it is not.
            prices: Whether list prices stand in where a server that is not OpenRouter tells no cost.
            ask_later: Told of every call before the emitters are; None keeps no credential.
            appraise: Judges every call before the emitters are told; None keeps no body.
            tag_sources: Where tags come from besides `or_otel.tags`.
            on_first_call: Called before the first call of each process: of a forked child as well.
        """
        self.emitters = tuple(emitters)
        self.hosts = hosts
        self.content = content
        self.prices = prices
        self.ask_later = ask_later
        self.appraise = appraise
        self.tag_sources = tag_sources or TagSources()
        self.open_exchanges: dict[int, _Exchange] = {}
        self.jobs = Jobs()
        self._router_metadata = router_metadata
        self._key_names = dict(key_names or {})
        self._on_first_call = on_first_call
        self._pid_of_first_call = 0
        self._numbers = itertools.count()
        # A program asks the same few addresses again and again.
        self._endpoints: dict[tuple[str, str], Endpoint] = {}

    @guarded("recorder.endpoint")
    def endpoint(self, method: str, url: str) -> Endpoint | None:
        """Say where a request goes, or None when it is not ours."""
        known = self._endpoints.get((method, url))
        endpoint = known or self.hosts.endpoint(method, url)
        if endpoint is None or is_suppressed():
            return None
        # An address with an id in it is asked a few times, and there are many.
        if known is None and endpoint.operation != FETCH_RESPONSE and len(self._endpoints) < MAX_ENDPOINTS:
            self._endpoints[method, url] = endpoint
        return endpoint

    def open(self, request: RequestSeen) -> _Exchange:
        """Begin to watch a request that is ours."""
        if self._pid_of_first_call != (pid := os.getpid()):
            self._pid_of_first_call = pid
            with wall("recorder.first_call"):
                self._on_first_call()
        self.drain()
        if self.prices and not request.endpoint.is_openrouter:
            with wall("prices.prepare"):
                prepare()
        body = request.body()
        facts = read_request(body, request.header)
        operation = current_operation() or Operation()
        call = operation.opened(functools.partial(_Call, self))
        exchange = None
        try:
            if not isinstance(call, _Call):
                raise TypeError(f"an operation held a foreign call: {type(call).__qualname__}")
            call.begin(request, facts, self._key_names)
            exchange = _Exchange(self, call, operation, request, facts, next(self._numbers))
            if self.appraise is not None:
                exchange.body = body  # a reference: the host's own request holds it as long as its answer is read
            call.exchanges.append(exchange)
            self.open_exchanges[exchange.number] = exchange
            return exchange
        finally:
            if exchange is None:  # a fault of ours: the operation must not wait for an exchange that nobody closes
                operation.closed()

    def headers_for(self, endpoint: Endpoint) -> Mapping[str, str]:
        """Give the headers to add where the caller did not set them."""
        is_told = endpoint.api in METADATA_APIS and endpoint.operation != FETCH_RESPONSE
        wanted = self._router_metadata and endpoint.is_openrouter and is_told
        return METADATA_HEADER if wanted else NO_HEADERS

    def drain(self) -> None:
        """End what was abandoned meanwhile; runs where locks are allowed."""
        garbage.catch_up()

    def finish(self, at_s: float) -> None:
        """End everything that is still open, as cancelled; for the end of the process."""
        self.drain()
        for exchange in list(self.open_exchanges.values()):
            exchange.closed(at_s)

    @guarded("recorder.begin_run")
    def begin_run(self, run: RunStarted) -> Sequence[RunEmission]:
        """Tell the emitters that a run of a workflow begins."""
        emissions: list[RunEmission] = []
        for emitter in self.emitters:
            with wall("emitters.begin_run"):
                emissions.append(emitter.begin_run(run))
        return emissions

    @guarded("recorder.judge", default=False)
    def judge(self, saying: RunSaying) -> bool:
        """Tell the emitters what somebody says of a run that ended; whether one of them kept it."""
        kept = [emitter.judge(saying) for emitter in self.emitters]
        return any(kept)

    @guarded("recorder.after_fork")
    def after_fork(self) -> None:
        """Begin anew in a child: what the parent has open is the parent's to tell."""
        _ids.seed()
        self.open_exchanges.clear()
        garbage.forget()
        self.jobs.after_fork()
        for emitter in self.emitters:
            emitter.after_fork()


class _Call:
    """One call under way."""

    __slots__ = ("_began_at_s", "_lock", "emissions", "exchanges", "pid", "recorder", "run", "started")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.exchanges: list[_Exchange] = []
        self.emissions: list[Emission] = []
        self.started: CallStarted | None = None
        self.run: Run | None = None
        self.pid = os.getpid()
        self._began_at_s = 0.0
        self._lock = threading.RLock()

    def begin(self, request: RequestSeen, facts: Request, key_names: Mapping[str, str]) -> None:
        """Tell the emitters, once; attempts that start together wait for the first to have told."""
        with self._lock:
            if self.started is None:
                self._begin(request, facts, key_names)

    def _begin(self, request: RequestSeen, facts: Request, key_names: Mapping[str, str]) -> None:
        tags = self.recorder.tag_sources.tags(facts.metadata)
        workflow, workflow_run_id, run = workflow_here()
        if workflow is not None:
            tags = {WORKFLOW_TAG: workflow, **tags}
        key_id = key_fingerprint(_authorization(request))
        self._began_at_s = request.at_s
        self.started = started = CallStarted(
            id=_new_id(),
            endpoint=request.endpoint,
            request=facts,
            started_at_s=request.wall_s,
            tags={key: value for key, value in tags.items() if key != ENVIRONMENT_TAG} if tags else tags,
            environment=tags.get(ENVIRONMENT_TAG),
            key_id=key_id,
            key_name=key_names.get(key_id) if key_id else None,
            workflow=workflow,
            workflow_run_id=workflow_run_id,
        )
        if run is not None:
            run.opened()
            self.run = run
        for emitter in self.recorder.emitters:
            with wall("emitters.begin"):
                self.emissions.append(emitter.begin(started))

    def wall_s(self, at_s: float) -> float:
        """Turn a reading of the monotonic clock into Unix time, relative to the call's begin."""
        assert self.started is not None  # noqa: S101 -- begun before any exchange exists
        return self.started.started_at_s + (at_s - self._began_at_s)

    @guarded("recorder.end")
    def end(self) -> None:
        """Publish the record; a child process leaves that to its parent."""
        if self.pid != os.getpid() or self.started is None:
            return
        record = None
        try:
            record = self._ended(self.started)
        finally:
            if self.run is not None:
                self.run.closed(record)

    def _ended(self, started: CallStarted) -> CallRecord:
        record = self._record(started)
        if self.recorder.appraise is not None:
            with wall("recorder.appraise"):
                record = self.recorder.appraise(record, self.exchanges[-1].body)
        if self.recorder.ask_later is not None:
            with wall("recorder.ask_later"):
                record = self.recorder.ask_later(record, [exchange.authorization for exchange in self.exchanges])
        context = next((emission.context for emission in self.emissions if emission.context is not None), None)
        for emission in self.emissions:
            with wall("emitters.end"):
                emission.end(record, context)
        # Exchanges know their call: let go of them, so that nothing waits for the garbage collector.
        self.exchanges.clear()
        return record

    def _record(self, started: CallStarted) -> CallRecord:
        exchanges = self.exchanges
        attempts = tuple([exchange.attempt() for exchange in exchanges])
        last = max(exchanges, key=_end_of) if len(exchanges) > 1 else exchanges[0]
        final = attempts[exchanges.index(last)]
        answer = last.answer
        usage = first_content_at_s = unpriced = None
        for exchange, attempt in zip(exchanges, attempts, strict=True):  # what the last one says that says it
            usage = usage if attempt.usage is None else attempt.usage
            unpriced = unpriced if attempt.unpriced is None else attempt.unpriced
            if exchange.first_content_at_s is not None:
                first_content_at_s = exchange.first_content_at_s
        span = next((emission for emission in self.emissions if emission.trace_id is not None), None)
        return CallRecord(
            started=started,
            ended_at_s=final.ended_at_s,
            outcome=final.outcome,
            attempts=attempts,
            status=final.status,
            failure=final.failure,
            response_id=final.response_id,
            generation_id=final.generation_id,
            model=final.model,
            provider=final.provider,
            finish_reasons=answer.finish_reasons,
            native_finish_reason=answer.native_finish_reason,
            service_tier=answer.service_tier,
            usage=usage,
            cost=sum_costs([attempt.cost for attempt in attempts if attempt.cost is not None]),
            unpriced=unpriced,
            route=self._route(last),
            tool_calls=answer.tool_calls,
            is_response_cache_hit=last.is_response_cache_hit,
            time_to_first_chunk_s=None if first_content_at_s is None else first_content_at_s - self._began_at_s,
            trace_id=span.trace_id if span else None,
            span_id=span.span_id if span else None,
            input_messages=last.input_messages,
            output_messages=last.output_messages(),
            system_instructions=last.system_instructions,
        )

    def _route(self, last: _Exchange) -> Route:
        """The last answer says what happened; the tries of earlier, failed exchanges come before its own."""
        found = [
            routes.route(exchange.facts, exchange.answer, is_openrouter=exchange.endpoint.is_openrouter)
            for exchange in self.exchanges
        ]
        if len(found) == 1:
            return found[0]
        route = found[self.exchanges.index(last)]
        counts = [each.attempt_count for each in found if each.attempt_count is not None]
        return replace(
            route,
            attempts=tuple(attempt for each in found for attempt in each.attempts),
            attempt_count=sum(counts) if counts else None,
        )


class _Exchange:
    """One HTTP exchange under way; what a sensor talks to."""

    __slots__ = (
        "_call",
        "_decoder",
        "_error",
        "_number_of_attempt",
        "_operation",
        "_reader",
        "_response_header",
        "_started_at_s",
        "_status",
        "answer",
        "authorization",
        "body",
        "ended_at_s",
        "endpoint",
        "facts",
        "first_content_at_s",
        "headers",
        "input_messages",
        "is_open",
        "number",
        "outcome",
        "recorder",
        "system_instructions",
    )

    def __init__(
        self,
        recorder: Recorder,
        call: _Call,
        operation: Operation,
        request: RequestSeen,
        facts: Request,
        number: int,
    ) -> None:
        self.recorder = recorder
        self.endpoint = request.endpoint
        self.facts = facts
        self.number = number
        self.headers = recorder.headers_for(request.endpoint)
        self.is_open = True
        self.answer = Answer()
        # In memory only, and only where it is sent again to the same server.
        will_ask = recorder.ask_later is not None and request.endpoint.base_url is not None
        self.authorization = _authorization(request) if will_ask else None
        self.body: bytes | None = None
        self.outcome: Outcome = "ok"
        self.ended_at_s = request.at_s
        self.first_content_at_s: float | None = None
        self.input_messages: str | None = None
        self.system_instructions: str | None = None
        self._call = call
        self._operation = operation
        self._number_of_attempt = len(call.exchanges) + 1
        self._started_at_s = request.at_s
        self._status: int | None = None
        self._response_header: Callable[[str], str | None] = _no_header
        self._reader: Reader | None = None
        self._decoder: Decoder | None = None
        self._error: type[BaseException] | None = None
        if recorder.content is not None:
            with wall("recorder.content"):
                self._take_input(request.body(), recorder.content)

    @guarded("recorder.enter")
    def enter(self) -> object:
        """Make the call's span current."""
        return [(emission, emission.enter()) for emission in self._call.emissions]

    @guarded("recorder.leave")
    def leave(self, token: object) -> None:
        """Undo `enter`."""
        if isinstance(token, list):
            for emission, its_token in reversed(token):
                emission.leave(its_token)

    @guarded("recorder.answered")
    def answered(self, status: int, header: Callable[[str], str | None], at_s: float) -> None:
        """The response's head came."""
        del at_s
        self._status = status
        self._response_header = header
        self._decoder = decoder_for(header("content-encoding"))
        limit = self.recorder.content.limit_bytes if self.recorder.content else 0
        self._reader = reader_for(self.endpoint, self.facts, status=status, header=header, content_limit_bytes=limit)

    @guarded("recorder.received")
    def received(self, data: bytes, at_s: float) -> None:
        """Bytes of the body came."""
        reader = self._reader
        if reader is None or not self.is_open:
            return
        reader.feed(data if self._decoder is None else self._decoder.feed(data))
        if self.first_content_at_s is None and reader.has_content:
            self.first_content_at_s = at_s
        if reader.is_terminal:
            self._end(at_s, is_whole=True)

    @guarded("recorder.loaded")
    def loaded(self, body: bytes, at_s: float) -> None:
        """The whole decoded body was there already."""
        if self._reader is not None and self.is_open:
            self._reader.feed(body)
        self._end(at_s, is_whole=True)

    @guarded("recorder.finished")
    def finished(self, at_s: float) -> None:
        """The body came to its end."""
        self._end(at_s, is_whole=True)

    @guarded("recorder.closed")
    def closed(self, at_s: float) -> None:
        """The caller closed the response, perhaps early."""
        self._end(at_s, is_whole=False)

    @guarded("recorder.failed")
    def failed(self, error: BaseException, at_s: float) -> None:
        """Sending or reading raised."""
        if self.is_open:
            self._error = type(error)
            self._end(at_s, is_whole=False)

    def abandoned(self, at_s: float) -> None:
        """The response was garbage-collected: only remember that, for locks may be held around us."""
        if self.is_open:
            garbage.put_off(functools.partial(self.closed, at_s))

    def attempt(self) -> Attempt:
        """Give this exchange as the record tells it."""
        answer, header = self.answer, self._response_header
        cost = answer.cost
        told_id = header("x-generation-id") or answer.generation_id
        if told_id is None and answer.id is not None and answer.id.startswith("gen-"):
            told_id = answer.id
        # What is pending is not billed yet; what is stored was billed, under this id, before.
        is_billed = self.endpoint.operation != FETCH_RESPONSE if answer.job is None else answer.job == "ended"
        unpriced = _unpriced(cost, self.outcome, self._status, self._error, answer) if is_billed else None
        if unpriced is not None and self.recorder.prices and not self.endpoint.is_openrouter:
            listed = self._listed_cost()
            if listed is not None:
                cost, unpriced = listed, None
        failed_provider = answer.failure.provider if answer.failure is not None else None
        return Attempt(
            id=_new_id(),
            number=self._number_of_attempt,
            started_at_s=self._call.wall_s(self._started_at_s),
            ended_at_s=self._call.wall_s(self.ended_at_s),
            status=self._status,
            failure=answer.failure,
            outcome=self.outcome,
            generation_id=told_id if is_billed else None,
            response_id=answer.id,
            model=answer.model,
            provider=answer.provider or failed_provider or header("x-provider-name"),
            usage=answer.usage,
            cost=cost,
            unpriced=unpriced,
        )

    def _listed_cost(self) -> Cost | None:
        """Give the list price of what the answer told; None where it is not known."""
        answer = self.answer
        if answer.cost is not None or answer.usage is None or answer.is_usage_partial or answer.model is None:
            return None
        return price(
            self.endpoint.provider,
            answer.model,
            answer.usage,
            at_s=self._call.wall_s(self._started_at_s),
            service_tier=answer.service_tier,
        )

    @property
    def is_response_cache_hit(self) -> bool | None:
        """Whether OpenRouter replayed a stored answer; None when it did not say."""
        word = self._response_header("x-openrouter-cache-status")
        return None if word is None else word.upper() == "HIT"

    def output_messages(self) -> str | None:
        """Give the answer's content as JSON text, redacted; None when content is off."""
        rules, reader = self.recorder.content, self._reader
        if rules is None or reader is None:
            return None
        with wall("recorder.content"):
            return _recordable(reader.output_messages(), rules)
        return None

    def _take_input(self, body: bytes | None, rules: ContentRules) -> None:
        if body is not None:
            system, messages = read_input(body, rules.limit_bytes)
            self.system_instructions = _recordable(system, rules)
            self.input_messages = _recordable(messages, rules)

    def _end(self, at_s: float, *, is_whole: bool) -> None:
        if not self.is_open:
            return
        if garbage.is_collecting():  # of a task that nobody held, or of what it had open
            garbage.put_off(functools.partial(self._end, at_s, is_whole=is_whole))
            return
        self.is_open = False
        self.ended_at_s = at_s
        self.recorder.open_exchanges.pop(self.number, None)
        try:
            if self._reader is not None:
                if is_whole:
                    self._reader.close()
                self.answer = self.recorder.jobs.settled(self.endpoint, self.facts, self._reader.answer())
            is_blind = self._decoder is not None and self._decoder.is_blind
            self.outcome, self.answer = _judged(
                self.answer, self._status, self._error, is_whole=is_whole, is_blind=is_blind
            )
        finally:
            self._operation.closed()


def _judged(  # noqa: PLR0911 -- one line a rule, the first that applies
    answer: Answer, status: int | None, error: type[BaseException] | None, *, is_whole: bool, is_blind: bool
) -> tuple[Outcome, Answer]:
    """Say how an exchange ended, and complete its failure."""
    if answer.failure is not None:
        return "error", answer
    if status is not None and status >= ERROR_STATUS:
        return "error", replace(answer, failure=Failure(error_type=str(status), origin="router", status=status))
    if error is not None:
        if not issubclass(error, Exception):  # CancelledError, GeneratorExit, KeyboardInterrupt
            return "cancelled", answer
        name = f"{error.__module__}.{error.__qualname__}"
        return "error", replace(
            answer, failure=Failure(error_type=error.__name__, origin="client", exception_type=name)
        )
    is_redirect = status is not None and status >= REFUSED_STATUS
    if answer.is_complete or any(answer.finish_reasons) or is_redirect:
        return "ok", answer
    if not is_whole:
        return "cancelled", answer
    if (answer.usage is not None and not answer.is_usage_partial) or is_blind:
        return "ok", answer
    return "error", replace(answer, failure=Failure(error_type=INCOMPLETE, origin="upstream", status=status))


def _unpriced(
    cost: Cost | None, outcome: Outcome, status: int | None, error: type[BaseException] | None, answer: Answer
) -> UnpricedReason | None:
    """Say why money that may have been spent is not known."""
    if cost is not None and cost.total is not None:
        return "billing_unknown" if cost.is_billing_unknown else None
    if error is not None and error.__name__ in NEVER_SENT:
        return None
    if status is not None and status >= REFUSED_STATUS:
        return None
    if answer.is_usage_unreadable:
        return "unreadable"
    if outcome == "ok":
        return "not_reported" if answer.is_complete else "cancelled"
    return outcome


def _authorization(request: RequestSeen) -> str | None:
    return request.header("authorization") or request.header("api-key") or request.header("x-api-key")


def _recordable(value: object, rules: ContentRules) -> str | None:
    if not value:
        return None
    if rules.redact is not None:
        value = rules.redact(value)
    return json.dumps(value, ensure_ascii=False) if value else None


def _end_of(exchange: _Exchange) -> float:
    return exchange.ended_at_s


def _new_id() -> str:
    # Not `os.urandom`: a system call for each id is among the dearest things on this path.
    return f"{_ids.getrandbits(128):032x}"


def _no_header(name: str) -> str | None:
    del name
    return None
