"""Every line of Python in docs/attribution.md runs, one block after the other, and says what it promises."""

from __future__ import annotations

import re
import types
from decimal import Decimal
from pathlib import Path

import openai
import pytest

import or_otel
from or_otel import settings
from or_otel.middleware import WsgiTagsMiddleware
from or_otel.operations import MAX_TAG_LENGTH

DOCUMENT = (Path(__file__).resolve().parent.parent / "docs" / "attribution.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
MESSAGES = [{"role": "user", "content": "say ok"}]


@pytest.fixture
def said(openrouter, telemetry, tmp_path, capsys):
    """Run the document; gives its names, its calls and what it printed."""
    or_otel.instrument(
        **telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, ledger=str(tmp_path)
    )
    client = openai.OpenAI(base_url=openrouter.base_url, api_key="k")

    def ask(question):
        client.chat.completions.create(model="openai/gpt-5-mini", messages=[{"role": "user", "content": question}])

    names = {
        "client": client,
        "messages": MESSAGES,
        "ask": ask,
        "questions": ["Why?", "When?"],
        "flask": types.SimpleNamespace(wsgi_app=print),
        "folder": tmp_path,
    }
    with client, or_otel.capture() as calls:
        for block in BLOCKS:
            exec(compile(block, "docs/attribution.md", "exec"), names)
        list(names["digest"](["one", "two"]))
    names["stop"]()
    return names, calls, capsys.readouterr().out


def test_the_document_does_what_it_says(said, openrouter):
    names, calls, out = said
    run = names["run"]
    first, search, research, digest = calls[0], calls[1:3], calls[3:5], calls[5:]

    assert first.tags == {"team": "search", "feature": "summary", "customer": "acme"}
    assert [call.tags for call in search] == [{"team": "search"}] * 2
    assert [(call.tags, call.started.workflow_run_id) for call in research] == [({"workflow": "research"}, run.id)] * 2
    assert [call.tags for call in digest] == [{"feature": "digest"}] * 2
    assert isinstance(names["flask"].wsgi_app, WsgiTagsMiddleware)
    figures, workflow, share = out.splitlines()
    assert figures == f"2 2 0 0 {run.cost}"
    assert workflow.startswith("research 1 0 None ")  # judged as failed afterwards: no finished task
    assert 0 < Decimal(share) < 1
    assert sum(call.cost.total for call in calls) == openrouter.book.total()


def test_the_variables_and_limits_it_names_are_the_real_ones():
    named = set(re.findall(r"OR_OTEL_[A-Z_]+", DOCUMENT))

    known = {settings.TAGS, settings.BAGGAGE_TAGS, settings.METADATA_TAGS, settings.METRIC_TAGS, settings.RECONCILE}
    assert named == known
    assert f"at most {MAX_TAG_LENGTH} characters" in DOCUMENT
