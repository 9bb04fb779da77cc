"""One round of questions to the account for a command: what it told, what it could not, and why.

A client and the moment come in, a snapshot goes out; what a person must know beside the figures is said on
standard error. Long work, a question for each key, shows its progress on a terminal.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import click
from rich.progress import track

from or_otel.account.client import AccountClient
from or_otel.account.errors import KEY_PAGES, MANAGEMENT_KEY, AccountError, RateLimitedError
from or_otel.account.history import covered_days, missing_days, store_activity, store_keys
from or_otel.account.poller import Poller, Snapshot
from or_otel.account.schedule import Endpoint
from or_otel.accounts import AccountKey, ActivityRow
from or_otel.cli.options import console, keys_from, no_keys_said, now_s
from or_otel.config import Config
from or_otel.config.keys import Assignment
from or_otel.days import utc_day
from or_otel.reports.money import plural
from or_otel.reports.words import tame
from or_otel.wire.listings import Listing
from or_otel.wire.requests import key_fingerprint

T = TypeVar("T")

TRIES = 3
MAX_WAIT_S = 60.0
"""A server that asks for more is not waited for: a person sits before the command."""
SEEN: dict[Endpoint, str] = {
    "credits": "the balance",
    "keys": "other keys",
    "activity": "closed days by model and provider",
    "workspaces": "workspaces",
    "analytics_meta": "apps and members",
}
"""What a person misses when an endpoint may not be asked."""


def snapshot_of(client: AccountClient, endpoints: Collection[Endpoint]) -> Snapshot:
    """Ask each endpoint once; nothing told at all ends the command.

    Raises:
        click.ClickException: No endpoint answered.
    """
    snapshot = Poller(client, endpoints=endpoints, chance=lambda: 0.0).poll_due(now_s())
    if not snapshot.succeeded_at_s:
        raise click.ClickException("\n".join(_together(each.message for each in snapshot.troubles.values())))
    return snapshot


def hidden_said(snapshot: Snapshot) -> str | None:
    """Say what this kind of key cannot see and which one would; None when it sees all that was asked."""
    missed = [SEEN[endpoint] for endpoint in SEEN if endpoint in snapshot.hidden]
    if not missed:
        return None
    which = f"a management key in {MANAGEMENT_KEY} would ({KEY_PAGES[MANAGEMENT_KEY]})"
    return f"This key does not see {', '.join(missed)}; {which}."


def say_troubles(snapshot: Snapshot) -> None:
    """Say on standard error what failed although the key may see it."""
    for message in _together(each.message for each in snapshot.troubles.values() if not each.is_hidden):
        click.echo(f"not told: {message}", err=True)
    say_strange_rows(snapshot.strange_rows)


def _together(messages: Iterable[str]) -> list[str]:
    """Say the same of several endpoints once."""
    endpoints: dict[str, dict[str, None]] = {}
    for message in messages:
        endpoint, colon, text = message.partition(": ") if message.startswith("/") else ("", "", message)
        endpoints.setdefault(colon + text, {})[endpoint] = None
    return [", ".join(names) + text for text, names in endpoints.items()]


def say_strange_rows(counts: Mapping[str, int]) -> None:
    """Say on standard error which answers had rows that could not be read: their figures are missing."""
    for said in strange_rows_said(counts):
        click.echo(f"not told: {said}", err=True)


def strange_rows_said(counts: Mapping[str, int]) -> list[str]:
    """Say it in sentences."""
    return [f"{path}: {plural(count, 'row')} could not be read; is or-otel too old?" for path, count in counts.items()]


def management_client(client: AccountClient | None) -> AccountClient:
    """Refuse to go on without any key."""
    if client is None:
        raise click.ClickException(no_keys_said())
    return client


def owner_of(config: Config, keys: Sequence[AccountKey]) -> Callable[[AccountKey], Assignment]:
    """Give what assigns these keys; rows of fingerprints count as far as a key at hand proves which is which."""
    return config.owner_of(keys, [key for key in keys_from(os.environ) if key is not None])


def own_fingerprint() -> str | None:
    """Give what clients know the asking key by: the ordinary one, if both kinds are at hand."""
    held = next((key for key in keys_from(os.environ) if key is not None), None)
    return key_fingerprint(held)


def patiently(ask: Callable[[], T]) -> T:
    """Ask again where the server says when; gives up after some tries.

    Raises:
        AccountError: No answer.
    """
    for left in range(TRIES, 0, -1):
        try:
            return ask()
        except RateLimitedError as error:
            wait_s = 1.0 if error.retry_after_s is None else error.retry_after_s
            if left == 1 or wait_s > MAX_WAIT_S:
                raise
        time.sleep(wait_s)
    raise AssertionError("the last try returns or raises")  # pragma: no cover


def activity_of_keys(
    client: AccountClient, keys: Sequence[AccountKey]
) -> Iterator[tuple[AccountKey, Listing[ActivityRow] | AccountError]]:
    """Ask for the closed days of each key, with progress on a terminal; a failure is given, not raised."""
    shown = track(
        keys,
        description="asking key by key",
        console=console(is_error=True),
        transient=True,
        disable=not sys.stderr.isatty() or len(keys) < 2,  # noqa: PLR2004 -- one question is no long work
    )
    for key in shown:
        try:
            listing = patiently(lambda key=key: client.activity(key_hash=key.hash))  # type: ignore[misc]
        except AccountError as error:
            yield key, error
        else:
            yield key, listing


def import_history(
    client: AccountClient,
    ledger: sqlite3.Connection,
    listed: Iterable[AccountKey],
    *,
    known: Iterable[AccountKey] = (),
    is_wanted: Callable[[AccountKey], bool],
) -> None:
    """Keep what the API still has of closed days: of the account, and of each key.

    Args:
        client: Asks.
        ledger: Where to keep it.
        listed: Keys of the account.
        known: Keys seen before, the deleted ones among them: their days are still told.
        is_wanted: Keys that are asked for in any case; the others only where a day is missing.
    """
    asked_s = now_s()
    listed = tuple(listed)
    store_keys(ledger, listed, asked_s)
    today = utc_day(now_s())
    try:
        listing = patiently(client.activity)
    except AccountError as error:
        click.echo(f"not told: {error}", err=True)
    else:
        _store(ledger, listing, asked_s)
    every = {key.hash: key for key in (*known, *listed) if key.hash is not None}
    due = [key for key in every.values() if is_wanted(key) or missing_days(ledger, today, key_hash=key.hash)]
    for key, told in activity_of_keys(client, due):
        if isinstance(told, AccountError):
            click.echo(tame(f"not told: {key.name or key.hash}: {told}"), err=True)
        else:
            _store(ledger, told, asked_s, key.hash)
    say_strange_rows(client.strange_rows)


def _store(
    ledger: sqlite3.Connection, listing: Listing[ActivityRow], asked_s: float, key_hash: str | None = None
) -> None:
    covered = covered_days(asked_s, now_s())
    is_whole = not listing.strange_count
    store_activity(ledger, listing.rows, asked_s, covered=covered, key_hash=key_hash, is_whole=is_whole)
