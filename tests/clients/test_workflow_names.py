"""Runs of agent frameworks that nobody wrapped: their calls bear the framework's own name and id."""

from __future__ import annotations

import pytest

openai = pytest.importorskip("openai")

PROMPT = "say ok"


@pytest.fixture
async def client(openrouter):
    async with openai.AsyncOpenAI(base_url=openrouter.base_url, api_key="k") as client:
        yield client


def named(calls):
    return [call.started.workflow for call in calls]


async def test_a_run_of_pydantic_ai_is_named_by_its_agent(client, calls, telemetry):
    pydantic_ai = pytest.importorskip("pydantic_ai")
    chat = pytest.importorskip("pydantic_ai.models.openai")
    provider = pytest.importorskip("pydantic_ai.providers.openai").OpenAIProvider(openai_client=client)
    instrumentation = pytest.importorskip("pydantic_ai.capabilities.instrumentation").Instrumentation
    settings = pydantic_ai.InstrumentationSettings(tracer_provider=telemetry.tracer_provider)
    agent = pydantic_ai.Agent(
        chat.OpenAIChatModel("openai/gpt-5-mini", provider=provider),
        name="packer",
        capabilities=[instrumentation(settings=settings)],
    )

    for _ in range(2):
        await agent.run(PROMPT)

    assert named(calls) == ["packer", "packer"]
    assert len({call.started.workflow_run_id for call in calls}) == 2


async def test_a_run_of_openai_agents_is_named_by_its_trace(client, calls):
    agents = pytest.importorskip("agents")
    agents.set_trace_processors([])  # they would be sent to openai's servers
    model = agents.OpenAIChatCompletionsModel(model="openai/gpt-5-mini", openai_client=client)
    agent = agents.Agent(name="joker", model=model)

    agents.set_tracing_disabled(disabled=False)
    await agents.Runner.run(agent, PROMPT, run_config=agents.RunConfig(workflow_name="jokes"))
    await agents.Runner.run(agent, PROMPT, run_config=agents.RunConfig(workflow_name="jokes", tracing_disabled=True))
    agents.set_tracing_disabled(disabled=True)

    assert named(calls) == ["jokes", None]
    assert calls[0].started.workflow_run_id.startswith("trace_")
