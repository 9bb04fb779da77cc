"""aiohttp, without any SDK: every way to read, leave, cancel or lose a response."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import time
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest

import or_otel
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Wait

aiohttp = pytest.importorskip("aiohttp")

ANSWER = Answer(id="gen-1793700001-a1B2c3D4e5F6g7H8i9J0", created=1793700001)
PRICE = Decimal("0.00025")
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
STREAMED = {**PROMPT, "stream": True}
HEADERS = {"authorization": "Bearer sk-or-v1-0123456789abcdef"}
OURS = "x-openrouter-metadata"


async def _until_empty(read):
    pieces = []
    while piece := await read():
        pieces.append(piece)
    return pieces


async def _chunks_until_empty(response):
    chunks = []
    while (chunk := await response.content.readchunk()) != (b"", False):
        chunks.append(chunk[0])
    return b"".join(chunks)


async def _joined(iterable):
    return b"".join([piece if isinstance(piece, bytes) else piece[0] async for piece in iterable])


async def _lines(response):
    return [line async for line in response.content]


async def _joined_reads(response):
    return b"".join(await _until_empty(response.content.readany))


async def _joined_pieces(response):
    return b"".join(await _until_empty(lambda: response.content.read(7)))


WAYS = {
    "read": lambda response: response.read(),
    "text": lambda response: response.text(),
    "content.read": lambda response: response.content.read(),
    "content.read in pieces": _joined_pieces,
    "content.readany": _joined_reads,
    "content.readline": lambda response: _until_empty(response.content.readline),
    "content.readuntil": lambda response: _until_empty(lambda: response.content.readuntil(b"\n")),
    "content.readchunk": _chunks_until_empty,
    "iter_any": lambda response: _joined(response.content.iter_any()),
    "iter_chunked": lambda response: _joined(response.content.iter_chunked(64)),
    "iter_chunks": lambda response: _joined(response.content.iter_chunks()),
    "lines": _lines,
}


@pytest.fixture
def url(openrouter):
    return openrouter.base_url + "/chat/completions"


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        yield session


@pytest.fixture
def watch(openrouter, telemetry):
    return lambda: or_otel.instrument(
        **telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, router_metadata=False
    )


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("way", WAYS)
async def test_every_way_to_read_gives_the_same_bytes_and_one_record(
    way, is_stream, encoding, openrouter, url, session, watch
):
    scenario = scenarios.stream(ANSWER, comments=1) if is_stream else scenarios.plain(ANSWER)
    openrouter.script(*[replace(scenario, encoding=encoding)] * 2)

    async def read():
        async with session.post(url, json=STREAMED if is_stream else PROMPT) as response:
            return await WAYS[way](response), response.status, response.headers["content-type"]

    unwatched = await read()
    watch()
    with or_otel.capture() as calls:
        watched = await read()

    assert watched == unwatched
    one, other = openrouter.requests
    assert (other.method, other.path, other.headers, other.body) == (one.method, one.path, one.headers, one.body)
    (record,) = calls
    assert (record.outcome, record.cost.total, record.response_id) == ("ok", PRICE, ANSWER.id)
    assert (record.usage.input_tokens, record.usage.output_tokens) == (200, 10)
    assert (record.time_to_first_chunk_s is not None) == is_stream


async def test_a_body_that_the_session_does_not_decode_is_still_understood(openrouter, url, calls):
    openrouter.script(replace(scenarios.stream(ANSWER), encoding="gzip"))

    async with (
        aiohttp.ClientSession(headers=HEADERS, auto_decompress=False) as session,
        session.post(url, json=STREAMED) as response,
    ):
        assert (await response.read())[:2] == b"\x1f\x8b"

    assert (calls[0].outcome, calls[0].cost.total) == ("ok", PRICE)


async def test_a_session_made_before_is_seen_and_gets_one_header_more(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))
    headers = {"x-mine": "1"}

    async with session.post(url, json=PROMPT, headers=headers) as response:
        answer = await response.json()

    assert type(response) is aiohttp.ClientResponse
    assert isinstance(response.content, aiohttp.StreamReader)
    assert answer["id"] == ANSWER.id
    assert headers == {"x-mine": "1"}
    (received,) = openrouter.requests
    assert (received.headers[OURS], received.headers["x-mine"]) == ("enabled", "1")
    assert received.headers["authorization"] == HEADERS["authorization"]
    assert json.loads(received.body) == PROMPT
    (record,) = calls
    assert (record.outcome, record.cost.total) == ("ok", PRICE)
    assert record.request.model == PROMPT["model"]
    assert record.started.key_id is not None


def _form():
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(b"RIFF"), filename="a.wav")
    form.add_field("prompt", "secret")
    form.add_field("model", "openai/gpt-4o-mini-transcribe")
    return form


@pytest.mark.parametrize(
    "form", [_form, lambda: {"file": io.BytesIO(b"RIFF"), "model": "openai/gpt-4o-mini-transcribe"}]
)
async def test_a_form_tells_its_model_and_is_sent_as_it_is(openrouter, session, calls, form):
    async with session.post(openrouter.base_url + "/audio/transcriptions", data=form()) as response:
        answer = await response.json()

    (received,) = openrouter.requests
    assert answer["text"]
    assert b"RIFF" in received.body
    (record,) = calls
    assert record.request.model == "openai/gpt-4o-mini-transcribe"
    assert (record.outcome, record.cost.total) == ("ok", openrouter.book.total())


async def test_a_header_of_the_caller_is_never_replaced(openrouter, url, session, calls):
    async with session.post(url, json=PROMPT, headers={"X-OpenRouter-Metadata": "disabled"}) as response:
        await response.read()

    assert openrouter.requests[0].headers[OURS] == "disabled"
    assert len(calls) == 1


async def test_a_path_below_the_sessions_base_url_is_seen(openrouter, calls):
    async with (
        aiohttp.ClientSession(openrouter.base_url + "/", headers=HEADERS) as session,
        session.post("chat/completions", data=json.dumps(PROMPT)) as response,
    ):
        assert response.status == 200
        await response.read()

    assert (calls[0].request.model, calls[0].cost.total) == (PROMPT["model"], openrouter.book.total())


async def test_the_first_token_is_seen_when_it_comes(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("rest"),)))

    async with session.post(url, json=STREAMED) as response:
        while b'"content"' not in await response.content.readline():
            pass
        await response.content.readline()  # the empty line that ends the event
        seen_at_s = time.time()
        openrouter.release("rest")
        await response.read()

    (record,) = calls
    assert record.outcome == "ok"
    assert record.started_at_s + record.time_to_first_chunk_s <= seen_at_s


@pytest.mark.parametrize("leave", ["close", "release"])
async def test_a_stream_left_early_is_cancelled(leave, openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    response = await session.post(url, json=STREAMED)
    await response.content.readline()
    getattr(response, leave)()

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("cancelled", "cancelled", 200)


async def test_a_stream_left_by_its_block_is_cancelled(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    async with session.post(url, json=STREAMED) as response:
        async for _ in response.content:
            break

    (record,) = calls
    assert (record.outcome, record.unpriced) == ("cancelled", "cancelled")


@pytest.mark.filterwarnings("ignore:Unclosed:ResourceWarning")
async def test_a_stream_left_to_the_garbage_collector_is_cancelled(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # aiohttp tells it of the unclosed response

    response = await session.post(url, json=STREAMED)
    await response.content.readline()
    del response
    await session.close()  # until then the connection holds the response, watched or not
    gc.collect()
    or_otel.flush()

    (record,) = calls
    assert (record.outcome, record.unpriced) == ("cancelled", "cancelled")


async def test_a_read_that_was_given_up_can_be_tried_again(openrouter, url, session, calls):
    first, *rest = scenarios.content_steps(ANSWER)
    openrouter.script(scenarios.Scenario(steps=(first, Wait("rest"), *rest, *scenarios.closing_steps(ANSWER))))

    async with session.post(url, json=STREAMED) as response:
        await response.content.readuntil(b"\n\n")
        waiting = asyncio.create_task(response.content.readline())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        openrouter.release("rest")
        await response.read()

    (record,) = calls
    assert (record.outcome, record.cost.total) == ("ok", PRICE)


async def test_less_than_exactly_wanted_is_seen_as_well(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    async with session.post(url, json=PROMPT) as response:
        with pytest.raises(asyncio.IncompleteReadError):
            await response.content.readexactly(10**6)

    assert (calls[0].outcome, calls[0].cost.total) == ("ok", PRICE)


async def test_a_body_read_before_the_caller_gets_it_is_recorded(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    async def check(response):
        await response.read()

    async with session.post(url, data=json.dumps(PROMPT).encode(), raise_for_status=check) as response:
        assert (await response.json())["id"] == ANSWER.id

    (record,) = calls
    assert (record.request.model, record.outcome, record.cost.total) == (PROMPT["model"], "ok", PRICE)


async def test_what_is_already_there_can_be_read_without_waiting(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    async with session.post(url, json=PROMPT) as response:
        await response.content.wait_eof()
        assert ANSWER.id in response.content.read_nowait().decode()

    assert (calls[0].outcome, calls[0].cost.total) == ("ok", PRICE)


async def test_a_body_that_cannot_be_written_raises_as_ever(url, session, calls):
    with pytest.raises(TypeError, match="not JSON serializable"):
        await session.post(url, json={**PROMPT, "extra": object()})

    (record,) = calls
    assert (record.outcome, record.status, record.failure.error_type) == ("error", None, "TypeError")


async def test_an_upload_is_not_consumed(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    async def pieces():
        yield json.dumps(PROMPT).encode()

    async with session.post(url, data=pieces()) as response:
        await response.read()

    assert json.loads(openrouter.requests[0].body) == PROMPT
    assert (calls[0].model, calls[0].cost.total) == (PROMPT["model"], PRICE)


async def test_a_task_cancelled_before_the_headers_is_cancelled_and_told_once(openrouter, url, session, calls):
    openrouter.script(replace(scenarios.plain(), before=(Wait("never"),)))
    task = asyncio.create_task(session.post(url, json=PROMPT).__aenter__())
    await asyncio.to_thread(openrouter.wait_for, 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("cancelled", "cancelled", None)


async def test_a_task_cancelled_in_the_stream_is_cancelled_with_what_was_seen(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(middle=(Wait("never"),)))
    begun = asyncio.Event()

    async def read():
        async with session.post(url, json=STREAMED) as response:
            async for line in response.content:
                if b'"content"' in line:
                    begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (record,) = calls
    assert (record.outcome, record.status, record.model) == ("cancelled", 200, PROMPT["model"])


@pytest.mark.parametrize(
    ("scenario", "status"), [(scenarios.no_credits(), 402), (scenarios.rate_limited(), 429)], ids=["402", "429"]
)
async def test_a_refusal_is_the_same_answer_and_an_error(scenario, status, openrouter, url, session, calls):
    openrouter.script(scenario)

    async with session.post(url, json=PROMPT) as response:
        assert response.status == status
        assert (await response.json())["error"]

    (record,) = calls
    assert (record.outcome, record.status, record.cost, record.unpriced) == ("error", status, None, None)


async def test_a_refusal_raised_by_the_session_tells_its_status(openrouter, url, calls):
    openrouter.script(scenarios.no_credits())

    async with aiohttp.ClientSession(headers=HEADERS, raise_for_status=True) as session:
        with pytest.raises(aiohttp.ClientResponseError) as raised:
            await session.post(url, json=PROMPT)

    assert raised.value.status == 402
    (record,) = calls
    assert (record.outcome, record.status, record.unpriced) == ("error", 402, None)


async def test_a_connection_lost_in_the_stream_raises_as_ever(openrouter, url, session, calls):
    openrouter.script(scenarios.lost_mid_stream(ANSWER))

    async with session.post(url, json=STREAMED) as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("error", "error", 200)
    assert record.failure.error_type == "ClientPayloadError"


async def test_a_connection_lost_before_the_answer_raises_as_ever(openrouter, url, session, calls):
    openrouter.script(scenarios.lost_before_headers())

    with pytest.raises(aiohttp.ServerDisconnectedError):
        await session.post(url, json=PROMPT)

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("error", "error", None)


async def test_a_followed_redirect_is_one_exchange(openrouter, url, session, calls):
    openrouter.script(scenarios.redirected(url + "?again=1"), scenarios.plain(ANSWER))

    async with session.post(url, json=PROMPT) as response:
        assert (await response.json())["id"] == ANSWER.id

    assert len(response.history) == 1
    (record,) = calls
    assert (record.outcome, record.status, len(record.attempts), record.cost.total) == ("ok", 200, 1, PRICE)


async def test_connections_are_used_again(openrouter, url, calls):
    openrouter.script(*[scenarios.stream(ANSWER)] * 2)
    seen = []

    async def created(*_):
        seen.append("created")

    async def used_again(*_):
        seen.append("used again")

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(created)
    tracing.on_connection_reuseconn.append(used_again)
    async with aiohttp.ClientSession(headers=HEADERS, trace_configs=[tracing]) as session:
        for _ in range(2):
            async with session.post(url, json=STREAMED) as response:
                await response.read()

    assert seen == ["created", "used again"]
    assert len(calls) == 2


class OverAiohttp(httpx.AsyncBaseTransport):
    """An httpx client's way out over aiohttp, as litellm has one."""

    def __init__(self, session):
        self.session = session

    async def handle_async_request(self, request):
        sent = self.session.post(str(request.url), data=request.content, headers=dict(request.headers))
        async with sent as response:
            return httpx.Response(response.status, headers=dict(response.headers), content=await response.read())


async def test_a_session_below_an_httpx_client_is_not_seen_twice(openrouter, url, session, calls):
    async with httpx.AsyncClient(transport=OverAiohttp(session)) as client:
        response = await client.post(url, json=PROMPT, headers=HEADERS)

    assert response.status_code == 200
    (record,) = calls
    assert (len(record.attempts), record.cost.total) == (1, openrouter.book.total())


async def test_what_is_not_ours_is_not_touched(openrouter, session, calls):
    async with session.get(openrouter.base_url + "/models") as response:
        assert type(response.content) is aiohttp.StreamReader
        assert (await response.json())["data"]

    assert OURS not in openrouter.requests[0].headers
    assert calls == []


def test_uninstrument_restores_the_method_exactly(watch):
    before = aiohttp.ClientSession.__dict__["_request"]
    watch()
    assert aiohttp.ClientSession.__dict__["_request"] is not before

    or_otel.uninstrument()

    assert aiohttp.ClientSession.__dict__["_request"] is before
