"""The analytics API of the simulated account: `/analytics/meta` and `POST /analytics/query`.

A question in, rows out, computed from the book's entries. As the true service, it writes counts as
strings, leaves components nobody used null, and tells dimension values as labels while filters want ids.
Shapes: OpenRouter Python SDK 1.3.84 and its cookbook, seen 2026-11. Two things are guesses: the time bucket is
named `date__…`, and `created_at__…` where a short-lived dimension is asked for.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

from or_otel.days import DAY_S
from or_otel.facts import ZERO
from or_otel.simulator.account import Account, Key, iso
from or_otel.simulator.book import Entry
from or_otel.simulator.market import MODELS
from or_otel.simulator.questions import QuestionError
from or_otel.simulator.scenarios import Received, Scenario, error

GRANULARITIES = ("minute", "hour", "day", "week", "month")
DEFAULT_DAYS, SHORT_DAYS, LONG_DAYS = 7, 31, 365
"""Without a time range; how long short-lived dimensions are kept, and everything else."""
DIMENSION_LIMIT, FILTER_LIMIT = 2, 20
ROW_LIMIT, LARGEST_ROW_LIMIT = 1000, 10_000
MODEL_NAMES = {model.permaslug: model.name for model in reversed(MODELS)}

Entries = Sequence[Entry]
Row = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Metric:
    format: str
    measure: Callable[[Entries], object]

    @property
    def is_rate(self) -> bool:
        return self.format == "percent"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dimension:
    """A way to group: the id that filters want, the label that rows tell."""

    id_of: Callable[[Account, Entry], str | None]
    label_of: Callable[[Account, str], str] = lambda _, name: name
    is_short_lived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filter:
    dimension: _Dimension
    operator: str
    values: tuple[str, ...]
    include_unset: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A query, read and found good."""

    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    filters: tuple[_Filter, ...]
    granularity: str | None
    begin_s: float
    end_s: float
    order_by: tuple[str, bool] | None
    limit: int
    group_limit: int | None


def analytics(account: Account, path: str, request: Received) -> Scenario:
    """Answer a question about the account, or say what it may be asked."""
    key = account.managing(request)
    if isinstance(key, Scenario):
        return key
    if path == "/analytics/meta":
        return Scenario(body={"data": _meta()})
    try:
        question = _read(request.body, account.now_s)
    except QuestionError as fault:
        return error(400, str(fault))
    rows = _rows(account, key, question)
    told = rows[: question.limit]
    about = {"query_time_ms": 41, "row_count": len(told), "truncated": len(rows) > len(told)}
    return Scenario(body={"data": {"data": told, "metadata": about}})


# Metrics --------------------------------------------------------------------------------------------------------------


def _count(pick: Callable[[Entry], int | bool | None]) -> Callable[[Entries], object]:
    return lambda entries: str(sum(int(pick(entry) or 0) for entry in entries))


def _money(
    pick: Callable[[Entry], Decimal | None], when: Callable[[Entry], object] = lambda _: True
) -> Callable[[Entries], object]:
    def measure(entries: Entries) -> object:
        used = [pick(entry) or ZERO for entry in entries if when(entry)]
        return sum(used, ZERO) if used else None

    return measure


def _share(
    part: Callable[[Entry], int | bool | None], whole: Callable[[Entry], int | None]
) -> Callable[[Entries], object]:
    def measure(entries: Entries) -> object:
        every = sum(whole(entry) or 0 for entry in entries)
        return round(sum(int(part(entry) or 0) for entry in entries) / every, 6) if every else None

    return measure


