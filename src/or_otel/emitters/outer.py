"""The current context in, the span that another GenAI instrumentation holds open for the same call out.

Two spans for one call would count it twice, so under such a span ours is not made: what only
we know is added to theirs. Nothing of theirs is imported; they are known by the context keys
that opentelemetry-util-genai sets for instrumentations below it (1.3b0, seen 2026-11). Who
sets none has our span below its own: also anthropic's SDK, whose span ends before a call does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context

from or_otel.emitters.attributes import Attributes

INFERENCE_KEY = "opentelemetry.genai.client.inference.context"
KEYS: Mapping[str, str] = {
    "embeddings": "opentelemetry.genai.client.embedding.context",
    "fetch_response": "opentelemetry.genai.client.fetch_response.context",
}
"""Operation → context key, where it is not that of an inference."""

OUR_NAMESPACE = "openrouter."


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """Another instrumentation's span around our call; it also records the standard `gen_ai.client.*` metrics.

    Attributes:
        span: The current span; theirs, unless somebody put one between.
        handed_over: What they set on their span when it ends; None where only the span itself takes attributes.
    """

    span: trace.Span
    handed_over: Attributes | None

    def add(self, attributes: Attributes) -> None:
        """Add those attributes that are this product's alone; the standard ones are theirs to tell."""
        ours = {name: value for name, value in attributes.items() if name.startswith(OUR_NAMESPACE)}
        if self.handed_over is not None:
            self.handed_over.update(ours)
        else:
            self.span.set_attributes(ours)


def outer_of(context: Context, operation: str) -> Outer | None:
    """Find the span that stands for the call already; None when ours is to be made.

    Args:
        context: The one that the call begins in.
        operation: The call's `gen_ai.operation.name`.
    """
    data = context.get(KEYS.get(operation, INFERENCE_KEY))
    if data is None:
        return None
    told = getattr(data, "attributes", None)
    return Outer(span=trace.get_current_span(context), handed_over=told if isinstance(told, dict) else None)
