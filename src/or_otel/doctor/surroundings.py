"""This machine as or-otel finds it: packages, clients, other instrumentations, settings, export, ledger.

Environment and folder come in, checks go out. Nothing is changed, nothing is patched, and only
the OTLP endpoints that the environment names are spoken to. Clients are found by what is
installed, not by importing them.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import stat
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, requires, version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

import httpx

from or_otel.doctor import Check, State
from or_otel.sensors import httpx as httpx_sensor
from or_otel.sensors import sdks
from or_otel.settings import ENABLED, LEDGER, ROUTER_METADATA, SDK_DISABLED, Settings, read_settings

PACKAGES = (
    "or-otel",
    "opentelemetry-api",
    "opentelemetry-sdk",
    "opentelemetry-instrumentation",
    "wrapt",
    "msgspec",
    "httpx",
    "httpx2",
)
LIBRARIES = ("httpx", "httpx2", "requests", "aiohttp")
"""HTTP libraries that a sensor of ours can stand at."""
CLIENTS = (
    "openai",
    "anthropic",
    "openrouter",
    "groq",
    "mistralai",
    "litellm",
    "langchain-openai",
    "langchain-openrouter",
    "langchain-anthropic",
    "pydantic-ai-slim",
    "instructor",
)
CARRIERS = ("httpx2", "httpx", *CLIENTS, "requests", "aiohttp")
"""What a client may send through, the likeliest first."""

GROUP = "opentelemetry_instrumentor"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
OUR_ENTRY_POINT = "or_otel"
GENAI = re.compile(
    r"genai|openai|openrouter|anthropic|openinference|openllmetry|traceloop|langchain|langgraph|llama.?index|litellm|groq|mistral"
    r"|bedrock|vertexai|pydantic.?ai|crewai|dspy|haystack|cohere|ollama",
    re.IGNORECASE,
)
GENAI_PACKAGES = ("traceloop-sdk", "logfire", "openlit", "langfuse")
"""Bring GenAI instrumentation of their own, without such an entry point."""
SILENCED = {"logfire": "it silences every other instrumentation by default, ours included"}
REMEDIES = {"logfire": "logfire.instrument_openai(suppress_other_instrumentation=False)"}
ANTHROPIC_WITH_SPANS = 2
"""From this major version on, anthropic makes spans itself once a global tracer provider is set."""
ANTHROPIC_SWITCH = "ANTHROPIC_OPEN_TELEMETRY"
SIDE_BY_SIDE = (
    "a call gets its span and, below it, ours, which has the billed cost and the route; or_otel's own metrics count "
    "it once, but gen_ai.client.* summed over both may count it twice"
)
TOGETHER = (
    "its span stands for the call and gets the billed cost and the route from us; no second span, and the standard "
    "metrics gen_ai.client.* are its alone"
)
UTIL_GENAI = "opentelemetry-instrumentation-genai-"
"""Distributions built on opentelemetry-util-genai, which tells instrumentations below it of its span."""
SELECT_SCOPE = "sum gen_ai.client.* over one scope only: otel_scope_name='or_otel'"

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
SIGNALS = ("TRACES", "METRICS", "LOGS")
HTTP = "http/protobuf"
PROTOCOLS = (HTTP, "grpc")
CONNECT_S = 2.0
GRPC_PORT = 4317
NOT_FOUND = 404
UNAUTHORISED = (401, 403)
SERVER_FAULT = 500

OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def surroundings(environ: Mapping[str, str], folder: Path) -> tuple[Check, ...]:
    """Look at everything here.

    Args:
        environ: Such as `os.environ`.
        folder: Of the local ledger, as the environment and the command say.
    """
    settings = read_settings(environ)
    return (
        *_packages(),
        *_clients(),
        *_instrumentations(environ),
        *_settings(environ, settings),
        *_export(environ),
        *_ledger(environ, settings, folder),
    )


def installed(distribution: str) -> str | None:
    """Give the installed version of a package; None when it is not there."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


