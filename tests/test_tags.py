"""Tags: where they hold, where they do not, and what becomes of odd ones."""

from __future__ import annotations

import asyncio
import contextvars
import enum
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from opentelemetry import baggage
from opentelemetry import context as otel_context

import or_otel
from or_otel import guard
from or_otel.operations import MAX_TAG_LENGTH, TagSources, current_operation, current_tags, tag_context, tags

PROMPT = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "say ok"}]}


class Plan(enum.Enum):
    PRO = "pro"


class Unspeakable:
    def __str__(self):
        raise RuntimeError


@pytest.fixture
def outer():
    with tags(team="search"):
        yield {"team": "search"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (True, "True"),
        (b"gr\xc3\xbcn", "grün"),
        (b"\xff", "\ufffd"),
        (Plan.PRO, "pro"),
        ("  acme \n", "acme"),
        ("a" * 1000, "a" * MAX_TAG_LENGTH),
        ("\ud800x", "?x"),
        ("a\x1b[2J\nb\x9b\x00", "a [2J b"),
    ],
    ids=["number", "truth", "bytes", "broken bytes", "enum", "blanks around", "too long", "lone surrogate", "controls"],
)
def test_values_become_text_that_every_exporter_can_write(value, text):
    with tags(customer=value):
        assert current_tags() == {"customer": text}
    current_tags().get("customer", "").encode()


@pytest.mark.parametrize("nothing", [None, "", "  "], ids=repr)
def test_nothing_removes_an_outer_tag(outer, nothing):
    with tags(team=nothing, feature="a"):
        assert current_tags() == {"feature": "a"}


def test_a_value_that_cannot_be_told_costs_itself_only(outer):
    with tags(customer=Unspeakable(), feature="a"):
        assert current_tags() == {**outer, "feature": "a"}

    assert guard.faults.pop("operations.tag_text") == 1


def test_tags_of_a_mapping_skip_a_key_that_cannot_be_one(outer):
    token = otel_context.attach(tag_context({"123": "x", "X-Tenant": "acme"}))
    found = dict(current_tags())
    otel_context.detach(token)

    assert found == {**outer, "x_tenant": "acme"}
    assert guard.faults.pop("operations.tag_key") == 1


def test_a_decorated_generator_is_tagged_while_it_works_and_its_consumer_is_not(outer):
    seen = []

    @tags(feature="summary")
    def generator(first):
        seen.append(dict(current_tags()))
        with tags(customer="acme"):
            sent = yield first
            seen.append((sent, dict(current_tags())))
            try:
                yield "second"
            except KeyError:
                seen.append(dict(current_tags()))
        yield "third"
        seen.append(dict(current_tags()))
        return "whole"

    steps = generator("first")
    inside = {**outer, "feature": "summary"}
    got = [next(steps)]
    assert current_tags() == outer
    got.append(steps.send("sent"))
    got.append(steps.throw(KeyError()))
    with pytest.raises(StopIteration) as stopped:
        next(steps)

    assert (got, stopped.value.value) == (["first", "second", "third"], "whole")
    assert seen == [inside, ("sent", {**inside, "customer": "acme"}), {**inside, "customer": "acme"}, inside]
    assert current_tags() == outer


def test_a_decorated_generator_that_is_left_early_or_fails_cleans_up_under_its_tags(outer):
    seen = []

    @tags(feature="summary")
    def generator():
        try:
            yield 1
            raise ValueError("of the generator")
        finally:
            seen.append(dict(current_tags()))

    left = generator()
    next(left)
    left.close()
    with pytest.raises(ValueError, match="of the generator"):
        list(generator())

    assert seen == [{**outer, "feature": "summary"}] * 2
    assert current_tags() == outer


def test_a_decorated_generator_may_be_stepped_by_many_threads():
    @tags(feature="summary")
    def generator():
        for _ in range(3):
            with tags(customer="acme"):
                yield dict(current_tags())

    steps = generator()
    with ThreadPoolExecutor(3) as pool:
        got = [pool.submit(contextvars.Context().run, next, steps).result() for _ in range(3)]

    assert got == [{"feature": "summary", "customer": "acme"}] * 3


async def test_a_decorated_async_generator_is_tagged_while_it_works_and_its_consumer_is_not(outer):
    seen = []

    @tags(feature="summary")
    async def generator():
        try:
            await asyncio.sleep(0)
            sent = yield dict(current_tags())
            try:
                yield sent
            except KeyError:
                yield "caught"
        finally:
            await asyncio.sleep(0)
            seen.append(dict(current_tags()))

    steps = generator()
    inside = {**outer, "feature": "summary"}
    assert await anext(steps) == inside
    assert current_tags() == outer
    assert await steps.asend("sent") == "sent"
    assert await steps.athrow(KeyError()) == "caught"
    await steps.aclose()
    assert [found async for found in generator()] == [inside, None]

    assert seen == [inside, inside]
    assert current_tags() == outer


