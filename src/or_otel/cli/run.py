"""`or-otel run -- CMD…`: start a program with every call watched, then print its receipt.

The command passes on signals, keeps the program's exit status and says nothing on its
standard output. What is told about the calls comes from the journals that the program
and its children wrote, so it is right also when they were killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

import or_otel
from or_otel.cli.options import console, fresh_ledger, ledger_option
from or_otel.entries import Entry
from or_otel.ledger.queries import entries
from or_otel.reports.receipt import receipt_of, render, to_json
from or_otel.settings import ENABLED, LEDGER, RUN, SDK_DISABLED, read_settings

SITE_FOLDER = Path(__file__).with_name("site")
SITE = "OR_OTEL_SITE"
NOT_FOUND = 127
NOT_EXECUTABLE = 126
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)


@click.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--no-receipt", is_flag=True, help="Print nothing at the end.")
@click.option("--json", "is_json", is_flag=True, help="Print the receipt as JSON, to standard error.")
@click.option("--otlp-endpoint", metavar="URL", help="Send spans and metrics there too (OTEL_EXPORTER_OTLP_ENDPOINT).")
@click.option("--service-name", metavar="NAME", help="service.name of the program (OTEL_SERVICE_NAME).")
@ledger_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- CMD…")
def run_command(
    *,
    no_receipt: bool,
    is_json: bool,
    otlp_endpoint: str | None,
    service_name: str | None,
    folder: Path,
    command: tuple[str, ...],
) -> None:
    """Run any Python program, its child processes included, with every LLM call watched.

    \b
    or-otel run -- python app.py
    or-otel run --otlp-endpoint http://localhost:4318 -- gunicorn app:app

    The program needs no change. Its exit status is kept, its standard output stays clean;
    the receipt goes to standard error.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    run_id = uuid.uuid4().hex[:16]
    chosen = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp_endpoint, "OTEL_SERVICE_NAME": service_name}
    with _kept_or_forgotten(folder) as kept:
        environment = environment_of(os.environ, run_id=run_id, folder=kept)
        environment.update({name: value for name, value in chosen.items() if value})
        status = _run(command, environment)
        if not no_receipt and status not in {NOT_FOUND, NOT_EXECUTABLE}:
            try:
                with fresh_ledger(kept) as ledger:
                    found = tuple(entries(ledger, where={"run": run_id}))
            except click.ClickException as error:  # the program's own status matters more
                error.show()
            else:
                _print(found, is_json=is_json)
    sys.exit(status)


@contextmanager
def _kept_or_forgotten(folder: Path) -> Iterator[Path]:
    """Give the ledger's folder; one that is deleted afterwards when the ledger is switched off."""
    is_explicit = click.get_current_context().get_parameter_source("folder") is click.core.ParameterSource.COMMANDLINE
    if is_explicit or not os.environ.get(LEDGER) or read_settings(os.environ).ledger is not None:
        yield folder.expanduser().absolute()
        return
    with tempfile.TemporaryDirectory(prefix="or-otel-") as temporary:
        yield Path(temporary)


def environment_of(environ: Mapping[str, str], *, run_id: str, folder: Path) -> dict[str, str]:
    """Give the environment that switches or-otel on in a program and its children."""
    own = str(SITE_FOLDER)
    paths = [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != own]
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return {
        **environ,
        RUN: run_id,
        LEDGER: str(folder),
        "PYTHONPATH": os.pathsep.join([own, *paths]),
        SITE: os.pathsep.join([version, *_own_folders()]),
    }


def _own_folders() -> list[str]:
    """Give the folders our packages come from: site-packages, and the source tree of an editable install."""
    installed = [path for path in sys.path if Path(path).name in {"site-packages", "dist-packages"}]
    source = str(Path(or_otel.__file__).parents[1])
    return installed if source in installed else [*installed, source]


def _run(command: tuple[str, ...], environment: dict[str, str]) -> int:
    """Run to the end; gives the status a shell would give."""
    started: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and _is_in_foreground():
            return  # the terminal sent it to the program as well
        if started:
            started[0].send_signal(number)
        else:
            waiting.append(number)  # between the handlers' setting and the program's start

    # Handlers, not SIG_IGN: that would be inherited by the program.
    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        try:
            process = subprocess.Popen(command, env=environment)  # noqa: S603 -- the user's own command
        except FileNotFoundError:
            hint = f"or-otel run -- python {command[0]}" if Path(command[0]).is_file() else "name a program after --"
            click.echo(f"or-otel: {command[0]!r}: command not found; {hint}", err=True)
            return NOT_FOUND
        except OSError as error:
            click.echo(f"or-otel: {command[0]!r} cannot be run: {error.strerror}", err=True)
            return NOT_EXECUTABLE
        started.append(process)
        for number in waiting:
            process.send_signal(number)
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _is_in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)


def _print(found: tuple[Entry, ...], *, is_json: bool) -> None:
    receipt = receipt_of(found)
    if is_json:
        click.echo(json.dumps(to_json(receipt)), err=True)
        return
    console(is_error=True).print(render(receipt))
    if not found and not read_settings(os.environ).enabled:
        click.echo(f"or-otel is switched off here: by {ENABLED} or {SDK_DISABLED}.", err=True)
    elif not found:
        click.echo(
            "Calls are seen through httpx, httpx2, requests and aiohttp, on which the usual clients stand, to "
            "openrouter.ai and known providers; name your own servers with OR_OTEL_HOSTS=host[:port][=provider]. "
            "or-otel doctor says more.",
            err=True,
        )
