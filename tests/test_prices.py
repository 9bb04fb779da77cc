"""List prices: exact, cached tokens apart, silence where a price is not certain; expected prices are the library's."""

from __future__ import annotations

import decimal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

import or_otel
from or_otel import prices
from or_otel.facts import Usage
from or_otel.prices import listed_input_rates, price
from or_otel.simulator import scenarios
from or_otel.simulator.scenarios import Scenario

genai_prices = pytest.importorskip("genai_prices")

AT_S = 1_795_000_000.0
USAGE = Usage(input_tokens=1000, output_tokens=100)
MILLION = Decimal(1_000_000)


@pytest.fixture
def library():
    """Let the library be looked for again, before and after."""
    prices._library.cache_clear()
    yield
    prices._library.cache_clear()


@pytest.fixture
def ask(openrouter, telemetry):
    """Ask a server declared as some provider's; give the one record."""

    def ask(provider, scenario, **options):
        host = openrouter.base_url.split("/")[2]
        or_otel.instrument(**telemetry.providers, hosts={host: provider}, **options)
        openrouter.script(scenario)
        with or_otel.capture() as calls, httpx.Client() as client:
            client.post(f"http://{host}/v1/chat/completions", json={"model": "gpt-5-mini", "messages": []})
        (record,) = calls
        return record

    return ask


def listed(provider, model):
    """Give the library's prices of a token."""
    found = genai_prices.calc_price(genai_prices.Usage(), model, provider_id=provider).model_price
    return [getattr(found, name) / MILLION for name in ("input_mtok", "cache_read_mtok", "output_mtok")]


def answer(model="gpt-5-mini", **usage):
    told = {"prompt_tokens": 1000, "completion_tokens": 100, **usage}
    choice = {"index": 0, "message": {"role": "assistant", "content": "Lisbon."}, "finish_reason": "stop"}
    return Scenario(body={"id": "chatcmpl-1", "model": model, "choices": [choice], "usage": told})


def test_cached_tokens_are_priced_apart():
    fresh, read, out = listed("openai", "gpt-5-mini")

    cost = price("openai", "gpt-5-mini", Usage(input_tokens=1000, output_tokens=100, cache_read_tokens=400), at_s=AT_S)

    assert (cost.input, cost.output, cost.tools) == (600 * fresh + 400 * read, 100 * out, None)
    assert cost.total == cost.input + cost.output
    assert (cost.source, cost.billing) == ("catalog", "direct")


def test_a_coarse_decimal_context_of_the_host_rounds_nothing():
    exact = price("openai", "gpt-5-mini", USAGE, at_s=AT_S)

    with decimal.localcontext(prec=1):
        coarse = price("openai", "gpt-5-mini", USAGE, at_s=AT_S)

    assert coarse == exact


@pytest.mark.parametrize("provider", ["mistral_ai", "x_ai", "gcp.gemini", "azure.ai.openai"])
def test_providers_are_found_by_the_conventions_word(provider):
    models = {"mistral_ai": "mistral-small-latest", "x_ai": "grok-4", "gcp.gemini": "gemini-2.5-flash"}

    assert price(provider, models.get(provider, "gpt-4o"), USAGE, at_s=AT_S).total > 0


@pytest.mark.parametrize(
    ("provider", "model", "usage"),
    [
        ("openai", "nobody/knows", USAGE),
        ("my-openai-proxy", "gpt-4o", USAGE),
        ("vllm", "gpt-4o", USAGE),
        ("openai", "gpt-4o", Usage(output_tokens=100)),
        ("openai", "gpt-4o", Usage(input_tokens=1000)),
        ("openai", "gpt-4o", Usage(input_tokens=10, output_tokens=1, cache_read_tokens=11)),
    ],
    ids=["model", "proxy", "server", "no input", "no output", "contradiction"],
)
def test_what_is_not_certain_has_no_price(provider, model, usage):
    assert price(provider, model, usage, at_s=AT_S) is None


def test_a_tier_has_its_own_price_or_none():
    flex = price("openai", "gpt-5-mini", USAGE, at_s=AT_S, service_tier="flex")

    assert flex.total < price("openai", "gpt-5-mini", USAGE, at_s=AT_S, service_tier="default").total
    assert price("openai", "gpt-5-mini", USAGE, at_s=AT_S, service_tier="unheard-of") is None


def test_audio_is_priced_apart_on_both_sides():
    found = genai_prices.calc_price(genai_prices.Usage(), "gpt-audio", provider_id="openai").model_price
    usage = Usage(input_tokens=1000, output_tokens=100, audio_input_tokens=400, audio_output_tokens=30)

    cost = price("openai", "gpt-audio", usage, at_s=AT_S)

    assert cost.input == (600 * found.input_mtok + 400 * found.input_audio_mtok) / MILLION
    assert cost.output == (70 * found.output_mtok + 30 * found.output_audio_mtok) / MILLION


