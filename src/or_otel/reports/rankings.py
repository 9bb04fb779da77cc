"""Parts of a digest about who spends: models, keys and teams, single dear calls, and how few make how much. Pure."""

from __future__ import annotations

import heapq
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal

from or_otel.entries import Adding, Entry, add_up
from or_otel.facts import ZERO
from or_otel.reports.money import plural, share
from or_otel.reports.over_time import change, known
from or_otel.reports.sections import Call, Frame, Section
from or_otel.reports.tables import Column, Table, Value

SHOWN_ROWS = 8
DEAREST = 5
SHARES = (1, 5, 10, 20, 50)
"""Percent of the calls, the dearest first."""
WHOLE = 100
FEWEST = 20
"""With fewer calls one of them is 5 % already."""
HALF = Decimal("0.5")
NOBODY = "(none)"


class Ranking:
    """The dearest groups of one kind, beside the period before.

    Args:
        frame: The period.
        name, title: Of the section.
        of: Entry → group; None for nobody.
    """

    def __init__(self, frame: Frame, name: str, title: str, of: Callable[[Entry], str | None]) -> None:
        self._frame, self._name, self._title, self._of = frame, name, title, of
        self._now: dict[str | None, Adding] = defaultdict(Adding)
        self._before: dict[str | None, Adding] = defaultdict(Adding)

    def add(self, call: Call) -> None:
        """Take a call."""
        if self._frame.is_now(call):
            groups = self._now
        elif self._frame.is_before(call):
            groups = self._before
        else:
            return
        for entry in call:
            groups[self._of(entry)].add(entry)

    def sections(self) -> Iterator[Section]:
        """Give the dearest groups; nothing where nobody is named."""
        if not any(name is not None for name in self._now):
            return
        now = {name: adding.sums() for name, adding in self._now.items()}
        before = {name: adding.sums() for name, adding in self._before.items()}
        whole = sum((sums.total or ZERO for sums in now.values()), ZERO)
        ranked = sorted(now, key=lambda name: (-(now[name].total or ZERO), name or ""))
        rows: list[tuple[Value, ...]] = []
        for name in ranked[:SHOWN_ROWS]:
            sums, cost = now[name], known(now[name])
            past = known(before[name]) if name in before else ZERO
            part = cost / whole if cost is not None and whole else None
            rows.append(
                (
                    NOBODY if name is None else name,
                    sums.calls,
                    sums.errors,
                    sums.input_tokens,
                    sums.output_tokens,
                    cost,
                    part,
                    past,
                    change(cost, past) if before else None,
                )
            )
        rest = ranked[SHOWN_ROWS:]
        notes = []
        if rest:
            money = sum((now[name].total or ZERO for name in rest), ZERO)
            notes.append(f"{len(rest)} more make {share(money / whole) if whole else '0%'} of the cost.")
        yield Section(
            name=self._name,
            title=self._title,
            table=Table(
                columns=(
                    Column(name=self._name.removesuffix("s"), title=self._name.removesuffix("s")),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="errors", title="failed", kind="count"),
                    Column(name="input_tokens", title="in", kind="tokens"),
                    Column(name="output_tokens", title="out", kind="tokens"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="cost_share", title="share", kind="share"),
                    Column(name="before_usd", title="", kind="usd", is_certain=True),
                    Column(name="change", title="change"),
                ),
                rows=tuple(rows),
                floors=frozenset(place for place, name in enumerate(ranked[:SHOWN_ROWS]) if now[name].unpriced),
            ),
            notes=tuple(notes),
        )


def models(frame: Frame) -> Ranking:
    """Rank the models that answered."""
    return Ranking(frame, "models", "Models", lambda entry: entry.model)


def keys(frame: Frame) -> Ranking:
    """Rank the API keys."""
    return Ranking(frame, "keys", "Keys", lambda entry: entry.key)


