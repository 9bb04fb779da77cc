"""A lively workload through the real `openai` client, for the demo and for tests of the whole.

A base URL in, traffic out: several teams and features, plain and streamed, tools, structured
output, fallbacks, own keys, caches, refusals, retries and cancelled streams, and beside chat the other APIs;
what that client does not speak goes over plain httpx. The same seed sends the same
requests. It only ever talks to the given server, with keys that are no keys; trouble is staged by the
`X-Simulator` header (see `behaviour`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from or_otel.operations import tags
from or_otel.simulator.account import BROKE_KEY, BYOK_KEY, SEARCH_KEY, SUPPORT_KEY

HAIKU = "anthropic/claude-haiku-4.5"
SONNET = "anthropic/claude-sonnet-4.6"
GPT = "openai/gpt-5.2"
MINI = "openai/gpt-5-mini"
GEMINI = "google/gemini-3-flash-preview"
DEEPSEEK = "deepseek/deepseek-v3.2"
LLAMA = "meta-llama/llama-3.3-70b-instruct"
EMBEDDING = "openai/text-embedding-3-small"
RERANK = "cohere/rerank-v3.5"
IMAGE = "google/gemini-2.5-flash-image"
TRANSCRIPTION = "openai/gpt-4o-mini-transcribe"

SHORT = 16
"""Tokens of streams whose length tells nothing new: they are shown word by word."""
QUESTIONS = (
    "Which harbour did the first ferry leave from?",
    "Summarise the shipping notes of this week in two sentences.",
    "Is the crane at pier four free tomorrow?",
    "Translate 'low tide' for the Portuguese crew.",
)
HANDBOOK = "Rules of the harbour: ships wait outside until the pilot has come on board. " * 60
WEATHER = {
    "type": "function",
    "function": {
        "name": "tide_table",
        "description": "Tides of a harbour",
        "parameters": {"type": "object", "properties": {"harbour": {"type": "string"}, "days": {"type": "integer"}}},
    },
}
REPORT = {
    "type": "json_schema",
    "json_schema": {
        "name": "report",
        "schema": {"type": "object", "properties": {"ship": {"type": "string"}, "tons": {"type": "integer"}}},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEvent:
    """One thing the workload did.

    Attributes:
        scene: Its name.
        team, feature: On whose behalf.
        error: Name of the exception that came back, as it should; None otherwise.
    """

    scene: str
    team: str
    feature: str
    error: str | None = None


@dataclass(slots=True)
class _Stage:
    """What a scene needs: clients for each key, with and without an SDK, and chance."""

    openai: Any
    base_url: str
    chance: random.Random
    clients: dict[str, Any]

    def client(self, key: str) -> Any:
        if key not in self.clients:
            self.clients[key] = self.openai.OpenAI(api_key=key, base_url=self.base_url, max_retries=2)
        return self.clients[key]

    def ask(self, model: str, *, key: str = SEARCH_KEY, trouble: str = "", **options: Any) -> Any:
        headers = {"X-Simulator": trouble} if trouble else {}
        headers |= options.pop("headers", {})
        messages = options.pop("messages", None) or [{"role": "user", "content": self.chance.choice(QUESTIONS)}]
        return self.client(key).chat.completions.create(
            model=model, messages=messages, extra_headers=headers, **options
        )

    def post(self, path: str, *, key: str = SEARCH_KEY, **body: Any) -> None:
        name = f"{key} without an SDK"
        if name not in self.clients:
            self.clients[name] = httpx.Client(base_url=self.base_url, headers={"Authorization": f"Bearer {key}"})
        self.clients[name].post(path, json=body)


def _plain(stage: _Stage) -> None:
    stage.ask(stage.chance.choice((HAIKU, MINI, GEMINI, LLAMA)))


def _stream(stage: _Stage) -> None:
    for _ in stage.ask(stage.chance.choice((SONNET, GPT, DEEPSEEK)), stream=True):
        pass


def _agent(stage: _Stage) -> None:
    messages: list[Any] = [{"role": "user", "content": "When is high tide in Lisbon?"}]
    first = stage.ask(GPT, messages=messages, tools=[WEATHER], tool_choice="required")
    call = first.choices[0].message.tool_calls[0]
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call.model_dump()]},
        {"role": "tool", "tool_call_id": call.id, "content": "14:10"},
    ]
    stage.ask(GPT, messages=messages, tools=[WEATHER])


def _structured(stage: _Stage) -> None:
    stage.ask(MINI, response_format=REPORT)


def _reasoning(stage: _Stage) -> None:
    stage.ask(GPT, reasoning_effort="high")


def _provider_fallback(stage: _Stage) -> None:
    stage.ask(HAIKU, trouble="fail anthropic 529")


def _model_fallback(stage: _Stage) -> None:
    trouble = "fail anthropic 529 amazon-bedrock 429"
    stage.ask(HAIKU, trouble=trouble, extra_body={"models": [MINI]})


def _cheapest(stage: _Stage) -> None:
    stage.ask(f"{LLAMA}:floor", key=SUPPORT_KEY)


def _fastest(stage: _Stage) -> None:
    stage.ask(LLAMA, key=SUPPORT_KEY, extra_body={"provider": {"sort": "throughput"}})


def _auto(stage: _Stage) -> None:
    stage.ask("openrouter/auto", key=SUPPORT_KEY)


def _byok(stage: _Stage) -> None:
    stage.ask(SONNET, key=BYOK_KEY)


def _byok_lost(stage: _Stage) -> None:
    stage.ask(SONNET, key=BYOK_KEY, trouble="fail anthropic 429")


def _prompt_cache(stage: _Stage) -> None:
    for question in QUESTIONS[:2]:
        messages = [{"role": "system", "content": HANDBOOK}, {"role": "user", "content": question}]
        stage.ask(HAIKU, key=SUPPORT_KEY, messages=messages)


def _response_cache(stage: _Stage) -> None:
    messages = [{"role": "user", "content": "The same question as always"}]
    for _ in range(2):
        stage.ask(GEMINI, messages=messages, headers={"X-OpenRouter-Cache": "true"})


def _retried(stage: _Stage) -> None:
    stage.ask(MINI, trouble="refuse 429")


def _broke(stage: _Stage) -> None:
    stage.ask(MINI, key=BROKE_KEY)


def _mistaken(stage: _Stage) -> None:
    stage.ask("acme/no-such-model")


def _broken_stream(stage: _Stage) -> None:
    for _ in stage.ask(SONNET, stream=True, trouble="break 3"):
        pass


def _left_early(stage: _Stage) -> None:
    with stage.ask(DEEPSEEK, stream=True, trouble="hold 3") as stream:
        for _, _chunk in zip(range(3), stream, strict=False):
            pass


def _left_early_and_billed(stage: _Stage) -> None:
    with stage.ask(GEMINI, stream=True, trouble="hold 3") as stream:
        next(iter(stream))


def _asynchronous(stage: _Stage) -> None:
    asyncio.run(_together(stage))


async def _together(stage: _Stage) -> None:
    async with stage.openai.AsyncOpenAI(api_key=SUPPORT_KEY, base_url=stage.base_url) as client:

        async def ask(model: str, question: str) -> None:
            await client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}])

        async def read() -> None:
            stream = await client.chat.completions.create(
                model=DEEPSEEK,
                messages=[{"role": "user", "content": QUESTIONS[0]}],
                stream=True,
                extra_headers={"X-Simulator": "hold 2"},
            )
            async with stream:
                seen = 0
                async for _ in stream:
                    seen += 1
                    if seen == 2:  # noqa: PLR2004 -- the server holds after two deltas
                        begun.set()

        begun = asyncio.Event()
        reading = asyncio.create_task(read())
        await asyncio.gather(ask(HAIKU, QUESTIONS[1]), ask(LLAMA, QUESTIONS[2]), begun.wait())
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def _responses(stage: _Stage) -> None:
    responses = stage.client(SEARCH_KEY).responses
    responses.create(model=GPT, input=stage.chance.choice(QUESTIONS), instructions="Answer in one sentence.")
    with responses.create(model=MINI, input=QUESTIONS[3], max_output_tokens=SHORT, stream=True) as stream:
        for _ in stream:
            pass


def _messages(stage: _Stage) -> None:
    question = [{"role": "user", "content": stage.chance.choice(QUESTIONS)}]
    stage.post("/messages", key=SUPPORT_KEY, model=HAIKU, max_tokens=500, messages=question)
    stage.post("/messages", key=SUPPORT_KEY, model=SONNET, max_tokens=SHORT, messages=question, stream=True)


def _retrieval(stage: _Stage) -> None:
    stage.client(SEARCH_KEY).embeddings.create(model=EMBEDDING, input=list(QUESTIONS))
    stage.post("/rerank", model=RERANK, query=QUESTIONS[0], documents=list(QUESTIONS))


def _image(stage: _Stage) -> None:
    stage.client(SUPPORT_KEY).images.generate(model=IMAGE, prompt="A ferry leaving the harbour at dawn")


def _transcription(stage: _Stage) -> None:
    stage.client(SUPPORT_KEY).audio.transcriptions.create(model=TRANSCRIPTION, file=("radio.wav", b"RIFF"))


SCENES: tuple[tuple[Callable[[_Stage], None], str, str], ...] = (
    (_plain, "search", "answer"),
    (_stream, "search", "answer"),
    (_plain, "support", "triage"),
    (_agent, "harbour", "agent"),
    (_structured, "harbour", "report"),
    (_reasoning, "research", "planning"),
    (_provider_fallback, "search", "answer"),
    (_model_fallback, "search", "answer"),
    (_cheapest, "support", "digest"),
    (_fastest, "support", "chat"),
    (_auto, "support", "chat"),
    (_byok, "research", "drafts"),
    (_byok_lost, "research", "drafts"),
    (_prompt_cache, "support", "handbook"),
    (_response_cache, "search", "answer"),
    (_retried, "harbour", "report"),
    (_broke, "interns", "playground"),
    (_mistaken, "interns", "playground"),
    (_broken_stream, "search", "answer"),
    (_left_early, "search", "autocomplete"),
    (_left_early_and_billed, "search", "autocomplete"),
    (_asynchronous, "support", "chat"),
    (_responses, "search", "answer"),
    (_messages, "support", "chat"),
    (_retrieval, "search", "index"),
    (_image, "marketing", "posters"),
    (_transcription, "harbour", "radio"),
)
"""What is done in one round, and on whose behalf."""


def run_workload(
    base_url: str,
    *,
    duration_s: float | None = None,
    rounds: int = 1,
    on_event: Callable[[WorkloadEvent], None] | None = None,
    seed: int = 7,
) -> int:
    """Run every scene, in an order that the seed decides.

    Args:
        base_url: The simulated server; nothing else understands the staged trouble.
        duration_s: Go on until so much time has passed; at least one round.
        rounds: How often, when no duration is given.
        on_event: Told after every scene.
        seed: The same seed sends the same requests.

    Returns:
        How many scenes were played.
    """
    import openai  # noqa: PLC0415 -- an extra of the package, and slow to import

    until = None if duration_s is None else time.monotonic() + duration_s
    chance = random.Random(seed)  # noqa: S311 -- no secret
    stage = _Stage(openai=openai, base_url=base_url, chance=chance, clients={})
    played = done = 0
    try:
        while done < 1 or (done < rounds if until is None else time.monotonic() < until):
            scenes = list(SCENES)
            chance.shuffle(scenes)
            for scene, team, feature in scenes:
                failure = None
                with tags(team=team, feature=feature):
                    try:
                        scene(stage)
                    except openai.APIError as error:
                        failure = type(error).__name__
                played += 1
                if on_event is not None:
                    name = scene.__name__.removeprefix("_")
                    on_event(WorkloadEvent(scene=name, team=team, feature=feature, error=failure))
            done += 1
    finally:
        for client in stage.clients.values():
            client.close()
    return played
