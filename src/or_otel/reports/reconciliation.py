"""What clients tracked beside what the account billed: for closed UTC days, by key and model, both ledgers apart.

Entries of the ledger and activity rows of the account come in, comparisons go out; why both sides differ is
`reports.causes`'. Pure. Credits are what OpenRouter takes; BYOK is what providers bill over own keys, at list
price. A key that cannot be matched stands alone on its side and is never guessed.

A call belongs to the UTC day it began on. Where OpenRouter books it on the neighbouring day, `rebooked` moves it:
only calls near that midnight, and only if a day then agrees to the last digit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations

from or_otel.accounts import ActivityRow
from or_otel.days import ONE_DAY, begin_s, utc_day
from or_otel.entries import Entry
from or_otel.facts import EXACT, ZERO
from or_otel.routes import is_same_model

ROUNDING_USD = Decimal("1e-9")
"""Sums that differ by less are the same: binary floats on the other side."""
NEAR_S = 300.0
"""Calls that began or ended so near to a midnight may be booked beyond it; clocks differ, rows are written late."""
MAX_NEAR = 12
"""More calls of one key and model near one midnight are not tried in every combination."""
FREE = ":free"

Discounts = Mapping[str, Decimal]
"""Provider, lower case → share of its list price that a contract takes off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracked:
    """One attempt that is, or may be, on a bill.

    Attributes:
        entry: As the ledger tells it.
        day: UTC day it is held against.
        began_on: Day it began on; another one where it was rebooked.
        model: Named as the account names it, where the account knows it.
        key_hash: The account's key; None where its fingerprint met none.
    """

    entry: Entry
    day: date
    began_on: date
    model: str | None
    key_hash: str | None

    @property
    def credits_usd(self) -> Decimal:
        """What the credits lost; zero while unknown."""
        return self.entry.charged or ZERO

    @property
    def byok_usd(self) -> Decimal:
        """What the provider bills over an own key; zero while unknown."""
        return self.entry.upstream_bill or ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison: sums of what was told.

    Attributes:
        requests: Answers that are, or may be, billed.
        credits_usd: What OpenRouter took, BYOK fees included.
        byok_usd: What providers bill over own keys, at list price.
        byok_effective_usd: The same less the discounts of contracts.
        input_tokens, output_tokens: Tokens.
        unpriced: Answers whose price is not known, by reason; clients only.
    """

    requests: int = 0
    credits_usd: Decimal = ZERO
    byok_usd: Decimal = ZERO
    byok_effective_usd: Decimal = ZERO
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_usd(self) -> Decimal:
        """Both ledgers, at list price."""
        return EXACT.add(self.credits_usd, self.byok_usd)


NOTHING = Side()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Both sides of one day, or of one key or model on it.

    Attributes:
        day: Closed UTC day.
        key_hash: The account's key; None without `key`, and where a fingerprint met none.
        fingerprint: What clients know of the key; None without `key`, and where none is known.
        model: As the account names it; None without `model`.
        client, provider: The sides.
        is_two_sided: Whether both sides can speak: False for a key that only one of them knows.
    """

    day: date
    key_hash: str | None = None
    fingerprint: str | None = None
    model: str | None = None
    client: Side = NOTHING
    provider: Side = NOTHING
    is_two_sided: bool = True

    @property
    def credits_difference_usd(self) -> Decimal:
        """Credits billed beyond what was tracked; below zero when more was tracked."""
        return EXACT.subtract(self.provider.credits_usd, self.client.credits_usd)

    @property
    def byok_difference_usd(self) -> Decimal:
        """Provider bills beyond what was tracked."""
        return EXACT.subtract(self.provider.byok_usd, self.client.byok_usd)

    @property
    def difference_usd(self) -> Decimal:
        """Over both ledgers; they may cancel each other out."""
        return EXACT.add(self.credits_difference_usd, self.byok_difference_usd)

    @property
    def capture_ratio(self) -> Decimal | None:
        """Tracked money as a share of billed money; None when nothing was billed."""
        return self.client.total_usd / self.provider.total_usd if self.provider.total_usd else None

    @property
    def is_equal(self) -> bool:
        """Whether both ledgers agree, up to rounding."""
        return max(abs(self.credits_difference_usd), abs(self.byok_difference_usd)) <= ROUNDING_USD

    def is_within(self, tolerance: Decimal) -> bool:
        """Whether each ledger's difference is at most this share of all that was billed or tracked."""
        if self.is_equal:
            return True
        allowed = tolerance * max(abs(self.provider.total_usd), abs(self.client.total_usd))
        return max(abs(self.credits_difference_usd), abs(self.byok_difference_usd)) <= allowed


