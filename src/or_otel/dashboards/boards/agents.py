"""What do agents and workflows cost?"""

from __future__ import annotations

from or_otel import catalogue, semconv
from or_otel.dashboards.board import Board, Row
from or_otel.dashboards.labels import MODEL, OUTCOME, TOOL_OUTCOME, WORKFLOW, named
from or_otel.dashboards.panels import COUNT, GOOD_UNTIL, SECONDS, SHARE, USD, Link, Query, graph, heat, stat
from or_otel.dashboards.promql import by, of
from or_otel.dashboards.rules import increase
from or_otel.dashboards.tables import Column, Traces, table
from or_otel.dashboards.variables import RANGE, Scope, ratio

SCOPE = Scope(names=("service", "workflow"))
RUNS, TOOLS = increase(catalogue.WORKFLOW_RUNS), increase(catalogue.TOOL_CALLS)
DONE = f'{OUTCOME}="ok"'
BROKEN = f'{TOOL_OUTCOME}!="valid"'
BY = (WORKFLOW,)
NO_RUNS = "no workflow ran: see `or_otel.workflow`"
COST, CALLS, DURATION = catalogue.WORKFLOW_COST, catalogue.WORKFLOW_CALL_COUNT, catalogue.WORKFLOW_DURATION


def _paid(*, group: tuple[str, ...] = ()) -> str:
    return f"sum {by(*group)}(increase({SCOPE.pick(of(COST, '_sum'))}[{RANGE}]))"


def _mean_calls(*, group: tuple[str, ...] = ()) -> str:
    return SCOPE.mean(CALLS, group=group, window=RANGE)


GLANCE = Row(
    title="At a glance",
    panels=(
        stat(
            "Runs",
            "Runs of workflows that ended in this range. Source: clients.",
            SCOPE.total(RUNS),
            decimals=0,
            empty=NO_RUNS,
        ),
        stat(
            "Finished",
            "Share of the runs in this range that ended well, as the program says. Source: clients.",
            ratio(f"({SCOPE.total(RUNS, DONE)} or {SCOPE.total(RUNS)} * 0)", SCOPE.total(RUNS)),
            unit=SHARE,
            decimals=0,
            empty=NO_RUNS,
        ),
        stat(
            "Cost of a run",
            "US dollars of the mean run in this range, nested runs by themselves. Source: clients' histogram.",
            SCOPE.mean(COST, window=RANGE),
            unit=USD,
            decimals=4,
            empty=NO_RUNS,
        ),
        stat(
            "Cost of a finished run",
            "US dollars of all runs over the runs that ended well, in this range: failures are paid too. Source: "
            "clients.",
            ratio(_paid(), SCOPE.total(RUNS, DONE)),
            unit=USD,
            decimals=4,
            empty="no run finished",
        ),
        stat(
            "Calls a run",
            "Model calls of the mean run in this range. Source: clients' histogram.",
            _mean_calls(),
            unit=COUNT,
            decimals=1,
            empty=NO_RUNS,
        ),
        stat(
            "Broken tool calls",
            "Share of the tool calls in this range that could not be run: JSON that does not parse, or an unknown "
            "tool. Source: clients.",
            ratio(f"({SCOPE.total(TOOLS, BROKEN)} or {SCOPE.total(TOOLS)} * 0)", SCOPE.total(TOOLS)),
            unit=SHARE,
            decimals=1,
            steps=GOOD_UNTIL["errors"],
            empty="no tool calls",
        ),
    ),
)

