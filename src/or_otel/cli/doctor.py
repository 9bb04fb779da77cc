"""`or-otel doctor`: looks whether everything is in order, and with `--live` proves it by one call."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from or_otel.account.errors import API_KEY, KEY_PAGES
from or_otel.cli.options import (
    SettingsProblem,
    account_options,
    console,
    keys_from,
    ledger_option,
    print_json,
    settings_from,
)
from or_otel.doctor import Check, State
from or_otel.doctor.live import DEFAULT_MODEL, Patient, account, live_call
from or_otel.doctor.surroundings import surroundings
from or_otel.settings import read_settings
from or_otel.wire.requests import key_fingerprint

STYLES = {"ok": "green", "info": "cyan", "warn": "yellow", "fail": "bold red"}


@click.command("doctor")
@click.option("--key", "asks_key", is_flag=True, help="Also ask the API what kind of key the one at hand is.")
@click.option("--live", "is_live", is_flag=True, help="Also make one call, and hold it against its generation record.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model of the live call.")
@click.option("--json", "is_json", is_flag=True, help="Print the checks as JSON.")
@account_options
@ledger_option
def doctor_command(
    *,
    asks_key: bool,
    is_live: bool,
    model: str,
    is_json: bool,
    config_path: Path | None,
    base_url: str | None,
    folder: Path,
) -> None:
    """Check packages, clients, settings, export and ledger; say what is wrong and what would be right.

    \b
    or-otel doctor                           looks at this machine only
    or-otel doctor --live                    and makes one call of a free model
    or-otel doctor --live --model MODEL      or of one that costs something

    The key is OPENROUTER_API_KEY, or what OPENROUTER_API_KEY_FILE holds; --key takes
    the management key where that is the only one. Exits with 1 when something failed.
    Prints no key, no prompt and no answer.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    checks = list(surroundings(os.environ, folder.expanduser()))
    try:
        config = settings_from(config_path, base_url)
        api_key, management_key = keys_from(os.environ)
    except SettingsProblem as problem:
        checks.append(Check(topic="account", name="settings", state="fail", sentence=problem.message))
    else:
        asking = api_key or (None if is_live else management_key)
        url = config.account.base_url
        checks += _asked(asking, url, asks_key=asks_key, is_live=is_live, model=model)
    states = Counter(check.state for check in checks)
    if is_json:
        print_json({"version": 1, "failed": states["fail"], "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
        click.echo(f"\n{states['fail']} failed, {states['warn']} to look at, {states['ok'] + states['info']} in order")
    sys.exit(1 if states["fail"] else 0)


def _asked(key: str | None, base_url: str, *, asks_key: bool, is_live: bool, model: str) -> Iterator[Check]:
    """Give the checks that need the API."""
    if key is None:
        state: State = "fail" if asks_key or is_live else "info"
        remedy = f"export {API_KEY}=sk-or-v1-…, from {KEY_PAGES[API_KEY]}; or name a file in {API_KEY}_FILE"
        yield Check(topic="account", name=API_KEY, state=state, sentence="is not set", remedy=remedy)
    elif asks_key or is_live:
        patient = Patient(base_url=base_url, api_key=key, settings=read_settings(os.environ))
        yield from account(patient)
        if is_live:
            yield from live_call(patient, model)
    else:
        said = f"fingerprint {key_fingerprint(key) or 'unreadable'}; --key asks {base_url} what it may do"
        yield Check(topic="account", name="key", state="info", sentence=said)


def _print(checks: list[Check]) -> None:
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(overflow="fold")
    topic = ""
    for check in checks:
        shown = Text(check.sentence)
        if check.remedy is not None:
            shown.append(f"\n→ {check.remedy}", style="italic")
        if check.came:
            shown.append(f"\ncame: {', '.join(check.came)}", style="dim")
        heading = "" if check.topic == topic else check.topic
        topic = check.topic
        table.add_row(Text(check.state, style=STYLES[check.state]), Text(heading, style="bold"), check.name, shown)
    console().print(table)
