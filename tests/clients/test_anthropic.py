"""anthropic's SDK against OpenRouter's messages API."""

from __future__ import annotations

import pytest

anthropic = pytest.importorskip("anthropic")


@pytest.fixture
def client(openrouter, key):
    with anthropic.Anthropic(auth_token=key, api_key=None, base_url=_root(openrouter)) as client:
        yield client


@pytest.fixture
async def async_client(openrouter, key):
    async with anthropic.AsyncAnthropic(auth_token=key, api_key=None, base_url=_root(openrouter)) as client:
        yield client


def _root(openrouter):
    return openrouter.base_url.removesuffix("/v1")


def test_a_plain_call_is_told_once(client, model, messages, the_call):
    message = client.messages.create(model=model, messages=messages, max_tokens=50)

    assert message.content[0].text
    assert the_call().response_id == message.id


async def test_an_asynchronous_call_is_told_once(async_client, model, messages, the_call):
    message = await async_client.messages.create(model=model, messages=messages, max_tokens=50)

    assert the_call().response_id == message.id


def test_a_stream_is_told_once(client, model, messages, the_call):
    with client.messages.stream(model=model, messages=messages, max_tokens=50) as stream:
        text = "".join(stream.text_stream)

    assert text
    the_call(is_stream=True)


def test_a_retry_is_a_second_attempt_of_the_same_call(client, openrouter, busy, model, messages, the_call):
    openrouter.script(busy)

    client.messages.create(model=model, messages=messages, max_tokens=50)

    assert [attempt.status for attempt in the_call(attempts=2).attempts] == [429, 200]
