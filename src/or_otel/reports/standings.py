"""Budgets, what the account told, what the ledger holds → how each budget stands, and by whose figures.

Pure. The account answers for account, keys, companies and teams where a management key may ask it. Without one there
are two witnesses that each see a part: the ledger and the one key that tells about itself; the one that saw more is
believed, as the least that was spent. Features, customers and other tags only the ledger knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from or_otel.accounts import AccountKey
from or_otel.budgets import Budget, BudgetState, Spending, budget_state, period_at, spendings_of_key
from or_otel.days import DAY_S
from or_otel.reports.money import exact, share, usd
from or_otel.reports.tables import Column, Table, Value

Witness = Literal["account", "ledger", "key"]
WITNESS_WORDS: Mapping[Witness, str] = {"account": "the account", "ledger": "the ledger", "key": "this key"}
STATE_WORDS = {"ok": "in order", "warn": "watch", "over": "over", "unknown": "unknown"}
RATE_S = 8.0 * DAY_S
"""How far back a rate of seven days looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one budget stands.

    Attributes:
        state: Its state.
        witness: Whose figures these are.
        is_floor: Whether more may have been spent than the witness saw.
    """

    state: BudgetState
    witness: Witness
    is_floor: bool = False


def standings(
    budgets: Iterable[Budget],
    *,
    account: Sequence[Spending] | None,
    ledger: Sequence[Spending],
    own_key: Sequence[Spending] = (),
    now_s: float,
) -> tuple[Standing, ...]:
    """Say how each budget stands, in the order of the settings file.

    Args:
        budgets: Which.
        account: What the account tells of its keys; None where it may not be asked or did not answer.
        ledger: What `LedgerSpendings` holds.
        own_key: What the asking key tells of itself.
        now_s: The moment.
    """
    return tuple(_standing(budget, account, ledger, own_key, now_s) for budget in budgets)


def _standing(
    budget: Budget,
    account: Sequence[Spending] | None,
    ledger: Sequence[Spending],
    own_key: Sequence[Spending],
    now_s: float,
) -> Standing:
    if budget.source == "client":
        return Standing(state=budget_state(budget, ledger, now_s=now_s), witness="ledger")
    if account is not None:
        return Standing(state=budget_state(budget, account, now_s=now_s), witness="account")
    by_ledger = Standing(state=budget_state(budget, ledger, now_s=now_s), witness="ledger", is_floor=True)
    by_key = Standing(state=budget_state(budget, own_key, now_s=now_s), witness="key", is_floor=True)
    return max(by_key, by_ledger, key=lambda each: -1 if each.state.spent_usd is None else each.state.spent_usd)


def account_spendings(
    keys: Iterable[AccountKey],
    *,
    at_s: float,
    labels_of: Callable[[AccountKey], Mapping[str, str]],
    gone: Iterable[tuple[AccountKey, float]] = (),
) -> tuple[Spending, ...]:
    """Give what keys of the account spent.

    Args:
        keys: As they were just listed.
        at_s: When that was asked.
        labels_of: Key → company, team, ….
        gone: Keys that are listed no more, with the time of their last reading: it counts while it lies in the period.
    """
    read = [*((key, at_s) for key in keys), *gone]
    return tuple(
        spending for key, key_at_s in read for spending in spendings_of_key(key, at_s=key_at_s, labels=labels_of(key))
    )


def since_s(budgets: Iterable[Budget], now_s: float) -> float | None:
    """Give how far back calls of the ledger matter to budgets; None for all of them."""
    starts = [period_at(budget.period, now_s).start_s for budget in budgets]
    return None if None in starts else min([now_s - RATE_S, *(start for start in starts if start is not None)])


# For people and programs ----------------------------------------------------------------------------------------------


def table(shown: Sequence[Standing]) -> Table:
    """Give a row for each budget."""
    return Table(
        columns=(
            Column(name="budget", title="budget"),
            Column(name="scope", title="of", spare=2),
            Column(name="period", title="per"),
            Column(name="spent_usd", title="spent", kind="usd"),
            Column(name="limit_usd", title="limit", kind="usd", is_certain=True),
            Column(name="remaining_usd", title="left", kind="usd", is_certain=True),
            Column(name="used_share", title="used", kind="share"),
            Column(name="elapsed_share", title="of the time", kind="share", spare=4),
            Column(name="pace", title="pace", spare=3),
            Column(name="forecast_usd", title="ends at", kind="usd", is_certain=True, spare=1),
            Column(name="days_left", title="days left", spare=5),
            Column(name="state", title="state"),
            Column(name="witness", title="says", spare=6),
        ),
        rows=tuple(map(_row, shown)),
        floors=frozenset(place for place, each in enumerate(shown) if each.is_floor or not each.state.is_exact),
    )


def _row(standing: Standing) -> tuple[Value, ...]:
    state = standing.state
    forecast = state.forecasts[-1] if state.forecasts else None
    days_left = None if forecast is None else forecast.days_left
    return (
        state.budget.name,
        scope_words(state.budget),
        state.budget.period,
        state.spent_usd,
        state.budget.limit_usd,
        state.remaining_usd,
        state.used,
        state.elapsed,
        None if state.pace is None else f"{state.pace:.2f}",
        None if forecast is None else forecast.at_end_usd,
        None if days_left is None else f"{days_left:.1f}",
        STATE_WORDS[state.state],
        WITNESS_WORDS[standing.witness],
    )


def scope_words(budget: Budget) -> str:
    """Name whose money it is about."""
    return "the account" if budget.scope == "account" else f"{budget.scope} {budget.value}"


def said(standing: Standing) -> str:
    """Say how a budget stands in a line."""
    state = standing.state
    words = f"budget {state.budget.name}: {STATE_WORDS[state.state]}"
    if state.spent_usd is None:
        return f"{words}; {why_unknown(standing)}"
    words += f", {usd(state.spent_usd, is_floor=standing.is_floor)} of {usd(state.budget.limit_usd)}"
    return f"{words} ({share(state.used)})" if state.used is not None else words


def why_unknown(standing: Standing) -> str:
    """Say why nothing is known of a budget."""
    whose = scope_words(standing.state.budget)
    if standing.state.has_subject:
        return f"{whose} was not read in this period yet"
    if standing.witness == "account":
        return f"no key of the account belongs to {whose}"
    return f"no call of {whose} is in the ledger"


def to_json(shown: Sequence[Standing], now_s: float) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    return {"version": 1, "at_s": now_s, "budgets": [_json_row(standing) for standing in shown]}


def _json_row(standing: Standing) -> dict[str, object]:
    state, budget = standing.state, standing.state.budget
    return {
        "budget": budget.name,
        "scope": budget.scope,
        "value": budget.value,
        "period": budget.period,
        "period_start_s": state.period.start_s,
        "period_end_s": state.period.end_s,
        "as_of_s": state.as_of_s,
        "limit_usd": exact(budget.limit_usd),
        "spent_usd": exact(state.spent_usd),
        "remaining_usd": exact(state.remaining_usd),
        "used_share": state.used,
        "elapsed_share": state.elapsed,
        "pace": state.pace,
        "is_ahead": state.is_ahead,
        "crossed": [exact(threshold) for threshold in state.crossed],
        "forecasts": {
            each.window: {
                "usd_per_day": exact(each.usd_per_day),
                "at_end_usd": exact(each.at_end_usd),
                "days_left": each.days_left,
            }
            for each in state.forecasts
        },
        "state": state.state,
        "witness": standing.witness,
        "is_floor": standing.is_floor or not state.is_exact,
    }
