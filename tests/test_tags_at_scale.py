"""Ten thousand customers: the ledger keeps each one's month exact, metrics keep their limits and say so."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from decimal import Decimal

from click.testing import CliRunner

from or_otel.calls import Attempt, CallRecord, CallStarted
from or_otel.cli import main
from or_otel.emitters.metrics import Metrics
from or_otel.emitters.sums import DEFAULT_LIMIT, MAX_SETS
from or_otel.entries import entries_of, to_line
from or_otel.facts import Cost, Endpoint, Request
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import attribution, totals

CUSTOMERS = 10_000
ENDPOINT = Endpoint(
    api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
)


def call_of(number, at_s=1_000.0):
    """Give a call of its own price for one customer after the other."""
    cost = Cost(charged=Decimal(number * 7919 % 1_000_003) / 10**9, is_byok=False)
    attempt = Attempt(id=f"{number:032x}", number=1, started_at_s=at_s, ended_at_s=at_s + 1, status=200, cost=cost)
    customer = f"customer-{number % CUSTOMERS}"
    return CallRecord(
        started=CallStarted(
            id=f"{number:032x}",
            endpoint=ENDPOINT,
            request=Request(model="openai/gpt-5-mini"),
            started_at_s=at_s,
            tags={"customer": customer, "team": "search"},
        ),
        ended_at_s=at_s + 1,
        outcome="ok",
        attempts=(attempt,),
        status=200,
        cost=cost,
    )


def test_the_ledger_keeps_the_month_of_each_of_ten_thousand_customers_exact(tmp_path):
    expected = defaultdict(Decimal)
    with (tmp_path / "host-1-1.jsonl").open("wb") as journal:
        for record in map(call_of, range(CUSTOMERS + 500)):
            expected[record.tags["customer"]] += record.cost.total
            journal.writelines(map(to_line, entries_of(record)))
    import_journals(tmp_path)

    with open_ledger(tmp_path / DATABASE) as ledger:
        found = {row.group[0]: row.sums.total for row in totals(ledger, by=["customer"], since_s=0, until_s=2_678_400)}

    assert len(found) == CUSTOMERS
    assert found == expected


def test_metrics_keep_their_limits_lose_no_money_and_show_the_overflow(telemetry):
    emitter = Metrics(telemetry.meter_provider, version="1", metric_tags=("team", "customer"))
    spent = Decimal(0)
    for number in range(CUSTOMERS):
        record = call_of(number)
        spent += record.cost.total
        emitter.begin(record.started).end(record, None)

    costs = telemetry.points("openrouter.client.cost")
    customers = {dict(key).get("openrouter.tag.customer") for key in costs}
    folded = sum(telemetry.points("or_otel.telemetry.folded").values())

    assert abs(sum(costs.values()) - float(spent)) < 1e-9
    assert len(costs) <= MAX_SETS
    assert len(customers) == DEFAULT_LIMIT + 1
    assert "_OTHER" in customers
    assert folded >= CUSTOMERS - DEFAULT_LIMIT


def test_spend_that_nobody_can_be_asked_about_is_measured(tmp_path, entry):
    lines = [entry("0.6", tags={"team": "search"}), entry("0.3"), entry("0.1", tags={"plan": "pro"})]
    (tmp_path / "host-1-1.jsonl").write_bytes(b"".join(map(to_line, lines)))
    import_journals(tmp_path)

    with open_ledger(tmp_path / DATABASE) as ledger:
        found = attribution(ledger)
        nothing = attribution(ledger, since_s=9_999_999.0)

    assert (found.unattributed.calls, found.unattributed.total) == (2, Decimal("0.4"))
    assert found.unattributed_share == Decimal("0.4")
    assert nothing.unattributed_share is None


def test_a_report_says_none_to_people_and_nothing_to_programs(tmp_path, entry):
    now_s = time.time() - 60
    lines = [entry("0.6", tags={"team": "search"}, call_started_at_s=now_s), entry("0.3", call_started_at_s=now_s)]
    (tmp_path / "host-1-1.jsonl").write_bytes(b"".join(map(to_line, lines)))

    def ask(*form):
        return CliRunner().invoke(main, ["report", "--by", "team", *form, "--ledger", str(tmp_path)]).stdout

    assert [line.split()[0] for line in ask().splitlines() if "$" in line][:2] == ["search", "(none)"]
    assert [row["team"] for row in json.loads(ask("--json"))["rows"]] == ["search", None]
    assert [line.split(",")[0] for line in ask("--csv").splitlines()] == ["team", "search", ""]
