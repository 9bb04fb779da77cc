"""Watches `Session.send` of requests: one exchange with its redirects and with urllib3's own retries.

A body that `send` did not read itself is seen through a stand-in for `response.raw`: all of
requests' readers go through it, and so do those who read `raw` themselves. Bytes come
decoded or not, as each read asks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from or_otel.exchange import Exchange, RequestSeen
from or_otel.guard import guarded
from or_otel.sensors.patching import Tee, current_watch, of_decoded, sending, wrap_method

MODULE = "requests.sessions"


def install(module: ModuleType) -> None:
    """Patch `MODULE`."""
    wrap_method(module.Session, "send", _send)


def _send(wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    del instance
    exchange = _opened(args, kwargs)
    if exchange is None:
        return wrapped(*args, **kwargs)
    with sending(exchange):
        response = wrapped(*args, **kwargs)
    _observe(response, exchange)
    return response


@guarded("sensors.requests.open")
def _opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exchange | None:
    watch = current_watch()
    if watch is None:
        return None
    request = args[0] if args else kwargs["request"]
    endpoint = watch.endpoint(str(request.method), str(request.url))
    if endpoint is None:
        return None

    def header(name: str) -> str | None:
        value = request.headers.get(name)
        return value.decode("latin-1") if isinstance(value, bytes) else value

    def body() -> bytes | None:
        content = request.body
        if isinstance(content, str):
            return content.encode()
        return content if isinstance(content, bytes) else None  # a file or generator: reading would consume it

    seen = RequestSeen(endpoint=endpoint, header=header, body=body, at_s=time.perf_counter(), wall_s=time.time())
    exchange = watch.open(seen)
    for name, value in exchange.headers.items():
        request.headers.setdefault(name, value)
    return exchange


@guarded("sensors.requests.observe")
def _observe(response: Any, exchange: Exchange) -> None:
    exchange.answered(response.status_code, of_decoded(response.headers.get), time.perf_counter())
    if response._content is not False:  # noqa: SLF001 -- `content` itself would read the stream
        exchange.loaded(response._content or b"", time.perf_counter())  # noqa: SLF001
    elif hasattr(response.raw, "stream"):
        response.raw = _Raw(response.raw, exchange, response)
    else:  # an adapter's own kind of body, which nobody can see into
        exchange.closed(time.perf_counter())


class _Raw(Tee):
    """A urllib3 response whose bytes are shown to an exchange as they are read."""

    def __init__(self, inner: Any, exchange: Exchange, response: Any) -> None:
        super().__init__(inner, exchange)
        self._self_head = (response.status_code, response.headers.get)
        self._self_is_begun = False

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        is_decoded = self._is_decoded(args[1:], kwargs)
        return self._shown(self.__wrapped__.stream(*args, **kwargs), is_decoded=is_decoded)

    def read_chunked(self, *args: Any, **kwargs: Any) -> Iterator[bytes]:
        is_decoded = bool(args[1] if len(args) > 1 else kwargs.get("decode_content"))
        return self._shown(self.__wrapped__.read_chunked(*args, **kwargs), is_decoded=is_decoded)

    def read(self, *args: Any, **kwargs: Any) -> Any:
        amount = args[0] if args else kwargs.get("amt")
        return self._read(self.__wrapped__.read, amount, args, kwargs)

    def read1(self, *args: Any, **kwargs: Any) -> Any:
        amount = args[0] if args else kwargs.get("amt")
        return self._read(self.__wrapped__.read1, 0 if amount == 0 else 1, args, kwargs)

    def readline(self, size: int = -1) -> Any:
        return self._read(self.__wrapped__.readline, 0 if size == 0 else 1, (size,), {})

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def __iter__(self) -> Any:
        return type(self.__wrapped__).__iter__(self)  # reads through our `stream`

    def __next__(self) -> Any:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def readlines(self, hint: int | None = -1) -> Any:
        return list(self) if hint is None or hint <= 0 else self.__wrapped__.readlines(hint)

    def __enter__(self) -> Any:
        self.__wrapped__.__enter__()
        return self

    @property
    def data(self) -> Any:
        return self.read(cache_content=True) if self.__wrapped__._body is None else self.__wrapped__.data  # noqa: SLF001

    def close(self) -> None:
        try:
            self.__wrapped__.close()
        finally:
            self._tell_closed()

    def release_conn(self) -> None:
        try:
            self.__wrapped__.release_conn()
        finally:
            self._tell_closed()

    def _is_decoded(self, later: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        told = later[0] if later else kwargs.get("decode_content")
        return bool(self.__wrapped__.decode_content if told is None else told)

    def _shown(self, chunks: Iterator[bytes], *, is_decoded: bool) -> Iterator[bytes]:
        try:
            for chunk in chunks:
                self._tell(chunk, is_decoded=is_decoded)
                yield chunk
        except GeneratorExit:  # the reader left: `close` follows, or the finaliser tells
            raise
        except BaseException as error:
            self._self_exchange.failed(error, time.perf_counter())
            raise
        self._self_exchange.finished(time.perf_counter())

    def _read(self, reader: Callable[..., Any], amount: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        is_decoded = self._is_decoded(args[1:], kwargs)
        try:
            data = reader(*args, **kwargs)
        except BaseException as error:
            self._self_exchange.failed(error, time.perf_counter())
            raise
        if data:
            self._tell(data, is_decoded=is_decoded)
        if amount is None or amount < 0 or (amount and not data):
            self._self_exchange.finished(time.perf_counter())
        return data

    def _tell(self, data: bytes, *, is_decoded: bool) -> None:
        exchange = self._self_exchange
        if not exchange.is_open:
            return
        now = time.perf_counter()
        if not self._self_is_begun and not is_decoded:  # the answer was told as of a decoded body; it is none
            exchange.answered(*self._self_head, now)
        self._self_is_begun = True
        exchange.received(data, now)
