"""Scenarios: what the simulated server answers to one request, as data.

A `Scenario` is a status, headers and a body, or steps of a stream; the server plays it and
knows nothing of its meaning. An `Answer` is what a model generated; `plain` and `stream` turn it into a
scenario that says so on the wire, and the builder functions below give every shape seen of
OpenRouter (API pages and recordings, seen 2026-11), each once and by name.
"""

from __future__ import annotations

import re
import secrets
import string
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from or_otel.facts import ZERO, RouteAttempt, Usage
from or_otel.simulator.book import Entry
from or_otel.simulator.exact_json import dumps
from or_otel.simulator.market import native_finish, provider_named

Framing = Literal["repeated", "null", "empty"]
"""Which shape the usage chunk of a stream has: finish reason repeated, null, or no choices at all."""

Encoding = Literal["gzip", "deflate", "br", "zstd"]

USER_ID = "user_2simulatedsimulatedsim"
_ALPHANUMERIC = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came.

    Attributes:
        method: HTTP method.
        path: Path and query.
        headers: Lower-case names.
        body: Decoded of transfer encoding, otherwise as sent.
        at_s: `time.perf_counter()` when its last byte came.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False, default=b"")
    at_s: float = 0.0

    @property
    def key(self) -> str | None:
        """The bearer token."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream.

    Attributes:
        data: A JSON-able payload, or bytes that go out as they are.
        is_content: Whether it carries tokens, for billing an answer cut short.
        event: The event's name, where the API names its events.
    """

    data: object
    is_content: bool = False
    event: str | None = None


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment line, such as OpenRouter's keep-alive."""

    text: str = "OPENROUTER PROCESSING"


@dataclass(frozen=True, slots=True)
class Pause:
    """Time in which nothing is sent."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Hold until the server is told to `release` this name."""

    name: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Drop the connection."""


@dataclass(frozen=True, slots=True)
class Done:
    """The terminator of a stream, `data: [DONE]`."""


Step = Chunk | Comment | Pause | Wait | Cut | Done


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What one request is answered with.

    Attributes:
        status: HTTP status.
        headers: Added to those the server writes itself.
        body: JSON-able value, text or bytes; ignored when there are steps.
        steps: A stream, in order; None for a plain body.
        before: Steps before anything is sent: a pause, a wait, a cut.
        cut_after: Drop the connection after so many bytes of a plain body.
        split: `event`, one write per event; `frame`, one write for all events between two waits; a number,
            cuts at random bytes seeded by it.
        newline: Line end of events.
        encoding: Content encoding, told to the client.
        bill: What is billed for it; None when nothing is.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: object = None
    steps: tuple[Step, ...] | None = None
    before: tuple[Pause | Wait | Cut, ...] = ()
    cut_after: int | None = None
    split: Literal["event", "frame"] | int = "event"
    newline: str = "\n"
    encoding: Encoding | None = None
    bill: Entry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call as a model writes it; `arguments` is text and may be no JSON at all."""

    name: str
    arguments: str = "{}"
    id: str = "call_simulated1"


def generation_id(prefix: str = "gen") -> str:
    """Make an id as OpenRouter's look."""
    return f"{prefix}-{int(time.time())}-{''.join(secrets.choice(_ALPHANUMERIC) for _ in range(20))}"


