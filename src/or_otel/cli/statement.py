"""`or-otel statement`: what one company owes for a month, from the account's own closed days."""

from __future__ import annotations

import difflib
import re
import sqlite3
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import click
from rich.console import Group

from or_otel.account.client import AccountClient
from or_otel.account.history import missing_days, read_activity, read_keys
from or_otel.accounts import AccountKey
from or_otel.cli.asking import import_history, owner_of, say_troubles, snapshot_of
from or_otel.cli.options import (
    account_client,
    account_options,
    check_formats,
    console,
    format_options,
    fresh_ledger,
    ledger_option,
    no_keys_said,
    now_s,
    print_json,
    settings_from,
)
from or_otel.config import Config
from or_otel.days import utc_day
from or_otel.facts import total
from or_otel.reports.activity import left_over
from or_otel.reports.markdown import sections_to_markdown
from or_otel.reports.sections import render_section
from or_otel.reports.statement import BilledKey, Statement, lines, of_days, sections, title, to_json
from or_otel.reports.tables import to_csv

MONTH = re.compile(r"(\d{4})-(\d{2})")
LAST_MONTH, FIRST_YEAR = 12, 2023


class Month(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """A month as `2026-10`; gives its first day."""

    name = "yyyy-mm"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read one."""
        if isinstance(value, date):
            return value
        found = MONTH.fullmatch(str(value))
        if found is None or not 1 <= int(found[2]) <= LAST_MONTH or int(found[1]) < FIRST_YEAR:
            self.fail(f"{value!r}: expected a month as {utc_day(now_s()):%Y-%m}", param, ctx)
        return date(int(found[1]), int(found[2]), 1)


@click.command("statement")
@click.option("--company", required=True, help="As [[keys]] of or-otel.toml names it.")
@click.option("--month", type=Month(), help="As 2026-10; default: the last whole month.")
@click.option("--markdown", "is_markdown", is_flag=True, help="Print Markdown, for a document or an e-mail.")
@format_options
@account_options
@ledger_option
def statement_command(
    *,
    company: str,
    month: date | None,
    is_markdown: bool,
    is_json: bool,
    is_csv: bool,
    config_path: Path | None,
    base_url: str | None,
    folder: Path,
) -> None:
    """What one company owes for a month: by model, key and day, to the last digit.

    \b
    or-otel statement --company acme --month 2026-10 --markdown > acme.md
    or-otel statement --company acme --csv

    Whose key is which says or-otel.toml; deleted and rotated keys count as long as they were seen once. OpenRouter
    tells 30 closed days: each run stores them beside the local ledger, and from there older months are told. What
    is not known is said, never estimated.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    check_formats(is_json=is_json, is_csv=is_csv)
    if is_markdown and (is_json or is_csv):
        raise click.UsageError("--markdown, --json and --csv: choose one")
    config = settings_from(config_path, base_url)
    today = utc_day(now_s())
    since = month or (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    if since > today:
        raise click.UsageError(f"--month {since:%Y-%m} has not begun")
    with fresh_ledger(folder) as ledger:
        client = account_client(config)
        if client is None:
            click.echo(f"The account was not asked, {no_keys_said(is_management_needed=True)}.", err=True)
            listed = None
        else:
            with client:
                listed = _listed(client, config, ledger, company)
        shown = _statement(ledger, config, company, since, today, listed)
    if is_json:
        print_json(to_json(shown))
    elif is_csv:
        click.echo(to_csv(lines(shown)), nl=False)
        for note in sections(shown)[0].notes:
            click.echo(note, err=True)
    elif is_markdown:
        click.echo(sections_to_markdown(title(shown), sections(shown)), nl=False)
    else:
        console().print(title(shown), style="bold")
        console().print(Group(*map(render_section, sections(shown))))


def _listed(
    client: AccountClient, config: Config, ledger: sqlite3.Connection, company: str
) -> tuple[AccountKey, ...] | None:
    """List the keys and store what the account still has; None when it does not tell them."""
    snapshot = snapshot_of(client, ("key", "workspaces", "keys"))
    say_troubles(snapshot)
    if snapshot.keys is None:
        if "keys" in snapshot.hidden:
            click.echo(f"The account was not asked, {no_keys_said(is_management_needed=True)}.", err=True)
        return None
    known = [each.key for each in read_keys(ledger)]
    owner = owner_of(config, tuple({key.hash: key for key in (*known, *snapshot.keys.value)}.values()))
    import_history(
        client, ledger, snapshot.keys.value, known=known, is_wanted=lambda key: owner(key).company == company
    )
    return snapshot.keys.value


def _statement(
    ledger: sqlite3.Connection,
    config: Config,
    company: str,
    since: date,
    today: date,
    listed: Sequence[AccountKey] | None,
) -> Statement:
    until = min((since + timedelta(days=31)).replace(day=1), today)
    known = {each.key.hash: each.key for each in read_keys(ledger)}
    owner = owner_of(config, tuple(known.values()))
    owned = {key_hash: key for key_hash, key in known.items() if owner(key).company == company}
    if not owned:
        raise _nobody(config, company, list(known.values()), is_listed=listed is not None)
    here = None if listed is None else {key.hash for key in listed}
    every = [row for key_hash in known for row in read_activity(ledger, since, until, key_hash)]
    return Statement(
        company=company,
        since=since,
        until=until,
        is_running=(since + timedelta(days=31)).replace(day=1) > today,
        keys=tuple(
            BilledKey(
                key=key,
                is_gone=here is not None and key_hash not in here,
                rows=tuple(row for row in every if row.key_hash == key_hash),
                missing=of_days(key, _missing(ledger, since, until, today, key_hash)),
            )
            for key_hash, key in owned.items()
        ),
        discounts={provider: contract.discount for provider, contract in config.byok.items() if contract.discount},
        left_over_usd=None
        if _missing(ledger, since, until, today, None)
        else total(
            amount
            for row in left_over(read_activity(ledger, since, until), every)
            for amount in (row.credits_usd, row.byok_usd)
        ),
        committed=tuple(provider for provider, contract in config.byok.items() if contract.committed_usd),
    )


def _missing(
    ledger: sqlite3.Connection, since: date, until: date, today: date, key_hash: str | None
) -> tuple[date, ...]:
    ago = (today - since).days
    return tuple(day for day in missing_days(ledger, today, ago, key_hash) if since <= day < until)


def _nobody(config: Config, company: str, keys: Sequence[AccountKey], *, is_listed: bool) -> click.ClickException:
    """Say why there is nothing to state."""
    named = {rule.assignment.company for rule in config.keys if rule.assignment.company is not None}
    if not keys and is_listed:
        return click.ClickException("the account has no key, and none of it was ever seen: there is nothing to state")
    if not keys:
        return click.ClickException("no key of the account was ever seen: run it once with a management key")
    if company in named:
        told = f"company {company!r}: no key that was ever seen meets its rows of [[keys]]"
        if any(rule.fingerprint and not rule.hash for rule in config.keys if rule.assignment.company == company):
            told += "; a fingerprint meets its key by a hash in the same row, or where a held key proves it"
        return click.ClickException(told)
    if not named:
        return click.ClickException(
            f"company {company!r}: no row of [[keys]] in or-otel.toml names a company; "
            f'add one, as [[keys]] name = "{company.lower()}-*" company = "{company}"'
        )
    near = difflib.get_close_matches(company, named, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(named))}"
    return click.UsageError(f"--company {company!r}: no row of [[keys]] names it; {hint}")
