"""One connection of the scripted server: bytes between socket and h11, and how events become bytes.

Requests and scenario steps in and out. Knows nothing of accounts or of what a scenario means.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from or_otel.simulator.exact_json import dumps
from or_otel.simulator.scenarios import Chunk, Comment, Done, Received, Scenario, Step

READ_BYTES = 65_536
RANDOM_CUT_BYTES = 48
"""Longest piece of a stream that is cut at random."""


@dataclass(slots=True)
class Line:
    """One connection: bytes between the socket and h11, and whether the client is still there.

    Attributes:
        reader, writer: The socket.
        http: State of the protocol.
        arrived: Set when bytes came or the client left.
        gone: Set when the client has left.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection = field(default_factory=lambda: h11.Connection(h11.SERVER))
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def pump(self) -> None:
        """Read all the time, also while answering: only so a client's leaving is seen at once."""
        try:
            while data := await self.reader.read(READ_BYTES):
                self.http.receive_data(data)
                self.arrived.set()
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        self.gone.set()
        self.arrived.set()

    async def event(self) -> object:
        """Give h11's next event; None when the client has left."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            if self.gone.is_set():
                return None
            if self.http.they_are_waiting_for_100_continue:
                await self.send(h11.InformationalResponse(status_code=100, headers=[]))
            self.arrived.clear()
            await self.arrived.wait()
        return event

    async def request(self) -> Received | None:
        """Read one whole request; None when there is no further one."""
        head: h11.Request | None = None
        body = bytearray()
        while True:
            event = await self.event()
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                return Received(
                    method=head.method.decode(),
                    path=head.target.decode(),
                    headers={name.decode(): value.decode("latin-1") for name, value in head.headers},
                    body=bytes(body),
                    at_s=time.perf_counter(),
                )
            else:
                return None

    async def head(self, scenario: Scenario, headers: Mapping[str, str]) -> None:
        """Write status and headers."""
        encoding = {"content-encoding": scenario.encoding} if scenario.encoding else {}
        told = {"server": "scripted-openrouter", "cf-ray": "0000000000000000-LIS", **headers, **encoding}
        await self.send(h11.Response(status_code=scenario.status, headers=list(told.items())))

    async def send(self, event: h11.Event) -> None:
        """Write one event and let the loop see whether the client has left."""
        data = self.http.send(event)
        if data:
            self.writer.write(data)
        await self.writer.drain()
        await asyncio.sleep(0)


class Compressor:
    """Content encoding that can be flushed between events."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        # brotli and zstandard are for tests only, so they are imported when a scenario asks
        if encoding == "br":
            self._inner: Any = importlib.import_module("brotli").Compressor()
        elif encoding == "zstd":
            self._module: Any = importlib.import_module("zstandard")
            self._inner = self._module.ZstdCompressor().compressobj()
        else:
            self._inner = zlib.compressobj(wbits=31 if encoding == "gzip" else 15)

    def add(self, data: bytes) -> bytes:
        """Compress, and flush so that the reader can read it now."""
        if self._encoding == "br":
            return bytes(self._inner.process(data) + self._inner.flush())
        if self._encoding == "zstd":
            return bytes(self._inner.compress(data) + self._inner.flush(self._module.COMPRESSOBJ_FLUSH_BLOCK))
        return bytes(self._inner.compress(data) + self._inner.flush(zlib.Z_SYNC_FLUSH))

    def end(self) -> bytes:
        """Finish."""
        return bytes(self._inner.finish() if self._encoding == "br" else self._inner.flush())


def event_bytes(step: Chunk | Comment | Done, newline: str) -> bytes:
    """Write one event of a stream."""
    if isinstance(step, Comment):
        return f": {step.text}{newline}{newline}".encode()
    if isinstance(step, Done):
        return f"data: [DONE]{newline}{newline}".encode()
    if isinstance(step.data, bytes):
        return step.data
    name = f"event: {step.event}{newline}" if step.event else ""
    return f"{name}data: {dumps(step.data)}{newline}{newline}".encode()


def tells_usage(step: Step) -> bool:
    """Whether a step is the one that tells the client what it used."""
    if not isinstance(step, Chunk):
        return False
    if isinstance(step.data, bytes):
        return b'"usage"' in step.data
    if not isinstance(step.data, Mapping):
        return False
    whole = step.data.get("response")  # of the Responses API
    told = whole if isinstance(whole, Mapping) else step.data
    return told.get("usage") is not None


def cut_up(data: bytes, cuts: random.Random) -> list[bytes]:
    """Cut bytes at random."""
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        end = start + cuts.randint(1, RANDOM_CUT_BYTES)
        pieces.append(data[start:end])
        start = end
    return pieces
