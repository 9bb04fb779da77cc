from decimal import Decimal

from openrouter import OpenRouter

from or_otel.simulator.account import SEARCH_KEY

HAIKU = "anthropic/claude-haiku-4.5"


def test_models_come_in_pages_only_when_asked_for(server, ask):
    whole = ask.get("/models").json()
    path, paged = "/models?limit=7", []
    while path:
        page = ask.get(path.removeprefix("/api/v1")).json()
        assert page["total_count"] == whole["total_count"] == len(whole["data"])
        paged += page["data"]
        path = page["links"]["next"]

    assert paged == whole["data"]
    assert whole["links"] == {"next": None}
    assert ask.get("/models?limit=1001").status_code == 400
    assert ask.get("/models?offset=500").json()["data"] == []


def test_models_tell_aliases_free_variants_routers_and_the_end_of_their_days(ask):
    models = {model["id"]: model for model in ask.get("/models").json()["data"]}

    assert models["~anthropic/claude-haiku-latest"]["alias_target"]["slug"] == models[HAIKU]["canonical_slug"]
    assert models["meta-llama/llama-3.3-70b-instruct:free"]["pricing"]["prompt"] == "0"
    assert models["openrouter/auto"]["pricing"]["prompt"] == "-1"
    assert [model["id"] for model in models.values() if "expiration_date" in model] == ["hexgrad/kokoro-82m"]


def test_speed_is_told_only_to_who_shows_a_key(server, ask):
    server.account.reject("sk-or-v1-demo-bad")
    path = f"/models/{HAIKU}/endpoints"

    known = ask.get(path).json()["data"]["endpoints"][0]
    unknown = ask.client.get(server.base_url + path).json()["data"]["endpoints"][0]
    bad = ask.get(path, "sk-or-v1-demo-bad").json()["data"]["endpoints"][0]

    assert known["latency_last_30m"]["p50"] == 640
    assert known["throughput_last_30m"]["p50"] == 110
    assert unknown == bad == known | {"latency_last_30m": None, "throughput_last_30m": None}


def test_an_endpoint_of_a_failing_provider_is_degraded_until_it_recovers(server, ask):
    server.provider_fails("Anthropic")

    def states():
        endpoints = ask.get(f"/models/{HAIKU}/endpoints").json()["data"]["endpoints"]
        return [(endpoint["status"], endpoint["uptime_last_5m"]) for endpoint in endpoints]

    failing = states()
    server.recovers("Anthropic")

    assert failing == [(-2, None), (0, 100)]
    assert states() == [(0, 100), (0, 100)]


def test_the_official_client_accepts_the_market(server):
    with OpenRouter(api_key=SEARCH_KEY, server_url=server.base_url) as client:
        models = client.models.list().result
        endpoints = client.endpoints.list(author="anthropic", slug="claude-haiku-4.5").data
        providers = {provider.name: provider for provider in client.providers.list().data}

    assert models.total_count == len(models.data)
    assert {model.id: model for model in models.data}["hexgrad/kokoro-82m"].expiration_date == "2027-03-31"
    assert [Decimal(endpoint.pricing.prompt) for endpoint in endpoints.endpoints] == [Decimal("0.000001")] * 2
    assert (providers["Amazon Bedrock"].headquarters, providers["Amazon Bedrock"].datacenters) == ("US", ["US", "DE"])
    assert not providers["Google"].headquarters
