"""litellm's `openrouter/…` provider: httpx for synchronous calls, aiohttp below httpx for asynchronous ones."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it looks for its price list on the network
litellm = pytest.importorskip("litellm")

# Its own code warns of deprecations, and leaves its cached sessions to the interpreter's end.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def options(openrouter, key, model, messages):
    return {"model": f"openrouter/{model}", "messages": messages, "api_base": openrouter.base_url, "api_key": key}


def test_a_plain_call_is_told_once(options, the_call):
    answer = litellm.completion(**options)

    record = the_call()
    assert answer.choices[0].message.content
    assert (answer.usage.prompt_tokens, answer.id) == (record.usage.input_tokens, record.response_id)


async def test_an_asynchronous_call_is_told_once(options, the_call):
    answer = await litellm.acompletion(**options)

    record = the_call()
    assert answer.choices[0].message.content
    assert (answer.usage.prompt_tokens, answer.id) == (record.usage.input_tokens, record.response_id)


def test_a_stream_is_told_once(options, the_call):
    text = "".join(chunk.choices[0].delta.content or "" for chunk in litellm.completion(**options, stream=True))

    assert text
    the_call(is_stream=True)


async def test_an_asynchronous_stream_is_told_once(options, the_call):
    stream = await litellm.acompletion(**options, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert text
    the_call(is_stream=True)
