from datetime import date, timedelta
from decimal import Decimal

import pytest

from or_otel.accounts import ActivityRow
from or_otel.days import begin_s
from or_otel.reports.causes import Billed, Cause, merged
from or_otel.reports.explaining import explained, placed
from or_otel.reports.reconciliation import compared, rebooked, tracked_from

DAY = date(2026, 11, 20)
NEXT = DAY + timedelta(days=1)
HASH, OTHER = "ab12" * 16, "cd34" * 16
MARK = "0123456789ab"
MINI, FREE = "openai/gpt-5-mini", "meta-llama/llama-3.3-70b-instruct:free"
KEYS = {MARK: HASH}


@pytest.fixture
def call(entry):
    """Make an entry that began so many seconds into a day; by default at its noon."""

    def make(cost=None, *, at_s=43_200.0, day=DAY, took_s=2.0, **fields):
        began_s = begin_s(day) + at_s
        times = {"started_at_s": began_s, "ended_at_s": began_s + took_s, "call_started_at_s": began_s}
        return entry(cost, **times | {"key_id": MARK} | fields)

    return make


def row(credits_usd="0", byok_usd="0", requests=1, *, day=DAY, model=MINI, key_hash=HASH, **fields):
    money = {"credits_usd": Decimal(credits_usd), "byok_usd": Decimal(byok_usd)}
    fields = {"permaslug": f"{model}-2025-08-07", "provider": "OpenAI"} | fields
    return ActivityRow(day=day, model=model, requests=requests, key_hash=key_hash, **money, **fields)


def both(*rows):
    """The rows of single keys, and the account's own."""
    return [*rows, *(ActivityRow(**{**_fields(each), "key_hash": None}) for each in rows)]


def _fields(each):
    return {name: getattr(each, name) for name in ActivityRow.__slots__}


def daily(entries, rows, *, days, hash_of=None):
    tracked = rebooked(tracked_from(entries, rows, hash_of or {}), rows, days)
    return compared(tracked, rows, days=days, by=("key",))


def explain(entries, rows, days=(DAY,), matched=(HASH,), hash_of=None, **more):
    tracked = rebooked(tracked_from(entries, rows, KEYS if hash_of is None else hash_of), rows, days)
    tracked = placed(tracked, [bill for bills in more.get("listed", {}).values() for bill in bills.values()])
    return explained(tracked, rows, days=days, matched=matched, **more)


def told(causes):
    return [(cause.kind, cause.count, cause.credits_usd, cause.byok_usd) for cause in causes]


def listing(*bills, day=DAY, key_hash=HASH):
    return {
        (day, key_hash): {
            name: Billed(id=name, day=day, credits_usd=Decimal(taken), byok_usd=Decimal(byok), user_agent=agent)
            for name, taken, byok, agent in bills
        }
    }


# Sums -----------------------------------------------------------------------------------------------------------------


def test_both_ledgers_are_compared_apart_and_to_the_last_digit(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal("0.3")}
    calls = [call("0.1"), call("0.000000000000000001"), call("0.015", **own)]

    (whole,) = compared(tracked_from(calls, (), {}), both(row("0.115", "0.25", 3)), days=[DAY])

    assert (whole.client.credits_usd, whole.client.byok_usd) == (Decimal("0.115000000000000001"), Decimal("0.3"))
    assert (whole.credits_difference_usd, whole.byok_difference_usd) == (Decimal("-1e-18"), Decimal("-0.05"))
    assert whole.capture_ratio == whole.client.total_usd / Decimal("0.365")
    assert not whole.is_equal


def test_tolerance_is_a_share_of_the_bill_and_holds_for_each_ledger(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal("0.5")}
    (switched,) = compared(tracked_from([call("0", **own)], (), {}), both(row("0.5", "0")), days=[DAY])
    (near,) = compared(tracked_from([call("0.99")], (), {}), both(row("1")), days=[DAY])
    (rounded,) = compared(tracked_from([call("0.9999999999")], (), {}), both(row("1")), days=[DAY])

    assert switched.difference_usd == 0
    assert not switched.is_within(Decimal("0.9"))
    assert (near.is_within(Decimal("0.01")), near.is_within(Decimal("0.009"))) == (True, False)
    assert rounded.is_within(Decimal(0))


