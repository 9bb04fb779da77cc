"""Who may use what, and who did otherwise?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import APP, FEATURE, KEY_HASH, KEY_NAME, MODEL, PROVIDER, RULE, TEAM, named
from or_otel.dashboards.panels import COUNT, GOOD_UNTIL, NO_ACCOUNT, SHARE, TIME, USD, Link, Query, graph, stat
from or_otel.dashboards.promql import JOB, of
from or_otel.dashboards.rules import COST_5M, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import RANGE, Scope, latest, ratio

SCOPE = Scope(names=("environment", "service", "team", "key"))
CALLS, BROKEN = increase(catalogue.CALLS), increase(catalogue.POLICY_VIOLATIONS)
KEY = (KEY_NAME, KEY_HASH)
UNNAMED = '"(_OTHER)?"'
NONE_BROKEN = "no rule broken, or none set"


def _of_key(row: catalogue.Metric) -> str:
    series = of(row)
    return latest(series, *SCOPE.matchers(series), group=KEY)


ENABLED = f"({_of_key(catalogue.KEY_DISABLED)} == 0)"
DORMANT_S = 30 * 86400

GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Rules broken",
            "Calls in this range that broke a rule of the owner: provider, model, region, data policy. Source: "
            "clients, by the policies of the settings file.",
            SCOPE.total(BROKEN),
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NONE_BROKEN,
        ),
        stat(
            "Share of calls",
            "Broken rules for each call in this range. Source: clients.",
            ratio(f"({SCOPE.total(BROKEN)} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS)),
            unit=SHARE,
            decimals=2,
        ),
        stat(
            "Calls without team",
            "Share of the calls in this range that no `team` tag claims. Source: clients.",
            ratio(f"({SCOPE.total(CALLS, f'{TEAM}=~{UNNAMED}')} or {SCOPE.total(CALLS)} * 0)", SCOPE.total(CALLS)),
            unit=SHARE,
            decimals=1,
        ),
        stat(
            "Keys without owner",
            "API keys that the settings file gives to nobody. Source: account exporter.",
            latest(of(catalogue.KEY_UNASSIGNED)),
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NO_ACCOUNT,
        ),
        stat(
            "Keys without limit",
            "Enabled keys that may spend without end. Source: account exporter.",
            f"count({ENABLED} unless on ({', '.join(KEY)}) {_of_key(catalogue.KEY_LIMIT)}) or count({ENABLED}) * 0",
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NO_ACCOUNT,
        ),
        stat(
            "Dormant keys",
            "Enabled keys that were not used for thirty days: disable them. Source: account exporter.",
            f"count({ENABLED}\n"
            f"and on ({', '.join(KEY)}) time() - {_of_key(catalogue.KEY_LAST_USED_TIME)} > {DORMANT_S})\n"
            f"or count({ENABLED}) * 0",
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NO_ACCOUNT,
        ),
    ),
)

RULES = Row(
    title="Rules of the owner",
    panels=(
        graph(
            "Broken by rule",
            "Calls in each step that broke a rule, by rule; the bars add up. Source: clients. Empty is good.",
            Query(expr=SCOPE.each(BROKEN, group=(RULE,)), legend=named(RULE)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty=NONE_BROKEN,
            width=8,
        ),
        table(
            "Who broke what",
            "Calls in this range that broke a rule, by rule, service, model and provider. Source: clients. Empty is "
            "good.",
            Column(title="Calls", expr=SCOPE.total(BROKEN, group=(RULE, JOB, MODEL, PROVIDER)), decimals=0),
            keys=((JOB, "Service"), (RULE, "Rule"), (MODEL, "Model"), (PROVIDER, "Provider")),
            links=(Link(title="Only this one", board="or-otel-governance", variable="service"),),
            empty=NONE_BROKEN,
            width=16,
        ),
    ),
)

USE = Row(
    title="What is in use",
    panels=(
        table(
            "Providers and models",
            "Who was given data in this range: calls and US dollars by provider and model. Source: clients.",
            Column(title="Calls", expr=SCOPE.total(CALLS, group=(PROVIDER, MODEL)), decimals=0, is_bar=True),
            Column(title="Cost", expr=SCOPE.total(COST_5M, group=(PROVIDER, MODEL)), unit=USD, decimals=2),
            keys=((PROVIDER, "Provider"), (MODEL, "Model")),
            links=(Link(title="Open in Routing", board="or-otel-routing", variable="provider"),),
        ),
        table(
            "New in this range",
            "Models with calls in this range and none in the range of the same length before it. In a young "
            "Prometheus all are new. Source: clients.",
            Column(
                title="Calls",
                expr=f"({SCOPE.total(CALLS, group=(MODEL,))} > 0)\n"
                f"unless on ({MODEL}) ({SCOPE.total(CALLS, group=(MODEL,), back=RANGE)} > 0)",
                decimals=0,
            ),
            keys=((MODEL, "Model"),),
            links=(Link(title="Open in Models", board="or-otel-models", variable="model"),),
            empty="none",
        ),
        table(
            "Apps, teams and features",
            "Calls in this range by app, service, team and feature. Source: clients.",
            Column(title="Calls", expr=SCOPE.total(CALLS, group=(APP, JOB, TEAM, FEATURE)), decimals=0, is_bar=True),
            keys=((JOB, "Service"), (APP, "App"), (TEAM, "Team"), (FEATURE, "Feature")),
            links=(Link(title="Open in Attribution", board="or-otel-attribution", variable="service"),),
        ),
        table(
            "Keys",
            "Each key: when it was last used, when it ends, whether it is disabled (1). Source: account exporter, "
            "as of the last poll. Empty cells: never, or not said.",
            Column(title="Last used", expr=f"1000 * {_of_key(catalogue.KEY_LAST_USED_TIME)}", unit=TIME),
            Column(title="Ends", expr=f"1000 * {_of_key(catalogue.KEY_EXPIRES_TIME)}", unit=TIME),
            Column(title="Disabled", expr=_of_key(catalogue.KEY_DISABLED), decimals=0),
            keys=((KEY_NAME, "Key"), (KEY_HASH, "Hash")),
            links=(Link(title="Open in Budgets", board="or-otel-budgets", variable="key"),),
            empty=NO_ACCOUNT,
        ),
    ),
)

BOARD = Board(
    uid="or-otel-governance",
    subject="Governance",
    question="Who uses what, and which rules were broken?",
    scope=SCOPE,
    rows=(GLANCE, RULES, USE),
    time_from="now-7d",
    refresh="5m",
)
