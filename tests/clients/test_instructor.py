"""instructor over openai's SDK: a structured answer is one call."""

from __future__ import annotations

import pytest

from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import ToolCall

instructor = pytest.importorskip("instructor")
openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")


class City(pydantic.BaseModel):
    name: str


@pytest.fixture
def answered(openrouter):
    openrouter.script(scenarios.plain(scenarios.calling(ToolCall(name="City", arguments='{"name": "Lisbon"}'))))


def test_a_structured_answer_is_told_once(answered, openrouter, key, model, messages, the_call):
    with openai.OpenAI(api_key=key, base_url=openrouter.base_url) as plain:
        client = instructor.from_openai(plain)
        city = client.chat.completions.create(model=model, messages=messages, response_model=City)

    assert (isinstance(city, City), city.name) == (True, "Lisbon")
    assert the_call().tool_calls.valid == 1


async def test_an_asynchronous_structured_answer_is_told_once(answered, openrouter, key, model, messages, the_call):
    async with openai.AsyncOpenAI(api_key=key, base_url=openrouter.base_url) as plain:
        client = instructor.from_openai(plain)
        city = await client.chat.completions.create(model=model, messages=messages, response_model=City)

    assert (isinstance(city, City), city.name) == (True, "Lisbon")
    the_call()