# Packages and clients -------------------------------------------------------------------------------------------------


def _packages() -> Iterator[Check]:
    found = [f"{name} {installed(name) or 'not installed'}" for name in PACKAGES]
    yield Check(
        topic="packages",
        name="versions",
        state="ok",
        sentence=" · ".join([f"Python {platform.python_version()}", *found]),
    )


def _clients() -> Iterator[Check]:
    found = [(name, own) for name in (*LIBRARIES, *CLIENTS) if (own := installed(name)) is not None]
    for name, own in found:
        library = _carrier(name)
        if library is None:
            yield Check(
                topic="clients",
                name=name,
                state="info",
                sentence=f"{own}: its package names no HTTP library that is watched, so its calls may pass unseen",
            )
        elif not _has_sensor(library):
            yield Check(
                topic="clients",
                name=name,
                state="warn",
                sentence=f"{own}: calls through {library} are not watched by this or-otel",
                remedy="send LLM calls through a client built on httpx or httpx2",
            )
        else:
            through = "" if library == name else f" through {library}"
            yield Check(topic="clients", name=name, state="ok", sentence=f"{own}: seen{through}{_retries(name)}")


def _carrier(name: str) -> str | None:
    """Find the HTTP library below a client, by what the installed packages say they need."""
    for _ in CARRIERS:  # a circle of requirements must end, too
        if name in LIBRARIES:
            return name
        needed = _needs(name)
        following = next((each for each in CARRIERS if each in needed), None)
        if following is None:
            return None
        name = following
    return None


def _needs(name: str) -> set[str]:
    try:
        lines = requires(name) or []
    except PackageNotFoundError:
        return set()
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines if "extra ==" not in line)
    return {found[0].lower().replace("_", "-") for found in names if found is not None}


def _has_sensor(library: str) -> bool:
    return library in httpx_sensor.MODULES or find_spec(f"or_otel.sensors.{library}") is not None


def _retries(name: str) -> str:
    if name in LIBRARIES:
        return ""
    if any(module.partition(".")[0] == name for module in sdks.METHODS):
        return "; its retries are attempts of one call"
    return "; retries of its own may count as calls: wrap them in or_otel.operation()" if name == "litellm" else ""


# Other instrumentations -----------------------------------------------------------------------------------------------


def _instrumentations(environ: Mapping[str, str]) -> Iterator[Check]:
    points = list(entry_points(group=GROUP))
    switched_off = {name.strip() for name in environ.get(DISABLED, "").split(",")}
    yield _own_entry_point(points, switched_off)
    for point in points:
        distribution = point.dist.name if point.dist is not None else point.value
        if point.name != OUR_ENTRY_POINT and GENAI.search(f"{distribution} {point.name}"):
            is_off = bool(switched_off & {point.name, "*"})
            is_shared = distribution.startswith(UTIL_GENAI)
            meeting = f"where it is active, {TOGETHER if is_shared else SIDE_BY_SIDE}"
            yield Check(
                topic="instrumentations",
                name=distribution,
                state="info",
                sentence=f"installed (entry point {point.name!r}); "
                + (f"{DISABLED} keeps it off" if is_off else meeting),
                remedy=None if is_off or is_shared else f"{SELECT_SCOPE}, or switch it off: {DISABLED}={point.name}",
            )
    for name in GENAI_PACKAGES:
        if (own := installed(name)) is not None:
            yield Check(
                topic="instrumentations",
                name=name,
                state="info",
                sentence=f"{own} may instrument LLM clients itself; where it does, {SILENCED.get(name, SIDE_BY_SIDE)}",
                remedy=REMEDIES.get(name, SELECT_SCOPE),
            )
    own = installed("anthropic") or ""
    if own.partition(".")[0].isdigit() and int(own.partition(".")[0]) >= ANTHROPIC_WITH_SPANS:
        is_off = environ.get(ANTHROPIC_SWITCH, "").lower() == "false"
        yield Check(
            topic="instrumentations",
            name="anthropic",
            state="info",
            sentence=f"{own} makes spans of its own, switched off by {ANTHROPIC_SWITCH}"
            if is_off
            else f"{own} makes a span of its own for each call once a tracer provider is set; ours is below it",
            remedy=None if is_off else f"{ANTHROPIC_SWITCH}=false leaves only ours",
        )


