"""Raw clients of httpx and httpx2, without any SDK: every way to read, leave, share or lose a response."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import hashlib
import io
import json
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import httpx
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import or_otel
from or_otel.sensors.httpx import _Tee
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Wait
from or_otel.wire.endpoints import Hosts

LIBRARIES = {"httpx": httpx, "httpx2": httpx2}
ANSWER = Answer(id="gen-1793700001-a1B2c3D4e5F6g7H8i9J0", created=1793700001)
PRICE = Decimal("0.00025")
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
KEY = "sk-or-v1-0123456789abcdef"
HEADERS = {"authorization": f"Bearer {KEY}"}

SYNC_WAYS = {
    "read": lambda response: response.read(),
    "json": lambda response: response.read() and response.json(),
    "iter_bytes": lambda response: b"".join(response.iter_bytes()),
    "iter_bytes in pieces": lambda response: list(response.iter_bytes(7)),
    "iter_text": lambda response: "".join(response.iter_text()),
    "iter_lines": lambda response: list(response.iter_lines()),
    "iter_raw": lambda response: b"".join(response.iter_raw()),
}


async def _all(iterable):
    return [item async for item in iterable]


async def _read_then_json(response):
    return await response.aread() and response.json()


async def _joined(iterable, empty):
    return empty.join(await _all(iterable))


ASYNC_WAYS = {
    "read": lambda response: response.aread(),
    "json": _read_then_json,
    "iter_bytes": lambda response: _joined(response.aiter_bytes(), b""),
    "iter_bytes in pieces": lambda response: _all(response.aiter_bytes(7)),
    "iter_text": lambda response: _joined(response.aiter_text(), ""),
    "iter_lines": lambda response: _all(response.aiter_lines()),
    "iter_raw": lambda response: _joined(response.aiter_raw(), b""),
}


@pytest.fixture
def module(library):
    return LIBRARIES[library]


@pytest.fixture
def url(openrouter):
    return openrouter.base_url + "/chat/completions"


@pytest.fixture
def client(module, openrouter):
    with module.Client(headers=HEADERS, timeout=20) as client:
        yield client


@pytest.fixture
async def async_client(module, openrouter):
    async with module.AsyncClient(headers=HEADERS, timeout=20) as client:
        yield client


@pytest.fixture
def watch(openrouter, telemetry):
    """Begin to watch when asked, and give the list of records."""
    return lambda: or_otel.instrument(
        **telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, router_metadata=False
    )


def scripted(encoding, *, is_stream):
    scenario = scenarios.stream(ANSWER, comments=1) if is_stream else scenarios.plain(ANSWER)
    return replace(scenario, encoding=encoding)


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize(
    ("way", "is_stream"),
    [(way, is_stream) for way in SYNC_WAYS for is_stream in (False, True) if not (way == "json" and is_stream)],
)
async def test_every_way_to_read_gives_the_same_bytes_and_one_record(
    way, is_stream, encoding, mode, module, openrouter, url, watch
):
    openrouter.script(*[scripted(encoding, is_stream=is_stream)] * 2)
    body = {**PROMPT, "stream": is_stream}

    async def read():
        if mode == "sync":
            with module.Client(headers=HEADERS) as client, client.stream("POST", url, json=body) as response:
                return SYNC_WAYS[way](response), response.headers["content-type"], response.is_closed
        async with (
            module.AsyncClient(headers=HEADERS) as client,
            client.stream("POST", url, json=body) as response,
        ):
            return await ASYNC_WAYS[way](response), response.headers["content-type"], response.is_closed

    unwatched = await read()
    watch()
    with or_otel.capture() as calls:
        watched = await read()

    if way == "iter_raw" and encoding == "gzip":  # compressed anew each time, with a time stamp inside
        assert len(watched[0]) == len(unwatched[0])
    else:
        assert watched == unwatched
    (record,) = calls
    assert (record.outcome, record.cost.total, record.response_id) == ("ok", PRICE, ANSWER.id)
    assert (record.usage.input_tokens, record.usage.output_tokens) == (200, 10)
    assert (record.time_to_first_chunk_s is not None) == is_stream


def test_a_posted_answer_is_recorded_and_keeps_its_type_pickle_and_elapsed(client, module, openrouter, url, calls):
    openrouter.script(scenarios.plain(ANSWER))

    response = client.post(url, json=PROMPT)

    assert type(response) is module.Response
    assert pickle.loads(pickle.dumps(response)).json() == response.json()
    assert copy.copy(response).content == response.content
    assert response.elapsed.total_seconds() > 0
    assert calls[0].cost.total == PRICE
    assert calls[0].started.key_id == hashlib.sha256(KEY.encode()).hexdigest()[:12]


def test_a_streamed_answer_can_be_copied_and_pickled_once_read(client, module, openrouter, url, calls):
    openrouter.script(scenarios.stream(ANSWER))

    with client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
        assert isinstance(response.stream, module.SyncByteStream)
        assert copy.copy(response.stream) is not response.stream
        response.read()

    assert pickle.loads(pickle.dumps(response)).content == response.content
    assert response.elapsed.total_seconds() > 0
    assert calls[0].outcome == "ok"


def connection_of(response):
    return response.extensions["network_stream"].get_extra_info("client_addr")


def test_connections_are_used_again(client, openrouter, url, calls):
    openrouter.script(*[scenarios.stream(ANSWER)] * 2, scenarios.plain(ANSWER))
    seen = set()

    for _ in range(2):
        with client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
            list(response.iter_lines())
            seen.add(connection_of(response))
    seen.add(connection_of(client.post(url, json=PROMPT)))

    assert len(seen) == 1
    assert len(calls) == 3


async def test_connections_are_used_again_by_asynchronous_clients(async_client, openrouter, url, calls):
    openrouter.script(*[scenarios.stream(ANSWER)] * 2)
    seen = set()

    for _ in range(2):
        async with async_client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
            await _all(response.aiter_lines())
            seen.add(connection_of(response))

    assert len(seen) == 1
    assert len(calls) == 2


@pytest.mark.skipif(openai.__version__ < "3", reason="openai 2 closes at the terminator without draining")
async def test_the_openai_client_still_drains_and_uses_its_connection_again(async_driver, openrouter, calls):
    driver = async_driver  # the synchronous one closes at the terminator without draining, watched or not
    openrouter.script(scenarios.stream(ANSWER), scenarios.stream(ANSWER))
    seen = []

    for _ in range(2):
        stream = await driver.create(stream=True)
        seen.append(connection_of(stream.response))
        await driver.take(stream)

    assert seen[0] == seen[1]
    assert [record.outcome for record in calls] == ["ok", "ok"]


def test_a_response_left_unread_is_a_cancelled_call(client, openrouter, url, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    with client.stream("POST", url, json={**PROMPT, "stream": True}):
        assert calls == []

    assert [(record.outcome, record.unpriced) for record in calls] == [("cancelled", "cancelled")]


def test_a_response_that_is_dropped_ends_its_call_at_the_next_chance(client, openrouter, url, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))
    response = client.send(client.build_request("POST", url, json={**PROMPT, "stream": True}), stream=True)
    lines = response.iter_lines()
    next(lines)

    del lines, response
    gc.collect()
    or_otel.flush()

    assert [(record.outcome, record.model) for record in calls] == [("cancelled", "anthropic/claude-haiku-4.5")]


async def test_leaving_a_loop_over_an_asynchronous_stream_ends_its_call(async_client, openrouter, url, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    async with async_client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
        async for _ in response.aiter_lines():
            break

    assert [record.outcome for record in calls] == ["cancelled"]


def test_threads_that_share_a_client_keep_their_own_figures(client, openrouter, url, calls):
    answers = [replace(ANSWER, id=f"gen-{n}", output_cost=Decimal(n) / 10**7) for n in range(24)]
    openrouter.script(*(scenarios.stream(answer, comments=1) for answer in answers))
    heard = []
    end = or_otel.on_call(heard.append)

    def read(_):
        with client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
            return b"".join(response.iter_bytes())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(read, range(24)))
    assert or_otel.flush()
    end()

    assert {record.response_id: record.cost.total for record in heard} == {a.id: a.charged for a in answers}


@pytest.mark.filterwarnings("default::DeprecationWarning")
def test_streams_are_read_under_uvloop(module, openrouter, url, calls):
    uvloop = pytest.importorskip("uvloop")
    openrouter.script(*[scenarios.stream(ANSWER)] * 3)

    async def read():
        async with module.AsyncClient(headers=HEADERS) as client:

            async def one():
                async with client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
                    return await _all(response.aiter_lines())

            return await asyncio.gather(one(), one(), one())

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert len(runner.run(read())) == 3

    assert [(record.outcome, record.cost.total) for record in calls] == [("ok", PRICE)] * 3


def test_an_upload_that_is_streamed_is_not_consumed_by_us(client, openrouter, url, calls):
    openrouter.script(scenarios.plain(ANSWER))
    body = json.dumps(PROMPT).encode()

    client.post(url, content=(body[n : n + 10] for n in range(0, len(body), 10)))

    assert openrouter.requests[0].body == body
    assert (calls[0].request.model, calls[0].model) == (None, "anthropic/claude-haiku-4.5")


def test_a_transport_that_answers_at_once_is_seen_too(module, calls):
    def answer(request):
        return module.Response(200, json=scenarios.chat_body(ANSWER) | {"usage": {"cost": 0.5, "is_byok": False}})

    with module.Client(transport=module.MockTransport(answer)) as client:
        body = client.post("https://openrouter.ai/api/v1/chat/completions", json=PROMPT).json()

    assert body["usage"]["cost"] == 0.5
    assert calls[0].cost.total == Decimal("0.5")


def test_a_subclass_of_a_client_is_seen_once(module, openrouter, url, calls):
    class Mine(module.Client):
        def send(self, request, **options):
            request.headers["x-mine"] = "1"
            return super().send(request, **options)

    openrouter.script(scenarios.plain(ANSWER))
    with Mine(headers=HEADERS) as client:
        client.post(url, json=PROMPT)

    assert openrouter.requests[0].headers["x-mine"] == "1"
    assert len(calls) == 1


def test_azure_is_told_by_its_declared_host_and_its_own_key_header(module, openrouter, monkeypatch, telemetry):
    host = openrouter.base_url.split("/")[2]
    monkeypatch.setenv("OR_OTEL_HOSTS", f"{host}=azure.ai.openai")
    or_otel.instrument(**telemetry.providers, prices=False)
    openrouter.script(scenarios.openai_shaped())
    client = openai.AzureOpenAI(
        azure_endpoint=f"http://{host}",
        api_key="azure-key-1",
        api_version="2026-01-01",
        http_client=module.Client(),
        max_retries=0,
    )

    with or_otel.capture() as calls, client:
        client.chat.completions.create(**{**PROMPT, "model": "my-deployment"})

    (record,) = calls
    assert openrouter.requests[0].path.startswith("/openai/deployments/my-deployment/chat/completions?")
    assert "x-openrouter-metadata" not in openrouter.requests[0].headers
    assert (record.endpoint.provider, record.endpoint.is_openrouter) == ("azure.ai.openai", False)
    assert (record.usage.input_tokens, record.cost, record.unpriced) == (200, None, "not_reported")
    assert record.started.key_id == hashlib.sha256(b"azure-key-1").hexdigest()[:12]


async def test_clients_of_both_libraries_and_kinds_side_by_side_are_all_seen(openrouter, url, calls):
    openrouter.script(*[scenarios.plain(ANSWER)] * 4)

    for each in LIBRARIES.values():
        with each.Client() as client:
            client.post(url, json=PROMPT)
        async with each.AsyncClient() as client:
            await client.post(url, json=PROMPT)

    assert [record.cost.total for record in calls] == [PRICE] * 4


# What is not ours is not touched ------------------------------------------------------------------

INFERENCE = "/api/v1/chat/completions"
OTHER_PATHS = st.sampled_from(
    [
        "/",
        "/api/v1/models",
        "/api/v1/generation",
        "/v1/files",
        "/chat/completions/x",
        "/v1/audio",
        "/xchat/completionsx",
    ]
) | st.text("abc/._-", max_size=30).map(lambda text: "/" + text)
OTHER_HOSTS = st.sampled_from(
    ["example.com", "openrouter.ai.example.com", "notopenrouter.ai", "api.openai.com.evil.test", "127.0.0.1", "[::1]"]
) | st.from_regex(r"[a-z]{1,10}\.(org|test)", fullmatch=True)
NOT_OURS = st.one_of(
    st.tuples(st.just("POST"), OTHER_HOSTS, st.just(INFERENCE) | OTHER_PATHS),
    st.tuples(st.just("POST"), st.just("openrouter.ai"), OTHER_PATHS),
    st.tuples(st.sampled_from(["GET", "PUT", "DELETE", "HEAD"]), st.just("openrouter.ai"), st.just(INFERENCE)),
)


@given(request_line=NOT_OURS, library=st.sampled_from(sorted(LIBRARIES)))
@settings(max_examples=150, deadline=None)
def test_no_body_that_is_not_ours_is_ever_touched(request_line, library):
    method, host, path = request_line
    module = LIBRARIES[library]
    touched = []

    class Body(module.SyncByteStream):
        def __iter__(self):
            touched.append(self)
            yield b"secret"

    answered = []

    class Answers(module.BaseTransport):
        def handle_request(self, request):
            answered.append((request.stream, dict(request.headers)))
            return module.Response(200, stream=Body())

    or_otel.instrument()
    try:
        with or_otel.capture() as calls, module.Client(transport=Answers()) as client:
            request = module.Request(method, f"https://{host}{path}", stream=Body(), headers={"x": "1"})
            response = client.send(request, stream=True)
            assert not isinstance(response.stream, _Tee)
            response.close()
    finally:
        or_otel.uninstrument()

    assert Hosts().endpoint(method, f"https://{host}{path}") is None
    assert touched == []
    assert calls == []
    assert answered[0][0] is request.stream
    assert "x-openrouter-metadata" not in answered[0][1]


# The first token ----------------------------------------------------------------------------------


def test_comments_and_roles_are_no_first_token(client, openrouter, url, calls):
    first, *rest = scenarios.content_steps(ANSWER, is_role_first=True)
    steps = (
        scenarios.Comment(),
        first,
        Wait("comment"),
        scenarios.Comment("STILL PROCESSING"),
        Wait("content"),
        *rest,
        *scenarios.closing_steps(ANSWER),
    )
    openrouter.script(scenarios.Scenario(steps=steps))

    with client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
        lines = response.iter_lines()
        while '"role"' not in next(lines):
            pass
        openrouter.release("comment")
        while "STILL" not in next(lines):
            pass
        released_at_s = time.time()
        openrouter.release("content")
        while "Lisbon" not in next(lines):
            pass
        seen_at_s = time.time()
        list(lines)

    (record,) = calls
    # The record's begin is the wall clock's reading of the same moment that the interval is counted from.
    first_at_s = record.started_at_s + record.time_to_first_chunk_s
    assert released_at_s <= first_at_s <= seen_at_s


async def test_reasoning_is_a_first_token_and_an_empty_delta_is_none(async_client, openrouter, url, calls):
    answer = scenarios.reasoned(ANSWER)
    role, thought, *rest = scenarios.content_steps(answer, is_role_first=True)
    steps = (role, Wait("thought"), thought, Wait("rest"), *rest, *scenarios.closing_steps(answer))
    openrouter.script(scenarios.Scenario(steps=steps))

    async with async_client.stream("POST", url, json={**PROMPT, "stream": True}) as response:
        lines = response.aiter_lines()
        while '"role"' not in await anext(lines):
            pass
        released_at_s = time.time()
        openrouter.release("thought")
        while '"reasoning"' not in await anext(lines):
            pass
        seen_at_s = time.time()
        openrouter.release("rest")
        await _all(lines)

    (record,) = calls
    assert released_at_s <= record.started_at_s + record.time_to_first_chunk_s <= seen_at_s
    assert record.usage.reasoning_tokens == 20


def test_an_event_hook_that_asks_a_model_itself_is_no_part_of_the_attempt(module, openrouter, url, calls):
    """A call from within `send` has the outer exchange as its observer; the host's result is its own."""
    openrouter.script(scenarios.plain(ANSWER), scenarios.plain(ANSWER))
    inner = threading.local()

    def ask_too(response):
        if not getattr(inner, "is_asking", False):
            inner.is_asking = True
            with module.Client() as second:
                assert second.post(url, json=PROMPT).status_code == 200

    with module.Client(event_hooks={"response": [ask_too]}) as client:
        assert client.post(url, json=PROMPT).status_code == 200

    assert len(openrouter.requests) == 2
    assert [record.outcome for record in calls] == ["ok"]


