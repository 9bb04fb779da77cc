import io
from decimal import Decimal

import pytest
from rich.console import Console

from or_otel.reports.tables import Column, Table, render, to_csv, to_rows

TABLE = Table(
    columns=(
        Column(name="team", title="team"),
        Column(name="id", title=""),
        Column(name="cost_usd", title="cost", kind="usd"),
        Column(name="share", title="share", kind="share"),
        Column(name="at_s", title="at", kind="time"),
        Column(name="took_s", title="took", kind="seconds"),
        Column(name="tokens", title="tokens", kind="tokens"),
        Column(name="calls", title="calls", kind="count"),
    ),
    rows=(
        ("search", "c1", Decimal("0.00001234567"), Decimal("0.5"), 0.0, 1.5, 12_345, 1000),
        (None, "c2", None, 0.5, None, None, None, None),
        ("ads", "c3", Decimal(2), None, 0.0, 1.5, 1, 1),
    ),
    floors=frozenset({2}),
)


def test_people_see_the_digits_that_matter_and_no_hidden_column():
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(render(TABLE))
    head, _, search, unsaid, ads = [line.split() for line in console.file.getvalue().splitlines() if line.strip()]

    assert head == ["team", "cost", "share", "at", "took", "tokens", "calls"]
    assert search == ["search", "$0.0000123", "50%", "1970-01-01", "00:00:00", "1.50", "s", "12.3k", "1,000"]
    assert unsaid == ["-", "unknown", "50%", "-", "-", "-", "-"]
    assert ads[1:3] == ["≥", "$2.00"]


CALLS = Table(
    columns=(
        Column(name="model", title="model"),
        Column(name="at_s", title="at", kind="time", spare=1),
        Column(name="fallbacks", title="fallbacks", kind="count", spare=2),
        Column(name="cost_usd", title="cost", kind="usd"),
        Column(name="id", title="generation", is_whole=True),
    ),
    rows=(
        ("vendor/a-model-with-a-long-name", 0.0, 7, Decimal("0.00001234567"), "gen-0123456789"),
        ("vendor/b", 60.0, 0, Decimal(12_345), "gen-9876543210"),
    ),
)


def shown(table, width, **more):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render(table, **more))
    return console.file.getvalue()


@pytest.mark.parametrize("width", range(28, 101, 4))
def test_no_figure_and_no_id_is_ever_cut(width):
    text = shown(CALLS, width)

    assert max(map(len, text.splitlines())) <= width
    for whole in ("$0.0000123", "$12,345.00", "gen-0123456789", "gen-9876543210", "model", "cost"):
        assert whole in text


def test_what_can_be_spared_goes_first_and_is_named():
    wide, narrow, narrower = (shown(CALLS, width) for width in (100, 72, 58))

    assert "wider terminal" not in wide
    assert "a wider terminal also shows: fallbacks\n" in narrow
    assert "1970-01-01 00:00:00" in narrow
    assert "a wider terminal also shows: fallbacks, at\n" in narrower


def test_where_nothing_fits_each_value_has_a_line_of_its_own():
    lines = shown(CALLS, 30, caption="two calls").splitlines()

    assert [line.split() for line in lines if "cost" in line] == [["cost", "$0.0000123"], ["cost", "$12,345.00"]]
    assert any("fallbacks" in line and "7" in line for line in lines)
    assert lines[-1] == "two calls"


def test_programs_get_exact_money_as_text_and_null_for_the_unknown():
    first, second, _ = to_rows(TABLE)

    assert first["cost_usd"] == "0.00001234567"
    assert (second["cost_usd"], second["team"], second["id"]) == (None, None, "c2")


def test_csv_has_one_header_and_empty_fields_for_the_unknown():
    lines = to_csv(TABLE).splitlines()

    assert lines[0] == "team,id,cost_usd,share,at_s,took_s,tokens,calls"
    assert lines[2] == ",c2,,0.5,,,,"


def test_csv_defuses_formulas_and_leaves_negative_money_alone():
    table = Table(
        columns=(Column(name="team", title="team"), Column(name="usd", title="usd", kind="usd")),
        rows=(("=HYPERLINK(1)", Decimal("-0.5")), ("a,b", Decimal(1))),
    )

    assert to_csv(table).splitlines()[1:] == ["'=HYPERLINK(1),-0.5", '"a,b",1']


def test_what_a_server_calls_itself_does_not_steer_the_terminal():
    table = Table(columns=(Column(name="model", title="model"),), rows=(("evil\x1b]52;c;AAAA\x07\x1b[2J\nmodel",),))
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(render(table))

    assert console.file.getvalue().splitlines()[-2].strip() == "evil ]52;c;AAAA [2J model"
