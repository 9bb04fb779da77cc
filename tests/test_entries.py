import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from or_otel.calls import Attempt, CallRecord, CallStarted
from or_otel.entries import REQUIRED, Sums, add_up, entries_of, from_line, to_line
from or_otel.facts import Cost, Endpoint, Failure, Request, Route, RouteAttempt, ToolCalls, Usage

ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)
STARTED = CallStarted(
    id="c" * 32,
    endpoint=ENDPOINT,
    request=Request(model="openai/gpt-5-mini", user="user-of-the-app", session_id="session", app_name="App"),
    started_at_s=100.0,
    tags={"team": "search"},
    environment="production",
    key_id="0123456789ab",
)
LOST = Attempt(
    id="a" * 32,
    number=1,
    started_at_s=100.0,
    ended_at_s=101.0,
    status=502,
    outcome="error",
    failure=Failure(error_type="bad_gateway", origin="upstream", status=502),
    generation_id="gen-1-lost",
    unpriced="error",
)
SERVED = Attempt(
    id="b" * 32,
    number=2,
    started_at_s=102.0,
    ended_at_s=104.0,
    status=200,
    generation_id="gen-2-served",
    response_id="gen-2-served",
    model="openai/gpt-5-mini",
    provider="Azure",
    usage=Usage(input_tokens=100, output_tokens=10, cache_read_tokens=40, reasoning_tokens=0),
    cost=Cost(charged=Decimal("0.0000001000000000001"), upstream=Decimal("0.1"), is_byok=True),
)
RECORD = CallRecord(
    started=STARTED,
    ended_at_s=104.0,
    outcome="ok",
    attempts=(LOST, SERVED),
    route=Route(
        fallback="provider",
        attempts=(
            RouteAttempt(provider="Azure", model="openai/gpt-5-mini", status=429),
            RouteAttempt(provider="OpenAI", model="openai/gpt-5-mini", status=200),
        ),
    ),
    finish_reasons=("stop",),
    tool_calls=ToolCalls(valid=2, invalid_json=1),
    time_to_first_chunk_s=0.5,
    input_messages='[{"content": "a prompt"}]',
    output_messages='[{"content": "an answer"}]',
    trace_id="1" * 32,
)


def test_every_attempt_is_an_entry_with_its_own_generation_and_bill():
    lost, served = entries_of(RECORD, run_id="run", service_name="shop", pid=7)

    assert (lost.generation_id, lost.status, lost.unpriced, lost.total) == ("gen-1-lost", 502, "error", None)
    assert (lost.is_last, served.is_last, served.attempt_count) == (False, True, 2)
    assert served.total == Decimal("0.1000001000000000001")
    assert (served.run_id, served.service_name, served.pid) == ("run", "shop", 7)


def test_the_route_stands_on_the_last_entry_only():
    lost, served = entries_of(RECORD)

    assert lost.route_path == ()
    assert served.route_path == ("Azure openai/gpt-5-mini 429", "OpenAI openai/gpt-5-mini 200")
    assert (served.fallback, served.tool_calls, served.invalid_tool_calls) == ("provider", 3, 1)


def test_a_line_gives_back_its_entry_with_every_digit_of_the_money():
    for entry in entries_of(RECORD, run_id="run", pid=7):
        line = to_line(entry)

        assert from_line(line) == entry
        assert line.count(b"\n") == 1
        assert line.endswith(b"}\n")


def test_zero_money_stays_zero_and_missing_money_stays_missing():
    free = replace(SERVED, cost=Cost(charged=Decimal(0), is_byok=False))

    entries = [from_line(to_line(entry)) for entry in entries_of(replace(RECORD, attempts=(LOST, free)))]

    assert [entry.total for entry in entries] == [None, Decimal(0)]


def test_no_content_no_user_and_no_session_stand_in_a_line():
    text = b"".join(map(to_line, entries_of(RECORD))).decode()

    for secret in ("a prompt", "an answer", "user-of-the-app", "session"):
        assert secret not in text


def test_unknown_fields_of_a_newer_version_are_ignored():
    entry = entries_of(RECORD)[1]
    values = json.loads(to_line(entry)) | {"version": 2, "novelty": {"deep": [1]}}

    assert from_line(json.dumps(values).encode()) == replace(entry, version=2)


