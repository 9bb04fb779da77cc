"""Who spends it?"""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import DataTransformerConfig

from or_otel import catalogue
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import COMPANY, FEATURE, KEY_HASH, KEY_NAME, LEDGER, TEAM
from or_otel.dashboards.panels import COUNT, NO_ACCOUNT, SHARE, USD, Link, Query, graph, money_graph, stat
from or_otel.dashboards.promql import JOB, of, said
from or_otel.dashboards.rules import COST_1H, COST_5M, MONTH_BEFORE, TO_DATE, increase
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import GROUP, Scope, ratio

SCOPE = Scope(names=("environment", "service", "team", "feature", "company"))
CALLS, TOKENS = increase(catalogue.CALLS), increase(catalogue.CLIENT_TOKENS)
SPENT = SCOPE.total(COST_5M, group=(GROUP,))
ALL_SPENT = SCOPE.total(COST_5M)
MONTH, BEFORE = (f"sum({SCOPE.pick(series)})" for series in (TO_DATE["month"], MONTH_BEFORE))
MONTH_BY_GROUP, BEFORE_BY_GROUP = (
    f"sum by ({GROUP}) ({SCOPE.pick(series)})" for series in (TO_DATE["month"], MONTH_BEFORE)
)
LIFETIME = of(catalogue.KEY_USAGE_LIFETIME)
NOTHING = "nothing spent in this range"
SOURCE = "Source: or:cost_usd rules over the one pipeline chosen for each service."


def _unattributed(label: str) -> str:
    """Give the share of the money that carries no such tag."""
    return ratio(f"({SCOPE.total(COST_5M, f'{label}=~{NONE}')} or {ALL_SPENT} * 0)", ALL_SPENT)


WHO = "who"


def _who(expression: str) -> str:
    """Put what is grouped by into a label of one name: the head of a table's column cannot change with a variable."""
    return f'sum by ({WHO}) (label_replace({expression}, "{WHO}", "$1", "{GROUP}", "(.+)"))'


NONE = '"(_OTHER)?"'
"""What was never tagged, and what was folded away."""


def _grown(window: str) -> str:
    """Give what companies' keys spent in a window, or since the exporter knows them."""
    series = SCOPE.pick(LIFETIME)
    return _once(f"max_over_time({series}[{window}]) - min_over_time({series}[{window}])", COMPANY)


def _once(gauges: str, *group: str) -> str:
    """Add up keys, each once, however many exporters tell them."""
    return f"sum by ({', '.join(group)}) (max by ({COMPANY}, {KEY_NAME}, {KEY_HASH}, {LEDGER}) ({gauges}))"


GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Spent in this range",
            f"US dollars of the chosen services, teams and features. {SOURCE}",
            ALL_SPENT,
            unit=USD,
            decimals=2,
        ),
        stat(
            "Spent this month",
            f"US dollars since the first of the month, UTC. {SOURCE}",
            MONTH,
            unit=USD,
            decimals=2,
        ),
        stat(
            "Against last month",
            "Spending since the first of the month compared with the month before up to its same day and time, or its "
            "last day; 0 % is no change. Empty when nothing was spent then, or Prometheus remembers no such time. "
            + SOURCE,
            f"{ratio(MONTH, BEFORE)} - 1",
            unit=SHARE,
            decimals=0,
            empty="nothing before",
        ),
        stat(
            "Without team",
            "Share of the money in this range that no `team` tag claims, or whose team was folded into `_OTHER`. "
            + SOURCE,
            _unattributed(TEAM),
            unit=SHARE,
            decimals=1,
            empty=NOTHING,
        ),
        stat(
            "Without feature",
            "Share of the money in this range that no `feature` tag claims, or whose feature was folded into `_OTHER`. "
            + SOURCE,
            _unattributed(FEATURE),
            unit=SHARE,
            decimals=1,
            empty=NOTHING,
        ),
        stat(
            "Keys without owner",
            "API keys that the settings file gives to no company or team. Source: account exporter.",
            f"max(last_over_time({of(catalogue.KEY_UNASSIGNED).name}[5m]))",
            unit=COUNT,
            decimals=0,
            empty=NO_ACCOUNT,
        ),
    ),
)

