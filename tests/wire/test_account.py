from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from or_otel.accounts import (
    AccountKey,
    ActivityRow,
    AnalyticsMeta,
    AnalyticsRow,
    Credits,
    Generation,
    Guardrail,
    KeyBudget,
    Member,
    Model,
    ModelEndpoint,
    Prices,
    Provider,
    Spend,
    Workspace,
)
from or_otel.facts import RouteAttempt, Usage
from or_otel.wire import account
from or_otel.wire.listings import Listing, UnreadableAnswerError

EXAMPLES = Path(__file__).parents[3] / "shared" / "facts" / "openrouter-examples"
HASH = "a" * 64
MONEY = [f"{kind}{period}" for kind in ("usage", "byok_usage") for period in ("", "_daily", "_weekly", "_monthly")]
READERS = {
    "key": account.read_key,
    "keys": account.read_keys,
    "credits": account.read_credits,
    "activity": account.read_activity,
    "analytics_meta": account.read_analytics_meta,
    "analytics": lambda body: account.read_analytics(body, metrics=["total_usage"], dimensions=["model"]),
    "models": account.read_models,
    "endpoints": account.read_endpoints,
    "providers": account.read_providers,
    "workspaces": account.read_workspaces,
    "members": account.read_members,
    "guardrails": account.read_guardrails,
    "generation": account.read_generation,
}


def _body(data, **beside):
    return json.dumps({"data": data, **beside}).encode()


def _at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_money_is_exact_as_written_whatever_its_form():
    body = b'{"data":{"total_credits":110.10,"total_usage":"4.25173e1"}}'

    assert account.read_credits(body) == Credits(purchased_usd=Decimal("110.1"), used_usd=Decimal("42.5173"))


def test_a_balance_may_be_negative():
    balance = account.read_credits(_body({"total_credits": 10, "total_usage": 10.5}))

    assert balance.remaining_usd == Decimal("-0.5")


def test_what_is_left_of_a_limit_may_be_negative_as_number_and_as_text():
    told = {"hash": HASH, "limit_remaining": -0.25, "limit": -3, "usage": "-1.5", "usage_daily": "--1"}

    (key,) = account.read_keys(_body([told])).rows

    assert (key.limit_remaining_usd, key.limit_usd) == (Decimal("-0.25"), Decimal(-3))
    assert key.credits == Spend(lifetime_usd=Decimal("-1.5"))


def test_a_key_tells_its_free_requests_and_its_budgets():
    key = account.read_key(
        _body(
            {
                "is_management_key": False,
                "is_provisioning_key": True,
                "is_free_tier": True,
                "budgets": [
                    {"scope": "member", "remaining_usd": -1, "resets_at": "2026-12-01T00:00:00Z", "include_byok": True},
                    "strange",
                ],
                "free_model_daily_requests": {"limit": 1000, "used": 0},
            }
        )
    )

    assert key == AccountKey(
        is_management=False,
        is_free_tier=True,
        free_requests_limit=1000,
        free_requests_used=0,
        budgets=(
            KeyBudget(
                scope="member",
                remaining_usd=Decimal(-1),
                resets_at_s=_at("2026-12-01T00:00:00"),
                is_byok_included=True,
            ),
        ),
    )


def test_an_older_host_says_provisioning_key():
    assert account.read_key(_body({"is_provisioning_key": True})).is_management is True


def test_a_strange_row_costs_itself_only_and_is_counted():
    listing = account.read_keys(_body([{"hash": HASH, "name": 7, "usage": []}, {"name": "no hash"}, 5, None, []]))

    assert listing == Listing(rows=(AccountKey(hash=HASH),), strange_count=4)
    assert listing.received_count == 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20T18:22:10Z", 1795198930.0),
        ("2026-11-20T18:22:10.250Z", 1795198930.25),
        ("2026-11-20T19:22:10+01:00", 1795198930.0),
        ("2026-11-20T18:22:10", 1795198930.0),
        ("2026-11-20", 1795132800.0),
        (1795132800, 1795132800.0),
        ("soon", None),
        ("9999-99-99", None),
        (True, None),
        (None, None),
    ],
)
def test_times_are_unix_seconds_in_utc(text, expected):
    (key,) = account.read_keys(_body([{"hash": HASH, "last_used_at": text}])).rows

    assert key.last_used_at_s == expected


