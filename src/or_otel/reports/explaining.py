"""Both sides of closed days → why they differ: causes, counted, with money and evidence.

The attempts and both sums of one key on one day come in, causes go out; their money and the remainder that stays
`unexplained` add up to the difference, on each ledger. Where the account lists its generations (`Billed`), each
answer is held against its own bill; else only the sums speak, and a cause gets money of unknown size only if it is the
only one that can be. Pure; nothing is guessed without saying so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from or_otel.accounts import ActivityRow
from or_otel.facts import EXACT, ZERO, total
from or_otel.reports.causes import MAX_EXAMPLES, MEANINGS, NO_MONEY, Billed, Cause, Kind, Money, merged
from or_otel.reports.money import plural
from or_otel.reports.reconciliation import ROUNDING_USD, Comparison, Tracked, compared

JOBS = frozenset({"batches", "videos"})
FEE_SHARE = Decimal("0.06")
"""A little above what OpenRouter takes for BYOK: both sides of a switch may differ by the fee."""
FAILED = 400


def explained(
    tracked: Sequence[Tracked],
    rows: Sequence[ActivityRow],
    *,
    days: Collection[date],
    matched: Collection[str],
    listed: Mapping[tuple[date, str], Mapping[str, Billed]] | None = None,
    agents: Mapping[str, Collection[str]] | None = None,
) -> dict[date, tuple[Cause, ...]]:
    """Explain closed days, key by key.

    Args:
        tracked: Our side of the whole period, already held against the right days.
        rows: The account's own rows and those of single keys; without the latter a day is explained as a whole.
        days: Closed days that the account told about.
        matched: Hashes of keys whose fingerprint is known.
        listed: Day and key hash → all its generations, by id, where they are known.
        agents: Key hash → user agents of calls that were tracked.

    Returns:
        Day → causes and notes by kind, largest first.
    """
    listed, agents = listed or {}, agents or {}
    found: dict[date, list[Cause]] = {day: [] for day in days}
    has_keys = not rows or any(row.key_hash is not None for row in rows)
    ours: dict[tuple[date, str | None], list[Tracked]] = defaultdict(list)
    theirs: dict[tuple[date, str | None], list[ActivityRow]] = defaultdict(list)
    for each in tracked:
        ours[each.day, each.key_hash if has_keys else None].append(each)
    for row in rows:
        theirs[row.day, row.key_hash].append(row)
    cells = compared(tracked, rows, days=days, by=("key",) if has_keys else ())
    for cell in cells:
        place = (cell.day, cell.key_hash)
        if not cell.is_two_sided or (has_keys and cell.key_hash not in matched):
            found[cell.day] += causes_of_one_side(cell)
        elif cell.key_hash is not None and (cell.day, cell.key_hash) in listed:
            bills = listed[cell.day, cell.key_hash]
            found[cell.day] += causes_listed(cell, ours[place], bills, agents.get(cell.key_hash, ()))
        else:
            found[cell.day] += causes_summed(cell, ours[place], theirs[place])
    if has_keys:
        for whole in compared(tracked, rows, days=days):
            found[whole.day] += causes_of_rest(whole, [cell for cell in cells if cell.day == whole.day])
    for (day, _), note in fallen_to_credits(tracked).items():
        if day in found:
            found[day].append(note)
    return {day: merged(causes) for day, causes in found.items()}


# Answer by answer -----------------------------------------------------------------------------------------------------


def placed(tracked: Sequence[Tracked], billed: Iterable[Billed]) -> list[Tracked]:
    """Hold each attempt against the day that the account's list books its generation on."""
    days = {each.id: each.day for each in billed}
    return [
        replace(each, day=day) if (day := days.get(each.entry.generation_id or "", each.day)) != each.day else each
        for each in tracked
    ]


