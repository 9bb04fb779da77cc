"""What one exchange told us, in our words: frozen values without behaviour that needs more than themselves.

Readers in `wire` make these from bytes; everything above only reads them. Money is
`Decimal` US dollars, times are seconds. `None` means "the provider did not say",
`0` means it said zero. Strings that servers choose stay `str`; closed sets are `Literal`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import reduce
from typing import Literal

Api = Literal[
    "chat",
    "responses",
    "messages",
    "completions",
    "embeddings",
    "rerank",
    "images",
    "speech",
    "transcription",
    "batches",
    "videos",
]
CostSource = Literal["response", "generation", "catalog", "unknown"]
Billing = Literal["credits", "byok", "direct", "unknown"]
ErrorOrigin = Literal["client", "edge", "router", "upstream"]
Fallback = Literal["none", "provider", "model", "routed", "unknown"]
Policy = Literal["default", "price", "latency", "throughput", "exacto", "order", "only", "ignore"]
Outcome = Literal["ok", "error", "cancelled"]
Job = Literal["pending", "ended", "stored"]
TokenType = Literal["input_fresh", "input_cache_read", "input_cache_write", "output_text", "output_reasoning"]
WasteKind = Literal["cancelled", "error", "truncated", "retry_loop"]
UnpricedReason = Literal["cancelled", "not_reported", "unreadable", "error", "billing_unknown"]

FINGERPRINT_DIGITS = 12
"""Hexadecimal digits of a key's SHA-256 by which it is named; all that is ever kept of a key."""
ZERO = Decimal(0)
EXACT = Context(prec=200)
"""The host may have set a coarse decimal context for its own thread; sums of money must not round."""


def plus(amount: Decimal | None, other: Decimal | None) -> Decimal | None:
    """Add exactly; None only when neither is said."""
    if amount is None or other is None:
        return other if amount is None else amount
    return EXACT.add(amount, other)


