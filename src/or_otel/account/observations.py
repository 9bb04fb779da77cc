"""What is known of the account, and when it is → every metric of the exporter, as plain readings.

Pure: snapshots, budget states, sums of the ledger and reconciled days come in as values; catalogue rows with
attributes and values go out. Money stays `Decimal` here. Knows no OpenTelemetry. What was not told gives no reading.
No metric gets more than `MAX_SETS` sets of attributes: the rest is one set of `_OTHER`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from or_otel import catalogue, semconv
from or_otel.account.poller import Snapshot
from or_otel.account.readings import (
    Attributes,
    Known,
    LedgerTotal,
    NamedKey,
    Reading,
    ReconciledDay,
    Value,
    name_of,
    told_only,
)
from or_otel.accounts import AccountKey, ActivityRow, Prices, Spend
from or_otel.budgets import BudgetState
from or_otel.budgets.spending import PeriodName, period_at
from or_otel.catalogue import Metric
from or_otel.days import utc_day
from or_otel.facts import EXACT, ZERO, TokenType, Usage, token_parts, total

MAX_SETS = 1_900
"""Below the 2,000 at which the SDK folds what it gets last, money included, into one unnamed set."""
MAX_KEYS = MAX_SETS // 2 - 1
"""Keys told by name: usage has two sets for each."""
DAYS = 30
RESETS: Mapping[str | None, PeriodName] = {"daily": "day", "weekly": "week", "monthly": "month"}
TOKEN_TYPES = 5


def readings_of(known: Known, now_s: float) -> Iterator[Reading]:
    """Give every reading.

    Args:
        known: What is known.
        now_s: Unix time of the observation: how many days ago a day was depends on it.
    """
    today = utc_day(now_s)
    yield from _credits(known.snapshot)
    yield from _keys(known, now_s)
    for state in known.budgets:
        yield from _budget(state)
    yield from _activity(known.activity, today)
    yield from _market(known.snapshot, known.watched)
    yield from _ledger(known.ledger)
    yield from _reconciled(known.reconciled, today)
    yield from _polls(known.snapshot)


def _if_told(metric: Metric, value: Value | None, attributes: Attributes) -> Iterator[Reading]:
    if value is not None:
        yield Reading(metric, value, attributes)


# Credits and keys -----------------------------------------------------------------------------------------------------


def _credits(snapshot: Snapshot) -> Iterator[Reading]:
    if snapshot.credits is not None:
        told = snapshot.credits.value
        yield Reading(catalogue.ACCOUNT_CREDITS_PURCHASED, told.purchased_usd, {})
        yield Reading(catalogue.ACCOUNT_CREDITS_USED, told.used_usd, {})
        yield Reading(catalogue.ACCOUNT_CREDITS_REMAINING, told.remaining_usd, {})


def _lifetime(named: NamedKey) -> Decimal:
    return EXACT.add(named.key.credits.lifetime_usd or ZERO, named.key.byok.lifetime_usd or ZERO)


def _keys(known: Known, now_s: float) -> Iterator[Reading]:
    keys, rest = known.keys, known.keys[:0]
    if len(keys) > MAX_KEYS:
        dearest = sorted(keys, key=lambda named: (-_lifetime(named), named.key.hash or ""))
        keys, rest = tuple(dearest[:MAX_KEYS]), tuple(dearest[MAX_KEYS:])
    for named in keys:
        attributes = named.attributes
        yield from _usage("openrouter", [named.key.credits], attributes)
        yield from _usage("upstream", [named.key.byok], attributes)
        yield from _key_state(named.key, attributes, now_s)
    if rest:
        others = told_only(name_of(None))
        yield from _usage("openrouter", [named.key.credits for named in rest], others)
        yield from _usage("upstream", [named.key.byok for named in rest], others)
    if known.asking_key is not None:
        key, attributes = known.asking_key.key, known.asking_key.attributes
        yield from _if_told(catalogue.KEY_FREE_REQUESTS_LIMIT, key.free_requests_limit, attributes)
        yield from _if_told(catalogue.KEY_FREE_REQUESTS_USED, key.free_requests_used, attributes)
    if known.snapshot.keys is not None:
        in_use = [named for named in known.keys if not (named.key.is_disabled or _is_expired(named.key, now_s))]
        unassigned = sum(not named.assignment.labels for named in in_use)
        yield Reading(catalogue.KEY_UNASSIGNED, unassigned, {})


def _usage(ledger: str, spends: Sequence[Spend], attributes: Attributes) -> Iterator[Reading]:
    on_ledger = {**attributes, semconv.OPENROUTER_COST_LEDGER: ledger}
    for metric, amounts in (
        (catalogue.KEY_USAGE_DAILY, [spend.daily_usd for spend in spends]),
        (catalogue.KEY_USAGE_WEEKLY, [spend.weekly_usd for spend in spends]),
        (catalogue.KEY_USAGE_MONTHLY, [spend.monthly_usd for spend in spends]),
        (catalogue.KEY_USAGE_LIFETIME, [spend.lifetime_usd for spend in spends]),
    ):
        told = [amount for amount in amounts if amount is not None]
        if told:
            yield Reading(metric, total(told), on_ledger)


def _key_state(key: AccountKey, attributes: Attributes, now_s: float) -> Iterator[Reading]:
    yield from _if_told(catalogue.KEY_LIMIT, key.limit_usd, attributes)
    if key.limit_usd is not None:
        yield from _if_told(catalogue.KEY_LIMIT_REMAINING, key.limit_remaining_usd, attributes)
        yield from _if_told(catalogue.KEY_LIMIT_RESET_TIME, _reset_s(key, now_s), attributes)
    if key.is_disabled is not None:
        yield Reading(catalogue.KEY_DISABLED, int(key.is_disabled), attributes)
    yield from _if_told(catalogue.KEY_EXPIRES_TIME, key.expires_at_s, attributes)
    yield from _if_told(catalogue.KEY_LAST_USED_TIME, key.last_used_at_s, attributes)


def _reset_s(key: AccountKey, now_s: float) -> float | None:
    period = RESETS.get(key.limit_reset)
    return None if period is None else period_at(period, now_s).end_s


def _is_expired(key: AccountKey, now_s: float) -> bool:
    return key.expires_at_s is not None and key.expires_at_s <= now_s


# Budgets --------------------------------------------------------------------------------------------------------------


def _budget(state: BudgetState) -> Iterator[Reading]:
    budget = state.budget
    named = {semconv.OPENROUTER_BUDGET_NAME: budget.name, semconv.OPENROUTER_BUDGET_SCOPE: budget.scope}
    yield from _if_told(catalogue.BUDGET_LIMIT, budget.limit_usd, named)
    yield from _if_told(catalogue.BUDGET_SPENT, state.spent_usd, named)
    for forecast in state.forecasts:
        in_window = {**named, semconv.OPENROUTER_FORECAST_WINDOW: forecast.window}
        yield from _if_told(catalogue.BUDGET_FORECAST, forecast.at_end_usd, in_window)
    # The last one below the limit is the warning; at the limit nobody needs to be warned.
    warning = max((each for each in budget.thresholds if each < 1), default=min(budget.thresholds, default=None))
    yield from _if_told(catalogue.BUDGET_THRESHOLD_RATIO, warning, named)
    yield from _if_told(catalogue.BUDGET_PERIOD_START_TIME, state.period.start_s, named)
    yield from _if_told(catalogue.BUDGET_PERIOD_END_TIME, state.period.end_s, named)


# Closed days ----------------------------------------------------------------------------------------------------------


class _Place(NamedTuple):
    days_ago: int
    model: str | None
    provider: str | None

    @property
    def attributes(self) -> dict[str, str | int]:
        return told_only(
            {
                semconv.OPENROUTER_DAY: self.days_ago,
                semconv.GEN_AI_RESPONSE_MODEL: self.model,
                semconv.OPENROUTER_PROVIDER_NAME: self.provider,
            }
        )


def _activity(rows: Iterable[ActivityRow], today: date) -> Iterator[Reading]:
    closed = [(row, (today - row.day).days) for row in rows if 1 <= (today - row.day).days <= DAYS]
    cost, requests, tokens = (_by_place(closed, sets) for sets in (2, 1, TOKEN_TYPES - 1))
    for place, found in cost.items():
        for ledger, amounts in (
            ("openrouter", [row.credits_usd for row in found]),
            ("upstream", [row.byok_usd for row in found]),
        ):
            told = [amount for amount in amounts if amount is not None]
            if told:
                attributes = {**place.attributes, semconv.OPENROUTER_COST_LEDGER: ledger}
                yield Reading(catalogue.ACTIVITY_COST, total(told), attributes)
    for place, found in requests.items():
        counts = [row.requests for row in found if row.requests is not None]
        if counts:
            yield Reading(catalogue.ACTIVITY_REQUESTS, sum(counts), place.attributes)
    for place, found in tokens.items():
        kinds: dict[TokenType, int] = {}
        for row in found:
            for kind, count in token_parts(_usage_of(row)):
                kinds[kind] = kinds.get(kind, 0) + count
        for kind, count in kinds.items():
            attributes = {**place.attributes, semconv.OPENROUTER_TOKEN_TYPE: kind}
            yield Reading(catalogue.ACTIVITY_TOKENS, count, attributes)


def _by_place(closed: Sequence[tuple[ActivityRow, int]], sets: int) -> dict[_Place, list[ActivityRow]]:
    """Gather rows by day, model and provider; of too many models and providers the dearest keep their names."""
    spent: dict[tuple[str | None, str | None], Decimal] = {}
    for row, _ in closed:
        offer = (row.model or row.permaslug, row.provider)
        spent[offer] = total([spent.get(offer, ZERO), row.credits_usd or ZERO, row.byok_usd or ZERO])
    room = MAX_SETS // (sets * max(1, len({days_ago for _, days_ago in closed})))
    named = set(spent)
    if len(spent) > room:
        named = set(sorted(spent, key=lambda offer: (-spent[offer], str(offer)))[: room - 1])
    places: dict[_Place, list[ActivityRow]] = {}
    for row, days_ago in closed:
        offer = (row.model or row.permaslug, row.provider)
        model, provider = offer if offer in named else (semconv.OTHER, semconv.OTHER)
        places.setdefault(_Place(days_ago, model, provider), []).append(row)
    return places


def _usage_of(row: ActivityRow) -> Usage:
    return Usage(
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cache_read_tokens=row.cache_read_tokens,
        reasoning_tokens=row.reasoning_tokens,
    )


def _reconciled(days: Iterable[ReconciledDay], today: date) -> Iterator[Reading]:
    told: dict[tuple[int, str, str], tuple[Attributes, Decimal, Decimal]] = {}
    named: Attributes
    for each in days:
        days_ago = (today - each.day).days
        if not 1 <= days_ago <= DAYS:
            continue
        named = told_only({semconv.OPENROUTER_DAY: days_ago, **name_of(each.key)})
        place = (days_ago, str(named.get(semconv.OPENROUTER_KEY_NAME)), str(named.get(semconv.OPENROUTER_KEY_HASH)))
        if place not in told and len(told) >= MAX_SETS - DAYS:
            named = told_only({semconv.OPENROUTER_DAY: days_ago, **name_of(None)})
            place = (days_ago, semconv.OTHER, semconv.OTHER)
        _, client, provider = told.get(place, (named, ZERO, ZERO))
        told[place] = (named, EXACT.add(client, each.client_usd), EXACT.add(provider, each.provider_usd))
    for named, client, provider in told.values():
        yield Reading(catalogue.RECONCILIATION_CLIENT_COST, client, named)
        yield Reading(catalogue.RECONCILIATION_PROVIDER_COST, provider, named)
        if provider > 0:
            yield Reading(catalogue.RECONCILIATION_CAPTURE_RATIO, float(client / provider), named)


# The market -----------------------------------------------------------------------------------------------------------


def _market(snapshot: Snapshot, watched: Iterable[str]) -> Iterator[Reading]:
    if snapshot.models is not None:
        yield Reading(catalogue.PRICES_TIME, snapshot.models.at_s, {})
    listed = {} if snapshot.models is None else {model.id: model for model in snapshot.models.value}
    for name in watched:
        if name in listed:
            yield from _prices(listed[name].prices, {semconv.GEN_AI_RESPONSE_MODEL: name})
        offers = snapshot.endpoints.get(name)
        seen: set[tuple[str | None, str | None]] = set()
        for offer in offers.value if offers is not None else ():
            if (offer.provider, offer.tag) in seen:
                continue  # nothing tells the two apart, and one would overwrite the other
            seen.add((offer.provider, offer.tag))
            attributes = told_only(
                {
                    semconv.GEN_AI_RESPONSE_MODEL: name,
                    semconv.OPENROUTER_PROVIDER_NAME: offer.provider,
                    semconv.OPENROUTER_ENDPOINT_TAG: offer.tag,
                }
            )
            yield from _prices(offer.prices, attributes)
            yield from _if_told(catalogue.ENDPOINT_STATUS, offer.status, attributes)
            for window, share in offer.uptime.items():
                in_window = {**attributes, semconv.OPENROUTER_UPTIME_WINDOW: window}
                yield Reading(catalogue.ENDPOINT_UPTIME_RATIO, share, in_window)
            for metric, figures in (
                (catalogue.ENDPOINT_LATENCY, offer.latency_s),
                (catalogue.ENDPOINT_THROUGHPUT, offer.throughput),
            ):
                for percentile, figure in figures.items():
                    yield Reading(metric, figure, {**attributes, semconv.OPENROUTER_LATENCY_PERCENTILE: percentile})


def _prices(prices: Prices, attributes: Attributes) -> Iterator[Reading]:
    """Give prices per token; those per request, image or search are of another unit."""
    if prices.is_variable:
        return
    for kind, price in (
        ("input", prices.input),
        ("output", prices.output),
        ("cache_read", prices.cache_read),
        ("cache_write", prices.cache_write),
        ("reasoning", prices.reasoning),
    ):
        yield from _if_told(catalogue.MODEL_PRICE, price, {**attributes, semconv.OPENROUTER_PRICE_KIND: kind})


# The local ledger -----------------------------------------------------------------------------------------------------


def _ledger(totals: Sequence[LedgerTotal]) -> Iterator[Reading]:
    for each in _folded(totals, MAX_SETS // 2):
        for ledger, amount in (("openrouter", each.credits_usd), ("upstream", each.upstream_usd)):
            attributes = {**each.attributes, semconv.OPENROUTER_COST_LEDGER: ledger}
            yield from _if_told(catalogue.LEDGER_COST, amount, attributes)
    for each in _folded(totals, MAX_SETS):
        yield Reading(catalogue.LEDGER_CALLS, each.calls, each.attributes)
    for each in _folded(totals, MAX_SETS // TOKEN_TYPES):
        for kind, count in each.tokens.items():
            attributes = {**each.attributes, semconv.OPENROUTER_TOKEN_TYPE: kind}
            yield Reading(catalogue.LEDGER_TOKENS, count, attributes)


def _folded(totals: Sequence[LedgerTotal], room: int) -> Sequence[LedgerTotal]:
    """Fold the youngest groups into one: the oldest stay the oldest, so that no sum moves from set to set and back."""
    if len(totals) <= room:
        return totals
    rest = totals[room - 1 :]
    names = [name for name in catalogue.LEDGER_CALLS.attributes if name != catalogue.TAGS]
    tokens: dict[TokenType, int] = {}
    for each in rest:
        for kind, count in each.tokens.items():
            tokens[kind] = tokens.get(kind, 0) + count
    folded = LedgerTotal(
        attributes=dict.fromkeys(names, semconv.OTHER),
        credits_usd=total(each.credits_usd for each in rest),
        upstream_usd=total(each.upstream_usd for each in rest),
        calls=sum(each.calls for each in rest),
        tokens=tokens,
    )
    return (*totals[: room - 1], folded)


# Polling itself -------------------------------------------------------------------------------------------------------


def _polls(snapshot: Snapshot) -> Iterator[Reading]:
    for endpoint, at_s in snapshot.succeeded_at_s.items():
        yield Reading(catalogue.POLL_SUCCESS_TIME, at_s, {semconv.OR_OTEL_ENDPOINT: endpoint})
    hidden = snapshot.hidden
    for endpoint, duration_s in snapshot.duration_s.items():
        if endpoint not in hidden:
            yield Reading(catalogue.POLL_DURATION, duration_s, {semconv.OR_OTEL_ENDPOINT: endpoint})
    for (endpoint, error_type), count in snapshot.errors.items():
        # What this kind of key may not see is no failure, and nobody is to be alarmed by it.
        if endpoint not in hidden:
            attributes = {semconv.OR_OTEL_ENDPOINT: endpoint, semconv.ERROR_TYPE: error_type}
            yield Reading(catalogue.POLL_ERRORS, count, attributes)
