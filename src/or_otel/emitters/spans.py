"""Call records → spans: one CLIENT span a call, a leaf span for each attempt of a retried one.

Speaks the OpenTelemetry API only. A context is attached around the real send and never
kept over a chunk. Status descriptions hold our own error word, never what a server or an
exception said.
"""

from __future__ import annotations

from contextvars import Token
from typing import cast

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context

from or_otel.calls import Attempt, CallRecord, CallStarted, Emission, Emitter
from or_otel.emitters import attributes

SCOPE = "or_otel"


class Spans(Emitter):
    """Publishes calls as spans."""

    def __init__(
        self, tracer_provider: trace.TracerProvider | None = None, *, version: str, has_content: bool = False
    ) -> None:
        """Set up.

        Args:
            tracer_provider: The global one when None, also one that is set later.
            version: Version of the scope.
            has_content: Whether captured content goes onto spans.
        """
        self._tracer = trace.get_tracer(SCOPE, version, tracer_provider)
        self._has_content = has_content

    def begin(self, call: CallStarted) -> Emission:
        """Start the call's span under what is current here."""
        parent = context_api.get_current()
        model = call.request.model
        span = self._tracer.start_span(
            f"{call.endpoint.operation} {model}" if model else call.endpoint.operation,
            context=parent,
            kind=trace.SpanKind.CLIENT,
            attributes=attributes.started_attributes(call),
            start_time=_nanoseconds(call.started_at_s),
        )
        return _OpenSpan(self._tracer, span, parent, has_content=self._has_content)


class _OpenSpan(Emission):
    """The span of a running call."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span, parent: Context, *, has_content: bool) -> None:
        self.context: Context = trace.set_span_in_context(span, parent)
        self._tracer = tracer
        self._span = span
        self._has_content = has_content
        span_context = span.get_span_context()
        if span_context.is_valid:
            self.trace_id = trace.format_trace_id(span_context.trace_id)
            self.span_id = trace.format_span_id(span_context.span_id)

    def enter(self) -> object:
        """Make the span current."""
        return context_api.attach(self.context)

    def leave(self, token: object) -> None:
        """Make current again what was."""
        context_api.detach(cast("Token[Context]", token))

    def end(self, record: CallRecord, context: object | None) -> None:
        """Set what the answer told and end the span at the call's own time."""
        del context
        span = self._span
        if span.is_recording():
            if len(record.attempts) > 1:
                for attempt in record.attempts:
                    self._tell_attempt(attempt)
            span.set_attributes(attributes.ended_attributes(record))
            if self._has_content:
                span.set_attributes(attributes.content_attributes(record))
            if record.outcome == "error":
                word = record.failure.error_type if record.failure else None
                span.set_status(trace.Status(trace.StatusCode.ERROR, word))
        span.end(_nanoseconds(record.ended_at_s))

    def _tell_attempt(self, attempt: Attempt) -> None:
        span = self._tracer.start_span(
            f"attempt {attempt.number}",
            context=self.context,
            kind=trace.SpanKind.INTERNAL,
            attributes=attributes.attempt_attributes(attempt),
            start_time=_nanoseconds(attempt.started_at_s),
        )
        if attempt.failure is not None:
            span.set_status(trace.Status(trace.StatusCode.ERROR, attempt.failure.error_type))
        span.end(_nanoseconds(attempt.ended_at_s))


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