def test_a_day_without_anything_is_there_and_equal():
    (whole,) = compared((), (), days=[DAY])

    assert (whole.day, whole.is_equal, whole.capture_ratio) == (DAY, True, None)


def test_what_is_not_openrouter_s_or_was_never_billed_is_left_out(call):
    others = [
        call("5", server="openai"),
        call(None, attempt_outcome="error", status=429),
        call("1", day=NEXT),
        call("0.5"),
    ]

    (whole,) = compared(tracked_from(others, (), {}), (), days=[DAY])

    assert (whole.client.requests, whole.client.credits_usd) == (1, Decimal("0.5"))


def test_an_unpriced_answer_is_counted_with_its_reason_and_not_as_zero_money(call):
    calls = [call(None, unpriced="cancelled"), call(None, unpriced="cancelled"), call(None, unpriced="error")]

    (whole,) = compared(tracked_from(calls, (), {}), (), days=[DAY])

    assert whole.client.unpriced == {"cancelled": 2, "error": 1}
    assert whole.client.requests == 3


def test_models_meet_however_both_sides_write_them(call):
    rows = [row("0.3", requests=3), row("0", model=FREE, permaslug="meta-llama/llama-3.3-70b-instruct")]
    names = [MINI, f"{MINI}-2025-08-07", "gpt-5-mini", FREE]
    calls = [call("0.1" if "mini" in name else "0", response_model=name, request_model=name) for name in names]

    found = compared(tracked_from(calls, rows, KEYS), rows, days=[DAY], by=("key", "model"))

    assert [(each.model, each.client.requests, each.is_equal) for each in found] == [(FREE, 1, True), (MINI, 3, True)]


def test_a_free_variant_is_another_model_though_both_have_one_dated_name(call):
    paid = FREE.removesuffix(":free")
    rows = [row("0.2", model=paid, permaslug=paid), row("0", model=FREE, permaslug=paid)]
    calls = [call("0.2", response_model=paid, request_model=paid), call("0", response_model=paid, request_model=FREE)]

    found = compared(tracked_from(calls, rows, KEYS), rows, days=[DAY], by=("key", "model"))

    assert {each.model: (each.client.requests, each.client.credits_usd) for each in found} == {
        paid: (1, Decimal("0.2")),
        FREE: (1, 0),
    }


def test_of_several_names_of_one_dated_model_the_one_asked_for_counts(call):
    dated, twin, paid = f"{MINI}-2025-08-07", f"{MINI}-latest", FREE.removesuffix(":free")
    rows = [row("0.1", permaslug=dated), row("0.1", model=twin, permaslug=dated), row(model=paid), row(model=FREE)]
    asked = [(dated, twin), (dated, None), ("llama-3.3-70b-instruct", FREE), ("llama-3.3-70b-instruct", paid)]

    found = tracked_from([call("0", response_model=got, request_model=name) for got, name in asked], rows, KEYS)

    assert [each.model for each in found] == [twin, MINI, FREE, paid]


def test_a_variant_is_told_by_its_suffix_where_names_are_written_otherwise(call):
    paid = FREE.removesuffix(":free")
    rows = [row("0.2", model=paid, permaslug=f"{paid}-20250101"), row("0", model=FREE, permaslug=f"{FREE}-20250101")]
    names = ("llama-3.3-70b-instruct", "llama-3.3-70b-instruct:free", "never-heard-of")

    found = tracked_from([call("0", response_model=name, request_model=None) for name in names], rows, KEYS)

    assert [each.model for each in found] == [paid, FREE, "never-heard-of"]


def test_effective_prices_take_off_what_the_contract_says(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal(2), "served_provider": "Amazon Bedrock"}
    rows = both(row("0", "2", provider="Amazon Bedrock"))

    (whole,) = compared(
        tracked_from([call("0", **own)], rows, KEYS), rows, days=[DAY], discounts={"amazon-bedrock": Decimal("0.15")}
    )

    assert whole.client.byok_effective_usd == whole.provider.byok_effective_usd == Decimal("1.70")
    assert whole.client.byok_usd == 2


