"""Both sides for `or-otel reconcile`: the ledger's and the account's, or a provider's invoice → what was compared.

Asks the account, stores what it told, puts learned prices into the ledger. Parses no command line and prints nothing.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import click

from or_otel.account.client import AccountClient
from or_otel.account.errors import API_KEY, MANAGEMENT_KEY, NotFoundError, WrongKeyError
from or_otel.cli.account_days import AccountDays, list_generations, read_days, span
from or_otel.cli.asking import strange_rows_said
from or_otel.cli.options import account_client, keys_from
from or_otel.config import Config
from or_otel.config.keys import KeyMap
from or_otel.days import DAY_S, ONE_DAY, begin_s, utc_day
from or_otel.facts import EXACT, ZERO, total
from or_otel.ledger.amending import amend, unpriced
from or_otel.ledger.queries import entries
from or_otel.reports.causes import Billed, Cause
from or_otel.reports.explaining import explained, placed
from or_otel.reports.invoice import compared_invoice, read_invoice
from or_otel.reports.money import plural
from or_otel.reports.reconciliation import Comparison, Discounts, Side, Tracked, compared, rebooked, tracked_from
from or_otel.wire.requests import key_fingerprint

UNUSABLE = 2
FIRST_DAY = date(2023, 1, 1)
"""OpenRouter is younger; each day in between would be looked for."""
MAX_LISTS = 50
"""Questions for lists of generations."""
SAMPLES = 3
"""Tracked calls of a key whose records are looked up to learn how its programs name themselves."""
INFERENCE_ONLY = (
    f"{API_KEY} is an inference key: it tells only its own running day, week and month, no closed day, no model and "
    f"no other key; nor can a cause be named. For these set {MANAGEMENT_KEY}."
)
PERIODS = ("day", "week", "month")

Chosen = tuple[date, date]
"""First and last day."""


class UnusableError(click.ClickException):
    """Nothing could be compared; 1 is kept for sides that differ."""

    exit_code = UNUSABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was compared.

    Attributes:
        rows: As asked by `--by`.
        wholes: One for each day.
        causes: Day → causes and notes.
        key_names: Hash → name of the key.
        matched: Hashes of keys whose fingerprint is known.
        loose: Sums, tracked and billed, of what was compared as part of each day alone: its key is not matched.
        left_out_usd: Tracked, and compared with nothing: another account's.
        said: Sentences for people.
    """

    rows: tuple[Comparison, ...]
    wholes: tuple[Comparison, ...]
    causes: Mapping[date, tuple[Cause, ...]]
    key_names: Mapping[str, str]
    matched: Collection[str] = ()
    loose: tuple[Decimal, Decimal] = (ZERO, ZERO)
    left_out_usd: Decimal = ZERO
    said: tuple[str, ...] = ()

    def is_within(self, tolerance: Decimal) -> bool:
        """Whether every day, and every row that both sides know, is within the tolerance."""
        rows = (row for row in self.rows if self.is_judged(row))
        return all(row.is_within(tolerance) for row in (*self.wholes, *rows))

    def is_judged(self, row: Comparison) -> bool:
        """Whether both sides know what a row is about."""
        return row.is_two_sided and (row.key_hash is None or row.key_hash in self.matched)


def _discounts(config: Config) -> Discounts:
    return {provider: contract.discount for provider, contract in config.byok.items()}


# The account ----------------------------------------------------------------------------------------------------------


