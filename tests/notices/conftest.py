from __future__ import annotations

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from or_otel.accounts import Spend
from or_otel.budgets import Budget, Spending, budget_state


class Webhook:
    """What Apprise's `json://` service was sent on loopback, and how it answers."""

    def __init__(self):
        self.received = []
        self.asked = 0
        self.status = 200
        self.is_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.asked += 1
                hook.is_asked.set()
                hook.may_answer.wait(30)
                if hook.status == 200:
                    hook.received.append(body)
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self):
        return f"json://127.0.0.1:{self._server.server_port}/secret-path"

    @property
    def titles(self):
        return [each["title"] for each in self.received]

    def close(self):
        self.may_answer.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def webhook():
    hook = Webhook()
    yield hook
    hook.close()


@pytest.fixture
def other_webhook():
    hook = Webhook()
    yield hook
    hook.close()


NOON_S = 1_794_830_400.0  # 2026-11-16 12:00 UTC


@pytest.fixture
def now_s():
    return NOON_S


@pytest.fixture
def spent():
    """Give a budget's state after so much was spent in its month; its pace alarms only where asked."""

    def state(amount, *, limit="100", name="search", at_s=NOON_S, pace_alarm="1000", period="month"):
        spend = Spend(**{"lifetime_usd" if period == "lifetime" else "monthly_usd": Decimal(amount)})
        budget = Budget(name=name, limit_usd=Decimal(limit), pace_alarm=Decimal(pace_alarm), period=period)
        return budget_state(budget, [Spending(at_s=at_s, spend=spend)], now_s=at_s)

    return state
