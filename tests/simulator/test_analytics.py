from datetime import UTC, datetime
from decimal import Decimal

import pytest
from openrouter import OpenRouter

from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY, WORKSPACE_ID
from or_otel.simulator.history import Company, write_history

KEYS = [Company(name="north"), Company(name="south", byok=("Anthropic",), fee_rate=Decimal("0.05"))]
NO_PART = ["usage_data", "usage_web", "usage_upstream_web", "usage_file"]


@pytest.fixture
def asks(clocked, ask):
    ask.server = clocked
    return ask


@pytest.fixture
def query(asks, exact):
    def ask(*metrics, status=200, **question):
        response = asks.post("/analytics/query", key=MANAGEMENT_KEY, metrics=list(metrics), **question)
        assert response.status_code == status, response.text
        return exact(response.text)["data"] if status == 200 else response.json()["error"]["message"]

    return ask


@pytest.fixture
def history(clocked, clock):
    return write_history(clocked.account, until_s=clock.now_s, days=5, calls_per_day=60, seed=2, keys=KEYS)


def test_totals_are_those_of_the_book_and_counts_are_strings(history, clocked, query):
    told = query(
        "request_count", "tokens_total", "total_usage", "credits_usage", "byok_usage", "byok_fees", "openrouter_usage"
    )

    ((row),) = told["data"]
    entries = history.generations
    assert row["request_count"] == str(len(entries))
    assert row["tokens_total"] == str(sum(e.usage.input_tokens + e.usage.output_tokens for e in entries))
    assert row["total_usage"] == clocked.book.total("spend")
    assert row["credits_usage"] == clocked.book.total() == row["openrouter_usage"] + row["byok_fees"]
    assert row["byok_usage"] == clocked.book.total("upstream")
    assert told["metadata"] == {"query_time_ms": 41, "row_count": 1, "truncated": False}


def test_days_of_analytics_are_days_of_activity(history, told, query):
    rows = query("request_count", "credits_usage", "tokens_prompt", granularity="day", dimensions=["model"])["data"]

    activity = told("/activity")
    for date in {row["date"] for row in activity}:
        ours = [row for row in rows if row["date__day"] == f"{date}T00:00:00.000Z"]
        theirs = [row for row in activity if row["date"] == date]
        assert sum(row["credits_usage"] for row in ours) == sum(row["usage"] for row in theirs)
        assert sum(int(row["request_count"]) for row in ours) == sum(row["requests"] for row in theirs)
        assert sum(int(row["tokens_prompt"]) for row in ours) == sum(row["prompt_tokens"] for row in theirs)


@pytest.mark.parametrize(
    ("granularity", "bucket"),
    [
        ("minute", "2026-11-18T13:31:00.000Z"),
        ("hour", "2026-11-18T13:00:00.000Z"),
        ("day", "2026-11-18T00:00:00.000Z"),
        ("week", "2026-11-16T00:00:00.000Z"),
        ("month", "2026-11-01T00:00:00.000Z"),
    ],
)
def test_a_bucket_is_named_by_its_begin(clock, asks, query, granularity, bucket):
    clock.set("2026-11-18T13:31:45")
    asks.chat()
    clock.set("2026-11-20T12:00:00")

    (row,) = query("request_count", granularity=granularity)["data"]

    assert row == {f"date__{granularity}": bucket, "request_count": "1"}


def test_values_are_labels_and_filters_want_ids(history, clocked, query):
    by_key = {row["api_key_id"]: row for row in query("request_count", dimensions=["api_key_id", "workspace"])["data"]}
    south = next(key for key in clocked.account.keys if key.name == "south")
    only = {"field": "api_key_id", "operator": "eq", "value": south.hash}
    model = {"field": "model", "operator": "in", "value": ["anthropic/claude-4.5-haiku-20251001"]}

    assert set(by_key) == {"north", "south"}
    assert {row["workspace"] for row in by_key.values()} == {"Default"}
    assert query("request_count", filters=[only])["data"] == [{"request_count": by_key["south"]["request_count"]}]
    assert query("request_count", filters=[{**only, "value": "south"}])["data"] == []
    named = query("request_count", dimensions=["model"], filters=[model])["data"]
    assert [row["model"] for row in named] == ["Anthropic: Claude Haiku 4.5"]
    room = {"field": "workspace", "operator": "neq", "value": WORKSPACE_ID}
    assert query("request_count", filters=[room])["data"] == []