# Our side -------------------------------------------------------------------------------------------------------------


def tracked_from(entries: Iterable[Entry], rows: Iterable[ActivityRow], hash_of: Mapping[str, str]) -> list[Tracked]:
    """Pick the attempts through OpenRouter that are, or may be, on a bill, and name keys and models as the account."""
    names = _ModelNames(rows)
    found = []
    for entry in entries:
        if entry.server == "openrouter" and (entry.charged is not None or entry.unpriced is not None):
            day = utc_day(entry.started_at_s)
            key_hash = hash_of.get(entry.key_id or "")
            model = names.of(entry.response_model, entry.request_model)
            found.append(Tracked(entry=entry, day=day, began_on=day, model=model, key_hash=key_hash))
    return found


class _ModelNames:
    """Names models as the account's rows do; `:free` is another model than the one it is a variant of."""

    def __init__(self, rows: Iterable[ActivityRow]) -> None:
        self._models: dict[str, None] = {}
        self._dated: dict[str, dict[str, None]] = defaultdict(dict)
        for row in rows:
            name = row.model or row.permaslug
            if name is not None:
                self._models[name] = None
                self._dated[row.permaslug or name][name] = None
        self._known: dict[tuple[str | None, str | None], str | None] = {}

    def of(self, answered: str | None, asked: str | None) -> str | None:
        """Name the model of an attempt."""
        pair = (answered, asked)
        if pair not in self._known:
            self._known[pair] = self._find(answered, asked)
        return self._known[pair]

    def _find(self, answered: str | None, asked: str | None) -> str | None:
        name = answered or asked
        if name is None or name in self._models:
            dated = self._dated.get(name or "", {})
            return asked if asked in dated else name
        near = self._dated.get(name) or [known for known in self._models if is_same_model(known, name)]
        is_free = any((text or "").endswith(FREE) for text in (name, asked))
        fitting = [known for known in near if known.endswith(FREE) == is_free]
        return asked if asked in fitting else next(iter(fitting), name)


# Both sides -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    credits: Decimal = ZERO
    byok: Decimal = ZERO
    effective: Decimal = ZERO
    input_tokens: int = 0
    output_tokens: int = 0
    unpriced: dict[str, int] = field(default_factory=dict)

    def add(self, tracked: Tracked, discounts: Discounts) -> None:
        entry = tracked.entry
        self.requests += 1
        self._money(tracked.credits_usd, tracked.byok_usd, entry.served_provider, discounts)
        self.input_tokens += entry.input_tokens or 0
        self.output_tokens += entry.output_tokens or 0
        if entry.unpriced is not None:
            self.unpriced[entry.unpriced] = self.unpriced.get(entry.unpriced, 0) + 1

    def add_row(self, row: ActivityRow, discounts: Discounts) -> None:
        self.requests += row.requests or 0
        self._money(row.credits_usd or ZERO, row.byok_usd or ZERO, row.provider, discounts)
        self.input_tokens += row.input_tokens or 0
        self.output_tokens += row.output_tokens or 0

    def _money(self, charged: Decimal, byok: Decimal, provider: str | None, discounts: Discounts) -> None:
        self.credits = EXACT.add(self.credits, charged)
        self.byok = EXACT.add(self.byok, byok)
        self.effective = EXACT.add(self.effective, effective_usd(byok, provider, discounts))

    def side(self) -> Side:
        return Side(
            requests=self.requests,
            credits_usd=self.credits,
            byok_usd=self.byok,
            byok_effective_usd=self.effective,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            unpriced=dict(sorted(self.unpriced.items())),
        )


