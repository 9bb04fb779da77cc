from dataclasses import replace
from decimal import Decimal

from or_otel.facts import Usage
from or_otel.simulator.book import Book, Entry, fingerprint

ENTRY = Entry(
    id="gen-1",
    key="abc",
    model="m",
    permaslug="m-1",
    provider="P",
    usage=Usage(input_tokens=100, output_tokens=40),
    charged=Decimal("0.0005"),
    upstream=Decimal("0.0005"),
    input_cost=Decimal("0.0001"),
    output_cost=Decimal("0.0004"),
)


def changed(**changes) -> Entry:
    return replace(ENTRY, **changes)


def test_sums_are_exact_and_keep_the_two_ledgers_apart():
    book = Book()
    book.enter(ENTRY)
    book.enter(changed(id="gen-2", provider="Q", is_byok=True, charged=Decimal("0.1"), upstream=Decimal("0.2")))

    assert book.total() == Decimal("0.1005")
    assert book.total("upstream") == Decimal("0.2")
    assert book.total("spend") == Decimal("0.3005")
    assert book.by("provider", "spend") == {"P": Decimal("0.0005"), "Q": Decimal("0.3")}


def test_the_same_generation_is_entered_once():
    book = Book()
    book.enter(ENTRY)
    book.enter(ENTRY)

    assert book.entries == (ENTRY,)
    assert book.find("gen-1") is ENTRY
    assert book.find("gen-2") is None


def test_running_sums_follow_the_entries_and_their_corrections():
    book = Book()
    book.enter(ENTRY, changed(id="gen-2", created_at_s=90_000.0), changed(id="gen-3", key="def"))
    before = book.summed(lambda slot: (slot.key, slot.day))
    book.enter(changed(id="gen-2", charged=Decimal(1), created_at_s=10.0))

    after = book.summed(lambda slot: (slot.key, slot.day))

    assert {name: tally.requests for name, tally in before.items()} == {("abc", 0): 1, ("abc", 1): 1, ("def", 0): 1}
    assert {name: tally.requests for name, tally in after.items()} == {("abc", 0): 2, ("def", 0): 1}
    assert after["abc", 0].charged == Decimal("1.0005")
    assert after["abc", 0].last_at_s == 10
    assert book.total() == Decimal("1.001")
    assert book.lifetime()["abc"].input_tokens == 200


def test_sums_can_be_of_one_key_and_leave_slots_out():
    book = Book()
    book.enter(ENTRY, changed(id="gen-2", provider="Q"), changed(id="gen-3", key="def"))

    assert set(book.summed(lambda slot: slot.provider, key="def")) == {"P"}
    assert set(book.summed(lambda slot: slot.provider if slot.provider == "Q" else None)) == {"Q"}
    assert book.summed(lambda slot: slot.day, key="nobody") == {}


def test_a_sum_once_given_does_not_move():
    book = Book()
    book.enter(ENTRY)
    given, lifetime = book.summed(lambda slot: slot.key)["abc"], book.lifetime()["abc"]

    book.enter(changed(id="gen-2"))

    assert given.requests == lifetime.requests == 1
    assert book.lifetime()["abc"].requests == 2


def test_a_provider_that_stops_bills_only_what_was_sent():
    left = ENTRY.cancelled(sent=1, planned=4)

    assert left.is_cancelled
    assert left.usage.output_tokens == 10
    assert left.charged == left.upstream == Decimal("0.0002")


def test_a_provider_that_does_not_stop_bills_everything():
    left = changed(stops_on_cancel=False).cancelled(sent=1, planned=4)

    assert left.is_cancelled
    assert left.charged == Decimal("0.0005")
    assert left.usage.output_tokens == 40


def test_nothing_is_billed_before_the_first_token():
    assert ENTRY.cancelled(sent=0, planned=4).charged == 0


def test_a_byok_fee_shrinks_with_the_answer():
    left = changed(is_byok=True, charged=Decimal("0.00005")).cancelled(sent=1, planned=4)

    assert left.upstream == Decimal("0.0002")
    assert left.charged == Decimal("0.00002")


def test_a_key_is_known_by_twelve_hex_digits_only():
    assert fingerprint("sk-or-v1-demo-search") == "dbffae3131ee"
