import logging
import socket
from dataclasses import replace
from decimal import Decimal

import httpx
import pytest

from or_otel.simulator import scenarios as s
from or_otel.simulator.account import MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.book import fingerprint
from or_otel.simulator.server import ScriptedOpenRouter


def test_requests_are_recorded_as_they_came(server, ask):
    ask.chat(headers={"X-Title": "app"})

    (request,) = server.wait_for(1)
    assert (request.method, request.path) == ("POST", "/api/v1/chat/completions")
    assert request.headers["x-title"] == "app"
    assert b"Hello there" in request.body
    assert request.key == SEARCH_KEY
    assert SEARCH_KEY not in repr(request)


def test_scenarios_answer_in_order_and_then_the_server_behaves(server, ask):
    server.script(s.plain(s.free()), s.server_error(503))

    assert ask.chat().json()["provider"] == "Chutes"
    assert ask.chat().status_code == 503
    assert ask.chat().json()["provider"] == "Anthropic"


def test_a_script_may_be_for_one_path(server, ask):
    server.script(s.server_error(500), path="/generation")

    assert ask.chat().status_code == 200
    assert ask.get("/generation?id=x").status_code == 500


ACCOUNT_PATHS = (
    "/key",
    "/keys",
    "/credits",
    "/activity",
    "/workspaces",
    "/organization/members",
    "/guardrails",
    "/analytics/meta",
    "/generation",
    "/models",
    "/models/openai/gpt-5.2/endpoints",
    "/providers",
)


@pytest.mark.parametrize("path", ACCOUNT_PATHS)
def test_an_account_path_fails_so_many_times_or_until_it_recovers(server, ask, path):
    truth = ask.get(path, MANAGEMENT_KEY).status_code
    server.account_fails(path, 429, times=2, retry_after_s=7)
    limited = [ask.get(path, MANAGEMENT_KEY) for _ in range(3)]
    server.account_fails(path, 503)
    failed = [ask.get(path, MANAGEMENT_KEY).status_code for _ in range(3)]
    server.recovers(path)

    assert [response.status_code for response in limited] == [429, 429, truth]
    assert limited[0].headers["retry-after"] == "7"
    assert limited[0].json()["error"]["metadata"]["error_type"] == "rate_limit_exceeded"
    assert failed == [503] * 3
    assert ask.get(path, MANAGEMENT_KEY).status_code == truth


@pytest.mark.parametrize(("status", "metadata"), [(401, False), (403, True)])
def test_a_planted_refusal_looks_like_a_true_one(server, ask, status, metadata):
    server.account_fails("/credits", status)

    response = ask.get("/credits", MANAGEMENT_KEY)

    assert response.status_code == status
    assert ("metadata" in response.json()["error"]) is metadata


def test_an_account_answer_may_be_no_json_or_cut_short(server, ask):
    server.account_fails("/keys", body="<html>")
    server.account_fails("/credits", cut_after=12)

    assert (ask.get("/keys", MANAGEMENT_KEY).status_code, ask.get("/keys", MANAGEMENT_KEY).text) == (200, "<html>")
    with pytest.raises(httpx.RemoteProtocolError):
        ask.get("/credits", MANAGEMENT_KEY)


def test_a_slow_account_answer_is_the_true_one_once_released(server, ask):
    truth = ask.get("/credits", MANAGEMENT_KEY).json()
    server.account_fails("/credits", wait="slow", times=1)

    url, headers = f"{server.base_url}/credits", {"Authorization": f"Bearer {MANAGEMENT_KEY}"}
    with pytest.raises(httpx.ReadTimeout):
        ask.client.get(url, headers=headers, timeout=0.2)
    server.account_fails("/credits", wait="slow")
    server.release("slow")

    assert ask.get("/credits", MANAGEMENT_KEY).json() == truth


def test_a_script_without_a_path_is_not_used_up_by_questions_to_the_account(server, ask):
    server.script(s.server_error(503))

    asked = ask.post("/analytics/query", key=MANAGEMENT_KEY, metrics=["request_count"]).status_code

    assert (asked, ask.chat().status_code) == (200, 503)


def test_one_connection_serves_many_requests(server, ask):
    for _ in range(3):
        ask.chat(stream=True)

    pool = ask.client._transport._pool
    assert len(pool.connections) == 1


