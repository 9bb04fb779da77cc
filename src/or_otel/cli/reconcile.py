"""`or-otel reconcile`: is what we tracked what we are billed, and if not, why not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

import click

from or_otel.account.errors import AccountError
from or_otel.cli.options import (
    Moment,
    account_options,
    check_formats,
    console,
    format_options,
    fresh_ledger,
    ledger_option,
    print_json,
    settings_from,
)
from or_otel.cli.reconciling import Chosen, Found, UnusableError, with_account, with_invoice
from or_otel.days import ONE_DAY, utc_day
from or_otel.facts import total
from or_otel.reports.causes import MEANINGS, merged
from or_otel.reports.invoice import InvoiceError
from or_otel.reports.money import exact, usd
from or_otel.reports.reconciliation import Comparison
from or_otel.reports.tables import Column, Table, Value, render, to_csv, to_rows
from or_otel.reports.words import tame

BY = ("key", "model")
WITHIN, BEYOND = 0, 1

COLUMNS = (
    Column(name="day", title="day (UTC)"),
    Column(name="key", title="key"),
    Column(name="key_hash", title=""),
    Column(name="fingerprint", title=""),
    Column(name="model", title="model"),
    Column(name="calls", title="calls", kind="count"),
    Column(name="requests", title="requests", kind="count"),
    Column(name="unpriced", title="unpriced", kind="count"),
    Column(name="client_credits_usd", title="tracked credits", kind="usd"),
    Column(name="provider_credits_usd", title="billed credits", kind="usd"),
    Column(name="credits_difference_usd", title="", kind="usd"),
    Column(name="client_byok_usd", title="tracked BYOK", kind="usd"),
    Column(name="provider_byok_usd", title="billed BYOK", kind="usd"),
    Column(name="byok_difference_usd", title="", kind="usd"),
    Column(name="provider_byok_effective_usd", title="", kind="usd"),
    Column(name="difference_usd", title="difference", kind="usd"),
    Column(name="capture_ratio", title="captured", kind="text"),
    Column(name="verdict", title=""),
)
CAUSES = (
    Column(name="day", title="day (UTC)"),
    Column(name="cause", title="cause"),
    Column(name="count", title="count", kind="count"),
    Column(name="credits_usd", title="credits", kind="usd"),
    Column(name="byok_usd", title="BYOK", kind="usd"),
    Column(name="is_certain", title=""),
    Column(name="meaning", title="meaning"),
    Column(name="evidence", title="evidence"),
    Column(name="examples", title=""),
)


class Day(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """A UTC day, or `yesterday`."""

    name = "day"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read one."""
        if isinstance(value, date):
            return value
        today = utc_day(time.time())
        if value == "yesterday":
            return today - ONE_DAY
        try:
            return date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r}: expected a UTC day as {today - ONE_DAY}, or yesterday", param, ctx)


