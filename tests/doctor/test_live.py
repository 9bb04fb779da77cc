from dataclasses import replace
from decimal import Decimal

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation

import or_otel
from or_otel.doctor.live import GENERATION_DELAYS_S, PROMPT, Patient, account, live_call
from or_otel.instrumentor import is_on
from or_otel.settings import Settings
from or_otel.simulator.account import BROKE_KEY, BYOK_KEY, MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.behaviour import generation_body
from or_otel.simulator.scenarios import Scenario

BILLED = "openai/gpt-5-mini"


@pytest.fixture
def patient(openrouter):
    return Patient(base_url=openrouter.base_url, api_key=SEARCH_KEY, settings=Settings())


@pytest.fixture
def examined(patient):
    """Make the live call; gives the checks by name, and the seconds it would have waited."""

    def examine(model=BILLED, patient=patient):
        waited = []
        return {check.name: check for check in live_call(patient, model, wait=waited.append)}, waited

    return examine


def told(checks, name):
    return next(check for check in checks if check.name == name)


def test_a_good_call_is_in_order_everywhere(examined):
    checks, waited = examined()

    assert {check.state for check in checks.values()} == {"ok"}
    assert set(checks) == {"call", "chat answer", "openrouter_metadata", "/generation", "cost", "route"}
    assert waited == []


def test_the_cost_is_told_exactly(examined, openrouter):
    checks, _ = examined()

    assert openrouter.book.total() == Decimal("0.0000335")
    assert checks["cost"].sentence.endswith(" $0.0000335")
    assert " cost $0.0000335," in checks["call"].sentence


def test_the_default_model_costs_nothing(patient, openrouter):
    checks = list(live_call(patient, wait=[].append))

    assert {check.state for check in checks} == {"ok"}
    assert openrouter.book.total() == Decimal(0)


def test_the_record_is_waited_for_with_growing_patience(examined, openrouter):
    openrouter.behaviour.generation_not_found_first = 3

    checks, waited = examined()

    assert waited == [1, 2, 4]
    assert checks["/generation"].sentence.startswith("there after 7 s")
    assert checks["cost"].state == "ok"


def test_a_record_that_never_comes_fails(examined, openrouter):
    openrouter.behaviour.generation_not_found_first = 99

    checks, waited = examined()

    assert waited == [seconds for seconds in GENERATION_DELAYS_S if seconds]
    assert checks["/generation"].state == "fail"
    assert "after 31 s: HTTP 404" in checks["/generation"].sentence


def test_a_refused_record_is_not_waited_for(examined, openrouter):
    openrouter.script(Scenario(status=403, body={"error": {"code": 403}}), path="/generation")

    checks, waited = examined()

    assert checks["/generation"].state == "fail"
    assert waited == []


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"total_cost": Decimal("0.5")}, "cost", "fail"),
        ({"total_cost": None}, "cost", "warn"),
        ({"is_byok": True, "upstream_inference_cost": Decimal("0.5")}, "cost", "fail"),
        ({"provider_name": "Azure"}, "route", "fail"),
        ({"model": "mistralai/mistral-large-2512"}, "route", "warn"),
        ({"provider_responses": [{"provider_name": "A", "status": 500}] * 3}, "route", "warn"),
        ({"surprise": 1}, "/generation", "info"),
    ],
)
def test_a_record_that_disagrees_with_the_answer_is_told(openrouter, patient, changes, name, state):
    first = {check.name: check for check in live_call(patient, BILLED, wait=[].append)}
    assert first["cost"].state == "ok"
    body = generation_body(openrouter.book.entries[-1])  # the second call is billed and served like the first
    openrouter.script(Scenario(body={"data": body | changes}), path="/generation")

    checks = list(live_call(patient, BILLED, wait=[].append))

    assert told(checks, name).state == state


def test_the_route_is_compared_attempt_by_attempt(examined, openrouter):
    openrouter.provider_fails("OpenAI", 529, times=1)

    checks, _ = examined()

    assert checks["route"].state == "ok"
    assert "OpenAI 529 > Azure 200" in checks["route"].sentence


def test_metadata_that_was_asked_for_and_did_not_come_is_a_warning(examined, openrouter):
    body = {"id": "gen-1", "model": BILLED, "choices": [], "usage": {"cost": 1}}
    openrouter.script(Scenario(body=body), path="/chat/completions")

    checks, _ = examined()

    assert checks["openrouter_metadata"].state == "warn"


def test_metadata_that_was_not_asked_for_is_no_surprise(examined, patient, monkeypatch):
    monkeypatch.setenv("OR_OTEL_ROUTER_METADATA", "false")

    checks, _ = examined(patient=replace(patient, settings=Settings(router_metadata=False)))

    assert checks["openrouter_metadata"].state == "info"


