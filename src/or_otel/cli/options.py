"""What several commands share: their options, the ledger's folder, settings file, account and keys, time, output."""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from or_otel.account.errors import API_KEY, KEY_PAGES, MANAGEMENT_KEY
from or_otel.config import FILE_NAME, Config, ConfigError, find_config, read_config, read_urls
from or_otel.config.reading import is_http_url
from or_otel.ledger import DATABASE, LedgerError, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import QuestionError
from or_otel.ledger.retention import keep_within
from or_otel.reports.words import escaped
from or_otel.settings import LEDGER, default_folder, read_settings

if TYPE_CHECKING:
    from or_otel.account.client import AccountClient

F = TypeVar("F", bound=Callable[..., Any])

UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
AGE = re.compile(r"^(\d{1,6})([mhdw])$")
PERIODS: Mapping[str, Callable[[datetime], int]] = {
    "today": lambda _: 0,
    "yesterday": lambda _: 1,
    "week": lambda now: now.weekday(),
    "month": lambda now: now.day - 1,
}
"""Word → how many days before today it begins."""
PIPE_WIDTH = 200
"""Columns where the terminal's are not known."""


class FiniteRange(click.FloatRange):
    """A number within a range, and one that there is: click lets `nan` through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read one."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r}: expected a finite number", param, ctx)
        return number


class Moment(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """A point in time: `90m`, `24h`, `7d`, `4w` ago, an ISO date or time, or where a period began; gives Unix seconds.

    Days, weeks (on Monday) and months begin at midnight UTC, as OpenRouter's own periods do.
    """

    name = "when"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read one."""
        if isinstance(value, float):
            return value
        now = datetime.now(UTC)
        moment = moment_from(str(value), now)
        if moment is None:
            known = ", ".join(PERIODS)
            self.fail(f"{value!r}: expected 90m, 24h, 7d, 4w, {known} or a date as {now:%Y-%m-%d}", param, ctx)
        return moment.timestamp()


def moment_from(text: str, now: datetime) -> datetime | None:
    """Read a point in time relative to another; None when it is none."""
    age = AGE.match(text)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if age is not None:
        try:
            return now - timedelta(seconds=int(age[1]) * UNIT_S[age[2]])
        except OverflowError:
            return None
    if text in PERIODS:
        return midnight - timedelta(days=PERIODS[text](now))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def ledger_option(function: F) -> F:
    """Add `--ledger`."""
    return click.option(
        "--ledger",
        "folder",
        type=click.Path(file_okay=False, path_type=Path),
        callback=lambda _ctx, _param, value: value or ledger_folder(),
        help=f"Folder of the local ledger; default: ${LEDGER}, else ~/.local/state/or-otel.",
    )(function)


def account_options(function: F) -> F:
    """Add `--config` and `--base-url`, which `settings_from` takes."""
    function = click.option(
        "--base-url",
        metavar="URL",
        help="Of the account API; default: $OR_OTEL_BASE_URL, else the settings file's, else OpenRouter's.",
    )(function)
    return click.option(
        "--config",
        "config_path",
        type=click.Path(dir_okay=False, path_type=Path),
        help=f"Settings file; default: $OR_OTEL_CONFIG, else ./{FILE_NAME}, else ~/.config/or-otel/{FILE_NAME}.",
    )(function)


class SettingsProblem(click.ClickException):
    """The settings file or a variable cannot be used; exits with 2, as wrong usage does."""

    exit_code = 2


def settings_from(config_path: Path | None = None, base_url: str | None = None) -> Config:
    """Read the settings file in force; what is wrong with it ends the command, every problem on a line.

    Whom to ask is said by the option, else by `OR_OTEL_BASE_URL`, else by the file, else it is OpenRouter.
    """
    try:
        config = read_config(config_path, os.environ) if config_path is not None else find_config(os.environ)
    except ConfigError as error:
        raise SettingsProblem(str(error)) from error
    if base_url is None:
        return config
    if not is_http_url(base_url):
        raise click.UsageError("--base-url: expected a URL without credentials, as https://openrouter.ai/api/v1")
    return replace(config, account=replace(config.account, base_url=base_url.rstrip("/")))


def metric_tags(config: Config) -> tuple[str, ...]:
    """Give the tags let onto metrics: by the settings file, else by `OR_OTEL_METRIC_TAGS`, else the usual ones."""
    return read_settings(os.environ).metric_tags if config.metric_tags is None else config.metric_tags


def secret_from(environ: Mapping[str, str], name: str) -> str | None:
    """Read a credential from a variable, or from the file that `<name>_FILE` names, as containers give secrets."""
    told = environ.get(name, "").strip()
    path = environ.get(f"{name}_FILE", "").strip()
    if told or not path:
        return told or None
    try:
        return Path(path).expanduser().read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise SettingsProblem(f"{name}_FILE: {path}: {said}: expected a readable file that holds the key") from None