def test_tokens_add_up_on_both_sides(call):
    tokens = [{"input_tokens": 10, "output_tokens": 4}, {"input_tokens": 7, "output_tokens": 2}]
    rows = both(*(row("0.1", **each) for each in tokens), row("0"))

    (whole,) = compared(tracked_from([call("0.1", **each) for each in [*tokens, {}]], rows, KEYS), rows, days=[DAY])

    assert (whole.client.input_tokens, whole.client.output_tokens) == (17, 6)
    assert (whole.provider.input_tokens, whole.provider.output_tokens) == (17, 6)


def test_each_key_stands_apart_with_its_fingerprint_the_oldest_day_first(call):
    rows = both(row("0.4", key_hash=OTHER), row("0.2", day=NEXT), row("0.1"))
    calls = [call("0.4", key_id="f" * 12), call("0.2", day=NEXT), call("0.1"), call("0.3", key_id=None)]

    found = daily(calls, rows, days=[NEXT, DAY], hash_of=KEYS | {"f" * 12: OTHER})

    assert [(each.day, each.key_hash, each.fingerprint, each.client.credits_usd) for each in found] == [
        (DAY, None, None, Decimal("0.3")),
        (DAY, HASH, MARK, Decimal("0.1")),
        (DAY, OTHER, "f" * 12, Decimal("0.4")),
        (NEXT, HASH, MARK, Decimal("0.2")),
    ]
    assert [each.is_two_sided for each in found] == [False, True, True, True]


def test_an_unknown_fingerprint_stands_alone_and_is_never_joined(call):
    rows = both(row("0.1", key_hash=OTHER))

    found = daily([call("0.1")], rows, days=[DAY], hash_of={})

    assert [(each.key_hash, each.fingerprint, each.is_two_sided) for each in found] == [
        (None, MARK, False),
        (OTHER, None, True),
    ]
    assert [cause.kind for cause in explain([call("0.1")], rows, hash_of={}, matched=())[DAY]] == [
        "unmatched_fingerprint",
        "unmatched_key",
    ]


# Midnight -------------------------------------------------------------------------------------------------------------


def test_a_call_over_midnight_moves_where_both_days_then_agree(call):
    late = call("0.2", at_s=86_399, took_s=5)
    rows = both(row("0.1"), row("0.5", requests=2, day=NEXT))

    found = daily([call("0.1"), late, call("0.3", day=NEXT)], rows, days=[DAY, NEXT])
    keyed = daily([call("0.1"), late, call("0.3", day=NEXT)], rows, days=[DAY, NEXT], hash_of=KEYS)

    assert [each.is_equal for each in keyed] == [True, True]
    assert len(found) == 4  # unmatched: both sides alone


@pytest.mark.parametrize(("at_s", "day"), [(86_300, DAY), (60, NEXT)])
def test_rows_written_late_and_clocks_that_differ_move_calls_both_ways(call, at_s, day):
    booked = NEXT if day == DAY else DAY
    near = call("0.2", at_s=at_s, day=day)

    found = daily([near], both(row("0.2", day=booked)), days=[DAY, NEXT], hash_of=KEYS)

    assert [(each.day, each.is_equal) for each in found] == [(booked, True)]


def test_a_call_is_not_moved_where_no_day_would_agree_or_another_gets_worse(call):
    late = call("0.2", at_s=86_399, took_s=5)
    wrong_sum = both(row("0.05"), row("0.3", day=NEXT))
    worse = both(row("0", requests=0))
    far = call("0.2")

    for entry, rows in ((late, wrong_sum), (late, worse), (far, both(row("0.2", day=NEXT)))):
        found = rebooked(tracked_from([entry], rows, KEYS), rows, [DAY, NEXT])
        assert [each.day for each in found] == [DAY]


