"""Entries → their tokens by kind, their model in a list, and what they are used for: what reports on prices share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from or_otel.accounts import Model
from or_otel.entries import Entry
from or_otel.facts import ZERO, TokenType, Usage, token_parts
from or_otel.routes import is_same_model

NO_USE = "(no feature)"
TAGS = ("feature", "workflow")


def tokens_of(entry: Entry) -> dict[TokenType, int]:
    """Give disjoint counts that add up to input and output."""
    return dict(token_parts(usage_of(entry)))


def usage_of(entry: Entry) -> Usage:
    """Give the tokens of an attempt."""
    return Usage(
        input_tokens=entry.input_tokens,
        output_tokens=entry.output_tokens,
        cache_read_tokens=entry.cache_read_tokens,
        cache_write_tokens=entry.cache_write_tokens,
        reasoning_tokens=entry.reasoning_tokens,
    )


def use_of(entry: Entry) -> str:
    """Give what a call is for: its feature, else its workflow."""
    return next((told for tag in TAGS if (told := entry.tags.get(tag))), entry.workflow or NO_USE)


class Catalogue:
    """A list of models, asked by any name of one."""

    def __init__(self, models: Iterable[Model]) -> None:
        """Take the list."""
        self.models = tuple(models)
        self._by_name: dict[str, Model] = {}
        for model in self.models:
            for name in (model.id, model.permaslug):
                if name is not None:
                    self._by_name.setdefault(name, model)
        self.aliases: Mapping[str, str] = {name: model.id for name, model in self._by_name.items()}
        self._is_same = cache(lambda left, right: is_same_model(left, right, self.aliases))

    def find(self, name: str | None) -> Model | None:
        """Give the model of that name; None when it is not listed."""
        if name is None:
            return None
        known = self._by_name.get(name)
        if known is None:
            known = next((model for model in self.models if self.is_same(model.id, name)), None)
            if known is not None:
                self._by_name[name] = known
        return known

    def is_same(self, left: str | None, right: str) -> bool:
        """Whether two names mean one model."""
        return left is not None and bool(self._is_same(left, right))


@dataclass(slots=True)
class Tally:
    """Sums of some attempts.

    Attributes:
        calls, count: Whole calls, and attempts.
        tokens, input_tokens: Of all, and of the input.
        cost: What is known.
        seconds: Of what is measured.
        is_floor: Whether more may have been spent.
    """

    calls: int = 0
    count: int = 0
    tokens: int = 0
    input_tokens: int = 0
    cost: Decimal = ZERO
    seconds: float = 0.0
    is_floor: bool = False

    def add(self, entry: Entry) -> None:
        """Add an attempt."""
        self.calls += entry.is_last
        self.count += 1
        self.input_tokens += entry.input_tokens or 0
        self.tokens += (entry.input_tokens or 0) + (entry.output_tokens or 0)
        self.cost += entry.total or ZERO
        self.is_floor |= entry.unpriced is not None

    def join(self, other: Tally) -> None:
        """Add another tally."""
        self.calls += other.calls
        self.tokens += other.tokens
        self.cost += other.cost
