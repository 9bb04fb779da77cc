from __future__ import annotations

from decimal import Decimal

from or_otel.accounts import Spend
from or_otel.budgets import Budget, Spending
from or_otel.reports.limits import Budgets


def budget(name="month", **fields):
    return Budget(**{"name": name, "limit_usd": Decimal(100), "pace_alarm": Decimal(1000)} | fields)


def test_the_account_s_own_figures_win_over_the_ledger_s(frame, call, noon_s, sections_of, rows_of):
    account = Spending(at_s=noon_s - 5, labels={"key": "prod"}, spend=Spend(monthly_usd=Decimal(90)))

    section = sections_of(Budgets(frame(budgets=(budget(),), account_spendings=(account,))), [call("1")])["budgets"]

    (row,) = rows_of(section)
    assert (row["spent_usd"], row["state"], section.table.floors, section.notes) == (
        Decimal(90),
        "warn",
        frozenset(),
        (),
    )
    assert section.lead == "month: $90.00 of $100.00 (90%), watch."
    assert section.is_alarm


def test_without_them_the_ledger_stands_in_and_says_so(frame, call, sections_of, rows_of):
    calls = [call("500", days_ago=22), call("30", days_ago=2), call("5", upstream=Decimal(6), is_byok=True)]

    section = sections_of(Budgets(frame(budgets=(budget(),))), calls)["budgets"]

    (row,) = rows_of(section)
    assert (row["spent_usd"], row["used_share"], row["state"]) == (Decimal(41), 0.41, "ok")
    assert section.table.floors == {0}
    assert "Spent as this ledger saw it" in section.notes[0]
    assert not section.is_alarm


def test_budgets_of_tags_are_the_clients_own(frame, call, sections_of, rows_of):
    limits = (
        budget("chat", scope="feature", value="chat", period="day", limit_usd=Decimal(1)),
        budget("all customers", scope="customer", period="week"),
    )
    calls = [
        call("9", days_ago=1, tags={"feature": "chat", "customer": "b"}),
        call("2", tags={"feature": "chat", "customer": "a"}),
        call("4", tags={"feature": "mail"}),
    ]

    rows = {row["budget"]: row for row in rows_of(sections_of(Budgets(frame(budgets=limits)), calls)["budgets"])}

    assert (rows["chat"]["spent_usd"], rows["chat"]["state"]) == (Decimal(2), "over")
    assert rows["all customers"]["spent_usd"] == Decimal(11)


def test_the_worst_budget_comes_first(frame, call, sections_of, rows_of):
    amounts = {"calmest": "200", "calm": "100", "spent": "1", "close": "2.4"}
    limits = tuple(budget(name, limit_usd=Decimal(amount)) for name, amount in amounts.items())

    section = sections_of(Budgets(frame(budgets=limits)), [call("2")])["budgets"]

    assert [row["budget"] for row in rows_of(section)] == ["spent", "close", "calm", "calmest"]
    assert section.lead == "spent: ≥ $2.00 of $1.00 (200%), over. close: ≥ $2.00 of $2.40 (83%), watch."
    assert section.is_alarm


def test_a_key_s_budget_counts_the_calls_of_that_key(frame, call, sections_of, rows_of):
    limits = (budget("prod", scope="key", value="prod"), budget("ads", scope="team", value="ads"))
    owned = frame(budgets=limits, labels_of_key=lambda key_id: {"team": "ads"} if key_id == "k2" else {})
    calls = [call("2", key_id="k1", key_name="prod"), call("3", key_id="k2", key_name="laptop")]

    rows = {row["budget"]: row["spent_usd"] for row in rows_of(sections_of(Budgets(owned), calls)["budgets"])}

    assert rows == {"prod": Decimal(2), "ads": Decimal(3)}


def test_an_idle_week_lowers_the_forecast_s_rate(frame, call, sections_of, rows_of):
    busy_then_idle = [call("70", days_ago=20), call("0.7", days_ago=1)]

    (row,) = rows_of(sections_of(Budgets(frame(budgets=(budget(),))), busy_then_idle)["budgets"])

    assert Decimal("71.6") < row["forecast_usd"] < Decimal("71.7")


def test_no_budgets_no_section(frame, call, sections_of):
    assert sections_of(Budgets(frame()), [call("1")]) == {}
