from datetime import UTC, datetime
from decimal import Decimal

import pytest
from openrouter import OpenRouter, errors

from or_otel.simulator.account import (
    BYOK_KEY,
    MANAGEMENT_KEY,
    SEARCH_KEY,
    SECOND_USER_ID,
    SUPPORT_KEY,
    WORKSPACE_ID,
    Guardrail,
)
from or_otel.simulator.book import fingerprint
from or_otel.simulator.history import Company, write_history

SONNET = "anthropic/claude-sonnet-4.6"
THEIRS = "sk-or-v1-other-managing"
ROOM = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def asks(clocked, ask):
    ask.server = clocked
    return ask


@pytest.fixture
def client(clocked):
    with OpenRouter(api_key=MANAGEMENT_KEY, server_url=clocked.base_url) as client:
        yield client


def named(keys):
    return [key["name"] for key in keys]


def test_keys_are_listed_by_workspace_and_only_in_use(clocked, clock, told):
    clocked.account.add_workspace(ROOM, "Research")
    clocked.account.add_key("sk-or-v1-demo-lab", name="lab", workspace_id=ROOM)
    clocked.account.change_key(SUPPORT_KEY, is_disabled=True)
    clocked.account.change_key(BYOK_KEY, expires_at_s=clock.now_s)

    assert named(told("/keys")) == ["search", "broke"]
    assert named(told(f"/keys?workspace_id={ROOM}")) == ["lab"]
    assert named(told("/keys?include_disabled=true&include_expired=true")) == ["search", "support", "byok", "broke"]
    assert told("/keys?include_disabled=true")[1]["disabled"] is True


def test_a_listed_key_tells_whose_it_is_and_when_it_was_used(clocked, clock, asks, told):
    clocked.account.change_key(
        SEARCH_KEY, external_user="customer-7", creator_user_id=SECOND_USER_ID, expires_at_s=clock.now_s + 3600
    )
    asks.chat()

    key = told("/keys")[0]

    assert (key["external_user"], key["creator_user_id"]) == ("customer-7", SECOND_USER_ID)
    assert key["expires_at"] == "2026-11-20T13:00:00.000Z"
    assert key["last_used_at"] == key["updated_at"] == "2026-11-20T12:00:00.000Z"
    assert key["created_at"] == "2026-01-05T09:00:00.000Z"
    assert told(f"/keys/{key['hash']}") == key
    assert asks.get("/keys/nobody", MANAGEMENT_KEY).status_code == 404


def test_a_deleted_key_vanishes_while_its_spending_stays(clocked, clock, asks, told):
    asks.chat()
    spent = clocked.book.total()
    name = clocked.account.known(fingerprint(SEARCH_KEY)).hash
    clocked.account.delete_key(SEARCH_KEY)
    clock.set("2026-11-21T00:00:00")

    assert "search" not in named(told("/keys"))
    assert asks.chat().status_code == asks.get("/key").status_code == 401
    assert told("/credits")["total_usage"] == spent > 0
    assert told(f"/activity?api_key_hash={name}")[0]["usage"] == spent


def test_a_limit_may_be_changed_and_removed(clocked, asks):
    clocked.account.add_key("sk-or-v1-demo-tight", limit_usd=Decimal("0.0001"))

    statuses = [asks.chat(key="sk-or-v1-demo-tight").status_code for _ in range(2)]
    clocked.account.change_key("sk-or-v1-demo-tight", limit_usd=Decimal(1))
    raised = asks.get("/key", "sk-or-v1-demo-tight").json()["data"]
    statuses.append(asks.chat(key="sk-or-v1-demo-tight").status_code)
    clocked.account.change_key("sk-or-v1-demo-tight", limit_usd=None)
    removed = asks.get("/key", "sk-or-v1-demo-tight").json()["data"]

    assert statuses == [200, 402, 200]
    assert (raised["limit"], removed["limit"]) == (1, None)
    assert (removed["limit_remaining"], removed["budgets"], removed["effective_budget"]) == (None, [], None)


@pytest.mark.parametrize(("is_included", "status"), [(False, 200), (True, 402)])
def test_a_limit_counts_byok_spending_only_where_it_says_so(clocked, asks, told, is_included, status):
    clocked.account.change_key(BYOK_KEY, limit_usd=Decimal("0.0005"), is_byok_in_limit=is_included)
    asks.chat(SONNET, key=BYOK_KEY)
    (entry,) = clocked.book.entries

    counted = entry.spend if is_included else entry.charged

    key = told("/key", BYOK_KEY)
    record = clocked.account.known(fingerprint(BYOK_KEY))
    assert key["limit_remaining"] == Decimal("0.0005") - counted == clocked.account.remaining(record)
    assert key["budgets"][0]["spend_usd"] == counted
    assert (key["include_byok_in_limit"], key["budgets"][0]["include_byok"]) == (is_included, is_included)
    assert asks.chat(SONNET, key=BYOK_KEY).status_code == status


