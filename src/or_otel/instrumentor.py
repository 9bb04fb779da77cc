"""Settings → emitters → recorder → sensors: where a process is switched on, forked and ended.

`instrument()` speaks the OpenTelemetry API only and never sets a provider. `start()`
builds pipelines for programs that have none. `start_run()` is what `or-otel run` calls in
the program it starts: private pipelines, so that the application may still set its own.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace

from or_otel import workflows
from or_otel.calls import Amendment, CallRecord, Emitter
from or_otel.emitters.callbacks import Callbacks
from or_otel.emitters.events import Events
from or_otel.emitters.metrics import Metrics
from or_otel.emitters.spans import Spans
from or_otel.guard import guarded, wall
from or_otel.operations import TagSources
from or_otel.recorder import ContentRules, Recorder
from or_otel.rulebook import appraiser_of
from or_otel.sensors import aiohttp as aiohttp_sensor
from or_otel.sensors import httpx as httpx_sensor
from or_otel.sensors import patching, sdks
from or_otel.sensors import requests as requests_sensor
from or_otel.settings import SIGTERM_FLUSH, Settings, default_folder, log_problems, read_settings
from or_otel.version import own_version
from or_otel.wire.endpoints import Hosts

if TYPE_CHECKING:
    from or_otel.account.lookup import Lookups
    from or_otel.appraisal import Appraiser
    from or_otel.emitters.journal import Journal
    from or_otel.pipelines import Pipelines

logger = logging.getLogger(__name__)

FLUSH_TIMEOUT_S = 2.0
JOURNAL_MAX_BYTES = 256 * 1024 * 1024
"""Some 300,000 attempts of one process; the ledger's own cap is kept by its readers."""

QUEUE_FULL = "on_call_queue"
"""Drop reason of records that came faster than functions given to `on_call` took them."""
LOOKUPS_FULL = "lookup_queue"
"""Drop reason of generation records not asked for because too many were waiting."""

PROVIDER_OPTIONS = ("tracer_provider", "meter_provider", "logger_provider")
FOREIGN_OPTIONS = ("completion_hook", "auto_instrumentation_version", "skip_dep_check", "raise_exception_on_conflict")
"""What OpenTelemetry's own ways of switching on hand to every instrumentor; it says nothing to us."""

callbacks = Callbacks()
"""One for the process: `capture` and `on_call` may be asked for before or after `instrument`."""