async def test_a_failing_async_generator_raises_its_own_exception():
    @tags(feature="summary")
    async def generator():
        yield 1
        raise ValueError("of the generator")

    with pytest.raises(ValueError, match="of the generator"):
        async for _ in generator():
            pass


def test_a_decorated_generator_is_one_operation():
    @or_otel.operation()
    def generator():
        yield current_operation()
        yield current_operation()

    first, second = generator()

    assert first is second
    assert first is not None
    assert current_operation() is None


async def test_tags_go_along_into_tasks_and_threads_of_asyncio_and_stay_there(outer):
    async def task():
        with tags(customer="acme"):
            await asyncio.sleep(0)
            return await asyncio.to_thread(lambda: dict(current_tags()))

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(task()) for _ in range(3)]

    assert [each.result() for each in tasks] == [{**outer, "customer": "acme"}] * 3
    assert current_tags() == outer


def test_a_plain_thread_has_no_tags_unless_bound(outer):
    seen = []
    for target in (or_otel.bind(lambda: seen.append(dict(current_tags()))), lambda: seen.append(dict(current_tags()))):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join()

    assert seen == [outer, {}]


def test_the_nearest_source_wins():
    sources = TagSources(
        fixed={"team": "all", "feature": "all"}, baggage={"team": "team", "b": "feature"}, metadata={"f": "feature"}
    )
    token = otel_context.attach(baggage.set_baggage("b", "of baggage", baggage.set_baggage("team", "of baggage")))
    with tags(customer="acme"):
        plain = sources.tags({})
        told = sources.tags({"f": "of metadata", "secret": "x"})
    with tags(feature="here"):
        here = sources.tags({"f": "of metadata"})
    otel_context.detach(token)

    assert plain == {"team": "of baggage", "feature": "of baggage", "customer": "acme"}
    assert told == {"team": "of baggage", "feature": "of metadata", "customer": "acme"}
    assert here == {"team": "of baggage", "feature": "here"}


def post(openrouter, **more):
    httpx.post(f"{openrouter.base_url}/chat/completions", json={**PROMPT, **more})


def test_baggage_and_metadata_become_tags_only_where_they_are_named(openrouter, telemetry, monkeypatch):
    token = otel_context.attach(baggage.set_baggage("tenant.id", "acme", baggage.set_baggage("team", "search")))
    hosts = {openrouter.base_url.split("/")[2]: "openrouter"}
    metadata = {"feature": "summary", "note": "private"}
    with or_otel.capture() as calls:
        or_otel.instrument(**telemetry.providers, hosts=hosts)
        post(openrouter, metadata=metadata)
        or_otel.uninstrument()
        monkeypatch.setenv("OR_OTEL_BAGGAGE_TAGS", "team, tenant.id=customer")
        monkeypatch.setenv("OR_OTEL_METADATA_TAGS", "feature")
        monkeypatch.setenv("OR_OTEL_TAGS", "product=shop,environment=staging")
        or_otel.instrument(**telemetry.providers, hosts=hosts)
        post(openrouter, metadata=metadata)
        post(openrouter, metadata="odd")
    otel_context.detach(token)

    everywhere = {"team": "search", "customer": "acme", "product": "shop"}
    assert [call.tags for call in calls] == [{}, {**everywhere, "feature": "summary"}, everywhere]
    assert [call.started.environment for call in calls] == [None, "staging", "staging"]
    assert "private" not in repr([(span.attributes, span.events) for span in telemetry.spans])


def test_no_tag_is_sent_anywhere(openrouter, calls):
    with tags(team="secret-team", customer="secret-customer"), or_otel.workflow("secret-workflow"):
        post(openrouter)
        assert baggage.get_all() == {}

    (request,) = openrouter.requests
    assert "secret" not in repr((request.path, request.headers, request.body))
    assert calls[0].tags["team"] == "secret-team"


def test_a_bound_function_is_captured_too_also_in_many_threads_at_once(openrouter, telemetry):
    or_otel.instrument(**telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"})
    gate = threading.Barrier(3, timeout=10)

    def work():
        gate.wait()
        post(openrouter)

    with or_otel.capture() as calls, ThreadPoolExecutor(3) as pool:
        bound = or_otel.bind(work)
        for _ in range(3):
            pool.submit(bound)

    assert len(calls) == 3
