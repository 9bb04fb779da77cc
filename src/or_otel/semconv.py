"""Every attribute, span and event name that we emit, as literal strings; nothing else.

Each group names its source and version. Metric names are in `catalogue`.
"""

from __future__ import annotations

# --- OpenTelemetry semantic conventions, stable: attributes registry, v1.44, seen 2026-11
ERROR_TYPE = "error.type"
EXCEPTION_TYPE = "exception.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_REQUEST_RESEND_COUNT = "http.request.resend_count"
HTTP_RESPONSE_STATUS_CODE = "http.response.status_code"
DEPLOYMENT_ENVIRONMENT_NAME = "deployment.environment.name"
SERVICE_NAME = "service.name"
USER_ID = "user.id"
OTHER = "_OTHER"

# --- OpenTelemetry GenAI semantic conventions, main branch, client inference span, seen 2026-11
GEN_AI_OPERATION_NAME = "gen_ai.operation.name"
GEN_AI_PROVIDER_NAME = "gen_ai.provider.name"
GEN_AI_CONVERSATION_ID = "gen_ai.conversation.id"
GEN_AI_OUTPUT_TYPE = "gen_ai.output.type"
GEN_AI_REQUEST_MODEL = "gen_ai.request.model"
GEN_AI_REQUEST_STREAM = "gen_ai.request.stream"
GEN_AI_REQUEST_CHOICE_COUNT = "gen_ai.request.choice.count"
GEN_AI_REQUEST_SEED = "gen_ai.request.seed"
GEN_AI_REQUEST_TOP_K = "gen_ai.request.top_k"
GEN_AI_REQUEST_TOP_P = "gen_ai.request.top_p"
GEN_AI_REQUEST_TEMPERATURE = "gen_ai.request.temperature"
GEN_AI_REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
GEN_AI_REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
GEN_AI_REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
GEN_AI_REQUEST_REASONING_LEVEL = "gen_ai.request.reasoning.level"
GEN_AI_REQUEST_STOP_SEQUENCES = "gen_ai.request.stop_sequences"
GEN_AI_RESPONSE_ID = "gen_ai.response.id"
GEN_AI_RESPONSE_MODEL = "gen_ai.response.model"
GEN_AI_RESPONSE_FINISH_REASONS = "gen_ai.response.finish_reasons"
GEN_AI_RESPONSE_TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
GEN_AI_USAGE_INPUT_TOKENS = "gen_ai.usage.input_tokens"
GEN_AI_USAGE_OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
GEN_AI_USAGE_CACHE_READ_INPUT_TOKENS = "gen_ai.usage.cache_read.input_tokens"
GEN_AI_USAGE_CACHE_WRITE_INPUT_TOKENS = "gen_ai.usage.cache_write.input_tokens"
GEN_AI_USAGE_REASONING_OUTPUT_TOKENS = "gen_ai.usage.reasoning.output_tokens"
GEN_AI_USAGE_TEXT_INPUT_TOKENS = "gen_ai.usage.text.input_tokens"
GEN_AI_USAGE_AUDIO_INPUT_TOKENS = "gen_ai.usage.audio.input_tokens"
GEN_AI_USAGE_IMAGE_INPUT_TOKENS = "gen_ai.usage.image.input_tokens"
GEN_AI_USAGE_TEXT_OUTPUT_TOKENS = "gen_ai.usage.text.output_tokens"
GEN_AI_USAGE_AUDIO_OUTPUT_TOKENS = "gen_ai.usage.audio.output_tokens"
GEN_AI_USAGE_IMAGE_OUTPUT_TOKENS = "gen_ai.usage.image.output_tokens"
GEN_AI_INPUT_MESSAGES = "gen_ai.input.messages"
GEN_AI_OUTPUT_MESSAGES = "gen_ai.output.messages"
GEN_AI_SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
GEN_AI_WORKFLOW_NAME = "gen_ai.workflow.name"
OPERATION_INVOKE_WORKFLOW = "invoke_workflow"
FINISH_REASON_ERROR = "error"

# --- Of agents' spans that others make, only read: conventions, main branch, and pydantic-ai 2.68, seen 2026-11
GEN_AI_AGENT_NAME = "gen_ai.agent.name"
GEN_AI_AGENT_CALL_ID = "gen_ai.agent.call.id"

# --- OpenTelemetry GenAI semantic conventions, metrics up to v1.41
GEN_AI_TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 -- tokens of a model

# --- OpenTelemetry GenAI semantic conventions, main branch, events, seen 2026-11
EVENT_OPERATION_EXCEPTION = "gen_ai.client.operation.exception"
EVENT_INFERENCE_DETAILS = "gen_ai.client.inference.operation.details"

# --- Ours: what OpenRouter served and what it cost; spans and metrics
OPENROUTER_API = "openrouter.api"
OPENROUTER_PROVIDER_NAME = "openrouter.provider.name"
OPENROUTER_GENERATION_ID = "openrouter.generation.id"
OPENROUTER_OUTCOME = "openrouter.outcome"
OPENROUTER_ERROR_ORIGIN = "openrouter.error.origin"
OPENROUTER_ATTEMPT_COUNT = "openrouter.attempt_count"
OPENROUTER_SERVICE_TIER = "openrouter.service_tier"
OPENROUTER_NATIVE_FINISH_REASON = "openrouter.native_finish_reason"
OPENROUTER_RESPONSE_CACHE_HIT = "openrouter.response_cache.hit"
OPENROUTER_SERVER_TOOLS_CALLS = "openrouter.server_tools.calls"
OPENROUTER_SERVER_TOOLS_WEB_SEARCHES = "openrouter.server_tools.web_searches"

