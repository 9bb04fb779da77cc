"""`openrouter_metadata`: a decoded JSON value in, `RouterMetadata` out.

Source: OpenRouter "Router Metadata" (seen 2026-08) and its Python SDK 1.3.84.
"""

from __future__ import annotations

from or_otel.facts import RouteAttempt, RouterMetadata
from or_otel.wire.fields import count_of, flag_of, items_of, object_of, text_of

MAX_ATTEMPTS = 64


def metadata_from(value: object) -> RouterMetadata | None:
    """Read how the router served one exchange; None when it did not say."""
    told = object_of(value)
    if not told:
        return None
    available = items_of(object_of(told.get("endpoints")).get("available"))
    chosen = next((each for each in map(object_of, available) if each.get("selected") is True), None)
    return RouterMetadata(
        requested=text_of(told.get("requested")),
        strategy=text_of(told.get("strategy")),
        region=text_of(told.get("region")),
        attempt=count_of(told.get("attempt")),
        is_byok=flag_of(told.get("is_byok")),
        attempts=attempts_from(told.get("attempts")),
        selected=None
        if chosen is None
        else RouteAttempt(provider=text_of(chosen.get("provider")), model=text_of(chosen.get("model"))),
    )


def attempts_from(value: object) -> tuple[RouteAttempt, ...]:
    """Read upstream tries, from the metadata or from an error's `previous_errors`.

    The latter say `{provider, code, status}`; in June 2026 `{code, message}` was recorded.
    """
    return tuple(
        RouteAttempt(
            provider=text_of(each.get("provider")) or text_of(each.get("provider_name")),
            model=text_of(each.get("model")),
            status=count_of(each.get("status")) or count_of(each.get("code")),
        )
        for item in items_of(value)[:MAX_ATTEMPTS]
        if (each := object_of(item))
    )
