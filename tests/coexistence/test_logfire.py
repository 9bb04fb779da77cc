"""Under logfire our span nests below its own, once logfire is told not to silence everybody else."""

from __future__ import annotations

import openai
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

logfire = pytest.importorskip("logfire")
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.fixture
def theirs():
    return InMemorySpanExporter()


@pytest.fixture
def ask(openrouter, theirs, instrumented):
    configured = logfire.configure(
        local=True,
        send_to_logfire=False,
        console=False,
        metrics=False,
        additional_span_processors=[SimpleSpanProcessor(theirs)],
    )

    def ask(**options):
        client = openai.OpenAI(base_url=openrouter.base_url, api_key="k")
        with configured.instrument_openai(client, **options):
            client.chat.completions.create(model="openai/gpt-5-mini", messages=[{"role": "user", "content": "say ok"}])

    return ask


def test_our_span_is_the_child_of_logfires(ask, openrouter, telemetry, theirs):
    ask(suppress_other_instrumentation=False)

    (ours,) = telemetry.spans
    (outer,) = [span for span in theirs.get_finished_spans() if "openai/gpt-5-mini" in str(span.attributes)]
    assert ours.parent.span_id == outer.context.span_id
    assert ours.attributes["openrouter.cost.total"] == float(openrouter.book.entries[0].spend)


def test_its_default_silences_every_other_instrumentation_and_we_obey(ask, telemetry, theirs):
    ask()

    assert telemetry.spans == ()
    assert theirs.get_finished_spans()