def with_account(
    ledger: sqlite3.Connection,
    config: Config,
    chosen: Chosen | None,
    *,
    is_explicit: bool,
    by: Sequence[str],
    lookup: int,
) -> Found:
    """Compare closed days with the account; with an inference key its running periods.

    Args:
        ledger: Our side; learned prices and what the account told are stored there.
        config: Whom to ask, whose is which key, contracts.
        chosen: First and last day.
        is_explicit: Whether these very days are wanted, and running periods will not do.
        by: `key`, `model`.
        lookup: Generation records that may be asked for.

    Raises:
        UnusableError: Nothing can be compared.
        AccountError: The account does not answer.
    """
    assert chosen is not None  # noqa: S101 -- only an invoice leaves the days open
    now_s = time.time()
    first, last = chosen
    if last >= utc_day(now_s):
        raise click.UsageError(
            f"--day {last}: that day is not over yet; expected {utc_day(now_s) - ONE_DAY} or earlier"
        )
    if first < FIRST_DAY:
        raise click.UsageError(f"{first}: there was no OpenRouter yet; expected a day from {FIRST_DAY} on")
    if first > last:
        raise click.UsageError(f"--since {first}: no day since then is over yet; expected an earlier one")
    begun = ledger.execute("SELECT min(call_started_at_s) FROM attempts").fetchone()[0]
    if begun is None:
        raise UnusableError("the ledger is empty: there is nothing of ours to compare; or-otel run fills it")
    client = account_client(config)
    if client is None:
        account = read_days(None, ledger, first - ONE_DAY, last + ONE_DAY, now_s)
        if not set(account.days) & set(span(first, last)):
            raise UnusableError(f"set {MANAGEMENT_KEY}: no key is given, and nothing of these days is stored")
        return _compare(None, ledger, config, account, (first, last), begun, by=by, lookup=0)
    with client:
        try:
            account = read_days(client, ledger, first - ONE_DAY, last + ONE_DAY, now_s)
        except WrongKeyError as error:
            api_key, _ = keys_from(os.environ)
            if is_explicit or not api_key:
                raise UnusableError(f"{error}. An inference key tells only its own running periods.") from error
            return _running(client, ledger, api_key, begun, now_s)
        return _compare(client, ledger, config, account, (first, last), begun, by=by, lookup=lookup)


def _compare(
    client: AccountClient | None,
    ledger: sqlite3.Connection,
    config: Config,
    account: AccountDays,
    chosen: Chosen,
    begun_s: float,
    *,
    by: Sequence[str],
    lookup: int,
) -> Found:
    said: list[str] = []
    asked = span(*chosen)
    begun = utc_day(begun_s)
    days = [each for each in asked if each in account.days and each >= begun]
    if early := [each for each in asked if each < begun]:
        said.append(f"The ledger begins on {begun}: {plural(len(early), 'day')} before it cannot be compared.")
    if unknown := [each for each in asked if each >= begun and each not in account.days]:
        said.append(
            f"Nothing is known of {plural(len(unknown), 'day')} ({unknown[0]} to {unknown[-1]}): OpenRouter tells "
            "30 closed days, older ones must have been stored while they were told."
        )
    if not account.is_fresh:
        said.append(f"The account was not asked, for {MANAGEMENT_KEY} is not set: its side is what was stored.")
    if client is not None:
        said += strange_rows_said(client.strange_rows)
    if not days:
        raise UnusableError(" ".join(said))
    since_s, until_s = begin_s(days[0] - ONE_DAY), begin_s(days[-1] + 2 * ONE_DAY)
    left = lookup
    if client is not None and left:
        left = _amend(client, ledger, since_s, until_s, left, said)
    kept = list(entries(ledger, since_s=since_s, until_s=until_s))
    key_map = _key_map(config, account, {entry.key_id for entry in kept if entry.key_id})
    tracked = rebooked(tracked_from(kept, account.rows, key_map.hash_of), account.rows, account.days)
    matched = frozenset(key_map.hash_of.values())
    # With no key matched at all, the account asked may be the wrong one: then everything stays and differs.
    left_out_usd = ZERO
    kinds = {each.key_hash is None for each in tracked}
    if len(kinds) > 1 and _is_whole(account, matched, days):
        strangers = [each for each in tracked if each.key_hash is None]
        marks = sorted({each.entry.key_id or "no key" for each in strangers})
        left_out_usd = total(row.client.total_usd for row in compared(strangers, (), days=days))
        tracked = [each for each in tracked if each.key_hash is not None]
        said.append(
            f"Left out: calls with {', '.join(marks)}. All that the account booked is of keys that were matched, so "
            "these are another account's."
        )
    listed: dict[tuple[date, str], Mapping[str, Billed]] = {}
    agents: Mapping[str, Collection[str]] = {}
    if client is not None:
        cells = [cell for cell in compared(tracked, account.rows, days=days, by=("key",)) if cell.key_hash in matched]
        listed, told = list_generations(client, cells, limit=MAX_LISTS)
        said += told
        tracked = placed(tracked, [bill for bills in listed.values() for bill in bills.values()])
        if left:
            listed, agents = _recognise(client, tracked, listed, left)
    names = {key.hash: key.name or key.label or "" for key in account.keys if key.hash is not None}
    said += _unmatched(key_map, tracked, account, names, days)
    discounts = _discounts(config)
    wholes = compared(tracked, account.rows, days=days, discounts=discounts)
    return Found(
        rows=compared(tracked, account.rows, days=days, by=by, discounts=discounts),
        wholes=wholes,
        causes=explained(tracked, account.rows, days=days, matched=matched, listed=listed, agents=agents),
        key_names=names,
        matched=matched,
        loose=_loose(wholes, compared(tracked, account.rows, days=days, by=("key",)), matched),
        left_out_usd=left_out_usd,
        said=tuple(said),
    )


