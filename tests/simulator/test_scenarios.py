import json
from decimal import Decimal

import httpx
import pytest
from openrouter import components
from openrouter.utils import unmarshal_json

from or_otel.simulator import scenarios as s
from or_otel.simulator.exact_json import dumps

ANSWERS = {
    "plain": s.Answer(),
    "reasoned": s.reasoned(),
    "calling": s.calling(),
    "invalid": s.calling_invalid_json(),
    "unknown": s.calling_unknown_tool(),
    "cached": s.cached(),
    "written": s.cached(read=0, written=1024),
    "byok": s.byok(),
    "byok-fee": s.byok(fee=Decimal("0.000225")),
    "free": s.free(),
    "multimodal": s.multimodal(),
    "searched": s.searched(),
    "provider-fallback": s.provider_fallback(),
    "model-fallback": s.model_fallback(),
    "auto": s.routed(),
    "latest": s.routed("~anthropic/claude-haiku-latest", "latest"),
}
ERRORS = {
    "400": s.invalid_model(),
    "402": s.no_credits(),
    "403": s.moderated(),
    "404": s.no_endpoints(),
    "408": s.timed_out(),
    "429": s.rate_limited(),
    "429-upstream": s.provider_error(retry_after_s=7),
    **{str(status): s.server_error(status) for status in (500, 502, 503, 524)},
    "529": s.provider_error(529),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_one_the_official_client_accepts(name):
    body = dumps(s.chat_body(ANSWERS[name]))

    result = unmarshal_json(body, components.ChatResult)

    assert result.usage.prompt_tokens == ANSWERS[name].usage.input_tokens


@pytest.mark.parametrize("framing", ["repeated", "null", "empty"])
@pytest.mark.parametrize("name", ANSWERS)
def test_every_stream_is_one_the_official_client_accepts(name, framing):
    scenario = s.stream(ANSWERS[name], framing=framing, comments=1, is_role_first=True)
    chunks = [step.data for step in scenario.steps if isinstance(step, s.Chunk)]

    read = [unmarshal_json(dumps(chunk), components.ChatStreamChunk) for chunk in chunks]

    assert read[-1].usage.prompt_tokens == ANSWERS[name].usage.input_tokens
    assert bool(read[-1].choices) == (framing != "empty")
    assert isinstance(scenario.steps[-1], s.Done)


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_the_official_form(name):
    scenario = ERRORS[name]
    body = json.loads(dumps(scenario.body))

    assert body["error"]["code"] == scenario.status
    assert body["error"]["metadata"]["error_type"]
    assert scenario.bill is None


@pytest.mark.parametrize("name", ANSWERS)
def test_the_bill_is_what_the_answer_tells(name):
    scenario = s.plain(ANSWERS[name])
    usage = scenario.body["usage"]

    assert usage["cost"] == scenario.bill.charged
    assert usage["cost_details"]["upstream_inference_cost"] == scenario.bill.upstream
    assert bool(usage.get("is_byok")) == scenario.bill.is_byok


def test_byok_inside_the_allowance_costs_the_integer_zero():
    assert '"cost":0,"is_byok":true' in dumps(s.chat_body(s.byok()))


def test_tool_arguments_come_in_pieces_that_join_again():
    deltas = [step.data["choices"][0]["delta"] for step in s.content_steps(s.calling())]
    arguments = [d["tool_calls"][0]["function"].get("arguments") for d in deltas]

    assert len([a for a in arguments if a]) > 1
    assert "".join(arguments) == '{"city": "Lisbon"}'


def test_what_is_not_told_is_billed_all_the_same():
    assert "usage" not in s.without_usage().body
    assert s.without_usage().bill.charged == Decimal("0.00025")
    assert "cost" not in s.without_cost().body["usage"]
    assert "cost" not in dumps([c.data for c in s.without_cost(is_stream=True).steps if isinstance(c, s.Chunk)])


def test_a_cache_hit_uses_and_costs_nothing_and_has_an_id_of_its_own():
    source = s.Answer()
    hit = s.cache_hit(source)

    assert hit.bill.charged == 0
    assert hit.bill.usage.input_tokens == 0
    assert hit.bill.cache_source_id == source.id != hit.bill.id
    assert dict(hit.headers)["x-openrouter-cache-status"] == "HIT"


def test_odd_events_say_the_same_as_ordinary_ones(server, ask, exact):
    answer = s.cached()
    server.script(s.odd_events(answer), s.stream(answer))

    odd, ordinary = ask.chat(stream=True), ask.chat(stream=True)

    assert odd.content.startswith(b"\xef\xbb\xbf: xxx")
    assert b"\r\n" in odd.content
    assert exact(odd.content.decode()) == exact(ordinary.text)


@pytest.mark.parametrize("lost", [s.lost_before_headers(), s.lost_mid_stream(), s.lost_mid_body()])
def test_a_lost_connection_is_lost_for_the_client(server, ask, lost):
    server.script(lost)

    with pytest.raises(httpx.RemoteProtocolError):
        ask.chat()


def test_a_lost_stream_is_billed_for_what_was_sent(server, ask):
    server.script(s.lost_mid_stream(after=3))

    with pytest.raises(httpx.RemoteProtocolError):
        ask.chat()

    (entry,) = server.book.entries
    assert entry.is_cancelled
    assert entry.charged > 0


def test_an_error_in_the_stream_is_billed_only_with_usage(server, ask):
    server.script(s.error_mid_stream(), s.error_mid_stream(is_usage_told=True))

    ask.chat(), ask.chat()

    silent, told = server.book.entries
    assert (silent.outcome, silent.charged) == ("error", 0)
    assert (told.outcome, told.charged) == ("error", Decimal("0.00025"))


def test_an_openai_shaped_server_names_neither_provider_nor_money(server, ask):
    server.script(s.openai_shaped(), s.openai_shaped(is_stream=True))

    texts = ask.chat().text + ask.chat().text

    assert "cost" not in texts
    assert "provider" not in texts
    assert server.book.entries == ()


def test_a_redirect_is_followed_to_the_next_answer(server, ask):
    server.script(s.redirected("/api/v1/chat/completions"), s.plain(s.free()))
    ask.client.follow_redirects = True

    assert ask.chat().json()["provider"] == "Chutes"
    assert len(server.requests) == 2


@pytest.mark.parametrize("scenario", [s.error_in_200(), s.error_in_choice()])
def test_an_error_may_come_with_status_200(server, ask, scenario):
    server.script(scenario)

    response = ask.chat()

    assert response.status_code == 200
    assert '"code":502' in response.text
