import random
from decimal import Decimal

import pytest

from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import totals
from or_otel.ledger.retention import erase_where, prune
from or_otel.ledger.workflow_runs import workflow_runs, workflows
from or_otel.runs import RunSaying
from or_otel.runs import to_line as run_line


def end(run_id, at_s, outcome="ok", **more):
    told = {"workflow": "research", "started_at_s": at_s - 10, "ended_at_s": at_s}
    return run_line(RunSaying(outcome_of=run_id, said_at_s=at_s, outcome=outcome, **told | more))


@pytest.fixture
def ask(tmp_path):
    def question(*journals, **options):
        for number, journal in enumerate(journals):
            (tmp_path / f"host-{number}-1.jsonl").write_bytes(b"".join(journal))
        import_journals(tmp_path)
        with open_ledger(tmp_path / DATABASE) as ledger:
            return workflow_runs(ledger, **options)

    return question


@pytest.fixture
def call(entry):
    def make(cost, run_id, at_s=1000.0, **more):
        return to_line(entry(cost, workflow="research", workflow_run_id=run_id, call_started_at_s=at_s, **more))

    return make


def test_a_run_has_its_calls_money_and_model_mix(ask, call):
    (run,) = ask(
        [
            call("0.1", "a", response_model="cheap"),
            call("0.5", "a", response_model="dear"),
            call("0.2", "a", response_model="cheap"),
            end("a", 1010.0, units=4),
        ]
    )

    assert (run.id, run.workflow, run.outcome, run.units, run.sums.calls) == ("a", "research", "ok", 4, 3)
    assert run.sums.total == Decimal("0.8")
    assert list(run.models.items()) == [("dear", Decimal("0.5")), ("cheap", Decimal("0.3"))]


def test_a_judgement_of_hours_later_wins_whatever_is_read_first(ask, call):
    late = run_line(RunSaying(outcome_of="a", said_at_s=9000.0, outcome="error"))

    (run,) = ask([late], [end("a", 1010.0, units=4)], [call("0.1", "a")])

    assert (run.outcome, run.units, run.ended_at_s) == ("error", 4, 1010.0)


def test_what_was_said_is_kept_once_however_often_it_is_read(ask, call, tmp_path):
    lines = [call("0.1", "a"), end("a", 1010.0)]
    ask(lines, lines)

    with open_ledger(tmp_path / DATABASE) as ledger:
        (count,) = ledger.execute("SELECT count(*) FROM run_sayings").fetchone()

    assert count == 1


def test_an_inner_run_counts_for_those_around_it_and_top_level_sums_leave_it_out(ask, call):
    inner = end("b", 1008.0, workflow="search", parent_run_id="a")
    innermost = end("c", 1007.0, workflow="fetch", parent_run_id="b")
    runs = ask([call("0.1", "a"), call("0.2", "b"), call("0.4", "c"), inner, innermost, end("a", 1010.0)])

    costs = {run.workflow: run.sums.total for run in runs}
    outermost = [run for run in runs if run.parent_run_id is None]

    assert costs == {"research": Decimal("0.7"), "search": Decimal("0.6"), "fetch": Decimal("0.4")}
    assert sum(run.sums.total for run in outermost) == Decimal("0.7")


def test_runs_that_are_around_each_other_are_no_endless_loop(ask, call):
    circle = [end("a", 1010.0, parent_run_id="b"), end("b", 1010.0, parent_run_id="a")]

    assert [run.sums.total for run in ask([call("0.1", "a"), *circle])] == [Decimal("0.1")] * 2


def test_the_price_of_a_finished_task_holds_what_the_failed_ones_cost(ask, call):
    runs = ask(
        [
            *(call("0.3", "a"), end("a", 1010.0, units=2)),
            *(call("0.1", "b"), end("b", 1020.0, units=1)),
            *(call("0.4", "c"), end("c", 1030.0, "error")),
            *(call("0.2", "d"), call(None, "d", unpriced="cancelled")),
        ]
    )

    (research,) = workflows(runs)

    assert (research.runs, research.ok, research.errors, research.cancelled) == (4, 2, 1, 0)
    assert (research.cost, research.cost_per_ok_run, research.unpriced_calls) == (Decimal("1.0"), Decimal("0.5"), 1)
    assert research.cost_per_unit == Decimal(1) / 3
    assert research.models == {"openai/gpt-5-mini": Decimal("1.0")}


def test_without_a_finished_task_or_a_price_there_is_no_price_of_one(ask, call):
    (research,) = workflows(ask([call(None, "a", unpriced="error"), end("a", 1010.0, "error")]))

    assert (research.cost, research.cost_per_ok_run, research.cost_per_unit) == (None, None, None)


