"""Why the account API gave no answer.

    AccountError
    ├── KeyRejectedError   401: the key is wrong, disabled or deleted
    ├── WrongKeyError      403: this kind of key may not ask that
    ├── NotFoundError      404
    ├── RateLimitedError   429
    ├── RefusedError       any other status that is no success
    ├── UnavailableError   5xx, a timeout, no connection
    └── UnreadableError    an answer that is not what was promised

Messages name the endpoint and the remedy, never a key and no word of the server.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Literal

from or_otel.accounts import KeyKind

Access = Literal["management", "any", "public"]
"""Which key may ask: a management key; any, and the answer is about the asking key; none is needed."""

API_KEY = "OPENROUTER_API_KEY"
MANAGEMENT_KEY = "OPENROUTER_MANAGEMENT_KEY"
KEY_PAGES = {
    API_KEY: "openrouter.ai/settings/keys",
    MANAGEMENT_KEY: "openrouter.ai/settings/management-keys",
}
FIRST_ERROR, FIRST_FAILURE = 400, 500
REJECTED, FORBIDDEN, NOT_FOUND, TIMED_OUT, TOO_MANY = 401, 403, 404, 408, 429
MAX_DIGITS = 9


class AccountError(Exception):
    """No answer.

    Attributes:
        endpoint: Path below the base URL, such as `/keys`.
        error_type: HTTP status or a word, for metrics.
        retry_after_s: How long the server asks to wait; None when it does not say.
    """

    def __init__(self, endpoint: str, error_type: str, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{endpoint}: {message}")
        self.endpoint = endpoint
        self.error_type = error_type
        self.retry_after_s = retry_after_s


class KeyRejectedError(AccountError):
    """The key is not known."""


class WrongKeyError(AccountError):
    """The key may not ask this.

    Attributes:
        needed: The kind of key that may; None when another kind would not help.
    """

    def __init__(self, endpoint: str, error_type: str, message: str, *, needed: KeyKind | None) -> None:
        super().__init__(endpoint, error_type, message)
        self.needed = needed


class NotFoundError(AccountError):
    """There is no such thing."""


class RateLimitedError(AccountError):
    """Asked too often."""


class RefusedError(AccountError):
    """Refused for another reason."""


class UnavailableError(AccountError):
    """The API cannot be reached, or fails."""


class UnreadableError(AccountError):
    """The answer cannot be read."""


def refusal(
    endpoint: str, status: int, access: Access, wait_s: float | None = None, *, asked_with: str = API_KEY
) -> AccountError:
    """Make the error of an HTTP status that is no success.

    Args:
        endpoint: What was asked.
        status: Of the answer.
        access: Which key may ask.
        wait_s: How long the server asks to wait.
        asked_with: The variable that gave the key.
    """
    word = str(status)
    if status == REJECTED:
        remedy = f"the key in {asked_with} is wrong, disabled or deleted; make one at {KEY_PAGES[asked_with]}"
        return KeyRejectedError(endpoint, word, remedy)
    if status == FORBIDDEN:
        message = f"this key may not ask that; {_which_key(access)}"
        return WrongKeyError(endpoint, word, message, needed=_needed(access))
    if status == NOT_FOUND:
        return NotFoundError(
            endpoint,
            word,
            "there is no such thing, not yet, or not in this account; if it should be there, check OR_OTEL_BASE_URL",
        )
    if status == TOO_MANY:
        return RateLimitedError(endpoint, word, f"asked too often; wait {_how_long(wait_s)}", retry_after_s=wait_s)
    if status >= FIRST_FAILURE or status == TIMED_OUT:
        remedy = "try again later; status.openrouter.ai tells of outages"
        return UnavailableError(endpoint, word, f"HTTP {status}; {remedy}", retry_after_s=wait_s)
    return RefusedError(endpoint, word, f"HTTP {status}; check OR_OTEL_BASE_URL", retry_after_s=wait_s)


def no_key(endpoint: str, access: Access) -> WrongKeyError:
    """Make the error of a question for which there is no key at hand."""
    return WrongKeyError(endpoint, "no_key", f"no key is given; {_which_key(access)}", needed=_needed(access))


def retry_after_s(header: Callable[[str], str | None]) -> float | None:
    """Read `Retry-After`: seconds, or a date that is held against the answer's own."""
    told = (header("retry-after") or "").strip()
    if told.isdecimal():
        return float(told[:MAX_DIGITS])
    try:
        wait = parsedate_to_datetime(told) - parsedate_to_datetime(header("date") or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, wait.total_seconds())


def _how_long(wait_s: float | None) -> str:
    return "a minute" if wait_s is None else f"{wait_s:,.0f} s"


def _needed(access: Access) -> KeyKind | None:
    return "management" if access == "management" else None


def _which_key(access: Access) -> str:
    if access == "management":
        return f"it needs a management key of the account in {MANAGEMENT_KEY} ({KEY_PAGES[MANAGEMENT_KEY]})"
    return f"it needs a key of the account in {API_KEY} ({KEY_PAGES[API_KEY]})"
