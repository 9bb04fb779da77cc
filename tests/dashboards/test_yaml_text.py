from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from or_otel.dashboards.yaml_text import to_yaml

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "",
        " ",
        "yes",
        "Off",
        "~",
        "null",
        "1",
        "1e3",
        "0x1f",
        "a: b",
        "- a",
        "a\nb",
        " a\nb\n",
        "a\n b \nc",
        "a\n\n",
        "#",
        "a #b",
        "2026-11-21",
        "1_000",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | TEXT
)
VALUES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3), max_leaves=10
)


@given(VALUES)
def test_what_is_written_is_read_back(value):
    assert yaml.safe_load(to_yaml(value)) == value


def test_several_lines_become_a_block():
    assert to_yaml({"expr": "a\n+ b", "list": ["x\ny\n"]}) == "expr: |-\n  a\n  + b\nlist:\n  - |\n    x\n    y\n"


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="set"):
        to_yaml({"a": {1, 2}})
