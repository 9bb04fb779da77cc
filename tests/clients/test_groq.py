"""groq's SDK, of the same generator as openai's."""

from __future__ import annotations

import pytest

groq = pytest.importorskip("groq")


@pytest.fixture
def client(openrouter, key):
    """The SDK's paths begin with `/openai/v1`; so does none of the server's, so the prefix is taken off again."""
    root = openrouter.base_url.removesuffix("/api/v1")
    with groq.DefaultHttpxClient(event_hooks={"request": [_to_the_servers_path]}) as http:
        yield groq.Groq(api_key=key, base_url=root, http_client=http)


@pytest.fixture
async def async_client(openrouter, key):
    async def redirect(request):
        _to_the_servers_path(request)

    root = openrouter.base_url.removesuffix("/api/v1")
    async with groq.DefaultAsyncHttpxClient(event_hooks={"request": [redirect]}) as http:
        yield groq.AsyncGroq(api_key=key, base_url=root, http_client=http)


def _to_the_servers_path(request):
    request.url = request.url.copy_with(path=request.url.path.replace("/openai/v1", "/api/v1"))


def test_a_plain_call_is_told_once(client, model, messages, the_call):
    completion = client.chat.completions.create(model=model, messages=messages)

    assert completion.choices[0].message.content
    assert the_call().response_id == completion.id


async def test_an_asynchronous_call_is_told_once(async_client, model, messages, the_call):
    completion = await async_client.chat.completions.create(model=model, messages=messages)

    assert the_call().response_id == completion.id


def test_a_stream_is_told_once(client, model, messages, the_call):
    ids = {chunk.id for chunk in client.chat.completions.create(model=model, messages=messages, stream=True)}

    assert {the_call(is_stream=True).response_id} == ids


def test_a_retry_is_a_second_attempt_of_the_same_call(client, openrouter, busy, model, messages, the_call):
    openrouter.script(busy)

    client.chat.completions.create(model=model, messages=messages)

    assert [attempt.status for attempt in the_call(attempts=2).attempts] == [429, 200]


async def test_an_asynchronous_retry_is_a_second_attempt(async_client, openrouter, busy, model, messages, the_call):
    openrouter.script(busy)

    await async_client.chat.completions.create(model=model, messages=messages)

    assert [attempt.status for attempt in the_call(attempts=2).attempts] == [429, 200]
