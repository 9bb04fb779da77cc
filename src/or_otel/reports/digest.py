"""Calls of some weeks, budgets, lists of models → one digest: what was spent, by whom, and what wants a look.

Pure: a `Frame` and calls in order come in, a frozen `Digest` goes out, which `render`, `to_json`,
`markdown.to_markdown` and `html.to_html` show. Each subject is a part; `PARTS` is their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from or_otel.days import DAY_S, begin_s, utc_day
from or_otel.reports.caching import Caching
from or_otel.reports.governance import ByokFalls, Violations
from or_otel.reports.leaks import Unattributed, Waste
from or_otel.reports.limits import Budgets
from or_otel.reports.market import Market
from or_otel.reports.over_time import Days, Spent, day_name
from or_otel.reports.rankings import Dearest, Pareto, keys, models, teams
from or_otel.reports.sections import Call, Frame, Part, Section, render_section, section_to_json
from or_otel.reports.words import shown

PARTS: tuple[Callable[[Frame], Part], ...] = (
    Spent,
    Budgets,
    Days,
    models,
    keys,
    teams,
    Dearest,
    Pareto,
    Waste,
    Caching,
    Violations,
    ByokFalls,
    Unattributed,
    Market,
)
"""Subjects, in the order they are shown. A new one is one line here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What happened in a period.

    Attributes:
        title: With the period.
        since_s, until_s: The period.
        sections: What is worth saying.
    """

    title: str
    since_s: float
    until_s: float
    sections: tuple[Section, ...]

    @property
    def alarms(self) -> tuple[Section, ...]:
        """What wants a reaction."""
        return tuple(section for section in self.sections if section.is_alarm)


def whole_days(since_s: float, until_s: float) -> tuple[float, int]:
    """Let a period begin at a UTC midnight, and count the days it touches.

    `7d` before a noon is the noon of a day that would be cut in two; the period is the seven days
    that end with this one. What began today stays today.
    """
    first, last = utc_day(since_s), utc_day(until_s - 1)
    first_s = begin_s(first)
    if first_s < since_s and first < last:
        first_s += DAY_S
    return first_s, (last - utc_day(first_s)).days + 1


def digest_of(frame: Frame, calls: Iterable[Call]) -> Digest:
    """Make a digest.

    Args:
        frame: The period and what is known beside the calls.
        calls: Those of the period and, for what is usual, of the time since `over_time.read_from_s`.
    """
    parts = [make(frame) for make in PARTS]
    for call in calls:
        for part in parts:
            part.add(call)
    first, last = utc_day(frame.since_s), utc_day(frame.until_s - 1)
    days = day_name(first) if first == last else f"{day_name(first)} to {day_name(last)}"
    return Digest(
        title=f"LLM spending, {days} {last.year}",
        since_s=frame.since_s,
        until_s=frame.until_s,
        sections=tuple(section for part in parts for section in part.sections()),
    )


def alarm_lines(digest: Digest) -> tuple[str, ...]:
    """Give one line for each thing that wants a reaction."""
    return tuple(f"{section.title}: {section.lead}" for section in digest.alarms if section.lead is not None)


def summary(digest: Digest) -> str:
    """Write the digest in a few lines of plain text, for a message."""
    lines = [section.lead for section in digest.sections if section.name == "spent" and section.lead is not None]
    lines += alarm_lines(digest)
    told = {section.name: section for section in digest.sections}
    lines += [told[name].lead or "" for name in ("waste", "unattributed") if name in told]
    return "\n".join(lines)


def render(digest: Digest) -> RenderableType:
    """Give what a rich console prints."""
    head = [
        Text(digest.title, style="bold"),
        *(shown(f"! {line}", style="red") for line in alarm_lines(digest)),
        Text(),
    ]
    return Group(*head, *map(render_section, digest.sections))


def to_json(digest: Digest) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    return {
        "version": 1,
        "title": digest.title,
        "since_s": digest.since_s,
        "until_s": digest.until_s,
        "alarms": list(alarm_lines(digest)),
        "sections": {section.name: section_to_json(section) for section in digest.sections},
    }
