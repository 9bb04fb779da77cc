"""What would the calls of a period have cost on another model, or with another provider?

Calls and the list of models come in; a `WhatIf` goes out, which `sections` shows. Where both models served the same
feature, tokens and retries a call are those of the ledger. Else they are assumed, and the answer is a range that
says so. Money is exact; list prices are those of today. Whether an answer would have been as good is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal

from or_otel.accounts import Model, ModelEndpoint, Prices
from or_otel.facts import EXACT, ZERO, TokenType, total
from or_otel.insights.pricing import INPUT_KINDS, OUTPUT_KINDS, Rates, cost_of, rates_of
from or_otel.policies import slug
from or_otel.reports.sections import Call
from or_otel.reports.usage import Catalogue, tokens_of, use_of

LEAST_CALLS = 20
"""Fewer calls of the other model say nothing of how it answers."""
INPUT_RANGE = (Decimal("0.85"), Decimal("1.15"))
"""Two tokenizers count the same text differently."""
OUTPUT_RANGE = (Decimal("0.5"), Decimal(2))
"""Models differ in how much they write and think."""
SHOWN_ALTERNATIVES = 8
TOOLS = "tools"
FREE = ":free"
DIVIDING = Context(prec=28)


class WhatIfError(ValueError):
    """A question that cannot be answered; the message says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """One question.

    Attributes:
        old: Model whose calls are priced again.
        new: Model to price them on; None asks for alternatives only.
        tag: Provider slug, with region or tier where there are several; None is the model's list price.
    """

    old: str
    new: str | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One use of the old model.

    Attributes:
        use: Feature or workflow.
        calls: With a known price.
        now_usd: What they cost.
        low_usd, high_usd: What they would have cost; equal where the ledger knows.
        seen_calls: Calls of the new model for the same use.
        input_ratio, output_ratio, attempt_ratio: New to old, a call; None where they are assumed.
    """

    use: str
    calls: int
    now_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    seen_calls: int = 0
    input_ratio: Decimal | None = None
    output_ratio: Decimal | None = None
    attempt_ratio: Decimal | None = None

    @property
    def is_seen(self) -> bool:
        """Whether the ledger knows how the new model answers here."""
        return self.input_ratio is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """A cheaper model with the same capabilities.

    Attributes:
        model: It.
        cost_usd: The same tokens at its list price.
    """

    model: Model
    cost_usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The answer to one question.

    Attributes:
        replacement: The question, with the names of the list.
        estimates: By use, the dearest first; empty when only alternatives were asked for.
        calls: Calls of the old model with a known price.
        now_usd: What they cost.
        listed_usd: What their tokens cost at the old model's list price of today; None when it is not listed.
        unpriced_calls: Calls of the old model that are left out, for their price or tokens are not known.
        too_long_calls: Calls whose input does not fit into the new model's context.
        lacking: What the new model cannot do and the old one can.
        alternatives: Cheaper models, the cheapest first.
    """

    replacement: Replacement
    estimates: tuple[Estimate, ...] = ()
    calls: int = 0
    now_usd: Decimal = ZERO
    listed_usd: Decimal | None = None
    unpriced_calls: int = 0
    too_long_calls: int = 0
    lacking: tuple[str, ...] = ()
    alternatives: tuple[Alternative, ...] = ()

    @property
    def low_usd(self) -> Decimal:
        """The least it would have cost."""
        return total(each.low_usd for each in self.estimates)

    @property
    def high_usd(self) -> Decimal:
        """The most."""
        return total(each.high_usd for each in self.estimates)


def replacement_from(text: str) -> Replacement:
    """Read `old=new`, `old=new@provider` or `old`.

    Raises:
        WhatIfError: It is none of them.
    """
    old, equals, target = (part.strip() for part in text.partition("="))
    new, _, tag = target.partition("@")
    if not old or (equals and not new) or (target.endswith("@")):
        raise WhatIfError(
            f"{text!r}: expected old=new, as 'anthropic/claude-sonnet-4.6=deepseek/deepseek-v3.2', with a provider "
            "'…=deepseek/deepseek-v3.2@novita', or one model to list alternatives"
        )
    return Replacement(old=old, new=new or None, tag=tag or None)


def whatifs(
    calls: Iterable[Call],
    replacements: Sequence[Replacement],
    catalogue: Catalogue,
    endpoints: Mapping[str, Sequence[ModelEndpoint]],
) -> tuple[WhatIf, ...]:
    """Answer questions about the same calls.

    Args:
        calls: Of the period, those of the new models too.
        replacements: The questions.
        catalogue: List of models.
        endpoints: Model id → its offers, where a question names a provider.

    Raises:
        WhatIfError: A model or provider is not listed, or has no price.
    """
    questions = [_Question(each, catalogue, endpoints) for each in replacements]
    for call in calls:
        for question in questions:
            question.add(call)
    return tuple(question.answer() for question in questions)