def _loose(
    wholes: Sequence[Comparison], keyed: Sequence[Comparison], matched: Collection[str]
) -> tuple[Decimal, Decimal]:
    """Give what is tracked and billed beyond the keys that are matched."""
    known = [row for row in keyed if row.key_hash in matched]
    return (
        EXACT.subtract(*(total(row.client.total_usd for row in rows) for rows in (wholes, known))),
        EXACT.subtract(*(total(row.provider.total_usd for row in rows) for rows in (wholes, known))),
    )


def _is_whole(account: AccountDays, matched: Collection[str], days: Collection[date]) -> bool:
    """Whether keys that were matched make up the whole account on these days."""
    wholes = compared((), account.rows, days=days)
    of_matched = [row for row in account.rows if row.key_hash in matched]
    keyed = compared((), [replace(row, key_hash=None) for row in of_matched], days=days)
    return all(whole.provider == each.provider for whole, each in zip(wholes, keyed, strict=True))


def _key_map(config: Config, account: AccountDays, fingerprints: Collection[str]) -> KeyMap:
    held = [key for key in keys_from(os.environ) if key is not None]
    return config.match_keys(account.keys, sorted(fingerprints), held)


def _unmatched(
    key_map: KeyMap,
    tracked: Sequence[Tracked],
    account: AccountDays,
    names: Mapping[str, str],
    days: Collection[date],
) -> list[str]:
    """Name what stands on one side only, and how to join it."""
    spent = {row.key_hash for row in account.rows if row.day in days and row.key_hash is not None}
    lonely = [names.get(each, "") or each for each in key_map.unused_hashes if each in spent]
    used = {each.entry.key_id for each in tracked if each.day in days}
    strange = [mark for mark in key_map.unknown_fingerprints if mark in used]
    if not lonely and not strange:
        return []
    ours = f"fingerprints {', '.join(strange)}" if strange else "no fingerprint"
    theirs = f"keys {', '.join(lonely)}" if lonely else "no key"
    told = f"Not matched: {ours} of our side, {theirs} of the account. Which is which is never guessed: "
    return [told + "put hash and fingerprint of a key into one row of [[keys]] in or-otel.toml."]


def _amend(
    client: AccountClient, ledger: sqlite3.Connection, since_s: float, until_s: float, limit: int, said: list[str]
) -> int:
    """Put prices that the ledger lacks into it; give how many records may still be asked for."""
    waiting = list(unpriced(ledger, since_s=since_s, until_s=until_s))
    learned = missing = 0
    for entry in waiting[:limit]:
        try:
            record = client.generation(entry.generation_id or "")
        except NotFoundError:
            missing += 1
            continue
        learned += amend(ledger, entry.attempt_id, record, learned_at_s=time.time()) is not None
    if waiting:
        told = f"{plural(learned, 'price')} of {len(waiting)} that the ledger lacked learned and noted"
        said.append(told + (f"; {plural(missing, 'record')} not there." if missing else "."))
    return max(0, limit - len(waiting))