GROUPS = Row(
    title="By $group",
    panels=(
        money_graph(
            "Cost",
            f"US dollars in each step by what is chosen in `Group by`; the bars add up. {SOURCE} What is not said "
            "carries no such tag.",
            SCOPE.each(COST_5M, group=(GROUP,)),
            "{{$group}}",
        ),
        graph(
            "Cost, last hour",
            f"US dollars of the hour before each moment, by what is chosen in `Group by`. {SOURCE}",
            Query(expr=said(f"sum by ({GROUP}) ({SCOPE.pick(COST_1H)})", GROUP), legend="{{$group}}"),
            unit=USD,
        ),
        table(
            "Who spends most",
            "The dearest first, with their share and the running share of all before them: the few rows up to 80 % "
            f"are where saving begins. {SOURCE} What is not said carries no such tag.",
            Column(title="Cost", expr=_who(SPENT), unit=USD, decimals=2, is_bar=True),
            Column(
                title="Share",
                expr=_who(f"{SPENT}\n/ on () group_left () ({ALL_SPENT} > 0)"),
                unit=SHARE,
                decimals=1,
            ),
            added=(Column(title="Running share", expr="", unit=SHARE, decimals=1),),
            keys=((WHO, "Who"),),
            transformations=(
                DataTransformerConfig(
                    id_val="sortBy", options={"fields": {}, "sort": [{"field": "Cost", "desc": True}]}
                ),
                DataTransformerConfig(
                    id_val="calculateField",
                    options={
                        "mode": "cumulativeFunctions",
                        "cumulative": {"field": "Share", "reducer": "sum"},
                        "alias": "Running share",
                        "replaceFields": False,
                    },
                ),
            ),
            empty=NOTHING,
        ),
        table(
            "Month to date",
            "US dollars since the first of the month UTC, in the month before up to its same day and time, and in the "
            f"range shown with its calls and tokens. The menu of the panel downloads it as CSV. {SOURCE}",
            Column(title="Month", expr=_who(MONTH_BY_GROUP), unit=USD, decimals=2, is_bar=True),
            Column(title="Last month", expr=_who(BEFORE_BY_GROUP), unit=USD, decimals=2),
            Column(title="Change", expr=_who(f"{ratio(MONTH_BY_GROUP, BEFORE_BY_GROUP)} - 1"), unit=SHARE, decimals=0),
            Column(title="Range", expr=_who(SPENT), unit=USD, decimals=2),
            Column(title="Calls", expr=_who(SCOPE.total(CALLS, group=(GROUP,))), decimals=0),
            Column(title="Tokens", expr=_who(SCOPE.total(TOKENS, group=(GROUP,))), decimals=0),
            keys=((WHO, "Who"),),
            empty=NOTHING,
        ),
    ),
)

COMPANIES = Row(
    title="By company, from the account",
    panels=(
        table(
            "Companies",
            "US dollars that each company's keys spent, credits and own provider keys together, as OpenRouter "
            "counts them: in the last 24 hours, 7 and 30 days, and ever. Windows reach back as far as the exporter "
            "has been running. Companies come from `[[keys]]` of the settings file; the row without name is of keys "
            "that nobody was given.",
            Column(title="30 d", expr=_grown("30d"), unit=USD, decimals=2, is_bar=True),
            Column(title="7 d", expr=_grown("7d"), unit=USD, decimals=2),
            Column(title="24 h", expr=_grown("24h"), unit=USD, decimals=2),
            Column(title="Ever", expr=_once(SCOPE.pick(LIFETIME), COMPANY), unit=USD, decimals=2),
            keys=((COMPANY, "Company"),),
            links=(Link(title="Only this one", board="or-otel-attribution", variable="company"),),
            empty=NO_ACCOUNT,
        ),
        table(
            "Keys of the companies",
            "US dollars of each key this UTC day, week and month, as OpenRouter counts them, credits and own "
            "provider keys apart. Source: account exporter, as of the last poll.",
            *(
                Column(
                    title=title,
                    expr=_once(SCOPE.pick(of(row)), COMPANY, KEY_NAME, LEDGER),
                    unit=USD,
                    decimals=2,
                )
                for title, row in (
                    ("Month", catalogue.KEY_USAGE_MONTHLY),
                    ("Week", catalogue.KEY_USAGE_WEEKLY),
                    ("Day", catalogue.KEY_USAGE_DAILY),
                )
            ),
            keys=((COMPANY, "Company"), (KEY_NAME, "Key"), (LEDGER, "Ledger")),
            links=(Link(title="Only this one", board="or-otel-attribution", variable="company"),),
            empty=NO_ACCOUNT,
        ),
    ),
)

SERVICES = Row(
    title="Services",
    is_collapsed=True,
    panels=(
        money_graph(
            "Cost by service",
            f"US dollars in each step, by service; the bars add up. {SOURCE}",
            SCOPE.each(COST_5M, group=(JOB,)),
            "{{job}}",
            width=24,
            links=(Link(title="Only this one", board="or-otel-attribution", variable="service", label=JOB),),
        ),
    ),
)

BOARD = Board(
    uid="or-otel-attribution",
    subject="Attribution",
    question="Who spends it?",
    scope=SCOPE,
    rows=(GLANCE, GROUPS, COMPANIES, SERVICES),
    time_from="now-7d",
    refresh="5m",
    has_groups=True,
)
