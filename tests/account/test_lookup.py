"""When records are asked for, for how long, and that each question is settled once."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from collections import Counter
from dataclasses import replace
from decimal import Decimal

import pytest

from or_otel.account.errors import KeyRejectedError, NotFoundError, RateLimitedError, UnavailableError
from or_otel.account.lookup import PATIENCE_CANCELLED_S, PATIENCE_S, TIMEOUT_S, Asking, Lookups
from or_otel.accounts import Generation
from or_otel.calls import Attempt, CallRecord, CallStarted
from or_otel.facts import Cost, Endpoint, Request, Usage

KEY = "Bearer sk-or-v1-CANARY"
ENDPOINT = Endpoint(
    api="chat",
    operation="chat",
    provider="openrouter",
    host="openrouter.ai",
    port=443,
    is_openrouter=True,
    base_url="https://openrouter.ai/api/v1",
)
NOT_FOUND = NotFoundError("/generation", "404", "not yet")


def attempt(number=1, **fields):
    defaults = {"generation_id": f"gen-{number}", "unpriced": "error", "outcome": "error"}
    return Attempt(id=f"{number:032x}", number=number, started_at_s=100.0, ended_at_s=101.0, **defaults | fields)


def priced(number=1, charged="0.5"):
    return attempt(number, unpriced=None, outcome="ok", cost=Cost(charged=Decimal(charged), is_byok=False))


def call(*attempts, **fields):
    started = CallStarted(id="c" * 32, endpoint=ENDPOINT, request=Request(model="openai/gpt-5"), started_at_s=100.0)
    last = attempts[-1]
    return CallRecord(
        started=started, ended_at_s=101.0, outcome=last.outcome, attempts=attempts, unpriced=last.unpriced, **fields
    )


def elsewhere(record):
    return replace(record, started=replace(record.started, endpoint=replace(ENDPOINT, base_url=None)))


def generation(identity, charged="0.25", **fields):
    return Generation(id=identity, charged_usd=Decimal(charged), is_byok=False, **fields)


class Clock:
    """Time passes only while the thread waits for it."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s

    def wait(self, changed, timeout_s):
        if timeout_s is None:
            changed.wait()
        else:
            self.now_s += timeout_s


class Account:
    """Answers questions from a script, by generation id; an exception is raised."""

    def __init__(self, clock):
        self.clock = clock
        self.script = {}
        self.asked = []

    def __call__(self, base_url, authorization, generation_id, *, timeout_s):
        assert (base_url, authorization) == (ENDPOINT.base_url, KEY)
        assert timeout_s <= TIMEOUT_S
        self.asked.append((generation_id, self.clock.now_s))
        answers = self.script.get(generation_id, [NOT_FOUND])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def times(self, generation_id="gen-1"):
        return [at_s for asked_id, at_s in self.asked if asked_id == generation_id]

    def close(self):
        pass


class Heard:
    """What came out."""

    def __init__(self):
        self.amendments = []
        self.given_up = []
        self._changed = threading.Condition()

    def amend(self, record, amendment):
        with self._changed:
            self.amendments.append((record, amendment))
            self._changed.notify_all()

    def give_up(self, record):
        with self._changed:
            self.given_up.append(record)
            self._changed.notify_all()

    def wait(self, count=1):
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.amendments) + len(self.given_up) >= count, 10)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def account(clock):
    return Account(clock)


@pytest.fixture
def heard():
    return Heard()


@pytest.fixture
def lookups(clock, account, heard):
    made = []

    def make(**options):
        options = {"is_all": False, "ask": account, "clock": clock, "wait": clock.wait, **options}
        made.append(Lookups(amend=heard.amend, give_up=heard.give_up, wall_clock=lambda: 1234.0, **options))
        return made[-1]

    yield make
    for each in made:
        each.finish(5)


