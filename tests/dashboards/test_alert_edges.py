"""Where each alert begins and ends: what is just enough, what is just not, and after how long.

One run of Prometheus' engine for each: its subjects (budgets, keys, services, exporters) live beside one another, so
that none may be taken for another.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pasts import (
    BUDGETS,
    CALLS,
    DAY_S,
    ENDPOINT,
    FALLBACK,
    KEY_NAME,
    LATE,
    MODEL,
    PROVIDER,
    STATUS,
    balance,
    budget,
    calls,
    collector_queue,
    day_of,
    durations,
    forecast,
    free,
    histogram,
    key,
    series,
)

from or_otel import catalogue, semconv
from or_otel.dashboards import rules
from or_otel.dashboards.promql import label, tag

USUAL = ("or-otel-usual",)
RULE = label(semconv.OPENROUTER_POLICY_RULE)


def begun(share):
    """Give a month of which such a share is over from the first minute on."""
    return {"start": f"{-30 * DAY_S * share:.0f}x500", "end": f"{30 * DAY_S * (1 - share):.0f}x500"}


def burning(*legs, minutes):
    """Give what is spent at so many times the even pace of 100 USD a month, leg by leg of minutes."""
    total, told = 1.0, [1.0]
    for pace, length in legs:
        for _ in range(length):
            total += pace * 100 / (30 * 24 * 60)
            told.append(total)
    assert len(told) > minutes
    return " ".join(f"{each:.6f}" for each in told)


def at_pace(name, *legs, minutes):
    return budget(burning(*legs, minutes=minutes), **LATE, name=name)


def together(name, parts, told):
    """Give one subject whose teams' figures are told apart: they count as one."""
    return {
        name: {
            each: values
            for place, part in enumerate(parts)
            for each, values in told(name, *part, **{tag("team"): f"{place}"}).items()
        }
    }


def failing(name, ok, failed, *, model="m", **labels):
    return calls(f"0+{ok}x90", f"0+{failed}x90", job=name, **{MODEL: model}, **labels)


def waiting(name, fast, slow, **labels):
    return histogram(fast, slow, job=name, **labels)


def fell_back(name, kind, share, total=10):
    return {
        **calls(f"0+{total * (1 - share):g}x90", job=name),
        **calls(f"0+{total * share:g}x90", job=name, **{FALLBACK: kind}),
    }


def unpriced(name, every, missing, **labels):
    return {**calls(every, job=name, **labels), series(catalogue.UNPRICED_CALLS, job=name, **labels): missing}


def refused(name, served, refusing, *, row=catalogue.ROUTE_ATTEMPTS, provider="Azure", **labels):
    told = {"200": served, "429": refusing}
    return {
        series(row, job=name, **{PROVIDER: provider, STATUS: status}, **labels): f"0+{each}x90"
        for status, each in told.items()
        if each is not None
    }


def spending(name, spent, called="20x1700"):
    past = {f'{rules.JOB_COST_5M.name}{{job="{name}"}}': spent}
    return past | ({} if called is None else {f'{rules.increase(catalogue.CALLS).name}{{job="{name}"}}': called})


def spending_hour(name, spent):
    return {f'{rules.JOB_COST_1H.name}{{job="{name}"}}': spent}


def counted_once(row, **minutes):
    """Give counters of which each grows once, in such a minute."""
    return {name: {series(row, job=name): f"0x{minute - 1} 1x90"} for name, minute in minutes.items()}


def delivering(name, metric, values):
    return {f'{metric}{{job="c", exporter="{name}"}}': values}


def queue(name, size):
    return delivering(name, "otelcol_exporter_queue_size", f"{size}x90") | delivering(
        name, "otelcol_exporter_queue_capacity", "1000x90"
    )


@dataclass(frozen=True, kw_only=True)
class Edges:
    """Subjects of one alert, by the value of the label `by`: what each told, and whether it fires then."""

    fires: dict[str, dict[str, str]]
    silent: dict[str, dict[str, str]]
    by: str
    at: str = "80m"
    groups: tuple[str, ...] = ()
    interval: str = "1m"