class _Process:
    """What runs in this process; there is one.

    Attributes:
        settings, recorder: None while nothing is instrumented.
        providers: Those to speak to instead of the global ones.
        build: Makes our own pipelines, again after a fork; None on foreign providers.
        pipelines, pipelines_pid: Those built, and the process that owns them.
        are_pipelines_global: Whether they became the global providers, which cannot be undone.
        journal: The ledger's writer; None when the ledger is off.
        lookups: Asks for generation records; None unless `reconcile` is on.
        appraiser: Judges calls beside others, and by the owner's policies.
        receipt_pid: The process that `start()` has print a receipt at its end; 0 for none.
        pid: The process that was instrumented; its forked children have others.
        is_fork_armed: Whether the hook is registered, which cannot be undone.
    """

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.recorder: Recorder | None = None
        self.providers: dict[str, Any] = {}
        self.build: Callable[[], Pipelines] | None = None
        self.pipelines: Pipelines | None = None
        self.pipelines_pid = 0
        self.are_pipelines_global = False
        self.journal: Journal | None = None
        self.lookups: Lookups | None = None
        self.appraiser: Appraiser | None = None
        self.receipt_pid = 0
        self.pid = 0
        self.is_fork_armed = False

    def activate(self, settings: Settings, providers: dict[str, Any]) -> None:
        """Make emitters and recorder, and patch."""
        self.settings = settings
        self.providers = providers
        self.pid = os.getpid()
        content = None
        if settings.content != "NO_CONTENT":
            content = ContentRules(limit_bytes=settings.content_limit_bytes, redact=settings.redact)
        self.lookups = self._lookups(settings)
        self.appraiser = appraiser_of(settings, os.environ, _ledger_folder(settings))
        self.recorder = Recorder(
            self._emitters(settings),
            hosts=Hosts(settings.hosts),
            router_metadata=settings.router_metadata,
            key_names=settings.key_names,
            content=content,
            prices=settings.prices,
            tag_sources=TagSources(fixed=settings.tags, baggage=settings.baggage_tags, metadata=settings.metadata_tags),
            ask_later=self.lookups.ask_later if self.lookups is not None else None,
            appraise=self.appraiser.appraise if self.appraiser is not None else None,
            on_first_call=self._first_call,
        )
        if not self.is_fork_armed and hasattr(os, "register_at_fork"):
            self.is_fork_armed = True
            os.register_at_fork(after_in_child=self._after_fork_in_child)
        hooks: dict[str, Callable[[ModuleType], None]] = dict.fromkeys(httpx_sensor.MODULES, httpx_sensor.install)
        hooks[requests_sensor.MODULE] = requests_sensor.install
        hooks[aiohttp_sensor.MODULE] = aiohttp_sensor.install
        hooks.update(sdks.hooks())
        hooks["multiprocessing.util"] = self._arm_multiprocessing
        patching.activate(self.recorder, hooks)
        workflows.watch(self.recorder)
        if settings.sigterm_flush:
            _arm_sigterm()

    def deactivate(self) -> None:
        """Restore every method and flush."""
        patching.deactivate()
        workflows.watch(None)
        self._give_up_lookups()
        self.flush(FLUSH_TIMEOUT_S)
        self.settings = self.recorder = self.lookups = None
        if not self.are_pipelines_global:  # global ones stay: whoever switches on again goes on with them
            self.forget_pipelines()

    def forget_pipelines(self) -> None:
        """Speak to the global providers from now on."""
        self.build = self.pipelines = None
        self.providers = {}

    def _emitters(self, settings: Settings) -> tuple[Emitter, ...]:
        spans_hold_content = settings.content in {"SPAN_ONLY", "SPAN_AND_EVENT"}
        events_hold_content = settings.content in {"EVENT_ONLY", "SPAN_AND_EVENT"}
        emitters: list[Emitter] = [
            Spans(
                self.providers.get("tracer_provider"),
                version=own_version(),
                has_content=spans_hold_content,
                broadcast_links=settings.broadcast_links,
            ),
            Metrics(
                self.providers.get("meter_provider"),
                version=own_version(),
                metric_tags=settings.metric_tags,
                dropped=self._dropped,
            ),
            Events(self.providers.get("logger_provider"), version=own_version(), has_content=events_hold_content),
        ]
        self.journal = None
        if settings.ledger is not None:
            from or_otel.emitters.journal import Journal  # noqa: PLC0415 -- off by default under instrument(), and slow

            folder = _ledger_folder(settings)
            name = os.environ.get("OTEL_SERVICE_NAME")
            self.journal = Journal(folder, run_id=settings.run_id, service_name=name, max_bytes=JOURNAL_MAX_BYTES)
            emitters.append(self.journal)
        return (*emitters, callbacks)

    def _lookups(self, settings: Settings) -> Lookups | None:
        if settings.reconcile == "off":
            return None
        from or_otel.account.lookup import Asking, Lookups  # noqa: PLC0415 -- off by default, and imports httpx

        return Lookups(is_all=settings.reconcile == "all", amend=self._amend, give_up=self._give_up, ask=Asking())

    def _amend(self, record: CallRecord, amendment: Amendment) -> None:
        for emitter in self.recorder.emitters if self.recorder is not None else ():
            with wall("emitters.amend"):
                emitter.amend(record, amendment)

    def _give_up(self, record: CallRecord) -> None:
        for emitter in self.recorder.emitters if self.recorder is not None else ():
            with wall("emitters.give_up"):
                emitter.give_up(record)

    def _give_up_lookups(self) -> None:
        """Ask for every missing price once more; half of the time is left for handing over what is known then."""
        if self.lookups is not None:
            self.lookups.finish(FLUSH_TIMEOUT_S / 2)

    def _dropped(self) -> dict[str, int]:
        """Give the records that were lost, by reason."""
        lost = dict(self.journal.dropped) if self.journal is not None else {}
        if callbacks.dropped:
            lost[QUEUE_FULL] = callbacks.dropped
        if self.lookups is not None and self.lookups.dropped:
            lost[LOOKUPS_FULL] = self.lookups.dropped
        return lost

    def arm_exit(self) -> None:
        """Register for the end of this process, last, so as to run before the exit hooks of the providers."""
        atexit.unregister(self.at_exit)
        atexit.register(self.at_exit)

    def _first_call(self) -> None:
        """Register for the end of this process, after everybody who must go before us; build anew after a fork."""
        self.arm_exit()
        if self.build is not None and self.pipelines_pid != os.getpid() and self.recorder is not None:
            self.use(self.build())
            if self.settings is not None:
                self.recorder.emitters = self._emitters(self.settings)
        elif self.build is None and self.settings is not None:
            _tell_about_foreign_providers(self.providers, self.settings, is_forked=os.getpid() != self.pid)

    def use(self, pipelines: Pipelines) -> None:
        """Send through pipelines of our own from now on."""
        self.pipelines = pipelines
        self.pipelines_pid = os.getpid()
        self.providers = {
            "tracer_provider": pipelines.tracer_provider or trace.NoOpTracerProvider(),
            "meter_provider": pipelines.meter_provider or metrics.NoOpMeterProvider(),
            "logger_provider": pipelines.logger_provider,
        }

    @guarded("instrumentor.fork")
    def _after_fork_in_child(self) -> None:
        if self.lookups is not None:
            self.lookups.after_fork()
        if self.appraiser is not None:
            self.appraiser.after_fork()
        if self.recorder is not None:
            self.recorder.after_fork()

    @guarded("instrumentor.flush", default=False)
    def flush(self, timeout_s: float) -> bool:
        """Hand over everything that waits; money first. False when that could not be done in time."""
        deadline_s = time.monotonic() + timeout_s
        if self.recorder is not None:
            self.recorder.drain()
            if self.lookups is not None:
                self.lookups.flush(timeout_s / 2)
            for emitter in self.recorder.emitters:
                emitter.flush(max(0.0, deadline_s - time.monotonic()))
        left_s = max(0.0, deadline_s - time.monotonic())
        if self.pipelines is not None:
            if self.pipelines_pid != os.getpid():
                return True
            from or_otel.pipelines import flush_within  # noqa: PLC0415 -- the SDK is imported only where it is used

            return flush_within(self.pipelines, left_s)
        return _flush_foreign(self.providers, left_s)

    @guarded("instrumentor.exit")
    def at_exit(self) -> None:
        """End what is open, hand everything over, print the receipt."""
        if self.recorder is not None:
            self.recorder.finish(time.perf_counter())
        self._give_up_lookups()
        if self.pipelines is not None:  # the application's own spans go through them as well
            self.flush(FLUSH_TIMEOUT_S)
        else:  # foreign providers flush themselves at exit, after us
            callbacks.flush(FLUSH_TIMEOUT_S)
        if self.receipt_pid == os.getpid() and self.journal is not None:
            _print_receipt(self.journal)
        _stay_interrupted()

    def at_sigterm(self) -> None:
        """End as at exit; but nothing runs afterwards in which foreign providers would flush themselves."""
        self.at_exit()
        if self.pipelines is None:
            self.flush(FLUSH_TIMEOUT_S)

    def _arm_multiprocessing(self, module: ModuleType) -> None:
        """Children of multiprocessing leave by `os._exit`: atexit does not run there, finalizers do."""

        def arm(_: object = None) -> None:
            module.Finalize(None, self._child_ends, exitpriority=100)

        module.register_after_fork(self, arm)
        arm()

    @guarded("instrumentor.exit")
    def _child_ends(self) -> None:
        if self.recorder is not None:
            self.recorder.finish(time.perf_counter())
            self._give_up_lookups()
            self.flush(FLUSH_TIMEOUT_S)


