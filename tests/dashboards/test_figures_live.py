"""What boards show after five weeks of traffic, held against the server's book and the programs' own counts."""

from __future__ import annotations

import json
import math
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

import pytest
from live.account import CONFIG
from live.grafana import BOARDS, answers, begin_of, chosen, panels
from live.weeks import EDGE, LANES, RARE, TROUBLED, month_before

from or_otel import catalogue
from or_otel.catalogue import prometheus_name
from or_otel.config import read_config
from or_otel.dashboards.rules import COST_5M

pytestmark = pytest.mark.timeout(2400)  # the weeks are lived through in the first test that asks


class Shown(NamedTuple):
    """What a reader looks at.

    Attributes:
        uid: The board.
        title: The panel.
        column: Of a table.
        picked: Variable → value, in pairs.
    """

    uid: str
    title: str
    column: str | None = None
    picked: tuple[tuple[str, str], ...] = ()


def shown(weeks, place):
    """Give the sum of what a panel, or a column of a table, shows; of a graph over its range."""
    board = BOARDS[place.uid]
    (panel,) = [panel for panel in panels(board) if panel["title"] == place.title]
    target = panel["targets"][0]
    if place.column:
        heads = next(step["options"]["renameByName"] for step in panel["transformations"] if step["id"] == "organize")
        (ref,) = [value[-1] for value, head in heads.items() if head == place.column and "#" in value]
        (target,) = [each for each in panel["targets"] if each["refId"] == ref]
    found = answers(weeks, board, target, chosen(weeks, board, **dict(place.picked))[0])
    return sum(sum(samples) for _, samples in found) if found else None


def spend_of(entries):
    """Add up what entries of the book cost their owner."""
    return sum((entry.spend for entry in entries), Decimal(0))


def spent_since(weeks, since_s):
    """Give what everything cost after a time, by whichever pipeline."""
    told = weeks.account.ours(since_s)
    return spend_of(weeks.bills(since_s)) + sum((each.charged or 0) + (each.upstream_bill or 0) for each in told)


def month_begin(at_s):
    """Give when the month of a time began."""
    return datetime.fromtimestamp(at_s, UTC).replace(day=1, hour=0, minute=0, second=0).timestamp()


class Truth:
    """What a board of a range should show, from the server's book and from the programs' own counts."""

    def __init__(self, weeks, uid):
        since_s = begin_of(BOARDS[uid], weeks.now_s)
        self.bills = weeks.bills(since_s)
        # Spans do not tell who bills.
        self.told_bills = weeks.bills(since_s, *LANES)
        self.ledger = weeks.account.ours(since_s)
        self.counts = weeks.count(since_s)
        self.account = weeks.account
        # Every line of its ledger is lost, each attempt being one.
        self.trouble = weeks.count(since_s, TROUBLED)
        self.dropped = self.trouble["attempts"]
        self.processes = weeks.processes(since_s)
        self.refusals = weeks.account.refusals(since_s)
        self.rare_bills, self.edge_bills = weeks.bills(since_s, RARE), weeks.bills(since_s, EDGE)
        self.rare_calls = weeks.count(since_s, RARE)["calls"]
        then_s = month_before(weeks.now_s)
        self.pilotage = spend_of(weeks.bills(month_begin(weeks.now_s), RARE))
        self.month = spent_since(weeks, month_begin(weeks.now_s))
        self.month_before = spent_since(weeks, month_begin(then_s)) - spent_since(weeks, then_s)
        self.limits = sum(budget.limit_usd for budget in read_config(CONFIG, {}).budgets)

    @property
    def spent(self):
        """Everything, by whichever pipeline."""
        return spend_of(self.bills) + self.of_ledger

    @property
    def of_ledger(self):
        """What only the local ledger tells."""
        return self.credits_of_ledger + self.byok_of_ledger

    @property
    def saved(self):
        """What caches made cheaper, by OpenRouter's own reckoning."""
        return sum((entry.cache_discount or 0 for entry in self.bills), Decimal(0))

    @property
    def credits_of_ledger(self):
        return sum((entry.charged or 0 for entry in self.ledger), Decimal(0))

    @property
    def byok_of_ledger(self):
        return sum((entry.upstream_bill or 0 for entry in self.ledger), Decimal(0))

    @property
    def charged(self):
        return sum((entry.charged for entry in self.told_bills), Decimal(0)) + self.credits_of_ledger

    @property
    def upstream(self):
        return sum((entry.spend - entry.charged for entry in self.told_bills), Decimal(0)) + self.byok_of_ledger

    def share(self, part, whole):
        return Decimal(self.counts[part]) / self.counts[whole]

    def used(self, period, *names):
        """Give what keys, or all of them, used."""
        spent = [self.account.keys[name][1] for name in names or self.account.keys]
        tallies = [each.periods[period] if period else each.lifetime for each in spent]
        return sum((tally.charged + tally.byok for tally in tallies), Decimal(0))


