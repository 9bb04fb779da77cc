"""Real recorded traffic and the payload examples: every figure we read is the figure in the file.

Both lie outside the repository; without them these tests are skipped.
"""

from __future__ import annotations

import base64
import json
import random
from decimal import Decimal
from pathlib import Path

import pytest

from or_otel.facts import Endpoint, Request
from or_otel.wire.endpoints import Hosts
from or_otel.wire.readers import reader_for
from or_otel.wire.requests import read_request

yaml = pytest.importorskip("yaml")
SHARED = Path(__file__).parents[3] / "shared"
CASSETTES = sorted((SHARED / "recordings" / "ruby_llm").glob("chat_*.yml"))
EXAMPLES = SHARED / "facts" / "openrouter-examples"
ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_constructor("!binary", lambda _, node: base64.b64decode(node.value))


def _exchanges(path):
    for _, *exchange in _all_exchanges(path):
        yield exchange


def _all_exchanges(path):
    for interaction in yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)["http_interactions"]:
        request, response = interaction["request"], interaction["response"]
        if Hosts().endpoint(request["method"], request["uri"]) is None:
            continue
        headers = {name.lower(): values[0] for name, values in response["headers"].items()}
        headers.pop("content-encoding", None)
        bodies = [_bytes(each["body"]["string"]) for each in (request, response)]
        yield request["uri"], bodies[0], response["status"]["code"], headers, bodies[1]


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


def _parsed(body, headers):
    """The file's own figures, read by the standard library."""
    if "event-stream" not in headers.get("content-type", ""):
        return [json.loads(body, parse_float=Decimal)]
    lines = [line[6:] for line in body.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line, parse_float=Decimal) for line in lines]


def _first(chunks, key):
    return next((chunk[key] for chunk in chunks if isinstance(chunk.get(key), str)), None)


def _answer(body, *, status, headers, request=b"{}", sizes=(2**30,), seed=0, endpoint=ENDPOINT):
    choose = random.Random(seed)
    reader = reader_for(endpoint, read_request(request, {}.get), status=status, header=headers.get)
    at = 0
    while at < len(body):
        size = choose.choice(sizes)
        reader.feed(body[at : at + size])
        at += size
    reader.close()
    return reader.answer()


def _check(answer, chunks, status):
    usages = [chunk["usage"] for chunk in chunks if isinstance(chunk.get("usage"), dict)]
    reasons = [choice.get("finish_reason") for chunk in chunks for choice in chunk.get("choices") or ()]
    errors = [chunk["error"] for chunk in chunks if chunk.get("error")]
    assert answer.id == _first(chunks, "id")
    assert answer.model == _first(chunks, "model")
    assert answer.provider == _first(chunks, "provider")
    assert answer.finish_reasons == ((next((r for r in reasons if r), None),) if reasons else ())
    assert answer.is_complete
    assert not answer.is_usage_unreadable
    assert (answer.failure is not None) == (bool(errors) or status >= 400 or "error" in reasons)
    if not usages:
        assert answer.usage is answer.cost is None
        return
    usage = usages[-1]
    assert answer.usage.input_tokens == usage["prompt_tokens"]
    assert answer.usage.output_tokens == usage["completion_tokens"]
    assert answer.usage.reasoning_tokens == (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    assert answer.usage.cache_read_tokens == (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
    assert answer.cost.charged == usage["cost"]
    assert answer.cost.upstream == usage["cost_details"]["upstream_inference_cost"]
    assert answer.cost.input == usage["cost_details"].get("upstream_inference_prompt_cost")
    assert answer.cost.is_byok == usage.get("is_byok")


@pytest.mark.skipif(not CASSETTES, reason="the recordings are not here")
@pytest.mark.parametrize("path", CASSETTES, ids=lambda path: path.stem)
def test_every_figure_of_a_recording_is_read_however_it_is_cut(path):
    for request, status, headers, body in _exchanges(path):
        chunks = _parsed(body, headers)

        whole = _answer(body, status=status, headers=headers, request=request)

        _check(whole, chunks, status)
        for seed, sizes in enumerate([(1, 7, 100, 1000), (17, 400), (250, 260, 270)]):
            assert _answer(body, status=status, headers=headers, request=request, sizes=sizes, seed=seed) == whole


@pytest.mark.skipif(not CASSETTES, reason="the recordings are not here")
def test_recordings_are_read_alike_byte_by_byte():
    for path in [path for path in CASSETTES if "streaming" in path.stem][:4]:
        for request, status, headers, body in _exchanges(path):
            bytewise = _answer(body, status=status, headers=headers, request=request, sizes=(1,))

            assert bytewise == _answer(body, status=status, headers=headers, request=request)


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not here")
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("chat*.json")) + sorted(EXAMPLES.glob("error*.json")), ids=str)
def test_every_example_is_read(path):
    chunks = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    told = json.loads((EXAMPLES / "index.json").read_text(encoding="utf-8")).get(path.name, {})
    status = told.get("status", 200)
    if isinstance(chunks, dict):
        chunks, body, kind = [chunks], path.read_bytes(), "application/json"
    else:
        plain = json.loads(path.read_text(encoding="utf-8"))
        body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in plain) + b"data: [DONE]\n\n"
        kind = "text/event-stream"
    headers = {**told.get("headers", {}), "content-type": kind}

    answer = _answer(body, status=status, headers=headers)

    _check(answer, chunks, status)


