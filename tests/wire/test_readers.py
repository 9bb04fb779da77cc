from __future__ import annotations

import json
from decimal import Decimal

import pytest

from or_otel.facts import Endpoint, Request, RouteAttempt, ToolCalls
from or_otel.wire.readers import reader_for
from or_otel.wire.requests import key_fingerprint, read_request

ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)
DIRECT = Endpoint(api="chat", operation="chat", provider="openai", host="api.openai.com", port=443, is_openrouter=False)


def _reader(kind="text/event-stream", status=200, endpoint=ENDPOINT, limit=0, request=None, **headers):
    header = {"content-type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}}.get
    return reader_for(endpoint, request or Request(), status=status, header=header, content_limit_bytes=limit)


def _body(body, **options):
    reader = _reader("application/json", **options)
    reader.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    reader.close()
    return reader.answer()


def _event(**fields):
    return b"data: " + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


def _delta(index=0, reason=None, **delta):
    return _event(id="gen-1", model="a/b", choices=[{"index": index, "delta": delta, "finish_reason": reason}])


def test_only_content_that_is_not_empty_counts_as_content():
    reader = _reader()

    for empty in (b": OPENROUTER PROCESSING\n\n", _delta(role="assistant", content=""), _event(choices=[])):
        reader.feed(empty)
        assert not reader.has_content
    reader.feed(_delta(reasoning="hm"))

    assert reader.has_content


def test_a_stream_cut_short_tells_what_it_knew():
    reader = _reader(request=Request(choice_count=2))
    reader.feed(_delta(content="x") + _delta(1, "stop"))

    answer = reader.answer()

    assert (answer.id, answer.model, answer.finish_reasons) == ("gen-1", "a/b", (None, "stop"))
    assert not answer.is_complete


def test_the_end_of_the_body_after_the_finish_reason_completes_a_stream_without_a_terminal_event():
    reader = _reader()
    reader.feed(_delta(content="x", reason="stop"))
    reader.close()

    assert reader.answer().is_complete
    assert not reader.is_terminal


def test_the_last_usage_counts_and_the_first_finish_reason():
    reader = _reader()
    usage = {"prompt_tokens": 1, "cost": 0.5}
    reader.feed(_delta(content="x") + _delta(reason="stop") + _event(usage=usage, choices=[]))
    reader.feed(_event(usage={"prompt_tokens": 2, "cost": 6.3e-06}, choices=[{"finish_reason": "length"}]))
    reader.feed(b"data: [DONE]\n\n" + _delta(content="late", reason="error"))

    answer = reader.answer()

    assert reader.is_terminal
    assert (answer.usage.input_tokens, answer.cost.charged) == (2, Decimal("0.0000063"))
    assert answer.finish_reasons == ("stop",)
    assert answer.failure is None


@pytest.mark.parametrize(
    ("fields", "fact", "value"),
    [
        ({"usage": {"prompt_tokens": 9}}, "usage.input_tokens", 9),
        ({"error": {"code": 502}}, "failure.status", 502),
        ({"openrouter_metadata": {"attempt": 2}}, "metadata.attempt", 2),
        ({"service_tier": "flex"}, "service_tier", "flex"),
        ({"provider": "P"}, "provider", "P"),
        ({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}, "finish_reasons", ("stop",)),
        ({"choices": [{"delta": {}, "native_finish_reason": "end"}]}, "native_finish_reason", "end"),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"name": "f"}}]}}]}, "tool_calls.valid", 1),
        ({"choices": [{"delta": {"content": "x"}, "error": {"code": 529}}]}, "failure.status", 529),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_a_fact_that_comes_behind_plain_content_is_not_passed_over(fields, fact, value, separators):
    reader = _reader()
    for text in "abc":
        reader.feed(_delta(content=text))
    telling = {"choices": [{"delta": {"content": "d"}, "finish_reason": None}], "usage": None, **fields}
    reader.feed(b"data: " + json.dumps(telling, separators=separators).encode() + b"\n\n")

    found = reader.answer()
    for name in fact.split("."):
        found = getattr(found, name)
    assert found == value


def test_a_terminal_event_inside_what_looks_like_content_is_seen():
    reader = _reader()
    reader.feed(_delta(content="a"))
    reader.feed(_delta(content="b"))
    reader.feed(_delta(content="c").replace(b'"c"', b'"c\n\ndata: [DONE]\n\n"'))

    assert reader.is_terminal


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("6.3e-06", Decimal("6.3e-06")),
        ("1E-7", Decimal("1E-7")),
        ("0", Decimal(0)),
        ("2", Decimal(2)),
        ('"0.0417"', Decimal("0.0417")),
        ("0.00048720000000000003", Decimal("0.00048720000000000003")),
        ("-1", None),
        ("NaN", None),
        ("true", None),
        ("1e400", None),
        ('{"total":1}', None),
        ("null", None),
    ],
)
def test_money_is_exact_or_not_read(written, read):
    answer = _body(b'{"model":"m","usage":{"prompt_tokens":"7","cost":' + written.encode() + b"}}")

    assert (answer.cost.charged if answer.cost else None) == read
    if written != "NaN":
        assert answer.model == "m"
        assert answer.usage.input_tokens == 7
        assert answer.is_usage_unreadable == (read is None and written != "null")


