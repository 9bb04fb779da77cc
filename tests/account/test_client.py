from __future__ import annotations

import gzip
import json
import socket
from decimal import Decimal

import httpx
import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled

import or_otel
from or_otel.account import client as client_module
from or_otel.account.client import AccountClient
from or_otel.account.errors import (
    AccountError,
    KeyRejectedError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnavailableError,
    UnreadableError,
    WrongKeyError,
)
from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.scenarios import Cut, Scenario

HASHES = [f"{number:064x}" for number in range(9)]


@pytest.fixture
def client(openrouter):
    with AccountClient(openrouter.base_url, SEARCH_KEY, MANAGEMENT_KEY) as client:
        yield client


def _keys(*numbers, **fields):
    return Scenario(body={"data": [{"hash": HASHES[number], **fields} for number in numbers]})


def _asked(openrouter):
    return [request.path.removeprefix("/api/v1") for request in openrouter.requests]


def test_each_endpoint_is_asked_with_the_key_that_may_ask_it(openrouter, client):
    client.key()
    client.credits()
    client.keys()
    client.models()

    used = {request.path.partition("?")[0].rpartition("/")[2]: request.key for request in openrouter.requests}
    assert used == {"key": SEARCH_KEY, "credits": MANAGEMENT_KEY, "keys": MANAGEMENT_KEY, "models": SEARCH_KEY}


def test_a_single_key_asks_everything(openrouter):
    with AccountClient(openrouter.base_url, MANAGEMENT_KEY) as client:
        assert client.key().is_management is True
        assert client.credits().purchased_usd == Decimal(110)


