from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import Decimal

from or_otel import catalogue
from or_otel.account.observations import MAX_KEYS, MAX_SETS, readings_of
from or_otel.account.poller import Observed, Snapshot, Trouble
from or_otel.account.readings import Known, LedgerTotal, NamedKey, ReconciledDay
from or_otel.account.schedule import Task
from or_otel.accounts import AccountKey, ActivityRow, Model, ModelEndpoint, Prices, Spend
from or_otel.days import DAY_S

TODAY = date(2026, 11, 20)
NOW_S = (TODAY - date(1970, 1, 1)).days * DAY_S + 3600.0
ALL = [metric for metric in catalogue.METRICS if metric.source == "exporter"]


def told(known, metric, now_s=NOW_S):
    return {
        tuple(sorted(reading.attributes.items())): reading.value
        for reading in readings_of(known, now_s)
        if reading.metric is metric
    }


def row(ago, model="m", provider="p", usd="1", **fields):
    fields = {"requests": 2, "credits_usd": Decimal(usd)} | fields
    return ActivityRow(day=TODAY - timedelta(days=ago), model=model, provider=provider, **fields)


def key(number, usd="1", **fields):
    spend = Spend(lifetime_usd=Decimal(usd), daily_usd=Decimal(usd))
    return NamedKey(key=AccountKey(hash=f"{number:064x}", name=f"key {number}", credits=spend, byok=spend, **fields))


def test_nothing_is_told_of_what_is_not_known():
    assert list(readings_of(Known(), NOW_S)) == []


def test_what_was_not_said_is_absent_and_zero_is_told():
    known = Known(keys=(NamedKey(key=AccountKey(hash="a" * 64, credits=Spend(daily_usd=Decimal(0)))),))

    assert [(each.metric, each.value) for each in readings_of(known, NOW_S)] == [(catalogue.KEY_USAGE_DAILY, 0)]


def test_a_key_without_limit_has_nothing_remaining_and_no_reset():
    known = Known(keys=(key(1, limit_remaining_usd=Decimal(0), limit_reset="daily"),))

    assert told(known, catalogue.KEY_LIMIT_REMAINING) == {}
    assert told(known, catalogue.KEY_LIMIT_RESET_TIME) == {}


def test_a_limit_starts_anew_at_the_turn_of_its_period():
    known = Known(keys=(key(1, limit_usd=Decimal(5), limit_reset="daily"),))

    assert list(told(known, catalogue.KEY_LIMIT_RESET_TIME).values()) == [NOW_S - 3600 + DAY_S]


def test_a_lifetime_limit_never_starts_anew():
    assert told(Known(keys=(key(1, limit_usd=Decimal(5)),)), catalogue.KEY_LIMIT_RESET_TIME) == {}


def test_keys_in_use_that_belong_to_nobody_are_counted():
    keys = (key(1), key(2, is_disabled=True), key(3, expires_at_s=NOW_S - 1), key(4, expires_at_s=NOW_S + 1))
    snapshot = Snapshot(keys=Observed(value=(), at_s=NOW_S))

    assert told(Known(keys=keys, snapshot=snapshot), catalogue.KEY_UNASSIGNED) == {(): 2}


def test_of_too_many_keys_the_dearest_keep_their_names_and_no_dollar_is_lost():
    keys = tuple(key(number, usd=str(number)) for number in range(2 * MAX_KEYS))

    usage = told(Known(keys=keys), catalogue.KEY_USAGE_LIFETIME)

    assert len(usage) <= MAX_SETS
    assert sum(usage.values()) == 2 * sum(range(2 * MAX_KEYS))
    assert any(("openrouter.key.name", f"key {2 * MAX_KEYS - 1}") in attributes for attributes in usage)
    assert any(("openrouter.key.name", "_OTHER") in attributes for attributes in usage)


def test_no_metric_makes_more_sets_than_it_may_and_sums_stay_whole():
    offers = [(f"model {number}", f"provider {number}") for number in range(90)]
    tokens = {"input_tokens": 9, "output_tokens": 9, "cache_read_tokens": 3, "reasoning_tokens": 3}
    rows = tuple(
        row(ago, *offer, usd=str(place), byok_usd=Decimal(1), **tokens)
        for ago in range(1, 31)
        for place, offer in enumerate(offers)
    )
    groups = tuple(
        LedgerTotal(
            attributes={"service.name": str(number)},
            credits_usd=Decimal(1),
            upstream_usd=Decimal(2),
            calls=3,
            tokens={"input_fresh": 4, "output_text": 5},
        )
        for number in range(3000)
    )
    days = tuple(
        ReconciledDay(day=TODAY - timedelta(days=ago), key=key(number), client_usd=Decimal(1), provider_usd=Decimal(2))
        for ago in range(1, 8)
        for number in range(500)
    )

    readings = list(readings_of(Known(activity=rows, ledger=groups, reconciled=days), NOW_S))

    counts = Counter(reading.metric.name for reading in readings)
    assert max(counts.values()) <= MAX_SETS
    assert len({(reading.metric.name, tuple(sorted(reading.attributes.items()))) for reading in readings}) == len(
        readings
    )
    sums = Counter()
    for reading in readings:
        sums[reading.metric] += Decimal(reading.value)
    assert sums[catalogue.ACTIVITY_COST] == sum(each.credits_usd + each.byok_usd for each in rows)
    assert sums[catalogue.ACTIVITY_REQUESTS] == 2 * len(rows)
    assert sums[catalogue.ACTIVITY_TOKENS] == 18 * len(rows)
    assert (sums[catalogue.LEDGER_COST], sums[catalogue.LEDGER_CALLS]) == (9000, 9000)
    assert sums[catalogue.LEDGER_TOKENS] == 9 * 3000
    assert sums[catalogue.RECONCILIATION_CLIENT_COST] == len(days)