_process = _Process()


def instrument(**options: Any) -> None:
    """See every call from now on; spans and metrics go to the OpenTelemetry providers that exist.

    Providers may be set before or after. Clients made earlier are seen too. When no
    provider exists at the first call, one log line says so and what to do.

    Args:
        **options: `tracer_provider`, `meter_provider`, `logger_provider` to use others than
            the global ones, and the fields of `Settings`, which win over `OR_OTEL_*`.
    """
    if _process.recorder is not None:
        logger.debug("or-otel is already on; instrument() changes nothing")
        return
    _switch_on(**options)


@guarded("instrumentor.instrument")
def _switch_on(**options: Any) -> None:
    providers = {name: options.pop(name, None) for name in PROVIDER_OPTIONS}
    for name in FOREIGN_OPTIONS:
        options.pop(name, None)
    settings = read_settings(os.environ, **options)
    log_problems(settings)
    if not settings.enabled:
        return
    if any(provider is not None for provider in providers.values()) and providers != _process.providers:
        _process.forget_pipelines()
    _process.activate(settings, providers)


@guarded("instrumentor.uninstrument")
def uninstrument() -> None:
    """Restore every patched method and flush."""
    if _process.recorder is not None:
        _process.deactivate()


def start(**options: Any) -> None:
    """For programs without an OpenTelemetry set-up: build one, then `instrument()`.

    With an OTLP endpoint or exporter in the `OTEL_*` variables, spans, metrics and events are
    sent there, and become the global providers where none exist yet. Without one, calls are
    kept in the local ledger and a receipt is printed to standard error at exit. The ledger is
    on in both cases; `ledger="off"` or `OR_OTEL_LEDGER=off` switches it off.

    Args:
        **options: Fields of `Settings`, and `meter_readers`: OpenTelemetry metric readers to
            attach, such as a Prometheus reader.
    """
    _start(are_global=True, **options)


