"""Provider, model and tokens in, list price out: for servers whose answers tell no cost.

The prices are those of `genai-prices` (the extra `or-otel[prices]`); without it nothing is
priced. Knows nothing of exchanges and reads no clock: prices change, so the time of the
call comes in. A guess is worse than no figure, so whatever is not certainly listed - another
provider of a similar name, a service tier without a price of its own - gives None.
"""

from __future__ import annotations

import functools
import importlib.util
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from types import ModuleType

from or_otel.facts import EXACT, Cost, Usage
from or_otel.guard import guarded
from or_otel.insights.caching import InputRates

CATALOGUE_NAMES: Mapping[str, str] = {
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
    "z_ai": "zai",
}
"""`gen_ai.provider.name` → the library's word, where they differ (genai-prices 0.2.3)."""

STANDARD_TIERS = frozenset({None, "auto", "default", "on_demand", "standard"})
"""What providers call the tier that the plain list price is for."""


@guarded("prices.price")
def price(provider: str, model: str, usage: Usage, *, at_s: float, service_tier: str | None = None) -> Cost | None:
    """Give what the tokens cost at list price; never raises.

    Args:
        provider: The `gen_ai.provider.name`.
        model: As the answer names it.
        usage: Tokens; cached ones are priced apart.
        at_s: Unix time of the call.
        service_tier: The tier that served.

    Returns:
        Cost in US dollars with its parts, source `catalog`; None when the library is missing,
        the model or its tier is not listed, or the counts contradict one another.
    """
    library = _library()
    if library is None or usage.input_tokens is None:
        return None
    name = CATALOGUE_NAMES.get(provider, provider)
    at = datetime.fromtimestamp(at_s, UTC)
    try:
        # The library multiplies in the thread's own decimal context, which the host may have made coarse.
        with localcontext(EXACT):
            found = library.calc_price(
                library.Usage(**_counts(usage)),
                model,
                provider_id=name,
                genai_request_timestamp=at,
                price_context={"service_tier": service_tier} if service_tier else None,
            )
    except (LookupError, ValueError):
        return None
    listed = found.model_price
    is_output_unknown = usage.output_tokens is None and listed.output_mtok is not None
    is_tier_listed = service_tier in STANDARD_TIERS or any(
        variant.when.get("service_tier") == service_tier and (not variant.constraint or variant.constraint.active(at))
        for variant in found.model.price_variants or ()
    )
    # The library also finds providers by a part of their name: `my-openai-proxy` is not OpenAI.
    if found.provider.id != name or listed.input_mtok is None or is_output_unknown or not is_tier_listed:
        return None
    tools = EXACT.subtract(found.total_price, EXACT.add(found.input_price, found.output_price))
    return Cost(
        charged=found.total_price,
        input=found.input_price,
        output=found.output_price,
        tools=tools or None,
        source="catalog",
        is_direct=True,
    )


@guarded("prices.listed_input_rates")
def listed_input_rates(provider: str, model: str, usage: Usage, *, at_s: float) -> InputRates | None:
    """Give the list prices of input for a prompt as long as this one; never raises and never waits.

    Args:
        provider: The `gen_ai.provider.name`.
        model: As the answer names it.
        usage: Tokens: prices may rise with their number.
        at_s: Unix time of the call.

    Returns:
        None when the library is missing or not loaded yet - then it begins to load - or the model is not listed.
    """
    tokens = usage.input_tokens
    if not _library.cache_info().currsize:
        prepare()
        return None
    if not tokens:
        return None

    def rate(**cached: int) -> Decimal | None:
        found = price(provider, model, Usage(input_tokens=tokens, output_tokens=0, **cached), at_s=at_s)
        return None if found is None or found.input is None else EXACT.divide(found.input, Decimal(tokens))

    fresh, read = rate(), rate(cache_read_tokens=tokens)
    if fresh is None:
        return None
    # Without a price of its own a read is counted as fresh input: that is no price of reads.
    return InputRates(fresh=fresh, read=None if read == fresh else read, write=rate(cache_write_tokens=tokens))


def _counts(usage: Usage) -> dict[str, int | None]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "input_audio_tokens": usage.audio_input_tokens,
        "output_audio_tokens": usage.audio_output_tokens,
        "input_image_tokens": usage.image_input_tokens,
        "output_image_tokens": usage.image_output_tokens,
        "web_searches": usage.web_searches,
    }


@functools.cache
def prepare() -> None:
    """Begin to load the library on a thread, once: it takes a third of a second, and the answer is still to come."""
    if importlib.util.find_spec("genai_prices") is not None:
        threading.Thread(target=_library, name="or-otel-prices", daemon=True).start()


@functools.cache
def _library() -> ModuleType | None:
    try:
        import genai_prices  # noqa: PLC0415 -- optional, and slow: its whole catalogue is code
    except ImportError:
        return None
    return genai_prices