@pytest.mark.parametrize("split", ["event", "frame", 1, 2])
def test_how_bytes_are_cut_does_not_change_them(server, ask, split):
    scenario = s.stream(s.cached(), comments=1)
    server.script(scenario, replace(scenario, split=split))

    assert ask.chat().content == ask.chat().content


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("is_stream", [False, True])
def test_content_encodings_carry_the_same_bytes(server, ask, encoding, is_stream):
    answer = s.cached()
    scenario = s.stream(answer) if is_stream else s.plain(answer)
    server.script(scenario, replace(scenario, encoding=encoding))

    plain, encoded = ask.chat(), ask.chat()

    assert encoded.headers["content-encoding"] == encoding
    assert encoded.content == plain.content


def test_an_encoded_event_can_be_read_before_the_stream_goes_on(server, ask):
    scenario = s.stream(s.Answer(), middle=[s.Wait("go")])
    server.script(replace(scenario, encoding="gzip"))

    with ask.streaming() as response:
        first = next(response.iter_text())
        server.release("go")

    assert "Lisbon" in first


def test_a_wait_holds_until_it_is_released(server, ask):
    server.script(s.stream(middle=[s.Wait("go")]))

    with ask.streaming() as response:
        lines = response.iter_lines()
        seen = [next(lines) for _ in range(8)]
        assert server.book.entries == ()
        server.release("go")
        seen += list(lines)

    assert seen[-2:] == ["data: [DONE]", ""]
    assert len(server.book.entries) == 1
    assert server.disconnects == ()


def test_a_client_that_leaves_is_recorded_with_its_bill(server, ask):
    server.script(s.stream(middle=[s.Wait("never")]))

    with ask.streaming() as response:
        next(response.iter_lines())

    (left,) = server.wait_for_disconnect()
    (entry,) = server.book.entries
    assert left.request.path.endswith("/chat/completions")
    assert entry.is_cancelled


def test_a_client_that_leaves_before_the_head_is_billed_nothing(server, ask):
    server.script(replace(s.plain(), before=(s.Wait("never"),)))

    with pytest.raises(httpx.ReadTimeout):
        ask.client.post(f"{server.base_url}/chat/completions", json={}, timeout=0.2)

    server.wait_for_disconnect()
    assert server.book.total() == 0


def test_a_client_that_closes_at_the_terminator_has_not_left_early(server, ask):
    server.script(s.stream())

    with ask.streaming() as response:
        for line in response.iter_lines():
            if line == "data: [DONE]":
                break
    ask.chat()

    assert server.disconnects == ()
    assert server.book.entries[0].outcome == "ok"


def test_waiting_in_vain_says_what_came(server):
    with pytest.raises(TimeoutError, match=r"expected 2 requests within 0\.01 s, saw 0"):
        server.wait_for(2, timeout_s=0.01)


def test_bytes_that_are_no_http_only_end_their_connection(server, ask):
    with socket.create_connection(("127.0.0.1", server.port)) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(10) == b""

    assert ask.chat().status_code == 200


def test_a_body_of_strange_types_is_an_error_and_no_crash(ask):
    assert ask.post(model={"a": 1}, messages=[3], tools=[4], tool_choice="required").status_code in {200, 500}
    assert ask.post(messages=[{"content": "x"}], model="openai/gpt-5.2", max_tokens="many").status_code == 200
    assert ask.chat().status_code == 200


def test_stopping_ends_open_streams_and_frees_the_port():
    server = ScriptedOpenRouter().start()
    server.script(s.stream(middle=[s.Wait("never")]))
    with httpx.Client() as client, client.stream("POST", f"{server.base_url}/chat/completions", json={}) as response:
        lines = response.iter_lines()
        next(lines)
        server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    server.stop()

    with ScriptedOpenRouter(port=server.port) as again:
        assert again.port == server.port
        with pytest.raises(OSError, match="in use"):
            ScriptedOpenRouter(port=server.port).start()


def test_the_server_keeps_no_key_and_logs_nothing(server, ask, caplog):
    caplog.set_level(logging.DEBUG)

    ask.chat()
    ask.get("/key")

    assert not [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert server.book.entries[0].key == fingerprint(SEARCH_KEY)
    assert SEARCH_KEY not in repr(vars(server.account))


def test_the_book_equals_the_wire_to_the_last_digit(server, ask, exact):
    server.script(s.plain(s.cached()), s.stream(s.searched()), s.plain(s.byok(fee=Decimal("0.000225"))))

    wire = [exact(ask.chat().text), exact(ask.chat().text)[-1], exact(ask.chat().text)]

    assert [body["usage"]["cost"] for body in wire] == [entry.charged for entry in server.book.entries]


def test_a_large_request_is_read_whole(server, ask):
    ask.chat(content="x" * 500_000)

    assert len(server.requests[0].body) > 500_000
