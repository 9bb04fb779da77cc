"""How methods are watched and let go again: exactly, lazily, and inert where they cannot be."""

from __future__ import annotations

import inspect
import types

import httpx
import httpx2
import openai
import pytest
from openai import _base_client

import or_otel
from or_otel.sensors import patching
from or_otel.simulator import scenarios

PATCHED = [
    (httpx.Client, "send"),
    (httpx.AsyncClient, "send"),
    (httpx2.Client, "send"),
    (httpx2.AsyncClient, "send"),
    (_base_client.SyncAPIClient, "request"),
    (_base_client.AsyncAPIClient, "request"),
]
PROMPT = {"model": "anthropic/claude-haiku-4.5", "messages": [{"role": "user", "content": "say ok"}]}
HEADERS = {"authorization": "Bearer sk-or-v1-x"}


@pytest.fixture
def hosts(openrouter):
    return {openrouter.base_url.split("/")[2]: "openrouter"}


@pytest.fixture
def url(openrouter):
    return openrouter.base_url + "/chat/completions"


@pytest.mark.parametrize(("owner", "name"), PATCHED, ids=str)
def test_a_method_is_the_very_same_object_again_after_uninstrument(owner, name):
    before = owner.__dict__[name]

    for _ in range(2):
        or_otel.instrument()
        assert owner.__dict__[name] is not before
        or_otel.uninstrument()
        assert owner.__dict__[name] is before


@pytest.mark.parametrize(("owner", "name"), PATCHED, ids=str)
def test_a_watched_method_still_looks_like_itself(owner, name):
    before = getattr(owner, name)
    facts = (before.__name__, before.__doc__, inspect.signature(before), inspect.iscoroutinefunction(before))

    or_otel.instrument()

    after = getattr(owner, name)
    assert (after.__name__, after.__doc__, inspect.signature(after), inspect.iscoroutinefunction(after)) == facts


def test_an_inherited_method_is_watched_where_it_is_defined_and_not_left_on_the_heir():
    class Parent:
        def send(self):
            return "sent"

    class Heir(Parent):
        pass

    original = Parent.__dict__["send"]
    or_otel.instrument()
    seen = []
    patching.wrap_method(
        Heir, "send", lambda wrapped, _instance, args, kwargs: seen.append(1) or wrapped(*args, **kwargs)
    )

    assert (Heir().send(), Parent().send(), len(seen)) == ("sent", "sent", 2)
    or_otel.uninstrument()
    assert "send" not in Heir.__dict__
    assert Parent.__dict__["send"] is original


def test_a_method_that_is_not_there_is_passed_over():
    or_otel.instrument()

    patching.wrap_method(httpx.Client, "no_such_method", lambda *_: None)
    patching.wrap_method(None, "send", lambda *_: None)

    assert not hasattr(httpx.Client, "no_such_method")


def test_where_somebody_wrapped_over_us_theirs_stays_and_ours_does_nothing(monkeypatch, openrouter, url, hosts):
    or_otel.instrument(hosts=hosts)
    ours = httpx.Client.send
    seen = []

    def theirs(self, request, **options):
        seen.append(request)
        return ours(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", theirs)
    or_otel.uninstrument()

    with or_otel.capture() as calls, httpx.Client(headers=HEADERS) as client:
        response = client.post(url, json=PROMPT)
    assert httpx.Client.__dict__["send"] is theirs
    assert (response.status_code, len(seen), calls) == (200, 1, [])
    assert "x-openrouter-metadata" not in openrouter.requests[0].headers

    or_otel.instrument(hosts=hosts)
    with or_otel.capture() as calls, httpx.Client(headers=HEADERS) as client:
        client.post(url, json=PROMPT)
    assert len(calls) == 1
    monkeypatch.undo()
    or_otel.uninstrument()
    assert type(httpx.Client.__dict__["send"]) is types.FunctionType


def test_clients_made_before_and_methods_bound_before_are_told_apart(openrouter, url, hosts):
    with httpx.Client(headers=HEADERS) as client:
        bound_before = client.send
        or_otel.instrument(hosts=hosts)

        with or_otel.capture() as calls:
            client.post(url, json=PROMPT)
            bound_before(client.build_request("POST", url, json=PROMPT))

    assert len(calls) == 1  # what was bound before is the library's own function, which nobody can reach


def test_a_client_made_while_watched_works_unwatched(openrouter, url, hosts):
    or_otel.instrument(hosts=hosts)
    with openai.OpenAI(base_url=openrouter.base_url, api_key="sk-or-v1-x") as client:
        or_otel.uninstrument()

        with or_otel.capture() as calls:
            assert client.chat.completions.create(**PROMPT).choices

    assert calls == []
    assert "x-openrouter-metadata" not in openrouter.requests[0].headers


def test_a_stream_that_was_open_at_uninstrument_is_read_to_its_end(openrouter, url, hosts):
    openrouter.script(scenarios.stream(middle=(scenarios.Wait("rest"),)))
    or_otel.instrument(hosts=hosts)

    with (
        or_otel.capture() as calls,
        httpx.Client(headers=HEADERS) as client,
        client.stream("POST", url, json={**PROMPT, "stream": True}) as response,
    ):
        lines = response.iter_lines()
        next(lines)
        or_otel.uninstrument()
        openrouter.release("rest")
        assert "data: [DONE]" in list(lines)

    assert [record.outcome for record in calls] == ["ok"]


def test_who_is_called_unbound_or_with_keywords_is_seen_too(openrouter, url, hosts):
    or_otel.instrument(hosts=hosts)

    with or_otel.capture() as calls, httpx.Client(headers=HEADERS) as client:
        httpx.Client.send(client, client.build_request("POST", url, json=PROMPT))
        client.send(request=client.build_request("POST", url, json=PROMPT))

    assert [record.outcome for record in calls] == ["ok", "ok"]
