"""Frameworks over those clients."""

from __future__ import annotations

import contextlib
import os
from typing import ClassVar

from drivers import KEY, MODEL, PROMPT, Driver, imported
from drivers.sdks import OpenAI

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else it looks for its price list on the network


class _LangChain(Driver):
    def ask(self):
        return self.client.ainvoke("say ok") if self.is_async else self.client.invoke("say ok")

    def text(self, answer):
        return answer.content

    def stream(self):
        return self.client.astream("say ok") if self.is_async else self.client.stream("say ok")

    def piece(self, event):
        return event.content


class LangChainOpenAI(_LangChain):
    name, module = "langchain-openai", "langchain_openai"
    packages = ("langchain-openai", "openai")

    def open(self):
        kind = imported("langchain_openai").ChatOpenAI
        self.client = kind(
            model=MODEL, api_key=KEY, base_url=self.base_url, stream_usage=True, max_retries=self.retries
        )


class LangChainOpenRouter(_LangChain):
    name, module = "langchain-openrouter", "langchain_openrouter"
    packages = ("langchain-openrouter", "openrouter")

    def open(self):
        kind = imported("langchain_openrouter").ChatOpenRouter
        self.client = kind(model=MODEL, api_key=KEY, base_url=self.base_url, max_retries=self.retries)


class LiteLLM(Driver):
    name = module = "litellm"
    is_warning = True
    is_own_loop = True
    notes: ClassVar = {
        "retry": "its `num_retries` stand above its functions: one call inside `or_otel.operation()`, else several"
    }

    def open(self):
        self.options = {**PROMPT, "model": f"openrouter/{MODEL}", "api_base": self.base_url, "api_key": KEY}
        self.client = imported("litellm")

    def ask(self):
        return (self.client.acompletion if self.is_async else self.client.completion)(**self.options)

    def text(self, answer):
        return answer.choices[0].message.content

    def stream(self):
        return (self.client.acompletion if self.is_async else self.client.completion)(**self.options, stream=True)

    def piece(self, event):
        return event.choices[0].delta.content or ""


class LlamaIndex(Driver):
    name, module = "llama-index OpenRouter", "llama_index.llms.openrouter"
    is_warning = True
    packages = ("llama-index-llms-openrouter", "openai")

    def open(self):
        kind = imported(self.module).OpenRouter
        self.client = kind(model=MODEL, api_key=KEY, api_base=self.base_url, max_retries=self.retries)

    def ask(self):
        return self.client.acomplete("say ok") if self.is_async else self.client.complete("say ok")

    def text(self, answer):
        return answer.text

    def stream(self):
        return self.client.astream_complete("say ok") if self.is_async else self.client.stream_complete("say ok")

    def piece(self, event):
        return event.delta or ""


class Instructor(OpenAI):
    """A structured answer, which comes as a tool call; streamed it is filled bit by bit."""

    name = module = "instructor"
    packages = ("instructor", "openai")
    absent: ClassVar = {
        ("left early", "sync"): "its synchronous `create_partial` reads the whole stream before it gives anything"
    }

    def open(self):
        super().open()
        self.plain_client = self.client
        self.client = imported("instructor").from_openai(self.client)
        self.shape = imported("pydantic").create_model("City", name=(str, ...))

    def close(self):
        return self.plain_client.close()

    def ask(self):
        return self.client.chat.completions.create(**PROMPT, response_model=self.shape)

    def text(self, answer):
        return answer.name

    def stream(self):
        return self.client.chat.completions.create_partial(**PROMPT, response_model=self.shape)

    def piece(self, event):
        return event.name or ""


class PydanticAI(Driver):
    name, module = "pydantic-ai", "pydantic_ai.models.openrouter"
    packages = ("pydantic-ai-slim", "openai")
    modes = ("async",)
    notes: ClassVar = {"plain": "its `run_sync` runs the asynchronous one on a loop"}
    is_entered = True

    def open(self):
        self.http = imported("openai").AsyncOpenAI(api_key=KEY, base_url=self.base_url, max_retries=self.retries)
        provider = imported("pydantic_ai.providers.openrouter").OpenRouterProvider(openai_client=self.http)
        self.client = imported("pydantic_ai").Agent(imported(self.module).OpenRouterModel(MODEL, provider=provider))

    def close(self):
        return self.http.close()

    def ask(self):
        return self.client.run("say ok")

    def text(self, answer):
        return answer.output

    @contextlib.asynccontextmanager
    async def stream(self):
        async with self.client.run_stream("say ok") as result:
            yield result.stream_text(delta=True, debounce_by=None)

    def piece(self, event):
        return event


class OpenAIAgents(Driver):
    name, module = "openai-agents", "agents"
    packages = ("openai-agents", "openai")
    modes = ("async",)
    notes: ClassVar = {"plain": "its `run_sync` runs the asynchronous one on a loop"}
    is_entered = True

    def open(self):
        agents = imported("agents")
        agents.set_tracing_disabled(disabled=True)  # its own traces go to openai's servers
        self.http = imported("openai").AsyncOpenAI(api_key=KEY, base_url=self.base_url, max_retries=self.retries)
        model = agents.OpenAIChatCompletionsModel(model=MODEL, openai_client=self.http)
        self.client, self.runner = agents.Agent(name="one step", model=model), agents.Runner

    def close(self):
        return self.http.close()

    def ask(self):
        return self.runner.run(self.client, "say ok")

    def text(self, answer):
        return answer.final_output

    @contextlib.asynccontextmanager
    async def stream(self):
        run = self.runner.run_streamed(self.client, "say ok")
        try:
            yield run.stream_events()
        finally:
            run.cancel()

    def piece(self, event):
        return getattr(event.data, "delta", "") if event.type == "raw_response_event" else ""
