"""The methods of client SDKs that bound one operation: all their retries are one call.

One row per SDK: module, class, method. They are private or half-private names, so a row
that no longer fits is passed over: each attempt is then a call of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from or_otel.operations import operation
from or_otel.sensors.patching import current_watch, wrap_method

METHODS: dict[str, tuple[tuple[str, str], ...]] = {
    "openai._base_client": (("SyncAPIClient", "request"), ("AsyncAPIClient", "request")),
}
"""Module → (class, method). openai 1.x to 3.x: the retry loop is inside `request`."""


def install(module: ModuleType) -> None:
    """Patch one of the modules of `METHODS`."""
    for class_name, method_name in METHODS[module.__name__]:
        owner = getattr(module, class_name, None)
        method = getattr(owner, method_name, None)
        if method is not None:
            wrapper = _grouped_async if inspect.iscoroutinefunction(method) else _grouped
            wrap_method(owner, method_name, wrapper)


def hooks() -> dict[str, Callable[[ModuleType], None]]:
    """Give the hook of each module, for `patching.activate`."""
    return dict.fromkeys(METHODS, install)


def _grouped(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del instance
    if current_watch() is None:
        return wrapped(*args, **kwargs)
    with operation():
        return wrapped(*args, **kwargs)


async def _grouped_async(
    wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    del instance
    if current_watch() is None:
        return await wrapped(*args, **kwargs)
    with operation():
        return await wrapped(*args, **kwargs)
