"""Which attempts are one call, and which tags hold: both live in the OpenTelemetry context.

An *operation* is what the application did once: the SDK method that retries, or a
`with or_otel.operation():` block around one's own loop. *A call ends when nobody is
inside its operation and nothing is open.* An exchange that nobody grouped is an
operation of its own. The OpenTelemetry context carries all this through threads and
tasks wherever OpenTelemetry itself is carried.
"""

from __future__ import annotations

import contextvars
import enum
import functools
import inspect
import re
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import ParamSpec, Protocol, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.baggage import get_baggage
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

from or_otel import garbage
from or_otel.guard import wall

P = ParamSpec("P")
R = TypeVar("R")

_OPERATION = otel_context.create_key("or_otel.operation")
_TAGS = otel_context.create_key("or_otel.tags")
NO_TAGS: Mapping[str, str] = {}
ENVIRONMENT_TAG = "environment"
"""This tag is the call's `deployment.environment.name`, not an `openrouter.tag`."""
WORKFLOW_TAG = "workflow"
"""This tag is the name of the call's workflow, unless the application sets it."""
MAX_TAG_LENGTH = 256
"""Longer values are cut: a tag is a name, and attribute stores index it."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
"""A value may come from a stranger's request: it must not steer the terminal that shows it, nor break its line."""


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
        if garbage.is_collecting():  # a task that nobody held
            garbage.put_off(self.leave)
            return
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


class Scope:
    """A context manager and decorator that puts something into the OpenTelemetry context.

    Generator functions are decorated too: the scope holds while the generator works and not
    while its consumer does. One object is for one task at a time; a decorator makes its own.
    """

    def __init__(self) -> None:
        self._entered: list[tuple[otel_context.Context, contextvars.Token[otel_context.Context]]] = []

    def _fresh(self) -> Self:
        return type(self)()

    def _opened(self) -> otel_context.Context:
        """Begin, and give the context that holds inside."""
        raise NotImplementedError

    def _closed(self, error: BaseException | None) -> None:
        """End; `error` is what leaves the block."""

    def __enter__(self) -> object:
        context = self._opened()
        self._entered.append((context, otel_context.attach(context)))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        context, token = self._entered.pop()
        # A coroutine or generator closed from another context finds nothing of ours there to take off.
        if not isinstance(error, GeneratorExit) or otel_context.get_current() is context:
            otel_context.detach(token)
        self._closed(error)

    async def __aenter__(self) -> object:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a function, coroutine function or generator function: each run is inside a scope of its own."""
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generating(*args: P.args, **kwargs: P.kwargs) -> object:
                return self._fresh()._generated(function(*args, **kwargs))  # noqa: SLF001 -- one of our own

            return generating  # type: ignore[return-value]
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            def generating_async(*args: P.args, **kwargs: P.kwargs) -> object:
                return self._fresh()._generated_async(function(*args, **kwargs))  # noqa: SLF001 -- one of our own

            return generating_async  # type: ignore[return-value]
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

    def _generated(self, generator: Generator[object, object, object]) -> Generator[object, object, object]:
        steps = Steps(self._opened())
        error: BaseException | None = None
        try:
            with steps:
                value = next(generator)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    with steps:
                        generator.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 -- the consumer's, for the generator to see
                    with steps:
                        value = generator.throw(thrown)
                else:
                    with steps:
                        value = generator.send(sent)
        except StopIteration as stop:
            return stop.value
        except BaseException as left:
            error = left
            raise
        finally:
            self._closed(error)

    async def _generated_async(self, generator: AsyncGenerator[object, object]) -> AsyncGenerator[object, object]:
        steps = Steps(self._opened())
        error: BaseException | None = None
        try:
            with steps:
                value = await anext(generator)
            while True:
                try:
                    sent = yield value
                except GeneratorExit:
                    with steps:
                        await generator.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 -- the consumer's, for the generator to see
                    with steps:
                        value = await generator.athrow(thrown)
                else:
                    with steps:
                        value = await generator.asend(sent)
        except StopAsyncIteration:
            return
        except BaseException as left:
            error = left
            raise
        finally:
            self._closed(error)


class Steps:
    """A context that holds during each `with` and is remembered, as it was left, until the next."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: otel_context.Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(self, *_: object) -> None:
        self._context = otel_context.get_current()
        otel_context.detach(self._token)