def test_a_record_is_asked_for_ever_more_rarely_until_its_time_is_up(lookups, account, heard):
    account.script["gen-1"] = [*[NOT_FOUND] * 8, generation("gen-1")]

    lookups().ask_later(call(attempt()), [KEY])
    heard.wait()

    assert account.times() == [1.0, 3.0, 7.0, 15.0, 31.0, 63.0, 127.0, 150.0]
    assert heard.amendments == []  # the ninth answer came too late
    assert len(heard.given_up) == 1


def test_what_is_learned_names_attempt_money_and_time(lookups, account, heard):
    usage = Usage(input_tokens=7, output_tokens=3)
    account.script["gen-1"] = [NOT_FOUND, generation("gen-1", provider="Azure", usage=usage)]

    told = lookups().ask_later(call(attempt()), [KEY])
    heard.wait()

    ((record, amendment),) = heard.amendments
    assert (told.is_awaited, record) == (True, told)
    assert (amendment.amends, amendment.charged, amendment.billing) == (attempt().id, Decimal("0.25"), "credits")
    assert (amendment.served_provider, amendment.input_tokens, amendment.learned_at_s) == ("Azure", 7, 1234.0)
    assert heard.given_up == []


@pytest.mark.parametrize(("unpriced", "patience_s"), [("error", PATIENCE_S), ("cancelled", PATIENCE_CANCELLED_S)])
def test_a_cancelled_answer_is_asked_for_longer(lookups, account, heard, unpriced, patience_s):
    lookups().ask_later(call(attempt(unpriced=unpriced)), [KEY])
    heard.wait()

    assert account.times()[-1] == patience_s
    assert [record.unpriced for record in heard.given_up] == [unpriced]


def test_a_server_that_asks_to_wait_is_waited_for(lookups, account, heard):
    slow = RateLimitedError("/generation", "429", "too often", retry_after_s=50.0)
    account.script["gen-1"] = [slow, UnavailableError("/generation", "503", "down"), generation("gen-1")]

    lookups().ask_later(call(attempt()), [KEY])
    heard.wait()

    assert account.times() == [1.0, 51.0, 55.0]


@pytest.mark.parametrize("error", [KeyRejectedError("/generation", "401", "no"), ValueError("no key")])
def test_a_refused_key_is_not_tried_again(lookups, account, heard, error):
    account.script["gen-1"] = [error]

    lookups().ask_later(call(attempt()), [KEY])
    heard.wait()

    assert len(account.asked) == 1
    assert len(heard.given_up) == 1


def test_a_fault_of_ours_settles_the_question_and_is_counted(lookups, account, heard):
    from or_otel import guard  # noqa: PLC0415 -- to take the fault away again

    account.script["gen-1"] = [ZeroDivisionError()]

    lookups().ask_later(call(attempt()), [KEY])
    heard.wait()

    assert dict(guard.faults) == {"account.lookup": 1}
    guard.reset()


def test_a_record_without_money_is_asked_for_again(lookups, account, heard):
    bare = Generation(id="gen-1", is_byok=False)
    account.script["gen-1"] = [bare, generation("gen-1")]

    lookups().ask_later(call(attempt()), [KEY])
    heard.wait()

    assert len(account.asked) == 2
    assert len(heard.amendments) == 1


def test_every_unpriced_attempt_of_a_call_has_its_own_record(lookups, account, heard):
    account.script |= {f"gen-{number}": [generation(f"gen-{number}", f"0.{number}")] for number in (1, 2, 3)}

    lookups().ask_later(call(attempt(1), attempt(2), priced(3)), [KEY] * 3)
    heard.wait(2)

    assert sorted(each.charged for _, each in heard.amendments) == [Decimal("0.1"), Decimal("0.2")]
    assert account.times("gen-3") == []


def test_a_call_is_given_up_once_when_its_last_question_is_settled(lookups, account, heard):
    account.script["gen-3"] = [generation("gen-3")]

    lookups().ask_later(call(attempt(1), attempt(2), attempt(3)), [KEY] * 3)
    heard.wait(2)

    assert [len(account.times(f"gen-{number}")) for number in (1, 2, 3)] == [8, 8, 1]
    assert len(heard.given_up) == 1


