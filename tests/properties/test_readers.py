from __future__ import annotations

import json
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st

from or_otel.facts import Endpoint, Request
from or_otel.wire.chat import ChatFacts
from or_otel.wire.content import read_input
from or_otel.wire.encoding import decoder_for
from or_otel.wire.endpoints import Hosts
from or_otel.wire.readers import reader_for
from or_otel.wire.requests import key_fingerprint, read_request
from or_otel.wire.sse import EventStream
from or_otel.wire.tool_calls import JsonCheck

ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)
NOTHING = st.sampled_from([None, "", [], {}, 0, False])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.just("stop"),
)
STRANGE = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
CONTENT = st.one_of(st.text(max_size=12), st.sampled_from(['"usage"', "\n\ndata: [DONE]\n\n", "é\u2028", "\\"]))
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": CONTENT | STRANGE,
        "reasoning": CONTENT,
        "tool_calls": st.lists(
            st.fixed_dictionaries(
                {},
                optional={
                    "index": st.integers(0, 2) | STRANGE,
                    "id": st.sampled_from(["a", "b"]) | NOTHING,
                    "function": st.fixed_dictionaries(
                        {},
                        optional={
                            "name": st.sampled_from(["f", "g"]) | STRANGE,
                            "arguments": st.text('{}[]",:1 a', max_size=6) | STRANGE,
                        },
                    ),
                },
            ),
            max_size=2,
        )
        | NOTHING,
    },
)
REASONS = st.sampled_from(["stop", "error", "length", None]) | STRANGE
CHOICES = st.fixed_dictionaries(
    {"delta": DELTAS},
    optional={
        "index": st.integers(0, 3) | STRANGE,
        "finish_reason": REASONS,
        "native_finish_reason": REASONS,
        "error": STRANGE,
        "logprobs": st.none(),
    },
)
USAGES = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": st.integers(-1, 99) | STRANGE,
        "cost": st.floats(0, 1) | STRANGE,
        "is_byok": st.booleans() | STRANGE,
        "cost_details": STRANGE,
    },
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, max_size=2) | STRANGE},
    optional={
        "id": st.just("gen-1") | STRANGE,
        "model": st.sampled_from(["a/b", "c/d"]) | STRANGE,
        "provider": st.just("P") | STRANGE,
        "service_tier": st.sampled_from(["default", None]),
        "usage": USAGES | st.none() | STRANGE,
        "error": STRANGE | st.just({"code": 502}),
        "openrouter_metadata": STRANGE | st.just({"attempt": 2, "is_byok": True}),
    },
)
PLAIN_CHUNK = {"id": "g", "model": "a/b", "choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]}
PLAIN_CHUNKS = CONTENT.map(
    lambda text: {**PLAIN_CHUNK, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
)
# Plain content with one key more: the events that must not be passed over by mistake.
TELLING_CHUNKS = st.sampled_from(
    [
        {"usage": {"prompt_tokens": 1, "cost": 0.5}},
        {"error": {"code": 502}},
        {"openrouter_metadata": {"attempt": 2}},
        {"service_tier": "flex"},
        {"provider": "P"},
        {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "delta": {"content": "x"}, "native_finish_reason": "end_turn"}]},
        {"choices": [{"index": 0, "delta": {"content": "x", "tool_calls": [{"function": {"name": "f"}}]}}]},
        {"choices": [{"index": 0, "delta": {"content": "x"}, "error": {"code": 502}}]},
    ]
).map(lambda extra: {**PLAIN_CHUNK, **extra})
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :  ")])
EVENTS = st.one_of(
    st.builds(
        lambda chunk, separators, ascii_only, end: (
            b"data: " + json.dumps(chunk, separators=separators, ensure_ascii=ascii_only).encode() + end
        ),
        CHUNKS | PLAIN_CHUNKS | TELLING_CHUNKS,
        SEPARATORS,
        st.booleans(),
        st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n"]),
    ),
    st.sampled_from(
        [b": OPENROUTER PROCESSING\n\n", b"data: [DONE]\n\n", b"event: x\n", b"\n", b'data: {"us\\u0061ge":1}\n\n']
    ),
)
FIRST = b"data: " + json.dumps(PLAIN_CHUNK, separators=(",", ":")).encode() + b"\n\n"


class _Slow(ChatFacts):
    """Decodes every event."""

    def matters(self, data):
        del data
        return True


def _reader(kind="text/event-stream", status=200, limit=0, count=None):
    request = Request(tool_names=frozenset({"f"}), choice_count=count)
    return reader_for(ENDPOINT, request, status=status, header={"content-type": kind}.get, content_limit_bytes=limit)


