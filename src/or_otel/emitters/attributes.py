"""Call record → attributes: the only mapping; pure.

`None` in a record means "not said" and gives no attribute; that happens in one place,
`_told`. Money is exact until it becomes a float here. Knows names and records, no back end.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Literal

from or_otel import semconv
from or_otel.calls import Amendment, Attempt, CallRecord, CallStarted
from or_otel.facts import EXACT, Cost, Failure, ProviderPreferences, Request, RouteAttempt, Usage
from or_otel.runs import RunRecord, RunStarted

Value = str | bool | int | float | Sequence[str]
Attributes = dict[str, Value]
MetricValue = str | bool | None
Ledger = Literal["openrouter", "upstream"]
CostPart = Literal["input", "output", "tools", "fee", "other"]

MAX_INT = 2**63 - 1
"""The OTLP encoder rejects longer integers."""
SERVED = 200
"""What OpenRouter calls the status of the try that served."""


def started_attributes(call: CallStarted) -> Attributes:
    """Give what is known before sending: samplers see this."""
    request = call.request
    endpoint = call.endpoint
    return _told(
        {
            semconv.GEN_AI_OPERATION_NAME: endpoint.operation,
            semconv.GEN_AI_PROVIDER_NAME: endpoint.provider,
            semconv.GEN_AI_REQUEST_MODEL: request.model,
            semconv.SERVER_ADDRESS: endpoint.host,
            semconv.SERVER_PORT: endpoint.port,
            semconv.OPENROUTER_API: endpoint.api,
            **_sampling(request),
            semconv.OPENROUTER_REQUEST_MODELS: request.models or None,
            **_preferences(request.provider),
            semconv.OPENROUTER_APP_NAME: request.app_name,
            semconv.OPENROUTER_APP_URL: request.app_url,
            semconv.OPENROUTER_KEY_ID: call.key_id,
            semconv.OPENROUTER_KEY_NAME: call.key_name,
            semconv.DEPLOYMENT_ENVIRONMENT_NAME: call.environment,
            semconv.USER_ID: request.user,
            semconv.GEN_AI_CONVERSATION_ID: request.session_id,
            semconv.GEN_AI_WORKFLOW_NAME: call.workflow,
            semconv.OPENROUTER_WORKFLOW_RUN_ID: call.workflow_run_id,
            **{semconv.OPENROUTER_TAG_PREFIX + key: value for key, value in call.tags.items()},
        }
    )


def ended_attributes(record: CallRecord) -> Attributes:
    """Give what only the answer tells."""
    failure = record.failure
    attempt_count = len(record.attempts)
    return _told(
        {
            semconv.GEN_AI_RESPONSE_ID: record.response_id,
            semconv.GEN_AI_RESPONSE_MODEL: record.model,
            semconv.GEN_AI_RESPONSE_FINISH_REASONS: _finish_reasons(record),
            semconv.GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK: record.time_to_first_chunk_s,
            semconv.OPENROUTER_PROVIDER_NAME: record.provider,
            semconv.OPENROUTER_GENERATION_ID: record.generation_id,
            semconv.OPENROUTER_OUTCOME: record.outcome,
            semconv.OPENROUTER_NATIVE_FINISH_REASON: record.native_finish_reason,
            semconv.OPENROUTER_SERVICE_TIER: record.service_tier,
            semconv.OPENROUTER_RESPONSE_CACHE_HIT: record.is_response_cache_hit,
            semconv.OPENROUTER_ATTEMPT_COUNT: attempt_count if attempt_count > 1 else None,
            semconv.ERROR_TYPE: failure.error_type if failure else None,
            semconv.OPENROUTER_ERROR_ORIGIN: failure.origin if failure else None,
            semconv.OPENROUTER_POLICY_VIOLATED: record.violated or None,
            **(_tokens(record.usage) if record.usage else {}),
            **_money(record),
            **_route(record),
        }
    )


def span_attributes(record: CallRecord) -> Attributes:
    """Give everything that the span of a finished call carries, content apart."""
    return {**started_attributes(record.started), **ended_attributes(record)}


def content_attributes(record: CallRecord) -> Attributes:
    """Give the captured content as JSON strings; empty while capture is off."""
    return _told(
        {
            semconv.GEN_AI_INPUT_MESSAGES: record.input_messages,
            semconv.GEN_AI_OUTPUT_MESSAGES: record.output_messages,
            semconv.GEN_AI_SYSTEM_INSTRUCTIONS: record.system_instructions,
        }
    )


def attempt_attributes(attempt: Attempt) -> Attributes:
    """Give the attributes of one attempt's own span."""
    return _told(
        {
            semconv.HTTP_REQUEST_RESEND_COUNT: attempt.number - 1 if attempt.number > 1 else None,
            semconv.HTTP_RESPONSE_STATUS_CODE: attempt.status,
            semconv.ERROR_TYPE: attempt.failure.error_type if attempt.failure else None,
        }
    )