def budget(name):
    """Pick a budget."""
    return (("budget", name),)


TRUTHS = {
    Shown("or-otel-overview", "Spent in this range"): lambda truth: truth.spent,
    Shown("or-otel-overview", "Models", "Cost"): lambda truth: truth.spent,
    Shown("or-otel-overview", "Calls"): lambda truth: truth.counts["calls"],
    Shown("or-otel-overview", "Unpriced calls"): lambda truth: truth.share("unpriced", "calls"),
    Shown("or-otel-overview", "Services that lose attribution"): lambda _: len({TROUBLED, EDGE}),
    Shown("or-otel-overview", "Spent in this range", None, (("service", RARE),)): (
        lambda truth: spend_of(truth.rare_bills)
    ),
    Shown("or-otel-overview", "Calls", None, (("service", RARE),)): lambda truth: truth.rare_calls,
    Shown("or-otel-models", "Price and speed", "Cost"): lambda truth: truth.spent,
    Shown("or-otel-models", "Price and speed", "Calls"): lambda truth: truth.counts["calls"],
    Shown("or-otel-routing", "Providers of each model", "Cost"): lambda truth: truth.spent,
    Shown("or-otel-routing", "Fell back"): lambda truth: truth.share("fell back", "calls"),
    Shown("or-otel-routing", "Client retries"): lambda truth: truth.counts["attempts"] - truth.counts["calls"],
    Shown("or-otel-reliability", "Failed"): lambda truth: truth.share("error calls", "calls"),
    Shown("or-otel-reliability", "Left early"): lambda truth: truth.share("cancelled calls", "calls"),
    Shown("or-otel-budgets", "Credits left"): lambda truth: truth.account.credits_left,
    Shown("or-otel-budgets", "All budgets", "Limit"): lambda truth: truth.limits,
    Shown("or-otel-budgets", "All budgets", "Spent", budget("everything")): lambda truth: truth.used("monthly"),
    Shown("or-otel-budgets", "All budgets", "Spent", budget("Pilot Office today")): (
        lambda truth: truth.used("daily", "pilot-office")
    ),
    Shown("or-otel-budgets", "All budgets", "Spent", budget("pilotage")): lambda truth: truth.pilotage,
    Shown("or-otel-budgets", "All budgets", "Used", budget("pilotage")): lambda truth: (
        truth.pilotage / Decimal("0.005")
    ),
    Shown("or-otel-budgets", "Fullest budget", None, budget("North Ferries this month")): (
        lambda truth: truth.used("monthly", "north-ferries") / 250
    ),
    Shown("or-otel-budgets", "Each key", "Month"): lambda truth: truth.used("monthly"),
    Shown("or-otel-attribution", "Spent in this range"): lambda truth: truth.spent,
    Shown("or-otel-attribution", "Spent this month"): lambda truth: truth.month,
    Shown("or-otel-attribution", "Month to date", "Month"): lambda truth: truth.month,
    Shown("or-otel-attribution", "Month to date", "Last month"): lambda truth: truth.month_before,
    Shown("or-otel-attribution", "Against last month"): lambda truth: truth.month / truth.month_before - 1,
    Shown("or-otel-attribution", "Companies", "Ever"): lambda truth: truth.used(None),
    Shown("or-otel-agents", "Runs"): lambda truth: truth.counts["runs"],
    Shown("or-otel-agents", "Finished"): lambda truth: truth.share("finished runs", "runs"),
    Shown("or-otel-agents", "Tool calls by model", "Calls"): lambda truth: truth.counts["tool calls"],
    Shown("or-otel-caching", "Answers replayed"): lambda truth: truth.share("replayed", "calls"),
    Shown("or-otel-caching", "Saved"): lambda truth: truth.saved,
    Shown("or-otel-byok", "Clients' counter"): lambda truth: spend_of(truth.bills),
    Shown("or-otel-byok", "Spans' counter"): lambda truth: spend_of(truth.edge_bills),
    Shown("or-otel-byok", "Local ledger"): lambda truth: spend_of(truth.told_bills) + truth.of_ledger,
    Shown("or-otel-byok", "From credits"): lambda truth: truth.charged,
    Shown("or-otel-byok", "To providers"): lambda truth: truth.upstream,
    Shown("or-otel-health", "Records dropped"): lambda truth: truth.dropped,
    Shown("or-otel-health", "Dropped"): lambda truth: truth.dropped,
    Shown("or-otel-health", "Own faults"): lambda truth: truth.trouble["faults"],
    Shown("or-otel-health", "Own faults by place"): lambda truth: truth.trouble["faults"],
    Shown("or-otel-health", "Folded"): lambda truth: truth.trouble["folded"],
    Shown("or-otel-health", "Overflowing", "Series"): lambda _: 1,
    Shown("or-otel-health", "Processes seen"): lambda truth: truth.processes,
    Shown("or-otel-health", "Endpoints", "Errors"): lambda truth: truth.refusals,
    Shown("or-otel-governance", "Rules broken"): lambda truth: truth.counts["violations"],
    Shown("or-otel-governance", "Who broke what", "Calls"): lambda truth: truth.counts["violations"],
}
"""Where → what must stand there."""


