"""Rules of the owner and a finished call → which of them it broke. They are told and never block a call.

A policy holds for some calls (environment, tags) and says what must be so. What a call does not tell - which
region, how many tokens - breaks nothing. A provider that was tried and failed saw the prompt as well.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from or_otel.calls import CallRecord

Check = Literal[
    "provider", "model", "data_collection", "zdr", "region", "headquarters", "input_tokens", "output_cap", "fallback"
]

_DATE = re.compile(r"-(?:19|20)\d{2}-?\d{2}-?\d{2}$")
_NO_SLUG = re.compile(r"[^a-z0-9*?]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A row of `[[policies]]`. None and empty say nothing.

    Attributes:
        name: Of the policy.
        environments: For calls of these only; patterns.
        tags: For calls with these only: tag → pattern.
        providers, forbidden_providers: Who may serve, who may not; display names or slugs, patterns.
        models, forbidden_models: As requests name them; patterns.
        data_collection: `deny`: each request must say so.
        zdr: Each request must ask for zero data retention.
        regions: Edge regions of OpenRouter that may be used.
        headquarters: Country codes where providers may have their seat.
        max_input_tokens: Largest input.
        max_output_tokens: Each request must cap its output at so much or less.
        require_fallback: Each request must leave somebody else to serve it.
    """

    name: str
    environments: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    providers: tuple[str, ...] = ()
    forbidden_providers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    forbidden_models: tuple[str, ...] = ()
    data_collection: str | None = None
    zdr: bool = False
    regions: tuple[str, ...] = ()
    headquarters: tuple[str, ...] = ()
    max_input_tokens: int | None = None
    max_output_tokens: int | None = None
    require_fallback: bool = False


def broken_rules(
    policies: Iterable[Policy],
    record: CallRecord,
    *,
    environment: str | None = None,
    headquarters: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Give the rules that a call broke, as `policy/check`, in the order of the file.

    Args:
        policies: In force.
        record: The finished call.
        environment: Of calls that do not say theirs.
        headquarters: Provider's `slug` → country code, as the account API lists them.
    """
    return tuple(
        f"{policy.name}/{name}"
        for policy in policies
        if _holds_for(policy, record, environment)
        for name, is_broken in CHECKS.items()
        if is_broken(policy, record, headquarters or {})
    )


def slug(provider: str) -> str:
    """Give a provider's name as requests write it: `Amazon Bedrock` and `amazon-bedrock/us` are one."""
    return _NO_SLUG.sub("-", provider.partition("/")[0].lower()).strip("-")


def _holds_for(policy: Policy, record: CallRecord, environment: str | None) -> bool:
    told = record.started.environment or environment or ""
    if policy.environments and not _matches(policy.environments, told):
        return False
    return all(fnmatchcase(record.tags.get(tag, ""), pattern) for tag, pattern in policy.tags.items())


def _matches(patterns: Iterable[str], word: str) -> bool:
    return any(fnmatchcase(word, pattern) for pattern in patterns)


def _providers(record: CallRecord) -> Iterator[str]:
    """Give all who saw the prompt, as far as they are told."""
    if not record.endpoint.is_openrouter:
        yield record.endpoint.provider
        return
    if record.provider is not None:
        yield record.provider
    for attempt in record.route.attempts:
        if attempt.provider is not None:
            yield attempt.provider


def _breaks_provider(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    if not policy.providers and not policy.forbidden_providers:
        return False
    approved, forbidden = tuple(map(slug, policy.providers)), tuple(map(slug, policy.forbidden_providers))
    seen = set(map(slug, _providers(record)))
    return any((approved and not _matches(approved, each)) or _matches(forbidden, each) for each in seen)


def _models(record: CallRecord) -> list[str]:
    """Give what the served model may be called: as asked for, unless another one served."""
    requested, served = record.request.model, record.model
    if record.route.fallback in {"none", "provider"} and requested is not None:
        return [requested]
    if record.route.fallback in {"model", "routed"} and served is not None:
        return [served]
    return [name for name in (served, requested) if name is not None]


def _names(model: str) -> tuple[str, str]:
    # Answers name dated models, and requests add how to route: `:nitro`, but `:free` is another model.
    bare = model.removesuffix(":nitro").removesuffix(":floor").removesuffix(":exacto").removesuffix(":online")
    return bare, _DATE.sub("", bare)


def _breaks_model(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    if not policy.models and not policy.forbidden_models:
        return False
    names = [name for model in _models(record) for name in _names(model)]
    is_approved = not policy.models or not names or any(_matches(policy.models, name) for name in names)
    return not is_approved or any(_matches(policy.forbidden_models, name) for name in names)


def _breaks_data_collection(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    if policy.data_collection is None or not record.endpoint.is_openrouter:
        return False
    return record.request.provider.data_collection != policy.data_collection


def _breaks_zdr(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    return policy.zdr and record.endpoint.is_openrouter and record.request.provider.zdr is not True


def _breaks_region(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    region = record.route.region
    return bool(policy.regions) and region is not None and not _matches(policy.regions, region)


def _breaks_headquarters(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    if not policy.headquarters:
        return False
    seats = {headquarters.get(slug(provider)) for provider in _providers(record)} - {None}
    return any(seat not in policy.headquarters for seat in seats)


def _breaks_input_tokens(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    told = record.usage.input_tokens if record.usage is not None else None
    return policy.max_input_tokens is not None and told is not None and told > policy.max_input_tokens


def _breaks_output_cap(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    if policy.max_output_tokens is None or record.api not in CAPPED_APIS:
        return False
    asked = record.request.max_tokens
    return asked is None or asked > policy.max_output_tokens


CAPPED_APIS = frozenset({"chat", "responses", "messages", "completions"})
"""Whose requests can cap their output."""


def _breaks_fallback(policy: Policy, record: CallRecord, headquarters: Mapping[str, str]) -> bool:
    del headquarters
    if not policy.require_fallback:
        return False
    request = record.request
    if set(request.models) - {request.model}:
        return False
    preferences = request.provider
    is_alone = preferences.allow_fallbacks is False or len(set(preferences.only)) == 1
    return is_alone or not record.endpoint.is_openrouter


CHECKS: Mapping[Check, Callable[[Policy, CallRecord, Mapping[str, str]], bool]] = {
    "provider": _breaks_provider,
    "model": _breaks_model,
    "data_collection": _breaks_data_collection,
    "zdr": _breaks_zdr,
    "region": _breaks_region,
    "headquarters": _breaks_headquarters,
    "input_tokens": _breaks_input_tokens,
    "output_cap": _breaks_output_cap,
    "fallback": _breaks_fallback,
}
"""What a policy may check → whether a call breaks it."""
