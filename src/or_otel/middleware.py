"""Tags for every request of a web application: one middleware for ASGI, one for WSGI.

A request's headers and whatever a function makes of it come in; tags are in force while the
application works on it, its streaming response and background tasks included. Imports no
framework. A header is what the client says: name only those that a proxy of yours sets.
Sources: the ASGI HTTP and WebSocket specification 2.5, PEP 3333.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from or_otel.guard import wall
from or_otel.operations import Steps, tag_context

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class TagsMiddleware:
    """Tag every call made for an ASGI request: Starlette, FastAPI, Litestar, Django, Quart.

    `app.add_middleware(TagsMiddleware, headers={"x-tenant": "customer"})`.

    Args:
        app: The application.
        headers: Request header → tag.
        tags: Makes tags of the connection scope; wins over headers. A fault of it costs the tags, not the request.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        headers: Mapping[str, str] | None = None,
        tags: Callable[[Scope], Mapping[str, object]] | None = None,
    ) -> None:
        self._app = app
        self._headers = {name.lower().encode("latin-1"): tag for name, tag in (headers or {}).items()}
        self._tags = tags

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        found: dict[str, object] = {}
        with wall("middleware.tags"):
            for name, value in scope["headers"]:
                if name in self._headers:
                    found[self._headers[name]] = value
            if self._tags is not None:
                found.update(self._tags(scope))
        with Steps(tag_context(found)):
            await self._app(scope, receive, send)


class WsgiTagsMiddleware:
    """Tag every call made for a WSGI request: Flask, Django, Bottle, Pyramid.

    `app.wsgi_app = WsgiTagsMiddleware(app.wsgi_app, headers={"x-tenant": "customer"})`.

    Args:
        app: The application.
        headers: Request header → tag.
        tags: Makes tags of the environ; wins over headers. A fault of it costs the tags, not the request.
    """

    def __init__(
        self,
        app: WsgiApp,
        *,
        headers: Mapping[str, str] | None = None,
        tags: Callable[[Environ], Mapping[str, object]] | None = None,
    ) -> None:
        self._app = app
        self._headers = {_variable(name): tag for name, tag in (headers or {}).items()}
        self._tags = tags

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        found: dict[str, object] = {}
        with wall("middleware.tags"):
            for name, tag in self._headers.items():
                if name in environ:
                    found[tag] = environ[name].encode("latin-1", "replace")  # PEP 3333: bytes in disguise
            if self._tags is not None:
                found.update(self._tags(environ))
        steps = Steps(tag_context(found))
        with steps:
            body = self._app(environ, start_response)
        # What is there already makes no more calls: servers take its length, or send a file by the system.
        file_type = environ.get("wsgi.file_wrapper")
        is_there = isinstance(body, list | tuple) or (isinstance(file_type, type) and isinstance(body, file_type))
        return body if is_there else _Body(body, steps)


def _variable(header: str) -> str:
    """Give the name that a request header has in a WSGI environ."""
    name = header.upper().replace("-", "_")
    return name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"


class _Body:
    """A response body that is made, and closed, under the tags of its request."""

    def __init__(self, body: Iterable[bytes], steps: Steps) -> None:
        self._body = body
        self._steps = steps
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._steps:
            if self._chunks is None:
                self._chunks = iter(self._body)
            return next(self._chunks)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            with self._steps:
                close()
