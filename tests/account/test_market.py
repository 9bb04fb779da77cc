from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from or_otel.account.market import read_models, store_models
from or_otel.accounts import Model, Prices
from or_otel.ledger import open_ledger

A = Model(
    id="m/a",
    permaslug="m/a-2026",
    expires_at_s=5.0,
    context_length=1000,
    prices=Prices(input=Decimal("0.0000000123456789"), is_variable=True),
    input_modalities=frozenset({"text", "image"}),
    supported_parameters=frozenset({"tools"}),
)
B = Model(id="m/b")


@pytest.fixture
def ledger(tmp_path):
    with open_ledger(tmp_path / "ledger.db") as opened:
        yield opened


def test_a_list_comes_back_as_it_was_with_exact_prices(ledger):
    store_models(ledger, [B, A], 100.0)

    assert read_models(ledger, 100.0) == (A, B)


def test_each_time_has_its_own_list(ledger):
    dearer = replace(A, prices=Prices(input=Decimal("0.1")))
    store_models(ledger, [A, B], 100.0)
    store_models(ledger, [dearer], 200.0)

    assert read_models(ledger, 199.0) == (A, B)
    assert read_models(ledger, 300.0) == (dearer,)


def test_before_the_first_list_nothing_is_known(ledger):
    assert read_models(ledger, 100.0) is None
    store_models(ledger, [A], 100.0)
    assert read_models(ledger, 99.0) is None


def test_an_unchanged_list_adds_nothing(ledger):
    assert store_models(ledger, [A, B], 100.0) == 2
    for hour in range(50):
        assert store_models(ledger, [B, A], 200.0 + hour) == 0

    counts = [ledger.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("models", "model_lists")]
    assert counts == [2, 2]


@pytest.mark.parametrize(("models", "at_s"), [([], 200.0), ([B], 50.0)])
def test_an_empty_or_older_list_changes_nothing(ledger, models, at_s):
    store_models(ledger, [A], 100.0)

    assert store_models(ledger, models, at_s) == 0
    assert read_models(ledger, 300.0) == (A,)


def test_what_a_newer_version_wrote_is_passed_over(ledger):
    store_models(ledger, [B], 100.0)
    ledger.execute("""UPDATE models SET line = '{"id": "m/b", "later": 1, "prices": {"later": "1"}}'""")

    assert read_models(ledger, 100.0) == (B,)
