"""Sections about the owner's rules: which were broken by which calls, and where credits pay what own keys paid.

Rules are judged when a call ends, by the process that makes it; its entry says what was broken. Who pays is looked
at again over the whole period, for a process does not know what those before it saw. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from or_otel.entries import Entry
from or_otel.facts import ZERO
from or_otel.insights.payers import BYOK_TO_CREDITS, Payers
from or_otel.policies import Policy
from or_otel.reports.money import UNKNOWN, plural, usd
from or_otel.reports.sections import Call, Frame, Part, Section
from or_otel.reports.tables import Column, Table
from or_otel.reports.usage import use_of

SHOWN = 20
REMEDY = (
    "OpenRouter goes on with its own capacity when your provider key fails: look whether it is spent, limited or "
    "revoked, or set it to be used always."
)
WORDS = {
    "provider": "a provider that is not approved, or forbidden",
    "model": "a model that is not approved, or forbidden",
    "data_collection": "the request allows prompts to be kept",
    "zdr": "the request does not ask for zero data retention",
    "region": "a region that is not approved",
    "headquarters": "a provider with its seat elsewhere",
    "input_tokens": "an input that is too large",
    "output_cap": "no cap on the output, or one that is too high",
    "fallback": "nobody else may serve",
}
"""Check → what happened, for people."""


@dataclass(slots=True)
class _Broken:
    calls: int = 0
    cost: Decimal = ZERO
    last_s: float = 0.0
    last_call: str = ""
    is_floor: bool = False
    sources: Counter[str] = field(default_factory=Counter)


class Violations:
    """Calls that broke a rule, by rule."""

    def __init__(self, frame: Frame, policies: Sequence[Policy] = ()) -> None:
        """Begin; policies are those of the settings file, to say which ones were kept."""
        self._frame = frame
        self._policies = tuple(policy.name for policy in policies)
        self._rules: dict[str, _Broken] = defaultdict(_Broken)
        self._calls = 0

    def add(self, call: Call) -> None:
        """Take a call."""
        last = call[-1]
        rules = [rule for rule in last.violated if rule != BYOK_TO_CREDITS]
        if not rules or not self._frame.is_now(call):
            return
        self._calls += 1
        for rule in rules:
            broken = self._rules[rule]
            broken.calls += 1
            broken.cost += sum((entry.total or ZERO for entry in call), ZERO)
            broken.is_floor |= any(entry.unpriced is not None for entry in call)
            broken.sources[_source(last)] += 1
            if last.call_started_at_s >= broken.last_s:
                broken.last_s, broken.last_call = last.call_started_at_s, last.generation_id or last.call_id

    def sections(self) -> Iterator[Section]:
        """Give the rules that were broken, the most frequent first; a word where there are policies and none was."""
        if not self._rules:
            if self._policies:
                said = f"No rule was broken. In force: {', '.join(self._policies)}."
                yield Section(name="violations", title="Policies", lead=said)
            return
        rules = sorted(self._rules, key=lambda rule: (-self._rules[rule].calls, rule))
        kept = [name for name in self._policies if not any(rule.startswith(f"{name}/") for rule in rules)]
        notes = ["Judged when a call ended, by the policies its process had read. No call was blocked."]
        if kept:
            notes.append(f"Kept by every call: {', '.join(kept)}.")
        yield Section(
            name="violations",
            title="Broken policies",
            lead=f"{plural(self._calls, 'call')} broke {plural(len(rules), 'rule')}.",
            table=Table(
                columns=(
                    Column(name="rule", title="rule"),
                    Column(name="words", title="what happened"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="cost_usd", title="cost", kind="usd"),
                    Column(name="most_from", title="most from"),
                    Column(name="last_at", title="last", kind="time"),
                    Column(name="last_call", title="last call"),
                ),
                rows=tuple(
                    (
                        rule,
                        WORDS.get(rule.rpartition("/")[2], ""),
                        broken.calls,
                        broken.cost,
                        broken.sources.most_common(1)[0][0],
                        broken.last_s,
                        broken.last_call,
                    )
                    for rule in rules[:SHOWN]
                    for broken in (self._rules[rule],)
                ),
                floors=frozenset(place for place, rule in enumerate(rules[:SHOWN]) if self._rules[rule].is_floor),
            ),
            notes=tuple(notes),
            is_alarm=True,
        )


@dataclass(slots=True)
class _Fall:
    key: str
    provider: str
    began_s: float
    calls: int = 0
    cost: Decimal = ZERO


class ByokFalls:
    """Where an own provider key paid, and the credits do since."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._payers = Payers()
        self._open: dict[tuple[str | None, str], _Fall] = {}
        self._falls: list[_Fall] = []

    def add(self, call: Call) -> None:
        """Take a call; those before the period tell who paid until then."""
        for entry in call:
            provider = entry.served_provider
            if provider is None or entry.is_byok is None:
                continue
            place = (entry.key_id, provider)
            if self._payers.falls_on_credits(*place, is_byok=entry.is_byok):
                self._open[place] = _Fall(entry.key or UNKNOWN, provider, entry.started_at_s)
                self._falls.append(self._open[place])
            if entry.is_byok:
                self._open.pop(place, None)
            elif self._frame.is_now(call) and place in self._open:
                self._open[place].calls += entry.is_last
                self._open[place].cost += entry.total or ZERO

    def sections(self) -> Iterator[Section]:
        """Give each change, the dearest first."""
        falls = sorted((fall for fall in self._falls if fall.calls or fall.cost), key=lambda fall: -fall.cost)
        if not falls:
            return
        cost = sum((fall.cost for fall in falls), ZERO)
        yield Section(
            name="byok_to_credits",
            title="From own keys to credits",
            lead=f"Credits paid {usd(cost)} for what own provider keys paid before.",
            table=Table(
                columns=(
                    Column(name="key", title="key"),
                    Column(name="provider", title="provider"),
                    Column(name="began_at", title="since", kind="time"),
                    Column(name="calls", title="calls", kind="count"),
                    Column(name="cost_usd", title="credits paid", kind="usd"),
                ),
                rows=tuple((fall.key, fall.provider, fall.began_s, fall.calls, fall.cost) for fall in falls[:SHOWN]),
            ),
            notes=(REMEDY,),
            is_alarm=True,
        )


def parts(policies: Sequence[Policy]) -> tuple[Callable[[Frame], Part], ...]:
    """Give what `or-otel report --governance` shows, in order."""
    return (lambda frame: Violations(frame, policies), ByokFalls)


def _source(entry: Entry) -> str:
    use = use_of(entry)
    told = (use if not use.startswith("(") else entry.service_name, entry.model, entry.served_provider)
    return ", ".join(word for word in told if word)
