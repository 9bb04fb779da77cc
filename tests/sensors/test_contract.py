"""What every client must see and what we must tell, scenario by scenario, for every HTTP library, sync and async.

Each scenario runs twice against the same answers: first unwatched, then watched. What the caller sees must be the same,
the request must differ by one header, and exactly one ended span must tell the right outcome.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import openai
import pytest
from opentelemetry import trace

import or_otel
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Answer, Scenario, Wait

ANSWER = Answer(id="gen-1793700001-a1B2c3D4e5F6g7H8i9J0", created=1793700001)
PRICE = Decimal("0.00025")
OURS = "x-openrouter-metadata"
QUICK = (("retry-after-ms", "1"),)


async def read_plain(driver):
    return (await driver.create()).model_dump()


async def read_whole(driver):
    stream = await driver.create(stream=True)
    return [chunk.model_dump() for chunk in await driver.take(stream)]


async def read_by_next(driver):
    stream = await driver.create(stream=True)
    chunks = []
    while (chunk := await driver.next(stream)) is not None:
        chunks.append(chunk.model_dump())
    return chunks


async def read_in_with_block(driver):
    async with driver.entered(await driver.create(stream=True)) as stream:
        return [chunk.model_dump() for chunk in await driver.take(stream)]


async def ask_the_type(driver):
    stream = await driver.create(stream=True)
    kind = openai.AsyncStream if driver.is_async else openai.Stream
    body = driver.module.AsyncByteStream if driver.is_async else driver.module.SyncByteStream
    facts = (type(stream).__name__, isinstance(stream, kind), type(stream.response).__name__)
    is_body = isinstance(stream.response.stream, body)
    await driver.take(stream)
    return [*facts, is_body, isinstance(stream.response, driver.module.Response)]


async def read_raw(driver):
    raw = await driver.raw()
    return [
        raw.status_code,
        raw.headers["x-generation-id"],
        raw.parse().model_dump(),
        raw.text,
        raw.elapsed > timedelta(0),
    ]


async def read_raw_stream(driver):
    raw = await driver.raw(stream=True)
    return [raw.status_code, [chunk.model_dump() for chunk in await driver.take(raw.parse())]]


async def read_lines(driver):
    async with driver.streaming_raw(stream=True) as response:
        return await driver.take(response.iter_lines())


async def read_bytes_of_plain(driver):
    async with driver.streaming_raw() as response:
        return b"".join(await driver.take(response.iter_bytes()))


async def read_text_of_plain(driver):
    async with driver.streaming_raw() as response:
        return [await driver._settled(response.read()), await driver._settled(response.text())]


async def parse_json_of_plain(driver):
    async with driver.streaming_raw() as response:
        return await driver._settled(response.json())


async def stream_helper(driver):
    manager = driver.client.chat.completions.stream(
        model="anthropic/claude-haiku-4.5", messages=[{"role": "user", "content": "say ok"}]
    )
    async with driver.entered(manager) as stream:
        events = [event.type for event in await driver.take(stream)]
        return [events, (await driver._settled(stream.get_final_completion())).model_dump()]


async def close_early(driver):
    stream = await driver.create(stream=True)
    first = await driver.take(stream, 1)
    await driver.close(stream)
    return [chunk.model_dump() for chunk in first]


async def break_and_collect(driver):
    stream = await driver.create(stream=True)
    first = [chunk.model_dump() for chunk in await driver.take(stream, 1)]
    del stream
    gc.collect()
    for _ in range(50):  # the loop closes what was left, a step each turn
        await asyncio.sleep(0)
    gc.collect()
    return first


async def raise_in_the_loop(driver):
    async with driver.entered(await driver.create(stream=True)) as stream:
        await driver.take(stream, 1)
        raise LookupError("the application's own")


async def close_unread(driver):
    stream = await driver.create(stream=True)
    await driver.close(stream)
    return stream.response.is_closed


async def with_options(driver):
    client = driver.client.with_options(timeout=7, max_retries=0)
    return (await driver._settled(client.chat.completions.create(**_prompt()))).model_dump()


def _prompt():
    return {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One row of the table."""

    act: object
    answers: tuple[Scenario, ...]
    outcome: str = "ok"
    attempts: int = 1
    cost: Decimal | None = PRICE
    unpriced: str | None = None
    error_type: str | None = None
    fallback: str = "unknown"
    is_stream: bool = False


