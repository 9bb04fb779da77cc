"""Watches `Client.send` and `AsyncClient.send` of httpx and httpx2, whichever the application imports.

`send` is the one way through which every SDK's requests pass, once per attempt, whatever
transport is below. A body that `send` did not read itself is seen through a tee in place
of `response.stream`: overriding `iter_bytes` would be blind to raw readers, break
pickling, and see `close` before the end. httpx2 is the continuation of httpx with the
same surface but no shared class, so all classes come from the module at hand.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

from or_otel.exchange import Exchange, RequestSeen
from or_otel.guard import guarded
from or_otel.sensors.forms import form_of
from or_otel.sensors.patching import current_watch, sending, wrap_method

MODULES = ("httpx", "httpx2")


def install(module: ModuleType) -> None:
    """Patch one of `MODULES`."""
    wrap_method(module.Client, "send", functools.partial(_send, module, _tee(module)))
    wrap_method(module.AsyncClient, "send", functools.partial(_send_async, module, _async_tee(module)))


def _send(
    module: ModuleType, tee: type, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: Any
) -> Any:
    del instance
    exchange = _opened(module, args, kwargs)
    if exchange is None:
        return wrapped(*args, **kwargs)
    with sending(exchange):
        response = wrapped(*args, **kwargs)
    _observe(module, tee, response, exchange)
    return response


async def _send_async(
    module: ModuleType, tee: type, wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: Any
) -> Any:
    del instance
    exchange = _opened(module, args, kwargs)
    if exchange is None:
        return await wrapped(*args, **kwargs)
    with sending(exchange):
        response = await wrapped(*args, **kwargs)
    _observe(module, tee, response, exchange)
    return response


@guarded("sensors.httpx.open")
def _opened(module: ModuleType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    watch = current_watch()
    if watch is None:
        return None
    request = args[0] if args else kwargs["request"]
    endpoint = watch.endpoint(request.method, str(request.url))
    if endpoint is None:
        return None
    seen = RequestSeen(
        endpoint=endpoint,
        header=_header_of(request.headers),
        body=functools.partial(_body, module, request),
        at_s=time.perf_counter(),
        wall_s=time.time(),
    )
    exchange = watch.open(seen)
    for name, value in exchange.headers.items():
        request.headers.setdefault(name, value)
    return exchange


def _header_of(headers: Any) -> Callable[[str], str | None]:
    """Give a look-up of lower-case names. The library's own walks all headers each time, and we ask for ten."""
    found = dict(headers.items())  # lower-case names, repeated headers joined
    return found.get


def _body(module: ModuleType, request: Any) -> bytes | None:
    try:
        content: bytes = request.content
    except module.RequestNotRead:  # a streamed upload: reading it would consume it
        return _form(request.stream)
    return content


def _form(stream: Any) -> bytes | None:
    fields = getattr(stream, "fields", None)
    if not isinstance(fields, list):
        return None
    return form_of((getattr(field, "name", None), getattr(field, "value", None)) for field in fields)


@guarded("sensors.httpx.observe")
def _observe(module: ModuleType, tee: type, response: Any, exchange: Exchange) -> None:
    exchange.answered(response.status_code, _header_of(response.headers), time.perf_counter())
    try:
        content = response.content
    except module.ResponseNotRead:
        response.stream = tee(response.stream, exchange)
    else:
        exchange.loaded(content, time.perf_counter())


def _tee(module: ModuleType) -> type:
    """Make the stream class of one library: it checks that a stream is an instance of its own."""

    class Tee(_Tee, module.SyncByteStream):  # type: ignore[misc, name-defined]
        """A response's byte stream whose bytes are shown to an exchange as they pass."""

        def __iter__(self) -> Iterator[bytes]:
            exchange = self._exchange
            try:
                for chunk in self._inner:
                    if exchange.is_open:
                        exchange.received(chunk, time.perf_counter())
                    yield chunk
            except GeneratorExit:  # the reader left: `close` follows, or the finaliser tells
                raise
            except BaseException as error:
                exchange.failed(error, time.perf_counter())
                raise
            exchange.finished(time.perf_counter())

        def close(self) -> None:
            try:
                self._inner.close()
            finally:
                self._exchange.closed(time.perf_counter())

    return Tee


def _async_tee(module: ModuleType) -> type:
    """The same for asynchronous clients."""

    class AsyncTee(_Tee, module.AsyncByteStream):  # type: ignore[misc, name-defined]
        """An asynchronous byte stream whose bytes are shown to an exchange as they pass."""

        async def __aiter__(self) -> AsyncIterator[bytes]:
            exchange = self._exchange
            inner = self._inner.__aiter__()
            try:
                async for chunk in inner:
                    if exchange.is_open:
                        exchange.received(chunk, time.perf_counter())
                    yield chunk
            except GeneratorExit:
                raise
            except BaseException as error:
                exchange.failed(error, time.perf_counter())
                raise
            else:
                exchange.finished(time.perf_counter())
            finally:
                if isinstance(inner, AsyncGenerator):
                    await inner.aclose()

        async def aclose(self) -> None:
            try:
                await self._inner.aclose()
            finally:
                self._exchange.closed(time.perf_counter())

    return AsyncTee


class _Tee:
    """What both tees share. Unknown attributes are the inner stream's: httpx2 keeps `elapsed` there."""

    def __init__(self, inner: Any, exchange: Exchange) -> None:
        self._inner = inner
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__.get("_inner")
        if inner is None:  # `copy` asks before anything is set, and understands only this error
            raise AttributeError(name)
        return getattr(inner, name)

    def __del__(self) -> None:
        exchange = self.__dict__.get("_exchange")
        if exchange is not None:
            exchange.abandoned(time.perf_counter())
