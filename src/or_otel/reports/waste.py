"""Sections about money that need not have been spent: retries of clients, loops, inputs that are far too large.

What a call showed when it ended stands in its entry. `PARTS` is what `or-otel report --waste` shows. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

from or_otel.entries import Entry
from or_otel.facts import ZERO
from or_otel.reports.caching import Caching
from or_otel.reports.dearness import Fallbacks, OutputShare, PriceTiers
from or_otel.reports.leaks import Waste
from or_otel.reports.money import UNKNOWN, plural, usd
from or_otel.reports.sections import Call, Frame, Part, Section
from or_otel.reports.tables import Column, Table
from or_otel.reports.usage import Tally, use_of

SHOWN = 15


class Retries:
    """Attempts of clients after the first one."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._calls = 0
        self._reasons: dict[str, Tally] = defaultdict(Tally)

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.is_now(call) or len(call) == 1:
            return
        self._calls += 1
        for entry in call:
            if not entry.is_last:
                tally = self._reasons[entry.error_type or entry.attempt_outcome]
                tally.add(entry)
                tally.seconds += max(0.0, entry.ended_at_s - entry.started_at_s)

    def sections(self) -> Iterator[Section]:
        """Give why clients asked again."""
        if not self._reasons:
            return
        ordered = sorted(self._reasons.items(), key=lambda item: (-item[1].count, item[0]))
        attempts = sum(tally.count for tally in self._reasons.values())
        seconds = sum(tally.seconds for tally in self._reasons.values())
        cost = _cost(self._reasons.values())
        yield Section(
            name="retries",
            title="Retries by clients",
            lead=f"{plural(self._calls, 'call')} took {plural(attempts, 'attempt')} that came to nothing: "
            f"{seconds:,.0f} s of waiting, {cost}.",
            table=Table(
                columns=(
                    Column(name="reason", title="failed with"),
                    Column(name="attempts", title="attempts", kind="count"),
                    Column(name="seconds", title="waited", kind="seconds"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                ),
                rows=tuple((reason, tally.count, tally.seconds, tally.cost) for reason, tally in ordered),
                floors=frozenset(place for place, (_, tally) in enumerate(ordered) if tally.is_floor),
            ),
            notes=("Waiting between attempts is not counted.",),
        )


class Marked:
    """Calls that showed something when they ended, by what they were for and their model."""

    def __init__(
        self, frame: Frame, *, name: str, title: str, is_marked: Callable[[Entry], bool], says: str, note: str
    ) -> None:
        self._frame, self._is_marked = frame, is_marked
        self._name, self._title, self._says, self._note = name, title, says, note
        self._tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)

    def add(self, call: Call) -> None:
        """Take a call."""
        if self._frame.is_now(call) and self._is_marked(call[-1]):
            for entry in call:
                self._tallies[use_of(entry), entry.model or UNKNOWN].add(entry)

    def sections(self) -> Iterator[Section]:
        """Give the places where it happened, the dearest first."""
        if not self._tallies:
            return
        places = sorted(self._tallies, key=lambda place: (-self._tallies[place].cost, place))
        calls = sum(tally.calls for tally in self._tallies.values())
        cost = _cost(self._tallies.values())
        yield Section(
            name=self._name,
            title=self._title,
            lead=f"{plural(calls, 'call')} {self._says}: {cost}.",
            table=Table(
                columns=(
                    Column(name="use", title="used for"),
                    Column(name="model", title="model"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="input_tokens_each", title="in, each", kind="tokens"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                ),
                rows=tuple(
                    (*place, tally.calls, tally.input_tokens // max(1, tally.count), tally.cost)
                    for place in places[:SHOWN]
                    for tally in (self._tallies[place],)
                ),
                floors=frozenset(
                    number for number, place in enumerate(places[:SHOWN]) if self._tallies[place].is_floor
                ),
            ),
            notes=(self._note,),
        )


def _cost(tallies: Collection[Tally]) -> str:
    whole = sum((tally.cost for tally in tallies), ZERO)
    return usd(whole, is_floor=any(tally.is_floor for tally in tallies))


def loops(frame: Frame) -> Marked:
    """Give the part about retry loops."""
    return Marked(
        frame,
        name="retry_loops",
        title="Asked again and again",
        is_marked=lambda entry: entry.is_retry_loop is True,
        says="repeated one request, or went on with one conversation, too often in a minute",
        note="Counted from the sixth equal request, or the 31st step of one conversation, within a minute.",
    )


def oversized(frame: Frame) -> Marked:
    """Give the part about large inputs."""
    return Marked(
        frame,
        name="oversized",
        title="Far larger than usual",
        is_marked=lambda entry: entry.is_oversized is True,
        says="had an input more than five times the median of their workflow, feature or model",
        note="A context that grows until it is cut, or a document that should have been searched.",
    )


PARTS: tuple[Callable[[Frame], Part], ...] = (
    Waste,
    Retries,
    loops,
    Caching,
    oversized,
    OutputShare,
    Fallbacks,
    PriceTiers,
)
"""What `or-otel report --waste` shows, in order."""
