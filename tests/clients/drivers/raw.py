"""HTTP libraries: what an application does without any SDK."""

from __future__ import annotations

import contextlib
import json
from typing import ClassVar

from drivers import KEY, PROMPT, Driver, imported, settled

AUTHORIZATION = {"Authorization": f"Bearer {KEY}"}


class _Raw(Driver):
    is_entered = True
    is_own_loop = True
    notes: ClassVar = {"retry": "no retries of its own: a loop around it is one call inside `or_otel.operation()`"}

    @property
    def url(self):
        return f"{self.base_url}/chat/completions"

    def text(self, answer):
        return answer["choices"][0]["message"]["content"]

    def piece(self, line):
        line = line.decode() if isinstance(line, bytes) else line
        data = line.strip().removeprefix("data: ")
        return json.loads(data)["choices"][0]["delta"].get("content", "") if data.startswith("{") else ""


class Httpx(_Raw):
    name = module = "httpx"

    def open(self):
        library = imported(self.module)
        self.client = (library.AsyncClient if self.is_async else library.Client)(headers=AUTHORIZATION)

    def close(self):
        return self.client.aclose() if self.is_async else self.client.close()

    async def ask(self):
        response = await settled(self.client.post(self.url, json=PROMPT))
        return response.raise_for_status().json()

    @contextlib.asynccontextmanager
    async def stream(self):
        request = self.client.build_request("POST", self.url, json={**PROMPT, "stream": True})
        response = await settled(self.client.send(request, stream=True))
        try:
            response.raise_for_status()
            yield response.aiter_lines() if self.is_async else response.iter_lines()
        finally:
            await settled(response.aclose() if self.is_async else response.close())


class Httpx2(Httpx):
    name = module = "httpx2"


class Requests(_Raw):
    name = module = "requests"
    modes = ("sync",)
    is_own_loop = False
    tries = 1
    notes: ClassVar = {
        "retry": "urllib3's `Retry` in an `HTTPAdapter` is below it: one attempt is seen, as long as all its tries"
    }

    def open(self):
        retry = imported("urllib3").Retry(self.retries, status_forcelist=[503], allowed_methods=None)
        library = imported("requests")
        self.client = library.Session()
        self.client.mount("http://", library.adapters.HTTPAdapter(max_retries=retry))
        self.client.headers.update(AUTHORIZATION)

    def close(self):
        self.client.close()

    def ask(self):
        response = self.client.post(self.url, json=PROMPT)
        response.raise_for_status()
        return response.json()

    @contextlib.asynccontextmanager
    async def stream(self):
        with self.client.post(self.url, json={**PROMPT, "stream": True}, stream=True) as response:
            response.raise_for_status()
            yield response.iter_lines(chunk_size=None)


class Aiohttp(_Raw):
    name = module = "aiohttp"
    modes = ("async",)
    is_refusal_unread = True
    notes: ClassVar = _Raw.notes | {"error": "its `raise_for_status` leaves the body unread: only the status is told"}

    def open(self):
        self.client = imported("aiohttp").ClientSession(headers=AUTHORIZATION)

    def close(self):
        return self.client.close()

    async def ask(self):
        async with self.client.post(self.url, json=PROMPT) as response:
            response.raise_for_status()
            return await response.json()

    @contextlib.asynccontextmanager
    async def stream(self):
        async with self.client.post(self.url, json={**PROMPT, "stream": True}) as response:
            response.raise_for_status()
            yield response.content
