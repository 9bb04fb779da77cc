"""Will the money last?"""

from __future__ import annotations

from or_otel import catalogue
from or_otel.dashboards import rules
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.boards.trust import account_age
from or_otel.dashboards.labels import (
    BUDGET,
    KEY_HASH,
    KEY_NAME,
    LEDGER,
    SEVEN_DAYS,
    WINDOW,
    named,
)
from or_otel.dashboards.labels import (
    SCOPE as BUDGET_SCOPE,
)
from or_otel.dashboards.panels import (
    COUNT,
    FACTOR,
    GOOD_UNTIL,
    NO_ACCOUNT,
    SECONDS,
    SHARE,
    TIME,
    USD,
    WHOLE_USD,
    Link,
    Query,
    bars,
    graph,
    stat,
)
from or_otel.dashboards.promql import of
from or_otel.dashboards.tables import Column, table
from or_otel.dashboards.variables import Scope, latest, ratio

SCOPE = Scope(names=("budget", "key"))
BY = (BUDGET, BUDGET_SCOPE)
KEY = (KEY_NAME, KEY_HASH)
NO_BUDGET = "no budget set"
ONE_DAY = f'{WINDOW}="1d"'


def _of_key(row: catalogue.Metric, *more: str) -> str:
    series = of(row)
    return latest(series, *SCOPE.matchers(series, *more), group=KEY)


def _days_left() -> str:
    """Give in how many seconds a budget is used up at the pace of the last week, if its period lasts that long."""
    left = f"({rules.LIMIT.name} - {rules.SPENT.name})"
    to_come = f"({SCOPE.pick(rules.FORECAST, SEVEN_DAYS)} - on ({', '.join(BY)}) {rules.SPENT.name} > 0)"
    on, to_end = f"on ({', '.join(BY)})", f"({rules.END.name} - time())"
    return f"clamp_min({left}, 0) / {on} {to_come}\n* {on} {to_end}\n< {on} {to_end}"


CREDITS = Row(
    title="Credits and keys",
    panels=(
        stat(
            "Credits left",
            "US dollars of credits the account has left, as of the last poll. Needs a management key in the account "
            "exporter.",
            latest(of(catalogue.ACCOUNT_CREDITS_REMAINING)),
            unit=USD,
            decimals=2,
            empty="needs a management key",
        ),
        stat(
            "They last",
            "How long the credits last at the pace of the last six hours. Empty without a management key, or when "
            "nothing was spent.",
            rules.RUNWAY.name,
            unit=SECONDS,
            steps=GOOD_UNTIL["runway"],
            empty="nothing spent, or no management key",
        ),
        stat(
            "Fullest budget",
            "The highest used share of the chosen budgets now. Empty when no budget is set.",
            f"max({SCOPE.pick(rules.USED)})",
            unit=SHARE,
            decimals=0,
            steps=GOOD_UNTIL["budget"],
            empty=NO_BUDGET,
        ),
        stat(
            "Fastest pace",
            "Used share over elapsed share of the period, the highest of the chosen budgets: above 1 is ahead of "
            "time. Noise early in a period. Empty when no budget is set.",
            f"max({SCOPE.pick(rules.PACE)})",
            unit=FACTOR,
            decimals=2,
            empty=NO_BUDGET,
        ),
        stat(
            "Keys without limit",
            "Enabled keys that may spend without end. Source: account exporter.",
            f"count({_of_key(catalogue.KEY_DISABLED)} == 0\n"
            f"unless on ({', '.join(KEY)}) {_of_key(catalogue.KEY_LIMIT)})\n"
            f"or count({_of_key(catalogue.KEY_DISABLED)}) * 0",
            unit=COUNT,
            decimals=0,
            steps=GOOD_UNTIL["lost"],
            empty=NO_ACCOUNT,
        ),
        stat(
            "Age of account data",
            "Seconds since the exporter last heard from OpenRouter; everything on this board but client-side "
            "budgets is as old as that.",
            account_age(),
            unit=SECONDS,
            steps=GOOD_UNTIL["age"],
            empty=NO_ACCOUNT,
            links=(Link(title="Health", board="or-otel-health"),),
        ),
    ),
)

