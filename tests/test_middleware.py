"""Tags of web requests: from headers and functions, over streams and background work, and never into the next one."""

from __future__ import annotations

import asyncio
import io
import threading
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import FileWrapper

import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.middleware.base import BaseHTTPMiddleware

from or_otel import guard
from or_otel.middleware import TagsMiddleware, WsgiTagsMiddleware
from or_otel.operations import current_tags, tags

HEADERS = {"X-Tenant": "customer"}
ACME = {"x-tenant": "acme"}


@pytest.fixture
def app():
    app = FastAPI()
    app.add_middleware(TagsMiddleware, headers=HEADERS, tags=lambda scope: {"feature": scope.get("path")})
    app.state.seen = []

    @app.get("/plain")
    def plain():
        return dict(current_tags())

    @app.get("/waiting")
    async def waiting():
        await asyncio.sleep(0)
        return dict(current_tags())

    @app.get("/stream")
    def stream():
        return StreamingResponse(current_tags().get("customer", "nobody") + "\n" for _ in range(3))

    @app.get("/stream-async")
    async def stream_async():
        async def lines():
            for _ in range(3):
                await asyncio.sleep(0)
                yield current_tags().get("customer", "nobody") + "\n"

        return StreamingResponse(lines())

    @app.get("/background")
    def background(tasks: BackgroundTasks):
        tasks.add_task(lambda: app.state.seen.append(dict(current_tags())))
        return {}

    @app.websocket("/socket")
    async def socket(socket: WebSocket):
        await socket.accept()
        await socket.send_json(dict(current_tags()))
        await socket.close()

    return app


@pytest.fixture
def client(app):
    with TestClient(app) as client:
        yield client


@pytest.mark.parametrize("path", ["/plain", "/waiting"])
def test_a_request_is_tagged_by_header_and_function(client, path):
    assert client.get(path, headers=ACME).json() == {"customer": "acme", "feature": path}


def test_a_header_that_is_not_named_and_one_that_is_not_sent_give_no_tag(client):
    assert client.get("/plain", headers={"x-team": "search"}).json() == {"feature": "/plain"}


@pytest.mark.parametrize("path", ["/stream", "/stream-async"])
def test_a_stream_keeps_the_tags_of_its_request(client, path):
    assert client.get(path, headers=ACME).text.split() == ["acme"] * 3


def test_background_work_keeps_the_tags_of_its_request(client, app):
    client.get("/background", headers=ACME)

    assert app.state.seen == [{"customer": "acme", "feature": "/background"}]


def test_a_websocket_is_tagged(client):
    with client.websocket_connect("/socket", headers=ACME) as socket:
        assert socket.receive_json() == {"customer": "acme", "feature": "/socket"}


def test_tags_reach_through_another_middleware(app):
    async def passing(request, call_next):
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    with TestClient(app) as client:
        assert client.get("/stream", headers=ACME).text.split() == ["acme"] * 3


def test_nothing_of_a_request_is_left_for_the_next(client):
    client.get("/plain", headers=ACME)

    assert client.get("/plain").json() == {"feature": "/plain"}
    assert current_tags() == {}


def test_concurrent_requests_keep_their_own_tags():
    async def app(scope, receive, send):
        await gate.wait()
        seen[scope["path"]] = current_tags()["customer"]

    async def main():
        await asyncio.gather(*(tagged(scope(path), None, None) for path in "abc"))

    def scope(path):
        return {"type": "http", "path": path, "headers": [(b"x-tenant", path.encode())]}

    seen, gate = {}, asyncio.Barrier(3)
    tagged = TagsMiddleware(app, headers=HEADERS)
    asyncio.run(main())

    assert seen == {"a": "a", "b": "b", "c": "c"}


def test_a_fault_of_the_function_costs_the_tags_and_not_the_request(app):
    broken = FastAPI()
    broken.add_middleware(TagsMiddleware, headers=HEADERS, tags=lambda scope: scope["no such key"])
    broken.get("/")(lambda: dict(current_tags()))

    with TestClient(broken) as client:
        assert client.get("/", headers=ACME).json() == {"customer": "acme"}

    assert guard.faults.pop("middleware.tags") == 1


async def test_odd_values_of_headers_are_text():
    seen = {}

    async def app(scope, receive, send):
        seen.update(current_tags())

    headers = [(b"x-tenant", b"gr\xc3\xbcn \xff" + b"a" * 1000)]
    await TagsMiddleware(app, headers=HEADERS)({"type": "http", "headers": headers}, None, None)

    assert seen["customer"].startswith("grün \ufffdaaa")
    assert len(seen["customer"]) == 256


class Lines:
    """A body that is made late and closed, as frameworks make them."""

    def __init__(self, seen):
        self.seen = seen

    def __iter__(self):
        for _ in range(3):
            with tags(feature="inside"):
                yield f"{dict(current_tags())}\n".encode()

    def close(self):
        self.seen.append(dict(current_tags()))


@pytest.fixture
def wsgi():
    seen = []

    def app(environ, start_response):
        start_response("200 OK", [("content-type", "text/plain")])
        if environ["PATH_INFO"] == "/list":
            return [f"{dict(current_tags())}".encode()]
        return Lines(seen)

    class Quiet(WSGIRequestHandler):
        def log_message(self, *_):
            pass

    tagged = WsgiTagsMiddleware(app, headers=HEADERS, tags=lambda environ: {"method": environ["REQUEST_METHOD"]})
    with make_server("127.0.0.1", 0, tagged, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()

        def get(path, **headers):
            request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", headers=headers)
            with urllib.request.urlopen(request) as answer:
                return answer.read().decode(), answer.headers

        get.seen = seen
        yield get
        server.shutdown()
        thread.join()


def test_a_wsgi_request_is_tagged_by_header_and_function(wsgi):
    body, headers = wsgi("/list", **ACME)

    assert body == "{'customer': 'acme', 'method': 'GET'}"
    assert headers["content-length"] == str(len(body))


def test_wsgi_headers_that_have_names_of_their_own_are_found_too():
    seen = {}

    def app(environ, start_response):
        seen.update(current_tags())
        return []

    headers = {"Content-Type": "kind", "content-length": "size", "x-tenant": "customer"}
    environ = {"CONTENT_TYPE": "text/plain", "CONTENT_LENGTH": "12", "HTTP_X_TENANT": "acme"}
    WsgiTagsMiddleware(app, headers=headers)(environ, None)

    assert seen == {"kind": "text/plain", "size": "12", "customer": "acme"}


def test_a_wsgi_stream_is_made_and_closed_under_its_tags(wsgi):
    body, _ = wsgi("/stream", **ACME)

    assert body.splitlines() == ["{'customer': 'acme', 'method': 'GET', 'feature': 'inside'}"] * 3
    assert wsgi.seen[-1]["customer"] == "acme"


def test_nothing_of_a_wsgi_request_is_left_for_the_next(wsgi):
    wsgi("/stream", **ACME)

    assert wsgi("/list")[0] == "{'method': 'GET'}"


def test_wsgi_headers_in_utf_8_are_read_as_such():
    seen = []

    def app(environ, start_response):
        seen.append(dict(current_tags()))
        return []

    WsgiTagsMiddleware(app, headers=HEADERS)({"HTTP_X_TENANT": "grün".encode().decode("latin-1")}, None)

    assert seen == [{"customer": "grün"}]


def test_a_file_that_the_server_sends_itself_is_left_to_it():
    body = FileWrapper(io.BytesIO(b"report"))

    given = WsgiTagsMiddleware(lambda *_: body, headers=HEADERS)({"wsgi.file_wrapper": FileWrapper}, None)

    assert given is body
