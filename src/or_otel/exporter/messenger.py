"""Notices on a thread of their own: an address that hangs delays no poll, and rounds that came meanwhile are one.

What was told is kept beside the ledger, over restarts.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from or_otel.accounts import AccountKey, Credits
from or_otel.budgets import BudgetState
from or_otel.config.options import NotifyOptions
from or_otel.guard import wall
from or_otel.notices import STATE_FILE, notify
from or_otel.notices.rules import ClosedDay


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What one poll may have to tell.

    Attributes:
        at_s: Unix time.
        budgets, credits, keys, days: As `notices.notify` takes them.
    """

    at_s: float
    budgets: tuple[BudgetState, ...] = ()
    credits: Credits | None = None
    keys: tuple[AccountKey, ...] = ()
    days: tuple[ClosedDay, ...] = ()


class Messenger:
    """Tells the newest news.

    Args:
        folder: Where it is kept what was told.
        urls: Whom; they hold credentials.
        options: What.
    """

    def __init__(self, folder: Path, urls: tuple[str, ...], options: NotifyOptions) -> None:
        self._path = folder / STATE_FILE
        self._urls = urls
        self._options = options
        self._news: News | None = None
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="or-otel-notices", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def offer(self, news: News) -> None:
        """Take news; those not told yet are replaced, for the newer ones hold what lasts."""
        self._news = news
        self._changed.set()

    def _run(self) -> None:
        while True:
            self._changed.wait()
            self._changed.clear()
            news = self._news
            if news is not None:
                self.tell(news)

    def tell(self, news: News) -> None:
        """Tell what is new in it."""
        with wall("exporter.notices"):
            notify(
                self._path,
                self._urls,
                options=self._options,
                now_s=news.at_s,
                budgets=news.budgets,
                credits=news.credits,
                keys=news.keys,
                days=news.days,
            )