def test_activity_keeps_what_the_question_was_narrowed_to():
    told = {"date": "2026-11-19 00:00:00", "model": "m", "usage": 0, "requests": "130"}

    listing = account.read_activity(_body([told, {"date": "yesterday"}]), key_hash=HASH, workspace_id="w")

    assert listing.rows == (
        ActivityRow(
            day=date(2026, 11, 19),
            model="m",
            credits_usd=Decimal(0),
            requests=130,
            key_hash=HASH,
            workspace_id="w",
        ),
    )
    assert listing.strange_count == 1


def test_analytics_counts_come_as_text_and_unused_parts_as_null():
    rows = [
        {
            "created_at__minute": "2026-11-20T10:00:00Z",
            "model": "4",
            "user": None,
            "tokens_total": "12345678901234",
            "total_usage": 0.0325,
            "byok_usage": None,
            "unasked": 1,
        },
        {"date__hour": "2026-11-20T10:00:00Z"},
    ]
    body = _body({"data": rows, "metadata": {"truncated": True}})

    listing = account.read_analytics(
        body, metrics=("tokens_total", "total_usage", "byok_usage"), dimensions=("model", "user")
    )

    assert listing.rows == (
        AnalyticsRow(
            at_s=_at("2026-11-20T10:00:00"),
            dimensions={"model": "4"},
            metrics={"tokens_total": Decimal(12345678901234), "total_usage": Decimal("0.0325")},
        ),
    )
    assert (listing.strange_count, listing.is_truncated) == (1, True)


def test_a_row_of_analytics_needs_a_figure_or_a_label_and_takes_its_time_from_no_other_field():
    rows = [{"total_usage": 1, "updated": "2026-11-20"}, {"model": "m"}, {"created_at__day": "2026-11-20"}]

    listing = account.read_analytics(_body({"data": rows}), metrics=["total_usage"], dimensions=["model"])

    assert listing.rows == (AnalyticsRow(metrics={"total_usage": Decimal(1)}), AnalyticsRow(dimensions={"model": "m"}))
    assert listing.strange_count == 1


def test_prices_of_routers_vary_and_a_strange_discount_is_none():
    body = _body([{"id": "openrouter/auto", "pricing": {"prompt": "-1", "completion": "-1", "discount": 7}}])

    (model,) = account.read_models(body).rows

    assert model.prices == Prices(is_variable=True)


def test_prices_are_exact_per_token():
    pricing = {"prompt": "0.000001", "internal_reasoning": "0.0000025", "request": "-5", "image": 0, "discount": 0.25}

    (model,) = account.read_models(_body([{"id": "m", "pricing": pricing}])).rows

    assert model.prices == Prices(
        input=Decimal("0.000001"),
        reasoning=Decimal("0.0000025"),
        image=Decimal(0),
        discount=Decimal("0.25"),
    )


@pytest.mark.parametrize(
    ("link", "offset"),
    [
        ("/api/v1/models?offset=500&limit=500", 500),
        ("https://elsewhere.example/models?offset=1000", 1000),
        ("/models?cursor=abc", None),
        ("http://[broken?offset=5", None),
        (None, None),
        (7, None),
    ],
)
def test_of_a_next_link_only_the_offset_counts(link, offset):
    assert account.read_models(_body([], links={"next": link})).next_offset == offset


def test_percents_become_shares_and_milliseconds_seconds():
    told = {
        "tag": "azure",
        "status": -2,
        "uptime_last_5m": 99.4,
        "uptime_last_1d": None,
        "latency_last_30m": {"p50": 640, "p99": "5200", "p10": 1},
        "throughput_last_30m": {"p50": 92.1, "p75": None},
    }

    (endpoint,) = account.read_endpoints(_body({"id": "a/b", "endpoints": [told]})).rows

    assert (endpoint.model, endpoint.status) == ("a/b", -2)
    assert endpoint.uptime == {"5m": 0.994}
    assert endpoint.latency_s == {"p50": 0.64, "p99": 5.2}
    assert endpoint.throughput == {"p50": 92.1}


