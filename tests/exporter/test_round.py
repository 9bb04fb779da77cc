"""Rounds of the exporter over a scripted account on loopback: what is told is what the account's book says."""

from __future__ import annotations

import threading
from decimal import Decimal

import httpx
import pytest

from or_otel import catalogue
from or_otel.account.market import read_models
from or_otel.days import DAY_S
from or_otel.exporter import LONGEST_WAIT_S, SHORTEST_WAIT_S
from or_otel.ledger import DATABASE, open_ledger
from or_otel.simulator.account import MANAGEMENT_KEY, SUPPORT_KEY
from or_otel.simulator.book import fingerprint
from or_otel.simulator.history import COMPANIES, entries_of_history

FERRIES = COMPANIES[0]

EXPORTER_ROWS = {metric.name for metric in catalogue.METRICS if metric.source == "exporter"}
WHOLE = """
[account]
watch_models = ["openai/gpt-5-mini"]
[[keys]]
name = "north-ferries"
company = "north"
team = "ferries"
[[budgets]]
name = "all"
limit_usd = 50
[[budgets]]
name = "north"
scope = "company"
value = "north"
limit_usd = 10
period = "week"
[[budgets]]
name = "agents"
scope = "feature"
value = "agent"
limit_usd = 5
period = "day"
"""