def run_started_attributes(run: RunStarted) -> Attributes:
    """Give what is known of a run when it begins."""
    return _told(
        {
            semconv.GEN_AI_OPERATION_NAME: semconv.OPERATION_INVOKE_WORKFLOW,
            semconv.GEN_AI_WORKFLOW_NAME: run.name,
            semconv.OPENROUTER_WORKFLOW_RUN_ID: run.id,
            semconv.OPENROUTER_WORKFLOW_PARENT_RUN_ID: run.parent_id,
            semconv.DEPLOYMENT_ENVIRONMENT_NAME: run.environment,
            **{semconv.OPENROUTER_TAG_PREFIX + key: value for key, value in run.tags.items()},
        }
    )


def run_ended_attributes(record: RunRecord) -> Attributes:
    """Give a run's figures; no cost, which stays on its calls, where each dollar is once."""
    return _told(
        {
            semconv.OPENROUTER_OUTCOME: record.outcome,
            semconv.ERROR_TYPE: record.error_type,
            semconv.OPENROUTER_WORKFLOW_CALLS: record.calls,
            semconv.OPENROUTER_WORKFLOW_STEPS: record.steps,
            semconv.OPENROUTER_WORKFLOW_RETRIES: record.retries,
            semconv.OPENROUTER_WORKFLOW_TOOL_CALLS: record.tool_calls,
            semconv.OPENROUTER_WORKFLOW_INPUT_TOKENS: record.input_tokens,
            semconv.OPENROUTER_WORKFLOW_OUTPUT_TOKENS: record.output_tokens,
            semconv.OPENROUTER_WORKFLOW_UNPRICED_CALLS: record.unpriced_calls,
            semconv.OPENROUTER_WORKFLOW_UNITS: _float(record.units),
        }
    )


def run_values(record: RunRecord, tags: Sequence[str]) -> tuple[MetricValue, ...]:
    """Give the values that metrics of runs carry: workflow, outcome, then those of the tags."""
    return (record.started.name, record.outcome, *[record.started.tags.get(tag) for tag in tags])


def failure_attributes(failure: Failure) -> Attributes:
    """Give what the event of a failed call tells: types, never messages."""
    return _told({semconv.EXCEPTION_TYPE: failure.exception_type, semconv.ERROR_TYPE: failure.error_type})


def amendment_attributes(record: CallRecord, amendment: Amendment) -> Attributes:
    """Give what the event of a cost learned later tells: the attempt's whole money, and how it differs from before."""
    cost = amendment.cost
    before = next((attempt.cost for attempt in record.attempts if attempt.id == amendment.amends), None)
    known = before.total if before is not None else None
    difference = None if known is None or cost.total is None else EXACT.subtract(cost.total, known)
    return _told(
        {
            semconv.GEN_AI_OPERATION_NAME: record.endpoint.operation,
            semconv.GEN_AI_PROVIDER_NAME: record.endpoint.provider,
            semconv.GEN_AI_REQUEST_MODEL: record.request.model,
            semconv.GEN_AI_RESPONSE_MODEL: record.model or amendment.response_model,
            semconv.OPENROUTER_PROVIDER_NAME: amendment.served_provider or record.provider,
            semconv.OPENROUTER_GENERATION_ID: amendment.generation_id,
            semconv.OPENROUTER_OUTCOME: record.outcome,
            **_tokens(amendment.usage),
            **_cost(cost),
            semconv.OPENROUTER_COST_DIFFERENCE: _float(difference),
        }
    )


def counter_values(record: CallRecord, tags: Sequence[str]) -> tuple[MetricValue, ...]:
    """Give the values of `catalogue.COUNTER_NAMES`, then those of the tags, in their order; None where not said."""
    call = record.started
    return (
        call.endpoint.operation,
        call.endpoint.provider,
        call.request.model,
        record.model,
        record.provider,
        call.key_id,
        call.key_name,
        call.request.app_name,
        call.environment,
        *[call.tags.get(tag) for tag in tags],
    )


def histogram_values(record: CallRecord) -> tuple[MetricValue, ...]:
    """Give the values of `catalogue.HISTOGRAM_NAMES`, in their order; None where not said."""
    endpoint = record.endpoint
    return (endpoint.operation, endpoint.provider, record.request.model, record.provider)


