"""What the simulated OpenRouter offers: `/models`, `/models/{author}/{slug}/endpoints`, `/providers`.

The market in, pages out. Public; only who shows a key is told latency and throughput.
Shapes: OpenRouter Python SDK 1.3.84 and API reference, seen 2026-11.
"""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal
from urllib.parse import urlencode

from or_otel.simulator.market import ALIASES, MODELS, PROVIDERS, ROUTERS, Model, Offer, Provider, model_named, pricing
from or_otel.simulator.questions import Query, QuestionError, page, whole
from or_otel.simulator.scenarios import Scenario, error

PAGE = 500
LARGEST_PAGE = 1000
PARAMETERS = ("max_tokens", "tools", "response_format")


def listing(path: str, query: Query, *, failing: Container[str], is_key_shown: bool) -> Scenario | None:
    """Answer a page of the market; None when the path is none.

    Args:
        path: Below `/api/v1`.
        query: Query parameters.
        failing: Display names of providers in trouble.
        is_key_shown: Whether a valid key came with the request.
    """
    if path == "/models":
        return _models(query)
    if path == "/providers":
        return Scenario(body={"data": [_provider(provider) for provider in PROVIDERS]})
    if path.startswith("/models/") and path.endswith("/endpoints"):
        slug = path.removeprefix("/models/").removesuffix("/endpoints")
        return _endpoints(slug, failing, is_key_shown=is_key_shown)
    return None


def _models(query: Query) -> Scenario:
    """List models; paged only when `offset` or `limit` asks for it."""
    listed = [_model(model, model.id) for model in MODELS]
    for alias, target in ALIASES.items():
        model = model_named(target)
        if model is not None:
            told = {"name": model.name, "slug": model.permaslug}
            listed.append(_model(model, alias) | {"canonical_slug": alias, "alias_target": told})
    varies = {"pricing": {"prompt": "-1", "completion": "-1"}}
    listed += [_model(MODELS[0], router) | {"canonical_slug": router} | varies for router in ROUTERS]
    rows, following = listed, None
    if "offset" in query or "limit" in query:
        try:
            rows = list(page(listed, query, default=PAGE, most=LARGEST_PAGE))
            end = whole(query, "offset", 0) + len(rows)
        except QuestionError as fault:
            return error(400, str(fault))
        if rows and end < len(listed):
            following = f"/api/v1/models?{urlencode({**query, 'offset': end})}"
    body = {"data": rows, "links": {"next": following}, "total_count": len(listed)}
    return Scenario(body=body, headers=(("cache-control", "max-age=300"),))


def _model(model: Model, slug: str) -> dict[str, object]:
    expiry = {"expiration_date": model.expiration_date} if model.expiration_date else {}
    return expiry | {
        "id": slug,
        "canonical_slug": model.permaslug,
        "name": model.name,
        "created": model.created,
        "context_length": model.context_length,
        "architecture": {
            "modality": f"text->{model.output}",
            "input_modalities": ["text"],
            "output_modalities": [model.output],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": pricing(model.offers[0]),
        "top_provider": {
            "context_length": model.context_length,
            "max_completion_tokens": 64_000,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": PARAMETERS,
        "default_parameters": None,
        "supported_voices": None,
        "links": {"details": f"/api/v1/models/{model.permaslug}/endpoints"},
    }


def _provider(provider: Provider) -> dict[str, object]:
    told: dict[str, object] = {"name": provider.name, "slug": provider.slug, "privacy_policy_url": None}
    if provider.headquarters is not None:
        told |= {"headquarters": provider.headquarters, "datacenters": provider.datacenters}
    return told


def _endpoints(slug: str, failing: Container[str], *, is_key_shown: bool) -> Scenario:
    model = model_named(ALIASES.get(slug, slug))
    if model is None:
        return error(404, f"Model {slug} not found")
    whole_model = _model(model, model.id)
    endpoints = [
        _endpoint(model, offer, is_failing=offer.provider.name in failing, is_key_shown=is_key_shown)
        for offer in model.offers
    ]
    told = {name: whole_model[name] for name in ("id", "name", "created", "architecture")}
    return Scenario(body={"data": {**told, "description": "", "endpoints": endpoints}})


def _endpoint(model: Model, offer: Offer, *, is_failing: bool, is_key_shown: bool) -> dict[str, object]:
    latency, throughput = offer.latency_ms, offer.throughput
    speeds = {
        "latency_last_30m": {"p50": latency, "p75": latency * 3 // 2, "p90": latency * 2, "p99": latency * 5},
        "throughput_last_30m": {
            "p50": throughput,
            "p75": throughput * 6 // 5,
            "p90": throughput * 7 // 5,
            "p99": throughput * 2,
        },
    }
    return {
        "name": f"{offer.provider.name} | {model.permaslug}",
        "provider_name": offer.provider.name,
        "tag": offer.provider.slug,
        "model_id": model.id,
        "model_name": model.name,
        "context_length": model.context_length,
        "max_completion_tokens": 64_000,
        "max_prompt_tokens": None,
        "quantization": "unknown",
        "service_tier": None,
        "status": -2 if is_failing else 0,
        "supported_parameters": PARAMETERS,
        "supports_implicit_caching": False,
        "supports_diarization": False,
        "supports_tool_choice": {"auto": True, "none": True, "required": True, "function": True},
        "native_tools": {},
        "pricing": {**pricing(offer), "discount": 0},
        "uptime_last_5m": None if is_failing else 100,
        "uptime_last_30m": Decimal("99.4"),
        "uptime_last_1d": Decimal("99.8"),
        **(speeds if is_key_shown else dict.fromkeys(speeds)),
    }
