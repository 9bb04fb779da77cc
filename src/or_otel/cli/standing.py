"""Budgets for commands: what the account told and what the ledger holds, read for `reports.standings`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from or_otel.account.history import read_keys, store_keys
from or_otel.account.poller import Snapshot
from or_otel.account.schedule import Endpoint
from or_otel.accounts import AccountKey
from or_otel.budgets import Spending
from or_otel.cli.asking import own_fingerprint, owner_of
from or_otel.cli.options import fresh_ledger
from or_otel.config import Config
from or_otel.ledger.queries import entries
from or_otel.reports.spendings import LedgerSpendings
from or_otel.reports.standings import Standing, account_spendings, since_s, standings

ENDPOINTS: tuple[Endpoint, ...] = ("key", "workspaces", "keys")
"""What budgets need of the account."""


def standings_of(config: Config, snapshot: Snapshot | None, folder: Path, now_s: float) -> tuple[Standing, ...]:
    """Say how the budgets of the settings file stand.

    Args:
        config: With the budgets.
        snapshot: What the account told; None where there is no key.
        folder: Of the local ledger. The keys that were listed are kept there, for when they are deleted.
        now_s: The moment.
    """
    seen = () if snapshot is None else (snapshot.key, snapshot.keys)
    # The moment was taken before the questions were; what they tell is not of the future.
    now_s = max([now_s, *(each.at_s for each in seen if each is not None)])
    with fresh_ledger(folder) as ledger:
        account = None if snapshot is None else _of_account(config, snapshot, ledger)
        tracked = _of_ledger(config, ledger, now_s, is_account_known=account is not None)
    return standings(
        config.budgets,
        account=account,
        ledger=tracked,
        own_key=() if snapshot is None else _of_own_key(config, snapshot),
        now_s=now_s,
    )


def _of_account(config: Config, snapshot: Snapshot, ledger: sqlite3.Connection) -> tuple[Spending, ...] | None:
    if snapshot.keys is None:
        return None
    seen = snapshot.keys
    store_keys(ledger, seen.value, seen.at_s)
    here = {key.hash for key in seen.value}
    known = read_keys(ledger)
    owner = owner_of(config, tuple(each.key for each in known))
    return account_spendings(
        seen.value,
        at_s=seen.at_s,
        labels_of=lambda key: owner(key).labels,
        gone=[(each.key, each.last_seen_s) for each in known if each.key.hash not in here],
    )


def _of_own_key(config: Config, snapshot: Snapshot) -> tuple[Spending, ...]:
    seen = snapshot.key
    if seen is None or seen.value.is_management:
        return ()
    labels = own_labels(config, seen.value)
    return account_spendings((seen.value,), at_s=seen.at_s, labels_of=lambda _: labels)


def own_labels(config: Config, key: AccountKey) -> Mapping[str, str]:
    """Give whose the asking key is: `/key` tells neither hash nor name of it."""
    return config.assign(key, own_fingerprint()).labels


def _of_ledger(
    config: Config, ledger: sqlite3.Connection, now_s: float, *, is_account_known: bool
) -> tuple[Spending, ...]:
    asked = [budget for budget in config.budgets if budget.source == "client" or not is_account_known]
    if not asked:
        return ()
    sums = LedgerSpendings(asked, at_s=now_s, is_account_known=is_account_known)
    labels: dict[str | None, Mapping[str, str]] = {}
    for entry in entries(ledger, since_s=since_s(asked, now_s)):
        if entry.key_id not in labels:
            labels[entry.key_id] = config.assign(None, entry.key_id).labels
        sums.add(entry, labels[entry.key_id])
    return sums.spendings()