class operation(Scope):  # noqa: N801 -- reads as a verb: `with or_otel.operation():`
    """Group all attempts made inside into one call; a nested one joins the outer.

    For retry loops of one's own: `with or_otel.operation(): …`. Also a decorator.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[Operation] = []

    def _opened(self) -> otel_context.Context:
        joined = current_operation() or Operation()
        joined.enter()
        self._operations.append(joined)
        return otel_context.set_value(_OPERATION, joined)

    def _closed(self, error: BaseException | None) -> None:
        del error
        self._operations.pop().leave()


class tags(Scope):  # noqa: N801 -- reads as a verb: `with or_otel.tags(team="search"):`
    """Attribute every call made inside: `with or_otel.tags(team="search", customer="acme"): …`.

    Nests (inner keys win), works for sync and async code and as a decorator, of generators
    too. Keys are normalised to lower case letters, digits and underscores. Values become text
    of at most `MAX_TAG_LENGTH` characters; None and empty text remove an outer tag.
    `environment=` sets `deployment.environment.name`. No tag is sent to the server.

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
            self._values[name] = tag_text(value)

    def _fresh(self) -> Self:
        return type(self)(**self._values)

    def _opened(self) -> otel_context.Context:
        return _with_tags(self._values)


def tag_context(values: Mapping[str, object], *, is_alone: bool = False) -> otel_context.Context:
    """Give the context of this moment with more tags, or with these alone; a key that cannot be one costs itself."""
    found: dict[str, str | None] = {}
    for key, value in values.items():
        with wall("operations.tag_key"):
            found[normalised_key(key)] = tag_text(value)
    return _with_tags(found, NO_TAGS if is_alone else None)


def _with_tags(values: Mapping[str, str | None], outer: Mapping[str, str] | None = None) -> otel_context.Context:
    merged = {**(current_tags() if outer is None else outer), **values}
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


def tag_text(value: object) -> str | None:
    """Give a tag's value as text that every exporter can write; None for None and for what is blank."""
    if value is None:
        return None
    with wall("operations.tag_text"):  # the application's own `__str__` may fail
        if isinstance(value, enum.Enum):
            value = value.value
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        # OTLP is protobuf, which takes no lone surrogates: one would lose the whole batch.
        return CONTROLS.sub(" ", text).strip()[:MAX_TAG_LENGTH].encode("utf-8", "replace").decode() or None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagSources:
    """Where tags come from besides `or_otel.tags`, which wins over these; the later of these wins.

    Attributes:
        fixed: Tags of the whole process.
        baggage: Key of inbound W3C baggage → tag.
        metadata: Key of the request's `metadata` → tag.
    """

    fixed: Mapping[str, str] = field(default_factory=dict)
    baggage: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def tags(self, metadata: Mapping[str, str]) -> Mapping[str, str]:
        """Give the tags in force for a request that says `metadata`."""
        here = current_tags()
        if not (self.fixed or self.baggage or self.metadata):
            return here
        found: dict[str, str | None] = dict(self.fixed)
        for key, tag in self.baggage.items():
            found[tag] = tag_text(get_baggage(key)) or found.get(tag)
        for key, tag in self.metadata.items():
            found[tag] = tag_text(metadata.get(key)) or found.get(tag)
        return {**{tag: value for tag, value in found.items() if value is not None}, **here}


def bind(function: Callable[P, R]) -> Callable[P, R]:
    """Carry this moment's tags, operation, run and `capture` into a plain thread: `Thread(target=or_otel.bind(work))`.

    As `asyncio.to_thread` does, it carries every context variable. An operation is not over
    while a bound function that was started within it still runs.
    """
    captured = contextvars.copy_context()

    @functools.wraps(function)
    def bound(*args: P.args, **kwargs: P.kwargs) -> R:
        # A copy for each run: one context cannot be entered by two threads.
        return captured.copy().run(_within_operation, function, *args, **kwargs)

    return bound


def _within_operation(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    if current_operation() is None:
        return function(*args, **kwargs)
    with operation():
        return function(*args, **kwargs)
