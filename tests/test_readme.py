"""What the README shows is run: commands in the starts or by CI, Python here. Its settings are all there are."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import openai
import pytest

import or_otel
from or_otel.settings import READERS, SDK_DISABLED, Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTS = ("docs/start-script.md", "docs/start-service.md", "docs/start-platform.md")
RUN_BY_CI = {"make demo", "make test"}
INTERNAL = {"OR_OTEL_RUN", "OR_OTEL_SITE", "OR_OTEL_SITE_TOLD"}
"""What `or-otel run` tells the programs that it starts; nobody sets it."""
VARIABLE = re.compile(r"(?:OR_OTEL|OPENROUTER)_[A-Z_]+")
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MESSAGES = [{"role": "user", "content": "say ok"}]


def blocks(text, language):
    """Give the fenced blocks of one language; a fence without a word is text or commands."""
    return [block for word, block in FENCE.findall(text) if word == language]


def commands(text):
    return {line for block in blocks(text, "sh") for line in block.splitlines()}


def test_every_command_of_the_readme_is_run_by_ci_or_in_a_start():
    started = set().union(*(commands((ROOT / name).read_text(encoding="utf-8")) for name in STARTS))
    bare = {line for block in blocks(README, "") for line in block.splitlines() if re.match(r"make |or-otel ", line)}
    script = (ROOT / ".ci" / "run").read_text()

    assert bare == RUN_BY_CI
    assert all(command in script for command in RUN_BY_CI)
    assert commands(README)
    assert commands(README) <= started


@pytest.mark.parametrize("name", ["README.md", "docs/metering.md"])
def test_python_of_the_documents_runs(name, openrouter, telemetry, monkeypatch):
    monkeypatch.setenv("OR_OTEL_LEDGER", "off")
    or_otel.instrument(**telemetry.providers, hosts={openrouter.base_url.split("/")[2]: "openrouter"})
    charged = []

    class Tenant:
        name = "acme"
        add = ask_later = staticmethod(lambda *amount: charged.append(amount))

    names = {
        "client": openai.OpenAI(base_url=openrouter.base_url, api_key="k"),
        "messages": MESSAGES,
        "customer": "acme",
        "charge": lambda *amount: charged.append(amount),
        "meter": type("Meter", (), {"put": staticmethod(print), "__call__": lambda *_: None})(),
    }
    for block in blocks((ROOT / name).read_text(encoding="utf-8"), "python"):
        exec(compile(block, name, "exec"), names)
    if "answer" in names and callable(names["answer"]):
        names["answer"](Tenant, MESSAGES, print)

    or_otel.flush()
    assert charged
    assert charged[-1][-1] == openrouter.book.total("spend")


def table_of_settings():
    rows = README[README.index("| variable | default |") :].split("\n\n")[0].splitlines()[2:]
    return {name for row in rows for name in re.findall(r"`((?:OR_OTEL|OPENROUTER|OTEL)_[A-Z_]+)`", row)}


def variables_read():
    """Give the variables of ours that the source names whole; prose of docstrings names them too, and is no name."""
    literals = {
        node.value
        for path in Path(or_otel.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {literal for literal in literals if VARIABLE.fullmatch(literal)}


def test_every_variable_that_is_read_stands_in_the_table_and_no_other():
    of_settings = {variable for _, variable, _ in READERS} | {SDK_DISABLED}
    keys = {"OPENROUTER_API_KEY", "OPENROUTER_MANAGEMENT_KEY"}
    files = {f"{name}_FILE" for name in keys}

    assert variables_read() | of_settings | files == table_of_settings() | INTERNAL
    assert keys <= variables_read()


def test_every_option_has_a_variable_or_is_named_as_one_that_has_none():
    with_variable = {name for name, _, _ in READERS}
    (told,) = re.findall(r"By keyword alone: (.*?)\. Where", README, re.DOTALL)
    without = {field.name for field in fields(Settings)} - with_variable - {"problems"}

    assert set(re.findall(r"`(\w+)`", told)) == without
