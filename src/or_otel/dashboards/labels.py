"""Prometheus labels of our attributes, spelled by the catalogue; and matchers on them."""

from __future__ import annotations

from or_otel import semconv
from or_otel.dashboards.promql import label, tag

MODEL = label(semconv.GEN_AI_REQUEST_MODEL)
RESPONSE_MODEL = label(semconv.GEN_AI_RESPONSE_MODEL)
OPERATION = label(semconv.GEN_AI_OPERATION_NAME)
PROVIDER = label(semconv.OPENROUTER_PROVIDER_NAME)
WORKFLOW = label(semconv.GEN_AI_WORKFLOW_NAME)
ENVIRONMENT = label(semconv.DEPLOYMENT_ENVIRONMENT_NAME)
SERVICE_NAME = label(semconv.SERVICE_NAME)
APP = label(semconv.OPENROUTER_APP_NAME)
KEY_NAME = label(semconv.OPENROUTER_KEY_NAME)
KEY_HASH = label(semconv.OPENROUTER_KEY_HASH)
TEAM, FEATURE, COMPANY = tag("team"), tag("feature"), tag("company")

OUTCOME = label(semconv.OPENROUTER_OUTCOME)
ERROR_TYPE = label(semconv.ERROR_TYPE)
ERROR_ORIGIN = label(semconv.OPENROUTER_ERROR_ORIGIN)
FINISH_REASON = label(semconv.OPENROUTER_FINISH_REASON)
FALLBACK = label(semconv.OPENROUTER_ROUTE_FALLBACK)
POLICY = label(semconv.OPENROUTER_ROUTE_POLICY)
STATUS = label(semconv.OPENROUTER_ATTEMPT_STATUS)
CACHE_HIT = label(semconv.OPENROUTER_RESPONSE_CACHE_HIT)
TOOL_OUTCOME = label(semconv.OPENROUTER_TOOL_CALL_OUTCOME)
TOKEN_TYPE = label(semconv.OPENROUTER_TOKEN_TYPE)

LEDGER = label(semconv.OPENROUTER_COST_LEDGER)
PART = label(semconv.OPENROUTER_COST_PART)
COST_SOURCE = label(semconv.OPENROUTER_COST_SOURCE)
BILLING = label(semconv.OPENROUTER_BILLING)
UNPRICED_REASON = label(semconv.OPENROUTER_UNPRICED_REASON)
WASTE = label(semconv.OPENROUTER_WASTE_KIND)
RULE = label(semconv.OPENROUTER_POLICY_RULE)

BUDGET = label(semconv.OPENROUTER_BUDGET_NAME)
SCOPE = label(semconv.OPENROUTER_BUDGET_SCOPE)
WINDOW = label(semconv.OPENROUTER_FORECAST_WINDOW)
DAY = label(semconv.OPENROUTER_DAY)
PRICE_KIND = label(semconv.OPENROUTER_PRICE_KIND)
UPTIME_WINDOW = label(semconv.OPENROUTER_UPTIME_WINDOW)
PERCENTILE = label(semconv.OPENROUTER_LATENCY_PERCENTILE)
DROP_REASON = label(semconv.OR_OTEL_DROP_REASON)
FOLD_REASON = label(semconv.OR_OTEL_FOLD_REASON)
MODULE = label(semconv.OR_OTEL_MODULE)
ENDPOINT = label(semconv.OR_OTEL_ENDPOINT)

OVERFLOW = 'otel_metric_overflow="true"'
"""The SDK's own mark of the one set that takes what is beyond an instrument's limit."""


def named(label: str) -> str:
    """Write a legend of one label."""
    return f"{{{{{label}}}}}"


FAILED = f'{OUTCOME}="error"'
FELL_BACK = f'{FALLBACK}=~"provider|model"'
SEVEN_DAYS = f'{WINDOW}="7d"'
"""The forecast over whole weeks."""
YESTERDAY = f'{DAY}="1"'
"""The last closed UTC day."""