def test_rows_of_several_endpoints_of_one_provider_are_one():
    known = Known(activity=(row(1, endpoint_id="a"), row(1, endpoint_id="b", usd="0.5")))

    assert list(told(known, catalogue.ACTIVITY_COST).values()) == [Decimal("1.5")]


def test_tokens_of_a_day_are_disjoint_also_when_more_were_cached_than_asked():
    known = Known(activity=(row(1, input_tokens=10, cache_read_tokens=40, output_tokens=7, reasoning_tokens=5),))

    kinds = {dict(key)["openrouter.token.type"]: value for key, value in told(known, catalogue.ACTIVITY_TOKENS).items()}
    assert kinds == {"input_cache_read": 10, "output_text": 2, "output_reasoning": 5}


def test_neither_today_nor_what_is_older_than_thirty_days_is_a_closed_day():
    known = Known(activity=(row(0), row(1), row(30), row(31)))

    assert {dict(key)["openrouter.day"] for key in told(known, catalogue.ACTIVITY_REQUESTS)} == {1, 30}


def test_two_endpoints_that_nothing_tells_apart_are_one():
    offers = (ModelEndpoint(model="a/b", provider="p", status=0), ModelEndpoint(model="a/b", provider="p", status=-5))
    snapshot = Snapshot(endpoints={"a/b": Observed(value=offers, at_s=1.0)})

    assert list(told(Known(snapshot=snapshot, watched=("a/b",)), catalogue.ENDPOINT_STATUS).values()) == [0]


def test_a_price_that_depends_on_the_router_is_no_price():
    models = (
        Model(id="openrouter/auto", prices=Prices(input=Decimal(-1), is_variable=True)),
        Model(id="a/b", prices=Prices(input=Decimal("0.000001"), request=Decimal("0.01"))),
    )
    snapshot = Snapshot(models=Observed(value=models, at_s=7.0))
    known = Known(snapshot=snapshot, watched=("openrouter/auto", "a/b"))

    assert told(known, catalogue.MODEL_PRICE) == {
        (("gen_ai.response.model", "a/b"), ("openrouter.price.kind", "input")): Decimal("0.000001")
    }
    assert told(known, catalogue.PRICES_TIME) == {(): 7.0}


def test_what_a_key_may_not_see_is_no_failure():
    trouble = Trouble(error_type="403", message="", since_s=0.0, at_s=0.0, count=1, is_hidden=True)
    snapshot = Snapshot(
        troubles={Task("credits"): trouble}, errors={("credits", "403"): 1, ("key", "500"): 2}, duration_s={"key": 0.1}
    )

    errors = told(Known(snapshot=snapshot), catalogue.POLL_ERRORS)

    assert errors == {(("error.type", "500"), ("or_otel.endpoint", "key")): 2}


def test_a_day_without_a_bill_has_no_ratio():
    day = ReconciledDay(day=TODAY - timedelta(days=1), client_usd=Decimal(0), provider_usd=Decimal(0))
    known = Known(reconciled=(day,))

    assert list(told(known, catalogue.RECONCILIATION_PROVIDER_COST).values()) == [0]
    assert told(known, catalogue.RECONCILIATION_CAPTURE_RATIO) == {}


def test_a_hash_is_told_longer_than_a_fingerprint_and_shorter_than_whole():
    (attributes,) = told(Known(keys=(key(1, is_disabled=False),)), catalogue.KEY_DISABLED)

    assert len(dict(attributes)["openrouter.key.hash"]) == 16


def test_an_unnamed_key_is_called_by_its_fingerprint():
    named = NamedKey(key=AccountKey(is_disabled=False), fingerprint="0123456789ab")

    (attributes,) = told(Known(keys=(named,)), catalogue.KEY_DISABLED)

    assert dict(attributes) == {"openrouter.key.name": "0123456789ab", "openrouter.key.id": "0123456789ab"}
