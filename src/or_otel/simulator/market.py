"""The models, providers and prices that the simulated OpenRouter offers.

Constant data with look-ups; prices are `Decimal` US dollars per token. The names are real so that
dashboards look familiar; prices are of the right order and no promise.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from or_otel.facts import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Who runs models.

    Attributes:
        name: Display name, as answers show it.
        slug: Name in requests.
        stops_on_cancel: Whether it stops billing when the client leaves a stream.
        headquarters, datacenters: Country codes; None when not told.
    """

    name: str
    slug: str
    stops_on_cancel: bool = True
    headquarters: str | None = None
    datacenters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One endpoint of a model.

    Attributes:
        provider: Who runs it.
        prompt, completion: Price per token.
        cache_read, cache_write: Price per cached or written prompt token; None means the prompt's price.
        latency_ms: Usual time to the first token.
        throughput: Usual tokens per second.
    """

    provider: Provider
    prompt: Decimal
    completion: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    latency_ms: int = 600
    throughput: int = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What can be asked for.

    Attributes:
        id: Slug in requests.
        permaslug: Dated name.
        name: For people.
        created: Unix time of its appearance.
        context_length: Tokens it can hold.
        offers: Endpoints in the router's usual order.
        output: `text`, `embeddings`, `rerank`, `image`, `speech`, `transcription` or `video`.
        expiration_date: UTC date on which it goes; None when it stays.
    """

    id: str
    permaslug: str
    name: str
    created: int = 1_760_547_638
    context_length: int = 200_000
    offers: tuple[Offer, ...]
    output: str = "text"
    expiration_date: str | None = None


OPENAI = Provider(name="OpenAI", slug="openai", headquarters="US", datacenters=("US",))
AZURE = Provider(name="Azure", slug="azure", headquarters="US", datacenters=("US", "SE"))
ANTHROPIC = Provider(name="Anthropic", slug="anthropic", headquarters="US", datacenters=("US",))
BEDROCK = Provider(
    name="Amazon Bedrock",
    slug="amazon-bedrock",
    stops_on_cancel=False,
    headquarters="US",
    datacenters=("US", "DE"),
)
VERTEX = Provider(name="Google", slug="google-vertex", stops_on_cancel=False)
AI_STUDIO = Provider(name="Google AI Studio", slug="google-ai-studio", stops_on_cancel=False)
DEEPINFRA = Provider(name="DeepInfra", slug="deepinfra", headquarters="US", datacenters=("US",))
NOVITA = Provider(name="Novita", slug="novita", headquarters="US", datacenters=())
TOGETHER = Provider(name="Together", slug="together", headquarters="US", datacenters=("US",))
GROQ = Provider(name="Groq", slug="groq", stops_on_cancel=False, headquarters="US", datacenters=("US", "CA", "FI"))
CHUTES = Provider(name="Chutes", slug="chutes")
COHERE = Provider(name="Cohere", slug="cohere", headquarters="CA", datacenters=("US",))

PROVIDERS = (
    OPENAI, AZURE, ANTHROPIC, BEDROCK, VERTEX, AI_STUDIO, DEEPINFRA, NOVITA, TOGETHER, GROQ, CHUTES, COHERE,
)  # fmt: skip


def _offer(provider: Provider, per_million: str, latency_ms: int = 600, throughput: int = 90) -> Offer:
    """Read `prompt completion [read [write]]` in dollars per million tokens."""
    prices = [Decimal(price) / 1_000_000 for price in per_million.split()]
    read, write = (*prices[2:], None, None)[:2]
    return Offer(
        provider=provider,
        prompt=prices[0],
        completion=prices[1],
        cache_read=read,
        cache_write=write,
        latency_ms=latency_ms,
        throughput=throughput,
    )


