"""What real clients spent is what every counter says, to the last digit: book, records and metrics agree."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import httpx
import httpx2
import openai
import pytest

import or_otel
from or_otel import semconv
from or_otel.facts import Usage
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Wait

QUICK = (("retry-after-ms", "1"),)
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
THIRDS = Answer(input_cost=Decimal("0.0000333333333333"), output_cost=Decimal("0.1000000000000001"))


@pytest.fixture
def client(openrouter):
    with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x", max_retries=2) as client:
        yield client


def exact(values):
    return sum((Decimal(repr(value)) for value in values), Decimal(0))


def by(points, attribute):
    """Give sums by one attribute of the points of a metric."""
    found = Counter()
    for attributes, value in points.items():
        found[dict(attributes).get(attribute)] += value
    return dict(found)


def test_every_priced_call_is_counted_to_the_last_digit(client, openrouter, telemetry, calls):
    plainly = (
        Answer(),
        THIRDS,
        scenarios.cached(read=1000, written=150),
        scenarios.byok(),
        scenarios.byok(fee=Decimal("0.000225")),
        scenarios.free(),
        scenarios.multimodal(),
        scenarios.provider_fallback(),
        scenarios.model_fallback(),
        scenarios.routed(),
        scenarios.calling(),
    )
    openrouter.script(*map(scenarios.plain, plainly))
    for _ in plainly:
        client.chat.completions.create(**PROMPT, tools=TOOLS)
    streamed = (scenarios.reasoned(), replace(THIRDS, id="gen-2"), scenarios.calling_unknown_tool())
    openrouter.script(*(scenarios.stream(answer, comments=1) for answer in streamed), scenarios.cache_hit())
    for _ in streamed:
        list(client.chat.completions.create(**PROMPT, tools=TOOLS, stream=True))
    client.chat.completions.create(**PROMPT)

    costs = telemetry.points("openrouter.client.cost")
    charged = openrouter.book.total()
    of_byok = sum(entry.upstream for entry in openrouter.book.entries if entry.is_byok)
    owner = charged + of_byok
    assert len(openrouter.book.entries) == 15
    assert sum(record.cost.charged for record in calls) == charged
    assert sum(record.cost.total for record in calls) == owner
    assert Counter(record.unpriced for record in calls) == {None: 15}
    assert sum(costs.values()) == pytest.approx(float(owner), rel=1e-12)
    assert sum(telemetry.points("openrouter.client.calls").values()) == 15
    assert sum(telemetry.points("openrouter.client.attempts").values()) == 15
    assert telemetry.points("openrouter.client.unpriced_calls") == {}
    assert set(telemetry.points("openrouter.client.active_calls").values()) == {0}
    ledgers = by(costs, semconv.OPENROUTER_COST_LEDGER)
    assert ledgers == {
        "openrouter": pytest.approx(float(charged), rel=1e-12),
        "upstream": pytest.approx(float(of_byok), rel=1e-12),
    }


def test_one_amount_reads_back_as_the_very_decimal_that_was_billed(client, openrouter, telemetry, calls):
    odd = Answer(input_cost=Decimal("0.000123456789"), output_cost=Decimal(0))
    openrouter.script(scenarios.plain(odd))

    client.chat.completions.create(**PROMPT)

    assert exact(telemetry.points("openrouter.client.cost").values()) == openrouter.book.total()
    assert calls[0].cost.charged == Decimal("0.000123456789")


def test_tokens_are_counted_once_in_disjoint_kinds(client, openrouter, telemetry, calls):
    usage = Usage(
        input_tokens=1000, output_tokens=300, cache_read_tokens=600, cache_write_tokens=100, reasoning_tokens=120
    )
    openrouter.script(scenarios.plain(Answer(usage=usage)), scenarios.stream(Answer(usage=usage)))

    client.chat.completions.create(**PROMPT)
    list(client.chat.completions.create(**PROMPT, stream=True))

    kinds = by(telemetry.points("openrouter.client.tokens"), semconv.OPENROUTER_TOKEN_TYPE)
    assert sum(kinds.values()) == 2 * (1000 + 300)
    assert sorted(kinds.values()) == [2 * 100, 2 * 120, 2 * 180, 2 * 300, 2 * 600]


def test_retries_are_attempts_of_one_call(client, openrouter, telemetry, calls):
    failed = replace(scenarios.rate_limited(), headers=QUICK), replace(scenarios.server_error(503), headers=QUICK)
    openrouter.script(*failed, scenarios.plain(Answer()))

    client.chat.completions.create(**PROMPT)

    assert by(telemetry.points("openrouter.client.attempts"), semconv.OPENROUTER_ATTEMPT_STATUS) == {
        "429": 1,
        "503": 1,
        "200": 1,
    }
    assert by(telemetry.points("openrouter.client.calls"), semconv.OPENROUTER_OUTCOME) == {"ok": 1}
    assert exact(telemetry.points("openrouter.client.cost").values()) == openrouter.book.total()


def test_what_the_router_tried_is_counted_by_its_own_provider(client, openrouter, telemetry, calls):
    openrouter.script(scenarios.plain(scenarios.model_fallback()), scenarios.plain(scenarios.provider_fallback()))

    for _ in range(2):
        client.chat.completions.create(**PROMPT)

    points = telemetry.points("openrouter.client.route_attempts")
    assert by(points, semconv.OPENROUTER_ATTEMPT_STATUS) == {"529": 2, "429": 1, "200": 2}
    assert by(points, semconv.OPENROUTER_PROVIDER_NAME) == {"Anthropic": 2, "Amazon Bedrock": 2, "OpenAI": 1}
    fallbacks = by(telemetry.points("openrouter.client.calls"), semconv.OPENROUTER_ROUTE_FALLBACK)
    assert fallbacks == {"model": 1, "provider": 1}


def test_what_is_not_known_is_counted_by_its_reason(client, openrouter, telemetry, calls):
    openrouter.script(
        scenarios.without_cost(),
        scenarios.without_usage(),
        scenarios.error_in_200(),
        scenarios.without_usage(is_stream=True),
        scenarios.stream(middle=(Wait("never"),)),
        scenarios.lost_mid_stream(),
        scenarios.no_credits(),
    )
    quiet = client.with_options(max_retries=0)
    for _ in range(3):
        quiet.chat.completions.create(**PROMPT)
    list(quiet.chat.completions.create(**PROMPT, stream=True))
    with quiet.chat.completions.create(**PROMPT, stream=True) as stream:
        next(iter(stream))
    with pytest.raises((openai.APIError, httpx.HTTPError, httpx2.HTTPError)):
        list(quiet.chat.completions.create(**PROMPT, stream=True))
    with pytest.raises(openai.APIStatusError):
        quiet.chat.completions.create(**PROMPT)

    reasons = by(telemetry.points("openrouter.client.unpriced_calls"), semconv.OPENROUTER_UNPRICED_REASON)
    assert reasons == {"not_reported": 3, "error": 2, "cancelled": 1}
    assert Counter(record.unpriced for record in calls) == {"not_reported": 3, "error": 2, "cancelled": 1, None: 1}
    assert telemetry.points("openrouter.client.cost") == {}
    assert set(telemetry.points("openrouter.client.active_calls").values()) == {0}


def test_tool_calls_are_counted_by_what_they_were_worth(client, openrouter, telemetry, calls):
    openrouter.script(
        scenarios.plain(scenarios.calling()),
        scenarios.stream(scenarios.calling_invalid_json()),
        scenarios.stream(scenarios.calling_unknown_tool()),
    )
    client.chat.completions.create(**PROMPT, tools=TOOLS)
    for _ in range(2):
        list(client.chat.completions.create(**PROMPT, tools=TOOLS, stream=True))

    found = by(telemetry.points("openrouter.client.tool_calls"), semconv.OPENROUTER_TOOL_CALL_OUTCOME)
    assert found == {"valid": 1, "invalid_json": 1, "unknown_tool": 1}


async def test_calls_under_way_are_seen_and_fall_back_to_zero(openrouter, telemetry, calls):
    openrouter.script(*(scenarios.stream(middle=(Wait("all"),)) for _ in range(3)))

    async with openai.AsyncOpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x") as client:

        async def read():
            return [chunk async for chunk in await client.chat.completions.create(**PROMPT, stream=True)]

        tasks = [asyncio.create_task(read()) for _ in range(3)]
        await asyncio.to_thread(openrouter.wait_for, 3)
        under_way = sum(telemetry.points("openrouter.client.active_calls").values())
        openrouter.release("all")
        await asyncio.gather(*tasks)

    assert under_way == 3
    assert set(telemetry.points("openrouter.client.active_calls").values()) == {0}
    assert sum(record.cost.total for record in calls) == openrouter.book.total()


def test_a_retry_loop_of_ones_own_is_one_call_whose_attempts_cost_their_exact_sum(openrouter, telemetry, calls):
    first, second = Answer(input_cost=Decimal("0.1")), Answer(input_cost=Decimal("0.2"), output_cost=Decimal("1e-16"))
    openrouter.script(scenarios.plain(first), scenarios.plain(second))

    with or_otel.operation(), httpx.Client() as client:
        for _ in range(2):
            client.post(openrouter.base_url + "/chat/completions", json=PROMPT)
        assert calls == []

    (record,) = calls
    assert [attempt.number for attempt in record.attempts] == [1, 2]
    assert [attempt.cost.total for attempt in record.attempts] == [first.charged, second.charged]
    assert record.cost.total == first.charged + second.charged == openrouter.book.total()
    assert len(telemetry.spans) == 3
    (call,) = [span for span in telemetry.spans if span.parent is None]
    assert call.attributes["openrouter.attempt_count"] == 2
    assert exact(telemetry.points("openrouter.client.cost").values()) == record.cost.total


def test_tags_are_on_the_span_and_the_chosen_ones_on_the_metrics(client, openrouter, telemetry, calls):
    with or_otel.tags(team="search", customer="acme", environment="staging"):
        client.chat.completions.create(**PROMPT)
    client.chat.completions.create(**PROMPT)

    tagged, untagged = telemetry.spans
    assert tagged.attributes["openrouter.tag.team"] == "search"
    assert tagged.attributes["openrouter.tag.customer"] == "acme"
    assert tagged.attributes["deployment.environment.name"] == "staging"
    assert not any(name.startswith("openrouter.tag.") for name in untagged.attributes)
    costs = telemetry.points("openrouter.client.cost")
    teams = by(costs, "openrouter.tag.team")
    assert set(teams) == {"search", None}
    assert set(by(costs, "deployment.environment.name")) == {"staging", None}
    assert set(by(costs, "openrouter.tag.customer")) == {None}
    assert calls[0].tags == {"team": "search", "customer": "acme"}
    assert (calls[0].started.environment, calls[1].started.environment) == ("staging", None)
    sent = {name: value for request in openrouter.requests for name, value in request.headers.items()}
    assert not any("acme" in value or "staging" in value for value in sent.values())
