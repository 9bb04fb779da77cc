"""requests, without any SDK: every way to read, leave or lose a response."""

from __future__ import annotations

import copy
import gc
import io
import json
import pickle
import shutil
import time
from dataclasses import replace
from decimal import Decimal

import pytest

import or_otel
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Wait
from or_otel.wire.requests import key_fingerprint

requests = pytest.importorskip("requests")

ANSWER = Answer(id="gen-1793700001-a1B2c3D4e5F6g7H8i9J0", created=1793700001)
PRICE = Decimal("0.00025")
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
STREAMED = {**PROMPT, "stream": True}
HEADERS = {"authorization": "Bearer sk-or-v1-0123456789abcdef"}
OURS = "x-openrouter-metadata"


def _copied(response):
    into = io.BytesIO()
    shutil.copyfileobj(response.raw, into)
    return into.getvalue()


def _by_readline(response):
    return b"".join(iter(response.raw.readline, b""))


def _by_chunks(response):
    raw = response.raw
    return b"".join(raw.read_chunked(decode_content=True) if raw.chunked else raw.stream(decode_content=True))


def _by_readinto(response):
    buffer, pieces = bytearray(64), []
    while count := response.raw.readinto(buffer):
        pieces.append(bytes(buffer[:count]))
    return b"".join(pieces)


def _by_next(response):
    return b"".join(iter(lambda: next(response.raw, b""), b""))


def _within(response):
    with response.raw as raw:
        return raw.read()


WAYS = {
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "iter_content": lambda response: list(response.iter_content(7)),
    "iter_content as it comes": lambda response: b"".join(response.iter_content(None)),
    "iter_lines": lambda response: list(response.iter_lines()),
    "iteration": b"".join,
    "raw stream": lambda response: b"".join(response.raw.stream(64, decode_content=True)),
    "raw stream, undecoded": lambda response: b"".join(response.raw.stream(64)),
    "raw chunks": _by_chunks,
    "raw read": lambda response: response.raw.read(),
    "raw read, decoded": lambda response: response.raw.read(decode_content=True),
    "raw read1": lambda response: b"".join(iter(response.raw.read1, b"")),
    "raw lines": lambda response: list(response.raw),
    "raw readline": _by_readline,
    "raw line after line": _by_next,
    "raw lines at once": lambda response: response.raw.readlines(),
    "raw as a context": _within,
    "raw data": lambda response: response.raw.data,
    "raw copied to a file": _copied,
    "raw into a buffer": _by_readinto,
}


@pytest.fixture
def url(openrouter):
    return openrouter.base_url + "/chat/completions"


@pytest.fixture
def session():
    with requests.Session() as session:
        session.headers.update(HEADERS)
        yield session


@pytest.fixture
def watch(openrouter, telemetry):
    return lambda: or_otel.instrument(
        **telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"}, router_metadata=False
    )


@pytest.mark.parametrize("encoding", [None, "gzip"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_read_gives_the_same_bytes_and_one_record(
    way, is_stream, encoding, openrouter, url, session, watch
):
    scenario = scenarios.stream(ANSWER, comments=1) if is_stream else scenarios.plain(ANSWER)
    openrouter.script(*[replace(scenario, encoding=encoding)] * 2)

    def read():
        with session.post(url, json=STREAMED if is_stream else PROMPT, stream=True) as response:
            return WAYS[way](response), response.status_code, response.headers["content-type"]

    unwatched = read()
    watch()
    with or_otel.capture() as calls:
        watched = read()

    if encoding == "gzip":  # what was not decoded was compressed anew, with a time stamp inside
        assert len(watched[0]) == len(unwatched[0])
    else:
        assert watched == unwatched
    one, other = openrouter.requests
    assert (other.method, other.path, other.headers, other.body) == (one.method, one.path, one.headers, one.body)
    (record,) = calls
    assert (record.outcome, record.cost.total, record.response_id) == ("ok", PRICE, ANSWER.id)
    assert (record.usage.input_tokens, record.usage.output_tokens) == (200, 10)
    assert (record.time_to_first_chunk_s is not None) == is_stream


def test_a_session_made_before_is_seen_and_gets_one_header_more(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    response = session.post(url, json=PROMPT)

    assert type(response) is requests.Response
    assert response.json()["id"] == ANSWER.id
    assert pickle.loads(pickle.dumps(response)).json() == response.json()
    assert copy.copy(response).content == response.content
    assert response.elapsed.total_seconds() > 0
    (received,) = openrouter.requests
    assert received.headers[OURS] == "enabled"
    assert json.loads(received.body) == PROMPT
    assert (calls[0].outcome, calls[0].cost.total) == ("ok", PRICE)


def test_a_header_of_the_caller_is_never_replaced(openrouter, url, session, calls):
    session.post(url, json=PROMPT, headers={"X-OpenRouter-Metadata": "disabled"})

    assert openrouter.requests[0].headers[OURS] == "disabled"
    assert len(calls) == 1


def test_a_streamed_answer_keeps_its_types_and_can_be_pickled(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER))

    with session.post(url, json=STREAMED, stream=True) as response:
        assert isinstance(response, requests.Response)
        assert isinstance(response.raw, requests.packages.urllib3.HTTPResponse)
        assert isinstance(response.raw, io.IOBase)
        assert response.raw.status == 200
        again = pickle.loads(pickle.dumps(response))

    assert again.content.endswith(b"data: [DONE]\n\n")
    assert calls[0].outcome == "ok"


def test_the_first_token_is_seen_when_it_comes(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("rest"),)))

    with session.post(url, json=STREAMED, stream=True) as response:
        lines = response.iter_lines(chunk_size=None)
        while b'"content"' not in next(lines):
            pass
        seen_at_s = time.time()
        openrouter.release("rest")
        list(lines)

    (record,) = calls
    assert record.started_at_s + record.time_to_first_chunk_s <= seen_at_s


