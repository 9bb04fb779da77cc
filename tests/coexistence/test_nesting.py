"""Under instrumentations that publish no context key, our span nests below theirs, and both are whole."""

from __future__ import annotations

import importlib

import pytest
from openai.resources.chat.completions import Completions


@pytest.fixture(params=["openinference.instrumentation.openai", "opentelemetry.instrumentation.openai"])
def _their_instrumentation(request, telemetry, instrumented, monkeypatch):
    # Not all of them restore what they wrapped: monkeypatch puts it back at the end.
    monkeypatch.setattr(Completions, "create", Completions.create)
    try:
        module = importlib.import_module(request.param)
    except ImportError:
        pytest.skip(f"{request.param} is not installed")
    instrumentor = module.OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.tracer_provider, meter_provider=telemetry.meter_provider)
    yield
    instrumentor.uninstrument()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # theirs
@pytest.mark.usefixtures("_their_instrumentation")
def test_our_span_is_the_child_of_theirs(ask, openrouter, telemetry):
    ask()

    ours, theirs = telemetry.spans
    assert ours.instrumentation_scope.name == "or_otel"
    assert ours.parent.span_id == theirs.context.span_id
    assert ours.attributes["openrouter.cost.total"] == float(openrouter.book.entries[0].spend)
    assert not any(name.startswith("openrouter.") for name in theirs.attributes)
