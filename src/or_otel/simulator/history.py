"""A plausible past, written straight into the book, and what our own ledger would hold of it.

An account and a seed in, generations in its book out: weeks of load shaped by hour and weekday, several
companies with keys of their own, fallbacks, own provider keys, caches, cancelled streams. `entries_of_history`
gives the other side, one entry of our ledger per call. Faults are planted on demand, and every fault is named with
its generations, so that a reconciliation can be checked. The same arguments give the same past; knows no clock.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal

from or_otel.days import DAY_S
from or_otel.entries import Entry as LedgerEntry
from or_otel.facts import ZERO, RouteAttempt, Usage
from or_otel.simulator.account import WORKSPACE_ID, Account, Reset
from or_otel.simulator.book import Entry, fingerprint
from or_otel.simulator.market import Model, Offer, model_named, native_finish, price_of
from or_otel.simulator.scenarios import USER_ID

Fault = Literal[
    "lost_export",
    "foreign_client",
    "cancelled_unpriced",
    "response_cache_hit",
    "crosses_midnight",
    "byok_to_credits",
]

WEEK = (1.25, 1.3, 1.3, 1.25, 1.15, 0.4, 0.35)
"""Load from Monday to Sunday; its mean is 1."""
HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 17, 13, 16, 19, 19, 17, 13, 9, 7, 6, 5, 4, 3)
"""Load by UTC hour."""
CACHEABLE_TOKENS = 1024
CACHED_PART = (6, 10)
"""How much of a cached prompt is read from the cache, in tenths."""
PLANNED = 20
"""Pieces that a stream would have had that was left early."""
OUR_AGENT = "harbour-app/1.4"
FOREIGN_AGENT = "another-client/2.1"
FEATURES = ("search", "summary", "agent", "translation")
ASKED: Mapping[str, int] = {
    "anthropic/claude-haiku-4.5": 6,
    "openai/gpt-5-mini": 5,
    "google/gemini-3-flash-preview": 4,
    "meta-llama/llama-3.3-70b-instruct": 3,
    "deepseek/deepseek-v3.2": 2,
    "anthropic/claude-sonnet-4.6": 2,
    "openai/gpt-5.2": 1,
    "meta-llama/llama-3.3-70b-instruct:free": 1,
}
"""Models, and how much more one is asked than another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """Who calls, with a key of its own.

    Attributes:
        name: Of company and key.
        share: How much more it calls than another.
        models: What it asks, and how much more.
        byok: Display names of providers whose own key it brought.
        fee_rate: Part of the list price that BYOK costs in credits.
        limit_usd, limit_reset, creator_user_id, workspace_id: Of its key.
    """

    name: str
    share: float = 1.0
    models: Mapping[str, int] = field(default_factory=lambda: ASKED)
    byok: tuple[str, ...] = ()
    fee_rate: Decimal = ZERO
    limit_usd: Decimal | None = None
    limit_reset: Reset | None = None
    creator_user_id: str = USER_ID
    workspace_id: str = WORKSPACE_ID

    @property
    def key(self) -> str:
        """Its API key, which is no key."""
        return f"sk-or-v1-demo-{self.name}"