def effective_usd(list_usd: Decimal, provider: str | None, discounts: Discounts) -> Decimal:
    """Take a contract's discount off a list price."""
    if not list_usd or not discounts:
        return list_usd
    name = (provider or "").lower()
    discount = discounts.get(name, discounts.get(name.replace(" ", "-"), ZERO))
    return EXACT.multiply(list_usd, 1 - discount)


def compared(
    tracked: Iterable[Tracked],
    rows: Iterable[ActivityRow],
    *,
    days: Collection[date],
    by: Collection[str] = (),
    discounts: Discounts | None = None,
) -> tuple[Comparison, ...]:
    """Put both sides beside each other.

    Args:
        tracked: Our side.
        rows: The account's own rows, which count without `key`, and those of single keys, which count with it.
        days: Closed days that the account told about.
        by: `key`, `model`, both or neither.
        discounts: For effective prices.

    Returns:
        Oldest first; without `key` and `model` one for each day, also when nothing happened.
    """
    wanted, discounts = frozenset(days), discounts or {}
    by_key, by_model = "key" in by, "model" in by
    ours: dict[tuple[date, str | None, str | None, str | None], _Sum] = defaultdict(_Sum)
    theirs: dict[tuple[date, str | None, str | None, str | None], _Sum] = defaultdict(_Sum)
    marks: dict[str, str] = {}
    for each in tracked:
        if each.day in wanted:
            mark = each.entry.key_id
            if each.key_hash is not None and mark is not None:
                marks[each.key_hash] = mark
            loose = mark or "" if by_key and each.key_hash is None else None
            place = (each.day, each.key_hash if by_key else None, loose, each.model if by_model else None)
            ours[place].add(each, discounts)
    for row in rows:
        if row.day in wanted and (row.key_hash is not None) == by_key:
            model = (row.model or row.permaslug) if by_model else None
            theirs[row.day, row.key_hash if by_key else None, None, model].add_row(row, discounts)
    places = {*ours, *theirs}
    if not by_key and not by_model:
        places |= {(day, None, None, None) for day in wanted}
    return tuple(
        Comparison(
            day=place[0],
            key_hash=place[1],
            fingerprint=(place[2] if place[2] is not None else marks.get(place[1] or "")) or None,
            model=place[3],
            client=ours[place].side() if place in ours else NOTHING,
            provider=theirs[place].side() if place in theirs else NOTHING,
            is_two_sided=place[2] is None,
        )
        for place in sorted(places, key=lambda place: (place[0], *(part or "" for part in place[1:])))
    )


# Midnight -------------------------------------------------------------------------------------------------------------

Amounts = tuple[int, Decimal, Decimal]
"""Requests, credits, BYOK."""
NIL: Amounts = (0, ZERO, ZERO)
Cell = tuple[str, str | None]
"""A key's hash and a model: calls are moved within it only."""


def rebooked(tracked: Sequence[Tracked], rows: Iterable[ActivityRow], days: Collection[date]) -> list[Tracked]:
    """Move calls near a midnight to the neighbouring day where the account's sums prove that they are booked there.

    Args:
        tracked: Our side, from a day before the first day to a day after the last.
        rows: Those of single keys are used; without any, the account's own.
        days: Closed days that the account told about.

    Returns:
        All of them.
    """
    rows = list(rows)
    has_keys = any(row.key_hash is not None for row in rows)
    left: dict[tuple[Cell, date], Amounts] = defaultdict(lambda: NIL)
    for row in rows:
        if (row.key_hash is not None) == has_keys:
            cell = (row.key_hash or "", row.model or row.permaslug)
            told = (row.requests or 0, row.credits_usd or ZERO, row.byok_usd or ZERO)
            left[cell, row.day] = _added(left[cell, row.day], told)
    near: dict[tuple[Cell, date], list[int]] = defaultdict(list)
    for place, each in enumerate(tracked):
        if has_keys and each.key_hash is None:
            continue
        cell = (each.key_hash if has_keys and each.key_hash is not None else "", each.model)
        left[cell, each.day] = _added(left[cell, each.day], _amounts([each]), -1)
        for midnight in _near_midnights(each):
            near[cell, midnight].append(place)
    moved = list(tracked)
    known = frozenset(days)
    for cell, midnight in sorted(near, key=lambda place: (place[1], str(place[0]))):
        for step in (ONE_DAY, -ONE_DAY):
            for place, day in _moves(moved, near, left, cell, midnight, step, known):
                one = _amounts([moved[place]])
                left[cell, moved[place].day] = _added(left[cell, moved[place].day], one)
                left[cell, day] = _added(left[cell, day], one, -1)
                moved[place] = replace(moved[place], day=day)
    return moved


