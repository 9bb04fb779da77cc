"""Real recorded traffic through real clients: every figure of the record is the figure in the file.

The recordings lie outside the repository; without them these tests are skipped.
"""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
import httpx2
import openai
import pytest

from or_otel.simulator.scenarios import Chunk, Scenario
from or_otel.wire.endpoints import Hosts

yaml = pytest.importorskip("yaml")
CASSETTES = sorted((Path(__file__).parents[2] / "shared" / "recordings" / "ruby_llm").glob("*.yml"))
DROPPED = {"content-encoding", "content-length", "transfer-encoding", "connection", "content-type", "server", "date"}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    pass


_Loader.add_constructor("!binary", lambda _, node: base64.b64decode(node.value))


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One recorded exchange."""

    request: dict
    status: int
    headers: dict
    body: bytes

    @property
    def is_stream(self):
        return "event-stream" in self.headers.get("content-type", "")

    @functools.cached_property
    def chunks(self):
        """The file's own figures, read by the standard library."""
        if not self.is_stream:
            return [json.loads(self.body, parse_float=Decimal)]
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: {")]
        return [json.loads(line, parse_float=Decimal) for line in lines]

    def scenario(self, split):
        told = tuple((name, value) for name, value in self.headers.items() if name not in DROPPED)
        if not self.is_stream:
            return Scenario(status=self.status, headers=told, body=self.body)
        steps = tuple(Chunk(part + b"\n\n") for part in self.body.split(b"\n\n") if part)
        return Scenario(status=self.status, headers=told, steps=steps, split=split)

    def first(self, key):
        return next((chunk[key] for chunk in self.chunks if isinstance(chunk.get(key), str)), None)


def _bytes(text):
    return text if isinstance(text, bytes) else text.encode()


@functools.cache
def recorded():
    """Give every exchange with a chat endpoint, of all files."""
    found = []
    for path in CASSETTES:
        if path.stem.startswith("chat_"):
            for interaction in yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)["http_interactions"]:
                request, response = interaction["request"], interaction["response"]
                if Hosts().endpoint(request["method"], request["uri"]) is not None:
                    headers = {name.lower(): values[0] for name, values in response["headers"].items()}
                    asked = json.loads(_bytes(request["body"]["string"]))
                    status = response["status"]["code"]
                    body = _bytes(response["body"]["string"])
                    found.append(Recorded(request=asked, status=status, headers=headers, body=body))
    return found


def check(record, exchange):
    usages = [chunk["usage"] for chunk in exchange.chunks if isinstance(chunk.get("usage"), dict)]
    reasons = [choice.get("finish_reason") for chunk in exchange.chunks for choice in chunk.get("choices") or ()]
    errors = [chunk["error"] for chunk in exchange.chunks if chunk.get("error")]
    assert record.status == exchange.status
    assert record.response_id == exchange.first("id")
    assert record.model == exchange.first("model")
    assert record.provider == exchange.first("provider")
    assert record.request.model == exchange.request["model"]
    assert record.request.is_stream == bool(exchange.request.get("stream"))
    assert record.finish_reasons == ((next((reason for reason in reasons if reason), None),) if reasons else ())
    is_error = bool(errors) or exchange.status >= 400 or "error" in reasons
    assert record.outcome == ("error" if is_error else "ok")
    assert (record.failure is not None) == is_error
    if exchange.status >= 400:
        assert record.failure.status == exchange.status
    if not usages:
        assert record.usage is record.cost is None
        return
    usage = usages[-1]
    assert record.usage.input_tokens == usage["prompt_tokens"]
    assert record.usage.output_tokens == usage["completion_tokens"]
    assert record.cost.charged == Decimal(usage["cost"])
    assert record.generation_id == exchange.headers.get("x-generation-id", record.response_id)
    assert record.unpriced is None


def replay_with_openai(module, openrouter, exchange):
    with openai.OpenAI(
        base_url=openrouter.base_url, api_key="sk-or-v1-x", max_retries=0, http_client=module.Client()
    ) as client:
        try:
            answer = client.chat.completions.create(
                model=exchange.request["model"],
                messages=exchange.request["messages"],
                stream=exchange.is_stream,
                extra_body={key: value for key, value in exchange.request.items() if key not in {"model", "messages"}},
            )
            if exchange.is_stream:
                list(answer)
        except openai.APIError:
            assert exchange.status >= 400 or any(chunk.get("error") for chunk in exchange.chunks)


def replay_raw(module, openrouter, exchange):
    with (
        module.Client() as client,
        client.stream("POST", openrouter.base_url + "/chat/completions", json=exchange.request) as response,
    ):
        assert b"".join(response.iter_bytes()).strip(b"\n") == exchange.body.strip(b"\n")


@pytest.mark.skipif(not CASSETTES, reason="the recordings are not here")
@pytest.mark.parametrize("split", ["event", 5], ids=["by event", "cut at random"])
@pytest.mark.parametrize(
    ("replay", "module"),
    [(replay_with_openai, httpx), (replay_with_openai, httpx2), (replay_raw, httpx), (replay_raw, httpx2)],
    ids=["openai over httpx", "openai over httpx2", "httpx", "httpx2"],
)
def test_every_recording_is_told_as_it_was(replay, module, split, openrouter, calls):
    exchanges = [exchange for exchange in recorded() if exchange.is_stream or split == "event"]
    assert len(exchanges) > 5

    for exchange in exchanges:
        openrouter.script(exchange.scenario(split))
        replay(module, openrouter, exchange)
        check(calls[-1], exchange)

    assert len(calls) == len(exchanges)
