from __future__ import annotations

import json

import pytest

from or_otel.facts import Request, ToolCalls
from or_otel.wire.endpoints import Hosts
from or_otel.wire.readers import reader_for

ENDPOINT = Hosts().endpoint("POST", "https://openrouter.ai/api/v1/responses")


def _reader(kind="text/event-stream", status=200, tools=("f",)):
    request = Request(tool_names=frozenset(tools))
    return reader_for(ENDPOINT, request, status=status, header={"content-type": kind}.get)


def _event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def _body(**fields):
    reader = _reader("application/json")
    reader.feed(json.dumps(fields).encode())
    reader.close()
    return reader.answer()


@pytest.mark.parametrize(
    ("event", "is_content"),
    [
        (_event("response.created", response={"status": "in_progress", "output": [], "usage": None}), False),
        (_event("response.output_item.added", output_index=0, item={"type": "message", "content": []}), False),
        (_event("response.output_text.delta", delta=""), False),
        (_event("response.output_text.delta", delta="Hi"), True),
        (_event("response.reasoning_summary_text.delta", delta="Hm"), True),
        (_event("response.reasoning_text.delta", delta="Hm"), True),
        (_event("response.refusal.delta", delta="No"), True),
        (_event("response.function_call_arguments.delta", delta="{"), True),
    ],
)
def test_content_begins_with_the_first_text_thought_or_argument(event, is_content):
    reader = _reader()

    reader.feed(event)

    assert reader.has_content is is_content


@pytest.mark.parametrize("word", ["completed", "incomplete", "failed"])
def test_the_last_event_about_the_whole_ends_the_stream(word):
    reader = _reader()
    reader.feed(_event("response.output_text.delta", delta="Hi"))
    assert not reader.is_terminal

    reader.feed(_event(f"response.{word}", response={"id": "gen-1", "status": word}))

    assert reader.is_terminal
    assert reader.answer().is_complete


@pytest.mark.parametrize(
    ("fields", "finish", "native"),
    [
        ({"status": "completed"}, ("stop",), "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            ("length",),
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            ("content_filter",),
            "content_filter",
        ),
        ({"status": "in_progress"}, (None,), None),
        (
            {"status": "completed", "output": [{"type": "function_call", "name": "f", "arguments": "{}"}]},
            ("tool_calls",),
            "completed",
        ),
    ],
)
def test_the_status_becomes_a_finish_reason(fields, finish, native):
    answer = _body(id="gen-1", **fields)

    assert (answer.finish_reasons, answer.native_finish_reason) == (finish, native)
    assert answer.failure is None


def test_tool_calls_are_judged_by_their_arguments_and_counted_once():
    reader = _reader()
    items = [
        {"type": "function_call", "call_id": f"c{number}", "name": name, "arguments": arguments}
        for number, (name, arguments) in enumerate([("f", '{"a": 1}'), ("f", '{"a'), ("g", "{}")])
    ]
    for index, item in enumerate(items):
        at = {"output_index": index}
        reader.feed(_event("response.output_item.added", **at, item={**item, "arguments": ""}))
        for piece in item["arguments"]:
            reader.feed(_event("response.function_call_arguments.delta", **at, delta=piece))
        reader.feed(_event("response.function_call_arguments.done", **at, arguments=item["arguments"]))
        reader.feed(_event("response.output_item.done", **at, item=item))
    reader.feed(_event("response.completed", response={"status": "completed", "output": items}))

    assert reader.answer().tool_calls == ToolCalls(valid=1, invalid_json=1, unknown_tool=1)


def test_arguments_that_come_only_with_the_finished_item_are_read():
    reader = _reader()
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a'}
    reader.feed(_event("response.output_item.added", output_index=0, item={**item, "arguments": ""}))
    reader.feed(_event("response.output_item.done", output_index=0, item=item))

    assert reader.answer().tool_calls == ToolCalls(invalid_json=1)


@pytest.mark.parametrize(
    "event",
    [
        _event("error", code="server_error", message="words"),
        _event("error", error={"code": "server_error", "message": "words"}),
        _event("response.error", error={"code": "server_error"}),
        _event("response.failed", response={"status": "failed", "error": {"code": "server_error"}}),
    ],
)
def test_each_form_of_an_error_in_a_stream_is_a_failure_and_its_end(event):
    reader = _reader()
    reader.feed(_event("response.output_text.delta", delta="Hi"))
    reader.feed(event)

    assert reader.answer().failure.error_type == "server_error"
    assert reader.is_terminal


def test_the_error_type_beside_the_error_is_the_stable_word():
    answer = _body(status="failed", error={"code": "rate_limit_exceeded"}, error_type="provider_overloaded")

    assert answer.failure.error_type == "provider_overloaded"


def test_the_serving_provider_is_told_by_the_route():
    available = [{"provider": "OpenAI", "model": "openai/gpt-5-mini", "selected": True}]

    answer = _body(status="completed", openrouter_metadata={"attempt": 1, "endpoints": {"available": available}})

    assert answer.provider == "OpenAI"


def _job(status, *, method="GET", is_background=None, **fields):
    endpoint = Hosts().endpoint(
        method, "https://openrouter.ai/api/v1/responses" + ("/gen-1" if method == "GET" else "")
    )
    request = Request(is_background=bool(is_background))
    reader = reader_for(endpoint, request, status=200, header={"content-type": "application/json"}.get)
    reader.feed(json.dumps({"id": "gen-1", "status": status, **fields}).encode())
    reader.close()
    return reader.answer().job


def test_only_a_response_made_in_the_background_is_a_job():
    assert _job("completed", method="POST") is None
    assert _job("in_progress", method="POST", background=False) is None
    assert _job("queued", method="POST", is_background=True) == "pending"
    assert _job("queued", method="POST", background=True) == "pending"
    assert _job("completed", method="POST", is_background=True) == "ended"


def test_a_response_read_again_is_a_job_or_was_counted_when_it_was_made():
    assert _job("in_progress", background=True) == "pending"
    assert _job("incomplete", background=True) == "ended"
    assert _job("completed", background=False) == "stored"
    assert _job("in_progress", background=False) == "stored"
    assert _job("completed") == "stored"
    assert _job("queued") == "pending"


def test_a_background_stream_that_is_cut_goes_on_behind_it():
    reader = reader_for(
        ENDPOINT, Request(is_background=True), status=200, header={"content-type": "text/event-stream"}.get
    )
    reader.feed(_event("response.queued", response={"id": "gen-1", "status": "queued"}))

    assert reader.answer().job == "pending"
