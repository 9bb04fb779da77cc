"""`or-otel demo`: real clients against a simulated OpenRouter on loopback, watched live.

No key, no network, nothing left behind: the calls never reach the user's own ledger.
It ends with the receipt and with the proof that tracked is billed, and exits 1 when it is not.
"""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

import or_otel
from or_otel.calls import CallRecord
from or_otel.cli.options import PIPE_WIDTH, FiniteRange, print_json
from or_otel.entries import Entry, add_up, entries_of
from or_otel.reports.money import plural, seconds
from or_otel.reports.proof import proof_of, sentence
from or_otel.reports.proof import to_json as proof_to_json
from or_otel.reports.receipt import cost_text, receipt_of, render, to_json
from or_otel.simulator.server import ScriptedOpenRouter
from or_otel.simulator.workload import run_workload

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
EXPORTERS = ("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER")
SHOWN_CALLS = 12
FLUSH_S = 5.0
SCENE_S = 1.0
PACE_S = 0.02
"""Between the pieces of a streamed answer: visible on a screen, short in a script."""
NEXT = """\
What next:
  or-otel run -- python app.py     watch a program of yours, unchanged
  or-otel report --by model,team   where its money went
  or_otel.instrument()             one line, when OpenTelemetry is set up already
"""
INTERRUPTED = "Interrupted: this is what was asked so far.\n"


@click.command("demo")
@click.option("--duration", "duration_s", type=FiniteRange(min=0), metavar="S", help="Seconds; default: one round.")
@click.option("--otlp-endpoint", metavar="URL", help="Send spans and metrics there, as http://localhost:4318.")
@click.option("--prometheus-port", type=click.IntRange(1, 65535), metavar="N", help="Serve /metrics while it runs.")
@click.option("--json", "is_json", is_flag=True, help="Print only the receipt and the proof, as JSON.")
@click.option("--plain", "is_plain", is_flag=True, help="One line per call, no live display.")
@click.option("--forever", "is_forever", is_flag=True, help="A scene a second until interrupted, for a stack to watch.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the simulated OpenRouter listens.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Its port; default: a free one.")
def demo_command(
    *,
    duration_s: float | None,
    otlp_endpoint: str | None,
    prometheus_port: int | None,
    is_json: bool,
    is_plain: bool,
    is_forever: bool,
    host: str,
    port: int,
) -> None:
    """See it work: no key, no network, no set-up.

    \b
    or-otel demo
    or-otel demo --forever --otlp-endpoint http://localhost:4318

    Real OpenAI clients talk to an OpenRouter simulated on this machine: teams and features,
    streams, fallbacks, own keys, retries, cancelled streams. Nothing enters your ledger.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    if importlib.util.find_spec("openai") is None:
        raise click.ClickException("the demo drives the openai client: pip install 'or-otel[demo]'")
    screen = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH, highlight=False)
    found: list[Entry] = []
    with _Ending() as ending, _listening(host, port) as server:
        _start(server.base_url, otlp_endpoint, prometheus_port)
        try:
            if is_forever:
                screen.print(f"OpenRouter, simulated, at {server.base_url} until interrupted")
                _spend_forever(server.base_url, ending)
                return
            view = _view(screen, is_json=is_json, is_plain=is_plain)
            with view:
                is_whole = _watch(server.base_url, duration_s, found, view.show, ending)
        finally:
            or_otel.uninstrument()
        proof = proof_of(found, {entry.id: entry.spend for entry in server.book.entries})
    receipt = receipt_of(found)
    if is_json:
        print_json({"receipt": to_json(receipt), "proof": proof_to_json(proof)})
    else:
        screen.print(render(receipt))
        screen.print(Text(sentence(proof), style="bold green" if proof.is_equal else "bold red"))
        screen.print()
        screen.print(NEXT if is_whole else INTERRUPTED, end="")
    if not is_whole:
        sys.exit(128 + signal.SIGINT)
    if not proof.is_equal:
        sys.exit(1)


def _start(base_url: str, otlp_endpoint: str | None, prometheus_port: int | None) -> None:
    """Switch or-otel on in this process, for the simulated server only."""
    if otlp_endpoint:
        os.environ[ENDPOINT] = otlp_endpoint
    os.environ.setdefault("OTEL_SERVICE_NAME", "or-otel-demo")
    readers: list[Any] = []
    if prometheus_port is not None:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415 -- slow, rarely wanted
        from prometheus_client import start_http_server  # noqa: PLC0415

        try:
            start_http_server(prometheus_port, addr="127.0.0.1")
        except OSError as error:
            raise click.ClickException(
                f"--prometheus-port {prometheus_port}: {error.strerror}; choose another port"
            ) from error
        readers.append(PrometheusMetricReader())
    host = base_url.split("/")[2]
    or_otel.start(enabled=True, ledger="off", hosts={host: "openrouter"}, meter_readers=tuple(readers))


@contextmanager
def _listening(host: str, port: int) -> Iterator[ScriptedOpenRouter]:
    server = ScriptedOpenRouter(pace_s=PACE_S, host=host, port=port)
    try:
        server.start()
    except OSError as error:
        raise click.ClickException(f"--host {host} --port {port}: {error.strerror}; choose another") from error
    try:
        yield server
    finally:
        server.stop()


class _Interrupted(Exception):  # noqa: N818 -- no error: the user had enough
    """Ctrl-C, told between two scenes."""


class _Ending:
    """Hears Ctrl-C and tells it between two scenes, where nothing is under way; a second one ends at once.

    As an exception at any line of any library it would be lost now and then: a finalizer or a parser swallows it.
    """

    def __init__(self) -> None:
        self._is_heard = False
        self._is_between = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def between(self, pause_s: float = 0) -> None:
        """Let go on after a pause, or raise `_Interrupted`."""
        self._is_between = True
        if self._is_heard:
            raise _Interrupted
        time.sleep(pause_s)
        self._is_between = False

    def _hear(self, number: int, frame: object) -> None:
        del number, frame
        if self._is_heard:
            raise KeyboardInterrupt
        self._is_heard = True
        if self._is_between:
            raise _Interrupted


def _spend_forever(base_url: str, ending: _Ending) -> None:
    """Run the workload until Ctrl-C and keep nothing of it."""
    # Somebody takes the calls, also where no exporter does: the log is not told of calls that go nowhere.
    end = or_otel.on_call(lambda _: None)
    with suppress(_Interrupted):
        run_workload(base_url, duration_s=math.inf, on_event=lambda _: ending.between(SCENE_S))
    or_otel.flush(FLUSH_S)
    end()


def _watch(
    base_url: str,
    duration_s: float | None,
    found: list[Entry],
    show: Callable[[CallRecord, list[Entry]], None],
    ending: _Ending,
) -> bool:
    """Run the workload; every finished call is noted down and shown. False when Ctrl-C ended it."""

    def take(record: CallRecord) -> None:
        found.extend(entries_of(record, pid=os.getpid()))
        show(record, found)

    end = or_otel.on_call(take)
    try:
        run_workload(base_url, duration_s=duration_s, on_event=lambda _: ending.between())
    except _Interrupted:
        return False
    finally:
        or_otel.flush(FLUSH_S)
        end()
    return True


class _Silent:
    """Shows nothing; also what the others are."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def show(self, record: CallRecord, found: list[Entry]) -> None:
        """A call has ended."""


