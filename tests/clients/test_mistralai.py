"""mistralai's SDK, of the same generator as openrouter's."""

from __future__ import annotations

import pytest

from or_otel.simulator import scenarios

pytest.importorskip("mistralai")
from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig

QUICK = RetryConfig("backoff", BackoffStrategy(1, 2, 1.0, 60_000), retry_connection_errors=True)


@pytest.fixture
def client(openrouter, key):
    with Mistral(api_key=key, server_url=openrouter.base_url.removesuffix("/v1"), retry_config=QUICK) as client:
        yield client


def test_a_plain_call_is_told_once(client, model, messages, the_call):
    answer = client.chat.complete(model=model, messages=messages)

    assert answer.choices[0].message.content
    assert the_call().response_id == answer.id


async def test_an_asynchronous_call_is_told_once(client, model, messages, the_call):
    async with client:
        answer = await client.chat.complete_async(model=model, messages=messages)

    assert the_call().response_id == answer.id


def test_a_stream_is_told_once(client, model, messages, the_call):
    with client.chat.stream(model=model, messages=messages) as stream:
        ids = {event.data.id for event in stream}

    assert {the_call(is_stream=True).response_id} == ids


def test_a_retry_is_a_second_attempt_of_the_same_call(client, openrouter, model, messages, the_call):
    openrouter.script(scenarios.server_error(503))

    client.chat.complete(model=model, messages=messages)

    assert [attempt.status for attempt in the_call(attempts=2).attempts] == [503, 200]
