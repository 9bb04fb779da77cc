"""`or-otel export`: every charge, or sums of them, for finance; streamed, and whole or not at all."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import click

from or_otel.account.history import read_activity, read_keys
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.cli.digest import held_keys, watched
from or_otel.cli.options import fresh_ledger, ledger_option, period_options, say_empty, settings_from
from or_otel.days import utc_day
from or_otel.facts import EXACT
from or_otel.ledger.queries import where_from
from or_otel.reports.charges import Charge, Owner, charges_of_attempt, charges_of_day
from or_otel.reports.export import (
    ACTIVITY_COLUMNS,
    CALL_COLUMNS,
    FOCUS_VERSION,
    FORMATS,
    DimensionError,
    Format,
    Row,
    Sums,
    row_of,
    written,
)
from or_otel.reports.money import plural

WHAT = ("calls", "activity")
FIRST_DAY = date(2020, 1, 1)
"""Before OpenRouter began."""


@click.command("export")
@click.argument("what", type=click.Choice(WHAT))
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="csv", show_default=True, help="How it is written."
)
@click.option(
    "--by",
    metavar="KEYS",
    help="Sums instead of single charges; by comma: month, day, model, provider, key, creator, workspace, "
    "and of calls: team, feature, customer, workflow, tag:<name>.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Default: standard output. The file is written whole or not at all, readable by you alone.",
)
@period_options("month")
@ledger_option
def export_command(
    *,
    what: str,
    form: Format,
    by: str | None,
    output: Path | None,
    since: float | None,
    until: float | None,
    where: tuple[str, ...],
    folder: Path,
) -> None:
    """Charges for finance, in columns of FOCUS 1.2, with exact money.

    \b
    calls     what this ledger saw: one row for each charge of each attempt
    activity  what OpenRouter booked for closed days, as far as the account was asked for it

    \b
    or-otel export calls --since 2026-10-01 --until 2026-11-01 --output october.csv
    or-otel export activity --by month,model,key --format jsonl
    """  # noqa: D301 -- \b is click's sign to keep the lines
    now_s = time.time()
    since_s, until_s = since or 0.0, now_s if until is None else until
    try:
        sums = Sums(_names(by), since_s=since_s, until_s=until_s, has_tags=what == "calls") if by is not None else None
    except DimensionError as error:
        raise click.UsageError(str(error)) from error
    if where and what == "activity":
        raise click.UsageError(
            "--where chooses calls; what the account booked is narrowed by --since, --until and --by"
        )
    with fresh_ledger(folder) as ledger:
        charges = (
            _charges_of_calls(ledger, since_s, until_s, where)
            if what == "calls"
            else _charges_of_activity(ledger, since_s, until_s)
        )
        columns = CALL_COLUMNS if what == "calls" else ACTIVITY_COLUMNS
        rows = map(row_of, charges) if sums is None else _summed(sums, charges)
        counted = _Counted(rows)
        _write(written(counted, columns if sums is None else sums.columns, form), output)
        if not counted.count:
            _say_nothing(what, folder, ledger)
    if output is not None:
        click.echo(f"{output}: {plural(counted.count, 'row')}, FOCUS {FOCUS_VERSION} columns", err=True)


class _Counted:
    """Rows that are counted while they pass."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.count = 0
        self._rows = rows

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.count += 1
            yield row


def _names(by: str) -> list[str]:
    names = [name.strip() for name in by.split(",") if name.strip()]
    if not names or len(set(names)) < len(names):
        raise click.UsageError(f"--by {by!r}: expected names, each once, as month,model")
    return names


def _summed(sums: Sums, charges: Iterable[Charge]) -> Iterator[Row]:
    for charge in charges:
        sums.add(charge)
    yield from sums.rows()


def _charges_of_calls(
    ledger: sqlite3.Connection, since_s: float, until_s: float, where: tuple[str, ...]
) -> Iterator[Charge]:
    owner_of = _owners(ledger)
    for call in watched(ledger, since_s=since_s, until_s=until_s, where=where_from(where)):
        for entry in call.entries:
            yield from charges_of_attempt(entry, owner_of(entry.key_id, entry.key_name))


