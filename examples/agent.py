"""An agent with tools: all its calls are one run, with figures, an outcome, and a verdict that may come later."""

from __future__ import annotations

import json
import os
from typing import Any

import openai

import or_otel

or_otel.start()

client = openai.OpenAI(
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
MAX_STEPS = 5


def weather(city: str = "here") -> str:
    return f"It rains in {city}."


@or_otel.workflow("travel-advice")  # or a block: `with or_otel.workflow("travel-advice") as run:`
def advise(question: str) -> str:
    run = or_otel.current_run()
    messages: list[Any] = [{"role": "user", "content": question}]
    for step in range(MAX_STEPS):
        answer = client.chat.completions.create(
            model="openai/gpt-5-mini", messages=messages, tools=TOOLS, tool_choice="auto" if step else "required"
        )
        message = answer.choices[0].message
        if not message.tool_calls:
            break
        messages.append(message)
        for call in message.tool_calls:
            said = weather(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": said})
    else:
        run.finish(ok=False)  # it never came to an answer; an exception would say the same
    print(f"{run.calls} calls in {run.steps} steps, {run.tool_calls} tool calls, ${run.cost}")
    return run.id


run_id = advise("What do I pack for Lisbon?")

# Hours later, from whatever process: the user threw the advice away.
or_otel.outcome(run_id, ok=False, units=0)