@pytest.mark.parametrize(
    ("reset", "resets_at"),
    [
        ("daily", "2026-11-21T00:00:00Z"),
        ("weekly", "2026-11-23T00:00:00Z"),
        ("monthly", "2026-12-01T00:00:00Z"),
        (None, None),
    ],
)
def test_a_budget_tells_when_it_begins_anew_and_then_does(clocked, clock, asks, told, reset, resets_at):
    clocked.account.change_key(SEARCH_KEY, limit_usd=Decimal("0.0001"), limit_reset=reset)
    asks.chat()

    budget = told("/key", SEARCH_KEY)["effective_budget"]
    assert (budget["reset_interval"], budget["resets_at"]) == (reset, resets_at)
    assert asks.chat().status_code == 402

    clock.set((resets_at or "2027-11-20T00:00:00Z").removesuffix("Z"))
    assert asks.chat().status_code == (200 if reset else 402)


def test_december_ends_in_january(clocked, clock):
    clock.set("2026-12-31T23:59:59")

    assert datetime.fromtimestamp(clocked.account.until("monthly"), UTC).isoformat() == "2027-01-01T00:00:00+00:00"


def test_a_guardrail_is_a_budget_of_the_keys_it_is_assigned_to(clocked, asks, told):
    rule = Guardrail(id="guard-1", name="Trial", limit_usd=Decimal("0.0001"), reset_interval="daily")
    clocked.account.add_guardrail(rule, keys=[SEARCH_KEY])
    asks.chat()
    spent = clocked.book.total()

    budgets = told("/key", SEARCH_KEY)["budgets"]

    assert [(b["scope"], b["guardrail_id"], b["spend_usd"]) for b in budgets] == [
        ("api_key", "guard-1", spent),
        ("key_limit", None, spent),
    ]
    assert asks.chat().status_code == 403
    assert asks.chat(key=SUPPORT_KEY).status_code == 200


def test_activity_is_narrowed_by_day_key_user_and_workspace(clocked, clock, asks, told):
    clocked.account.add_workspace(ROOM, "Research")
    lab = clocked.account.add_key("sk-or-v1-demo-lab", workspace_id=ROOM, creator_user_id=SECOND_USER_ID)
    asks.chat()
    asks.chat(key="sk-or-v1-demo-lab")
    clock.set("2026-11-21T01:00:00")
    asks.chat(SONNET)
    clock.set("2026-11-22T00:00:00")

    def requests(query=""):
        return [(row["date"], row.get("workspace_id"), row["requests"]) for row in told(f"/activity{query}")]

    assert requests() == [("2026-11-20", None, 2), ("2026-11-21", None, 1)]
    assert requests("?date=2026-11-21") == [("2026-11-21", None, 1)]
    for narrow in (f"api_key_hash={lab.hash}", f"user_id={SECOND_USER_ID}", f"workspace_id={ROOM}"):
        assert requests(f"?{narrow}") == [("2026-11-20", None, 1)], narrow
    assert requests("?group_by=workspace") == [
        ("2026-11-20", WORKSPACE_ID, 1),
        ("2026-11-20", ROOM, 1),
        ("2026-11-21", WORKSPACE_ID, 1),
    ]


def test_activity_tells_thirty_closed_days(clocked, clock, asks, told):
    asks.chat()
    seen = []
    for now in ("2026-11-20T23:59:59", "2026-11-21T00:00:00", "2026-12-20T23:59:59", "2026-12-21T00:00:00"):
        clock.set(now)
        seen.append(len(told("/activity")))

    assert seen == [0, 1, 1, 0]


@pytest.mark.parametrize(
    "path",
    [
        "/keys?offset=-1",
        "/keys?include_disabled=perhaps",
        "/keys?workspace_id=nowhere",
        "/activity?date=yesterday",
        "/activity?group_by=key",
        "/guardrails?limit=101",
        "/workspaces?offset=some",
    ],
)
def test_a_question_the_api_does_not_take_is_refused(ask, path):
    response = ask.get(path, MANAGEMENT_KEY)

    assert response.status_code == 400
    assert "expected" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "path", ["/credits", "/keys", "/keys/x", "/activity", "/workspaces", "/organization/members", "/guardrails"]
)
def test_the_wrong_kind_of_key_is_forbidden_and_a_bad_one_not_authorised(server, ask, path):
    server.account.reject("sk-or-v1-demo-bad")

    assert ask.get(path).status_code == 403
    assert ask.get(path, "sk-or-v1-demo-bad").status_code == 401
    assert ask.client.get(server.base_url + path).status_code == 401


def test_a_page_that_does_not_exist_is_not_found(ask):
    assert ask.get("/organization", MANAGEMENT_KEY).status_code == 404


