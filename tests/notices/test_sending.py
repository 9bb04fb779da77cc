"""Notices through the real Apprise to webhooks on loopback."""

from __future__ import annotations

import sys
import threading
from decimal import Decimal

import apprise
import pytest

from or_otel import guard
from or_otel.config.options import NotifyOptions
from or_otel.notices import STATE_FILE, notify
from or_otel.notices.memory import alone, read_state, write_state
from or_otel.notices.rules import Notice, NoticeState, due
from or_otel.notices.sending import NotifyMissingError, mark_of, send, unusable

# Apprise imports a module of the standard library that is going away.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
OPTIONS = NotifyOptions(low_balance_usd=Decimal(10))


def notice(number=1, severity="warning"):
    return Notice(
        id=str(number), kind="pace", severity=severity, title=f"n{number}", text="one\n<two> & 3", made_at_s=0
    )


def waiting(*notices):
    return NoticeState(waiting=tuple((each, None) for each in notices))


def test_a_notice_arrives_as_plain_text_with_its_severity(webhook):
    left = send(waiting(notice(severity="critical")), [webhook.apprise_url])

    assert left == NoticeState()
    (got,) = webhook.received
    assert (got["title"], got["message"], got["type"]) == ("or-otel: n1", "one\n<two> & 3", "failure")


def test_a_notice_is_sent_on_the_thread_that_sends_so_that_ctrl_c_ends_it():
    threads = []
    apprise.decorators.notify(on="thisthread")(lambda *_, **__: threads.append(threading.get_ident()))

    left = send(waiting(notice()), ["thisthread://"])

    assert (left, threads) == (NoticeState(), [threading.get_ident()])


def test_what_fails_waits_for_its_own_address_and_is_not_sent_twice_to_the_other(webhook, other_webhook):
    urls = [webhook.apprise_url, other_webhook.apprise_url]
    other_webhook.status = 500

    first = send(waiting(notice()), urls)
    second = send(first, urls)
    other_webhook.status = 200
    third = send(second, urls)

    assert first.waiting == second.waiting == ((notice(), (mark_of(other_webhook.apprise_url),)),)
    assert third == NoticeState()
    assert webhook.titles == other_webhook.titles == ["or-otel: n1"]


def test_an_address_that_does_not_answer_is_asked_once_a_round(webhook):
    webhook.status = 500
    kept = []

    left = send(waiting(notice(1), notice(2)), [webhook.apprise_url], keep=kept.append)

    assert len(webhook.asked) == 1
    assert len(left.waiting) == 2
    assert kept == []


def test_each_delivery_is_kept_before_the_next_one(webhook):
    kept = []

    send(
        waiting(notice(1), notice(2)),
        [webhook.apprise_url],
        keep=lambda state: kept.append((len(webhook.received), state)),
    )

    assert [(count, len(state.waiting)) for count, state in kept] == [(1, 1), (2, 0)]


def test_an_address_that_was_removed_is_waited_for_no_longer(webhook):
    webhook.status = 500
    left = send(waiting(notice()), [webhook.apprise_url])

    assert send(left, ["json://127.0.0.1:1/"]) == NoticeState()
    assert send(left, []) == NoticeState()


def test_an_address_that_apprise_does_not_know_never_raises_and_shows_nowhere(caplog):
    url = "nonsense://secret-token/"

    left = send(waiting(notice()), [url])

    assert len(left.waiting) == 1
    assert unusable(["json://127.0.0.1/", url]) == (1,)
    assert "secret-token" not in repr(left)
    assert [record for record in caplog.records if record.name.startswith("or_otel")] == []


def test_a_fault_of_a_service_stays_behind_the_wall(monkeypatch, webhook):
    monkeypatch.setattr(apprise.Apprise, "notify", lambda *_, **__: 1 / 0)

    left = send(waiting(notice()), [webhook.apprise_url])

    assert len(left.waiting) == 1
    assert guard.faults == {"notices.send": 1}
    guard.reset()


def test_without_the_extra_the_error_names_it(monkeypatch, webhook):
    monkeypatch.setitem(sys.modules, "apprise", None)

    with pytest.raises(NotifyMissingError, match=r"or-otel\[notify\]"):
        send(waiting(notice()), [webhook.apprise_url])


