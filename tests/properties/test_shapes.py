"""The readers of responses, messages and works: no bytes make them raise, chunking and passing over change nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from or_otel.facts import Request
from or_otel.wire.endpoints import Hosts
from or_otel.wire.messages import MessagesFacts
from or_otel.wire.readers import reader_for
from or_otel.wire.requests import read_request
from or_otel.wire.responses import ResponsesFacts

PATHS = {
    "responses": "/responses",
    "messages": "/v1/messages",
    "images": "/images",
    "rerank": "/rerank",
    "videos": "/videos",
}
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6)
)
STRANGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
COUNTS = st.integers(-1, 99) | STRANGE
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "input_tokens": COUNTS,
        "cache_read_input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "total_tokens": COUNTS,
        "cost": st.floats(0, 1) | STRANGE,
        "cost_details": STRANGE,
    },
)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["function_call", "message", "reasoning", "tool_use", "text"]) | STRANGE},
    optional={
        "name": st.sampled_from(["f", "g"]) | STRANGE,
        "call_id": st.sampled_from(["a", "b"]) | STRANGE,
        "arguments": st.sampled_from(["", "{}", "{"]) | STRANGE,
        "input": STRANGE | st.just({"a": 2**70}),
        "text": st.text(max_size=4) | STRANGE,
        "content": STRANGE,
        "summary": STRANGE,
    },
)
WHOLES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just("gen-1") | STRANGE,
        "model": st.just("a/b") | STRANGE,
        "provider": st.just("P") | STRANGE,
        "service_tier": st.just("flex") | STRANGE,
        "status": st.sampled_from(["completed", "incomplete", "failed", "cancelled", "queued"]) | STRANGE,
        "incomplete_details": STRANGE | st.just({"reason": "max_output_tokens"}),
        "stop_reason": st.sampled_from(["end_turn", "tool_use", None]) | STRANGE,
        "output": st.lists(ITEMS, max_size=2) | STRANGE,
        "content": st.lists(ITEMS, max_size=2) | STRANGE,
        "usage": USAGES | STRANGE,
        "error": STRANGE | st.just({"code": "server_error", "type": "overloaded_error"}),
        "error_type": st.just("server") | STRANGE,
        "openrouter_metadata": STRANGE | st.just({"attempt": 2, "is_byok": True}),
    },
)
KINDS = st.sampled_from(
    [
        *(
            "response.created",
            "response.in_progress",
            "response.completed",
            "response.failed",
            "response.error",
            "error",
        ),
        *("response.output_text.delta", "response.function_call_arguments.delta", "response.reasoning_text.delta"),
        *("response.output_item.added", "response.output_item.done", "response.new_thing"),
        *("message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "ping"),
        *("image_generation.partial_image", "image_generation.completed"),
    ]
)
DELTAS = st.text(max_size=6) | st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=6) | STRANGE,
        "thinking": st.text(max_size=6),
        "partial_json": st.sampled_from(["{", "}", ""]) | STRANGE,
        "stop_reason": st.sampled_from(["end_turn", "max_tokens"]) | STRANGE,
    },
)
BODIES = st.one_of(
    st.fixed_dictionaries(
        {"type": KINDS},
        optional={
            "response": WHOLES | STRANGE,
            "message": WHOLES | STRANGE,
            "item": ITEMS | STRANGE,
            "content_block": ITEMS | STRANGE,
            "output_index": st.integers(0, 2) | STRANGE,
            "index": st.integers(0, 2) | STRANGE,
            "delta": DELTAS | STRANGE,
            "usage": USAGES | STRANGE,
            "error": STRANGE,
            "openrouter_metadata": STRANGE | st.just({"attempt": 2}),
        },
    ),
    WHOLES,
    STRANGE,
)
EVENTS = st.builds(
    lambda body, separators, ascii_only: (
        b"event: x\ndata: " + json.dumps(body, separators=separators, ensure_ascii=ascii_only).encode() + b"\n\n"
    ),
    BODIES,
    st.sampled_from([(",", ":"), (", ", ": ")]),
    st.booleans(),
)
FIRST = {
    "responses": b'data: {"type":"response.output_text.delta","output_index":0,"delta":"x"}\n\n',
    "messages": b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}\n\n',
    "images": b'data: {"type":"image_generation.partial_image"}\n\n',
}


class _SlowResponses(ResponsesFacts):
    """Decodes every event."""

    def matters(self, data):
        del data
        return True


class _SlowMessages(MessagesFacts):
    """Decodes every event."""

    matters = _SlowResponses.matters


SLOW = {"responses": _SlowResponses, "messages": _SlowMessages}


def _reader(api, kind="text/event-stream", status=200, limit=0):
    endpoint = Hosts().endpoint("POST", f"https://openrouter.ai/api{PATHS[api]}")
    request = Request(tool_names=frozenset({"f"}))
    return reader_for(endpoint, request, status=status, header={"content-type": kind}.get, content_limit_bytes=limit)


def _read(reader, chunks):
    for chunk in chunks:
        reader.feed(chunk)
    has_content, is_terminal = reader.has_content, reader.is_terminal
    reader.close()
    return reader.answer(), has_content, is_terminal


@pytest.mark.parametrize("api", FIRST)
@given(st.lists(EVENTS, max_size=6), st.lists(st.integers(0, 2000), max_size=6))
@settings(deadline=None)
def test_any_chunking_of_a_stream_reads_alike(api, events, cuts):
    stream = FIRST[api] + b"".join(events)
    places = sorted({min(cut, len(stream)) for cut in cuts})
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]

    whole = _read(_reader(api), [stream])

    assert _read(_reader(api), pieces) == whole
    assert _read(_reader(api), [FIRST[api], *events]) == whole


@pytest.mark.parametrize("api", SLOW)
@given(st.lists(EVENTS, max_size=6))
@settings(deadline=None, max_examples=200)
def test_passing_over_events_and_keeping_content_change_no_fact(api, events):
    chunks = [FIRST[api], *events]
    slow = _reader(api)
    slow._facts.__class__ = SLOW[api]

    fast = _read(_reader(api), chunks)

    assert fast == _read(slow, chunks)
    assert fast == _read(_reader(api, limit=1000), chunks)


@pytest.mark.parametrize("api", PATHS)
@given(BODIES, st.binary(max_size=100), st.sampled_from([200, 404]))
@settings(deadline=None)
def test_no_body_makes_a_reader_raise(api, body, noise, status):
    for data in (json.dumps(body).encode(), noise):
        reader = _reader(api, "application/json", status, limit=100)
        _read(reader, [data])
        reader.output_messages()


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"--x", b"\r\n", b'name="model"', b"a/b", b'name="stream"', b"true"])).map(b"".join)
)
@settings(deadline=None)
def test_no_form_makes_the_reader_of_requests_raise(body):
    read_request(b"--" + body, {}.get)