def _recognise(
    client: AccountClient,
    tracked: Sequence[Tracked],
    listed: Mapping[tuple[date, str], Mapping[str, Billed]],
    limit: int,
) -> tuple[dict[tuple[date, str], Mapping[str, Billed]], Mapping[str, Collection[str]]]:
    """Look up how the clients of unseen generations name themselves, and those of some that were seen."""
    ours: dict[str, list[str]] = defaultdict(list)
    for each in tracked:
        if each.key_hash is not None and each.entry.generation_id is not None:
            ours[each.key_hash].append(each.entry.generation_id)
    seen = {name for names in ours.values() for name in names}
    unseen = {place: [name for name in bills if name not in seen] for place, bills in listed.items()}
    agents: dict[str, set[str]] = defaultdict(set)
    left = limit
    for key_hash in dict.fromkeys(key_hash for (_, key_hash), names in unseen.items() if names):
        samples = ours[key_hash]
        for name in samples[:: max(1, len(samples) // SAMPLES)][: min(SAMPLES, left)]:
            left -= 1
            if (agent := _agent(client, name)) is not None:
                agents[key_hash].add(agent)
    told: dict[tuple[date, str], Mapping[str, Billed]] = {}
    for place, bills in listed.items():
        named = dict(bills)
        for name in unseen[place][: max(0, left)]:
            left -= 1
            named[name] = replace(bills[name], user_agent=_agent(client, name))
        told[place] = named
    return told, agents


def _agent(client: AccountClient, generation_id: str) -> str | None:
    try:
        return client.generation(generation_id).user_agent
    except NotFoundError:
        return None


# An inference key -----------------------------------------------------------------------------------------------------


def _running(client: AccountClient, ledger: sqlite3.Connection, api_key: str, begun_s: float, now_s: float) -> Found:
    """Compare the running periods of the one key that asks: all that an inference key may know."""
    mark = key_fingerprint(api_key)
    key = client.key()
    today = utc_day(now_s)
    begins = {"day": today, "week": today - timedelta(days=today.weekday()), "month": today.replace(day=1)}
    rows: list[Comparison] = []
    said = [INFERENCE_ONLY]
    for period in PERIODS:
        begin = begin_s(begins[period])
        credits_usd = {"day": key.credits.daily_usd, "week": key.credits.weekly_usd, "month": key.credits.monthly_usd}
        byok_usd = {"day": key.byok.daily_usd, "week": key.byok.weekly_usd, "month": key.byok.monthly_usd}
        gauge = credits_usd[period]
        if gauge is None:
            continue
        mine = [entry for entry in entries(ledger, since_s=begin - DAY_S) if entry.key_id == mark]
        tracked = [each for each in tracked_from(mine, (), {}) if each.day >= begins[period]]
        sides = compared([replace(each, day=begins[period]) for each in tracked], (), days=[begins[period]])
        row = replace(
            sides[0],
            fingerprint=mark,
            model=f"running {period}",
            provider=Side(
                requests=sides[0].client.requests, credits_usd=gauge, byok_usd=byok_usd[period] or Decimal(0)
            ),
        )
        if begun_s > begin and not row.is_equal:
            said.append(f"The ledger begins after the {period} did: that the sums differ says nothing.")
            continue
        rows.append(row)
    if not rows:
        raise UnusableError(" ".join(said))
    return Found(rows=tuple(rows), wholes=(), causes={}, key_names={}, said=tuple(said))


# An invoice -----------------------------------------------------------------------------------------------------------


def with_invoice(
    path: Path,
    columns: str,
    provider: str | None,
    ledger: sqlite3.Connection,
    config: Config,
    *,
    chosen: Chosen | None,
) -> Found:
    """Compare the BYOK ledger with a provider's own bill.

    Raises:
        UnusableError: Nothing can be compared.
        InvoiceError: The file cannot be read as a bill.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnusableError(f"{path}: {error.strerror}") from error
    lines = read_invoice(text, columns, where=path.name)
    if chosen is not None:
        lines = tuple(line for line in lines if chosen[0] <= line.day <= chosen[1])
    if not lines:
        raise UnusableError(f"{path.name}: no line of these days; expected at least one")
    if provider is None:
        raise click.UsageError("--invoice: say with --provider whose it is, as OpenRouter displays it: Anthropic")
    first, last = min(line.day for line in lines), max(line.day for line in lines)
    if first < FIRST_DAY or last.year > utc_day(time.time()).year + 1:
        strange = first if first < FIRST_DAY else last
        raise UnusableError(f"{path.name}: a line is of {strange}; expected days from {FIRST_DAY} to today")
    kept = entries(ledger, since_s=begin_s(first - ONE_DAY), until_s=begin_s(last + 2 * ONE_DAY))
    found = compared_invoice(kept, lines, provider=provider, discounts=_discounts(config))
    if not found.calls:
        raise UnusableError(
            f"the ledger has no BYOK call served by {provider!r} from {first} to {last}; "
            f"served by own keys were: {', '.join(found.providers) or 'nobody'}"
        )
    return Found(rows=found.rows, wholes=found.wholes, causes={}, key_names={})