def test_a_call_on_an_own_key_is_moved_by_what_its_provider_bills_and_not_by_credits_alone(call):
    late = call("0", at_s=86_399, took_s=5, is_byok=True, billing="byok", upstream=Decimal("0.2"))
    agreeing = both(row("0", "0.2", day=NEXT))
    wrong_sum = both(row("0", "0.05", requests=0), row("0", "0.3", day=NEXT))

    moved, left = (
        [each.day for each in rebooked(tracked_from([late], rows, KEYS), rows, [DAY, NEXT])]
        for rows in (agreeing, wrong_sum)
    )

    assert (moved, left) == ([NEXT], [DAY])


def test_one_known_day_is_enough_where_the_other_is_not_closed_yet(call):
    late, noon = call("0.2", at_s=86_399, took_s=5), call("0.1")

    tracked = rebooked(tracked_from([noon, late], both(row("0.1")), KEYS), both(row("0.1")), [DAY])

    assert [each.day for each in tracked] == [DAY, NEXT]


def test_a_call_that_began_long_before_midnight_and_ended_beyond_it_moves(call):
    long = call("0.2", at_s=80_000, took_s=6500)
    rows = both(row("0.2", day=NEXT))

    assert [each.day for each in rebooked(tracked_from([long], rows, KEYS), rows, [NEXT])] == [NEXT]


def test_a_day_that_agrees_gives_no_call_away_to_one_that_lacks_it(call):
    calls = [call("0.1"), call("0.2", at_s=86_399, took_s=5)]
    rows = both(row("0.3", requests=2), row("0.2", day=NEXT))

    assert [each.day for each in rebooked(tracked_from(calls, rows, KEYS), rows, [DAY, NEXT])] == [DAY, DAY]


def test_a_day_that_lacks_others_too_takes_a_call_that_is_one_too_many_before(call):
    calls = [call("0.1"), call("0.2", at_s=86_399, took_s=5)]
    rows = both(row("0.1"), row("0.7", requests=2, day=NEXT))

    assert [each.day for each in rebooked(tracked_from(calls, rows, KEYS), rows, [DAY, NEXT])] == [DAY, NEXT]


def test_without_rows_of_keys_calls_move_by_the_account_s_own(call):
    late = call("0.2", at_s=86_399, took_s=5)
    rows = [row("0.2", day=NEXT, key_hash=None)]

    assert [each.day for each in rebooked(tracked_from([late], rows, KEYS), rows, [DAY, NEXT])] == [NEXT]


def test_a_call_moves_only_where_its_own_key_is_billed(call):
    strange, late = (call("0.2", at_s=86_399, took_s=5, key_id=mark) for mark in ("f" * 12, MARK))
    rows = both(row("0.2", day=NEXT), row("0.5", requests=2, key_hash=OTHER))

    moved = [rebooked(tracked_from([strange, late], rows, KEYS), rows, days) for days in ([DAY, NEXT], [DAY])]

    assert [[each.day for each in some] for some in moved] == [[DAY, NEXT]] * 2


def test_days_that_agree_once_a_call_has_moved_are_left_alone(call):
    late = call("0.2", at_s=86_399, took_s=5)
    early = [call("0.2", at_s=number, day=NEXT + timedelta(days=1)) for number in (10, 20)]
    rows = both(row("0.2", day=NEXT))

    moved = rebooked(tracked_from([late, *early], rows, KEYS), rows, [DAY, NEXT])

    assert [each.day for each in moved] == [NEXT, *[NEXT + timedelta(days=1)] * 2]


@pytest.mark.parametrize(
    ("booked", "fields"),
    [
        (row("0.2", requests=0, day=NEXT), {}),
        (row("0", requests=1, day=NEXT), {}),
        (row("0", requests=1, day=NEXT), {"charged": Decimal(0), "is_byok": True, "upstream": Decimal("0.2")}),
    ],
)
def test_neither_requests_nor_credits_nor_own_keys_may_get_worse_by_a_move(call, booked, fields):
    late = call("0.2", at_s=86_399, took_s=5, **fields)
    rows = both(row("0", requests=0), booked)

    assert [each.day for each in rebooked(tracked_from([late], rows, KEYS), rows, [DAY, NEXT])] == [DAY]


