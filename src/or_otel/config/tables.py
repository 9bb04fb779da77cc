"""A parsed TOML table → checked values, and every problem at once in sentences for people.

`Table` is asked for the keys that may be there; what was never asked for is unknown and refused, with the
nearest known key. A new key or table so needs no second list. A problem says where, what stands
there, what would be right. What could be a credential is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T", bound=str)

SHOWN_CHARACTERS = 40
CREDENTIAL = re.compile(r"\bsk-|://|bearer |[A-Za-z0-9_-]{24}", re.IGNORECASE)
"""A key, an address, which may hold a credential anywhere, or one long word of letters and digits."""
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
MAX_CHARACTERS = 1000


@dataclass(slots=True)
class Table:
    """One table of the file while it is read.

    Attributes:
        values: As parsed, with `Decimal` for every fraction.
        path: Where it stands, such as `budgets[1]`; empty for the file itself.
        problems: Where problems of the whole file are gathered.
    """

    values: Mapping[str, object]
    path: str
    problems: list[str]
    _asked: list[str] = field(default_factory=list)

    def at(self, key: str) -> str:
        """Give the path of a key."""
        shown = key if BARE_KEY.fullmatch(key) and not CREDENTIAL.search(key) else shown_value(key)
        return f"{self.path}.{shown}" if self.path else shown

    def refuse(self, key: str, expected: str, *, choices: Sequence[str] = ()) -> None:
        """Note that the value of a key is wrong, and what would be right."""
        value = self.values.get(key)
        near = near_match(value, choices)
        self.problems.append(f"{self.at(key)} = {shown_value(value)}: expected {expected}{near}")

    def miss(self, key: str, expected: str) -> None:
        """Note that a key is missing."""
        self.problems.append(f"{self.path or 'the file'}: {key} is missing: expected {expected}")

    def take(self, key: str) -> object:
        """Give what stands there, unchecked; None when nothing does."""
        self._asked.append(key)
        return self.values.get(key)

    def text(self, key: str, *, expected: str, pattern: re.Pattern[str] | None = None) -> str | None:
        """Give a text that is not empty and on one line."""
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, str) and is_plain(value) and (pattern is None or pattern.fullmatch(value)):
            return value
        self.refuse(key, expected)
        return None

    def choice(self, key: str, choices: Sequence[T], default: T) -> T:
        """Give one of a few words."""
        value = self.take(key)
        if value is None:
            return default
        for word in choices:
            if value == word:
                return word
        self.refuse(key, f"one of {', '.join(choices)}", choices=choices)
        return default

    def number(self, key: str, *, expected: str, is_right: Callable[[Decimal], bool]) -> Decimal | None:
        """Give a finite number, exact as written."""
        value = self.take(key)
        if value is None:
            return None
        number = number_from(value)
        if number is not None and is_right(number):
            return number
        self.refuse(key, expected)
        return None

    def switch(self, key: str, *, default: bool) -> bool:
        """Give a boolean."""
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.refuse(key, "true or false")
            return default
        return value

    def texts(self, key: str, *, expected: str, pattern: re.Pattern[str]) -> tuple[str, ...] | None:
        """Give a list of texts that all match."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, list):
            self.refuse(key, f"a list of {expected}")
            return None
        texts = []
        for index, item in enumerate(value):
            if isinstance(item, str) and pattern.fullmatch(item):
                texts.append(item)
            else:
                self.problems.append(f"{self.at(key)}[{index}] = {shown_value(item)}: expected {expected}")
        return tuple(texts)

    def table(self, key: str) -> Table:
        """Give a table below; an empty one when there is none."""
        value = self.take(key)
        if value is not None and not isinstance(value, dict):
            self.refuse(key, f"a table, as [{self.at(key)}]")
        return Table(value if isinstance(value, dict) else {}, self.at(key), self.problems)

    def tables(self, key: str) -> Iterator[Table]:
        """Give the tables of a list of tables."""
        value = self.take(key)
        if value is None:
            return
        if not isinstance(value, list):
            self.refuse(key, f"a list of tables, each headed [[{self.at(key)}]]")
            return
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield Table(item, f"{self.at(key)}[{index}]", self.problems)
            else:
                self.problems.append(f"{self.at(key)}[{index}] = {shown_value(item)}: expected a table")

    def done(self) -> None:
        """Refuse the keys that nobody asked for; call it after the last question."""
        for key in self.values:
            if key not in self._asked:
                known = f"known here: {', '.join(sorted(set(self._asked)))}"
                self.problems.append(f"{self.at(key)}: no such key{near_match(key, self._asked)} ({known})")


def is_plain(text: str) -> bool:
    """Whether a text is not empty, on one line and not endless."""
    return bool(text.strip()) and text.isprintable() and len(text) <= MAX_CHARACTERS


def number_from(value: object) -> Decimal | None:
    """Give a finite number of TOML as Decimal; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() else None


def near_match(value: object, choices: Sequence[str]) -> str:
    """Give `; did you mean …?` when one of the choices is near."""
    near = get_close_matches(value, choices, 1) if isinstance(value, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def shown_value(value: object) -> str:
    """Write a value for a problem: shortened, and never what may be a credential."""
    if isinstance(value, list | dict):
        return "[…]" if isinstance(value, list) else "{…}"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value) if isinstance(value, str) else str(value)
    if CREDENTIAL.search(text):
        return "'…' (not shown, it may be a credential)"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