def test_panels_show_what_is_true(weeks):
    truths = {uid: Truth(weeks, uid) for uid in BOARDS}
    wrong, zeros = {}, set()
    for place, tell in TRUTHS.items():
        expected, found = float(tell(truths[place.uid])), shown(weeks, place)
        # Float sums of the exact figures: the counters are floats.
        if found is None or not math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12):
            wrong[place] = (found, expected)
        zeros |= set() if expected else {place}

    assert wrong == {}
    told = Counter(place.uid for place in TRUTHS if place not in zeros)
    assert {uid: told[uid] for uid in BOARDS if told[uid] < 2} == {}


@pytest.mark.parametrize("service", LANES)
def test_each_pipeline_tells_the_money_of_its_service_exactly(weeks, service):
    """By scrape, by push, by a process a day that tells its sum once, and with one call a day."""
    for days in (1, 30):
        expr = f"sum(sum_over_time({COST_5M.where(f'job={json.dumps(service)}')}[{days}d:5m]))"
        expected = spend_of(weeks.bills(weeks.now_s - days * 86_400, service))

        assert expected > 0
        assert service != RARE or weeks.count(weeks.now_s - days * 86_400, RARE)["calls"] == days
        assert weeks.prometheus.total(expr, weeks.now_s) == pytest.approx(float(expected), rel=1e-9)


def test_a_dollar_seen_by_two_pipelines_is_counted_once(weeks):
    expr = f"sum by (source) (sum_over_time({COST_5M.where(f'job={json.dumps(EDGE)}')}[1d:5m]))"
    told = {labels["source"]: value for labels, value in weeks.prometheus.ask(expr, weeks.now_s)}
    raw = f"sum(last_over_time({prometheus_name(catalogue.COST)}{{job={json.dumps(EDGE)}}}[1d]))"
    # A part of it stands in the SDK's overflow set, which keeps the money.
    expected = float(spend_of(weeks.bills(0, EDGE)))

    assert weeks.prometheus.total(raw, weeks.now_s) == pytest.approx(expected, rel=1e-9)
    assert told == {"spans": pytest.approx(expected, rel=1e-9)}


def test_the_collector_tells_what_it_could_not_take_or_deliver(weeks):
    found = {name: weeks.prometheus.total(name, weeks.now_s) for name in weeks.collector}
    spans = "otelcol_exporter_send_failed_spans"

    # The store refuses those of watched programs as well.
    assert found.pop(spans) >= weeks.collector[spans]
    assert found == {name: count for name, count in weeks.collector.items() if name != spans}
    assert min(found.values()) > 0
    assert shown(weeks, Shown("or-otel-health", "Collector: not delivered")) > 0