def _read(reader, chunks):
    seen = []
    for chunk in chunks:
        reader.feed(chunk)
        seen.append(reader.has_content)
    reader.close()
    return reader.answer(), seen[-1:] == [True], reader.is_terminal


def _cut(data, cuts):
    places = sorted({min(cut, len(data)) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.lists(EVENTS, max_size=8), st.lists(st.integers(0, 3000), max_size=8), st.sampled_from([None, 1, 3]))
@settings(deadline=None, max_examples=300)
def test_any_chunking_of_a_stream_reads_alike(events, cuts, count):
    stream = FIRST + b"".join(events)

    whole = _read(_reader(count=count), [stream])

    assert _read(_reader(count=count), [FIRST, *events]) == whole
    assert _read(_reader(count=count), _cut(stream, cuts)) == whole


@given(st.lists(EVENTS, max_size=8))
@settings(deadline=None, max_examples=300)
def test_passing_over_events_changes_no_fact(events):
    chunks = [FIRST, *events]
    slow = _reader()
    slow._facts.__class__ = _Slow

    assert _read(_reader(), chunks) == _read(slow, chunks)


@given(st.lists(EVENTS, max_size=6))
@settings(deadline=None)
def test_keeping_content_changes_no_fact(events):
    assert _read(_reader(limit=1000), [FIRST, *events]) == _read(_reader(), [FIRST, *events])


@given(st.binary(max_size=300), st.sampled_from(["text/event-stream", "application/json", "text/html"]))
@settings(deadline=None)
def test_no_bytes_make_a_reader_raise(body, kind):
    for status in (200, 502):
        for data in (body, b"data: " + body + b"\n\n", b'{"choices":' + body + b"}"):
            _read(_reader(kind, status), [data])


@given(CHUNKS, st.sampled_from([200, 404]))
@settings(deadline=None, max_examples=200)
def test_no_shape_of_a_body_makes_a_reader_raise(body, status):
    answer, _, _ = _read(_reader("application/json", status), [json.dumps(body).encode()])

    assert answer.is_complete


@given(st.binary(max_size=200) | STRANGE.map(lambda value: json.dumps({"model": value, "tools": value}).encode()))
@settings(deadline=None)
def test_no_request_makes_its_reader_raise(body):
    read_request(body, {}.get)
    read_input(body, 100)


@given(st.lists(st.sampled_from([b"data: a", b"data:b", b":c", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf", b"d"])))
@settings(deadline=None)
def test_any_chunking_gives_the_same_events(pieces):
    data = b"".join(pieces)

    def events(chunks):
        stream = EventStream()
        return [payload for chunk in chunks for payload in stream.feed(chunk)] + stream.close()

    assert events(pieces) == events([data]) == events([bytes([byte]) for byte in data])


@given(st.text('{}[]",:\\ \n0123456789.-+eEtrufalsn\u00e9u', max_size=14) | STRANGE.map(json.dumps), st.integers(0, 14))
@settings(deadline=None, max_examples=500)
def test_arguments_are_valid_exactly_when_they_are_json(text, cut):
    check = JsonCheck()
    check.feed(text[:cut])
    check.feed(text[cut:])

    assert check.is_valid == _is_json(text)


def _is_json(text):
    if not text.strip(" \t\n\r"):
        return True
    try:
        json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return True


def _refuse(word):
    raise ValueError(word)


@given(st.binary(max_size=200), st.sampled_from(["gzip", "deflate", "br", "zstd", "gzip, br", "no", "identity"]))
@settings(deadline=None)
def test_no_bytes_make_a_decoder_raise(data, coding):
    decoder = decoder_for(coding)
    decoder.feed(data[:50])
    decoder.feed(data[50:])
    decoder.feed(b"")


@given(st.binary(max_size=500), st.lists(st.integers(0, 500), max_size=5))
@settings(deadline=None)
def test_raw_deflate_is_decoded_however_it_is_cut(data, cuts):
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(data) + packer.flush()
    decoder = decoder_for("deflate")

    assert b"".join(decoder.feed(piece) for piece in _cut(packed, cuts)) == data


@given(st.text(max_size=80) | st.from_regex(r"https?://[\[\]a-z0-9.:@%]*/chat/completions", fullmatch=True))
@settings(deadline=None)
def test_no_url_makes_the_hosts_raise(url):
    Hosts({"[::1": "x", "a:b": "y", "127.0.0.1:80": "openrouter"}).endpoint("POST", url)


@given(st.text(max_size=60))
@settings(deadline=None)
def test_a_fingerprint_never_shows_the_key(key):
    fingerprint = key_fingerprint(f"Bearer {key}")

    assert fingerprint is None or len(fingerprint) == 12