@pytest.mark.parametrize("costs", [("0.1", "0.1", "0.1"), ("0.3", "0.2", "0.1"), ("0.1", "0.2", "0.3")])
@pytest.mark.parametrize("is_first_day_known", [True, False])
def test_a_program_that_is_busy_at_every_midnight_agrees_on_every_day(call, costs, is_first_day_known):
    days = [DAY + timedelta(days=number) for number in range(4)]
    noon = [call("0.7", day=day) for day in days]
    late = [call(cost, at_s=86_399, took_s=5, day=day) for cost, day in zip(costs, days, strict=False)]
    billed = ["0.7", *(str(Decimal("0.7") + each.charged) for each in late)]
    rows = both(*(row(usd, requests=1 + (day != DAY), day=day) for usd, day in zip(billed, days, strict=True)))
    known = days if is_first_day_known else days[1:]

    moved = rebooked(tracked_from([*noon, *late], rows, KEYS), rows, known)

    assert [each.day for each in moved if each.entry in late] == days[1:]
    assert all(each.is_equal for each in daily([*noon, *late], rows, days=known, hash_of=KEYS))


def test_calls_at_several_midnights_stay_where_the_last_day_would_be_worse(call):
    days = [DAY + timedelta(days=number) for number in range(3)]
    late = [call("0.1", at_s=86_399, took_s=5, day=day) for day in days[:2]]
    rows = both(row("0", requests=0), row("0.1", day=days[1]), row("0", requests=0, day=days[2]))

    moved = rebooked(tracked_from(late, rows, KEYS), rows, days)

    assert [each.day for each in moved] == days[:2]


def test_near_midnights_with_many_calls_those_that_do_not_cross_it_stay(call):
    near = [call(f"0.0{number}", at_s=86_200 + number) for number in range(1, 30)]
    rows = both(row(str(sum(each.charged for each in near[1:])), requests=28), row("0.01", day=NEXT))

    assert {each.day for each in rebooked(tracked_from(near, rows, KEYS), rows, [DAY, NEXT])} == {DAY}


def test_only_those_of_many_near_a_midnight_move_that_make_it_right(call):
    near = [call(f"0.00{number}", at_s=86_390 + number, took_s=8) for number in range(1, 9)]
    beyond = [near[1], near[4], near[6]]
    rows = both(
        row(str(sum(each.charged for each in near if each not in beyond)), requests=5),
        row(str(sum(each.charged for each in beyond)), requests=3, day=NEXT),
    )

    found = daily(near, rows, days=[DAY, NEXT], hash_of=KEYS)

    assert [each.is_equal for each in found] == [True, True]


def test_near_midnights_with_many_calls_only_those_that_cross_it_are_tried(call):
    near = [call(f"0.0{number}", at_s=86_200 + number) for number in range(1, 30)]
    late = call("5", at_s=86_399, took_s=5)
    rows = both(row(str(sum(each.charged for each in near)), requests=29), row("5", day=NEXT))

    found = daily([*near, late], rows, days=[DAY, NEXT], hash_of=KEYS)

    assert [each.is_equal for each in found] == [True, True]


# Causes by sums -------------------------------------------------------------------------------------------------------


def test_the_only_cause_that_can_be_takes_the_difference_and_says_likely(call):
    calls = [call("0.1"), call(None, unpriced="cancelled", generation_id="gen-1")]

    (cause,) = explain(calls, both(row("0.15", requests=2)))[DAY]

    assert told([cause]) == [("cancelled", 1, Decimal("0.05"), 0)]
    assert (cause.is_certain, cause.examples) == (False, ("gen-1",))
    assert "--lookup asks for 1 record" in cause.evidence


def test_two_that_can_be_leave_the_money_unexplained(call):
    calls = [call("0.1"), call(None, unpriced="not_reported")]

    causes = explain(calls, both(row("0.4", requests=5)))[DAY]

    assert told(causes) == [
        ("unexplained", 0, Decimal("0.3"), 0),
        ("unpriced", 1, None, None),
        ("untracked", 3, None, None),
    ]
    assert "answered without a price" in causes[0].evidence