COMPANIES = (
    Company(name="north-ferries", share=4, limit_usd=Decimal(500), limit_reset="monthly"),
    Company(name="pilot-office", share=3, limit_usd=Decimal(20), limit_reset="daily"),
    Company(name="dry-dock", share=2, byok=("Anthropic",), fee_rate=Decimal("0.05")),
    Company(name="customs-house", share=2),
    Company(name="chandlery", byok=("OpenAI", "Anthropic")),
    Company(name="lighthouse", share=0.5, limit_usd=Decimal(100)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How many calls of all (0…1) are what; BYOK follows from the companies.

    Attributes:
        streamed, cached, reasoning: Streams, prompts that are partly cached where that can be, thinking answers.
        cancelled: Streams left early.
        replayed: Answers replayed by the response cache.
        fallback: Answers of a second provider.
    """

    streamed: float = 0.6
    cached: float = 0.4
    reasoning: float = 0.15
    cancelled: float = 0.01
    replayed: float = 0.01
    fallback: float = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How many of which fault to plant, each on a generation of its own.

    Attributes:
        lost_export: Our entry is missing.
        foreign_client: A program without or-otel made the call with the same key.
        crosses_midnight: Begun before a UTC midnight, dated after it.
        byok_to_credits: The own key failed, so that the same provider served at the price of credits.
    """

    lost_export: int = 0
    foreign_client: int = 0
    crosses_midnight: int = 0
    byok_to_credits: int = 0


USUAL = Shares()
CLEAN = Shares(cancelled=0, replayed=0, fallback=0)
"""Nothing that needs an explanation."""
NO_FAULTS = Faults()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A past that was written.

    Attributes:
        generations: As the account knows them, oldest first.
        faults: Fault → ids of its generations, oldest first. Cancelled streams and replays come by their shares,
            calls over midnight and from BYOK to credits may also come by chance; all are named.
        key_names: Fingerprint → name of the key.
    """

    generations: tuple[Entry, ...]
    faults: Mapping[Fault, tuple[str, ...]]
    key_names: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.generations)


def write_history(
    account: Account,
    *,
    until_s: float,
    days: int,
    calls_per_day: int,
    seed: int = 0,
    keys: Sequence[Company] = COMPANIES,
    shares: Shares = USUAL,
    faults: Faults = NO_FAULTS,
) -> History:
    """Write a past into the account: its keys, its generations, and the credits it took.

    Args:
        account: Where to; its balance stays what it was, up to a dollar.
        until_s: Unix time at which the past ends.
        days: How many times 24 hours before that it begins.
        calls_per_day: Mean over a week.
        seed: Another one gives another past, with other ids.
        keys: Who calls.
        shares: What the calls are like.
        faults: What to plant.

    Raises:
        ValueError: The past holds too few generations for the faults.
    """
    chance = random.Random(seed)  # noqa: S311 -- the same past each time
    for company in keys:
        account.add_key(
            company.key,
            name=company.name,
            byok=company.byok,
            fee_rate=company.fee_rate,
            limit_usd=company.limit_usd,
            limit_reset=company.limit_reset,
            creator_user_id=company.creator_user_id,
            workspace_id=company.workspace_id,
            created_at_s=until_s - (days + 1) * DAY_S,
        )
    writer = _Writer(chance=chance, shares=shares, seed=seed, keys=keys)
    made = [writer.generation(at_s) for at_s in _times(chance, until_s, days, calls_per_day)]
    planted = _plant(chance, made, faults, until_s - days * DAY_S, until_s)
    made.sort(key=lambda entry: entry.created_at_s)
    account.book.enter(*made)
    charged = sum((entry.charged for entry in made), ZERO)
    account.credits_usd += charged.to_integral_value(ROUND_CEILING)
    byok = {fingerprint(company.key): company.byok for company in keys}
    rules: Mapping[Fault, Callable[[Entry], bool]] = {
        "lost_export": lambda entry: entry.id in planted["lost_export"],
        "foreign_client": lambda entry: entry.id in planted["foreign_client"],
        "cancelled_unpriced": lambda entry: entry.is_cancelled,
        "response_cache_hit": lambda entry: entry.cache_source_id is not None,
        "crosses_midnight": lambda entry: _started_at_s(entry) // DAY_S != entry.created_at_s // DAY_S,
        "byok_to_credits": lambda entry: (
            not entry.is_byok and len(entry.attempts) > 1 and entry.attempts[0].provider in byok[entry.key]
        ),
    }
    return History(
        generations=tuple(made),
        faults={fault: tuple(entry.id for entry in made if holds(entry)) for fault, holds in rules.items()},
        key_names={fingerprint(company.key): company.name for company in keys},
    )


def entries_of_history(history: History) -> Iterator[LedgerEntry]:
    """Give what our ledger holds of a past: one entry per call that or-otel saw and did not lose."""
    unseen = {*history.faults["lost_export"], *history.faults["foreign_client"]}
    for generation in history.generations:
        if generation.id not in unseen:
            yield _ledger_entry(generation, history.key_names[generation.key])


# What was billed ------------------------------------------------------------------------------------------------------


def _times(chance: random.Random, until_s: float, days: int, calls_per_day: int) -> Iterator[float]:
    begin_s = until_s - days * DAY_S
    for day in range(int(begin_s // DAY_S), int(until_s // DAY_S) + 1):
        count = round(calls_per_day * WEEK[(day + 3) % 7])  # day 0, 1970-01-01, was a Thursday
        hours = chance.choices(range(24), HOURS, k=count)
        # Milliseconds are all that the API tells.
        times = sorted(round(day * DAY_S + (hour + chance.random()) * 3600, 3) for hour in hours)
        yield from (at_s for at_s in times if begin_s <= at_s < until_s)


@dataclass(slots=True)
class _Writer:
    """Makes one generation after the other."""

    chance: random.Random
    shares: Shares
    seed: int
    keys: Sequence[Company]
    count: int = 0
    marks: dict[str, str] = field(default_factory=dict)
    last: dict[str, Entry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for company in self.keys:
            self.marks[company.name] = fingerprint(company.key)

    def generation(self, at_s: float) -> Entry:
        """Make the generation that is dated at this time."""
        chance, shares = self.chance, self.shares
        company = chance.choices(self.keys, [each.share for each in self.keys])[0]
        source = self.last.get(company.name)
        if source is not None and chance.random() < shares.replayed:
            return self._replay(source, at_s)
        slug = chance.choices(list(company.models), list(company.models.values()))[0]
        model, offer, attempts = self._served(slug, company)
        entry = self._priced(company, model, offer, attempts, at_s)
        if entry.is_stream and chance.random() < shares.cancelled / max(shares.streamed, 0.01):
            return entry.cancelled(chance.randrange(1, PLANNED), PLANNED)
        self.last[company.name] = entry
        return entry

    def _served(self, slug: str, company: Company) -> tuple[Model, Offer, tuple[RouteAttempt, ...]]:
        model = model_named(slug)
        if model is None:
            raise ValueError(f"{slug!r} is not offered: expected a model of the simulated market")
        offers = sorted(model.offers, key=lambda offer: offer.provider.name not in company.byok)
        place = 1 if len(offers) > 1 and self.chance.random() < self.shares.fallback else 0
        statuses = (529, 200) if place else (200,)
        return (
            model,
            offers[place],
            tuple(
                RouteAttempt(provider=offer.provider.name, model=model.permaslug, status=status)
                for offer, status in zip(offers, statuses, strict=False)
            ),
        )

    def _priced(
        self, company: Company, model: Model, offer: Offer, attempts: tuple[RouteAttempt, ...], at_s: float
    ) -> Entry:
        chance, shares = self.chance, self.shares
        asked = min(100_000, 20 + int(chance.lognormvariate(6.6, 0.9)))
        written = min(16_000, 2 + int(chance.lognormvariate(5.0, 0.8)))
        reasoning = written // 2 if chance.random() < shares.reasoning else 0
        is_cached = asked >= CACHEABLE_TOKENS and offer.cache_read is not None and chance.random() < shares.cached
        read = asked * chance.randint(*CACHED_PART) // 10 if is_cached else 0
        input_cost, output_cost, saved = price_of(offer, asked, written, read)
        upstream = input_cost + output_cost
        is_byok = offer.provider.name in company.byok
        latency_ms = int(offer.latency_ms * chance.uniform(0.6, 1.9))
        generation_ms = int(latency_ms + written * 1000 / max(1, offer.throughput) * chance.uniform(0.8, 1.3))
        return Entry(
            id=self._id(at_s),
            key=self.marks[company.name],
            model=model.id,
            permaslug=model.permaslug,
            provider=offer.provider.name,
            usage=Usage(
                input_tokens=asked,
                output_tokens=written,
                cache_read_tokens=read,
                cache_write_tokens=0,
                reasoning_tokens=reasoning,
            ),
            charged=upstream * company.fee_rate if is_byok else upstream,
            upstream=upstream,
            input_cost=input_cost,
            output_cost=output_cost,
            is_byok=is_byok,
            stops_on_cancel=offer.provider.stops_on_cancel,
            attempts=attempts,
            created_at_s=at_s,
            is_stream=chance.random() < shares.streamed,
            native_finish_reason=native_finish(model.permaslug, "stop"),
            cache_discount=saved if read else None,
            user_agent=OUR_AGENT,
            latency_ms=latency_ms,
            generation_ms=generation_ms,
        )

    def _replay(self, source: Entry, at_s: float) -> Entry:
        return replace(
            source,
            id=self._id(at_s),
            usage=Usage(input_tokens=0, output_tokens=0),
            charged=ZERO,
            upstream=ZERO,
            input_cost=ZERO,
            output_cost=ZERO,
            is_byok=False,
            attempts=source.attempts[-1:],
            cache_source_id=source.id,
            cache_discount=None,
            created_at_s=at_s,
            latency_ms=12,
            generation_ms=20,
        )

    def _id(self, at_s: float) -> str:
        self.count += 1
        return f"gen-{int(at_s)}-H{self.seed % 0xFFFF:04x}{self.count:015x}"


# What is wrong with it ------------------------------------------------------------------------------------------------


def _plant(
    chance: random.Random, made: list[Entry], faults: Faults, begin_s: float, until_s: float
) -> Mapping[Fault, frozenset[str]]:
    """Change generations so that they show the faults; give which are to be missing on our side."""
    sources = {entry.cache_source_id for entry in made}
    free = [
        place
        for place, entry in enumerate(made)
        if not entry.is_cancelled and entry.cache_source_id is None and entry.spend and len(entry.attempts) == 1
    ]
    own = [place for place in free if made[place].is_byok]
    for place in _picked(chance, own, faults.byok_to_credits, "byok_to_credits"):
        entry = made[place]
        failed = replace(entry.attempts[0], status=429)
        made[place] = replace(entry, is_byok=False, charged=entry.upstream, attempts=(failed, *entry.attempts))
        free.remove(place)
    movable = [place for place in free if made[place].id not in sources]
    midnights = [day * DAY_S for day in range(int(begin_s // DAY_S) + 1, int(until_s // DAY_S) + 1)]
    # A call begun before the past began, or dated after its end, would be in nobody's window.
    midnights = [at_s for at_s in midnights if at_s - begin_s > 60 and until_s - at_s > 60]  # noqa: PLR2004 -- a minute
    places = _picked(chance, movable if midnights else [], faults.crosses_midnight, "crosses_midnight")
    for place in places:
        midnight = chance.choice(midnights)
        begun_s = round(midnight - chance.uniform(1, 20), 3)
        dated_s = round(midnight + chance.uniform(1, 10), 3)
        entry = made[place]
        made[place] = replace(
            entry,
            id=f"gen-{int(begun_s)}-{entry.id.rpartition('-')[2]}",
            created_at_s=dated_s,
            generation_ms=round((dated_s - begun_s) * 1000) - entry.latency_ms,
        )
        free.remove(place)
    missing = _picked(chance, free, faults.lost_export + faults.foreign_client, "lost_export and foreign_client")
    lost, foreign = missing[: faults.lost_export], missing[faults.lost_export :]
    for place in foreign:
        made[place] = replace(made[place], user_agent=FOREIGN_AGENT)
    return {
        "lost_export": frozenset(made[place].id for place in lost),
        "foreign_client": frozenset(made[place].id for place in foreign),
    }


def _picked(chance: random.Random, places: list[int], count: int, what: str) -> list[int]:
    if count > len(places):
        raise ValueError(f"{count} of {what}: this past holds only {len(places)} generations that can show it")
    return chance.sample(places, count)


def _started_at_s(entry: Entry) -> float:
    """Give when the call began: its row is dated at its end."""
    return round(entry.created_at_s - (entry.latency_ms + entry.generation_ms) / 1000, 3)


# What we hold of it ---------------------------------------------------------------------------------------------------


def _ledger_entry(entry: Entry, key_name: str) -> LedgerEntry:
    started_at_s = _started_at_s(entry)
    is_priced = not entry.is_cancelled  # the price comes with the last event, which a cancelled stream never saw
    usage = entry.usage if is_priced else Usage()
    billing = ("byok" if entry.is_byok else "credits") if is_priced else "unknown"
    is_fallback = len(entry.attempts) > 1 and entry.attempts[0].provider != entry.provider
    mark = _number(entry.id)
    return LedgerEntry(
        call_id=mark[:32],
        attempt_id=mark[32:],
        number=1,
        attempt_count=1,
        is_last=True,
        started_at_s=started_at_s,
        ended_at_s=entry.created_at_s,
        call_started_at_s=started_at_s,
        duration_s=round(entry.created_at_s - started_at_s, 3),
        time_to_first_chunk_s=entry.latency_ms / 1000 if entry.is_stream else None,
        service_name="harbour-app",
        api="chat",
        operation="chat",
        server="openrouter",
        host="openrouter.ai",
        request_model=entry.model,
        response_model=entry.model,
        served_provider=entry.provider,
        key_id=entry.key,
        key_name=key_name,
        tags={"customer": key_name, "feature": FEATURES[int(mark[:2], 16) % len(FEATURES)]},
        outcome=entry.outcome,
        attempt_outcome=entry.outcome,
        status=200,
        generation_id=entry.id,
        response_id=entry.id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        charged=entry.charged if is_priced else None,
        upstream=entry.upstream if is_priced else None,
        input=entry.input_cost if is_priced else None,
        output=entry.output_cost if is_priced else None,
        is_byok=entry.is_byok if is_priced else None,
        billing=billing,
        source="response" if is_priced else "unknown",
        unpriced=None if is_priced else "cancelled",
        fallback="provider" if is_fallback else "none",
        route_path=tuple(f"{step.provider} {step.model} {step.status}" for step in entry.attempts),
        finish_reason=entry.finish_reason,
        is_response_cache_hit=True if entry.cache_source_id is not None else None,
    )


def _number(text: str) -> str:
    """Make 64 hex digits of a text, the same each time."""
    return hashlib.sha256(text.encode()).hexdigest()
