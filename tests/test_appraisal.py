"""What a call shows beside others."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from or_otel.appraisal import Appraiser
from or_otel.calls import NO_INSIGHT, Attempt, CallRecord, CallStarted
from or_otel.facts import Cost, Endpoint, Request, Usage
from or_otel.insights.sizes import LEAST_CALLS
from or_otel.policies import Policy

OPENROUTER = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)


def made(at_s=0.0, usage=None, cost=None, *, outcome="ok", tags=None, endpoint=OPENROUTER, provider="Azure"):
    started = CallStarted(
        id="a" * 32, endpoint=endpoint, request=Request(model="m/m"), started_at_s=at_s, tags=tags or {}, key_id="k"
    )
    attempt = Attempt(
        id="b" * 32,
        number=1,
        started_at_s=at_s,
        ended_at_s=at_s + 1,
        usage=usage,
        cost=cost,
        model="m/m",
        provider=provider,
        outcome=outcome,
    )
    return CallRecord(
        started=started,
        ended_at_s=at_s + 1,
        outcome=outcome,
        attempts=(attempt,),
        usage=usage,
        cost=cost,
        model="m/m",
        provider=provider,
    )


def body(*texts):
    return json.dumps({"model": "m/m", "messages": [{"role": "user", "content": text} for text in texts]}).encode()


def told(tokens, read=0, write=0):
    return Usage(input_tokens=tokens, output_tokens=10, cache_read_tokens=read, cache_write_tokens=write)


@pytest.fixture
def appraiser():
    return Appraiser(prices=False)


def test_a_call_that_shows_nothing_is_given_back_as_it_is(appraiser):
    record = made(usage=told(100))

    assert appraiser.appraise(record, body("hello")) is record


def test_the_same_request_again_and_again_is_a_retry_loop(appraiser):
    found = [appraiser.appraise(made(each), body("hello")).insight.is_retry_loop for each in range(6)]

    assert found == [False] * 5 + [True]


def test_a_loop_wastes_what_it_costs(appraiser):
    for each in range(6):
        record = appraiser.appraise(made(each, cost=Cost(charged=Decimal(1))), body("hello"))

    assert record.waste_of(record.attempts[0]) == "retry_loop"


def test_a_beginning_that_was_sent_before_and_came_from_no_cache_was_missed(appraiser):
    system = "x" * 8000
    appraiser.appraise(made(0, told(2000)), body(system, "one"))

    insight = appraiser.appraise(made(5, told(2000)), body(system, "two")).insight

    assert 1900 < insight.missed_tokens < 2000


@pytest.mark.parametrize(
    ("usage", "why"),
    [
        (told(2000, read=1900), "it was read from a cache"),
        (Usage(input_tokens=2000), "the provider does not speak of caches"),
        (told(1000), "too short for any cache"),
    ],
)
def test_nothing_is_missed_where_nothing_could_be_told(appraiser, usage, why):
    system = "x" * 8000
    appraiser.appraise(made(0, usage), body(system, "one"))

    assert appraiser.appraise(made(5, usage), body(system, "two")).insight.missed_tokens is None, why


def test_a_call_that_was_left_early_missed_nothing(appraiser):
    appraiser.appraise(made(0, told(2000)), body("x" * 8000, "one"))

    left = appraiser.appraise(made(5, told(2000), outcome="cancelled"), body("x" * 8000, "two"))

    assert left.insight.missed_tokens is None


def test_other_apis_have_no_prompt_cache(appraiser):
    endpoint = Endpoint(
        api="embeddings", operation="embeddings", provider="openrouter", host="h", port=443, is_openrouter=True
    )
    for each in range(2):
        record = appraiser.appraise(made(each * 5, told(2000), endpoint=endpoint), body("x" * 8000))

    assert record.insight.missed_tokens is None


def test_an_input_far_above_its_feature_s_is_oversized(appraiser):
    for each in range(LEAST_CALLS):
        appraiser.appraise(made(usage=told(1000), tags={"feature": "search"}), body(str(each)))

    judged = [
        appraiser.appraise(made(usage=told(9000), tags={"feature": feature}), body(feature)).insight.is_oversized
        for feature in ("search", "import")
    ]

    assert judged == [True, False]


def test_what_a_cache_saved_comes_from_the_answers_own_figures(appraiser):
    fresh = Cost(charged=Decimal("0.001"), input=Decimal("0.001"), is_byok=False)
    appraiser.appraise(made(usage=told(1000), cost=fresh), body("a"))
    half = Cost(charged=Decimal("0.00055"), input=Decimal("0.00055"), is_byok=False)

    insight = appraiser.appraise(made(1, told(1000, read=500), half), body("b")).insight

    assert (insight.cache_saved, insight.cache_premium) == (Decimal("0.00045"), None)


def test_switched_off_nothing_is_looked_for():
    appraiser = Appraiser(insights=False)

    assert all(appraiser.appraise(made(each), body("hello")).insight is NO_INSIGHT for each in range(10))


def test_a_broken_rule_is_marked_also_where_insights_are_off():
    policies = [Policy(name="eu", environments=("production",), forbidden_providers=("azure",))]
    appraiser = Appraiser(insights=False, policies=policies, environment="production")

    assert appraiser.appraise(made(), None).violated == ("eu/provider",)


def test_the_change_from_an_own_key_to_credits_is_seen(appraiser):
    own = Cost(charged=Decimal(0), upstream=Decimal(1), is_byok=True)
    theirs = Cost(charged=Decimal(1), is_byok=False)

    marks = [appraiser.appraise(made(cost=cost), None).violated for cost in (theirs, own, theirs, theirs)]

    assert marks == [(), (), ("byok_to_credits",), ()]


def test_a_body_that_could_not_be_had_costs_only_what_hangs_on_it(appraiser):
    for _ in range(LEAST_CALLS):
        appraiser.appraise(made(usage=told(1000)), None)

    assert appraiser.appraise(made(usage=told(9000)), None).insight.is_oversized


def test_a_forked_child_begins_anew(appraiser):
    for each in range(6):
        appraiser.appraise(made(each), body("hello"))

    appraiser.after_fork()

    assert appraiser.appraise(made(7), body("hello")).insight is NO_INSIGHT
