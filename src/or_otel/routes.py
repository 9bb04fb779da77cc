"""Who served, what was tried before, and whether that was a fallback: request and answer in, `Route` out.

Pure rules. `requested != returned` is no fallback: returned ids are dated, re-ordered,
stripped of the author or resolved from an alias. Where the evidence does not suffice the
word is `unknown`, never `model`.
Source: OpenRouter "Provider routing", "Model fallbacks", "Router Metadata" (seen 2026-08) and recorded pairs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from or_otel.facts import Answer, Fallback, Policy, Request, Route, RouteAttempt, RouterMetadata

DYNAMIC_SUFFIXES = frozenset({"nitro", "floor", "exacto", "online"})
"""Routing shortcuts: not part of the model, and never in an answer. `:free`, `:thinking` … are part of it."""
POLICY_OF_SUFFIX: Mapping[str, Policy] = {"floor": "price", "nitro": "throughput", "exacto": "exacto"}
POLICY_OF_SORT: Mapping[str, Policy] = {
    "price": "price",
    "latency": "latency",
    "throughput": "throughput",
    "exacto": "exacto",
}
POLICIES: tuple[Policy, ...] = ("price", "latency", "throughput", "exacto", "order", "only", "ignore")
"""The first that applies is told."""

ROUTING_STRATEGIES = frozenset({"auto", "free", "latest", "alias", "pareto", "bodybuilder", "fusion"})
"""Strategies under which another model than the one named is what was asked for."""

_DATE = re.compile(r"-((?:19|20)\d{2})-?(\d{2})-?(\d{2})$")
_SEPARATORS = re.compile(r"[-._]")


def route(request: Request, answer: Answer, *, is_openrouter: bool, aliases: Mapping[str, str] | None = None) -> Route:
    """Judge the route of one exchange.

    Args:
        request: What was asked for.
        answer: What came.
        is_openrouter: Whether a router stood before the provider; else nothing else can have served.
        aliases: Model id or slug → one key per model, as `/models` tells them; None without that table.

    Returns:
        The route. Without router metadata a fallback between providers cannot be seen:
        then OpenRouter's answers stay `unknown`, unless only one provider was allowed.
    """
    metadata = answer.metadata
    attempts = _attempts(answer)
    count = metadata.attempt if metadata is not None else None
    if count is None or count < len(attempts):
        count = len(attempts) or count
    return Route(
        fallback=_fallback(request, answer, attempts, count, is_openrouter=is_openrouter, aliases=aliases or {}),
        policy=_policy(request),
        strategy=metadata.strategy if metadata is not None else None,
        region=metadata.region if metadata is not None else None,
        attempt_count=count,
        attempts=attempts,
    )


def is_same_model(left: str, right: str, aliases: Mapping[str, str] | None = None) -> bool:
    """Tell whether two ids name one model, however they are written.

    Authors and dates must agree only where both ids have them; the order of words, `.` for `-`
    and routing suffixes do not count, variants such as `:free` neither.
    """
    left, right = _plain(left), _plain(right)
    if left == right:
        return True
    if aliases:
        keys = aliases.get(left), aliases.get(right)
        if None not in keys:
            return keys[0] == keys[1]
    left_author, left_date, left_words = _parsed(left)
    right_author, right_date, right_words = _parsed(right)
    return left_words == right_words and _agree(left_author, right_author) and _agree(left_date, right_date)


def _first(request: Request, metadata: RouterMetadata | None) -> str | None:
    """What should have served: as asked, else (the account's default) as the router understood it."""
    if request.model is not None:
        return request.model
    if request.models:
        return request.models[0]
    return metadata.requested if metadata is not None else None


def _attempts(answer: Answer) -> tuple[RouteAttempt, ...]:
    """Upstream tries as told: by the metadata, else by the error that lists those before the last."""
    if answer.metadata is not None and answer.metadata.attempts:
        return answer.metadata.attempts
    failure = answer.failure
    if failure is None or not failure.previous:
        return ()
    last = RouteAttempt(provider=failure.provider, status=failure.status)
    return (*failure.previous, last) if failure.origin == "upstream" else failure.previous


def _fallback(
    request: Request,
    answer: Answer,
    attempts: tuple[RouteAttempt, ...],
    count: int | None,
    *,
    is_openrouter: bool,
    aliases: Mapping[str, str],
) -> Fallback:
    first = _first(request, answer.metadata)
    if not is_openrouter:
        is_told = first is not None and answer.model is not None and is_same_model(first, answer.model, aliases)
        return "none" if is_told else "unknown"
    served = _served(answer)
    if first is None:
        return "unknown"
    if _is_by_design(first, request):
        return _of_routed(first, served, attempts, count, aliases)
    if served is None:
        return _of_failed(first, request, attempts, count, aliases)
    selected = answer.metadata.selected if answer.metadata is not None else None
    permaslug = (selected.model if selected is not None else None) or served
    is_same = is_same_model(first, served, aliases) or is_same_model(first, permaslug, aliases)
    if is_same and not _is_other_variant(first, served, request):
        return _between_providers(request, count)
    found = _between_models(first, served, request, attempts, aliases)
    is_routed = answer.metadata is not None and answer.metadata.strategy in ROUTING_STRATEGIES
    return "routed" if found == "unknown" and is_routed else found


def _between_providers(request: Request, count: int | None) -> Fallback:
    if count is None:
        is_pinned = request.provider.allow_fallbacks is False or len(request.provider.only) == 1
        return "none" if is_pinned else "unknown"
    return "provider" if count > 1 else "none"


def _between_models(
    first: str, served: str, request: Request, attempts: tuple[RouteAttempt, ...], aliases: Mapping[str, str]
) -> Fallback:
    """Two ids that look different are two models only if the request or the tries say so."""
    is_asked_for = any(is_same_model(model, served, aliases) for model in request.models)
    was_first_tried = any(
        attempt.model is not None and is_same_model(first, attempt.model, aliases) for attempt in attempts
    )
    return "model" if is_asked_for or was_first_tried else "unknown"


def _of_routed(
    first: str,
    served: str | None,
    attempts: tuple[RouteAttempt, ...],
    count: int | None,
    aliases: Mapping[str, str],
) -> Fallback:
    """Routers, aliases, presets and account defaults: another model is what was asked for."""
    if _is_one_model(attempts, aliases) and count is not None and count > 1:
        return "provider"
    if served is None:
        return "unknown"
    named = first.partition("@")[0]
    return "none" if named and count == 1 and is_same_model(named, served, aliases) else "routed"


def _of_failed(
    first: str, request: Request, attempts: tuple[RouteAttempt, ...], count: int | None, aliases: Mapping[str, str]
) -> Fallback:
    """Nobody served; what was tried still tells whether there was a second try."""
    if count is None:
        return "unknown"
    if count <= 1:
        return "none"
    told = [attempt.model for attempt in attempts if attempt.model is not None]
    if any(not is_same_model(first, model, aliases) for model in told):
        later = any(is_same_model(model, tried, aliases) for model in request.models[1:] for tried in told)
        return "model" if later or any(is_same_model(first, model, aliases) for model in told) else "unknown"
    is_one_model = len(told) == len(attempts) > 0 or not _has_other_models(first, request, aliases)
    return "provider" if is_one_model else "unknown"


def _has_other_models(first: str, request: Request, aliases: Mapping[str, str]) -> bool:
    return any(not is_same_model(first, model, aliases) for model in request.models)


def _is_one_model(attempts: tuple[RouteAttempt, ...], aliases: Mapping[str, str]) -> bool:
    models = [attempt.model for attempt in attempts]
    return bool(models) and all(
        model is not None and models[0] is not None and is_same_model(models[0], model, aliases) for model in models
    )


def _served(answer: Answer) -> str | None:
    if answer.model is not None:
        return answer.model
    metadata = answer.metadata
    return metadata.selected.model if metadata is not None and metadata.selected is not None else None


def _is_by_design(model: str, request: Request) -> bool:
    return request.preset is not None or "@preset/" in model or model.startswith(("openrouter/", "~"))


def _is_other_variant(first: str, served: str, request: Request) -> bool:
    """`x:free` with `x` as its fallback: one model, but falling from the first to the second costs money."""
    return served in request.models and _variants(served) != _variants(first)


def _policy(request: Request) -> Policy:
    preferences = request.provider
    applying: set[Policy] = set()
    models = (request.model, *request.models) if request.model is not None else request.models
    for suffix in _suffixes(models[0]) if models else ():
        if suffix in POLICY_OF_SUFFIX:
            applying.add(POLICY_OF_SUFFIX[suffix])
    if (sort := POLICY_OF_SORT.get(preferences.sort or "")) is not None:
        applying.add(sort)
    lists: tuple[tuple[Policy, tuple[str, ...]], ...] = (
        ("order", preferences.order),
        ("only", preferences.only),
        ("ignore", preferences.ignore),
    )
    applying.update(policy for policy, slugs in lists if slugs)
    return next((policy for policy in POLICIES if policy in applying), "default")


def _suffixes(model: str) -> list[str]:
    return model.partition("@")[0].lower().split(":")[1:]


def _variants(model: str) -> set[str]:
    return set(_suffixes(model)) - DYNAMIC_SUFFIXES


def _plain(model: str) -> str:
    """Strip what only steers: the preset and dynamic suffixes."""
    name, *suffixes = model.partition("@")[0].lower().split(":")
    return ":".join((name, *(suffix for suffix in suffixes if suffix not in DYNAMIC_SUFFIXES)))


def _parsed(plain: str) -> tuple[str | None, str | None, list[str]]:
    author, slash, slug = plain.partition(":")[0].rpartition("/")
    date = _DATE.search(slug)
    words = sorted(_SEPARATORS.split(slug[: date.start()] if date else slug))
    return author if slash else None, "".join(date.groups()) if date else None, words


def _agree(left: str | None, right: str | None) -> bool:
    return left is None or right is None or left == right
