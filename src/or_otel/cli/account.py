"""`or-otel account`: how the account stands, and closed days by any dimension; needs no instrumentation."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import click
from rich.console import Group
from rich.text import Text

from or_otel.account.client import AccountClient
from or_otel.account.errors import AccountError
from or_otel.account.history import DAYS
from or_otel.account.poller import Snapshot
from or_otel.accounts import AccountKey, ActivityRow, AnalyticsRow, Credits
from or_otel.cli.asking import (
    activity_of_keys,
    hidden_said,
    management_client,
    owner_of,
    patiently,
    say_strange_rows,
    say_troubles,
    snapshot_of,
)
from or_otel.cli.options import (
    account_client,
    account_options,
    check_formats,
    console,
    format_options,
    now_s,
    print_json,
    settings_from,
)
from or_otel.config import Config
from or_otel.config.keys import NOBODY as NO_ASSIGNMENT
from or_otel.days import DAY_S, begin_s, utc_day
from or_otel.reports.account import Told, figures, key_name, overview, sections, to_json
from or_otel.reports.activity import left_over
from or_otel.reports.sections import render_section
from or_otel.reports.split import (
    ANALYTICS_METRICS,
    ANALYTICS_NAMES,
    BY_ANALYTICS,
    DIMENSIONS,
    NOBODY,
    OWNERS,
    Split,
    split_by_analytics,
    split_by_rows,
    split_note,
    split_table,
)
from or_otel.reports.tables import render, to_csv, to_rows

MAX_DIMENSIONS = 2
"""What one question to the analytics API may hold, beside days."""
MAX_ROWS = 10_000
"""The most it gives at once."""
GONE = "(deleted keys)"


@click.command("account")
@click.option(
    "--by",
    default="",
    metavar="KEYS",
    help=f"Closed days by comma: {', '.join(DIMENSIONS)}.",
)
@click.option(
    "--days",
    type=click.IntRange(1, DAYS),
    default=DAYS,
    show_default=True,
    help="With --by: so many closed days back; OpenRouter tells no more.",
)
@format_options
@account_options
def account_command(
    *, by: str, days: int, is_json: bool, is_csv: bool, config_path: Path | None, base_url: str | None
) -> None:
    """Balance, spending, pace, forecast and runway, straight from the account; no instrumentation needed.

    \b
    or-otel account
    or-otel account --by company,model --csv > companies.csv
    or-otel account --by app

    Asks with OPENROUTER_MANAGEMENT_KEY, which sees the account, or OPENROUTER_API_KEY, which sees itself (or the
    same names with _FILE). Whose key is which says or-otel.toml.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    check_formats(is_json=is_json, is_csv=is_csv)
    names = _dimensions(by)
    config = settings_from(config_path, base_url)
    with management_client(account_client(config)) as client:
        if names:
            _show_split(_split(client, config, names, days), is_json=is_json, is_csv=is_csv)
        else:
            _show_overview(client, is_json=is_json, is_csv=is_csv)


def _dimensions(by: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in by.split(",") if name.strip()))
    for name in names:
        if name not in DIMENSIONS:
            near = difflib.get_close_matches(name, DIMENSIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(DIMENSIONS)}"
            raise click.UsageError(f"--by {name!r}: {hint}")
    asked = [name for name in names if name in BY_ANALYTICS]
    if asked:
        owners = [name for name in names if name in OWNERS and name != "key"]
        if owners:
            raise click.UsageError(
                f"--by {owners[0]},{asked[0]}: the account does not tell both of one call; ask for key,{asked[0]}"
            )
        if len([name for name in names if name != "day"]) > MAX_DIMENSIONS:
            raise click.UsageError(f"--by with {asked[0]}: expected at most two dimensions, and day")
    return names


# The overview ---------------------------------------------------------------------------------------------------------


def told_by(snapshot: Snapshot) -> Told:
    """Give what a report of the account is made from."""
    key = snapshot.key
    credits_seen: Credits | None = None if snapshot.credits is None else snapshot.credits.value
    seen = snapshot.keys or key
    return Told(
        at_s=now_s() if seen is None else seen.at_s,
        kind=snapshot.key_kind,
        credits=credits_seen,
        key=None if key is None or key.value.is_management else key.value,
        keys=None if snapshot.keys is None else snapshot.keys.value,
        activity=None if snapshot.activity is None else snapshot.activity.value,
    )


