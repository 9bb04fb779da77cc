from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from openrouter import components, operations
from openrouter.utils import unmarshal_json

from or_otel.simulator.account import BYOK_KEY, MANAGEMENT_KEY, SEARCH_KEY
from or_otel.simulator.server import ScriptedOpenRouter


@pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")  # the official model of a field still sent
def test_the_key_tells_what_the_book_holds(server, ask, exact):
    ask.chat()
    ask.chat("anthropic/claude-sonnet-4.6", key=BYOK_KEY)

    mine, byok = (exact(ask.get("/key", key).text)["data"] for key in (SEARCH_KEY, BYOK_KEY))

    first, second = server.book.entries
    assert mine["usage"] == mine["usage_daily"] == mine["usage_monthly"] == first.charged
    assert mine["limit_remaining"] == 50 - first.charged
    assert byok["byok_usage"] == second.upstream
    assert byok["usage"] == second.charged
    unmarshal_json(ask.get("/key").text, operations.GetCurrentKeyResponse)


def test_credits_and_keys_need_a_management_key_and_agree_with_the_book(server, ask, exact):
    ask.chat()

    assert ask.get("/credits").status_code == 403
    credits_told = exact(ask.get("/credits", MANAGEMENT_KEY).text)["data"]
    keys = exact(ask.get("/keys", MANAGEMENT_KEY).text)["data"]

    assert credits_told == {"total_credits": 110, "total_usage": server.book.total()}
    assert {key["name"]: key["usage"] for key in keys}["search"] == server.book.total()
    unmarshal_json(ask.get("/credits", MANAGEMENT_KEY).text, operations.GetCreditsResponse)
    unmarshal_json(ask.get("/keys", MANAGEMENT_KEY).text, operations.ListResponse)


def test_keys_come_in_pages(server, ask):
    server.account.page_size = 3

    pages = [ask.get(f"/keys?offset={offset}", MANAGEMENT_KEY).json()["data"] for offset in (0, 3, 6)]

    assert [len(page) for page in pages] == [3, 1, 0]


def test_a_used_up_key_and_used_up_credits_are_refused(server, ask):
    server.account.add_key("sk-or-v1-demo-small", limit_usd=Decimal("0.0001"))
    first, second = (ask.chat(key="sk-or-v1-demo-small").status_code for _ in range(2))
    server.account.credits_usd = server.book.total()

    assert (first, second) == (200, 402)
    assert ask.chat().status_code == 402


def test_a_rejected_or_disabled_key_is_not_authorised(server, ask):
    server.account.reject(SEARCH_KEY)
    server.account.add_key("sk-or-v1-demo-off", is_disabled=True)

    assert ask.chat().status_code == ask.chat(key="sk-or-v1-demo-off").status_code == 401
    assert ask.get("/key").status_code == 401


def test_a_key_that_the_account_does_not_have_is_refused_and_books_nothing(server, ask):
    unknown = "sk-or-v1-unknown"

    answers = [ask.chat(key=unknown), ask.get("/key", unknown), ask.get("/credits", unknown)]

    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[0].json() == {"error": {"message": "User not found.", "code": 401}}
    assert server.book.entries == ()
    assert "unnamed" not in [key.name for key in server.account.keys]


def test_where_strangers_are_taken_in_their_first_request_makes_them_an_ordinary_key(server, ask):
    server.account.takes_strangers = True

    assert ask.chat(key="sk-or-v1-unknown").status_code == 200
    assert "unnamed" in [key.name for key in server.account.keys]


def test_periods_and_activity_follow_the_clock(ask, server):
    del server
    now = [datetime(2026, 11, 30, 23, 0, tzinfo=UTC).timestamp()]
    with ScriptedOpenRouter(wall=lambda: now[0]) as clocked:
        ask.server = clocked
        ask.chat()
        assert ask.get("/activity", MANAGEMENT_KEY).json() == {"data": []}
        now[0] += 2 * 3600

        key = ask.get("/key").json()["data"]
        activity = ask.get("/activity", MANAGEMENT_KEY)

        (entry,) = clocked.book.entries
        assert (key["usage_daily"], key["usage_monthly"]) == (0, 0)
        assert key["usage"] == key["usage_weekly"] == float(entry.charged)
        (row,) = activity.json()["data"]
        assert (row["date"], row["requests"], row["usage"]) == ("2026-11-30", 1, float(entry.charged))
        unmarshal_json(activity.text, components.ActivityResponse)

        clocked.book.enter(replace(entry, id="gen-old", created_at_s=now[0] - 40 * 86_400))
        assert len(ask.get("/activity", MANAGEMENT_KEY).json()["data"]) == 1
        assert ask.get("/activity?date=2026-11-29", MANAGEMENT_KEY).json() == {"data": []}
