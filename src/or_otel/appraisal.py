"""A finished call and the body of its request → the same call, with what it shows beside others.

Runs on the host's path once the answer is there, so it is cheap, and nothing is built where nothing was found.
The body is hashed with a key that this process alone has, and is not kept. Knows no back end and reads no clock.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from or_otel.calls import NO_INSIGHT, Attempt, CallRecord, Insight
from or_otel.insights.caching import NO_MONEY, CacheMoney, InputRates, KnownRates
from or_otel.insights.payers import BYOK_TO_CREDITS, Payers
from or_otel.insights.repeats import Beginning, Repeats
from or_otel.insights.sizes import Kind, Sizes
from or_otel.prices import listed_input_rates
from or_otel.wire.prefixes import keyed_hash, read_prefixes

if TYPE_CHECKING:
    from or_otel.policies import Policy

CACHED_APIS = frozenset({"chat", "completions", "messages", "responses"})
"""Whose prompts providers cache."""
LEAST_CACHED_TOKENS = 1024
"""Shorter beginnings are cached by nobody (Anthropic, OpenAI, Google; seen 2026-11)."""
FEATURE_TAG = "feature"


class Appraiser:
    """Judges the calls of a process, one after the other; safe for threads."""

    def __init__(
        self,
        *,
        insights: bool = True,
        prices: bool = True,
        policies: Sequence[Policy] = (),
        environment: str | None = None,
        headquarters: Mapping[str, str] | None = None,
    ) -> None:
        """Begin without any call.

        Args:
            insights: Whether repetitions, missed caches, large inputs and the gain of caches are looked for.
            prices: Whether a price list may say what a cache gained.
            policies: Of the owner.
            environment: Of calls that do not say theirs.
            headquarters: Provider's slug → country code.
        """
        self._has_insights = insights
        self._prices = prices
        self._broken = _judge(policies, environment, headquarters or {})
        self._keyed = keyed_hash(secrets.token_bytes(16))
        self._repeats = Repeats()
        self._sizes = Sizes()
        self._rates = KnownRates()
        self._payers = Payers()

    def appraise(self, record: CallRecord, body: bytes | None) -> CallRecord:
        """Give the call with what it shows.

        Args:
            record: The finished call.
            body: Its request as sent; None when it could not be had.
        """
        insight = self._insight(record, body) if self._has_insights else NO_INSIGHT
        violated = self._violated(record)
        if insight is NO_INSIGHT and not violated:  # most calls: to make a record again is dear
            return record
        return replace(record, insight=insight, violated=violated)

    def after_fork(self) -> None:
        """Begin anew in a child."""
        for each in (self._repeats, self._sizes, self._rates, self._payers):
            each.after_fork()

    def _violated(self, record: CallRecord) -> tuple[str, ...]:
        violated = self._broken(record)
        cost = record.cost
        if cost is not None and self._payers.falls_on_credits(
            record.started.key_id, record.provider, is_byok=cost.is_byok
        ):
            violated += (BYOK_TO_CREDITS,)
        return violated

    def _insight(self, record: CallRecord, body: bytes | None) -> Insight:
        started = record.started
        usage = record.usage
        input_tokens = (usage.input_tokens if usage is not None else None) or 0
        is_loop, missed = False, None
        prefixes: Sequence[Beginning] = ()
        if body:
            where = f"{started.endpoint.api} {started.endpoint.host} {started.key_id}"
            prefixes = read_prefixes(body, keyed=self._keyed, where=where)
        if prefixes:
            is_loop, missed = self._repeated(record, prefixes, input_tokens)
        is_oversized = bool(input_tokens) and self._sizes.is_oversized(_kind(record), input_tokens)
        money = NO_MONEY
        for attempt in reversed(record.attempts):
            if attempt.usage is not None:
                money = self._cache_money(record, attempt)
                break
        if not is_loop and not is_oversized and missed is None and money is NO_MONEY:
            return NO_INSIGHT
        return Insight(
            is_retry_loop=is_loop,
            is_oversized=is_oversized,
            missed_tokens=missed,
            cache_saved=money[0],
            cache_premium=money[1],
        )

    def _repeated(
        self, record: CallRecord, prefixes: Sequence[Beginning], input_tokens: int
    ) -> tuple[bool, int | None]:
        """Say whether this is a loop, and how many tokens a cache could have served and did not."""
        is_answered = record.outcome == "ok" and record.api in CACHED_APIS and input_tokens > 0
        is_loop, known_share = self._repeats.see(
            prefixes,
            started_at_s=record.started_at_s,
            answered_at_s=record.ended_at_s if is_answered else None,
            least_share=LEAST_CACHED_TOKENS / input_tokens if input_tokens else 2.0,
        )
        # A provider that does not speak of caches is not accused of missing one.
        is_missed = is_answered and record.usage is not None and record.usage.cache_read_tokens == 0
        tokens = int(input_tokens * known_share) if is_missed else 0
        return is_loop, tokens or None

    def _cache_money(self, record: CallRecord, attempt: Attempt) -> CacheMoney:
        endpoint = record.endpoint
        model = attempt.model or record.request.model
        input_cost = attempt.cost.input if attempt.cost is not None else None

        def listed() -> InputRates | None:
            if not self._prices or model is None or attempt.usage is None:
                return None
            return listed_input_rates(endpoint.provider, model, attempt.usage, at_s=attempt.started_at_s)

        source = (endpoint.provider, attempt.provider, model, record.service_tier)
        return self._rates.money(source, attempt.usage, input_cost, listed)


def _judge(
    policies: Sequence[Policy], environment: str | None, headquarters: Mapping[str, str]
) -> Callable[[CallRecord], tuple[str, ...]]:
    if not policies:
        return lambda _: ()
    from or_otel.policies import broken_rules  # noqa: PLC0415 -- slow, and most programs have no policy

    return lambda record: broken_rules(policies, record, environment=environment, headquarters=headquarters)


def _kind(record: CallRecord) -> Kind:
    """Give what a call's size is compared with: others of its workflow or feature, else of its model."""
    started = record.started
    feature = started.tags.get(FEATURE_TAG)
    if started.workflow is None and feature is None:
        return (started.endpoint.operation, started.endpoint.provider, started.request.model)
    return (started.endpoint.operation, started.workflow, feature)