def test_a_call_is_given_up_also_where_the_last_of_its_questions_is_answered(lookups, account, heard):
    account.script["gen-2"] = [NOT_FOUND] * 7 + [generation("gen-2")]

    lookups().ask_later(call(attempt(1), attempt(2)), [KEY] * 2)
    heard.wait(2)

    assert [identity for identity, _ in account.asked][-2:] == ["gen-1", "gen-2"]
    assert (len(heard.amendments), len(heard.given_up)) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "amended"), [(generation("gen-2"), 1), (KeyRejectedError("/generation", "401", ""), 0)]
)
def test_a_call_that_lacks_an_id_is_not_awaited_and_never_given_up_again(lookups, account, heard, answer, amended):
    account.script["gen-2"] = [answer]
    made = lookups()

    told = made.ask_later(call(attempt(1, generation_id=None), attempt(2)), [KEY] * 2)
    made.finish(5)

    assert not told.is_awaited
    assert [each.is_awaited for each in told.attempts] == [False, True]
    assert (len(heard.amendments), heard.given_up) == (amended, [])


@pytest.mark.parametrize(
    ("record", "authorization"),
    [
        (call(priced()), KEY),
        (call(attempt()), None),
        (call(attempt(generation_id=None)), KEY),
        (elsewhere(call(attempt())), KEY),
    ],
    ids=["priced", "no key", "no id", "not OpenRouter"],
)
def test_what_needs_no_record_or_has_none_begins_no_thread(lookups, record, authorization):
    made = lookups()

    assert made.ask_later(record, [authorization]) is record
    assert made.waiting == 0
    assert "or-otel-lookup" not in {thread.name for thread in threading.enumerate()}


def test_all_asks_for_priced_attempts_too_and_tells_only_differences(lookups, account, heard):
    account.script |= {"gen-1": [generation("gen-1", "0.5")], "gen-2": [generation("gen-2", "0.6")]}
    made = lookups(is_all=True)

    told = made.ask_later(call(priced(1), priced(2)), [KEY] * 2)
    heard.wait()
    made.flush(5)

    assert not told.is_awaited
    assert [amendment.charged for _, amendment in heard.amendments] == [Decimal("0.6")]
    assert (heard.given_up, made.waiting) == ([], 0)


def test_a_full_queue_takes_no_more_and_counts(lookups, account, heard):
    made = lookups(queue_length=100, wait=threading.Condition.wait)
    account.script = {f"gen-{number}": [generation(f"gen-{number}")] for number in range(1000)}

    told = [made.ask_later(call(attempt(number)), [KEY]) for number in range(1000)]
    made.finish(20)

    assert Counter(each.is_awaited for each in told) == {True: 100, False: 900}
    assert (made.dropped, len(heard.amendments), heard.given_up, made.waiting) == (900, 100, [], 0)


def test_flush_asks_at_once_and_leaves_what_is_not_there_waiting(lookups, account, heard):
    made = lookups(wait=threading.Condition.wait)  # nothing is due before a real second has passed
    account.script["gen-1"] = [generation("gen-1")]
    made.ask_later(call(attempt(1)), [KEY])
    made.ask_later(call(attempt(2)), [KEY])

    made.flush(5)

    assert [each for each, _ in account.asked] == ["gen-1", "gen-2"]
    assert (len(heard.amendments), heard.given_up, made.waiting) == (1, [], 1)


def test_finish_asks_once_more_then_gives_up_and_takes_nothing_any_more(lookups, account, heard):
    made = lookups(wait=threading.Condition.wait)
    made.ask_later(call(attempt(1)), [KEY])

    made.finish(5)
    late = made.ask_later(call(attempt(2)), [KEY])
    made.finish(5)

    assert [each for each, _ in account.asked] == ["gen-1"]
    assert (len(heard.given_up), late.is_awaited, made.waiting) == (1, False, 0)


