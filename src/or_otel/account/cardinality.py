"""How many series to expect, before anything is asked: the catalogue's rows times what an account is assumed to hold.

Pure. The assumptions are told with the figures; `observations.MAX_SETS` bounds each metric whatever they are.
"""

from __future__ import annotations

from dataclasses import dataclass

from or_otel import catalogue, semconv
from or_otel.account.observations import DAYS, MAX_SETS, TOKEN_TYPES
from or_otel.account.schedule import INTERVALS_S
from or_otel.catalogue import Metric
from or_otel.config import Config

LEDGERS, FORECAST_WINDOWS, PRICE_KINDS, UPTIME_WINDOWS, PERCENTILES = 2, 2, 5, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What an account is assumed to hold.

    Attributes:
        keys: Keys of the account.
        offers: Models by provider that are used in a month.
        endpoints: Endpoints of one watched model.
        groups: Services, models, keys and tags that occur together in the local ledger.
        compared_days: Closed days that are reconciled.
    """

    keys: int = 20
    offers: int = 30
    endpoints: int = 5
    groups: int = 100
    compared_days: int = 7


def series_expected(config: Config, assumptions: Assumptions, *, has_ledger: bool) -> tuple[tuple[Metric, int], ...]:
    """Give, for each metric of the exporter, how many series it will have.

    Args:
        config: The settings file.
        assumptions: About the account.
        has_ledger: Whether the local ledger is told.
    """
    own = {
        semconv.OPENROUTER_COST_LEDGER: LEDGERS,
        semconv.OPENROUTER_FORECAST_WINDOW: FORECAST_WINDOWS,
        semconv.OPENROUTER_TOKEN_TYPE: TOKEN_TYPES,
        semconv.OPENROUTER_PRICE_KIND: PRICE_KINDS,
        semconv.OPENROUTER_UPTIME_WINDOW: UPTIME_WINDOWS,
        semconv.OPENROUTER_LATENCY_PERCENTILE: PERCENTILES,
    }
    found = []
    for metric in catalogue.METRICS:
        if metric.source == "exporter":
            sets = _subjects(metric, config, assumptions, has_ledger=has_ledger)
            for name in metric.attributes:
                sets *= own.get(name, 1)
            found.append((metric, min(sets, MAX_SETS)))
    return tuple(found)


def _subjects(metric: Metric, config: Config, assumptions: Assumptions, *, has_ledger: bool) -> int:
    """Give how many keys, budgets, days, … a metric speaks of."""
    names = frozenset(metric.attributes)
    is_of_key = semconv.OPENROUTER_KEY_HASH in names
    is_compared = has_ledger and config.exporter.has_reconciliation
    # Only the asking key tells of free requests.
    is_own = metric in {catalogue.KEY_FREE_REQUESTS_LIMIT, catalogue.KEY_FREE_REQUESTS_USED}
    counts = (
        (semconv.SERVICE_NAME in names, assumptions.groups * has_ledger),
        (semconv.OPENROUTER_BUDGET_NAME in names, len(config.budgets)),
        (
            semconv.OPENROUTER_DAY in names and is_of_key,
            assumptions.compared_days * (assumptions.keys + 1) * is_compared,
        ),
        (semconv.OPENROUTER_DAY in names, DAYS * assumptions.offers),
        (is_own, 1),
        (is_of_key, assumptions.keys),
        (semconv.GEN_AI_RESPONSE_MODEL in names, len(config.account.watch_models) * assumptions.endpoints),
        (semconv.OR_OTEL_ENDPOINT in names, len(INTERVALS_S)),
    )
    return next((count for applies, count in counts if applies), 1)
