"""Can I trust these numbers?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.boards.trust import account_age
from or_otel.dashboards.labels import (
    DROP_REASON,
    ENDPOINT,
    ERROR_TYPE,
    FOLD_REASON,
    MODULE,
    OVERFLOW,
    named,
)
from or_otel.dashboards.panels import (
    COUNT,
    GOOD_UNTIL,
    NO_ACCOUNT,
    NO_CALLS,
    SECONDS,
    SHARE,
    Link,
    Query,
    bars,
    graph,
    stat,
)
from or_otel.dashboards.promql import INSTANCE, JOB, exact_increase, of
from or_otel.dashboards.rules import PERIOD_START, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, RATE, Scope, latest

SCOPE = Scope(names=("service",))
DROPPED, FOLDED = increase(catalogue.TELEMETRY_DROPPED), increase(catalogue.TELEMETRY_FOLDED)
FAULTS = increase(catalogue.GUARD_FAULTS)
CALLS, ALL_CALLS = of(catalogue.CALLS), increase(catalogue.CALLS)
SUCCESS, ERRORS = of(catalogue.POLL_SUCCESS_TIME), of(catalogue.POLL_ERRORS)
GROUPS = 'rule_group=~".*or-otel.*"'
CLIENT_NAMES = "|".join(
    name for row in catalogue.METRICS if row.source in {"calls", "insight"} for name in catalogue.prometheus_series(row)
)
NO_COLLECTOR = "no collector, or it is not scraped"


def _failed(signal: str) -> str:
    """Give how often the collector could not deliver; its counters lost their `_total` in 0.161."""
    name = f"otelcol_exporter_send_failed_{signal}(_total)?"
    return f'sum by (exporter) (rate({{__name__=~"{name}"}}[{RATE}]))'


def _by_group(expression: str) -> str:
    """Call groups of rules by their name: Prometheus puts the path of their file before it."""
    return f'label_replace({expression}, "rule_group", "$1", "rule_group", ".*;(.+)")'


def _refused(signal: str) -> str:
    name = f"otelcol_receiver_refused_{signal}(_total)?"
    return f'sum by (receiver) (rate({{__name__=~"{name}"}}[{RATE}]))'


GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Age of account data",
            "Seconds since the exporter last heard from OpenRouter. Empty without the account exporter.",
            account_age(),
            unit=SECONDS,
            steps=GOOD_UNTIL["age"],
            empty=NO_ACCOUNT,
        ),
        stat(
            "Age of the rules",
            "Seconds since the recording rules last ran. Empty: they are not loaded into this Prometheus.",
            f"time() - max(timestamp({PERIOD_START.name}))",
            unit=SECONDS,
            steps=GOOD_UNTIL["age"],
            empty="load dashboards/rules/*.yml into Prometheus",
        ),
        stat(
            "Age of prices",
            "Seconds since the price list in use was fetched; prices matter where an answer tells no cost, and for "
            "savings. Source: account exporter.",
            f"clamp_min(time() - {latest(of(catalogue.PRICES_TIME))}, 0)",
            unit=SECONDS,
            steps=((None, "green"), (86400, "orange"), (604800, "red")),
            empty=NO_ACCOUNT,
        ),
        stat(
            "Records dropped",
            "Records of or-otel that were lost in this range. Source: clients.",
            f"{SCOPE.total(DROPPED)} or {SCOPE.total(ALL_CALLS)} * 0",
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NO_CALLS,
        ),
        stat(
            "Own faults",
            "Faults of or-otel that were kept from applications in this range; the log has the first of each place. "
            "Source: clients.",
            f"{SCOPE.total(FAULTS)} or {SCOPE.total(ALL_CALLS)} * 0",
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NO_CALLS,
        ),
        stat(
            "Processes seen",
            "Processes that exported anything in this range. A process that ended without export (SIGKILL, "
            "os._exit) is not among them: the ledger knows it. Source: clients.",
            f"count(count by ({JOB}, {INSTANCE}) (last_over_time({SCOPE.pick(CALLS)}[{RANGE}])))",
            unit=COUNT,
            decimals=0,
            empty=NO_CALLS,
        ),
    ),
)

EXPORTER = Row(
    title="Account exporter",
    panels=(
        table(
            "Endpoints",
            "Each endpoint of OpenRouter's account API: seconds since the last success, how long the last poll "
            "took, errors in this range. Hourly endpoints may be an hour old. Source: account exporter.",
            Column(
                title="Age",
                expr=f"clamp_min(time() - {latest(SUCCESS, group=(ENDPOINT,))}, 0)",
                unit=SECONDS,
                decimals=0,
            ),
            Column(title="Took", expr=latest(of(catalogue.POLL_DURATION), group=(ENDPOINT,)), unit=SECONDS),
            Column(
                title="Errors",
                expr=f"sum by ({ENDPOINT}) ({exact_increase(ERRORS.name, RANGE)})\n"
                f"or {latest(SUCCESS, group=(ENDPOINT,))} * 0",
                decimals=0,
            ),
            keys=((ENDPOINT, "Endpoint"),),
            empty=NO_ACCOUNT,
        ),
        graph(
            "Failed polls",
            "Polls of the hour before each moment that failed, by endpoint and error. Source: account exporter. "
            "Empty is good.",
            Query(
                expr=f"sum by ({ENDPOINT}, {ERROR_TYPE}) (increase({ERRORS.name}[1h]))",
                legend=f"{named(ENDPOINT)} {named(ERROR_TYPE)}",
            ),
            unit=COUNT,
            empty="none failed, or no exporter",
        ),
    ),
)

CLIENTS = Row(
    title="Clients",
    panels=(
        table(
            "Services",
            "Each service: seconds since Prometheus last heard from it (within the last day), its processes in this "
            "range. A service that scales to nothing at night is old in the morning. Source: clients.",
            Column(
                title="Heard",
                expr=f"time() - max by ({JOB}) (max_over_time(timestamp({SCOPE.pick(CALLS)})[1d:5m]))",
                unit=SECONDS,
                decimals=0,
            ),
            Column(
                title="Processes",
                expr=f"count by ({JOB}) (count by ({JOB}, {INSTANCE}) (last_over_time({SCOPE.pick(CALLS)}[{RANGE}])))",
                decimals=0,
            ),
            keys=((JOB, "Service"),),
            links=(Link(title="Open in Reliability", board="or-otel-reliability", variable="service"),),
            empty=NO_CALLS,
            width=8,
        ),
        bars(
            "Series per metric",
            "Series that Prometheus holds now of each metric of or-otel's clients: growth costs memory. Overflow "
            "begins at 2,000 sets in one process.",
            f'topk(15, count by (__name__) ({{__name__=~"({CLIENT_NAMES})"}}))',
            "{{__name__}}",
            unit=COUNT,
            decimals=0,
            empty=NO_CALLS,
            width=16,
            height=9,
        ),
    ),
)

LOSSES = Row(
    title="What went wrong (empty is good)",
    panels=(
        table(
            "Overflowing",
            "Services of which the SDK put money into its overflow set, without any label: see `metric_tags`. Empty "
            "is good.",
            Column(title="Series", expr=f"count by ({JOB}) ({SCOPE.pick(of(catalogue.COST), OVERFLOW)})", decimals=0),
            keys=((JOB, "Service"),),
            links=(Link(title="Open in Attribution", board="or-otel-attribution", variable="service"),),
            empty="none",
            width=6,
            height=6,
        ),
        graph(
            "Dropped",
            "Records of or-otel lost in each step, by where. Source: clients. Empty is good.",
            Query(expr=SCOPE.each(DROPPED, group=(DROP_REASON,)), legend=named(DROP_REASON)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty="none",
            width=6,
            height=6,
        ),
        graph(
            "Folded",
            "Records in each step of which an attribute became `_OTHER`, by which limit was reached. Source: "
            "clients. Empty is good.",
            Query(expr=SCOPE.each(FOLDED, group=(FOLD_REASON,)), legend=named(FOLD_REASON)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty="none",
            width=6,
            height=6,
        ),
        graph(
            "Own faults by place",
            "Faults of or-otel kept from applications in each step, by place. Source: clients. Empty is good.",
            Query(expr=SCOPE.each(FAULTS, group=(MODULE,)), legend=named(MODULE)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty="none",
            width=6,
            height=6,
        ),
    ),
)

PIPELINE = Row(
    title="Collector and Prometheus",
    panels=(
        graph(
            "Collector: not delivered",
            "Items a second that the collector's exporters could not deliver. Source: the collector's own metrics. "
            "Empty is good.",
            *(
                Query(expr=_failed(signal), legend=f"{signal} {{{{exporter}}}}")
                for signal in ("metric_points", "spans", "log_records")
            ),
            empty="nothing failed, or no collector",
            width=8,
        ),
        graph(
            "Collector: refused",
            "Items a second that the collector's receivers refused, mostly for want of memory. Source: the "
            "collector's own metrics.",
            *(
                Query(expr=_refused(signal), legend=f"{signal} {{{{receiver}}}}")
                for signal in ("metric_points", "spans", "log_records")
            ),
            empty=NO_COLLECTOR,
            width=8,
        ),
        graph(
            "Collector: queues",
            "How full the queues of the collector's exporters are; at 100 % data are refused. Source: the "
            "collector's own metrics.",
            Query(
                expr="max by (exporter) (otelcol_exporter_queue_size)\n"
                "/ (max by (exporter) (otelcol_exporter_queue_capacity) > 0)",
                legend="{{exporter}}",
            ),
            unit=SHARE,
            empty=NO_COLLECTOR,
            width=8,
        ),
        graph(
            "Rules: time against interval",
            "How much of its interval each group of rules takes; at 100 % evaluations are skipped and money is "
            "late. Source: Prometheus' own metrics.",
            Query(
                expr=_by_group(
                    f"max by (rule_group) (prometheus_rule_group_last_duration_seconds{{{GROUPS}}})\n"
                    f"/ max by (rule_group) (prometheus_rule_group_interval_seconds{{{GROUPS}}})"
                ),
                legend="{{rule_group}}",
            ),
            unit=SHARE,
            empty="Prometheus does not scrape itself",
        ),
        graph(
            "Rules: failed and missed",
            "Evaluations of rules a second that failed, and those skipped for want of time. Source: Prometheus' own "
            "metrics. Zero is right.",
            Query(
                expr=_by_group(
                    f"sum by (rule_group) (rate(prometheus_rule_evaluation_failures_total{{{GROUPS}}}[{RATE}]))"
                ),
                legend="failed {{rule_group}}",
            ),
            Query(
                expr=_by_group(
                    f"sum by (rule_group) (rate(prometheus_rule_group_iterations_missed_total{{{GROUPS}}}[{RATE}]))"
                ),
                legend="missed {{rule_group}}",
            ),
            empty="Prometheus does not scrape itself",
        ),
    ),
)

BOARD = Board(
    uid="or-otel-health",
    subject="Health",
    question="Can I trust these numbers?",
    scope=SCOPE,
    rows=(GLANCE, EXPORTER, CLIENTS, LOSSES, PIPELINE),
    annotations=("alerts", "missed polls"),
)
