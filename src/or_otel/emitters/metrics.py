"""Call records → metrics: counters over our own sums, histograms through the SDK.

Counters are sums of ours (`sums`), which observable instruments read; a forked child begins with
empty ones. What is derived from a call is counted by `insight`. Speaks the OpenTelemetry API only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from opentelemetry import context as context_api
from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import Histogram

from or_otel import catalogue, guard, semconv
from or_otel.calls import Amendment, CallRecord, CallStarted, Emission, Emitter, increase
from or_otel.emitters import attributes
from or_otel.emitters.insight import InsightSums
from or_otel.emitters.outer import outer_of
from or_otel.emitters.sums import Counts, Key, Sums, board_of
from or_otel.facts import Cost, token_parts
from or_otel.runs import RunEmission, RunRecord, RunStarted


class Metrics(Emitter):
    """Publishes calls as metrics."""

    def __init__(
        self,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        version: str,
        metric_tags: Sequence[str] = ("team", "feature"),
        faults: Counts = lambda: guard.faults,
        dropped: Counts = dict,
    ) -> None:
        """Make the instruments.

        Args:
            meter_provider: The global one when None, also one that is set later.
            version: Version of the scope.
            metric_tags: Tags that counters carry.
            faults: Gives our own faults by place.
            dropped: Gives lost records by reason.
        """
        self._tags = tuple(metric_tags)
        self._board = board = board_of(meter_provider, version)
        board.faults, board.dropped = faults, dropped
        counter = (*catalogue.COUNTER_NAMES, *(semconv.OPENROUTER_TAG_PREFIX + tag for tag in self._tags))
        self._cost = board.sums(catalogue.COST, counter)
        self._calls = board.sums(catalogue.CALLS, counter)
        self._unpriced = board.sums(catalogue.UNPRICED_CALLS, counter)
        self._tokens = board.sums(catalogue.CLIENT_TOKENS, counter)
        self._attempts = board.sums(catalogue.ATTEMPTS, counter)
        self._route_attempts = board.sums(catalogue.ROUTE_ATTEMPTS, counter)
        self._tool_calls = board.sums(catalogue.TOOL_CALLS, counter)
        self._active = board.sums(catalogue.ACTIVE_CALLS, ())
        self._insight = InsightSums(board, counter)
        self._duration = board.histogram(catalogue.OPERATION_DURATION)
        self._token_usage = board.histogram(catalogue.TOKEN_USAGE)
        self._first_chunk = board.histogram(catalogue.TIME_TO_FIRST_CHUNK)
        self._call_cost = board.histogram(catalogue.CALL_COST)
        self._output_rate = board.histogram(catalogue.OUTPUT_RATE)
        run = (semconv.GEN_AI_WORKFLOW_NAME, semconv.OPENROUTER_OUTCOME, *counter[len(catalogue.COUNTER_NAMES) :])
        self._runs = board.sums(catalogue.WORKFLOW_RUNS, run)
        self._run_cost = board.histogram(catalogue.WORKFLOW_COST, run)
        self._run_calls = board.histogram(catalogue.WORKFLOW_CALL_COUNT, run)
        self._run_duration = board.histogram(catalogue.WORKFLOW_DURATION, run)

    def begin(self, call: CallStarted) -> Emission:
        """Count the call as active."""
        endpoint = call.endpoint
        with self._board.lock:
            key = self._active.admit((endpoint.operation, endpoint.provider, call.request.model))
            self._active.add(key, 1)
        # Who has the outer span also records the standard histograms.
        outer = outer_of(context_api.get_current(), endpoint.operation)
        return _Running(self, key, is_measured_outside=outer is not None)

    def amend(self, record: CallRecord, amendment: Amendment) -> None:
        """Count money, and tokens nobody had told, that were learned after the call ended; counters only."""
        attempt = next((attempt for attempt in record.attempts if attempt.id == amendment.amends), None)
        more = increase(attempt.cost if attempt else None, amendment.cost)
        named = replace(
            record,
            model=record.model or amendment.response_model,
            provider=record.provider or amendment.served_provider,
        )
        values = attributes.counter_values(named, self._tags)
        with self._board.lock:
            if more is not None:
                self._add_cost(values, named, more)
                self._insight.add_late(values, named, attempt, more)
            if attempt is None or attempt.usage is None:
                for kind, tokens in token_parts(amendment.usage):
                    self._tokens.count((*values, kind), tokens)

    def give_up(self, record: CallRecord) -> None:
        """Count a call as unpriced whose price was awaited until now."""
        with self._board.lock:
            self._unpriced.count((*attributes.counter_values(record, self._tags), record.unpriced))

    def begin_run(self, run: RunStarted) -> RunEmission:
        """Give what will count the run when it ends."""
        del run
        return _RunningRun(self)

    def ended_run(self, record: RunRecord, context: Context | None) -> None:
        """Count a finished run."""
        values = attributes.run_values(record, self._tags)
        with self._board.lock:
            self._runs.count(values)
        self._record(self._run_cost, None if record.cost is None else float(record.cost), values, context)
        self._record(self._run_calls, record.calls, values, context)
        self._record(self._run_duration, record.duration_s, values, context)

    def after_fork(self) -> None:
        """Empty the sums, which are the parent's, and replace the lock, which a lost thread may hold."""
        self._board.clear()

    def ended(
        self, record: CallRecord, active: Key, context: Context | None, *, is_measured_outside: bool = False
    ) -> None:
        """Count a finished call; the standard histograms only where no outer instrumentation records them."""
        values = attributes.counter_values(record, self._tags)
        status_of = [attributes.attempt_status(attempt) for attempt in record.attempts]
        failure = record.failure
        route = record.route
        with self._board.lock:
            self._active.add(active, -1)
            self._calls.count(
                (
                    *values,
                    record.outcome,
                    failure.error_type if failure else None,
                    failure.origin if failure else None,
                    route.fallback,
                    route.policy,
                    attributes.first_finish_reason(record),
                    record.is_response_cache_hit,
                )
            )
            for status in status_of:
                self._attempts.count((*values, status))
            if record.cost is not None:
                self._add_cost(values, record, record.cost)
            if record.unpriced is not None and not record.is_awaited:
                self._unpriced.count((*values, record.unpriced))
            for kind, tokens in token_parts(record.usage):
                self._tokens.count((*values, kind), tokens)
            for attempt in attributes.tries_of(record):
                its_values = attributes.route_attempt_values(values, attempt)
                self._route_attempts.count((*its_values, None if attempt.status is None else str(attempt.status)))
            self._count_tool_calls(values, record)
            self._insight.add(values, record)
        self._measure(record, context, is_measured_outside=is_measured_outside)

    def _add_cost(self, values: Key, record: CallRecord, cost: Cost) -> None:
        route = record.route
        for ledger, part, amount in attributes.cost_parts(cost):
            key = (*values, ledger, part, cost.source, cost.billing, record.outcome, route.fallback, route.policy)
            self._cost.count_money(key, amount)

    def _count_tool_calls(self, values: Key, record: CallRecord) -> None:
        calls = record.tool_calls
        for outcome, count in (
            ("valid", calls.valid),
            ("invalid_json", calls.invalid_json),
            ("unknown_tool", calls.unknown_tool),
        ):
            if count:
                self._tool_calls.count((*values, outcome), count)

    def _measure(self, record: CallRecord, context: Context | None, *, is_measured_outside: bool) -> None:
        values = attributes.histogram_values(record)
        usage = record.usage
        if not is_measured_outside:
            error_type = record.failure.error_type if record.failure else None
            self._record(self._duration, record.duration_s, (*values, error_type), context)
            if usage is not None:
                self._record(self._token_usage, usage.input_tokens, (*values, "input"), context)
                self._record(self._token_usage, usage.output_tokens, (*values, "output"), context)
            self._record(self._first_chunk, record.time_to_first_chunk_s, values, context)
        total = record.cost.total if record.cost else None
        self._record(self._call_cost, None if total is None else float(total), values, context)
        self._record(self._output_rate, record.output_rate, values, context)

    def _record(
        self, histogram: tuple[Histogram, Sums], amount: float | None, values: Key, context: Context | None
    ) -> None:
        if amount is None or amount < 0:
            return
        instrument, keys = histogram
        named = keys.known.get(values)
        if named is None:
            with self._board.lock:
                key = keys.admit(values)
                keys.add(key, 0)
                named = keys.named(key)
                if key == values:
                    keys.known[key] = named
        instrument.record(amount, named, context)


class _Running(Emission):
    """A call that is counted as active."""

    __slots__ = ("_active", "_is_measured_outside", "_metrics")

    def __init__(self, owner: Metrics, active: Key, *, is_measured_outside: bool) -> None:
        self._metrics = owner
        self._active = active
        self._is_measured_outside = is_measured_outside

    def end(self, record: CallRecord, context: object | None) -> None:
        """Count the finished call."""
        measured_context = cast("Context | None", context)
        self._metrics.ended(record, self._active, measured_context, is_measured_outside=self._is_measured_outside)


class _RunningRun(RunEmission):
    """A run of a workflow under way."""

    __slots__ = ("_metrics",)

    def __init__(self, owner: Metrics) -> None:
        self._metrics = owner

    def end(self, record: RunRecord, context: object | None) -> None:
        """Count the finished run."""
        self._metrics.ended_run(record, cast("Context | None", context))
