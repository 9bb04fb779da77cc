"""Prices learned by who reads the ledger: which attempts lack one, and putting in what the account's record tells.

For commands and the exporter, which ask with the account's key long after the program has ended.
What a program learned by itself stands in its journal and comes by importing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from or_otel.accounts import Generation
from or_otel.amendments import amendment_of
from or_otel.calls import Amendment
from or_otel.entries import Entry
from or_otel.ledger import writing
from or_otel.ledger.importing import insert_amendment
from or_otel.ledger.queries import entries, find


def unpriced(
    ledger: sqlite3.Connection, *, since_s: float | None = None, until_s: float | None = None
) -> Iterator[Entry]:
    """Give the attempts through OpenRouter whose price is not known but has a record to be asked for, oldest first."""
    for entry in entries(ledger, since_s=since_s, until_s=until_s):
        if entry.unpriced is not None and entry.generation_id is not None and entry.billing != "direct":
            yield entry


def amend(
    ledger: sqlite3.Connection, attempt_id: str, generation: Generation, *, learned_at_s: float
) -> Amendment | None:
    """Put what a generation record tells beside an attempt; asking twice, or by two readers at once, adds nothing.

    Returns:
        What was new; None when nothing was, or when no such attempt is there.
    """
    with writing(ledger):
        entry = next((entry for entry in find(ledger, attempt_id) if entry.attempt_id == attempt_id), None)
        amendment = amendment_of(entry, generation, learned_at_s=learned_at_s) if entry is not None else None
        if amendment is not None:
            insert_amendment(ledger, amendment)
    return amendment
