"""The boards keep their promises: to readers, to Grafana, and to the catalogue."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import promql_parser
import pytest

from or_otel import catalogue
from or_otel.dashboards import rules
from or_otel.dashboards.__main__ import all_files
from or_otel.dashboards.boards.all_boards import BOARDS
from or_otel.dashboards.labels import RESPONSE_MODEL
from or_otel.dashboards.promql import LE, PROCESS_LABELS, SOURCE, of, tag
from or_otel.dashboards.render import board_json
from or_otel.dashboards.rulefiles import group_specs
from or_otel.dashboards.variables import GROUPINGS, VARIABLES

ROOT = Path(__file__).parents[2]
JSON = {board.uid: board_json(board) for board in BOARDS}
WANTED = ("overview", "models", "routing", "reliability", "budgets", "attribution")
WANTED += ("agents", "caching", "byok", "health", "governance")

FOREIGN_NAMES = {
    "ALERTS": {"alertname", "alertstate", "severity"},
    "otelcol_exporter_queue_size": {"exporter"},
    "otelcol_exporter_queue_capacity": {"exporter"},
    "otelcol_exporter_sent_metric_points(_total)?": {"exporter"},
    "otelcol_exporter_sent_spans(_total)?": {"exporter"},
    "otelcol_exporter_send_failed_metric_points(_total)?": {"exporter"},
    "otelcol_exporter_send_failed_spans(_total)?": {"exporter"},
    "otelcol_exporter_send_failed_log_records(_total)?": {"exporter"},
    "otelcol_exporter_enqueue_failed_metric_points(_total)?": {"exporter"},
    "otelcol_exporter_enqueue_failed_spans(_total)?": {"exporter"},
    "otelcol_receiver_refused_metric_points(_total)?": {"receiver"},
    "otelcol_receiver_refused_spans(_total)?": {"receiver"},
    "otelcol_receiver_refused_log_records(_total)?": {"receiver"},
    "prometheus_rule_group_last_duration_seconds": {"rule_group"},
    "prometheus_rule_group_interval_seconds": {"rule_group"},
    "prometheus_rule_evaluation_failures_total": {"rule_group"},
    "prometheus_rule_group_iterations_missed_total": {"rule_group"},
}
"""What others measure: the alerts themselves, the collector, Prometheus."""
OWN_NAMES = {
    **{
        series.name: series.labels
        for row in catalogue.METRICS
        for part in (("_bucket", "_sum", "_count") if row.kind == "histogram" else ("",))
        for series in (of(row, part),)
    },
    **{series.name: series.labels for series in rules.RECORDED},
}
COUNTERS = {
    catalogue.prometheus_name(row) for row in catalogue.METRICS if row.kind in {"counter", "observable_counter"}
}
ALWAYS = {"job", "instance", "__name__", "otel_metric_overflow", SOURCE, LE, *PROCESS_LABELS}
TAGS = {tag(name) for name in ("team", "feature", "customer", "company")}
LABELS = set().union(*OWN_NAMES.values(), *FOREIGN_NAMES.values()) | ALWAYS | TAGS
MADE = {"who", "about"}
"""Labels that queries make."""
SUMMING = {"rate", "increase", "resets", "count", "group", "changes", "last_over_time", "min_over_time", "timestamp"}
"""What a raw counter may stand in; `last_over_time` and `min_over_time` as parts of exact increases and counts."""

GRAFANA = {"$__rate_interval": "5m", "$__range": "6h", "$__interval": "5m", "$group": tag("team")}


def filled(expression):
    """Put values for Grafana's variables."""
    for name, value in GRAFANA.items():
        expression = expression.replace(name, value)
    return re.sub(r"\$\w+", "a", expression)


def panels(board):
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def queries():
    for uid, board in JSON.items():
        for panel in panels(board):
            for target in panel.get("targets", ()):
                yield uid, panel, target["expr"]


