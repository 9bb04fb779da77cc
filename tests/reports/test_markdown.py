from __future__ import annotations

from decimal import Decimal

import pytest

from or_otel.budgets import Budget
from or_otel.reports.digest import digest_of
from or_otel.reports.markdown import escaped, to_markdown


def test_a_digest_becomes_headings_and_tables(frame, call):
    text = to_markdown(digest_of(frame(), [call("2", response_model="m/a"), call("1", response_model="m/b")]))

    assert text.startswith("# LLM spending, Sun 15 Nov to Sat 21 Nov 2026\n\n## Spent\n\n$3.00 for 2 calls.\n")
    assert "| model | calls | failed | in | out | cost | share | change |\n|---|--:|" in text
    assert "\n| m/a | 1 | 0 | - | - | $2.00 | 67% | - |\n" in text


def test_what_wants_a_look_stands_first_and_notes_stand_below(frame, call):
    budgets = (Budget(name="month", limit_usd=Decimal(1)),)

    text = to_markdown(digest_of(frame(budgets=budgets), [call("2")]))

    assert "2026\n\n- **Budgets: month: ≥ $2.00 of $1.00 (200%), over.**\n\n## Spent" in text
    assert "\n\n_Spent as this ledger saw it: " in text


@pytest.mark.parametrize(
    ("told", "written"),
    [
        ("a | b", r"a \| b"),
        ("x\n# y", r"x \# y"),
        ("[here](http://evil)", r"\[here\](http://evil)"),
        ("<img src=x>", r"\<img src=x\>"),
        ("@everyone `rm`", r"\@everyone \`rm\`"),
    ],
)
def test_names_of_others_stand_for_themselves(told, written):
    assert escaped(told) == written


def test_a_tag_s_value_cannot_leave_its_cell(frame, call):
    text = to_markdown(digest_of(frame(), [call("1", tags={"team": "a|b\n# c"})]))

    assert r"| a\|b \# c | 1 |" in text