def test_a_stream_closed_early_is_cancelled(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    with session.post(url, json=STREAMED, stream=True) as response:
        next(response.iter_lines(chunk_size=None))

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("cancelled", "cancelled", 200)
    openrouter.wait_for_disconnect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the abandoned socket
def test_a_stream_left_to_the_garbage_collector_is_cancelled(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    response = session.post(url, json=STREAMED, stream=True)
    next(response.iter_lines(chunk_size=None))
    del response
    gc.collect()
    or_otel.flush()

    (record,) = calls
    assert (record.outcome, record.unpriced) == ("cancelled", "cancelled")


def test_a_connection_given_back_unread_is_cancelled(openrouter, url, session, calls):
    openrouter.script(scenarios.stream(ANSWER, middle=(Wait("never"),)))

    response = session.post(url, json=STREAMED, stream=True)
    response.raw.release_conn()

    assert [record.outcome for record in calls] == ["cancelled"]
    response.close()


def test_an_upload_is_not_consumed(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    session.post(url, data=iter([json.dumps(PROMPT).encode()]))

    assert json.loads(openrouter.requests[0].body) == PROMPT
    assert (calls[0].model, calls[0].cost.total) == (PROMPT["model"], PRICE)


def test_text_as_body_and_bytes_as_headers_are_understood(openrouter, url, session, calls):
    openrouter.script(scenarios.plain(ANSWER))

    session.post(url, data=json.dumps(PROMPT), headers={"authorization": HEADERS["authorization"].encode()})

    (record,) = calls
    assert record.request.model == PROMPT["model"]
    assert record.started.key_id == key_fingerprint(HEADERS["authorization"])


class Canned(requests.adapters.BaseAdapter):
    """An adapter whose body is a plain file."""

    def send(self, request, **_):
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response.raw = io.BytesIO(b"{}")
        return response

    def close(self):
        pass


def test_a_body_that_cannot_be_looked_into_is_left_as_it_is(url, session, calls):
    session.mount("http://", Canned())

    response = session.post(url, json=STREAMED, stream=True)

    assert type(response.raw) is io.BytesIO
    assert response.json() == {}
    assert [record.outcome for record in calls] == ["cancelled"]


@pytest.mark.parametrize(
    ("scenario", "status", "error_type"),
    [(scenarios.no_credits(), 402, "payment_required"), (scenarios.rate_limited(), 429, None)],
    ids=["402", "429"],
)
def test_a_refusal_is_the_same_answer_and_an_error(scenario, status, error_type, openrouter, url, session, calls):
    openrouter.script(scenario)

    response = session.post(url, json=PROMPT)

    assert response.status_code == status
    assert response.json()["error"]
    (record,) = calls
    assert (record.outcome, record.status, record.cost, record.unpriced) == ("error", status, None, None)
    assert error_type in (None, record.failure.error_type)


def test_a_connection_lost_in_the_stream_raises_as_ever(openrouter, url, session, calls):
    openrouter.script(scenarios.lost_mid_stream(ANSWER))

    with (
        session.post(url, json=STREAMED, stream=True) as response,
        pytest.raises(requests.exceptions.ChunkedEncodingError),
    ):
        list(response.iter_lines())

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("error", "error", 200)


def test_a_connection_lost_while_raw_is_read_raises_as_ever(openrouter, url, session, calls):
    openrouter.script(scenarios.lost_mid_stream(ANSWER))

    with (
        session.post(url, json=STREAMED, stream=True) as response,
        pytest.raises(requests.packages.urllib3.exceptions.ProtocolError),
    ):
        response.raw.read()

    assert [(record.outcome, record.unpriced) for record in calls] == [("error", "error")]


def test_a_connection_lost_before_the_answer_raises_as_ever(openrouter, url, session, calls):
    openrouter.script(scenarios.lost_before_headers())

    with pytest.raises(requests.ConnectionError):
        session.post(url, json=PROMPT)

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("error", "error", None)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_followed_redirect_is_one_exchange(is_stream, openrouter, url, session, calls):
    answer = scenarios.stream(ANSWER) if is_stream else scenarios.plain(ANSWER)
    openrouter.script(scenarios.redirected(url + "?again=1"), answer)

    with session.post(url, json={**PROMPT, "stream": is_stream}, stream=is_stream) as response:
        assert ANSWER.id in response.text

    assert len(response.history) == 1
    (record,) = calls
    assert (record.outcome, record.status, len(record.attempts), record.cost.total) == ("ok", 200, 1, PRICE)


def test_connections_are_used_again(openrouter, url, session, calls):
    openrouter.script(*[scenarios.stream(ANSWER)] * 2)
    ports = set()

    for _ in range(2):
        with session.post(url, json=STREAMED, stream=True) as response:
            ports.add(response.raw.connection.sock.getsockname())
            list(response.iter_lines())

    assert len(ports) == 1
    assert len(calls) == 2


def test_what_is_not_ours_is_not_touched(openrouter, session, calls):
    with session.get(openrouter.base_url + "/models", stream=True) as response:
        assert type(response.raw) is requests.packages.urllib3.HTTPResponse
        assert response.json()["data"]

    assert OURS not in openrouter.requests[0].headers
    assert calls == []


def test_uninstrument_restores_the_method_exactly(watch):
    before = requests.Session.__dict__["send"]
    watch()
    assert requests.Session.__dict__["send"] is not before

    or_otel.uninstrument()

    assert requests.Session.__dict__["send"] is before
