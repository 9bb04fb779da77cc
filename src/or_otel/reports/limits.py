"""Part of a digest about budgets: how each limit stands at the period's end. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from or_otel.budgets import BudgetState, budget_state
from or_otel.reports.money import share, usd
from or_otel.reports.sections import Call, Frame, Section
from or_otel.reports.spendings import LedgerSpendings
from or_otel.reports.tables import Column, Table, Value

WORDS = {"ok": "in order", "warn": "watch", "over": "over", "unknown": "unknown"}
RANK = ("over", "warn", "ok", "unknown")


class Budgets:
    """Limits of the settings file, by the account's own figures where it told them, else by the ledger's."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._is_account_known = bool(frame.account_spendings)
        self._ledger = LedgerSpendings(frame.budgets, at_s=frame.until_s, is_account_known=self._is_account_known)

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.budgets or call[-1].call_started_at_s >= self._frame.until_s:
            return
        for entry in call:
            self._ledger.add(entry, self._frame.labels_of_key(entry.key_id))

    def sections(self) -> Iterator[Section]:
        """Give every budget, the worst first."""
        if not self._frame.budgets:
            return
        spendings = (*self._frame.account_spendings, *self._ledger.spendings())
        states = [budget_state(budget, spendings, now_s=self._frame.until_s) for budget in self._frame.budgets]
        states.sort(key=lambda state: (RANK.index(state.state), -(state.used or 0.0)))
        floors = frozenset(
            place
            for place, state in enumerate(states)
            if state.budget.source == "account" and not self._is_account_known
        )
        bad = [place for place, state in enumerate(states) if state.state in {"over", "warn"}]
        notes = []
        if floors:
            notes.append("Spent as this ledger saw it: the account was never asked, and other machines count too.")
        yield Section(
            name="budgets",
            title="Budgets",
            lead=" ".join(_said(states[place], is_floor=place in floors) for place in bad) or None,
            table=Table(
                columns=(
                    Column(name="budget", title="budget"),
                    Column(name="period", title="per"),
                    Column(name="spent_usd", title="spent", kind="usd"),
                    Column(name="limit_usd", title="limit", kind="usd", is_certain=True),
                    Column(name="used_share", title="used", kind="share"),
                    Column(name="elapsed_share", title="of the time", kind="share"),
                    Column(name="forecast_usd", title="ends at", kind="usd", is_certain=True),
                    Column(name="state", title=""),
                    Column(name="state_words", title="state"),
                ),
                rows=tuple(map(_row, states)),
                floors=floors,
            ),
            notes=tuple(notes),
            is_alarm=bool(bad),
        )


def _row(state: BudgetState) -> tuple[Value, ...]:
    forecast = state.forecasts[-1].at_end_usd if state.forecasts else None
    return (
        state.budget.name,
        state.budget.period,
        state.spent_usd,
        state.budget.limit_usd,
        state.used,
        state.elapsed,
        forecast,
        state.state,
        WORDS[state.state],
    )


def _said(state: BudgetState, *, is_floor: bool) -> str:
    said = f"{state.budget.name}: {usd(state.spent_usd, is_floor=is_floor)} of {usd(state.budget.limit_usd)}"
    if state.used is not None:
        said += f" ({share(state.used)})"
    return f"{said}, {WORDS[state.state]}."
