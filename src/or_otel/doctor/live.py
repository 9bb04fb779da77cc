"""The account behind the key, and one call through or-otel itself, held against its generation record.

Base URL and key come in, checks go out. The call is small, its content is neither kept nor
told, and it enters no ledger. Of answers, the checks tell statuses, figures, model and
provider, and names of fields: no key, no label of one, no server text.
Source: OpenRouter's API reference, `GET /key` and `GET /generation` (seen 2026-11).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
from opentelemetry import metrics, trace

from or_otel.calls import CallRecord
from or_otel.doctor import Check, State
from or_otel.doctor.documented import CHAT, GENERATION, KEY, METADATA, compare
from or_otel.instrumentor import capture, instrument, is_on, uninstrument
from or_otel.routes import is_same_model
from or_otel.settings import Settings
from or_otel.wire.fields import count_of, flag_of, items_of, object_of, text_of, usd_of, value_of
from or_otel.wire.requests import key_fingerprint

DEFAULT_MODEL = "openrouter/free"
"""The router that picks a free model: costs nothing, but counts against the free requests of the day."""
ASK_TIMEOUT_S = 10.0
CALL_TIMEOUT_S = 60.0
MAX_TOKENS = 16
PROMPT = "Answer with the word ok."
GENERATION_DELAYS_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The record is written after the answer has ended: 404 at first is normal."""
WORTH_WAITING = frozenset({404, 429, 500, 502, 503, 524, 529})
MAX_SKEW_S = 30.0
OK = 200
REMEDIES: Mapping[int, str] = {
    400: "check --model: it must be an id of GET /models",
    401: "OPENROUTER_API_KEY is wrong, disabled or deleted: make a key at openrouter.ai/settings/keys",
    402: "add credits, raise the key's limit, or take a free model (--model openrouter/free)",
    403: "take an inference key (management keys may not ask models), or raise the key's limit",
    404: "no provider serves that model under the account's privacy settings, or the base URL is wrong",
    429: "wait: the requests of free models are limited per minute and day",
}
LATER = "try again later; status.openrouter.ai tells of outages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined.

    Attributes:
        base_url: Of the API, without a slash at its end.
        api_key: Used for these requests and told nowhere.
        settings: As the environment says.
    """

    base_url: str
    api_key: str
    settings: Settings

    @property
    def headers(self) -> dict[str, str]:
        """The authorization of a request."""
        return {"authorization": f"Bearer {self.api_key}"}


def account(patient: Patient, *, wall: Callable[[], float] = time.time) -> Iterator[Check]:
    """Ask `/key` what the key is, and its answer's `Date` what time it is there."""
    asked = _ask(f"{patient.base_url}/key", patient)
    if isinstance(asked, str):
        yield _check("/key", "fail", f"{_shown(patient.base_url)} cannot be reached: {asked}", _reach())
        return
    now_s = wall()
    if asked.status_code != OK:
        remedy = REMEDIES.get(asked.status_code, LATER)
        yield _check("/key", "fail", f"key {_fingerprint(patient)} is answered with HTTP {asked.status_code}", remedy)
    else:
        told = object_of(object_of(value_of(asked.content)).get("data"))
        yield _kind(told, patient)
        yield replace(compare(told, KEY), topic="account", name="/key fields")
    yield from _clock(asked, now_s)


def live_call(
    patient: Patient,
    model: str = DEFAULT_MODEL,
    *,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Check]:
    """Make one call and hold what or-otel saw against the answer and the generation record."""
    answer, record = _call(patient, model)
    if isinstance(answer, str):
        yield _check("call", "fail", f"{_shown(patient.base_url)} cannot be reached: {answer}", _reach(), "live")
        return
    if record is None:
        yield _check(
            "seen by or-otel", "fail", "the call was made, but or-otel did not see it", "please report this", "live"
        )
    body = object_of(value_of(answer.content))
    if answer.status_code != OK or not body or body.get("error") is not None:
        yield _failed(answer.status_code, model, record)
        return
    yield _served(body, record)
    yield compare(body, CHAT)
    told = object_of(body.get("openrouter_metadata"))
    yield compare(told, METADATA) if told else _no_metadata(patient)
    generation_id = text_of(body.get("id")) or text_of(answer.headers.get("x-generation-id"))
    if generation_id is None:
        yield _check("/generation", "fail", "the answer has no id, so there is no record to ask for", None, "live")
        return
    yield from _recorded(patient, generation_id, body, record, wait)


# The account ----------------------------------------------------------------------------------------------------------