@pytest.mark.parametrize("model", ["openai/whisper-1", "x" * 300])
def test_an_upload_tells_its_model_and_its_file_stays_unread(module, model):
    class Unread(io.BytesIO):
        def read(self, *_):
            raise AssertionError("the file was read")

    class Answers(module.BaseTransport):
        def handle_request(self, _):
            return module.Response(200, json={"text": "", "usage": {"cost": 0.5}})

    or_otel.instrument()
    with or_otel.capture() as calls, module.Client(transport=Answers()) as client:
        fields = {"model": model, "prompt": "secret", "stream": "true"}
        files = {"file": ("a.wav", Unread(b"RIFF")), "model": ("model", Unread(b"no field"))}
        client.post("https://openrouter.ai/api/v1/audio/transcriptions", data=fields, files=files)

    assert calls[0].request.model == (model if len(model) < 300 else None)
    assert calls[0].request.is_stream


@pytest.mark.parametrize("fields", [None, 3, [object()], {"model": "a"}])
def test_a_stream_that_is_no_form_tells_nothing_and_is_sent(module, fields):
    class Body(module.SyncByteStream):
        def __init__(self):
            self.fields = fields

        def __iter__(self):
            yield b"x"

    class Answers(module.BaseTransport):
        def handle_request(self, request):
            return module.Response(200, json={"sent": b"".join(request.stream).decode()})

    or_otel.instrument()
    with or_otel.capture() as calls, module.Client(transport=Answers()) as client:
        answer = client.post("https://openrouter.ai/api/v1/audio/transcriptions", content=Body())

    assert (answer.json(), calls[0].request.model) == ({"sent": "x"}, None)


def _waiting(module):
    """Give a coroutine that was run in a context of its own, up to where it waits for an answer."""

    class Silent(module.AsyncBaseTransport):
        async def handle_async_request(self, _):
            await asyncio.Event().wait()

    async def send():
        with or_otel.operation():
            await module.AsyncClient(transport=Silent()).post(
                "https://openrouter.ai/api/v1/chat/completions", json=PROMPT
            )

    sending = send()
    contextvars.copy_context().run(sending.send, None)
    return sending


async def test_a_coroutine_closed_from_another_context_closes_as_it_would_unwatched(module, calls, caplog):
    sending = _waiting(module)

    sending.close()

    assert [record.outcome for record in calls] == ["cancelled"]
    assert caplog.messages == []


async def test_a_lost_task_waits_until_its_collection_is_over_to_end_its_call(module, calls):
    lost = {"coroutine": _waiting(module)}
    lost["itself"] = lost
    during = []
    gc.disable()
    del lost
    gc.callbacks.append(lambda phase, _: during.append(len(calls)) if phase == "stop" else None)
    try:
        gc.collect()
    finally:
        gc.callbacks.pop()
        gc.enable()
    or_otel.flush()

    assert during == [0]
    assert [record.outcome for record in calls] == ["cancelled"]
