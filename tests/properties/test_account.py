from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from or_otel.wire import account
from or_otel.wire.listings import UnreadableAnswerError, amount_of

ASKED = ("total_usage", "request_count")
READERS = {
    "key": account.read_key,
    "keys": account.read_keys,
    "credits": account.read_credits,
    "activity": account.read_activity,
    "analytics_meta": account.read_analytics_meta,
    "analytics": lambda body: account.read_analytics(body, metrics=ASKED, dimensions=("model",)),
    "models": account.read_models,
    "endpoints": account.read_endpoints,
    "providers": account.read_providers,
    "workspaces": account.read_workspaces,
    "members": account.read_members,
    "guardrails": account.read_guardrails,
    "generation": account.read_generation,
}
NAMES = st.sampled_from(
    [
        "id",
        "hash",
        "date",
        "model",
        "total_credits",
        "total_usage",
        "usage",
        "usage_daily",
        "limit",
        "limit_remaining",
        "created_at",
        "expires_at",
        "budgets",
        "resets_at",
        "free_model_daily_requests",
        "used",
        "pricing",
        "prompt",
        "completion",
        "discount",
        "architecture",
        "input_modalities",
        "alias_target",
        "slug",
        "endpoints",
        "latency_last_30m",
        "p50",
        "uptime_last_5m",
        "status",
        "provider_responses",
        "total_cost",
        "latency",
        "cache_discount",
        "date__hour",
        "request_count",
        "metrics",
        "name",
        "allowed_models",
        "links",
        "next",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["-1", "1e999999999", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-11-19"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=8),
    max_leaves=20,
)
ANSWERS = st.fixed_dictionaries(
    {"data": VALUES | st.lists(st.dictionaries(NAMES, VALUES), max_size=4) | st.dictionaries(NAMES, VALUES)},
    optional={"links": VALUES, "error": VALUES},
)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@given(
    body=st.binary() | ANSWERS.map(lambda answer: json.dumps(answer).encode()) | VALUES.map(json.dumps).map(str.encode)
)
def test_whatever_comes_nothing_but_the_declared_error_is_raised(read, body):
    with suppress(UnreadableAnswerError):
        read(body)


@given(rows=st.lists(st.dictionaries(NAMES, VALUES, max_size=6), max_size=6))
def test_every_row_is_read_or_counted(rows):
    for read in (account.read_keys, account.read_activity, account.read_models, account.read_guardrails):
        assert read(json.dumps({"data": rows}).encode()).received_count == len(rows)


@given(st.decimals(-(10**6), 10**6, places=9))
def test_an_amount_of_either_sign_is_exact_as_number_and_as_text(amount):
    text = f"{amount:f}"

    (key,) = account.read_keys(b'{"data":[{"hash":"h","limit_remaining":%s}]}' % text.encode()).rows

    assert key.limit_remaining_usd == amount_of(text) == Decimal(text)
