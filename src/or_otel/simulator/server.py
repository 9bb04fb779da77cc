"""The scripted OpenRouter: a real HTTP/1.1 server on loopback, in a thread and an event loop of its own.

Scenarios in, bytes out, requests and disconnects recorded. Requests are answered from the
script first, and by `behaviour` when the script is empty. The server plays scenarios without knowing what
they mean; only the book's entry of a scenario tells it what was billed, and when. It listens on 127.0.0.1 unless
told otherwise, and logs nothing: what clients send stays in memory.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import h11

from or_otel.simulator.account import Account
from or_otel.simulator.behaviour import Behaviour
from or_otel.simulator.book import Book, Entry, fingerprint
from or_otel.simulator.connection import Compressor, Line, cut_up, event_bytes, tells_usage
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
    error,
    forbidden,
    server_error,
    unauthorized,
)

T = TypeVar("T")

START_TIMEOUT_S = 10.0


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


@dataclass(slots=True, kw_only=True)
class _Trouble:
    """What goes wrong on one path: what is other than in the true answer, and how often."""

    status: int | None
    times: int | None
    retry_after_s: int | None
    body: object
    wait: str | None
    cut_after: int | None

    def spoil(self, scenario: Scenario) -> Scenario:
        """Give what is answered instead."""
        if self.times is not None:
            self.times -= 1
        if self.status is not None:
            plain = {401: unauthorized, 403: forbidden}.get(self.status)
            scenario = plain() if plain is not None else error(self.status, "Planted failure")
        if self.retry_after_s is not None:
            scenario = replace(scenario, headers=(*scenario.headers, ("retry-after", str(self.retry_after_s))))
        return replace(
            scenario,
            body=scenario.body if self.body is None else self.body,
            before=scenario.before if self.wait is None else (Wait(self.wait),),
            cut_after=self.cut_after,
        )


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
        host: Where to listen; another than loopback only inside a container's own network.

    Attributes:
        book: What was truly billed.
        account: Keys, credits and limits.
        behaviour: How requests without a script are answered.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        pace_s: float = 0.0,
        wall: Callable[[], float] = time.time,
        host: str = "127.0.0.1",
    ) -> None:
        self.book = Book()
        self.account = Account(book=self.book, wall=wall)
        self.behaviour = Behaviour(account=self.account, pace_s=pace_s)
        self._host = host
        self._port = port
        self._wall = wall
        self._script: dict[str | None, deque[Scenario]] = {}
        self._troubles: dict[str, _Trouble] = {}
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
        """Where clients on this machine point their base URL."""
        return f"http://127.0.0.1:{self._port}/api/v1"

    # Script and trouble -------------------------------------------------------------------------

    def script(self, *scenarios: Scenario, path: str | None = None) -> None:
        """Answer the next requests with these, in order.

        Args:
            scenarios: One per request.
            path: Below `/api/v1`, such as `/generation`; None takes every POST to a model.
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

    def account_fails(
        self,
        path: str,
        status: int | None = None,
        *,
        times: int | None = None,
        retry_after_s: int | None = None,
        body: object = None,
        wait: str | None = None,
        cut_after: int | None = None,
    ) -> None:
        """Plant trouble on one path, always or so many times; what is not given stays as in the true answer.

        Args:
            path: Below `/api/v1`, such as `/keys`.
            status: Answer with this error.
            times: How many answers; None is until `recovers(path)`.
            retry_after_s: Told in the header.
            body: Told instead: a JSON-able value, or text and bytes that may be no JSON at all.
            wait: Answer only when the server is told to `release` this name.
            cut_after: Drop the connection after so many bytes of the body.
        """
        self._troubles[path] = _Trouble(
            status=status, times=times, retry_after_s=retry_after_s, body=body, wait=wait, cut_after=cut_after
        )

    def recovers(self, name: str) -> None:
        """End the trouble of a provider, a model or an account path."""
        self._troubles.pop(name, None)
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

        listening = await asyncio.start_server(connected, self._host, self._port)
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
        line = Line(reader=reader, writer=writer)
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

    async def _exchange(self, line: Line, request: Received) -> bool:
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
        is_for_model = request.method == "POST" and not path.startswith("/analytics/")
        for name in (path, None) if is_for_model else (path,):
            waiting = self._script.get(name)
            if waiting:
                return waiting.popleft()
        try:
            scenario = self.behaviour.answer(request)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            scenario = server_error(500)  # a body of strange types; the true router masks such faults too
        trouble = self._troubles.get(path)
        return scenario if trouble is None or trouble.times == 0 else trouble.spoil(scenario)

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

    async def _play(self, line: Line, scenario: Scenario, tab: _Tab) -> None:
        for step in scenario.before:
            await self._hold(step)
        if scenario.steps is None:
            await self._play_body(line, scenario, tab)
        else:
            await self._play_stream(line, scenario, tab, scenario.steps)

    async def _play_body(self, line: Line, scenario: Scenario, tab: _Tab) -> None:
        body = scenario.body
        data = body if isinstance(body, bytes) else (body if isinstance(body, str) else dumps(body)).encode()
        if scenario.encoding is not None:
            compressor = Compressor(scenario.encoding)
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

    async def _play_stream(self, line: Line, scenario: Scenario, tab: _Tab, steps: tuple[Step, ...]) -> None:
        headers = {
            "content-type": "text/event-stream",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
            **dict(scenario.headers),
        }
        compressor = Compressor(scenario.encoding) if scenario.encoding is not None else None
        await line.head(scenario, headers)
        cuts = random.Random(scenario.split) if isinstance(scenario.split, int) else None  # noqa: S311 -- cut points
        async for run in self._runs(scenario, steps):
            for step in run:
                if isinstance(step, Done) or tells_usage(step):
                    tab.settle()
                tab.is_over = tab.is_over or isinstance(step, Done)
            written = [event_bytes(step, scenario.newline) for step in run]
            pieces = written if scenario.split == "event" else [b"".join(written)]
            if cuts is not None:
                pieces = cut_up(pieces[0], cuts)
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
