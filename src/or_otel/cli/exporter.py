"""`or-otel exporter`: what only the account knows, for Prometheus and OTLP, until it is stopped."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import FrameType
from typing import Literal

import click

from or_otel.account.cardinality import Assumptions, series_expected
from or_otel.account.errors import KEY_PAGES, MANAGEMENT_KEY
from or_otel.account.readings import Known, Reading
from or_otel.cli.asking import SEEN
from or_otel.cli.options import (
    SettingsProblem,
    account_client,
    account_options,
    keys_from,
    ledger_folder,
    metric_tags,
    no_keys_said,
    notice_urls,
    print_json,
    settings_from,
)
from or_otel.config import Config
from or_otel.exporter import Exporter
from or_otel.exporter.health import JUDGED, Health
from or_otel.exporter.health import to_json as health_to_json
from or_otel.exporter.messenger import Messenger
from or_otel.exporter.page import HEALTH_PATH, METRICS_PATH, Page
from or_otel.exporter.push import Push
from or_otel.pipelines import ENDPOINTS
from or_otel.reports.money import exact, plural
from or_otel.settings import LEDGER, default_folder, read_settings
from or_otel.version import own_version

PUSH_ENDPOINTS = (ENDPOINTS[0], "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
BOTH_WARNING = (
    "warning: these metrics are both pushed by OTLP and served on the page. If both reach one Prometheus, every sum "
    "doubles: choose with --metrics push or --metrics scrape, or say --metrics both if they go to different places."
)
Ways = Literal["scrape", "push", "both"]


class Listen(click.ParamType):  # type: ignore[type-arg, unused-ignore]  # generic since click 8.4
    """`host:port`, `:port` or `[::1]:port`; gives host and port."""

    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Read one."""
        if isinstance(value, tuple):
            return value
        host, colon, port = str(value).rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 -- the last port
            self.fail(f"{value!r}: expected host:port, as 127.0.0.1:9877 or 0.0.0.0:9877", param, ctx)
        return host.strip("[]") or "127.0.0.1", int(port)


@click.command("exporter")
@click.option("--listen", type=Listen(), help="Where Prometheus scrapes; default: 127.0.0.1:9877.")
@click.option(
    "--metrics",
    "ways",
    type=click.Choice(["scrape", "push", "both"]),
    help="How metrics leave: default is the page, and OTLP where OTEL_EXPORTER_OTLP_ENDPOINT is set.",
)
@click.option("--no-otlp", is_flag=True, help="Never push; the same as --metrics scrape.")
@click.option(
    "--ledger",
    "ledger",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Tell the sums of the local ledger, too, and compare closed days with it.",
)
@click.option("--once", is_flag=True, help="Ask once, say what came, and end; exit 1 when nothing could be read.")
@click.option("--json", "is_json", is_flag=True, help="With --once: every reading as JSON; money as exact text.")
@click.option("--check", is_flag=True, help="Check the settings and say how many series to expect; asks nobody.")
@account_options
def exporter_command(  # noqa: PLR0913 -- one argument for each option
    *,
    listen: tuple[str, int] | None,
    ways: Ways | None,
    no_otlp: bool,
    ledger: str | None,
    once: bool,
    is_json: bool,
    check: bool,
    config_path: Path | None,
    base_url: str | None,
) -> None:
    """Publish what only the account knows: credits, keys, limits, budgets, closed days, prices.

    \b
    OPENROUTER_MANAGEMENT_KEY=… or-otel exporter
    or-otel exporter --once --json | jq .metrics
    or-otel exporter --check

    A management key sees the account, an ordinary key in OPENROUTER_API_KEY only itself. Both may come from
    files: OPENROUTER_MANAGEMENT_KEY_FILE, OPENROUTER_API_KEY_FILE. Closed days are kept in the ledger's folder.
    """  # noqa: D301 -- \b is click's sign to keep the lines
    if is_json and not once:
        raise click.UsageError("--json: goes with --once")
    if no_otlp and ways in {"push", "both"}:
        raise click.UsageError(f"--no-otlp and --metrics {ways}: choose one")
    config = settings_from(config_path, base_url)
    api_key, management_key = keys_from(os.environ)
    is_keyless = api_key is None and management_key is None
    if is_keyless and not check:
        raise SettingsProblem(no_keys_said())
    urls = notice_urls(config)
    has_ledger = ledger is not None or config.exporter.has_ledger
    folder = _folder(ledger)
    if has_ledger and folder is None:
        raise SettingsProblem(f"the ledger is wanted and {LEDGER} is off: name its folder with --ledger DIR")
    if check:
        if is_keyless:
            click.echo(f"note: {no_keys_said()}", err=True)
        _check(config, has_ledger=has_ledger)
        return
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    client = account_client(config)
    assert client is not None  # noqa: S101 -- there is a key
    exporter = Exporter(
        client,
        config,
        asking_key=api_key,
        held_keys=[key for key in (api_key, management_key) if key is not None],
        folder=folder,
        has_ledger=has_ledger,
        metric_tags=metric_tags(config),
        messenger=Messenger(folder or default_folder(os.environ), urls, config.notify) if urls and not once else None,
    )
    if once:
        with client:
            _tell_once(exporter, is_json=is_json)
        return
    _serve(exporter, config, listen=listen, ways="scrape" if no_otlp else ways)


