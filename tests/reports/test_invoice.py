from datetime import date
from decimal import Decimal

import pytest

from or_otel.days import begin_s
from or_otel.reports.invoice import InvoiceError, compared_invoice, read_invoice

DAY = date(2026, 11, 20)
COLUMNS = "date=usage_date,model=model,cost=cost_usd"
HEADER = "usage_date,model,cost_usd,tokens\n"


def read(text, columns=COLUMNS):
    return read_invoice(text.encode(), columns, where="bill.csv")


@pytest.fixture
def own(entry):
    def make(upstream, *, day=DAY, provider="Anthropic", model="anthropic/claude-haiku-4.5", **fields):
        times = {name: begin_s(day) + 60 for name in ("started_at_s", "ended_at_s", "call_started_at_s")}
        paid = {"is_byok": True, "billing": "byok", "upstream": Decimal(upstream), "charged": Decimal("0.01")}
        return entry(None, **times | paid | {"served_provider": provider, "response_model": model} | fields)

    return make


@pytest.mark.parametrize("day", ["2026-11-20", "20261120", "2026-11-20T23:59:59Z", "2026-11-20 00:00:00 UTC"])
def test_days_are_read_in_the_forms_that_mean_one_thing(day):
    (line,) = read(f"{HEADER}{day},claude-haiku-4-5,1.5,10\n")

    assert (line.day, line.model, line.cost_usd, line.tokens) == (DAY, "claude-haiku-4-5", Decimal("1.5"), None)


def test_a_time_of_another_zone_is_of_the_utc_day():
    assert read(f"{HEADER}2026-11-20T23:30:00-05:00,m,1,1\n")[0].day == date(2026, 11, 21)


@pytest.mark.parametrize(
    ("cost", "amount"),
    [
        ("12.340000000001", "12.340000000001"),
        ('"1,234,567.50"', "1234567.50"),
        ("$0.02", "0.02"),
        ("-$3", "-3"),
        ("7 USD", "7"),
        ("1.5e-7", "0.00000015"),
    ],
)
def test_costs_are_exact_dollars(cost, amount):
    assert read(f"{HEADER}{DAY},m,{cost},1\n")[0].cost_usd == Decimal(amount)


@pytest.mark.parametrize("cost", ['"1,5"', '"1.234,56"', "€5", "5 EUR", "", "free", "(3)", "nan", '"12,34"'])
def test_a_cost_that_could_be_something_else_is_refused_with_its_line(cost):
    with pytest.raises(InvoiceError, match=r"bill\.csv, line 3: cost_usd = .*: expected US dollars"):
        read(f"{HEADER}{DAY},m,1,1\n{DAY},m,{cost},1\n")


@pytest.mark.parametrize("day", ["11/20/2026", "20.11.2026", "", "Total"])
def test_a_day_that_could_be_another_is_refused(day):
    with pytest.raises(InvoiceError, match=r"line 2: usage_date = .*: expected a UTC day as 2026-11-20"):
        read(f"{HEADER}{day},m,1,1\n")


def test_tokens_are_whole_numbers_where_they_are_asked_for():
    with_tokens = f"{COLUMNS},tokens=tokens"

    assert [line.tokens for line in read(f'{HEADER}{DAY},m,1,"1,000"\n{DAY},m,1,\n', with_tokens)] == [1000, None]
    with pytest.raises(InvoiceError, match="expected a whole number"):
        read(f"{HEADER}{DAY},m,1,1.5\n", with_tokens)
    with pytest.raises(InvoiceError, match="expected the name of a model"):
        read(f"{HEADER}{DAY},,1,1\n")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_that_of_the_header_and_a_byte_order_mark_is_no_part_of_it(delimiter):
    text = f"\ufeff{HEADER}{DAY},m,1.25,1\n".replace(",", delimiter)

    assert read(text)[0].cost_usd == Decimal("1.25")


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ("date=usage_date,model=modell,cost=cost_usd", "did you mean 'model'"),
        ("date=day,model=model,cost=cost_usd", "its columns are usage_date, model, cost_usd, tokens"),
        ("date=usage_date,model=model", "cost missing"),
        ("date=usage_date,price=cost_usd", "expected date=…"),
        ("", "expected date=…"),
        ("date=usage_date,date=model", "each once"),
    ],
)
def test_wrong_columns_are_told_with_a_hint(columns, sentence):
    with pytest.raises(InvoiceError, match=sentence):
        read(HEADER, columns)


def test_what_is_no_csv_is_told():
    with pytest.raises(InvoiceError, match="not UTF-8 at byte 1"):
        read_invoice(b"a\xff", COLUMNS, where="bill.csv")
    with pytest.raises(InvoiceError, match="no CSV"):
        read(f'{HEADER}"{DAY}"x,m,1,1\n')


def test_a_bill_meets_the_ledger_by_day_and_model_at_contract_prices(own):
    lines = read(f"{HEADER}{DAY},claude-haiku-4-5-20251001,1.70,1\n{DAY},claude-sonnet-4-6,3,1\n")
    entries = [own("1.5"), own("0.5"), own("9", provider="OpenAI"), own("4", day=date(2026, 11, 25))]

    found = compared_invoice(entries, lines, provider="anthropic", discounts={"anthropic": Decimal("0.15")})

    assert [(row.model, row.client.byok_usd, row.provider.byok_usd) for row in found.rows] == [
        ("claude-haiku-4-5-20251001", Decimal("1.70"), Decimal("1.70")),
        ("claude-sonnet-4-6", 0, 3),
    ]
    assert [row.byok_difference_usd for row in found.wholes] == [3]
    assert all(row.client.credits_usd == 0 for row in found.rows)
    assert (found.calls, found.providers) == (2, ("Anthropic", "OpenAI"))
