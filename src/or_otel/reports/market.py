"""Part of a digest about the market: models that are new, and used ones that will go or whose prices changed.

Lists of models come in as the account told them, now and at the period's begin. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from or_otel.accounts import Model
from or_otel.days import utc_day
from or_otel.facts import ZERO
from or_otel.reports.money import exact, plural, usd
from or_otel.reports.over_time import change
from or_otel.reports.sections import Call, Frame, Section
from or_otel.reports.tables import Column, Table, Value

SHOWN_NEW = 8
PER_MILLION = Decimal(1_000_000)
PRICES = {"input": "input", "output": "output", "cache_read": "cached input", "request": "request"}


class Market:
    """What changed in the account's list of models."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._spent: dict[str, Decimal] = defaultdict(lambda: ZERO)

    def add(self, call: Call) -> None:
        """Take a call."""
        if self._frame.models and self._frame.is_now(call):
            for entry in call:
                for name in {entry.model, entry.request_model} - {None}:
                    self._spent[str(name)] += entry.total or ZERO

    def sections(self) -> Iterator[Section]:
        """Give changes of models that were used, and new ones."""
        rows = [*self._expiring(), *self._repriced()]
        new = sorted(
            (model for model in self._frame.models if self._is_new(model)),
            key=lambda model: -(model.created_at_s or 0.0),
        )
        if not rows and not new:
            return
        notes = []
        if new:
            more = f" and {len(new) - SHOWN_NEW} more" if len(new) > SHOWN_NEW else ""
            notes.append(f"New in this period: {', '.join(model.id for model in new[:SHOWN_NEW])}{more}.")
        if self._frame.models_before is None:
            notes.append("Price changes are not known: no list of models was kept from the period's begin.")
        yield Section(
            name="market",
            title="Models and prices",
            lead=f"{plural(len({row[0] for row in rows}), 'model')} you use changed or will go." if rows else None,
            table=Table(
                columns=(
                    Column(name="model", title="model"),
                    Column(name="what", title=""),
                    Column(name="words", title="what happens"),
                    Column(name="spent_usd", title="spent on it", kind="usd"),
                ),
                rows=tuple(rows),
            ),
            notes=tuple(notes),
            is_alarm=any(row[1] == "expires" for row in rows),
        )

    def _is_new(self, model: Model) -> bool:
        made_s = model.created_at_s
        return made_s is not None and self._frame.since_s <= made_s < self._frame.until_s

    def _expiring(self) -> Iterator[tuple[Value, ...]]:
        for model in self._frame.models:
            spent = self._spent_on(model)
            if model.expires_at_s is not None and spent is not None:
                yield model.id, "expires", f"goes on {utc_day(model.expires_at_s)}", spent

    def _repriced(self) -> Iterator[tuple[Value, ...]]:
        before: Mapping[str, Model] = {model.id: model for model in self._frame.models_before or ()}
        for model in self._frame.models:
            spent = self._spent_on(model)
            if spent is not None and model.id in before:
                said = ", ".join(_changes(before[model.id], model))
                if said:
                    yield model.id, "repriced", said, spent

    def _spent_on(self, model: Model) -> Decimal | None:
        """Give what a model cost; None when it was not used."""
        names = {model.id, model.permaslug} & self._spent.keys()
        return max((self._spent[str(name)] for name in names), default=None)


def _changes(before: Model, now: Model) -> Iterable[str]:
    for name, words in PRICES.items():
        old, new = getattr(before.prices, name), getattr(now.prices, name)
        if old is None or new is None or old == new:
            continue
        scale, unit = (Decimal(1), "") if name == "request" else (PER_MILLION, " a million")
        by = change(new, old) if old else None
        yield f"{words} {_price(old * scale)} → {_price(new * scale)}{unit}" + (f" ({by})" if by else "")


def _price(amount: Decimal) -> str:
    # Three digits would make $1.075 and $1.08 the same.
    return usd(amount) if amount == round(amount, 2) else f"${exact(amount)}"