def test_organisation_lists_are_read_without_addresses():
    members = account.read_members(
        _body([{"id": "u1", "email": "a@example.org", "first_name": "Ada", "last_name": None, "role": "org:admin"}])
    )
    guardrails = account.read_guardrails(
        _body(
            [
                {"id": "g1", "limit_usd": 5, "allowed_models": [], "allowed_providers": None},
                {"id": "g3", "name": "strict", "reset_interval": "weekly", "allowed_providers": ["P"]},
                {"id": "g2", "allowed_models": [f"m{n}" for n in range(600)], "include_byok_in_budgets": True},
            ]
        )
    )

    assert members.rows == (Member(id="u1", name="Ada", role="org:admin"),)
    assert guardrails.rows == (
        Guardrail(id="g1", limit_usd=Decimal(5), allowed_models=()),
        Guardrail(id="g3", name="strict", reset_interval="weekly", allowed_providers=("P",)),
        Guardrail(id="g2", allowed_models=tuple(f"m{n}" for n in range(600)), is_byok_included=True),
    )
    assert account.read_workspaces(_body([{"id": "w", "name": "team"}])).rows == (Workspace(id="w", name="team"),)
    assert account.read_providers(_body([{"name": "Google", "datacenters": ["US", 4]}])).rows == (
        Provider(name="Google", datacenters=("US",)),
    )


@pytest.mark.parametrize("name", ["models", "endpoints", "providers", "workspaces", "members", "guardrails"])
def test_a_row_that_does_not_say_what_it_is_about_is_counted(name):
    rows = [{"description": "nameless"}, {"id": 7, "name": [], "model_id": {}}]
    body = _body({"endpoints": rows} if name == "endpoints" else rows)

    assert READERS[name](body) == Listing(strange_count=2)


@pytest.mark.parametrize(
    ("name", "data", "field"),
    [
        ("credits", {"total_credits": 1}, "data.total_usage"),
        ("credits", {"total_credits": "much", "total_usage": 1}, "data.total_credits"),
        ("generation", {"total_cost": 1}, "data.id"),
    ],
)
def test_an_answer_without_its_main_figure_names_what_was_expected(name, data, field):
    with pytest.raises(UnreadableAnswerError, match=field):
        READERS[name](_body(data))


def test_the_upstream_cost_of_a_generation_counts_only_with_an_own_key():
    told = {"id": "gen-1", "total_cost": 0.000225, "upstream_inference_cost": 0.0045, "is_byok": True}

    assert account.read_generation(_body(told)).upstream_usd == Decimal("0.0045")
    assert account.read_generation(_body(told | {"is_byok": False})).upstream_usd is None
    assert account.read_generation(_body(told | {"is_byok": None})).upstream_usd is None


def test_a_refunded_generation_may_cost_less_than_nothing():
    told = {"id": "gen-1", "usage": "-0.000225", "upstream_inference_cost": -1e-7, "is_byok": True}

    generation = account.read_generation(_body(told))

    assert (generation.charged_usd, generation.upstream_usd) == (Decimal("-0.000225"), Decimal("-1E-7"))


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"null", b"[]", b"{}", b'{"data":null}', b'{"data":7}', b'{"data":"x"}', b"[" * 5000],
)
def test_a_body_without_the_promised_shape_is_one_declared_error(read, body):
    with pytest.raises(UnreadableAnswerError) as caught:
        read(body)

    assert caught.value.status is None


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_an_error_object_gives_its_code_and_none_of_its_words(read):
    with pytest.raises(UnreadableAnswerError) as caught:
        read(b'{"error":{"code":429,"message":"secret words"}}')

    assert caught.value.status == 429
    assert "secret" not in str(caught.value)