def rule_expressions():
    return [rule["expr"] for file in group_specs(rules.Choices()).values() for group in file for rule in group["rules"]]


def walk(node, path=()):
    """Give each selector with the names of what it stands in, the outermost first."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node, path
        return
    here = path
    if isinstance(node, promql_parser.Call):
        here = (*path, node.func.name)
    elif isinstance(node, promql_parser.AggregateExpr):
        here = (*path, str(node.op))
    for field in ("lhs", "rhs", "expr", "args", "vector_selector", "param"):
        below = getattr(node, field, None)
        for each in below if isinstance(below, list) else [below]:
            if isinstance(each, promql_parser.Expr) or hasattr(each, "prettify"):
                yield from walk(each, here)


def grouped_labels(node):
    if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
        yield from node.modifier.labels
    for field in ("lhs", "rhs", "expr", "args"):
        below = getattr(node, field, None)
        for each in below if isinstance(below, list) else [below]:
            if hasattr(each, "prettify"):
                yield from grouped_labels(each)


ASKED = sorted({filled(expr) for _, _, expr in queries()} | set(rule_expressions()))


def test_there_is_a_board_for_every_question():
    assert [board.uid for board in BOARDS] == [f"or-otel-{subject}" for subject in WANTED]
    assert all(board.question.endswith("?") for board in BOARDS)


@pytest.mark.parametrize("expr", ASKED)
def test_every_query_is_promql(expr):
    promql_parser.parse(expr)


def test_every_series_is_ours_or_known():
    unknown = Counter()
    for expr in ASKED:
        for selector, _ in walk(promql_parser.parse(expr)):
            names = (
                [selector.name]
                if selector.name
                else [matcher.value for matcher in selector.matchers.matchers if matcher.name == "__name__"]
            )
            for name in names:
                # A group of our own series: a pattern made of their names.
                alternatives = name[1:-1].split("|") if name.startswith("(") else [name]
                unknown.update(each for each in alternatives if each not in OWN_NAMES and each not in FOREIGN_NAMES)

    assert unknown == {}


def test_every_label_asked_for_is_one_the_series_carries():
    wrong = set()
    for expr in ASKED:
        tree = promql_parser.parse(expr)
        for selector, _ in walk(tree):
            carried = set(OWN_NAMES.get(selector.name) or FOREIGN_NAMES.get(selector.name) or LABELS) | ALWAYS | TAGS
            wrong |= {
                (selector.name, matcher.name)
                for matcher in selector.matchers.matchers
                if matcher.name not in carried and matcher.name != "rule_group"
            }
        wrong |= {("by", name) for name in grouped_labels(tree) if name not in LABELS | MADE}

    assert wrong == set()


def test_no_raw_counter_is_shown():
    raw = []
    for uid, panel, expr in queries():
        for selector, path in walk(promql_parser.parse(filled(expr))):
            grows = selector.name in COUNTERS or (selector.name or "").endswith(("_bucket", "_sum", "_count"))
            if grows and not set(path) & SUMMING:
                raw.append((uid, panel["title"], selector.name))

    assert raw == []


def test_money_is_read_from_the_recorded_rules_alone():
    """Except where pipelines are compared, where overflow is looked for, and for what single calls cost."""
    money = {catalogue.prometheus_name(row) for row in (catalogue.COST, catalogue.SPANS_COST, catalogue.LEDGER_COST)}
    raw = {
        (uid, panel["title"])
        for uid, panel, expr in queries()
        for selector, path in walk(promql_parser.parse(filled(expr)))
        if selector.name in money and "count" not in path
    }

    assert raw == {("or-otel-byok", title) for title in ("Clients' counter", "Spans' counter", "Local ledger")}


def test_topk_stands_only_in_instant_queries():
    for board in JSON.values():
        for panel in panels(board):
            for target in panel.get("targets", ()):
                assert "topk" not in target["expr"] or target["instant"], panel["title"]


def test_whole_ranges_are_asked_for_once_and_rates_over_time():
    for board in JSON.values():
        for panel in panels(board):
            for target in panel.get("targets", ()):
                where = (board["uid"], panel["title"])
                if panel["type"] in {"stat", "table", "bargauge"}:
                    assert target["instant"], where
                if panel["type"] in {"timeseries", "heatmap"}:
                    assert not target["instant"], where
                    assert "$__range" not in target["expr"], where
                assert target["range"] is not target["instant"], where


@pytest.mark.parametrize("uid", JSON)
def test_a_board_is_identified_and_leads_on(uid):
    board = JSON[uid]

    assert board["uid"] == uid
    assert len(uid) <= 40
    assert board["title"].startswith("OpenRouter / ")
    assert board["tags"] == ["or-otel", uid.removeprefix("or-otel-")]
    assert board["description"]
    assert board["editable"] is False
    assert board["graphTooltip"] == 1
    assert board["timezone"] == "utc"
    assert board["refresh"] in {"1m", "5m"}
    assert board["id"] is None
    assert "version" not in board
    assert "__inputs" not in board
    (boards, runbooks) = board["links"]
    assert (boards["type"], boards["tags"], boards["keepTime"], boards["includeVars"]) == (
        "dashboards",
        ["or-otel"],
        True,
        True,
    )
    assert runbooks["url"] == "docs/runbooks/README.md"


@pytest.mark.parametrize("uid", JSON)
def test_no_data_source_is_named_but_by_the_variable(uid):
    board = JSON[uid]
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps({**board, "uid": ""}))

    assert set(sources) <= {"", "${datasource}"}
    assert [panel["title"] for panel in panels(board) if "datasource" not in panel] == []


@pytest.mark.parametrize("uid", JSON)
def test_variables_are_chained_and_all_means_all(uid):
    first, *others = JSON[uid]["templating"]["list"]

    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    earlier = []
    for variable in others:
        assert not {"auto", "auto_count", "auto_min"} & set(variable)
        if variable["type"] != "query":
            continue
        assert variable["refresh"] == 2
        assert variable["sort"] == 1
        query = variable["query"]["query"]
        series, name = re.fullmatch(r"label_values\((.*), (\w+)\)", query).groups()
        (selector,) = [each for each, _ in walk(promql_parser.parse(filled(series)))]
        assert name == VARIABLES[variable["name"]].label
        own = {matcher.split("=")[0] for matcher in VARIABLES[variable["name"]].among}
        narrowed = {matcher.name for matcher in selector.matchers.matchers} - own
        assert set(earlier) & OWN_NAMES[selector.name] <= narrowed <= set(earlier)
        if VARIABLES[variable["name"]].is_multi:
            assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")
            earlier.append(name)


@pytest.mark.parametrize("uid", JSON)
def test_a_panel_explains_itself(uid):
    shown = list(panels(JSON[uid]))

    assert len({panel["id"] for panel in JSON[uid]["panels"]} | {panel["id"] for panel in shown}) == len(
        [panel for panel in JSON[uid]["panels"] if panel["type"] == "row"]
    ) + len(shown)
    assert [title for title, times in Counter(panel["title"] for panel in shown).items() if times > 1] == []
    for panel in shown:
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"]
        assert len(panel["description"]) > 30, panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert defaults["unit"], panel["title"]
        assert defaults["noValue"], panel["title"]
        assert panel["type"] in {"stat", "timeseries", "table", "bargauge", "heatmap"}
        for target in panel["targets"]:
            assert not target.get("legendFormat", "").startswith("__auto")
            if panel["type"] == "timeseries":
                assert target["legendFormat"], panel["title"]
        if panel["type"] == "timeseries" and panel["title"] != "Credits":
            assert defaults["min"] == 0, panel["title"]
        # An axis chooses its own decimals: ticks that all say $0.00 tell nothing.
        if panel["type"] != "timeseries" and defaults["unit"].startswith("currency"):
            assert defaults["decimals"] >= 2, panel["title"]


def test_a_row_opens_on_at_most_about_25_panels():
    for board in JSON.values():
        assert len([panel for panel in board["panels"] if panel["type"] != "row"]) <= 26


def test_panels_stand_side_by_side_and_never_on_one_another():
    for board in JSON.values():
        taken = set()
        for panel in board["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert at["x"] + at["w"] <= 24
            assert not cells & taken, (board["uid"], panel["title"])
            taken |= cells


def test_panels_beside_one_another_are_equally_high():
    for board in JSON.values():
        lines = {}
        for panel in panels(board):
            lines.setdefault(panel["gridPos"]["y"], set()).add(panel["gridPos"]["h"])
        assert {y: heights for y, heights in lines.items() if len(heights) > 1} == {}


def test_no_row_of_a_table_lacks_a_label_and_joins_them_all():
    for board in JSON.values():
        for panel in panels(board):
            if panel["type"] == "table":
                (named,) = [step for step in panel["transformations"] if step["id"] == "organize"]
                labels = [name for name in named["options"]["renameByName"] if not name.startswith("Value")]
                for target in panel["targets"]:
                    for label in labels:
                        assert f'"{label}", "not said", "{label}", ""' in target["expr"], panel["title"]


def test_only_parts_of_a_whole_are_stacked():
    for board in JSON.values():
        for panel in panels(board):
            if panel["type"] == "timeseries":
                stacked = panel["fieldConfig"]["defaults"]["custom"].get("stacking", {}).get("mode") == "normal"
                if stacked:
                    assert "$__interval" in panel["targets"][0]["expr"], panel["title"]
                    assert panel["targets"][0]["interval"] == "5m", panel["title"]
                else:
                    assert panel["fieldConfig"]["defaults"]["unit"] != "s" or not stacked


def test_links_lead_to_boards_and_variables_that_exist():
    for board in JSON.values():
        for url in re.findall(r'"/d/([^"]+)"', json.dumps(board)):
            uid, _, query = url.partition("?")
            assert uid in JSON
            assert "${__url_time_range}" in query
            for name, value in re.findall(r"var-(\w+)=([^&]*)", query):
                assert name in {variable["name"] for variable in JSON[uid]["templating"]["list"]}, url
                assert value == "${__value.raw}" or value.startswith("${__field.labels."), url


def test_data_links_carry_only_what_grafana_reads():
    for board in JSON.values():
        for panel in panels(board):
            for link in panel["fieldConfig"]["defaults"].get("links", ()):
                assert set(link) <= {"title", "url", "targetBlank"}


def overrides(panel):
    """Give name or pattern → property → value."""
    return {
        override["matcher"]["options"]: {each["id"]: each["value"] for each in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
    }


def heads(panel):
    """Give the labels that name a table's rows, in order, with their heads."""
    (named,) = [step for step in panel["transformations"] if step["id"] == "organize"]
    return {label: head for label, head in named["options"]["renameByName"].items() if not label.startswith("Value")}


