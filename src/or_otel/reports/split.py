"""Closed days, and the running one where it is known → what was spent by model, key, company, app, member, day.

Pure. Rows of `/activity` answer models, providers and days, with a key each also whose it is; apps, members and
workspaces only the analytics API knows. The running day is in no activity row: it is told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from or_otel.accounts import AccountKey, ActivityRow, AnalyticsRow
from or_otel.facts import ZERO, total
from or_otel.reports.activity import ActivitySums, RowDimension, dearest_first, grouped, joined
from or_otel.reports.money import usd
from or_otel.reports.tables import Column, Table

OWNERS = ("key", "company", "team", "environment", "product", "owner")
"""Dimensions that a key answers, so that the running day is known by them."""
BY_ROW: Mapping[str, RowDimension] = {
    "model": lambda row: row.model,
    "provider": lambda row: row.provider,
    "day": lambda row: row.day.isoformat(),
}
BY_ANALYTICS = {"app": "app", "member": "user", "workspace": "workspace"}
"""Dimensions that only the analytics API answers, by its own names."""
DIMENSIONS = (*BY_ROW, *OWNERS, *BY_ANALYTICS)
NOBODY = "(none)"
"""For people, where nobody says; programs get nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Closed days by dimensions.

    Attributes:
        by: Names of the dimensions.
        groups: Sums of closed days.
        today: What was spent since midnight; None where it is not known by these dimensions.
        since, until: Closed days, the second not included.
        at_s: As of when.
    """

    by: tuple[str, ...]
    groups: Mapping[tuple[str | None, ...], ActivitySums]
    today: Mapping[tuple[str | None, ...], Decimal] | None
    since: date
    until: date
    at_s: float


def row_dimensions(by: Sequence[str], labels: Mapping[str | None, Mapping[str, str]]) -> tuple[RowDimension, ...]:
    """Give what reads the dimensions from activity rows.

    Args:
        by: Names, none of them the analytics API's.
        labels: Key hash → `key`, `company`, `team`, … of that key.
    """

    def owner(name: str) -> RowDimension:
        return lambda row: labels.get(row.key_hash, {}).get(name)

    return tuple(BY_ROW.get(name) or owner(name) for name in by)


def split_by_rows(
    rows: Iterable[ActivityRow],
    by: Sequence[str],
    *,
    keys: Sequence[AccountKey],
    labels: Mapping[str | None, Mapping[str, str]],
    between: tuple[date, date],
    at_s: float,
) -> Split:
    """Add up activity rows; the running day comes from the keys' gauges where keys answer all dimensions.

    Args:
        rows: Of closed days.
        by: Dimensions.
        keys: Keys of the account, for the running day.
        labels: Key hash → whose it is.
        between: First day and the day after the last one.
        at_s: When keys were asked.
    """
    since, until = between
    chosen = [row for row in rows if since <= row.day < until]
    dimensions = row_dimensions(by, labels)
    today: dict[tuple[str | None, ...], Decimal] | None = None
    groups = grouped(chosen, dimensions)
    gauges = [gauge for key in keys for gauge in (key.credits.daily_usd, key.byok.daily_usd)]
    if by and set(by) <= {*OWNERS, "day"} and None not in gauges:
        today = {}
        for key in keys:
            running = ActivityRow(day=until, key_hash=key.hash)
            group = tuple(dimension(running) for dimension in dimensions)
            today[group] = total((today.get(group), key.credits.daily_usd, key.byok.daily_usd))
        for group, amount in today.items():
            if amount:
                groups.setdefault(group, ActivitySums(credits_usd=ZERO, byok_usd=ZERO))
    return Split(by=tuple(by), groups=groups, today=today, since=since, until=until, at_s=at_s)


def split_by_analytics(
    rows: Iterable[AnalyticsRow],
    today: Iterable[AnalyticsRow],
    by: Sequence[str],
    *,
    between: tuple[date, date],
    at_s: float,
) -> Split:
    """Add up rows of the analytics API, of closed days and of the running one."""
    closed: dict[tuple[str | None, ...], ActivitySums] = {}
    for group, sums in (_analytics_sums(row, by) for row in rows):
        closed[group] = joined(closed[group], sums) if group in closed else sums
    running: dict[tuple[str | None, ...], Decimal] = {}
    for group, sums in (_analytics_sums(row, by) for row in today):
        running[group] = total((running.get(group), sums.total_usd))
        closed.setdefault(group, ActivitySums(credits_usd=ZERO, byok_usd=ZERO))
    return Split(by=tuple(by), groups=closed, today=running, since=between[0], until=between[1], at_s=at_s)


ANALYTICS_METRICS: Mapping[str, str] = {
    "requests": "request_count",
    "input_tokens": "tokens_prompt",
    "output_tokens": "tokens_completion",
    "credits_usd": "credits_usage",
    "byok_usd": "byok_usage",
}
ANALYTICS_NAMES = {**BY_ANALYTICS, "model": "model", "provider": "provider", "key": "api_key_id"}


def _analytics_sums(row: AnalyticsRow, by: Sequence[str]) -> tuple[tuple[str | None, ...], ActivitySums]:
    told = row.metrics
    day = None if row.at_s is None else f"{datetime.fromtimestamp(row.at_s, UTC):%Y-%m-%d}"
    group = tuple(day if name == "day" else row.dimensions.get(ANALYTICS_NAMES[name]) for name in by)

    def count(name: str) -> int | None:
        figure = told.get(ANALYTICS_METRICS[name])
        return None if figure is None else int(figure)

    # Null is told for a component that nobody used.
    return group, ActivitySums(
        requests=count("requests"),
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        credits_usd=told.get(ANALYTICS_METRICS["credits_usd"], ZERO),
        byok_usd=told.get(ANALYTICS_METRICS["byok_usd"], ZERO),
    )


def split_table(split: Split, *, nobody: str | None = None) -> Table:
    """Give a split as rows, the dearest first; days in their order."""
    groups = dearest_first(split.groups)
    if split.by[:1] == ("day",):
        groups.sort(key=lambda each: each[0][0] or "")
    columns = [
        *(Column(name=name, title=name) for name in split.by),
        Column(name="requests", title="requests", kind="count"),
        Column(name="input_tokens", title="in", kind="tokens"),
        Column(name="output_tokens", title="out", kind="tokens"),
        Column(name="credits_usd", title="credits", kind="usd"),
        Column(name="byok_usd", title="own keys", kind="usd"),
        Column(name="total_usd", title="both", kind="usd"),
    ]
    if split.today is not None:
        columns.append(Column(name="today_usd", title="today so far", kind="usd"))
    return Table(
        columns=tuple(columns),
        rows=tuple(
            (
                *(nobody if part is None else part for part in group),
                sums.requests,
                sums.input_tokens,
                sums.output_tokens,
                sums.credits_usd,
                sums.byok_usd,
                sums.total_usd,
                *(() if split.today is None else (split.today.get(group, ZERO),)),
            )
            for group, sums in groups
        ),
        floors=frozenset(number for number, (_, sums) in enumerate(groups) if sums.is_floor),
    )


def split_note(split: Split) -> str:
    """Say which days a split holds, and what they come to."""
    whole = total(sums.total_usd for sums in split.groups.values())
    last = split.until - timedelta(days=1)
    is_floor = any(sums.is_floor for sums in split.groups.values())
    words = f"{usd(whole, is_floor=is_floor)} on the closed UTC days {split.since.isoformat()} to {last.isoformat()}"
    if split.today is not None:
        words += (
            f", and {usd(total(split.today.values()))} today as of {datetime.fromtimestamp(split.at_s, UTC):%H:%M} UTC"
        )
    return f"{words}."