def added(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Add up exactly what is said; None when nothing is."""
    return reduce(plus, amounts, None)


def total(amounts: Iterable[Decimal | None]) -> Decimal:
    """Add up exactly what is said; zero when nothing is."""
    whole = added(amounts)
    return ZERO if whole is None else whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a request goes, known from method and URL alone.

    Attributes:
        api: Which API shape the body and the answer have.
        operation: The `gen_ai.operation.name` of a call to it.
        provider: The `gen_ai.provider.name`: `openrouter`, a listed value, or the host's own name.
        host: Server name without port, lower case.
        port: TCP port, the scheme's default when the URL names none.
        is_openrouter: Whether openrouter.ai or a subdomain of it (or a host declared as such) answers.
        base_url: Where the server's other endpoints are, without credentials; None unless it is OpenRouter.
    """

    api: Api
    operation: str
    provider: str
    host: str
    port: int
    is_openrouter: bool
    base_url: str | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderPreferences:
    """The request's `provider` object: whom the router may ask, and in which order.

    Attributes:
        order: Provider slugs to try first.
        only: Provider slugs allowed; empty when not said.
        ignore: Provider slugs forbidden.
        sort: `price`, `throughput`, `latency`, `exacto`; None when not said.
        data_collection: `allow` or `deny`.
        zdr: Whether only zero-data-retention endpoints may serve.
        allow_fallbacks: False forbids a second provider.
    """

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    sort: str | None = None
    data_collection: str | None = None
    zdr: bool | None = None
    allow_fallbacks: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the application asked for, without its content.

    Attributes:
        model: The model as sent; None lets the account's default decide.
        models: The model-level fallback list, in order.
        is_stream: Whether the body asks for a stream.
        preset: A named preset of the account.
        provider: Routing preferences.
        max_tokens: Upper limit of output tokens.
        temperature, top_p, top_k, frequency_penalty, presence_penalty, seed: Sampling settings as sent.
        choice_count: `n`, when it is sent.
        stop_sequences: Stop strings as sent.
        output_type: `text`, `json`, `image` or `speech` when a format is asked for.
        reasoning_level: The exact effort string sent.
        service_tier: The tier asked for.
        user: End-user id; spans only.
        session_id: Conversation id; spans only.
        tool_names: Names of the declared tools; None when no tools are declared.
        app_name, app_url: `X-OpenRouter-Title` or `X-Title`, and `HTTP-Referer`.
        is_background: Whether the work is to go on behind the answer, which then is fetched later.
        metadata: Short texts the caller attached; emitted only where a setting makes tags of them.
    """

    model: str | None = None
    models: tuple[str, ...] = ()
    is_stream: bool = False
    preset: str | None = None
    provider: ProviderPreferences = ProviderPreferences()
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    choice_count: int | None = None
    stop_sequences: tuple[str, ...] = ()
    output_type: str | None = None
    reasoning_level: str | None = None
    service_tier: str | None = None
    user: str | None = None
    session_id: str | None = None
    tool_names: frozenset[str] | None = None
    app_name: str | None = None
    app_url: str | None = None
    is_background: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; the details are subsets, never addends.

    Attributes:
        input_tokens: Whole prompt, cached reads and writes included.
        output_tokens: Whole completion, reasoning included.
        cache_read_tokens, cache_write_tokens: Parts of the input.
        reasoning_tokens: Part of the output.
        text_input_tokens, audio_input_tokens, image_input_tokens: Parts of the input by modality.
        text_output_tokens, audio_output_tokens, image_output_tokens: Parts of the output by modality.
        server_tool_calls: Server-side tool calls executed.
        web_searches: Server-side web searches; not added to the tool calls.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    text_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    image_input_tokens: int | None = None
    text_output_tokens: int | None = None
    audio_output_tokens: int | None = None
    image_output_tokens: int | None = None
    server_tool_calls: int | None = None
    web_searches: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one exchange cost, exact as written on the wire.

    Attributes:
        charged: What the account's balance lost (`usage.cost`); with BYOK only the fee.
        upstream: What the response names as the provider's own cost. It is a second bill
            only under BYOK; otherwise the same money shown again.
        input, output, tools: Parts the response tells; None when it does not.
        is_byok: Whose key paid; None when the response does not say.
        source: Where the figures come from.
        is_direct: Whether the server is the provider itself and not OpenRouter.

    Source: OpenRouter "Usage accounting" and "BYOK", seen 2026-11.
    """

    charged: Decimal | None = None
    upstream: Decimal | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    tools: Decimal | None = None
    is_byok: bool | None = None
    source: CostSource = "response"
    is_direct: bool = False

    @property
    def billing(self) -> Billing:
        """Which ledger pays."""
        if self.is_direct:
            return "direct"
        if self.is_byok is None:
            return "unknown"
        return "byok" if self.is_byok else "credits"

    @property
    def upstream_bill(self) -> Decimal | None:
        """What the provider bills apart from OpenRouter; None unless BYOK is certain."""
        return self.upstream if self.is_byok is True else None

    @property
    def total(self) -> Decimal | None:
        """What the call cost its owner; None while neither side is known."""
        if self.charged is None and self.upstream_bill is None:
            return None
        return EXACT.add(self.charged or ZERO, self.upstream_bill or ZERO)

    @property
    def is_billing_unknown(self) -> bool:
        """Whether a provider cost was reported without saying who pays it: the total may then lack it."""
        return self.billing == "unknown" and bool(self.upstream)


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteAttempt:
    """One upstream try inside one exchange.

    Attributes:
        provider: Display name, such as `Amazon Bedrock`.
        model: Permaslug of the model asked.
        status: HTTP status the provider gave; None when not told.
    """

    provider: str | None = None
    model: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterMetadata:
    """`openrouter_metadata`: how the router served one exchange.

    Attributes:
        requested: Slug or alias as the router understood it.
        strategy: `direct`, `auto`, `free`, `latest`, `alias`, …; an open set.
        region: Edge region, such as `fra`.
        attempt: Number of the attempt that succeeded; 0 when nothing was sent upstream.
        is_byok: Whether the winner was paid with the owner's provider key.
        attempts: Upstream tries in order, the successful one included; empty when not told.
        selected: The endpoint that served, its status unknown; None on errors.
    """

    requested: str | None = None
    strategy: str | None = None
    region: str | None = None
    attempt: int | None = None
    is_byok: bool | None = None
    attempts: tuple[RouteAttempt, ...] = ()
    selected: RouteAttempt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Who served, what was tried before, and whether that was a fallback.

    Attributes:
        fallback: `none`, `provider`, `model`, `routed` (differs by design), `unknown`.
        policy: What the request asked of the router.
        strategy, region: As the router told them.
        attempt_count: Upstream attempts; 0 when nothing was sent upstream; None when not told.
        attempts: Upstream attempts in order; empty when not told.
    """

    fallback: Fallback = "unknown"
    policy: Policy = "default"
    strategy: str | None = None
    region: str | None = None
    attempt_count: int | None = None
    attempts: tuple[RouteAttempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an exchange failed. It never holds server text: servers echo prompts.

    Attributes:
        error_type: The provider's stable error word, else the HTTP status, else the exception's name.
        origin: Who refused: the client's side, the edge, the router, or the provider behind it.
        status: HTTP status or the code in the error body.
        provider: Display name of the failing provider, if named.
        exception_type: Qualified name of the exception, when one was raised.
        previous: Upstream tries that failed before this one, as the error tells them.
    """

    error_type: str
    origin: ErrorOrigin
    status: int | None = None
    provider: str | None = None
    exception_type: str | None = None
    previous: tuple[RouteAttempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalls:
    """How many tool calls the model asked for, by what they were worth. No argument is kept.

    Attributes:
        valid: Arguments are JSON and the tool was declared.
        invalid_json: Arguments are not JSON.
        unknown_tool: The name is not among the declared tools.
    """

    valid: int = 0
    invalid_json: int = 0
    unknown_tool: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that a reader found in one response body, whole or cut short.

    Attributes:
        id: The body's id (`gen-…`, `chatcmpl-…`, `msg_…`).
        model: Model that answered, as written.
        provider: Display name of who served.
        finish_reasons: One per choice by index; None where it never came.
        native_finish_reason: The provider's own word, of the first choice.
        service_tier: Tier that served.
        usage: Token counts.
        cost: Money; None when the body holds no figure.
        is_usage_unreadable: A usage object came and could not be read.
        metadata: Router metadata.
        failure: An error found in the body, whatever the HTTP status.
        tool_calls: Tool calls of all choices.
        is_complete: The API's end was seen: the terminal event of a stream, or a whole body.
        is_usage_partial: The usage is that of a stream's first event, and the last one never came.
        job: How work that outlives its request stands: `pending` is not billed yet, `ended` is told and billed
            in this answer, `stored` was counted before; None when the answer itself is the work.
        generation_id: What `/generation` wants, when the body names it apart from its own id.
    """

    id: str | None = None
    model: str | None = None
    provider: str | None = None
    finish_reasons: tuple[str | None, ...] = ()
    native_finish_reason: str | None = None
    service_tier: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    is_usage_unreadable: bool = False
    metadata: RouterMetadata | None = None
    failure: Failure | None = None
    tool_calls: ToolCalls = ToolCalls()
    is_complete: bool = False
    is_usage_partial: bool = False
    job: Job | None = None
    generation_id: str | None = None


def token_parts(usage: Usage | None) -> list[tuple[TokenType, int]]:
    """Split tokens into disjoint kinds that add up to input and output, also under double reports; zeros left out."""
    if usage is None:
        return []
    whole_input = max(0, usage.input_tokens or 0)
    whole_output = max(0, usage.output_tokens or 0)
    read = min(max(0, usage.cache_read_tokens or 0), whole_input)
    write = min(max(0, usage.cache_write_tokens or 0), whole_input - read)
    reasoning = min(max(0, usage.reasoning_tokens or 0), whole_output)
    parts: tuple[tuple[TokenType, int], ...] = (
        ("input_fresh", whole_input - read - write),
        ("input_cache_read", read),
        ("input_cache_write", write),
        ("output_text", whole_output - reasoning),
        ("output_reasoning", reasoning),
    )
    return [part for part in parts if part[1]]