def test_a_strange_usage_costs_nothing_else():
    answer = _body({"model": "m", "usage": ["?"], "choices": [7, {"index": 1, "finish_reason": "stop"}]})

    assert (answer.model, answer.usage, answer.is_usage_unreadable) == ("m", None, True)
    assert answer.finish_reasons == (None, "stop")


def test_the_metadata_tells_whose_key_paid_where_the_usage_does_not():
    answer = _body({"usage": {"cost": 0}, "openrouter_metadata": {"is_byok": True}})

    assert answer.cost.billing == "byok"


def test_a_direct_server_that_names_no_cost_has_none():
    answer = _body({"usage": {"prompt_tokens": 3, "completion_tokens": 0}}, endpoint=DIRECT)

    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.cost) == (3, 0, None)


@pytest.mark.parametrize(
    ("status", "body", "error_type", "origin", "told_status"),
    [
        (401, {"error": {"code": 401, "message": "Missing"}}, "401", "router", 401),
        (
            429,
            {"error": {"code": 429, "metadata": {"error_type": "rate_limit_exceeded", "headers": {"a": 1}}}},
            "rate_limit_exceeded",
            "router",
            429,
        ),
        (429, {"error": {"code": 429, "metadata": {"provider_name": "P"}}}, "429", "upstream", 429),
        (403, {"error": {"code": 403, "metadata": {"reasons": ["x"], "provider_name": "P"}}}, "403", "router", 403),
        (503, {"error": {"code": 503, "availability": {"code": "no_endpoints"}}}, "no_endpoints", "router", 503),
        (502, {"error": {"code": 502, "message": "Provider returned error"}}, "502", "upstream", 502),
        (500, {"error": {"code": 500, "error_type": "server"}}, "server", "router", 500),
        (400, {"error": {"code": 400, "metadata": {"error_type": "has spaces in it"}}}, "400", "router", 400),
        (
            200,
            {"error": {"code": 502, "metadata": {"raw": "t"}}, "choices": None, "provider": {"a": 1}},
            "502",
            "upstream",
            502,
        ),
        (200, {"error": "something went wrong"}, "error", "router", None),
        (200, {"choices": [{"finish_reason": "error"}]}, "error", "upstream", None),
        (
            200,
            {"choices": [{"finish_reason": "error", "error": {"code": "server_error"}}]},
            "server_error",
            "upstream",
            None,
        ),
    ],
)
def test_a_failure_is_told_by_its_stable_word_and_origin(status, body, error_type, origin, told_status):
    failure = _body(body, status=status).failure

    assert (failure.error_type, failure.origin, failure.status) == (error_type, origin, told_status)


def test_a_direct_servers_error_names_its_code():
    body = {"error": {"message": "secret prompt", "type": "invalid_request_error", "code": "invalid_api_key"}}

    answer = _body(body, status=401, endpoint=DIRECT)

    assert (answer.failure.error_type, answer.failure.origin) == ("invalid_api_key", "upstream")
    assert "secret" not in repr(answer)


@pytest.mark.parametrize("status", [502, 524])
def test_a_page_of_the_edge_is_the_edges_failure(status):
    reader = _reader("text/html; charset=UTF-8", status=status, cf_ray="9f-LIS")
    reader.feed(b"<html>Bad gateway</html>")
    reader.close()

    failure = reader.answer().failure

    assert (failure.error_type, failure.origin, failure.status) == (str(status), "edge", status)


def test_a_refusal_left_unread_is_not_put_down_to_the_edge():
    reader = _reader("application/json", status=402, cf_ray="9f-LIS")

    failure = reader.answer().failure

    assert (failure.error_type, failure.origin) == ("402", "router")


@pytest.mark.parametrize("nothing", [None, {}, "", False, []])
def test_an_empty_error_is_none(nothing):
    assert _body({"error": nothing, "choices": []}).failure is None


def test_a_failure_names_the_provider_and_the_tries_before():
    details = {"provider_name": "B", "previous_errors": [{"provider": "A", "code": "x", "status": 429}, {"code": 500}]}

    failure = _body({"error": {"code": 429, "metadata": details}}, status=429).failure

    assert failure.provider == "B"
    assert failure.previous == (RouteAttempt(provider="A", status=429), RouteAttempt(status=500))