def _figure(pick: Callable[[Entry], float | None], percentile: int | None) -> Callable[[Entries], object]:
    """Give the mean, or the figure that so many of a hundred do not exceed."""

    def measure(entries: Entries) -> object:
        figures = sorted(figure for entry in entries if (figure := pick(entry)) is not None)
        if not figures:
            return None
        if percentile is None:
            return round(sum(figures) / len(figures), 1)
        return round(figures[min(len(figures) - 1, len(figures) * percentile // 100)], 1)

    return measure


def _latency(entry: Entry) -> float | None:
    return entry.latency_ms


def _throughput(entry: Entry) -> float | None:
    tokens = entry.usage.output_tokens
    return tokens * 1000 / entry.generation_ms if tokens and entry.generation_ms else None


def _nothing(_: Entries) -> object:
    return None


METRICS: Mapping[str, _Metric] = {
    "request_count": _Metric(format="number", measure=_count(lambda _: 1)),
    "tokens_prompt": _Metric(format="number", measure=_count(lambda e: e.usage.input_tokens)),
    "tokens_completion": _Metric(format="number", measure=_count(lambda e: e.usage.output_tokens)),
    "tokens_total": _Metric(
        format="number", measure=_count(lambda e: (e.usage.input_tokens or 0) + (e.usage.output_tokens or 0))
    ),
    "reasoning_tokens": _Metric(format="number", measure=_count(lambda e: e.usage.reasoning_tokens)),
    "cached_tokens": _Metric(format="number", measure=_count(lambda e: e.usage.cache_read_tokens)),
    "byok_request_count": _Metric(format="number", measure=_count(lambda e: e.is_byok)),
    "guardrail_invoked_count": _Metric(format="number", measure=_count(lambda _: 0)),
    "guardrail_invoked_rate": _Metric(format="percent", measure=_share(lambda _: 0, lambda _: 1)),
    "response_cached_count": _Metric(format="number", measure=_count(lambda e: e.cache_source_id is not None)),
    "response_cached_rate": _Metric(
        format="percent", measure=_share(lambda e: e.cache_source_id is not None, lambda _: 1)
    ),
    "cache_hit_rate": _Metric(
        format="percent", measure=_share(lambda e: e.usage.cache_read_tokens, lambda e: e.usage.input_tokens)
    ),
    "total_usage": _Metric(format="currency", measure=_money(lambda e: e.spend)),
    "credits_usage": _Metric(format="currency", measure=_money(lambda e: e.charged)),
    "openrouter_usage": _Metric(format="currency", measure=_money(lambda e: e.charged, lambda e: not e.is_byok)),
    "byok_usage": _Metric(format="currency", measure=_money(lambda e: e.upstream, lambda e: e.is_byok)),
    "byok_fees": _Metric(format="currency", measure=_money(lambda e: e.charged, lambda e: e.is_byok)),
    "usage_upstream": _Metric(format="currency", measure=_money(lambda e: e.upstream)),
    "usage_cache": _Metric(
        format="currency", measure=_money(lambda e: -(e.cache_discount or ZERO), lambda e: e.cache_discount)
    ),
    **{
        f"usage_{part}": _Metric(format="currency", measure=_nothing)
        for part in ("data", "web", "upstream_web", "file", "upstream_file", "web_fetch", "upstream_web_fetch")
    },
    **{
        f"{name}_{what}": _Metric(format=what, measure=_figure(pick, percentile))
        for what, pick in (("latency", _latency), ("throughput", _throughput))
        for name, percentile in (("avg", None), ("p50", 50), ("p90", 90), ("p99", 99))
    },
}


# Dimensions and filters -----------------------------------------------------------------------------------------------


def _key_of(account: Account, entry: Entry) -> str | None:
    key = account.known(entry.key)
    return entry.key if key is None else key.hash


def _key_label(account: Account, name: str) -> str:
    key = account.known(name[:12])
    return name if key is None else key.name


def _user_of(account: Account, entry: Entry) -> str | None:
    key = account.known(entry.key)
    return None if key is None else key.creator_user_id


def _user_label(account: Account, name: str) -> str:
    return next((f"{each.first_name} {each.last_name}" for each in account.members if each.id == name), name)


def _workspace_of(account: Account, entry: Entry) -> str | None:
    key = account.known(entry.key)
    return account.workspaces[0].id if key is None else key.workspace_id


def _workspace_label(account: Account, name: str) -> str:
    return next((each.name for each in account.workspaces if each.id == name), name)


def _external_user_of(account: Account, entry: Entry) -> str | None:
    key = account.known(entry.key)
    return None if key is None else key.external_user


DIMENSIONS: Mapping[str, _Dimension] = {
    "model": _Dimension(id_of=lambda _, e: e.permaslug, label_of=lambda _, name: MODEL_NAMES.get(name, name)),
    "variant": _Dimension(id_of=lambda _, e: "free" if e.model.endswith(":free") else "standard"),
    "api_key_id": _Dimension(id_of=_key_of, label_of=_key_label),
    "user": _Dimension(id_of=_user_of, label_of=_user_label),
    "workspace": _Dimension(id_of=_workspace_of, label_of=_workspace_label),
    "app": _Dimension(id_of=lambda _account, _entry: None),
    "generation_id": _Dimension(id_of=lambda _, e: e.id, is_short_lived=True),
    "provider": _Dimension(id_of=lambda _, e: e.provider, is_short_lived=True),
    "finish_reason": _Dimension(id_of=lambda _, e: e.finish_reason, is_short_lived=True),
    "external_user": _Dimension(id_of=_external_user_of, is_short_lived=True),
}


def _comparison(compare: Callable[[str, str], bool]) -> Callable[[str, tuple[str, ...]], bool]:
    return lambda value, wanted: compare(value, wanted[0])


OPERATORS: Mapping[str, tuple[str, Callable[[str, tuple[str, ...]], bool]]] = {
    "eq": ("scalar", _comparison(lambda value, wanted: value == wanted)),
    "neq": ("scalar", _comparison(lambda value, wanted: value != wanted)),
    "in": ("array", lambda value, wanted: value in wanted),
    "not_in": ("array", lambda value, wanted: value not in wanted),
    "gt": ("scalar", _comparison(lambda value, wanted: value > wanted)),
    "gte": ("scalar", _comparison(lambda value, wanted: value >= wanted)),
    "lt": ("scalar", _comparison(lambda value, wanted: value < wanted)),
    "lte": ("scalar", _comparison(lambda value, wanted: value <= wanted)),
}


def _meta() -> Row:
    def label(name: str) -> str:
        return name.replace("_", " ").capitalize()

    return {
        "dimensions": [{"name": name, "display_label": label(name)} for name in DIMENSIONS],
        "granularities": [{"name": name, "display_label": label(name)} for name in GRANULARITIES],
        "metrics": [
            {"name": name, "display_label": label(name), "display_format": metric.format, "is_rate": metric.is_rate}
            for name, metric in METRICS.items()
        ],
        "operators": [{"name": name, "value_type": kind} for name, (kind, _) in OPERATORS.items()],
    }


# Reading a question ---------------------------------------------------------------------------------------------------


def _read(body: bytes, now_s: float) -> _Question:
    try:
        asked = json.loads(body)
    except ValueError:
        raise QuestionError("The body is not valid JSON") from None
    if not isinstance(asked, dict):
        raise QuestionError("The body must be a JSON object")
    metrics = _names(asked, "metrics", METRICS)
    dimensions = _names(asked, "dimensions", DIMENSIONS)
    if not metrics:
        raise QuestionError("metrics: expected at least one")
    if len(dimensions) > DIMENSION_LIMIT:
        raise QuestionError(f"dimensions: expected at most {DIMENSION_LIMIT}")
    granularity = asked.get("granularity")
    if granularity is not None and granularity not in GRANULARITIES:
        raise QuestionError(f"granularity: expected one of {', '.join(GRANULARITIES)}")
    filters = asked.get("filters") or []
    if not isinstance(filters, list) or len(filters) > FILTER_LIMIT:
        raise QuestionError(f"filters: expected a list of at most {FILTER_LIMIT}")
    begin_s, end_s = _range(asked.get("time_range"), now_s)
    return _Question(
        metrics=metrics,
        dimensions=dimensions,
        filters=tuple(map(_filter, filters)),
        granularity=granularity,
        begin_s=begin_s,
        end_s=end_s,
        order_by=_order(asked.get("order_by"), {*metrics, *dimensions, "request_count", "date"}),
        limit=_number(asked, "limit", LARGEST_ROW_LIMIT) or ROW_LIMIT,
        group_limit=_number(asked, "group_limit", LARGEST_ROW_LIMIT),
    )


def _names(asked: Mapping[str, object], what: str, known: Container[str]) -> tuple[str, ...]:
    names = asked.get(what) or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name in known for name in names):
        raise QuestionError(f"{what}: expected names that /analytics/meta lists")
    return tuple(dict.fromkeys(names))


def _number(asked: Mapping[str, object], what: str, most: int) -> int | None:
    number = asked.get(what)
    if number is None:
        return None
    if not isinstance(number, int) or not 0 < number <= most:
        raise QuestionError(f"{what}: expected a whole number from 1 to {most}")
    return number


def _range(told: object, now_s: float) -> tuple[float, float]:
    if told is None:
        return now_s - DEFAULT_DAYS * DAY_S, math.inf
    ends = [_time(told.get(name)) for name in ("start", "end")] if isinstance(told, dict) else []
    if len(ends) != 2 or ends[0] >= ends[1]:  # noqa: PLR2004 -- start and end
        raise QuestionError("time_range: expected start before end")
    return ends[0], ends[1]


def _time(text: object) -> float:
    try:
        # SDKs write `+00:00` for `Z`; what the API refuses is a time without seconds.
        if isinstance(text, str) and text.count(":", 0, 19) > 1:
            at = datetime.fromisoformat(text)
            return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except ValueError:
        pass
    raise QuestionError("time_range: expected UTC times with seconds, as 2026-11-20T00:00:00Z")


def _order(told: object, known: Container[str]) -> tuple[str, bool] | None:
    if told is None:
        return None
    order: Mapping[str, object] = told if isinstance(told, dict) else {}
    field, direction = str(order.get("field")), order.get("direction")
    if field not in known or direction not in ("asc", "desc"):
        raise QuestionError("order_by: expected a field that is asked for, and asc or desc")
    return field, direction == "desc"


def _filter(told: object) -> _Filter:
    asked: Mapping[str, object] = told if isinstance(told, dict) else {}
    dimension, operator = DIMENSIONS.get(str(asked.get("field"))), str(asked.get("operator"))
    if dimension is None or operator not in OPERATORS:
        raise QuestionError("filters: expected a field and an operator that /analytics/meta lists")
    value = asked.get("value")
    if isinstance(value, list) != (OPERATORS[operator][0] == "array"):
        raise QuestionError(f"filters: expected {OPERATORS[operator][0]} for {operator}")
    return _Filter(
        dimension=dimension,
        operator=operator,
        values=tuple(map(str, value if isinstance(value, list) else [value])),
        include_unset=asked.get("include_unset") is True,
    )


# Answering it ---------------------------------------------------------------------------------------------------------


def _rows(account: Account, key: Key, question: _Question) -> list[Row]:
    dimensions = [DIMENSIONS[name] for name in question.dimensions]
    is_short_lived = any(each.is_short_lived for each in (*dimensions, *(f.dimension for f in question.filters)))
    kept_s = account.now_s - (SHORT_DAYS if is_short_lived else LONG_DAYS) * DAY_S
    begin_s = max(question.begin_s, kept_s)
    groups: dict[tuple[str | None, ...], list[Entry]] = {}
    for entry in account.book.entries:
        if begin_s <= entry.created_at_s < question.end_s and account.is_of(entry.key, key.organization_id):
            if not all(_passes(account, entry, each) for each in question.filters):
                continue
            bucket = _bucket(entry.created_at_s, question.granularity) if question.granularity else None
            groups.setdefault((bucket, *(each.id_of(account, entry) for each in dimensions)), []).append(entry)
    time_name = f"{'created_at' if is_short_lived else 'date'}__{question.granularity}"
    found = []
    for (bucket, *names), entries in groups.items():
        row: Row = {} if bucket is None else {time_name: bucket}
        for told, dimension, name in zip(question.dimensions, dimensions, names, strict=True):
            row[told] = None if name is None else dimension.label_of(account, name)
        row |= {name: METRICS[name].measure(entries) for name in question.metrics}
        found.append((bucket, tuple(names), len(entries), row))
    found.sort(key=lambda each: (each[0] or "", -each[2], str(each[1])))
    if question.order_by is not None:
        field, is_falling = question.order_by
        place = {"date": lambda each: each[0] or "", "request_count": lambda each: each[2]}.get(
            field, lambda each: _sortable(each[3].get(field))
        )
        found.sort(key=place, reverse=is_falling)
    if question.group_limit is not None and dimensions:
        found = _limited(found, question.group_limit)
    return [row for *_, row in found]


def _limited(
    found: list[tuple[str | None, tuple[str | None, ...], int, Row]], limit: int
) -> list[tuple[str | None, tuple[str | None, ...], int, Row]]:
    """Keep so many rows of each combination of dimension values."""
    seen: dict[tuple[str | None, ...], int] = {}
    kept = []
    for each in found:
        seen[each[1]] = seen.get(each[1], 0) + 1
        if seen[each[1]] <= limit:
            kept.append(each)
    return kept


def _passes(account: Account, entry: Entry, wanted: _Filter) -> bool:
    value = wanted.dimension.id_of(account, entry)
    if value is None:
        return wanted.include_unset or wanted.operator == "neq"
    return OPERATORS[wanted.operator][1](value, wanted.values)


def _sortable(value: object) -> tuple[bool, Decimal, str]:
    """Make counts in strings, money and labels comparable; what is not told comes first."""
    if isinstance(value, str) and not value.isdecimal():
        return True, ZERO, value
    return value is not None, ZERO if value is None else Decimal(cast("str | float | Decimal", value)), ""


def _bucket(at_s: float, granularity: str) -> str:
    """Give the begin of the time bucket, as the API writes it."""
    at = datetime.fromtimestamp(at_s, UTC).replace(second=0, microsecond=0)
    if granularity != "minute":
        at = at.replace(minute=0)
    if granularity in {"day", "week", "month"}:
        at = at.replace(hour=0)
    if granularity == "week":
        at -= timedelta(days=at.weekday())
    return iso((at.replace(day=1) if granularity == "month" else at).timestamp())
