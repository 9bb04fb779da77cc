from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from or_otel.accounts import ActivityRow
from or_otel.reports.charges import TOKENS, Owner, charges_of_attempt, charges_of_day
from or_otel.reports.export import row_of

OWNER = Owner(key_hash="a" * 64, key_name="prod", creator="user_1", workspace="ws_1")
AT_S = 1_795_262_400.25  # 2026-11-21 12:00:00.25 UTC


@pytest.fixture
def attempt(entry):
    def make(cost=None, **fields):
        return entry(cost, **{"started_at_s": AT_S, "ended_at_s": AT_S + 2} | fields)

    return make


def rows(entry, owner=OWNER):
    return [row_of(charge) for charge in charges_of_attempt(entry, owner)]


def test_over_an_own_key_there_are_two_invoices_and_tokens_stand_once(attempt):
    byok = attempt("0.05", upstream=Decimal(1), is_byok=True, billing="byok", input_tokens=100)

    bill, fee = rows(byok)

    assert (bill["InvoiceIssuerName"], bill["BilledCost"], bill["x_Requests"], bill["x_InputTokens"]) == (
        "Azure",
        "1",
        1,
        100,
    )
    assert (fee["InvoiceIssuerName"], fee["BilledCost"], fee["x_Requests"]) == ("OpenRouter", "0.05", 0)
    assert "x_InputTokens" not in fee
    assert "ConsumedQuantity" not in fee


def test_without_a_fee_there_is_one_invoice(attempt):
    assert len(rows(attempt("0", upstream=Decimal(1), is_byok=True))) == 1


def test_an_unknown_price_is_empty_and_a_free_failure_is_zero(attempt):
    (unknown,) = rows(attempt(None, unpriced="cancelled"))
    (free,) = rows(attempt(None, outcome="error", attempt_outcome="error"))

    assert ("BilledCost" in unknown, unknown["x_Unpriced"]) == (False, "cancelled")
    assert free["BilledCost"] == "0"


def test_a_price_from_lists_is_also_the_list_cost(attempt):
    (row,) = rows(attempt("2", source="catalog", server="groq", host="api.groq.com", served_provider=None))

    (told,) = rows(attempt("2"))

    assert (row["ListCost"], row["ProviderName"], row["InvoiceIssuerName"]) == ("2", "groq", "groq")
    assert "ListCost" not in told


def test_a_charge_leads_back_to_its_attempt_and_only_one_of_two_lacks_a_price(attempt):
    entry = attempt("0.05", upstream=Decimal(1), is_byok=True, billing="byok", generation_id="gen-1", unpriced="error")

    bill, fee = charges_of_attempt(entry, OWNER)

    assert (
        bill.more
        == fee.more
        == {
            "x_CallId": entry.call_id,
            "x_AttemptId": entry.attempt_id,
            "x_GenerationId": "gen-1",
            "x_Outcome": "ok",
            "x_Billing": "byok",
            "x_CostSource": "unknown",
        }
    )
    assert (bill.unpriced, fee.unpriced) == ("error", None)


ACTIVITY = ActivityRow(
    day=date(2026, 11, 20),
    model="openai/gpt-5-mini",
    provider="Azure",
    credits_usd=Decimal("0.3"),
    byok_usd=Decimal(0),
    requests=7,
    input_tokens=100,
    output_tokens=20,
)


def test_a_booked_day_is_a_charge_of_that_day():
    (row,) = map(row_of, charges_of_day(ACTIVITY, OWNER))

    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")
    assert (row["BilledCost"], row["x_Requests"], row["ConsumedQuantity"]) == ("0.3", 7, 120)
    (charge,) = charges_of_day(ACTIVITY, OWNER)
    assert (charge.served_by, charge.model, charge.owner) == ("Azure", "openai/gpt-5-mini", OWNER)


@pytest.mark.parametrize(("credits_usd", "main"), [("0.3", "OpenRouter"), ("0", "Azure")])
def test_a_booked_day_over_own_keys_counts_its_requests_once(credits_usd, main):
    row = replace(ACTIVITY, credits_usd=Decimal(credits_usd), byok_usd=Decimal(4), **dict.fromkeys(TOKENS[:3], 5))
    row = replace(row, reasoning_tokens=2)

    charges = {each.issuer: each for each in charges_of_day(row, OWNER)}

    whole = charges.pop(main)
    assert (whole.requests, *(getattr(whole, name) for name in TOKENS)) == (7, 5, 5, 5, None, 2)
    for part in charges.values():
        assert (part.requests, *(getattr(part, name) for name in TOKENS)) == (0, None, None, None, None, None)
