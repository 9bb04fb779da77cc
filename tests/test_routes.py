from __future__ import annotations

import pytest

from or_otel.facts import Answer, Failure, ProviderPreferences, Request, RouteAttempt, RouterMetadata
from or_otel.routes import is_same_model, route

RECORDED_PAIRS = [
    ("anthropic/claude-sonnet-4.5", "anthropic/claude-4.5-sonnet-20250929"),
    ("anthropic/claude-sonnet-4-5", "anthropic/claude-4.5-sonnet-20250929"),
    ("anthropic/claude-sonnet-4.6", "anthropic/claude-4.6-sonnet-20260217"),
    ("anthropic/claude-haiku-4.5", "anthropic/claude-4.5-haiku-20251001"),
    ("anthropic/claude-haiku-4.5", "anthropic/claude-haiku-4.5"),
    ("openai/gpt-5-mini", "openai/gpt-5-mini-2025-08-07"),
    ("openai/gpt-5.2", "openai/gpt-5.2-20251211"),
    ("deepseek/deepseek-v3.2", "deepseek/deepseek-v3.2-20251201"),
    ("google/gemini-3-flash-preview", "google/gemini-3-flash-preview-20251217"),
    ("qwen/qwen3-8b:free", "qwen/qwen3-8b:free"),
    ("qwen/qwen3-8b:nitro", "qwen/qwen3-8b"),
    ("openai/text-embedding-3-small", "text-embedding-3-small"),
]


def _route(request, answer=None, **told):
    return route(request, answer or Answer(**told), is_openrouter=True)


@pytest.mark.parametrize(("asked", "served"), RECORDED_PAIRS)
def test_another_spelling_of_the_model_is_no_fallback(asked, served):
    request = Request(model=asked, models=("x-ai/grok-4",))

    assert _route(request, model=served, metadata=RouterMetadata(attempt=1)).fallback == "none"
    assert _route(request, model=served).fallback == "unknown"
    assert route(request, Answer(model=served), is_openrouter=False).fallback == "none"


@pytest.mark.parametrize(
    ("left", "right"),
    [("openai/gpt-4o-2024-05-13", "openai/gpt-4o-2024-08-06"), ("a/x", "b/x"), ("openai/gpt-5", "openai/gpt-5-mini")],
)
def test_different_models_stay_different(left, right):
    assert not is_same_model(left, right)


def test_the_recorded_model_fallback_is_found_without_metadata():
    request = Request(model="google/gemini-2.0-flash-exp:free", models=("x-ai/grok-4",))

    assert _route(request, model="x-ai/grok-4").fallback == "model"


def test_falling_from_the_free_variant_to_the_paid_one_is_a_model_fallback():
    request = Request(model="qwen/qwen3-8b:free", models=("qwen/qwen3-8b",))

    assert _route(request, model="qwen/qwen3-8b").fallback == "model"


def test_a_second_provider_of_the_same_model_is_a_provider_fallback():
    tries = (RouteAttempt(provider="A", model="a/b-20250101", status=429), RouteAttempt(provider="B", status=200))

    found = _route(Request(model="a/b"), model="a/b", metadata=RouterMetadata(attempt=2, attempts=tries))

    assert (found.fallback, found.attempt_count, found.attempts) == ("provider", 2, tries)


def test_a_model_that_looks_different_without_evidence_is_unknown():
    assert _route(Request(model="a/b"), model="c/d", metadata=RouterMetadata(attempt=1)).fallback == "unknown"


def test_tries_of_the_asked_model_before_another_are_a_model_fallback():
    tries = (RouteAttempt(model="a/b", status=529), RouteAttempt(model="c/d", status=200))

    assert (
        _route(Request(preset=None, model="a/b"), model="c/d", metadata=RouterMetadata(attempts=tries)).fallback
        == "model"
    )


@pytest.mark.parametrize("model", ["openrouter/auto", "~anthropic/claude-haiku-latest", "@preset/mine", "a/b@preset/x"])
def test_a_router_an_alias_or_a_preset_differs_by_design(model):
    assert _route(Request(model=model), model="c/d", metadata=RouterMetadata(attempt=1)).fallback == "routed"


