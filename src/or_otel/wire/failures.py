"""Why an exchange failed: an error object, a status and headers in, `Failure` out.

Never any text of the server: it echoes prompts. Only words that look like identifiers,
numbers and provider names leave this module.
Source: OpenRouter "Errors and debugging" (seen 2026-08) and recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from or_otel.facts import ErrorOrigin, Failure, RouterMetadata
from or_otel.wire.fields import count_of, object_of, text_of
from or_otel.wire.metadata import attempts_from

ERROR_STATUS = 400
UNNAMED = "error"
"""The error type of a failure that names neither word nor status; also what `finish_reason` then says."""
PROVIDER_MESSAGE = "Provider returned error"

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_STATUSES = range(100, 1000)
_CLIENT_STATUSES = frozenset({499})
_EDGE_STATUSES = frozenset(range(520, 528))
"""Cloudflare's own, 529 apart: providers say it when overloaded."""
_UPSTREAM_STATUSES = frozenset({502, 504, 529})
_MODERATION = ("reasons", "flagged_input", "patterns")


def failure_from(
    error: object,
    *,
    error_type: object = None,
    status: int,
    header: Callable[[str], str | None],
    metadata: RouterMetadata | None,
    is_openrouter: bool,
    has_served: bool,
) -> Failure | None:
    """Read an `error` value of a body, a chunk or a choice.

    Args:
        error: The decoded value: an object, or a bare string at some servers.
        error_type: A word standing beside the error.
        status: HTTP status of the response, 200 too.
        header: Response headers.
        metadata: Router metadata that came along.
        is_openrouter: Whether a router stands before the provider.
        has_served: Whether an upstream had begun to answer: it then is who failed.

    Returns:
        None when there is no error in it (null, false, empty).
    """
    if not error or isinstance(error, bool):
        return None
    told = object_of(error)
    details = object_of(told.get("metadata"))
    code = _status_of(told.get("code")) or _status_of(told.get("http_status"))
    known = status if status >= ERROR_STATUS else code
    words = (
        details.get("error_type"),
        told.get("error_type"),
        error_type,
        told.get("code"),
        told.get("type"),
        object_of(told.get("availability")).get("code"),
    )
    word = next((word for each in words if (word := _word_of(each)) is not None), None)
    return Failure(
        error_type=word or (UNNAMED if known is None else str(known)),
        origin=_origin(told, details, known, header, metadata, is_openrouter=is_openrouter, has_served=has_served),
        status=known,
        provider=text_of(details.get("provider_name")),
        previous=attempts_from(details.get("previous_errors")),
    )


def failure_without_body(
    status: int, header: Callable[[str], str | None], *, is_openrouter: bool, is_read: bool = True
) -> Failure:
    """Judge a refusal whose body says nothing we know: an HTML page of the edge, an empty 502.

    Nothing speaks for the edge in a body that the caller left unread, as `raise_for_status` before reading does.
    """
    is_page = "html" in (header("content-type") or "").lower()
    if is_page or (is_openrouter and is_read and header("cf-ray") is not None):
        origin: ErrorOrigin = "edge"
    else:
        origin = _origin_by_status(status, is_openrouter=is_openrouter)
    return Failure(error_type=str(status), origin=origin, status=status)


def failure_from_finish(status: int) -> Failure:
    """Judge an answer whose only sign of failure is `finish_reason: "error"`."""
    return Failure(error_type=UNNAMED, origin="upstream", status=status if status >= ERROR_STATUS else None)


def _origin(
    told: Mapping[str, object],
    details: Mapping[str, object],
    status: int | None,
    header: Callable[[str], str | None],
    metadata: RouterMetadata | None,
    *,
    is_openrouter: bool,
    has_served: bool,
) -> ErrorOrigin:
    if not is_openrouter:
        return _origin_by_status(status, is_openrouter=False)
    is_refused = (
        any(details.get(key) for key in _MODERATION)
        or bool(details.get("headers"))
        or status in {401, 402}
        or (metadata is not None and metadata.attempt == 0)
    )
    if is_refused:
        return "router"
    is_upstream = (
        any(details.get(key) is not None for key in ("provider_name", "raw", "provider_code"))
        or told.get("message") == PROVIDER_MESSAGE
    )
    if is_upstream:
        return "upstream"
    if told.get("availability") or header("x-ratelimit-limit") is not None:
        return "router"
    return "upstream" if has_served else _origin_by_status(status, is_openrouter=True)


def _origin_by_status(status: int | None, *, is_openrouter: bool) -> ErrorOrigin:
    if status in _CLIENT_STATUSES:
        return "client"
    if status in _EDGE_STATUSES:
        return "edge"
    return "upstream" if not is_openrouter or status in _UPSTREAM_STATUSES else "router"


def _status_of(value: object) -> int | None:
    number = count_of(value)
    return number if number in _STATUSES else None


def _word_of(value: object) -> str | None:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None