def test_a_key_of_the_list_is_read_whole():
    money = {name: index + 0.5 for index, name in enumerate(MONEY)}
    told = {
        "hash": HASH,
        "label": "sk-or-v1-abc...123",
        "name": "prod",
        "disabled": True,
        "limit": 50,
        "limit_remaining": 12,
        "limit_reset": "monthly",
        "include_byok_in_limit": True,
        "created_at": "2026-11-01T00:00:00Z",
        "updated_at": "2026-11-02T00:00:00Z",
        "last_used_at": "2026-11-03T00:00:00Z",
        "expires_at": "2026-11-04T00:00:00Z",
        "creator_user_id": "u1",
        "external_user": "u2",
        "workspace_id": "w1",
    }

    (key,) = account.read_keys(_body([told | money])).rows

    assert key == AccountKey(
        hash=HASH,
        label="sk-or-v1-abc...123",
        name="prod",
        is_disabled=True,
        limit_usd=Decimal(50),
        limit_remaining_usd=Decimal(12),
        limit_reset="monthly",
        is_byok_in_limit=True,
        credits=Spend(
            lifetime_usd=Decimal("0.5"),
            daily_usd=Decimal("1.5"),
            weekly_usd=Decimal("2.5"),
            monthly_usd=Decimal("3.5"),
        ),
        byok=Spend(
            lifetime_usd=Decimal("4.5"),
            daily_usd=Decimal("5.5"),
            weekly_usd=Decimal("6.5"),
            monthly_usd=Decimal("7.5"),
        ),
        created_at_s=_at("2026-11-01T00:00:00"),
        updated_at_s=_at("2026-11-02T00:00:00"),
        last_used_at_s=_at("2026-11-03T00:00:00"),
        expires_at_s=_at("2026-11-04T00:00:00"),
        creator_user_id="u1",
        external_user="u2",
        workspace_id="w1",
    )


def test_a_budget_of_a_key_is_read_whole():
    told = {"limit_usd": 5, "spend_usd": 2, "remaining_usd": 3, "reset_interval": "weekly", "guardrail_id": "g1"}

    assert account.read_key(_body({"budgets": [told]})).budgets == (
        KeyBudget(
            limit_usd=Decimal(5),
            spend_usd=Decimal(2),
            remaining_usd=Decimal(3),
            reset_interval="weekly",
            guardrail_id="g1",
        ),
    )


def test_a_closed_day_is_read_whole():
    told = {
        "date": "2026-11-19",
        "model": "a/m",
        "model_permaslug": "a/m-1",
        "endpoint_id": "e1",
        "provider_name": "P",
        "usage": 0.25,
        "byok_usage_inference": 0.5,
        "requests": 1,
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "reasoning_tokens": 4,
        "cached_tokens": 5,
        "workspace_id": "its own",
    }

    listing = account.read_activity(_body([told]), workspace_id="asked")

    assert listing.rows == (
        ActivityRow(
            day=date(2026, 11, 19),
            model="a/m",
            permaslug="a/m-1",
            endpoint_id="e1",
            provider="P",
            credits_usd=Decimal("0.25"),
            byok_usd=Decimal("0.5"),
            requests=1,
            input_tokens=2,
            output_tokens=3,
            reasoning_tokens=4,
            cache_read_tokens=5,
            workspace_id="its own",
        ),
    )


@pytest.mark.parametrize("name", ["usage", "byok_usage_inference"])
def test_money_of_a_day_that_cannot_be_read_is_not_taken_for_none(name):
    told = {"date": "2026-11-19", "usage": 1, "byok_usage_inference": 1}

    assert account.read_activity(_body([told | {name: "much"}])) == Listing(strange_count=1)
    assert account.read_activity(_body([told | {name: None}])).strange_count == 0


def test_a_generation_is_read_whole():
    told = {
        "id": "gen-1",
        "model": "a/m",
        "provider_name": "P",
        "created_at": "2026-11-03T10:00:00Z",
        "total_cost": 0.25,
        "usage": 9,
        "is_byok": False,
        "cancelled": True,
        "streamed": True,
        "finish_reason": "stop",
        "native_finish_reason": "end_turn",
        "native_tokens_prompt": 1,
        "native_tokens_completion": 2,
        "native_tokens_cached": 3,
        "native_tokens_reasoning": 4,
        "native_tokens_completion_images": 5,
        "provider_responses": [{}, {"provider_name": "P", "model_permaslug": "a/m-1", "status": 200}],
        "latency": 820,
        "generation_time": 1490,
        "cache_discount": 0.125,
        "service_tier": "flex",
        "router": "openrouter/auto",
        "data_region": "eu",
        "api_type": "completions",
        "session_id": "s",
        "response_cache_source_id": "gen-0",
        "user_agent": "agent/1",
    }

    assert account.read_generation(_body(told)) == Generation(
        id="gen-1",
        model="a/m",
        provider="P",
        created_at_s=_at("2026-11-03T10:00:00"),
        charged_usd=Decimal("0.25"),
        is_byok=False,
        is_cancelled=True,
        is_stream=True,
        finish_reason="stop",
        native_finish_reason="end_turn",
        usage=Usage(input_tokens=1, output_tokens=2, cache_read_tokens=3, reasoning_tokens=4, image_output_tokens=5),
        attempts=(RouteAttempt(provider="P", model="a/m-1", status=200),),
        latency_s=0.82,
        duration_s=1.49,
        cache_discount_usd=Decimal("0.125"),
        service_tier="flex",
        router="openrouter/auto",
        region="eu",
        api_type="completions",
        session_id="s",
        response_cache_source_id="gen-0",
        user_agent="agent/1",
    )


