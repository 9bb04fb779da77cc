"""What calls would have cost elsewhere, by hand-computed figures."""

from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.accounts import Model, ModelEndpoint, Prices
from or_otel.reports.usage import Catalogue
from or_otel.reports.whatif import LEAST_CALLS, Replacement, WhatIfError, replacement_from, whatifs
from or_otel.reports.whatif_sections import sections


def model(name, put_in, out, **fields):
    prices = Prices(input=Decimal(put_in), output=Decimal(out), **fields.pop("prices", {}))
    told = {
        "context_length": 100_000,
        "input_modalities": frozenset({"text"}),
        "output_modalities": frozenset({"text"}),
    }
    return Model(id=name, prices=prices, **told | {"supported_parameters": frozenset({"tools"})} | fields)


OLD = model("a/old", "0.000003", "0.000015", permaslug="a/old-20260217", prices={"cache_read": Decimal("0.0000003")})
NEW = model(
    "b/new", "0.000001", "0.000002", prices={"cache_read": Decimal("0.0000001"), "reasoning": Decimal("0.000004")}
)
CATALOGUE = Catalogue([OLD, NEW])


def ask(calls, text="a/old=b/new", catalogue=CATALOGUE, endpoints=None):
    (found,) = whatifs(calls, [replacement_from(text)], catalogue, endpoints or {})
    return found


@pytest.fixture
def old(call):
    def make(cost="0.0045", **fields):
        return call(cost, **{"request_model": "a/old", "input_tokens": 1000, "output_tokens": 100} | fields)

    return make


@pytest.fixture
def new(call):
    def make(cost="0.001", **fields):
        return call(cost, **{"request_model": "b/new", "input_tokens": 1200, "output_tokens": 50} | fields)

    return make


def test_where_the_ledger_knows_nothing_the_answer_is_a_range(old):
    answer = ask([old()] * 2)

    # Twice (1,000 * 0.000001 * 0.85 + 100 * 0.000002 * 0.5) to (… * 1.15 + … * 2)
    assert (answer.calls, answer.now_usd) == (2, Decimal("0.009"))
    assert (answer.low_usd, answer.high_usd) == (Decimal("0.0019"), Decimal("0.0031"))
    assert not answer.estimates[0].is_seen


def test_cached_and_reasoning_tokens_are_priced_apart(old):
    answer = ask([old(cache_read_tokens=400, reasoning_tokens=60)])

    # in: 600 * 0.000001 + 400 * 0.0000001 at best, 1,000 * 0.000001 at worst; out: 40 * 0.000002 + 60 * 0.000004
    assert answer.low_usd == Decimal("0.00064") * Decimal("0.85") + Decimal("0.00032") * Decimal("0.5")
    assert answer.high_usd == Decimal("0.001") * Decimal("1.15") + Decimal("0.00032") * 2


def test_where_both_served_the_same_feature_tokens_and_attempts_are_the_ledger_s(old, new):
    tags = {"feature": "tests"}
    retried = new("0", call_id="r", is_last=False, tags=tags) + new(call_id="r", number=2, tags=tags)
    seen = [new(tags=tags) for _ in range(LEAST_CALLS - 1)] + [retried]

    answer = ask([old(tags=tags)] * 10 + seen)

    (estimate,) = answer.estimates
    # 21 attempts of 1,200 in and 50 out make 20 calls; ten calls are half of that: 10.5 * 0.0013
    assert (estimate.low_usd, estimate.high_usd) == (Decimal("0.01365"), Decimal("0.01365"))
    assert (estimate.input_ratio, estimate.output_ratio) == (Decimal("1.26"), Decimal("0.525"))
    assert (estimate.attempt_ratio, estimate.seen_calls) == (Decimal("1.05"), LEAST_CALLS)


def test_calls_of_another_feature_say_nothing(old, new):
    answer = ask([old(tags={"feature": "a"}), *[new(tags={"feature": "b"})] * LEAST_CALLS])

    assert not answer.estimates[0].is_seen


def test_failed_calls_of_the_new_model_say_nothing(old, new):
    answer = ask([old(), *[new(outcome="error")] * LEAST_CALLS])

    assert answer.estimates[0].seen_calls == 0


