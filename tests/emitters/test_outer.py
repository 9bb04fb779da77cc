"""Another instrumentation's context, found without importing the other."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import set_span_in_context

from or_otel.emitters.outer import INFERENCE_KEY, KEYS, outer_of


@dataclass
class Handed:
    """As much of the other's object as we look at."""

    attributes: dict[str, object] = field(default_factory=dict)


@pytest.fixture
def span():
    return TracerProvider(shutdown_on_exit=False).get_tracer("theirs").start_span("chat")


def test_without_another_instrumentation_there_is_none(span):
    assert outer_of(Context(), "chat") is None
    assert outer_of(set_span_in_context(span), "chat") is None


def test_only_what_is_ours_is_handed_over(span):
    handed = Handed()
    outer = outer_of(context_api.set_value(INFERENCE_KEY, handed, set_span_in_context(span)), "chat")

    outer.add({"openrouter.cost.total": 0.5, "gen_ai.request.model": "x", "server.port": 1})

    assert handed.attributes == {"openrouter.cost.total": 0.5}
    assert outer.span is span


def test_an_object_of_another_shape_leaves_the_span_to_be_told(span):
    outer = outer_of(context_api.set_value(INFERENCE_KEY, object(), set_span_in_context(span)), "chat")

    outer.add({"openrouter.cost.total": 0.5})

    assert span.attributes["openrouter.cost.total"] == 0.5


def test_an_embedding_within_an_inference_is_a_call_of_its_own(span):
    parent = set_span_in_context(span)

    assert outer_of(context_api.set_value(INFERENCE_KEY, Handed(), parent), "embeddings") is None
    assert outer_of(context_api.set_value(KEYS["embeddings"], Handed(), parent), "embeddings") is not None
