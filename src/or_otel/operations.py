"""Which attempts are one call, and which tags hold: both live in the OpenTelemetry context.

An *operation* is what the application did once: the SDK method that retries, or a
`with or_otel.operation():` block around one's own loop. *A call ends when nobody is
inside its operation and nothing is open.* An exchange that nobody grouped is an
operation of its own. The OpenTelemetry context carries all this through threads and
tasks wherever OpenTelemetry itself is carried.
"""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Callable, Mapping
from typing import ParamSpec, Protocol, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

P = ParamSpec("P")
R = TypeVar("R")

_OPERATION = otel_context.create_key("or_otel.operation")
_TAGS = otel_context.create_key("or_otel.tags")
NO_TAGS: Mapping[str, str] = {}
ENVIRONMENT_TAG = "environment"
"""This tag is the call's `deployment.environment.name`, not an `openrouter.tag`."""


class Call(Protocol):
    """What an operation ends once it is over."""

    def end(self) -> None:
        """Publish; called once."""


class Operation:
    """Counts who is inside and what is open, and ends its call when both are none.

    One without an exchange ends nothing. The lock is held for arithmetic only.
    """

    __slots__ = ("_call", "_inside", "_lock", "_open")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._call: Call | None = None
        self._inside = 0
        self._open = 0

    def enter(self) -> None:
        """Somebody is inside."""
        with self._lock:
            self._inside += 1

    def leave(self) -> None:
        """One left; perhaps that ends the call."""
        with self._lock:
            self._inside -= 1
            call = self._over()
        if call is not None:
            call.end()

    def opened(self, begin: Callable[[], Call]) -> Call:
        """An exchange is open; gives the call it belongs to, begun by `begin` when it is the first."""
        with self._lock:
            self._open += 1
            if self._call is None:
                self._call = begin()
            return self._call

    def closed(self) -> None:
        """An exchange is over; perhaps that ends the call."""
        with self._lock:
            self._open -= 1
            call = self._over()
        if call is not None:
            call.end()

    def _over(self) -> Call | None:
        if self._inside or self._open:
            return None
        call, self._call = self._call, None
        return call


def current_operation() -> Operation | None:
    """Give the operation around this line, if there is one."""
    found = otel_context.get_value(_OPERATION)
    return found if isinstance(found, Operation) else None


def current_tags() -> Mapping[str, str]:
    """Give the tags in force, `environment` among them."""
    found = otel_context.get_value(_TAGS)
    return found if isinstance(found, dict) else NO_TAGS


def is_suppressed() -> bool:
    """Whether OpenTelemetry is told to look away, as during an export."""
    return not is_instrumentation_enabled()


class _Scope:
    """A context manager and decorator that puts something into the OpenTelemetry context."""

    def __init__(self) -> None:
        self._tokens: list[object] = []

    def _fresh(self) -> Self:
        return type(self)()

    def _context(self) -> otel_context.Context:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._tokens.append(otel_context.attach(self._context()))
        return self

    def __exit__(self, *_: object) -> None:
        otel_context.detach(self._tokens.pop())  # type: ignore[arg-type]

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        self.__exit__(*error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function or coroutine function: each run is inside a scope of its own."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def inside_async(*args: P.args, **kwargs: P.kwargs) -> object:
                with self._fresh():
                    return await function(*args, **kwargs)

            return inside_async  # type: ignore[return-value]

        @functools.wraps(function)
        def inside(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._fresh():
                return function(*args, **kwargs)

        return inside


class operation(_Scope):  # noqa: N801 -- reads as a verb: `with or_otel.operation():`
    """Group all attempts made inside into one call; a nested one joins the outer.

    For retry loops of one's own: `with or_otel.operation(): …`. Also a decorator.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[Operation] = []

    def _context(self) -> otel_context.Context:
        return otel_context.set_value(_OPERATION, self._operations[-1])

    def __enter__(self) -> Self:
        joined = current_operation() or Operation()
        joined.enter()
        self._operations.append(joined)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._operations.pop().leave()


class tags(_Scope):  # noqa: N801 -- reads as a verb: `with or_otel.tags(team="search"):`
    """Attribute every call made inside: `with or_otel.tags(team="search", customer="acme"): …`.

    Nests (inner keys win), works for sync and async code and as a decorator. Keys are
    normalised to lower case letters, digits and underscores; values become text and None
    removes an outer tag. `environment=` sets `deployment.environment.name`. No tag is sent
    to the server.

    Raises:
        ValueError: Two keys are equal once normalised, or a key has no letter to start with.
    """

    def __init__(self, **values: object) -> None:
        super().__init__()
        self._values: dict[str, str | None] = {}
        for key, value in values.items():
            name = normalised_key(key)
            if name in self._values:
                raise ValueError(f"tag {key!r}: another key is also {name!r} once normalised; use one of them")
            self._values[name] = None if value is None else str(value)

    def _fresh(self) -> Self:
        return type(self)(**self._values)

    def _context(self) -> otel_context.Context:
        merged = {**current_tags(), **self._values}
        return otel_context.set_value(_TAGS, {key: value for key, value in merged.items() if value is not None})


def normalised_key(key: str) -> str:
    """Give a tag key in the form `[a-z][a-z0-9_]*`.

    Raises:
        ValueError: Nothing of that form is left.
    """
    name = re.sub(r"[^a-z0-9_]", "_", key.strip().lower()).lstrip("_0123456789")
    if not name:
        raise ValueError(f"tag {key!r}: expected a key that starts with a letter, such as 'team'")
    return name


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Carry tags and operation of this moment into a plain thread: `Thread(target=or_otel.bind(work))`.

    An operation is not over while a bound function that was started within it still runs.
    """
    captured = otel_context.get_current()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        token = otel_context.attach(captured)
        try:
            joined = current_operation()
            if joined is None:
                return function(*args, **kwargs)
            with operation():
                return function(*args, **kwargs)
        finally:
            otel_context.detach(token)

    return bound