def test_more_requests_than_entries_are_untracked(call):
    one_of_two = explain([call("0.1")], both(row("0.3", requests=2)))[DAY]
    nothing = explain([call("0.1", day=NEXT)], both(row("0.2")))[DAY]

    assert told(one_of_two) == [("untracked", 1, Decimal("0.2"), 0)]
    assert told(nothing) == [("untracked", 1, Decimal("0.2"), 0)]
    assert explain([], both(row("0.2")))[DAY] == nothing
    assert nothing[0].evidence == "no entry with this key on that day"


def test_matching_amounts_on_both_ledgers_are_a_switch_up_to_the_fee(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal(1)}

    switched = explain([call("0.05", **own)], both(row("1", "0")))[DAY]
    apart = explain([call("0.05", **own)], both(row("0.5", "0")))[DAY]

    assert told(switched) == [("byok_switch", 0, Decimal("0.95"), -1)]
    assert [cause.kind for cause in apart] == ["unexplained"]


def test_rows_below_zero_are_refunds(call):
    rows = both(row("0.3"), row("-0.1", requests=0, endpoint_id="refund"))

    assert told(explain([call("0.3")], rows)[DAY]) == [("refund", 0, Decimal("-0.1"), 0)]


def test_more_tracked_than_billed_has_no_cause_without_a_list(call):
    assert told(explain([call("0.3")], both(row("0.1")))[DAY]) == [("unexplained", 0, Decimal("-0.2"), 0)]


def test_a_batch_may_be_booked_on_the_day_it_ended(call):
    (cause,) = explain([call("0.1"), call("0.4", api="batches")], both(row("0.1")))[DAY]

    assert told([cause]) == [("batch", 1, Decimal("-0.4"), 0)]
    assert not cause.is_certain


def test_billionths_are_rounding(call):
    causes = explain([call("0.1000000001")], both(row("0.1")))[DAY]

    assert told(causes) == [("rounding", 0, Decimal("-1e-10"), 0)]


def test_spending_of_keys_that_are_gone_is_the_account_s_rest(call):
    rows = [*both(row("0.1")), row("0.7", requests=4, key_hash=None)]

    assert told(explain([call("0.1")], rows)[DAY]) == [("unlisted_key", 4, Decimal("0.7"), 0)]


def test_without_rows_of_keys_a_day_is_explained_as_a_whole(call):
    (cause,) = explain([call("0.1")], [row("0.3", requests=2, key_hash=None)])[DAY]

    assert told([cause]) == [("untracked", 1, Decimal("0.2"), 0)]


def test_replayed_answers_and_own_keys_that_failed_are_notes(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal(1), "served_provider": "Anthropic"}
    fallen = {"served_provider": "Anthropic", "route_path": ("Anthropic m 429", "Anthropic m 200")}
    calls = [call("0", is_response_cache_hit=True), call("0", **own), call("0.2", **fallen)]

    causes = explain(calls, both(row("0.2", "1", requests=3)))[DAY]

    assert told(causes) == [("byok_to_credits", 1, Decimal("0.2"), 0), ("cache_hit", 1, 0, 0)]
    assert all(cause.is_note for cause in causes)


# Causes answer by answer ----------------------------------------------------------------------------------------------


def test_each_answer_is_held_against_its_own_bill(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal("0.5")}
    calls = [
        call("0.1", generation_id="same"),
        call(None, generation_id="left", unpriced="cancelled"),
        call(None, generation_id="never", unpriced="error"),
        call("0.02", generation_id="switched", **own),
        call("0.3", generation_id="less"),
        call("0.4", generation_id="more"),
        call("0.6", generation_id="gone"),
        call("0.1", generation_id="same"),
    ]
    bills = [
        ("same", "0.1", "0", None),
        ("left", "0.05", "0", None),
        ("switched", "0.5", "0", None),
        ("less", "0.25", "0", None),
        ("more", "0.41", "0", None),
        ("strange", "0.7", "0", None),
    ]
    billed = sum(Decimal(bill[1]) for bill in bills)

    causes = explain(calls, both(row(str(billed), requests=6)), listed=listing(*bills))[DAY]

    assert {(kind, count, taken, byok) for kind, count, taken, byok in told(causes)} == {
        ("untracked", 1, Decimal("0.7"), 0),
        ("not_booked", 1, Decimal("-0.6"), 0),
        ("counted_twice", 1, Decimal("-0.1"), 0),
        ("cancelled", 1, Decimal("0.05"), 0),
        ("refund", 1, Decimal("-0.05"), 0),
        ("byok_switch", 1, Decimal("0.48"), Decimal("-0.5")),
        ("repriced", 1, Decimal("0.01"), 0),
        ("unpriced", 1, 0, 0),
    }
    assert all(cause.is_certain for cause in causes)


