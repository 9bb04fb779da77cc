"""`or-otel report`: totals of a period by chosen dimensions, or the period's digest."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click

from or_otel.cli.digest import Form, digest_options, give_digest
from or_otel.cli.insight import Asked, give_insight, insight_options
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
from or_otel.entries import Sums
from or_otel.facts import ZERO
from or_otel.ledger.queries import DIMENSIONS, Total, totals, where_from
from or_otel.reports.money import plural
from or_otel.reports.receipt import cost_text, sums_to_json
from or_otel.reports.tables import Column, Table, Value, render, to_csv

FIGURES = (
    Column(name="calls", title="calls", kind="count"),
    Column(name="errors", title="failed", kind="count", spare=2),
    Column(name="cancelled", title="", kind="count"),
    Column(name="fallbacks", title="fallbacks", kind="count", spare=5),
    Column(name="p50_s", title="", kind="seconds"),
    Column(name="p95_s", title="", kind="seconds"),
    Column(name="input_tokens", title="in", kind="tokens", spare=1),
    Column(name="output_tokens", title="out", kind="tokens", spare=1),
    Column(name="cached_share", title="cached", kind="share", spare=4),
    Column(name="unpriced_calls", title="", kind="count"),
    Column(name="charged_usd", title="", kind="usd"),
    Column(name="upstream_usd", title="", kind="usd"),
    Column(name="cost_usd", title="cost", kind="usd"),
    Column(name="cost_share", title="share", kind="share", spare=3),
)
HOW_ROUTED = frozenset({"policy", "fallback"})
LATENCIES = {"p50_s": "p50", "p95_s": "p95"}
BY = "model,provider"
NOBODY = "(none)"
"""For people, where entries do not say; programs get nothing."""


@click.command("report")
@period_options("7d")
@click.option(
    "--by",
    metavar="KEYS",
    show_default=BY,
    help=f"By comma: any tag, {', '.join(DIMENSIONS)}.",
)
@digest_options
@insight_options
@format_options
@ledger_option
def report_command(
    *,
    since: float | None,
    until: float | None,
    where: tuple[str, ...],
    by: str | None,
    is_json: bool,
    is_csv: bool,
    folder: Path,
    **form: Any,
) -> None:
    """Where the money went.

    \b
    or-otel report --by day
    or-otel report --since month --by team,model --where environment=production
    or-otel report --by customer --csv > customers.csv
    or-otel report --html week.html --open
    or-otel report --waste
    or-otel report --workflows --since month
    or-otel report --what-if anthropic/claude-sonnet-4.6=deepseek/deepseek-v3.2 --where feature=tests
    """  # noqa: D301 -- \b is click's sign to keep the lines
    check_formats(is_json=is_json, is_csv=is_csv)
    asked = Asked(**{item.name: form.pop(item.name) for item in fields(Asked)})
    digest = Form(**form)
    if asked.is_wanted:
        if by is not None or is_csv or digest.is_wanted:
            raise click.UsageError(
                "--waste, --governance, --workflows and --what-if go with --json, and with no other form"
            )
        give_insight(asked, since=since, until=until, where=where, is_json=is_json, folder=folder)
        return
    if digest.is_wanted:
        if by is not None or is_csv:
            raise click.UsageError(f"{'--csv' if is_csv else '--by'} is for the table, without a digest: choose one")
        give_digest(digest, since=since, until=until, where=where, is_json=is_json, folder=folder)
        return
    keys = [key.strip() for key in (by or BY).split(",") if key.strip()]
    with fresh_ledger(folder) as ledger:
        chosen = where_from(where)
        rows = totals(ledger, by=keys, since_s=since, until_s=until, where=chosen)
        whole = totals(ledger, since_s=since, until_s=until, where=chosen)
        if not rows:
            say_empty(folder, ledger)
    sums = whole[0].sums if whole else Sums()
    if is_json:
        groups = [{**dict(zip(keys, row.group, strict=True)), **sums_to_json(row.sums)} for row in rows]
        print_json(
            {"version": 1, "since_s": since, "until_s": until, "by": keys, "total": sums_to_json(sums), "rows": groups}
        )
    elif is_csv:
        click.echo(to_csv(_table(keys, rows, sums)), nl=False)
    elif rows:
        caption = f"{cost_text(sums)} for {plural(sums.calls, 'call')}"
        if sums.unpriced:
            caption += f", of which {plural(sums.unpriced_calls, 'call')} with unknown cost"
        console().print(render(_table(keys, rows, sums, nobody=NOBODY), caption=caption))


def _table(keys: list[str], rows: tuple[Total, ...], whole: Sums, *, nobody: str | None = None) -> Table:
    figures: tuple[Column, ...] = FIGURES
    if not HOW_ROUTED.isdisjoint(keys):  # these are compared by their latency, too
        figures = tuple(replace(each, title=LATENCIES.get(each.name, each.title)) for each in FIGURES)
    columns = (*(Column(name=key, title=key.replace("_", " ")) for key in keys), *figures)
    floors = frozenset(number for number, row in enumerate(rows) if row.sums.unpriced)
    return Table(columns=columns, rows=tuple(_row(row, whole, nobody) for row in rows), floors=floors)


def _row(row: Total, whole: Sums, nobody: str | None) -> tuple[Value, ...]:
    sums = row.sums
    # Nobody having told a price is unknown only where something may have been spent.
    cost = ZERO if sums.total is None and not sums.unpriced else sums.total
    share = cost / whole.total if cost is not None and whole.total else None
    return (
        *(nobody if value is None else value for value in row.group),
        sums.calls,
        sums.errors,
        sums.cancelled,
        sums.fallbacks,
        sums.p50_s,
        sums.p95_s,
        sums.input_tokens,
        sums.output_tokens,
        sums.cached_share,
        sums.unpriced_calls,
        sums.charged,
        sums.upstream,
        cost,
        share,
    )
