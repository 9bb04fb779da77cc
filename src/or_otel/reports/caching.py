"""Section about prompt caches: what they saved, what writing to them cost, and what they missed, by model.

What was figured when a call ended stands in its entry; else the list of models that was kept is asked. Without
a price there is no figure. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from or_otel.entries import Entry
from or_otel.facts import EXACT, ZERO
from or_otel.insights.caching import InputRates, cache_money
from or_otel.insights.pricing import rates_of
from or_otel.reports.money import UNKNOWN, plural, usd
from or_otel.reports.sections import Call, Frame, Section
from or_otel.reports.tables import Column, Table
from or_otel.reports.usage import Catalogue, usage_of

SHOWN = 15
REMEDY = "`or-otel report --what-if MODEL` and the exporter keep a list of prices."
MISSED = (
    "Missed: an earlier call had sent the same beginning within five minutes, and the provider says that nothing came "
    "from a cache. Put what is fixed first, and keep to one provider."
)


class Caching:
    """What prompt caches saved, what they cost, and what they missed, by model."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._catalogue = Catalogue(frame.models)
        self._models: dict[str, _Cached] = defaultdict(_Cached)

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.is_now(call):
            return
        for entry in call:
            if not entry.input_tokens:
                continue
            cached = self._models[entry.model or UNKNOWN]
            cached.input_tokens += entry.input_tokens
            cached.read_tokens += min(entry.cache_read_tokens or 0, entry.input_tokens)
            cached.missed_tokens += entry.missed_tokens or 0
            rates = self._rates(entry)
            saved, premium = entry.cache_saved, entry.cache_premium
            if rates is not None:
                listed = cache_money(usage_of(entry), rates)
                saved = listed[0] if saved is None else saved
                premium = listed[1] if premium is None else premium
            cached.add(entry, saved, premium)
            if entry.missed_tokens and rates is not None and rates.fresh is not None and rates.read is not None:
                could = EXACT.multiply(Decimal(entry.missed_tokens), EXACT.subtract(rates.fresh, rates.read))
                cached.could_save = EXACT.add(cached.could_save or ZERO, could)

    def _rates(self, entry: Entry) -> InputRates | None:
        """Give a list's prices of input; a kind without one is not known to have the same."""
        model = self._catalogue.find(entry.model) if self._frame.models else None
        rates = rates_of(model.prices) if model is not None else None
        if model is None or rates is None:
            return None
        return InputRates(
            fresh=rates["input_fresh"],
            read=rates["input_cache_read"] if model.prices.cache_read is not None else None,
            write=rates["input_cache_write"],
        )

    def sections(self) -> Iterator[Section]:
        """Give the models that were cached, or could have been."""
        told = {
            name: cached
            for name, cached in self._models.items()
            if cached.is_cached or cached.read_tokens or cached.missed_tokens
        }
        if not told:
            return
        missed = sum(each.missed_tokens for each in told.values())
        unknown = sum(each.unknown for each in told.values())
        notes = [MISSED] if missed else []
        if unknown:
            notes.append(f"No price is known for {plural(unknown, 'cached call')}: these savings are missing. {REMEDY}")
        lead = _lead(told.values())
        if missed:
            lead += f" {missed:,} tokens could have been read from them, and were not."
        names = sorted(told, key=lambda name: (-(told[name].saved or ZERO), -told[name].missed_tokens, name))[:SHOWN]
        yield Section(
            name="caching",
            title="Prompt caches",
            lead=lead,
            table=Table(
                columns=(
                    Column(name="model", title="model"),
                    Column(name="input_tokens", title="in", kind="tokens"),
                    Column(name="cached_share", title="cached", kind="share"),
                    Column(name="saved_usd", title="saved", kind="usd"),
                    Column(name="premium_usd", title="writes cost", kind="usd", is_certain=True),
                    Column(name="missed_tokens", title="missed", kind="tokens"),
                    Column(name="could_save_usd", title="worth", kind="usd", is_certain=True),
                ),
                rows=tuple(
                    (
                        name,
                        each.input_tokens,
                        Decimal(each.read_tokens) / each.input_tokens,
                        each.saved if each.read_tokens else ZERO,
                        each.premium,
                        each.missed_tokens,
                        each.could_save,
                    )
                    for name in names
                    for each in (told[name],)
                ),
                floors=frozenset(place for place, name in enumerate(names) if told[name].unknown),
            ),
            notes=tuple(notes),
        )


def _lead(models: Collection[_Cached]) -> str:
    saved = [each.saved for each in models if each.saved is not None]
    premium = [each.premium for each in models if each.premium is not None]
    if not saved and not premium:
        return "What caches saved is not known." if any(each.is_cached for each in models) else "Nothing was cached."
    gain, price = sum(saved, ZERO), sum(premium, ZERO)
    if not premium:
        return f"Caches saved {usd(gain)}."
    return f"Caches saved {usd(gain)}, and writing to them cost {usd(price)} more: {usd(gain - price)} in all."


@dataclass(slots=True)
class _Cached:
    """What caches did for one model; money None where no price is known."""

    input_tokens: int = 0
    read_tokens: int = 0
    missed_tokens: int = 0
    saved: Decimal | None = None
    premium: Decimal | None = None
    could_save: Decimal | None = None
    unknown: int = 0
    is_cached: bool = False

    def add(self, entry: Entry, saved: Decimal | None, premium: Decimal | None) -> None:
        is_read, is_written = bool(entry.cache_read_tokens), bool(entry.cache_write_tokens)
        self.is_cached |= is_read or is_written
        if (is_read and saved is None) or (is_written and premium is None):
            self.unknown += 1
        if saved is not None:
            self.saved = EXACT.add(self.saved or ZERO, saved)
        if premium is not None:
            self.premium = EXACT.add(self.premium or ZERO, premium)