def test_web_searches_are_priced_as_tools():
    searched = Usage(input_tokens=1000, output_tokens=100, web_searches=2)
    found = genai_prices.calc_price(genai_prices.Usage(), "gpt-5-mini", provider_id="openai").model_price

    cost = price("openai", "gpt-5-mini", searched, at_s=AT_S)

    assert cost.tools == 2 * found.web_searches_kcount / 1000 > 0
    assert cost.total == cost.input + cost.output + cost.tools


def test_a_call_is_priced_by_the_list_of_its_own_day():
    usage = Usage(input_tokens=300_000, output_tokens=0)
    long_prompts_were_dear_until_s = datetime(2026, 3, 13, tzinfo=UTC).timestamp()

    before, after = (
        price("anthropic", "claude-opus-4-6", usage, at_s=long_prompts_were_dear_until_s + day * 86400).total
        for day in (-2, 2)
    )

    assert before == 2 * after


def test_embeddings_have_no_output_and_a_price():
    assert price("openai", "text-embedding-3-small", Usage(input_tokens=1000), at_s=AT_S).total > 0


def test_without_the_library_nothing_is_priced(library, monkeypatch):
    monkeypatch.setitem(sys.modules, "genai_prices", None)

    assert price("openai", "gpt-5-mini", USAGE, at_s=AT_S) is None


def test_an_openai_answer_is_priced_and_says_by_what(ask, telemetry):
    fresh, read, out = listed("openai", "gpt-5-mini")

    record = ask("openai", answer(prompt_tokens_details={"cached_tokens": 400}))

    assert (record.cost.total, record.unpriced) == (600 * fresh + 400 * read + 100 * out, None)
    (span,) = telemetry.spans
    assert span.attributes["openrouter.cost.source"] == "catalog"
    assert span.attributes["openrouter.billing"] == "direct"
    assert telemetry.points("openrouter.client.unpriced_calls") == {}
    points = telemetry.points("openrouter.client.cost")
    assert {dict(key)["openrouter.cost.source"] for key in points} == {"catalog"}
    assert sum(points.values()) == pytest.approx(float(record.cost.total))


def test_a_groq_answer_is_priced(ask):
    model = "llama-3.3-70b-versatile"
    found = genai_prices.calc_price(genai_prices.Usage(), model, provider_id="groq").model_price

    record = ask("groq", answer(model, total_time=0.2, queue_time=0.01))

    assert record.cost.total == (1000 * found.input_mtok + 100 * found.output_mtok) / MILLION


def test_an_unknown_model_stays_unpriced(ask):
    record = ask("openai", answer("ft:private"))

    assert (record.cost, record.unpriced) == (None, "not_reported")


def test_a_told_cost_wins_over_the_list(ask):
    record = ask("openai", answer(cost=0.5))

    assert (record.cost.total, record.cost.source) == (Decimal("0.5"), "response")


def test_openrouter_is_never_priced_from_a_list(ask):
    record = ask("openrouter", answer("openai/gpt-5-mini"))

    assert (record.cost, record.unpriced) == (None, "not_reported")


def test_a_stream_without_usage_stays_unpriced(ask):
    record = ask("openai", scenarios.openai_shaped(is_stream=True, is_usage_told=False))

    assert (record.cost, record.unpriced) == (None, "not_reported")


def test_prices_can_be_switched_off(ask, monkeypatch):
    monkeypatch.setenv("OR_OTEL_PRICES", "false")

    record = ask("openai", answer())

    assert (record.cost, record.unpriced) == (None, "not_reported")


def test_list_prices_of_input_are_told_once_the_library_is_loaded(library):
    del library
    haiku = ("openrouter", "anthropic/claude-haiku-4.5", Usage(input_tokens=1000))
    price("openai", "gpt-5-mini", USAGE, at_s=AT_S)

    rates = listed_input_rates(*haiku, at_s=AT_S)

    fresh, read, _ = listed("anthropic", "claude-haiku-4-5")
    assert (rates.fresh, rates.read, rates.write) == (fresh, read, fresh * Decimal("1.25"))
    assert listed_input_rates("openrouter", "no/such", USAGE, at_s=AT_S) is None


def test_cache_reads_without_a_price_of_their_own_have_none(library):
    del library
    price("openai", "gpt-5-mini", USAGE, at_s=AT_S)

    rates = listed_input_rates("openai", "gpt-4-turbo", USAGE, at_s=AT_S)

    assert rates.fresh > 0
    assert rates.read is None


def test_list_prices_of_input_are_not_waited_for():
    program = (
        "from or_otel import prices\n"
        "from or_otel.facts import Usage\n"
        "prices.prepare = lambda: print('loading')\n"
        "print(prices.listed_input_rates('openai', 'gpt-5-mini', Usage(input_tokens=1), at_s=1.79e9))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["loading", "None"]


def test_the_library_is_loaded_on_a_thread_of_its_own_and_once():
    program = (
        "import sys, threading\n"
        "from or_otel import prices\n"
        "prices.prepare()\n"
        "prices.prepare()\n"
        "loading = [each for each in threading.enumerate() if each.name == 'or-otel-prices']\n"
        "for each in loading: each.join()\n"
        "print(len(loading) <= 1, prices._library.cache_info().misses, 'genai_prices' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["True", "1", "True"]