def test_the_account_agrees_with_the_call_that_was_billed(openrouter, client):
    answer = httpx.post(
        f"{openrouter.base_url}/chat/completions",
        json={"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]},
        headers={"authorization": f"Bearer {SEARCH_KEY}"},
    ).json()
    billed = openrouter.book.total()

    assert billed > 0
    assert client.key().credits.lifetime_usd == billed
    listed = client.keys()
    assert {key.name: key.credits.daily_usd for key in listed}["search"] == billed
    assert client.credits().used_usd == billed
    assert client.generation(answer["id"]).charged_usd == billed


def test_keys_are_paged_until_nothing_comes(openrouter, client):
    openrouter.script(_keys(0, 1), _keys(2), _keys(), path="/keys")

    listed = client.keys()

    assert [key.hash for key in listed] == HASHES[:3]
    assert [path.partition("offset=")[2] for path in _asked(openrouter)] == ["0", "2", "3"]
    assert all("include_disabled=true" in path and "include_expired=true" in path for path in _asked(openrouter))


def test_paging_ends_where_a_server_ignores_the_offset(openrouter, client):
    openrouter.script(*[_keys(0, 1)] * 5, path="/keys")

    listed = client.keys()

    assert [key.hash for key in listed] == HASHES[:2]
    assert len(openrouter.requests) == 2


def test_strange_rows_count_as_part_of_the_page(openrouter, client):
    openrouter.script(Scenario(body={"data": [{"hash": HASHES[0]}, {"name": "?"}]}), _keys(), path="/keys")

    assert len(client.keys()) == 1
    assert _asked(openrouter)[1].endswith("offset=2")
    assert client.strange_rows == {"/keys": 1}


def test_every_workspace_is_asked_but_the_default_one_not_twice(openrouter, client):
    openrouter.script(_keys(0, workspace_id="default"), _keys(), _keys(1, workspace_id="team"), _keys(), path="/keys")

    keys = client.keys(["default", "team"])

    assert [key.workspace_id for key in keys] == ["default", "team"]
    assert ["workspace_id=team" in path for path in _asked(openrouter)] == [False, False, True, True]


def test_models_follow_the_offset_of_the_next_link_and_never_the_link(openrouter, client):
    pages = (
        {"data": [{"id": "a"}], "links": {"next": "http://elsewhere.invalid/steal?offset=1"}},
        {"data": [{"id": "b"}], "links": {"next": "/api/v1/models?offset=1"}},
    )
    openrouter.script(*(Scenario(body=page) for page in pages), path="/models")

    assert [model.id for model in client.models()] == ["a", "b"]
    assert _asked(openrouter) == ["/models", "/models?offset=1"]


def test_models_can_be_asked_without_any_key(openrouter):
    with AccountClient(openrouter.base_url) as client:
        assert client.models()
        with pytest.raises(WrongKeyError, match="OPENROUTER_MANAGEMENT_KEY") as caught:
            client.credits()

    assert (caught.value.needed, caught.value.error_type) == ("management", "no_key")
    assert [request.key for request in openrouter.requests] == [None]


def test_the_endpoints_of_a_model_are_asked_by_its_id(openrouter, client):
    body = {"data": {"id": "~a/b:free", "endpoints": [{"provider_name": "Azure"}, {}, 5]}}
    openrouter.script(Scenario(body=body), path="/models/~a/b:free/endpoints")

    assert [row.provider for row in client.endpoints("~a/b:free")] == ["Azure"]
    assert client.strange_rows == {"/models/…/endpoints": 2}


def test_activity_is_narrowed_by_day_and_key(openrouter, client):
    openrouter.script(Scenario(body={"data": [{"date": "2026-11-19"}]}), path="/activity")

    (row,) = client.activity(key_hash=HASHES[1]).rows

    assert row.key_hash == HASHES[1]
    assert _asked(openrouter) == [f"/activity?api_key_hash={HASHES[1]}"]


def test_rows_of_activity_without_a_day_or_with_money_that_is_none_are_counted_as_unreadable(openrouter, client):
    rows = [
        {"date": "2026-11-19", "usage": 1.5},
        {"date": "yesterday", "usage": 1.5},
        {"date": "2026-11-19", "usage": "a lot"},
        {"date": "2026-11-19", "usage": 1, "byok_usage_inference": {}},
    ]
    openrouter.script(Scenario(body={"data": rows}), path="/activity")

    listing = client.activity()

    assert [row.credits_usd for row in listing.rows] == [Decimal("1.5")]
    assert (listing.strange_count, client.strange_rows) == (3, {"/activity": 3})


def test_analytics_are_asked_in_utc_with_seconds(openrouter, client):
    answer = {"data": {"data": [{"total_usage": "1.5", "model": "x"}], "metadata": {"truncated": True}}}
    openrouter.script(Scenario(body=answer), path="/analytics/query")

    listing = client.analytics(["total_usage"], ["model"], granularity="day", between_s=(0.0, 86400.5), limit=5)

    assert json.loads(openrouter.requests[0].body) == {
        "metrics": ["total_usage"],
        "dimensions": ["model"],
        "granularity": "day",
        "time_range": {"start": "1970-01-01T00:00:00Z", "end": "1970-01-02T00:00:00Z"},
        "limit": 5,
    }
    assert listing.rows[0].metrics == {"total_usage": Decimal("1.5")}
    assert listing.is_truncated


def test_analytics_are_asked_for_no_more_than_is_said(openrouter, client):
    openrouter.script(*[Scenario(body={"data": {"data": []}})] * 2, path="/analytics/query")

    client.analytics(["request_count"])
    client.analytics(["request_count"], filters=[{"field": "model", "operator": "eq", "value": "m"}])

    assert [json.loads(request.body) for request in openrouter.requests] == [
        {"metrics": ["request_count"]},
        {"metrics": ["request_count"], "filters": [{"field": "model", "operator": "eq", "value": "m"}]},
    ]


def test_a_list_without_end_is_left(openrouter, client, monkeypatch):
    monkeypatch.setattr(client_module, "MAX_PAGES", 3)
    openrouter.script(*(_keys(number) for number in range(9)), path="/keys")
    pages = ({"data": [{"id": f"m{n}"}], "links": {"next": f"?offset={n + 1}"}} for n in range(9))
    openrouter.script(*(Scenario(body=page) for page in pages), path="/models")

    assert len(client.keys()) == 3
    assert len(client.models()) == 3


def test_a_refused_inference_key_is_told_its_own_remedy(openrouter, client):
    openrouter.script(Scenario(status=401), Scenario(status=403), path="/key")

    for error in (KeyRejectedError, WrongKeyError):
        with pytest.raises(error, match="OPENROUTER_API_KEY"):
            client.key()


def test_the_whole_account_is_told_as_its_server_has_it(openrouter, client):
    openrouter.account.add_workspace("w-research", "Research")
    openrouter.account.add_key("sk-or-v1-second", name="second", workspace_id="w-research")

    workspaces = client.workspaces()
    keys = client.keys([workspace.id for workspace in workspaces])
    meta = client.analytics_meta()

    assert "Research" in {workspace.name for workspace in workspaces}
    assert {"search", "second"} <= {key.name for key in keys}
    assert len({key.hash for key in keys}) == len(keys)
    assert client.members()
    assert client.providers()
    assert {"total_usage", "request_count"} <= meta.metrics
    assert client.analytics(["total_usage"], granularity="day").strange_count == 0
    assert client.strange_rows == {}


def test_a_request_carries_the_key_and_our_name_and_keeps_no_cookie(openrouter, client):
    cookie = ("set-cookie", "__cf_bm=tracked; path=/; domain=127.0.0.1")
    openrouter.script(Scenario(body={"data": {}}, headers=(cookie,)), path="/key")

    client.key()
    client.key()

    for request in openrouter.requests:
        assert set(request.headers) == {
            "host",
            "accept",
            "accept-encoding",
            "connection",
            "user-agent",
            "authorization",
        }
        assert request.headers["user-agent"] == f"or-otel/{or_otel.__version__}"


def test_nobody_s_instrumentation_sees_the_requests():
    seen = []

    def answer(request):
        seen.append(is_instrumentation_enabled())
        return httpx.Response(200, json={"data": {}})

    with AccountClient(api_key="sk", transport=httpx.MockTransport(answer)) as client:
        client.key()

    assert seen == [False]
    assert is_instrumentation_enabled()


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        (401, KeyRejectedError, "OPENROUTER_MANAGEMENT_KEY"),
        (403, WrongKeyError, "management key"),
        (404, NotFoundError, "no such thing"),
        (429, RateLimitedError, "wait"),
        (400, RefusedError, "HTTP 400"),
        (302, RefusedError, "OR_OTEL_BASE_URL"),
        (408, UnavailableError, "HTTP 408"),
        (502, UnavailableError, "status.openrouter.ai"),
        (529, UnavailableError, "HTTP 529"),
    ],
)
def test_a_refusal_names_endpoint_and_remedy_and_neither_key_nor_words_of_the_server(
    openrouter, client, status, error, word
):
    openrouter.script(
        Scenario(status=status, body={"error": {"message": "secret words"}}, headers=(("location", "/steal"),)),
        path="/credits",
    )

    with pytest.raises(error) as caught:
        client.credits()

    text = str(caught.value)
    assert text.startswith("/credits: ")
    assert word in text
    assert MANAGEMENT_KEY not in text
    assert "secret" not in text
    assert (caught.value.endpoint, caught.value.error_type) == ("/credits", str(status))
    assert caught.value.__context__ is None, "an httpx error would hold the key"
    assert len(openrouter.requests) == 1