def test_a_preset_that_serves_the_model_it_names_is_known_to_be_none_only_when_one_try_is_told():
    request = Request(model="a/b@preset/x")

    assert _route(request, model="a/b", metadata=RouterMetadata(attempt=1)).fallback == "none"
    assert _route(request, model="a/b").fallback == "routed"


def test_one_try_behind_a_router_is_no_fallback():
    tries = (RouteAttempt(model="c/d", status=200),)

    found = _route(Request(model="openrouter/auto"), model="c/d", metadata=RouterMetadata(attempts=tries))

    assert (found.fallback, found.attempt_count) == ("routed", 1)


def test_a_provider_fallback_behind_a_router_is_still_one():
    tries = (RouteAttempt(model="c/d", status=429), RouteAttempt(model="c/d", status=200))

    found = _route(Request(model="openrouter/auto"), model="c/d", metadata=RouterMetadata(attempts=tries))

    assert found.fallback == "provider"


def test_an_error_that_lists_earlier_errors_tells_the_fallback():
    failure = Failure(
        error_type="x", origin="upstream", status=429, provider="B", previous=(RouteAttempt(provider="A", status=529),)
    )

    found = _route(Request(model="a/b"), failure=failure)

    assert (found.fallback, found.attempt_count) == ("provider", 2)
    assert [attempt.provider for attempt in found.attempts] == ["A", "B"]
    assert _route(Request(model="a/b", models=("c/d",)), failure=failure).fallback == "unknown"


def test_an_error_tells_the_tries_that_its_metadata_does_not_list():
    failure = Failure(error_type="x", origin="router", status=502, previous=(RouteAttempt(provider="A", status=529),))

    found = _route(Request(model="a/b"), failure=failure, metadata=RouterMetadata(requested="a/b"))

    assert (found.attempt_count, found.attempts) == (1, failure.previous)


def test_nothing_sent_upstream_is_no_fallback():
    found = _route(Request(model="a/b"), metadata=RouterMetadata(attempt=0))

    assert (found.fallback, found.attempt_count) == ("none", 0)


@pytest.mark.parametrize(
    ("preferences", "fallback"),
    [({"only": ("azure",)}, "none"), ({"allow_fallbacks": False}, "none"), ({"only": ("azure", "openai")}, "unknown")],
)
def test_one_allowed_provider_leaves_nothing_to_fall_back_to(preferences, fallback):
    request = Request(model="a/b", provider=ProviderPreferences(**preferences))

    assert _route(request, model="a/b").fallback == fallback


def test_a_direct_server_with_another_model_is_unknown():
    assert route(Request(model="a/b", models=("c/d",)), Answer(model="c/d"), is_openrouter=False).fallback == "unknown"


def test_the_model_table_decides_where_it_knows_both():
    assert is_same_model("a/old-name", "a/new", {"a/old-name": "k", "a/new": "k"})
    assert not is_same_model("a/b-c", "a/c-b", {"a/b-c": "1", "a/c-b": "2"})


@pytest.mark.parametrize(
    ("request_", "policy"),
    [
        (Request(model="a/b"), "default"),
        (Request(model="a/b:floor"), "price"),
        (Request(model="a/b:free:nitro"), "throughput"),
        (Request(models=("a/b:exacto",)), "exacto"),
        (Request(model="a/b:nitro", provider=ProviderPreferences(sort="price")), "price"),
        (Request(provider=ProviderPreferences(sort="latency", order=("x",))), "latency"),
        (Request(provider=ProviderPreferences(order=("x",), only=("x",))), "order"),
        (Request(provider=ProviderPreferences(only=("x",), ignore=("y",))), "only"),
        (Request(provider=ProviderPreferences(ignore=("y",), sort="odd")), "ignore"),
    ],
)
def test_the_first_policy_that_applies_is_told(request_, policy):
    assert _route(request_).policy == policy
