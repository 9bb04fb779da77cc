"""LangChain's two ways to OpenRouter: over openai's SDK and over OpenRouter's own."""

from __future__ import annotations

import pytest

pytest.importorskip("langchain_core")


def _over_openai(openrouter, key, model):
    langchain_openai = pytest.importorskip("langchain_openai")
    return langchain_openai.ChatOpenAI(model=model, api_key=key, base_url=openrouter.base_url, stream_usage=True)


def _over_openrouter(openrouter, key, model):
    langchain_openrouter = pytest.importorskip("langchain_openrouter")
    return langchain_openrouter.ChatOpenRouter(model=model, api_key=key, base_url=openrouter.base_url)


@pytest.fixture(params=[_over_openai, _over_openrouter], ids=["langchain-openai", "langchain-openrouter"])
def chat(request, openrouter, key, model):
    return request.param(openrouter, key, model)


def test_a_plain_call_is_told_once(chat, the_call):
    message = chat.invoke("say ok")

    record = the_call()
    assert message.content
    assert message.usage_metadata["input_tokens"] == record.usage.input_tokens


async def test_an_asynchronous_call_is_told_once(chat, the_call):
    message = await chat.ainvoke("say ok")

    record = the_call()
    assert message.content
    assert message.usage_metadata["output_tokens"] == record.usage.output_tokens


def test_a_stream_is_told_once(chat, the_call):
    text = "".join(chunk.text for chunk in chat.stream("say ok"))

    assert text
    the_call(is_stream=True)


async def test_an_asynchronous_stream_is_told_once(chat, the_call):
    text = "".join([chunk.text async for chunk in chat.astream("say ok")])

    assert text
    the_call(is_stream=True)
