"""Every API shape through a real client, end to end: one call record, exact to the cent, and the answer untouched."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import openai
import pytest

import or_otel
from or_otel.facts import ToolCalls
from or_otel.simulator import shapes
from or_otel.simulator.account import BROKE_KEY, BYOK_KEY, SEARCH_KEY
from or_otel.simulator.scenarios import Answer, Scenario, cached, calling, provider_fallback, reasoned

MINI = "openai/gpt-5-mini"
HAIKU = "anthropic/claude-haiku-4.5"
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
MESSAGE = {"model": HAIKU, "max_tokens": 1000, "messages": [{"role": "user", "content": "Hello there"}]}


@pytest.fixture
def client(openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key=SEARCH_KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def ask(openrouter):
    """Post without an SDK, and read everything."""
    with httpx.Client(base_url=openrouter.base_url, headers={"Authorization": f"Bearer {SEARCH_KEY}"}) as http:

        def ask(path, **body):
            with http.stream("POST", path, json=body) as answer:
                return answer.read()

        yield ask


@pytest.fixture
def poll(openrouter):
    """Ask again without an SDK."""
    with httpx.Client(base_url=openrouter.base_url, headers={"Authorization": f"Bearer {SEARCH_KEY}"}) as http:
        yield http.get


def _host(server):
    return server.base_url.split("/")[2]


def _check(record, book, *, api, operation="chat", finish=("stop",)):
    """What the record tells is what the book billed."""
    (entry,) = book.entries
    assert (record.api, record.endpoint.operation, record.outcome) == (api, operation, "ok")
    assert (record.generation_id, record.provider) == (entry.id, entry.provider)
    assert record.usage.input_tokens == entry.usage.input_tokens
    assert record.usage.output_tokens == entry.usage.output_tokens
    assert (record.cost.total, record.unpriced) == (entry.spend, None)
    assert record.finish_reasons == finish
    assert record.failure is None
    assert len(record.attempts) == 1


# Responses


def test_a_response_is_one_priced_call(client, calls, openrouter):
    client.responses.create(model=MINI, input="Hello there", max_output_tokens=500)

    (record,) = calls
    _check(record, openrouter.book, api="responses")
    assert (record.model, record.native_finish_reason, record.service_tier) == (MINI, "completed", "default")
    assert (record.request.max_tokens, record.route.fallback) == (500, "none")


def test_a_streamed_response_is_one_priced_call(client, calls, openrouter):
    with client.responses.create(model=MINI, input="Hello there", stream=True) as stream:
        kinds = [event.type for event in stream]

    (record,) = calls
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    _check(record, openrouter.book, api="responses")
    assert record.request.is_stream
    assert 0 < record.time_to_first_chunk_s <= record.duration_s


def test_a_response_cut_by_its_limit_says_length(client, calls, openrouter):
    client.responses.create(model=MINI, input="Hello there", max_output_tokens=2)

    (record,) = calls
    _check(record, openrouter.book, api="responses", finish=("length",))
    assert record.native_finish_reason == "max_output_tokens"


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_response_that_calls_a_tool_says_so(client, calls, openrouter, is_stream):
    answer = client.responses.create(
        model=MINI, input="Hello there", tools=[WEATHER], tool_choice="required", stream=is_stream
    )
    if is_stream:
        list(answer)

    (record,) = calls
    _check(record, openrouter.book, api="responses", finish=("tool_calls",))
    assert record.tool_calls == ToolCalls(valid=1)


def test_a_failed_response_is_an_error_and_free(client, calls, openrouter):
    openrouter.script(shapes.response_failed())

    client.responses.create(model=MINI, input="Hello there")

    (record,) = calls
    assert (record.outcome, record.cost) == ("error", None)
    assert (record.failure.error_type, record.failure.origin) == ("provider_unavailable", "upstream")


def test_a_streamed_response_that_fails_midway_is_an_error(client, calls, openrouter):
    openrouter.script(shapes.response_failing_stream())

    with client.responses.create(model=MINI, input="Hello there", stream=True) as stream:
        assert [event.type for event in stream][-1] == "response.failed"

    (record,) = calls
    assert (record.outcome, record.failure.error_type) == ("error", "provider_unavailable")
    assert record.time_to_first_chunk_s > 0


def test_a_streamed_response_left_early_is_cancelled(client, calls, openrouter):
    with client.responses.create(
        model=MINI, input="Hello there", stream=True, extra_headers={"X-Simulator": "hold 2"}
    ) as stream:
        next(event for event in stream if event.type == "response.output_text.delta")

    openrouter.wait_for_disconnect()
    (record,) = calls
    assert (record.outcome, record.unpriced, record.usage) == ("cancelled", "cancelled", None)
    assert record.generation_id == openrouter.book.entries[0].id


def test_a_stored_response_read_again_is_not_counted_again(client, calls, openrouter, telemetry):
    made = client.responses.create(model=MINI, input="Hello there", store=True, tools=[WEATHER], tool_choice="required")
    read = client.responses.retrieve(made.id)

    first, again = calls
    _check(first, openrouter.book, api="responses", finish=("tool_calls",))
    assert read.usage.input_tokens == made.usage.input_tokens > 0
    assert (again.endpoint.operation, again.outcome, again.response_id) == ("fetch_response", "ok", made.id)
    assert (first.generation_id, again.generation_id) == (made.id, None)
    assert (again.usage, again.cost, again.unpriced, again.tool_calls) == (None, None, None, ToolCalls())
    assert sum(telemetry.points("openrouter.client.cost").values()) == pytest.approx(float(openrouter.book.total()))
    assert "x-openrouter-metadata" not in openrouter.requests[-1].headers


def test_a_stored_response_that_is_not_there_is_an_error(client, calls):
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("gen-none")

    (record,) = calls
    assert (record.endpoint.operation, record.outcome, record.status) == ("fetch_response", "error", 404)
    assert record.unpriced is None


# Messages


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_message_is_one_priced_call(ask, calls, openrouter, is_stream):
    ask("/messages", **MESSAGE, stream=is_stream)

    (record,) = calls
    _check(record, openrouter.book, api="messages")
    assert (record.model, record.native_finish_reason) == (HAIKU, "end_turn")
    assert (record.service_tier, record.route.fallback) == ("standard", "none")
    assert (record.time_to_first_chunk_s is not None) == is_stream


@pytest.mark.parametrize("shape", [shapes.message, shapes.message_stream])
def test_cached_tokens_of_a_message_are_part_of_its_input(ask, calls, openrouter, shape):
    openrouter.script(shape(cached(read=900, written=100)))

    ask("/messages", **MESSAGE)

    (record,) = calls
    _check(record, openrouter.book, api="messages")
    usage = record.usage
    assert (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens) == (1200, 900, 100)


@pytest.mark.parametrize("shape", [shapes.message, shapes.message_stream])
def test_tool_use_of_a_message_is_a_tool_call(ask, calls, openrouter, shape):
    openrouter.script(shape(calling()))

    ask("/messages", **MESSAGE, tools=[{"name": "weather", "input_schema": {"type": "object"}}])

    (record,) = calls
    _check(record, openrouter.book, api="messages", finish=("tool_calls",))
    assert (record.native_finish_reason, record.tool_calls) == ("tool_use", ToolCalls(valid=1))


@pytest.mark.parametrize("shape", [shapes.message, shapes.message_stream])
def test_the_route_of_a_message_tells_the_fallback(ask, calls, openrouter, shape):
    openrouter.script(shape(provider_fallback()))

    ask("/messages", **MESSAGE)

    (record,) = calls
    assert (record.route.fallback, record.route.attempt_count) == ("provider", 2)
    assert record.provider == "Amazon Bedrock"


def test_a_message_whose_stream_tells_no_money_is_unpriced(ask, calls, openrouter):
    openrouter.script(shapes.message_stream(is_cost_told=False))

    ask("/messages", **MESSAGE)

    (record,) = calls
    assert (record.outcome, record.cost, record.unpriced) == ("ok", None, "not_reported")
    assert record.usage.output_tokens == 10


def test_a_refused_message_tells_why_in_its_own_envelope(openrouter, calls):
    with httpx.Client(headers={"x-api-key": BROKE_KEY, "Authorization": f"Bearer {BROKE_KEY}"}) as http:
        body = http.post(f"{openrouter.base_url}/messages", json=MESSAGE).json()

    (record,) = calls
    assert (body["type"], body["error"]["type"]) == ("error", "billing_error")
    assert (record.outcome, record.status, record.failure.error_type) == ("error", 402, "payment_required")
    assert (record.failure.origin, record.unpriced) == ("router", None)


def test_a_message_that_fails_midway_is_an_error(ask, calls, openrouter):
    openrouter.script(shapes.message_failing_stream())

    ask("/messages", **MESSAGE, stream=True)

    (record,) = calls
    assert (record.outcome, record.failure.error_type) == ("error", "provider_overloaded")
    assert record.failure.origin == "upstream"
    assert (record.usage.input_tokens, record.usage.output_tokens) == (200, None)


def test_a_message_whose_stream_ends_before_its_end_is_an_error(ask, calls, openrouter):
    whole = shapes.message_stream(Answer())
    openrouter.script(Scenario(steps=whole.steps[:4], headers=whole.headers))

    ask("/messages", **MESSAGE, stream=True)

    (record,) = calls
    assert (record.outcome, record.failure.error_type) == ("error", "incomplete_answer")


# The rest


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_legacy_completion_is_one_priced_call(client, calls, openrouter, is_stream):
    answer = client.completions.create(model=MINI, prompt="Hello there", stream=is_stream)
    if is_stream:
        list(answer)

    (record,) = calls
    _check(record, openrouter.book, api="completions", operation="text_completion")
    assert (record.route.fallback, record.time_to_first_chunk_s is not None) == ("none", is_stream)


def test_embeddings_are_one_priced_call(client, calls, openrouter):
    client.embeddings.create(model="openai/text-embedding-3-small", input=["Hello there", "and here"])

    (record,) = calls
    assert record.usage.output_tokens is None
    assert record.model == "text-embedding-3-small"
    assert (record.api, record.endpoint.operation) == ("embeddings", "embeddings")
    assert record.cost.total == openrouter.book.total() > 0
    assert record.usage.input_tokens == openrouter.book.entries[0].usage.input_tokens
    assert (record.outcome, record.finish_reasons, record.provider) == ("ok", (), "OpenAI")


def test_a_ranking_is_one_priced_call(ask, calls, openrouter):
    ask("/rerank", model="cohere/rerank-v3.5", query="what is ruby", documents=["Paris", "Ruby is a language"])

    (record,) = calls
    assert (record.api, record.endpoint.operation, record.outcome) == ("rerank", "rerank", "ok")
    assert (record.provider, record.model) == ("Cohere", "rerank-v3.5")
    assert record.generation_id == openrouter.book.entries[0].id
    assert record.usage.input_tokens == openrouter.book.entries[0].usage.input_tokens
    assert record.cost.charged == openrouter.book.total() > 0


def test_images_are_one_priced_call_named_by_headers(client, calls, openrouter):
    client.images.generate(model="google/gemini-2.5-flash-image", prompt="a logo", n=2)

    (record,) = calls
    _check(record, openrouter.book, api="images", operation="generate_content", finish=())
    assert record.usage.image_output_tokens == 2 * 1290
    assert record.generation_id.startswith("gen-img-")


def test_speech_names_its_generation_and_is_unpriced(client, calls, openrouter):
    sound = client.audio.speech.create(model="hexgrad/kokoro-82m", input="Hello there", voice="af_bella").read()

    (record,) = calls
    assert sound == shapes.SOUND
    assert (record.api, record.endpoint.operation, record.outcome) == ("speech", "generate_content", "ok")
    assert record.generation_id == openrouter.book.entries[0].id
    assert (record.request.model, record.provider) == ("hexgrad/kokoro-82m", "DeepInfra")
    assert (record.cost, record.usage, record.unpriced) == (None, None, "not_reported")


def test_a_transcription_is_one_priced_call(client, calls, openrouter):
    client.audio.transcriptions.create(model="openai/gpt-4o-mini-transcribe", file=("a.wav", b"RIFF" * 100))

    (record,) = calls
    _check(record, openrouter.book, api="transcription", operation="generate_content", finish=())
    assert record.generation_id.startswith("gen-stt-")


def test_a_transcription_as_plain_text_is_no_error(client, calls, openrouter):
    openrouter.script(
        Scenario(body="1\n00:00 hello", headers=(("content-type", "text/plain"), ("x-generation-id", "gen-stt-1")))
    )

    client.audio.transcriptions.create(
        model="openai/gpt-4o-mini-transcribe", file=("a.wav", b"RIFF"), response_format="srt"
    )

    (record,) = calls
    assert (record.outcome, record.generation_id, record.unpriced) == ("ok", "gen-stt-1", "not_reported")


# Billed later

VIDEO = {"model": "google/veo-3.1", "prompt": "A ferry leaves", "duration": 2}
BATCH = {
    "model": MINI,
    "endpoint": "/v1/chat/completions",
    "requests": [{"custom_id": name, "body": {"messages": MESSAGE["messages"]}} for name in "ab"],
}
JOBS = {
    "videos": ("generate_content", VIDEO),
    "batches": ("create_batch", BATCH),
    "responses": ("chat", {"model": MINI, "input": "Hello there", "background": True}),
}


@pytest.mark.parametrize("api", JOBS)
def test_a_job_is_billed_once_by_the_answer_that_first_finds_its_end(ask, poll, calls, openrouter, telemetry, api):
    operation, body = JOBS[api]
    openrouter.behaviour.polls_until_ended = 2

    name = json.loads(ask(f"/{api}", **body))["id"]
    for _ in range(5):
        poll(f"/{api}/{name}")

    (entry,) = openrouter.book.entries
    submitted, *polls = calls
    assert (submitted.api, submitted.endpoint.operation, submitted.request.model) == (api, operation, body["model"])
    assert {(each.api, each.endpoint.operation) for each in polls} == {(api, "fetch_response")}
    assert {(each.outcome, each.unpriced, each.response_id) for each in calls} == {("ok", None, name)}
    assert [each.cost and each.cost.total for each in calls] == [None, None, None, entry.spend, None, None]
    assert [each.generation_id for each in calls] == [None, None, None, entry.id, None, None]
    assert [each.usage is None for each in polls] == [True, True, api == "videos", True, True]
    assert polls[2].model == body["model"]
    assert polls[2].cost.billing == "credits"
    assert entry.spend > 0
    assert sum(telemetry.points("openrouter.client.cost").values()) == pytest.approx(float(entry.spend))
    assert telemetry.points("openrouter.client.unpriced_calls") == {}


@pytest.mark.parametrize("api", ["batches", "responses"])
def test_the_tokens_of_a_job_are_those_of_the_book(ask, poll, calls, openrouter, api):
    openrouter.behaviour.polls_until_ended = 0
    poll(f"/{api}/" + json.loads(ask(f"/{api}", **JOBS[api][1]))["id"])

    (entry,) = openrouter.book.entries
    usage = calls[-1].usage
    assert (usage.input_tokens, usage.output_tokens) == (entry.usage.input_tokens, entry.usage.output_tokens)


def test_a_batch_costs_half_of_what_its_requests_cost_alone(ask, poll, calls, openrouter):
    for _ in range(2):
        ask("/chat/completions", model=MINI, messages=MESSAGE["messages"])
    alone = sum(record.cost.total for record in calls)

    name = json.loads(ask("/batches", **BATCH))["id"]
    for _ in range(2):
        poll(f"/batches/{name}")

    assert calls[-1].cost.total * 2 == alone
    assert calls[-1].service_tier == "batch"


def test_an_own_key_pays_upstream_for_a_batch_too(openrouter, calls):
    with httpx.Client(headers={"Authorization": f"Bearer {BYOK_KEY}"}, base_url=openrouter.base_url) as http:
        name = http.post("/batches", json={**BATCH, "model": HAIKU}).json()["id"]
        for _ in range(3):
            http.get(f"/batches/{name}")

    assert [record.cost.billing for record in calls if record.cost] == ["byok"]
    assert calls[2].cost.total == openrouter.book.total("spend") > calls[2].cost.charged


def test_a_job_that_failed_is_one_failed_call(ask, poll, calls, openrouter):
    answer = Answer(id="gen-vid-1")
    openrouter.script(shapes.video(answer, "pending"), path="/videos")
    openrouter.script(*[shapes.video(answer, "failed")] * 2, path="/videos/gen-vid-1")

    ask("/videos", **VIDEO)
    for _ in range(2):
        poll("/videos/gen-vid-1")

    assert [record.outcome for record in calls] == ["ok", "error", "ok"]
    assert (calls[1].failure.error_type, calls[1].failure.origin) == ("failed", "upstream")


def test_a_background_response_through_the_client_is_billed_once(client, calls, openrouter):
    job = client.responses.create(model=MINI, input="Hello there", background=True)
    while job.status in {"queued", "in_progress"}:
        job = client.responses.retrieve(job.id)
    client.responses.retrieve(job.id)

    (entry,) = openrouter.book.entries
    assert [record.cost and record.cost.total for record in calls] == [None, None, entry.spend, None]
    assert calls[2].finish_reasons == ("stop",)


def test_a_background_stream_read_to_its_end_is_not_billed_again_when_read_again(client, calls, openrouter):
    made = Answer(id="gen-1")
    openrouter.script(shapes.response_stream(made, is_stored=True))
    openrouter.script(shapes.background_response(made), path="/responses/gen-1")

    list(client.responses.create(model=MINI, input="Hello there", background=True, stream=True))
    client.responses.retrieve("gen-1")

    assert [record.cost and record.cost.total for record in calls] == [made.charged, None]
    assert [record.generation_id for record in calls] == ["gen-1", None]


@pytest.mark.parametrize("provider", ["acme", "openai"])  # whose list prices are known, and are not those of batches
def test_a_batch_at_a_server_without_money_is_unpriced_once_and_only_at_its_end(
    openrouter, telemetry, ask, poll, provider
):
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    running = Scenario(body={"id": "batch_1", "object": "batch", "model": "gpt-5-mini", "status": "in_progress"})
    ended = Scenario(body={**running.body, "status": "completed", "usage": usage})
    openrouter.script(running, path="/batches")
    openrouter.script(running, ended, ended, path="/batches/batch_1")
    or_otel.instrument(**telemetry.providers, hosts={_host(openrouter): provider})

    with or_otel.capture() as calls:
        ask("/batches", input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
        for _ in range(3):
            poll("/batches/batch_1")

    assert [record.unpriced for record in calls] == [None, None, "not_reported", None]
    assert [record.usage and record.usage.output_tokens for record in calls] == [None, None, 5, None]


def test_the_model_of_an_upload_is_told(client, calls):
    client.audio.transcriptions.create(model="openai/gpt-4o-mini-transcribe", file=("a.wav", b"RIFF" * 100))

    assert calls[0].request.model == "openai/gpt-4o-mini-transcribe"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/responses", {"model": "acme/none", "input": "Hi"}),
        ("/messages", {**MESSAGE, "model": "acme/none"}),
        ("/completions", {"model": "acme/none", "prompt": "Hi"}),
        ("/embeddings", {"model": "acme/none", "input": "Hi"}),
        ("/rerank", {"model": "acme/none", "query": "Hi", "documents": ["a"]}),
        ("/images", {"model": "acme/none", "prompt": "Hi"}),
        ("/audio/speech", {"model": "acme/none", "input": "Hi"}),
        ("/audio/transcriptions", {"model": "acme/none"}),
        ("/videos", {"model": "acme/none", "prompt": "Hi"}),
        ("/batches", {"model": "acme/none", "requests": [{}]}),
    ],
)
def test_every_api_tells_why_it_refused(ask, calls, path, body):
    ask(path, **body)

    (record,) = calls
    assert (record.outcome, record.status, record.unpriced) == ("error", 400, None)
    assert (record.failure.error_type, record.failure.origin) == ("invalid_request", "router")


@pytest.mark.parametrize("shape", [shapes.response, shapes.response_stream, shapes.message, shapes.message_stream])
def test_own_keys_pay_upstream_in_every_shape(ask, calls, openrouter, shape):
    openrouter.script(shape(Answer(is_byok=True, fee=Decimal("0.00001"))))

    ask("/messages" if "message" in shape.__name__ else "/responses", **MESSAGE)

    (record,) = calls
    assert (record.cost.billing, record.cost.charged) == ("byok", Decimal("0.00001"))
    assert record.cost.total == openrouter.book.total("spend")


@pytest.mark.parametrize("shape", [shapes.response, shapes.response_stream, shapes.message, shapes.message_stream])
def test_content_is_recorded_in_every_shape_where_it_is_wanted(openrouter, telemetry, ask, shape):
    openrouter.script(shape(reasoned(calling())), shape(reasoned()))
    or_otel.instrument(**telemetry.providers, hosts={_host(openrouter): "openrouter"}, content="SPAN_ONLY")

    with or_otel.capture() as calls:
        for _ in range(2):
            ask("/messages" if "message" in shape.__name__ else "/responses", **MESSAGE)

    tool, text = calls
    assert '"arguments": {"city": "Lisbon"}' in tool.output_messages
    assert text.output_messages.count("Lisbon is the capital of Portugal.") == 1
    assert text.output_messages.count("The user asks for a capital.") == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/responses", {"model": HAIKU, "instructions": "Be short", "input": "Hello there"}),
        (
            "/responses",
            {"model": HAIKU, "instructions": "Be short", "input": [{"role": "user", "content": "Hello there"}]},
        ),
        ("/messages", {**MESSAGE, "system": [{"type": "text", "text": "Be short"}]}),
    ],
)
def test_what_was_asked_is_recorded_in_every_shape_where_it_is_wanted(openrouter, telemetry, ask, path, body):
    or_otel.instrument(**telemetry.providers, hosts={_host(openrouter): "openrouter"}, content="SPAN_ONLY")

    with or_otel.capture() as calls:
        ask(path, **body)

    (record,) = calls
    assert record.system_instructions == '[{"type": "text", "content": "Be short"}]'
    assert record.input_messages == '[{"role": "user", "parts": [{"type": "text", "content": "Hello there"}]}]'


def test_a_server_without_money_still_tells_tokens(openrouter, telemetry, ask):
    usage = {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    openrouter.script(Scenario(body={"id": "resp_1", "object": "response", "status": "completed", "usage": usage}))
    or_otel.instrument(**telemetry.providers, hosts={_host(openrouter): "openai"})

    with or_otel.capture() as calls:
        ask("/responses", model="gpt-5-mini", input="Hi")

    (record,) = calls
    assert (record.usage.input_tokens, record.usage.output_tokens) == (3, 5)
    assert (record.cost, record.unpriced, record.generation_id) == (None, "not_reported", None)
    assert "x-openrouter-metadata" not in openrouter.requests[0].headers


def test_a_byok_call_of_each_text_api_is_what_the_book_says(openrouter, calls):
    with httpx.Client(headers={"Authorization": f"Bearer {BYOK_KEY}"}, base_url=openrouter.base_url) as http:
        http.post("/messages", json=MESSAGE)
        http.post("/responses", json={"model": HAIKU, "input": "Hello there"})
        http.post("/completions", json={"model": HAIKU, "prompt": "Hello there"})

    assert sum(record.cost.total for record in calls) == openrouter.book.total("spend")
    assert {record.cost.billing for record in calls} == {"byok"}
