from __future__ import annotations

import logging
from pathlib import Path

import pytest

from or_otel.settings import default_folder, log_problems, read_settings


def test_defaults_are_on_without_content_and_without_ledger():
    settings = read_settings({})

    assert settings.enabled
    assert settings.router_metadata
    assert settings.ledger is None
    assert settings.content == "NO_CONTENT"
    assert settings.metric_tags == ("team", "feature")
    assert settings.problems == ()


def test_list_prices_are_on_and_broadcast_links_off_until_told_otherwise():
    told = read_settings({"OR_OTEL_PRICES": "off", "OR_OTEL_BROADCAST_LINKS": "on"})

    assert (read_settings({}).prices, read_settings({}).broadcast_links) == (True, False)
    assert (told.prices, told.broadcast_links) == (False, True)


def test_tags_of_the_process_and_the_keys_that_become_tags_are_comma_lists():
    told = read_settings(
        {"OR_OTEL_TAGS": "team=search, feature = a=b ,", "OR_OTEL_BAGGAGE_TAGS": "team, tenant.id = customer"},
        metadata_tags="f=feature",
    )

    assert told.tags == {"team": "search", "feature": "a=b"}
    assert told.baggage_tags == {"team": "team", "tenant.id": "customer"}
    assert told.metadata_tags == {"f": "feature"}
    assert (told.problems, read_settings({}).tags) == ((), {})


@pytest.mark.parametrize("word", ["false", "0", "No", "OFF"])
def test_either_variable_switches_everything_off(word):
    assert not read_settings({"OR_OTEL_ENABLED": word}).enabled
    assert not read_settings({"OTEL_SDK_DISABLED": "true"}).enabled
    assert read_settings({"OTEL_SDK_DISABLED": "false"}).enabled


def test_hosts_are_a_comma_list_with_optional_port_and_provider():
    settings = read_settings({"OR_OTEL_HOSTS": "localhost:8000=vllm, LLM.internal ,[::1]:11434=ollama"})

    assert settings.hosts == {"localhost:8000": "vllm", "llm.internal": "llm.internal", "[::1]:11434": "ollama"}


@pytest.mark.parametrize(
    ("variable", "text", "remedy"),
    [
        ("OR_OTEL_ENABLED", "perhaps", "expected true or false"),
        ("OR_OTEL_HOSTS", "http://x/", "expected host[:port][=provider]"),
        ("OR_OTEL_METRIC_TAGS", "team,Feature!", "expected lower case letters"),
        ("OR_OTEL_TAGS", "team=search,feature", "expected tag=value, as in team=search,feature=nightly"),
        ("OR_OTEL_TAGS", "Team=search", "expected tag=value"),
        ("OR_OTEL_BAGGAGE_TAGS", "tenant.id", "expected key or key=tag, as in team,tenant.id=customer"),
        ("OR_OTEL_METADATA_TAGS", "=team", "expected key or key=tag"),
        ("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true", "expected one of NO_CONTENT"),
    ],
)
def test_a_setting_that_cannot_be_read_keeps_its_default_and_says_what_would_be_right(variable, text, remedy):
    settings = read_settings({variable: text})

    assert len(settings.problems) == 1
    assert variable in settings.problems[0]
    assert remedy in settings.problems[0]
    assert settings.enabled
    assert settings.hosts == {}


def test_options_win_over_variables_and_none_keeps_the_variable():
    environ = {"OR_OTEL_METRIC_TAGS": "team", "OR_OTEL_LEDGER": "/tmp/x"}

    settings = read_settings(environ, metric_tags=["customer"], ledger=None, hosts="a:1=b")

    assert settings.metric_tags == ("customer",)
    assert settings.ledger == "/tmp/x"
    assert settings.hosts == {"a:1": "b"}


@pytest.mark.parametrize(("text", "ledger"), [("off", None), ("on", ""), ("/var/x", "/var/x")])
def test_the_ledger_is_off_or_the_default_folder_or_a_path(text, ledger):
    assert read_settings({"OR_OTEL_LEDGER": text}).ledger == ledger
    assert read_settings({}, ledger=text).ledger == ledger


def test_an_unknown_option_is_a_problem_that_lists_the_known_ones(caplog):
    settings = read_settings({}, metric_tag=("x",))

    with caplog.at_level(logging.WARNING):
        log_problems(settings)

    assert "'metric_tag'" in caplog.text
    assert "metric_tags" in caplog.text


@pytest.mark.parametrize(
    ("text", "choice"), [("", "off"), ("off", "off"), ("no", "off"), ("Missing", "missing"), ("all", "all")]
)
def test_generation_records_are_asked_for_only_when_told(text, choice):
    assert read_settings({"OR_OTEL_RECONCILE": text}).reconcile == choice
    assert read_settings({}, reconcile=text or None).reconcile == choice


def test_another_word_for_reconcile_leaves_it_off_and_says_which_there_are():
    settings = read_settings({"OR_OTEL_RECONCILE": "yes"})

    assert settings.reconcile == "off"
    assert "expected one of off, missing, all" in settings.problems[0]


def test_the_default_folder_follows_xdg_and_ignores_a_relative_path():
    assert default_folder({"XDG_STATE_HOME": "/state"}) == Path("/state/or-otel")
    assert default_folder({"XDG_STATE_HOME": "state"}) == Path("~/.local/state/or-otel").expanduser()
