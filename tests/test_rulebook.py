"""Where the rules of a process come from."""

from __future__ import annotations

import pytest

from or_otel.account.offers import Offers, write_offers
from or_otel.accounts import Provider
from or_otel.calls import CallRecord, CallStarted
from or_otel.facts import Endpoint, Request
from or_otel.rulebook import appraiser_of, environment_from, read_policies
from or_otel.settings import Settings

FILE = """
[[policies]]
name = "eu-only"
environments = ["production"]
headquarters = ["DE"]
"""


def served_by(provider):
    endpoint = Endpoint(
        api="chat", operation="chat", provider="openrouter", host="openrouter.ai", port=443, is_openrouter=True
    )
    started = CallStarted(id="a" * 32, endpoint=endpoint, request=Request(model="m/m"), started_at_s=0.0)
    return CallRecord(started=started, ended_at_s=1.0, outcome="ok", provider=provider)


@pytest.fixture
def environ(tmp_path):
    (tmp_path / "or-otel.toml").write_text(FILE)
    return {"OR_OTEL_CONFIG": str(tmp_path / "or-otel.toml"), "HOME": str(tmp_path)}


def test_policies_are_those_of_the_settings_file(environ):
    assert [policy.name for policy in read_policies(environ)] == ["eu-only"]


def test_without_a_file_there_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert read_policies({"HOME": str(tmp_path)}) == ()


def test_a_file_that_cannot_be_used_costs_the_policies_and_is_told(environ, tmp_path, caplog):
    (tmp_path / "or-otel.toml").write_text(FILE + "zrd = true\n")

    assert read_policies(environ) == ()
    assert "did you mean 'zdr'" in caplog.text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service.name=a,deployment.environment.name=production", "production"),
        ("deployment.environment.name=a%20b", "a b"),
        ("service.name=a", None),
        ("", None),
    ],
)
def test_the_environment_is_that_of_the_resource(text, expected):
    assert environment_from({"OTEL_RESOURCE_ATTRIBUTES": text}) == expected


def test_where_providers_sit_is_what_was_kept_beside_the_ledger(environ, tmp_path):
    write_offers(tmp_path, Offers(providers=(Provider(name="Big AI", slug="big", headquarters="US"),)))
    resource = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=production"}

    appraiser = appraiser_of(Settings(), environ | resource, tmp_path)

    assert appraiser.appraise(served_by("Big AI"), None).violated == ("eu-only/headquarters",)
    assert appraiser.appraise(served_by("Unknown"), None).violated == ()


def test_headquarters_that_are_not_known_are_told_once(environ, tmp_path, caplog):
    appraiser_of(Settings(tags={"environment": "production"}), environ, tmp_path)

    assert "or-otel report --governance" in caplog.text
