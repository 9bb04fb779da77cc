"""`or-otel calls`: single calls, with the ids under which other tools know them."""

from __future__ import annotations

from pathlib import Path

import click

from or_otel.cli.options import (
    check_formats,
    console,
    format_options,
    fresh_ledger,
    ledger_option,
    period_options,
    print_json,
    say_empty,
)
from or_otel.ledger.queries import SORTS, Call, Sort, calls, where_from
from or_otel.reports.tables import Column, Table, Value, render, to_csv, to_rows

COLUMNS = (
    Column(name="started_at_s", title="started (UTC)", kind="time", spare=3),
    Column(name="call_id", title=""),
    Column(name="model", title="model"),
    Column(name="provider", title="served by", spare=4),
    Column(name="outcome", title="outcome", spare=1),
    Column(name="error_type", title=""),
    Column(name="fallback", title=""),
    Column(name="attempts", title="", kind="count"),
    Column(name="input_tokens", title="in", kind="tokens", spare=2),
    Column(name="output_tokens", title="out", kind="tokens", spare=2),
    Column(name="duration_s", title="took", kind="seconds", spare=1),
    Column(name="time_to_first_chunk_s", title="", kind="seconds"),
    Column(name="cost_usd", title="cost", kind="usd"),
    Column(name="unpriced", title=""),
    Column(name="cumulative_share", title="cum.", kind="share", spare=5),
    Column(name="generation_id", title="generation", is_whole=True),
    Column(name="trace_id", title="trace", is_whole=True, spare=6),
    Column(name="route", title=""),
)


@click.command("calls")
@click.option("--sort", type=click.Choice(SORTS), default="cost", show_default=True, help="Largest or newest first.")
@click.option("--top", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@period_options("7d")
@format_options
@ledger_option
def calls_command(
    *,
    sort: Sort,
    top: int,
    since: float | None,
    until: float | None,
    where: tuple[str, ...],
    is_json: bool,
    is_csv: bool,
    folder: Path,
) -> None:
    """Single calls, dearest first; "cum." is their share of the whole cost up to that line.

    \b
    or-otel calls --since today --sort duration --top 10
    or-otel calls --where team=search --where outcome=error
    """  # noqa: D301 -- \b is click's sign to keep the lines
    check_formats(is_json=is_json, is_csv=is_csv)
    with fresh_ledger(folder) as ledger:
        rows = calls(ledger, sort=sort, top=top, since_s=since, until_s=until, where=where_from(where))
        if not rows:
            say_empty(folder, ledger)
    floors = frozenset(number for number, call in enumerate(rows) if call.sums.unpriced)
    table = Table(columns=COLUMNS, rows=tuple(map(_row, rows)), floors=floors)
    if is_json:
        print_json({"version": 1, "since_s": since, "until_s": until, "sort": sort, "rows": to_rows(table)})
    elif is_csv:
        click.echo(to_csv(table), nl=False)
    elif rows:
        console().print(render(table))


def _row(call: Call) -> tuple[Value, ...]:
    last = call.last
    return (
        last.call_started_at_s,
        last.call_id,
        last.model,
        last.provider,
        last.outcome,
        last.error_type,
        last.fallback,
        len(call.entries),
        call.sums.input_tokens,
        call.sums.output_tokens,
        last.duration_s,
        last.time_to_first_chunk_s,
        call.sums.total,
        " ".join(call.sums.unpriced) or None,
        call.cumulative_share,
        " ".join(call.generation_ids) or None,
        last.trace_id,
        " > ".join(last.route_path) or None,
    )
