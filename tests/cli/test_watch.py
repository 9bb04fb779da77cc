"""`or-otel watch`: rounds before a scripted account, and one real process that is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from or_otel.account.client import AccountClient
from or_otel.cli.watch import Watcher, _poller
from or_otel.config import read_config
from or_otel.config.options import NotifyOptions
from or_otel.entries import to_line
from or_otel.exporter import Exporter
from or_otel.notices import notify
from or_otel.simulator.account import MANAGEMENT_KEY

# Apprise imports it, where it imports it first.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

DOCK = "sk-or-v1-demo-dry-dock"
TIGHT = '[[budgets]]\nname = "tight"\nlimit_usd = 0.000001\n'


@pytest.fixture
def watched(desk):
    """Write a past and settings; gives what runs one round."""

    def prepare(more=TIGHT, **past):
        desk.past(days=3, **past)
        desk.config.write_text(
            f'{desk.config.read_text()}\n{more}\n[notify]\nurls = ["$HOOK"]\nlow_balance_usd = 1000\n'
        )
        return lambda **options: desk.run("watch", "--once", **options)

    return prepare


@pytest.mark.usefixtures("desk")
def test_a_round_tells_budgets_credits_and_sends_them(watched, webhook):
    answer = watched()(HOOK=webhook.apprise_url)

    assert answer.exit_code == 0, answer.output
    assert "2026-11-20 12:00:00Z  budget tight: over" in answer.stdout
    assert "CRITICAL: Budget tight: spent." in answer.stdout
    assert sorted(webhook.titles) == ["or-otel: Budget tight: spent", f"or-otel: {_credits(answer)}"]
    assert "secret-path" not in answer.output


def _credits(answer):
    (line,) = [line for line in answer.stdout.splitlines() if "credits are low" in line]
    return line.partition("WARNING: ")[2].partition(". Balance")[0]


def test_a_restart_tells_nothing_twice(watched, webhook):
    run = watched()
    run(HOOK=webhook.apprise_url)

    again = run(HOOK=webhook.apprise_url)

    assert "CRITICAL" not in again.stdout
    assert "budget tight: over" in again.stdout  # how it stands is said at every start
    assert len(webhook.titles) == 2


def test_what_could_not_be_sent_is_sent_by_the_next_run(watched, webhook):
    run = watched()
    webhook.status = 500
    run(HOOK=webhook.apprise_url)
    webhook.status = 200

    again = run(HOOK=webhook.apprise_url)

    assert len(webhook.titles) == 2
    assert "CRITICAL" not in again.stdout


def test_a_key_at_its_limit_is_told(watched, webhook, desk):
    run = watched("")
    desk.account.change_key(DOCK, limit_usd=desk.billed()[0] / 10**9, limit_reset=None)

    assert "Key dry-dock: its limit at OpenRouter is reached" in run(HOOK=webhook.apprise_url).stdout


@pytest.fixture
def at_odds(desk, entry):
    """Write a past, its calls in the ledger, and yesterday one of five dollars that the account knows nothing of."""

    def write(settings):
        desk.past(days=3, is_ledger=True)
        times = dict.fromkeys(("started_at_s", "ended_at_s", "call_started_at_s"), desk.now_s - 86_400)
        (desk.folder / "host-2-2.jsonl").write_bytes(to_line(entry("5", **times)))
        desk.config.write_text(f'{settings}[notify]\nkinds = ["capture_gap"]\nurls = ["$HOOK"]\n')

    return write


def test_a_closed_day_that_clients_tracked_otherwise_is_told_once_as_the_exporter_tells_it(desk, at_odds, webhook):
    at_odds("[exporter]\nledger = true\n")

    first, again = (desk.run("watch", "--once", HOOK=webhook.apprise_url) for _ in range(2))
    with AccountClient(desk.server.base_url, None, MANAGEMENT_KEY) as client:
        exporter = Exporter(client, read_config(desk.config, {}), folder=desk.folder, has_ledger=True)
        exporter.round(desk.now_s)
        news = exporter.news(desk.now_s)
    told_by_exporter = notify(
        desk.folder / "other.json", [webhook.apprise_url], options=NotifyOptions(), now_s=desk.now_s, days=news.days
    )

    (notice,) = told_by_exporter
    assert notice.title.startswith("2026-11-19: tracked and billed differ by")
    assert f"WARNING: {notice.title}. {notice.text}" in first.stdout
    assert "differ" not in again.stdout
    assert webhook.titles == [f"or-otel: {notice.title}"] * 2


@pytest.mark.parametrize("settings", ["", "[exporter]\nledger = true\nreconcile = false\n"])
def test_closed_days_are_compared_only_where_the_ledger_is_said_to_hold_the_account_s_calls(
    desk, at_odds, webhook, settings
):
    at_odds(settings)

    answer = desk.run("watch", "--once", HOOK=webhook.apprise_url)

    assert "differ" not in answer.stdout
    assert not any("/activity" in request.path for request in desk.server.requests)


def test_without_addresses_it_prints_all_the_same(desk):
    desk.past(days=2)
    desk.config.write_text(TIGHT)

    answer = desk.run("watch", "--once")

    assert "CRITICAL: Budget tight: spent." in answer.stdout


def test_what_was_only_printed_is_still_sent_by_whoever_has_an_address(watched, webhook, desk):
    run = watched()
    with_addresses = desk.config.read_text()
    desk.config.write_text(with_addresses.replace('urls = ["$HOOK"]', "urls = []"))
    first, second = (desk.run("watch", "--once").stdout for _ in range(2))
    desk.config.write_text(with_addresses)

    run(HOOK=webhook.apprise_url)

    assert ("CRITICAL: Budget tight" in first, "CRITICAL: Budget tight" in second) == (True, False)
    assert "or-otel: Budget tight: spent" in webhook.titles


def test_without_a_key_the_ledger_alone_is_watched(desk):
    desk.past(days=2, is_ledger=True)
    desk.config.write_text(TIGHT)

    answer = desk.run("watch", "--once", management_key=None)

    assert answer.exit_code == 0
    assert "The account is not asked" in answer.stderr
    assert "budget tight: over, ≥ $" in answer.stdout


@pytest.mark.parametrize(
    ("settings", "options", "code", "sentence"),
    [
        ("", {"OR_OTEL_BASE_URL": "http://127.0.0.1:9"}, 1, "nothing could be read"),
        ('[notify]\nurls = ["$HOOK"]\n', {"HOOK": "nonsense"}, 2, "address 1 of 1 is no Apprise URL"),
        ('[notify]\nurls = ["$HOOK"]\n', {"HOOK": None}, 2, "$HOOK is not set"),
        ("[notify]\nurl = 1\n", {}, 2, "notify.url: no such key"),
    ],
)
def test_what_cannot_be_watched_says_what_would_be_right(desk, settings, options, code, sentence):
    desk.config.write_text(settings)

    answer = desk.run("watch", "--once", **options)

    assert answer.exit_code == code
    assert sentence in answer.stderr


@pytest.fixture
def watcher(desk, capsys):
    """Give a watcher that lives over rounds, and what each round prints."""
    desk.past(days=2)
    config = read_config('[[budgets]]\nname = "all"\nlimit_usd = 1000\n', {})
    with AccountClient(desk.server.base_url, None, MANAGEMENT_KEY) as client:
        living = Watcher(config=config, poller=_poller(client, 60), folder=desk.folder)

        def round_at(at_s):
            desk.now_s = at_s
            living.round(at_s)
            return [line[22:] for line in capsys.readouterr().out.splitlines()]

        yield round_at


def test_only_changes_are_told_from_round_to_round(watcher, desk):
    first = watcher(desk.now_s)
    second = watcher(desk.now_s + 61)

    assert [line.partition(",")[0] for line in first] == ["budget all: in order"]
    assert second == []


def test_an_endpoint_that_fails_is_told_once_and_so_is_its_return(watcher, desk):
    watcher(desk.now_s)
    desk.server.account_fails("/credits", 503)

    failing = watcher(desk.now_s + 61)
    still = watcher(desk.now_s + 61)
    desk.server.recovers("/credits")
    back = watcher(desk.now_s + 600)
    desk.server.account_fails("/credits", 503)
    again = watcher(desk.now_s + 600)

    assert [line.partition(";")[0] for line in failing] == ["not told: /credits: HTTP 503"]
    assert still == []
    assert back == ["told again, what was: /credits"]
    assert again == failing


def test_each_round_asks_again(watcher, desk):
    watcher(desk.now_s)
    before = len(desk.server.requests)

    watcher(desk.now_s + 61)

    asked = {request.path.partition("?")[0].rpartition("/")[2] for request in desk.server.requests[before:]}
    assert asked == {"key", "keys", "credits"}


@pytest.fixture
def start(desk, begin):
    """Start the command as a process of its own."""

    def run(**environment):
        known = {
            **os.environ,
            "OPENROUTER_MANAGEMENT_KEY": MANAGEMENT_KEY,
            "OR_OTEL_BASE_URL": desk.server.base_url,
            "OR_OTEL_CONFIG": str(desk.config),
            "OR_OTEL_LEDGER": str(desk.folder),
            "PYTHONUNBUFFERED": "1",
        }
        command = [sys.executable, "-m", "or_otel.cli", "watch"]
        return begin(command, env=known | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return run


def test_ctrl_c_ends_it_at_once_between_rounds(start, desk):
    desk.config.write_text('[[budgets]]\nname = "all"\nlimit_usd = 1000\n')
    process = start()
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "Stopped" in err
    assert "Traceback" not in err


def test_ctrl_c_ends_it_while_the_account_hangs(start, desk):
    desk.server.account_fails("/keys", wait="never")
    process = start()
    desk.server.wait_for(3, timeout_s=20)

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "no answer" not in err  # as the client says when its patience ends
    assert "Traceback" not in err


def test_what_was_being_sent_at_ctrl_c_is_sent_by_the_next_run(start, desk, webhook):
    desk.now_s = time.time()
    desk.past(days=2)
    desk.config.write_text(f'{TIGHT}[notify]\nurls = ["$HOOK"]\n')
    webhook.may_answer.clear()
    process = start(HOOK=webhook.apprise_url)
    webhook.wait_for(1)

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, webhook.titles) == (0, [])
    assert "CRITICAL: Budget tight: spent." in out, err
    webhook.may_answer.set()
    webhook.received.clear()
    desk.run("watch", "--once", HOOK=webhook.apprise_url)

    assert "or-otel: Budget tight: spent" in webhook.titles
