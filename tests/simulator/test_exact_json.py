import json
from decimal import Decimal

import pytest

from or_otel.simulator.exact_json import dumps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0.00", "0"),
        ("100", "100"),
        ("0.0016072", "0.0016072"),
        ("0.0000063", "0.0000063"),
        ("0.00000000012300", "1.23e-10"),
        ("-0.5", "-0.5"),
        ("0.10000000000000000000000000000000000000001", "0.10000000000000000000000000000000000000001"),
    ],
)
def test_a_decimal_is_written_with_all_its_digits_and_no_more(value, text):
    assert dumps(Decimal(value)) == text
    assert json.loads(dumps([Decimal(value)]), parse_float=Decimal) == [Decimal(value)]


def test_everything_else_is_written_as_json_writes_it():
    value = {"a": [1, None, True, "é\n"], "b": {}}

    assert json.loads(dumps(value)) == value


def test_what_json_cannot_say_is_refused():
    with pytest.raises(TypeError):
        dumps({"a": object()})
