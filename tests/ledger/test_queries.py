import re
from decimal import Decimal

import pytest

from or_otel.entries import to_line
from or_otel.ledger import DATABASE, open_ledger
from or_otel.ledger.importing import import_journals
from or_otel.ledger.queries import QuestionError, calls, entries, totals, where_from


@pytest.fixture
def ledger_of(tmp_path):
    opened = []

    def make(*made):
        (tmp_path / "host-1-1.jsonl").write_bytes(b"".join(map(to_line, made)))
        import_journals(tmp_path)
        opened.append(open_ledger(tmp_path / DATABASE))
        return opened[-1].__enter__()

    yield make
    for each in opened:
        each.__exit__(None, None, None)


def test_totals_are_exact_where_floats_are_not(ledger_of, entry):
    ledger = ledger_of(*(entry("0.1", tags={"team": "a"}) for _ in range(3)), entry("0.0000001", tags={"team": "b"}))

    rows = totals(ledger, by=["team"])

    assert [(row.group, row.sums.total) for row in rows] == [(("a",), Decimal("0.3")), (("b",), Decimal("0.0000001"))]


def test_what_the_provider_bills_under_byok_is_part_of_the_total_and_otherwise_is_not(ledger_of, entry):
    ledger = ledger_of(
        entry("0.01", upstream=Decimal("0.2"), is_byok=True, billing="byok"),
        entry("0.3", upstream=Decimal("0.3")),
    )

    rows = {row.group: row.sums for row in totals(ledger, by=["billing"])}

    assert (rows["byok",].total, rows["byok",].upstream) == (Decimal("0.21"), Decimal("0.2"))
    assert (rows["credits",].total, rows["credits",].upstream) == (Decimal("0.3"), None)


def test_a_period_holds_its_begin_and_not_its_end(ledger_of, entry):
    ledger = ledger_of(*(entry("1", call_started_at_s=float(at_s)) for at_s in (10, 20, 30)))

    assert [each.call_started_at_s for each in entries(ledger, since_s=10, until_s=30)] == [10, 20]


def test_a_retried_call_is_one_call_and_each_attempt_pays_where_it_was_served(ledger_of, entry):
    ledger = ledger_of(
        entry("0.1", call_id="c", number=1, attempt_count=2, is_last=False, served_provider="Azure"),
        entry("0.2", call_id="c", number=2, attempt_count=2, served_provider="OpenAI"),
    )

    rows = {row.group: row.sums for row in totals(ledger, by=["provider"])}
    (call,) = calls(ledger)

    assert (rows["Azure",].calls, rows["Azure",].total) == (0, Decimal("0.1"))
    assert (rows["OpenAI",].calls, rows["OpenAI",].total) == (1, Decimal("0.2"))
    assert (len(call.entries), call.sums.total) == (2, Decimal("0.3"))


def test_where_narrows_by_dimension_and_tag_together(ledger_of, entry):
    ledger = ledger_of(
        entry("1", tags={"team": "a"}),
        entry("2", tags={"team": "a"}, outcome="error"),
        entry("4", tags={"team": "b"}, outcome="error"),
    )

    (row,) = totals(ledger, where={"team": "a", "outcome": "error"})

    assert row.sums.total == 2


def test_entries_that_do_not_say_form_a_group_of_their_own(ledger_of, entry):
    ledger = ledger_of(entry("1", tags={"team": "a"}), entry("2"))

    assert [row.group for row in totals(ledger, by=["team"])] == [(None,), ("a",)]


def test_the_dearest_calls_come_first_with_their_share_of_everything(ledger_of, entry):
    ledger = ledger_of(entry("1"), entry("6", generation_id="gen-dear"), entry("3"), entry(None, unpriced="cancelled"))

    first, second = calls(ledger, top=2)

    assert first.generation_ids == ("gen-dear",)
    assert (first.cumulative_share, second.cumulative_share) == (Decimal("0.6"), Decimal("0.9"))