def tries_of(record: CallRecord) -> tuple[RouteAttempt, ...]:
    """Give the known upstream tries: OpenRouter lists several, and of a single one tells only that it was one."""
    route, failure = record.route, record.failure
    if route.attempts or route.attempt_count != 1:
        return route.attempts
    if failure is None:
        return (RouteAttempt(provider=record.provider, model=record.model, status=SERVED),)
    if failure.origin == "upstream" and failure.status is not None:
        return (RouteAttempt(provider=failure.provider or record.provider, model=record.model, status=failure.status),)
    return ()


def route_attempt_values(values: tuple[MetricValue, ...], attempt: RouteAttempt) -> tuple[MetricValue, ...]:
    """Give counter values that name provider and model of an upstream try instead of those that served."""
    return (*values[:3], attempt.model, attempt.provider, *values[5:])


def attempt_status(attempt: Attempt) -> str:
    """Give how an exchange ended: the HTTP status of one that did not fail later, else the error type."""
    if attempt.failure is not None:
        refused = attempt.status is not None and attempt.status >= 400  # noqa: PLR2004 -- HTTP errors
        return str(attempt.status) if refused else attempt.failure.error_type
    return attempt.outcome if attempt.status is None else str(attempt.status)


def first_finish_reason(record: CallRecord) -> str | None:
    """Give the reason of the first choice, which stands for the call in metrics."""
    reasons = _finish_reasons(record)
    return reasons[0] if reasons else None


def cost_parts(cost: Cost | None) -> list[tuple[Ledger, CostPart, Decimal]]:
    """Split money into disjoint parts; their sum is exactly the total, each ledger's sum what that side bills.

    Parts that are zero are left out, unless all are: a free call shows as one zero.
    When told parts exceed what their ledger bills, all of it is `other`.
    """
    if cost is None:
        return []
    bill = cost.upstream_bill
    model_parts: list[tuple[CostPart, Decimal | None]] = [("input", cost.input), ("output", cost.output)]
    tools: tuple[CostPart, Decimal | None] = ("tools", cost.tools)
    parts: list[tuple[Ledger, CostPart, Decimal]] = []
    if cost.charged is not None:
        if cost.is_byok:
            parts += _split("openrouter", cost.charged, [tools], rest="fee")
        else:
            parts += _split("openrouter", cost.charged, [*model_parts, tools], rest="other")
    if bill is not None:
        parts += _split("upstream", bill, model_parts, rest="other")
    return [part for part in parts if part[2]] or parts[:1]


def _split(
    ledger: Ledger, amount: Decimal, told: list[tuple[CostPart, Decimal | None]], *, rest: CostPart
) -> list[tuple[Ledger, CostPart, Decimal]]:
    parts = [(ledger, name, part) for name, part in told if part]
    left = amount
    for _, _, part in parts:
        left = EXACT.subtract(left, part)
    if left < 0 or any(part < 0 for _, _, part in parts):
        return [(ledger, "other", amount)]
    if left or not parts:
        parts.append((ledger, rest, left))
    return parts


def _told(attributes: dict[str, Value | None]) -> Attributes:
    """Leave out what was not said, and integers that no exporter can send."""
    return {
        name: value
        for name, value in attributes.items()
        if value is not None and not (value.__class__ is int and not -MAX_INT <= value <= MAX_INT)
    }


_sampling_fields = attrgetter(
    "is_stream",
    "output_type",
    "choice_count",
    "seed",
    "top_k",
    "top_p",
    "temperature",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "reasoning_level",
    "stop_sequences",
)
_NO_SAMPLING = _sampling_fields(Request())
_NO_PREFERENCES = Request().provider


def _sampling(request: Request) -> dict[str, Value | None]:
    if _sampling_fields(request) == _NO_SAMPLING:  # most requests: one look instead of twelve
        return {}
    return {
        semconv.GEN_AI_REQUEST_STREAM: request.is_stream or None,
        semconv.GEN_AI_OUTPUT_TYPE: request.output_type,
        semconv.GEN_AI_REQUEST_CHOICE_COUNT: None if request.choice_count == 1 else request.choice_count,
        semconv.GEN_AI_REQUEST_SEED: request.seed,
        semconv.GEN_AI_REQUEST_TOP_K: request.top_k,
        semconv.GEN_AI_REQUEST_TOP_P: _float(request.top_p),
        semconv.GEN_AI_REQUEST_TEMPERATURE: _float(request.temperature),
        semconv.GEN_AI_REQUEST_FREQUENCY_PENALTY: _float(request.frequency_penalty),
        semconv.GEN_AI_REQUEST_PRESENCE_PENALTY: _float(request.presence_penalty),
        semconv.GEN_AI_REQUEST_MAX_TOKENS: request.max_tokens,
        semconv.GEN_AI_REQUEST_REASONING_LEVEL: request.reasoning_level,
        semconv.GEN_AI_REQUEST_STOP_SEQUENCES: request.stop_sequences or None,
    }


