"""One line of the local journal ↔ one `Entry`, and what many entries add up to.

Call records come in, entries and bytes go out; bytes come in, entries go out. Every HTTP
attempt of a call is one line of JSON, so that each has its own generation id and bill.
A line holds no content, no end-user id and no server text. Knows no file and no clock.
Format: `docs/ledger.md`; readers ignore fields they do not know.
"""

from __future__ import annotations

import json
import math
import re
import socket
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from operator import attrgetter

from or_otel.calls import CUT, NO_INSIGHT, Attempt, CallRecord, waste_kind
from or_otel.facts import ZERO, Cost, RouteAttempt, Usage, WasteKind

VERSION = 1
UNSAFE = re.compile(r"[^A-Za-z0-9.]+")
NO_USAGE = Usage()
NO_COST = Cost(source="unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt of one call, as the ledger keeps it.

    What belongs to the whole call (marked *call*) is repeated on each of its entries; the last
    one stands for the call when calls are counted.

    Attributes:
        version: Of the line's format.
        call_id, attempt_id: Random ids, 32 hex; the attempt's is the ledger's key.
        number: 1 for the first attempt.
        attempt_count: Attempts of the *call*.
        is_last: Whether this is the call's last attempt.
        started_at_s, ended_at_s: Unix time of the attempt.
        call_started_at_s: Unix time of the *call*'s begin.
        duration_s, time_to_first_chunk_s: Of the *call*.
        run_id: Which `or-otel run` or `start()` it belongs to.
        pid: Process that made the call.
        service_name: `service.name` of that process.
        api, operation: Shape of the API and `gen_ai.operation.name`.
        server: `gen_ai.provider.name`: `openrouter`, or who answers directly.
        host: Server name.
        request_model, response_model: Model asked for, model that answered.
        served_provider: Display name of who served behind OpenRouter.
        key_id, key_name: Fingerprint and name of the API key.
        app_name, environment, tags: Attribution.
        outcome: How the *call* ended.
        attempt_outcome, status, error_type, error_origin: How the attempt ended.
        generation_id, response_id: As the server named the answer.
        trace_id, span_id: Of the *call*'s span.
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens: Of
            the attempt; the last three are parts of the first two.
        charged, upstream, input, output, tools: Money of the attempt, exact.
        is_byok: Whose key paid; None when not said.
        billing, source: Which ledger pays, where the figures come from.
        unpriced: Why money of the attempt is not known.
        fallback, policy: Of the *call*'s route.
        route_path: Upstream tries in order, such as `Azure openai/gpt-5-mini 429`; on the last entry only.
        finish_reason: Of the *call*'s first choice.
        is_response_cache_hit: Whether OpenRouter replayed a stored answer.
        tool_calls, invalid_tool_calls: Tool calls the *call*'s model asked for, and those of no use.
        workflow, workflow_run_id: Name and id of the run the *call* belongs to, the innermost one.
        is_retry_loop, is_oversized: What the *call* shows beside those before it; None when it does not.
        missed_tokens, cache_saved, cache_premium: As in `calls.Insight`, of the *call*; on the last entry only.
        violated: Rules of the owner that the *call* broke; on the last entry only.
    """

    version: int = VERSION
    call_id: str
    attempt_id: str
    number: int
    attempt_count: int
    is_last: bool
    started_at_s: float
    ended_at_s: float
    call_started_at_s: float
    duration_s: float
    time_to_first_chunk_s: float | None = None
    run_id: str | None = None
    pid: int | None = None
    service_name: str | None = None
    api: str
    operation: str
    server: str
    host: str
    request_model: str | None = None
    response_model: str | None = None
    served_provider: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    app_name: str | None = None
    environment: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    outcome: str
    attempt_outcome: str
    status: int | None = None
    error_type: str | None = None
    error_origin: str | None = None
    generation_id: str | None = None
    response_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    charged: Decimal | None = None
    upstream: Decimal | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    tools: Decimal | None = None
    is_byok: bool | None = None
    billing: str = "unknown"
    source: str = "unknown"
    unpriced: str | None = None
    fallback: str = "unknown"
    policy: str = "default"
    route_path: tuple[str, ...] = ()
    finish_reason: str | None = None
    is_response_cache_hit: bool | None = None
    tool_calls: int = 0
    invalid_tool_calls: int = 0
    workflow: str | None = None
    workflow_run_id: str | None = None
    is_retry_loop: bool | None = None
    is_oversized: bool | None = None
    missed_tokens: int | None = None
    cache_saved: Decimal | None = None
    cache_premium: Decimal | None = None
    violated: tuple[str, ...] = ()

    @property
    def upstream_bill(self) -> Decimal | None:
        """What the provider bills apart from OpenRouter; None unless BYOK is certain."""
        return self.upstream if self.is_byok is True else None

    @property
    def total(self) -> Decimal | None:
        """What the attempt cost its owner; None while neither side is known."""
        if self.charged is None and self.upstream_bill is None:
            return None
        return (self.charged or ZERO) + (self.upstream_bill or ZERO)

    @property
    def model(self) -> str | None:
        """The model that answered, else the one asked for."""
        return self.response_model or self.request_model

    @property
    def provider(self) -> str:
        """Who served, as displayed; the server itself where nobody is named."""
        return self.served_provider or self.server

    @property
    def key(self) -> str | None:
        """The key's name, else its fingerprint."""
        return self.key_name or self.key_id

    @property
    def waste(self) -> WasteKind | None:
        """Why its money bought nothing of use; None where it did."""
        is_cut = self.is_last and self.finish_reason == CUT
        return waste_kind((self.outcome, self.attempt_outcome), is_cut=is_cut, is_retry_loop=self.is_retry_loop is True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What entries add up to. `None` is "nobody said", also for money.

    Attributes:
        calls, attempts: How many; a call counts where its last attempt is.
        ok, errors, cancelled: Calls by outcome.
        fallbacks: Calls served by another provider or model than first asked.
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens: Tokens.
        charged: What OpenRouter's balance lost.
        upstream: What providers bill under BYOK.
        total: Both.
        unpriced: Calls some of whose money is not known, by reason.
        duration_s: Sum over the calls.
        p50_s, p95_s: Half of the calls, and 95 of 100, took no longer; None without calls.
    """

    calls: int = 0
    attempts: int = 0
    ok: int = 0
    errors: int = 0
    cancelled: int = 0
    fallbacks: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    charged: Decimal | None = None
    upstream: Decimal | None = None
    total: Decimal | None = None
    unpriced: Mapping[str, int] = field(default_factory=dict)
    duration_s: float = 0.0
    p50_s: float | None = None
    p95_s: float | None = None

    @property
    def unpriced_calls(self) -> int:
        """Calls some of whose money is not known."""
        return sum(self.unpriced.values())

    @property
    def cached_share(self) -> float | None:
        """Part of the input tokens read from a prompt cache; None when nobody told."""
        if not self.input_tokens or self.cache_read_tokens is None:
            return None
        return min(1.0, self.cache_read_tokens / self.input_tokens)


class Adding:
    """Adds entries one by one; give it all attempts of a call, or those of one model, provider, …."""

    __slots__ = ("_counts", "_durations_s", "_known", "_unpriced")

    _SUMMED = (
        "input_tokens",
        "output_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "reasoning_tokens",
        "charged",
        "total",
    )

    def __init__(self) -> None:
        self._counts = dict.fromkeys(("calls", "attempts", "ok", "errors", "cancelled", "fallbacks"), 0)
        self._known: dict[str, int | Decimal] = {}
        self._unpriced: dict[str, str] = {}
        self._durations_s = array("d")  # eight bytes a call

    def add(self, entry: Entry) -> None:
        """Add one entry."""
        counts = self._counts
        counts["attempts"] += 1
        if entry.is_last:
            counts["calls"] += 1
            outcome = "errors" if entry.outcome == "error" else entry.outcome
            if outcome in counts:
                counts[outcome] += 1
            counts["fallbacks"] += entry.fallback in {"provider", "model"}
            self._durations_s.append(entry.duration_s)
        known = self._known
        for name in self._SUMMED:
            value = getattr(entry, name)
            if value is not None:
                known[name] = known.get(name, 0) + value
        if entry.upstream_bill is not None:
            known["upstream"] = known.get("upstream", 0) + entry.upstream_bill
        if entry.unpriced is not None:
            self._unpriced.setdefault(entry.call_id, entry.unpriced)

    def sums(self) -> Sums:
        """Give what was added so far."""
        reasons = sorted(self._unpriced.values())
        unpriced = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
        durations_s = sorted(self._durations_s)
        told: dict[str, object] = {
            **self._counts,
            **self._known,
            "unpriced": unpriced,
            "duration_s": math.fsum(durations_s),
            "p50_s": _percentile(durations_s, 50),
            "p95_s": _percentile(durations_s, 95),
        }
        return Sums(**told)  # type: ignore[arg-type]


def _percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Give the smallest value that so many of a hundred do not exceed."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None


def entries_of(
    record: CallRecord, *, run_id: str | None = None, service_name: str | None = None, pid: int | None = None
) -> tuple[Entry, ...]:
    """Give one entry per attempt of a finished call, in order."""
    last = len(record.attempts)
    return tuple(
        _entry(record, attempt, is_last=place == last, run_id=run_id, service_name=service_name, pid=pid)
        for place, attempt in enumerate(record.attempts, start=1)
    )


def _entry(
    record: CallRecord,
    attempt: Attempt,
    *,
    is_last: bool,
    run_id: str | None,
    service_name: str | None,
    pid: int | None,
) -> Entry:
    started = record.started
    endpoint = started.endpoint
    failure = attempt.failure or (record.failure if is_last else None)
    usage = attempt.usage or NO_USAGE
    cost = attempt.cost or NO_COST
    tool_calls = record.tool_calls
    insight = record.insight
    once = insight if is_last else NO_INSIGHT
    return Entry(
        call_id=started.id,
        attempt_id=attempt.id,
        number=attempt.number,
        attempt_count=len(record.attempts),
        is_last=is_last,
        started_at_s=attempt.started_at_s,
        ended_at_s=attempt.ended_at_s,
        call_started_at_s=started.started_at_s,
        duration_s=record.duration_s,
        time_to_first_chunk_s=record.time_to_first_chunk_s,
        run_id=run_id,
        pid=pid,
        service_name=service_name,
        api=endpoint.api,
        operation=endpoint.operation,
        server=endpoint.provider,
        host=endpoint.host,
        request_model=started.request.model,
        response_model=attempt.model,
        served_provider=attempt.provider,
        key_id=started.key_id,
        key_name=started.key_name,
        app_name=started.request.app_name,
        environment=started.environment,
        tags=started.tags,
        outcome=record.outcome,
        attempt_outcome=attempt.outcome,
        status=attempt.status,
        error_type=failure.error_type if failure is not None else None,
        error_origin=failure.origin if failure is not None else None,
        generation_id=attempt.generation_id,
        response_id=attempt.response_id,
        trace_id=record.trace_id,
        span_id=record.span_id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        charged=cost.charged,
        upstream=cost.upstream,
        input=cost.input,
        output=cost.output,
        tools=cost.tools,
        is_byok=cost.is_byok,
        billing=cost.billing,
        source=cost.source,
        unpriced=attempt.unpriced,
        fallback=record.route.fallback,
        policy=record.route.policy,
        route_path=tuple(map(_step, record.route.attempts)) if is_last else (),
        finish_reason=record.finish_reasons[0] if record.finish_reasons else None,
        is_response_cache_hit=record.is_response_cache_hit,
        tool_calls=tool_calls.valid + tool_calls.invalid_json + tool_calls.unknown_tool,
        invalid_tool_calls=tool_calls.invalid_json + tool_calls.unknown_tool,
        workflow=started.workflow,
        workflow_run_id=started.workflow_run_id,
        is_retry_loop=insight.is_retry_loop or None,
        is_oversized=insight.is_oversized or None,
        missed_tokens=once.missed_tokens,
        cache_saved=once.cache_saved,
        cache_premium=once.cache_premium,
        violated=record.violated if is_last else (),
    )


def _step(attempt: RouteAttempt) -> str:
    parts = (attempt.provider, attempt.model, attempt.status)
    return " ".join(str(part) for part in parts if part is not None)


def to_line(entry: Entry) -> bytes:
    """Write an entry as one line of compact JSON; what is None is left out."""
    # This costs every call: `Decimal` and other mappings than `dict` become plain in `_plain`, only where they occur.
    values = {name: value for name, value in zip(NAMES, _values(entry), strict=True) if value is not None}
    return ENCODE(values).encode("ascii") + b"\n"


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


def from_line(line: bytes) -> Entry | None:
    """Read one line; None when it is broken, cut short, or not an entry. Unknown fields are ignored."""
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not values.keys() >= REQUIRED:
        return None
    known: dict[str, object] = {}
    for name, read in READERS:
        value = values.get(name)
        if value is not None:
            try:
                known[name] = read(value)
            except (TypeError, ValueError, InvalidOperation):
                return None
    return Entry(**known) if known.keys() >= REQUIRED else None  # type: ignore[arg-type]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _seconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _money(value: object) -> Decimal:
    amount = Decimal(_text(value))
    if not amount.is_finite():
        raise ValueError
    return amount


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))


def _tags(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError
    return {key: _text(text) for key, text in value.items()}


NAMES = tuple(item.name for item in fields(Entry))
_values = attrgetter(*NAMES)
# Built once. ASCII escapes, so that a lone surrogate in a tag cannot make a line unwritable.
ENCODE = json.JSONEncoder(separators=(",", ":"), default=_plain).encode
REQUIRED = frozenset(item.name for item in fields(Entry) if item.default is MISSING and item.default_factory is MISSING)
BY_TYPE: Mapping[str, Callable[[object], object]] = {
    "str": _text,
    "int": _whole,
    "float": _seconds,
    "bool": _truth,
    "Decimal": _money,
    "tuple[str, ...]": _texts,
    "Mapping[str, str]": _tags,
}
READERS = tuple((item.name, BY_TYPE[str(item.type).removesuffix(" | None")]) for item in fields(Entry))


def add_up(entries: Iterable[Entry]) -> Sums:
    """Add up entries exactly."""
    adding = Adding()
    for entry in entries:
        adding.add(entry)
    return adding.sums()


def host_label() -> str:
    """Give this host's name as it stands in the names of journals, without a dash."""
    return UNSAFE.sub("_", socket.gethostname()) or "host"
