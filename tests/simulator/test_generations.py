import pytest
from openrouter import OpenRouter, errors

from or_otel.simulator import scenarios as s
from or_otel.simulator.account import BYOK_KEY, SEARCH_KEY


def status(ask, name, path="/generation"):
    return ask.get(f"{path}?id={name}").status_code


@pytest.fixture
def asks(clocked, ask):
    ask.server = clocked
    return ask


def test_a_record_is_known_after_some_time_of_the_wall_clock(clocked, clock, asks):
    clocked.behaviour.generations.delay_s = 2
    name = asks.chat().json()["id"]

    seen = []
    for _ in range(3):
        seen.append(status(asks, name))
        clock.now_s += 1

    assert seen == [404, 404, 200]


def test_a_cancelled_stream_s_record_comes_later_and_has_its_cost(clocked, clock, asks):
    clocked.behaviour.generations.cancelled_delay_s = 60
    clocked.script(s.stream(middle=[s.Wait("never")]))
    with asks.streaming() as response:
        next(response.iter_lines())
    clocked.wait_for_disconnect()
    (entry,) = clocked.book.entries
    other = asks.chat().json()["id"]

    assert (status(asks, entry.id), status(asks, other)) == (404, 200)

    clock.now_s += 60
    record = asks.get(f"/generation?id={entry.id}").json()["data"]
    assert record["cancelled"] is True
    assert record["finish_reason"] is None
    assert record["total_cost"] == float(entry.charged) > 0


def test_an_own_key_that_failed_shows_in_the_attempts(clocked, asks):
    clocked.provider_fails("Anthropic", 429)
    name = asks.chat(key=BYOK_KEY).json()["id"]

    record = asks.get(f"/generation?id={name}").json()["data"]

    assert [(r["provider_name"], r["status"], r["is_byok"]) for r in record["provider_responses"]] == [
        ("Anthropic", 429, True),
        ("Amazon Bedrock", 200, False),
    ]
    assert (record["is_byok"], record["upstream_inference_cost"]) == (False, 0)


def test_contents_are_not_kept_unless_told_and_then_are_empty(clocked, asks):
    name = asks.chat().json()["id"]

    kept_not = status(asks, name, "/generation/content")
    clocked.behaviour.generations.is_content_empty = True
    with OpenRouter(api_key=SEARCH_KEY, server_url=clocked.base_url) as client:
        content = client.generations.list_generation_content(id=name).data

    assert kept_not == 404
    assert (content.input.messages, content.output.completion, content.error) == ([], None, None)


def test_the_official_client_reads_the_record_and_its_absence(clocked, asks):
    name = asks.chat(key=BYOK_KEY).json()["id"]
    (entry,) = clocked.book.entries

    with OpenRouter(api_key=SEARCH_KEY, server_url=clocked.base_url) as client:
        record = client.generations.get_generation(id=name).data
        with pytest.raises(errors.NotFoundResponseError):
            client.generations.get_generation(id="gen-none")

    assert record.is_byok
    assert record.upstream_inference_cost == float(entry.upstream)
    assert record.total_cost == float(entry.charged)


def test_a_scripted_answer_to_a_stranger_has_a_record_too(clocked, asks):
    clocked.script(s.plain())
    asks.chat(key="sk-or-v1-stranger")
    (entry,) = clocked.book.entries

    assert asks.get(f"/generation?id={entry.id}").json()["data"]["workspace_id"] is None


def test_how_often_a_record_is_not_found_is_set_in_either_place(clocked, asks):
    clocked.behaviour.generation_not_found_first = 2
    name = asks.chat().json()["id"]

    assert clocked.behaviour.generation_not_found_first == clocked.behaviour.generations.not_found_first == 2
    assert [status(asks, name) for _ in range(3)] == [404, 404, 200]


def test_a_bad_key_may_not_ask(server, ask):
    server.account.reject(SEARCH_KEY)

    assert status(ask, "gen-1") == 401