NARROWS_NOTHING = {
    # What is grouped by differs; days, alerts, endpoints are no variable; a reason comes before its service.
    ("or-otel-attribution", "Who spends most"),
    ("or-otel-attribution", "Month to date"),
    ("or-otel-byok", "Day by day"),
    ("or-otel-byok", "Why a price is missing"),
    ("or-otel-overview", "Alerts"),
    ("or-otel-health", "Endpoints"),
}


def test_rows_of_tables_lead_on_by_what_names_them():
    unlinked = set()
    for uid, board in JSON.items():
        for panel in panels(board):
            if panel["type"] == "table":
                label, head = next(iter(heads(panel).items()))
                links = overrides(panel)[head].get("links", ())
                if not links:
                    unlinked.add((uid, panel["title"]))
                for variable in re.findall(r"var-(\w+)=", json.dumps(links)):
                    # Models are asked for by the names under which offers and bookings tell them.
                    of_variable = {VARIABLES[variable].label} | ({RESPONSE_MODEL} if variable == "model" else set())
                    assert label in of_variable, (uid, panel["title"])

    assert unlinked == NARROWS_NOTHING


def test_runs_lead_to_their_traces_in_the_tempo_that_is_chosen():
    board = JSON["or-otel-agents"]
    (table,) = [panel for panel in panels(board) if panel["title"] == "Each workflow"]
    (url,) = [link["url"] for link in overrides(table)["Workflow"]["links"] if "/explore" in link["url"]]
    pane = json.loads(unquote(url.partition("panes=")[2]))["a"]

    assert {"name": "tempo", "type": "datasource", "query": "tempo"}.items() <= board["templating"]["list"][1].items()
    assert pane["datasource"] == pane["queries"][0]["datasource"]["uid"] == "${tempo}"
    assert pane["queries"][0]["query"] == '{ span.gen_ai.workflow.name = "${__value.raw}" }'
    assert pane["range"] == {"from": "${__from}", "to": "${__to}"}


