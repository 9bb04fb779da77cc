"""`or-otel top`: the ledger, followed live in the terminal."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import click
from rich.console import RenderableType
from rich.live import Live

from or_otel.cli.options import FiniteRange, console, fresh_ledger, ledger_option
from or_otel.days import DAY_S
from or_otel.ledger.following import Following
from or_otel.ledger.queries import DIMENSIONS, dimension_of
from or_otel.reports.top import HOUR_S, Top, render

LONG_CALL_S = 600
"""Calls are found by their begin and counted when they end: those that began so long before are read, too."""


@click.command("top")
@click.option("--by", default="model", show_default=True, metavar="KEY", help=f"A tag, {', '.join(DIMENSIONS)}.")
@click.option("--interval", "interval_s", type=FiniteRange(min=0.2), default=1.0, show_default=True, help="Seconds.")
@click.option("--once", "is_once", is_flag=True, help="Print one frame and end.")
@ledger_option
def top_command(*, by: str, interval_s: float, is_once: bool, folder: Path) -> None:
    """What is being spent right now; Ctrl-C ends it.

    \b
    or-otel top --by team
    or-otel top --once

    Follows every program that writes to this ledger: or-otel run, or_otel.start().
    """  # noqa: D301 -- \b is click's sign to keep the lines
    screen = console()
    with ExitStack() as opened:
        ledger = opened.enter_context(fresh_ledger(folder))
        dimension = dimension_of(ledger, by)

        def begin(ledger: sqlite3.Connection) -> tuple[Following, Top]:
            now_s = time.time()
            begin_s = min(now_s - now_s % DAY_S, now_s - HOUR_S) - LONG_CALL_S
            return Following(folder, ledger, since_s=begin_s), Top(dimension)

        following, top = begin(ledger)

        def look() -> None:
            nonlocal following, top
            if following.is_astray():  # pruned, or erased
                opened.close()
                following, top = begin(opened.enter_context(fresh_ledger(folder)))
            now_s = time.time()
            for change in following.changes(now_s):
                top.add(change.entry, change.before)
            top.forget(now_s)

        def frame() -> RenderableType:
            return render(top, by=by, now_s=time.time(), width=screen.width, problems=following.problems)

        look()
        if not is_once and screen.is_terminal:
            # After Ctrl-C the last frame stays on the ordinary screen.
            with suppress(KeyboardInterrupt), Live(console=screen, screen=True, auto_refresh=False) as live:
                while True:
                    live.update(frame(), refresh=True)
                    time.sleep(interval_s)
                    look()
        screen.print(frame())