def _owners(ledger: sqlite3.Connection) -> Callable[[str | None, str | None], Owner]:
    config = settings_from()
    keys = {known.key.hash: known.key for known in read_keys(ledger)}

    @cache
    def owner_of(fingerprint: str | None, name: str | None) -> Owner:
        if fingerprint is None:
            return Owner(key_name=name)
        key_hash = config.match_keys(tuple(keys.values()), (fingerprint,), held_keys()).hash_of.get(fingerprint)
        found = _owner(keys[key_hash]) if key_hash in keys else Owner(key_hash=fingerprint)
        return found if found.key_name else replace(found, key_name=name)

    return owner_of


def _owner(key: AccountKey) -> Owner:
    return Owner(key_hash=key.hash, key_name=key.name, creator=key.creator_user_id, workspace=key.workspace_id)


def _charges_of_activity(ledger: sqlite3.Connection, since_s: float, until_s: float) -> Iterator[Charge]:
    first = max(FIRST_DAY, utc_day(since_s))
    end = utc_day(until_s - 1) + timedelta(days=1)
    owners = {known.key.hash: _owner(known.key) for known in read_keys(ledger)}
    rest: dict[tuple[object, ...], ActivityRow] = {_place(row): row for row in read_activity(ledger, first, end)}
    per_key: dict[tuple[object, ...], list[ActivityRow]] = defaultdict(list)
    for key_hash in owners:
        for row in read_activity(ledger, first, end, key_hash):
            per_key[_place(row)].append(row)
    for place in sorted({*rest, *per_key}, key=lambda each: tuple(map(str, each))):
        for row in per_key[place]:
            yield from charges_of_day(row, owners.get(row.key_hash, Owner(key_hash=row.key_hash)))
            if place in rest:
                rest[place] = _less(rest[place], row)
        # What no key's own row tells of the account's: asked at another time, or of a key that was never listed.
        if place in rest and any(getattr(rest[place], name) for name in FIGURES):
            yield from charges_of_day(rest[place], Owner())


FIGURES = (
    "credits_usd",
    "byok_usd",
    "requests",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
)


def _place(row: ActivityRow) -> tuple[object, ...]:
    return row.day.isoformat(), row.permaslug or row.model, row.endpoint_id


def _less(row: ActivityRow, part: ActivityRow) -> ActivityRow:
    left: dict[str, object] = {}
    for name in FIGURES:
        whole, taken = getattr(row, name), getattr(part, name)
        if whole is None or taken is None:
            left[name] = whole
        else:
            left[name] = EXACT.subtract(whole, taken) if name.endswith("_usd") else whole - taken
    return replace(row, **left)  # type: ignore[arg-type]


def _say_nothing(what: str, folder: Path, ledger: sqlite3.Connection) -> None:
    if what == "calls":
        say_empty(folder, ledger)
        return
    click.echo(
        "No booked day of the account is kept for this period. or-otel exporter fetches them every day "
        "(it needs OPENROUTER_MANAGEMENT_KEY); OpenRouter tells the last 30 days only.",
        err=True,
    )


def _write(lines: Iterable[str], output: Path | None) -> None:
    """Write lines; a file appears under its name when it is whole, and leaves nothing behind when it is not."""
    if output is None:
        try:
            for line in lines:
                sys.stdout.write(line)
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has seen enough; Python must not flush into the pipe again
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        return
    try:
        # Mode 0600 and a name of its own: two exports at once do not mix.
        handle, name = tempfile.mkstemp(prefix=f"{output.name}.", suffix=".part", dir=output.parent)
    except OSError as error:
        raise click.ClickException(f"--output {output}: {error.strerror}") from error
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise click.ClickException(f"--output {output}: {error.strerror}") from error
    except BaseException:  # Ctrl-C above all
        part.unlink(missing_ok=True)
        raise
