"""Every command and every line of Python that the documents show is run here, or by CI itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import openai
import pytest

import or_otel

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
RUN_BY_CI = {"make demo", "make test"}
MESSAGES = [{"role": "user", "content": "say ok"}]


def blocks(name, language):
    """Give the fenced blocks of one language; a fence without a word is text or commands."""
    found, inside = [], None
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines(keepends=True):
        if not line.startswith("```"):
            if inside is not None:
                inside[1].append(line)
        elif inside is None:
            inside = (line.strip("`\n"), [])
        else:
            found.append(inside)
            inside = None
    return ["".join(lines) for word, lines in found if word == language]


def commands():
    lines = [line.split("  ")[0].strip() for block in blocks("README.md", "") for line in block.splitlines()]
    return [line for line in lines if line.startswith(("make ", "or-otel "))]


def test_every_command_of_the_readme_is_run_by_ci_or_here():
    assert set(commands()) == RUN_BY_CI | {"or-otel run -- python app.py"}
    script = (ROOT / ".ci" / "run").read_text()
    assert all(command in script for command in RUN_BY_CI)


def test_or_otel_run_as_the_readme_says_it(tmp_path, openrouter):
    (tmp_path / "app.py").write_text(
        "import os, openai\n"
        "client = openai.OpenAI(base_url=os.environ['BASE_URL'], api_key='k')\n"
        f"client.chat.completions.create(model='openai/gpt-5-mini', messages={MESSAGES})\n"
    )
    environ = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "BASE_URL": openrouter.base_url,
        "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
    }

    run = subprocess.run(
        ["or-otel", "run", "--", "python", "app.py"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    report = subprocess.run(
        ["or-otel", "report", "--json"], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
    )

    assert "1 call" in run.stderr
    assert Decimal(json.loads(report.stdout)["total"]["cost_usd"]) == openrouter.book.total("spend")


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
    for block in blocks(name, "python"):
        exec(compile(block, name, "exec"), names)
    if "answer" in names and callable(names["answer"]):
        names["answer"](Tenant, MESSAGES, print)

    or_otel.flush()
    assert charged
    assert charged[-1][-1] == openrouter.book.total("spend")