def causes_listed(
    comparison: Comparison,
    tracked: Sequence[Tracked],
    billed: Mapping[str, Billed],
    known_agents: Collection[str] = (),
) -> tuple[Cause, ...]:
    """Explain one key's day from the whole list of its generations.

    Args:
        comparison: Its sums.
        tracked: Its attempts, already `placed`.
        billed: Its generations on that day, by id.
        known_agents: User agents of calls that were tracked; without any, other programs and lost lines look the same.
    """
    found = _Findings()
    ours: dict[str, Tracked] = {}
    for each in tracked:
        name = each.entry.generation_id
        if name in ours:
            money = (-each.credits_usd, -each.byok_usd)
            found.add("counted_twice", money, name, "another entry has the same generation id")
            continue
        if name is not None:
            ours[name] = each
        _hold(found, each, billed.get(name or ""))
    for name, bill in billed.items():
        if name not in ours:
            kind: Kind = "untracked"
            evidence = "listed by the account, told by no entry; --lookup tells which program made them"
            if known_agents and bill.user_agent is not None:
                is_known = bill.user_agent in known_agents
                kind = "lost_export" if is_known else "other_program"
                whose = "that of calls that are tracked" if is_known else "that of no call that is tracked"
                evidence = f"told by no entry; their user agent is {whose}"
            found.add(kind, (bill.credits_usd, bill.byok_usd), name, evidence)
    causes = found.causes()
    return (*causes, *_remainder(comparison, causes), *_notes(tracked))


def _hold(found: _Findings, each: Tracked, bill: Billed | None) -> None:
    """Hold one attempt against its bill."""
    entry = each.entry
    name = entry.generation_id
    if entry.unpriced is not None:
        kind: Kind = "cancelled" if entry.unpriced == "cancelled" else "unpriced"
        evidence = f"no price in the answer ({entry.unpriced}); the account's list has it"
        if bill is None:
            evidence = f"no price in the answer ({entry.unpriced}), and nothing on the account's list"
        money = NO_MONEY if bill is None else (bill.credits_usd - each.credits_usd, bill.byok_usd - each.byok_usd)
        found.add(kind, money, name, evidence)
    elif bill is None:
        if each.credits_usd or each.byok_usd:
            kind = "batch" if entry.api in JOBS else "not_booked"
            evidence = "tracked with a price, and not on the account's list of that day"
            found.add(kind, (-each.credits_usd, -each.byok_usd), name, evidence)
    elif (bill.credits_usd, bill.byok_usd) != (each.credits_usd, each.byok_usd):
        money = (bill.credits_usd - each.credits_usd, bill.byok_usd - each.byok_usd)
        kind, evidence = _of_difference(each, bill, money)
        found.add(kind, money, name, evidence)


def _of_difference(each: Tracked, bill: Billed, money: Money) -> tuple[Kind, str]:
    if max(map(abs, money)) <= ROUNDING_USD:
        return "rounding", "answer and bill differ in the last digits"
    if bool(each.byok_usd) != bool(bill.byok_usd) and min(money) < 0 < max(money):
        tracked_on, billed_on = ("BYOK", "credits") if each.byok_usd else ("credits", "BYOK")
        return "byok_switch", f"tracked as {tracked_on}, billed as {billed_on}"
    if sum(money) < 0:
        return "refund", "the account's list has less than the answer said"
    return "repriced", "the account's list has more than the answer said"


class _Findings:
    """Gathers single answers to causes."""

    def __init__(self) -> None:
        self._money: dict[tuple[Kind, str], Money] = {}
        self._names: dict[tuple[Kind, str], list[str]] = defaultdict(list)
        self._counts: dict[tuple[Kind, str], int] = defaultdict(int)

    def add(self, kind: Kind, money: Money, name: str | None, evidence: str) -> None:
        place = (kind, evidence)
        before = self._money.get(place, NO_MONEY)
        self._money[place] = (EXACT.add(before[0], money[0]), EXACT.add(before[1], money[1]))
        self._counts[place] += 1
        if name is not None:
            self._names[place].append(name)

    def causes(self) -> list[Cause]:
        return [
            Cause(
                kind=kind,
                count=self._counts[kind, evidence],
                credits_usd=money[0],
                byok_usd=money[1],
                evidence=evidence,
                examples=tuple(self._names[kind, evidence][:MAX_EXAMPLES]),
            )
            for (kind, evidence), money in self._money.items()
        ]


# By the sums alone ----------------------------------------------------------------------------------------------------