def _own_entry_point(points: list[EntryPoint], switched_off: set[str]) -> Check:
    if not any(point.name == OUR_ENTRY_POINT for point in points):
        return Check(
            topic="instrumentations",
            name=OUR_ENTRY_POINT,
            state="warn",
            sentence="no entry point of or-otel is installed, so opentelemetry-instrument cannot find it",
            remedy="install the package (pip install or-otel), not only its source on the path",
        )
    if switched_off & {OUR_ENTRY_POINT, "*"}:
        return Check(
            topic="instrumentations",
            name=OUR_ENTRY_POINT,
            state="warn",
            sentence=f"{DISABLED} keeps opentelemetry-instrument from loading or-otel",
            remedy=f"take {OUR_ENTRY_POINT} (or *) out of it, or call or_otel.instrument() in the program",
        )
    return Check(
        topic="instrumentations",
        name=OUR_ENTRY_POINT,
        state="ok",
        sentence="opentelemetry-instrument loads or-otel",
    )


# Settings -------------------------------------------------------------------------------------------------------------


def _settings(environ: Mapping[str, str], settings: Settings) -> Iterator[Check]:
    for problem in settings.problems:
        yield Check(topic="settings", name=problem.partition("=")[0], state="fail", sentence=problem)
    if not settings.problems:
        told = sorted(name for name in environ if name.startswith("OR_OTEL_"))
        yield Check(
            topic="settings",
            name="OR_OTEL_*",
            state="ok",
            sentence=f"readable: {', '.join(told)}" if told else "none set, the defaults are in force",
        )
    if not settings.enabled:
        switch = SDK_DISABLED if read_settings({**environ, SDK_DISABLED: ""}).enabled else ENABLED
        yield Check(
            topic="settings",
            name="enabled",
            state="warn",
            sentence=f"or-otel is off: {switch}={environ.get(switch, '')!r}",
            remedy=f"unset {switch}",
        )
    yield Check(
        topic="settings",
        name="router metadata",
        state="ok" if settings.router_metadata else "info",
        sentence="OpenRouter is asked for the route of each call"
        if settings.router_metadata
        else f"{ROUTER_METADATA} is off: fallbacks between providers cannot be seen",
        remedy=None if settings.router_metadata else f"unset {ROUTER_METADATA} to see them",
    )


# Export ---------------------------------------------------------------------------------------------------------------


def _export(environ: Mapping[str, str]) -> Iterator[Check]:
    endpoints: dict[tuple[str, str], list[str]] = {}
    for signal in SIGNALS:
        if environ.get(f"OTEL_{signal}_EXPORTER", "otlp").strip().lower() == "none":
            continue
        own = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT")
        url = own or environ.get(ENDPOINT)
        if url:
            protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get(PROTOCOL) or HTTP
            if protocol == HTTP and not own:
                url = f"{url.rstrip('/')}/v1/{signal.lower()}"
            endpoints.setdefault((url, protocol), []).append(signal.lower())
    if not endpoints:
        yield Check(
            topic="export",
            name="OTLP",
            state="info",
            sentence=f"no {ENDPOINT}: run and start() keep calls in the local ledger, instrument() uses the "
            "program's own providers",
        )
    for (url, protocol), signals in endpoints.items():
        yield _endpoint(url, protocol, ", ".join(signals))


