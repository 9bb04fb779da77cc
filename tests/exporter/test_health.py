from __future__ import annotations

import json

import pytest

from or_otel.account.poller import Observed, Snapshot, Trouble
from or_otel.account.schedule import Task
from or_otel.accounts import AccountKey
from or_otel.exporter.health import health_of, to_json

NOW_S = 1_000_000.0


def snapshot(ages, troubles=None, *, hidden=()):
    made = {
        Task(endpoint): Trouble(
            error_type=error_type,
            message=f"/{endpoint}: HTTP {error_type}",
            since_s=NOW_S,
            at_s=NOW_S,
            count=1,
            is_hidden=endpoint in hidden,
        )
        for endpoint, error_type in (troubles or {}).items()
    }
    return Snapshot(
        key=Observed(value=AccountKey(), at_s=NOW_S),
        succeeded_at_s={endpoint: NOW_S - age for endpoint, age in ages.items()},
        troubles=made,
    )


YOUNG = {"key": 10, "keys": 10, "credits": 10}


def test_before_the_first_answer_it_is_not_in_order():
    health = health_of(Snapshot(), NOW_S, {})

    assert not health.is_ok
    assert health.reasons == ("/key: not answered yet", "/keys: not answered yet", "/credits: not answered yet")


def test_young_answers_are_in_order():
    assert health_of(snapshot(YOUNG), NOW_S, {}).is_ok


def test_one_failure_among_young_answers_is_told_and_does_not_count():
    health = health_of(snapshot(YOUNG, {"credits": "503"}), NOW_S, {})

    assert health.is_ok
    assert health.endpoints["credits"].state == "failing"


@pytest.mark.parametrize(("age", "is_ok"), [(300, True), (301, False)])
def test_an_answer_grows_stale(age, is_ok):
    assert health_of(snapshot(YOUNG | {"credits": age}), NOW_S, {}).is_ok == is_ok


def test_who_asks_rarely_waits_longer():
    assert health_of(snapshot(YOUNG | {"credits": 1800}), NOW_S, {"credits": 600.0}).is_ok


def test_a_rejected_key_is_not_in_order_however_young_the_last_answer():
    health = health_of(snapshot(YOUNG, {"credits": "503", "keys": "401"}), NOW_S, {})

    assert not health.is_ok
    assert health.reasons == ("/keys: HTTP 401",)


def test_what_the_key_may_not_see_is_not_missed():
    health = health_of(snapshot({"key": 10}, {"keys": "403", "credits": "403"}, hidden=("keys", "credits")), NOW_S, {})

    assert health.is_ok
    assert health.key_kind == "inference"
    assert health.endpoints["credits"].state == "hidden"


def test_other_endpoints_are_listed_and_not_judged():
    health = health_of(snapshot(YOUNG, {"activity": "500"}), NOW_S, {})

    assert health.is_ok
    assert health.endpoints["activity"].reason == "/activity: HTTP 500"


def test_the_page_says_it_in_json():
    told = json.loads(json.dumps(to_json(health_of(snapshot({"key": 10}), NOW_S, {}))))

    assert told["status"] == "failing"
    assert told["endpoints"]["key"] == {"state": "ok", "age_s": 10.0, "reason": None}


@pytest.mark.parametrize(
    ("ages", "troubles", "reason"),
    [
        ({}, {}, "/credits: not answered yet"),
        ({}, {"credits": "503"}, "/credits: HTTP 503"),
        ({"credits": 301}, {}, "/credits: no answer since 301 s"),
        ({"credits": 301}, {"credits": "503"}, "/credits: HTTP 503"),
    ],
)
def test_what_is_missing_says_why_as_far_as_it_is_known(ages, troubles, reason):
    health = health_of(snapshot({"key": 10, "keys": 10} | ages, troubles), NOW_S, {})

    assert (health.is_ok, health.reasons) == (False, (reason,))


def test_the_trouble_of_one_endpoint_is_not_put_down_to_another():
    health = health_of(snapshot(YOUNG, {"activity": "401", "credits": "503"}), NOW_S, {})

    assert health.is_ok
    assert health.endpoints["credits"].reason == "/credits: HTTP 503"
    assert health.endpoints["keys"].reason is None


def test_an_account_of_which_the_key_may_see_nothing_is_not_in_order():
    health = health_of(snapshot({}, dict.fromkeys(YOUNG, "403"), hidden=tuple(YOUNG)), NOW_S, {})

    assert not health.is_ok
    assert health.reasons == ("/key, /keys, /credits: nothing that this key may see",)
    assert health.endpoints["key"].reason == "/key: HTTP 403"


def test_what_was_never_asked_is_not_listed():
    assert set(health_of(snapshot({"models": 10}), NOW_S, {}).endpoints) == {"models", *YOUNG}


def test_a_clock_that_was_set_back_makes_no_negative_age():
    assert health_of(snapshot(YOUNG | {"credits": -5}), NOW_S, {}).endpoints["credits"].age_s == 0


def test_the_page_of_what_is_in_order_says_so():
    told = to_json(health_of(snapshot({"key": 10.04}, {"keys": "403", "credits": "403"}, hidden=YOUNG), NOW_S, {}))

    assert (told["status"], told["key_kind"], told["reasons"]) == ("ok", "inference", [])
    assert told["endpoints"]["key"]["age_s"] == 10.0
