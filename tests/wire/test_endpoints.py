from __future__ import annotations

import pytest

from or_otel.wire.endpoints import Hosts


@pytest.mark.parametrize(
    ("url", "provider", "host", "port"),
    [
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter", "openrouter.ai", 443),
        ("http://EU.OpenRouter.ai:8080/api/v1/chat/completions/?x=1#y", "openrouter", "eu.openrouter.ai", 8080),
        ("https://user:secret@openrouter.ai./api/v1/chat/completions", "openrouter", "openrouter.ai", 443),
        ("https://api.openai.com/v1/chat/completions", "openai", "api.openai.com", 443),
        (
            "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
            "azure.ai.openai",
            "me.openai.azure.com",
            443,
        ),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            "gcp.gemini",
            "generativelanguage.googleapis.com",
            443,
        ),
        ("http://[::1]:9/v1/chat/completions", "mine", "::1", 9),
        ("http://127.0.0.1:99/v1/chat/completions", "openrouter", "127.0.0.1", 99),
        ("http://llm.internal/chat/completions", "llm.internal", "llm.internal", 80),
    ],
)
def test_a_known_server_is_recognised(url, provider, host, port):
    hosts = Hosts({"[::1]:9": "mine", "127.0.0.1:99": "openrouter", "LLM.internal": ""})

    endpoint = hosts.endpoint("POST", url)

    assert (endpoint.provider, endpoint.host, endpoint.port) == (provider, host, port)
    assert endpoint.is_openrouter == (provider == "openrouter")
    assert (endpoint.api, endpoint.operation) == ("chat", "chat")


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "https://openrouter.ai/api/v1/chat/completions"),
        ("POST", "https://evil-openrouter.ai/api/v1/chat/completions"),
        ("POST", "https://openrouter.ai.example.com/chat/completions"),
        ("POST", "https://openrouter.ai/api/v1/credits"),
        ("POST", "https://api.openai.com/v1/threads/t/messages"),
        ("POST", "https://api.openai.com/v1/chat/completions/id"),
        ("POST", "https://api.anthropic.com/v1/messages/batches"),
        ("GET", "https://api.anthropic.com/v1/messages/batches/msgbatch_1"),
        ("GET", "https://openrouter.ai/api/v1/videos/models"),
        ("POST", "https://api.openai.com/v1/videos/characters"),
        ("GET", "https://api.openai.com/v1/videos/video_1/remix"),
        ("POST", "https://api.openai.com/v1/songs/song_1/remix"),
        ("POST", "https://api.openai.com/v1/chat/completions/remix"),
        ("GET", "https://openrouter.ai/api/v1/videos/gen-vid-1/content?index=0"),
        ("DELETE", "https://openrouter.ai/api/v1/videos/gen-vid-1"),
        ("POST", "https://openrouter.ai/api/v1/batches/gen-batch-1/cancel"),
        ("POST", "http://127.0.0.1:98/v1/chat/completions"),
        ("POST", "http://[::1/v1/chat/completions"),
        ("POST", "https://openrouter.ai:port/chat/completions"),
        ("POST", "/chat/completions"),
        ("POST", "file://openrouter.ai/chat/completions"),
        ("POST", ""),
    ],
)
def test_everything_else_is_none_of_ours(method, url):
    assert Hosts({"127.0.0.1:99": "openrouter"}).endpoint(method, url) is None