def test_a_model_and_who_offers_it_are_read_whole():
    told = {
        "id": "a/m",
        "canonical_slug": "a/m-1",
        "alias_target": {"slug": "a/m-0"},
        "name": "M",
        "created": 1795132800,
        "expiration_date": "2026-11-20",
        "context_length": 8,
        "pricing": {"prompt": "0.5"},
        "architecture": {"input_modalities": ["text"], "output_modalities": ["image"]},
        "supported_parameters": ["tools"],
    }
    offer = {
        "model_id": "a/m:free",
        "provider_name": "P",
        "tag": "p/fp8",
        "pricing": {"prompt": "0.5"},
        "context_length": 8,
        "quantization": "fp8",
    }

    assert account.read_models(_body([told])).rows == (
        Model(
            id="a/m",
            permaslug="a/m-1",
            alias_target="a/m-0",
            name="M",
            created_at_s=1795132800.0,
            expires_at_s=1795132800.0,
            context_length=8,
            prices=Prices(input=Decimal("0.5")),
            input_modalities=frozenset({"text"}),
            output_modalities=frozenset({"image"}),
            supported_parameters=frozenset({"tools"}),
        ),
    )
    assert account.read_endpoints(_body({"id": "a/m", "endpoints": [offer]})).rows == (
        ModelEndpoint(
            model="a/m:free",
            provider="P",
            tag="p/fp8",
            prices=Prices(input=Decimal("0.5")),
            context_length=8,
            quantization="fp8",
        ),
    )


def test_an_offer_needs_a_model_and_a_name_of_who_makes_it():
    offers = [{"tag": "p"}, {"provider_name": "P"}, {"quantization": "fp8"}]

    named = account.read_endpoints(_body({"id": "a/m", "endpoints": offers}))
    nameless = account.read_endpoints(_body({"endpoints": offers}))

    assert [(each.provider, each.tag) for each in named.rows] == [(None, "p"), ("P", None)]
    assert (named.strange_count, nameless.rows) == (1, ())


def test_what_analytics_may_be_asked_is_named_by_objects_or_by_words():
    told = {"metrics": [{"name": "total_usage"}, "requests", 7], "dimensions": ["model"], "granularities": ["day"]}

    assert account.read_analytics_meta(_body(told)) == AnalyticsMeta(
        metrics=frozenset({"total_usage", "requests"}),
        dimensions=frozenset({"model"}),
        granularities=frozenset({"day"}),
    )


# The payload examples, which lie outside the repository -------------------------------------------------------


def _example(name):
    path = EXAMPLES / name
    if not path.is_file():
        pytest.skip("the payload examples are not here")
    return path.read_bytes()


def _told(name):
    return json.loads(_example(name), parse_float=Decimal)["data"]


def _spend(told, name):
    return Spend(
        lifetime_usd=Decimal(told[name]),
        daily_usd=Decimal(told[f"{name}_daily"]),
        weekly_usd=Decimal(told[f"{name}_weekly"]),
        monthly_usd=Decimal(told[f"{name}_monthly"]),
    )


def test_the_example_of_a_key_is_read_whole():
    told, key = _told("key.json"), account.read_key(_example("key.json"))

    assert (key.label, key.limit_usd, key.limit_remaining_usd) == (told["label"], Decimal(50), Decimal("37.5"))
    assert (key.credits, key.byok) == (_spend(told, "usage"), _spend(told, "byok_usage"))
    assert (key.is_management, key.is_free_tier, key.is_byok_in_limit) == (False, False, False)
    assert (key.free_requests_limit, key.free_requests_used) == (1000, 12)
    assert key.budgets[0].resets_at_s == _at("2026-12-01T00:00:00")
    assert key.hash is None


