"""The local ledger on the exporter's metrics: exact, never falling, and held against the account."""

from __future__ import annotations

from decimal import Decimal

from or_otel.days import DAY_S
from or_otel.entries import add_up
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.retention import KEEP_DAYS, keep_within
from or_otel.simulator.history import CLEAN, COMPANIES, Faults, entries_of_history

FERRIES = COMPANIES[0]

NAMED = "".join(
    f'[[keys]]\nhash = "{{{each.name}}}"\nfingerprint = "{{{each.name}_mark}}"\ncompany = "{each.name}"\n'
    for each in COMPANIES
)


def matched(scene):
    """Give settings that name every key's hash and fingerprint."""
    text = NAMED
    for company in COMPANIES:
        (key,) = (each for each in scene.account.keys if each.name == company.name)
        text = text.replace(f"{{{company.name}}}", key.hash).replace(f"{{{company.name}_mark}}", key.fingerprint)
    return text


def ledger_sums(told):
    return (
        sum(told["openrouter.ledger.cost"].values()),
        sum(told["openrouter.ledger.calls"].values()),
        sum(told["openrouter.ledger.tokens"].values()),
    )


def test_the_sums_are_those_of_the_entries(scene):
    history = scene.write_past()
    scene.write_ledger(history)

    told = scene.told(scene.exporter(has_ledger=True))

    sums = add_up(entries_of_history(history))
    assert ledger_sums(told) == (sums.total, sums.calls, sums.input_tokens + sums.output_tokens)
    assert sum(scene.where(told["openrouter.ledger.cost"], openrouter_cost_ledger="upstream")) == sums.upstream
    assert (
        sum(scene.where(told["openrouter.ledger.cost"], openrouter_key_name=FERRIES.name))
        == add_up(entry for entry in entries_of_history(history) if entry.key_name == FERRIES.name).total
    )


def test_no_sum_falls_by_pruning_or_by_a_restart(scene):
    scene.write_ledger(scene.write_past())
    exporter = scene.exporter(has_ledger=True)
    before = scene.told(exporter)

    scene.now_s += (KEEP_DAYS - 3) * DAY_S
    pruned = scene.told(exporter)
    restarted = scene.told(scene.exporter(has_ledger=True))

    with open_ledger(scene.folder / DATABASE) as ledger:
        left = ledger.execute("SELECT count(*) FROM attempts").fetchone()[0]
    assert 0 < left < sum(before["openrouter.ledger.calls"].values())
    for name in ("openrouter.ledger.cost", "openrouter.ledger.calls", "openrouter.ledger.tokens"):
        assert pruned[name] == restarted[name] == before[name]


def test_nor_by_a_ledger_that_grew_too_large(scene):
    scene.write_ledger(scene.write_past())
    exporter = scene.exporter(has_ledger=True)
    before = scene.told(exporter)
    with open_ledger(scene.folder / DATABASE) as ledger:
        assert keep_within(ledger, now_s=scene.now_s, max_bytes=0)

    after = scene.told(exporter)

    assert after["openrouter.ledger.cost"] == before["openrouter.ledger.cost"]
    assert after["openrouter.ledger.calls"] == before["openrouter.ledger.calls"]


def test_new_calls_are_told_at_the_next_round(scene, entry):
    exporter = scene.exporter(has_ledger=True)
    scene.write_journal([entry("0.1", call_started_at_s=scene.now_s)])
    scene.told(exporter)
    scene.write_journal([entry("0.2", call_started_at_s=scene.now_s)])

    told = scene.told(exporter)

    assert sum(told["openrouter.ledger.cost"].values()) == Decimal("0.3")


def test_only_tags_let_onto_metrics_tell_sums_apart_beside_all_else_that_is_known(scene, entry):
    known = {
        "service_name": "shop",
        "environment": "production",
        "operation": "chat",
        "server": "openrouter",
        "request_model": "acme/one",
        "response_model": "acme/one-2",
        "served_provider": "Azure",
        "key_id": "0123456789ab",
        "key_name": "prod",
        "app_name": "Shop",
    }
    scene.write_journal(
        [entry("1", tags={"team": "a", "customer": name}, call_started_at_s=scene.now_s, **known) for name in "xy"]
    )

    # A budget needs the tag, and still does not let it onto metrics.
    budget = '[[budgets]]\nname = "x"\nscope = "customer"\nvalue = "x"\nlimit_usd = 5'
    told = scene.told(scene.exporter(budget, has_ledger=True, metric_tags=["team"]))

    ((attributes, cost),) = told["openrouter.ledger.cost"].items()
    assert dict(attributes) == {
        "service.name": "shop",
        "deployment.environment.name": "production",
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openrouter",
        "gen_ai.request.model": "acme/one",
        "gen_ai.response.model": "acme/one-2",
        "openrouter.provider.name": "Azure",
        "openrouter.key.id": "0123456789ab",
        "openrouter.key.name": "prod",
        "openrouter.app.name": "Shop",
        "openrouter.cost.ledger": "openrouter",
        "openrouter.tag.team": "a",
    }
    assert cost == 2


def test_both_sides_of_a_closed_day_agree_for_each_key(scene):
    scene.write_ledger(scene.write_past(shares=CLEAN))

    told = scene.told(scene.exporter(matched(scene), has_ledger=True))

    client, provider = told["openrouter.reconciliation.client_cost"], told["openrouter.reconciliation.provider_cost"]
    assert client == provider
    assert {dict(key)["openrouter.key.name"] for key in client} == {company.name for company in COMPANIES}
    assert {dict(key)["openrouter.day"] for key in client} == set(range(1, 8))
    assert set(told["openrouter.reconciliation.capture.ratio"].values()) == {1.0}


def test_a_lost_export_is_a_gap_of_its_key(scene):
    history = scene.write_past(shares=CLEAN, faults=Faults(lost_export=60))
    scene.write_ledger(history)

    told = scene.told(scene.exporter(matched(scene), has_ledger=True))

    client = sum(told["openrouter.reconciliation.client_cost"].values())
    provider = sum(told["openrouter.reconciliation.provider_cost"].values())
    lost = set(history.faults["lost_export"])
    first = scene.now_s // DAY_S - 7
    gone = sum(
        entry.spend
        for entry in history.generations
        if entry.id in lost and first <= entry.created_at_s // DAY_S < scene.now_s // DAY_S
    )
    assert provider - client == gone > 0


def test_what_cannot_be_matched_is_one_row_and_days_still_add_up(scene):
    history = scene.write_past(shares=CLEAN)
    scene.write_ledger(history)

    told = scene.told(scene.exporter(has_ledger=True))

    client, provider = told["openrouter.reconciliation.client_cost"], told["openrouter.reconciliation.provider_cost"]
    assert client == provider
    assert {dict(key)["openrouter.key.name"] for key in client} == {"_OTHER"}
    billed = sum(scene.where(told["openrouter.activity.cost"], openrouter_day=1))
    assert scene.where(provider, openrouter_day=1) == [billed]


def test_days_before_the_ledger_began_are_no_gap(scene):
    history = scene.write_past(shares=CLEAN)
    began_s = scene.now_s - 3.5 * DAY_S
    scene.write_journal(entry for entry in entries_of_history(history) if entry.started_at_s > began_s)

    told = scene.told(scene.exporter(has_ledger=True))

    days = {dict(key)["openrouter.day"] for key in told["openrouter.reconciliation.client_cost"]}
    assert days == {1, 2}
    assert set(told["openrouter.reconciliation.capture.ratio"].values()) == {1.0}
