from __future__ import annotations

import gc
import json
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx

from or_otel.account.client import AccountClient
from or_otel.account.history import missing_days, read_activity, read_keys, store_activity, store_keys
from or_otel.account.poller import Poller
from or_otel.days import DAY_S
from or_otel.ledger import open_ledger

DAYS = 30
START_S = 20_000 * DAY_S
KEYS = 20
PER_MINUTE = Decimal("0.0001")
"""What each key spends a minute."""
INTERVALS_S = {
    "key": 1800.0,
    "keys": 1800.0,
    "credits": 1800.0,
    "activity": 21_600.0,
    "models": 3600.0,
    "endpoints": 14_400.0,
    "workspaces": 14_400.0,
    "guardrails": 7200.0,
}
"""Longer than the usual ones, so that the month passes in seconds."""
LEAK = 1_000
"""Fewer blocks or objects than the questions of those 25 days, so that not one may be left behind by each."""


class Account:
    """A scripted account: spends by the clock, and fails as planted; counts what it answered."""

    def __init__(self):
        self.now_s = START_S
        self.asked = Counter()
        self.answered = Counter()

    def answer(self, request):
        path = request.url.path.removeprefix("/api/v1")
        self.asked[path] += 1
        failure = self._failure(path, self.asked[path])
        if failure is not None:
            self.answered[path, failure.status_code] += 1
            return failure
        self.answered[path, 200] += 1
        return httpx.Response(200, content=json.dumps(self._body(path, request.url.params), default=str).encode())

    def _failure(self, path, number):
        if path == "/credits" and number % 7 == 0:
            return httpx.Response(502)
        if path == "/key" and number % 50 == 0:
            return httpx.Response(429, headers={"retry-after": "120"})
        if path == "/organization/members":
            return httpx.Response(403)
        if path == "/models" and number % 11 == 0:
            return httpx.Response(200, content=b"<html>the edge is tired</html>")
        if path == "/guardrails" and number % 5 == 0:
            raise httpx.ReadTimeout("planted", request=None)
        return None

    def _spent(self):
        return PER_MINUTE * int((self.now_s - START_S) // 60)

    def _body(self, path, params):
        if path == "/credits":
            return {"data": {"total_credits": 100, "total_usage": self._spent() * KEYS}}
        if path == "/keys":
            rows = [{"hash": f"{n:064x}", "usage": self._spent()} for n in range(KEYS)]
            return {"data": rows[int(params["offset"]) :]}
        if path == "/activity":
            today = datetime.fromtimestamp(self.now_s, UTC).date()
            days = [today - timedelta(days=ago) for ago in range(1, DAYS + 1)]
            return {
                "data": [
                    {"date": day, "model_permaslug": "m", "endpoint_id": f"e{n}", "usage": "0.5", "requests": 3}
                    for day in days
                    for n in range(5)
                ]
            }
        if path == "/models":
            return {"data": [{"id": f"m{n}", "pricing": {"prompt": "0.000001"}} for n in range(20)]}
        if path.endswith("/endpoints"):
            return {"data": {"id": "a/b", "endpoints": [{"provider_name": "Azure", "latency_last_30m": {"p50": 5}}]}}
        return {"data": {}} if path in {"/key", "/analytics/meta"} else {"data": []}


def test_a_month_of_polling_with_planted_errors_stays_flat_and_counts_right(tmp_path):
    account = Account()
    transport = httpx.MockTransport(account.answer)
    sizes = []
    with (
        AccountClient(api_key="sk", transport=transport, clock=lambda: 0.0) as client,
        open_ledger(tmp_path / "ledger.db") as ledger,
    ):
        poller = Poller(client, models=["a/b"], intervals_s=INTERVALS_S, chance=lambda: 0.0, clock=lambda: 0.0)
        stored_at_s = None
        polls = 0
        while account.now_s < START_S + DAYS * DAY_S:
            snapshot = poller.poll_due(account.now_s)
            polls += 1
            if snapshot.activity.at_s != stored_at_s:
                stored_at_s = snapshot.activity.at_s
                store_activity(ledger, snapshot.activity.value, stored_at_s)
                store_keys(ledger, snapshot.keys.value, snapshot.keys.at_s)
            if len(sizes) < (account.now_s - START_S) // DAY_S:
                gc.collect()
                sizes.append((sys.getallocatedblocks(), len(gc.get_objects())))
            assert poller.next_due_s() > account.now_s
            account.now_s = poller.next_due_s()
        today = datetime.fromtimestamp(account.now_s, UTC).date()
        rows = read_activity(ledger, today - timedelta(days=2 * DAYS), today)
        keys = read_keys(ledger)
        missing = missing_days(ledger, today - timedelta(days=1))

    assert polls > DAYS * DAY_S / INTERVALS_S["credits"]
    assert_errors_agree(snapshot, account)
    assert snapshot.hidden == {"members"}
    assert 100 - snapshot.credits.value.remaining_usd == snapshot.credits.value.used_usd
    assert len(rows) == (2 * DAYS - 1) * 5
    assert sum(row.credits_usd for row in rows) == Decimal("0.5") * len(rows)
    assert {known.first_seen_s for known in keys} == {START_S}
    assert missing == ()
    (blocks, objects), (last_blocks, last_objects) = sizes[4], sizes[-1]
    assert last_blocks - blocks < LEAK
    assert last_objects - objects < LEAK


def assert_errors_agree(snapshot, account):
    guardrail_failures = account.asked["/guardrails"] - account.answered["/guardrails", 200]
    assert snapshot.errors == {
        ("credits", "502"): account.answered["/credits", 502],
        ("key", "429"): account.answered["/key", 429],
        ("members", "403"): account.answered["/organization/members", 403],
        ("models", "unreadable"): account.asked["/models"] // 11,
        ("guardrails", "ReadTimeout"): guardrail_failures,
    }
    assert all(count > 10 for count in snapshot.errors.values())
    assert account.asked["/organization/members"] <= DAYS * 24
