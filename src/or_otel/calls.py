"""A call as the application asked for it, and what emitters do with one.

A *call* is one request to a model with all the client's retries; an *attempt* is one
HTTP exchange of it. Emitters are told twice: `begin` before the first attempt is sent,
`end` with the finished record. They know one back end and the record, nothing else.
What the generation record tells later comes as an `Amendment` of one attempt.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from or_otel.facts import (
    EXACT,
    Api,
    Cost,
    CostSource,
    Endpoint,
    Failure,
    Outcome,
    Request,
    Route,
    ToolCalls,
    UnpricedReason,
    Usage,
    WasteKind,
    added,
)
from or_otel.runs import RunEmission, RunSaying, RunStarted

NO_TAGS: Mapping[str, str] = {}
CUT = "length"
"""`finish_reason` of an answer that met its token limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted:
    """What is known of a call before its first byte is sent.

    Attributes:
        id: Random id of the call, 32 hex.
        endpoint: Where it goes.
        request: What it asks for.
        started_at_s: Unix time.
        tags: Attribution, as set by `or_otel.tags`; keys already normalised.
        environment: `deployment.environment.name` for this call; None leaves it to the resource.
        key_id: First 12 hex of SHA-256 of the API key; None when no key was sent.
        key_name: The key's name from settings.
        workflow: Name of the innermost run's workflow, or what an agent framework calls it; None outside of any.
        workflow_run_id: That run's id, where known.
    """

    id: str
    endpoint: Endpoint
    request: Request
    started_at_s: float
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    environment: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    workflow: str | None = None
    workflow_run_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP exchange of a call.

    Attributes:
        id: Random id of the attempt, 32 hex; the ledger's key.
        number: 1 for the first.
        started_at_s, ended_at_s: Unix time.
        status: HTTP status; None when no response came.
        failure: Why it failed; None when it did not.
        outcome: How it ended.
        generation_id: `gen-…` where one was told.
        response_id: The body's own id.
        model: Model that answered.
        provider: Display name of who served.
        usage: Tokens.
        cost: Money; None when none was told.
        unpriced: Why money that may have been spent is not known; None when priced, or when nothing was spent.
        is_awaited: Whether the generation record is still asked for the price, so that `unpriced` is not the last word.
    """

    id: str
    number: int
    started_at_s: float
    ended_at_s: float
    status: int | None = None
    failure: Failure | None = None
    outcome: Outcome = "ok"
    generation_id: str | None = None
    response_id: str | None = None
    model: str | None = None
    provider: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    unpriced: UnpricedReason | None = None
    is_awaited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """What a call shows beside those before it; nothing of it is told by the server.

    Attributes:
        is_retry_loop: Whether the same was asked too often in too short a time.
        is_oversized: Whether its input is far above what is usual for its workflow, feature or model.
        missed_tokens: Input tokens, estimated, that an earlier call had sent before and that came from no cache.
        cache_saved: US dollars that cache reads cost less than fresh input; None without reads, or without a price.
        cache_premium: US dollars that cache writes cost more than fresh input; None as above.
    """

    is_retry_loop: bool = False
    is_oversized: bool = False
    missed_tokens: int | None = None
    cache_saved: Decimal | None = None
    cache_premium: Decimal | None = None


NO_INSIGHT = Insight()


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A finished call.

    Attributes:
        started: What was known at its begin.
        ended_at_s: Unix time of the last byte, the error or the cancellation.
        outcome: `ok`, `error`, `cancelled`.
        attempts: Every HTTP exchange, in order.
        status: HTTP status of the last attempt; None when no response came.
        failure: Why it failed; None otherwise, also when a retry mended it.
        response_id: The body's id (`gen_ai.response.id`).
        generation_id: What `/generation` wants; None when none was told.
        model: Model that answered.
        provider: Display name of who served; on failure of who failed, if named.
        finish_reasons: One per choice; None where it never came.
        native_finish_reason: The provider's own word.
        service_tier: Tier that served.
        usage: Tokens of the last attempt that told any.
        cost: Money summed over the attempts; None when no attempt told any.
        unpriced: Why some of the money is not known; None when all of it is.
        route: Who served, what was tried, fallback or not.
        tool_calls: Tool calls the model asked for, by worth.
        is_response_cache_hit: Whether OpenRouter replayed a stored answer; None when it did not say.
        time_to_first_chunk_s: Request start to first content; streams only.
        trace_id, span_id: Hex ids of the call's span; None without a recording span.
        input_messages, output_messages, system_instructions: Content, already redacted and cut;
            None unless content capture is on. Shapes of the OpenTelemetry GenAI conventions.
        insight: What it shows beside the calls before it.
        violated: Rules of the owner that it broke, as `policy/check`; empty when none.
    """

    started: CallStarted
    ended_at_s: float
    outcome: Outcome
    attempts: tuple[Attempt, ...] = ()
    status: int | None = None
    failure: Failure | None = None
    response_id: str | None = None
    generation_id: str | None = None
    model: str | None = None
    provider: str | None = None
    finish_reasons: tuple[str | None, ...] = ()
    native_finish_reason: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    unpriced: UnpricedReason | None = None
    route: Route = Route()
    tool_calls: ToolCalls = ToolCalls()
    is_response_cache_hit: bool | None = None
    time_to_first_chunk_s: float | None = None
    trace_id: str | None = None
    span_id: str | None = None
    input_messages: str | None = None
    output_messages: str | None = None
    system_instructions: str | None = None
    insight: Insight = NO_INSIGHT
    violated: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Random id of the call, 32 hex."""
        return self.started.id

    @property
    def request(self) -> Request:
        """What the application asked for."""
        return self.started.request

    @property
    def endpoint(self) -> Endpoint:
        """Where the call went."""
        return self.started.endpoint

    @property
    def api(self) -> Api:
        """Which API shape the call used."""
        return self.started.endpoint.api

    @property
    def tags(self) -> Mapping[str, str]:
        """Attribution of the call."""
        return self.started.tags

    @property
    def started_at_s(self) -> float:
        """Unix time of the begin."""
        return self.started.started_at_s

    @property
    def duration_s(self) -> float:
        """Begin of the first attempt to the last byte."""
        return max(0.0, self.ended_at_s - self.started.started_at_s)

    @property
    def is_awaited(self) -> bool:
        """Whether all of its money that is not known is still asked for."""
        missing = [attempt.is_awaited for attempt in self.attempts if attempt.unpriced is not None]
        return bool(missing) and all(missing)

    @property
    def output_rate(self) -> float | None:
        """Output tokens per second after the first token; None unless a whole stream told both."""
        if self.outcome != "ok" or self.time_to_first_chunk_s is None or self.usage is None:
            return None
        seconds = self.duration_s - self.time_to_first_chunk_s
        tokens = (self.usage.output_tokens or 0) - 1
        return tokens / seconds if tokens > 0 and seconds > 0 else None

    def waste_of(self, attempt: Attempt) -> WasteKind | None:
        """Give why the money of one of its attempts bought nothing of use; None where it did."""
        is_cut = attempt is self.attempts[-1] and self.finish_reasons[:1] == (CUT,)
        outcomes = (self.outcome, attempt.outcome)
        return waste_kind(outcomes, is_cut=is_cut, is_retry_loop=self.insight.is_retry_loop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What the generation record told of one attempt after its call had ended.

    Attributes:
        amends: Id of the attempt.
        generation_id: Whose record it is.
        learned_at_s: Unix time.
        call_started_at_s: Unix time of the call's begin.
        charged, upstream, is_byok: All the money of the attempt, not what is new of it; as in `Cost`.
        billing, source: Who pays, and where the figures come from.
        served_provider: Display name of who served.
        response_model: Dated name of the model; None where the call itself names one.
        input_tokens, output_tokens, cache_read_tokens, reasoning_tokens: As the provider counted them.
    """

    amends: str
    generation_id: str
    learned_at_s: float
    call_started_at_s: float
    charged: Decimal | None = None
    upstream: Decimal | None = None
    is_byok: bool | None = None
    billing: str = "unknown"
    source: CostSource = "generation"
    served_provider: str | None = None
    response_model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    reasoning_tokens: int | None = None

    @property
    def cost(self) -> Cost:
        """The money."""
        return Cost(charged=self.charged, upstream=self.upstream, is_byok=self.is_byok, source=self.source)

    @property
    def usage(self) -> Usage:
        """The tokens."""
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cache_read_tokens=self.cache_read_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )


