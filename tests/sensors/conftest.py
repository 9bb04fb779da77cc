"""The clients of the contract suite: the real openai client over each HTTP library, sync and async."""

from __future__ import annotations

import contextlib

import httpx
import httpx2
import openai
import pytest

LIBRARIES = {"httpx": httpx, "httpx2": httpx2}
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
KEY = "sk-or-v1-0123456789abcdef"


class Driver:
    """One client under one face, so that a scenario is written once for sync and async.

    Asynchronous or not, methods here are awaited; a synchronous client simply blocks the loop,
    which harms nobody: the server runs on a thread of its own.
    """

    def __init__(self, library, mode, server):
        self.module = LIBRARIES[library]
        self.is_async = mode == "async"
        options = {"base_url": server.base_url, "api_key": KEY, "max_retries": 2}
        if self.is_async:
            self.http = self.module.AsyncClient(timeout=20, follow_redirects=True)
            self.client = openai.AsyncOpenAI(http_client=self.http, **options)
        else:
            self.http = self.module.Client(timeout=20, follow_redirects=True)
            self.client = openai.OpenAI(http_client=self.http, **options)

    async def _settled(self, result):
        return await result if self.is_async else result

    async def create(self, **options):
        return await self._settled(self.client.chat.completions.create(**{**PROMPT, **options}))

    async def raw(self, **options):
        return await self._settled(self.client.chat.completions.with_raw_response.create(**{**PROMPT, **options}))

    @contextlib.asynccontextmanager
    async def streaming_raw(self, **options):
        manager = self.client.chat.completions.with_streaming_response.create(**{**PROMPT, **options})
        async with self.entered(manager) as response:
            yield response

    @contextlib.asynccontextmanager
    async def entered(self, manager):
        if self.is_async:
            async with manager as value:
                yield value
        else:
            with manager as value:
                yield value

    async def take(self, iterable, number=None):
        """Give the next items, all of them by default."""
        taken = []
        if number == 0:
            return taken
        if self.is_async:
            async for item in iterable:
                taken.append(item)
                if len(taken) == number:
                    break
        else:
            for item in iterable:
                taken.append(item)
                if len(taken) == number:
                    break
        return taken

    async def next(self, iterator):
        return await anext(iterator, None) if self.is_async else next(iterator, None)

    async def close(self, closable):
        if self.is_async:
            await (closable.aclose() if hasattr(closable, "aclose") else closable.close())
        else:
            closable.close()

    async def end(self):
        await self._settled(self.client.close())


@pytest.fixture(params=["httpx", "httpx2"])
def library(request):
    return request.param


@pytest.fixture(params=["sync", "async"])
def mode(request):
    return request.param


@pytest.fixture
async def driver(library, mode, openrouter):
    driver = Driver(library, mode, openrouter)
    yield driver
    await driver.end()


@pytest.fixture
async def async_driver(library, openrouter):
    driver = Driver(library, "async", openrouter)
    yield driver
    await driver.end()
