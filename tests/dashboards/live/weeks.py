"""The whole: starts everything, lives through five weeks, and tells what is true.

Money of watched programs is known exactly from the server's book; each step of simulated time says how much. The same
folder and time give the same traffic.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from live.account import CONFIG, LEDGER_SERVICE, POLL_S, AccountSide
from live.prometheus import Prometheus
from live.recorded import STEP_S, Span, fire, record, rules_of
from live.scenes import HOURS
from live.service import Service
from live.trouble import UpsetStack
from or_otel import catalogue
from or_otel.catalogue import prometheus_name
from or_otel.config import read_config
from or_otel.dashboards.rulefiles import rule_files
from or_otel.dashboards.rules import Choices
from or_otel.simulator.server import ScriptedOpenRouter

DAY_S = 86_400
DAYS = 35
WEEK_S = 8 * DAY_S
APART_S = 1800
"""Between two steps of a dense last week, but for the last day."""
FAR_S = 8 * 3600
"""Between two steps of the weeks before the last one."""
SOME = 30
"""Scenes, among which are most."""
RARE = "pilot-station"
"""Asks once a day, and nobody else asks for its feature."""
LANES = {"harbour-desk": "scrape", "harbour-api": "push", "nightly-report": "job", RARE: "scrape"}
TROUBLED = "old-worker"
"""Leaves streams early and never asks what they cost: unpriced, so no part of any sum of money. Its ledger can be
written nowhere, a plug-in of its tracing fails, and it has more customers than its metrics may name."""
EDGE = "edge"
"""Lives at real time: the collector makes its money from spans, with its own clock. Its SDK holds few sets."""


@dataclass(slots=True, kw_only=True)
class Weeks:
    """What was lived through.

    Attributes:
        prometheus: To ask.
        now_s: Unix time at which the past ends.
        folder: Of rule files, logs, data.
        booked: Service → (Unix time at which it was told, entry of the server's book).
        counts: Service → (Unix time at which it was told, what its own records counted).
        collector: What the collector's own counters must tell: name → sum.
        account: The account at the end.
    """

    prometheus: Prometheus
    now_s: float
    folder: Path
    stack: UpsetStack
    collector: Mapping[str, int] = field(default_factory=dict)
    booked: dict[str, list] = field(default_factory=dict)
    counts: dict[str, list] = field(default_factory=dict)
    account: AccountSide | None = None

    def bills(self, since_s: float, *services: str):
        """Give what services, or all but the ledger's, were billed for after a time: entries of the book."""
        names = services or [name for name in self.booked if name != TROUBLED]
        return [entry for name in names for at_s, entry in self.booked[name] if at_s > since_s]

    def count(self, since_s: float, *services: str) -> Counter:
        """Give what services counted after a time."""
        found = [counts for name in services or self.counts for at_s, counts in self.counts[name] if at_s > since_s]
        return sum(map(Counter, found), Counter())

    def processes(self, since_s: float) -> int:
        """Give how many processes exported after a time: a job is one at each of its orders."""
        told = {name: sum(at_s > since_s for at_s, _ in self.counts[name]) for name in self.counts}
        return sum(count if LANES.get(name) == "job" else count > 0 for name, count in told.items())

    def stop(self):
        """End the programs."""
        self.stack.stop_all()


def live_through(folder: Path, *, is_dense: bool = False, said=lambda _: None) -> Weeks:
    """Live through the weeks before now.

    Args:
        folder: For everything; empty.
        is_dense: Whether a graph of the last day or week shall look as it does in life: takes three times as long.
        said: Told how far it is.
    """
    apart_s, hours = (APART_S, 25) if is_dense else (7200, 7)
    # Programs that measure themselves are seen at their real time: within the five minutes before.
    now_s = math.ceil((time.time() + 30) / STEP_S) * STEP_S
    begin_s, fine_s = now_s - DAYS * DAY_S, now_s - hours * 3600
    (folder / "secrets").mkdir(parents=True)
    config_path = folder / "or-otel.toml"
    config_path.write_text(CONFIG)
    choices = Choices(budgets=read_config(CONFIG, {}).budgets, sources={LEDGER_SERVICE: "ledger", EDGE: "spans"})
    for name, text in rule_files(choices).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    stack = UpsetStack(folder, rules=folder / "rules")
    prometheus = Prometheus(f"http://127.0.0.1:{stack.ports.prometheus}")
    weeks = Weeks(prometheus=prometheus, now_s=now_s, folder=folder, stack=stack)
    try:
        weeks.collector = stack.start_upset(prometheus)
        with _living_now(weeks):
            _live(weeks, begin_s, fine_s, apart_s, said)
        said("rules")
        then_s = month_before(now_s)
        spans = (
            Span(begin_s, 3600),
            Span(then_s - STEP_S, STEP_S, is_hourly=True),
            Span(then_s + STEP_S, 3600),
            Span(now_s - WEEK_S, min(apart_s, 3600), is_hourly=is_dense),
            Span(fine_s, STEP_S, is_hourly=True),
        )
        record(prometheus, rules_of(folder / "rules"), spans, now_s)
        fire(prometheus, rules_of(folder / "rules"), now_s)
    except BaseException:
        stack.stop_all()
        raise
    return weeks


def month_before(now_s: float) -> float:
    """Give the same day and time of the month before, on its last day where it has no such day."""
    now = datetime.fromtimestamp(now_s, UTC)
    last = now.replace(day=1) - timedelta(days=1)
    return last.replace(day=min(now.day, last.day)).timestamp()


@contextmanager
def _living_now(weeks):
    """Let a service of today send spans, metrics and events through the collector; it goes on telling inside."""
    with ScriptedOpenRouter() as server:
        service = Service(
            EDGE,
            "collector",
            base_url=server.base_url,
            url=f"http://127.0.0.1:{weeks.stack.ports.otlp_http}",
            config=weeks.folder / "or-otel.toml",
            ledger=weeks.folder / "edge-ledger",
        )
        service.order(time.time(), 12, "mistaken")
        weeks.counts[EDGE] = [(weeks.now_s, service.done())]
        weeks.booked[EDGE] = [(weeks.now_s, entry) for entry in server.book.entries]
        spent = server.book.total("spend")
    try:
        weeks.prometheus.wait_for(f'sum({prometheus_name(catalogue.SPANS_COST)}{{job="{EDGE}"}})', spent)
        yield
    finally:
        service.stop()


def _live(weeks, begin_s, fine_s, apart_s, said):
    clock = {"at_s": begin_s}
    with ScriptedOpenRouter(wall=lambda: clock["at_s"]) as server:
        services = {
            name: Service(
                name,
                lane,
                base_url=server.base_url,
                url=weeks.prometheus.url,
                config=weeks.folder / "or-otel.toml",
                # Nobody can make a folder inside of a file.
                ledger=weeks.folder / ("or-otel.toml/ledger" if name == TROUBLED else "ledger"),
            )
            for name, lane in {**LANES, TROUBLED: "troubled"}.items()
        }
        account = AccountSide(server, weeks.folder / "ledger", begin_s=begin_s, end_s=weeks.now_s, calls_per_day=60)
        for told in (weeks.booked, weeks.counts):
            told.update({name: [] for name in services})
        kept = {}
        try:
            then_s = month_before(weeks.now_s)
            for at_s in sorted({then_s, *_steps(begin_s, fine_s, weeks.now_s, apart_s)}):
                # Then something must have been spent, also where that month had just begun.
                least = SOME if at_s == then_s else 0
                _step(weeks, server, clock, services, at_s, least=least, is_fine=at_s >= fine_s)
                clock["at_s"] = at_s
                # Between two polls the page tells the same.
                if at_s % POLL_S == 0 or at_s < fine_s or at_s == weeks.now_s:
                    account.live_until(at_s)
                    page = tuple(account.scrape(at_s))
                for labels, value in page:
                    kept.setdefault(labels, []).append((at_s, value))
                if at_s % 7200 == 0:
                    said(time.strftime("%d %B %H:%M", time.gmtime(at_s)))
            weeks.prometheus.write(kept)
            weeks.account = account
        finally:
            account.close()
            for service in services.values():
                service.stop()


def _step(weeks, server, clock, services, at_s, *, least, is_fine):
    # Just before the step: what is spent belongs to it, and to the same UTC day.
    clock["at_s"] = at_s - 60
    share = HOURS[int(at_s % DAY_S // 3600)] / 10
    busy = {"harbour-desk": 3, "harbour-api": 4}
    asked = {name: round(scenes * share) for name, scenes in busy.items()}
    if not is_fine:
        asked = {name: scenes * 4 for name, scenes in asked.items()}
    asked = {name: max(scenes, least) for name, scenes in asked.items()}
    asked[RARE] = 0
    named = {}
    if at_s % DAY_S == 8 * 3600:
        asked["nightly-report"] = 4
        named[RARE] = ("daily",)
    if at_s % (4 * 3600) == 0:
        asked[TROUBLED], named[TROUBLED] = 0, ("left_early",)
    if is_fine and at_s % 3600 == 0:
        named["harbour-api"] = ("newcomer",)
    if is_fine and at_s % 900 == 0:
        asked[TROUBLED], named[TROUBLED] = 0, ("stranger", *named.get(TROUBLED, ()))
    if TROUBLED in asked and not weeks.counts[TROUBLED]:
        named[TROUBLED] += ("crowd",)
    before = len(server.book.entries)
    for name, scenes in asked.items():
        services[name].order(at_s, scenes, *named.get(name, ()))
    for name in asked:
        weeks.counts[name].append((at_s, services[name].done()))
    for entry in server.book.entries[before:]:
        weeks.booked[entry.user_agent].append((at_s, entry))


def _steps(begin_s, fine_s, now_s, apart_s):
    at_s = begin_s
    while at_s <= now_s:
        yield at_s
        if at_s >= fine_s:
            at_s += STEP_S
        else:
            step_s = apart_s if at_s >= now_s - WEEK_S else FAR_S
            at_s = min((at_s // step_s + 1) * step_s, fine_s)
