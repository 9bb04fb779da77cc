"""One face for every client: how it asks, streams and retries, and what it does not offer."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from dataclasses import dataclass
from typing import ClassVar

import or_otel

KEY = "sk-or-v1-0123456789abcdef"
MODEL = "anthropic/claude-haiku-4.5"
PROMPT = {"model": MODEL, "messages": [{"role": "user", "content": "say ok"}]}


def imported(name):
    """Give a module that may be missing here: only drivers of clients that are installed are opened."""
    return importlib.import_module(name)


class Driver:
    """One client, synchronous or not: `ask` and `stream` give what it gives, or an awaitable of it.

    Attributes:
        name: As the table says it.
        module: What must be importable.
        packages: Whose versions the table tells; the module's when empty.
        modes: The faces it has.
        api: The API it speaks.
        is_entered: Whether its streams are to be entered, and cannot be iterated else.
        absent: Feature, or feature and mode → why there is none.
        notes: Feature → what is to be known of it.
        is_own_loop: Whether retries are the caller's, grouped by `or_otel.operation()`.
        tries: Attempts that are seen of two tries.
        is_refusal_unread: Whether it raises at the status and leaves the body alone.
        is_warning: Whether its own code warns, of deprecations above all.
    """

    name = module = ""
    packages = ()
    modes = ("sync", "async")
    api = "chat"
    is_entered = False
    absent: ClassVar = {}
    notes: ClassVar = {}
    is_own_loop = False
    tries = 2
    is_warning = False
    is_refusal_unread = False

    def __init__(self, mode, base_url, *, retries):
        self.is_async = mode == "async"
        self.base_url = base_url
        self.retries = retries
        self.open()

    def open(self):
        raise NotImplementedError

    def close(self):
        """Let go of sockets; an awaitable where that is asynchronous."""

    async def asked(self):
        """Give the text of a plain answer."""
        return self.text(await settled(self.ask()))

    async def asked_again(self):
        """Ask until it is answered, as this client does it or as its user must."""
        if not self.is_own_loop:
            return await self.asked()
        with or_otel.operation():
            try:
                return await self.asked()
            except Exception:  # noqa: BLE001 -- each client has its own
                return await self.asked()

    @contextlib.asynccontextmanager
    async def streamed(self):
        """Enter a stream or what opens one; leave it by its `with` block, else by closing it."""
        stream = await settled(self.stream())
        if hasattr(stream, "__aenter__"):
            async with stream as inner:
                yield inner
        elif hasattr(stream, "__enter__"):
            with stream as inner:
                yield inner
        else:
            try:
                yield stream
            finally:
                await settled(getattr(stream, "aclose" if self.is_async else "close", lambda: None)())

    async def take(self, stream, number=None):
        """Read so many pieces of a stream, all of them by default."""
        taken = []
        if self.is_async:
            async for item in stream:
                taken.append(self.piece(item))
                if len(taken) == number:
                    break
        else:
            for item in stream:
                taken.append(self.piece(item))
                if len(taken) == number:
                    break
        return taken


async def settled(value):
    """Wait for what must be waited for."""
    return await value if inspect.isawaitable(value) else value


@dataclass(frozen=True)
class Way:
    """One client in one of its modes."""

    kind: type[Driver]
    mode: str

    @contextlib.asynccontextmanager
    async def opened(self, server, *, retries=0):
        """Make a client of the server, and let it go."""
        driver = self.kind(self.mode, server.base_url, retries=retries)
        try:
            yield driver
        finally:
            await settled(driver.close())