def test_without_anything_to_tell_apprise_is_not_even_imported(monkeypatch, webhook):
    monkeypatch.setitem(sys.modules, "apprise", None)

    assert send(NoticeState(), [webhook.apprise_url]) == NoticeState()


def test_rounds_over_restarts_tell_each_crossing_once(tmp_path, webhook, spent, now_s):
    path = tmp_path / STATE_FILE

    for amount in ("40", "51", "52", "85", "86"):
        notify(path, [webhook.apprise_url], options=OPTIONS, now_s=now_s, budgets=[spent(amount)])

    assert webhook.titles == ["or-otel: Budget search: 50 % spent", "or-otel: Budget search: 80 % spent"]


def test_a_round_whose_delivery_failed_is_made_good_by_the_next(tmp_path, webhook, spent, now_s):
    path = tmp_path / STATE_FILE
    webhook.status = 503
    new = notify(path, [webhook.apprise_url], options=OPTIONS, now_s=now_s, budgets=[spent("51")])
    webhook.status = 200

    notify(path, [webhook.apprise_url], options=OPTIONS, now_s=now_s + 60, budgets=[])
    notify(path, [webhook.apprise_url], options=OPTIONS, now_s=now_s + 120, budgets=[])

    assert [each.title for each in new] == ["Budget search: 50 % spent"]
    assert webhook.titles == ["or-otel: Budget search: 50 % spent"]


def test_a_process_that_died_in_the_middle_goes_on_with_the_rest(tmp_path, webhook):
    path = tmp_path / STATE_FILE

    def die(state):
        write_state(path, state)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(waiting(notice(1), notice(2)), [webhook.apprise_url], keep=die)
    send(read_state(path), [webhook.apprise_url])

    assert webhook.titles == ["or-otel: n1", "or-otel: n2"]


def test_a_memory_that_cannot_be_written_sends_nothing(tmp_path, webhook, spent, now_s):
    (tmp_path / STATE_FILE).mkdir()

    with pytest.raises(OSError):
        notify(tmp_path / STATE_FILE, [webhook.apprise_url], options=OPTIONS, now_s=now_s, budgets=[spent("51")])

    assert webhook.received == []


def test_what_one_process_is_sending_no_other_one_sends_again(tmp_path, webhook, spent, now_s, caplog):
    told = {"options": OPTIONS, "now_s": now_s, "budgets": [spent("51")]}
    webhook.may_answer.clear()
    first = threading.Thread(target=notify, args=(tmp_path / STATE_FILE, [webhook.apprise_url]), kwargs=told)
    first.start()
    webhook.wait_for(1)

    meanwhile = notify(tmp_path / STATE_FILE, [webhook.apprise_url], **told, patience_s=0)
    webhook.may_answer.set()
    first.join()
    afterwards = notify(tmp_path / STATE_FILE, [webhook.apprise_url], **told)

    assert (meanwhile, afterwards) == ((), ())
    assert webhook.titles == ["or-otel: Budget search: 50 % spent"]
    assert "another process tells notices" in caplog.text


def test_who_waited_for_another_process_knows_what_that_one_told(tmp_path, webhook, spent, now_s):
    path = tmp_path / STATE_FILE
    new = []

    def wait_and_tell():
        new.extend(notify(path, [webhook.apprise_url], options=OPTIONS, now_s=now_s, budgets=[spent("51")]))

    second = threading.Thread(target=wait_and_tell)
    with alone(path, 0):
        second.start()
        budget = spent("51")
        _, state = due(NoticeState(), options=OPTIONS, now_s=now_s, budgets=[budget])
        write_state(path, NoticeState(told=state.told))
    second.join()

    assert new == []
    assert webhook.titles == []


def test_no_address_stands_in_the_memory(tmp_path, webhook, spent, now_s):
    webhook.status = 500

    notify(tmp_path / STATE_FILE, [webhook.apprise_url], options=OPTIONS, now_s=now_s, budgets=[spent("51")])

    text = (tmp_path / STATE_FILE).read_text()
    assert "waiting" in text
    assert "secret-path" not in text
    assert "127.0.0.1" not in text
