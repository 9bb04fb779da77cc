"""How a method of the host's libraries is watched, and let go again; the only importer of wrapt.

A wrapper is installed once per class and name, on the class that defines the method, when
the library is imported (at once if it already is); we import none of them. Wrappers ask
`current_watch()` at each call and are inert while there is none, so that one that cannot
be taken off again, because somebody wrapped over it, does nothing either.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import wrapt

from or_otel import garbage
from or_otel.exchange import Exchange, Watch
from or_otel.guard import guarded

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]

is_observed: ContextVar[bool] = ContextVar("or_otel_is_observed", default=False)
"""Set while a sensor's real send runs: one exchange has one observer, the outermost."""


class _State:
    """The one set of patches of this process."""

    watch: Watch | None = None
    hooks: dict[str, Callable[[ModuleType], None]] = {}  # noqa: RUF012 -- there is one state
    installed: dict[tuple[type, str], tuple[Any, Any]] = {}  # noqa: RUF012 -- (ours, original) by class and name


def current_watch() -> Watch | None:
    """Give the watch to report to, None while nothing is to be watched or an outer sensor already does."""
    watch = _State.watch
    return None if watch is None or is_observed.get() else watch


def activate(watch: Watch, hooks: dict[str, Callable[[ModuleType], None]]) -> None:
    """Report to `watch` from now on, and install each hook's patches when its module is there.

    Args:
        watch: Gets every exchange.
        hooks: Module name → a function that patches that module.
    """
    _State.watch = watch
    garbage.watch()
    for name, hook in hooks.items():
        if name in _State.hooks:
            _State.hooks[name] = hook
            if (module := sys.modules.get(name)) is not None:
                _installed(hook, module)
        else:
            _State.hooks[name] = hook
            wrapt.register_post_import_hook(_on_import, name)


def deactivate() -> None:
    """Report no more, and restore every method exactly, but where somebody wrapped over it meanwhile."""
    _State.watch = None
    garbage.unwatch()
    for (owner, name), (ours, original) in list(_State.installed.items()):
        if owner.__dict__.get(name) is ours:
            setattr(owner, name, original)
            del _State.installed[owner, name]


def wrap_method(owner: type | None, name: str, wrapper: Wrapper) -> None:
    """Wrap a method on the class that defines it; does nothing where it is missing or wrapped already."""
    definer = next((base for base in getattr(owner, "__mro__", ()) if name in base.__dict__), None)
    if definer is None or (definer, name) in _State.installed:
        return
    original = definer.__dict__[name]
    ours = wrapt.FunctionWrapper(original, wrapper)
    setattr(definer, name, ours)
    _State.installed[definer, name] = (ours, original)


class sending:  # noqa: N801 -- reads as a verb: `with sending(exchange):`
    """Around the library's real send, awaited or not: its span is current, no inner sensor observes, a failure is told.

    The error goes on to the caller as it is.
    """

    __slots__ = ("_exchange", "_failed", "_observed", "_token")

    def __init__(self, exchange: Exchange, failed: Callable[[BaseException], None] | None = None) -> None:
        """Set up; `failed` tells an error in a sensor's own way."""
        self._exchange = exchange
        self._failed = failed

    def __enter__(self) -> None:
        self._observed = is_observed.set(True)
        self._token = self._exchange.enter()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        del kind, trace
        if error is not None and self._failed is not None:
            self._failed(error)
        elif error is not None:
            self._exchange.failed(error, time.perf_counter())
        try:
            is_observed.reset(self._observed)
        except ValueError:  # a coroutine closed from another context, where nothing of ours is set
            return
        self._exchange.leave(self._token)


class Tee(wrapt.ObjectProxy):  # type: ignore[misc, type-arg, unused-ignore]  # typed since wrapt 2
    """Stands in for a body of the host's: looks and acts like it, type included, and shows an exchange what is read.

    For libraries whose bodies are read by many methods; a subclass overrides those that read.
    """

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        super().__init__(inner)
        self._self_exchange = exchange

    def __del__(self) -> None:
        self._self_exchange.abandoned(time.perf_counter())

    def _tell_closed(self) -> None:
        self._self_exchange.closed(time.perf_counter())


def of_decoded(header: Callable[[str], str | None]) -> Callable[[str], str | None]:
    """Give the headers of a body whose bytes the library decodes before anybody reads them."""
    return lambda name: None if name.lower() == "content-encoding" else header(name)


def _on_import(module: ModuleType) -> None:
    hook = _State.hooks.get(module.__name__)
    if _State.watch is not None and hook is not None:
        _installed(hook, module)


@guarded("sensors.install")
def _installed(hook: Callable[[ModuleType], None], module: ModuleType) -> None:
    hook(module)