def waste_kind(outcomes: Collection[str], *, is_cut: bool, is_retry_loop: bool) -> WasteKind | None:
    """Give why money bought nothing of use: the first reason that applies.

    Args:
        outcomes: Of the call and of the attempt.
        is_cut: Whether the answer met its token limit.
        is_retry_loop: Whether the same was asked again and again.
    """
    if "cancelled" in outcomes:
        return "cancelled"
    if "error" in outcomes:
        return "error"
    if is_cut:
        return "truncated"
    return "retry_loop" if is_retry_loop else None


def sum_costs(costs: Iterable[Cost]) -> Cost | None:
    """Add the money of several attempts exactly; None for no costs.

    Attempts may have been paid by different keys: then only the bills of those that BYOK
    paid are summed as upstream, so that the total stays the sum of the totals. One attempt
    whose payer is unknown makes the payer of the sum unknown.
    """
    costs = tuple(costs)
    if len(costs) <= 1:
        return costs[0] if costs else None
    is_byok = None if any(cost.is_byok is None for cost in costs) else any(cost.is_byok for cost in costs)
    return Cost(
        charged=added(cost.charged for cost in costs),
        upstream=added(cost.upstream_bill if is_byok else cost.upstream for cost in costs),
        input=added(cost.input for cost in costs),
        output=added(cost.output for cost in costs),
        tools=added(cost.tools for cost in costs),
        is_byok=is_byok,
        source=costs[-1].source,
        is_direct=all(cost.is_direct for cost in costs),
    )