@dataclass(slots=True)
class _Use:
    """Sums of one model's calls for one use."""

    calls: int = 0
    attempts: int = 0
    cost: Decimal = ZERO
    tokens: dict[TokenType, int] = field(default_factory=dict)
    requests: int = 0

    def add(self, call: Call) -> None:
        self.calls += 1
        self.attempts += len(call)
        for entry in call:
            self.cost = EXACT.add(self.cost, entry.total or ZERO)
            told = tokens_of(entry)
            self.requests += bool(told)
            for kind, count in told.items():
                self.tokens[kind] = self.tokens.get(kind, 0) + count

    def count_of(self, kinds: Sequence[TokenType]) -> int:
        return sum(self.tokens.get(kind, 0) for kind in kinds)


class _Question:
    """Gathers what one question needs."""

    def __init__(
        self, asked: Replacement, catalogue: Catalogue, endpoints: Mapping[str, Sequence[ModelEndpoint]]
    ) -> None:
        self._catalogue = catalogue
        self._old_model = catalogue.find(asked.old)
        self._new_model = None
        self._prices: Prices | None = None
        self._provider: str | None = None
        if asked.new is not None:
            self._new_model = catalogue.find(asked.new)
            if self._new_model is None:
                raise WhatIfError(f"{asked.new!r} is not among the {len(catalogue.models)} models that are listed")
            self._prices = self._new_model.prices
            if asked.tag is not None:
                offer = _offer(asked.tag, self._new_model.id, endpoints)
                self._prices, self._provider = offer.prices, slug(offer.provider or asked.tag)
            if rates_of(self._prices) is None:
                raise WhatIfError(f"{asked.new!r} has no fixed price: name the model it would stand for")
        self._asked = Replacement(
            old=self._old_model.id if self._old_model is not None else asked.old,
            new=self._new_model.id if self._new_model is not None else None,
            tag=asked.tag,
        )
        self._old: dict[str, _Use] = defaultdict(_Use)
        self._new: dict[str, _Use] = defaultdict(_Use)
        self._longest = 0
        self._unpriced = self._too_long = 0
        self._has_tools = False

    def add(self, call: Call) -> None:
        last = call[-1]
        if self._catalogue.is_same(last.model, self._asked.old):
            self._add_old(call)
        elif self._asked.new is not None and self._catalogue.is_same(last.model, self._asked.new):
            is_provider = self._provider is None or slug(last.served_provider or "") == self._provider
            if last.outcome == "ok" and is_provider and _is_known(call):
                self._new[use_of(last)].add(call)

    def _add_old(self, call: Call) -> None:
        if not _is_known(call):
            self._unpriced += any(entry.unpriced is not None for entry in call) or call[-1].outcome == "ok"
            return
        longest = max((entry.input_tokens or 0) + (entry.output_tokens or 0) for entry in call)
        self._longest = max(self._longest, longest)
        self._has_tools |= any(entry.tool_calls for entry in call)
        limit = self._new_model.context_length if self._new_model is not None else None
        self._too_long += limit is not None and longest > limit
        self._old[use_of(call[-1])].add(call)

    def answer(self) -> WhatIf:
        whole = _Use()
        for use in self._old.values():
            whole.calls += use.calls
            whole.cost = EXACT.add(whole.cost, use.cost)
            whole.requests += use.requests
            for kind, count in use.tokens.items():
                whole.tokens[kind] = whole.tokens.get(kind, 0) + count
        listed = None if self._old_model is None else _priced(whole, self._old_model.prices)
        estimates = [] if self._prices is None else list(self._estimates(self._prices))
        return WhatIf(
            replacement=self._asked,
            estimates=tuple(sorted(estimates, key=lambda each: (-each.now_usd, each.use))),
            calls=whole.calls,
            now_usd=whole.cost,
            listed_usd=listed,
            unpriced_calls=self._unpriced,
            too_long_calls=self._too_long,
            lacking=self._lacking(self._new_model) if self._new_model is not None else (),
            alternatives=tuple(self._alternatives(whole, listed)),
        )

    def _estimates(self, prices: Prices) -> Iterator[Estimate]:
        rates = rates_of(prices)
        assert rates is not None  # noqa: S101 -- refused when the question was asked
        for name, old in self._old.items():
            new = self._new.get(name)
            if new is not None and new.calls >= LEAST_CALLS:
                cost = _as_seen(old, new, rates, prices)
                yield Estimate(
                    use=name,
                    calls=old.calls,
                    now_usd=old.cost,
                    low_usd=cost,
                    high_usd=cost,
                    seen_calls=new.calls,
                    input_ratio=_ratio(new, old, new.count_of(INPUT_KINDS), old.count_of(INPUT_KINDS)),
                    output_ratio=_ratio(new, old, new.count_of(OUTPUT_KINDS), old.count_of(OUTPUT_KINDS)),
                    attempt_ratio=_ratio(new, old, new.attempts, old.attempts),
                )
            else:
                low, high = _as_assumed(old, rates, prices)
                yield Estimate(
                    use=name,
                    calls=old.calls,
                    now_usd=old.cost,
                    low_usd=low,
                    high_usd=high,
                    seen_calls=new.calls if new is not None else 0,
                )

    def _alternatives(self, whole: _Use, listed: Decimal | None) -> Iterator[Alternative]:
        if not whole.calls:
            return
        limit = whole.cost if listed is None else listed
        found = []
        for model in self._catalogue.models:
            is_itself = model.id == self._asked.new or self._catalogue.is_same(model.id, self._asked.old)
            # An alias is another model's name; what expires or is rationed is no place to go to.
            is_none = model.alias_target is not None or model.expires_at_s is not None or model.id.endswith(FREE)
            cost = None if is_itself or is_none else _priced(whole, model.prices)
            if cost is None or cost >= limit:
                continue
            if not self._lacking(model) and (model.context_length or 0) >= self._longest:
                found.append(Alternative(model=model, cost_usd=cost))
        yield from sorted(found, key=lambda each: (each.cost_usd, each.model.id))[:SHOWN_ALTERNATIVES]

    def _lacking(self, model: Model) -> tuple[str, ...]:
        """Give what a model cannot do and the old one can, or was used for."""
        old = self._old_model
        lacking = []
        if old is not None:
            lacking += [f"{each} input" for each in sorted(old.input_modalities - model.input_modalities)]
            lacking += [f"{each} output" for each in sorted(old.output_modalities - model.output_modalities)]
        needs_tools = self._has_tools or (old is not None and TOOLS in old.supported_parameters)
        if needs_tools and TOOLS not in model.supported_parameters:
            lacking.append(TOOLS)
        return tuple(lacking)


