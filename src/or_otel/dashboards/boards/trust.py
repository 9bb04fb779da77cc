"""The first row of boards about money: can these numbers be trusted?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Row
from or_otel.dashboards.labels import KEY_HASH, KEY_NAME, OVERFLOW, YESTERDAY
from or_otel.dashboards.panels import (
    COUNT,
    GOOD_UNTIL,
    NO_ACCOUNT,
    NO_ACCOUNT_YET,
    NO_CALLS,
    SECONDS,
    SHARE,
    Link,
    stat,
)
from or_otel.dashboards.promql import JOB, of
from or_otel.dashboards.rules import PERIOD_START, increase
from or_otel.dashboards.variables import RANGE, TILE, Scope, latest, ratio

KEY = (KEY_NAME, KEY_HASH)
OURS, THEIRS = of(catalogue.RECONCILIATION_CLIENT_COST), of(catalogue.RECONCILIATION_PROVIDER_COST)
UNPRICED, CALLS = increase(catalogue.UNPRICED_CALLS), increase(catalogue.CALLS)
FOLDED = increase(catalogue.TELEMETRY_FOLDED)


def captured() -> str:
    """Give what clients tracked as a share of what OpenRouter billed, for the last closed UTC day."""
    return ratio(f"sum({latest(OURS, YESTERDAY, group=KEY)})", f"sum({latest(THEIRS, YESTERDAY, group=KEY)})")


def account_age() -> str:
    """Give how long ago the exporter last heard from OpenRouter, in seconds."""
    # Clocks of two machines may differ: no age is below zero.
    return f"clamp_min(time() - {latest(of(catalogue.POLL_SUCCESS_TIME))}, 0)"


def trust_row(scope: Scope) -> Row:
    """Give the row."""
    health = (Link(title="Health", board="or-otel-health"),)
    byok = (Link(title="Client against provider", board="or-otel-byok"),)
    return Row(
        title="Can these numbers be trusted?",
        panels=(
            stat(
                "Tracked of billed",
                "What clients tracked as a share of what OpenRouter billed for the last closed UTC day, all keys. "
                "Source: reconciliation of the account exporter. Empty without it, or before a day has closed.",
                captured(),
                unit=SHARE,
                decimals=1,
                steps=GOOD_UNTIL["capture"],
                empty=NO_ACCOUNT_YET,
                width=5,
                links=byok,
            ),
            stat(
                "Unpriced calls",
                "Share of the calls in this range whose price is not fully known; they are missing from all money "
                "here. Source: clients. Empty when there were no calls.",
                ratio(f"({scope.total(UNPRICED)} or {scope.total(CALLS)} * 0)", scope.total(CALLS)),
                unit=SHARE,
                decimals=2,
                steps=GOOD_UNTIL["unpriced"],
                width=5,
                links=byok,
            ),
            stat(
                "Age of account data",
                "Seconds since the exporter last heard from OpenRouter. Credits, keys and budgets are as old as that. "
                "Empty without the account exporter.",
                account_age(),
                unit=SECONDS,
                steps=GOOD_UNTIL["age"],
                empty=NO_ACCOUNT,
                width=5,
                links=health,
            ),
            stat(
                "Services that lose attribution",
                "Services that reached a limit of distinct values in this range: their sums stay right, but a part "
                "stands under `_OTHER` or in the SDK's overflow set, without model, team or feature. Source: "
                "clients; 0 is right.",
                f"count((sum by ({JOB}) (sum_over_time({FOLDED.name}[{RANGE}:{TILE}])) > 0)\n"
                f"or count by ({JOB}) ({of(catalogue.COST).where(OVERFLOW)})) or vector(0)",
                unit=COUNT,
                decimals=0,
                steps=GOOD_UNTIL["lost"],
                empty=NO_CALLS,
                width=5,
                links=health,
            ),
            stat(
                "Age of the rules",
                "Seconds since the recording rules last ran; every figure of money here comes from them. Empty: the "
                "rules are not loaded into this Prometheus.",
                f"time() - max(timestamp({PERIOD_START.name}))",
                unit=SECONDS,
                steps=GOOD_UNTIL["age"],
                empty="load dashboards/rules/*.yml into Prometheus",
                links=health,
            ),
        ),
    )
