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

STAINLESS = (("SyncAPIClient", "request"), ("AsyncAPIClient", "request"))
"""SDKs made by one generator: the retry loop is inside `request`."""
SPEAKEASY = (("BaseSDK", "do_request"), ("BaseSDK", "do_request_async"))
"""SDKs made by the other: every endpoint's method sends through these, and they retry."""

METHODS: dict[str, tuple[tuple[str, str], ...]] = {
    "openai._base_client": STAINLESS,  # 1.x to 3.x
    "anthropic._base_client": STAINLESS,
    "groq._base_client": STAINLESS,
    "openrouter.basesdk": SPEAKEASY,
    "mistralai.basesdk": SPEAKEASY,  # 1.x
    "mistralai.client.basesdk": SPEAKEASY,  # from 2.x
}
"""Module → (class, method)."""


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
