"""Whose key is it: rows of the settings file, what the account lists, what clients saw → owner, and one map of both.

The account knows a key by its hash, its name and its masked label; a client knows only its fingerprint, the
first 12 hex digits of the key's SHA-256. Whether the account's hash is a SHA-256 of the key is nowhere
documented: it is believed only after it was verified with a key that this process holds. What cannot
be matched is told, never guessed. Keys that are held come in as text, are compared, and are not kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from or_otel.accounts import AccountKey
from or_otel.facts import FINGERPRINT_DIGITS

OWNER_FIELDS = ("company", "team", "environment", "product", "owner")
LABEL_GAP = "..."

How = Literal["configured", "hash", "label"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Whom a key belongs to.

    Attributes:
        company, team, environment, product, owner: None when not said.
        tags: More of the kind.
    """

    company: str | None = None
    team: str | None = None
    environment: str | None = None
    product: str | None = None
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """All of it by name, without what was not said."""
        told = {name: getattr(self, name) for name in OWNER_FIELDS}
        return {name: value for name, value in told.items() if value is not None} | dict(self.tags)


NOBODY = Assignment()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRule:
    """A row of `[[keys]]`.

    Attributes:
        hash: The account's hash of the key, or its first 8 or more digits.
        fingerprint: What clients tell of the key; beside a hash it is the same key.
        name: The key's name at OpenRouter, or a pattern with `*`.
        assignment: Whose it is.
    """

    hash: str | None = None
    fingerprint: str | None = None
    name: str | None = None
    assignment: Assignment = NOBODY

    def matches(self, key: AccountKey | None, fingerprint: str | None) -> bool:
        """Whether the row speaks of this key; either side may be unknown."""
        if self.fingerprint is not None and self.fingerprint == fingerprint:
            return True
        if key is None:
            return False
        if self.hash is not None:
            return key.hash is not None and key.hash.startswith(self.hash)
        return self.name is not None and key.name is not None and fnmatchcase(key.name, self.name)

    def shadows(self, later: KeyRule) -> bool:
        """Whether a later row can never be reached, or means the same key."""
        same_hash = self.hash and later.hash and (self.hash.startswith(later.hash) or later.hash.startswith(self.hash))
        same_name = self.name and later.name and fnmatchcase(later.name, self.name)
        return bool(same_hash or same_name or (self.fingerprint and self.fingerprint == later.fingerprint))


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMap:
    """Which fingerprint is which key of the account.

    Attributes:
        hash_of: Fingerprint → hash of the account's row.
        how: Fingerprint → how that is known.
        unknown_fingerprints: Seen by clients and matched to no row.
        unused_hashes: Rows of the account that no client's fingerprint met.
    """

    hash_of: Mapping[str, str] = field(default_factory=dict)
    how: Mapping[str, How] = field(default_factory=dict)
    unknown_fingerprints: tuple[str, ...] = ()
    unused_hashes: tuple[str, ...] = ()

    def fingerprint_of(self, key_hash: str | None) -> str | None:
        """Give the fingerprint of a row; None when it is not known."""
        return next((mark for mark, found in self.hash_of.items() if found == key_hash), None)


def assign(rules: Sequence[KeyRule], key: AccountKey | None, fingerprint: str | None) -> Assignment:
    """Give whom a key belongs to by the first row that matches; `NOBODY` when none does."""
    return next((rule.assignment for rule in rules if rule.matches(key, fingerprint)), NOBODY)


def ambiguities(rules: Sequence[KeyRule], keys: Iterable[AccountKey]) -> tuple[str, ...]:
    """Tell the keys whose name meets several patterns that disagree; the first one is in force."""
    told = []
    for key in keys:
        if any(rule.hash and rule.matches(key, None) for rule in rules):
            continue
        met = [rule for rule in rules if rule.matches(key, None)]
        if any(rule.assignment != met[0].assignment for rule in met[1:]):
            patterns = ", ".join(repr(rule.name) for rule in met)
            told.append(
                f"key {key.name!r} meets the patterns {patterns}; the first is in force: "
                "give the key a row of its own, by hash, if that is wrong"
            )
    return tuple(told)


def match_keys(
    rules: Sequence[KeyRule], keys: Sequence[AccountKey], fingerprints: Iterable[str], held_keys: Iterable[str] = ()
) -> KeyMap:
    """Find which fingerprint is which key of the account.

    In this order: a row of the file that names both; the hash, once verified with a held key; the masked
    label of a held key, when exactly one row has it.

    Args:
        rules: Rows of the file.
        keys: What the account lists.
        fingerprints: What clients saw.
        held_keys: API keys that this process holds.
    """
    hashes = [key.hash for key in keys if key.hash is not None]
    found: dict[str, tuple[str, How]] = {}
    for rule in rules:
        if rule.fingerprint is not None and rule.hash is not None:
            met = [each for each in hashes if each.startswith(rule.hash)]
            if len(met) == 1:
                found[rule.fingerprint] = (met[0], "configured")
    held = [(key, hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()) for key in set(held_keys)]
    marks = dict.fromkeys((*fingerprints, *(digest[:FINGERPRINT_DIGITS] for _, digest in held)))
    if any(digest in hashes for _, digest in held):
        by_mark = {each[:FINGERPRINT_DIGITS]: each for each in hashes}
        doubled = Counter(each[:FINGERPRINT_DIGITS] for each in hashes)
        for mark in marks:
            if mark in by_mark and doubled[mark] == 1:
                found.setdefault(mark, (by_mark[mark], "hash"))
    for mark, key_hash in _by_label(keys, held).items():
        found.setdefault(mark, (key_hash, "label"))
    met_hashes = {key_hash for key_hash, _ in found.values()}
    return KeyMap(
        hash_of={mark: key_hash for mark, (key_hash, _) in found.items()},
        how={mark: how for mark, (_, how) in found.items()},
        unknown_fingerprints=tuple(mark for mark in marks if mark not in found),
        unused_hashes=tuple(each for each in hashes if each not in met_hashes),
    )


def _by_label(keys: Sequence[AccountKey], held: list[tuple[str, str]]) -> dict[str, str]:
    met = {digest: [row.hash for row in keys if row.hash and _is_masked(key, row.label)] for key, digest in held}
    only = {digest: hashes[0] for digest, hashes in met.items() if len(hashes) == 1}
    times = Counter(only.values())
    return {digest[:FINGERPRINT_DIGITS]: key_hash for digest, key_hash in only.items() if times[key_hash] == 1}


def _is_masked(key: str, label: str | None) -> bool:
    """Whether a label as `sk-or-v1-abc...123` may be this key's."""
    start, gap, end = (label or "").partition(LABEL_GAP)
    return bool(gap and start and end) and len(key) > len(start + end) and key.startswith(start) and key.endswith(end)
