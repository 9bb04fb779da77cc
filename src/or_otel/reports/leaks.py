"""Parts of a digest about money with nothing to show for it: wasted, and attributed to nobody. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

from or_otel.entries import Adding
from or_otel.facts import ZERO
from or_otel.reports.money import plural, share, usd
from or_otel.reports.over_time import known
from or_otel.reports.sections import Call, Frame, Section
from or_otel.reports.tables import Column, Table

KINDS = {
    "cancelled": "left before the end",
    "error": "failed",
    "truncated": "cut at the token limit",
    "retry_loop": "asked for again and again",
}
ATTRIBUTION = ("team", "feature", "customer")
SHOWN_SOURCES = 3


class Waste:
    """Money of attempts that were cancelled, failed, cut at their token limit, or part of a loop."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._kinds: dict[str, Adding] = defaultdict(Adding)
        self._calls: Counter[str] = Counter()
        self._whole = ZERO

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.is_now(call):
            return
        kinds = set()
        for entry in call:
            self._whole += entry.total or ZERO
            kind = entry.waste
            if kind is not None:
                self._kinds[kind].add(entry)
                kinds.add(kind)
        self._calls.update(kinds)

    def sections(self) -> Iterator[Section]:
        """Give the kinds that occurred."""
        if not self._kinds:
            return
        sums = {kind: self._kinds[kind].sums() for kind in KINDS if kind in self._kinds}
        money = sum((each.total or ZERO for each in sums.values()), ZERO)
        is_floor = any(each.unpriced for each in sums.values())
        yield Section(
            name="waste",
            title="Wasted",
            lead=f"{usd(money, is_floor=is_floor)} ({_part(money, self._whole)}) went into answers that are not whole.",
            table=Table(
                columns=(
                    Column(name="kind", title=""),
                    Column(name="title", title="answers that"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="cost_share", title="share", kind="share"),
                ),
                rows=tuple(
                    (
                        kind,
                        f"were {words}" if kind != "error" else words,
                        self._calls[kind],
                        cost,
                        _of(cost, self._whole),
                    )
                    for kind, words in KINDS.items()
                    if kind in sums
                    for cost in (known(sums[kind]),)
                ),
                floors=frozenset(place for place, each in enumerate(sums.values()) if each.unpriced),
            ),
        )


class Unattributed:
    """Money that no team, feature or customer answers for."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._nobody, self._whole = Adding(), Adding()
        self._sources: Counter[str] = Counter()

    def add(self, call: Call) -> None:
        """Take a call."""
        if not self._frame.is_now(call):
            return
        for entry in call:
            self._whole.add(entry)
            if any(entry.tags.get(tag) for tag in ATTRIBUTION) or self._frame.labels_of_key(entry.key_id):
                continue
            self._nobody.add(entry)
            source = entry.service_name or entry.app_name or (f"key {entry.key}" if entry.key else "an unnamed program")
            self._sources[source] += 1

    def sections(self) -> Iterator[Section]:
        """Give the share and where it comes from."""
        nobody, whole = self._nobody.sums(), self._whole.sums()
        if not nobody.attempts:
            return
        cost, all_of_it = nobody.total or ZERO, whole.total or ZERO
        most = [source for source, _ in self._sources.most_common(SHOWN_SOURCES)]
        yield Section(
            name="unattributed",
            title="Nobody's money",
            lead=f"{_part(cost, all_of_it)} of the cost ({plural(nobody.calls, 'call')}) carries no team, feature or "
            f"customer; most of these calls come from {', '.join(most)}.",
            table=Table(
                columns=(
                    Column(name="calls", title="", kind="count"),
                    Column(name="cost_usd", title="", kind="usd"),
                    Column(name="cost_share", title="", kind="share"),
                ),
                rows=((nobody.calls, known(nobody), _of(cost, all_of_it)),),
            ),
            notes=("or_otel.tags(team=…) or [[keys]] in or-otel.toml say whose it is.",),
        )


def _of(part: Decimal | None, whole: Decimal) -> Decimal | None:
    return part / whole if part is not None and whole else None


def _part(part: Decimal, whole: Decimal) -> str:
    return share(part / whole) if whole else share(ZERO)