def closed(scene, money):
    """Sum the book over closed days."""
    today = scene.now_s // DAY_S
    entries = scene.server.book.entries
    return sum((money(entry) for entry in entries if entry.created_at_s // DAY_S < today), Decimal(0))


def forecast_of_a_day(scene, told):
    """Give what comes of the budget of everything, if it goes on as in the last day."""
    return scene.where(
        told["openrouter.budget.forecast"], openrouter_budget_name="all", openrouter_forecast_window="1d"
    )


def test_every_row_of_the_catalogue_is_told(scene):
    scene.write_ledger(scene.write_past())
    scene.account.change_key(FERRIES.key, expires_at_s=scene.now_s + DAY_S)
    exporter = scene.exporter(WHOLE, api_key=FERRIES.key, has_ledger=True)
    scene.told(exporter)
    scene.server.account_fails("/credits", 500)
    scene.now_s += 61

    told = scene.told(exporter)

    assert set(told) == EXPORTER_ROWS


def test_every_sum_is_the_books(scene):
    scene.write_past()
    told = scene.told(scene.exporter())

    lifetime = scene.server.book.lifetime()
    assert scene.where(told["openrouter.account.credits.used"]) == [scene.account.used()]
    for company in COMPANIES:
        tally = lifetime[fingerprint(company.key)]
        usage = told["openrouter.key.usage_lifetime"]
        assert scene.where(usage, openrouter_key_name=company.name, openrouter_cost_ledger="openrouter") == [
            tally.charged
        ]
        assert scene.where(usage, openrouter_key_name=company.name, openrouter_cost_ledger="upstream") == [tally.byok]
    activity = told["openrouter.activity.cost"]
    assert sum(scene.where(activity, openrouter_cost_ledger="openrouter")) == closed(scene, lambda entry: entry.charged)
    byok = closed(scene, lambda entry: entry.upstream if entry.is_byok else Decimal(0))
    assert sum(scene.where(activity, openrouter_cost_ledger="upstream")) == byok
    assert sum(told["openrouter.activity.requests"].values()) == closed(scene, lambda _: 1)


def test_a_key_carries_its_owner_its_hash_and_where_it_is_proven_its_fingerprint(scene):
    scene.write_past()

    told = scene.told(scene.exporter(WHOLE, api_key=FERRIES.key))

    (attributes,) = (dict(key) for key in told["openrouter.key.limit"] if ("openrouter.key.name", FERRIES.name) in key)
    hash_ = scene.account.known(fingerprint(FERRIES.key)).hash
    assert attributes == {
        "openrouter.key.name": FERRIES.name,
        "openrouter.key.hash": hash_[:16],
        "openrouter.key.id": fingerprint(FERRIES.key),
        "openrouter.tag.company": "north",
        "openrouter.tag.team": "ferries",
    }
    assert scene.where(told["openrouter.key.unassigned"]) == [
        len(scene.account.keys) - 2
    ]  # ours, and the management key


def test_a_row_with_a_fingerprint_alone_owns_its_key_once_another_key_proves_what_hashes_are(scene):
    scene.write_past()
    rule = f'fingerprint = "{fingerprint(FERRIES.key)}"'

    told = scene.told(scene.exporter(WHOLE.replace('name = "north-ferries"', rule), api_key=COMPANIES[1].key))

    limits = told["openrouter.key.limit"]
    assert scene.where(limits, openrouter_key_name=FERRIES.name) == scene.where(limits, openrouter_tag_company="north")


def test_an_inference_key_tells_itself_alone(scene):
    scene.write_past()
    exporter = scene.exporter(api_key=FERRIES.key, management_key=None)

    told = scene.told(exporter)

    mark = fingerprint(FERRIES.key)
    spent = scene.account.spent(scene.account.known(mark))
    usage = told["openrouter.key.usage_monthly"]
    assert scene.where(usage, openrouter_cost_ledger="openrouter") == [spent.periods["monthly"].charged]
    assert {dict(key)["openrouter.key.name"] for key in usage} == {mark}
    assert not told.keys() & {
        "openrouter.account.credits.used",
        "openrouter.activity.cost",
        "openrouter.key.unassigned",
    }
    assert "or_otel.exporter.poll.errors" not in told
    assert exporter.news(scene.now_s).credits is None
    assert exporter.health(scene.now_s).is_ok


def test_an_inference_key_does_not_pass_itself_off_as_a_company(scene):
    scene.write_past()
    toml = f"""
    [[keys]]
    fingerprint = "{fingerprint(FERRIES.key)}"
    company = "north"
    [[budgets]]
    name = "north"
    scope = "company"
    value = "north"
    limit_usd = 10
    [[budgets]]
    name = "mine"
    scope = "key"
    value = "{fingerprint(FERRIES.key)}"
    limit_usd = 10
    """

    told = scene.told(scene.exporter(toml, api_key=FERRIES.key, management_key=None))

    assert {dict(key)["openrouter.budget.name"] for key in told["openrouter.budget.spent"]} == {"mine"}
    assert {dict(key)["openrouter.budget.name"] for key in told["openrouter.budget.limit"]} == {"north", "mine"}
    assert {dict(key)["openrouter.tag.company"] for key in told["openrouter.key.usage_daily"]} == {"north"}


def test_before_the_account_answered_budgets_have_a_limit_and_nothing_spent(scene):
    scene.server.account_fails("/key", 500)

    told = scene.told(scene.exporter(WHOLE, api_key=SUPPORT_KEY, management_key=None))

    assert len(told["openrouter.budget.limit"]) == 3
    assert "openrouter.budget.spent" not in told


def test_budgets_are_told_with_the_accounts_own_sums(scene):
    scene.write_past()

    told = scene.told(scene.exporter(WHOLE))

    months = [scene.account.spent(key).periods["monthly"] for key in scene.account.keys]
    spent = sum((month.charged + month.byok for month in months), Decimal(0))
    assert scene.where(told["openrouter.budget.spent"], openrouter_budget_name="all") == [spent]
    (forecast,) = scene.where(
        told["openrouter.budget.forecast"], openrouter_budget_name="all", openrouter_forecast_window="7d"
    )
    assert forecast > spent
    assert scene.where(told["openrouter.budget.threshold.ratio"], openrouter_budget_name="all") == [Decimal("0.8")]


@pytest.mark.parametrize("keys", [{}, {"api_key": FERRIES.key, "management_key": None}])
def test_a_budget_of_a_tag_is_told_from_the_ledger_whatever_key_asks(scene, keys):
    history = scene.write_past()
    scene.write_ledger(history)

    told = scene.told(scene.exporter(WHOLE.replace('"day"', '"lifetime"'), has_ledger=True, **keys))

    ours = [entry for entry in entries_of_history(history) if entry.tags["feature"] == "agent"]
    expected = sum((entry.total or Decimal(0) for entry in ours), Decimal(0))
    assert scene.where(told["openrouter.budget.spent"], openrouter_budget_name="agents") == [expected]


def test_a_deleted_key_still_counts_in_its_period(scene):
    scene.write_past()
    exporter = scene.exporter(WHOLE)
    scene.told(exporter)
    scene.spend(FERRIES.key)
    scene.now_s += 61
    before = scene.where(scene.told(exporter)["openrouter.budget.spent"], openrouter_budget_name="all")
    scene.account.delete_key(FERRIES.key)
    scene.now_s += 61

    told = scene.told(exporter)
    restarted = scene.told(scene.exporter(WHOLE))

    assert scene.where(told["openrouter.key.disabled"], openrouter_key_name=FERRIES.name) == []
    assert scene.where(told["openrouter.budget.spent"], openrouter_budget_name="all") == before
    assert scene.where(restarted["openrouter.budget.spent"], openrouter_budget_name="all") == before


def test_the_money_of_a_deleted_key_stays_in_the_budget_of_whom_its_fingerprint_names(scene):
    rule = f'fingerprint = "{fingerprint(FERRIES.key)}"'
    toml = WHOLE.replace('name = "north-ferries"', rule).replace('"week"', '"month"')
    scene.write_past()
    exporter = scene.exporter(toml, api_key=FERRIES.key)
    before = scene.where(scene.told(exporter)["openrouter.budget.spent"], openrouter_budget_name="north")
    scene.account.delete_key(FERRIES.key)
    scene.now_s += 61

    told = scene.told(exporter)
    restarted = scene.told(scene.exporter(toml, api_key=FERRIES.key))

    assert before[0] > 0
    assert scene.where(told["openrouter.budget.spent"], openrouter_budget_name="north") == before
    assert scene.where(restarted["openrouter.budget.spent"], openrouter_budget_name="north") == before


def test_a_failing_endpoint_leaves_the_others_and_its_own_last_value(scene):
    scene.write_past()
    exporter = scene.exporter()
    scene.told(exporter)
    used = scene.account.used()
    scene.server.account_fails("/credits", 503)
    scene.server.account_fails("/keys", body="<html>the edge is tired</html>")
    scene.now_s += 61
    asked = len(scene.asked("/activity")), len(scene.asked("/key"))

    told = scene.told(exporter)

    assert told["or_otel.exporter.poll.errors"] == {
        (("error.type", "503"), ("or_otel.endpoint", "credits")): 1,
        (("error.type", "unreadable"), ("or_otel.endpoint", "keys")): 1,
    }
    assert scene.where(told["openrouter.account.credits.used"]) == [used]
    assert scene.where(told["openrouter.key.usage_lifetime"], openrouter_key_name=FERRIES.name)
    assert (len(scene.asked("/activity")), len(scene.asked("/key"))) == (asked[0], asked[1] + 1)
    assert exporter.health(scene.now_s).is_ok


def test_a_row_of_a_closed_day_that_cannot_be_read_any_more_keeps_its_money(scene, caplog):
    scene.write_past()
    exporter = scene.exporter()
    before = scene.where(scene.told(exporter)["openrouter.activity.cost"], openrouter_day=1)
    answer = httpx.get(
        f"{scene.server.base_url}/activity", headers={"authorization": f"Bearer {MANAGEMENT_KEY}"}
    ).json()
    yesterday = max(row["date"] for row in answer["data"])
    spoiled = next(row for row in answer["data"] if row["date"] == yesterday and row["usage"])
    spoiled["usage"] = "quite a lot"
    scene.server.account_fails("/activity", body=answer)
    asked = len(scene.asked("/activity"))
    scene.now_s += 7200

    told = scene.told(exporter)

    assert len(scene.asked("/activity")) > asked
    assert sorted(scene.where(told["openrouter.activity.cost"], openrouter_day=1)) == sorted(before)
    assert "rows of /activity could not be read" in caplog.text


@pytest.mark.parametrize("keys", [{}, {"api_key": SUPPORT_KEY, "management_key": None}])
def test_a_change_of_the_list_of_models_is_kept_for_reports(scene, keys):
    exporter = scene.exporter(**keys)
    scene.told(exporter)
    scene.now_s += 3601
    models = [{"id": "acme/new", "pricing": {"prompt": "0.000001", "completion": "0.000002"}}]
    scene.server.account_fails("/models", body={"data": models})

    scene.told(exporter)

    with open_ledger(scene.folder / DATABASE) as ledger:
        before, after = (read_models(ledger, at_s) for at_s in (scene.now_s - 1, scene.now_s))
    assert "acme/new" not in {model.id for model in before}
    assert [model.id for model in after] == ["acme/new"]


def test_who_is_told_to_wait_waits(scene):
    scene.server.account_fails("/credits", 429, times=1, retry_after_s=600)
    exporter = scene.exporter()
    scene.told(exporter)

    scene.now_s += 599
    scene.told(exporter)
    assert len(scene.asked("/credits")) == 1

    scene.now_s += 1
    assert "openrouter.account.credits.used" in scene.told(exporter)


def test_a_revoked_key_is_told_at_once(scene):
    exporter = scene.exporter()
    scene.told(exporter)
    scene.account.reject(MANAGEMENT_KEY)
    scene.now_s += 61

    told = scene.told(exporter)

    health = exporter.health(scene.now_s)
    assert not health.is_ok
    assert health.endpoints["credits"].state == "failing"
    assert scene.where(told["or_otel.exporter.poll.errors"], or_otel_endpoint="keys", error_type="401") == [1]
    assert MANAGEMENT_KEY not in str(health)


def test_a_day_grows_older_without_a_poll(scene):
    scene.write_past()
    exporter = scene.exporter()
    before = scene.where(scene.told(exporter)["openrouter.activity.cost"], openrouter_day=1)

    scene.now_s += DAY_S
    after = scene.read(exporter)["openrouter.activity.cost"]

    assert before
    assert scene.where(after, openrouter_day=2) == before
    assert scene.where(after, openrouter_day=1) == []


def test_closed_days_and_rates_outlive_a_restart(scene):
    scene.write_past()
    scene.now_s += 3 * DAY_S  # nothing was spent since
    scene.told(scene.exporter(WHOLE, has_ledger=True))
    scene.server.account_fails("/activity", 500)

    told = scene.told(scene.exporter(WHOLE, has_ledger=True))

    activity = scene.where(told["openrouter.activity.cost"], openrouter_cost_ledger="openrouter")
    assert sum(activity) == closed(scene, lambda entry: entry.charged)
    assert forecast_of_a_day(scene, told) == scene.where(told["openrouter.budget.spent"], openrouter_budget_name="all")


def test_without_a_folder_everything_is_told_from_memory(scene):
    scene.write_past()

    told = scene.told(scene.exporter(WHOLE, folder=None))

    activity = scene.where(told["openrouter.activity.cost"], openrouter_cost_ledger="openrouter")
    assert sum(activity) == closed(scene, lambda entry: entry.charged)
    assert not scene.folder.exists()


def test_without_kept_days_a_forecast_is_made_of_what_rounds_saw(scene):
    scene.write_past()
    exporter = scene.exporter(WHOLE, folder=None)
    scene.told(exporter)
    scene.now_s += 2 * DAY_S  # nothing was spent since

    told = scene.told(exporter)

    assert forecast_of_a_day(scene, told) == scene.where(told["openrouter.budget.spent"], openrouter_budget_name="all")


def test_a_file_that_cannot_be_used_is_said_once_and_costs_no_metric(scene, caplog):
    scene.write_past()
    scene.folder.write_text("not a folder")
    exporter = scene.exporter(WHOLE, has_ledger=True)

    scene.told(exporter)
    scene.now_s += 61
    told = scene.told(exporter)

    assert scene.where(told["openrouter.key.usage_lifetime"], openrouter_key_name=FERRIES.name)
    assert sum(scene.where(told["openrouter.activity.requests"])) == closed(scene, lambda _: 1)
    assert len([each for each in caplog.records if "goes on without" in each.message]) == 1


def test_a_management_key_alone_is_no_key_of_the_account(scene):
    scene.write_past()

    told = scene.told(scene.exporter())

    names = {dict(key)["openrouter.key.name"] for key in told["openrouter.key.usage_daily"]}
    assert names == {key.name for key in scene.account.keys if not key.is_management}
    assert "openrouter.key.free_requests_used" not in told


def test_free_requests_are_those_of_the_asking_key(scene):
    told = scene.told(scene.exporter(api_key=SUPPORT_KEY))

    assert scene.where(told["openrouter.key.free_requests_limit"], openrouter_key_name="support") == [1000]


@pytest.mark.parametrize(
    ("toml", "has_ledger", "is_compared"),
    [("", True, True), ("", False, False), ("[exporter]\nreconcile = false", True, False)],
)
def test_keys_are_asked_for_their_closed_days_only_where_they_are_compared(scene, toml, has_ledger, is_compared):
    scene.write_ledger(scene.write_past())

    told = scene.told(scene.exporter(toml, has_ledger=has_ledger))

    assert any("api_key_hash" in each.path for each in scene.asked("/activity")) == is_compared
    assert ("openrouter.reconciliation.client_cost" in told) == is_compared
    assert ("openrouter.ledger.cost" in told) == has_ledger


def test_after_a_round_it_waits_for_the_next_question_but_neither_too_short_nor_too_long(scene):
    exporter, stop, waited, lasts_s = scene.exporter(), threading.Event(), [], [0, 45, 100]
    stop.wait = waited.append

    def after(known):
        assert known is exporter.known
        scene.now_s += lasts_s.pop(0)
        if not lasts_s:
            stop.set()

    exporter.run(stop, now=lambda: scene.now_s, after=after)

    assert waited == [LONGEST_WAIT_S, 15, SHORTEST_WAIT_S]