def test_what_has_no_value_is_null_and_passes_a_filter_only_when_asked_for(history, query):
    rows = query("request_count", dimensions=["finish_reason"])["data"]
    cancelled = str(len(history.faults["cancelled_unpriced"]))
    none = {"field": "finish_reason", "operator": "in", "value": ["length"]}

    assert {row["finish_reason"]: row["request_count"] for row in rows}[None] == cancelled
    assert query("request_count", filters=[none])["data"] == []
    assert query("request_count", filters=[none | {"include_unset": True}])["data"] == [{"request_count": cancelled}]


def test_parts_nobody_used_are_null(asks, query):
    asks.chat()

    (row,) = query("byok_usage", "byok_fees", "usage_cache", "total_usage", *NO_PART)["data"]

    assert row.pop("total_usage") > 0
    assert set(row.values()) == {None}


def test_rows_are_ordered_and_cut_as_asked(history, query):
    question = {"dimensions": ["model"], "order_by": {"field": "total_usage", "direction": "desc"}}
    whole = query("total_usage", **question)
    cut = query("total_usage", **question, limit=3)

    usage = [row["total_usage"] for row in whole["data"]]
    assert usage == sorted(usage, reverse=True)
    assert whole["metadata"]["truncated"] is False
    assert cut["data"] == whole["data"][:3]
    assert cut["metadata"] == {"query_time_ms": 41, "row_count": 3, "truncated": True}
    daily = query("total_usage", dimensions=["model"], granularity="day", group_limit=1)["data"]
    assert len(daily) == len({row["model"] for row in daily}) == len(whole["data"])


def test_counts_are_ordered_as_numbers(clocked, asks, query):
    for model, count in (("openai/gpt-5-mini", 10), ("anthropic/claude-haiku-4.5", 9)):
        for _ in range(count):
            asks.chat(model)

    rows = query("request_count", dimensions=["model"], order_by={"field": "request_count", "direction": "asc"})["data"]

    assert [row["request_count"] for row in rows] == ["9", "10"]


def test_labels_are_ordered_as_words(history, query):
    rows = query("request_count", dimensions=["model"], order_by={"field": "model", "direction": "desc"})["data"]

    names = [row["model"] for row in rows]
    assert names == sorted(names, reverse=True) != sorted(names)


def test_a_short_lived_dimension_forgets_after_a_month_and_names_its_bucket_otherwise(clock, asks, query):
    clock.set("2026-10-01T12:00:00")
    asks.chat()
    clock.set("2026-11-20T12:00:00")
    question = {
        "granularity": "day",
        "time_range": {"start": "2026-09-01T00:00:00Z", "end": "2026-11-20T12:00:00.000Z"},
    }

    kept, forgotten = (query("request_count", **question, dimensions=[name])["data"] for name in ("model", "provider"))
    asks.chat()
    clock.now_s += 1
    question["time_range"]["end"] = "2026-11-20T12:00:01Z"

    assert len(kept) == 1
    assert forgotten == []
    (row,) = query("request_count", **question, dimensions=["provider"])["data"]
    assert row == {"created_at__day": "2026-11-20T00:00:00.000Z", "provider": "Anthropic", "request_count": "1"}


