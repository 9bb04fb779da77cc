from __future__ import annotations

import json
from decimal import Decimal

import pytest

from or_otel.facts import Request, ToolCalls
from or_otel.wire.endpoints import Hosts
from or_otel.wire.readers import reader_for

ENDPOINT = Hosts().endpoint("POST", "https://openrouter.ai/api/v1/messages")
START = {"type": "message_start", "message": {"id": "msg_1", "model": "a/b", "provider": "P", "content": []}}


def _reader(kind="text/event-stream", status=200):
    request = Request(tool_names=frozenset({"f"}))
    return reader_for(ENDPOINT, request, status=status, header={"content-type": kind}.get)


def _stream(*events, close=True):
    reader = _reader()
    for event in events:
        reader.feed(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
    if close:
        reader.close()
    return reader


def _start(**usage):
    return {**START, "message": {**START["message"], "usage": usage}}


def _delta(**delta):
    return {"type": "content_block_delta", "index": 0, "delta": delta}


def _end(reason="end_turn", **usage):
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


STOP = {"type": "message_stop"}
TEXT = _delta(type="text_delta", text="Hi")


@pytest.mark.parametrize(
    ("event", "is_content"),
    [
        (START, False),
        ({"type": "ping"}, False),
        ({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}, False),
        (_delta(type="text_delta", text=""), False),
        (TEXT, True),
        (_delta(type="thinking_delta", thinking="Hm"), True),
        ({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "f"}}, True),
    ],
)
def test_content_begins_with_the_first_text_thought_or_tool(event, is_content):
    assert _stream(event).has_content is is_content


def test_the_input_is_the_sum_of_fresh_read_and_written_tokens():
    start = _start(input_tokens=6, cache_creation_input_tokens=402, cache_read_input_tokens=12312, output_tokens=1)

    usage = _stream(start, TEXT, _end(output_tokens=20), STOP).answer().usage

    assert (usage.input_tokens, usage.output_tokens) == (12720, 20)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (12312, 402)


def test_the_last_word_on_usage_and_cost_holds():
    answer = _stream(
        _start(input_tokens=6, output_tokens=1),
        _end(None, output_tokens=10, cost=0.001),
        _end(input_tokens=7, output_tokens=20, cost=0.0055191, is_byok=False),
        STOP,
    ).answer()

    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 20)
    assert (answer.cost.charged, answer.cost.billing) == (Decimal("0.0055191"), "credits")
    assert not answer.is_usage_partial


def test_a_message_cut_short_knows_its_input_and_not_its_output():
    answer = _stream(_start(input_tokens=6, output_tokens=1), TEXT).answer()

    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (6, None)
    assert answer.is_usage_partial
    assert not answer.is_complete


@pytest.mark.parametrize(
    ("native", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
    ],
)
def test_stop_reasons_become_the_words_of_chat(native, finish):
    answer = _stream(START, TEXT, _end(native), STOP).answer()

    assert (answer.finish_reasons, answer.native_finish_reason) == ((finish,), native)


def test_nothing_follows_the_stop():
    reader = _stream(START, TEXT, _end(output_tokens=1), STOP, _end(output_tokens=99), close=False)

    assert reader.is_terminal
    assert reader.answer().usage.output_tokens == 1


def test_tool_use_is_judged_by_its_input_and_server_tools_do_not_count():
    blocks = [
        ("tool_use", "f", '{"a": 1}'),
        ("tool_use", "f", '{"a'),
        ("tool_use", "g", ""),
        ("server_tool_use", "w", "{"),
    ]
    events = []
    for index, (kind, name, arguments) in enumerate(blocks):
        block = {"type": kind, "id": f"t{index}", "name": name, "input": {}}
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [
            {
                "type": "content_block_delta",
                "index": index,
                "delta": {"type": "input_json_delta", "partial_json": piece},
            }
            for piece in arguments
        ]

    answer = _stream(START, *events, _end("tool_use"), STOP).answer()

    assert answer.tool_calls == ToolCalls(valid=1, invalid_json=1, unknown_tool=1)


def test_an_error_event_is_a_failure_of_who_had_begun_to_answer():
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "words"}}

    reader = _stream(START, TEXT, error, close=False)

    assert reader.is_terminal
    assert (reader.answer().failure.error_type, reader.answer().failure.origin) == ("overloaded_error", "upstream")


def test_the_error_envelope_tells_the_stable_word():
    reader = _reader("application/json", 429)
    reader.feed(b'{"type":"error","error":{"type":"rate_limit_error","error_type":"rate_limit_exceeded"}}')
    reader.close()

    assert (reader.answer().failure.error_type, reader.answer().failure.status) == ("rate_limit_exceeded", 429)