def test_an_inference_key_is_told_which_kind_is_needed(openrouter):
    with AccountClient(openrouter.base_url, SEARCH_KEY) as client, pytest.raises(WrongKeyError) as caught:
        client.keys()

    assert caught.value.needed == "management"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("retry-after", "7"),), 7.0),
        ((("retry-after", "Fri, 20 Nov 2026 10:00:30 GMT"), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")), 30.0),
        ((("retry-after", "Fri, 20 Nov 2026 09:00:00 GMT"), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")), 0.0),
        ((("retry-after", "later"),), None),
        ((("retry-after", "9" * 400),), 999999999.0),
        ((), None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_a_server_asks_for_is_kept(openrouter, client, status, headers, expected):
    openrouter.script(Scenario(status=status, headers=headers), path="/key")

    with pytest.raises(AccountError) as caught:
        client.key()

    assert caught.value.retry_after_s == expected


def test_an_error_object_behind_a_200_is_judged_by_its_code(openrouter, client):
    openrouter.script(Scenario(body={"error": {"code": 429, "message": "x"}}), path="/key")

    with pytest.raises(RateLimitedError):
        client.key()


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario(body=b"<html>hello</html>"),
        Scenario(body=b'{"data":{"label":"x'),
        Scenario(body={"data": []}),
        Scenario(body=b"no gzip", headers=(("content-encoding", "gzip"),)),
    ],
)
def test_an_answer_that_is_not_what_was_promised_is_unreadable(openrouter, client, scenario):
    openrouter.script(scenario, path="/key")

    with pytest.raises(UnreadableError) as caught:
        client.key()

    assert "hello" not in str(caught.value)


def test_a_connection_dropped_or_never_made_is_unavailable(openrouter, client):
    openrouter.script(Scenario(before=(Cut(),)), Scenario(body={"data": {}}, cut_after=5), path="/key")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]

    for _ in range(2):
        with pytest.raises(UnavailableError, match="RemoteProtocolError"):
            client.key()
    with (
        AccountClient(f"http://127.0.0.1:{port}", SEARCH_KEY) as nowhere,
        pytest.raises(UnavailableError, match="HTTPS_PROXY") as caught,
    ):
        nowhere.key()
    assert caught.value.error_type == "ConnectError"
    assert caught.value.__context__ is None


def test_a_huge_answer_is_left_before_it_fills_the_memory(openrouter, client, monkeypatch):
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 1000)
    openrouter.script(
        Scenario(body=gzip.compress(b" " * 100_000), headers=(("content-encoding", "gzip"),)), path="/key"
    )

    with pytest.raises(UnreadableError, match="larger than 1000 bytes"):
        client.key()


def test_a_server_that_drips_is_left_when_patience_ends():
    times = iter(range(0, 1000, 25))

    def drip():
        while True:
            yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=drip()))
    with (
        AccountClient(api_key="sk", transport=transport, clock=lambda: next(times)) as client,
        pytest.raises(UnavailableError, match="longer than 60 s"),
    ):
        client.key()


@pytest.mark.parametrize("key", ["sk-or v1", "sk-or\nv1", "sk-ör"])
def test_what_no_key_can_be_is_refused_without_being_told(key):
    with pytest.raises(ValueError, match="OPENROUTER_API_KEY") as caught:
        AccountClient(api_key=key)

    assert key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "openrouter.ai",
        "ftp://openrouter.ai",
        "https://me:secret@openrouter.ai",
        "http://localhost:999999",
        "http://[",
        "http://a:port",
    ],
)
def test_what_no_base_url_can_be_is_refused(url):
    with pytest.raises(ValueError, match="OR_OTEL_BASE_URL") as caught:
        AccountClient(url)

    assert "secret" not in str(caught.value)


def test_neither_the_client_nor_its_errors_show_a_key(openrouter, client):
    openrouter.account.reject(MANAGEMENT_KEY)

    with pytest.raises(KeyRejectedError) as caught:
        client.credits()

    for shown in (repr(client), repr(caught.value), repr(vars(caught.value))):
        assert MANAGEMENT_KEY not in shown
        assert SEARCH_KEY not in shown
