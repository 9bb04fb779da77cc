from __future__ import annotations

import pytest

from or_otel.facts import Failure, RouterMetadata
from or_otel.wire.failures import failure_from, failure_from_finish, failure_without_body

FROM_PROVIDER = {"provider_name": "P", "raw": "t"}


def _failure(error, *, status=200, metadata=None, is_openrouter=True, has_served=False, headers=()):
    return failure_from(
        error,
        status=status,
        header=dict(headers).get,
        metadata=metadata,
        is_openrouter=is_openrouter,
        has_served=has_served,
    )


@pytest.mark.parametrize(
    "sign", [{"reasons": ["x"]}, {"flagged_input": "x"}, {"patterns": ["x"]}, {"headers": {"a": 1}}]
)
def test_a_refusal_of_the_router_is_its_own_also_where_a_provider_is_named(sign):
    assert _failure({"metadata": sign | FROM_PROVIDER}, status=403).origin == "router"


@pytest.mark.parametrize(
    ("status", "attempt", "origin"),
    [(401, 1, "router"), (402, 1, "router"), (400, 0, "router"), (400, 1, "upstream"), (400, None, "upstream")],
)
def test_who_has_no_key_no_money_or_no_attempt_was_refused_by_the_router(status, attempt, origin):
    failure = _failure({"metadata": FROM_PROVIDER}, status=status, metadata=RouterMetadata(attempt=attempt))

    assert failure.origin == origin


@pytest.mark.parametrize(
    "error",
    [
        {"metadata": {"provider_name": "P"}},
        {"metadata": {"raw": ""}},
        {"metadata": {"provider_code": 0}},
        {"message": "Provider returned error"},
    ],
)
def test_each_sign_of_a_provider_is_enough(error):
    assert _failure(error, status=500).origin == "upstream"


@pytest.mark.parametrize(
    ("error", "headers"), [({"availability": {"a": 1}}, {}), ({"message": "m"}, {"x-ratelimit-limit": "20"})]
)
def test_limits_of_the_router_are_its_own_whatever_the_status(error, headers):
    assert _failure(error, status=502, headers=headers).origin == "router"


def test_who_had_begun_to_answer_failed():
    assert _failure({"message": "m"}, status=500, has_served=True).origin == "upstream"


@pytest.mark.parametrize(
    ("status", "behind_openrouter", "direct"),
    [
        (499, "client", "client"),
        (500, "router", "upstream"),
        (502, "upstream", "upstream"),
        (504, "upstream", "upstream"),
        (519, "router", "upstream"),
        (520, "edge", "edge"),
        (527, "edge", "edge"),
        (528, "router", "upstream"),
        (529, "upstream", "upstream"),
    ],
)
def test_without_a_sign_the_status_tells_who_failed(status, behind_openrouter, direct):
    error = {"message": "m"}

    assert _failure(error, status=status).origin == behind_openrouter
    assert _failure(error, status=status, is_openrouter=False).origin == direct


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (400, {"code": 502}, 400),
        (399, {"code": 502}, 502),
        (200, {"code": "server_error", "http_status": 503}, 503),
        (200, {"code": 99}, None),
        (200, {"code": 1000}, None),
    ],
)
def test_the_status_is_that_of_the_response_or_else_the_one_told(status, error, told):
    assert _failure(error, status=status).status == told


def test_an_error_that_is_just_true_says_nothing():
    assert _failure(True, status=500) is None


@pytest.mark.parametrize(
    ("status", "headers", "options", "origin"),
    [
        (500, {"content-type": "TEXT/HTML"}, {}, "edge"),
        (500, {"content-type": "text/html", "cf-ray": "1"}, {"is_read": False}, "edge"),
        (524, {}, {}, "edge"),
        (500, {"cf-ray": "1"}, {}, "edge"),
        (500, {"cf-ray": "1"}, {"is_read": False}, "router"),
        (500, {"cf-ray": "1"}, {"is_openrouter": False}, "upstream"),
        (500, {}, {}, "router"),
    ],
)
def test_a_refusal_without_words_is_the_edges_where_a_page_a_status_or_a_mark_says_so(status, headers, options, origin):
    failure = failure_without_body(status, headers.get, **{"is_openrouter": True} | options)

    assert failure == Failure(error_type=str(status), origin=origin, status=status)


@pytest.mark.parametrize(("status", "told"), [(200, None), (399, None), (400, 400), (503, 503)])
def test_a_finish_that_failed_has_no_status_of_a_success(status, told):
    assert failure_from_finish(status) == Failure(error_type="error", origin="upstream", status=told)
