"""OpenRouter's own SDK, which retries above the HTTP client."""

from __future__ import annotations

import pytest

from or_otel.simulator import scenarios

openrouter_sdk = pytest.importorskip("openrouter")
from openrouter import errors  # noqa: E402 -- after the skip
from openrouter.utils import BackoffStrategy, RetryConfig  # noqa: E402

QUICK = RetryConfig("backoff", BackoffStrategy(1, 2, 1.0, 60_000), retry_connection_errors=True)


@pytest.fixture
def client(openrouter, key):
    with openrouter_sdk.OpenRouter(api_key=key, server_url=openrouter.base_url, retry_config=QUICK) as client:
        yield client


@pytest.fixture
async def async_client(openrouter, key):
    async with openrouter_sdk.OpenRouter(api_key=key, server_url=openrouter.base_url, retry_config=QUICK) as client:
        yield client


def test_a_plain_call_is_told_once(client, model, messages, the_call):
    answer = client.chat.send(model=model, messages=messages)

    assert answer.choices[0].message.content
    assert the_call().response_id == answer.id


async def test_an_asynchronous_call_is_told_once(async_client, model, messages, the_call):
    answer = await async_client.chat.send_async(model=model, messages=messages)

    assert the_call().response_id == answer.id


def test_a_stream_is_told_once(client, model, messages, the_call):
    with client.chat.send(model=model, messages=messages, stream=True) as stream:
        ids = {event.id for event in stream}

    assert {the_call(is_stream=True).response_id} == ids


async def test_an_asynchronous_stream_is_told_once(async_client, model, messages, the_call):
    async with await async_client.chat.send_async(model=model, messages=messages, stream=True) as stream:
        ids = {event.id async for event in stream}

    assert {the_call(is_stream=True).response_id} == ids


def test_a_retry_is_a_second_attempt_of_the_same_call(client, openrouter, busy, model, messages, the_call):
    openrouter.script(scenarios.server_error(503))

    client.chat.send(model=model, messages=messages)

    assert [attempt.status for attempt in the_call(attempts=2).attempts] == [503, 200]


async def test_an_asynchronous_retry_is_a_second_attempt(async_client, openrouter, model, messages, the_call):
    openrouter.script(scenarios.server_error(503))

    await async_client.chat.send_async(model=model, messages=messages)

    assert [attempt.status for attempt in the_call(attempts=2).attempts] == [503, 200]


def test_an_error_is_raised_as_ever_and_told(client, openrouter, model, messages, calls):
    openrouter.script(scenarios.no_credits())

    with pytest.raises(errors.PaymentRequiredResponseError):
        client.chat.send(model=model, messages=messages)

    (record,) = calls
    assert (record.outcome, record.status, record.failure.error_type) == ("error", 402, "payment_required")
