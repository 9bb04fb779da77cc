import io
import json
import re
from decimal import Decimal

from inline_snapshot import snapshot
from rich.console import Console

from or_otel.reports.receipt import percentile, receipt_of, render, to_json


def shown(receipt, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render(receipt))
    return console.file.getvalue()


def test_a_receipt_counts_every_kind_of_end_and_keeps_money_exact(entry):
    receipt = receipt_of(
        [
            entry("0.1", duration_s=1.0, time_to_first_chunk_s=0.2),
            entry("0.2", duration_s=3.0, fallback="provider", served_provider="OpenAI"),
            entry(None, outcome="cancelled", unpriced="cancelled"),
            entry(None, outcome="error", error_type="429", error_origin="upstream"),
        ]
    )

    assert receipt.sums.total == Decimal("0.3")
    assert (receipt.sums.calls, receipt.sums.ok, receipt.sums.errors, receipt.sums.cancelled) == (4, 2, 1, 1)
    assert receipt.fallbacks == (("provider", 1),)
    assert receipt.errors == (("429 (upstream)", 1),)
    assert receipt.sums.unpriced == {"cancelled": 1}
    assert (receipt.duration_p50_s, receipt.duration_p95_s, receipt.first_chunk_p50_s) == (1.0, 3.0, 0.2)
    assert [row.name for row in receipt.models] == [("openai/gpt-5-mini", "OpenAI"), ("openai/gpt-5-mini", "Azure")]


def test_retries_are_attempts_beyond_the_first_and_the_call_costs_them_all(entry):
    receipt = receipt_of(
        [
            entry("0.2", call_id="c", number=2, attempt_count=2),
            entry("0.1", call_id="c", number=1, attempt_count=2, is_last=False),
        ]
    )

    assert (receipt.sums.calls, receipt.sums.attempts, receipt.retries) == (1, 2, 1)
    assert [call.sums.total for call in receipt.dearest] == [Decimal("0.3")]


def test_only_the_five_dearest_calls_are_listed(entry):
    receipt = receipt_of([entry(str(cost)) for cost in (1, 7, 3, 5, 2, 6, 4)])

    assert [call.sums.total for call in receipt.dearest] == [7, 6, 5, 4, 3]


def test_percentiles_are_values_that_occurred():
    assert percentile([], 50) is None
    assert percentile([1.0], 95) == 1.0
    assert percentile([float(value) for value in range(1, 101)], 95) == 95.0


def test_nothing_seen_is_said(entry):
    assert shown(receipt_of([])) == "or-otel: no LLM call was seen\n"


def test_unknown_cost_is_unknown_and_a_free_call_is_zero(entry):
    unknown = shown(receipt_of([entry(None, unpriced="not_reported")]))
    free = shown(receipt_of([entry("0")]))
    refused = shown(receipt_of([entry(None, outcome="error", error_type="401", error_origin="edge")]))

    assert "unknown" in unknown
    assert "$0" not in unknown
    assert "1 call the server told no price" in unknown
    assert "unknown" not in free.replace("unknown in", "").replace("unknown out", "")
    assert "$0" in free
    assert "$0" in refused


def test_every_line_fits_eighty_columns_whatever_the_names(entry):
    long = [
        entry(
            "0.001",
            response_model="vendor/" + "model-" * 30,
            served_provider="Provider " * 20,
            generation_id="gen-" + "x" * 60,
            tags={"team": "team" * 40},
        )
        for _ in range(3)
    ]

    assert max(map(len, shown(receipt_of(long)).splitlines())) <= 80


def test_money_and_calls_stay_apart_where_it_is_narrow(entry):
    ends = [entry("0.0469", outcome=outcome) for outcome in ("ok", "error", "cancelled")]

    first = shown(receipt_of(ends), width=36).splitlines()[2]

    assert re.search(r"\$0\.141  +3 calls", first), first


def test_names_from_servers_are_text_and_not_markup(entry):
    assert "[red]evil[/red]" in shown(receipt_of([entry("1", served_provider="[red]evil[/red]")]))


def test_many_models_are_folded_and_their_money_stays_in_sight(entry):
    text = shown(receipt_of([entry(str(cost), response_model=f"m/{cost}") for cost in range(1, 12)]))

    assert "3 more" in text
    assert "$6.00" in text


def test_json_holds_exact_money_and_null_for_the_unknown(entry):
    value = json.loads(
        json.dumps(to_json(receipt_of([entry("0.0000001", tags={"team": "a"}), entry(None, unpriced="error")])))
    )

    assert (value["version"], value["cost_usd"], value["upstream_usd"]) == (1, "0.0000001", None)
    assert value["unpriced"] == {"error": 1}
    assert value["tags"]["team"][0]["value"] == "a"
    assert value["dearest"][0]["cost_usd"] == "0.0000001"


def test_the_receipt_as_people_see_it(entry):
    receipt = receipt_of(
        [
            entry(
                "0.0123",
                generation_id="gen-1",
                tags={"team": "search"},
                input_tokens=12_000,
                output_tokens=800,
                cache_read_tokens=6000,
                reasoning_tokens=200,
                time_to_first_chunk_s=0.4,
            ),
            entry(
                "0.0005",
                upstream=Decimal("0.02"),
                is_byok=True,
                billing="byok",
                served_provider="OpenAI",
                fallback="provider",
                generation_id="gen-2",
                tags={"team": "ads"},
            ),
            entry(None, outcome="cancelled", unpriced="cancelled", response_model="anthropic/claude"),
        ]
    )

    assert shown(receipt) == snapshot("""\
╭─ or-otel receipt ──────────────────────────────────────────────────────────╮
│                                                                            │
│  ≥ $0.0328                              3 calls · 1 cancelled · in 4.00 s  │
│                                                                            │
│  model                         served by         calls   in  out     cost  │
│  openai/gpt-5-mini             OpenAI                1    -    -  $0.0205  │
│  openai/gpt-5-mini             Azure                 1  12k  800  $0.0123  │
│  anthropic/claude              Azure                 1    -    -  unknown  │
│                                                                            │
│  tokens    12k in (50% cached) · 800 out (200 reasoning)                   │
│  paid      $0.0205 over your own keys · $0.0123 from credits               │
│  routes    1 served by a fallback provider                                 │
│  latency   p50 2.00 s, p95 2.00 s · first token p50 400 ms, p95 400 ms     │
│  unpriced  1 call cancelled before the price came                          │
│  team      ads $0.0205 · search $0.0123                                    │
│                                                                            │
│  dearest calls ──────────────────────────────────────────────────────────  │
│  $0.0205  openai/gpt-5-mini                                 2.00 s  gen-2  │
│  $0.0123  openai/gpt-5-mini                                 2.00 s  gen-1  │
│                                                                            │
╰────────────────────────────────────────────────────────────────────────────╯
""")


def test_names_from_outside_steer_no_terminal(entry):
    evil = "m/x\x1b]0;pwn\x07\u202ename\r\n\x9b2J\ud800"
    named = {"request_model": evil, "served_provider": evil, "tags": {"team": evil}, "generation_id": evil}
    failed = {"outcome": "error", "error_type": evil, "error_origin": evil}
    entries = [entry("1", **named), entry("2", **named), entry(None, **named, **failed, unpriced=evil, billing=evil)]

    text = shown(receipt_of(entries), width=200)

    assert "3 calls" in text
    assert not any(sign in text for sign in "\x1b\x07\u202e\r\x9b\ud800")
    assert text.count("\n") == text.count("│\n") + 2  # each line of the frame, its top and its bottom
