"""Calls of the ledger and days of the account → closed days from both sides, for metrics and notices. Pure.

Per key where a key is known on both sides; what could not be matched is one row without a key, so that the rows of a
day always add up to the account's day. The comparison itself is `reports.reconciliation`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from or_otel.account.readings import NamedKey, ReconciledDay
from or_otel.accounts import ActivityRow
from or_otel.entries import Entry
from or_otel.facts import EXACT
from or_otel.notices.rules import ClosedDay
from or_otel.reports.reconciliation import compared, rebooked, tracked_from

COMPARED_DAYS = 7


def reconciled_days(
    attempts: Iterable[Entry],
    rows: Sequence[ActivityRow],
    days: Sequence[date],
    keys: Mapping[str, NamedKey],
    hash_of: Mapping[str, str],
) -> tuple[ReconciledDay, ...]:
    """Compare closed days.

    Args:
        attempts: From a day before the first day to a day after the last.
        rows: What the account booked: its own rows, and those of single keys.
        days: Closed days that both sides know whole.
        keys: The account's keys, by hash.
        hash_of: Fingerprint → hash.

    Returns:
        For each day the keys known on both sides, and a row without key for the rest, if there is any.
    """
    tracked = rebooked(tracked_from(attempts, rows, hash_of), rows, days)
    told = {row.key_hash for row in rows if row.key_hash is not None}
    matched = {key_hash for key_hash in hash_of.values() if key_hash in keys and key_hash in told}
    whole = {each.day: each for each in compared(tracked, rows, days=days)}
    found: list[ReconciledDay] = []
    left = {day: (each.client.total_usd, each.provider.total_usd) for day, each in whole.items()}
    for each in compared(tracked, rows, days=days, by=("key",)):
        if each.key_hash in matched:
            client, provider = each.client.total_usd, each.provider.total_usd
            found.append(ReconciledDay(day=each.day, key=keys[each.key_hash], client_usd=client, provider_usd=provider))
            rest_client, rest_provider = left[each.day]
            left[each.day] = (EXACT.subtract(rest_client, client), EXACT.subtract(rest_provider, provider))
    for day, (client, provider) in left.items():
        if client or provider or not matched:
            found.append(ReconciledDay(day=day, client_usd=client, provider_usd=provider))
    return tuple(sorted(found, key=lambda each: each.day))


def closed_days(reconciled: Iterable[ReconciledDay]) -> tuple[ClosedDay, ...]:
    """Add up the keys of each day."""
    days: dict[date, ClosedDay] = {}
    for each in reconciled:
        before = days.get(each.day)
        client, provider = each.client_usd, each.provider_usd
        if before is not None:
            client = EXACT.add(before.client_usd, client)
            provider = EXACT.add(before.provider_usd, provider)
        days[each.day] = ClosedDay(day=each.day, client_usd=client, provider_usd=provider)
    return tuple(days.values())
