"""Call records → log events: that a call failed, and captured content where that is switched on.

Needs a logs API whose loggers take an event name and a context themselves (1.39 and
later); on older ones no event is emitted: their loggers accept only records of the SDK.
Servers echo prompts in error messages, so no message and no stack is ever told.
"""

from __future__ import annotations

import inspect
from typing import Any, cast

from opentelemetry.context import Context

from or_otel import semconv
from or_otel.calls import CallRecord, CallStarted, Emission, Emitter
from or_otel.emitters import attributes

try:
    from opentelemetry import _logs as logs
except ImportError:  # the logs API is not declared stable and may move
    CAN_EMIT = False
else:
    CAN_EMIT = {"event_name", "context"} <= set(inspect.signature(logs.Logger.emit).parameters)

SCOPE = "or_otel"


class Events(Emitter):
    """Publishes failed calls, and content, as log events."""

    def __init__(self, logger_provider: Any = None, *, version: str, has_content: bool = False) -> None:
        """Set up.

        Args:
            logger_provider: The global one when None, also one that is set later.
            version: Version of the scope.
            has_content: Whether captured content goes onto events.
        """
        self._logger = logs.get_logger(SCOPE, version, logger_provider) if CAN_EMIT else None
        self._has_content = has_content

    def begin(self, call: CallStarted) -> Emission:
        """Wait for the end; there is nothing to tell before."""
        del call
        return Emission() if self._logger is None else _Pending(self._logger, has_content=self._has_content)


class _Pending(Emission):
    """A call that may end in an event."""

    __slots__ = ("_has_content", "_logger")

    def __init__(self, logger: Any, *, has_content: bool) -> None:
        self._logger = logger
        self._has_content = has_content

    def end(self, record: CallRecord, context: object | None) -> None:
        """Tell the failure, then the content."""
        where = cast("Context | None", context)
        at_ns = int(record.ended_at_s * 1_000_000_000)
        if record.outcome == "error" and record.failure is not None:
            self._logger.emit(
                event_name=semconv.EVENT_OPERATION_EXCEPTION,
                timestamp=at_ns,
                context=where,
                severity_number=logs.SeverityNumber.WARN,
                severity_text="WARN",
                attributes=attributes.failure_attributes(record.failure),
            )
        if self._has_content and (content := attributes.content_attributes(record)):
            self._logger.emit(
                event_name=semconv.EVENT_INFERENCE_DETAILS,
                timestamp=at_ns,
                context=where,
                severity_number=logs.SeverityNumber.DEBUG,
                severity_text="DEBUG",
                attributes={**attributes.span_attributes(record), **content},
            )
