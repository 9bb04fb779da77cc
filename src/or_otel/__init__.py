"""Drop-in OpenTelemetry for OpenRouter and every OpenAI-compatible LLM API.

`start()` for programs without an OpenTelemetry set-up, `instrument()` where one exists;
`tags`, `operation`, `workflow`, `bind` for attribution and grouping; `capture` and `on_call` to read
one's own calls; `flush` before a process is frozen or killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from or_otel.calls import Attempt, CallRecord
from or_otel.emitters.callbacks import GenerationIdFilter
from or_otel.instrumentor import (
    capture,
    flush,
    instrument,
    on_call,
    start,
    uninstrument,
)
from or_otel.operations import bind, operation, tags
from or_otel.settings import Settings
from or_otel.version import own_version
from or_otel.workflows import Run, current_run, outcome, workflow

if TYPE_CHECKING:
    from or_otel.entry_point import OpenRouterInstrumentor

__all__ = [
    "Attempt",
    "CallRecord",
    "GenerationIdFilter",
    "OpenRouterInstrumentor",
    "Run",
    "Settings",
    "bind",
    "capture",
    "current_run",
    "flush",
    "instrument",
    "on_call",
    "operation",
    "outcome",
    "start",
    "tags",
    "uninstrument",
    "workflow",
]

__version__ = own_version()


def __getattr__(name: str) -> object:
    """Give the instrumentor, whose base class is slow to import, to who asks for it."""
    if name == "OpenRouterInstrumentor":
        from or_otel.entry_point import OpenRouterInstrumentor  # noqa: PLC0415

        return OpenRouterInstrumentor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
