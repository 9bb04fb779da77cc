"""Call records → spans: one CLIENT span a call, a leaf for each attempt of a retried one, one INTERNAL span a run.

Speaks the OpenTelemetry API only. A context is attached around the real send and never
kept over a chunk. Status descriptions hold our own error word, never what a server or an
exception said. Where another instrumentation has a span for the same call, that one is
completed and none is made. Source of the ids that Broadcast gives its spans: deliveries
read in 2026-09; OpenRouter does not document them.
"""

from __future__ import annotations

import hashlib
from contextvars import Token
from typing import cast

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context

from or_otel import semconv
from or_otel.calls import Attempt, CallRecord, CallStarted, Emission, Emitter
from or_otel.emitters import attributes
from or_otel.emitters.outer import Outer, outer_of
from or_otel.runs import RunEmission, RunRecord, RunStarted

SCOPE = "or_otel"


class Spans(Emitter):
    """Publishes calls as spans."""

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        *,
        version: str,
        has_content: bool = False,
        broadcast_links: bool = False,
    ) -> None:
        """Set up.

        Args:
            tracer_provider: The global one when None, also one that is set later.
            version: Version of the scope.
            has_content: Whether captured content goes onto spans.
            broadcast_links: Whether spans link to the traces of OpenRouter's Broadcast.
        """
        self._tracer = trace.get_tracer(SCOPE, version, tracer_provider)
        self._has_content = has_content
        self._broadcast_links = broadcast_links

    def begin(self, call: CallStarted) -> Emission:
        """Start the call's span under what is current here."""
        parent = context_api.get_current()
        outer = outer_of(parent, call.endpoint.operation)
        if outer is not None:
            return _OuterSpan(self._tracer, outer, parent, broadcast_links=self._broadcast_links)
        model = call.request.model
        span = self._tracer.start_span(
            f"{call.endpoint.operation} {model}" if model else call.endpoint.operation,
            context=parent,
            kind=trace.SpanKind.CLIENT,
            attributes=attributes.started_attributes(call),
            start_time=_nanoseconds(call.started_at_s),
        )
        return _OpenSpan(
            self._tracer, span, parent, has_content=self._has_content, broadcast_links=self._broadcast_links
        )

    def begin_run(self, run: RunStarted) -> RunEmission:
        """Start the run's span, for its calls to be below."""
        parent = context_api.get_current()
        span = self._tracer.start_span(
            f"{semconv.OPERATION_INVOKE_WORKFLOW} {run.name}",
            context=parent,
            kind=trace.SpanKind.INTERNAL,
            attributes=attributes.run_started_attributes(run),
            start_time=_nanoseconds(run.started_at_s),
        )
        return _SpanOfRun(span, trace.set_span_in_context(span, parent))


class _SpanOfRun(RunEmission):
    """The span of a run under way."""

    def __init__(self, span: trace.Span, context: Context) -> None:
        self.context: Context = context
        self._span = span

    def end(self, record: RunRecord, context: object | None) -> None:
        """Set the figures and end the span."""
        del context
        self._span.set_attributes(attributes.run_ended_attributes(record))
        if record.outcome == "error":
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, record.error_type))
        self._span.end(_nanoseconds(record.ended_at_s))


class _SpanOfCall(Emission):
    """The span that stands for a running call, ours or another's."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span, context: Context, *, broadcast_links: bool) -> None:
        self.context: Context = context
        self._tracer = tracer
        self._span = span
        self._broadcast_links = broadcast_links
        span_context = span.get_span_context()
        if span_context.is_valid:
            self.trace_id = trace.format_trace_id(span_context.trace_id)
            self.span_id = trace.format_span_id(span_context.span_id)

    def tell_parts(self, record: CallRecord) -> None:
        """Tell each attempt of a retried call, and where Broadcast tells them."""
        if len(record.attempts) > 1:
            for attempt in record.attempts:
                self._tell_attempt(attempt)
        if self._broadcast_links and record.endpoint.is_openrouter:
            for attempt in record.attempts:
                if attempt.generation_id is not None:
                    name = {semconv.OPENROUTER_GENERATION_ID: attempt.generation_id}
                    self._span.add_link(broadcast_span(attempt.generation_id), name)

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


class _OuterSpan(_SpanOfCall):
    """Another instrumentation's span around the call: current already, and theirs to end."""

    def __init__(self, tracer: trace.Tracer, outer: Outer, context: Context, *, broadcast_links: bool) -> None:
        super().__init__(tracer, outer.span, context, broadcast_links=broadcast_links)
        self._outer = outer

    def end(self, record: CallRecord, context: object | None) -> None:
        """Add what only we know."""
        del context
        if self._span.is_recording():
            self.tell_parts(record)
        self._outer.add(attributes.span_attributes(record))


class _OpenSpan(_SpanOfCall):
    """The span of our own."""

    def __init__(
        self, tracer: trace.Tracer, span: trace.Span, parent: Context, *, has_content: bool, broadcast_links: bool
    ) -> None:
        super().__init__(tracer, span, trace.set_span_in_context(span, parent), broadcast_links=broadcast_links)
        self._has_content = has_content

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
            self.tell_parts(record)
            span.set_attributes(attributes.ended_attributes(record))
            if self._has_content:
                span.set_attributes(attributes.content_attributes(record))
            if record.outcome == "error":
                word = record.failure.error_type if record.failure else None
                span.set_status(trace.Status(trace.StatusCode.ERROR, word))
        span.end(_nanoseconds(record.ended_at_s))


def broadcast_span(generation_id: str) -> trace.SpanContext:
    """Give the root span of the trace that Broadcast makes of a generation, computed from its id."""
    digest = hashlib.sha256(generation_id.encode()).hexdigest()
    return trace.SpanContext(
        trace_id=int(digest[:32], 16),
        span_id=int(digest[:16], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