MODELS = (
    Model(
        id="anthropic/claude-haiku-4.5",
        permaslug="anthropic/claude-4.5-haiku-20251001",
        name="Anthropic: Claude Haiku 4.5",
        offers=(_offer(ANTHROPIC, "1 5 0.1 1.25", 640, 110), _offer(BEDROCK, "1 5 0.1 1.25", 820, 92)),
    ),
    Model(
        id="anthropic/claude-sonnet-4.6",
        permaslug="anthropic/claude-4.6-sonnet-20260217",
        name="Anthropic: Claude Sonnet 4.6",
        offers=(
            _offer(ANTHROPIC, "3 15 0.3 3.75", 1100, 62),
            _offer(BEDROCK, "3 15 0.3 3.75", 1400, 55),
            _offer(VERTEX, "3 15 0.3 3.75", 1250, 58),
        ),
    ),
    Model(
        id="openai/gpt-5.2",
        permaslug="openai/gpt-5.2-20251211",
        name="OpenAI: GPT-5.2",
        context_length=400_000,
        offers=(_offer(OPENAI, "1.75 14 0.175", 900, 70), _offer(AZURE, "1.75 14 0.175", 1000, 66)),
    ),
    Model(
        id="openai/gpt-5-mini",
        permaslug="openai/gpt-5-mini-2025-08-07",
        name="OpenAI: GPT-5 Mini",
        context_length=400_000,
        offers=(_offer(OPENAI, "0.25 2 0.025", 500, 130), _offer(AZURE, "0.25 2 0.025", 560, 120)),
    ),
    Model(
        id="google/gemini-3-flash-preview",
        permaslug="google/gemini-3-flash-preview-20251217",
        name="Google: Gemini 3 Flash Preview",
        context_length=1_048_576,
        offers=(_offer(AI_STUDIO, "0.5 3 0.05", 700, 160), _offer(VERTEX, "0.5 3 0.05", 760, 150)),
    ),
    Model(
        id="deepseek/deepseek-v3.2",
        permaslug="deepseek/deepseek-v3.2-20251201",
        name="DeepSeek: DeepSeek V3.2",
        context_length=163_840,
        offers=(_offer(DEEPINFRA, "0.26 0.39 0.13", 950, 38), _offer(NOVITA, "0.27 0.41", 1200, 31)),
    ),
    Model(
        id="meta-llama/llama-3.3-70b-instruct",
        permaslug="meta-llama/llama-3.3-70b-instruct",
        name="Meta: Llama 3.3 70B Instruct",
        context_length=131_072,
        offers=(
            _offer(DEEPINFRA, "0.13 0.4", 420, 45),
            _offer(GROQ, "0.59 0.79", 180, 310),
            _offer(TOGETHER, "0.88 0.88", 350, 95),
        ),
    ),
    Model(
        id="meta-llama/llama-3.3-70b-instruct:free",
        permaslug="meta-llama/llama-3.3-70b-instruct",
        name="Meta: Llama 3.3 70B Instruct (free)",
        context_length=65_536,
        offers=(_offer(CHUTES, "0 0", 1900, 24),),
    ),
    Model(
        id="openai/text-embedding-3-small",
        permaslug="openai/text-embedding-3-small",
        name="OpenAI: Text Embedding 3 Small",
        context_length=8_192,
        offers=(_offer(OPENAI, "0.02 0", 160, 0),),
        output="embeddings",
    ),
    Model(
        id="cohere/rerank-v3.5",
        permaslug="cohere/rerank-v3.5",
        name="Cohere: Rerank v3.5",
        context_length=4_096,
        offers=(_offer(COHERE, "0.05 0", 140, 0),),
        output="rerank",
    ),
    Model(
        id="google/gemini-2.5-flash-image",
        permaslug="google/gemini-2.5-flash-image",
        name="Google: Gemini 2.5 Flash Image",
        context_length=32_768,
        offers=(_offer(AI_STUDIO, "0.3 30", 4_800, 0),),
        output="image",
    ),
    Model(
        id="hexgrad/kokoro-82m",
        permaslug="hexgrad/kokoro-82m",
        expiration_date="2027-03-31",
        name="hexgrad: Kokoro 82M",
        context_length=4_096,
        offers=(_offer(DEEPINFRA, "0.62 0", 300, 0),),
        output="speech",
    ),
    Model(
        id="openai/gpt-4o-mini-transcribe",
        permaslug="openai/gpt-4o-mini-transcribe",
        name="OpenAI: GPT-4o mini Transcribe",
        context_length=16_000,
        offers=(_offer(OPENAI, "1.25 5", 900, 0),),
        output="transcription",
    ),
    Model(
        id="google/veo-3.1",
        permaslug="google/veo-3.1",
        name="Google: Veo 3.1",
        context_length=4_096,
        offers=(_offer(VERTEX, "0 20", 40_000, 0),),
        output="video",
    ),
)

ALIASES = {"~anthropic/claude-haiku-latest": "anthropic/claude-haiku-4.5"}
"""Moving names, and the models they stand for today."""

ROUTERS = {
    "openrouter/auto": ("auto", "google/gemini-3-flash-preview"),
    "openrouter/free": ("free", "meta-llama/llama-3.3-70b-instruct:free"),
}
"""Model ids that choose for the caller: their strategy, and what they choose here."""

PRESETS = {"@preset/summary": "anthropic/claude-haiku-4.5"}
"""Named presets of the simulated account, and the models they set."""

SUFFIX_SORTS = {":nitro": "throughput", ":floor": "price", ":exacto": "exacto", ":online": None}

NATIVE_FINISH = {
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"},
    "openai": {"stop": "completed", "length": "max_output_tokens", "tool_calls": "completed"},
    "google": {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"},
}
"""Authors' own words for why an answer ended."""

_BY_ID = {model.id: model for model in MODELS} | {
    model.permaslug: model for model in reversed(MODELS) if not model.id.endswith(":free")
}
_BY_NAME = {provider.name: provider for provider in PROVIDERS}


def model_named(slug: str) -> Model | None:
    """Find a model by slug or dated name; the author may be left out for embeddings."""
    return _BY_ID.get(slug) or _BY_ID.get(f"openai/{slug}" if "/" not in slug else slug)


def provider_named(name: str) -> Provider | None:
    """Find a provider by its display name."""
    return _BY_NAME.get(name)


def native_finish(permaslug: str, finish_reason: str) -> str:
    """Give the model author's own word for a finish reason."""
    return NATIVE_FINISH.get(permaslug.partition("/")[0], {}).get(finish_reason, finish_reason)


def pricing(offer: Offer) -> dict[str, object]:
    """Write prices as `/models` does: text, per token, only what is not free to leave out."""
    prices = {
        "prompt": offer.prompt,
        "completion": offer.completion,
        "input_cache_read": offer.cache_read,
        "input_cache_write": offer.cache_write,
    }
    return {name: f"{price.normalize():f}" if price else "0" for name, price in prices.items() if price is not None}


def price_of(
    offer: Offer, prompt_tokens: int, completion_tokens: int, read: int = 0, written: int = 0
) -> tuple[Decimal, Decimal, Decimal]:
    """Price an answer: cost of the prompt, cost of the completion, and what caching saved."""
    fresh = prompt_tokens - read - written
    read_price = offer.prompt if offer.cache_read is None else offer.cache_read
    write_price = offer.prompt if offer.cache_write is None else offer.cache_write
    prompt = fresh * offer.prompt + read * read_price + written * write_price
    return prompt, completion_tokens * offer.completion, prompt_tokens * offer.prompt - prompt + ZERO