@pytest.mark.parametrize("field", ["charged", "status", "tags", "route_path", "is_byok", "started_at_s", "call_id"])
def test_a_line_with_a_field_of_the_wrong_type_is_broken(field):
    values = json.loads(to_line(entries_of(RECORD)[1])) | {field: [{"not": "this"}]}

    assert from_line(json.dumps(values).encode()) is None


@pytest.mark.parametrize("line", [b"", b"\n", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_entry_is_none(line):
    assert from_line(line) is None


def test_money_that_is_no_finite_number_breaks_its_line():
    values = json.loads(to_line(entries_of(RECORD)[1])) | {"charged": "NaN"}

    assert from_line(json.dumps(values).encode()) is None


def test_every_cut_line_is_broken():
    line = to_line(entries_of(RECORD)[1])

    assert all(from_line(line[:length]) is None for length in range(len(line) - 1))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise(data):
    from_line(data)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_any_tags_survive_the_line(tags):
    entry = replace(entries_of(RECORD)[0], tags=tags)

    assert from_line(to_line(entry)) == entry


def test_sums_count_the_call_once_and_its_money_exactly():
    sums = add_up(entries_of(RECORD))

    assert (sums.calls, sums.attempts, sums.ok, sums.fallbacks) == (1, 2, 1, 1)
    assert sums.unpriced == {"error": 1}
    assert (sums.upstream, sums.charged) == (Decimal("0.1"), SERVED.cost.charged)
    assert sums.cached_share == 0.4


def test_sums_of_nothing_know_nothing():
    sums = add_up(())

    assert (sums.calls, sums.total, sums.input_tokens, sums.cached_share) == (0, None, None, None)


def test_ten_thousand_tiny_amounts_add_up_exactly():
    cost = Cost(charged=Decimal("0.0000001"), is_byok=False)
    entry = entries_of(replace(RECORD, attempts=(replace(SERVED, cost=cost),)))[0]

    assert add_up([entry] * 10_000).total == Decimal("0.001")


def test_a_line_needs_only_what_every_attempt_has():
    (entry, _) = entries_of(replace(RECORD, started=replace(STARTED, tags={})))
    told = json.loads(to_line(entry))
    least = {name: told[name] for name in REQUIRED}

    assert "tags" not in REQUIRED
    assert from_line(json.dumps(least).encode()).call_id == STARTED.id


@pytest.mark.parametrize(
    ("name", "value"),
    [("number", True), ("number", "1"), ("number", 1.5), ("started_at_s", "1"), ("started_at_s", True), ("charged", 1)],
)
def test_a_line_whose_values_are_of_another_kind_is_broken(name, value):
    (_, entry) = entries_of(RECORD)

    assert from_line(json.dumps(json.loads(to_line(entry)) | {name: value}).encode()) is None


def test_a_failure_that_only_the_call_tells_stands_at_its_last_attempt():
    broken = Failure(error_type="ReadTimeout", origin="client")
    record = replace(RECORD, attempts=(SERVED, replace(SERVED, id="d" * 32)), outcome="error", failure=broken)

    assert [(each.error_type, each.error_origin) for each in entries_of(record)] == [
        (None, None),
        ("ReadTimeout", "client"),
    ]


def test_the_model_that_answered_is_told_before_the_one_asked_for():
    (asked, answered) = entries_of(replace(RECORD, attempts=(LOST, replace(SERVED, model="openai/gpt-5-mini-2026"))))

    assert (asked.model, answered.model) == ("openai/gpt-5-mini", "openai/gpt-5-mini-2026")


def test_the_cached_share_is_a_part_of_the_input_and_unknown_without_any():
    assert Sums(input_tokens=100, cache_read_tokens=40).cached_share == 0.4
    assert Sums(input_tokens=100, cache_read_tokens=0).cached_share == 0.0
    assert Sums(input_tokens=10, cache_read_tokens=40).cached_share == 1.0
    assert Sums(input_tokens=0, cache_read_tokens=0).cached_share is None
    assert Sums(input_tokens=100).cached_share is None
