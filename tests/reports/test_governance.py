"""Sections about the owner's rules."""

from __future__ import annotations

from decimal import Decimal

from or_otel.policies import Policy
from or_otel.reports.governance import ByokFalls, Violations

POLICIES = (Policy(name="eu", zdr=True), Policy(name="caps", max_input_tokens=5))


def test_broken_rules_are_counted_with_money_and_an_example(frame, call, sections_of, rows_of):
    calls = [
        call("1", violated=("eu/zdr",), tags={"feature": "chat"}, days_ago=2, generation_id="gen-old"),
        call("2", violated=("eu/zdr", "eu/provider"), tags={"feature": "chat"}, generation_id="gen-new"),
        call("4"),
        call("8", violated=("eu/zdr",), days_ago=9),
    ]

    section = sections_of(Violations(frame(), POLICIES), calls)["violations"]

    rows = rows_of(section)
    assert [(row["rule"], row["calls"], row["cost_usd"]) for row in rows] == [
        ("eu/zdr", 2, Decimal(3)),
        ("eu/provider", 1, Decimal(2)),
    ]
    assert rows[0]["last_call"] == "gen-new"
    assert rows[0]["most_from"] == "chat, openai/gpt-5-mini, Azure"
    assert section.is_alarm
    assert "Kept by every call: caps." in section.notes


def test_policies_that_every_call_kept_are_named(frame, call, sections_of):
    section = sections_of(Violations(frame(), POLICIES), [call("1")])["violations"]

    assert section.lead == "No rule was broken. In force: eu, caps."
    assert not section.is_alarm


def test_without_policies_there_is_nothing_to_say(frame, call, sections_of):
    assert sections_of(Violations(frame()), [call("1", violated=("byok_to_credits",))]) == {}


def test_credits_that_pay_what_an_own_key_paid_are_summed_from_the_change_on(frame, call, sections_of, rows_of):
    calls = [
        call("0", days_ago=20, is_byok=True, upstream=Decimal(1), key_name="prod"),
        call("1", days_ago=9, key_name="prod"),
        call("2", days_ago=3, key_name="prod"),
        call("3", days_ago=2, key_name="prod"),
        call("0", days_ago=1, is_byok=True, upstream=Decimal(1), key_name="prod"),
        call("9", served_provider="OpenAI", key_name="prod"),
    ]

    section = sections_of(ByokFalls(frame()), calls)["byok_to_credits"]

    ((row),) = rows_of(section)
    assert (row["key"], row["provider"], row["calls"], row["cost_usd"]) == ("prod", "Azure", 2, Decimal(5))


def test_an_own_key_that_goes_on_paying_is_no_news(frame, call, sections_of):
    calls = [call("0", is_byok=True, upstream=Decimal(1)), call("1", is_byok=None), call("0", is_byok=True)]

    assert sections_of(ByokFalls(frame()), calls) == {}
