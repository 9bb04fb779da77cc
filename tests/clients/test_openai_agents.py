"""openai's agents SDK with a chat-completions model."""

from __future__ import annotations

import pytest

agents = pytest.importorskip("agents")
openai = pytest.importorskip("openai")


@pytest.fixture
async def agent(openrouter, key, model):
    agents.set_tracing_disabled(disabled=True)  # its own traces go to openai's servers
    async with openai.AsyncOpenAI(api_key=key, base_url=openrouter.base_url) as client:
        yield agents.Agent(
            name="one step",
            model=agents.OpenAIChatCompletionsModel(model=model, openai_client=client),
        )


async def test_a_run_of_one_step_is_told_once(agent, the_call):
    result = await agents.Runner.run(agent, "say ok")

    assert result.final_output
    the_call()


async def test_a_streamed_run_is_told_once(agent, the_call):
    result = agents.Runner.run_streamed(agent, "say ok")
    async for _ in result.stream_events():
        pass

    assert result.final_output
    the_call(is_stream=True)