class _Lines(_Silent):
    """One line per call."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen

    def show(self, record: CallRecord, found: list[Entry]) -> None:
        """Print the call."""
        del found
        self._screen.print(" · ".join(str(cell) for cell in _cells(record) if str(cell)))


class _Dashboard(_Silent):
    """The last calls and the running total, redrawn."""

    def __init__(self, screen: Console) -> None:
        self._live = Live(console=screen, refresh_per_second=8, transient=True)
        self._last: deque[CallRecord] = deque(maxlen=SHOWN_CALLS)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def show(self, record: CallRecord, found: list[Entry]) -> None:
        """Redraw with the call as the last line."""
        self._last.append(record)
        self._live.update(self._screen_of(found))

    def _screen_of(self, found: list[Entry]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for record in self._last:
            table.add_row(*_cells(record))
        sums = add_up(found)
        head = Text.assemble((cost_text(sums), "bold green"), f"   {plural(sums.calls, 'call')} so far")
        return Group(head, Text(), table)


def _view(screen: Console, *, is_json: bool, is_plain: bool) -> _Silent:
    if is_json:
        return _Silent()
    return _Dashboard(screen) if screen.is_terminal and not is_plain else _Lines(screen)


STYLES = {"ok": "green", "error": "red", "cancelled": "yellow"}


def _cells(record: CallRecord) -> tuple[Text, ...]:
    sums = add_up(entries_of(record))
    said = record.failure.error_type if record.failure is not None else ""
    if record.route.fallback in {"provider", "model"}:
        said = f"fallback {record.route.fallback}"
    return (
        Text(record.outcome, style=STYLES[record.outcome]),
        Text(record.model or record.request.model or "unknown"),
        Text(record.provider or "-"),
        Text(seconds(record.duration_s)),
        Text(cost_text(sums)),
        Text(record.tags.get("team", "")),
        Text(said, style="yellow"),
    )
