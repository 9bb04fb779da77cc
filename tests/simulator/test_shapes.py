import json

import openai.types.responses as openai_responses
import pydantic
import pytest
from openrouter import components, operations
from openrouter.utils import unmarshal_json

from or_otel.simulator import scenarios as s
from or_otel.simulator import shapes
from or_otel.simulator.exact_json import dumps

ANSWERS = {
    "plain": s.Answer(),
    "reasoned": s.reasoned(),
    "calling": s.calling(),
    "cached": s.cached(read=900, written=100),
    "byok": s.byok(),
    "searched": s.searched(),
    "cut": s.Answer(finish_reason="length"),
    "provider-fallback": s.provider_fallback(),
}
EVENT = pydantic.TypeAdapter(openai_responses.ResponseStreamEvent)


def _events(scenario):
    return [step for step in scenario.steps if isinstance(step, s.Chunk)]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_response_is_one_the_official_client_accepts(name):
    body = dumps(shapes.response(ANSWERS[name]).body)

    result = unmarshal_json(body, components.OpenResponsesResult)

    assert result.usage.input_tokens == ANSWERS[name].usage.input_tokens


@pytest.mark.parametrize("stream", [shapes.response_stream, shapes.response_failing_stream])
@pytest.mark.parametrize("name", ["plain", "reasoned", "calling", "cut"])
def test_every_event_of_a_response_is_one_the_clients_accept(name, stream):
    events = _events(stream(ANSWERS[name]))

    for step in events:
        unmarshal_json(dumps(step.data), components.StreamEvents)
        EVENT.validate_python(json.loads(dumps(step.data)), strict=False)
        assert step.event == step.data["type"]
    assert [step.data["sequence_number"] for step in events] == list(range(len(events)))
    assert events[-1].data["response"]["status"] == events[-1].event.removeprefix("response.")


def test_a_failed_response_is_one_the_official_client_accepts():
    scenario = shapes.response_failed()

    assert unmarshal_json(dumps(scenario.body), components.OpenResponsesResult).status == "failed"
    assert scenario.bill is None


@pytest.mark.parametrize("name", ANSWERS)
def test_the_usage_of_a_message_is_one_the_official_client_accepts(name):
    scenario = shapes.message(ANSWERS[name])

    unmarshal_json(dumps(scenario.body["usage"]), components.BodyUsage2)

    told = scenario.body["usage"]
    counts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    assert sum(told[name] for name in counts) == scenario.bill.usage.input_tokens
    assert told["cost"] == scenario.bill.charged


@pytest.mark.parametrize("name", ["plain", "reasoned", "calling"])
def test_a_streamed_message_says_what_the_whole_one_says(name):
    whole = shapes.message_body(ANSWERS[name])
    events = [step.data for step in _events(shapes.message_stream(ANSWERS[name]))]

    texts = {"text": "", "thinking": "", "partial_json": ""}
    for event in events:
        if event["type"] == "content_block_delta":
            kind = next(kind for kind in texts if kind in event["delta"])
            texts[kind] += event["delta"][kind]
    said = {kind: value for block in whole["content"] for kind, value in block.items() if kind in texts}
    inputs = [block["input"] for block in whole["content"] if "input" in block]
    assert {kind: text for kind, text in texts.items() if text and kind in said} == said
    assert [json.loads(texts["partial_json"])] == inputs if inputs else not texts["partial_json"]
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]


def test_works_without_choices_are_what_the_official_client_accepts():
    answer = s.multimodal()

    unmarshal_json(dumps(shapes.embeddings(answer, count=2).body), operations.CreateEmbeddingsResponseBody)
    unmarshal_json(dumps(shapes.ranking(answer, ["a", "bc"]).body), operations.CreateRerankResponseBody)
    unmarshal_json(dumps(shapes.images(answer, count=1).body), components.ImageGenerationResponse)
    unmarshal_json(dumps(shapes.transcription(answer).body), components.STTResponse)


@pytest.mark.parametrize("status", ["pending", "in_progress", "failed", "completed"])
def test_jobs_are_what_the_official_client_accepts_and_billed_at_their_end(status):
    video, batch = shapes.video(s.Answer(), status), shapes.batch(s.Answer(), status, count=2)

    unmarshal_json(dumps(video.body), components.VideoGenerationResponse)
    unmarshal_json(dumps(batch.body), components.BatchObject)
    assert [job.bill is not None for job in (video, batch)] == [status == "completed"] * 2


@pytest.mark.parametrize("status", ["queued", "in_progress", None])
def test_a_background_response_is_what_the_official_client_accepts(status):
    scenario = shapes.background_response(s.Answer(), status)

    told = unmarshal_json(dumps(scenario.body), components.OpenResponsesResult)
    assert (told.background, told.status) == (True, status or "completed")
    assert (scenario.bill is None) == (status is not None)


def test_media_name_generation_and_provider_in_headers():
    for scenario in (shapes.images(s.Answer(), count=1), shapes.speech(s.Answer()), shapes.transcription(s.Answer())):
        headers = dict(scenario.headers)

        assert (headers["x-generation-id"], headers["x-provider-name"]) == (scenario.bill.id, "Anthropic")


@pytest.mark.parametrize(
    ("status", "word"), [(401, "authentication_error"), (402, "billing_error"), (500, "api_error")]
)
def test_refusals_of_messages_have_their_own_envelope(status, word):
    refused = shapes.anthropic_error(s.error(status, "words"))

    assert (refused.status, refused.body["type"], refused.body["error"]["type"]) == (status, "error", word)
    assert refused.body["error"]["error_type"] == s.ERROR_TYPES[status]


def test_a_response_left_early_is_billed_for_what_was_sent(server, ask):
    body = {"model": "openai/gpt-5-mini", "input": "Hello there", "stream": True}
    headers = {"Authorization": "Bearer sk-or-v1-demo-search", "X-Simulator": "hold 3"}
    with ask.client.stream("POST", f"{server.base_url}/responses", json=body, headers=headers) as answer:
        next(line for line in answer.iter_lines() if "output_text.delta" in line)
    server.wait_for_disconnect()

    (entry,) = server.book.entries
    assert (entry.is_cancelled, entry.api) == (True, "responses")
    assert 0 <= entry.usage.output_tokens < 10


@pytest.mark.parametrize(
    "path",
    [
        "/responses",
        "/messages",
        "/completions",
        "/embeddings",
        "/rerank",
        "/images",
        "/audio/speech",
        "/videos",
        "/batches",
    ],
)
def test_a_request_without_its_input_is_refused(ask, path):
    answer = ask.post(path, model="openai/gpt-5-mini")

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "last"), [("/responses", "response.failed"), ("/messages", "error"), ("/chat/completions", "error")]
)
def test_a_staged_break_ends_a_stream_in_the_way_of_its_api(ask, path, last):
    body = {"model": "openai/gpt-5-mini", "input": "Hi", "messages": [{"role": "user", "content": "Hi"}]}

    text = ask.post(path, **body, stream=True, headers={"X-Simulator": "break 2"}).text

    assert f'"{last}"' in text
    assert "response.completed" not in text
    assert ask.server.book.total() == 0