def keys_from(environ: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Give the ordinary key and the management key, as far as there are any."""
    return secret_from(environ, API_KEY), secret_from(environ, MANAGEMENT_KEY)


def no_keys_said(*, is_management_needed: bool = False) -> str:
    """Say that there is no key, and which one to get where."""
    management = f"{MANAGEMENT_KEY} (sees the account: {KEY_PAGES[MANAGEMENT_KEY]})"
    if is_management_needed:
        return f"no management key is given: set {management}, or {MANAGEMENT_KEY}_FILE to a file that holds it"
    return (
        f"no key is given: set {management}, or {API_KEY} (sees itself: {KEY_PAGES[API_KEY]}); "
        "or the same name with _FILE for a file that holds it"
    )


def account_client(config: Config) -> AccountClient | None:
    """Give who asks the account API; None without any key."""
    from or_otel.account.client import AccountClient  # noqa: PLC0415 -- slow: most commands never ask the account

    api_key, management_key = keys_from(os.environ)
    if api_key is None and management_key is None:
        return None
    try:
        return AccountClient(config.account.base_url, api_key, management_key)
    except ValueError as error:
        raise SettingsProblem(str(error)) from None


def notice_urls(config: Config) -> tuple[str, ...]:
    """Give the addresses of `[notify]`; one that cannot be used ends the command, for it would never be told."""
    from or_otel.notices.sending import NotifyMissingError, unusable  # noqa: PLC0415 -- few commands send anything

    try:
        urls = read_urls(config.notify, os.environ)
        broken = unusable(urls) if urls else ()
    except (ConfigError, NotifyMissingError) as error:
        raise SettingsProblem(str(error)) from None
    if broken:
        places = ", ".join(str(place + 1) for place in broken)
        raise SettingsProblem(
            f"notify: address {places} of {len(urls)} is no Apprise URL (not shown, it may hold a key)"
        )
    return urls


def period_options(default: str | None) -> Callable[[F], F]:
    """Add `--since`, `--until`, `--where`."""

    def add(function: F) -> F:
        function = click.option(
            "--where",
            multiple=True,
            metavar="KEY=VALUE",
            help="Only calls with this model, provider, team, outcome, key, app, run, …; repeat to narrow.",
        )(function)
        function = click.option("--until", type=Moment(), help="End of the period; as --since.")(function)
        return click.option(
            "--since",
            type=Moment(),
            default=default,
            show_default=True,
            help=f"Begin of the period: 90m, 24h, 7d, 4w, {', '.join(PERIODS)}, or a date (UTC).",
        )(function)

    return add


def format_options(function: F) -> F:
    """Add `--json` and `--csv`."""
    function = click.option("--csv", "is_csv", is_flag=True, help="Print CSV with exact money.")(function)
    return click.option("--json", "is_json", is_flag=True, help="Print JSON; money as exact text.")(function)


def check_formats(*, is_json: bool, is_csv: bool) -> None:
    """Refuse both at once."""
    if is_json and is_csv:
        raise click.UsageError("--json and --csv: choose one")


def now_s() -> float:
    """Give Unix time; a clock may come in as click's `obj`."""
    context = click.get_current_context(silent=True)
    clock = None if context is None else context.find_root().obj
    return float(clock()) if callable(clock) else time.time()


def ledger_folder() -> Path:
    """Give the folder that the environment says, else the default one."""
    chosen = read_settings(os.environ).ledger
    return Path(chosen).expanduser() if chosen else default_folder(os.environ)


@contextmanager
def telling_errors() -> Iterator[None]:
    """Make errors of the ledger and of questions those of the command."""
    try:
        yield
    except QuestionError as error:
        raise click.UsageError(str(error)) from error
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{error.filename or 'the ledger'}: {error.strerror}") from error


@contextmanager
def fresh_ledger(folder: Path) -> Iterator[sqlite3.Connection]:
    """Import what is new, keep the ledger within its limits, and open it."""
    with telling_errors():
        moment_s = now_s()
        done = import_journals(folder, now_s=moment_s)
        for problem in done.problems:
            click.echo(f"or-otel: journal not read: {problem}", err=True)
        with open_ledger(folder / DATABASE) as ledger:
            keep_within(ledger, now_s=moment_s)
            yield ledger


def say_empty(folder: Path, ledger: sqlite3.Connection) -> None:
    """Say on standard error why there is nothing to show and what to do next."""
    (has_any,) = ledger.execute("SELECT EXISTS (SELECT 1 FROM attempts)").fetchone()
    if has_any:
        click.echo("No call in this period matches; try a longer --since or fewer --where.", err=True)
        return
    click.echo(
        f"The ledger in {folder} is empty. Fill it with one of:\n\n"
        "  or-otel run -- python app.py     watch a program of yours\n"
        "  or_otel.start()                  or put this line into it\n\n"
        "  or-otel demo                     or see first how it looks",
        err=True,
    )


def print_json(value: object) -> None:
    """Print one JSON document."""
    click.echo(escaped(json.dumps(value, indent=2, ensure_ascii=False)))


def console(*, is_error: bool = False) -> Console:
    """Give a console for standard output or error; wide enough where nobody looks at a terminal."""
    file = sys.stderr if is_error else sys.stdout
    return Console(file=file, width=None if file.isatty() else PIPE_WIDTH, highlight=False)
