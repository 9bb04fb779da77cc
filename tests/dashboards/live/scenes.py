"""What the watched programs do: the demo workload's scenes, and more that boards have panels for.

A scene takes a stage (clients with the demo's keys) and asks the simulated OpenRouter. The same chance plays the same.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, suppress
from functools import partial
from types import SimpleNamespace

import httpx
import openai

import or_otel
from or_otel.emitters.sums import DEFAULT_LIMIT
from or_otel.simulator import workload
from or_otel.simulator.account import SUPPORT_KEY
from or_otel.simulator.workload import DEEPSEEK, GEMINI, GPT, HAIKU, HANDBOOK, LLAMA, MINI, QUESTIONS, SONNET

HOURS = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 19, 17, 13, 16, 19, 19, 17, 13, 9, 7, 6, 5, 4, 3)
"""Load by UTC hour."""
UNKNOWN = "acme/no-such-model"
PILOTAGE = "pilotage"
CUSTOMERS = ("Baltic Lines", "Fjord Tours", "Isle Mail")
RARE = {"retried", "broke", "mistaken", "broken_stream", "left_early", "left_early_and_billed", "byok_lost"}
LATE = {"broken_stream", "left_early", "left_early_and_billed", "asynchronous"}
"""Scenes with calls whose price is learned after their span has ended."""


STAGED: Counter[str] = Counter()
"""What scenes brought about beside calls: runs of workflows and how many ended well, records that had to be folded."""


def research(stage):
    """A run of a workflow: plan, look up, write; now and then nothing comes of it."""
    with or_otel.workflow("research") as run:
        stage.ask(GPT, reasoning_effort="high")
        for _ in range(stage.chance.randint(1, 5)):
            workload._agent(stage)
        stage.ask(SONNET)
        is_done = stage.chance.random() < 0.85
        run.finish(ok=is_done)
    STAGED.update({"runs": 1, "finished runs": is_done})


def digest(stage):
    """Another workflow, cheap, with a run inside it."""
    with or_otel.workflow("digest"):
        stage.ask(GEMINI)
        with or_otel.workflow("translate"):
            stage.ask(MINI)
    STAGED.update({"runs": 2, "finished runs": 2})


def cut_short(stage):
    """An answer that ends at its limit."""
    stage.ask(HAIKU, max_tokens=3)


def loop(stage):
    """The same request again and again, as a program does that does not look at the answer."""
    for _ in range(9):
        stage.ask(MINI, messages=[{"role": "user", "content": "Is it done yet?"}])


def uncached(stage):
    """A long prompt, twice, for a model that caches nothing."""
    for question in QUESTIONS[:2]:
        messages = [{"role": "system", "content": HANDBOOK}, {"role": "user", "content": question}]
        stage.ask(LLAMA, key=SUPPORT_KEY, messages=messages)


def oversized(stage):
    """Far more input than this feature usually sends."""
    stage.ask(HAIKU, messages=[{"role": "user", "content": "Every log line of the harbour. " * 3000}])


def forbidden(stage):
    """What the owner's policies forbid."""
    stage.ask(DEEPSEEK)


def embeddings(stage):
    """No chat."""
    stage.client(SUPPORT_KEY).embeddings.create(model="openai/text-embedding-3-small", input=list(QUESTIONS))


def titled(stage):
    """A request that names its app."""
    stage.ask(GEMINI, headers={"X-Title": "Harbour desk"})


MORE = (
    (research, "research", "planning", 3),
    (digest, "support", "digest", 3),
    (cut_short, "search", "answer", 2),
    (loop, "interns", "playground", 0.3),
    (uncached, "support", "handbook", 1),
    (oversized, "search", "answer", 0.4),
    (forbidden, "research", "drafts", 1),
    (embeddings, "search", "index", 2),
    (titled, "support", "chat", 2),
)


def newcomer(stage):
    """A model that nobody asked before."""
    stage.ask(f"{LLAMA}:free", key=SUPPORT_KEY)


def daily(stage):
    """The only call of its day, and of its feature."""
    with or_otel.tags(feature=PILOTAGE):
        stage.ask(SONNET)


def crowd(stage):
    """As many customers as metrics may name; what they ask for does not exist."""
    guests = (f"Guest {number}" for number in range(DEFAULT_LIMIT - len(CUSTOMERS)))
    for customer in (*CUSTOMERS, *guests):
        with suppress(openai.BadRequestError), or_otel.tags(customer=customer):
            stage.ask(UNKNOWN)


def stranger(stage):
    """A customer too many: what counts calls and what counts attempts can both not name it."""
    with suppress(openai.BadRequestError), or_otel.tags(customer=f"Stranger {stage.chance.random()}"):
        stage.ask(UNKNOWN)
    STAGED.update({"folded": 2})


UNUSUAL = (
    (newcomer, "support", "chat", 0),
    (daily, "harbour", "report", 0),
    (crowd, "support", "chat", 0),
    (stranger, "support", "chat", 0),
)
"""Played by name alone."""


def all_scenes(*, is_priced_at_once=False):
    """Give every scene: what is done, for which team and feature, and how often."""
    for scene, team, feature in workload.SCENES:
        if is_priced_at_once and scene.__name__.removeprefix("_") in LATE:
            continue
        yield scene, team, feature, 0.4 if scene.__name__.removeprefix("_") in RARE else 3
    yield from MORE


@contextmanager
def stage_at(base_url: str, chance: random.Random, agent: str):
    """Give the stage, whose requests name their program, and close its clients at the end."""
    named = {"default_headers": {"User-Agent": agent}}
    clients = SimpleNamespace(OpenAI=partial(openai.OpenAI, **named), AsyncOpenAI=partial(openai.AsyncOpenAI, **named))

    class Named(httpx.Client):
        def __init__(self, **options):
            super().__init__(**options)
            self.headers["User-Agent"] = agent

    workload.httpx = SimpleNamespace(Client=Named)
    stage = workload._Stage(openai=clients, base_url=base_url, chance=chance, clients={})
    try:
        yield stage
    finally:
        for client in stage.clients.values():
            client.close()


def play(stage, scene: Callable, team: str, feature: str, environment: str) -> None:
    """Play one scene; what fails, fails as it should."""
    untagged = {} if stage.chance.random() < 0.06 else {"team": team, "feature": feature}
    customer = stage.chance.choice(CUSTOMERS)
    with suppress(openai.APIError), or_otel.tags(**untagged, customer=customer, environment=environment):
        scene(stage)
