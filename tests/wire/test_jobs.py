from __future__ import annotations

import json
from decimal import Decimal

import pytest

from or_otel.facts import Answer, Cost, Failure, Request, ToolCalls, Usage
from or_otel.wire import jobs
from or_otel.wire.endpoints import Hosts
from or_otel.wire.jobs import Jobs
from or_otel.wire.readers import reader_for

BASE = "https://openrouter.ai/api/v1"
SUBMIT = Hosts().endpoint("POST", f"{BASE}/videos")
POLL = Hosts().endpoint("GET", f"{BASE}/videos/gen-vid-1")
ASKED, POLLED = Request(model="google/veo-3.1"), Request()
COST = Cost(charged=Decimal("0.5"), is_byok=False)
PENDING = Answer(id="gen-vid-1", job="pending")
ENDED = Answer(id="gen-vid-1", job="ended", cost=COST, usage=Usage(input_tokens=3), tool_calls=ToolCalls(valid=1))
STORED = Answer(
    id="gen-vid-1",
    job="stored",
    cost=COST,
    usage=Usage(input_tokens=3),
    failure=Failure(error_type="x", origin="router"),
)


def _read(path, body, status=200):
    endpoint = Hosts().endpoint("GET", BASE + path)
    reader = reader_for(endpoint, Request(), status=status, header={"content-type": "application/json"}.get)
    reader.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    reader.close()
    return reader.answer()


def _money(answer):
    return answer.job, answer.usage, answer.cost


@pytest.mark.parametrize("word", ["pending", "queued", "validating", "in_progress", "finalizing", "cancelling", "new"])
def test_a_job_with_any_state_but_a_last_one_is_pending(word):
    assert _read("/videos/1", {"id": "gen-vid-1", "status": word}).job == "pending"


@pytest.mark.parametrize("word", ["completed", "failed", "cancelled", "expired"])
def test_a_job_in_its_last_state_has_ended(word):
    assert _read("/batches/1", {"id": "gen-batch-1", "status": word}).job == "ended"


def test_a_video_that_ended_tells_money_and_its_generation():
    body = {
        "id": "job-1",
        "generation_id": "gen-vid-1",
        "status": "completed",
        "usage": {"cost": 0.5, "is_byok": False},
    }

    answer = _read("/videos/job-1", body)

    assert (answer.id, answer.generation_id) == ("job-1", "gen-vid-1")
    assert (answer.cost, answer.usage, answer.failure) == (COST, None, None)
    assert answer.is_complete


def test_a_batch_that_ended_tells_tokens_and_money_of_a_tier_of_its_own():
    usage = {"prompt_tokens": 2000, "completion_tokens": 200, "cost": 0.00045, "is_byok": False}

    answer = _read("/batches/1", {"id": "gen-batch-1", "model": "a/b", "status": "completed", "usage": usage})

    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (2000, 200)
    assert (answer.cost.total, answer.model, answer.service_tier) == (Decimal("0.00045"), "a/b", "batch")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"status": "failed", "error": "a sentence that may echo the prompt"}, "failed"),
        ({"status": "expired"}, "expired"),
        ({"status": "failed", "error": {"code": "content_policy"}}, "content_policy"),
        ({"status": "cancelled"}, None),
    ],
)
def test_a_job_that_failed_says_why_in_one_word(body, word):
    failure = _read("/videos/1", {"id": "gen-vid-1", **body}).failure

    assert (failure and failure.error_type) == word


def test_a_refusal_to_tell_is_no_job():
    answer = _read("/videos/1", {"error": {"code": 404, "message": "Not found"}, "status": "failed"}, status=404)

    assert (answer.job, answer.failure.status) == (None, 404)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"status": 3, "usage": "x", "id": []}', b'{"data": []}'])
def test_what_is_no_job_tells_nothing(body):
    answer = _read("/videos/1", body)

    assert (answer.id, answer.job, answer.cost) == (None, None, None)


def test_the_first_answer_that_finds_the_end_counts_and_no_other():
    known = Jobs()

    told = [known.settled(SUBMIT, ASKED, PENDING)]
    told += [known.settled(POLL, POLLED, answer) for answer in (PENDING, ENDED, ENDED, ENDED)]

    assert [answer.job for answer in told] == ["pending", "pending", "ended", "stored", "stored"]
    assert [answer.cost for answer in told] == [None, None, COST, None, None]
    assert [answer.tool_calls.valid for answer in told] == [0, 0, 1, 0, 0]


def test_the_model_that_was_asked_for_is_remembered_until_the_end():
    known = Jobs()
    known.settled(SUBMIT, ASKED, PENDING)

    assert known.settled(POLL, POLLED, ENDED).model == "google/veo-3.1"


def test_a_job_of_another_process_counts_where_it_is_found_ended():
    assert _money(Jobs().settled(POLL, POLLED, ENDED)) == ("ended", ENDED.usage, COST)


def test_a_job_of_the_same_name_elsewhere_is_another():
    known = Jobs()
    known.settled(POLL, POLLED, ENDED)

    elsewhere = Hosts().endpoint("GET", "https://api.openai.com/v1/videos/gen-vid-1")

    assert known.settled(elsewhere, POLLED, ENDED).job == "ended"


def test_money_that_is_unfinished_does_not_count_yet():
    sums = Answer(id="gen-vid-1", job="pending", cost=COST, usage=Usage(input_tokens=1))

    assert _money(Jobs().settled(POLL, POLLED, sums)) == ("pending", None, None)


def test_a_price_told_after_the_end_still_counts_once():
    known = Jobs()
    silent = Answer(id="gen-vid-1", job="ended")

    told = [known.settled(POLL, POLLED, answer) for answer in (silent, silent, ENDED, silent, ENDED)]

    assert [answer.job for answer in told] == ["ended", "stored", "ended", "stored", "stored"]


def test_a_failed_job_fails_one_call_only():
    known = Jobs()
    failed = Answer(id="gen-vid-1", job="ended", failure=Failure(error_type="failed", origin="upstream"))

    told = [known.settled(POLL, POLLED, failed) for _ in range(3)]

    assert [answer.failure is None for answer in told] == [False, True, True]


def test_a_stored_response_counts_only_where_it_was_seen_unfinished():
    known = Jobs()

    assert _money(known.settled(POLL, POLLED, STORED)) == ("stored", None, None)
    assert known.settled(POLL, POLLED, STORED).failure is None
    known.settled(SUBMIT, ASKED, PENDING)
    assert known.settled(POLL, POLLED, STORED).cost == COST


def test_an_answer_that_is_the_work_itself_passes_unchanged():
    answer = Answer(id="gen-1", cost=COST)

    assert Jobs().settled(Hosts().endpoint("POST", f"{BASE}/chat/completions"), Request(), answer) is answer


def test_a_job_without_a_name_cannot_be_counted_once_and_is_not_counted():
    assert _money(Jobs().settled(POLL, POLLED, Answer(job="ended", cost=COST))) == ("stored", None, None)


def test_memory_is_bounded_and_forgets_what_was_not_heard_of_for_longest(monkeypatch):
    monkeypatch.setattr(jobs, "MAX_JOBS", 2)
    known = Jobs()
    answers = {name: Answer(id=name, job="ended", cost=COST) for name in "abc"}

    told = [known.settled(POLL, POLLED, answers[name]).job for name in "abacab"]

    assert told == ["ended", "ended", "stored", "ended", "stored", "ended"]


def test_a_child_knows_what_its_parent_counted():
    known = Jobs()
    known.settled(POLL, POLLED, ENDED)

    known.after_fork()

    assert known.settled(POLL, POLLED, ENDED).job == "stored"
