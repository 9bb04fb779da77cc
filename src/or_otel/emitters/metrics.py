"""Call records → metrics: counters over our own sums, histograms through the SDK.

A counter of the SDK costs some 10 µs an addition on the host's path, so sums are kept here,
in dictionaries under one lock, and observable instruments read them when a reader collects.
Money is summed as `Decimal` and becomes a float on the way out. Server- and user-given
strings are capped, so that no instrument makes more than `MAX_SETS` attribute sets; a forked
child begins with empty sums. Speaks the OpenTelemetry API only.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast
from weakref import WeakKeyDictionary

from opentelemetry import context as context_api
from opentelemetry import metrics
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

from or_otel import catalogue, guard, semconv
from or_otel.calls import Amendment, CallRecord, CallStarted, Emission, Emitter, increase
from or_otel.catalogue import Metric
from or_otel.emitters import attributes
from or_otel.emitters.attributes import MetricValue
from or_otel.emitters.outer import outer_of
from or_otel.facts import EXACT, Cost
from or_otel.runs import RunEmission, RunRecord, RunStarted

SCOPE = "or_otel"

MAX_SETS = 2000
"""The SDK's own default limit: beyond it, it would fold money into one unnamed point."""
FOLD_TAGS_AT = 1900
FOLD_MODELS_AT = 1950
FOLD_ALL_AT = MAX_SETS - 1

DEFAULT_LIMIT = 200
LIMITS = {
    semconv.GEN_AI_REQUEST_MODEL: 500,
    semconv.GEN_AI_RESPONSE_MODEL: 500,
    semconv.GEN_AI_PROVIDER_NAME: 500,
    semconv.OPENROUTER_PROVIDER_NAME: 500,
    semconv.ERROR_TYPE: 50,
    semconv.OPENROUTER_ATTEMPT_STATUS: 50,
    semconv.OPENROUTER_FINISH_REASON: 20,
}
"""How many values an attribute may have before the rest becomes `_OTHER`; `DEFAULT_LIMIT` for others."""
MODEL_NAMES = frozenset({semconv.GEN_AI_REQUEST_MODEL, semconv.GEN_AI_RESPONSE_MODEL})