# --- Ours: money
OPENROUTER_BILLING = "openrouter.billing"
OPENROUTER_COST_TOTAL = "openrouter.cost.total"
OPENROUTER_COST_CHARGED = "openrouter.cost.charged"
OPENROUTER_COST_UPSTREAM = "openrouter.cost.upstream"
OPENROUTER_COST_INPUT = "openrouter.cost.input"
OPENROUTER_COST_OUTPUT = "openrouter.cost.output"
OPENROUTER_COST_TOOLS = "openrouter.cost.tools"
OPENROUTER_COST_SOURCE = "openrouter.cost.source"
OPENROUTER_COST_DIFFERENCE = "openrouter.cost.difference"

# --- Ours: the route
OPENROUTER_ROUTE_FALLBACK = "openrouter.route.fallback"
OPENROUTER_ROUTE_POLICY = "openrouter.route.policy"
OPENROUTER_ROUTE_STRATEGY = "openrouter.route.strategy"
OPENROUTER_ROUTE_REGION = "openrouter.route.region"
OPENROUTER_ROUTE_ATTEMPT_COUNT = "openrouter.route.attempt_count"
OPENROUTER_ROUTE_PATH = "openrouter.route.path"
OPENROUTER_REQUEST_MODELS = "openrouter.request.models"
OPENROUTER_REQUEST_PROVIDER_ORDER = "openrouter.request.provider.order"
OPENROUTER_REQUEST_PROVIDER_ONLY = "openrouter.request.provider.only"
OPENROUTER_REQUEST_PROVIDER_IGNORE = "openrouter.request.provider.ignore"
OPENROUTER_REQUEST_PROVIDER_SORT = "openrouter.request.provider.sort"
OPENROUTER_REQUEST_PROVIDER_DATA_COLLECTION = "openrouter.request.provider.data_collection"
OPENROUTER_REQUEST_PROVIDER_ZDR = "openrouter.request.provider.zdr"

# --- Ours: rules of the owner; the span names all that were broken, a metric one
OPENROUTER_POLICY_VIOLATED = "openrouter.policy.violated"
OPENROUTER_POLICY_RULE = "openrouter.policy.rule"

# --- Ours: who asked
OPENROUTER_APP_NAME = "openrouter.app.name"
OPENROUTER_APP_URL = "openrouter.app.url"
OPENROUTER_KEY_ID = "openrouter.key.id"
OPENROUTER_KEY_NAME = "openrouter.key.name"
OPENROUTER_KEY_HASH = "openrouter.key.hash"
OPENROUTER_TAG_PREFIX = "openrouter.tag."

# --- Ours: one run of a workflow; its id also on the spans of its calls
OPENROUTER_WORKFLOW_RUN_ID = "openrouter.workflow.run_id"
OPENROUTER_WORKFLOW_PARENT_RUN_ID = "openrouter.workflow.parent_run_id"
OPENROUTER_WORKFLOW_CALLS = "openrouter.workflow.calls"
OPENROUTER_WORKFLOW_STEPS = "openrouter.workflow.steps"
OPENROUTER_WORKFLOW_RETRIES = "openrouter.workflow.retries"
OPENROUTER_WORKFLOW_TOOL_CALLS = "openrouter.workflow.tool_calls"
OPENROUTER_WORKFLOW_INPUT_TOKENS = "openrouter.workflow.input_tokens"
OPENROUTER_WORKFLOW_OUTPUT_TOKENS = "openrouter.workflow.output_tokens"
OPENROUTER_WORKFLOW_UNPRICED_CALLS = "openrouter.workflow.unpriced_calls"
OPENROUTER_WORKFLOW_UNITS = "openrouter.workflow.units"

# --- Ours: metrics only
OPENROUTER_COST_LEDGER = "openrouter.cost.ledger"
OPENROUTER_COST_PART = "openrouter.cost.part"
OPENROUTER_UNPRICED_REASON = "openrouter.unpriced.reason"
OPENROUTER_TOKEN_TYPE = "openrouter.token.type"  # noqa: S105 -- tokens of a model
OPENROUTER_FINISH_REASON = "openrouter.finish_reason"
OPENROUTER_ATTEMPT_STATUS = "openrouter.attempt.status"
OPENROUTER_TOOL_CALL_OUTCOME = "openrouter.tool_call.outcome"
OPENROUTER_WASTE_KIND = "openrouter.waste.kind"
OPENROUTER_BUDGET_NAME = "openrouter.budget.name"
OPENROUTER_BUDGET_SCOPE = "openrouter.budget.scope"
OPENROUTER_FORECAST_WINDOW = "openrouter.forecast.window"
OPENROUTER_DAY = "openrouter.day"
OPENROUTER_ENDPOINT_TAG = "openrouter.endpoint.tag"
OPENROUTER_PRICE_KIND = "openrouter.price.kind"
OPENROUTER_UPTIME_WINDOW = "openrouter.uptime.window"
OPENROUTER_LATENCY_PERCENTILE = "openrouter.latency.percentile"
OR_OTEL_DROP_REASON = "or_otel.drop.reason"
OR_OTEL_FOLD_REASON = "or_otel.fold.reason"
OR_OTEL_MODULE = "or_otel.module"
OR_OTEL_ENDPOINT = "or_otel.endpoint"

# --- Ours: events
EVENT_GENERATION_RECONCILED = "openrouter.generation.reconciled"