def test_another_organisation_sees_and_adds_nothing_here(clocked, clock, asks, told, exact):
    clocked.account.add_key("sk-or-v1-other", organization_id="org_other")
    clocked.account.add_key(THEIRS, organization_id="org_other", is_management=True)
    asks.chat()
    asks.chat(SONNET, key="sk-or-v1-other")
    ours, theirs = clocked.book.entries
    clock.set("2026-11-21T00:00:00")

    def counted(key):
        return exact(asks.post("/analytics/query", key=key, metrics=["total_usage"]).text)["data"]["data"]

    for key, entry in ((MANAGEMENT_KEY, ours), (THEIRS, theirs)):
        assert told("/credits", key)["total_usage"] == entry.charged
        assert [row["model"] for row in told("/activity", key)] == [entry.model]
        assert counted(key) == [{"total_usage": entry.charged}]
    (listed,) = told("/keys", THEIRS)
    assert asks.get(f"/keys/{listed['hash']}", MANAGEMENT_KEY).status_code == 404
    assert asks.get(f"/generation?id={theirs.id}").status_code == 404
    assert asks.get(f"/generation?id={theirs.id}", "sk-or-v1-other").status_code == 200


def sums(rows, *names):
    return tuple(sum((row[name] for row in rows), Decimal(0)) for name in names)


def test_all_pages_agree_to_the_last_digit_over_a_month_s_end(clocked, clock, asks, told):
    clock.set("2026-12-03T09:00:00")
    # The past is younger than activity is long, so that nothing falls out of its window.
    companies = [Company(name="north"), Company(name="south", byok=("Anthropic",), fee_rate=Decimal("0.05"))]
    write_history(clocked.account, until_s=clock.now_s, days=25, calls_per_day=60, seed=5, keys=companies)
    asks.chat()
    clocked.account.delete_key("sk-or-v1-demo-north")
    book, account = clocked.book, clocked.account

    today = [entry for entry in book.entries if entry.created_at_s >= account.since("daily")]
    closed = [entry for entry in book.entries if entry.created_at_s < account.since("daily")]
    month = [entry for entry in book.entries if entry.created_at_s >= account.since("monthly")]
    activity, keys = told("/activity"), told("/keys")
    gone = account.spent(account.known(fingerprint("sk-or-v1-demo-north")))

    assert today
    assert len({row["date"][:7] for row in activity}) == 2
    assert sums(activity, "usage")[0] == told("/credits")["total_usage"] - sum(entry.charged for entry in today)
    assert sums(activity, "byok_usage_inference")[0] == sum(entry.spend - entry.charged for entry in closed)
    assert sums(activity, "requests")[0] == len(closed)
    assert sums(keys, "usage")[0] + gone.lifetime.charged == told("/credits")["total_usage"] == book.total()
    assert sums(keys, "byok_usage")[0] + gone.lifetime.byok == book.total("upstream")
    assert sums(keys, "usage_monthly")[0] + gone.periods["monthly"].charged == sum(entry.charged for entry in month)
    assert sums(keys, "usage_daily")[0] + gone.periods["daily"].charged == sum(entry.charged for entry in today)


def test_generations_add_up_to_activity(clocked, clock, told):
    history = write_history(
        clocked.account, until_s=clock.now_s, days=1, calls_per_day=40, keys=[Company(name="a", byok=("Anthropic",))]
    )
    clock.set("2026-11-21T00:00:00")

    records = [told(f"/generation?id={entry.id}") for entry in history.generations]

    activity = told("/activity")
    assert sums(activity, "usage", "byok_usage_inference") == sums(records, "total_cost", "upstream_inference_cost")
    assert sums(activity, "prompt_tokens") == sums(records, "native_tokens_prompt")


@pytest.mark.filterwarnings("ignore:.*DEPRECATED:DeprecationWarning")  # the official model of a field still sent
def test_the_official_client_accepts_every_page(clocked, clock, client):
    clocked.account.add_guardrail(
        Guardrail(
            id="guard-1",
            name="Trial",
            limit_usd=Decimal(5),
            reset_interval="weekly",
            is_byok_included=True,
            allowed_models=("openai/gpt-5-mini-2025-08-07",),
            allowed_providers=("openai",),
        ),
        keys=[SEARCH_KEY],
    )
    write_history(clocked.account, until_s=clock.now_s, days=2, calls_per_day=30)

    keys = client.api_keys.list().data
    assert client.credits.get_credits().data.total_usage == pytest.approx(float(clocked.book.total()))
    assert client.api_keys.get(hash=keys[0].hash).data.model_dump() == keys[0].model_dump()
    assert client.api_keys.get_current_key_metadata().data.is_management_key
    assert sum(row.requests for row in client.analytics.get_user_activity().data) > 0
    assert client.workspaces.list().result.data[0].id == WORKSPACE_ID
    assert [member.role for member in client.organization.list_members().result.data] == ["org:admin", "org:member"]
    (rule,) = client.guardrails.list().result.data
    assert (rule.limit_usd, rule.reset_interval, rule.allowed_providers) == (5, "weekly", ["openai"])
    with (
        OpenRouter(api_key=SEARCH_KEY, server_url=clocked.base_url) as inference,
        pytest.raises(errors.ForbiddenResponseError),
    ):
        inference.credits.get_credits()
