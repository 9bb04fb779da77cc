"""A month of the exporter on a clock of its own: nothing grows, nothing is lost, days are kept once."""

from __future__ import annotations

import gc
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from or_otel.account.history import read_activity
from or_otel.days import DAY_S
from or_otel.exporter.page import Families
from or_otel.ledger import DATABASE, open_ledger
from or_otel.simulator.history import write_history

DAYS = 30
STEP_S = 7200.0
LEAK = 3_000
"""Blocks: less than one for each reading of one scrape, of which there are hundreds in these days."""
TOML = """
[[budgets]]
name = "all"
limit_usd = 50
"""


def test_a_month_leaves_memory_flat_and_every_day_in_the_ledger(scene):
    began_s = scene.now_s
    write_history(scene.account, until_s=began_s + DAYS * DAY_S, days=DAYS + 20, calls_per_day=4)
    exporter = scene.exporter(TOML)
    page = Families(lambda: exporter.readings(scene.now_s))
    sizes = []
    while scene.now_s < began_s + DAYS * DAY_S:
        exporter.round(scene.now_s)
        readings = sum(len(family.samples) for family in page.collect())
        if len(sizes) <= (scene.now_s - began_s) // DAY_S:
            scene.server._requests.clear()  # the scripted server remembers what it was asked
            gc.collect()
            sizes.append((sys.getallocatedblocks(), readings))
        scene.now_s += STEP_S

    today = datetime.fromtimestamp(scene.now_s, UTC).date()
    with open_ledger(scene.folder / DATABASE) as ledger:
        rows = read_activity(ledger, today - timedelta(days=DAYS + 25), today)
        (revisions,) = ledger.execute("SELECT max(revision) FROM activity").fetchone()
    last_closed = scene.now_s // DAY_S
    booked = [entry for entry in scene.server.book.entries if entry.created_at_s // DAY_S < last_closed]
    assert sum((row.credits_usd for row in rows), Decimal(0)) == sum((entry.charged for entry in booked), Decimal(0))
    assert sum(row.requests for row in rows) == len(booked)
    assert revisions == 1
    (blocks, early), (last_blocks, late) = sizes[10], sizes[-1]
    # The book of the scripted server was whole from the start; only what is told may differ a little.
    assert last_blocks - blocks < LEAK + 40 * abs(late - early)