def test_a_provider_has_its_own_price_and_its_own_calls(old, new):
    endpoints = {
        "b/new": [
            ModelEndpoint(model="b/new", provider="Novita", tag="novita/fp8", prices=NEW.prices),
            ModelEndpoint(
                model="b/new",
                provider="Amazon Bedrock",
                tag="amazon-bedrock",
                prices=Prices(input=Decimal("0.00001"), output=Decimal(0), discount=Decimal("0.5")),
            ),
        ]
    }
    calls = [old(), *[new(served_provider="Novita")] * LEAST_CALLS]

    answer = ask(calls, "a/old=b/new@amazon-bedrock", endpoints=endpoints)

    assert (answer.low_usd, answer.high_usd) == (Decimal("0.00425"), Decimal("0.00575"))
    assert ask(calls, "a/old=b/new@novita", endpoints=endpoints).estimates[0].is_seen


def test_dated_names_are_the_same_model(old):
    assert ask([old(response_model="a/old-20260217")]).calls == 1


def test_calls_without_price_or_tokens_are_left_out_and_counted(old, call):
    silent = call("1", request_model="a/old")
    refused = call(None, request_model="a/old", outcome="error")

    answer = ask([old(), old(None, unpriced="cancelled", outcome="cancelled"), silent, refused])

    assert (answer.calls, answer.unpriced_calls) == (1, 2)


def test_what_the_new_model_cannot_do_is_told(old):
    bare = model("b/new", "0.000001", "0.000002", context_length=1000, supported_parameters=frozenset())
    seeing = model("a/old", "0.000003", "0.000015", input_modalities=frozenset({"text", "image"}))

    answer = ask([old()], catalogue=Catalogue([seeing, bare]))

    assert answer.lacking == ("image input", "tools")
    assert answer.too_long_calls == 1


def test_cheaper_models_of_the_same_capabilities_are_listed_cheapest_first(old):
    others = [
        model("c/cheapest", "0.0000001", "0.0000001"),
        model("d/cheap", "0.0000002", "0.0000001"),
        model("e/dear", "0.001", "0.001"),
        model("f/blind", "0", "0", supported_parameters=frozenset()),
        model("g/short", "0", "0", context_length=1000),
        model("h/rationed:free", "0", "0"),
        model("i/expiring", "0", "0", expires_at_s=1.0),
        model("j/alias", "0", "0", alias_target="d/cheap"),
        model("k/varies", "0", "0", prices={"is_variable": True}),
    ]

    answer = ask([old()] * 2, "a/old", Catalogue([OLD, *others]))

    assert answer.estimates == ()
    assert answer.listed_usd == Decimal("0.009")
    assert [(each.model.id, each.cost_usd) for each in answer.alternatives] == [
        ("c/cheapest", Decimal("0.00022")),
        ("d/cheap", Decimal("0.00042")),
    ]


def test_a_model_that_is_not_listed_any_more_can_still_be_replaced(call):
    calls = [call("1", request_model="z/gone", input_tokens=1000, output_tokens=100, tool_calls=1)]

    answer = ask(calls, "z/gone=b/new")

    assert (answer.calls, answer.listed_usd) == (1, None)
    assert answer.high_usd == Decimal("0.00155")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a/old=c/unknown", "'c/unknown' is not among the 2 models"),
        ("a/old=b/new@nowhere", "b/new@nowhere: no such offer of this model; known are none"),
        ("=b/new", "expected old=new"),
        ("a/old=", "expected old=new"),
        ("a/old=b/new@", "expected old=new"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(text, said):
    with pytest.raises(WhatIfError, match=said.replace("(", r"\(")):
        ask([], text)


def test_a_router_has_no_price_of_its_own():
    varies = model("openrouter/auto", "-1", "-1", prices={"is_variable": True})

    with pytest.raises(WhatIfError, match="no fixed price"):
        ask([], "a/old=openrouter/auto", Catalogue([OLD, varies]))


def test_the_sections_say_grounds_and_leave_quality_to_the_reader(old):
    found = {each.name: each for each in sections(ask([old()]), listed_at_s=1_795_262_400.0)}

    told = found["what_if"]
    assert told.title == "What if: a/old → b/new"
    assert told.lead == "1 call cost $0.0045; on b/new $0.00095 to $0.00155 (-79% to -66%)."
    assert "2026-11-21 12:00 UTC" in told.notes[0]
    assert "is yours to judge" in told.notes[0]
    assert any(note.startswith("Assumed: 0.85 to 1.15 of the input tokens") for note in told.notes)


def test_without_calls_the_sections_say_so():
    (told,) = sections(ask([]), listed_at_s=None)

    assert told.lead == "No call of a/old with a known price in this period."


def test_questions_are_read_with_and_without_a_provider():
    assert replacement_from(" a/old = b/new@novita/fp8 ") == Replacement(old="a/old", new="b/new", tag="novita/fp8")
    assert replacement_from("a/old") == Replacement(old="a/old")