DEFAULT_USAGE = Usage(input_tokens=200, output_tokens=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a model generated, and its price.

    Attributes:
        id: Generation id; made when not given.
        created: Unix time.
        model, permaslug: As the answer names it, and its dated name.
        provider: Display name.
        content: Text; None for tool calls alone.
        reasoning: Visible thinking.
        tool_calls: Tool calls.
        annotations: Citations.
        finish_reason: As OpenRouter says; the native word follows from it and the author.
        service_tier: Tier that served.
        usage: Tokens. Cached, written, modal and reasoning tokens are parts.
        input_cost, output_cost: The provider's price.
        tool_cost: OpenRouter's own fee for server tools.
        fee: What BYOK costs in credits.
        is_byok: Whose key pays; None leaves it out of the answer.
        attempts: Upstream tries; empty for the winner alone.
        metadata: `openrouter_metadata`, when it was asked for.
        router, session_id, cache_source_id, cache_discount: For the generation record.
    """

    id: str = field(default_factory=generation_id)
    created: int = field(default_factory=lambda: int(time.time()))
    model: str = "anthropic/claude-haiku-4.5"
    permaslug: str = "anthropic/claude-4.5-haiku-20251001"
    provider: str = "Anthropic"
    content: str | None = "Lisbon is the capital of Portugal."
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    annotations: tuple[Mapping[str, object], ...] = ()
    finish_reason: str = "stop"
    service_tier: str | None = "default"
    usage: Usage = DEFAULT_USAGE
    input_cost: Decimal = Decimal("0.0002")
    output_cost: Decimal = Decimal("0.00005")
    tool_cost: Decimal | None = None
    fee: Decimal = ZERO
    is_byok: bool | None = False
    attempts: tuple[RouteAttempt, ...] = ()
    metadata: Mapping[str, object] | None = None
    router: str | None = None
    session_id: str | None = None
    cache_source_id: str | None = None
    cache_discount: Decimal | None = None

    @property
    def upstream(self) -> Decimal:
        """The provider's price."""
        return self.input_cost + self.output_cost

    @property
    def charged(self) -> Decimal:
        """What the credits lose."""
        return (self.fee if self.is_byok else self.upstream) + (self.tool_cost or ZERO)


def bill(answer: Answer, *, is_stream: bool = False) -> Entry:
    """Say what the book will hold for an answer."""
    provider = provider_named(answer.provider)
    winner = RouteAttempt(provider=answer.provider, model=answer.permaslug, status=200)
    return Entry(
        id=answer.id,
        model=answer.model,
        permaslug=answer.permaslug,
        provider=answer.provider,
        usage=answer.usage,
        charged=answer.charged,
        upstream=answer.upstream,
        input_cost=answer.input_cost,
        output_cost=answer.output_cost,
        is_byok=bool(answer.is_byok),
        stops_on_cancel=provider is None or provider.stops_on_cancel,
        attempts=answer.attempts or (winner,),
        is_stream=is_stream,
        finish_reason=answer.finish_reason,
        native_finish_reason=native_finish(answer.permaslug, answer.finish_reason),
        router=answer.router,
        session_id=answer.session_id,
        cache_source_id=answer.cache_source_id,
        cache_discount=answer.cache_discount,
    )


def usage_body(answer: Answer) -> dict[str, object]:
    """Write `usage` of chat and completions."""
    usage = answer.usage
    body: dict[str, object] = {
        "prompt_tokens": usage.input_tokens or 0,
        "completion_tokens": usage.output_tokens or 0,
        "total_tokens": (usage.input_tokens or 0) + (usage.output_tokens or 0),
        "cost": answer.charged,
    }
    if answer.is_byok is not None:
        body["is_byok"] = answer.is_byok
    body["prompt_tokens_details"] = {
        "cached_tokens": usage.cache_read_tokens or 0,
        "cache_write_tokens": usage.cache_write_tokens or 0,
        "audio_tokens": usage.audio_input_tokens or 0,
        "video_tokens": 0,
    }
    cost_details: dict[str, object] = {
        "upstream_inference_cost": answer.upstream,
        "upstream_inference_prompt_cost": answer.input_cost,
        "upstream_inference_completions_cost": answer.output_cost,
    }
    if answer.tool_cost is not None:
        cost_details["server_tool_cost"] = answer.tool_cost
    body["cost_details"] = cost_details
    body["completion_tokens_details"] = {
        "reasoning_tokens": usage.reasoning_tokens or 0,
        "image_tokens": usage.image_output_tokens or 0,
        "audio_tokens": usage.audio_output_tokens or 0,
    }
    if usage.server_tool_calls is not None or usage.web_searches is not None:
        body["server_tool_use_details"] = {
            "tool_calls_requested": usage.server_tool_calls or 0,
            "tool_calls_executed": usage.server_tool_calls or 0,
            "web_search_requests": usage.web_searches or 0,
        }
    return body


def _tool_call(call: ToolCall) -> dict[str, object]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def chat_body(answer: Answer) -> dict[str, object]:
    """Write a whole chat completion."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": answer.content,
        "refusal": None,
        "reasoning": answer.reasoning,
    }
    if answer.tool_calls:
        message["tool_calls"] = [{"index": i, **_tool_call(call)} for i, call in enumerate(answer.tool_calls)]
    if answer.annotations:
        message["annotations"] = list(answer.annotations)
    body: dict[str, object] = {
        "id": answer.id,
        "object": "chat.completion",
        "created": answer.created,
        "model": answer.model,
        "provider": answer.provider,
        "system_fingerprint": None,
        "service_tier": answer.service_tier,
        "choices": [
            {
                "index": 0,
                "logprobs": None,
                "finish_reason": answer.finish_reason,
                "native_finish_reason": native_finish(answer.permaslug, answer.finish_reason),
                "message": message,
            }
        ],
        "usage": usage_body(answer),
    }
    if answer.metadata is not None:
        body["openrouter_metadata"] = answer.metadata
    return body


def _chunk(answer: Answer, delta: object, finish: str | None = None, **more: object) -> dict[str, object]:
    native = native_finish(answer.permaslug, finish) if finish else None
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "native_finish_reason": native, "logprobs": None}
    return {
        "id": answer.id,
        "object": "chat.completion.chunk",
        "created": answer.created,
        "model": answer.model,
        "provider": answer.provider,
        "choices": [choice],
        **more,
    }


def words(text: str) -> list[str]:
    """Cut a text into the pieces of a stream."""
    return re.findall(r"\s*\S+\s*", text) or [text]


def content_steps(answer: Answer, *, is_role_first: bool = False) -> list[Chunk]:
    """Write what the model says as deltas: reasoning, text word by word, tool calls in pieces."""
    steps = [Chunk(_chunk(answer, {"role": "assistant", "content": ""}))] if is_role_first else []
    for piece in words(answer.reasoning) if answer.reasoning else ():
        delta: dict[str, object] = {
            "role": "assistant",
            "content": "",
            "reasoning": piece,
            "reasoning_details": [{"type": "reasoning.text", "text": piece, "index": 0, "format": "unknown"}],
        }
        steps.append(Chunk(_chunk(answer, delta), is_content=True))
    steps += [
        Chunk(_chunk(answer, {"role": "assistant", "content": piece}), is_content=True)
        for piece in (words(answer.content) if answer.content else ())
    ]
    for index, call in enumerate(answer.tool_calls):
        head = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
        half = len(call.arguments) // 2
        parts = [head] + [
            {"index": index, "function": {"arguments": part}} for part in (call.arguments[:half], call.arguments[half:])
        ]
        for part in parts:
            delta = {"role": "assistant", "content": None, "tool_calls": [part]}
            steps.append(Chunk(_chunk(answer, delta), is_content=True))
    return steps


def closing_steps(answer: Answer, framing: Framing = "repeated") -> list[Chunk | Done]:
    """Write the end of a stream: finish reason, usage in one of its three framings, terminator."""
    empty = {"role": "assistant", "content": ""}
    usage = _chunk(
        answer,
        empty,
        answer.finish_reason if framing == "repeated" else None,
        service_tier=answer.service_tier,
        usage=usage_body(answer),
    )
    if framing == "empty":
        usage["choices"] = []
    if answer.metadata is not None:
        usage["openrouter_metadata"] = answer.metadata
    return [Chunk(_chunk(answer, {"content": ""}, answer.finish_reason)), Chunk(usage), Done()]


def generation_header(answer: Answer) -> tuple[tuple[str, str], ...]:
    """Give the header that names the generation."""
    return (("x-generation-id", answer.id),)


def plain(answer: Answer | None = None) -> Scenario:
    """A chat completion in one piece."""
    answer = answer or Answer()
    return Scenario(body=chat_body(answer), headers=generation_header(answer), bill=bill(answer))


def stream(
    answer: Answer | None = None,
    *,
    framing: Framing = "repeated",
    comments: int = 0,
    is_role_first: bool = False,
    middle: Iterable[Step] = (),
) -> Scenario:
    """A streamed chat completion.

    Args:
        answer: What is generated.
        framing: Shape of the usage chunk.
        comments: Keep-alive comments before the first event and between all others.
        is_role_first: Whether the first delta names the role alone.
        middle: Steps between content and closing, such as a `Wait`.
    """
    answer = answer or Answer()
    steps: list[Step] = []
    for step in content_steps(answer, is_role_first=is_role_first):
        steps += [Comment()] * comments
        steps.append(step)
    steps += [*middle, *closing_steps(answer, framing)]
    return Scenario(steps=tuple(steps), headers=generation_header(answer), bill=bill(answer, is_stream=True))


# What can be special about an answer ----------------------------------------------------------------------------------


def reasoned(answer: Answer | None = None) -> Answer:
    """An answer with visible thinking."""
    answer = answer or Answer()
    return replace(
        answer,
        reasoning="The user asks for a capital.",
        usage=replace(answer.usage, output_tokens=30, reasoning_tokens=20),
        output_cost=Decimal("0.00015"),
    )


def calling(*calls: ToolCall) -> Answer:
    """An answer of tool calls; without any given, one valid call of `weather`."""
    calls = calls or (ToolCall(name="weather", arguments='{"city": "Lisbon"}'),)
    return Answer(content=None, tool_calls=calls, finish_reason="tool_calls")


def calling_invalid_json() -> Answer:
    """A tool call whose arguments break off."""
    return calling(ToolCall(name="weather", arguments='{"city": "Lis'))


def calling_unknown_tool() -> Answer:
    """A call of a tool that nobody declared."""
    return calling(ToolCall(name="tool_nobody_declared"))


def cached(read: int = 1024, written: int = 0) -> Answer:
    """An answer to a prompt of 1200 tokens, parts of it read from or written to the prompt cache."""
    price, output = Decimal("0.000001"), 10
    discount = read * price * Decimal("0.9") - written * price * Decimal("0.25")
    return Answer(
        usage=Usage(input_tokens=1200, output_tokens=output, cache_read_tokens=read, cache_write_tokens=written),
        input_cost=1200 * price - discount,
        output_cost=Decimal("0.00005"),
        cache_discount=discount,
    )


def byok(fee: Decimal = ZERO, upstream: Decimal = Decimal("0.0045")) -> Answer:
    """An answer paid with the owner's provider key; without a fee the cost is the integer 0."""
    return Answer(is_byok=True, fee=fee, input_cost=upstream * 3 / 5, output_cost=upstream * 2 / 5)


def free() -> Answer:
    """An answer of a free model: cost 0."""
    slug = "meta-llama/llama-3.3-70b-instruct"
    return Answer(model=f"{slug}:free", permaslug=slug, provider="Chutes", input_cost=ZERO, output_cost=ZERO)


def multimodal() -> Answer:
    """An answer with audio in and an image out."""
    return Answer(
        usage=Usage(input_tokens=200, output_tokens=1300, audio_input_tokens=150, image_output_tokens=1290),
        output_cost=Decimal("0.039"),
    )


def searched() -> Answer:
    """An answer after a server-side web search: its own fee, and nobody says who pays."""
    citation = {"url": "https://example.org/a", "title": "A", "start_index": 0, "end_index": 6, "content": ""}
    return Answer(
        usage=Usage(input_tokens=2100, output_tokens=150, server_tool_calls=1, web_searches=1),
        is_byok=None,
        tool_cost=Decimal("0.005"),
        annotations=({"type": "url_citation", "url_citation": citation},),
    )


def metadata(
    attempts: Iterable[RouteAttempt],
    *,
    requested: str,
    strategy: str = "direct",
    candidates: Iterable[tuple[str, str]] = (),
    is_byok: bool | None = False,
    generation_time: int = 900,
) -> dict[str, object]:
    """Write `openrouter_metadata`.

    Args:
        attempts: Upstream tries in order; the one with status 200 served.
        requested: Model as sent.
        strategy: How the model was chosen.
        candidates: Provider and permaslug of every endpoint considered; the attempted ones when not given.
        is_byok: Whose key paid.
        generation_time: Milliseconds.
    """
    tried = tuple(attempts)
    winner = next((attempt for attempt in tried if attempt.status == 200), None)  # noqa: PLR2004 -- HTTP OK
    offered = tuple(candidates) or tuple((a.provider or "", a.model or "") for a in tried)
    body: dict[str, object] = {
        "requested": requested,
        "strategy": strategy,
        "attempt": len(tried),
        "endpoints": {
            "total": len(offered),
            "available": [
                {
                    "provider": provider,
                    "model": model,
                    "selected": winner is not None and (provider, model) == (winner.provider, winner.model),
                }
                for provider, model in offered
            ],
        },
    }
    if len(tried) > 1:
        body["attempts"] = [{"provider": a.provider, "model": a.model, "status": a.status} for a in tried]
    if winner is not None:
        summary = f"available={len(offered)}, attempts={len(tried)}, selected={winner.provider}"
        body |= {"region": "fra", "summary": summary, "is_byok": is_byok, "generation_time": generation_time}
    return body


def provider_fallback() -> Answer:
    """Anthropic is overloaded, Bedrock serves; the route is told."""
    slug = "anthropic/claude-4.5-haiku-20251001"
    attempts = (
        RouteAttempt(provider="Anthropic", model=slug, status=529),
        RouteAttempt(provider="Amazon Bedrock", model=slug, status=200),
    )
    told = metadata(attempts, requested="anthropic/claude-haiku-4.5")
    return Answer(provider="Amazon Bedrock", attempts=attempts, metadata=told)


def model_fallback() -> Answer:
    """Both providers of the first model fail, the second model serves; the route is told."""
    slug, mini = "anthropic/claude-4.5-haiku-20251001", "openai/gpt-5-mini-2025-08-07"
    attempts = (
        RouteAttempt(provider="Anthropic", model=slug, status=529),
        RouteAttempt(provider="Amazon Bedrock", model=slug, status=429),
        RouteAttempt(provider="OpenAI", model=mini, status=200),
    )
    return Answer(
        model="openai/gpt-5-mini",
        permaslug=mini,
        provider="OpenAI",
        input_cost=Decimal("0.00005"),
        output_cost=Decimal("0.00002"),
        attempts=attempts,
        metadata=metadata(attempts, requested="anthropic/claude-haiku-4.5"),
    )


def routed(requested: str = "openrouter/auto", strategy: str = "auto") -> Answer:
    """A router, an alias or a preset chose the model by design: `auto`, `free`, `latest`, `alias`."""
    slug = "google/gemini-3-flash-preview-20251217"
    attempts = (RouteAttempt(provider="Google AI Studio", model=slug, status=200),)
    return Answer(
        model="google/gemini-3-flash-preview",
        permaslug=slug,
        provider="Google AI Studio",
        input_cost=Decimal("0.0001"),
        output_cost=Decimal("0.00003"),
        attempts=attempts,
        metadata=metadata(attempts, requested=requested, strategy=strategy),
        router=requested if requested.startswith("openrouter/") else None,
    )


# What can be special about how it is sent -----------------------------------------------------------------------------


def without_usage(answer: Answer | None = None, *, is_stream: bool = False) -> Scenario:
    """An answer billed as ever that does not tell any usage."""
    return _edited(answer, is_stream=is_stream, drop=lambda body: body.pop("usage", None))


def without_cost(answer: Answer | None = None, *, is_stream: bool = False) -> Scenario:
    """An answer billed as ever that tells tokens and no money."""

    def drop(body: dict[str, object]) -> None:
        usage = body.get("usage")
        if isinstance(usage, dict):
            for name in ("cost", "is_byok", "cost_details"):
                usage.pop(name, None)

    return _edited(answer, is_stream=is_stream, drop=drop)


def _edited(answer: Answer | None, *, is_stream: bool, drop: Callable[[dict[str, object]], object]) -> Scenario:
    scenario = stream(answer) if is_stream else plain(answer)
    for body in [scenario.body, *(step.data for step in scenario.steps or () if isinstance(step, Chunk))]:
        if isinstance(body, dict):  # built a moment ago and shared with nobody
            drop(body)
    return scenario


def cache_hit(answer: Answer | None = None, *, is_stream: bool = False) -> Scenario:
    """The response cache replays an answer: nothing is used, nothing is charged, the headers say so."""
    source = answer or Answer()
    hit = replace(
        source,
        id=generation_id(),
        usage=Usage(input_tokens=0, output_tokens=0),
        input_cost=ZERO,
        output_cost=ZERO,
        tool_cost=None,
        fee=ZERO,
        is_byok=False,
        metadata=None,
        cache_source_id=source.id,
        cache_discount=None,
    )
    scenario = stream(hit) if is_stream else plain(hit)
    told = (
        ("x-openrouter-cache-status", "HIT"),
        ("x-openrouter-cache-age", "1"),
        ("x-openrouter-cache-ttl", "300"),
        ("x-openrouter-cache-source-id", source.id),
    )
    return replace(scenario, headers=scenario.headers + told)


def odd_events(answer: Answer | None = None) -> Scenario:
    """A stream with a byte order mark, CR LF line ends, payloads over several `data:` lines and huge comments."""
    plainly = stream(answer)
    steps: list[Step] = [Chunk(b"\xef\xbb\xbf"), Comment("x" * 20_000)]
    for step in plainly.steps or ():
        if isinstance(step, Chunk):
            text = dumps(step.data).replace(',"choices":', ',\ndata: "choices":', 1)
            steps.append(replace(step, data=f"data: {text}\n\n".replace("\n", "\r\n").encode()))
        else:
            steps.append(step)
    return replace(plainly, steps=tuple(steps), newline="\r\n")


def huge_line(size: int = 1_000_000) -> Scenario:
    """A stream with one very long event."""
    return stream(Answer(content="x" * size))


def lost_before_headers() -> Scenario:
    """The connection drops before anything is answered."""
    return Scenario(before=(Cut(),))


def lost_mid_stream(answer: Answer | None = None, after: int = 2) -> Scenario:
    """The connection drops after some deltas."""
    answer = answer or Answer()
    whole = stream(answer)
    return replace(whole, steps=(*content_steps(answer)[:after], Cut()))


def lost_mid_body(answer: Answer | None = None, after: int = 40) -> Scenario:
    """The connection drops inside a plain body."""
    return replace(plain(answer), cut_after=after)


def redirected(to: str) -> Scenario:
    """Another address answers."""
    return Scenario(status=307, headers=(("location", to),), body=b"")


def openai_shaped(*, is_stream: bool = False, is_usage_told: bool = True) -> Scenario:
    """An OpenAI-compatible server that is not OpenRouter: no provider, no money."""
    head: dict[str, object] = {"id": "chatcmpl-simulated1", "created": int(time.time()), "model": "gpt-5-mini"}
    usage = {"prompt_tokens": 200, "completion_tokens": 10, "total_tokens": 210}
    if not is_stream:
        message = {"role": "assistant", "content": "Lisbon."}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        told = {"usage": usage} if is_usage_told else {}
        return Scenario(body={**head, "object": "chat.completion", "choices": [choice], **told})
    head["object"] = "chat.completion.chunk"
    steps: list[Step] = [
        Chunk({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}, is_content=bool(delta))
        for delta, finish in (({"role": "assistant", "content": "Lisbon."}, None), ({}, "stop"))
    ]
    if is_usage_told:
        steps.append(Chunk({**head, "choices": [], "usage": usage}))
    return Scenario(steps=(*steps, Done()))


# Errors ---------------------------------------------------------------------------------------------------------------

ERROR_TYPES = {
    400: "invalid_request",
    401: "authentication",
    402: "payment_required",
    403: "permission_denied",
    404: "not_found",
    408: "timeout",
    413: "payload_too_large",
    422: "unprocessable",
    429: "rate_limit_exceeded",
    500: "server",
    502: "provider_unavailable",
    503: "provider_overloaded",
    504: "timeout",
    524: "timeout",
    529: "provider_overloaded",
}
"""The `error_type` that goes with a status."""


def error(
    status: int,
    message: str,
    *,
    told: Mapping[str, object] | None = None,
    availability: Mapping[str, object] | None = None,
    route: Mapping[str, object] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Scenario:
    """An error in OpenRouter's form.

    Args:
        status: HTTP status and code.
        message: For people.
        told: Further `metadata`; the error type is added when not given.
        availability: The `availability` object.
        route: `openrouter_metadata` beside the error.
        headers: Further headers.
    """
    about: dict[str, object] = {"code": status, "message": message}
    about["metadata"] = {"error_type": ERROR_TYPES.get(status, "unmapped"), **(told or {})}
    if availability is not None:
        about["availability"] = availability
    body: dict[str, object] = {"error": about, "user_id": USER_ID}
    if route is not None:
        body["openrouter_metadata"] = route
    return Scenario(status=status, body=body, headers=headers)


def invalid_model(model: str = "acme/nope") -> Scenario:
    """400: no such model."""
    return error(400, f"{model} is not a valid model ID")


def unauthorized(message: str = "Missing Authentication header") -> Scenario:
    """401, without any metadata, as the edge answers."""
    return Scenario(status=401, body={"error": {"message": message, "code": 401}})


def no_credits(message: str = "Insufficient credits. Add more credits to continue.") -> Scenario:
    """402: the account or the key has no money left."""
    return error(402, message)


def moderated() -> Scenario:
    """403: a moderation named a provider; the body quotes the prompt."""
    told = {
        "error_type": "content_policy_violation",
        "reasons": ["violence"],
        "flagged_input": "words of the prompt that nobody may keep",
        "provider_name": "OpenAI",
        "model_slug": "openai/gpt-5.2",
    }
    return error(403, "Input was flagged", told=told)


def forbidden(message: str = "This key may not do that") -> Scenario:
    """403: the wrong kind of key, or a budget used up."""
    return error(403, message)


def no_endpoints(
    model: str = "openai/gpt-5.2", constraint: str = "provider.only", route: Mapping[str, object] | None = None
) -> Scenario:
    """404 with `availability`: the request's own rules left no endpoint."""
    availability = {
        "code": "constraint_filtered",
        "retryable": False,
        "requested_models": [model],
        "excluded_by": [constraint],
        "constraint": {"field": constraint, "detail": "no endpoint left"},
        "docs_url": "https://openrouter.ai/docs",
    }
    return error(404, "No endpoints satisfy the routing constraints", availability=availability, route=route)


def timed_out() -> Scenario:
    """408: the router waited too long."""
    return error(408, "Request timed out")


def rate_limited(reset_at_ms: int = 1_793_750_400_000) -> Scenario:
    """429 of the router itself: its headers, and again in the body."""
    headers = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset_at_ms)}
    return error(
        429, "Rate limit exceeded: free-models-per-day", told={"headers": headers}, headers=tuple(headers.items())
    )


