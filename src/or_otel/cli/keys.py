"""`or-otel keys`: whose is which key of the account, and which ones want a look."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from rich.console import Group
from rich.text import Text

from or_otel.accounts import AccountKey
from or_otel.cli.asking import hidden_said, management_client, own_fingerprint, say_troubles, snapshot_of
from or_otel.cli.options import (
    account_client,
    account_options,
    check_formats,
    console,
    format_options,
    fresh_ledger,
    keys_from,
    ledger_option,
    now_s,
    print_json,
    settings_from,
)
from or_otel.config import Config
from or_otel.config.keys import ambiguities
from or_otel.ledger.queries import entries
from or_otel.reports.keys import UNUSED_S, Uses, review, sections, table, to_json
from or_otel.reports.sections import render_section
from or_otel.reports.tables import to_csv


@click.command("keys")
@format_options
@account_options
@ledger_option
def keys_command(*, is_json: bool, is_csv: bool, config_path: Path | None, base_url: str | None, folder: Path) -> None:
    """Whose is which key, and which ones want a look, the most important first.

    \b
    or-otel keys
    or-otel keys --csv > keys.csv

    Looked for: limits reached or near, keys without a limit or an end, unused for 30 days, expiring in 14,
    switched off, assigned to nobody by or-otel.toml, used by several services (as the local ledger saw it).
    Nothing is changed at OpenRouter.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    check_formats(is_json=is_json, is_csv=is_csv)
    config = settings_from(config_path, base_url)
    with management_client(account_client(config)) as client:
        snapshot = snapshot_of(client, ("key", "workspaces", "keys"))
    say_troubles(snapshot)
    hidden = hidden_said(snapshot)
    notes = [] if hidden is None else [hidden]
    own = () if snapshot.key is None or snapshot.key.value.is_management else (snapshot.key.value,)
    keys = own if snapshot.keys is None else snapshot.keys.value
    uses, now = Uses(), now_s()
    with fresh_ledger(folder) as ledger:
        for entry in entries(ledger, since_s=now - UNUSED_S):
            uses.add(entry)
    shown = review(
        keys,
        assign=config.assign,
        fingerprint_of=_fingerprints(config, keys, uses),
        uses=uses.found,
        now_s=now,
        is_whole=snapshot.keys is not None,
        ambiguities=ambiguities(config.keys, keys),
    )
    if is_json:
        print_json({**to_json(shown), "notes": notes})
    elif is_csv:
        click.echo(to_csv(table(shown)), nl=False)
    else:
        console().print(Group(*map(render_section, sections(shown)), *(Text(note, style="dim") for note in notes)))


def _fingerprints(config: Config, keys: Sequence[AccountKey], uses: Uses) -> Callable[[AccountKey], str | None]:
    """Give what tells the fingerprint of a key; the asking key, whose hash `/key` does not tell, is at hand."""
    held = [key for key in keys_from(os.environ) if key is not None]
    found = config.match_keys(keys, uses.found, held)
    marks = {key_hash: mark for mark, key_hash in found.hash_of.items()}
    own = own_fingerprint()
    return lambda key: own if key.hash is None else marks.get(key.hash)