def _near_midnights(each: Tracked) -> Iterator[date]:
    """Give the midnights, named by the day that begins, beyond which a call may be booked."""
    entry, day = each.entry, each.day
    if max(entry.ended_at_s, entry.started_at_s) + NEAR_S >= begin_s(day + ONE_DAY):
        yield day + ONE_DAY
    if entry.started_at_s - NEAR_S < begin_s(day):
        yield day


def _moves(
    tracked: Sequence[Tracked],
    near: Mapping[tuple[Cell, date], Sequence[int]],
    left: Mapping[tuple[Cell, date], Amounts],
    cell: Cell,
    midnight: date,
    step: timedelta,
    known: Collection[date],
) -> list[tuple[int, date]]:
    """Find which calls belong beyond a midnight: the fewest that make a known day agree and leave none worse.

    A program that is busy at every midnight makes a day worse that gives none on: then the next midnight's calls are
    looked at, too, until the last day is not worse.

    Args:
        tracked: Our side as it stands.
        near: Cell and midnight → places in it of calls near that midnight.
        left: What the account told beyond that.
        cell: Whose.
        midnight: The first one, named by the day that begins.
        step: A day: the day before the midnight is to agree; minus a day: the one after it.
        known: Closed days.
    """
    found: list[tuple[int, date]] = []
    rest: dict[date, Amounts] = {}
    while places := [place for place in near.get((cell, midnight), ()) if all(place != each for each, _ in found)]:
        here, there = sorted((midnight - ONE_DAY, midnight), reverse=step < timedelta(0))
        before = {day: rest.get(day, left.get((cell, day), NIL)) for day in (here, there)}
        if here not in known or _is_nil(before[here]):
            break
        agreeing = None
        for some in _choices(tracked, [place for place in places if tracked[place].day in before]):
            gone = _amounts([tracked[place] for place in some if tracked[place].day == here])
            shift = _added(gone, _amounts([tracked[place] for place in some if tracked[place].day == there]), -1)
            after = {here: _added(before[here], shift), there: _added(before[there], shift, -1)}
            if _is_nil(after[here]):
                moves = [(place, there if tracked[place].day == here else here) for place in some]
                if there not in known or not _is_beyond(after[there], left.get((cell, there), NIL)):
                    return found + moves
                agreeing = agreeing or (moves, after)
        if agreeing is None:
            break
        found += agreeing[0]
        rest |= agreeing[1]
        midnight += step
    return []


def _choices(tracked: Sequence[Tracked], places: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Give which of the calls near a midnight may be beyond it together, the fewest first."""
    crossing = [place for place in places if tracked[place].entry.ended_at_s >= begin_s(tracked[place].day + ONE_DAY)]
    chosen = places if len(places) <= MAX_NEAR else crossing[:MAX_NEAR]
    for count in range(1, len(chosen) + 1):
        yield from combinations(chosen, count)


def _amounts(several: Iterable[Tracked]) -> Amounts:
    total = NIL
    for each in several:
        total = _added(total, (1, each.credits_usd, each.byok_usd))
    return total


def _added(amounts: Amounts, other: Amounts, sign: int = 1) -> Amounts:
    return (
        amounts[0] + sign * other[0],
        EXACT.add(amounts[1], other[1] if sign > 0 else -other[1]),
        EXACT.add(amounts[2], other[2] if sign > 0 else -other[2]),
    )


def _is_beyond(amounts: Amounts, others: Amounts) -> bool:
    """Whether a sum is farther from nothing than another."""
    return (
        abs(amounts[0]) > abs(others[0])
        or abs(amounts[1]) > abs(others[1]) + ROUNDING_USD
        or abs(amounts[2]) > abs(others[2]) + ROUNDING_USD
    )


def _is_nil(amounts: Amounts) -> bool:
    return not amounts[0] and max(abs(amounts[1]), abs(amounts[2])) <= ROUNDING_USD
