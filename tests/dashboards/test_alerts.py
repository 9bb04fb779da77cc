"""Every alert fires when it should, stays silent when it should, and says something that helps."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from pasts import (
    BUDGETS,
    CALLS,
    DAY,
    ENDPOINT,
    FALLBACK,
    KEY,
    LATE,
    MODEL,
    PROVIDER,
    STATUS,
    balance,
    budget,
    calls,
    collector_queue,
    day_of,
    forecast,
    free,
    histogram,
    key,
    series,
)

from or_otel import catalogue, semconv
from or_otel.budgets import Budget
from or_otel.dashboards import rules
from or_otel.dashboards.promql import label, tag
from or_otel.dashboards.rulefiles import alerts, rule_files
from or_otel.dashboards.rules import Choices

ROOT = Path(__file__).parents[2]
ALERTS = {alert.name: alert for alert in alerts(Choices())}


@dataclass(frozen=True, kw_only=True)
class Case:
    """When an alert fires, and some pasts in which it does not; how many minutes it waits to be sure."""

    fires: dict[str, str]
    at: str = "80m"
    silent: tuple[dict[str, str], ...]
    groups: tuple[str, ...] = ()
    waits: int = 0
    labels: dict[str, str] = field(default_factory=dict)


WHOSE = {rules.BUDGET: "month", rules.SCOPE: "account"}
API = {"job": "api"}
MODEL_OF_API = {"job": "api", MODEL: "m"}
CASES = {
    "OrOtelBudgetHalfSpent": Case(
        fires=budget("50x500"), silent=(budget("49.9x500"), budget("50x500", limit=0)), groups=BUDGETS, labels=WHOSE
    ),
    "OrOtelBudgetMostlySpent": Case(fires=budget("80x500"), silent=(budget("79x500"),), groups=BUDGETS, labels=WHOSE),
    "OrOtelBudgetSpent": Case(fires=budget("101x500"), silent=(budget("99x500"),), groups=BUDGETS, labels=WHOSE),
    "OrOtelBudgetForecastOver": Case(
        waits=60,
        fires={**budget("30x500", **LATE), **forecast(120)},
        silent=(
            {**budget("30x500", **LATE), **forecast(99)},
            {**budget("30x500"), **forecast(120)},  # too early to say
            {**budget("100x500", **LATE), **forecast(120)},  # said by another alert
            {**budget("30x500", **LATE), **forecast(99), **forecast(500, "1d")},  # one dear day
        ),
        groups=BUDGETS,
        labels=WHOSE,
    ),
    "OrOtelBudgetPaceAhead": Case(
        waits=60,
        fires=budget("26x500", **LATE),
        silent=(budget("22x500", **LATE), budget("26x500")),
        groups=BUDGETS,
        labels=WHOSE,
    ),
    "OrOtelBudgetBurnFast": Case(
        # 3 USD an hour of 100 a month is 21 times the even pace.
        fires=budget("1+0.05x500", **LATE),
        silent=(
            budget("1+0.03x500", **LATE),  # 13 times
            budget("1+0.1x40 5x460", **LATE),  # it was, and is over
            budget("_x70 40x500", **LATE),  # an exporter that just started
            budget("90x75 40x500", **LATE),  # a refund
        ),
        groups=BUDGETS,
        labels=WHOSE,
    ),
    "OrOtelBudgetBurnSlow": Case(
        fires=budget("1+0.016x500", **LATE),
        at="400m",
        silent=(budget("1+0.012x500", **LATE), budget("1+0.03x300 10x200", **LATE)),
        groups=BUDGETS,
        labels=WHOSE,
    ),
    "OrOtelCreditsLow": Case(
        waits=30,
        # 60 USD in six hours: 240 a day.
        fires=balance("600-0.1666667x500", "0+0.1666667x500"),
        at="440m",
        silent=(balance("2000x500", "0+0.1666667x500"), balance("5x500", "10x500")),
        groups=BUDGETS,
    ),
    "OrOtelCreditsNearlyGone": Case(
        waits=5,
        fires=balance("200-0.1666667x500", "0+0.1666667x500"),
        at="440m",
        silent=(balance("600x500", "0+0.1666667x500"), balance("5x500", "10x500")),
        groups=BUDGETS,
    ),
    "OrOtelKeyNearLimit": Case(
        waits=5,
        fires=key("9x60"),
        at="30m",
        silent=(key("11x60"), key("0x60"), key("9x60", limit="0x60"), key("9x60", disabled="1x60")),
        labels=KEY,
    ),
    "OrOtelKeyExhausted": Case(
        fires=key("0x60"), at="30m", silent=(key("0.01x60"), key("0x60", disabled="1x60")), labels=KEY
    ),
    "OrOtelFreeQuotaNearlyUsed": Case(
        waits=5,
        fires=free("46x60"),
        at="30m",
        silent=(free("44x60"), {series(catalogue.KEY_FREE_REQUESTS_USED, **KEY): "46x60"}),
        labels=KEY,
    ),
    "OrOtelUnpricedCalls": Case(
        waits=30,
        fires={**calls("0+10x200"), series(catalogue.UNPRICED_CALLS): "0+1x200"},
        at="150m",
        silent=(
            {**calls("0+10x200"), series(catalogue.UNPRICED_CALLS): "0+0.4x200"},
            {**calls("0+0.2x200"), series(catalogue.UNPRICED_CALLS): "0+0.2x200"},
            calls("0+10x200"),
        ),
        groups=CALLS,
        labels=API,
    ),
    "OrOtelCaptureGap": Case(
        waits=120,
        fires=day_of(90, 100),
        at="180m",
        silent=(day_of(97, 100), day_of(0.5, 1), day_of(90, 100, day="2"), day_of(0, 0)),
        labels={**KEY, DAY: "1"},
    ),
    "OrOtelAccountPollFailing": Case(
        waits=15,
        fires={
            series(catalogue.POLL_ERRORS, **{ENDPOINT: "/credits", label(semconv.ERROR_TYPE): "503"}): "0+1x200",
            series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/key"}): "0+60x200",
        },
        at="100m",
        silent=(
            {
                series(catalogue.POLL_ERRORS, **{ENDPOINT: "/credits"}): "0+1x200",
                series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/credits"}): "0+60x200",
            },
            {series(catalogue.POLL_ERRORS, **{ENDPOINT: "/credits"}): "0x30 1x200"},
        ),
        labels={ENDPOINT: "/credits"},
    ),
    "OrOtelServiceSilent": Case(
        waits=60,
        fires={series(catalogue.CALLS): "0+1x1500"},
        at="2700m",
        silent=({series(catalogue.CALLS): "0+1x2700"}, {series(catalogue.CALLS, job="new"): "_x2600 1x100"}),
        labels=API,
    ),
    "OrOtelErrorsHigh": Case(
        waits=10,
        fires=calls("0+8x90", "0+2x90"),
        silent=(calls("0+95x90", "0+5x90"), calls("0+0.4x90", "0+0.6x90")),
        groups=CALLS,
        labels=MODEL_OF_API,
    ),
    "OrOtelFallbackHigh": Case(
        waits=15,
        fires={**calls("0+6x90"), **calls("0+4x90", **{FALLBACK: "provider"})},
        silent=(
            {**calls("0+9x90"), **calls("0+1x90", **{FALLBACK: "model"})},
            {**calls("0+6x90"), **calls("0+4x90", **{FALLBACK: "routed"})},
        ),
        groups=CALLS,
        labels=MODEL_OF_API,
    ),
    "OrOtelLatencyHigh": Case(
        waits=10, fires=histogram(9, 1), silent=(histogram(99, 1), histogram(0, 1)), labels=MODEL_OF_API
    ),
    "OrOtelProviderThrottling": Case(
        waits=10,
        fires={
            series(catalogue.ROUTE_ATTEMPTS, **{PROVIDER: "Azure", STATUS: "200"}): "0+7x90",
            series(catalogue.ROUTE_ATTEMPTS, **{PROVIDER: "Azure", STATUS: "429"}): "0+3x90",
        },
        silent=(
            {
                series(catalogue.ROUTE_ATTEMPTS, **{PROVIDER: "Azure", STATUS: "200"}): "0+9x90",
                series(catalogue.ROUTE_ATTEMPTS, **{PROVIDER: "Azure", STATUS: "429"}): "0+1x90",
            },
            {series(catalogue.ROUTE_ATTEMPTS, **{PROVIDER: "Azure", STATUS: "429"}): "0+1x90"},
        ),
        groups=CALLS,
        labels={"job": "api", PROVIDER: "Azure"},
    ),
    "OrOtelPolicyViolation": Case(
        fires={series(catalogue.POLICY_VIOLATIONS, **{label(semconv.OPENROUTER_POLICY_RULE): "zdr"}): "_x70 1x20"},
        silent=({series(catalogue.POLICY_VIOLATIONS, **{label(semconv.OPENROUTER_POLICY_RULE): "zdr"}): "_x10 1x80"},),
        groups=CALLS,
        labels={"job": "api", label(semconv.OPENROUTER_POLICY_RULE): "zdr"},
    ),
    "OrOtelAttributionLost": Case(
        waits=10,
        fires={series(catalogue.COST, otel_metric_overflow="true"): "5x90"},
        silent=({series(catalogue.COST): "5+1x90"},),
        groups=CALLS,
        labels=API,
    ),
    "OrOtelTelemetryDropped": Case(
        waits=10,
        fires={series(catalogue.TELEMETRY_DROPPED): "0+1x90"},
        silent=({series(catalogue.TELEMETRY_DROPPED): "0x90"}, {series(catalogue.TELEMETRY_DROPPED): "0x30 5x60"}),
        groups=CALLS,
        labels=API,
    ),
    "OrOtelOwnFaults": Case(
        fires={series(catalogue.GUARD_FAULTS): "0x50 1x40"},
        silent=({series(catalogue.GUARD_FAULTS): "0x90"},),
        groups=CALLS,
        labels=API,
    ),
    "OrOtelCollectorFailing": Case(
        waits=10,
        fires={
            'otelcol_exporter_send_failed_metric_points{job="c", exporter="otlp_http/prometheus"}': "0+5x90",
            'otelcol_exporter_send_failed_spans_total{job="c", exporter="otlp_http/prometheus"}': "0+5x90",
        },
        silent=(
            {'otelcol_exporter_send_failed_metric_points{job="c", exporter="x"}': "7x90"},
            collector_queue("3x90", "0+5x90"),  # busy
            collector_queue("0x90", "7x90"),  # idle
            collector_queue("0x70 3x20", "0+5x70 350x20"),  # a short outage
        ),
        labels={"job": "c", "exporter": "otlp_http/prometheus"},
    ),
    "OrOtelCollectorQueueFull": Case(
        waits=10,
        fires={
            'otelcol_exporter_queue_size{job="c", exporter="x", data_type="spans"}': "900x90",
            'otelcol_exporter_queue_capacity{job="c", exporter="x"}': "1000x90",
        },
        silent=(
            {
                'otelcol_exporter_queue_size{job="c", exporter="x"}': "700x90",
                'otelcol_exporter_queue_capacity{job="c", exporter="x"}': "1000x90",
            },
        ),
        labels={"job": "c", "exporter": "x"},
    ),
}
TIMED = {"OrOtelAccountDataStale", "OrOtelSpendSpike", "OrOtelSpendUnusual"}
"""Tested below, with a clock in hand."""


def test_every_alert_has_its_case():
    assert set(CASES) | TIMED == set(ALERTS)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_when_it_should(promtool, name):
    case = CASES[name]
    first = f'min_over_time(timestamp(ALERTS{{alertname="{name}", alertstate="%s"}})[2d:1m])'
    firing, pending = (f"min({first % state})" for state in ("firing", "pending"))

    (waited,) = promtool.sums(
        case.fires, [(f"{firing} - ({pending} or {firing})", case.at)], groups={*case.groups, "or-otel-alerts"}
    )
    (told,) = promtool.firing(name, case.fires, [case.at], groups={*case.groups, "or-otel-alerts"})

    assert told == [{**case.labels, "severity": ALERTS[name].severity}]
    assert waited == case.waits * 60


@pytest.mark.parametrize(("name", "past"), [(name, past) for name, case in CASES.items() for past in case.silent])
def test_an_alert_stays_silent_when_it_should(promtool, name, past):
    case = CASES[name]

    assert promtool.firing(name, past, [case.at], groups={*case.groups, "or-otel-alerts"}) == [[]]


def test_money_that_was_tracked_and_never_billed_is_a_gap_as_well(promtool):
    (firing,) = promtool.firing("OrOtelCaptureGap", day_of(50, 0), ["180m"], groups={"or-otel-alerts"})

    assert firing == [{**KEY, DAY: "1", "severity": "warning"}]


@pytest.mark.parametrize("sent", ["350x90", "_x90"])
def test_a_collector_that_retries_without_end_and_sends_nothing_is_failing(promtool, sent):
    """Such an exporter never counts a failure: so it is in our own stack."""
    past = collector_queue("1x30 2x60", sent)

    (firing,) = promtool.firing("OrOtelCollectorFailing", past, ["80m"], groups={"or-otel-alerts"})

    assert firing == [{"job": "c", "exporter": "x", "severity": "warning"}]


def first_firing(promtool, name, past, *, after, until, **options):
    """Give the minute at which an alert first fires."""
    at = f'min(min_over_time(timestamp(ALERTS{{alertname="{name}", alertstate="firing"}})[{until - after}m:1m]))'
    (seconds,) = promtool.sums(past, [(at, f"{until}m")], only=(name,), **options)
    return None if seconds is None else seconds / 60


def test_a_threshold_is_told_within_two_polls(promtool):
    # Polled every minute; minute 30 is the first to see 80 USD.
    minute = first_firing(
        promtool,
        "OrOtelBudgetMostlySpent",
        budget("79x29 80x60", **LATE),
        after=0,
        until=60,
        groups={*BUDGETS, "or-otel-alerts"},
    )

    print(f"threshold: told {minute - 30:.0f} min after the poll that saw it")  # noqa: T201
    assert 30 <= minute <= 32


def test_a_dead_exporter_is_told_within_ten_minutes(promtool):
    success = series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/key"})
    silent = series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/activity"})

    for after in ("stale", "1800x60"):  # it is gone, or it lives and hears nothing
        minute = first_firing(
            promtool,
            "OrOtelAccountDataStale",
            {success: f"0+60x30 {after}", silent: "60x60"},
            after=0,
            until=60,
            groups={"or-otel-alerts"},
        )
        print(f"dead exporter: told after {minute - 30:.0f} min")  # noqa: T201
        assert 30 < minute <= 40


def test_account_data_are_not_called_stale_without_an_exporter_or_between_polls(promtool):
    success = series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/key"})

    for past in ({}, {success: "0+60x100"}, {success: "0 0 0 0 240 240 240 240 480 480 480 480 720"}):
        assert promtool.firing("OrOtelAccountDataStale", past, ["12m"], groups={"or-otel-alerts"}) == [[]]


def noisy(tiles, *, seed, usd=1.0):
    """Give spend in five-minute tiles from a Thursday on: weekdays, office hours, heavy tails, bursts."""
    chance = random.Random(seed)
    weekdays = [1.0, 1.0, 0.3, 0.3, 1.0, 1.0, 1.0]
    for tile in range(tiles):
        shape = 2.0 if 8 <= tile % 288 / 12 < 18 else 0.3
        mean = usd * shape * weekdays[tile // 288 % 7]
        burst = 2 * mean if chance.random() < 0.02 else 0
        yield mean * chance.lognormvariate(-0.125, 0.5) + burst


def written(amounts):
    return " ".join(f"{amount:.5f}" for amount in amounts)


def counted(amounts):
    return written([0.0, *itertools.accumulate(amounts)])


SPENT_5M = f'{rules.JOB_COST_5M.name}{{job="api"}}'
SPENT_1H = f'{rules.JOB_COST_1H.name}{{job="api"}}'
CALLED_5M = f'{rules.increase(catalogue.CALLS).name}{{job="api"}}'
SPIKE = {"or-otel-usual", "or-otel-alerts"}


@pytest.mark.parametrize("hour", [10, 14])
def test_a_retry_loop_at_ten_times_the_pace_is_told_within_five_minutes(promtool, hour):
    start = 2 * 1440 - 1440 + hour * 60
    by_minute = [tile / 5 for tile in noisy(start // 5, seed=3) for _ in range(5)]
    pace = sum(by_minute[-60:]) / 60
    by_minute += [10 * pace] * 20
    # The counters themselves, and each a minute old: what the SDK exports once a minute.
    past = {
        series(catalogue.COST): f"0 {counted(by_minute)}",
        series(catalogue.CALLS): f"0+10x{len(by_minute)}",
    }

    minute = first_firing(
        promtool, "OrOtelSpendSpike", past, after=start - 60, until=start + 20, groups={"or-otel-cost", *SPIKE}
    )

    print(f"retry loop at 10 times the pace: told after {minute - start:.0f} min")  # noqa: T201
    assert start < minute <= start + 5


def test_a_service_without_a_past_pages_nobody(promtool):
    past = {SPENT_5M: "25x700", CALLED_5M: "50x700"}

    assert promtool.firing("OrOtelSpendSpike", past, ["600m"], groups=SPIKE) == [[]]


def test_a_few_dear_calls_page_nobody(promtool):
    few, many = ({SPENT_5M: "0.1x1600 50x20", CALLED_5M: f"2x1600 {calls}x20"} for calls in (4, 40))

    assert promtool.firing("OrOtelSpendSpike", few, ["1605m"], groups=SPIKE) == [[]]
    assert promtool.firing("OrOtelSpendSpike", many, ["1605m"], groups=SPIKE) != [[]]


MONTH = 30 * 288
PAGES = tuple(name for name, alert in ALERTS.items() if alert.severity == "critical")
EPISODES = (
    'sum by (alertname) (count_over_time((ALERTS{alertstate="firing"} unless ALERTS{alertstate="firing"} offset 5m)'
    "[30d:5m]))"
)


def test_a_month_of_noise_gives_at_most_one_false_page(promtool):
    # A month that had two when the spike alert asked for twice the usual high only.
    amounts = list(noisy(MONTH, seed=12))
    limit = round(sum(amounts) * 1.1)
    months = {name: values.replace("x500", f"x{MONTH}") for name, values in budget("", limit=limit).items()}
    past = {
        # What the base rules record, given at once: they have tests of their own, and a month is long.
        SPENT_5M: written([0.0, *amounts]),
        **months,
        series(catalogue.BUDGET_SPENT, **WHOSE): counted(amounts),
        series(catalogue.KEY_LIMIT_REMAINING, **KEY): f"5x{MONTH}",
        series(catalogue.ACCOUNT_CREDITS_REMAINING): f"500000x{MONTH}",
        series(catalogue.ACCOUNT_CREDITS_USED): counted(amounts),
    }

    (pages,) = promtool.ask(
        past, [(EPISODES, "30d")], groups={"or-otel-usual", *BUDGETS, "or-otel-alerts"}, only=PAGES, interval="5m"
    )

    print(f"false pages in a month of noise: {sum(pages.values()):.0f} {pages}")  # noqa: T201
    assert sum(pages.values()) <= 1


def test_unusual_spending_is_told_and_a_monday_is_not_unusual(promtool):
    quiet, busy = "1x%d ", "10x%d"
    past = {SPENT_1H: (quiet % 600 + busy % 30)}
    monday = {SPENT_1H: (quiet % 300 + "10x80 " + quiet % 220 + busy % 30)}
    groups = {"or-otel-usual", "or-otel-alerts"}

    (told,) = promtool.firing("OrOtelSpendUnusual", past, ["2525m"], groups=groups, interval="5m", sampled="4m")
    (silent,) = promtool.firing("OrOtelSpendUnusual", monday, ["2525m"], groups=groups, interval="5m", sampled="4m")

    assert told == [{"job": "api", "severity": "warning"}]
    assert silent == []


def test_a_client_side_budget_alarms_like_any_other(promtool):
    choices = Choices(
        budgets=(Budget(name="search", scope="tag:team", value="search", limit_usd=Decimal(10), period="day"),)
    )

    (firing,) = promtool.firing(
        "OrOtelBudgetMostlySpent",
        {series(catalogue.COST, **{tag("team"): "search"}): "0+0.05x180"},
        ["3h"],
        choices=choices,
        groups={"or-otel-cost", "or-otel-calendar", *BUDGETS, "or-otel-alerts"},
    )

    assert firing == [{rules.BUDGET: "search", rules.SCOPE: "tag:team", "severity": "warning"}]


def test_each_alert_says_what_where_and_what_to_do():
    for alert in ALERTS.values():
        assert alert.severity in {"info", "warning", "critical"}
        assert alert.summary
        assert len(alert.description) > 40, alert.name
        assert (ROOT / "dashboards" / f"{alert.board}.json").exists(), alert.name
        page = (ROOT / "docs" / "runbooks" / f"{alert.runbook}.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {alert.name}\n\nSeverity: `{alert.severity}`.\n")
        for heading in ("## What it means", "## How to look", "## What to do", "## When it is noise"):
            assert heading in page, (alert.runbook, heading)


def test_a_runbook_exists_for_no_alert_that_does_not():
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} - {"README"}

    assert pages == {alert.runbook for alert in ALERTS.values()}


def test_links_become_absolute_by_a_setting():
    choices = Choices(grafana_url="https://grafana.example", docs_url="https://docs.example/")
    text = rule_files(choices)["rules/or-otel-alerts.yml"]

    assert "https://docs.example/docs/runbooks/budget-spent.md" in text
    assert (
        "https://grafana.example/d/or-otel-budgets?var-budget={{ $labels.openrouter_budget_name | urlquery }}" in text
    )
    assert not re.search(r'"(docs/runbooks|/d/)', text)


def test_what_an_alert_says_can_be_filled_in(promtool):
    """Prometheus tells a broken template only when it fires."""
    case = CASES["OrOtelKeyNearLimit"]
    promtool.ask(case.fires, [("vector(1)", "30m")], groups={"or-otel-alerts"})
    test = promtool._folder / "test.yml"
    test.write_text(
        test.read_text(encoding="utf-8").replace(
            "promql_expr_test:",
            "alert_rule_test: [{alertname: OrOtelKeyNearLimit, eval_time: 30m}]\n  promql_expr_test:",
        ),
        encoding="utf-8",
    )

    told = promtool.run("test", "rules", "test.yml")

    assert "Key acme (0123456789ab) has 9% of its limit left" in told.stdout + told.stderr
    assert "/d/or-otel-budgets?var-key=acme" in told.stdout + told.stderr


def test_no_template_is_broken(promtool):
    (promtool._folder / "rules.yml").write_text(rule_files(Choices())["rules/or-otel-alerts.yml"], encoding="utf-8")

    assert promtool.run("check", "rules", "rules.yml").returncode == 0
