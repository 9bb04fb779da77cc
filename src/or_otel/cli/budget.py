"""`or-otel budget`: limits for a start, whether the settings file is in order, how the budgets stand."""

from __future__ import annotations

import calendar
import json
import os
from collections.abc import Iterator
from datetime import date
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from pathlib import Path

import click

from or_otel.cli.asking import hidden_said, say_troubles, snapshot_of
from or_otel.cli.options import (
    SettingsProblem,
    account_client,
    account_options,
    console,
    ledger_option,
    no_keys_said,
    now_s,
    print_json,
    settings_from,
)
from or_otel.cli.standing import ENDPOINTS, standings_of
from or_otel.config import FILE_NAME, Config, ConfigError, config_path, read_config, read_urls
from or_otel.days import utc_day
from or_otel.reports.money import plural, usd
from or_otel.reports.standings import table, to_json, why_unknown
from or_otel.reports.tables import render

CENT = Decimal("0.01")
SMALL = Decimal("0.0001")
"""Shares below a dollar keep more digits."""
WORKING_WEEK_DAYS = 5
WEEK_DAYS = 7
MAX_KEYS = 1000


class Dollars(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """An exact amount above zero."""

    name = "usd"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        """Read one."""
        try:
            amount = value if isinstance(value, Decimal) else Decimal(str(value).removeprefix("$"))
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or not SMALL * 1000 <= amount < Decimal(10) ** 12:
            self.fail(f"{value!r}: expected US dollars, 0.1 or more, as 100", param, ctx)
        return amount


@click.group("budget")
def budget_command() -> None:
    """Limits of your own: of the account, a company, team, key, feature, customer.

    \b
    or-otel budget init --monthly 100 --output or-otel.toml
    or-otel budget check
    or-otel budget status --fail-over

    They stand in or-otel.toml. The exporter tells how each one stands and where it will end;
    it never changes anything at OpenRouter.
    """  # noqa: D301 -- \b is click's sign to keep the lines


@budget_command.command("init", short_help="Write a first or-otel.toml with limits.")
@click.option("--monthly", type=Dollars(), required=True, help="What a month may cost, in US dollars.")
@click.option("--working-days", is_flag=True, help="Share the month among Monday to Friday instead of all days.")
@click.option("--keys", default="", metavar="N|NAME,…", help="Share it also among keys: their number or their names.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; default: print.")
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
def init_command(*, monthly: Decimal, working_days: bool, keys: str, output: Path | None, force: bool) -> None:
    """Write a first or-otel.toml with limits for month, week, day and keys."""
    today = utc_day(now_s())
    text = first_file(monthly, today=today, names=_key_names(keys), is_working_days=working_days)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise click.ClickException(f"{output} exists; expected a new file, or --force to replace it") from error
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from error
    click.echo(f"{output} written; read it, change it, then: or-otel budget check {output}", err=True)


@budget_command.command("check", short_help="Say whether a settings file is in order.")
@click.argument("path", required=False, type=click.Path(dir_okay=False, path_type=Path))
def check_command(*, path: Path | None) -> None:
    """Say whether a settings file is in order; without PATH the one in force."""
    path = path or config_path(os.environ)
    if path is None:
        raise click.ClickException(f"there is no {FILE_NAME} yet; write one: or-otel budget init --monthly 100")
    try:
        config = read_config(path, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SettingsProblem(plural(len(error.problems), "problem")) from error
    try:
        read_urls(config.notify, os.environ)
    except ConfigError as error:  # of this shell, not of the file
        for problem in error.problems:
            click.echo(f"note: {problem}", err=True)
    click.echo(f"{path}: in order; {plural(len(config.budgets), 'budget')}, {plural(len(config.keys), 'row')} of keys")
    for line in _budget_lines(config):
        click.echo(line)


@budget_command.command("status", short_help="How every budget stands, and where it will end.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON; money as exact text.")
@click.option(
    "--fail-over", is_flag=True, help="Exit with 1 when a budget is over, for jobs that ask before they spend."
)
@account_options
@ledger_option
def status_command(
    *, is_json: bool, fail_over: bool, config_path: Path | None, base_url: str | None, folder: Path
) -> None:
    """How every budget of or-otel.toml stands: spent, pace, forecast, days left.

    Account, keys, companies and teams by the account's own figures, which a management key may ask; features,
    customers, workflows and other tags by the local ledger.
    """
    config = settings_from(config_path, base_url)
    if not config.budgets:
        raise click.ClickException("or-otel.toml has no [[budgets]] yet; see: or-otel budget init --monthly 100")
    client = account_client(config)
    snapshot = None
    if client is None:
        click.echo(f"The account was not asked, {no_keys_said()}.", err=True)
    else:
        with client:
            snapshot = snapshot_of(client, ENDPOINTS)
        say_troubles(snapshot)
        if (hidden := hidden_said(snapshot)) is not None:
            click.echo(hidden, err=True)
    shown = standings_of(config, snapshot, folder, now_s())
    if is_json:
        print_json(to_json(shown, now_s()))
    else:
        console().print(render(table(shown)))
        for standing in shown:
            if standing.state.spent_usd is None:
                click.echo(f"{standing.state.budget.name} is unknown: {why_unknown(standing)}", err=True)
    if fail_over and any(standing.state.state == "over" for standing in shown):
        click.get_current_context().exit(1)


def first_file(monthly: Decimal, *, today: date, names: list[str], is_working_days: bool) -> str:
    """Write a settings file whose limits share a month evenly, with comments that say how to go on.

    Args:
        monthly: What a month may cost.
        today: Its month says how many days share.
        names: Keys that share the month.
        is_working_days: Whether only Monday to Friday share it; holidays are not known.
    """
    days = _days_of_month(today, is_working_days=is_working_days)
    week_days = WORKING_WEEK_DAYS if is_working_days else WEEK_DAYS
    what = "working days" if is_working_days else "days"
    day, week = _share(monthly, days), _share(monthly * week_days, days)
    lines = [
        f"# Budgets of or-otel, made from {usd(monthly)} a month. Check changes with: or-otel budget check",
        "# Amounts are US dollars; days, weeks from Monday and months are those of UTC, as at OpenRouter.",
        "",
        *_budget("month", monthly, "month", "0.5, 0.8, 1", "The whole account. You are told at each threshold,"),
        "# and when pace and forecast are 1.2 times above the even way (pace_alarm).",
        "",
        *_budget("week", week, "week", "0.8, 1", f"{week_days} of the {days} {what} of {today:%B %Y}."),
        "",
        *_budget("day", day, "day", "1", f"One of {days} {what}: who keeps to it keeps to the month. If busy days"),
        "# are normal for you, double it: the week and the month still hold.",
    ]
    each = _share(monthly, len(names)) if names else monthly
    for name in names:
        value = json.dumps(name, ensure_ascii=False)
        title = json.dumps(f"key {name}", ensure_ascii=False)
        lines += [
            "",
            "[[budgets]]",
            f"name = {title}",
            'scope = "key"',
            f"value = {value}  # the key's name at OpenRouter, a pattern as 'search-*', or 8 hex digits of its hash",
            f"limit_usd = {each:f}",
            "thresholds = [0.8, 1]",
            "# or-otel tells and never stops anybody. OpenRouter does: give the key itself there the limit",
            f"# {usd(each)}, reset monthly, and it refuses requests beyond.",
        ]
    return "\n".join([*lines, "", *_TEACHING]) + "\n"


_TEACHING = (
    "# More scopes: company, team, environment, product (whose is which key say the rows below);",
    "# feature, customer, workflow or tag:<name> (from or_otel.tags in your programs).",
    "#",
    "# [[keys]]",
    '# name = "acme-*"',
    '# company = "acme"',
    '# team = "search"',
    "#",
    "# [notify]",
    '# urls = ["$SLACK_URL"]  # variables that hold an Apprise URL each: Slack, e-mail, a webhook, …',
    "# low_balance_usd = 10",
)


def _budget(name: str, limit: Decimal, period: str, thresholds: str, comment: str) -> Iterator[str]:
    yield from (
        "[[budgets]]",
        f'name = "{name}"',
        f"limit_usd = {limit:f}",
        f'period = "{period}"',
        f"thresholds = [{thresholds}]",
        f"# {comment}",
    )


def _budget_lines(config: Config) -> Iterator[str]:
    for budget in config.budgets:
        whose = budget.scope if budget.scope == "account" else f"{budget.scope} {budget.value}"
        yield f"  {budget.name}: {usd(budget.limit_usd)} a {budget.period}, {whose}"


def _days_of_month(today: date, *, is_working_days: bool) -> int:
    count = calendar.monthrange(today.year, today.month)[1]
    if not is_working_days:
        return count
    return sum(date(today.year, today.month, day).weekday() < WORKING_WEEK_DAYS for day in range(1, count + 1))


def _share(amount: Decimal, parts: int) -> Decimal:
    """Divide, rounded down: the shares together never exceed the whole."""
    share = amount / parts
    return share.quantize(CENT if share >= 1 else SMALL, ROUND_DOWN)


def _key_names(text: str) -> list[str]:
    text = text.strip()
    if text.isdecimal():
        if not 1 <= int(text) <= MAX_KEYS:
            raise click.UsageError(f"--keys {text}: expected 1 to {MAX_KEYS} keys, or their names")
        return [f"key-{number}" for number in range(1, int(text) + 1)]
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name.startswith("sk-") or not name.isprintable():
            raise click.UsageError("--keys: expected names of keys as OpenRouter shows them, never the keys themselves")
    return list(dict.fromkeys(names))
