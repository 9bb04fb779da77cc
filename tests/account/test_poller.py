from __future__ import annotations

from decimal import Decimal

import httpx
import pytest

from or_otel import guard
from or_otel.account.client import AccountClient
from or_otel.account.poller import FAULT, PLACE, Observed, Poller, Snapshot
from or_otel.account.schedule import HOUR_S, INTERVALS_S, Task
from or_otel.accounts import AccountKey
from or_otel.days import DAY_S
from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.scenarios import Scenario

NOON = 20_000.5 * DAY_S


class Rig:
    """A poller before the scripted server, with a clock that stands still and chance that is none."""

    def __init__(self, openrouter, *keys, **options):
        self.openrouter = openrouter
        self.client = AccountClient(openrouter.base_url, *keys)
        self.poller = Poller(self.client, chance=lambda: 0.0, clock=lambda: 0.0, **options)

    def poll(self, now_s):
        """Give the snapshot and the paths that were asked."""
        before = len(self.openrouter.requests)
        snapshot = self.poller.poll_due(now_s)
        paths = [request.path.partition("?")[0] for request in self.openrouter.requests[before:]]
        return snapshot, [path.removeprefix("/api/v1") for path in paths]


@pytest.fixture
def rig(openrouter):
    made = []

    def make(*keys, **options):
        made.append(Rig(openrouter, *(keys or (SEARCH_KEY, MANAGEMENT_KEY)), **options))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