Key = tuple[MetricValue, ...]
Counts = Callable[[], Mapping[str, int]]


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
        self._board = board = _board_of(meter_provider, version)
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
            if attempt is None or attempt.usage is None:
                for kind, tokens in attributes.token_parts(amendment.usage):
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
            for kind, tokens in attributes.token_parts(record.usage):
                self._tokens.count((*values, kind), tokens)
            for attempt in route.attempts:
                its_values = attributes.route_attempt_values(values, attempt)
                self._route_attempts.count((*its_values, None if attempt.status is None else str(attempt.status)))
            self._count_tool_calls(values, record)
        if not is_measured_outside:
            self._measure_as_others_do(record, context)
        self._measure(record, context)

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

    def _measure_as_others_do(self, record: CallRecord, context: Context | None) -> None:
        values = attributes.histogram_values(record)
        usage = record.usage
        error_type = record.failure.error_type if record.failure else None
        self._record(self._duration, record.duration_s, (*values, error_type), context)
        if usage is not None:
            self._record(self._token_usage, usage.input_tokens, (*values, "input"), context)
            self._record(self._token_usage, usage.output_tokens, (*values, "output"), context)
        self._record(self._first_chunk, record.time_to_first_chunk_s, values, context)

    def _measure(self, record: CallRecord, context: Context | None) -> None:
        values = attributes.histogram_values(record)
        total = record.cost.total if record.cost else None
        self._record(self._call_cost, None if total is None else float(total), values, context)
        self._record(self._output_rate, record.output_rate, values, context)

    def _record(
        self, histogram: tuple[Histogram, _Sums], amount: float | None, values: Key, context: Context | None
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


class _Board:
    """What one meter provider reads: instruments and the sums behind them.

    An instrument can be registered once with its callback, so whoever instruments again
    goes on with the sums of before: no count is lost, and none restarts.

    Attributes:
        lock: Held only for arithmetic in dictionaries.
        faults, dropped: Give counts of others.
    """

    def __init__(self, meter_provider: metrics.MeterProvider | None, version: str) -> None:
        self.lock = threading.Lock()
        self.faults: Counts = dict
        self.dropped: Counts = dict
        self._limits = _Limits()
        self._sums: dict[str, dict[tuple[str, ...], _Sums]] = {}
        self._meter = metrics.get_meter(SCOPE, version, meter_provider)
        self._histograms: dict[str, tuple[Histogram, dict[tuple[str, ...], _Sums]]] = {}
        self._observe(catalogue.TELEMETRY_FOLDED, lambda: self._limits.folded)
        # Looked up at each reading: whoever instruments again brings its own.
        self._observe(catalogue.TELEMETRY_DROPPED, lambda: self.dropped())  # noqa: PLW0108
        self._observe(catalogue.GUARD_FAULTS, lambda: self.faults())  # noqa: PLW0108

    def sums(self, metric: Metric, common: tuple[str, ...]) -> _Sums:
        """Give the sums of an observable instrument, by the common attributes and then its own."""
        own = metric.attributes
        if catalogue.TAGS in own:
            own = own[own.index(catalogue.TAGS) + 1 :]
        if metric.name not in self._sums:
            self._sums[metric.name] = {}
            self._create(metric, lambda _: self._read(metric))
        return self._sums[metric.name].setdefault((*common, *own), _Sums(self._limits, (*common, *own)))

    def histogram(self, metric: Metric, names: tuple[str, ...] | None = None) -> tuple[Histogram, _Sums]:
        """Give an instrument and the attribute sets that it has had; `names` where the metric's own hold tags."""
        names = metric.attributes if names is None else names
        if metric.name not in self._histograms:
            instrument = self._meter.create_histogram(
                metric.name,
                unit=metric.unit,
                description=metric.description,
                explicit_bucket_boundaries_advisory=list(metric.buckets),
            )
            self._histograms[metric.name] = (instrument, {})
        instrument, by_names = self._histograms[metric.name]
        return instrument, by_names.setdefault(names, _Sums(self._limits, names))

    def clear(self) -> None:
        """Empty everything in a forked child."""
        self.lock = threading.Lock()
        self._limits.clear()
        for by_names in self._sums.values():
            for sums in by_names.values():
                sums.cells.clear()
        for _, by_names in self._histograms.values():
            for keys in by_names.values():
                keys.cells.clear()
                keys.known.clear()

    def _create(self, metric: Metric, read: Callable[[CallbackOptions], Iterable[Observation]]) -> None:
        is_counter = metric.kind == "observable_counter"
        create = self._meter.create_observable_counter if is_counter else self._meter.create_observable_gauge
        create(metric.name, callbacks=[read], unit=metric.unit, description=metric.description)

    def _observe(self, metric: Metric, counts: Counts) -> None:
        (name,) = metric.attributes
        self._create(metric, lambda _: [Observation(count, {name: key}) for key, count in list(counts().items())])

    def _read(self, metric: Metric) -> list[Observation]:
        with self.lock:
            found = [(sums, list(sums.cells.items())) for sums in self._sums[metric.name].values()]
        return [
            Observation(amount if isinstance(amount, int) else float(amount), sums.named(key))
            for sums, cells in found
            for key, amount in cells
        ]


_boards: WeakKeyDictionary[metrics.MeterProvider, _Board] = WeakKeyDictionary()
_global_boards: list[_Board] = []


def _board_of(meter_provider: metrics.MeterProvider | None, version: str) -> _Board:
    if meter_provider is None:  # the global provider may be set later: it has one board all the same
        if not _global_boards:
            _global_boards.append(_Board(None, version))
        return _global_boards[0]
    if meter_provider not in _boards:
        _boards[meter_provider] = _Board(meter_provider, version)
    return _boards[meter_provider]


class _Limits:
    """How many values each attribute has had, over all instruments; folds the rest.

    Attributes:
        folded: Records that lost a value, by which limit.
    """

    def __init__(self) -> None:
        self.folded: Counter[str] = Counter()
        self._seen: dict[str, set[MetricValue]] = {}

    def admit(self, name: str, value: MetricValue) -> MetricValue:
        """Give the value, or `_OTHER` when the attribute has had too many."""
        seen = self._seen.setdefault(name, set())
        if value in seen:
            return value
        if len(seen) >= LIMITS.get(name, DEFAULT_LIMIT):
            self.folded["value_limit"] += 1
            return semconv.OTHER
        seen.add(value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self.folded.clear()
        self._seen.clear()


class _Sums:
    """One instrument's sums by attribute values; every method needs the owner's lock but `named`.

    Attributes:
        cells: Sums by admitted values; zero for a histogram, whose sums the SDK keeps.
        known: Attributes of a histogram's admitted values, made once.
    """

    def __init__(self, limits: _Limits, names: tuple[str, ...]) -> None:
        self.cells: dict[Key, int | Decimal] = {}
        self.known: dict[Key, dict[str, str | bool]] = {}
        self._limits = limits
        self._names = names
        self._tags = frozenset(name for name in names if name.startswith(semconv.OPENROUTER_TAG_PREFIX))

    def named(self, key: Key) -> dict[str, str | bool]:
        """Give the attributes of a key; what was not said is absent."""
        return {name: value for name, value in zip(self._names, key, strict=True) if value is not None}

    def admit(self, values: Key) -> Key:
        """Give the key to sum under: the values themselves, or fewer of them where limits are reached."""
        if values in self.cells:
            return values
        key = tuple(
            None if value is None else self._limits.admit(name, value)
            for name, value in zip(self._names, values, strict=True)
        )
        folded = key
        for room, names in ((FOLD_TAGS_AT, self._tags), (FOLD_MODELS_AT, self._tags | MODEL_NAMES)):
            if len(self.cells) >= room and folded not in self.cells:
                folded = self._without(names, key)
        if len(self.cells) >= FOLD_ALL_AT and folded not in self.cells:
            folded = (semconv.OTHER,) * len(key)
        if folded is not key:
            self._limits.folded["set_limit"] += 1
        return folded

    def count(self, values: Key, amount: int = 1) -> None:
        """Admit and add."""
        held = self.cells.get(values)
        if held is None:  # a long key is dear to hash, so one that is known is not asked for twice
            self.add(self.admit(values), amount)
        else:
            self.cells[values] = cast("int", held) + amount

    def count_money(self, values: Key, amount: Decimal) -> None:
        """Admit and add money, exactly."""
        held = self.cells.get(values)
        if held is None:
            values = self.admit(values)
            held = self.cells.get(values, 0)
        self.cells[values] = EXACT.add(held, amount)

    def add(self, key: Key, amount: int) -> None:
        """Add to an admitted key."""
        self.cells[key] = cast("int", self.cells.get(key, 0)) + amount

    def _without(self, names: frozenset[str], key: Key) -> Key:
        return tuple(
            semconv.OTHER if value is not None and name in names else value
            for name, value in zip(self._names, key, strict=True)
        )