def test_tables_have_place_for_their_columns_on_a_narrow_screen():
    for board in JSON.values():
        for panel in panels(board):
            if panel["type"] == "table":
                asked = sum(
                    each.get("custom.width", each.get("custom.minWidth", 0)) for each in overrides(panel).values()
                )
                assert asked <= 1280 / 24 * panel["gridPos"]["w"] - 24, panel["title"]


def test_what_is_not_there_has_no_colour():
    for board in JSON.values():
        for panel in panels(board):
            if panel["type"] == "table":
                for column in overrides(panel).values():
                    if "thresholds" in column:
                        (mapped,) = column["mappings"]
                        assert mapped["options"] == {"match": "null+nan", "result": {"text": "-", "color": "text"}}


def test_colours_of_good_and_bad_are_not_left_to_chance():
    for uid, title, good, bad in (
        ("or-otel-reliability", "Calls by outcome", "ok", "error"),
        ("or-otel-reliability", "HTTP exchanges by answer", "/^2..$/", "/^5..$/"),
        ("or-otel-routing", "Upstream tries by answer", "/^2..$/", "/^5..$/"),
        ("or-otel-agents", "Runs by outcome", "ok", "error"),
        ("or-otel-models", "Finish reasons", "stop", "error"),
    ):
        (panel,) = [panel for panel in panels(JSON[uid]) if panel["title"] == title]
        painted = overrides(panel)
        assert painted[good]["color"] == {"mode": "fixed", "fixedColor": "green"}, title
        assert painted[bad]["color"] == {"mode": "fixed", "fixedColor": "red"}, title