plain, stream = scenarios.plain(ANSWER), scenarios.stream(ANSWER, comments=1, is_role_first=True)
held = scenarios.stream(ANSWER, middle=(Wait("never"),))
refused = {"outcome": "error", "cost": None}
broken = {"outcome": "error", "cost": None, "unpriced": "error", "is_stream": True}
CASES = {
    "plain": Case(act=read_plain, answers=(plain,)),
    "stream read whole": Case(act=read_whole, answers=(stream,), is_stream=True),
    "cut at random bytes": Case(act=read_whole, answers=(replace(stream, split=7),), is_stream=True),
    "all in one frame": Case(act=read_whole, answers=(replace(stream, split="frame"),), is_stream=True),
    "odd events": Case(act=read_lines, answers=(scenarios.odd_events(ANSWER),), is_stream=True),
    "huge line": Case(act=read_whole, answers=(scenarios.huge_line(),), is_stream=True),
    "usage without choices": Case(act=read_whole, answers=(scenarios.stream(ANSWER, framing="empty"),), is_stream=True),
    "read with next()": Case(act=read_by_next, answers=(stream,), is_stream=True),
    "read in a with block": Case(act=read_in_with_block, answers=(stream,), is_stream=True),
    "stream is still a Stream": Case(act=ask_the_type, answers=(stream,), is_stream=True),
    "raw response": Case(act=read_raw, answers=(plain,)),
    "raw response and stream": Case(act=read_raw_stream, answers=(stream,), is_stream=True),
    "streaming raw by lines": Case(act=read_lines, answers=(stream,), is_stream=True),
    "plain body by bytes": Case(act=read_bytes_of_plain, answers=(plain,)),
    "plain body by text": Case(act=read_text_of_plain, answers=(plain,)),
    "plain body by json": Case(act=parse_json_of_plain, answers=(plain,)),
    "stream helper": Case(act=stream_helper, answers=(stream,), is_stream=True),
    "with_options": Case(act=with_options, answers=(plain,)),
    "gzip": Case(act=read_plain, answers=(replace(plain, encoding="gzip"),)),
    "gzip stream": Case(act=read_whole, answers=(replace(stream, encoding="gzip"),), is_stream=True),
    "deflate stream": Case(act=read_whole, answers=(replace(stream, encoding="deflate"),), is_stream=True),
    "br stream": Case(act=read_whole, answers=(replace(stream, encoding="br"),), is_stream=True),
    "zstd stream": Case(act=read_whole, answers=(replace(stream, encoding="zstd", split=3),), is_stream=True),
    "early close": Case(
        act=close_early, answers=(held,), outcome="cancelled", cost=None, unpriced="cancelled", is_stream=True
    ),
    "break and collection": Case(
        act=break_and_collect, answers=(held,), outcome="cancelled", cost=None, unpriced="cancelled", is_stream=True
    ),
    "exception in the loop": Case(
        act=raise_in_the_loop, answers=(held,), outcome="cancelled", cost=None, unpriced="cancelled", is_stream=True
    ),
    "closed unread": Case(
        act=close_unread, answers=(held,), outcome="cancelled", cost=None, unpriced="cancelled", is_stream=True
    ),
    "429 then 200": Case(act=read_plain, answers=(replace(scenarios.rate_limited(), headers=QUICK), plain), attempts=2),
    "429 then a stream": Case(
        act=read_whole,
        answers=(replace(scenarios.rate_limited(), headers=QUICK), stream),
        attempts=2,
        is_stream=True,
    ),
    "three times 503": Case(
        act=read_plain,
        answers=(replace(scenarios.server_error(503), headers=QUICK),) * 3,
        attempts=3,
        error_type="provider_overloaded",
        fallback="unknown",
        **refused,
    ),
    "402": Case(
        act=read_plain,
        answers=(scenarios.no_credits(),),
        error_type="payment_required",
        fallback="unknown",
        **refused,
    ),
    "401": Case(act=read_plain, answers=(scenarios.unauthorized(),), error_type="401", fallback="unknown", **refused),
    "402 for a stream": Case(
        act=read_whole,
        answers=(scenarios.no_credits(),),
        error_type="payment_required",
        fallback="unknown",
        is_stream=True,
        **refused,
    ),
    "200 with an error body": Case(
        act=read_plain,
        answers=(scenarios.error_in_200(),),
        error_type="502",
        fallback="unknown",
        outcome="error",
        cost=None,
        unpriced="error",
    ),
    "200 with an error in the choice": Case(
        act=read_plain,
        answers=(scenarios.error_in_choice(ANSWER),),
        error_type="provider_unavailable",
        outcome="error",
    ),
    "error chunk": Case(
        act=read_whole, answers=(scenarios.error_mid_stream(ANSWER),), error_type="provider_unavailable", **broken
    ),
    "error chunk with usage": Case(
        act=read_whole,
        answers=(scenarios.error_mid_stream(ANSWER, is_usage_told=True),),
        error_type="400",
        outcome="error",
        is_stream=True,
    ),
    "connection lost in the stream": Case(
        act=read_whole, answers=(scenarios.lost_mid_stream(ANSWER),), error_type="RemoteProtocolError", **broken
    ),
    "zero cost": Case(
        act=read_plain,
        answers=(scenarios.plain(replace(ANSWER, input_cost=Decimal(0), output_cost=Decimal(0))),),
        cost=Decimal(0),
    ),
    "byok without a fee": Case(
        act=read_plain,
        answers=(scenarios.plain(replace(scenarios.byok(), id=ANSWER.id, created=1793700001)),),
        cost=Decimal("0.0045"),
    ),
    "byok with a fee, streamed": Case(
        act=read_whole,
        answers=(scenarios.stream(replace(scenarios.byok(fee=Decimal("0.000225")), id=ANSWER.id, created=1793700001)),),
        cost=Decimal("0.004725"),
        is_stream=True,
    ),
    "cost absent": Case(act=read_plain, answers=(scenarios.without_cost(ANSWER),), cost=None, unpriced="not_reported"),
    "usage absent": Case(
        act=read_whole,
        answers=(scenarios.without_usage(ANSWER, is_stream=True),),
        cost=None,
        unpriced="not_reported",
        is_stream=True,
    ),
    "provider fallback": Case(
        act=read_plain,
        answers=(scenarios.plain(replace(scenarios.provider_fallback(), id=ANSWER.id, created=1793700001)),),
        fallback="provider",
    ),
}


