"""Notices of the exporter, delivered by Apprise to a receiver on loopback."""

from __future__ import annotations

import json
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from or_otel.config.options import NotifyOptions
from or_otel.exporter.messenger import Messenger
from or_otel.simulator.history import CLEAN

# Apprise imports a module of the standard library that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
TOML = """
[[budgets]]
name = "all"
limit_usd = 0.01
"""


class Receiver:
    """Takes notices, and may be told to hang."""

    def __init__(self):
        self.titles = []
        self.came = threading.Condition()
        self.may_answer = threading.Event()
        self.may_answer.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with receiver.came:
                    receiver.titles.append(body["title"])
                    receiver.came.notify_all()
                receiver.may_answer.wait()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"json://127.0.0.1:{self._server.server_port}?rto=60"

    def wait_for(self, count):
        with self.came:
            assert self.came.wait_for(lambda: len(self.titles) >= count, 20), self.titles
            return tuple(self.titles)

    def close(self):
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.close()


@pytest.fixture
def messenger(receiver, tmp_path):
    return Messenger(tmp_path / "notices", (receiver.url,), NotifyOptions())


def test_an_overspent_budget_is_told_once(scene, messenger, receiver):
    scene.write_past()
    exporter = scene.exporter(TOML, messenger=messenger)
    exporter.start()

    exporter.round(scene.now_s)
    (title,) = receiver.wait_for(1)
    scene.now_s += 61
    exporter.round(scene.now_s)

    assert title == "or-otel: Budget all: spent"
    assert receiver.wait_for(1) == (title,)


def test_an_address_that_hangs_delays_no_poll(scene, messenger, receiver):
    scene.write_past()
    receiver.may_answer.clear()
    exporter = scene.exporter(TOML, messenger=messenger)
    exporter.start()
    round_ = threading.Thread(target=exporter.round, args=(scene.now_s,), daemon=True)

    round_.start()
    receiver.wait_for(1)
    round_.join(20)  # a third of what the sender waits for an answer

    assert not round_.is_alive()
    assert not receiver.may_answer.is_set()


def test_closed_days_of_both_sides_are_news(scene, messenger):
    scene.write_ledger(scene.write_past(shares=CLEAN, days=4))
    exporter = scene.exporter(messenger=messenger, has_ledger=True)
    exporter.round(scene.now_s)

    news = exporter.news(scene.now_s)

    assert len(news.days) == 3
    assert all(day.client_usd == day.provider_usd > Decimal(0) for day in news.days)