def provider_error(
    status: int = 429,
    provider: str = "Anthropic",
    *,
    retry_after_s: int | None = None,
    previous: Iterable[RouteAttempt] = (),
    route: Mapping[str, object] | None = None,
) -> Scenario:
    """An error a provider gave, after perhaps others did."""
    told: dict[str, object] = {"provider_name": provider, "raw": '{"type":"error"}', "provider_code": str(status)}
    before = [
        {"provider": a.provider, "code": ERROR_TYPES.get(a.status or 0, "unmapped"), "status": a.status}
        for a in previous
    ]
    if before:
        told["previous_errors"] = before
    headers = (("retry-after", str(retry_after_s)),) if retry_after_s is not None else ()
    availability = None
    if retry_after_s is not None:
        code = "capacity_exhausted" if status == 429 else "temporarily_unavailable"  # noqa: PLR2004 -- rate limit
        availability = {"code": code, "retryable": True, "retry_after": retry_after_s}
    return error(status, "Provider returned error", told=told, availability=availability, route=route, headers=headers)


def server_error(status: int = 500) -> Scenario:
    """500, 502, 503, 504, 524 or 529 without a word about a provider."""
    return error(status, "Internal Server Error" if status == 500 else "No instances available")  # noqa: PLR2004


def edge_page(status: int = 502) -> Scenario:
    """An error page of the network edge: HTML."""
    page = "<html><head><title>error</title></head><body>Bad gateway</body></html>"
    return Scenario(status=status, body=page, headers=(("content-type", "text/html; charset=UTF-8"),))


