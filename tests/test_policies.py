"""The owner's rules, each kept and each broken."""

from __future__ import annotations

import pytest

from or_otel.calls import CallRecord, CallStarted
from or_otel.facts import Endpoint, ProviderPreferences, Request, Route, RouteAttempt, Usage
from or_otel.policies import Policy, broken_rules, slug

OPENROUTER = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)
DIRECT = Endpoint(api="chat", operation="chat", provider="openai", host="api.openai.com", port=443, is_openrouter=False)


def call(endpoint=OPENROUTER, environment="production", tags=None, *, asked=None, **told):
    request = Request(**{"model": "openai/gpt-5-mini"} | (asked or {}))
    started = CallStarted(
        id="a" * 32, endpoint=endpoint, request=request, started_at_s=0.0, tags=tags or {}, environment=environment
    )
    facts = {"model": "openai/gpt-5-mini-2025-08-07", "provider": "Azure", "route": Route(fallback="none")}
    return CallRecord(started=started, ended_at_s=1.0, outcome="ok", **facts | told)


def broken(record, **rules):
    return broken_rules([Policy(name="p", **rules)], record)


def preferences(**told):
    return {"provider": ProviderPreferences(**told)}


@pytest.mark.parametrize(
    ("rules", "kept", "broken_by", "check"),
    [
        ({"providers": ("azure",)}, call(), call(provider="DeepSeek"), "provider"),
        ({"providers": ("Amazon Bedrock",)}, call(provider="Amazon Bedrock"), call(), "provider"),
        ({"forbidden_providers": ("deep*",)}, call(), call(provider="DeepSeek"), "provider"),
        ({"models": ("openai/*",)}, call(), call(asked={"model": "x-ai/grok-4"}), "model"),
        (
            {"models": ("openai/gpt-5-mini",)},
            call(asked={"model": "openai/gpt-5-mini:nitro"}),
            call(model="x-ai/grok-4", route=Route(fallback="model")),
            "model",
        ),
        ({"models": ("*/*",)}, call(), call(asked={"model": "gpt"}, model="gpt"), "model"),
        ({"forbidden_models": ("*:free",)}, call(), call(asked={"model": "qwen/qwen3:free"}), "model"),
        ({"data_collection": "deny"}, call(asked=preferences(data_collection="deny")), call(), "data_collection"),
        ({"zdr": True}, call(asked=preferences(zdr=True)), call(asked=preferences(zdr=False)), "zdr"),
        (
            {"regions": ("fra",)},
            call(route=Route(region="fra")),
            call(route=Route(region="iad")),
            "region",
        ),
        (
            {"max_input_tokens": 1000},
            call(usage=Usage(input_tokens=1000)),
            call(usage=Usage(input_tokens=1001)),
            "input_tokens",
        ),
        ({"max_output_tokens": 64}, call(asked={"max_tokens": 64}), call(asked={"max_tokens": 65}), "output_cap"),
        ({"max_output_tokens": 64}, call(asked={"max_tokens": 1}), call(), "output_cap"),
        ({"require_fallback": True}, call(), call(asked=preferences(allow_fallbacks=False)), "fallback"),
        (
            {"require_fallback": True},
            call(asked={"models": ("x-ai/grok-4",)} | preferences(only=("azure",))),
            call(asked=preferences(only=("azure",))),
            "fallback",
        ),
        ({"require_fallback": True}, call(), call(endpoint=DIRECT), "fallback"),
    ],
)
def test_a_rule_is_kept_or_broken(rules, kept, broken_by, check):
    assert broken(kept, **rules) == ()
    assert broken(broken_by, **rules) == (f"p/{check}",)


def test_a_provider_that_was_tried_saw_the_prompt_too():
    route = Route(attempts=(RouteAttempt(provider="DeepSeek", status=429), RouteAttempt(provider="Azure", status=200)))

    assert broken(call(route=route), forbidden_providers=("deepseek",)) == ("p/provider",)


def test_a_server_of_its_own_is_the_provider():
    assert broken(call(endpoint=DIRECT, provider=None), providers=("azure",)) == ("p/provider",)
    assert broken(call(endpoint=DIRECT, provider=None), providers=("openai",)) == ()


def test_headquarters_are_looked_up_and_unknown_ones_break_nothing():
    rules = [Policy(name="p", headquarters=("US", "DE"))]
    seats = {"deepseek": "CN", "azure": "US"}

    found = [broken_rules(rules, call(provider=name), headquarters=seats) for name in ("Azure", "DeepSeek", "Novita")]

    assert found == [(), ("p/headquarters",), ()]


def test_what_a_call_does_not_tell_breaks_nothing():
    silent = call(provider=None, model=None, asked={"model": None}, usage=None)

    assert not broken(silent, providers=("azure",), models=("openai/*",), regions=("fra",), max_input_tokens=1)


def test_a_policy_holds_for_its_environments_and_tags_only():
    policy = Policy(name="p", environments=("prod*",), tags={"team": "health"}, providers=("openai",))
    judged = [
        broken_rules([policy], call(environment=environment, tags={"team": team}), environment=default)
        for environment, team, default in (
            ("production", "health", None),
            ("dev", "health", "production"),
            (None, "health", "production"),
            (None, "health", None),
            ("production", "search", None),
        )
    ]

    assert [bool(each) for each in judged] == [True, False, True, False, False]


def test_every_broken_rule_of_every_policy_is_told():
    policies = [Policy(name="a", providers=("x",), zdr=True), Policy(name="b", zdr=True)]

    assert broken_rules(policies, call()) == ("a/provider", "a/zdr", "b/zdr")


def test_embeddings_have_no_output_to_cap():
    endpoint = Endpoint(
        api="embeddings", operation="embeddings", provider="openrouter", host="h", port=443, is_openrouter=True
    )

    assert broken(call(endpoint=endpoint), max_output_tokens=1) == ()


@pytest.mark.parametrize(
    ("name", "expected"), [("Amazon Bedrock", "amazon-bedrock"), ("azure/swc", "azure"), ("Z.AI", "z-ai")]
)
def test_display_names_and_slugs_are_one(name, expected):
    assert slug(name) == expected
