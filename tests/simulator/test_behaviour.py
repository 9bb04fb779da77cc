import json
from decimal import Decimal

import openai
import pytest
from openrouter import OpenRouter, components, errors
from openrouter.utils import unmarshal_json

from or_otel.simulator.account import BROKE_KEY, BYOK_KEY, MANAGEMENT_KEY, SEARCH_KEY, SUPPORT_KEY
from or_otel.simulator.book import fingerprint

HAIKU = "anthropic/claude-haiku-4.5"
LLAMA = "meta-llama/llama-3.3-70b-instruct"
METADATA = {"X-OpenRouter-Metadata": "enabled"}
PREFIX = [{"role": "system", "content": "y" * 8000}]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("a", "b")]


def test_an_answer_is_priced_from_its_tokens(server, ask, exact):
    body = exact(ask.chat(content="x" * 400).text)

    usage = body["usage"]
    assert usage["prompt_tokens"] == 100
    assert usage["cost"] == 100 * Decimal("0.000001") + usage["completion_tokens"] * Decimal("0.000005")
    assert server.book.entries[0].charged == usage["cost"]
    assert unmarshal_json(ask.chat().text, components.ChatResult).model == HAIKU


def test_streams_cost_what_plain_answers_cost(server, ask, exact):
    plain, chunks = exact(ask.chat().text), exact(ask.chat(stream=True).text)

    assert chunks[-1]["usage"] == plain["usage"]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == plain["choices"][0]["message"]["content"]
    assert ask.chat(stream=True).headers["x-generation-id"] == server.book.entries[-1].id


def test_a_failing_provider_is_replaced_by_the_next(server, ask):
    server.provider_fails("Anthropic", 529)

    body = ask.chat(headers=METADATA).json()

    assert body["provider"] == "Amazon Bedrock"
    assert [a["status"] for a in body["openrouter_metadata"]["attempts"]] == [529, 200]
    assert unmarshal_json(ask.chat(headers=METADATA).text, components.ChatResult).openrouter_metadata.attempt == 2


def test_trouble_may_end_by_itself_or_by_recovery(server, ask):
    server.provider_fails("Anthropic", times=1)
    server.model_fails("openai/gpt-5-mini")

    providers = [ask.chat().json()["provider"] for _ in range(2)]
    failed = ask.chat("openai/gpt-5-mini").status_code
    server.recovers("openai/gpt-5-mini")

    assert providers == ["Amazon Bedrock", "Anthropic"]
    assert (failed, ask.chat("openai/gpt-5-mini").status_code) == (503, 200)


def test_a_failing_model_is_replaced_by_the_requests_next(server, ask):
    server.model_fails(HAIKU)

    body = ask.chat(models=["openai/gpt-5-mini"], headers=METADATA).json()

    assert body["model"] == "openai/gpt-5-mini"
    assert [a["status"] for a in body["openrouter_metadata"]["attempts"]] == [503, 503, 200]
    assert body["openrouter_metadata"]["requested"] == HAIKU


def test_when_all_fail_the_last_failure_tells_the_earlier(server, ask):
    server.provider_fails("Anthropic", 529)
    server.provider_fails("Amazon Bedrock", 429, retry_after_s=7)

    response = ask.chat(headers=METADATA)

    body = response.json()
    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert body["error"]["metadata"]["provider_name"] == "Amazon Bedrock"
    assert body["error"]["metadata"]["previous_errors"][0]["status"] == 529
    assert not any(e["selected"] for e in body["openrouter_metadata"]["endpoints"]["available"])
    assert server.book.entries == ()


@pytest.mark.parametrize(
    ("model", "provider", "winner"),
    [
        (LLAMA, {}, "DeepInfra"),
        (LLAMA, {"order": ["together"]}, "Together"),
        (LLAMA, {"only": ["groq"]}, "Groq"),
        (LLAMA, {"ignore": ["deepinfra", "groq"]}, "Together"),
        (LLAMA, {"sort": "throughput"}, "Groq"),
        (LLAMA, {"sort": {"by": "price"}}, "DeepInfra"),
        (f"{LLAMA}:nitro", {}, "Groq"),
        (f"{LLAMA}:floor", {}, "DeepInfra"),
        (f"{LLAMA}:free", {}, "Chutes"),
    ],
)
def test_the_request_decides_who_serves(ask, model, provider, winner):
    body = ask.chat(model, provider=provider).json()

    assert body["provider"] == winner
    assert body["model"] == model.removesuffix(":nitro").removesuffix(":floor")


def test_a_request_may_forbid_fallbacks(server, ask):
    server.provider_fails("Anthropic")

    assert ask.chat(provider={"order": ["anthropic"], "allow_fallbacks": False}).status_code == 529
    assert ask.chat(provider={"allow_fallbacks": False}).status_code == 529


def test_rules_that_leave_no_endpoint_are_told(ask):
    response = ask.chat(provider={"only": ["groq"]})

    assert response.status_code == 404
    assert response.json()["error"]["availability"]["code"] == "constraint_filtered"