BUDGETS = Row(
    title="Budgets",
    panels=(
        table(
            "All budgets",
            "Each budget in its period: used share, spent and limit in US dollars, how much of the period is over, "
            "pace (used over elapsed), forecasts at the pace of the last day and week, when it is used up if "
            "that comes first, when it starts anew. Sources: account exporter; client-side budgets by recording "
            "rules. Empty cells: no end, or no pace yet.",
            Column(title="Used", expr=SCOPE.pick(rules.USED), unit=SHARE, decimals=0, steps=GOOD_UNTIL["budget"]),
            Column(title="Spent", expr=SCOPE.pick(rules.SPENT), unit=USD, decimals=2),
            Column(title="Limit", expr=SCOPE.pick(rules.LIMIT), unit=USD, decimals=2),
            Column(title="Elapsed", expr=SCOPE.pick(rules.ELAPSED), unit=SHARE, decimals=0),
            Column(title="Pace", expr=SCOPE.pick(rules.PACE), unit=FACTOR, decimals=2),
            Column(
                title="Forecast 1 d",
                expr=f"sum by ({', '.join(BY)}) ({SCOPE.pick(rules.FORECAST, ONE_DAY)})",
                unit=USD,
                decimals=2,
            ),
            Column(
                title="Forecast 7 d",
                expr=f"sum by ({', '.join(BY)}) ({SCOPE.pick(rules.FORECAST, SEVEN_DAYS)})",
                unit=USD,
                decimals=2,
            ),
            Column(title="Used up in", expr=_days_left(), unit=SECONDS, decimals=0, steps=GOOD_UNTIL["runway"]),
            Column(title="Starts anew", expr=f"1000 * {SCOPE.pick(rules.END)}", unit=TIME),
            keys=((BUDGET, "Budget"), (BUDGET_SCOPE, "Scope")),
            hidden=("__name__", "job", "instance"),
            links=(Link(title="Only this one", board="or-otel-budgets", variable="budget"),),
            empty=NO_BUDGET,
            width=24,
        ),
        bars(
            "Used share",
            "Used share of each budget in its period, now. Empty when no budget is set.",
            SCOPE.pick(rules.USED),
            named(BUDGET),
            unit=SHARE,
            decimals=0,
            steps=GOOD_UNTIL["budget"],
            most=1,
            empty=NO_BUDGET,
        ),
        graph(
            "Pace",
            "Used share over elapsed share of each budget's period: 1 ends exactly at its limit. The first "
            "twentieth of a period is noise.",
            Query(expr=f"{SCOPE.pick(rules.PACE)} and {rules.ELAPSED.name} > 0.05", legend=named(BUDGET)),
            unit=FACTOR,
            decimals=1,
            steps=((None, "green"), (1.2, "orange")),
            empty=NO_BUDGET,
            width=8,
        ),
        graph(
            "Burn rate",
            "How many times faster than even each budget was used in the last hour: above 14.4 somebody is paged, "
            "above 6 over six hours somebody is told.",
            Query(expr=SCOPE.pick(rules.BURN["1h"]), legend=f"{named(BUDGET)} 1 h"),
            Query(expr=SCOPE.pick(rules.BURN["6h"]), legend=f"{named(BUDGET)} 6 h"),
            unit=FACTOR,
            decimals=1,
            steps=((None, "green"), (6, "orange"), (14.4, "red")),
            empty=NO_BUDGET,
            width=8,
        ),
        graph(
            "Used over time",
            "Used share of each budget in its period; it falls where a period begins. Lines at 80 % and 100 %.",
            Query(expr=SCOPE.pick(rules.USED), legend=named(BUDGET)),
            unit=SHARE,
            steps=((None, "green"), (0.8, "orange"), (1, "red")),
            empty=NO_BUDGET,
        ),
        graph(
            "Credits",
            "US dollars of credits the account has left. It rises where credits were bought. Needs a management key.",
            Query(expr=latest(of(catalogue.ACCOUNT_CREDITS_REMAINING)), legend="left"),
            unit=WHOLE_USD,
            empty="needs a management key",
            least=None,
        ),
    ),
)

KEYS = Row(
    title="Keys",
    panels=(
        table(
            "Each key",
            "US dollars spent this UTC month (credits and own provider keys), share of the limit left, what is left "
            "and the limit in US dollars, when the limit starts anew, when the key ends and was last used, free "
            "requests left of this UTC day, whether it is disabled (1). Source: account exporter, as of the last "
            "poll. Empty cells: no limit, never, or not said.",
            Column(
                title="Month",
                expr=f"sum by ({', '.join(KEY)}) (max by ({', '.join(KEY)}, {LEDGER}) "
                f"(last_over_time({SCOPE.pick(of(catalogue.KEY_USAGE_MONTHLY))}[5m])))",
                unit=USD,
                decimals=2,
                is_bar=True,
            ),
            Column(
                title="Left of limit",
                expr=ratio(_of_key(catalogue.KEY_LIMIT_REMAINING), _of_key(catalogue.KEY_LIMIT)),
                unit=SHARE,
                decimals=0,
                steps=((None, "red"), (0.1, "orange"), (0.3, "green")),
            ),
            Column(title="Left", expr=_of_key(catalogue.KEY_LIMIT_REMAINING), unit=USD, decimals=2),
            Column(title="Limit", expr=_of_key(catalogue.KEY_LIMIT), unit=USD, decimals=2),
            Column(title="Starts anew", expr=f"1000 * {_of_key(catalogue.KEY_LIMIT_RESET_TIME)}", unit=TIME),
            Column(title="Ends", expr=f"1000 * {_of_key(catalogue.KEY_EXPIRES_TIME)}", unit=TIME),
            Column(title="Last used", expr=f"1000 * {_of_key(catalogue.KEY_LAST_USED_TIME)}", unit=TIME),
            Column(
                title="Free requests left",
                expr=f"{_of_key(catalogue.KEY_FREE_REQUESTS_LIMIT)} - {_of_key(catalogue.KEY_FREE_REQUESTS_USED)}",
                decimals=0,
            ),
            Column(title="Disabled", expr=_of_key(catalogue.KEY_DISABLED), decimals=0, steps=GOOD_UNTIL["lost"]),
            keys=((KEY_NAME, "Key"), (KEY_HASH, "Hash")),
            links=(Link(title="Only this one", board="or-otel-budgets", variable="key"),),
            empty=NO_ACCOUNT,
            width=24,
            height=11,
        ),
    ),
)

BOARD = Board(
    uid="or-otel-budgets",
    subject="Budgets",
    question="Will the money last?",
    scope=SCOPE,
    rows=(CREDITS, BUDGETS, KEYS),
    time_from="now-7d",
    refresh="5m",
    annotations=("alerts", "missed polls"),
)
