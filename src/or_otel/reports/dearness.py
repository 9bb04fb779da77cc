"""Sections about what makes calls dear: what is written, who stood in, and how dear the models are. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from or_otel.entries import Entry
from or_otel.facts import ZERO
from or_otel.insights.pricing import INPUT_KINDS, OUTPUT_KINDS, cost_of, rates_of
from or_otel.insights.tiers import PER_MILLION, TIERS, WORDS, tier_of
from or_otel.reports.money import UNKNOWN, plural, share, usd
from or_otel.reports.sections import Call, Frame, Section
from or_otel.reports.tables import Column, Table
from or_otel.reports.usage import Catalogue, Tally, tokens_of, use_of

SHOWN = 15
MOSTLY = Decimal("0.8")
"""From this share on, output is what a use pays for."""


class OutputShare:
    """Uses that pay mostly for what the model writes."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._catalogue = Catalogue(frame.models)
        self._uses: dict[str, list[Decimal]] = defaultdict(lambda: [ZERO, ZERO])
        self._output_tokens: dict[str, int] = defaultdict(int)
        self._calls: dict[str, int] = defaultdict(int)

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.is_now(call):
            return
        for entry in call:
            parts = self._parts(entry)
            if parts is not None:
                use = use_of(entry)
                sums = self._uses[use]
                sums[0] += parts[0]
                sums[1] += parts[1]
                self._output_tokens[use] += entry.output_tokens or 0
                self._calls[use] += entry.is_last

    def _parts(self, entry: Entry) -> tuple[Decimal, Decimal] | None:
        """Give what input and output cost, as told or as listed."""
        if entry.input is not None and entry.output is not None:
            return entry.input, entry.output
        model = self._catalogue.find(entry.model) if self._frame.models else None
        rates = rates_of(model.prices) if model is not None else None
        if rates is None or entry.input_tokens is None:
            return None
        tokens = tokens_of(entry)
        return cost_of(tokens, rates, INPUT_KINDS), cost_of(tokens, rates, OUTPUT_KINDS)

    def sections(self) -> Iterator[Section]:
        """Give the uses of which output is most of the price."""
        shares = {use: sums[1] / (sums[0] + sums[1]) for use, sums in self._uses.items() if sums[0] + sums[1]}
        mostly = [use for use in shares if shares[use] >= MOSTLY]
        if not mostly:
            return
        mostly.sort(key=lambda use: (-self._uses[use][1], use))
        money = sum((self._uses[use][1] for use in mostly), ZERO)
        yield Section(
            name="output",
            title="Paid for output",
            lead=f"{plural(len(mostly), 'use')} paid {share(MOSTLY)} or more for what models wrote: {usd(money)}.",
            table=Table(
                columns=(
                    Column(name="use", title="used for"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="output_tokens_each", title="out, each", kind="tokens"),
                    Column(name="output_usd", title="output cost", kind="usd"),
                    Column(name="output_share", title="of tokens' cost", kind="share"),
                ),
                rows=tuple(
                    (
                        use,
                        self._calls[use],
                        self._output_tokens[use] // max(1, self._calls[use]),
                        self._uses[use][1],
                        shares[use],
                    )
                    for use in mostly[:SHOWN]
                ),
            ),
            notes=("Shorter answers, less reasoning, or a model that writes cheaper count most here.",),
        )


class Fallbacks:
    """What answers of another model than asked for cost beside what the first one lists."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._catalogue = Catalogue(frame.models)
        self._pairs: dict[tuple[str, str], Tally] = defaultdict(Tally)
        self._listed: dict[tuple[str, str], Decimal] = defaultdict(lambda: ZERO)

    def add(self, call: Call) -> None:
        """Take a call."""
        last = call[-1]
        if not self._frame.is_now(call) or last.fallback != "model" or last.total is None:
            return
        asked = self._catalogue.find(last.request_model)
        rates = rates_of(asked.prices) if asked is not None else None
        if asked is not None and rates is not None and last.input_tokens is not None:
            pair = (asked.id, last.model or UNKNOWN)
            self._pairs[pair].add(last)
            self._listed[pair] += cost_of(tokens_of(last), rates)

    def sections(self) -> Iterator[Section]:
        """Give the pairs, the dearest difference first."""
        if not self._pairs:
            return
        differences = {pair: tally.cost - self._listed[pair] for pair, tally in self._pairs.items()}
        whole = sum(differences.values(), ZERO)
        words = "more" if whole > 0 else "less"
        yield Section(
            name="fallbacks",
            title="The price of fallbacks",
            lead=f"Other models than asked for cost {usd(abs(whole))} {words} than those asked for list.",
            table=Table(
                columns=(
                    Column(name="asked", title="asked for"),
                    Column(name="served", title="served"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="listed_usd", title="asked one lists", kind="usd"),
                    Column(name="difference_usd", title="difference", kind="usd"),
                ),
                rows=tuple(
                    (*pair, self._pairs[pair].calls, self._pairs[pair].cost, self._listed[pair], differences[pair])
                    for pair in sorted(differences, key=lambda pair: (-differences[pair], pair))[:SHOWN]
                ),
            ),
            notes=(
                "The same tokens at the asked model's list price of today; its own answer might have been another.",
            ),
        )


class PriceTiers:
    """Where the money goes by how dear models are."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._models: dict[str, Tally] = defaultdict(Tally)

    def add(self, call: Call) -> None:
        """Take a call."""
        if self._frame.is_now(call):
            for entry in call:
                if entry.total is not None:
                    self._models[entry.model or UNKNOWN].add(entry)

    def sections(self) -> Iterator[Section]:
        """Give the tiers that were used."""
        tiers: dict[str, Tally] = defaultdict(Tally)
        names: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._models, key=lambda name: (-self._models[name].cost, name)):
            tally = self._models[name]
            tier = tier_of(tally.cost, tally.tokens)
            if tier is not None:
                tiers[tier].join(tally)
                names[tier].append(name)
        whole = sum((tally.cost for tally in tiers.values()), ZERO)
        if len(self._models) < 2 or not whole:  # noqa: PLR2004 -- one model has nothing beside it
            return
        yield Section(
            name="price_tiers",
            title="By price of the model",
            table=Table(
                columns=(
                    Column(name="tier", title="tier"),
                    Column(name="words", title="paid"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="tokens", title="tokens", kind="tokens"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="cost_share", title="share", kind="share"),
                    Column(name="million_usd", title="a million", kind="usd"),
                    Column(name="models", title="models, dearest first"),
                ),
                rows=tuple(
                    (
                        tier,
                        WORDS[tier],
                        tiers[tier].calls,
                        tiers[tier].tokens,
                        tiers[tier].cost,
                        tiers[tier].cost / whole,
                        tiers[tier].cost * PER_MILLION / tiers[tier].tokens,
                        ", ".join(names[tier][:3]),
                    )
                    for tier, _ in TIERS
                    if tier in tiers
                ),
            ),
            notes=("By what a million tokens of a model really cost in this period, cached ones included.",),
        )