@pytest.mark.parametrize(
    ("key", "status", "remedy"),
    [(BROKE_KEY, 402, "add credits"), (MANAGEMENT_KEY, 403, "take an inference key")],
)
def test_a_refused_call_says_what_would_be_right(examined, patient, key, status, remedy):
    checks, _ = examined(patient=replace(patient, api_key=key))

    assert set(checks) == {"call"}
    assert checks["call"].state == "fail"
    assert f"HTTP {status}" in checks["call"].sentence
    assert remedy in checks["call"].remedy


def test_an_error_inside_200_is_a_failed_call(examined, openrouter):
    openrouter.script(Scenario(body={"error": {"code": 502, "message": "sunny"}}), path="/chat/completions")

    checks, _ = examined()

    assert checks["call"].state == "fail"
    assert "sunny" not in str(checks)


def test_a_server_that_is_not_there_fails(examined, patient, openrouter):
    openrouter.stop()

    checks, _ = examined()

    assert checks["call"].state == "fail"
    assert "ConnectError" in checks["call"].sentence
    assert told(account(patient), "/key").state == "fail"


def test_nothing_stays_switched_on(examined):
    examined()

    assert not is_on()


def test_what_was_switched_on_stays_on(examined, calls):
    checks, _ = examined()

    assert checks["call"].state == "ok"
    assert is_on()
    or_otel.uninstrument()


def test_the_key_s_kind_and_what_is_left_are_told(patient):
    checks = list(account(patient))

    check = next(each for each in checks if each.name.startswith("key "))
    assert check.state == "ok"
    assert "an inference key" in check.sentence
    assert "$50 left of its limit of $50" in check.sentence
    assert told(checks, "/key fields").state == "ok"


@pytest.mark.parametrize(("key", "state"), [(MANAGEMENT_KEY, "warn"), (BROKE_KEY, "fail")])
def test_a_key_that_cannot_call_is_told(patient, key, state):
    first = next(account(replace(patient, api_key=key)))

    assert first.state == state
    assert first.remedy is not None


def test_a_wrong_key_fails(patient, openrouter):
    openrouter.account.reject(SEARCH_KEY)

    (check,) = account(patient)

    assert (check.name, check.state) == ("/key", "fail")
    assert "HTTP 401" in check.sentence


@pytest.mark.parametrize(
    ("skew_s", "state", "side"), [(3, "ok", "agrees"), (90, "warn", "ahead"), (-90, "warn", "behind")]
)
def test_a_wrong_clock_is_told(patient, openrouter, skew_s, state, side):
    headers = (("date", "Tue, 03 Nov 2026 10:00:00 GMT"),)
    openrouter.script(Scenario(body={"data": {}}, headers=headers), path="/key")

    check = told(account(patient, wall=lambda: 1793700000 + skew_s), "clock")

    assert check.state == state
    assert side in check.sentence


def test_a_strange_answer_of_the_account_is_only_lacking(patient, openrouter):
    openrouter.script(Scenario(body="<html>", headers=(("date", "soon"),)), path="/key")

    checks = list(account(patient))

    assert told(checks, "/key fields").state == "warn"


def test_no_check_holds_key_label_or_prompt(patient, openrouter):
    checks = str([*account(patient), *live_call(patient, BILLED, wait=[].append)])

    assert PROMPT in openrouter.requests[1].body.decode()
    for secret in (SEARCH_KEY, SEARCH_KEY[:12], PROMPT):
        assert secret not in checks


def test_no_check_holds_what_the_model_said(patient, openrouter):
    message = {"role": "assistant", "content": "canary", "thoughts": {"canary": "canary"}, "annotations": ["canary"]}
    body = {"id": "gen-1", "model": BILLED, "choices": [{"message": message}], "usage": {"cost": 1}}
    openrouter.script(Scenario(body=body), path="/chat/completions")

    checks = list(live_call(patient, BILLED, wait=[].append))

    assert told(checks, "chat answer").new == ("choices[].message.thoughts",)
    assert "canary" not in str(checks)


def test_with_an_own_key_both_bills_are_compared(examined, patient, openrouter):
    checks, _ = examined("anthropic/claude-haiku-4.5", replace(patient, api_key=BYOK_KEY))

    (bill,) = openrouter.book.entries
    assert bill.is_byok
    assert checks["cost"].state == "ok"
    assert "billed by the provider (BYOK)" in checks["cost"].sentence


def test_a_call_that_or_otel_did_not_see_fails(examined):
    with suppress_instrumentation():
        checks, _ = examined()

    assert checks["seen by or-otel"].state == "fail"
    assert checks["cost"].state == "ok"


def test_an_answer_without_an_id_has_no_record(examined, openrouter):
    openrouter.script(Scenario(body={"model": BILLED, "choices": []}), path="/chat/completions")

    checks, _ = examined()

    assert checks["/generation"].state == "fail"
