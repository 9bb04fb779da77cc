"""The account side of simulated time: a past in the book, and the exporter that watches it.

The generations of a history enter the server's book when their time has come, so that every reading is what the
account would have told then. Our ledger's side of the same calls is written as journals, as programs would have.
"""

from __future__ import annotations

from bisect import bisect_right
from decimal import Decimal

from prometheus_client import CollectorRegistry

from live.prometheus import scraped
from or_otel import catalogue
from or_otel.account.client import AccountClient
from or_otel.config import read_config
from or_otel.entries import to_line
from or_otel.exporter import Exporter
from or_otel.exporter.page import Families
from or_otel.simulator.account import BYOK_KEY, MANAGEMENT_KEY, SEARCH_KEY, Account
from or_otel.simulator.book import Book
from or_otel.simulator.history import Faults, Shares, entries_of_history, write_history

TARGET = {"job": "or-otel-exporter", "instance": "exporter:9877"}
LEDGER_SERVICE = "harbour-app"
"""The program of `simulator.history`, whose money the local ledger tells."""
DAILY = frozenset(
    catalogue.prometheus_name(row)
    for row in (catalogue.ACTIVITY_COST, catalogue.ACTIVITY_REQUESTS, catalogue.ACTIVITY_TOKENS)
)
"""Thousands of series that change once a day: kept now and then."""
DAILY_S = 4 * 3600
POLL_S = 1200
"""Between two polls, once everything is told every five minutes."""
CONFIG = """\
[account]
watch_models = ["anthropic/claude-haiku-4.5", "openai/gpt-5-mini", "meta-llama/llama-3.3-70b-instruct"]

[[keys]]
name = "north-ferries"
company = "North Ferries"
team = "search"

[[keys]]
name = "pilot-office"
company = "Pilot Office"
team = "support"

[[keys]]
name = "dry-dock"
company = "Dry Dock"
team = "research"

[[keys]]
name = "customs-house"
company = "Customs House"

[[keys]]
name = "chandlery"
company = "Chandlery"

[[keys]]
name = "se*"
company = "Harbour"
team = "search"

[[budgets]]
name = "everything"
limit_usd = 900

[[budgets]]
name = "North Ferries this month"
scope = "company"
value = "North Ferries"
limit_usd = 250

[[budgets]]
name = "Pilot Office today"
scope = "company"
value = "Pilot Office"
limit_usd = 4
period = "day"

[[budgets]]
name = "answers"
scope = "feature"
value = "answer"
limit_usd = 0.25
period = "day"

[[budgets]]
name = "pilotage"
scope = "feature"
value = "pilotage"
limit_usd = 0.005

[[budgets]]
name = "Fjord Tours"
scope = "customer"
value = "Fjord Tours"
limit_usd = 5

[[policies]]
name = "research"
tags = { team = "research" }
forbidden_providers = ["deepseek"]

[[policies]]
name = "lean"
max_input_tokens = 8000
environments = ["production"]
"""


class AccountSide:
    """The past, and its exporter.

    Args:
        server: The scripted OpenRouter.
        folder: Of our ledger.
        begin_s, end_s: Unix times of the past.
        calls_per_day: How lively it is.
    """

    def __init__(self, server, folder, *, begin_s, end_s, calls_per_day):
        self._server = server
        # Written into a book of its own first: the real one learns each generation at its time.
        aside = Account(book=Book(), wall=lambda: end_s)
        history = write_history(
            aside,
            until_s=end_s,
            days=round((end_s - begin_s) / 86_400),
            calls_per_day=calls_per_day,
            shares=Shares(cancelled=0),
            faults=Faults(lost_export=40, foreign_client=25, byok_to_credits=10),
        )
        write_history(server.account, until_s=begin_s, days=0, calls_per_day=0)
        server.account.credits_usd = Decimal(1200)
        server.account.change_key(BYOK_KEY, expires_at_s=end_s + 20 * 86_400)
        # Two polls fail on the last day.
        self._failing_s = (end_s - 7200, end_s - 4800)
        self._generations = history.generations
        self._ours = list(entries_of_history(history))
        self._times = [generation.created_at_s for generation in self._generations]
        self._our_times = [entry.ended_at_s for entry in self._ours]
        self._entered = self._journalled = 0
        self._told = []
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._journal = folder / "harbour-1-1.jsonl"
        self._client = AccountClient(server.base_url, SEARCH_KEY, MANAGEMENT_KEY)
        self._exporter = Exporter(
            self._client,
            read_config(CONFIG, {"OR_OTEL_BASE_URL": server.base_url}),
            asking_key=SEARCH_KEY,
            held_keys=(SEARCH_KEY, MANAGEMENT_KEY),
            folder=folder,
            has_ledger=True,
            chance=lambda: 0.5,
        )
        self._registry = CollectorRegistry()
        self._now_s, self._end_s = begin_s, end_s
        self._registry.register(Families(lambda: self._exporter.readings(self._now_s)))

    def refusals(self, since_s):
        """Give how many polls were refused after a time."""
        return sum(at_s > since_s for at_s in self._failing_s)

    def ours(self, since_s):
        """Give what the local ledger told after a time: entries."""
        return [entry for at_s, entry in self._told if at_s > since_s]

    def live_until(self, at_s):
        """Let the account spend until a time."""
        entered = bisect_right(self._times, at_s)
        self._server.book.enter(*self._generations[self._entered : entered])
        self._entered = entered
        journalled = bisect_right(self._our_times, at_s)
        with self._journal.open("ab") as journal:
            journal.writelines(to_line(entry) for entry in self._ours[self._journalled : journalled])
        self._told += [(at_s, entry) for entry in self._ours[self._journalled : journalled]]
        self._journalled = journalled

    def scrape(self, at_s):
        """Give what the exporter's page tells, after a round."""
        self._now_s = at_s
        if any(0 <= at_s - failing_s < POLL_S for failing_s in self._failing_s):
            self._server.account_fails("/credits", status=502, times=1)
        self._exporter.round(at_s)
        is_told = at_s % DAILY_S == 0 or at_s == self._end_s
        for labels, value in scraped(self._registry.collect(), TARGET):
            if is_told or dict(labels)["__name__"] not in DAILY:
                yield labels, value

    def close(self):
        """End the client, and keep what the account truly is."""
        self._client.close()
        account = self._server.account
        self.credits_left = account.credits_usd - account.used()
        self.keys = {key.name: (key, account.spent(key)) for key in account.keys}