def increase(before: Cost | None, after: Cost) -> Cost | None:
    """Give what each ledger bills beyond what was told before; None when it is no more.

    Counters cannot fall: what a ledger gave back is left out here.
    """
    charged = _more(before.charged if before else None, after.charged)
    upstream = _more(before.upstream_bill if before else None, after.upstream_bill)
    if charged is None and upstream is None:
        return None
    return replace(after, charged=charged, upstream=upstream)


def _more(before: Decimal | None, after: Decimal | None) -> Decimal | None:
    if after is None or before is None:
        return after
    more = EXACT.subtract(after, before)
    return more if more > 0 else None


class Emission:
    """One emitter's share of one running call; the base does nothing.

    Attributes:
        context: Opaque OpenTelemetry context of the call's span, for the other emissions; None without a span.
        trace_id, span_id: Hex ids of the call's span; None without one.
    """

    context: object | None = None
    trace_id: str | None = None
    span_id: str | None = None

    def enter(self) -> object | None:
        """Make this emission current around a real send; gives a token."""
        return None

    def leave(self, token: object) -> None:
        """Undo `enter`."""

    def end(self, record: CallRecord, context: object | None) -> None:
        """Publish the finished call; `context` is that of the call's span, if there is one."""


class Emitter:
    """Publishes calls to one back end; the base publishes nothing."""

    def begin(self, call: CallStarted) -> Emission:
        """A call is about to be sent."""
        del call
        return Emission()

    def amend(self, record: CallRecord, amendment: Amendment) -> None:
        """Money of an attempt was learned after its call had ended; at most once for each attempt."""

    def give_up(self, record: CallRecord) -> None:
        """No source is left for money that was awaited when the call ended; at most once for each call."""

    def begin_run(self, run: RunStarted) -> RunEmission:
        """A run of a workflow begins."""
        del run
        return RunEmission()

    def judge(self, saying: RunSaying) -> bool:
        """Somebody judges a run that ended; whether that was kept here."""
        del saying
        return False

    def flush(self, timeout_s: float) -> None:
        """Hand over what is waiting, within the time."""

    def after_fork(self) -> None:
        """Forget what the parent has: runs in a forked child, single-threaded, before anything else."""