@pytest.mark.parametrize(
    ("asked", "strategy"),
    [("openrouter/auto", "auto"), ("openrouter/free", "free"), ("~anthropic/claude-haiku-latest", "latest")],
)
def test_routers_and_aliases_say_so(ask, asked, strategy):
    body = ask.chat(asked, headers=METADATA).json()

    assert body["openrouter_metadata"]["strategy"] == strategy
    assert body["model"] != asked


@pytest.mark.parametrize("asked", ["@preset/summary", f"{HAIKU}@preset/any", None])
def test_presets_and_no_model_are_served(ask, asked):
    assert ask.chat(asked).status_code == 200


def test_the_route_is_told_only_to_who_asks(server, ask, exact):
    assert "openrouter_metadata" not in ask.chat().text
    assert "openrouter_metadata" not in ask.chat(stream=True).text
    chunks = exact(ask.chat(stream=True, headers=METADATA).text)

    assert ["openrouter_metadata" in chunk for chunk in chunks] == [False] * (len(chunks) - 1) + [True]


def test_own_keys_go_first_and_pay_a_fee(server, ask, exact):
    body = exact(ask.chat("anthropic/claude-sonnet-4.6", key=BYOK_KEY).text)
    server.provider_fails("Anthropic")
    fallen = exact(ask.chat("anthropic/claude-sonnet-4.6", key=BYOK_KEY).text)

    usage = body["usage"]
    assert usage["is_byok"] is True
    assert usage["cost"] == usage["cost_details"]["upstream_inference_cost"] * Decimal("0.05")
    assert fallen["usage"]["is_byok"] is False
    assert server.book.total("upstream") == usage["cost_details"]["upstream_inference_cost"]


def test_a_long_prefix_is_written_once_and_then_read(server, ask, exact):
    asked = [ask.chat(messages=[*PREFIX, {"role": "user", "content": word}]) for word in ("one", "two")]

    details = [exact(response.text)["usage"]["prompt_tokens_details"] for response in asked]
    assert [(d["cache_write_tokens"], d["cached_tokens"]) for d in details] == [(2000, 0), (0, 2000)]
    first, second = server.book.entries
    assert first.cache_discount == 2000 * Decimal("-0.00000025")
    assert second.cache_discount == 2000 * Decimal("0.0000009")


def test_the_response_cache_replays_for_nothing(server, ask):
    headers = {"X-OpenRouter-Cache": "true", **METADATA}

    first, second = ask.chat(headers=headers), ask.chat(headers=headers)
    cleared = ask.chat(headers={**headers, "X-OpenRouter-Cache-Clear": "true"})

    told = [r.headers["x-openrouter-cache-status"] for r in (first, second, cleared)]
    assert told == ["MISS", "HIT", "MISS"]
    assert second.json()["usage"]["cost"] == 0
    assert second.json()["choices"] == first.json()["choices"]
    assert second.json()["id"] != first.json()["id"]
    assert "openrouter_metadata" not in second.json()


def test_answers_may_name_the_dated_model(server, ask):
    server.behaviour.is_answer_dated = True

    assert ask.chat().json()["model"] == "anthropic/claude-4.5-haiku-20251001"


def test_an_answer_is_cut_at_the_limit(ask):
    body = ask.chat(max_tokens=3).json()

    assert body["choices"][0]["finish_reason"] == "length"
    assert body["choices"][0]["native_finish_reason"] == "max_tokens"
    assert body["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("choice", "name"), [("required", "a"), ({"type": "function", "function": {"name": "b"}}, "b"), ("auto", None)]
)
def test_a_tool_is_called_when_the_request_insists(ask, choice, name):
    message = ask.chat(tools=TOOLS, tool_choice=choice).json()["choices"][0]["message"]

    calls = message.get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == ([name] if name else [])


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"model": HAIKU}, 400),
        ({"model": "acme/nope", "messages": [{"role": "user", "content": "x"}]}, 400),
        ({"model": HAIKU, "messages": [{"role": "user", "content": "x"}], "key": None}, 401),
        ({"model": HAIKU, "messages": [{"role": "user", "content": "x"}], "key": BROKE_KEY}, 402),
        ({"model": HAIKU, "messages": [{"role": "user", "content": "x"}], "key": MANAGEMENT_KEY}, 403),
        ({"path": "/nowhere"}, 404),
    ],
)
def test_what_cannot_be_served_is_refused(server, ask, sent, status):
    response = ask.post(**sent)

    assert response.status_code == response.json()["error"]["code"] == status
    assert server.book.entries == ()


def test_a_body_that_is_no_json_is_refused(server, ask):
    response = ask.client.post(
        f"{server.base_url}/chat/completions", content=b"{", headers={"Authorization": f"Bearer {SEARCH_KEY}"}
    )

    assert response.status_code == 400