class Tolerance(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """A share of 0 to 1."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read one."""
        try:
            share = Decimal(str(value))
        except InvalidOperation:
            share = Decimal(-1)
        if not share.is_finite() or not 0 <= share <= 1:
            self.fail(f"{value!r}: expected a share of the bill from 0 to 1, as 0.01 for one percent", param, ctx)
        return share


@click.command("reconcile")
@click.option("--day", type=Day(), help="One closed UTC day, as 2026-11-20, or yesterday.")
@click.option("--since", type=Moment(), help="Closed days since then: 7d (the default), 30d, month, or a date (UTC).")
@click.option("--by", default="", metavar="KEYS", help="Also by key, model, or key,model; each row is then judged.")
@click.option(
    "--tolerance",
    type=Tolerance(),
    default="0.01",
    show_default=True,
    help="Share of a day's bill that each ledger may be off.",
)
@click.option("--lookup", type=click.IntRange(min=0), default=0, metavar="N", help="Ask for N generation records.")
@click.option("--invoice", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A provider's own CSV.")
@click.option("--columns", default="", metavar="date=…,model=…,cost=…", help="Where in the invoice: [,tokens=…] too.")
@click.option("--provider", metavar="NAME", help="Whose invoice it is, as OpenRouter displays it: Anthropic.")
@format_options
@account_options
@ledger_option
def reconcile_command(  # noqa: PLR0913 -- one argument for each option
    *,
    day: date | None,
    since: float | None,
    by: str,
    tolerance: Decimal,
    lookup: int,
    invoice: Path | None,
    columns: str,
    provider: str | None,
    is_json: bool,
    is_csv: bool,
    config_path: Path | None,
    base_url: str | None,
    folder: Path,
) -> None:
    """Is what we tracked what we are billed? Closed UTC days, both ledgers, and why they differ.

    \b
    or-otel reconcile --day yesterday
    or-otel reconcile --since 30d --by key,model --json
    or-otel reconcile --since 7d --lookup 200            prices the ledger lacks, from generation records
    or-otel reconcile --invoice anthropic.csv --provider Anthropic --columns date=usage_date,model=model,cost=cost

    The account is asked with OPENROUTER_MANAGEMENT_KEY. With OPENROUTER_API_KEY alone only that key's running
    day, week and month can be compared.

    Exit: 0 within the tolerance, 1 beyond, 2 when nothing could be compared.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    check_formats(is_json=is_json, is_csv=is_csv)
    if day is not None and since is not None:
        raise click.UsageError("--day and --since: choose one")
    if invoice is None and (columns or provider):
        raise click.UsageError("--columns and --provider belong to --invoice FILE")
    wanted = _wanted(by)
    now_s = time.time()
    config = settings_from(config_path, base_url)
    with _unusable(), fresh_ledger(folder) as ledger:
        if invoice is not None:
            found = with_invoice(invoice, columns, provider, ledger, config, chosen=_chosen(day, since, None))
            wanted = ("model",)
        else:
            chosen = _chosen(day, since, now_s)
            found = with_account(ledger, config, chosen, is_explicit=day is not None, by=wanted, lookup=lookup)
    _print(found, wanted, tolerance, is_json=is_json, is_csv=is_csv)
    raise click.exceptions.Exit(WITHIN if found.is_within(tolerance) else BEYOND)


def _wanted(by: str) -> tuple[str, ...]:
    names = [name.strip() for name in by.split(",") if name.strip()]
    for name in names:
        if name not in BY:
            raise click.UsageError(f"--by {name}: expected key, model, or key,model; days are always apart")
    return tuple(name for name in BY if name in names)


@contextmanager
def _unusable() -> Iterator[None]:
    """Exit with 2 for whatever keeps both sides from being compared."""
    try:
        yield
    except (AccountError, InvoiceError) as error:
        raise UnusableError(str(error)) from error
    except click.UsageError:
        raise
    except click.ClickException as error:
        raise UnusableError(error.message) from error


def _chosen(day: date | None, since: float | None, now_s: float | None) -> Chosen | None:
    """Give the days asked for; None for an invoice, which says itself what it is about."""
    if day is not None:
        return day, day
    if now_s is None:
        return None if since is None else (utc_day(since), date.max)
    yesterday = utc_day(now_s) - ONE_DAY
    return (yesterday - timedelta(days=6) if since is None else utc_day(since)), yesterday


# How it is shown ------------------------------------------------------------------------------------------------------


def _print(found: Found, by: Sequence[str], tolerance: Decimal, *, is_json: bool, is_csv: bool) -> None:
    table = _table(found, by, tolerance)
    causes = _causes(found)
    for sentence in found.said:
        click.echo(tame(sentence), err=True)
    if is_json:
        print_json(
            {
                "version": 1,
                "tolerance": exact(tolerance),
                "is_within": found.is_within(tolerance),
                "days": to_rows(_table(replace(found, rows=found.wholes), (), tolerance)),
                "rows": to_rows(table),
                "causes": to_rows(causes),
                "not_compared": {
                    "unmatched_client_usd": exact(found.loose[0]),
                    "unmatched_provider_usd": exact(found.loose[1]),
                    "left_out_client_usd": exact(found.left_out_usd),
                },
                "remarks": list(found.said),
            }
        )
    elif is_csv:
        click.echo(to_csv(table), nl=False)
    else:
        console().print(render(table, caption=_verdict(found, tolerance)))
        if causes.rows:
            console().print(render(causes))


def _table(found: Found, by: Sequence[str], tolerance: Decimal) -> Table:
    has_model = "model" in by or any(row.model is not None for row in found.rows)
    hidden = {"key": "key" not in by, "model": not has_model}
    hidden["unpriced"] = not any(row.client.unpriced for row in found.rows)
    has_byok = any(row.client.byok_usd or row.provider.byok_usd for row in found.rows)
    hidden |= dict.fromkeys(("client_byok_usd", "provider_byok_usd"), not has_byok)
    columns = tuple(replace(column, title="") if hidden.get(column.name) else column for column in COLUMNS)
    return Table(columns=columns, rows=tuple(_row(found, row, tolerance) for row in found.rows))


def _row(found: Found, row: Comparison, tolerance: Decimal) -> tuple[Value, ...]:
    ratio = row.capture_ratio
    name = found.key_names.get(row.key_hash or "") or (f"? {row.fingerprint}" if row.fingerprint else None)
    return (
        row.day.isoformat(),
        name,
        row.key_hash,
        row.fingerprint,
        row.model,
        row.client.requests,
        row.provider.requests,
        sum(row.client.unpriced.values()),
        row.client.credits_usd,
        row.provider.credits_usd,
        row.credits_difference_usd,
        row.client.byok_usd,
        row.provider.byok_usd,
        row.byok_difference_usd,
        row.provider.byok_effective_usd,
        row.difference_usd,
        None if ratio is None else f"{ratio:.4%}",
        _judged(found, row, tolerance),
    )


def _judged(found: Found, row: Comparison, tolerance: Decimal) -> str:
    if not found.is_judged(row):
        return "one side only"
    if row.is_equal:
        return "equal"
    return "within" if row.is_within(tolerance) else "beyond"


def _causes(found: Found) -> Table:
    rows = [
        (
            day.isoformat(),
            cause.kind,
            cause.count,
            cause.credits_usd,
            cause.byok_usd,
            "certain" if cause.is_certain else "likely",
            MEANINGS[cause.kind],
            cause.evidence,
            " ".join(cause.examples) or None,
        )
        for day, causes in sorted(found.causes.items())
        for cause in causes
    ]
    return Table(columns=CAUSES, rows=tuple(rows))


def _verdict(found: Found, tolerance: Decimal) -> str:
    wholes = found.wholes or found.rows
    tracked = total(row.client.total_usd for row in wholes)
    billed = total(row.provider.total_usd for row in wholes)
    if all(row.client.total_usd == row.provider.total_usd and row.is_equal for row in wholes):
        said = f"tracked = billed, to the last digit: ${exact(tracked)}"
    else:
        beyond = sum(not row.is_within(tolerance) for row in wholes)
        where = f"beyond {tolerance:%} on {beyond} of {len(wholes)}" if beyond else f"all within {tolerance:%}"
        said = f"tracked {usd(tracked)}, billed {usd(billed)}: {where}"
    missing = [cause for cause in merged(c for causes in found.causes.values() for c in causes) if not cause.is_note]
    if missing:
        said += "; " + ", ".join(f"{MEANINGS[cause.kind]} {usd(cause.total_usd)}" for cause in missing[:3])
    if any(found.loose):
        tracked, billed = found.loose
        said += f"; compared as sums of days alone, for their keys are not matched: tracked {usd(tracked)}, "
        said += f"billed {usd(billed)}"
    if found.left_out_usd:
        said += f"; not compared: {usd(found.left_out_usd)} tracked with another account's keys"
    return said
