"""The scripted OpenRouter: a real HTTP/1.1 server on loopback, in a thread and an event loop of its own.

Scenarios in, bytes out, requests and disconnects recorded. Requests are answered from the
script first, and by `behaviour` when the script is empty. The server plays scenarios without knowing what
they mean; only the book's entry of a scenario tells it what was billed, and when. It listens on 127.0.0.1 alone
and logs nothing: what clients send stays in memory.
"""

from __future__ import annotations

import asyncio
import importlib
import random
import threading
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

import h11

from or_otel.simulator.account import Account
from or_otel.simulator.behaviour import Behaviour
from or_otel.simulator.book import Book, Entry, fingerprint
from or_otel.simulator.exact_json import dumps
from or_otel.simulator.scenarios import (
    Chunk,
    Comment,
    Cut,
    Done,
    Pause,
    Received,
    Scenario,
    Step,
    Wait,
    server_error,
)

T = TypeVar("T")

READ_BYTES = 65_536
START_TIMEOUT_S = 10.0
RANDOM_CUT_BYTES = 48
"""Longest piece of a stream that is cut at random."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect:
    """A client that left before its answer was complete.

    Attributes:
        request: What it had asked.
        sent: Events already written.
        at_s: `time.perf_counter()`.
    """

    request: Received
    sent: int
    at_s: float


class CutError(Exception):
    """The scenario says to drop the connection."""


@dataclass(slots=True)
class _Tab:
    """What one answer will be billed; it is entered before the client can know that it is complete."""

    book: Book
    entry: Entry | None
    planned: int = 1
    sent_content: int = 0
    sent: int = 0
    is_settled: bool = False
    is_over: bool = False

    def settle(self) -> None:
        if self.entry is not None and not self.is_settled:
            self.book.enter(self.entry)
        self.is_settled = True

    def abandon(self) -> None:
        if self.entry is not None and not self.is_settled:
            self.book.enter(self.entry.cancelled(self.sent_content, self.planned))
        self.is_settled = True


class ScriptedOpenRouter:
    """A whole OpenRouter on loopback; a context manager.

    Args:
        port: 0 takes a free one.
        pace_s: Time between the deltas of streams that the server makes up itself.
        wall: Gives Unix time, for `created_at` and the account's periods.

    Attributes:
        book: What was truly billed.
        account: Keys, credits and limits.
        behaviour: How requests without a script are answered.
    """

    def __init__(self, *, port: int = 0, pace_s: float = 0.0, wall: Callable[[], float] = time.time) -> None:
        self.book = Book()
        self.account = Account(book=self.book, wall=wall)
        self.behaviour = Behaviour(account=self.account, pace_s=pace_s)
        self._port = port
        self._wall = wall
        self._script: dict[str | None, deque[Scenario]] = {}
        self._requests: list[Received] = []
        self._disconnects: list[Disconnect] = []
        self._changed = threading.Condition()
        self._released: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._news: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._failure: OSError | None = None

    # Life ---------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Listen; returns when the port is open.

        Raises:
            OSError: The port cannot be opened.
        """
        ready = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(ready,), name="scripted-openrouter", daemon=True)
        self._thread.start()
        ready.wait(START_TIMEOUT_S)
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def stop(self) -> None:
        """Close every connection and wait for the thread; may be called again."""
        loop, stop, thread = self._loop, self._stop, self._thread
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # the loop has ended by itself
                loop.call_soon_threadsafe(stop.set)
        if thread is not None:
            thread.join(START_TIMEOUT_S)
        self._loop = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def port(self) -> int:
        """The open port."""
        return self._port

    @property
    def base_url(self) -> str:
        """Where clients point their base URL."""
        return f"http://127.0.0.1:{self._port}/api/v1"

    # Script and trouble -------------------------------------------------------------------------

    def script(self, *scenarios: Scenario, path: str | None = None) -> None:
        """Answer the next requests with these, in order.

        Args:
            scenarios: One per request.
            path: Below `/api/v1`, such as `/generation`; None takes every POST.
        """
        self._script.setdefault(path, deque()).extend(scenarios)

    def release(self, name: str) -> None:
        """Let every `Wait` of this name go on, the future ones too."""
        self._released.add(name)
        loop, news = self._loop, self._news
        if loop is not None and news is not None:
            loop.call_soon_threadsafe(news.set)

    def provider_fails(
        self, provider: str, status: int = 529, *, times: int | None = None, retry_after_s: int | None = None
    ) -> None:
        """Let a provider answer with an error, always or so many times; the router then tries the next."""
        self.behaviour.fail(provider, status, times=times, retry_after_s=retry_after_s)

    def model_fails(self, model: str, status: int = 503, *, times: int | None = None) -> None:
        """Let every provider of a model answer with an error; the request's next model is then tried."""
        self.behaviour.fail(model, status, times=times)

    def recovers(self, name: str) -> None:
        """End the trouble of a provider or a model."""
        self.behaviour.recover(name)

    # What was seen ------------------------------------------------------------------------------

    @property
    def requests(self) -> tuple[Received, ...]:
        """Every request, in order of arrival."""
        with self._changed:
            return tuple(self._requests)

    @property
    def disconnects(self) -> tuple[Disconnect, ...]:
        """Every client that left early; its bill is in the book already."""
        with self._changed:
            return tuple(self._disconnects)

    def wait_for(self, count: int, timeout_s: float = 5.0) -> tuple[Received, ...]:
        """Wait until so many requests have come.

        Raises:
            TimeoutError: They did not.
        """
        return self._wait(lambda: self._requests, count, timeout_s, "requests")

    def wait_for_disconnect(self, count: int = 1, timeout_s: float = 5.0) -> tuple[Disconnect, ...]:
        """Wait until so many clients have left early.

        Raises:
            TimeoutError: They did not.
        """
        return self._wait(lambda: self._disconnects, count, timeout_s, "disconnects")

    def _wait(self, seen: Callable[[], list[T]], count: int, timeout_s: float, what: str) -> tuple[T, ...]:
        with self._changed:
            if not self._changed.wait_for(lambda: len(seen()) >= count, timeout_s):
                raise TimeoutError(f"expected {count} {what} within {timeout_s} s, saw {len(seen())}")
            return tuple(seen())

    # The thread ---------------------------------------------------------------------------------

    def _run(self, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(ready))
        except OSError as error:
            self._failure = error
        finally:
            ready.set()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop, self._news = asyncio.Event(), asyncio.Event()
        connections: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 -- a coroutine always runs in a task
            connections.add(task)
            try:
                await self._connection(reader, writer)
            except (asyncio.CancelledError, ConnectionError, h11.ProtocolError):
                pass  # the client or the server is leaving; there is nobody to tell
            finally:
                writer.close()
                with suppress(ConnectionError, asyncio.CancelledError):
                    await writer.wait_closed()
                connections.discard(task)

        listening = await asyncio.start_server(connected, "127.0.0.1", self._port)
        self._port = listening.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        listening.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)
        await listening.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(reader=reader, writer=writer)
        pump = asyncio.create_task(line.pump())
        try:
            while (request := await line.request()) is not None:
                if not await self._exchange(line, request):
                    return
                if line.http.our_state is not h11.DONE or line.http.their_state is not h11.DONE:
                    return
                line.http.start_next_cycle()
        finally:
            pump.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await pump

    async def _exchange(self, line: _Line, request: Received) -> bool:
        """Answer one request; False ends the connection."""
        scenario = self._scenario(request)
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
        tab = self._tab(scenario, request)
        playing = asyncio.create_task(self._play(line, scenario, tab))
        leaving = asyncio.create_task(line.gone.wait())
        try:
            await asyncio.wait({playing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                playing.cancel()
            await playing
        except CutError:
            tab.abandon()
            return False
        except (asyncio.CancelledError, ConnectionError, h11.LocalProtocolError):
            tab.abandon()
            if not line.gone.is_set() and self._stop is not None and self._stop.is_set():
                raise
            if not tab.is_over:  # a client may close at the terminator, before the last bytes of the framing
                with self._changed:
                    self._disconnects.append(Disconnect(request=request, sent=tab.sent, at_s=time.perf_counter()))
                    self._changed.notify_all()
            return False
        finally:
            leaving.cancel()
            playing.cancel()
        return True

    def _scenario(self, request: Received) -> Scenario:
        path = request.path.partition("?")[0].removeprefix("/api/v1")
        for name in (path, None) if request.method == "POST" else (path,):
            waiting = self._script.get(name)
            if waiting:
                return waiting.popleft()
        try:
            return self.behaviour.answer(request)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return server_error(500)  # a body of strange types; the true router masks such faults too

    def _tab(self, scenario: Scenario, request: Received) -> _Tab:
        entry = scenario.bill
        if entry is not None:
            entry = replace(
                entry,
                key=fingerprint(request.key) if request.key else "",
                created_at_s=entry.created_at_s or self._wall(),
                user_agent=request.headers.get("user-agent"),
            )
        planned = sum(isinstance(step, Chunk) and step.is_content for step in scenario.steps or ())
        return _Tab(book=self.book, entry=entry, planned=planned)

    # Playing a scenario -------------------------------------------------------------------------

    async def _play(self, line: _Line, scenario: Scenario, tab: _Tab) -> None:
        for step in scenario.before:
            await self._hold(step)
        if scenario.steps is None:
            await self._play_body(line, scenario, tab)
        else:
            await self._play_stream(line, scenario, tab, scenario.steps)

    async def _play_body(self, line: _Line, scenario: Scenario, tab: _Tab) -> None:
        body = scenario.body
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else dumps(body)).encode()
        if scenario.encoding is not None:
            compressor = _Compressor(scenario.encoding)
            data = compressor.add(data) + compressor.end()
        headers = {"content-type": "application/json", "content-length": str(len(data)), **dict(scenario.headers)}
        if scenario.cut_after is not None:
            await line.head(scenario, headers)
            await line.send(h11.Data(data=data[: scenario.cut_after]))
            raise CutError
        tab.settle()
        tab.is_over = True
        await line.head(scenario, headers)
        await line.send(h11.Data(data=data))
        await line.send(h11.EndOfMessage())

    async def _play_stream(self, line: _Line, scenario: Scenario, tab: _Tab, steps: tuple[Step, ...]) -> None:
        headers = {
            "content-type": "text/event-stream",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
            **dict(scenario.headers),
        }
        compressor = _Compressor(scenario.encoding) if scenario.encoding is not None else None
        await line.head(scenario, headers)
        cuts = random.Random(scenario.split) if isinstance(scenario.split, int) else None  # noqa: S311 -- cut points
        async for run in self._runs(scenario, steps):
            for step in run:
                if isinstance(step, Done) or _tells_usage(step):
                    tab.settle()
                tab.is_over = tab.is_over or isinstance(step, Done)
            written = [_event(step, scenario.newline) for step in run]
            pieces = written if scenario.split == "event" else [b"".join(written)]
            if cuts is not None:
                pieces = _cut(pieces[0], cuts)
            for piece in pieces:
                await line.send(h11.Data(data=compressor.add(piece) if compressor else piece))
            tab.sent += len(run)
            tab.sent_content += sum(isinstance(step, Chunk) and step.is_content for step in run)
        tab.settle()
        if compressor is not None:
            await line.send(h11.Data(data=compressor.end()))
        await line.send(h11.EndOfMessage())

    async def _runs(self, scenario: Scenario, steps: tuple[Step, ...]) -> AsyncIterator[list[Chunk | Comment | Done]]:
        """Give the events that go out together, and hold in between as the scenario says."""
        run: list[Chunk | Comment | Done] = []
        for step in steps:
            if isinstance(step, (Pause, Wait, Cut)):
                if run:
                    yield run
                    run = []
                await self._hold(step)
            elif scenario.split == "event":
                yield [step]
            else:
                run.append(step)
        if run:
            yield run

    async def _hold(self, step: Pause | Wait | Cut) -> None:
        if isinstance(step, Cut):
            raise CutError
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return
        assert self._news is not None  # noqa: S101 -- set before the port opens
        while step.name not in self._released:
            self._news.clear()
            await self._news.wait()


@dataclass(slots=True)
class _Line:
    """One connection: bytes between the socket and h11, and whether the client is still there."""

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


class _Compressor:
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


def _event(step: Chunk | Comment | Done, newline: str) -> bytes:
    if isinstance(step, Comment):
        return f": {step.text}{newline}{newline}".encode()
    if isinstance(step, Done):
        return f"data: [DONE]{newline}{newline}".encode()
    if isinstance(step.data, bytes):
        return step.data
    name = f"event: {step.event}{newline}" if step.event else ""
    return f"{name}data: {dumps(step.data)}{newline}{newline}".encode()


def _tells_usage(step: Step) -> bool:
    if not isinstance(step, Chunk):
        return False
    if isinstance(step.data, bytes):
        return b'"usage"' in step.data
    if not isinstance(step.data, Mapping):
        return False
    whole = step.data.get("response")  # of the Responses API
    told = whole if isinstance(whole, Mapping) else step.data
    return told.get("usage") is not None


def _cut(data: bytes, cuts: random.Random) -> list[bytes]:
    pieces: list[bytes] = []
    start = 0
    while start < len(data):
        end = start + cuts.randint(1, RANDOM_CUT_BYTES)
        pieces.append(data[start:end])
        start = end
    return pieces