def test_latency_is_told_in_milliseconds(history, query):
    (row,) = query("avg_latency", "p50_latency", "p99_latency", "p50_throughput")["data"]

    latencies = sorted(entry.latency_ms for entry in history.generations)
    assert row["p50_latency"] == latencies[len(latencies) // 2]
    assert row["p50_latency"] < row["p99_latency"] <= latencies[-1]
    assert row["p50_throughput"] > 1


def test_a_speed_nobody_reached_is_null(asks, query):
    asks.post("/embeddings", model="openai/text-embedding-3-small", input="Hi")

    assert query("p50_throughput", "cache_hit_rate")["data"] == [{"p50_throughput": None, "cache_hit_rate": 0.0}]


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"metrics": ["nonsense"]},
        {"metrics": "request_count"},
        {"metrics": [["request_count"]]},
        {"metrics": ["request_count"], "dimensions": ["model", "user", "app"]},
        {"metrics": ["request_count"], "dimensions": ["colour"]},
        {"metrics": ["request_count"], "granularity": "year"},
        {"metrics": ["request_count"], "limit": 10_001},
        {"metrics": ["request_count"], "time_range": {"start": "2026-11-01T00:00Z", "end": "2026-11-02T00:00Z"}},
        {"metrics": ["request_count"], "time_range": {"start": "2026-11-02T00:00:00Z", "end": "2026-11-01T00:00:00Z"}},
        {"metrics": ["request_count"], "time_range": {"start": "2026-13-01T00:00:00Z", "end": "2026-11-01T00:00:00Z"}},
        {"metrics": ["request_count"], "order_by": {"field": "total_usage", "direction": "desc"}},
        {"metrics": ["request_count"], "order_by": {"field": "date", "direction": "up"}},
        {"metrics": ["request_count"], "filters": [{"field": "model", "operator": "like", "value": "a"}]},
        {"metrics": ["request_count"], "filters": [{"field": "model", "operator": "in", "value": "a"}]},
        {"metrics": ["request_count"], "filters": [{}] * 21},
    ],
)
def test_a_question_it_does_not_take_is_refused(ask, question):
    response = ask.post("/analytics/query", key=MANAGEMENT_KEY, **question)

    assert response.status_code == 400
    assert "expected" in response.json()["error"]["message"]


def test_a_body_that_is_no_question_is_refused(server, ask):
    headers = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}

    for body in ("{", "[]"):
        response = ask.client.post(f"{server.base_url}/analytics/query", content=body, headers=headers)
        assert response.status_code == 400


def test_only_management_keys_may_ask(server, ask):
    server.account.reject("sk-or-v1-demo-bad")

    for key, status in ((SEARCH_KEY, 403), ("sk-or-v1-demo-bad", 401), (None, 401)):
        assert ask.post("/analytics/query", key=key, metrics=["request_count"]).status_code == status
    assert ask.get("/analytics/meta").status_code == 403


def test_everything_that_meta_lists_can_be_asked(history, query, told):
    meta = told("/analytics/meta")

    for dimension in meta["dimensions"]:
        for operator in meta["operators"]:
            value = ["a"] if operator["value_type"] == "array" else "a"
            narrow = {"field": dimension["name"], "operator": operator["name"], "value": value}
            query("request_count", dimensions=[dimension["name"]], filters=[narrow])
    names = [metric["name"] for metric in meta["metrics"]]
    assert set(query(*names)["data"][0]) == set(names)


def test_the_official_client_asks_and_is_understood(history, clocked, clock):
    with OpenRouter(api_key=MANAGEMENT_KEY, server_url=clocked.base_url) as client:
        meta = client.analytics.get_analytics_meta().data
        answer = client.analytics.query_analytics(
            metrics=["request_count", "total_usage"],
            dimensions=["model"],
            granularity="day",
            time_range={
                "start": datetime(2026, 11, 15, tzinfo=UTC),
                "end": datetime.fromtimestamp(clock.now_s, UTC),
            },
            order_by={"field": "total_usage", "direction": "desc"},
            limit=5,
        ).data

    assert "request_count" in {metric.name for metric in meta.metrics}
    assert (answer.metadata.row_count, answer.metadata.truncated) == (5, True)