def test_graphs_have_one_axis_and_a_sorted_table_for_a_legend():
    for board in JSON.values():
        for panel in panels(board):
            if panel["type"] == "timeseries":
                legend = panel["options"]["legend"]
                assert (legend["displayMode"], legend["sortDesc"]) == ("table", True), panel["title"]
                assert legend["calcs"] in (["sum", "max"], ["mean", "max"]), panel["title"]
                assert legend["sortBy"] == {"sum": "Total", "mean": "Mean"}[legend["calcs"][0]]
                assert "axisPlacement" not in panel["fieldConfig"]["defaults"]["custom"]
                assert "axisPlacement" not in json.dumps(panel["fieldConfig"]["overrides"])


def test_shares_over_time_look_back_long_enough_for_little_traffic():
    for board in JSON.values():
        for panel in panels(board):
            if panel["type"] == "timeseries" and panel["fieldConfig"]["defaults"]["unit"] == "percentunit":
                for target in panel["targets"]:
                    assert "increase5m" not in target["expr"] or "[1h:5m]" in target["expr"], panel["title"]


def test_a_sign_of_money_stands_before_its_symbol():
    for uid, title, column in (
        ("or-otel-byok", "Day by day", "Difference"),
        ("or-otel-caching", "Models", "Saved"),
        ("or-otel-caching", "Saved", None),
    ):
        (panel,) = [panel for panel in panels(JSON[uid]) if panel["title"] == title]
        unit = overrides(panel)[column]["unit"] if column else panel["fieldConfig"]["defaults"]["unit"]
        assert unit == "currency:$"