def _is_known(call: Call) -> bool:
    """Whether price and tokens of every attempt are known that cost something."""
    is_priced = any(entry.total is not None and entry.input_tokens is not None for entry in call)
    return is_priced and all(
        entry.unpriced is None and (not entry.total or entry.input_tokens is not None) for entry in call
    )


def _priced(use: _Use, prices: Prices) -> Decimal | None:
    rates = rates_of(prices)
    return None if rates is None else EXACT.add(cost_of(use.tokens, rates), _for_requests(use.requests, prices))


def _for_requests(requests: int, prices: Prices) -> Decimal:
    return EXACT.multiply(Decimal(requests), prices.request or ZERO)


def _as_seen(old: _Use, new: _Use, rates: Rates, prices: Prices) -> Decimal:
    """Price as many calls as the old model had, each with the tokens and attempts the new one takes here."""
    whole = EXACT.add(cost_of(new.tokens, rates), _for_requests(new.requests, prices))
    return DIVIDING.divide(EXACT.multiply(whole, Decimal(old.calls)), Decimal(new.calls))


def _as_assumed(old: _Use, rates: Rates, prices: Prices) -> tuple[Decimal, Decimal]:
    """Price the old tokens: at best fewer of them and as much cached, at worst more of them and nothing cached."""
    output = cost_of(old.tokens, rates, OUTPUT_KINDS)
    fresh = EXACT.multiply(Decimal(old.count_of(INPUT_KINDS)), rates["input_fresh"])
    cached = min(cost_of(old.tokens, rates, INPUT_KINDS), fresh)
    requests = _for_requests(old.requests, prices)
    low, high = (
        EXACT.add(requests, EXACT.add(EXACT.multiply(put_in, by_input), EXACT.multiply(output, by_output)))
        for put_in, by_input, by_output in zip((cached, fresh), INPUT_RANGE, OUTPUT_RANGE, strict=True)
    )
    return low, high


def _ratio(new: _Use, old: _Use, of_new: int, of_old: int) -> Decimal:
    """Compare two counts a call, to four digits."""
    if not of_old:
        return ZERO
    return round(Decimal(of_new * old.calls) / Decimal(of_old * new.calls), 4)


def _offer(tag: str, model: str, endpoints: Mapping[str, Sequence[ModelEndpoint]]) -> ModelEndpoint:
    offers = endpoints.get(model, ())
    exact = [offer for offer in offers if offer.tag == tag]
    by_name = [offer for offer in offers if slug(offer.tag or "") == tag or slug(offer.provider or "") == slug(tag)]
    found = exact or by_name
    if not found:
        known = ", ".join(sorted({offer.tag or offer.provider or "" for offer in offers})) or "none"
        raise WhatIfError(f"{model}@{tag}: no such offer of this model; known are {known}")
    return found[0]