async def seen_by(driver, act):
    """Give what the caller sees: a value, or an error's type, text and body."""
    try:
        return await act(driver)
    except (openai.OpenAIError, LookupError, driver.module.HTTPError) as error:
        return type(error), str(error), getattr(error, "body", None)


def header_names(received):
    return {name.lower() for name in received.headers}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_the_caller_sees_the_same_and_one_span_tells_it(case, driver, openrouter, telemetry):
    openrouter.script(*case.answers, *case.answers)
    unwatched = await seen_by(driver, case.act)
    or_otel.instrument(**telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"})
    with or_otel.capture() as calls:
        before = trace.get_current_span()
        watched = await seen_by(driver, case.act)
        assert trace.get_current_span() is before
        or_otel.flush()

    assert watched == unwatched
    assert not (isinstance(watched, tuple) and case.outcome == "ok")
    first, second = openrouter.requests[: case.attempts], openrouter.requests[case.attempts :]
    assert len(second) == case.attempts
    for one, other in zip(first, second, strict=True):
        assert (other.method, other.path, other.body) == (one.method, one.path, one.body)
        assert header_names(other) - header_names(one) == {OURS}
        assert header_names(one) <= header_names(other)

    (record,) = calls
    assert record.outcome == case.outcome
    assert len(record.attempts) == case.attempts
    assert (record.cost.total if record.cost else None) == case.cost
    assert record.unpriced == case.unpriced
    assert (record.failure.error_type if record.failure else None) == case.error_type
    assert record.route.fallback == case.fallback
    has_content = case.is_stream and case.act is not close_unread and case.error_type != "payment_required"
    assert (record.time_to_first_chunk_s is not None) == has_content
    (span,) = [span for span in telemetry.spans if span.name == "chat anthropic/claude-haiku-4.5"]
    assert span.end_time is not None
    assert span.attributes["openrouter.outcome"] == case.outcome
    assert span.attributes.get("error.type") == case.error_type
    assert len(telemetry.spans) == (1 if case.attempts == 1 else 1 + case.attempts)


async def test_a_task_cancelled_before_the_headers_is_cancelled_and_told_once(async_driver, openrouter, calls):
    driver = async_driver
    openrouter.script(replace(scenarios.plain(), before=(Wait("never"),)))
    task = asyncio.create_task(driver.create())
    await asyncio.to_thread(openrouter.wait_for, 1)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (record,) = calls
    assert (record.outcome, record.unpriced, record.status) == ("cancelled", "cancelled", None)


async def test_a_task_cancelled_in_the_stream_is_cancelled_with_what_was_seen(async_driver, openrouter, calls):
    driver = async_driver
    openrouter.script(scenarios.stream(middle=(Wait("never"),)))
    begun = asyncio.Event()

    async def read():
        async for _ in await driver.create(stream=True):
            begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (record,) = calls
    assert (record.outcome, record.status, record.model) == ("cancelled", 200, "anthropic/claude-haiku-4.5")
    assert record.generation_id is not None


async def test_five_streams_at_once_keep_their_own_figures(async_driver, openrouter, calls):
    driver = async_driver
    answers = [Answer(output_cost=Decimal(n) / 10**6) for n in range(5)]
    openrouter.script(*(scenarios.stream(answer, middle=(Wait("all"),)) for answer in answers))

    async def read():
        return (await driver.take(await driver.create(stream=True)))[0].id

    tasks = [asyncio.create_task(read()) for _ in answers]
    await asyncio.to_thread(openrouter.wait_for, 5)
    openrouter.release("all")
    ids = set(await asyncio.gather(*tasks))

    assert ids == {answer.id for answer in answers}
    assert {call.response_id: call.cost.total for call in calls} == {answer.id: answer.charged for answer in answers}


async def test_a_followed_redirect_is_one_attempt(driver, openrouter, calls):
    openrouter.script(scenarios.redirected(openrouter.base_url + "/chat/completions?again=1"), scenarios.plain(ANSWER))

    await driver.create()

    (record,) = calls
    assert (record.outcome, record.status, len(record.attempts), record.cost.total) == ("ok", 200, 1, PRICE)


async def test_a_connection_that_cannot_be_made_is_an_error_that_costs_nothing(driver, openrouter, calls):
    openrouter.stop()

    with pytest.raises(openai.APIConnectionError):
        await driver._settled(driver.client.with_options(max_retries=0).chat.completions.create(**_prompt()))

    (record,) = calls
    assert (record.outcome, record.unpriced, record.cost) == ("error", None, None)
    assert record.failure.error_type == "ConnectError"


async def test_a_connection_lost_before_the_answer_may_have_cost_money(driver, openrouter, calls):
    openrouter.script(scenarios.lost_before_headers())

    with pytest.raises(openai.APIConnectionError):
        await driver._settled(driver.client.with_options(max_retries=0).chat.completions.create(**_prompt()))

    (record,) = calls
    assert (record.outcome, record.unpriced) == ("error", "error")


async def test_metadata_that_we_asked_for_tells_the_route(driver, openrouter, calls):
    openrouter.provider_fails("Anthropic", 529)

    completion = await driver.create()

    (record,) = calls
    assert "openrouter_metadata" in completion.model_extra
    assert record.route.fallback == "provider"
    assert [attempt.status for attempt in record.route.attempts] == [529, 200]


async def test_a_header_of_the_caller_is_never_replaced(driver, openrouter, calls):
    await driver.create(extra_headers={"X-OpenRouter-Metadata": "disabled"})

    values = [openrouter.requests[0].headers[OURS]]
    assert values == ["disabled"]
