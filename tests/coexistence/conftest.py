"""Clients of the scripted server for the suites under other GenAI instrumentations."""

from __future__ import annotations

import openai
import pytest

import or_otel
from or_otel.simulator.account import SEARCH_KEY

ASKED = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "Hello there"}]}


@pytest.fixture
def ask(openrouter):
    """Ask once by the OpenAI SDK, and read everything."""
    with openai.OpenAI(base_url=openrouter.base_url, api_key=SEARCH_KEY, max_retries=1) as client:

        def ask(**options):
            answer = client.chat.completions.create(**ASKED, **options)
            return list(answer) if options.get("stream") else answer

        yield ask


@pytest.fixture
def instrumented(openrouter, telemetry):
    """Watch the scripted server; only spans and metrics of one provider, as in a real set-up."""
    host = openrouter.base_url.split("/")[2]
    or_otel.instrument(**telemetry.providers, hosts={host: "openrouter"})
