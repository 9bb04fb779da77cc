"""`or-otel watch`: notices without a stack, for a terminal, a tmux pane or a cron job.

Each round asks what is due, reckons the budgets, prints what changed and sends what is new. What was told is kept
beside the ledger, so that neither a restart nor a round in between tells anything twice.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import click

from or_otel.account.client import AccountClient
from or_otel.account.poller import Poller, Snapshot
from or_otel.account.schedule import Endpoint
from or_otel.cli.options import (
    FiniteRange,
    SettingsProblem,
    account_client,
    account_options,
    ledger_option,
    no_keys_said,
    notice_urls,
    now_s,
    settings_from,
    telling_errors,
)
from or_otel.cli.standing import standings_of
from or_otel.config import Config
from or_otel.exporter.comparing import closed_days
from or_otel.exporter.kept import Kept
from or_otel.notices import SCREEN_STATE_FILE, STATE_FILE, notify
from or_otel.notices.rules import ClosedDay, Notice
from or_otel.notices.sending import NotifyMissingError
from or_otel.reports.money import plural
from or_otel.reports.standings import said
from or_otel.reports.words import tame

ENDPOINTS: tuple[Endpoint, ...] = ("key", "workspaces", "keys", "credits")
MIN_INTERVAL_S = 5.0
STEP_S = 1.0
"""Waiting is done in short steps: a clock that is set, or a machine that slept, must not delay the next round."""


@dataclass(slots=True, kw_only=True)
class Watcher:
    """What is watched, and what was said of it in this run.

    Attributes:
        config: Budgets and notices.
        poller: Asks; None without a key.
        folder: Of the local ledger, and of the file that keeps what was told.
        urls: Where notices are sent.
        states: Budget → what was last said of its state.
        troubles: Message → since when it is said.
        kept: Closed days of both sides; None where the ledger is not said to hold all of the account's calls.
    """

    config: Config
    poller: Poller | None
    folder: Path
    urls: tuple[str, ...] = ()
    states: dict[str, str] = field(default_factory=dict)
    troubles: frozenset[str] = frozenset()
    kept: Kept | None = None

    def round(self, at_s: float) -> bool:
        """Ask, reckon, tell; gives whether anything could be read."""
        snapshot = None if self.poller is None else self.poller.poll_due(at_s)
        if snapshot is not None:
            self._tell_troubles(snapshot, at_s)
        shown = standings_of(self.config, snapshot, self.folder, at_s)
        for standing in shown:
            budget = standing.state.budget.name
            if self.states.get(budget) != standing.state.state:
                say(said(standing), at_s)
            self.states[budget] = standing.state.state
        seen_credits = None if snapshot is None or snapshot.credits is None else snapshot.credits.value
        notify(
            self.folder / (STATE_FILE if self.urls else SCREEN_STATE_FILE),
            self.urls,
            options=self.config.notify,
            now_s=at_s,
            budgets=[standing.state for standing in shown],
            credits=seen_credits,
            keys=() if snapshot is None or snapshot.keys is None else snapshot.keys.value,
            days=self._closed_days(snapshot, at_s),
            tell=lambda notice: say_notice(notice, at_s),
        )
        return snapshot is None or bool(snapshot.succeeded_at_s)

    def _closed_days(self, snapshot: Snapshot | None, at_s: float) -> tuple[ClosedDay, ...]:
        """Compare closed days as the exporter does."""
        if snapshot is None or self.kept is None:
            return ()
        self.kept.take(snapshot, at_s)
        self.kept.compare({}, {}, at_s)
        return closed_days(self.kept.reconciled)

    def _tell_troubles(self, snapshot: Snapshot, at_s: float) -> None:
        now = frozenset(each.message for each in snapshot.troubles.values() if not each.is_hidden)
        for message in sorted(now - self.troubles):
            say(f"not told: {message}", at_s)
        for message in sorted(self.troubles - now):
            say(f"told again, what was: {message.partition(':')[0]}", at_s)
        self.troubles = now


def say(text: str, at_s: float) -> None:
    """Print one change on a line of its own."""
    click.echo(f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%SZ}  {tame(text)}")


def say_notice(notice: Notice, at_s: float) -> None:
    """Print a notice on a line."""
    say(f"{notice.severity.upper()}: {notice.title}. {' '.join(notice.text.splitlines())}", at_s)


@click.command("watch")
@click.option(
    "--interval",
    "interval_s",
    type=FiniteRange(min=MIN_INTERVAL_S),
    default=60.0,
    show_default=True,
    help="Seconds between two rounds.",
)
@click.option("--once", is_flag=True, help="One round, for cron; exit with 1 when nothing could be read.")
@account_options
@ledger_option
def watch_command(
    *, interval_s: float, once: bool, config_path: Path | None, base_url: str | None, folder: Path
) -> None:
    """Tell of budgets, credits and keys while it runs: here, and by Slack, e-mail or a webhook as [notify] says.

    Asks the account as far as the key at hand sees it, and reads the local ledger for features, customers and
    other tags. Where [exporter] ledger = true says that the ledger holds the account's calls, closed days of both are
    compared, too. Each crossing is told once, over restarts, too. Ends with Ctrl-C; what could not be sent is sent by
    the next run.
    """
    config = settings_from(config_path, base_url)
    urls = notice_urls(config)
    client = account_client(config)
    is_compared = config.exporter.has_ledger and config.exporter.has_reconciliation
    try:
        watcher = Watcher(
            config=config,
            poller=None if client is None else _poller(client, interval_s, is_compared=is_compared),
            folder=folder,
            urls=urls,
            kept=Kept(folder, has_calls=True) if is_compared else None,
        )
        _announce(watcher)
        with telling_errors():
            is_answered = watcher.round(now_s())
            if once:
                if not is_answered:
                    raise click.ClickException("nothing could be read of the account")
                return
            while True:
                _wait(interval_s)
                watcher.round(now_s())
    except NotifyMissingError as error:
        raise SettingsProblem(str(error)) from None
    except KeyboardInterrupt:
        click.echo("Stopped; what was told is kept.", err=True)
    finally:
        if client is not None:
            client.close()


def _poller(client: AccountClient, interval_s: float, *, is_compared: bool = False) -> Poller:
    intervals: Mapping[Endpoint, float] = dict.fromkeys(("key", "keys", "credits"), interval_s)
    # Rounds are the rhythm here: chance would put an answer off to the round after the next.
    endpoints: tuple[Endpoint, ...] = (*ENDPOINTS, "activity") if is_compared else ENDPOINTS
    return Poller(client, endpoints=endpoints, intervals_s=intervals, chance=lambda: 0.0)


def _announce(watcher: Watcher) -> None:
    config = watcher.config
    told = [plural(len(config.budgets), "budget"), f"the ledger in {watcher.folder}"]
    told.append(f"notices to {plural(len(watcher.urls), 'address').replace('addresss', 'addresses')}")
    click.echo(f"Watching {', '.join(told)}.", err=True)
    if watcher.poller is None:
        click.echo(f"The account is not asked, {no_keys_said()}.", err=True)


def _wait(interval_s: float) -> None:
    until_s = time.monotonic() + interval_s
    while (left_s := until_s - time.monotonic()) > 0:
        time.sleep(min(left_s, STEP_S))
