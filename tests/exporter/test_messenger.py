"""Notices of the exporter, delivered by Apprise to a receiver on loopback."""

from __future__ import annotations

import threading
from decimal import Decimal

import pytest

from or_otel.config.options import NotifyOptions
from or_otel.exporter.messenger import Messenger
from or_otel.simulator.history import CLEAN, COMPANIES

# Apprise imports a module of the standard library that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
TOML = """
[[budgets]]
name = "all"
limit_usd = 0.01
"""


@pytest.fixture
def messenger(webhook, tmp_path):
    return Messenger(tmp_path / "notices", (f"{webhook.apprise_url}?rto=60",), NotifyOptions())


def test_an_overspent_budget_is_told_once(scene, messenger, webhook):
    scene.write_past()
    exporter = scene.exporter(TOML, messenger=messenger)
    exporter.start()

    exporter.round(scene.now_s)
    webhook.wait_for(1)
    scene.now_s += 61
    exporter.round(scene.now_s)

    assert [each["title"] for each in webhook.asked] == ["or-otel: Budget all: spent"]


def test_an_address_that_hangs_delays_no_poll(scene, messenger, webhook):
    scene.write_past()
    webhook.may_answer.clear()
    exporter = scene.exporter(TOML, messenger=messenger)
    exporter.start()
    round_ = threading.Thread(target=exporter.round, args=(scene.now_s,), daemon=True)

    round_.start()
    webhook.wait_for(1)
    round_.join(20)  # a third of what the sender waits for an answer

    assert not round_.is_alive()
    assert not webhook.may_answer.is_set()


def test_credits_keys_and_closed_days_of_both_sides_are_news(scene, messenger):
    scene.write_ledger(scene.write_past(shares=CLEAN, days=4))
    exporter = scene.exporter(messenger=messenger, has_ledger=True)
    exporter.round(scene.now_s)

    news = exporter.news(scene.now_s)

    assert news.at_s == scene.now_s
    assert news.credits.used_usd == scene.account.used()
    assert {key.name for key in news.keys} >= {company.name for company in COMPANIES}
    assert len(news.days) == 3
    assert all(day.client_usd == day.provider_usd > Decimal(0) for day in news.days)
