"""Method and URL in, `Endpoint` out, or None when the request is none of ours.

Asked for every HTTP request of the host process, so the path decides first: one look-up
of its last segment rejects nearly everything. No body is looked at, nothing is cached.
Sources: OpenRouter API reference (seen 2026-08); OpenTelemetry GenAI conventions for the
provider values (seen 2026-11); the providers' own API references for their hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from or_otel.facts import Api, Endpoint

OPENROUTER = "openrouter"
OPENROUTER_HOST = "openrouter.ai"
DEFAULT_PORTS = {"https": 443, "http": 80}
FETCH_RESPONSE = "fetch_response"
"""The operation of reading a stored response again, and of asking how a job stands."""
NO_HOSTS: Mapping[str, str] = {}
VERSIONS = ("/v1/", "/beta/")
"""How the suffixes begin that hold what otherwise ends a base URL."""


class Row(NamedTuple):
    """One inference path.

    Attributes:
        suffix: How the path ends.
        api: The shape of body and answer.
        operation: The `gen_ai.operation.name`; a custom word where the conventions have none.
    """

    suffix: str
    api: Api
    operation: str


ROWS = (
    # The first that fits counts. Azure's /openai/deployments/{name}/chat/completions ends alike.
    Row("/chat/completions", "chat", "chat"),
    Row("/responses", "responses", "chat"),
    Row("/v1/messages", "messages", "chat"),
    Row("/completions", "completions", "text_completion"),
    Row("/embeddings", "embeddings", "embeddings"),
    Row("/rerank", "rerank", "rerank"),
    Row("/images", "images", "generate_content"),
    Row("/images/generations", "images", "generate_content"),
    Row("/images/edits", "images", "generate_content"),
    Row("/audio/speech", "speech", "generate_content"),
    Row("/audio/transcriptions", "transcription", "generate_content"),
    Row("/audio/translations", "transcription", "generate_content"),
    Row("/videos", "videos", "generate_content"),
    Row("/videos/edits", "videos", "generate_content"),
    Row("/videos/extensions", "videos", "generate_content"),
    # Not `/v1/messages/batches`: Anthropic's tell neither tokens nor money, and the file of their results may be
    # fetched by anybody, again and again.
    Row("/v1/batches", "batches", "create_batch"),
    Row("/beta/batches", "batches", "create_batch"),  # OpenRouter, until mid 2026
    Row("/openai/batches", "batches", "create_batch"),  # Azure
)

FETCHED = tuple(
    row._replace(operation=FETCH_RESPONSE) for row in ROWS if row.suffix.endswith(("/responses", "/videos", "/batches"))
)
"""What is asked by GET, with an id behind."""
REMIX = "/remix"
"""Ends `/videos/{id}/remix`, which makes a video of another as `/videos` makes one of words."""
NO_IDS = frozenset({"models", "edits", "extensions"})
"""What stands where an id could: OpenRouter lists its video models there, OpenAI takes videos to change."""

PROVIDERS = {
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral_ai",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    # Below: not among the listed values of the conventions.
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "api.fireworks.ai": "fireworks",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "sambanova",
    "api.deepinfra.com": "deepinfra",
    "api.inference.net": "inference_net",
    "api.novita.ai": "novita",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.z.ai": "z_ai",
    "api.minimax.io": "minimax",
    "api.siliconflow.com": "siliconflow",
    "integrate.api.nvidia.com": "nvidia",
    "router.huggingface.co": "huggingface",
    "models.github.ai": "github",
    "dashscope.aliyuncs.com": "alibaba",
    "dashscope-intl.aliyuncs.com": "alibaba",
}

PROVIDERS_OF_SUBDOMAINS = (
    (".openai.azure.com", "azure.ai.openai"),
    (".cognitiveservices.azure.com", "azure.ai.openai"),
    (".services.ai.azure.com", "azure.ai.inference"),
    (".models.ai.azure.com", "azure.ai.inference"),
    (".api.openai.com", "openai"),  # regional: eu.api.openai.com
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),
)


class Hosts:
    """The servers whose traffic is ours."""

    __slots__ = ("_extra",)

    def __init__(self, extra: Mapping[str, str] = NO_HOSTS) -> None:
        """Set up.

        Args:
            extra: Further servers: `host` or `host:port` → provider name. A server declared as
                `openrouter` counts as OpenRouter; an empty name leaves the host's own.
        """
        self._extra = {_extra_key(host): provider for host, provider in extra.items()}

    def endpoint(self, method: str, url: str) -> Endpoint | None:
        """Say where a request goes, or None when it is not ours. Never raises, whatever the URL."""
        if method != "POST" and method.upper() != "POST":
            return self._fetched(url) if method.upper() == "GET" else None
        path = url
        if "?" in path or "#" in path:
            path = path.partition("?")[0].partition("#")[0]
        if path.endswith("/"):
            path = path.rstrip("/")
        if path.endswith(REMIX):
            path, _, _ = path.removesuffix(REMIX).rpartition("/")
            if not path.endswith("/videos"):
                return None
        rows = _ROWS_BY_SEGMENT.get(path[path.rfind("/") + 1 :])
        if rows is None:
            return None
        row = next((row for row in rows if path.endswith(row.suffix)), None)
        return None if row is None else self._at(url, row, path)

    def _fetched(self, url: str) -> Endpoint | None:
        """Recognise `GET …/responses/{id}` and its like; what lies below an id is none of ours."""
        folder, _, name = url.partition("?")[0].partition("#")[0].rstrip("/").rpartition("/")
        if not folder.endswith(_FOLDERS) or name in NO_IDS:
            return None
        return self._at(url, next(row for row in FETCHED if folder.endswith(row.suffix)), folder)

    def _at(self, url: str, row: Row, path: str) -> Endpoint | None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # an unclosed bracket, a port that is no number
            return None
        default_port = DEFAULT_PORTS.get(parts.scheme)
        if not host or default_port is None:
            return None
        host = host.rstrip(".")
        port = port or default_port
        provider = self._provider(host, port)
        if provider is None:
            return None
        return Endpoint(
            api=row.api,
            operation=row.operation,
            provider=provider,
            host=host,
            port=port,
            is_openrouter=provider == OPENROUTER,
            base_url=_base_url(path, row) if provider == OPENROUTER else None,
        )

    def _provider(self, host: str, port: int) -> str | None:
        extra = self._extra
        if extra:
            declared = extra.get((host, port))
            if declared is None:
                declared = extra.get((host, None))
            if declared is not None:
                return declared or host
        if host == OPENROUTER_HOST or host.endswith("." + OPENROUTER_HOST):
            return OPENROUTER
        listed = PROVIDERS.get(host)
        if listed is not None:
            return listed
        return next((name for suffix, name in PROVIDERS_OF_SUBDOMAINS if host.endswith(suffix)), None)


def _base_url(url: str, row: Row) -> str:
    """Give what stands before the path of a row, without user and password."""
    scheme, _, rest = url.removesuffix(row.suffix).partition("://")
    server, slash, prefix = rest.partition("/")
    version = "/v1" if row.suffix.startswith(VERSIONS) else ""
    return f"{scheme}://{server.rpartition('@')[2]}{slash}{prefix}{version}"


def _by_segment() -> Mapping[str, tuple[Row, ...]]:
    segments = {row.suffix.rpartition("/")[2] for row in ROWS}
    return {segment: tuple(row for row in ROWS if row.suffix.endswith("/" + segment)) for segment in segments}


_ROWS_BY_SEGMENT = _by_segment()
_FOLDERS = tuple(row.suffix for row in FETCHED)


def _extra_key(declared: str) -> tuple[str, int | None]:
    """Split `host`, `host:port`, `[::1]:port` or a bare IPv6 address; what is none of them matches nothing."""
    text = declared.strip().lower()
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    try:
        parts = urlsplit(f"//{text}")
        return (parts.hostname or text).rstrip("."), parts.port
    except ValueError:
        return text, None