def start_run() -> None:
    """Switch on in a program started by `or-otel run`; everything comes from the environment.

    The receipt is printed by the command, once for all processes.
    """
    _start(are_global=False)


@guarded("instrumentor.start")
def _start(*, are_global: bool, meter_readers: tuple[Any, ...] = (), **options: Any) -> None:
    if _process.recorder is not None:
        logger.debug("or-otel is already on; start() changes nothing")
        return
    if SIGTERM_FLUSH not in os.environ:
        options.setdefault("sigterm_flush", True)
    settings = read_settings(os.environ, **options)
    if not settings.enabled:
        return
    if settings.ledger is None and "ledger" not in options and "OR_OTEL_LEDGER" not in os.environ:
        options["ledger"] = ""
    from or_otel.pipelines import is_configured  # noqa: PLC0415 -- instrument() works without the SDK

    has_stack = is_configured(os.environ) or bool(meter_readers)
    has_providers = not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    if has_stack and not (are_global and has_providers):
        _build(meter_readers, are_global=are_global)
    elif not has_stack and are_global:
        _process.receipt_pid = os.getpid()
        _process.arm_exit()  # also where only children make calls
    if _process.build is not None:
        options.update(_process.providers)
    _switch_on(**options)


def _build(meter_readers: tuple[Any, ...], *, are_global: bool) -> None:
    """Build our own pipelines, and keep how, for forked children."""
    from or_otel.pipelines import build  # noqa: PLC0415 -- instrument() works without the SDK

    first = [meter_readers]

    def build_again() -> Pipelines:
        # A reader belongs to one provider; a forked child gets the exporters of the environment only.
        return build(os.environ, readers=tuple(first.pop() if first else ()))

    try:
        _process.use(build_again())
    except ValueError as error:
        logger.error("or-otel: %s; nothing is exported", error)  # noqa: TRY400 -- the sentence says it all
        return
    _process.build = build_again
    _process.arm_exit()
    if are_global:
        _make_global(_process.pipelines)


def is_on() -> bool:
    """Whether calls are seen now."""
    return _process.recorder is not None