def _spend(openrouter):
    httpx.post(
        f"{openrouter.base_url}/chat/completions",
        json={"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]},
        headers={"authorization": f"Bearer {SEARCH_KEY}"},
    ).raise_for_status()


def test_the_first_poll_tells_everything(rig, openrouter):
    _spend(openrouter)

    snapshot, _ = rig(models=["anthropic/claude-haiku-4.5"]).poll(NOON)

    assert snapshot.troubles == {}
    assert snapshot.key.value.credits.lifetime_usd == openrouter.book.total() > 0
    assert snapshot.credits.value.used_usd == openrouter.book.total()
    assert "search" in {key.name for key in snapshot.keys.value}
    assert snapshot.activity.value == ()
    assert snapshot.endpoints["anthropic/claude-haiku-4.5"].value
    assert set(snapshot.succeeded_at_s) == set(INTERVALS_S)
    assert set(snapshot.succeeded_at_s.values()) == {NOON}
    assert snapshot.key_kind == "management"


def test_each_endpoint_is_asked_at_its_own_interval(rig):
    rig = rig()
    rig.poll(NOON)

    assert rig.poller.next_due_s() == NOON + 60
    assert rig.poll(NOON + 59)[1] == []
    assert set(rig.poll(NOON + 60)[1]) == {"/key", "/keys", "/credits"}
    assert "/models" in rig.poll(NOON + 300)[1]
    assert "/activity" in rig.poll(NOON + HOUR_S)[1]


def test_a_snapshot_never_changes_after_it_was_given(rig, openrouter):
    rig = rig()
    first, _ = rig.poll(NOON)
    openrouter.script(Scenario(status=502), path="/credits")
    second, _ = rig.poll(NOON + 60)

    assert (first.troubles, first.errors) == ({}, {})
    assert second is rig.poller.snapshot
    assert second.errors == {("credits", "502"): 1}


def test_a_failing_endpoint_keeps_its_last_value_and_hides_no_other(rig, openrouter):
    rig = rig()
    rig.poll(NOON)
    openrouter.script(*[Scenario(status=502)] * 2, path="/keys")

    snapshot, asked = rig.poll(NOON + 60)

    assert snapshot.keys.at_s == NOON
    assert snapshot.keys.value
    assert snapshot.credits.at_s == NOON + 60
    assert set(asked) == {"/key", "/keys", "/credits"}
    trouble = snapshot.troubles[Task("keys")]
    assert (trouble.error_type, trouble.count, trouble.is_hidden) == ("502", 1, False)
    assert snapshot.hidden == frozenset()
    assert "502" in trouble.message
    assert snapshot.succeeded_at_s["keys"] == NOON


def test_trouble_tells_since_when_and_ends_with_an_answer(rig, openrouter):
    rig = rig()
    rig.poll(NOON)
    openrouter.script(*[Scenario(status=502)] * 2, path="/credits")

    rig.poll(NOON + 60)
    during, _ = rig.poll(NOON + 75)
    after, _ = rig.poll(NOON + 120)

    trouble = during.troubles[Task("credits")]
    assert (trouble.since_s, trouble.at_s, trouble.count) == (NOON + 60, NOON + 75, 2)
    assert after.troubles == {}
    assert after.errors == {("credits", "502"): 2}


def test_the_server_s_wait_is_honoured(rig, openrouter):
    rig = rig()
    rig.poll(NOON)
    openrouter.script(Scenario(status=429, headers=(("retry-after", "200"),)), path="/credits")
    rig.poll(NOON + 60)

    assert "/credits" not in rig.poll(NOON + 259)[1]
    assert "/credits" in rig.poll(NOON + 260)[1]


def test_an_inference_key_sees_itself_and_the_market_and_asks_the_rest_rarely(rig):
    rig = rig(SEARCH_KEY)

    snapshot, _ = rig.poll(NOON)

    assert snapshot.key.value.limit_usd == Decimal(50)
    assert snapshot.models.value
    assert snapshot.keys is None
    assert snapshot.hidden >= {"keys", "activity"}
    assert snapshot.key_kind == "inference"
    assert "management key" in snapshot.troubles[Task("keys")].message
    assert rig.poll(NOON + 60)[1] == ["/key"]
    assert "/keys" in rig.poll(NOON + HOUR_S)[1]


def test_a_management_key_alone_suffices(rig):
    snapshot, _ = rig(MANAGEMENT_KEY).poll(NOON)

    assert (snapshot.key_kind, snapshot.hidden) == ("management", frozenset())


def test_nothing_is_known_of_the_key_before_the_first_poll():
    assert Snapshot().key_kind is None


def test_a_management_key_is_known_before_it_told_the_keys():
    key = Observed(value=AccountKey(is_management=True), at_s=NOON)

    assert Snapshot(key=key).key_kind == "management"


def test_a_watched_model_that_does_not_exist_does_not_hide_the_others(rig):
    rig = rig(models=["no/such-model", "anthropic/claude-haiku-4.5"])

    snapshot, _ = rig.poll(NOON)

    assert set(snapshot.endpoints) == {"anthropic/claude-haiku-4.5"}
    assert snapshot.troubles[Task("endpoints", "no/such-model")].error_type == "404"


def test_the_activity_of_each_key_is_asked_in_the_poll_that_lists_it_and_goes_with_it(rig, openrouter):
    def rows(hash_):
        return Scenario(body={"data": [{"hash": hash_}] if hash_ else []})

    openrouter.script(rows(None), path="/workspaces")
    openrouter.script(rows("a" * 64), rows(None), rows("b" * 64), rows(None), path="/keys")
    rig = rig(is_activity_by_key=True)

    first, asked = rig.poll(NOON)
    second, _ = rig.poll(NOON + 60)

    assert asked.count("/activity") == 2
    assert any(f"api_key_hash={'a' * 64}" in request.path for request in openrouter.requests)
    assert set(first.activity_by_key) == {"a" * 64}
    assert set(second.activity_by_key) == {"b" * 64}


def test_the_trouble_of_a_key_that_is_gone_goes_with_it(rig, openrouter):
    openrouter.script(Scenario(body={"data": []}), path="/workspaces")
    openrouter.script(Scenario(body={"data": [{"hash": "a" * 64}]}), Scenario(body={"data": []}), path="/keys")
    openrouter.script(Scenario(body={"data": []}), *[Scenario(status=502)] * 2, path="/activity")
    rig = rig(is_activity_by_key=True)

    first, _ = rig.poll(NOON)
    second, _ = rig.poll(NOON + 60)

    assert set(first.troubles) == {Task("activity", "a" * 64)}
    assert second.troubles == {}


def test_closed_days_of_which_a_row_could_not_be_read_are_not_whole(rig, openrouter):
    openrouter.script(Scenario(body={"data": [{"date": "2026-11-19", "usage": "much"}]}), path="/activity")

    snapshot, _ = rig().poll(NOON)

    assert (snapshot.activity.value, snapshot.activity.is_whole) == ((), False)


def test_workspaces_of_the_same_poll_are_used_to_list_keys(rig, openrouter):
    openrouter.script(Scenario(body={"data": [{"id": "w1"}]}), Scenario(body={"data": []}), path="/workspaces")

    rig().poll(NOON)

    assert any("workspace_id=w1" in request.path for request in openrouter.requests)


def test_a_fault_of_our_own_is_counted_and_stops_nothing(rig, monkeypatch):
    rig = rig()
    monkeypatch.setattr(rig.client, "_pages", None)

    snapshot, _ = rig.poll(NOON)

    assert snapshot.troubles[Task("keys")].error_type == FAULT
    assert snapshot.credits is not None
    assert guard.faults.pop(PLACE) >= 1


def test_values_carry_the_time_of_their_question_and_questions_their_duration(openrouter):
    times = iter(range(1000))
    with AccountClient(openrouter.base_url, SEARCH_KEY, MANAGEMENT_KEY) as client:
        snapshot = Poller(client, chance=lambda: 0.0, clock=lambda: float(next(times))).poll_due(NOON)

    assert snapshot.key.at_s == NOON + 1
    assert snapshot.duration_s["key"] == 1.0
    assert snapshot.credits.at_s > snapshot.keys.at_s > snapshot.workspaces.at_s


def test_rows_that_could_not_be_read_are_told(rig, openrouter):
    openrouter.script(Scenario(body={"data": [{"no": "hash"}]}), path="/keys")

    assert rig().poll(NOON)[0].strange_rows == {"/keys": 1}


def test_other_intervals_can_be_set(rig):
    rig = rig(intervals_s={"key": 7.0})
    rig.poll(NOON)

    assert rig.poll(NOON + 7)[1] == ["/key"]


def test_of_several_models_the_one_answered_longest_ago_tells_the_age(rig, openrouter):
    rig = rig(models=["anthropic/claude-haiku-4.5", "openai/gpt-5-mini"])
    rig.poll(NOON)
    openrouter.script(Scenario(status=502), path="/models/anthropic/claude-haiku-4.5/endpoints")

    snapshot, _ = rig.poll(NOON + 300)

    assert snapshot.endpoints["openai/gpt-5-mini"].at_s == NOON + 300
    assert snapshot.succeeded_at_s["endpoints"] == NOON


def test_a_long_round_is_cut_and_goes_on_with_what_is_due_again_first(openrouter):
    now = [0.0]

    def clock():
        now[0] += 1.0  # each look at it
        return now[0]

    with AccountClient(openrouter.base_url, management_key=MANAGEMENT_KEY) as client:
        poller = Poller(client, is_activity_by_key=True, chance=lambda: 0.0, clock=clock)
        first = poller.poll_due(NOON, patience_s=3.0)
        asked = len(openrouter.requests)
        snapshot = poller.poll_due(NOON + 61, patience_s=1e9)

    paths = [each.path.removeprefix("/api/v1").partition("?")[0] for each in openrouter.requests]
    assert (first.key is not None, first.activity) == (True, None)
    assert 0 < asked < 5
    assert paths[asked] == "/key"
    assert set(snapshot.activity_by_key) == {key.hash for key in snapshot.keys.value}
