from __future__ import annotations

from decimal import Decimal

from or_otel import catalogue
from or_otel.account.cardinality import Assumptions, series_expected
from or_otel.account.observations import MAX_SETS
from or_otel.budgets import Budget
from or_otel.config import Config

CONFIG = Config(budgets=(Budget(name="a", limit_usd=Decimal(1)), Budget(name="b", limit_usd=Decimal(1))))


def expected(assumptions=None, *, has_ledger=True):
    return dict(series_expected(CONFIG, assumptions or Assumptions(), has_ledger=has_ledger))


def test_every_row_is_counted():
    assert set(expected()) == {metric for metric in catalogue.METRICS if metric.source == "exporter"}


def test_a_metric_has_a_series_for_each_subject_and_each_of_its_own_words():
    counts = expected(Assumptions(keys=7, offers=3))

    assert counts[catalogue.ACCOUNT_CREDITS_USED] == 1
    assert counts[catalogue.KEY_USAGE_DAILY] == 14
    assert counts[catalogue.KEY_DISABLED] == 7
    assert counts[catalogue.KEY_FREE_REQUESTS_USED] == 1
    assert counts[catalogue.BUDGET_FORECAST] == 4
    assert counts[catalogue.ACTIVITY_COST] == 30 * 3 * 2


def test_what_is_switched_off_has_none():
    counts = expected(has_ledger=False)

    assert {counts[metric] for metric in (catalogue.LEDGER_COST, catalogue.RECONCILIATION_CLIENT_COST)} == {0}
    assert counts[catalogue.MODEL_PRICE] == 0


def test_no_metric_is_expected_beyond_its_cap():
    counts = expected(Assumptions(keys=10**6, offers=10**6, groups=10**6))

    assert max(counts.values()) == MAX_SETS
