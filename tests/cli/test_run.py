"""`or-otel run` around real programs, against the scripted OpenRouter."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import venv
from decimal import Decimal
from pathlib import Path

import pytest

from or_otel.cli.run import SITE_FOLDER, environment_of

CALL = """
import os, sys, httpx
def call():
    body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "a secret prompt"}]}
    headers = {"Authorization": "Bearer sk-or-v1-a-secret-key"}
    httpx.post(os.environ["BASE_URL"] + "/chat/completions", json=body, headers=headers).raise_for_status()
"""


@pytest.fixture
def environment(tmp_path, openrouter):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "COVERAGE_PROCESS_START") if name in os.environ}
    return {
        **kept,
        "BASE_URL": openrouter.base_url,
        "OR_OTEL_HOSTS": openrouter.base_url.split("/")[2] + "=openrouter",
        "OR_OTEL_LEDGER": str(tmp_path / "ledger"),
    }


@pytest.fixture
def start(tmp_path, environment, begin):
    def run(body, *options, python=sys.executable, **variables):
        path = tmp_path / "app.py"
        path.write_text(CALL + textwrap.dedent(body))
        return begin(
            [sys.executable, "-m", "or_otel.cli", "run", *options, "--", python, str(path)],
            env=environment | variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Without a controlling terminal, as under a supervisor.
            start_new_session=True,
        )

    return run


def finish(process):
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_a_program_is_watched_unchanged_and_its_output_stays_clean(start, openrouter):
    status, out, err = finish(start("call(); call(); print('done'); sys.exit(3)", "--json"))

    receipt = json.loads(err)
    assert (status, out) == (3, "done\n")
    assert receipt["calls"] == 2
    assert Decimal(receipt["cost_usd"]) == openrouter.book.total()


def test_the_receipt_is_for_people_by_default(start):
    _, _, err = finish(start("call()"))

    assert "or-otel receipt" in err
    assert "openai/gpt-5-mini" in err


def test_every_child_process_is_on_the_same_receipt(start, openrouter):
    body = """
    import multiprocessing, subprocess
    if __name__ == "__main__":
        call()
        for method in ("fork", "spawn"):
            child = multiprocessing.get_context(method).Process(target=call)
            child.start()
            child.join()
        subprocess.run([sys.executable, "-c", open(__file__).read().split("import multiprocessing")[0] + "call()"])
    """

    status, _, err = finish(start(body, "--json"))

    receipt = json.loads(err)
    assert status == 0
    assert (receipt["calls"], receipt["processes"]) == (4, 4)
    assert Decimal(receipt["cost_usd"]) == openrouter.book.total()


def test_runs_do_not_mix(start):
    finish(start("call(); call()"))

    assert json.loads(finish(start("call()", "--json"))[2])["calls"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_reaches_the_program_and_its_calls_are_still_told(start, number):
    process = start(
        f"""
        import signal
        signal.signal({int(number)}, lambda *_: sys.exit(42))
        call()
        print("ready", flush=True)
        signal.pause()
        """,
        "--json",
    )
    process.stdout.readline()

    process.send_signal(number)
    status, _, err = finish(process)

    assert status == 42
    assert json.loads(err)["calls"] == 1


def test_a_killed_program_gives_the_status_of_a_shell_and_its_calls(start):
    status, _, err = finish(start("import signal; call(); os.kill(os.getpid(), signal.SIGKILL)", "--json"))

    assert status == 128 + signal.SIGKILL
    assert json.loads(err)["calls"] == 1


def test_no_receipt_says_nothing(start):
    assert finish(start("call()", "--no-receipt")) == (0, "", "")


def test_a_program_without_calls_is_told_how_calls_are_seen(start):
    status, _, err = finish(start("pass"))

    assert status == 0
    assert "no LLM call was seen" in err
    assert "OR_OTEL_HOSTS" in err


def test_a_ledger_switched_off_keeps_nothing_but_gives_a_receipt(start, tmp_path):
    _, _, err = finish(start("call()", "--json", OR_OTEL_LEDGER="off", XDG_STATE_HOME=str(tmp_path / "state")))

    assert json.loads(err)["calls"] == 1
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "ledger").exists()


def test_a_broken_ledger_does_not_change_the_programs_status(start, tmp_path):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "ledger.db").write_text("no database at all, but of some length " * 50)

    status, out, err = finish(start("call(); print('done'); sys.exit(5)"))

    assert (status, out) == (5, "done\n")
    assert "ledger.db" in err


def test_nothing_written_holds_the_key_or_the_prompt(start, tmp_path):
    finish(start("call()"))

    data = b"".join(path.read_bytes() for path in (tmp_path / "ledger").iterdir())
    assert b"gen-" in data
    assert b"secret" not in data


def test_a_command_that_does_not_exist_is_127(environment):
    answer = subprocess.run(
        [sys.executable, "-m", "or_otel.cli", "run", "--", "no-such-program"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 127
    assert answer.stderr == "or-otel: 'no-such-program': command not found; name a program after --\n"


def test_a_script_without_its_python_is_told_how_to_be_run(environment, tmp_path):
    (tmp_path / "app.py").write_text("")

    answer = subprocess.run(
        [sys.executable, "-m", "or_otel.cli", "run", "app.py"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 127
    assert "or-otel run -- python app.py" in answer.stderr


@pytest.mark.parametrize("off", [{"OR_OTEL_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}])
def test_whoever_switched_it_off_is_reminded(start, off):
    status, _, err = finish(start("call()", **off))

    assert status == 0
    assert "switched off" in err
    assert "OR_OTEL_HOSTS" not in err


def test_a_file_that_cannot_be_executed_is_126(environment, tmp_path):
    (tmp_path / "data").write_text("x")

    answer = subprocess.run(
        [sys.executable, "-m", "or_otel.cli", "run", "--", str(tmp_path / "data")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 126
    assert "cannot be run: Permission denied" in answer.stderr


def test_options_of_the_program_are_its_own(start, tmp_path, environment):
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "or_otel.cli",
            "run",
            "--no-receipt",
            sys.executable,
            "-c",
            "import sys; print(sys.argv)",
            "--json",
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.stdout == "['-c', '--json']\n"


def test_a_sitecustomize_that_ours_hides_still_runs_and_first(start, tmp_path):
    hidden = tmp_path / "site"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text("import sys; was_on = 'or_otel' in sys.modules\n")

    _, out, err = finish(
        start("import sitecustomize; print(sitecustomize.was_on); call()", "--json", PYTHONPATH=str(hidden))
    )

    assert out == "False\n"
    assert json.loads(err)["calls"] == 1


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory):
    """A Python of the same version in an environment that has none of our packages."""
    folder = tmp_path_factory.mktemp("tools") / "uv" / "tools" / "aider"
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


def test_a_program_in_another_environment_borrows_our_packages(start, bare_python):
    status, _, err = finish(start("call()", "--json", python=bare_python))

    assert status == 0
    assert json.loads(err)["calls"] == 1


def site(python, code, **variables):
    answer = subprocess.run(
        [python, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SITE_FOLDER), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout, answer.stderr


def test_another_version_of_python_is_told_why_and_what_to_do(bare_python):
    out, err = site(bare_python, "print('runs')", OR_OTEL_SITE=f"2.7{os.pathsep}/nowhere")

    assert out == "runs\n"
    assert err.count("\n") == 1
    assert "or_otel cannot be imported there, and it is Python" in err
    assert err.endswith("uv tool install --with or-otel aider\n")


def test_packages_that_cannot_be_borrowed_leave_the_path_as_it_was(bare_python, tmp_path):
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"

    out, err = site(
        bare_python, "import sys; print(sys.path[-1])", OR_OTEL_SITE=f"{version}{os.pathsep}{tmp_path / 'nothing'}"
    )

    assert "nothing" not in out
    assert "or_otel cannot be imported there" in err


def test_children_do_not_repeat_what_their_parent_said(bare_python):
    _, err = site(bare_python, "import subprocess, sys; subprocess.run([sys.executable, '-c', ''])")

    assert err.count("not watched") == 1


def test_the_environment_puts_our_folder_first_and_only_once():
    twice = environment_of(
        environment_of({"PYTHONPATH": "/mine", "KEPT": "1"}, run_id="a", folder=Path("/f")),
        run_id="b",
        folder=Path("/f"),
    )

    assert twice["PYTHONPATH"] == os.pathsep.join([str(SITE_FOLDER), "/mine"])
    assert (twice["OR_OTEL_RUN"], twice["OR_OTEL_LEDGER"], twice["KEPT"]) == ("b", "/f", "1")
