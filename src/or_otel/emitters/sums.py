"""Sums behind observable instruments, bounded: what a meter provider reads when a reader collects.

A counter of the SDK costs some 10 µs an addition on the host's path, so sums are kept here,
in dictionaries under one lock. Money is summed as `Decimal` and becomes a float on the way
out. Server- and user-given strings are capped, so that no instrument makes more than
`MAX_SETS` attribute sets. Speaks the OpenTelemetry API only.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import cast
from weakref import WeakKeyDictionary

from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

from or_otel import catalogue, semconv
from or_otel.catalogue import Metric
from or_otel.emitters.attributes import MetricValue
from or_otel.facts import EXACT

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


class Board:
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
        self._limits = Limits()
        self._sums: dict[str, dict[tuple[str, ...], Sums]] = {}
        self._meter = metrics.get_meter(SCOPE, version, meter_provider)
        self._histograms: dict[str, tuple[Histogram, dict[tuple[str, ...], Sums]]] = {}
        self._observe(catalogue.TELEMETRY_FOLDED, lambda: self._limits.folded)
        # Looked up at each reading: whoever instruments again brings its own.
        self._observe(catalogue.TELEMETRY_DROPPED, lambda: self.dropped())  # noqa: PLW0108
        self._observe(catalogue.GUARD_FAULTS, lambda: self.faults())  # noqa: PLW0108

    def sums(self, metric: Metric, common: tuple[str, ...]) -> Sums:
        """Give the sums of an observable instrument, by the common attributes and then its own."""
        own = metric.attributes
        if catalogue.TAGS in own:
            own = own[own.index(catalogue.TAGS) + 1 :]
        if metric.name not in self._sums:
            self._sums[metric.name] = {}
            self._create(metric, lambda _: self._read(metric))
        return self._sums[metric.name].setdefault((*common, *own), Sums(self._limits, (*common, *own)))

    def histogram(self, metric: Metric, names: tuple[str, ...] | None = None) -> tuple[Histogram, Sums]:
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
        return instrument, by_names.setdefault(names, Sums(self._limits, names))

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


_boards: WeakKeyDictionary[metrics.MeterProvider, Board] = WeakKeyDictionary()
_global_boards: list[Board] = []


def board_of(meter_provider: metrics.MeterProvider | None, version: str) -> Board:
    """Give the board of a meter provider: one, however often it is asked for."""
    if meter_provider is None:  # the global provider may be set later: it has one board all the same
        if not _global_boards:
            _global_boards.append(Board(None, version))
        return _global_boards[0]
    if meter_provider not in _boards:
        _boards[meter_provider] = Board(meter_provider, version)
    return _boards[meter_provider]


class Limits:
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


class Sums:
    """One instrument's sums by attribute values; every method needs the owner's lock but `named`.

    Attributes:
        cells: Sums by admitted values; zero for a histogram, whose sums the SDK keeps.
        known: Attributes of a histogram's admitted values, made once.
    """

    def __init__(self, limits: Limits, names: tuple[str, ...]) -> None:
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