# Settings -------------------------------------------------------------------------------------------------------------


def _folder(ledger: str | None) -> Path | None:
    """Give the ledger's folder: named, the environment's, or the default one; None when it is switched off."""
    if ledger:
        return Path(ledger).expanduser()
    if os.environ.get(LEDGER) and read_settings(os.environ).ledger is None:
        return None
    return ledger_folder()


def _check(config: Config, *, has_ledger: bool) -> None:
    assumptions = Assumptions()
    rows = series_expected(config, assumptions, has_ledger=has_ledger)
    click.echo(f"{config.path or 'no settings file'}: in order; {plural(len(config.budgets), 'budget')}")
    for metric, count in rows:
        click.echo(f"{count:>7}  {metric.name}")
    click.echo(f"{sum(count for _, count in rows):>7}  series in all")
    watched = len(config.account.watch_models)
    click.echo(
        f"Assumed: {assumptions.keys} keys, {assumptions.offers} models by provider used in 30 days, "
        f"{assumptions.endpoints} endpoints of each of {watched} watched models, "
        + (f"{assumptions.groups} groups of calls in the ledger." if has_ledger else "no ledger.")
    )


# Once -----------------------------------------------------------------------------------------------------------------


def _tell_once(exporter: Exporter, *, is_json: bool) -> None:
    now_s = time.time()
    known = exporter.round(now_s)
    health = exporter.health(now_s)
    readings = exporter.readings(now_s)
    if is_json:
        metrics: dict[str, list[dict[str, object]]] = {}
        for reading in readings:
            told = metrics.setdefault(reading.metric.name, [])
            told.append({"attributes": dict(reading.attributes), "value": _value(reading)})
        print_json({"version": 1, "at_s": now_s, **health_to_json(health), "metrics": metrics})
    else:
        for line in _lines(health):
            click.echo(line)
        click.echo(f"{plural(len(readings), 'reading')}; --json shows them")
    # The list of models is public: it answers any key.
    if not any(endpoint in known.snapshot.succeeded_at_s for endpoint in JUDGED):
        for reason in health.reasons:
            click.echo(reason, err=True)
        sys.exit(1)


def _value(reading: Reading) -> str | int | float | None:
    return exact(reading.value) if isinstance(reading.value, Decimal) else reading.value


def _lines(health: Health) -> Sequence[str]:
    lines = [f"key: {health.key_kind or 'unknown'}"]
    for name, each in health.endpoints.items():
        lines.append(f"{each.state:>8}  {name}" + (f": {each.reason}" if each.reason else ""))
    return lines


# Until stopped --------------------------------------------------------------------------------------------------------


def _serve(exporter: Exporter, config: Config, *, listen: tuple[str, int] | None, ways: Ways | None) -> None:
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    is_pushed = ways in {"push", "both"} or (ways is None and _is_push_configured(config))
    is_served = ways != "push"
    host, port = listen or (config.exporter.host, config.exporter.port)
    try:
        page = Page(
            host,
            port,
            read=(lambda: exporter.readings(time.time())) if is_served else None,
            health=lambda: exporter.health(time.time()),
        )
    except OSError as error:
        raise click.ClickException(f"--listen {host}:{port}: {error.strerror}; choose another address") from error
    push = _push(exporter) if is_pushed else None
    shown = f"[{host}]" if ":" in host else host
    click.echo(
        f"or-otel exporter: asks {config.account.base_url}; "
        + (f"metrics at http://{shown}:{page.port}{METRICS_PATH}, " if is_served else "")
        + f"health at http://{shown}:{page.port}{HEALTH_PATH}"
        + ("; pushes by OTLP" if is_pushed else ""),
        err=True,
    )
    if is_pushed and is_served and ways is None and not config.exporter.has_otlp:
        click.echo(BOTH_WARNING, err=True)
    page.start()
    if push is not None:
        push.start()
    exporter.start()
    # A daemon: a question that hangs must not hold up the end.
    threading.Thread(
        target=exporter.run,
        args=(stop,),
        kwargs={"now": time.time, "after": _FirstWords()},
        name="or-otel-poll",
        daemon=True,
    ).start()
    stop.wait()
    page.stop()
    if push is not None:
        push.stop()


def _is_push_configured(config: Config) -> bool:
    return config.exporter.has_otlp or any(os.environ.get(name) for name in PUSH_ENDPOINTS)


def _push(exporter: Exporter) -> Push:
    try:
        return Push(os.environ, lambda: exporter.readings(time.time()), version=own_version())
    except ValueError as error:
        raise SettingsProblem(str(error)) from error


class _FirstWords:
    """Says once what this kind of key sees and what not."""

    def __init__(self) -> None:
        self._is_said = False

    def __call__(self, known: Known) -> None:
        """Say it after the first round that knows."""
        kind = known.snapshot.key_kind
        if self._is_said or kind is None:
            return
        self._is_said = True
        hidden = [word for endpoint, word in SEEN.items() if endpoint in known.snapshot.hidden]
        if not hidden:
            click.echo(f"This {kind} key sees the account: {plural(len(known.keys), 'key')}.", err=True)
            return
        click.echo(
            f"This {kind} key sees itself and not {', '.join(hidden)}; a management key in {MANAGEMENT_KEY} would "
            f"({KEY_PAGES[MANAGEMENT_KEY]}), but it may also make, change and delete keys.",
            err=True,
        )