def _show_overview(client: AccountClient, *, is_json: bool, is_csv: bool) -> None:
    snapshot = snapshot_of(client, ("key", "workspaces", "keys", "credits", "activity"))
    shown = overview(told_by(snapshot))
    say_troubles(snapshot)
    hidden = hidden_said(snapshot)
    notes = [hidden] if hidden is not None else []
    if shown.is_whole and shown.told.key is None:
        notes.append("Free-model requests are told of the asking key only: set OPENROUTER_API_KEY too to see them.")
    if is_json:
        print_json({**to_json(shown), "notes": notes})
    elif is_csv:
        click.echo(to_csv(figures(shown)), nl=False)
    else:
        console().print(Group(*map(render_section, sections(shown)), *(Text(note, style="dim") for note in notes)))


# By dimension ---------------------------------------------------------------------------------------------------------


def _split(client: AccountClient, config: Config, by: Sequence[str], days: int) -> Split:
    today = utc_day(now_s())
    between = (today - timedelta(days=days), today)
    try:
        if any(name in BY_ANALYTICS for name in by):
            split = _by_analytics(client, by, between)
        else:
            split = _by_rows(client, config, by, between)
    except AccountError as error:
        raise click.ClickException(str(error)) from None
    say_strange_rows(client.strange_rows)
    return split


def _by_rows(client: AccountClient, config: Config, by: Sequence[str], between: tuple[date, date]) -> Split:
    at_s = now_s()
    whole = patiently(client.activity).rows
    if not any(name in OWNERS for name in by) and "day" not in by:
        return split_by_rows(whole, by, keys=(), labels={}, between=between, at_s=at_s)
    keys = patiently(lambda: client.keys(room.id for room in client.workspaces()))
    rows: tuple[ActivityRow, ...] = whole
    if any(name in OWNERS for name in by):
        parts: list[ActivityRow] = []
        for _, told in activity_of_keys(client, keys):
            if isinstance(told, AccountError):
                raise told
            parts += told.rows
        rows = (*parts, *left_over(whole, parts))
    return split_by_rows(rows, by, keys=keys, labels=labels_of(config, keys), between=between, at_s=at_s)


def labels_of(config: Config, keys: Sequence[AccountKey]) -> Mapping[str | None, Mapping[str, str]]:
    """Give whose each key is, by its hash; what no key explains is that of deleted ones."""
    owner = owner_of(config, keys)
    found: dict[str | None, Mapping[str, str]] = {
        key.hash: {**owner(key).labels, "key": key_name(key)} for key in keys if key.hash is not None
    }
    return {**found, None: {**NO_ASSIGNMENT.labels, "key": GONE}}


def _by_analytics(client: AccountClient, by: Sequence[str], between: tuple[date, date]) -> Split:
    offered = patiently(client.analytics_meta)
    dimensions = [ANALYTICS_NAMES[name] for name in by if name != "day"]
    for name, wanted in zip((name for name in by if name != "day"), dimensions, strict=True):
        if wanted not in offered.dimensions:
            known = ", ".join(sorted(offered.dimensions)) or "none"
            raise click.ClickException(
                f"/analytics/meta: this account is not told by {name} ({wanted!r}); offered are {known}"
            )
    metrics = [name for name in ANALYTICS_METRICS.values() if name in offered.metrics]
    if ANALYTICS_METRICS["credits_usd"] not in metrics:
        raise click.ClickException("/analytics/meta: offers no 'credits_usage'; or-otel account --by model needs none")
    at_s = now_s()
    first_s, midnight_s = map(begin_s, between)

    def rows(between_s: tuple[float, float]) -> tuple[AnalyticsRow, ...]:
        granularity = "day" if "day" in by else None
        listing = patiently(
            lambda: client.analytics(metrics, dimensions, granularity=granularity, between_s=between_s, limit=MAX_ROWS)
        )
        if listing.is_truncated:
            raise click.ClickException(f"more than {MAX_ROWS:,} rows: ask for fewer --days or dimensions")
        return listing.rows

    closed = rows((first_s, midnight_s))
    running = rows((midnight_s, midnight_s + DAY_S))
    return split_by_analytics(closed, running, by, between=between, at_s=at_s)


def _show_split(split: Split, *, is_json: bool, is_csv: bool) -> None:
    if is_json:
        print_json(
            {
                "version": 1,
                "by": split.by,
                "since": split.since.isoformat(),
                "until": split.until.isoformat(),
                "as_of_s": split.at_s,
                "rows": to_rows(split_table(split)),
            }
        )
    elif is_csv:
        click.echo(to_csv(split_table(split)), nl=False)
    else:
        console().print(render(split_table(split, nobody=NOBODY), caption=split_note(split)))