@pytest.mark.parametrize(("hold", "provider", "is_stopped"), [("3", "anthropic", True), ("3", "amazon-bedrock", False)])
def test_leaving_a_stream_stops_the_bill_only_where_the_provider_stops(server, ask, hold, provider, is_stopped):
    headers = {"X-Simulator": f"hold {hold}"}

    with ask.streaming(provider={"only": [provider]}, headers=headers) as response:
        next(response.iter_lines())

    server.wait_for_disconnect()
    (entry,) = server.book.entries
    assert entry.is_cancelled
    assert (entry.usage.output_tokens < 10) is is_stopped
    told = ask.get(f"/generation?id={entry.id}").json()["data"]
    assert (told["cancelled"], told["finish_reason"]) == (True, None)


def test_a_refused_request_is_served_when_sent_again(server):
    with openai.OpenAI(api_key=SEARCH_KEY, base_url=server.base_url, max_retries=1) as client:
        answer = client.chat.completions.create(
            model=HAIKU, messages=[{"role": "user", "content": "x"}], extra_headers={"X-Simulator": "refuse 502"}
        )

    assert answer.choices[0].finish_reason == "stop"
    assert len(server.requests) == 2
    assert len(server.book.entries) == 1


async def test_the_openai_client_reads_streams_and_keeps_the_cost(server):
    async with openai.AsyncOpenAI(api_key=SEARCH_KEY, base_url=server.base_url) as client:
        stream = await client.chat.completions.create(
            model=HAIKU, messages=[{"role": "user", "content": "x"}], stream=True
        )
        chunks = [chunk async for chunk in stream]

    assert Decimal(str(chunks[-1].usage.model_extra["cost"])) == server.book.total()


def test_embeddings_and_legacy_completions_are_billed_too(server, ask, exact):
    vectors = exact(ask.post("/embeddings", model="openai/text-embedding-3-small", input=["x" * 400, "y"]).text)
    text = exact(ask.post("/completions", model=HAIKU, prompt="x" * 40).text)

    assert vectors["model"] == "text-embedding-3-small"
    assert vectors["usage"]["cost"] == 101 * Decimal("0.00000002")
    assert [e.charged for e in server.book.entries] == [vectors["usage"]["cost"], text["usage"]["cost"]]


def test_the_generation_record_comes_late_and_equals_the_bill(server, ask, exact):
    server.behaviour.generation_not_found_first = 1
    server.provider_fails("Anthropic", 529)
    wire = exact(ask.chat().text)

    early, late = (ask.get(f"/generation?id={wire['id']}") for _ in range(2))

    data = exact(late.text)["data"]
    assert early.status_code == 404
    assert data["total_cost"] == data["usage"] == wire["usage"]["cost"]
    assert [r["status"] for r in data["provider_responses"]] == [529, 200]
    assert unmarshal_json(late.text, components.GenerationResponse).data.id == wire["id"]


def test_the_catalogue_is_one_the_official_client_accepts(ask):
    models = unmarshal_json(ask.get("/models").text, components.ModelsListResponse)
    told = json.dumps(ask.get(f"/models/{HAIKU}/endpoints").json()["data"])
    endpoints = unmarshal_json(told, components.ListEndpointsResponse)

    assert HAIKU in {model.id for model in models.data}
    assert [e.provider_name for e in endpoints.endpoints] == ["Anthropic", "Amazon Bedrock"]
    assert ask.get("/models/acme/nope/endpoints").status_code == 404
    assert {"name": "Google", "slug": "google-vertex", "privacy_policy_url": None} in ask.get("/providers").json()[
        "data"
    ]


def test_the_official_client_raises_its_own_errors(server):
    with (
        OpenRouter(api_key=BROKE_KEY, server_url=server.base_url) as client,
        pytest.raises(errors.PaymentRequiredResponseError),
    ):
        client.chat.send(model=HAIKU, messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize(
    ("path", "body", "states"),
    [
        (
            "/videos",
            {"model": "google/veo-3.1", "prompt": "Hi"},
            ["pending", "in_progress", "in_progress", "completed"],
        ),
        (
            "/batches",
            {"model": "openai/gpt-5-mini", "requests": [{"body": {"messages": [{"role": "user", "content": "Hi"}]}}]},
            ["validating", "in_progress", "in_progress", "completed"],
        ),
        (
            "/responses",
            {"model": "openai/gpt-5-mini", "input": "Hi", "background": True},
            ["queued", "in_progress", "in_progress", "completed"],
        ),
    ],
)
def test_a_job_runs_until_it_was_asked_about_so_often_and_is_then_billed_once(ask, path, body, states):
    ask.server.behaviour.polls_until_ended = 2

    job = ask.post(path, **body).json()
    told = [ask.get(f"{path}/{job['id']}").json() for _ in range(3)]

    assert [each["status"] for each in (job, *told)] == states
    assert [entry.id for entry in ask.server.book.entries] == [job["id"]]
    assert ask.get(f"{path}/{job['id']}", key=SUPPORT_KEY).json() == told[-1]
    assert [entry.key for entry in ask.server.book.entries] == [fingerprint(SEARCH_KEY)]


def test_a_job_that_nobody_submitted_is_not_found(ask):
    assert ask.get("/videos/gen-vid-none").status_code == 404
