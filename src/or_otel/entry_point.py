"""What `opentelemetry-instrument` finds: the same switch as `instrument()`, in OpenTelemetry's form.

A module of its own because the base class is slow to import, and only this way of switching on needs it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from or_otel.instrumentor import instrument, is_on, uninstrument
from or_otel.settings import Settings


class OpenRouterInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """The instrumentor that `opentelemetry-instrument` finds; options are those of `Settings`."""

    configuration = Settings

    def instrumentation_dependencies(self) -> Collection[str]:
        """Give none: either of two HTTP libraries will do, which this list cannot say."""
        return ()

    @property
    def _is_instrumented_by_opentelemetry(self) -> bool:
        """Whether calls are seen now, whoever switched that on."""
        return is_on()

    @_is_instrumented_by_opentelemetry.setter
    def _is_instrumented_by_opentelemetry(self, value: bool) -> None:
        """The base class notes here what it has just done; the process knows better."""

    def _instrument(self, **kwargs: Any) -> None:
        instrument(**kwargs)

    def _uninstrument(self, **kwargs: Any) -> None:
        del kwargs
        uninstrument()