def _kind(told: Mapping[str, object], patient: Patient) -> Check:
    name = f"key {_fingerprint(patient)}"
    if flag_of(told.get("is_management_key")):
        return _check(name, "warn", "is a management key: it reads the account and may not ask models", REMEDIES[403])
    limit, left = usd_of(told.get("limit")), told.get("limit_remaining")
    parts = ["an inference key", "free tier" if flag_of(told.get("is_free_tier")) else "paid tier"]
    is_spent = limit is not None and usd_of(left) in {None, Decimal(0)} and left is not None
    if limit is None:
        parts.append("no limit")
    elif is_spent:
        parts.append(f"nothing left of its limit of ${limit:f}")
    else:
        remaining = usd_of(left)
        parts.append(
            f"${remaining:f} left of its limit of ${limit:f}" if remaining is not None else f"limit ${limit:f}"
        )
    free = object_of(told.get("free_model_daily_requests"))
    if (count := count_of(free.get("remaining"))) is not None:
        parts.append(f"{count} requests of free models left today")
    if (expires := text_of(told.get("expires_at"))) is not None:
        parts.append(f"expires {expires[:10]}")
    return _check(name, "fail" if is_spent else "ok", ", ".join(parts), REMEDIES[402] if is_spent else None)


def _clock(answer: httpx.Response, now_s: float) -> Iterator[Check]:
    try:
        there_s = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return
    skew_s = now_s - there_s
    if abs(skew_s) <= MAX_SKEW_S:
        yield _check("clock", "ok", "agrees with the server's")
    else:
        side = "ahead of" if skew_s > 0 else "behind"
        said = f"this machine's clock is {abs(skew_s):,.0f} s {side} the server's: days and budgets are cut wrongly"
        yield _check("clock", "warn", said, "let NTP set the clock")


# The call -------------------------------------------------------------------------------------------------------------


def _call(patient: Patient, model: str) -> tuple[httpx.Response | str, CallRecord | None]:
    """Call a model with or-otel switched on for this one call, publishing to nobody."""
    was_on = is_on()
    instrument(
        enabled=True,
        ledger="off",
        content="NO_CONTENT",
        hosts={urlsplit(patient.base_url).netloc.rpartition("@")[2].lower(): "openrouter", **patient.settings.hosts},
        tracer_provider=trace.NoOpTracerProvider(),
        meter_provider=metrics.NoOpMeterProvider(),
    )
    try:
        with capture() as records:
            answer = _ask(
                f"{patient.base_url}/chat/completions",
                patient,
                {"model": model, "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": PROMPT}]},
            )
    finally:
        if not was_on:
            uninstrument()
    return answer, records[-1] if records else None


def _failed(status: int, model: str, record: CallRecord | None) -> Check:
    word = record.failure.error_type if record is not None and record.failure is not None else None
    said = f"{model} is answered with HTTP {status}" + (f" ({word})" if word else "")
    return _check("call", "fail", said, REMEDIES.get(status, LATER), "live")


def _served(body: Mapping[str, object], record: CallRecord | None) -> Check:
    usage = object_of(body.get("usage"))
    charged = usd_of(usage.get("cost"))
    seen = record.cost.charged if record is not None and record.cost is not None else None
    provider = text_of(body.get("provider"))
    said = f"{text_of(body.get('model')) or 'unknown model'} served by {provider or 'nobody named'}"
    said += f", cost {_usd(charged)}"
    if record is not None:
        said += f", took {record.duration_s:.2f} s, fallback {record.route.fallback}"
    if record is not None and (seen != charged or record.provider != provider):
        return _check("call", "fail", f"{said}; or-otel read {_usd(seen)}, {record.provider}", "please report", "live")
    return _check("call", "ok", said, None, "live")


def _no_metadata(patient: Patient) -> Check:
    if not patient.settings.router_metadata:
        said, remedy = "not asked for: OR_OTEL_ROUTER_METADATA is off", "unset it to see routes"
        return _check(METADATA.name, "info", said, remedy, "live")
    said = "asked for, but the answer has none: fallbacks between providers cannot be seen"
    return _check(METADATA.name, "warn", said, "a proxy before OpenRouter may drop X-OpenRouter-Metadata", "live")


# The generation record ------------------------------------------------------------------------------------------------


def _recorded(
    patient: Patient,
    generation_id: str,
    body: Mapping[str, object],
    record: CallRecord | None,
    wait: Callable[[float], None],
) -> Iterator[Check]:
    waited_s = 0.0
    for delay_s in GENERATION_DELAYS_S:
        if delay_s:
            wait(delay_s)
            waited_s += delay_s
        asked = _ask(f"{patient.base_url}/generation", patient, params={"id": generation_id})
        if not isinstance(asked, str) and asked.status_code not in WORTH_WAITING:
            break
    if isinstance(asked, str) or asked.status_code != OK:
        why = asked if isinstance(asked, str) else f"HTTP {asked.status_code}"
        said = f"no record of {generation_id} after {waited_s:g} s: {why}"
        remedy = "costs that come only with the record (cancelled streams) stay unknown; try again later"
        yield _check(GENERATION.name, "fail", said, remedy, "live")
        return
    told = object_of(object_of(value_of(asked.content)).get("data"))
    fields = compare(told, GENERATION)
    yield replace(fields, sentence=f"there after {waited_s:g} s; {fields.sentence}")
    yield _costs_agree(body, told)
    yield _routes_agree(body, told, record)


