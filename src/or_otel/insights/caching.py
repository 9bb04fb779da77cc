"""Tokens and prices → what cache reads cost less, and cache writes more, than fresh input; or no figure.

Prices come from the answers themselves - one that leaves a single price open tells it - else from a list, which
is believed only where the answer's own figure does not contradict it. Prices that rise with the length of the
prompt are kept apart by known steps; an answer that fits no price known before begins anew.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext

from or_otel.facts import EXACT, ZERO, Usage, token_parts

STEPS = (32_000, 128_000, 200_000, 256_000, 272_000)
"""Prompt lengths at which some providers' prices rise."""
TOLERANCE = Decimal("0.01")
"""A list may be off by this share before it is that of another price."""
MAX_KNOWN = 512
KINDS = {"input_fresh": "fresh", "input_cache_read": "read", "input_cache_write": "write"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRates:
    """US dollars per token of input; None where not known.

    Attributes:
        fresh, read, write: Not cached, read from a cache, written to one.
    """

    fresh: Decimal | None = None
    read: Decimal | None = None
    write: Decimal | None = None


NO_RATES = InputRates()
Listed = Callable[[], InputRates | None]
Source = tuple[str | None, ...]
"""Whose prices: server, provider, model, tier, and whoever else sets them."""


CacheMoney = tuple[Decimal | None, Decimal | None]
"""What reads saved, and what writes cost more; None without any, or without a price."""
NO_MONEY: CacheMoney = (None, None)


def cache_money(usage: Usage, rates: InputRates) -> CacheMoney:
    """Compare with the same tokens as fresh input."""
    counts = input_counts(usage)
    return (
        _difference(counts["read"], rates.fresh, rates.read),
        _difference(counts["write"], rates.write, rates.fresh),
    )


def input_counts(usage: Usage) -> dict[str, int]:
    """Give fresh, read and written input tokens, disjoint."""
    told = dict(token_parts(usage))
    return {word: told.get(kind, 0) for kind, word in KINDS.items()}  # type: ignore[call-overload]


def _difference(tokens: int, dearer: Decimal | None, cheaper: Decimal | None) -> Decimal | None:
    if not tokens or dearer is None or cheaper is None:
        return None
    return EXACT.multiply(Decimal(tokens), EXACT.subtract(dearer, cheaper))


class KnownRates:
    """Prices of input, learned and listed; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._learned: dict[tuple[Source, int], InputRates] = {}
        self._listed: dict[tuple[Source, int], InputRates] = {}

    def money(
        self, source: Source, usage: Usage | None, input_cost: Decimal | None, listed: Listed = lambda: None
    ) -> CacheMoney:
        """Learn what an answer tells of prices, and say what a cache did to its own.

        Args:
            source: Whose prices these are.
            usage: Its tokens.
            input_cost: What it says its input cost.
            listed: Gives prices of a list, asked once a source; None is not kept and asked again.
        """
        if usage is None or not usage.input_tokens or usage.audio_input_tokens or usage.image_input_tokens:
            return NO_MONEY  # sounds and pictures have prices of their own
        key = (source, bisect_left(STEPS, usage.input_tokens))
        is_cached = bool(usage.cache_read_tokens or usage.cache_write_tokens)
        with self._lock:
            learned = self._learned.get(key, NO_RATES)
            if not is_cached and (input_cost is None or _is_as_before(learned, usage.input_tokens, input_cost)):
                return NO_MONEY
            counts = input_counts(usage)
            if input_cost is not None and not _fits(learned, counts, input_cost):
                is_told = all(getattr(learned, word) is not None for word, count in counts.items() if count)
                learned = solved(NO_RATES if is_told else learned, counts, input_cost)
                self._learned.pop(key, None)
                self._learned[key] = learned
                _bound(self._learned)
            if not is_cached:
                return NO_MONEY
            rates = self._rates(key, learned, listed, counts, input_cost)
        money = cache_money(usage, rates)
        return NO_MONEY if money == NO_MONEY else money

    def after_fork(self) -> None:
        """Replace the lock, which a thread that is lost may hold."""
        self._lock = threading.Lock()

    def _rates(
        self,
        key: tuple[Source, int],
        learned: InputRates,
        listed: Listed,
        counts: dict[str, int],
        input_cost: Decimal | None,
    ) -> InputRates:
        if learned.fresh is not None and _fits(learned, counts, input_cost):
            return learned
        rates = self._listed.get(key) or listed()
        if rates is None:
            return NO_RATES
        self._listed[key] = rates
        _bound(self._listed)
        return rates if _fits(rates, counts, input_cost) else NO_RATES


def solved(rates: InputRates, counts: dict[str, int], input_cost: Decimal) -> InputRates:
    """Give the one price that an answer leaves open; the same rates when there are none or several."""
    unknown = [word for word, count in counts.items() if count and getattr(rates, word) is None]
    if len(unknown) != 1:
        return rates
    word = unknown[0]
    rest = EXACT.subtract(input_cost, _cost(rates, {**counts, word: 0}))
    if rest < 0:
        return rates
    # A price has far fewer digits than 28; what has more was rounded on the way, and so are its last digits.
    with localcontext(prec=28):
        price = rest / counts[word]
    return replace(rates, **{word: price})


def _cost(rates: InputRates, counts: dict[str, int]) -> Decimal:
    total = ZERO
    for word, count in counts.items():
        if count:
            total = EXACT.add(total, EXACT.multiply(Decimal(count), getattr(rates, word) or ZERO))
    return total


def _fits(rates: InputRates, counts: dict[str, int], input_cost: Decimal | None) -> bool:
    """Whether every price that is needed is known, and they give what the answer says, if it says something."""
    if any(count and getattr(rates, word) is None for word, count in counts.items()):
        return False
    return input_cost is None or abs(EXACT.subtract(_cost(rates, counts), input_cost)) <= TOLERANCE * input_cost


def _is_as_before(rates: InputRates, tokens: int, input_cost: Decimal) -> bool:
    """Whether fresh input costs what it did: most calls, so by floats, at a tenth of what exact figures take."""
    return rates.fresh is not None and math.isclose(float(rates.fresh) * tokens, float(input_cost), rel_tol=1e-6)


def _bound(known: dict[tuple[Source, int], InputRates]) -> None:
    if len(known) > MAX_KNOWN:
        del known[next(iter(known))]
