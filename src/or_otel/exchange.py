"""What a sensor tells about one HTTP exchange, and whom it tells.

A sensor stands at an HTTP library and translates; it neither interprets bytes nor
knows a back end. It asks a `Watch` whether a request is ours, from method and URL
alone, and reports everything else to the `Exchange` that the watch opened.
All times are `time.perf_counter()` seconds, except where a name says wall.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from or_otel.facts import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSeen:
    """A request about to be sent.

    Attributes:
        endpoint: Where it goes, as the watch told.
        header: Gives a header's value by case-insensitive name, None when it is absent.
        body: Gives the encoded body; None when it cannot be read without consuming it.
        at_s: When `send` was entered.
        wall_s: The same moment as Unix time.
    """

    endpoint: Endpoint
    header: Callable[[str], str | None]
    body: Callable[[], bytes | None]
    at_s: float
    wall_s: float


class Exchange(Protocol):
    """One HTTP exchange from the request to its last byte.

    Every method tolerates being called again, late, or from within a garbage collection.
    """

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers to add where the caller did not set them."""

    @property
    def is_open(self) -> bool:
        """Whether more bytes are wanted: False after the terminal event, the end, or an error."""

    def enter(self) -> object:
        """Make the call's span current; gives a token for `leave`. Only around the real send."""

    def leave(self, token: object) -> None:
        """Undo `enter`, in the same task."""

    def answered(self, status: int, header: Callable[[str], str | None], at_s: float) -> None:
        """The response's head came."""

    def received(self, data: bytes, at_s: float) -> None:
        """Bytes of the body came, still content-encoded as the headers say."""

    def loaded(self, body: bytes, at_s: float) -> None:
        """The whole decoded body was there already; ends the exchange."""

    def finished(self, at_s: float) -> None:
        """The body came to its end."""

    def closed(self, at_s: float) -> None:
        """The caller closed the response, perhaps early. Nothing happens when the end was seen."""

    def failed(self, error: BaseException, at_s: float) -> None:
        """Sending or reading raised; cancellations are failures too, told apart by the error."""

    def abandoned(self, at_s: float) -> None:
        """The response was garbage-collected unread. Takes no lock and calls no SDK."""


class Watch(Protocol):
    """Decides which requests are ours and opens their exchanges."""

    def endpoint(self, method: str, url: str) -> Endpoint | None:
        """Say where a request goes, or None when it is not ours; never touches a body."""

    def open(self, request: RequestSeen) -> Exchange:
        """Begin to watch a request that is ours."""
