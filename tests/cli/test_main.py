import re
import subprocess
import sys

import pytest
from click.testing import CliRunner

from or_otel.cli import COMMANDS, main


def test_the_help_teaches_every_command():
    answer = CliRunner().invoke(main, ["--help"])

    assert answer.exit_code == 0
    for name in COMMANDS:
        assert f"  {name} " in answer.output
    assert "or-otel run -- python app.py" in answer.output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_a_help(name):
    answer = CliRunner().invoke(main, [name, "--help"])

    assert answer.exit_code == 0, answer.output


@pytest.mark.parametrize("name", ["budget", "dashboards", "ledger"])
def test_a_group_says_of_each_of_its_commands_a_whole_sentence(name):
    answer = CliRunner().invoke(main, [name, "--help"])

    assert not re.search(r"\w\.\.\.", answer.output)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"ledger", "watch"}))
def test_the_help_of_a_command_shows_how_it_is_used(name):
    answer = CliRunner().invoke(main, [name, "--help"])

    assert f"\n  or-otel {name}" in answer.output or f"… or-otel {name}" in answer.output


def test_the_version_is_told():
    assert CliRunner().invoke(main, ["--version"]).output.startswith("or-otel, version ")


def test_an_unknown_command_is_a_usage_error():
    assert CliRunner().invoke(main, ["reprot"]).exit_code == 2


def test_the_help_imports_no_command():
    code = (
        "import sys; from or_otel.cli import main; main(['--help'], standalone_mode=False);"
        "print([name for name in sys.modules if name.startswith(('or_otel.ledger', 'or_otel.simulator', 'rich'))])"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert answer.stdout.splitlines()[-1] == "[]"
