"""Environment and keyword options → one frozen `Settings`.

A setting that cannot be read never stops the host: it keeps its default and is told in
`Settings.problems`, which the composition roots log and the commands refuse.
Keyword options win over `OR_OTEL_*` variables, those over defaults.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

logger = logging.getLogger(__name__)

ContentMode = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]
CONTENT_MODES: tuple[ContentMode, ...] = ("NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT")
Reconcile = Literal["off", "missing", "all"]
RECONCILES: tuple[Reconcile, ...] = ("off", "missing", "all")
CONTENT_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

ENABLED = "OR_OTEL_ENABLED"
HOSTS = "OR_OTEL_HOSTS"
ROUTER_METADATA = "OR_OTEL_ROUTER_METADATA"
PRICES = "OR_OTEL_PRICES"
BROADCAST_LINKS = "OR_OTEL_BROADCAST_LINKS"
RECONCILE = "OR_OTEL_RECONCILE"
SIGTERM_FLUSH = "OR_OTEL_SIGTERM_FLUSH"
LEDGER = "OR_OTEL_LEDGER"
INSIGHTS = "OR_OTEL_INSIGHTS"
METRIC_TAGS = "OR_OTEL_METRIC_TAGS"
TAGS = "OR_OTEL_TAGS"
BAGGAGE_TAGS = "OR_OTEL_BAGGAGE_TAGS"
METADATA_TAGS = "OR_OTEL_METADATA_TAGS"
RUN = "OR_OTEL_RUN"
SDK_DISABLED = "OTEL_SDK_DISABLED"

TRUE_WORDS = ("true", "1", "yes", "on")
FALSE_WORDS = ("false", "0", "no", "off")
HOST_PATTERN = re.compile(r"^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9_.-]+)(:\d{1,5})?$")
TAG_PATTERN = re.compile(r"^[a-z][a-z0-9_]*$")

Redact = Callable[[object], object]
"""Gets a list of messages (or of system parts), gives what may be recorded; None drops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How or-otel behaves in this process.

    Attributes:
        enabled: False leaves everything untouched.
        hosts: OpenAI-compatible servers beyond the known ones: `host` or `host:port` → provider name.
        router_metadata: Whether OpenRouter is asked, by a request header, to tell its route.
        prices: Whether list prices stand in where a server that is not OpenRouter tells no cost;
            they come with the extra `or-otel[prices]`.
        insights: Whether calls are compared with one another: retry loops, missed caches, large inputs, gain of caches.
        broadcast_links: Whether spans link to the trace that OpenRouter's Broadcast makes of the same call.
        ledger: Folder of the local ledger; `""` is the default folder; None is off.
        metric_tags: Tags that may become metric attributes.
        content: Where prompts and completions are recorded, if anywhere.
        content_limit_bytes: Longest content recorded per call and side.
        redact: Called with the content before it is recorded.
        key_names: Key fingerprint (12 hex) → name.
        run_id: Marks the ledger lines of one `or-otel run`.
        sigterm_flush: Whether SIGTERM flushes before it ends the process.
        reconcile: Whose generation records OpenRouter is asked for: nobody's, those of calls whose cost is
            missing, or all.
        tags: Tags of every call of the process, where `or_otel.tags` says nothing else.
        baggage_tags: Keys of inbound W3C baggage that become tags: key → tag.
        metadata_tags: Keys of the requests' own `metadata` that become tags: key → tag.
        problems: What could not be read, in sentences for people.
    """

    enabled: bool = True
    hosts: Mapping[str, str] = field(default_factory=dict)
    router_metadata: bool = True
    prices: bool = True
    insights: bool = True
    broadcast_links: bool = False
    ledger: str | None = None
    metric_tags: tuple[str, ...] = ("team", "feature")
    content: ContentMode = "NO_CONTENT"
    content_limit_bytes: int = 64 * 1024
    redact: Redact | None = None
    key_names: Mapping[str, str] = field(default_factory=dict)
    run_id: str | None = None
    sigterm_flush: bool = False
    reconcile: Reconcile = "off"
    tags: Mapping[str, str] = field(default_factory=dict)
    baggage_tags: Mapping[str, str] = field(default_factory=dict)
    metadata_tags: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


OPTIONS = frozenset(item.name for item in fields(Settings)) - {"problems"}


def read_settings(environ: Mapping[str, str], **options: object) -> Settings:
    """Read the environment, then let keyword options win.

    Args:
        environ: Such as `os.environ`.
        **options: Fields of `Settings`; an unknown name is a problem, not an error. `hosts`
            may be a comma list as in the variable, or a mapping. None keeps the variable's value.

    Returns:
        Settings; what was wrong is in `problems`.
    """
    problems: list[str] = []
    values: dict[str, object] = {}
    for name, variable, read in READERS:
        text = environ.get(variable, "").strip()
        if text:
            _take(values, problems, name, f"{variable}={text!r}", read, text)
    if _is_true(environ.get(SDK_DISABLED, "")):
        values["enabled"] = False
    for name, value in options.items():
        if name not in OPTIONS:
            problems.append(f"option {name!r}: no such option; known are {', '.join(sorted(OPTIONS))}")
        elif value is not None:
            reader = OPTION_READERS.get(name)
            if reader is not None and isinstance(value, str):
                _take(values, problems, name, f"{name}={value!r}", reader, value)
            else:
                values[name] = tuple(value) if name == "metric_tags" else value  # type: ignore[arg-type]
    return replace(Settings(), **values, problems=tuple(problems))  # type: ignore[arg-type]


def log_problems(settings: Settings) -> None:
    """Tell each problem once, as a warning."""
    for problem in settings.problems:
        logger.warning("or-otel: %s", problem)


def _take(
    values: dict[str, object],
    problems: list[str],
    name: str,
    where: str,
    read: Callable[[str], object],
    text: str,
) -> None:
    try:
        values[name] = read(text)
    except ValueError as error:
        problems.append(f"{where}: {error}; the default stays in force")


def _is_true(text: str) -> bool:
    return text.strip().lower() in TRUE_WORDS


def _read_switch(text: str) -> bool:
    word = text.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise ValueError("expected true or false")


def _read_hosts(text: str) -> dict[str, str]:
    hosts: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        address, _, provider = item.partition("=")
        address = address.strip().lower()
        if not HOST_PATTERN.match(address):
            raise ValueError(f"{item!r} is not a host; expected host[:port][=provider], as in localhost:8000=vllm")
        hosts[address] = provider.strip() or address.partition(":")[0]
    return hosts


def _read_ledger(text: str) -> str | None:
    word = text.lower()
    if word in FALSE_WORDS:
        return None
    return "" if word in TRUE_WORDS else text


def _read_tags(text: str) -> tuple[str, ...]:
    keys = tuple(filter(None, (part.strip() for part in text.split(","))))
    for key in keys:
        if not TAG_PATTERN.match(key):
            raise ValueError(f"{key!r} is not a tag key; expected lower case letters, digits and underscores")
    return keys


def _read_fixed_tags(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (part.strip() for part in item.partition("="))
        if not TAG_PATTERN.match(key) or not value:
            raise ValueError(f"{item!r}: expected tag=value, as in team=search,feature=nightly")
        tags[key] = value
    return tags


def _read_tag_sources(text: str) -> dict[str, str]:
    sources: dict[str, str] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        key, _, tag = (part.strip() for part in item.partition("="))
        if not key or not TAG_PATTERN.match(tag or key):
            raise ValueError(f"{item!r}: expected key or key=tag, as in team,tenant.id=customer")
        sources[key] = tag or key
    return sources


def _read_reconcile(text: str) -> Reconcile:
    word = text.lower()
    for choice in RECONCILES:
        if word == choice or (choice == "off" and word in FALSE_WORDS):
            return choice
    raise ValueError(f"expected one of {', '.join(RECONCILES)}")


def _read_content(text: str) -> ContentMode:
    for mode in CONTENT_MODES:
        if text.upper() == mode:
            return mode
    raise ValueError(f"expected one of {', '.join(CONTENT_MODES)}")


READERS: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("enabled", ENABLED, _read_switch),
    ("hosts", HOSTS, _read_hosts),
    ("router_metadata", ROUTER_METADATA, _read_switch),
    ("prices", PRICES, _read_switch),
    ("insights", INSIGHTS, _read_switch),
    ("broadcast_links", BROADCAST_LINKS, _read_switch),
    ("reconcile", RECONCILE, _read_reconcile),
    ("sigterm_flush", SIGTERM_FLUSH, _read_switch),
    ("ledger", LEDGER, _read_ledger),
    ("metric_tags", METRIC_TAGS, _read_tags),
    ("tags", TAGS, _read_fixed_tags),
    ("baggage_tags", BAGGAGE_TAGS, _read_tag_sources),
    ("metadata_tags", METADATA_TAGS, _read_tag_sources),
    ("content", CONTENT_VARIABLE, _read_content),
    ("run_id", RUN, str),
)
OPTION_READERS: Mapping[str, Callable[[str], object]] = {name: read for name, _, read in READERS if name != "run_id"}


def default_folder(environ: Mapping[str, str]) -> Path:
    """Give where journals and ledger live unless told otherwise: `$XDG_STATE_HOME/or-otel`."""
    state = environ.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore a relative path.
    folder = Path(state) if state.startswith("/") else Path("~/.local/state").expanduser()
    return folder / "or-otel"