def causes_summed(
    comparison: Comparison, tracked: Sequence[Tracked], rows: Iterable[ActivityRow] = ()
) -> tuple[Cause, ...]:
    """Explain one key's day where the account lists no generations.

    Args:
        comparison: Its sums.
        tracked: Its attempts.
        rows: What the account booked for it, for what was given back.
    """
    causes: list[Cause] = []
    taken, byok = comparison.credits_difference_usd, comparison.byok_difference_usd
    given_back = [row for row in rows if (row.credits_usd or ZERO) < 0 or (row.byok_usd or ZERO) < 0]
    if given_back and not comparison.is_equal:
        money = (
            total(min(row.credits_usd or ZERO, ZERO) for row in given_back),
            total(min(row.byok_usd or ZERO, ZERO) for row in given_back),
        )
        evidence = "rows of the activity are below zero"
        causes.append(_cause("refund", sum(row.requests or 0 for row in given_back), money, evidence))
        taken, byok = EXACT.subtract(taken, money[0]), EXACT.subtract(byok, money[1])
    if _is_switch(taken, byok):
        evidence = "one ledger has as much too little as the other has too much, up to the fee"
        causes.append(_cause("byok_switch", 0, (taken, byok), evidence, is_certain=False))
        taken = byok = ZERO
    open_causes = _candidates(comparison, tracked)
    if max(abs(taken), abs(byok)) > ROUNDING_USD:
        is_alone = len(open_causes) == 1 and (min(taken, byok) >= -ROUNDING_USD or open_causes[0].kind == "batch")
        if is_alone:
            open_causes = [replace(open_causes[0], credits_usd=taken, byok_usd=byok)]
        causes += open_causes
    else:
        # Both agree: what has no price cost nothing, what nobody saw neither.
        causes += [replace(cause, credits_usd=ZERO, byok_usd=ZERO) for cause in open_causes if cause.kind != "batch"]
    return (*causes, *_remainder(comparison, causes), *_notes(tracked))


def _candidates(comparison: Comparison, tracked: Sequence[Tracked]) -> list[Cause]:
    """Give what can explain a difference of unknown size."""
    found = []
    by_reason: dict[Kind, list[Tracked]] = defaultdict(list)
    for each in tracked:
        if each.entry.unpriced is not None:
            by_reason["cancelled" if each.entry.unpriced == "cancelled" else "unpriced"].append(each)
        elif each.entry.api in JOBS:
            by_reason["batch"].append(each)
    for kind, several in by_reason.items():
        names = tuple(name for each in several if (name := each.entry.generation_id) is not None)
        if kind == "batch":
            evidence = "their price is booked on the day they ended"
        else:
            reasons = ", ".join(sorted({each.entry.unpriced or "" for each in several}))
            evidence = f"no price in the answer ({reasons}); --lookup asks for {plural(len(names), 'record')}"
        found.append(
            Cause(kind=kind, count=len(several), evidence=evidence, is_certain=False, examples=names[:MAX_EXAMPLES])
        )
    extra = comparison.provider.requests - comparison.client.requests
    if extra > 0:
        evidence = f"the account counts {plural(extra, 'request')} more than there are entries"
        if not comparison.client.requests:
            evidence = "no entry with this key on that day"
        found.append(Cause(kind="untracked", count=extra, evidence=evidence, is_certain=False))
    return found


def _is_switch(taken: Decimal, byok: Decimal) -> bool:
    if min(taken, byok) >= -ROUNDING_USD or max(taken, byok) <= ROUNDING_USD:
        return False
    return abs(taken + byok) <= FEE_SHARE * abs(byok) + ROUNDING_USD


# What only one side knows ---------------------------------------------------------------------------------------------


def causes_of_one_side(comparison: Comparison) -> tuple[Cause, ...]:
    """Name a key that was not matched, on whichever side it is."""
    if comparison.is_two_sided:
        money = (comparison.provider.credits_usd, comparison.provider.byok_usd)
        evidence = "booked for a key whose fingerprint nobody told"
        return (_cause("unmatched_key", comparison.provider.requests, money, evidence),)
    money = (-comparison.client.credits_usd, -comparison.client.byok_usd)
    mark = comparison.fingerprint or "none"
    evidence = f"fingerprint {mark}: no key of the account is known to have it; it may be another account's"
    return (_cause("unmatched_fingerprint", comparison.client.requests, money, evidence),)