def _costs_agree(body: Mapping[str, object], told: Mapping[str, object]) -> Check:
    usage = object_of(body.get("usage"))
    answered, recorded = usd_of(usage.get("cost")), usd_of(told.get("total_cost"))
    if answered is None or recorded is None:
        said = f"cannot be compared: answer {_usd(answered)}, record {_usd(recorded)}"
        return _check("cost", "warn", said, None, "live")
    if answered != recorded:
        said = f"the answer says {_usd(answered)}, the generation record {_usd(recorded)}"
        return _check("cost", "fail", said, "trust the record, and please report this", "live")
    said = f"answer and generation record agree: {_usd(answered)}"
    if flag_of(told.get("is_byok")):
        upstream = usd_of(object_of(usage.get("cost_details")).get("upstream_inference_cost"))
        theirs = usd_of(told.get("upstream_inference_cost"))
        if upstream != theirs:
            said = f"{said}, but the provider's bill (BYOK) is {_usd(upstream)} there and {_usd(theirs)} here"
            return _check("cost", "fail", said, "please report this", "live")
        said += f", and {_usd(theirs)} billed by the provider (BYOK)"
    elif not answered:
        said += "; a model that costs something proves more: --model openai/gpt-5-mini"
    return _check("cost", "ok", said, None, "live")


def _routes_agree(body: Mapping[str, object], told: Mapping[str, object], record: CallRecord | None) -> Check:
    served, recorded = text_of(body.get("provider")), text_of(told.get("provider_name"))
    model, permaslug = text_of(body.get("model")), text_of(told.get("model"))
    if served != recorded:
        said = f"the answer names {served} as provider, the generation record {recorded}"
        return _check("route", "fail", said, "please report this", "live")
    if model is None or permaslug is None or not is_same_model(model, permaslug):
        said = f"the answer names {model}, the generation record {permaslug}: or-otel takes them for two models"
        return _check("route", "warn", said, "please report this pair", "live")
    theirs = tuple(
        (text_of(each.get("provider_name")), count_of(each.get("status")))
        for each in map(object_of, items_of(told.get("provider_responses")))
    )
    ours = tuple((each.provider, each.status) for each in record.route.attempts) if record is not None else ()
    if not ours:
        count = record.route.attempt_count if record is not None else None
        said = (
            f"{served} by both; attempts: {'not told' if count is None else count} by the answer, {len(theirs)} there"
        )
        state: State = "info" if count is None else "ok" if count == len(theirs) else "warn"
        return _check("route", state, said, "please report this" if state == "warn" else None, "live")
    if ours != theirs:
        said = f"{served} by both, but the attempts differ: {_path(ours)} against {_path(theirs)}"
        return _check("route", "warn", said, "please report this", "live")
    return _check("route", "ok", f"answer and generation record agree: {_path(ours)}", None, "live")


# Words and requests ---------------------------------------------------------------------------------------------------


def _ask(
    url: str, patient: Patient, body: Mapping[str, object] | None = None, *, params: Mapping[str, str] | None = None
) -> httpx.Response | str:
    """Send one request; gives the kind of error, never its text, when there is no answer."""
    try:
        if body is not None:
            return httpx.post(url, json=body, headers=patient.headers, timeout=CALL_TIMEOUT_S)
        return httpx.get(url, params=params, headers=patient.headers, timeout=ASK_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
        return type(error).__name__


def _check(name: str, state: State, sentence: str, remedy: str | None = None, topic: str = "account") -> Check:
    return Check(topic=topic, name=name, state=state, sentence=sentence, remedy=remedy)


def _fingerprint(patient: Patient) -> str:
    return key_fingerprint(patient.api_key) or "unreadable"


def _shown(url: str) -> str:
    return url.rpartition("@")[2] if "@" in url else url


def _reach() -> str:
    return "check network, proxy (HTTPS_PROXY) and base URL (OR_OTEL_BASE_URL, or-otel.toml)"


def _usd(amount: Decimal | None) -> str:
    return "unknown" if amount is None else f"${amount:f}"


def _path(attempts: tuple[tuple[str | None, int | None], ...]) -> str:
    return " > ".join(f"{provider or 'unnamed'} {status or ''}".strip() for provider, status in attempts) or "none"