@pytest.mark.parametrize("junk", [b"[]", b"null", b"<html>", b"", b'{"a"'])
def test_a_body_that_is_no_object_says_nothing(junk):
    answer = _body(junk)

    assert (answer.failure, answer.usage, answer.is_usage_unreadable, answer.is_complete) == (None, None, False, False)


def test_tool_calls_are_counted_by_worth():
    reader = _reader(request=Request(tool_names=frozenset({"f"})))

    def call(index, **function):
        return _delta(tool_calls=[{"index": index, "function": function}])

    reader.feed(call(0, name="f", arguments='{"a":') + call(1, name="f") + call(2, name="g", arguments="{}"))
    reader.feed(call(0, arguments='"\u00e9"}') + call(3, name="f", arguments='{"a"'))

    assert reader.has_content
    assert reader.answer().tool_calls == ToolCalls(valid=2, unknown_tool=1, invalid_json=1)


def test_whole_calls_under_one_index_are_told_apart_by_id():
    reader = _reader()
    for call_id in "ab":
        reader.feed(_delta(tool_calls=[{"index": 0, "id": call_id, "function": {"name": "f", "arguments": "{}"}}]))

    assert reader.answer().tool_calls == ToolCalls(valid=2)


def test_content_is_kept_only_on_demand_and_up_to_the_limit():
    silent, keeping = _reader(), _reader(limit=5)
    for reader in (silent, keeping):
        reader.feed(_delta(reasoning="ab") + _delta(content="cde") + _delta(content="fgh"))

    assert silent.output_messages() is None
    assert keeping.output_messages() == [
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "ab"}, {"type": "text", "content": "cde"}]}
    ]


def test_a_request_is_read_field_by_field():
    body = {
        "model": ["?"], "n": "2", "temperature": 1, "stop": "x", "max_completion_tokens": 5.0, "stream": True,
        "provider": {"order": ["a", 7], "sort": {"by": "price"}, "zdr": True},
        "tools": [{"type": "function", "function": {"name": "f"}}], "reasoning": {"effort": "low"},
        "response_format": {"type": "json_schema"},
    }  # fmt: skip

    request = read_request(json.dumps(body).encode(), {"x-title": "App", "x-session-id": "s"}.get)

    assert (request.model, request.choice_count, request.temperature, request.max_tokens) == (None, 2, 1.0, 5)
    assert (request.provider.order, request.provider.sort, request.provider.zdr) == (("a",), "price", True)
    assert (request.tool_names, request.reasoning_level, request.output_type) == ({"f"}, "low", "json")
    assert (request.stop_sequences, request.is_stream, request.app_name, request.session_id) == (
        ("x",),
        True,
        "App",
        "s",
    )


def test_a_key_has_one_fingerprint_however_it_is_sent():
    assert key_fingerprint("Bearer abc") == key_fingerprint("bearer  abc ") == key_fingerprint("abc") == "ba7816bf8f01"
    assert key_fingerprint(None) is key_fingerprint("Bearer ") is None


def test_responses_and_messages_name_their_limits_in_their_own_words():
    body = {"max_output_tokens": 9, "stop_sequences": ["a"], "fallbacks": [{"model": "c/d"}, 1]}
    body["text"] = {"format": {"type": "json_schema"}}

    request = read_request(json.dumps(body).encode(), {}.get)

    assert request == Request(max_tokens=9, stop_sequences=("a",), models=("c/d",), output_type="json")


@pytest.mark.parametrize("is_first", [True, False])
def test_a_form_tells_its_model_and_its_file_is_passed_over(is_first):
    field = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    fields = field % (b"model", b"a/b") + field % (b"stream", b"True")
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + bytes(100_000) + b"\r\n"

    body = fields + file if is_first else file + fields

    assert read_request(body + b"--b--\r\n", {}.get) == Request(model="a/b", is_stream=True)


def test_a_form_without_readable_fields_asks_for_nothing_known():
    assert read_request(b"--b\r\n\r\n\xff", {}.get) == Request()


def test_the_text_of_a_legacy_completion_is_content():
    reader = _reader(limit=100)
    reader.feed(_event(id="gen-1", choices=[{"index": 0, "text": ""}]))
    assert not reader.has_content

    reader.feed(_event(choices=[{"index": 0, "text": "Hi", "finish_reason": "stop"}]))

    assert reader.has_content
    assert reader.answer().finish_reasons == ("stop",)
    assert reader.output_messages() == [{"role": "assistant", "parts": [{"type": "text", "content": "Hi"}]}]


def test_the_provider_s_own_word_is_that_of_the_first_choice():
    choices = [
        {"index": 1, "finish_reason": "length", "native_finish_reason": "MAX_TOKENS"},
        {"index": 0, "finish_reason": "stop", "native_finish_reason": "STOP"},
    ]

    assert _body({"choices": choices}).native_finish_reason == "STOP"