def test_a_user_agent_tells_another_program_from_lost_lines(call):
    bills = listing(("a", "0.1", "0", "ours/1"), ("b", "0.2", "0", "theirs/1"), ("c", "0.4", "0", None))
    rows = both(row("0.7", requests=3))

    causes = explain([], rows, listed=bills, agents={HASH: {"ours/1"}})[DAY]
    blind = explain([], rows, listed=bills)[DAY]

    assert [(cause.kind, cause.examples) for cause in causes] == [
        ("untracked", ("c",)),
        ("other_program", ("b",)),
        ("lost_export", ("a",)),
    ]
    assert told(blind) == [("untracked", 3, Decimal("0.7"), 0)]


def test_the_list_moves_a_call_to_the_day_it_is_booked_on(call):
    late = call("0.2", at_s=86_399, took_s=5, generation_id="late")
    rows = both(row("0", requests=0), row("0.9", requests=2, day=NEXT))
    bills = listing(("late", "0.2", "0", None), ("strange", "0.7", "0", None), day=NEXT)

    causes = explain([late], rows, days=[DAY, NEXT], listed=bills)

    assert causes[DAY] == ()
    assert told(causes[NEXT]) == [("untracked", 1, Decimal("0.7"), 0), ("midnight", 1, Decimal("0.2"), 0)]


def test_causes_always_add_up_to_the_difference(call):
    own = {"is_byok": True, "billing": "byok", "upstream": Decimal("0.5")}
    calls = [call("0.1"), call("0.02", **own), call(None, unpriced="cancelled"), call("0.3", api="videos")]
    rows = both(row("0.9", "0.2", requests=7), row("-0.05", requests=0, endpoint_id="x"))

    causes = explain(calls, rows)[DAY]
    (whole,) = compared(tracked_from(calls, rows, KEYS), rows, days=[DAY])

    counted = [cause for cause in causes if not cause.is_note]
    assert sum(cause.credits_usd or 0 for cause in counted) == whole.credits_difference_usd
    assert sum(cause.byok_usd or 0 for cause in counted) == whole.byok_difference_usd


def test_causes_of_several_days_add_up_by_kind(call):
    rows = both(row("0.3", requests=2), row("0.5", requests=2, day=NEXT))
    causes = explain([call("0.1"), call("0.1", day=NEXT)], rows, days=[DAY, NEXT])

    assert told(merged([*causes[DAY], *causes[NEXT]])) == [("untracked", 2, Decimal("0.6"), 0)]


def test_merged_causes_are_as_certain_as_the_least_certain_and_stand_by_their_money():
    causes = [
        Cause(kind="midnight", count=1, credits_usd=Decimal(9)),
        Cause(kind="unpriced", count=2),
        Cause(kind="batch", count=1, byok_usd=Decimal("0.1"), evidence="one", examples=("a", "b", "c")),
        Cause(kind="refund", count=1, credits_usd=Decimal("-0.5"), byok_usd=Decimal("0.1")),
        Cause(kind="batch", count=1, byok_usd=Decimal("0.1"), evidence="two", is_certain=False, examples=tuple("defg")),
    ]

    found = merged(causes)

    assert [(cause.kind, cause.total_usd) for cause in found] == [
        ("refund", Decimal("-0.4")),
        ("batch", Decimal("0.2")),
        ("unpriced", None),
        ("midnight", Decimal(9)),
    ]
    assert (found[1].evidence, found[1].is_certain, found[1].examples) == ("one; two", False, tuple("abcde"))
