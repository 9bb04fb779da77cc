import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.server import ScriptedOpenRouter


class Clock:
    """A wall clock that stands until it is set."""

    def __init__(self) -> None:
        self.set("2026-11-20T12:00:00")

    def set(self, text: str) -> None:
        self.now_s = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clocked(clock: Clock) -> Iterator[ScriptedOpenRouter]:
    with ScriptedOpenRouter(wall=clock) as running:
        yield running


@pytest.fixture
def told(clocked: ScriptedOpenRouter, exact):
    """Give the data of an account page, with exact decimals, as a management key reads it."""
    with httpx.Client(timeout=10) as client:

        def read(path: str, key: str = MANAGEMENT_KEY):
            response = Asker(clocked, client).get(path, key)
            assert response.status_code == 200, response.text
            return exact(response.text)["data"]

        yield read


@pytest.fixture
def server() -> Iterator[ScriptedOpenRouter]:
    with ScriptedOpenRouter() as running:
        yield running


class Asker:
    """Asks with httpx and reads numbers as decimals."""

    def __init__(self, server: ScriptedOpenRouter, client: httpx.Client) -> None:
        self.server = server
        self.client = client

    def get(self, path: str, key: str = SEARCH_KEY) -> httpx.Response:
        return self.client.get(self.server.base_url + path, headers={"Authorization": f"Bearer {key}"})

    def post(self, path="/chat/completions", *, key: str | None = SEARCH_KEY, headers=None, **body) -> httpx.Response:
        auth = {"Authorization": f"Bearer {key}"} if key else {}
        return self.client.post(self.server.base_url + path, json=body, headers={**auth, **(headers or {})})

    def chat(self, model: str | None = "anthropic/claude-haiku-4.5", content="Hello there", **more) -> httpx.Response:
        messages = more.pop("messages", [{"role": "user", "content": content}])
        return self.post(messages=messages, **({"model": model} if model else {}), **more)

    def streaming(self, **body):
        body = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "Hi"}], **body}
        headers = {"Authorization": f"Bearer {SEARCH_KEY}", **body.pop("headers", {})}
        url = f"{self.server.base_url}/chat/completions"
        return self.client.stream("POST", url, json={**body, "stream": True}, headers=headers)


@pytest.fixture
def ask(server: ScriptedOpenRouter) -> Iterator[Asker]:
    with httpx.Client(timeout=10) as client:
        yield Asker(server, client)


@pytest.fixture
def exact():
    """Reads JSON, or the payloads of a stream, with exact decimals."""

    def read(text: str):
        if text.lstrip("\ufeff").startswith((":", "data:")):
            lines = text.lstrip("\ufeff").replace("\r\n", "\n").split("\n\n")
            data = ["\n".join(p[6:] for p in event.split("\n") if p.startswith("data: ")) for event in lines]
            return [json.loads(d, parse_float=Decimal) for d in data if d and d != "[DONE]"]
        return json.loads(text, parse_float=Decimal)

    return read
