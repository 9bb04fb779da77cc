"""What the account API told → how the account stands: balance, spent, pace, forecast, runway, keys near a limit.

Values of `accounts` come in, an `Overview` and tables go out. Pure: the moment comes in. The running day is the
keys' own gauges, closed days are `/activity`, which knows deleted keys too and not the running day. The rate is that
of `budgets`: never from a gauge that falls at midnight.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby

from or_otel.accounts import AccountKey, ActivityRow, Credits, KeyKind, Spend
from or_otel.budgets import Budget, Forecast, PeriodName, Sample, Spending, budget_state, period_at
from or_otel.budgets.spending import RESET_GRACE_S, Ledger, rise_of
from or_otel.days import DAY_S, begin_s
from or_otel.facts import ZERO, plus, total
from or_otel.reports.money import exact, usd
from or_otel.reports.sections import Section
from or_otel.reports.tables import Column, Table, Value

RUNNING: tuple[PeriodName, ...] = ("day", "week", "month")
TITLES: Mapping[PeriodName, str] = {"day": "today", "week": "this week", "month": "this month"}
NEAR = Decimal("0.8")
"""A key is near its limit from this share on: the last threshold of a budget below all of it."""
RESETS: Mapping[str | None, PeriodName] = {"daily": "day", "weekly": "week", "monthly": "month"}
WINDOW_WORDS = {"1d": "last day", "7d": "last 7 days"}
HASH_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What was asked and answered.

    Attributes:
        at_s: When.
        kind: What the keys at hand are worth.
        credits, keys, activity: None where it may not be seen or was not answered.
        key: The asking key, if it is an ordinary one.
    """

    at_s: float
    kind: KeyKind | None = None
    credits: Credits | None = None
    key: AccountKey | None = None
    keys: tuple[AccountKey, ...] | None = None
    activity: tuple[ActivityRow, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was spent in a running period; both None when nobody said.

    Attributes:
        credits_usd: From the credits, BYOK fees included.
        byok_usd: What providers bill over own keys.
    """

    credits_usd: Decimal | None = None
    byok_usd: Decimal | None = None

    @property
    def total_usd(self) -> Decimal | None:
        """Both ledgers."""
        return plus(self.credits_usd, self.byok_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class NearLimit:
    """A key near its limit, or at it.

    Attributes:
        key: Which.
        used: Share of the limit.
        resets_at_s: When it starts anew; None for never.
    """

    key: AccountKey
    used: Decimal
    resets_at_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How the account stands, or the one key that can be seen.

    Attributes:
        told: What it was made from.
        spent: By running period.
        forecast: Of the month, both ledgers; None while no rate is known.
        pace: Rate of the last 7 days by that of the 7 before; None while one of them is not known.
        credits_per_day: What the credits lose; None while no rate is known.
        days_left: Until the credits are used up; None while nothing is being spent, or they are not known.
        near: Keys near their limit, the nearest first.
    """

    told: Told
    spent: Mapping[PeriodName, Spent] = field(default_factory=dict)
    forecast: Forecast | None = None
    pace: float | None = None
    credits_per_day: Decimal | None = None
    days_left: float | None = None
    near: tuple[NearLimit, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the figures are those of the whole account."""
        return self.told.keys is not None


def overview(told: Told) -> Overview:
    """Say how the account stands."""
    keys = told.keys if told.keys is not None else () if told.key is None else (told.key,)
    if told.keys is None and told.key is None:
        return Overview(told=told)
    credits_spending = _spending("openrouter", told, keys)
    byok_spending = _spending("upstream", told, keys)
    spent = {
        name: Spent(credits_usd=_gauge(name, credits_spending), byok_usd=_gauge(name, byok_spending))
        for name in RUNNING
    }
    whole = _forecast((credits_spending, byok_spending), told.at_s)
    burning = _forecast((credits_spending,), told.at_s)
    rate = None if burning is None else burning.usd_per_day
    left = None if told.credits is None else told.credits.remaining_usd
    return Overview(
        told=told,
        spent=spent,
        forecast=whole,
        pace=_pace((credits_spending, byok_spending), told.at_s),
        credits_per_day=rate,
        days_left=None if left is None or not rate else max(0.0, float(left / rate)),
        near=near_limits(keys, told.at_s),
    )


def near_limits(keys: Iterable[AccountKey], at_s: float) -> tuple[NearLimit, ...]:
    """Give the keys in use that have reached `NEAR` of their limit, the nearest first."""
    found = []
    for key in keys:
        limit, left = key.limit_usd, key.limit_remaining_usd
        # A limit of zero is a way to switch a key off.
        if key.is_disabled or limit is None or limit <= 0 or left is None or limit - left < NEAR * limit:
            continue
        period = RESETS.get(key.limit_reset)
        resets_at_s = None if period is None else period_at(period, at_s).end_s
        found.append(NearLimit(key=key, used=(limit - left) / limit, resets_at_s=resets_at_s))
    return tuple(sorted(found, key=lambda each: -each.used))


def key_name(key: AccountKey) -> str:
    """Name a key for people."""
    return key.name or (f"key {key.hash[:HASH_DIGITS]}" if key.hash else "this key")


# Spent and rates ------------------------------------------------------------------------------------------------------


def _spending(ledger: Ledger, told: Told, keys: Sequence[AccountKey]) -> Spending:
    """Put the keys' readings and closed days together to one reading of the account, with earlier totals."""
    readings = [key.credits if ledger == "openrouter" else key.byok for key in keys]
    gauges = {
        "daily_usd": _told(reading.daily_usd for reading in readings),
        "weekly_usd": _told(reading.weekly_usd for reading in readings),
        "monthly_usd": _told(reading.monthly_usd for reading in readings),
    }
    lifetime = _told(reading.lifetime_usd for reading in readings)
    today = gauges["daily_usd"]
    days = _days(ledger, told)
    if days is None or today is None or lifetime is None:
        return Spending(ledger=ledger, at_s=told.at_s, spend=Spend(lifetime_usd=lifetime, **gauges))
    for name, period in (("weekly_usd", "week"), ("monthly_usd", "month")):
        start_s = period_at(period, told.at_s).start_s or 0.0  # type: ignore[arg-type]
        closed = plus(today, total(amount for day_s, amount in days.items() if day_s >= start_s))
        gauge = gauges[name]
        # Closed days know deleted keys too; right after midnight they may lack the day just ended, and gauges not.
        is_settled = told.at_s - start_s >= RESET_GRACE_S
        gauges[name] = max(closed or ZERO, gauge) if gauge is not None and is_settled else closed
    samples, running = [], lifetime - today
    for day_s in sorted(days, reverse=True):
        samples.append(Sample(at_s=day_s + DAY_S, total_usd=running))
        running -= days[day_s]
        samples.append(Sample(at_s=day_s, total_usd=running))
    midnight_s = period_at("day", told.at_s).start_s or 0.0
    samples.append(Sample(at_s=midnight_s, total_usd=lifetime - today))
    return Spending(ledger=ledger, at_s=told.at_s, spend=Spend(lifetime_usd=lifetime, **gauges), samples=tuple(samples))


def _told(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Add up; None when one is not said, for the sum would be too low."""
    found = list(amounts)
    return None if None in found else total(found)


def _days(ledger: Ledger, told: Told) -> dict[float, Decimal] | None:
    """Add up closed days since the first one with anything on it, by their midnight; None when not told."""
    if told.activity is None:
        return None
    rows = sorted(told.activity, key=lambda row: row.day)
    days = {}
    for day, of_day in groupby(rows, key=lambda row: row.day):
        days[begin_s(day)] = total(row.credits_usd if ledger == "openrouter" else row.byok_usd for row in of_day)
    return days


def _gauge(name: PeriodName, spending: Spending) -> Decimal | None:
    spend = spending.spend
    return {"day": spend.daily_usd, "week": spend.weekly_usd, "month": spend.monthly_usd}[name]


def _forecast(spendings: Sequence[Spending], at_s: float) -> Forecast | None:
    """Give what the steadiest rate known leads to."""
    forecasts = budget_state(Budget(name="month"), spendings, now_s=at_s).forecasts
    return forecasts[-1] if forecasts else None


def _pace(spendings: Sequence[Spending], at_s: float) -> float | None:
    week_s = 7.0 * DAY_S
    now, before = ZERO, ZERO
    for spending in spendings:
        curve = sorted(spending.samples, key=lambda sample: sample.at_s)
        if not curve or spending.spend.lifetime_usd is None:
            continue
        curve.append(Sample(at_s=at_s, total_usd=spending.spend.lifetime_usd))
        if curve[0].at_s > at_s - 2 * week_s:
            return None
        now += rise_of(curve, at_s - week_s, at_s)
        before += rise_of(curve, at_s - 2 * week_s, at_s - week_s)
    return float(now / before) if before else None


# For people and programs ----------------------------------------------------------------------------------------------


def sections(shown: Overview) -> tuple[Section, ...]:
    """Give what a terminal shows."""
    found = [_spent_section(shown)]
    if shown.near:
        found.append(_near_section(shown.near))
    key = shown.told.key
    if key is not None and key.free_requests_limit is not None:
        used = key.free_requests_used or 0
        found.append(
            Section(
                name="free_requests",
                title="Free models",
                lead=f"{used:,} of {key.free_requests_limit:,} requests used today by the asking key.",
                is_alarm=used >= key.free_requests_limit,
            )
        )
    return tuple(found)


def _spent_section(shown: Overview) -> Section:
    told = shown.told
    rows = tuple(
        (TITLES[name], spent.credits_usd, spent.byok_usd, spent.total_usd) for name, spent in shown.spent.items()
    )
    balance = told.credits
    lines = []
    if balance is not None:
        lines.append(
            f"Balance {usd(balance.remaining_usd)}: {usd(balance.purchased_usd)} bought, {usd(balance.used_usd)} used."
        )
        if shown.days_left is not None:
            lines.append(f"It lasts {_days_word(shown.days_left)} at {usd(shown.credits_per_day)} of credits a day.")
    if shown.forecast is not None:
        words = f"{usd(shown.forecast.usd_per_day)} a day over the {WINDOW_WORDS[shown.forecast.window]}"
        if shown.pace is not None:
            words += f", {shown.pace:.2g} times the 7 days before"
        lines.append(f"{words}; the month ends at {usd(shown.forecast.at_end_usd)}.")
    as_of = f"{datetime.fromtimestamp(told.at_s, UTC):%Y-%m-%d %H:%M} UTC"
    return Section(
        name="spent",
        title="Account" if shown.is_whole else "This key",
        lead="\n".join(lines) or None,
        table=Table(
            columns=(
                Column(name="period", title=f"as of {as_of}"),
                Column(name="credits_usd", title="credits", kind="usd"),
                Column(name="byok_usd", title="own keys", kind="usd"),
                Column(name="total_usd", title="both", kind="usd"),
            ),
            rows=rows,
        ),
        is_alarm=balance is not None and balance.remaining_usd <= 0 < balance.purchased_usd,
    )


def _near_section(near: Sequence[NearLimit]) -> Section:
    rows: tuple[tuple[Value, ...], ...] = tuple(
        (
            key_name(each.key),
            each.key.limit_usd,
            each.key.limit_remaining_usd,
            each.used,
            "never" if each.resets_at_s is None else f"{datetime.fromtimestamp(each.resets_at_s, UTC):%Y-%m-%d}",
        )
        for each in near
    )
    return Section(
        name="near_limit",
        title="Keys near their limit",
        table=Table(
            columns=(
                Column(name="key", title="key"),
                Column(name="limit_usd", title="limit", kind="usd"),
                Column(name="limit_remaining_usd", title="left", kind="usd"),
                Column(name="used_share", title="used", kind="share"),
                Column(name="resets_on", title="starts anew"),
            ),
            rows=rows,
        ),
        is_alarm=True,
    )


def _days_word(days: float) -> str:
    return f"{days:,.0f} days" if days >= 10 else f"{days:.1f} days"  # noqa: PLR2004 -- below, half a day matters


def to_json(shown: Overview) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    told, forecast = shown.told, shown.forecast
    key = told.key
    return {
        "version": 1,
        "as_of_s": told.at_s,
        "key_kind": told.kind,
        "is_whole_account": shown.is_whole,
        "credits": None
        if told.credits is None
        else {
            "purchased_usd": exact(told.credits.purchased_usd),
            "used_usd": exact(told.credits.used_usd),
            "remaining_usd": exact(told.credits.remaining_usd),
            "usd_per_day": exact(shown.credits_per_day),
            "days_left": shown.days_left,
        },
        "spent": {
            name: {
                "credits_usd": exact(spent.credits_usd),
                "byok_usd": exact(spent.byok_usd),
                "total_usd": exact(spent.total_usd),
            }
            for name, spent in shown.spent.items()
        },
        "forecast": None
        if forecast is None
        else {
            "window": forecast.window,
            "usd_per_day": exact(forecast.usd_per_day),
            "month_end_usd": exact(forecast.at_end_usd),
            "pace": shown.pace,
        },
        "keys_near_limit": [
            {
                "key": key_name(each.key),
                "limit_usd": exact(each.key.limit_usd),
                "limit_remaining_usd": exact(each.key.limit_remaining_usd),
                "used_share": exact(each.used.quantize(Decimal("0.0001"))),
                "resets_at_s": each.resets_at_s,
            }
            for each in shown.near
        ],
        "free_requests": None
        if key is None or key.free_requests_limit is None
        else {"limit": key.free_requests_limit, "used": key.free_requests_used},
    }


def figures(shown: Overview) -> Table:
    """Give every figure on a line of its own, for CSV."""
    rows: list[tuple[Value, ...]] = []

    def walk(name: str, value: object) -> None:
        if isinstance(value, Mapping):
            for part, inner in value.items():
                walk(f"{name}.{part}" if name else part, inner)
        elif not isinstance(value, list):
            rows.append((name, None if value is None else str(value)))

    walk("", to_json(shown))
    return Table(columns=(Column(name="figure", title="figure"), Column(name="value", title="value")), rows=tuple(rows))