def test_panels_that_runbooks_name_are_there():
    named = {board["title"]: {panel["title"] for panel in panels(board)} for board in JSON.values()}
    for board in JSON.values():
        named[board["title"]] |= {row["title"] for row in board["panels"] if row["type"] == "row"}
        named[board["title"]] |= {
            head for panel in panels(board) if panel["type"] == "table" for head in overrides(panel)
        }
    for path in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for sentence in re.split(r"(?<=[.?:;]) (?=\*\*|[A-Z])|\n", path.read_text(encoding="utf-8")):
            title, *rest = re.findall(r"\*\*(OpenRouter / [^*]+)\*\*|(?<!\*)\*([A-Z][^*]+)\*(?!\*)", sentence) or [
                ("", "")
            ]
            if title[0]:
                assert title[0] in named, path.name
                assert {each for _, each in rest if each} <= named[title[0]], path.name


def test_money_and_latency_of_single_calls_lead_to_their_traces():
    exemplars = {
        (uid, panel["title"])
        for uid, board in JSON.items()
        for panel in panels(board)
        for target in panel["targets"]
        if target.get("exemplar")
    }

    assert {("or-otel-overview", "Cost of single calls"), ("or-otel-reliability", "Duration")} <= exemplars


def test_a_percentile_never_stands_without_its_mean_or_count():
    for uid, board in JSON.items():
        titles = {panel["title"] for panel in panels(board)}
        for panel in panels(board):
            asked = " ".join(target["expr"] for target in panel["targets"])
            if "histogram_quantile" in asked and panel["type"] != "stat":
                assert "_sum" in asked, (uid, panel["title"])
            if "histogram_quantile" in asked and panel["type"] == "stat":
                assert "Mean duration" in titles


@pytest.mark.parametrize("uid", ["or-otel-overview", "or-otel-byok"])
def test_boards_about_money_say_first_whether_they_can_be_trusted(uid):
    row, *rest = JSON[uid]["panels"]
    first = [panel["title"] for panel in rest[:5]]

    assert row["title"] == "Can these numbers be trusted?"
    assert first == [
        "Tracked of billed",
        "Unpriced calls",
        "Age of account data",
        "Services that lose attribution",
        "Age of the rules",
    ]


def test_attribution_shows_what_nobody_claims_and_companies():
    titles = [panel["title"] for panel in panels(JSON["or-otel-attribution"])]
    (companies,) = [panel for panel in panels(JSON["or-otel-attribution"]) if panel["title"] == "Companies"]
    heads = companies["transformations"][1]["options"]["renameByName"]

    assert {"Without team", "Without feature", "Who spends most"} <= set(titles)
    assert {"Company", "24 h", "7 d", "30 d", "Ever"} <= set(heads.values())


def test_grouping_offers_labels_of_the_cost():
    assert set(GROUPINGS.values()) <= rules.COST_5M.labels | TAGS


def test_panels_keep_their_id_when_others_come_and_go():
    board = next(board for board in BOARDS if board.uid == "or-otel-models")
    shorter = type(board)(**{field: getattr(board, field) for field in board.__slots__} | {"rows": board.rows[1:]})

    ids = {panel["title"]: panel["id"] for panel in panels(board_json(board))}
    for panel in panels(board_json(shorter)):
        assert panel["id"] == ids[panel["title"]]


def test_generated_files_say_nothing_of_secrets_or_machines():
    for name, text in all_files().items():
        assert not re.search(r"sk-or-v1|/work/|/root/|/home/", text), name