def test_what_nobody_told_of_a_workflow_stays_unknown_and_hides_no_other_figure(ask, call):
    told = [end("b", 1020.0), call("0.1", "b"), end("c", 1020.0), call("0.2", "c")]
    blind = [call(None, "x", unpriced="error"), end("x", 1010.0, workflow="blind", units=2)]

    research, other = workflows(ask([end("a", 1010.0), call(None, "a", unpriced="error"), *told, *blind]))

    assert (research.name, research.cost, research.unpriced_calls) == ("research", Decimal("0.3"), 1)
    assert (research.units, research.cost_per_unit, research.cost_per_ok_run) == (None, None, Decimal("0.1"))
    assert (other.cost, other.cost_per_unit, other.cost_per_ok_run) == (None, None, None)


def test_a_run_that_only_its_calls_tell_of_began_with_the_first_and_has_their_name(ask, call, entry):
    inner = end("b", 1500.0, workflow="search", parent_run_id="a")
    search = to_line(entry("0.2", workflow="search", workflow_run_id="b", call_started_at_s=1300.0))

    (run, _) = ask([call("0.4", "a", 1200.0), call("0.1", "a", 1100.0), search, inner])

    assert (run.id, run.workflow, run.started_at_s, run.outcome) == ("a", "research", 1100.0, None)
    assert run.sums.total == Decimal("0.7")


def test_a_period_holds_the_runs_that_began_in_it_with_all_their_calls(ask, call):
    early = [call("0.1", "a", 1000.0), call("0.2", "a", 2500.0), end("a", 2600.0, started_at_s=1000.0)]
    late = [call("0.4", "b", 2000.0), end("b", 2100.0, started_at_s=2000.0)]

    assert [(run.id, run.sums.total) for run in ask(early, late, since_s=500.0, until_s=1500.0)] == [
        ("a", Decimal("0.3"))
    ]
    assert [run.id for run in ask(since_s=1500.0)] == ["b"]


def test_a_run_without_calls_is_there_unless_calls_are_asked_for(ask, call):
    lines = [end("empty", 1010.0), call("0.1", "a", tags={"team": "search"}), call("0.2", "a")]

    assert {run.id: run.sums.total for run in ask(lines)} == {"empty": None, "a": Decimal("0.3")}
    assert {run.id: run.sums.total for run in ask(where={"team": "search"})} == {"a": Decimal("0.1")}


def test_calls_can_be_totalled_by_workflow_and_run(ask, call, tmp_path, entry):
    ask([call("0.1", "a"), call("0.2", "b"), to_line(entry("0.4", tags={"workflow": "tagged"})), to_line(entry("0.8"))])

    with open_ledger(tmp_path / DATABASE) as ledger:
        by_workflow = {row.group[0]: row.sums.total for row in totals(ledger, by=["workflow"])}
        by_run = {row.group[0]: row.sums.total for row in totals(ledger, by=["workflow_run"])}

    assert by_workflow == {"research": Decimal("0.3"), "tagged": Decimal("0.4"), None: Decimal("0.8")}
    assert by_run == {"a": Decimal("0.1"), "b": Decimal("0.2"), None: Decimal("1.2")}


def test_what_was_said_of_old_runs_goes_with_them(ask, call, tmp_path):
    ask([call("0.1", "a"), end("a", 1010.0), call("0.1", "b", 5000.0), end("b", 5010.0)])

    with open_ledger(tmp_path / DATABASE) as ledger:
        prune(ledger, older_than_s=3000.0)
        assert [run.id for run in workflow_runs(ledger)] == ["b"]


def test_a_thousand_runs_add_up_to_the_last_digit(ask, call):
    dice = random.Random(7)
    amounts = [Decimal(dice.randrange(1, 10**9)) / 10**12 for _ in range(3000)]
    lines = [call(str(amount), f"run{number % 1000}") for number, amount in enumerate(amounts)]

    runs = ask([*lines, *(end(f"run{number}", 1010.0) for number in range(1000))])

    assert len(runs) == 1000
    assert sum(run.sums.total for run in runs) == sum(amounts)
    assert [run.sums.total for run in runs] == sorted((run.sums.total for run in runs), reverse=True)


def test_runs_of_erased_calls_do_not_stay_as_empty_ones(ask, call, tmp_path):
    ask([call("0.1", "a"), end("a", 1010.0), call("0.1", "b", 5000.0, tags={"customer": "acme"}), end("b", 5010.0)])

    erase_where(tmp_path, {"customer": "acme"}, now_s=6000.0)

    with open_ledger(tmp_path / DATABASE) as ledger:
        assert [run.id for run in workflow_runs(ledger)] == ["a"]


def test_a_workflow_s_sum_keeps_more_digits_than_the_usual_decimal_context(ask, call):
    runs = ask(
        [end("a", 1000.0), end("b", 1000.0), call("12345678901234567890", "a"), call("0.00000000000000000001", "b")]
    )

    (row,) = workflows(runs)

    assert row.cost == Decimal("12345678901234567890.00000000000000000001")
