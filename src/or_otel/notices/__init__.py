"""Notices: what the owner should be told without looking, once, wherever she reads.

`rules.due` says what is new (pure), `memory` keeps what was told over restarts, `sending` delivers
by Apprise. `notify` is one round of all three, for whoever polls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from or_otel.accounts import AccountKey, Credits
from or_otel.budgets import BudgetState
from or_otel.config.options import NotifyOptions
from or_otel.notices.memory import alone, read_state, write_state
from or_otel.notices.rules import ClosedDay, Notice, due
from or_otel.notices.sending import send

logger = logging.getLogger(__name__)

STATE_FILE = "notices.json"
SCREEN_STATE_FILE = "notices-screen.json"
"""Of who has no address and only prints: what a person saw on a screen, the addresses of another process have not."""
PATIENCE_S = 30.0
"""For another process that tells at the moment: some addresses that do not answer."""


def notify(  # noqa: PLR0913 -- what is known, each by its name
    path: Path,
    urls: Iterable[str],
    *,
    options: NotifyOptions,
    now_s: float,
    budgets: Iterable[BudgetState] = (),
    credits: Credits | None = None,  # noqa: A002 -- the word of the subject
    keys: Iterable[AccountKey] = (),
    days: Iterable[ClosedDay] = (),
    tell: Callable[[Notice], None] = lambda _: None,
    patience_s: float = PATIENCE_S,
) -> tuple[Notice, ...]:
    """Tell what is new, and again what could not be delivered in earlier rounds.

    Args:
        path: Where it is kept what was told. Of several processes one at a time reads, tells and writes, so that each
            crossing is told by whoever comes first.
        urls: Apprise URLs; without any, nothing is kept for later.
        options: Which kinds, and their marks.
        now_s: Unix time.
        budgets: How budgets stand.
        credits: The balance; None when not known.
        keys: Keys of the account.
        days: Closed days that were reconciled.
        tell: Called with each new notice before anything is kept or sent: who is interrupted while an address
            hangs has told it here, and the next round tells it there.
        patience_s: How long to wait for another process that tells; after it, all is left to the next round.

    Returns:
        What became due in this round, delivered or not.

    Raises:
        OSError: What was told cannot be kept; then nothing is sent, for it would be sent each round.
        NotifyMissingError: The extra `or-otel[notify]` is not installed.
    """
    with alone(path, patience_s) as is_ours:
        if not is_ours:
            logger.warning("or-otel: another process tells notices of %s and does not end; the next round tells", path)
            return ()
        before = read_state(path)
        new, state = due(before, options=options, now_s=now_s, budgets=budgets, credits=credits, keys=keys, days=days)
        for notice in new:
            tell(notice)
        if state != before:
            write_state(path, state)
        after = send(state, urls, keep=lambda kept: write_state(path, kept))
        if after != state:
            write_state(path, after)
        return new
