"""pydantic-ai's OpenRouter model, over openai's SDK."""

from __future__ import annotations

import pytest

pytest.importorskip("pydantic_ai.models.openrouter")
openai = pytest.importorskip("openai")
from pydantic_ai import Agent  # noqa: E402 -- after the skip
from pydantic_ai.models.openrouter import OpenRouterModel  # noqa: E402
from pydantic_ai.providers.openrouter import OpenRouterProvider  # noqa: E402


@pytest.fixture
async def agent(openrouter, key, model):
    async with openai.AsyncOpenAI(api_key=key, base_url=openrouter.base_url) as client:
        yield Agent(OpenRouterModel(model, provider=OpenRouterProvider(openai_client=client)))


async def test_a_run_of_one_step_is_told_once(agent, the_call):
    result = await agent.run("say ok")

    record = the_call()
    assert result.output
    assert record.response_id is not None


async def test_a_streamed_run_is_told_once(agent, the_call):
    async with agent.run_stream("say ok") as result:
        text = await result.get_output()

    assert text
    the_call(is_stream=True)