def error_in_200() -> Scenario:
    """Status 200 with an error for a body."""
    told = {"provider_name": "Novita", "raw": "upstream timeout"}
    return Scenario(
        body={"error": {"code": 502, "message": "Provider returned error", "metadata": told}, "user_id": USER_ID}
    )


def error_in_choice(answer: Answer | None = None) -> Scenario:
    """Status 200, partial text, and the error inside the choice."""
    answer = replace(answer or Answer(), finish_reason="error")
    body = chat_body(answer)
    choices = body["choices"]
    assert isinstance(choices, list)  # noqa: S101 -- for the type checker: written three lines up
    choices[0]["error"] = {
        "code": 502,
        "message": "Upstream closed the connection",
        "metadata": {"error_type": "provider_unavailable"},
    }
    entry = replace(bill(answer), outcome="error")
    return Scenario(body=body, headers=generation_header(answer), bill=entry)


def error_mid_stream(answer: Answer | None = None, *, after: int = 2, is_usage_told: bool = False) -> Scenario:
    """A stream that fails after some deltas; billed only when usage rides on the error."""
    answer = answer or Answer()
    entry = replace(bill(answer, is_stream=True), outcome="error", finish_reason="error", native_finish_reason="error")
    if is_usage_told:
        failure: dict[str, object] = {"code": 400, "message": "Token limit reached"}
        last = _chunk(answer, {"content": ""}, None, usage=usage_body(answer), error=failure)
    else:
        told = {"error_type": "provider_unavailable", "provider_code": "connection_reset"}
        failure = {"code": 502, "message": "Provider disconnected", "metadata": told}
        last = _chunk(answer, {"content": ""}, "error", error=failure)
        entry = replace(
            entry, charged=ZERO, upstream=ZERO, usage=replace(answer.usage, output_tokens=0, reasoning_tokens=0)
        )
        if answer.metadata is not None:
            last["openrouter_metadata"] = answer.metadata
    steps: tuple[Step, ...] = (*content_steps(answer)[:after], Chunk(last), Done())
    return Scenario(steps=steps, headers=generation_header(answer), bill=entry)
