"""What documents say of commands, packages, places and floors is so, and the README leads to every one of them."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from or_otel.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PLACES = ("*.md", "docs/**/*.md", "dashboards/*.md", "examples/*.md", "tools/*/README.md")
DOCUMENTS = sorted(path for place in PLACES for path in ROOT.glob(place))
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
STARTED = re.compile(r"(?:^|[|$;&>] *|^(?:[A-Z_]+=\S* )+|^[\d* ]+)(or-otel(?: .*)?)$")
AFTERWARDS = re.compile(r"\s{2,}|\s[|>#&;]|…\)?$|,$")
"""What ends a command: the column with its explanation, a pipe, a file, a comment."""


def text_of(path):
    return path.read_text(encoding="utf-8")


def lines_of(text):
    """Give what could be commands: lines of fences and indented blocks, and inline code."""
    for fence in FENCE.findall(text):
        yield from fence.splitlines()[1:-1]
    rest = FENCE.sub("", text)
    for line in rest.splitlines():
        if line.startswith("    "):
            yield line.strip()
    for code in INLINE.findall(rest):
        yield " ".join(code.split())


def commands_of(text):
    for line in lines_of(text):
        found = STARTED.search(line.strip())
        if found:
            yield AFTERWARDS.split(found[1])[0]


def fault_of(line):
    """Say what is wrong about a command line; None for one that click would take. Nothing is run."""
    words = shlex.split(line)[1:]
    command, context = main, click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        below = command.get_command(context, name)
        if below is None:
            return f"{command.name} has no command {name}"
        command = below
    options = {
        name: each for each in command.get_params(context) if each.param_type_name == "option" for name in each.opts
    }
    rest = []
    while words and words[0] != "--":
        name, _, value = words.pop(0).partition("=")
        if not name.startswith("-"):
            rest.append(name)
        elif name not in options:
            return f"{command.name} has no option {name}"
        else:
            if not value and not options[name].is_flag and words and not words[0].startswith("-"):
                value = words.pop(0)
            if (fault := fault_of_value(options[name], value)) is not None:
                return fault
    arguments = [each for each in command.params if each.param_type_name == "argument" and each.nargs == 1]
    is_open = any(each.nargs == -1 for each in command.params)
    if len(rest) > len(arguments) and not is_open:
        return f"{command.name} takes {len(arguments)} arguments, not {len(rest)}"
    return next(filter(None, map(fault_of_value, arguments, rest)), None)


def fault_of_value(parameter, value):
    choices = parameter.type.choices if isinstance(parameter.type, click.Choice) else ()
    if choices and value and value not in choices:
        return f"{parameter.name} is one of {', '.join(choices)}, not {value}"
    return None


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("or-otel report --since 7d --by team", None),
        ("or-otel run -- python app.py --whatever", None),
        ("or-otel dashboards export --format k8s", None),
        ("or-otel dashboards export --format helm", "is one of files, k8s"),
        ("or-otel reports", "no command reports"),
        ("or-otel report --since 7d --teams", "no option --teams"),
        ("or-otel ledger vacuum", "no command vacuum"),
        ("or-otel export invoices", "is one of calls, activity"),
        ("or-otel top everything", "takes 0 arguments"),
    ],
)
def test_a_wrong_command_would_be_found(command, fault):
    found = fault_of(command)

    assert found is None if fault is None else fault in found


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("or-otel report --html week.html --open       one page", "or-otel report --html week.html --open"),
        ("or-otel exporter --once --json | jq .metrics", "or-otel exporter --once --json"),
        ("OPENROUTER_MANAGEMENT_KEY=… or-otel exporter", "or-otel exporter"),
        ("make stack-demo-env && or-otel watch", "or-otel watch"),
        ("or-otel budget init --monthly 100 > or-otel.toml", "or-otel budget init --monthly 100"),
        ("0 7 * * 1  or-otel report --send --since 7d", "or-otel report --send --since 7d"),
    ],
)
def test_a_command_is_found_in_what_surrounds_it(line, command):
    assert list(commands_of(f"```\n{line}\n```")) == [command]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_in_a_document_exists_with_its_options(path):
    faults = {command: fault for command in commands_of(text_of(path)) if (fault := fault_of(command))}

    assert faults == {}


def test_documents_name_every_command():
    named = {command.split()[1] for path in DOCUMENTS for command in commands_of(text_of(path)) if " " in command}

    assert named >= set(COMMANDS)


def helps(command, context):
    yield command.help or ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from helps(command.get_command(context, name), context)


def test_every_command_in_a_help_text_exists_with_its_options():
    shown = [
        command
        for text in helps(main, click.Context(main))
        for command in commands_of("```\n" + "\n".join(line.strip() for line in text.splitlines()) + "\n```")
    ]

    assert len(shown) > len(COMMANDS)
    assert {command: fault for command in shown if (fault := fault_of(command))} == {}


def test_every_extra_that_a_document_installs_exists():
    named = {extra for path in DOCUMENTS for extra in re.findall(r"or-otel\[(\w+)\]", text_of(path))}

    assert named
    assert named <= set(PROJECT["project"]["optional-dependencies"])


def anchors(path):
    """Give the anchors of a document as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", text_of(path)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path):
    dead = []
    for link in LINK.findall(FENCE.sub("", text_of(path))):
        if "://" in link:
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)

    assert dead == []


def test_the_readme_leads_to_every_document():
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in LINK.findall(text_of(ROOT / "README.md"))}
    documents = {path for folder in ("docs", "docs/decisions") for path in (ROOT / folder).glob("*.md")}

    assert documents - linked == set()


def test_the_tour_shows_the_floors_that_the_import_contracts_keep():
    (contract,) = [each for each in PROJECT["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    kept = [set(re.findall(r"\w+", layer)) for layer in contract["layers"]]

    rows = re.findall(r"^\| [^|]+ \| (`[^|]+) \|", text_of(ROOT / "docs" / "tour.md"), re.MULTILINE)
    shown = [set(INLINE.findall(row)) for row in rows]

    assert shown == kept
