from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import pytest

from or_otel.accounts import Generation
from or_otel.amendments import amended, amendment_of, from_line, newest, to_line
from or_otel.calls import increase
from or_otel.entries import from_line as entry_from_line
from or_otel.facts import Cost, Usage

RECORD = Generation(
    id="gen-1",
    model="openai/gpt-5-mini-2026-01-01",
    provider="OpenAI",
    charged_usd=Decimal("0.30"),
    is_byok=False,
    usage=Usage(input_tokens=10, output_tokens=4, cache_read_tokens=3, reasoning_tokens=0),
)


@pytest.fixture
def learned(entry):
    def learn(record=RECORD, cost=None, **fields):
        known = entry(cost, **({"unpriced": "cancelled", "billing": "unknown", "is_byok": None} | fields))
        return known, amendment_of(known, record, learned_at_s=2000.0)

    return learn


def test_an_unpriced_entry_gets_money_tokens_and_who_served(learned):
    known, amendment = learned()

    now = amended(known, amendment)

    assert (now.total, now.billing, now.source, now.unpriced) == (Decimal("0.30"), "credits", "generation", None)
    assert (now.input_tokens, now.output_tokens, now.cache_read_tokens, now.reasoning_tokens) == (10, 4, 3, 0)
    assert (now.served_provider, now.request_model, now.response_model) == ("OpenAI", "openai/gpt-5-mini", None)
    assert (now.attempt_id, now.outcome) == (known.attempt_id, known.outcome)
    assert amended(now, amendment) == now


def test_the_provider_s_bill_is_learned_where_it_was_not_told_who_pays(learned):
    byok = replace(RECORD, charged_usd=Decimal("0.01"), upstream_usd=Decimal("0.2"), is_byok=True)
    known, amendment = learned(byok, "0.01", upstream=Decimal("0.2"), unpriced="billing_unknown")

    now = amended(known, amendment)

    assert (known.total, now.total, now.billing) == (Decimal("0.01"), Decimal("0.21"), "byok")


@pytest.mark.parametrize(
    ("record", "fields"),
    [
        (replace(RECORD, charged_usd=None), {}),
        (replace(RECORD, is_byok=None), {"unpriced": "billing_unknown", "charged": Decimal(1)}),
        (RECORD, {"charged": Decimal("0.3"), "unpriced": None, "is_byok": False}),
        (RECORD, {"charged": Decimal("0.3"), "unpriced": None, "upstream": Decimal("0.3")}),
        (replace(RECORD, upstream_usd=Decimal(0)), {"charged": Decimal("0.3"), "unpriced": None, "is_byok": False}),
    ],
    ids=["no money", "still not told who pays", "the same", "the same, payer new", "zero is no bill"],
)
def test_a_record_that_adds_nothing_amends_nothing(learned, record, fields):
    assert learned(record, **fields)[1] is None


@pytest.mark.parametrize(
    "fields",
    [
        {"charged": Decimal("0.2"), "is_byok": False},
        {"charged": Decimal("0.4"), "is_byok": False},
        {"charged": Decimal("0.3"), "is_byok": True},
    ],
)
def test_a_record_that_differs_wins_and_old_parts_go(learned, fields):
    known, amendment = learned(unpriced=None, input=Decimal("0.1"), output=Decimal("0.1"), **fields)

    now = amended(known, amendment)

    assert (now.charged, now.is_byok, now.input, now.output) == (Decimal("0.30"), False, None, None)


def test_another_bill_of_the_provider_is_a_difference(learned):
    byok = replace(RECORD, upstream_usd=Decimal("0.2"), is_byok=True)
    same = {"charged": Decimal("0.30"), "is_byok": True, "unpriced": None}

    assert learned(byok, **same, upstream=Decimal("0.1"))[1].upstream == Decimal("0.2")
    assert learned(byok, **same, upstream=Decimal("0.20"))[1] is None


def test_the_model_is_taken_only_where_nobody_else_names_one(learned):
    assert learned(request_model="openrouter/auto")[1].response_model == RECORD.model
    assert learned(request_model=None)[1].response_model == RECORD.model
    assert learned(request_model="openrouter/auto", response_model="openai/gpt-5-mini")[1].response_model is None
    assert learned()[1].response_model is None


def test_a_line_gives_back_its_amendment_and_is_no_entry(learned):
    _, amendment = learned()
    line = to_line(amendment)

    assert from_line(line) == amendment
    assert json.loads(line)["amends"] == amendment.amends
    assert json.loads(line)["charged"] == "0.30"
    assert entry_from_line(line) is None


@pytest.mark.parametrize(
    "change",
    [{"charged": 0.3}, {"amends": None}, {"learned_at_s": "soon"}, {"charged": "NaN"}, {"input_tokens": "ten"}],
)
def test_a_line_with_a_field_of_the_wrong_type_is_broken(learned, change):
    values = json.loads(to_line(learned()[1])) | change

    assert from_line(json.dumps(values).encode()) is None


@pytest.mark.parametrize(
    "line", [b"", b"\n", b'{"amends":', b'["amends"]', b'"amends"', b'{"call_id": "x"}', b"\xff\xfe"]
)
def test_other_lines_are_no_amendments(line):
    assert from_line(line) is None


def test_fields_of_a_newer_version_are_ignored(learned):
    _, amendment = learned()
    values = json.loads(to_line(amendment)) | {"novelty": [1]}

    assert from_line(json.dumps(values).encode()) == amendment


def test_the_last_learned_is_in_force_in_whatever_order_lines_come(learned):
    _, first = learned()
    twin = replace(first, charged=Decimal("0.29"))
    last = replace(first, charged=Decimal("0.31"), learned_at_s=3000.0)

    assert {newest(order)[first.amends] for order in permutations((first, twin, last))} == {last}
    assert len({newest(order)[first.amends] for order in permutations((first, twin))}) == 1


def cost(charged=None, upstream=None, *, is_byok=False):
    amounts = [None if each is None else Decimal(each) for each in (charged, upstream)]
    return Cost(charged=amounts[0], upstream=amounts[1], is_byok=is_byok, source="generation")


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        (None, cost("0.3"), cost("0.3")),
        (None, cost("0"), cost("0")),
        (cost("0.1"), cost("0.3"), cost("0.2")),
        (cost("0.3"), cost("0.3"), None),
        (cost("0.3"), cost("0.1"), None),
        (cost("0.1", "0.2", is_byok=None), cost("0.1", "0.2", is_byok=True), cost(None, "0.2", is_byok=True)),
        (cost("0.3"), cost("0.1", "0.3", is_byok=True), cost(None, "0.3", is_byok=True)),
    ],
    ids=["all", "zero", "more", "the same", "less", "the provider's bill", "one ledger less, one more"],
)
def test_counters_get_what_each_ledger_bills_beyond_before(before, after, more):
    assert increase(before, after) == more


def test_money_is_learned_although_its_record_does_not_say_who_pays(learned):
    known, amendment = learned(replace(RECORD, is_byok=None))

    now = amended(known, amendment)

    assert (now.charged, now.billing, now.unpriced) == (Decimal("0.30"), "unknown", None)
