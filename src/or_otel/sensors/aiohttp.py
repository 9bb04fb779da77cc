"""Watches `ClientSession._request` of aiohttp, through which all its methods pass, redirects inside.

The body is seen through a stand-in for `response.content`: `read`, `json` and `text` of the
response go through it, and so do those who read the stream themselves. Closing or releasing
a response before its end sets an exception on that stream, which is how it is noticed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import ModuleType
from typing import Any

from or_otel.exchange import Exchange, RequestSeen
from or_otel.guard import guarded
from or_otel.sensors.forms import form_of
from or_otel.sensors.patching import Tee, current_watch, of_decoded, sending, wrap_method

MODULE = "aiohttp.client"


def install(module: ModuleType) -> None:
    """Patch `MODULE`."""

    async def send(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        exchange = _opened(module, instance, args, kwargs)
        if exchange is None:
            return await wrapped(*args, **kwargs)
        with sending(exchange, lambda error: _failed(module, error, exchange)):
            response = await wrapped(*args, **kwargs)
        _observe(instance, kwargs, response, exchange)
        return response

    wrap_method(module.ClientSession, "_request", send)


@guarded("sensors.aiohttp.open")
def _opened(module: ModuleType, session: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    watch = current_watch()
    if watch is None:
        return None
    method = args[0] if args else kwargs["method"]
    url = args[1] if len(args) > 1 else kwargs["str_or_url"]
    base = getattr(session, "_base_url", None)
    endpoint = watch.endpoint(str(method), str(url) if base is None else str(session._build_url(url)))  # noqa: SLF001
    if endpoint is None:
        return None
    headers = module.CIMultiDict(kwargs.get("headers") or ())  # ours: the caller's is not changed

    def header(name: str) -> str | None:
        value = headers.get(name) or session.headers.get(name)
        return None if value is None else str(value)

    seen = RequestSeen(
        endpoint=endpoint,
        header=header,
        body=lambda: _body(session, kwargs.get("data"), kwargs.get("json")),
        at_s=time.perf_counter(),
        wall_s=time.time(),
    )
    exchange = watch.open(seen)
    for name, value in exchange.headers.items():
        if header(name) is None:
            headers[name] = value
    kwargs["headers"] = headers
    return exchange


def _body(session: Any, data: Any, json: Any) -> bytes | None:
    if data is None and json is not None:
        try:
            data = session.json_serialize(json)
        except (TypeError, ValueError):  # the host will be told by the library itself
            return None
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, Mapping):  # written as a form, of several parts when there is a file among them
        return form_of(data.items())
    if isinstance(fields := getattr(data, "_fields", None), list):  # of a `FormData`: options, headers, value
        return form_of((options.get("name"), value) for options, _, value in fields)
    return bytes(data) if isinstance(data, (bytes, bytearray)) else None


@guarded("sensors.aiohttp.fail")
def _failed(module: ModuleType, error: BaseException, exchange: Exchange) -> None:
    # `raise_for_status` raises before there is a response to look at.
    if isinstance(error, module.ClientResponseError) and error.status:
        exchange.answered(error.status, (error.headers or {}).get, time.perf_counter())
    exchange.failed(error, time.perf_counter())


@guarded("sensors.aiohttp.observe")
def _observe(session: Any, kwargs: dict[str, Any], response: Any, exchange: Exchange) -> None:
    told = kwargs.get("auto_decompress")
    is_decoded = session.auto_decompress if told is None else told
    header = response.headers.get
    exchange.answered(response.status, of_decoded(header) if is_decoded else header, time.perf_counter())
    if response._body is None:  # noqa: SLF001 -- `read` itself would wait
        response.content = _Content(response.content, exchange)
    else:  # read already, by a middleware or by `raise_for_status`
        exchange.loaded(response._body, time.perf_counter())  # noqa: SLF001


class _Content(Tee):
    """A stream reader whose bytes are shown to an exchange as they are read."""

    # Results are the library's own, so they are not typed again here.

    async def read(self, n: int = -1) -> Any:
        if n < 0:  # the library's own loop, over our `readany`: the first bytes are seen when they come
            return await type(self.__wrapped__).read(self, n)
        return await self._shown(self.__wrapped__.read(n))

    async def readany(self) -> Any:
        return await self._shown(self.__wrapped__.readany())

    async def readline(self, **options: Any) -> Any:
        return await self._shown(self.__wrapped__.readline(**options))

    async def readuntil(self, *args: Any, **options: Any) -> Any:
        return await self._shown(self.__wrapped__.readuntil(*args, **options))

    async def readexactly(self, n: int) -> Any:
        return await type(self.__wrapped__).readexactly(self, n)  # over our `read`: a part is seen as well

    async def readchunk(self) -> Any:
        return await self._shown(self.__wrapped__.readchunk(), lambda chunk: chunk[0])

    def read_nowait(self, n: int = -1) -> bytes:
        data: bytes = self.__wrapped__.read_nowait(n)
        self._tell(data)
        return data

    def iter_chunked(self, n: int) -> Any:
        return type(self.__wrapped__).iter_chunked(self, n)

    def iter_any(self) -> Any:
        return type(self.__wrapped__).iter_any(self)

    def iter_chunks(self) -> Any:
        return type(self.__wrapped__).iter_chunks(self)

    def __aiter__(self) -> Any:
        return type(self.__wrapped__).__aiter__(self)

    def set_exception(self, *args: Any, **kwargs: Any) -> None:
        """Only the response's `close` and `release` come this way: the connection knows the stream itself."""
        try:
            self.__wrapped__.set_exception(*args, **kwargs)
        finally:
            self._tell_closed()

    async def _shown(self, reading: Awaitable[Any], data_of: Callable[[Any], bytes] = bytes) -> Any:
        try:
            result = await reading
        except asyncio.CancelledError:  # the stream can still be read: `wait_for` gives up and tries again
            raise
        except BaseException as error:
            self._self_exchange.failed(error, time.perf_counter())
            raise
        self._tell(data_of(result))
        return result

    def _tell(self, data: bytes) -> None:
        exchange, now = self._self_exchange, time.perf_counter()
        if data and exchange.is_open:
            exchange.received(data, now)
        if self.__wrapped__.at_eof():
            exchange.finished(now)
