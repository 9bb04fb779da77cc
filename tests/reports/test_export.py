from __future__ import annotations

import csv
import io
import json
from decimal import Decimal

import pytest

from or_otel.reports.charges import Owner, charges_of_attempt
from or_otel.reports.export import (
    ACTIVITY_COLUMNS,
    CALL_COLUMNS,
    FOCUS_COLUMNS,
    DimensionError,
    Sums,
    column_of,
    dimension_of,
    publisher,
    row_of,
    written,
)

OWNER = Owner(key_hash="a" * 64, key_name="prod", creator="user_1", workspace="ws_1")
AT_S = 1_795_262_400.25  # 2026-11-21 12:00:00.25 UTC


@pytest.fixture
def attempt(entry):
    def make(cost=None, **fields):
        return entry(cost, **{"started_at_s": AT_S, "ended_at_s": AT_S + 2} | fields)

    return make


def rows(entry, owner=OWNER):
    return [row_of(charge) for charge in charges_of_attempt(entry, owner)]


def test_an_attempt_is_one_charge_with_exact_money_and_its_second(attempt):
    (row,) = rows(
        attempt(
            "0.00000012345678901234567890",
            input_tokens=10,
            output_tokens=5,
            tags={"team": "search"},
            generation_id="gen-1",
        )
    )

    assert row["BilledCost"] == row["EffectiveCost"] == "0.0000001234567890123456789"
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-11-21T12:00:00Z", "2026-11-21T12:00:03Z")
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == (15, "Tokens")
    assert json.loads(row["Tags"]) == {"team": "search"}
    assert (row["InvoiceIssuerName"], row["PublisherName"], row["x_ServedBy"]) == ("OpenRouter", "openai", "Azure")
    assert (row["SubAccountName"], row["x_CreatorId"], row["x_WorkspaceId"]) == ("prod", "user_1", "ws_1")
    assert "ListCost" not in row


def summed(by, entries, **fields):
    sums = Sums(by, **{"since_s": AT_S - 86_400, "until_s": AT_S + 60, "has_tags": True} | fields)
    for entry in entries:
        for charge in charges_of_attempt(entry, OWNER):
            sums.add(charge)
    return sums, list(sums.rows())


def test_sums_are_exact_and_never_mix_invoices(attempt):
    _, found = summed(["model"], [attempt("0.1"), attempt("0.2"), attempt("0.05", upstream=Decimal(1), is_byok=True)])

    assert [(row["x_Model"], row["InvoiceIssuerName"], row["BilledCost"], row["x_Requests"]) for row in found] == [
        ("openai/gpt-5-mini", "Azure", "1", 1),
        ("openai/gpt-5-mini", "OpenRouter", "0.35", 2),
    ]


def test_a_month_s_sum_has_that_month_as_its_period_as_far_as_it_was_asked_for(attempt):
    _, (row,) = summed(["month", "team"], [attempt("1", tags={"team": "ads"})])

    assert (row["x_Month"], row["x_Team"]) == ("2026-11", "ads")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-11-20T12:00:00Z", "2026-11-21T12:01:01Z")


def test_a_day_s_sum_has_that_day_as_its_period(attempt):
    _, (row,) = summed(["day"], [attempt("1")], since_s=AT_S - 864_000, until_s=AT_S + 864_000)

    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == ("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z")


def test_without_a_time_among_the_dimensions_the_period_is_what_was_asked_for(attempt):
    _, (row,) = summed(["model"], [attempt("1", source="catalog")])

    assert (row["ChargePeriodStart"], row["ListCost"]) == ("2026-11-20T12:00:00Z", "1")


def test_sums_never_mix_months_for_each_is_an_invoice_of_its_own(attempt):
    october_s = AT_S - 30 * 86_400
    past = attempt("0.1", started_at_s=october_s, ended_at_s=october_s + 2)

    _, found = summed(["model"], [attempt("0.2"), past], since_s=october_s - 60)

    assert [(row["BillingPeriodStart"], row["BilledCost"]) for row in found] == [
        ("2026-10-01T00:00:00Z", "0.1"),
        ("2026-11-01T00:00:00Z", "0.2"),
    ]
    assert [(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in found] == [
        ("2026-10-22T11:59:00Z", "2026-11-01T00:00:00Z"),
        ("2026-11-01T00:00:00Z", "2026-11-21T12:01:01Z"),
    ]


def test_unpriced_charges_of_a_sum_are_counted(attempt):
    _, (row,) = summed(["key"], [attempt("1"), attempt(None, unpriced="cancelled")])

    assert (row["BilledCost"], row["x_UnpricedCharges"], row["x_Key"]) == ("1", 1, "prod")


def test_a_wrong_dimension_is_told_with_the_right_ones():
    with pytest.raises(DimensionError, match=r"'modle': expected month, day, model, .*tag:<name>"):
        dimension_of("modle", has_tags=True)
    with pytest.raises(DimensionError, match=r"'team': expected month, day, model, provider, key, creator, workspace$"):
        dimension_of("team", has_tags=False)


def test_csv_quotes_everything_and_defuses_formulas(attempt):
    evil = attempt("1", request_model="=HYPERLINK(1)", served_provider="@x;=cmd()")

    text = "".join(written(rows(evil), CALL_COLUMNS, "csv"))
    (row,) = csv.DictReader(io.StringIO(text))

    assert row["SkuId"] == "'=HYPERLINK(1)"
    assert row["x_ServedBy"] == "'@x;=cmd()"
    assert '"\'@x;=cmd()"' in text
    assert row["BilledCost"] == "1"


def test_json_lines_keep_text_and_leave_out_the_unknown(attempt):
    (line,) = written(rows(attempt(None, request_model="=a", unpriced="error")), CALL_COLUMNS, "jsonl")

    told = json.loads(line)
    assert told["SkuId"] == "=a"
    assert "BilledCost" not in told


def test_lines_are_written_as_rows_come(attempt):
    came = []

    def slowly():
        for number in range(3):
            came.append(number)
            yield from rows(attempt("1"))

    lines = written(slowly(), CALL_COLUMNS, "csv")

    next(lines)
    assert came == [0]


def test_an_empty_export_still_has_its_header():
    assert "".join(written([], ["BilledCost", "Tags"], "csv")) == '"BilledCost","Tags"\n'


def test_every_column_is_of_focus_or_marked_as_ours(attempt):
    sums, found = summed(["day", "tag:cost_center"], [attempt("1")])

    for columns in (CALL_COLUMNS, ACTIVITY_COLUMNS, sums.columns):
        assert [name for name in columns if name not in FOCUS_COLUMNS and not name.startswith("x_")] == []
        assert len(columns) == len(set(columns))
    assert set(rows(attempt("1"))[0]) <= set(CALL_COLUMNS)
    assert set(found[0]) <= set(sums.columns)


@pytest.mark.parametrize(("dimension", "column"), [("model", "x_Model"), ("tag:cost_center", "x_TagCostCenter")])
def test_dimensions_have_columns_in_focus_spelling(dimension, column):
    assert column_of(dimension) == column


@pytest.mark.parametrize(
    ("model", "author"), [("anthropic/claude", "anthropic"), ("~openai/x", "openai"), ("gpt", None), (None, None)]
)
def test_a_publisher_is_told_by_the_slug_or_not_at_all(model, author):
    assert publisher(model) == author