def test_calls_that_cost_nothing_have_no_share_of_it(ledger_of, entry):
    free, unknown = calls(ledger_of(entry("0"), entry(None, unpriced="cancelled")))

    assert (free.cumulative_share, unknown.cumulative_share) == (None, None)


@pytest.mark.parametrize(("sort", "winner"), [("duration", "slow"), ("tokens", "long"), ("started", "late")])
def test_calls_can_be_sorted_otherwise(ledger_of, entry, sort, winner):
    ledger = ledger_of(
        entry("1", call_id="slow", duration_s=99.0),
        entry("1", call_id="long", input_tokens=5000, output_tokens=4000),
        entry("1", call_id="wide", input_tokens=6000),
        entry("1", call_id="late", call_started_at_s=5000.0),
    )

    assert calls(ledger, sort=sort)[0].last.call_id == winner


def test_days_are_those_of_utc(ledger_of, entry):
    ledger = ledger_of(entry("1", call_started_at_s=1_795_240_799.0), entry("1", call_started_at_s=1_795_305_601.0))

    assert {row.group for row in totals(ledger, by=["day"])} == {("2026-11-21",), ("2026-11-22",)}


def test_a_misspelt_key_is_refused_with_the_right_one(ledger_of, entry):
    ledger = ledger_of(entry("1", tags={"squad": "a"}))

    with pytest.raises(QuestionError, match="did you mean 'model'"):
        totals(ledger, by=["modle"])
    with pytest.raises(QuestionError, match="did you mean 'squad'"):
        totals(ledger, where={"squda": "a"})
    with pytest.raises(QuestionError, match="known are model, provider"):
        totals(ledger, by=["xyzzy"])


def test_a_tag_that_is_a_dimension_too_is_known_once(ledger_of, entry):
    ledger = ledger_of(entry("1", tags={"workflow": "research"}))

    with pytest.raises(QuestionError) as refused:
        totals(ledger, by=["xyzzy"])

    assert len(re.findall(r"\bworkflow\b", str(refused.value))) == 1


def test_the_usual_tags_may_be_asked_for_before_a_call_has_one(ledger_of, entry):
    assert totals(ledger_of(entry("1")), where={"team": "a"}) == ()


def test_a_value_that_looks_like_sql_is_only_a_value(ledger_of, entry):
    ledger = ledger_of(entry("1", run_id="r"))

    assert totals(ledger, where={"run": "r' OR '1'='1"}) == ()
    assert len(totals(ledger, where={"run": "r"})) == 1


def test_where_pairs_may_hold_an_equals_sign_in_the_value():
    assert where_from(["team=a=b", " model = x "]) == {"team": "a=b", "model": "x"}


@pytest.mark.parametrize("pairs", [["team"], ["=a"], ["team=a", "team=b"]])
def test_where_pairs_that_are_none_are_refused(pairs):
    with pytest.raises(QuestionError):
        where_from(pairs)


def test_a_generation_is_found_by_an_index(ledger_of, entry):
    ledger = ledger_of(entry("1", generation_id="gen-1"))

    plan = ledger.execute("EXPLAIN QUERY PLAN SELECT line FROM attempts WHERE generation_id = 'gen-1'").fetchall()

    assert "attempts_by_generation" in str(plan)


@pytest.fixture
def fetched(entry):
    """Make the entry of a read of a stored response, which bills it."""

    def make(cost="0.5", **fields):
        return entry(cost, **({"api": "responses", "operation": "fetch_response", "response_id": "resp-1"} | fields))

    return make


def test_work_that_several_processes_fetched_is_billed_once(ledger_of, fetched):
    ledger = ledger_of(fetched(), fetched(), fetched(host="other.example"), fetched(response_id="resp-2"))

    (row,) = totals(ledger)

    assert (row.sums.total, row.sums.calls) == (Decimal("1.5"), 4)


def test_of_several_fetches_the_first_that_tells_money_bills(ledger_of, fetched):
    silent = fetched(None, unpriced="not_reported")

    (row,) = totals(ledger_of(silent, fetched(), fetched("0.7")))

    assert (row.sums.total, row.sums.unpriced) == (Decimal("0.5"), {})