EDGES = {
    "OrOtelBudgetSpent": Edges(
        fires={"all": budget("100x500", name="all")}, silent={}, by=rules.BUDGET, groups=BUDGETS
    ),
    "OrOtelBudgetForecastOver": Edges(
        fires={
            "just": {**budget("30x500", **LATE, name="just"), **forecast(101, name="just")},
            "young": {**budget("30x500", **LATE, name="young"), **forecast(101, "1d", name="young")},
            "early": {**budget("5x500", **begun(0.105), name="early"), **forecast(101, name="early")},
            "nearly spent": {**budget("98x500", **LATE, name="nearly spent"), **forecast(101, name="nearly spent")},
            "twin": {**budget("30x500", **LATE, name="twin"), **forecast(101, name="twin")},
        },
        silent={
            "even": {**budget("30x500", **LATE, name="even"), **forecast(100, name="even")},
            "too early": {**budget("5x500", **begun(0.095), name="too early"), **forecast(101, name="too early")},
            "other scope": {**budget("30x500", **LATE, name="twin", scope="team")}
            | forecast(99, name="twin", scope="team"),
        },
        by=rules.BUDGET,
        groups=BUDGETS,
    ),
    "OrOtelBudgetPaceAhead": Edges(
        fires={
            "just": budget("24.5x500", **LATE, name="just"),
            "early": budget("20x500", **begun(0.105), name="early"),
            "nearly spent": budget("99x500", **LATE, name="nearly spent"),
        },
        silent={
            "slower": budget("23.9x500", **LATE, name="slower"),
            "too early": budget("20x500", **begun(0.095), name="too early"),
            "spent": budget("100x500", **LATE, name="spent"),
        },
        by=rules.BUDGET,
        groups=BUDGETS,
    ),
    "OrOtelBudgetBurnFast": Edges(
        fires={
            "just": at_pace("just", (15, 80), minutes=80),
            "for an hour": at_pace("for an hour", (0, 20), (15, 60), minutes=80),
        },
        silent={
            "slower": at_pace("slower", (14, 80), minutes=80),
            "lately slower": at_pace("lately slower", (30, 65), (14, 15), minutes=80),
            "before slower": at_pace("before slower", (12, 65), (20, 15), minutes=80),
            "over": at_pace("over", (40, 65), (0, 15), minutes=80),
            "just begun": at_pace("just begun", (0, 70), (40, 10), minutes=80),
        },
        by=rules.BUDGET,
        groups=BUDGETS,
    ),
    "OrOtelBudgetBurnSlow": Edges(
        fires={
            "just": at_pace("just", (6.2, 400), minutes=400),
            "for six hours": at_pace("for six hours", (0, 40), (6.2, 360), minutes=400),
        },
        silent={
            "slower": at_pace("slower", (5.8, 400), minutes=400),
            "lately slower": at_pace("lately slower", (12, 370), (5.8, 30), minutes=400),
            "before slower": at_pace("before slower", (5.3, 370), (12, 30), minutes=400),
        },
        at="400m",
        by=rules.BUDGET,
        groups=BUDGETS,
    ),
    "OrOtelKeyNearLimit": Edges(
        fires={
            "just": key("9.9x60", name="just"),
            "last cent": key("0.01x60", name="last cent"),
            "enabled": key("9x60", disabled="1x23 0x40", name="enabled"),
            "missed": key("9x26 _x30", limit="100x26 _x30", name="missed"),
            "fell": key("50x23 9x30", name="fell"),
        },
        silent={
            "tenth": key("10x60", name="tenth"),
            "overdrawn": key("-1x60", name="overdrawn"),
            "another limit": key("9x60", limit="100x28 50x30", name="another limit"),
            "paid": key("9x28 50x30", name="paid"),
            "gone": key("9x24 _x30", limit="100x24 _x30", name="gone"),
            "disabled": key("9x60", disabled="0x28 1x30", name="disabled"),
            "told twice": key("9x60", disabled="1x60", name="told twice")
            | key("9x60", disabled="1x60", name="told twice", instance="j"),
        },
        at="30m",
        by=KEY_NAME,
    ),
    "OrOtelKeyExhausted": Edges(
        fires={
            "overdrawn": key("-0.5x60", name="overdrawn"),
            "missed": key("0x26 _x30", name="missed"),
            "enabled": key("0x60", disabled="1x29 0x30", name="enabled"),
            "just now": key("5x29 0x30", name="just now"),
        },
        silent={
            "hardly": key("0.0005x60", name="hardly"),
            "gone": key("0x24 _x30", name="gone"),
            "raised": key("0x28 5x30", name="raised"),
            "disabled": key("0x60", disabled="0x28 1x30", name="disabled"),
            "told twice": key("0x60", disabled="1x60", name="told twice")
            | key("0x60", disabled="1x60", name="told twice", instance="j"),
        },
        at="30m",
        by=KEY_NAME,
    ),
    "OrOtelFreeQuotaNearlyUsed": Edges(
        fires={
            "just": free("45x60", name="just"),
            "missed": free("50x26 _x30", quota="50x26 _x30", name="missed"),
            "lowered": free("46x60", quota="1000x23 50x30", name="lowered"),
            "rose": free("40x23 50x30", name="rose"),
        },
        silent={
            "less": free("44.5x60", name="less"),
            "none": free("5x60", quota="0x60", name="none"),
            "gone": free("50x24 _x30", quota="50x24 _x30", name="gone"),
            "next day": free("50x28 0x30", name="next day"),
            "more": free("46x60", quota="50x28 1000x30", name="more"),
        },
        at="30m",
        by=KEY_NAME,
    ),
    "OrOtelUnpricedCalls": Edges(
        fires={
            "just": unpriced("just", "0+10x200", "0+0.52x200"),
            "few": unpriced("few", "0+0.34x200", "0+0.34x200"),
            **together("two reasons", [("0+10x200", "0+0.27x200"), ("0x200", "0+0.27x200")], unpriced),
            **together("few of two", [("0+0.2x200", "0+0.2x200"), ("0+0.2x200", "0+0.2x200")], unpriced),
            "until lately": unpriced("until lately", "0+2x200", "0+1x110 110x90"),
        },
        silent={
            "twentieth": unpriced("twentieth", "0+10x200", "0+0.5x200"),
            **together("two models", [("0+7x200", "0+0.6x200"), ("0+7x200", "0x200")], unpriced),
            "too few": unpriced("too few", "0+0.32x200", "0+0.32x200"),
            "long ago": unpriced("long ago", "0+2x200", "0+2x85 170x100"),
        },
        at="152m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelCaptureGap": Edges(
        fires={
            "lost": day_of(94.9, 100, name="lost"),
            "invented": day_of(110, 100, name="invented"),
            "small": day_of(8.97, 10, name="small"),
            "never billed": day_of(1.1, 0, name="never billed"),
            "missed": day_of(90, 100, name="missed", minutes=176),
        },
        silent={
            "twentieth": day_of(95, 100, name="twentieth"),
            "a dollar": day_of(9, 10, name="a dollar"),
            "cents never billed": day_of(0.9, 0, name="cents never billed"),
            "gone": day_of(90, 100, name="gone", minutes=174),
            "told twice": day_of(9.4, 10, name="told twice") | day_of(9.4, 10, name="told twice", instance="j"),
        },
        at="180m",
        by=KEY_NAME,
    ),
    "OrOtelErrorsHigh": Edges(
        fires={
            "just": failing("just", 8.9, 1.1),
            "few": failing("few", 0, 1.34),
            **together("two kinds", [(8.9, 0.55), (0, 0.55)], failing),
            **together("few of two", [(0, 0.7), (0, 0.7)], failing),
            "until lately": calls("0+10x90", "0+10x76 760x20", job="until lately"),
        },
        silent={
            "tenth": failing("tenth", 9, 1),
            **together("two providers", [(4.5, 1), (4.5, 0)], failing),
            "too few": failing("too few", 0, 1.32),
            "long ago": calls("0+10x90", "0+10x61 610x30", job="long ago"),
            "one model of two": {
                **failing("one model of two", 0, 1.2, model="rare"),
                **failing("one model of two", 10, 0, model="busy"),
            },
        },
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelFallbackHigh": Edges(
        fires={
            "just": fell_back("just", "provider", 0.26),
            "model": fell_back("model", "model", 0.26),
            "both": fell_back("both", "provider", 0.15) | fell_back("both", "model", 0.15),
            "few": fell_back("few", "provider", 0.5, total=1.34),
        },
        silent={
            "quarter": fell_back("quarter", "provider", 0.25, total=16),
            "too few": fell_back("too few", "provider", 0.5, total=1.32),
        },
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelLatencyHigh": Edges(
        fires={
            "31 s": histogram(9.3, 0.7, job="31 s"),
            "few": histogram(0, 1.34, job="few"),
            **together("few of two", [(0, 0.7), (0, 0.7)], waiting),
            **together("two providers", [(9.3, 0.35), (0, 0.35)], waiting),
            "until lately": durations("0+0x71 0+10x20", "0+10x90", job="until lately"),
        },
        silent={
            "29 s": histogram(9.32, 0.68, job="29 s"),
            "too few": histogram(0, 1.3, job="too few"),
            "long ago": durations("0+0x62 0+10x30", "0+10x90", job="long ago"),
            "one model of two": {
                **histogram(0, 1, job="one model of two"),
                **histogram(10, 0, job="one model of two", **{MODEL: "busy"}),
            },
        },
        by="job",
    ),
    "OrOtelProviderThrottling": Edges(
        fires={
            "just": refused("just", 7.9, 2.1),
            "few": refused("few", None, 1.34),
            **together("few of two", [(None, 0.7), (None, 0.7)], refused),
            **together("two kinds", [(7.9, 1.05), (None, 1.05)], refused),
            "no routes": refused("no routes", 7.9, 2.1, row=catalogue.ATTEMPTS),
        },
        silent={
            "fifth": refused("fifth", 8, 2),
            **together("two models", [(4, 2), (4, None)], refused),
            "too few": refused("too few", None, 1.32),
            "one provider of two": {
                **refused("one provider of two", None, 1, provider="Rare"),
                **refused("one provider of two", 10, None, provider="Busy"),
            },
            # All that was sent again counts among the exchanges, and no more than once.
            "retried": refused("retried", 10, None) | refused("retried", 10, 2.4, row=catalogue.ATTEMPTS),
        },
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelPolicyViolation": Edges(
        fires=counted_once(catalogue.POLICY_VIOLATIONS, lately=67),
        silent=counted_once(catalogue.POLICY_VIOLATIONS, before=64),
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelOwnFaults": Edges(
        fires=counted_once(catalogue.GUARD_FAULTS, lately=22),
        silent=counted_once(catalogue.GUARD_FAULTS, before=19),
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelTelemetryDropped": Edges(
        fires=counted_once(catalogue.TELEMETRY_DROPPED, lately=67),
        silent=counted_once(catalogue.TELEMETRY_DROPPED, before=64, too_lately=74),
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelAttributionLost": Edges(
        fires=counted_once(catalogue.TELEMETRY_FOLDED, lately=22),
        silent=counted_once(catalogue.TELEMETRY_FOLDED, before=19),
        at="82m",
        by="job",
        groups=CALLS,
    ),
    "OrOtelCollectorFailing": Edges(
        fires={
            **{
                metric: delivering(metric, metric, "0+5x77 385x20")
                for metric in (
                    f"otelcol_exporter_{what}_{signal}{total}"
                    for what in ("send_failed", "enqueue_failed")
                    for signal in ("metric_points", "spans")
                    for total in ("", "_total")
                )
            },
            "waits": collector_queue("3x90", "0+5x60 300x30", exporter="waits"),
        },
        silent={
            "before": delivering("before", "otelcol_exporter_send_failed_spans", "0+5x73 365x20"),
            "sends": collector_queue("3x90", "0+5x90", exporter="sends", signal="metric_points_total"),
        },
        at="80m",
        by="exporter",
    ),
    "OrOtelCollectorQueueFull": Edges(
        fires={"just": queue("just", 810)}, silent={"less": queue("less", 800)}, by="exporter"
    ),
    "OrOtelSpendSpike": Edges(
        fires={
            "five times": spending("five times", "0.3x1600 1.52x20"),
            "a dollar": spending("a dollar", "0.1x1600 1.02x20"),
            "above its bursts": spending("above its bursts", "0.1x93 3x1 " * 16 + "0.1x64 7.6x20"),
            "ten calls": spending("ten calls", "0.3x1600 5x20", "10x1700"),
            "nobody counts calls": spending("nobody counts calls", "0.3x1600 5x20", None),
        },
        silent={
            "less than five times": spending("less than five times", "0.3x1600 1.48x20"),
            "less than a dollar": spending("less than a dollar", "0.1x1600 0.98x20"),
            "as its bursts": spending("as its bursts", "0.1x93 3x1 " * 16 + "0.1x64 7.4x20"),
            "nine calls": spending("nine calls", "0.3x1600 5x20", "9x1700"),
        },
        at="1610m",
        by="job",
        groups=USUAL,
    ),
    "OrOtelSpendUnusual": Edges(
        fires={
            "three times": spending_hour("three times", "3x600 9.1x20"),
            "five dollars": spending_hour("five dollars", "1x600 5.1x20"),
            "above its bursts": spending_hour("above its bursts", "2x8 10x0 " * 60 + "12.6x20"),
        },
        silent={
            "less than three times": spending_hour("less than three times", "3x600 8.9x20"),
            "less than five dollars": spending_hour("less than five dollars", "1x600 4.9x20"),
            "as its bursts": spending_hour("as its bursts", "2x8 10x0 " * 60 + "12.4x20"),
            "just now": spending_hour("just now", "3x604 20x20"),
        },
        at="3050m",
        by="job",
        groups=USUAL,
        interval="5m",
    ),
}


@pytest.mark.parametrize("name", EDGES)
def test_an_alert_fires_from_its_limit_on_and_not_before(promtool, name):
    edges = EDGES[name]
    past = {series: told for each in (*edges.fires.values(), *edges.silent.values()) for series, told in each.items()}

    (firing,) = promtool.firing(
        name, past, [edges.at], groups={*edges.groups, "or-otel-alerts"}, interval=edges.interval
    )

    assert {labels[edges.by] for labels in firing} == set(edges.fires)
    assert len(firing) == len(edges.fires)


SPENDING = "0+0.1666667x500"
"""Of credits, 240 USD a day."""


@pytest.mark.parametrize(
    ("name", "remaining", "used", "is_fired"),
    [
        ("OrOtelCreditsLow", "710x500", SPENDING, True),
        ("OrOtelCreditsLow", "730x500", SPENDING, False),
        ("OrOtelCreditsLow", "710x436 _x30", "0+0.1666667x436 _x30", True),  # missed scrapes
        ("OrOtelCreditsLow", "710x434 _x30", "0+0.1666667x434 _x30", False),
        ("OrOtelCreditsLow", "710x420 900x50", SPENDING, False),  # paid
        # Six hours ago the exporter was away for a while: what it told a quarter of an hour before is good enough.
        ("OrOtelCreditsLow", "710x500", "0+0.1666667x68 _x40 18.1666667+0.1666667x400", True),
        ("OrOtelCreditsLow", "710x500", "0+0.1666667x60 _x48 18.1666667+0.1666667x400", False),
        ("OrOtelCreditsNearlyGone", "236x500", SPENDING, True),
        ("OrOtelCreditsNearlyGone", "244x500", SPENDING, False),
        ("OrOtelCreditsNearlyGone", "0x500", "10x500", True),  # spends nothing any more
        ("OrOtelCreditsNearlyGone", "-0.0005x500", "10x500", True),
        ("OrOtelCreditsNearlyGone", "0.0005x500", "10x500", False),
        ("OrOtelCreditsNearlyGone", "0x436 _x30", "10x436 _x30", True),
        ("OrOtelCreditsNearlyGone", "0x434 _x30", "10x434 _x30", False),
        ("OrOtelCreditsNearlyGone", "0x438 5x50", "10x500", False),
        ("OrOtelCreditsNearlyGone", "5x433 0x50", "10x500", True),
    ],
)
def test_credits_are_told_by_the_days_they_last_and_when_they_are_gone(promtool, name, remaining, used, is_fired):
    groups = {*BUDGETS, "or-otel-alerts"}

    (firing,) = promtool.firing(name, balance(remaining, used), ["440m"], groups=groups)

    assert bool(firing) is is_fired


def fired(promtool, name, past, *, until):
    """Give the first and the last minute at which an alert fires."""
    at = f'timestamp(ALERTS{{alertname="{name}", alertstate="firing"}})[{until}m:1m]'
    first, last = f"min(min_over_time({at}))", f"max(max_over_time({at}))"
    seconds = promtool.sums(
        past, [(each, f"{until}m") for each in (first, last)], only=(name,), groups={"or-otel-alerts"}
    )
    return tuple(None if each is None else each / 60 for each in seconds)


def polls(failed, succeeded, *, reason="timeout"):
    whose = {ENDPOINT: "/credits"}
    return {
        series(catalogue.POLL_ERRORS, **whose, **{label(semconv.ERROR_TYPE): reason}): failed,
        # Of another endpoint, which is no comfort.
        series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/key"}): "0+60x500",
    } | ({series(catalogue.POLL_SUCCESS_TIME, **whose): succeeded} if succeeded else {})


@pytest.mark.parametrize(
    ("past", "minutes"),
    [
        # After half an hour without success, and a quarter of patience.
        (polls("0+1x200", "0+60x50 3000x150"), (81 + 15, 200)),
        # Twice, and an hour later that is forgotten.
        (polls("0x60 1 2x140", None), (62 + 15, 120)),
        (polls("0x60 1x140", None), (None, None)),
        # Once for each of two reasons.
        (polls("0x60 1x140", None) | polls("0x60 1x140", None, reason="503"), (61 + 15, 120)),
    ],
)
def test_an_endpoint_that_cannot_be_read_is_told_as_long_as_it_is_asked_in_vain(promtool, past, minutes):
    assert fired(promtool, "OrOtelAccountPollFailing", past, until=200) == pytest.approx(minutes, abs=1)


def test_a_silent_service_is_told_after_two_hours_for_a_day(promtool):
    past = {series(catalogue.CALLS): "0+1x1500"}

    # Its last word stands for an hour; another hour is patience; a day later nobody expects it.
    assert fired(promtool, "OrOtelServiceSilent", past, until=3100) == pytest.approx((1620, 3000), abs=1)


def test_account_data_are_called_stale_after_five_minutes_and_patience_for_a_week(promtool):
    past = {series(catalogue.POLL_SUCCESS_TIME, **{ENDPOINT: "/key"}): "0+60x30 _x10200"}
    name, groups = "OrOtelAccountDataStale", {"or-otel-alerts"}

    first, _ = fired(promtool, name, past, until=60)
    firing = promtool.firing(name, past, ["10100m", "10120m"], groups=groups, interval="10m", sampled="1m")

    assert first == 30 + 6 + 2
    assert [len(each) for each in firing] == [1, 0]