@pytest.mark.parametrize("answer", [generation("gen-1"), NOT_FOUND], ids=["found", "not found"])
def test_a_server_that_never_answers_holds_nobody_and_is_not_heard_later(lookups, account, heard, answer):
    made = lookups(wait=threading.Condition.wait)
    answering, asked = threading.Event(), threading.Event()

    def slowly():
        asked.set()
        answering.wait(10)
        return answer

    account.script["gen-1"] = [slowly]
    made.ask_later(call(attempt()), [KEY])

    made.finish(0.05)
    is_still_asking = asked.is_set() and not answering.is_set()
    answering.set()
    made._worker.join(10)

    assert is_still_asking
    assert (heard.amendments, len(heard.given_up), made.waiting) == ([], 1, 0)


def test_where_no_thread_can_begin_the_end_asks_by_itself(lookups, account, heard, monkeypatch):
    def refused(_):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refused)
    account.script["gen-1"] = [generation("gen-1")]
    made = lookups()
    made.ask_later(call(attempt(1)), [KEY])
    made.ask_later(call(attempt(2)), [KEY])

    made.finish(5)

    assert (len(heard.amendments), len(heard.given_up), len(account.asked)) == (1, 1, 2)


def test_a_forked_child_begins_empty(lookups, account, heard):
    made = lookups(wait=threading.Condition.wait)
    made.ask_later(call(attempt()), [KEY])
    told, tell = os.pipe()

    if (pid := os.fork()) == 0:
        made.after_fork()
        made.finish(5)
        os.write(tell, f"{made.waiting} {len(account.asked)} {len(heard.given_up)}".encode())
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.read(told, 100) == b"0 0 0"
    assert made.waiting == 1
    os.close(told)
    os.close(tell)


def test_no_content_is_kept_while_waiting(lookups, account, heard):
    account.script["gen-1"] = [generation("gen-1")]
    record = call(attempt(), input_messages="prompt", output_messages="answer", system_instructions="system")

    told = lookups().ask_later(record, [KEY])
    heard.wait()

    kept = heard.amendments[0][0]
    assert (told.input_messages, told.output_messages) == ("prompt", "answer")
    assert (kept.input_messages, kept.output_messages, kept.system_instructions) == (None, None, None)


def test_the_key_shows_nowhere_and_is_let_go_of(lookups, account, heard):
    made = lookups(wait=threading.Condition.wait)
    told = made.ask_later(call(attempt()), [KEY])
    (question,) = [each for _, _, each in made._due]

    assert "CANARY" not in f"{question!r} {made!r} {told!r}"
    assert b"CANARY" not in pickle.dumps(told)
    with pytest.raises(TypeError, match="credential"):
        pickle.dumps(question)
    made.finish(5)
    assert question.authorization is None


# Over HTTP ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def asking():
    made = Asking()
    yield made
    made.close()


def test_it_asks_the_call_s_server_with_the_call_s_key_and_nothing_else(openrouter, asking):
    with pytest.raises(NotFoundError):
        asking(openrouter.base_url, KEY, "gen-x", timeout_s=TIMEOUT_S)

    (request,) = openrouter.requests
    assert (request.method, request.path) == ("GET", "/api/v1/generation?id=gen-x")
    assert request.headers["authorization"] == KEY
    assert set(request.headers) <= {"host", "accept", "accept-encoding", "connection", "user-agent", "authorization"}


def test_a_bare_key_is_sent_as_a_bearer(openrouter, asking):
    with pytest.raises(NotFoundError):
        asking(openrouter.base_url, "sk-or-v1-bare", "gen-x", timeout_s=0.5)

    assert openrouter.requests[0].headers["authorization"] == "Bearer sk-or-v1-bare"


def test_connections_are_used_again_but_few_are_kept(openrouter, asking):
    for number in range(20):
        with pytest.raises(NotFoundError):
            asking(openrouter.base_url, f"Bearer key-{number % 10}", "gen-x", timeout_s=TIMEOUT_S)

    assert len(asking._clients) == 8
    asking.close()
    assert not asking._clients
    gc.collect()  # a connection left open would warn
