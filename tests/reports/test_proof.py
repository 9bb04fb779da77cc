from decimal import Decimal

from or_otel.reports.proof import proof_of, sentence, to_json


def test_equal_money_is_proven_to_the_last_digit(entry):
    entries = [
        entry("0.1", generation_id="gen-1"),
        entry("0.01", generation_id="gen-2", upstream=Decimal("0.2"), is_byok=True),
    ]

    proof = proof_of(entries, {"gen-1": Decimal("0.1"), "gen-2": Decimal("0.21")})

    assert proof.is_equal
    assert sentence(proof) == "tracked = billed, to the last digit: $0.31 over 2 answers."


def test_two_errors_that_cancel_out_are_found(entry):
    entries = [entry("0.1", generation_id="gen-1"), entry("0.3", generation_id="gen-2")]

    proof = proof_of(entries, {"gen-1": Decimal("0.2"), "gen-2": Decimal("0.2")})

    assert proof.tracked == proof.billed
    assert not proof.is_equal
    assert proof.different == ("gen-1", "gen-2")


def test_an_answer_never_seen_breaks_the_proof_and_is_named(entry):
    proof = proof_of([entry("0.1", generation_id="gen-1")], {"gen-1": Decimal("0.1"), "gen-2": Decimal("0.5")})

    assert not proof.is_equal
    assert "1 answer for $0.50 went unseen" in sentence(proof)


def test_money_without_a_generation_breaks_the_proof(entry):
    assert not proof_of([entry("0.1")], {}).is_equal


def test_an_answer_known_as_unpriced_is_no_difference_and_is_told(entry):
    proof = proof_of([entry(None, generation_id="gen-1", unpriced="cancelled")], {"gen-1": Decimal("0.002")})

    assert proof.is_equal
    assert "1 answer broke off before the price came (billed $0.002)" in sentence(proof)
    assert to_json(proof)["unpriced_billed_usd"] == "0.002"