def teams(frame: Frame) -> Ranking:
    """Rank the teams: by tag, else by whose key it is."""
    return Ranking(
        frame,
        "teams",
        "Teams",
        lambda entry: entry.tags.get("team") or frame.labels_of_key(entry.key_id).get("team"),
    )


class Dearest:
    """The dearest calls."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._heap: list[tuple[Decimal, int, Call]] = []
        self._number = 0

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.is_now(call):
            return
        cost = add_up(call).total
        if not cost:
            return
        self._number -= 1  # of two that cost the same, the earlier one; and calls are never compared
        if len(self._heap) < DEAREST:
            heapq.heappush(self._heap, (cost, self._number, call))
        else:
            heapq.heappushpop(self._heap, (cost, self._number, call))

    def sections(self) -> Iterator[Section]:
        """Give them, dearest first."""
        if len(self._heap) < 2:  # noqa: PLR2004 -- one call is no ranking
            return
        chosen = [call for _, _, call in sorted(self._heap, reverse=True)]
        yield Section(
            name="dearest",
            title="Dearest calls",
            table=Table(
                columns=(
                    Column(name="started_at_s", title="when (UTC)", kind="time", spare=2),
                    Column(name="model", title="model"),
                    Column(name="outcome", title=""),
                    Column(name="attribution", title="by", spare=1),
                    Column(name="input_tokens", title="in", kind="tokens", spare=3),
                    Column(name="output_tokens", title="out", kind="tokens", spare=3),
                    Column(name="duration_s", title="", kind="seconds"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="call_id", title=""),
                    Column(name="generation_id", title="generation", is_whole=True),
                    Column(name="trace_id", title=""),
                ),
                rows=tuple(map(_dear, chosen)),
                floors=frozenset(place for place, call in enumerate(chosen) if add_up(call).unpriced),
            ),
        )


def _dear(call: Call) -> tuple[Value, ...]:
    last, sums = call[-1], add_up(call)
    return (
        last.call_started_at_s,
        last.model,
        last.outcome,
        last.tags.get("feature") or last.tags.get("team") or last.workflow or last.service_name,
        sums.input_tokens,
        sums.output_tokens,
        last.duration_s,
        sums.total,
        last.call_id,
        last.generation_id,
        last.trace_id,
    )


class Pareto:
    """How few calls make how much of the money."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._costs: Counter[Decimal] = Counter()

    def add(self, call: Call) -> None:
        """Take a call."""
        if self._frame.is_now(call):
            self._costs[add_up(call).total or ZERO] += 1

    def sections(self) -> Iterator[Section]:
        """Give the shares; nothing where there are too few calls for any."""
        calls = self._costs.total()
        whole = sum((cost * number for cost, number in self._costs.items()), ZERO)
        if calls < FEWEST or not whole:
            return
        # A percent of fewer calls than make one is no share.
        counts = {percent: calls * percent // WHOLE for percent in SHARES if calls * percent >= WHOLE}
        rows = tuple(
            (percent, f"{percent}% of all", count, money, money / whole)
            for percent, count in counts.items()
            for money in (self._dearest(count),)
        )
        half = self._reaching(whole * HALF)
        yield Section(
            name="pareto",
            title="Few calls, much money",
            lead=f"Half of the cost is made by {plural(half, 'call')} of {calls:,}.",
            table=Table(
                columns=(
                    Column(name="dearest_percent", title="", kind="count"),
                    Column(name="words", title="calls, the dearest first"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="cost_share", title="share", kind="share"),
                ),
                rows=rows,
            ),
        )

    def _dearest(self, count: int) -> Decimal:
        money = ZERO
        for cost in sorted(self._costs, reverse=True):
            number = min(count, self._costs[cost])
            money += cost * number
            count -= number
            if not count:
                break
        return money

    def _reaching(self, goal: Decimal) -> int:
        money, count = ZERO, 0
        for cost in sorted(self._costs, reverse=True):
            number = self._costs[cost]
            if money + cost * number >= goal:
                return count + math.ceil((goal - money) / cost)
            money += cost * number
            count += number
        return count