WORKS = sorted(
    path
    for kind in ("embedding", "rerank", "speech", "transcription", "image")
    for path in (SHARED / "recordings" / "ruby_llm").glob(f"{kind}_*.yml")
)


@pytest.mark.skipif(not WORKS, reason="the recordings are not here")
@pytest.mark.parametrize("path", WORKS, ids=lambda path: path.stem)
def test_embeddings_rankings_and_media_are_read_as_recorded(path):
    for url, request, status, headers, body in _all_exchanges(path):
        endpoint = Hosts().endpoint("POST", url)

        answer = _answer(body, status=status, headers=headers, request=request, endpoint=endpoint, sizes=(900, 7000))

        assert answer.is_complete
        assert answer.failure is None
        assert read_request(request, {}.get).model.count("/") == 1
        if endpoint.api == "speech":
            assert (answer.usage, answer.cost) == (None, None)
            continue
        told = json.loads(body, parse_float=Decimal)
        usage = told["usage"]
        input_tokens = next(usage[key] for key in ("prompt_tokens", "input_tokens", "total_tokens") if key in usage)
        assert (answer.id, answer.model, answer.provider) == (told.get("id"), told.get("model"), told.get("provider"))
        assert answer.usage.input_tokens == input_tokens
        assert answer.usage.output_tokens == usage.get("completion_tokens", usage.get("output_tokens"))
        assert answer.cost.charged == usage["cost"] > 0


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not here")
@pytest.mark.parametrize(
    ("name", "input_tokens", "output_tokens", "cost", "finish"),
    [
        ("responses.json", 300, 20, "0.0000574", ("stop",)),
        ("responses-stream.json", 300, 20, "0.0000574", ("stop",)),
        ("messages.json", 12720, 20, "0.0055191", ("stop",)),
        ("messages-stream.json", 12720, 20, "0.0055191", ("stop",)),
        ("embeddings.json", 500, None, "0.00001", ()),
        ("rerank.json", None, None, "0.002", ()),
        ("images.json", 12, 1290, "0.0387", ()),
        ("transcription.json", None, None, "0.00042", ()),
    ],
)
def test_the_examples_of_the_other_apis_are_read(name, input_tokens, output_tokens, cost, finish):
    told = json.loads((EXAMPLES / "index.json").read_text(encoding="utf-8"))[name]
    body = json.loads((EXAMPLES / name).read_text(encoding="utf-8"))
    kind = "application/json" if isinstance(body, dict) else "text/event-stream"
    if isinstance(body, dict):
        data = (EXAMPLES / name).read_bytes()
    else:
        data = b"".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in body)
    endpoint = Hosts().endpoint("POST", f"https://openrouter.ai/api/v1{told['path']}")

    answer = _answer(data, status=told["status"], headers={"content-type": kind}, endpoint=endpoint, sizes=(60, 700))

    assert answer.is_complete
    assert (answer.cost.charged, answer.finish_reasons) == (Decimal(cost), finish)
    if input_tokens is not None:
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (input_tokens, output_tokens)


def test_a_request_asks_for_what_its_body_says():
    assert read_request(b'{"model":"a/b","stream":true}', {}.get) == Request(model="a/b", is_stream=True)