def flush(timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
    """Hand over all that is waiting: for jobs, Lambda handlers, worker shutdown hooks.

    Args:
        timeout_s: After this the rest is left to the background; never raises.

    Returns:
        True when everything was handed to the exporters in time. The SDK does not tell whether
        the collector behind an exporter took it; it logs when it did not.
    """
    return _process.flush(timeout_s)


@contextmanager
def capture() -> Iterator[list[CallRecord]]:
    """Collect the records of the calls begun inside: `with or_otel.capture() as calls: …`.

    A record is complete before the application's last read of that call returns, also for
    streams; a call that is still open at the end of the block is added when it ends.
    """
    with callbacks.capture() as calls:
        yield calls


def on_call(function: Callable[[CallRecord], None]) -> Callable[[], None]:
    """Have `function` called with each finished call's record, on a thread of ours.

    It may be slow or raise without touching the application. Records that come faster than
    they are taken are dropped oldest first, and counted.

    Returns:
        A function that ends this.
    """
    return callbacks.on_call(function)


def _ledger_folder(settings: Settings) -> Path:
    """Give where the ledger is, or would be."""
    return Path(settings.ledger).expanduser() if settings.ledger else default_folder(os.environ)


def _make_global(pipelines: Pipelines | None) -> None:
    if pipelines is None:
        return
    _process.are_pipelines_global = True
    if pipelines.tracer_provider is not None:
        trace.set_tracer_provider(pipelines.tracer_provider)
    if pipelines.meter_provider is not None and type(metrics.get_meter_provider()).__name__ == "_ProxyMeterProvider":
        metrics.set_meter_provider(pipelines.meter_provider)


def _tell_about_foreign_providers(providers: dict[str, Any], settings: Settings, *, is_forked: bool) -> None:
    """Say once what will not work, where the user can mend it."""
    tracer_provider = providers.get("tracer_provider") or trace.get_tracer_provider()
    meter_provider = providers.get("meter_provider") or metrics.get_meter_provider()
    has_tracer = not isinstance(tracer_provider, trace.ProxyTracerProvider)
    has_meter = type(meter_provider).__name__ != "_ProxyMeterProvider"
    if not has_tracer and not has_meter and settings.ledger is None and not callbacks.is_used:
        remedy = (
            "set OTEL_EXPORTER_OTLP_ENDPOINT, or leave the ledger on"
            if _process.receipt_pid
            else "call or_otel.start() instead of instrument(), or set up the OpenTelemetry SDK, or start the program "
            "with opentelemetry-instrument"
        )
        logger.warning("or-otel: no OpenTelemetry provider is set up, so nothing is exported: %s", remedy)
    config = getattr(meter_provider, "_sdk_config", None)  # private: where it is missing, nothing is told
    resource = getattr(config, "resource", None)
    if has_meter and resource is not None and "service.instance.id" not in resource.attributes:
        logger.warning(
            "or-otel: the meter provider's resource has no service.instance.id: processes overwrite one another's "
            "counters; give every process a random one"
        )
    # The readers moved from the configuration to the provider in the SDK's 1.4x.
    for reader in getattr(meter_provider, "_metric_readers", None) or getattr(config, "metric_readers", None) or ():
        if is_forked and type(reader).__name__ == "PrometheusMetricReader":
            logger.warning(
                "or-otel: a Prometheus reader in a forked worker: each scrape reaches one worker only; push by OTLP, "
                "or use one port per worker"
            )
        if any(kind.name == "DELTA" for kind in getattr(reader, "_instrument_class_temporality", {}).values()):
            logger.warning(
                "or-otel: a metric reader exports deltas, which Prometheus drops: unset "
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE, or set it to CUMULATIVE"
            )


def _flush_foreign(providers: dict[str, Any], timeout_s: float) -> bool:
    timeout_ms = int(timeout_s * 1000)
    if timeout_ms <= 0:  # the SDK raises when it has no time at all
        return False
    found = (
        providers.get("meter_provider") or metrics.get_meter_provider(),
        providers.get("tracer_provider") or trace.get_tracer_provider(),
    )
    flushes = [flush for provider in found if (flush := getattr(provider, "force_flush", None)) is not None]
    done: list[bool] = []

    def flush_all() -> None:
        for force_flush in flushes:
            with wall("instrumentor.flush"):
                done.append(force_flush(timeout_ms))

    thread = threading.Thread(target=flush_all, name="or-otel-flush", daemon=True)
    thread.start()
    thread.join(timeout_s)
    return len(done) == len(flushes) and all(done)


def _arm_sigterm() -> None:
    """Flush before SIGTERM ends the process; only where nobody else handles it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        return

    def flush_and_die(number: int, frame: FrameType | None) -> None:
        del frame
        # On a thread: the interrupted code may hold the very locks that a flush needs.
        thread = threading.Thread(target=_process.at_sigterm, name="or-otel-sigterm", daemon=True)
        thread.start()
        thread.join(FLUSH_TIMEOUT_S)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, flush_and_die)


def _stay_interrupted() -> None:
    """Let a program that Ctrl-C ended still end by SIGINT, whatever was imported at its exit.

    CPython notes an unhandled KeyboardInterrupt, so as to end by the signal (a shell then sees 130), and forgets it as
    soon as any text is compiled and run, as importing rich does by its data classes. Then the status would be 1.
    """
    traceback = getattr(sys, "last_traceback", None)
    is_interrupted = (
        getattr(sys, "last_type", None) is KeyboardInterrupt
        and traceback is not None
        and traceback.tb_frame.f_globals.get("__name__") in {"__main__", "runpy"}  # elsewhere, somebody answered it
        and not hasattr(sys, "ps1")  # as a prompt does
    )
    if is_interrupted:
        with suppress(KeyboardInterrupt):
            exec("raise KeyboardInterrupt")  # noqa: S102 -- the only way to have it noted again


def _print_receipt(journal: Journal) -> None:
    entries = journal.written()
    if not entries:
        return
    from rich.console import Console  # noqa: PLC0415 -- needed only at the very end

    from or_otel.reports.receipt import receipt_of, render  # noqa: PLC0415

    Console(file=sys.stderr, width=None if sys.stderr.isatty() else 100).print(render(receipt_of(entries)))
