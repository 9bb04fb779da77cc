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

from or_otel.accounts import DEFAULT_BASE_URL
from or_otel.cli.options import console, ledger_option, print_json
from or_otel.doctor import Check, State
from or_otel.doctor.live import DEFAULT_MODEL, Patient, account, live_call
from or_otel.doctor.surroundings import surroundings
from or_otel.settings import read_settings
from or_otel.wire.requests import key_fingerprint

KEY = "OPENROUTER_API_KEY"
BASE_URL = "OR_OTEL_BASE_URL"
STYLES = {"ok": "green", "info": "cyan", "warn": "yellow", "fail": "bold red"}


@click.command("doctor")
@click.option("--key", "asks_key", is_flag=True, help=f"Also ask the API what kind of key ${KEY} is.")
@click.option("--live", "is_live", is_flag=True, help="Also make one call, and hold it against its generation record.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model of the live call.")
@click.option("--json", "is_json", is_flag=True, help="Print the checks as JSON.")
@ledger_option
def doctor_command(*, asks_key: bool, is_live: bool, model: str, is_json: bool, folder: Path) -> None:
    """Check packages, clients, settings, export and ledger; say what is wrong and what would be right.

    \b
    or-otel doctor                           looks at this machine only
    or-otel doctor --live                    and makes one call of a free model
    or-otel doctor --live --model MODEL      or of one that costs something

    Exits with 1 when something failed. Prints no key, no prompt and no answer.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    checks = [*surroundings(os.environ, folder.expanduser()), *_asked(asks_key=asks_key, is_live=is_live, model=model)]
    states = Counter(check.state for check in checks)
    if is_json:
        print_json({"version": 1, "failed": states["fail"], "checks": [asdict(check) for check in checks]})
    else:
        _print(checks)
        click.echo(f"\n{states['fail']} failed, {states['warn']} to look at, {states['ok'] + states['info']} in order")
    sys.exit(1 if states["fail"] else 0)


def _asked(*, asks_key: bool, is_live: bool, model: str) -> Iterator[Check]:
    """Give the checks that need the API."""
    api_key = os.environ.get(KEY, "").strip()
    base_url = os.environ.get(BASE_URL, "").strip().rstrip("/") or DEFAULT_BASE_URL
    if not base_url.startswith(("http://", "https://")):
        remedy = f"{BASE_URL}={DEFAULT_BASE_URL}"
        yield Check(topic="account", name=BASE_URL, state="fail", sentence="is no http URL", remedy=remedy)
    elif not api_key:
        state: State = "fail" if asks_key or is_live else "info"
        yield Check(topic="account", name=KEY, state=state, sentence="is not set", remedy=f"export {KEY}=sk-or-v1-…")
    elif asks_key or is_live:
        patient = Patient(base_url=base_url, api_key=api_key, settings=read_settings(os.environ))
        yield from account(patient)
        if is_live:
            yield from live_call(patient, model)
    else:
        said = f"is set (fingerprint {key_fingerprint(api_key) or 'unreadable'}); --key or --live asks what it may do"
        yield Check(topic="account", name=KEY, state="info", sentence=said)


def _print(checks: list[Check]) -> None:
    table = Table.grid(padding=(0, 2))
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