@pytest.mark.parametrize(
    ("url", "api", "operation"),
    [
        ("https://openrouter.ai/api/v1/responses", "responses", "chat"),
        ("https://openrouter.ai/api/v1/messages", "messages", "chat"),
        ("https://openrouter.ai/api/v1/completions", "completions", "text_completion"),
        ("https://openrouter.ai/api/v1/embeddings", "embeddings", "embeddings"),
        ("https://openrouter.ai/api/v1/rerank", "rerank", "rerank"),
        ("https://openrouter.ai/api/v1/images", "images", "generate_content"),
        ("https://api.openai.com/v1/images/generations", "images", "generate_content"),
        ("https://api.openai.com/v1/images/edits", "images", "generate_content"),
        ("https://openrouter.ai/api/v1/audio/speech", "speech", "generate_content"),
        ("https://openrouter.ai/api/v1/audio/transcriptions", "transcription", "generate_content"),
        ("https://api.openai.com/v1/audio/translations", "transcription", "generate_content"),
        ("https://openrouter.ai/api/v1/videos", "videos", "generate_content"),
        ("https://api.openai.com/v1/videos/video_1/remix", "videos", "generate_content"),
        ("https://api.openai.com/v1/videos/edits", "videos", "generate_content"),
        ("https://api.openai.com/v1/videos/extensions", "videos", "generate_content"),
        ("https://openrouter.ai/api/v1/batches", "batches", "create_batch"),
        ("https://openrouter.ai/api/beta/batches", "batches", "create_batch"),
        ("https://me.openai.azure.com/openai/batches?api-version=1", "batches", "create_batch"),
    ],
)
def test_each_api_is_told_from_its_path(url, api, operation):
    endpoint = Hosts().endpoint("POST", url)

    assert (endpoint.api, endpoint.operation) == (api, operation)
    assert Hosts().endpoint("GET", url) is None


def test_reading_a_stored_response_again_is_an_operation_of_its_own():
    base = "https://openrouter.ai/api/v1/responses"

    endpoint = Hosts().endpoint("get", f"{base}/gen-1?include=usage")

    assert (endpoint.api, endpoint.operation, endpoint.is_openrouter) == ("responses", "fetch_response", True)
    assert Hosts().endpoint("GET", f"{base}/gen-1/input_items") is None
    assert Hosts().endpoint("DELETE", f"{base}/gen-1") is None
    assert Hosts().endpoint("POST", f"{base}/gen-1/cancel") is None
    assert Hosts().endpoint("GET", "https://example.org/responses/gen-1") is None


@pytest.mark.parametrize(
    ("path", "api"), [("videos/gen-vid-1", "videos"), ("batches/gen-batch-1/", "batches"), ("responses/r", "responses")]
)
def test_asking_how_a_job_stands_is_reading_it_again(path, api):
    endpoint = Hosts().endpoint("GET", f"https://openrouter.ai/api/v1/{path}?x=1/2")

    assert (endpoint.api, endpoint.operation) == (api, "fetch_response")


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("https://openrouter.ai/api/v1/chat/completions", "https://openrouter.ai/api/v1"),
        ("http://eu.openrouter.ai:8080/api/v1/responses/?x=1#y", "http://eu.openrouter.ai:8080/api/v1"),
        ("https://user:secret@openrouter.ai/api/v1/embeddings", "https://openrouter.ai/api/v1"),
        ("https://openrouter.ai/api/v1/messages", "https://openrouter.ai/api/v1"),
        ("https://openrouter.ai/api/beta/batches", "https://openrouter.ai/api/v1"),
        ("http://gateway.internal/or/proxy/audio/speech", "http://gateway.internal/or/proxy"),
        ("http://gateway.internal/chat/completions", "http://gateway.internal"),
        ("https://api.openai.com/v1/chat/completions", None),
    ],
)
def test_openrouter_s_other_endpoints_are_beside_the_one_that_was_asked(url, base_url):
    endpoint = Hosts({"gateway.internal": "openrouter"}).endpoint("POST", url)

    assert endpoint.base_url == base_url
    assert "http" not in repr(endpoint)


def test_the_base_url_of_a_job_that_is_asked_about_has_no_id_in_it():
    endpoint = Hosts().endpoint("GET", "https://openrouter.ai/api/v1/videos/job-1?x=1")

    assert endpoint.base_url == "https://openrouter.ai/api/v1"
