"""Drop-in OpenTelemetry for OpenRouter and every OpenAI-compatible LLM API.

`start()` for programs without an OpenTelemetry set-up, `instrument()` where one exists;
`tags`, `operation`, `workflow`, `bind` for attribution and grouping; `capture` and `on_call` to read
one's own calls; `flush` before a process is frozen or killed.
"""

from __future__ import annotations

from or_otel.calls import Attempt, CallRecord
from or_otel.emitters.callbacks import GenerationIdFilter
from or_otel.instrumentor import (
    OpenRouterInstrumentor,
    capture,
    flush,
    instrument,
    on_call,
    own_version,
    start,
    uninstrument,
)
from or_otel.operations import bind, operation, tags
from or_otel.settings import Settings
from or_otel.workflows import Run, current_run, outcome, workflow

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