def _preferences(preferences: ProviderPreferences) -> dict[str, Value | None]:
    if preferences is _NO_PREFERENCES:
        return {}
    return {
        semconv.OPENROUTER_REQUEST_PROVIDER_ORDER: preferences.order or None,
        semconv.OPENROUTER_REQUEST_PROVIDER_ONLY: preferences.only or None,
        semconv.OPENROUTER_REQUEST_PROVIDER_IGNORE: preferences.ignore or None,
        semconv.OPENROUTER_REQUEST_PROVIDER_SORT: preferences.sort,
        semconv.OPENROUTER_REQUEST_PROVIDER_DATA_COLLECTION: preferences.data_collection,
        semconv.OPENROUTER_REQUEST_PROVIDER_ZDR: preferences.zdr,
    }


def _tokens(usage: Usage) -> dict[str, Value | None]:
    return {
        semconv.GEN_AI_USAGE_INPUT_TOKENS: usage.input_tokens,
        semconv.GEN_AI_USAGE_OUTPUT_TOKENS: usage.output_tokens,
        semconv.GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS: usage.cache_read_tokens,
        semconv.GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS: usage.cache_write_tokens,
        semconv.GEN_AI_USAGE_REASONING_OUTPUT_TOKENS: usage.reasoning_tokens,
        semconv.GEN_AI_USAGE_TEXT_INPUT_TOKENS: usage.text_input_tokens,
        semconv.GEN_AI_USAGE_AUDIO_INPUT_TOKENS: usage.audio_input_tokens,
        semconv.GEN_AI_USAGE_IMAGE_INPUT_TOKENS: usage.image_input_tokens,
        semconv.GEN_AI_USAGE_TEXT_OUTPUT_TOKENS: usage.text_output_tokens,
        semconv.GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS: usage.audio_output_tokens,
        semconv.GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS: usage.image_output_tokens,
        semconv.OPENROUTER_SERVER_TOOLS_CALLS: usage.server_tool_calls,
        semconv.OPENROUTER_SERVER_TOOLS_WEB_SEARCHES: usage.web_searches,
    }


def _money(record: CallRecord) -> dict[str, Value | None]:
    cost = record.cost
    if cost is None:
        return {
            semconv.OPENROUTER_COST_SOURCE: "unknown" if record.unpriced else None,
            semconv.OPENROUTER_BILLING: None if record.endpoint.is_openrouter else "direct",
        }
    return _cost(cost)


def _cost(cost: Cost) -> dict[str, Value | None]:
    return {
        semconv.OPENROUTER_COST_TOTAL: _float(cost.total),
        semconv.OPENROUTER_COST_CHARGED: _float(cost.charged),
        semconv.OPENROUTER_COST_UPSTREAM: _float(cost.upstream_bill),
        semconv.OPENROUTER_COST_INPUT: _float(cost.input),
        semconv.OPENROUTER_COST_OUTPUT: _float(cost.output),
        semconv.OPENROUTER_COST_TOOLS: _float(cost.tools),
        semconv.OPENROUTER_COST_SOURCE: cost.source,
        semconv.OPENROUTER_BILLING: cost.billing,
    }


def _route(record: CallRecord) -> dict[str, Value | None]:
    route = record.route
    return {
        semconv.OPENROUTER_ROUTE_FALLBACK: route.fallback,
        semconv.OPENROUTER_ROUTE_POLICY: route.policy,
        semconv.OPENROUTER_ROUTE_STRATEGY: route.strategy,
        semconv.OPENROUTER_ROUTE_REGION: route.region,
        semconv.OPENROUTER_ROUTE_ATTEMPT_COUNT: route.attempt_count,
        semconv.OPENROUTER_ROUTE_PATH: tuple(map(_path_entry, route.attempts)) if route.attempts else None,
    }


def _path_entry(attempt: RouteAttempt) -> str:
    told = (attempt.provider, attempt.model, None if attempt.status is None else str(attempt.status))
    return " ".join(part for part in told if part is not None)


def _finish_reasons(record: CallRecord) -> tuple[str, ...] | None:
    reasons = record.finish_reasons
    if record.outcome != "ok":  # conventions: `error` fills the place of a reason that never came
        return tuple(semconv.FINISH_REASON_ERROR if reason is None else reason for reason in reasons) or None
    return tuple(reason for reason in reasons if reason is not None) or None


def _float(number: Decimal | float | None) -> float | None:
    return None if number is None else float(number)