def test_the_example_of_keys_is_read_whole():
    listing = account.read_keys(_example("keys.json"))

    assert [key.name for key in listing.rows] == ["prod", "ci"]
    for key, told in zip(listing.rows, _told("keys.json"), strict=True):
        assert (key.hash, key.is_disabled, key.workspace_id) == (told["hash"], told["disabled"], told["workspace_id"])
        assert (key.credits, key.byok) == (_spend(told, "usage"), _spend(told, "byok_usage"))
    assert listing.rows[0].last_used_at_s == _at("2026-11-20T18:22:10")
    assert listing.strange_count == 0


def test_the_examples_of_money_are_read_whole():
    balance = account.read_credits(_example("credits.json"))
    activity = account.read_activity(_example("activity.json"))

    assert balance.remaining_usd == Decimal("67.4827")
    assert [(row.credits_usd, row.byok_usd) for row in activity.rows] == [
        (told["usage"], told["byok_usage_inference"]) for told in _told("activity.json")
    ]
    assert [(row.requests, row.input_tokens, row.cache_read_tokens) for row in activity.rows] == [
        (130, 26000, 4096),
        (100, 90000, 0),
    ]
    assert {row.day for row in activity.rows} == {date(2026, 11, 19)}


def test_the_examples_of_analytics_are_read_whole():
    meta = account.read_analytics_meta(_example("analytics-meta.json"))
    listing = account.read_analytics(_example("analytics-query.json"), metrics=meta.metrics, dimensions=meta.dimensions)

    assert meta.granularities == {"hour", "day"}
    assert listing.rows == (
        AnalyticsRow(
            at_s=_at("2026-11-20T10:00:00"),
            dimensions={"model": "Anthropic: Claude Haiku 4.5"},
            metrics={
                "request_count": Decimal(130),
                "total_usage": Decimal("0.0325"),
                "p90_latency": Decimal("910.5"),
            },
        ),
    )


def test_the_examples_of_the_market_are_read_whole():
    models = account.read_models(_example("models.json")).rows
    endpoints = account.read_endpoints(_example("model-endpoints.json")).rows
    providers = account.read_providers(_example("providers.json")).rows

    assert models[1].alias_target == models[0].permaslug == "anthropic/claude-4.5-haiku-20251001"
    assert models[0].prices.cache_write == Decimal("0.00000125")
    assert models[0].input_modalities == {"text", "image"}
    assert [(each.provider, each.status) for each in endpoints] == [("Amazon Bedrock", 0), ("Anthropic", -2)]
    assert endpoints[0].uptime == {"5m": 1.0, "30m": 0.994, "1d": 0.998}
    assert endpoints[0].latency_s["p99"] == 5.2
    assert endpoints[1].latency_s == {}
    assert providers[0] == Provider(
        name="Amazon Bedrock", slug="amazon-bedrock", headquarters="US", datacenters=("US", "DE")
    )


def test_the_examples_of_generations_are_read_whole():
    byok = account.read_generation(_example("generation-byok.json"))
    cancelled = account.read_generation(_example("generation-cancelled.json"))
    fallback = account.read_generation(_example("generation-provider-fallback.json"))

    assert (byok.charged_usd, byok.upstream_usd) == (Decimal("0.000225"), Decimal("0.0045"))
    assert (byok.latency_s, byok.duration_s) == (0.82, 1.49)
    assert byok.created_at_s == _at("2026-11-03T10:00:05.123000")
    assert (cancelled.is_cancelled, cancelled.charged_usd) == (True, Decimal("0.0000345"))
    assert cancelled.cache_discount_usd == Decimal("0.0000115")
    assert replace(cancelled.usage, image_output_tokens=None) == Usage(
        input_tokens=200, output_tokens=98, reasoning_tokens=0, cache_read_tokens=128
    )
    assert fallback.attempts == (
        RouteAttempt(provider="Anthropic", model="anthropic/claude-4.5-haiku-20251001", status=529),
        RouteAttempt(provider="Amazon Bedrock", model="anthropic/claude-4.5-haiku-20251001", status=200),
    )
    with pytest.raises(UnreadableAnswerError):
        account.read_generation(_example("generation-not-found.json"))