def causes_of_rest(whole: Comparison, cells: Iterable[Comparison]) -> tuple[Cause, ...]:
    """Name what the account booked beyond the keys it lists: keys that were deleted since."""
    taken, byok, requests = whole.provider.credits_usd, whole.provider.byok_usd, whole.provider.requests
    for cell in cells:
        taken = EXACT.subtract(taken, cell.provider.credits_usd)
        byok = EXACT.subtract(byok, cell.provider.byok_usd)
        requests -= cell.provider.requests
    if max(abs(taken), abs(byok)) <= ROUNDING_USD and requests <= 0:
        return ()
    evidence = "the account's day is more than its keys together"
    return (_cause("unlisted_key", max(0, requests), (taken, byok), evidence),)


# Notes and the rest ---------------------------------------------------------------------------------------------------


def _notes(tracked: Sequence[Tracked]) -> list[Cause]:
    notes = []
    moved = [each for each in tracked if each.day != each.began_on]
    hits = [each for each in tracked if each.entry.is_response_cache_hit]
    if moved:
        evidence = "began near a midnight; both days agree once they count where they are booked"
        notes.append(_note("midnight", moved, evidence))
    if hits:
        notes.append(_note("cache_hit", hits, "the answers said so"))
    return notes


def fallen_to_credits(tracked: Iterable[Tracked]) -> dict[tuple[date, str | None], Cause]:
    """Find, by day and key, calls whose own provider key failed so that credits paid; needs the whole period."""
    tracked = list(tracked)
    own: dict[str | None, set[str]] = defaultdict(set)
    for each in tracked:
        if each.entry.is_byok and each.entry.served_provider:
            own[each.key_hash or each.entry.key_id].add(each.entry.served_provider)
    fallen: dict[tuple[date, str | None], list[Tracked]] = defaultdict(list)
    for each in tracked:
        key = each.key_hash or each.entry.key_id
        first = each.entry.route_path[0] if each.entry.route_path else ""
        status = first.rpartition(" ")[2]
        has_failed = status.isdecimal() and int(status) >= FAILED
        if has_failed and each.entry.is_byok is False and any(first.startswith(f"{name} ") for name in own[key]):
            fallen[each.day, key].append(each)
    evidence = "the route tells that a provider failed which this key pays by BYOK elsewhere"
    return {place: _note("byok_to_credits", several, evidence) for place, several in fallen.items()}


def _note(kind: Kind, several: Sequence[Tracked], evidence: str) -> Cause:
    names = tuple(name for each in several if (name := each.entry.generation_id) is not None)
    money = (total(each.credits_usd for each in several), total(each.byok_usd for each in several))
    return replace(_cause(kind, len(several), money, evidence), examples=names[:MAX_EXAMPLES])


def _remainder(comparison: Comparison, causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Give what no cause accounts for."""
    taken, byok = comparison.credits_difference_usd, comparison.byok_difference_usd
    sized = list(causes)
    for cause in sized:
        taken = EXACT.subtract(taken, cause.credits_usd or ZERO)
        byok = EXACT.subtract(byok, cause.byok_usd or ZERO)
    if not taken and not byok:
        return ()
    if max(abs(taken), abs(byok)) <= ROUNDING_USD:
        return (_cause("rounding", 0, (taken, byok), "sums on both sides were added in another way"),)
    waiting = [MEANINGS[cause.kind] for cause in sized if cause.total_usd is None]
    evidence = f"part of it may be: {'; '.join(dict.fromkeys(waiting))}" if waiting else "no evidence for any cause"
    return (_cause("unexplained", 0, (taken, byok), evidence, is_certain=False),)


def _cause(kind: Kind, count: int, money: Money, evidence: str, *, is_certain: bool = True) -> Cause:
    return Cause(
        kind=kind, count=count, credits_usd=money[0], byok_usd=money[1], evidence=evidence, is_certain=is_certain
    )
