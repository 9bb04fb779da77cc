"""`or-otel ledger`: where the local data is, how much, and how to get rid of it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from or_otel.cli.options import Moment, fresh_ledger, ledger_option, print_json, telling_errors
from or_otel.ledger import DATABASE
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import where_from
from or_otel.ledger.retention import KEEP_DAYS, MAX_BYTES, erase, erase_where, pack, prune
from or_otel.reports.money import plural


@click.group("ledger")
def ledger_command() -> None:
    """The local file behind the reports.

    Watched programs append to journals; every report imports them into ledger.db, which
    holds no prompt, no answer and no key. It keeps 90 days and at most 512 MiB.
    """


@ledger_command.command("path")
@ledger_option
def path_command(*, folder: Path) -> None:
    """Print the ledger's folder."""
    click.echo(folder)


@ledger_command.command("import")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@ledger_option
def import_command(*, folder: Path, is_json: bool) -> None:
    """Import what the journals hold; every report does so too."""
    with telling_errors():
        done = import_journals(folder)
    if is_json:
        print_json(
            {
                "lines": done.lines,
                "repeated": done.repeated,
                "broken": done.broken,
                "deleted_journals": done.deleted,
                "problems": list(done.problems),
            }
        )
        return
    click.echo(
        f"{plural(done.lines, 'new attempt')}, {done.repeated} known already, {plural(done.broken, 'broken line')}"
    )
    for problem in done.problems:
        click.echo(f"not read: {problem}", err=True)


@ledger_command.command("prune")
@click.option(
    "--older-than", type=Moment(), default=f"{KEEP_DAYS}d", show_default=True, help="90m, 24h, 7d, 4w, or a date (UTC)."
)
@ledger_option
def prune_command(*, older_than: float, folder: Path) -> None:
    """Delete calls that began before a moment."""
    with fresh_ledger(folder) as ledger:
        deleted = prune(ledger, older_than_s=older_than)
        pack(ledger)
    click.echo(f"{plural(deleted, 'attempt')} deleted")


@ledger_command.command("erase")
@click.option("--where", multiple=True, metavar="KEY=VALUE", help="Erase only these calls, such as customer=acme.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@ledger_option
def erase_command(*, where: tuple[str, ...], yes: bool, folder: Path) -> None:
    """Delete everything, or all calls with a tag."""
    what = f"all calls with {' and '.join(where)}" if where else "everything"
    if not yes:
        click.confirm(f"Erase {what} in {folder}?", abort=True, err=True)
    with telling_errors():
        if not where:
            click.echo(f"{plural(len(erase(folder)), 'file')} deleted")
            return
        count, left = erase_where(folder, where_from(where), now_s=time.time())
    click.echo(f"{plural(count, 'attempt')} deleted")
    if left:
        click.echo(f"These journals may belong to running programs and keep their lines: {', '.join(left)}", err=True)


@ledger_command.command("stats")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
@ledger_option
def stats_command(*, folder: Path, is_json: bool) -> None:
    """Say what the ledger holds."""
    with fresh_ledger(folder) as ledger:
        attempts, calls, first_s, last_s = ledger.execute(
            "SELECT count(*), count(DISTINCT call_id), min(call_started_at_s), max(call_started_at_s) FROM attempts"
        ).fetchone()
        tags = [key for (key,) in ledger.execute("SELECT key FROM tag_keys ORDER BY key")]
        size = (folder / DATABASE).stat().st_size
        journals = sum(1 for _ in folder.glob("*.jsonl"))
    if is_json:
        print_json(
            {
                "folder": str(folder),
                "attempts": attempts,
                "calls": calls,
                "first_s": first_s,
                "last_s": last_s,
                "tags": tags,
                "bytes": size,
                "journals": journals,
            }
        )
        return
    click.echo(f"{folder}: {plural(calls, 'call')}, {plural(attempts, 'attempt')}, {plural(journals, 'journal')}")
    click.echo(f"size     {size / 1024**2:.1f} MiB of at most {MAX_BYTES // 1024**2}")
    if attempts:
        click.echo(f"period   {_day(first_s)} to {_day(last_s)}, kept {KEEP_DAYS} days")
    if tags:
        click.echo(f"tags     {', '.join(tags)}")


def _day(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
