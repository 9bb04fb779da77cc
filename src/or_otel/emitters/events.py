"""Call records → log events: that a call failed, what it cost where that is learned later, and captured content.

Needs a logs API whose loggers take an event name and a context themselves (1.39 and
later); on older ones no event is emitted: their loggers accept only records of the SDK.
Servers echo prompts in error messages, so no message and no stack is ever told.
"""

from __future__ import annotations

import inspect
from typing import Any, cast

from opentelemetry import trace
from opentelemetry.context import Context

from or_otel import semconv
from or_otel.calls import Amendment, CallRecord, CallStarted, Emission, Emitter
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

    def amend(self, record: CallRecord, amendment: Amendment) -> None:
        """Tell what the generation record says, under the ids of the call's span: that span has ended."""
        if self._logger is None:
            return
        self._logger.emit(
            event_name=semconv.EVENT_GENERATION_RECONCILED,
            timestamp=int(amendment.learned_at_s * 1_000_000_000),
            context=_context_of(record),
            severity_number=logs.SeverityNumber.INFO,
            severity_text="INFO",
            attributes=attributes.amendment_attributes(record, amendment),
        )


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


def _context_of(record: CallRecord) -> Context:
    """Make a context again from the ids of a span that was recorded: to keep the span's own would keep all it holds."""
    if record.trace_id is None or record.span_id is None:
        # Not an empty one, which would stand for that of whoever runs now.
        return trace.set_span_in_context(trace.INVALID_SPAN, Context())
    span = trace.SpanContext(
        trace_id=int(record.trace_id, 16),
        span_id=int(record.span_id, 16),
        is_remote=False,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(span), Context())
