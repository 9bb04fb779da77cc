"""`or-otel report --digest`: gathers what a digest is made of, and gives it in the form asked for."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.progress import Progress

from or_otel.account.errors import API_KEY
from or_otel.account.history import read_keys
from or_otel.account.market import read_models
from or_otel.accounts import AccountKey
from or_otel.budgets import Spending, spendings_of_key
from or_otel.cli.options import (
    SettingsProblem,
    console,
    fresh_ledger,
    notice_urls,
    print_json,
    say_empty,
    secret_from,
    settings_from,
)
from or_otel.config import FILE_NAME, Config
from or_otel.ledger.queries import Call as LedgerCall
from or_otel.ledger.queries import entries, gathered, where_from
from or_otel.notices.memory import NOTHING_TOLD
from or_otel.notices.rules import Notice, NoticeState
from or_otel.notices.sending import send
from or_otel.reports.digest import Digest, digest_of, render, summary, to_json, whole_days
from or_otel.reports.html import can_draw, to_html
from or_otel.reports.markdown import to_markdown
from or_otel.reports.over_time import read_from_s
from or_otel.reports.sections import Frame

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a digest is wanted.

    Attributes:
        is_digest: Whether it was asked for by name; each other form implies it.
        is_markdown: Print Markdown.
        page: Write a page there.
        is_opened: Show the page in a browser.
        is_sent: Send it to the addresses of `[notify]`.
    """

    is_digest: bool
    is_markdown: bool
    page: Path | None
    is_opened: bool
    is_sent: bool

    @property
    def is_wanted(self) -> bool:
        """Whether a digest was asked for at all."""
        return self.is_digest or self.is_markdown or self.page is not None or self.is_opened or self.is_sent


def digest_options(function: F) -> F:
    """Add `--digest` and its forms."""
    for option in (
        click.option("--send", "is_sent", is_flag=True, help="Digest, to the addresses of [notify] in or-otel.toml."),
        click.option("--open", "is_opened", is_flag=True, help="Show that page in the browser."),
        click.option(
            "--html",
            "page",
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Digest as one page that needs nothing else; charts come with or-otel[report].",
        ),
        click.option("--markdown", "is_markdown", is_flag=True, help="Digest as Markdown."),
        click.option(
            "--digest",
            "is_digest",
            is_flag=True,
            help="Budgets, trends, days that stand out, waste, prices: the whole period on one page.",
        ),
    ):
        function = option(function)
    return function


def give_digest(
    form: Form,
    *,
    since: float | None,
    until: float | None,
    where: tuple[str, ...],
    is_json: bool,
    folder: Path,
) -> None:
    """Make a digest and print, write, show or send it."""
    if is_json and form.is_markdown:
        raise click.UsageError("--json and --markdown: choose one")
    if form.is_opened and form.page is None:
        raise click.UsageError("--open shows the page that --html writes: or-otel report --html report.html --open")
    config, urls = _settings(form)
    now_s = time.time()
    until_s = now_s if until is None else until
    since_s, days = whole_days(until_s - 1 if since is None else min(since, until_s - 1), until_s)
    with fresh_ledger(folder) as ledger:
        models, models_before = read_models(ledger, until_s), read_models(ledger, since_s)
        frame = Frame(
            since_s=since_s,
            until_s=until_s,
            days=days,
            budgets=() if where else config.budgets,
            account_spendings=_account_spendings(ledger, config, until_s),
            labels_of_key=_labels_of_key(ledger, config),
            models=models or (),
            models_before=models_before,
        )
        calls = watched(ledger, since_s=read_from_s(frame), until_s=until_s, where=where_from(where))
        digest = digest_of(frame, (call.entries for call in calls))
        if not any(section.name == "days" for section in digest.sections):
            say_empty(folder, ledger)
            if is_json:
                print_json(to_json(digest))
            return
    _give(digest, form, is_json=is_json)
    if form.is_sent:
        _send(digest, form, urls, now_s)


def watched(
    ledger: sqlite3.Connection, *, since_s: float | None, until_s: float | None, where: Mapping[str, str]
) -> Iterator[LedgerCall]:
    """Read calls, in order, with a bar on standard error where somebody looks at a terminal."""
    (count,) = ledger.execute(
        "SELECT count(*) FROM attempts WHERE call_started_at_s >= ? AND call_started_at_s < ?",
        (since_s or 0.0, until_s if until_s is not None else time.time() + 1e9),
    ).fetchone()
    screen = console(is_error=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task("reading calls", total=count)
        for call in gathered(entries(ledger, since_s=since_s, until_s=until_s, where=where)):
            yield call
            progress.advance(task, len(call.entries))


def held_keys() -> tuple[str, ...]:
    """Give the key of this environment: it helps to tell which fingerprint is which key of the account."""
    key = secret_from(os.environ, API_KEY)
    return (key,) if key else ()


def _settings(form: Form) -> tuple[Config, tuple[str, ...]]:
    """Read the settings file and, before any work, whether the digest can be sent."""
    config = settings_from()
    if not form.is_sent:
        return config, ()
    urls = notice_urls(config)
    if not urls:
        where = config.path or FILE_NAME
        raise SettingsProblem(f'--send: no address is set; add to {where}: [notify] urls = ["$SLACK_URL"]')
    return config, urls


def _account_spendings(ledger: sqlite3.Connection, config: Config, until_s: float) -> tuple[Spending, ...]:
    every = read_keys(ledger)
    owner = config.owner_of(tuple(known.key for known in every), held_keys())
    return tuple(
        spending
        for known in every
        if known.last_seen_s <= until_s
        for spending in spendings_of_key(known.key, at_s=known.last_seen_s, labels=owner(known.key).labels)
    )


def _labels_of_key(ledger: sqlite3.Connection, config: Config) -> Callable[[str | None], Mapping[str, str]]:
    keys: dict[str | None, AccountKey] = {known.key.hash: known.key for known in read_keys(ledger)}

    @cache
    def labels(fingerprint: str | None) -> Mapping[str, str]:
        if fingerprint is None:
            return {}
        key_hash = config.match_keys(tuple(keys.values()), (fingerprint,), held_keys()).hash_of.get(fingerprint)
        return config.assign(keys.get(key_hash), fingerprint).labels

    return labels


def _give(digest: Digest, form: Form, *, is_json: bool) -> None:
    if form.page is not None:
        try:
            form.page.write_text(to_html(digest), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"--html {form.page}: {error.strerror}") from error
        click.echo(f"{form.page} written", err=True)
        if not can_draw():
            click.echo("It has no charts: they come with pip install 'or-otel[report]'", err=True)
        if form.is_opened:
            click.launch(str(form.page.resolve()))
    if is_json:
        print_json(to_json(digest))
    elif form.is_markdown:
        click.echo(to_markdown(digest), nl=False)
    elif form.page is None and not form.is_sent:
        console().print(render(digest))


def _send(digest: Digest, form: Form, urls: tuple[str, ...], now_s: float) -> None:
    notice = Notice(
        id=f"digest|{digest.title}",
        kind="digest",
        severity="warning" if digest.alarms else "info",
        title=digest.title,
        text=summary(digest),
        made_at_s=now_s,
        attachment=None if form.page is None else str(form.page.resolve()),
    )
    left = send(NoticeState(told=NOTHING_TOLD.told, waiting=((notice, None),)), urls)
    failed = sum(len(marks or urls) for _, marks in left.waiting)
    if failed:
        raise click.ClickException(f"--send: {failed} of {len(urls)} addresses did not take it; try them with Apprise")
    click.echo(f"sent to {len(urls)} {'address' if len(urls) == 1 else 'addresses'}", err=True)