WORKFLOWS = Row(
    title="Workflows",
    panels=(
        table(
            "Each workflow",
            "Runs in this range, the finished share, US dollars of all runs, of the mean run and of a finished one, "
            "calls of the mean run, mean and 95th percentile of the duration. Nested runs have their own rows, and "
            "count in none above. Source: clients.",
            Column(title="Cost", expr=_paid(group=BY), unit=USD, decimals=2, is_bar=True),
            Column(title="Runs", expr=SCOPE.total(RUNS, group=BY), decimals=0),
            Column(
                title="Finished",
                expr=ratio(
                    f"({SCOPE.total(RUNS, DONE, group=BY)} or {SCOPE.total(RUNS, group=BY)} * 0)",
                    SCOPE.total(RUNS, group=BY),
                ),
                unit=SHARE,
                decimals=0,
            ),
            Column(title="A run", expr=SCOPE.mean(COST, group=BY, window=RANGE), unit=USD, decimals=4),
            Column(
                title="A finished run",
                expr=ratio(_paid(group=BY), SCOPE.total(RUNS, DONE, group=BY)),
                unit=USD,
                decimals=4,
            ),
            Column(title="Calls a run", expr=_mean_calls(group=BY), decimals=1),
            Column(title="Mean", expr=SCOPE.mean(DURATION, group=BY, window=RANGE), unit=SECONDS),
            Column(title="p95", expr=SCOPE.quantile(0.95, DURATION, group=BY, window=RANGE), unit=SECONDS),
            keys=((WORKFLOW, "Workflow"),),
            links=(
                Link(title="Only this one", board="or-otel-agents", variable="workflow"),
                Traces(title="Its traces", attribute=semconv.GEN_AI_WORKFLOW_NAME),
            ),
            empty=NO_RUNS,
            width=24,
            height=7,
        ),
        graph(
            "Cost of a run, over time",
            "US dollars of one run: mean and 95th percentile, with exemplars that lead to the trace of a dear run. "
            "Source: clients' histogram.",
            Query(expr=SCOPE.mean(COST, group=BY), legend=f"{named(WORKFLOW)} mean"),
            Query(expr=SCOPE.quantile(0.95, COST, group=BY), legend=f"{named(WORKFLOW)} p95", has_exemplars=True),
            unit=USD,
            empty=NO_RUNS,
        ),
        graph(
            "Calls a run, over time",
            "Model calls of one run: mean and 95th percentile. A rise without a reason is a loop. Source: clients' "
            "histogram.",
            Query(expr=SCOPE.mean(CALLS, group=BY), legend=f"{named(WORKFLOW)} mean"),
            Query(expr=SCOPE.quantile(0.95, CALLS, group=BY), legend=f"{named(WORKFLOW)} p95", has_exemplars=True),
            unit=COUNT,
            decimals=1,
            empty=NO_RUNS,
        ),
        heat(
            "Durations of runs",
            "How many runs took how long; darker is more, the top rows are the longest. Source: clients' histogram.",
            SCOPE.buckets(DURATION),
            unit=SECONDS,
            empty=NO_RUNS,
        ),
        graph(
            "Runs by outcome",
            "Runs in each step by how they ended; the bars add up. Source: clients.",
            Query(expr=SCOPE.each(RUNS, group=(OUTCOME,)), legend=named(OUTCOME)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty=NO_RUNS,
        ),
    ),
)

TOOLING = Row(
    title="Tool calls",
    panels=(
        graph(
            "Tool calls by outcome",
            "Tool calls that models asked for, in each step, by whether they could be run. Source: clients.",
            Query(expr=SCOPE.each(TOOLS, group=(TOOL_OUTCOME,)), legend=named(TOOL_OUTCOME)),
            is_stacked=True,
            calcs=("sum", "max"),
            step="5m",
            empty="no tool calls",
        ),
        table(
            "Tool calls by model",
            "Tool calls in this range by model, and the share that could not be run. Source: clients.",
            Column(title="Calls", expr=SCOPE.total(TOOLS, group=(MODEL,)), decimals=0, is_bar=True),
            Column(
                title="Broken",
                expr=ratio(
                    f"({SCOPE.total(TOOLS, BROKEN, group=(MODEL,))} or {SCOPE.total(TOOLS, group=(MODEL,))} * 0)",
                    SCOPE.total(TOOLS, group=(MODEL,)),
                ),
                unit=SHARE,
                decimals=1,
                steps=GOOD_UNTIL["errors"],
            ),
            keys=((MODEL, "Model"),),
            links=(Link(title="Open in Models", board="or-otel-models", variable="model"),),
            empty="no tool calls",
        ),
    ),
)

BOARD = Board(
    uid="or-otel-agents",
    subject="Agents",
    question="What do agents and workflows cost, and do they get their work done?",
    scope=SCOPE,
    rows=(GLANCE, WORKFLOWS, TOOLING),
    has_traces=True,
)
