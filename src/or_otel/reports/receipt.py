"""Entries of one run → its receipt: what was called, who served it, what it cost.

Pure: entries come in, a frozen `Receipt` comes out; `render` and `to_json` show it to
people and to programs. Money is exact in the receipt and in JSON.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from or_otel.entries import Adding, Entry, Sums, add_up
from or_otel.facts import ZERO, total
from or_otel.reports.money import NOT_TOLD, count, exact, plural, seconds, share, tokens, usd
from or_otel.reports.words import shown

DEAREST = 5
SHOWN_ROWS = 8
SHOWN_TAGS = ("team", "feature", "customer", "workflow")
WIDTH = 78
UNPRICED = {
    "cancelled": "cancelled before the price came",
    "not_reported": "the server told no price",
    "unreadable": "the price could not be read",
    "error": "failed after it may have been billed",
    "billing_unknown": "not told whether credits or your own key paid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Sums of one group.

    Attributes:
        name: Names of the group, such as model and provider.
        sums: What its entries add up to.
    """

    name: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class DearCall:
    """One of the dearest calls.

    Attributes:
        call_id, generation_id, trace_id: Where to look further.
        started_at_s: Unix time of its begin.
        model, provider: Who answered; None when nobody is known.
        outcome: How it ended.
        duration_s: Begin to last byte.
        sums: Tokens and money of all its attempts.
    """

    call_id: str
    generation_id: str | None
    trace_id: str | None
    started_at_s: float
    model: str | None
    provider: str | None
    outcome: str
    duration_s: float
    sums: Sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a set of calls did and cost.

    Attributes:
        sums: Over everything.
        started_at_s, ended_at_s: First begin and last end; None without calls.
        models: By model and provider, dearest first.
        billings: By who pays: `credits`, `byok`, `direct`, `unknown`.
        tags: Per attribution tag that calls carry, by value, dearest first.
        errors: Failed calls by error type and origin, most frequent first.
        fallbacks: Fallback calls by kind: `provider`, `model`.
        retries: HTTP attempts beyond the first of each call.
        duration_p50_s, duration_p95_s: Of successful calls; None without any.
        first_chunk_p50_s, first_chunk_p95_s: Of successful streams; None without any.
        dearest: The dearest calls.
        processes: How many processes made calls.
    """

    sums: Sums
    started_at_s: float | None = None
    ended_at_s: float | None = None
    models: tuple[Row, ...] = ()
    billings: tuple[Row, ...] = ()
    tags: Mapping[str, tuple[Row, ...]]
    errors: tuple[tuple[str, int], ...] = ()
    fallbacks: tuple[tuple[str, int], ...] = ()
    retries: int = 0
    duration_p50_s: float | None = None
    duration_p95_s: float | None = None
    first_chunk_p50_s: float | None = None
    first_chunk_p95_s: float | None = None
    dearest: tuple[DearCall, ...] = ()
    processes: int = 0


def receipt_of(entries: Iterable[Entry]) -> Receipt:
    """Add up entries, in any order, to a receipt."""
    entries = sorted(entries, key=lambda entry: (entry.call_started_at_s, entry.call_id, entry.number))
    calls = [entry for entry in entries if entry.is_last]
    done = [call for call in calls if call.outcome == "ok"]
    durations = sorted(call.duration_s for call in done)
    first_chunks = sorted(call.time_to_first_chunk_s for call in done if call.time_to_first_chunk_s is not None)
    tags = {tag: [entry for entry in entries if tag in entry.tags] for tag in SHOWN_TAGS}
    return Receipt(
        sums=add_up(entries),
        started_at_s=min((entry.call_started_at_s for entry in entries), default=None),
        ended_at_s=max((entry.ended_at_s for entry in entries), default=None),
        models=_rows(entries, lambda entry: (entry.model or "unknown", entry.provider)),
        billings=_rows([entry for entry in entries if entry.total is not None], lambda entry: (entry.billing,)),
        tags={tag: _tag_rows(tag, tagged) for tag, tagged in tags.items() if tagged},
        errors=_frequent(_error_of(call) for call in calls if call.outcome == "error"),
        fallbacks=_frequent(call.fallback for call in calls if call.fallback in {"provider", "model"}),
        retries=sum(call.attempt_count - 1 for call in calls),
        duration_p50_s=percentile(durations, 50),
        duration_p95_s=percentile(durations, 95),
        first_chunk_p50_s=percentile(first_chunks, 50),
        first_chunk_p95_s=percentile(first_chunks, 95),
        dearest=_dearest(entries),
        processes=len({entry.pid for entry in entries if entry.pid is not None}),
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """Give a value that occurred: the smallest that so many percent do not exceed; None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _rows(entries: Iterable[Entry], name: Callable[[Entry], tuple[str, ...]]) -> tuple[Row, ...]:
    groups: dict[tuple[str, ...], Adding] = {}
    for entry in entries:
        groups.setdefault(name(entry), Adding()).add(entry)
    rows = [Row(name=key, sums=adding.sums()) for key, adding in groups.items()]
    return tuple(sorted(rows, key=lambda row: (-(row.sums.total or ZERO), row.name)))


