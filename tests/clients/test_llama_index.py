"""llama-index's OpenRouter class, over openai's SDK."""

from __future__ import annotations

import pytest

module = pytest.importorskip("llama_index.llms.openrouter")
pytestmark = pytest.mark.filterwarnings("ignore")  # its own deprecations


@pytest.fixture
def llm(openrouter, key, model):
    return module.OpenRouter(model=model, api_key=key, api_base=openrouter.base_url)


def test_a_plain_call_is_told_once(llm, the_call):
    assert llm.complete("say ok").text

    the_call()


async def test_an_asynchronous_call_is_told_once(llm, the_call):
    assert (await llm.acomplete("say ok")).text

    the_call()


def test_a_stream_is_told_once(llm, the_call):
    deltas = [part.delta for part in llm.stream_complete("say ok")]

    assert "".join(delta or "" for delta in deltas)
    the_call(is_stream=True)


async def test_an_asynchronous_stream_is_told_once(llm, the_call):
    deltas = [part.delta async for part in await llm.astream_complete("say ok")]

    assert "".join(delta or "" for delta in deltas)
    the_call(is_stream=True)
