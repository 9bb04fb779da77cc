"""Record → attributes: names and types exact, parts disjoint and complete."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st

from or_otel.emitters import attributes
from or_otel.facts import Cost, Endpoint, Failure, ProviderPreferences, Request, Route, Usage, token_parts

money = st.none() | st.decimals(min_value=0, max_value=1000, places=12)
tokens = st.none() | st.integers(min_value=-5, max_value=10**9)
costs = st.builds(
    Cost,
    charged=money,
    upstream=money,
    input=money,
    output=money,
    tools=money,
    is_byok=st.none() | st.booleans(),
    is_direct=st.booleans(),
)


def test_every_attribute_has_its_exact_name_and_type(record):
    told = attributes.span_attributes(record())

    assert {name: type(value) for name, value in told.items()} == {
        "gen_ai.operation.name": str,
        "gen_ai.provider.name": str,
        "gen_ai.request.model": str,
        "gen_ai.request.stream": bool,
        "gen_ai.request.max_tokens": int,
        "gen_ai.request.temperature": float,
        "server.address": str,
        "server.port": int,
        "openrouter.api": str,
        "openrouter.app.name": str,
        "openrouter.key.id": str,
        "openrouter.tag.team": str,
        "openrouter.tag.customer": str,
        "gen_ai.response.id": str,
        "gen_ai.response.model": str,
        "gen_ai.response.finish_reasons": tuple,
        "gen_ai.response.time_to_first_chunk": float,
        "gen_ai.usage.input_tokens": int,
        "gen_ai.usage.output_tokens": int,
        "gen_ai.usage.cache_read.input_tokens": int,
        "gen_ai.usage.reasoning.output_tokens": int,
        "openrouter.provider.name": str,
        "openrouter.generation.id": str,
        "openrouter.outcome": str,
        "openrouter.cost.total": float,
        "openrouter.cost.charged": float,
        "openrouter.cost.input": float,
        "openrouter.cost.output": float,
        "openrouter.cost.source": str,
        "openrouter.billing": str,
        "openrouter.route.fallback": str,
        "openrouter.route.policy": str,
        "openrouter.route.attempt_count": int,
        "openrouter.route.path": tuple,
    }


def test_the_route_path_names_every_upstream_try_in_order(record):
    told = attributes.span_attributes(record())

    assert told["openrouter.route.path"] == ("OpenAI openai/gpt-5 429", "Azure openai/gpt-5 200")


def test_zero_is_told_and_what_was_not_said_is_absent(record):
    told = attributes.ended_attributes(record(usage=Usage(input_tokens=0), cost=Cost(charged=Decimal(0))))

    assert told["gen_ai.usage.input_tokens"] == 0
    assert "gen_ai.usage.output_tokens" not in told
    assert told["openrouter.cost.total"] == 0.0
    assert told["openrouter.billing"] == "unknown"


def test_an_upstream_cost_that_may_not_be_a_bill_is_not_told(record):
    told = attributes.ended_attributes(record(cost=Cost(charged=Decimal(1), upstream=Decimal(2))))

    assert "openrouter.cost.upstream" not in told
    assert told["openrouter.cost.total"] == 1.0


def test_the_byok_total_is_fee_and_upstream_bill(record):
    cost = Cost(charged=Decimal("0.05"), upstream=Decimal(1), is_byok=True)

    told = attributes.ended_attributes(record(cost=cost))

    assert told["openrouter.cost.upstream"] == 1.0
    assert told["openrouter.cost.total"] == 1.05


def test_a_call_without_a_figure_says_that_its_cost_is_unknown(record):
    told = attributes.ended_attributes(record(cost=None, unpriced="cancelled"))

    assert told["openrouter.cost.source"] == "unknown"
    assert not [name for name in told if name.startswith("openrouter.cost.") and name != "openrouter.cost.source"]


def test_other_servers_are_billed_directly(record, started):
    ours = Endpoint(api="chat", operation="chat", provider="vllm", host="gpu", port=80, is_openrouter=False)

    told = attributes.ended_attributes(record(started=started(endpoint=ours), cost=None))

    assert told["openrouter.billing"] == "direct"


def test_a_reason_that_never_came_is_error_only_when_the_call_did_not_end_well(record):
    reasons = ("stop", None)

    cut = attributes.ended_attributes(record(outcome="cancelled", finish_reasons=reasons))
    whole = attributes.ended_attributes(record(finish_reasons=reasons))

    assert cut["gen_ai.response.finish_reasons"] == ("stop", "error")
    assert whole["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_failure_tells_type_and_origin(record):
    failure = Failure(error_type="rate_limit_exceeded", origin="upstream")

    told = attributes.ended_attributes(record(outcome="error", failure=failure))

    assert told["error.type"] == "rate_limit_exceeded"
    assert told["openrouter.error.origin"] == "upstream"


def test_routing_preferences_are_told_as_sent(started):
    preferences = ProviderPreferences(order=("azure",), ignore=("x", "y"), sort="price", zdr=False)
    request = Request(models=("a", "b"), provider=preferences, user="u-1", session_id="s-1")

    told = attributes.started_attributes(started(request=request))

    assert told["openrouter.request.models"] == ("a", "b")
    assert told["openrouter.request.provider.order"] == ("azure",)
    assert told["openrouter.request.provider.ignore"] == ("x", "y")
    assert told["openrouter.request.provider.sort"] == "price"
    assert told["openrouter.request.provider.zdr"] is False
    assert told["user.id"] == "u-1"
    assert told["gen_ai.conversation.id"] == "s-1"
    assert "gen_ai.request.stream" not in told


def test_an_integer_that_no_exporter_can_send_is_left_out(started):
    told = attributes.started_attributes(started(request=Request(seed=2**64, max_tokens=2**63 - 1)))

    assert "gen_ai.request.seed" not in told
    assert told["gen_ai.request.max_tokens"] == 2**63 - 1


def test_content_appears_only_where_content_is_asked_for(record):
    captured = record(input_messages="[1]", output_messages="[2]")

    assert "[1]" not in attributes.span_attributes(captured).values()
    assert attributes.content_attributes(captured) == {"gen_ai.input.messages": "[1]", "gen_ai.output.messages": "[2]"}


def test_credits_are_split_into_parts_and_an_honest_rest():
    cost = Cost(charged=Decimal(10), input=Decimal(2), output=Decimal(3), tools=Decimal(1), is_byok=False)

    assert attributes.cost_parts(cost) == [
        ("openrouter", "input", Decimal(2)),
        ("openrouter", "output", Decimal(3)),
        ("openrouter", "tools", Decimal(1)),
        ("openrouter", "other", Decimal(4)),
    ]


def test_byok_is_a_fee_in_one_ledger_and_the_provider_s_bill_in_the_other():
    cost = Cost(charged=Decimal(1), upstream=Decimal(20), input=Decimal(5), output=Decimal(15), is_byok=True)

    assert attributes.cost_parts(cost) == [
        ("openrouter", "fee", Decimal(1)),
        ("upstream", "input", Decimal(5)),
        ("upstream", "output", Decimal(15)),
    ]


def test_parts_that_exceed_their_ledger_are_not_believed():
    cost = Cost(charged=Decimal(1), input=Decimal(2), output=Decimal(3), is_byok=False)

    assert attributes.cost_parts(cost) == [("openrouter", "other", Decimal(1))]


def test_a_free_call_shows_as_one_zero():
    assert attributes.cost_parts(Cost(charged=Decimal(0), is_byok=False)) == [("openrouter", "other", Decimal(0))]
    assert attributes.cost_parts(Cost()) == []


def test_the_host_s_coarse_decimal_context_does_not_round_money():
    cost = Cost(charged=Decimal("123.456789"), input=Decimal("0.000001"), is_byok=False)

    with localcontext() as host:
        host.prec = 3
        parts = attributes.cost_parts(cost)

    assert parts[1] == ("openrouter", "other", Decimal("123.456788"))


@given(costs)
def test_parts_add_up_to_what_each_ledger_bills(cost):
    parts = attributes.cost_parts(cost)

    sums = {"openrouter": Decimal(0), "upstream": Decimal(0)}
    for ledger, _, amount in parts:
        sums[ledger] += amount
    assert sums["openrouter"] == (cost.charged or 0)
    assert sums["upstream"] == (cost.upstream_bill or 0)
    assert sum(sums.values()) == (cost.total or 0)
    assert bool(parts) == (cost.total is not None)
    assert len({part[:2] for part in parts}) == len(parts)
    assert all(amount >= 0 for _, _, amount in parts)


@given(
    st.builds(
        Usage,
        **dict.fromkeys(
            ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens"), tokens
        ),
    )
)
def test_token_kinds_are_disjoint_and_add_up(usage):
    parts = token_parts(usage)

    kinds = dict(parts)
    assert len(kinds) == len(parts)
    assert all(count > 0 for count in kinds.values())
    assert sum(count for kind, count in parts if kind.startswith("input")) == max(0, usage.input_tokens or 0)
    assert sum(count for kind, count in parts if kind.startswith("output")) == max(0, usage.output_tokens or 0)


def test_cache_tokens_reported_twice_are_counted_once():
    usage = Usage(input_tokens=10, cache_read_tokens=8, cache_write_tokens=8)

    assert token_parts(usage) == [("input_cache_read", 8), ("input_cache_write", 2)]


def test_an_attempt_is_known_by_its_status_else_by_its_error(attempt):
    lost = Failure(error_type="ReadTimeout", origin="client")

    assert attributes.attempt_status(attempt()) == "200"
    assert attributes.attempt_status(attempt(status=429, failure=lost)) == "429"
    assert attributes.attempt_status(attempt(status=200, failure=lost)) == "ReadTimeout"
    assert attributes.attempt_status(attempt(status=None, failure=lost)) == "ReadTimeout"


def test_no_finish_reason_is_no_attribute_however_the_call_ended(record):
    for outcome in ("ok", "error", "cancelled"):
        told = attributes.ended_attributes(record(outcome=outcome, finish_reasons=()))
        assert "gen_ai.response.finish_reasons" not in told


def test_a_single_try_whose_status_nobody_told_is_not_made_up(record):
    route = Route(attempt_count=1)
    cut = Failure(error_type="x", origin="upstream")

    assert attributes.tries_of(record(route=route, failure=cut)) == ()
    assert [each.status for each in attributes.tries_of(record(route=route, failure=replace(cut, status=429)))] == [429]
