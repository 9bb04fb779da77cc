"""What every client must see and what we must tell of it: plain, streamed, left early, retried, refused.

Each test does the same twice against the same answers, unwatched and watched: the caller sees the same, errors
included, and one record tells it, with what the server billed.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace

import pytest
from drivers import MODEL, settled

import or_otel
from or_otel.simulator import scenarios, shapes
from or_otel.simulator.scenarios import Answer, Chunk, ToolCall, Wait

FIXED = {"id": "gen-1793700001-a1B2c3D4e5F6g7H8i9J0", "created": 1793700001}
ANSWER = Answer(**FIXED)
CITY = ToolCall(name="City", arguments='{"name": "Lisbon"}')
LAST_WORDS = ("of Portugal.", "Lisbon")
AT_ONCE = (("retry-after-ms", "1"), ("retry-after", "0"))
REFUSALS = {
    402: (scenarios.no_credits(), "payment_required"),
    429: (scenarios.rate_limited(), "rate_limit_exceeded"),
}


def answers_of(way):
    """Give an answer as this client's API sends it: whole and streamed."""
    answer = replace(scenarios.calling(CITY), **FIXED) if way.kind.name == "instructor" else ANSWER
    if way.kind.api == "messages":
        return shapes.message(answer), shapes.message_stream(answer)
    return scenarios.plain(answer), scenarios.stream(answer)


def held(stream):
    """Hold a stream after its last content."""
    steps = list(stream.steps)
    last = max(index for index, step in enumerate(steps) if isinstance(step, Chunk) and step.is_content)
    steps.insert(last + 1, Wait("never"))
    return replace(stream, steps=tuple(steps))


def in_its_form(refusal, way):
    return shapes.anthropic_error(refusal) if way.kind.api == "messages" else refusal


def seen_in(error):
    """Give all that an error tells, of itself and of what caused it."""
    told = []
    while error is not None:
        fields = {name: getattr(error, name, None) for name in ("status_code", "status", "body")}
        told.append((type(error), str(error), fields, getattr(getattr(error, "response", None), "text", None)))
        error = error.__cause__
    return told


async def collected():
    """Let go of what nobody holds any more: the loop closes asynchronous generators, a step each turn."""
    gc.collect()
    for _ in range(50):
        await asyncio.sleep(0)
    gc.collect()


async def told(records):
    """Wait for a record: a thread of the client's own (litellm logs on one) may hold what its caller let go."""
    async with asyncio.timeout(30):
        while not records:
            await asyncio.sleep(0.01)
            await collected()
            or_otel.flush()


@pytest.fixture
def twice(way, openrouter, telemetry):
    """Do something unwatched and watched against the same answers; give what was seen, and the one record of it."""

    async def run(act, *answers, retries=0):
        seen = []
        for is_watched in (False, True):
            openrouter.script(*answers)
            if is_watched:
                or_otel.instrument(**telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"})
            with or_otel.capture() as records:
                async with way.opened(openrouter, retries=retries) as driver:
                    try:
                        seen.append(await act(driver))
                    except Exception as error:  # noqa: BLE001 -- whichever this client raises
                        seen.append(seen_in(error))
                await collected()
                or_otel.flush()
                if is_watched:
                    await told(records)
        unwatched, watched = seen
        assert watched == unwatched
        (record,) = records
        assert record.request.model == MODEL
        return watched, record

    return run


def check_billed(record, openrouter, *, is_stream=False):
    (entry,) = openrouter.book.entries  # the same generation twice
    assert (record.outcome, record.unpriced, record.response_id) == ("ok", None, ANSWER.id)
    assert (record.model, record.provider) == (entry.model, entry.provider)
    assert (record.usage.input_tokens, record.usage.output_tokens) == (
        entry.usage.input_tokens,
        entry.usage.output_tokens,
    )
    assert (record.cost.total, record.cost.source) == (openrouter.book.total(), "response")
    assert (record.time_to_first_chunk_s is not None) == is_stream


@pytest.mark.feature("plain")
async def test_a_plain_call_is_told_once(way, twice, openrouter):
    plain, _ = answers_of(way)

    text, record = await twice(lambda driver: driver.asked(), plain)

    assert text in {ANSWER.content, "Lisbon"}
    assert len(record.attempts) == 1
    assert record.tool_calls.valid == (text == "Lisbon")
    check_billed(record, openrouter)


@pytest.mark.feature("stream")
async def test_a_stream_is_told_once(way, twice, openrouter):
    async def read(driver):
        async with driver.streamed() as stream:
            return "".join(await driver.take(stream))

    _, stream = answers_of(way)

    text, record = await twice(read, stream)

    assert text.endswith(LAST_WORDS)
    assert len(record.attempts) == 1
    check_billed(record, openrouter, is_stream=True)


async def leave_by_closing(driver):
    async with driver.streamed() as stream:
        await driver.take(stream, 2)  # two lines are one event


async def leave_by_breaking(driver):
    if driver.is_entered:
        pytest.skip("its streams are read inside a `with` block")
    await driver.take(await settled(driver.stream()), 2)


async def leave_by_cancelling(driver):
    if not driver.is_async:
        pytest.skip("only a task can be cancelled")
    is_held = asyncio.Event()

    async def read():
        text = ""
        async with driver.streamed() as stream:
            async for item in stream:
                text += driver.piece(item)
                if text.endswith(LAST_WORDS):
                    is_held.set()

    task = asyncio.create_task(read())
    await asyncio.wait_for(is_held.wait(), 10)
    await collected()  # it waits for more now: some lose a cancellation that comes together with an item
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.feature("left early")
@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_breaking, leave_by_cancelling])
async def test_a_stream_left_early_is_cancelled_and_can_be_looked_up(way, twice, openrouter, leave):
    _, stream = answers_of(way)

    seen, record = await twice(leave, held(stream))

    assert seen is None
    assert len(await asyncio.to_thread(openrouter.wait_for_disconnect, 2)) == 2
    assert (record.outcome, record.unpriced, record.cost) == ("cancelled", "cancelled", None)
    assert (record.model, record.provider) == (ANSWER.model, ANSWER.provider)
    assert record.generation_id == openrouter.book.entries[0].id


@pytest.mark.feature("retry")
async def test_a_retry_is_a_second_attempt_of_the_same_call(way, twice, openrouter):
    busy = in_its_form(replace(scenarios.server_error(503), headers=AT_ONCE), way)
    plain, _ = answers_of(way)

    text, record = await twice(lambda driver: driver.asked_again(), busy, plain, retries=1)

    assert text in {ANSWER.content, "Lisbon"}
    assert len(openrouter.requests) == 4
    assert [attempt.status for attempt in record.attempts] == [503, 200][-way.kind.tries :]
    check_billed(record, openrouter)


@pytest.mark.feature("error")
@pytest.mark.parametrize("status", REFUSALS)
async def test_a_refusal_is_raised_as_ever_and_told_once(way, twice, status):
    refusal, word = REFUSALS[status]

    seen, record = await twice(lambda driver: driver.asked(), in_its_form(refusal, way))

    assert issubclass(seen[0][0], Exception)
    assert (record.outcome, record.status, record.cost, record.unpriced) == ("error", status, None, None)
    told = str(status) if way.kind.is_refusal_unread else word
    assert (record.failure.error_type, record.failure.origin) == (told, "router")
    assert len(record.attempts) == 1