def _tag_rows(tag: str, entries: Iterable[Entry]) -> tuple[Row, ...]:
    return _rows(entries, lambda entry: (entry.tags[tag],))


def _error_of(call: Entry) -> str:
    return (
        f"{call.error_type or 'unknown'} ({call.error_origin})" if call.error_origin else call.error_type or "unknown"
    )


def _frequent(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _dearest(entries: Sequence[Entry]) -> tuple[DearCall, ...]:
    calls: list[DearCall] = []
    for call_id, group in groupby(entries, key=attrgetter("call_id")):
        attempts = tuple(group)
        last = attempts[-1]
        sums = add_up(attempts)
        if sums.total:
            calls.append(
                DearCall(
                    call_id=call_id,
                    generation_id=last.generation_id,
                    trace_id=last.trace_id,
                    started_at_s=last.call_started_at_s,
                    model=last.model,
                    provider=last.provider,
                    outcome=last.outcome,
                    duration_s=last.duration_s,
                    sums=sums,
                )
            )
    calls.sort(key=lambda call: (-(call.sums.total or ZERO), call.started_at_s))
    return tuple(calls[:DEAREST])


# For programs


def to_json(receipt: Receipt) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    return {
        "version": 1,
        "started_at_s": receipt.started_at_s,
        "ended_at_s": receipt.ended_at_s,
        "processes": receipt.processes,
        **sums_to_json(receipt.sums),
        "retries": receipt.retries,
        "fallback_kinds": dict(receipt.fallbacks),
        "error_types": dict(receipt.errors),
        "duration_s": {"p50": receipt.duration_p50_s, "p95": receipt.duration_p95_s},
        "time_to_first_chunk_s": {"p50": receipt.first_chunk_p50_s, "p95": receipt.first_chunk_p95_s},
        "models": [{"model": row.name[0], "provider": row.name[1], **sums_to_json(row.sums)} for row in receipt.models],
        "billing": [{"billing": row.name[0], **sums_to_json(row.sums)} for row in receipt.billings],
        "tags": {
            tag: [{"value": row.name[0], **sums_to_json(row.sums)} for row in rows]
            for tag, rows in receipt.tags.items()
        },
        "dearest": [
            {
                "call_id": call.call_id,
                "generation_id": call.generation_id,
                "trace_id": call.trace_id,
                "started_at_s": call.started_at_s,
                "model": call.model,
                "provider": call.provider,
                "outcome": call.outcome,
                "duration_s": call.duration_s,
                "cost_usd": exact(call.sums.total),
                "input_tokens": call.sums.input_tokens,
                "output_tokens": call.sums.output_tokens,
            }
            for call in receipt.dearest
        ],
    }


def sums_to_json(sums: Sums) -> dict[str, object]:
    """Give the sums of one group for `json.dumps`."""
    return {
        "calls": sums.calls,
        "attempts": sums.attempts,
        "ok": sums.ok,
        "errors": sums.errors,
        "cancelled": sums.cancelled,
        "fallbacks": sums.fallbacks,
        "p50_s": sums.p50_s,
        "p95_s": sums.p95_s,
        "cost_usd": exact(sums.total),
        "charged_usd": exact(sums.charged),
        "upstream_usd": exact(sums.upstream),
        "unpriced": dict(sums.unpriced),
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
        "cache_read_tokens": sums.cache_read_tokens,
        "cache_write_tokens": sums.cache_write_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
    }


# For people


def render(receipt: Receipt, *, title: str = "or-otel receipt") -> RenderableType:
    """Give what a rich console prints, at most 78 columns wide."""
    if not receipt.sums.calls:
        return Text("or-otel: no LLM call was seen", style="dim")
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for label, text in _facts(receipt):
        facts.add_row(label, text)
    parts: list[RenderableType] = [_head(receipt), Text(), _models(receipt), Text(), facts]
    if len(receipt.dearest) > 1:
        parts += [Text(), Rule("dearest calls", style="dim", align="left"), _dear_calls(receipt)]
    return Panel(
        Group(*parts), title=f"[bold]{title}[/]", title_align="left", width=WIDTH, padding=(1, 2), border_style="cyan"
    )


def cost_text(sums: Sums) -> str:
    """Write the money of a group; `≥` when some of it is not known."""
    if sums.total is None:
        return usd(None if sums.unpriced else ZERO)
    if sums.unpriced and not sums.total:
        return usd(None)
    return usd(sums.total, is_floor=bool(sums.unpriced))


def _head(receipt: Receipt) -> RenderableType:
    sums = receipt.sums
    head = Table.grid(padding=(0, 2), expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right")
    said = [plural(sums.calls, "call")]
    said += [f"{number} {word}" for number, word in ((sums.errors, "failed"), (sums.cancelled, "cancelled")) if number]
    if receipt.processes > 1:
        said.append(f"{receipt.processes} processes")
    if receipt.started_at_s is not None and receipt.ended_at_s is not None:
        said.append(f"in {seconds(receipt.ended_at_s - receipt.started_at_s)}")
    head.add_row(Text(cost_text(sums), style="bold green"), Text(" · ".join(said)))
    return head


def _models(receipt: Receipt) -> RenderableType:
    table = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim", expand=True)
    table.add_column("model", overflow="ellipsis", no_wrap=True, ratio=3)
    table.add_column("served by", overflow="ellipsis", no_wrap=True, ratio=2)
    for name in ("calls", "in", "out", "cost"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in receipt.models[:SHOWN_ROWS]:
        table.add_row(shown(row.name[0]), shown(row.name[1]), *_figures(row.sums))
    rest = receipt.models[SHOWN_ROWS:]
    if rest:
        is_floor = any(row.sums.unpriced for row in rest)
        calls = sum(row.sums.calls for row in rest)
        table.add_row(
            Text(f"{len(rest)} more", style="dim"),
            "",
            count(calls),
            "",
            "",
            usd(total(row.sums.total for row in rest), is_floor=is_floor),
        )
    return table


def _figures(sums: Sums) -> tuple[str, ...]:
    return count(sums.calls), _told(sums.input_tokens), _told(sums.output_tokens), cost_text(sums)


def _told(number: int | None) -> str:
    return NOT_TOLD if number is None else tokens(number)


def _facts(receipt: Receipt) -> Iterable[tuple[str, Text]]:
    sums = receipt.sums
    yield "tokens", Text(_tokens_text(sums))
    paid = [f"{cost_text(row.sums)} {BILLINGS.get(row.name[0], row.name[0])}" for row in receipt.billings]
    if len(paid) > 1 or (paid and receipt.billings[0].name != ("credits",)):
        yield "paid", shown(" · ".join(paid))
    if receipt.fallbacks or receipt.retries:
        said = [f"{number} served by a fallback {kind}" for kind, number in receipt.fallbacks]
        if receipt.retries:
            said.append(plural(receipt.retries, "client retry"))
        yield "routes", shown(" · ".join(said), style="yellow")
    if receipt.duration_p50_s is not None:
        latency = f"p50 {seconds(receipt.duration_p50_s)}, p95 {seconds(receipt.duration_p95_s)}"
        if receipt.first_chunk_p50_s is not None:
            latency += (
                f" · first token p50 {seconds(receipt.first_chunk_p50_s)}, p95 {seconds(receipt.first_chunk_p95_s)}"
            )
        yield "latency", Text(latency)
    if receipt.errors:
        yield (
            "errors",
            shown(" · ".join(f"{number} x {name}" for name, number in receipt.errors[:SHOWN_ROWS]), style="red"),
        )
    if sums.unpriced:
        said = [f"{plural(number, 'call')} {UNPRICED.get(why, why)}" for why, number in sums.unpriced.items()]
        yield "unpriced", shown(" · ".join(said), style="yellow")
    for tag, rows in receipt.tags.items():
        yield tag, shown(" · ".join(f"{row.name[0]} {cost_text(row.sums)}" for row in rows[:SHOWN_ROWS]))


BILLINGS = {"credits": "from credits", "byok": "over your own keys", "direct": "direct", "unknown": "payer unknown"}


def _tokens_text(sums: Sums) -> str:
    said_in = f"{tokens(sums.input_tokens)} in"
    if sums.cache_read_tokens:
        said_in += f" ({share(sums.cached_share)} cached)"
    said_out = f"{tokens(sums.output_tokens)} out"
    if sums.reasoning_tokens:
        said_out += f" ({tokens(sums.reasoning_tokens)} reasoning)"
    return f"{said_in} · {said_out}"


def _dear_calls(receipt: Receipt) -> RenderableType:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", overflow="fold")
    for call in receipt.dearest:
        name = shown(call.generation_id or f"call {call.call_id}")
        table.add_row(cost_text(call.sums), shown(call.model or "unknown"), seconds(call.duration_s), name)
    return table