def _endpoint(url: str, protocol: str, name: str) -> Check:
    parts = _split(url)
    if protocol not in PROTOCOLS:
        return _broken(name, f"{PROTOCOL}={protocol!r} is not known", f"expected one of {', '.join(PROTOCOLS)}")
    if parts is None and protocol == "grpc":
        parts = _split(f"http://{url}")  # gRPC takes host:port without a scheme
    if parts is None:
        return _broken(name, "the OTLP endpoint is no URL", f"{ENDPOINT}=http://localhost:4318")
    port = parts.port or (GRPC_PORT if protocol == "grpc" else {"https": 443}.get(parts.scheme, 80))
    shown = f"{parts.scheme}://{parts.hostname}:{port}{parts.path}"  # without user, password and query
    if protocol == "grpc":
        return _connected(name, shown, parts.hostname or "", port)
    return _posted(name, url, shown, port)


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return None
    return parts if is_usable else None


def _connected(name: str, shown: str, host: str, port: int) -> Check:
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        return _broken(name, f"{shown} cannot be reached: {error.strerror or type(error).__name__}", _start_it(port))
    return Check(topic="export", name=name, state="ok", sentence=f"{shown} accepts connections (grpc)")


def _posted(name: str, url: str, shown: str, port: int) -> Check:
    """Send an empty export request: valid, and nothing is stored."""
    try:
        answer = httpx.post(url, content=b"", headers={"content-type": "application/x-protobuf"}, timeout=CONNECT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _broken(name, f"{shown} cannot be reached: {type(error).__name__}", _start_it(port))
    status = answer.status_code
    state: State = "ok"
    said = f"{shown} takes exports (HTTP {status})"
    remedy: str | None = None
    if status == NOT_FOUND:
        state, said = "warn", f"{shown} listens, but knows no such path (HTTP {status})"
        remedy = f"{ENDPOINT} wants the base URL, without /v1/…; variables of one signal want the whole URL"
    elif status in UNAUTHORISED:
        state, said = "info", f"{shown} listens and wants credentials (HTTP {status}; asked without any)"
        remedy = "put them into OTEL_EXPORTER_OTLP_HEADERS"
    elif status >= SERVER_FAULT:
        state, said, remedy = "warn", f"{shown} answers with HTTP {status}", "look into the collector's log"
    elif not answer.is_success:
        state, said = "info", f"{shown} listens (HTTP {status} to an empty request)"
    return Check(topic="export", name=name, state=state, sentence=said, remedy=remedy)


def _broken(name: str, sentence: str, remedy: str) -> Check:
    return Check(topic="export", name=name, state="fail", sentence=sentence, remedy=remedy)


def _start_it(port: int) -> str:
    swap = {4317: f" (4317 is usually gRPC: {PROTOCOL}=grpc)", 4318: f" (4318 is usually HTTP: {PROTOCOL}={HTTP})"}
    return f"start the collector, or correct the endpoint{swap.get(port, '')}"


# Ledger ---------------------------------------------------------------------------------------------------------------


def _ledger(environ: Mapping[str, str], settings: Settings, folder: Path) -> Iterator[Check]:
    if environ.get(LEDGER) and settings.ledger is None and not settings.problems:
        yield Check(topic="ledger", name="folder", state="info", sentence=f"{LEDGER} switches the local ledger off")
        return
    existing = next(path for path in (folder, *folder.absolute().parents) if _is_there(path))
    state: State
    remedy: str | None
    if not existing.is_dir():
        state, said, remedy = "fail", f"{existing} is no folder", f"{LEDGER}=/path/of/a/folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        state, said, remedy = "fail", f"{existing} cannot be written", f"{LEDGER}=/path/of/a/folder, or chmod u+rwx"
    elif existing != folder:
        state, said, remedy = "ok", f"{folder} will be made at the first call", None
    elif (mode := stat.S_IMODE(folder.stat().st_mode)) & OPEN_TO_OTHERS:
        state, said, remedy = "warn", f"{folder} is open to other users (mode {mode:o})", f"chmod 700 {folder}"
    else:
        state, said, remedy = "ok", f"{folder} can be written (mode {mode:o})", None
    yield Check(topic="ledger", name="folder", state=state, sentence=said, remedy=remedy)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above may not be entered; it is the one to tell of
        return False
