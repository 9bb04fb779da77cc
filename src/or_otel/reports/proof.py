"""What we tracked ↔ what a server billed, answer by answer: the proof that both are the same money.

Entries and the bills by generation id come in; sums and differences come out. An answer
whose price we were never told is not a difference: it is named as such, with its bill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from or_otel.entries import Entry
from or_otel.facts import ZERO
from or_otel.reports.money import exact, plural, usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Both sides of one set of answers.

    Attributes:
        tracked, billed: Money of the answers whose price we know: ours, the server's.
        answers: How many these are.
        different: Generation ids on which both sides disagree.
        unpriced_billed: What was billed for answers that we know to be unpriced.
        unpriced: How many these are.
        unseen_billed: What was billed for answers that we never saw.
        unseen: How many these are.
    """

    tracked: Decimal = ZERO
    billed: Decimal = ZERO
    answers: int = 0
    different: tuple[str, ...] = ()
    unpriced_billed: Decimal = ZERO
    unpriced: int = 0
    unseen_billed: Decimal = ZERO
    unseen: int = 0

    @property
    def is_equal(self) -> bool:
        """Whether every price we know is what was billed, and nothing was billed unseen."""
        return self.tracked == self.billed and not self.different and not self.unseen


def proof_of(entries: Iterable[Entry], billed: Mapping[str, Decimal]) -> Proof:
    """Compare entries with what was billed (all ledgers together), by generation id."""
    tracked: dict[str, Decimal | None] = {}
    for entry in entries:
        name = entry.generation_id
        if name is None:
            # Money without a generation cannot be matched: it counts as tracked and is named by its attempt.
            if entry.total:
                tracked[f"attempt {entry.attempt_id}"] = entry.total
        elif tracked.get(name) is None:
            tracked[name] = entry.total
        elif entry.total is not None:
            tracked[name] = (tracked[name] or ZERO) + entry.total
    priced = {name: amount for name, amount in tracked.items() if amount is not None}
    unpriced = [name for name, amount in tracked.items() if amount is None and name in billed]
    unseen = [name for name in billed if name not in tracked and billed[name]]
    return Proof(
        tracked=sum(priced.values(), ZERO),
        billed=sum((billed.get(name, ZERO) for name in priced), ZERO),
        answers=len(priced),
        different=tuple(name for name, amount in priced.items() if amount != billed.get(name, ZERO)),
        unpriced_billed=sum((billed[name] for name in unpriced), ZERO),
        unpriced=len(unpriced),
        unseen_billed=sum((billed[name] for name in unseen), ZERO),
        unseen=len(unseen),
    )


def sentence(proof: Proof) -> str:
    """Say it in one or two sentences."""
    if proof.is_equal:
        said = f"tracked = billed, to the last digit: ${exact(proof.tracked)} over {plural(proof.answers, 'answer')}."
    else:
        said = (
            f"tracked ${exact(proof.tracked)} is not billed ${exact(proof.billed)}: "
            f"{plural(len(proof.different), 'answer')} differ"
        )
        if proof.unseen:
            said += f", {plural(proof.unseen, 'answer')} for {usd(proof.unseen_billed)} went unseen"
        said += "."
    if proof.unpriced:
        said += (
            f" {plural(proof.unpriced, 'answer')} broke off before the price came "
            f"(billed {usd(proof.unpriced_billed)}): counted as unknown, never as zero."
        )
    return said


def to_json(proof: Proof) -> dict[str, object]:
    """Give what `json.dumps` takes."""
    return {
        "is_equal": proof.is_equal,
        "tracked_usd": exact(proof.tracked),
        "billed_usd": exact(proof.billed),
        "answers": proof.answers,
        "different": list(proof.different),
        "unpriced": proof.unpriced,
        "unpriced_billed_usd": exact(proof.unpriced_billed),
        "unseen": proof.unseen,
        "unseen_billed_usd": exact(proof.unseen_billed),
    }
