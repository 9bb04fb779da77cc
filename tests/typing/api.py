"""Read by type checkers only: the public face keeps its types."""

from __future__ import annotations

import logging
from decimal import Decimal

import or_otel
from or_otel.testing import Calls

or_otel.start(metric_tags=("team",), ledger="off")
or_otel.instrument(hosts={"localhost:8000": "vllm"})
is_done: bool = or_otel.flush(timeout_s=1.0)

with or_otel.tags(team="search", customer=7), or_otel.operation():
    pass


@or_otel.tags(feature="summary")
def summarise(text: str, *, words: int) -> str:
    return text[:words]


@or_otel.operation()
async def ask(question: str) -> int:
    return len(question)


def meter(record: or_otel.CallRecord) -> None:
    total: Decimal | None = record.cost.total if record.cost else None
    provider: str | None = record.provider
    attempts: tuple[or_otel.Attempt, ...] = record.attempts
    print(total, provider, attempts, record.usage.input_tokens if record.usage else None)


stop = or_otel.on_call(meter)
stop()
shortened: str = or_otel.bind(summarise)("text", words=1)


@or_otel.workflow("research")
def research(question: str) -> str:
    return question


answered: str = research("why")
with or_otel.workflow("research") as run:
    run.finish(ok=True, units=2)
run_id: str = run.id
spent: Decimal | None = run.cost
around: or_otel.Run | None = or_otel.current_run()
was_kept: bool = or_otel.outcome(run_id, ok=False, units=0.5)


async def research_later() -> int:
    async with or_otel.workflow("research") as later, or_otel.tags(team="search"):
        return later.calls


with or_otel.capture() as calls:
    pass
records: list[or_otel.CallRecord] = calls

logging.getLogger().addFilter(or_otel.GenerationIdFilter())


def test_it(llm_calls: Calls) -> None:
    cost: Decimal = llm_calls.cost
    tokens: int = llm_calls.input_tokens + llm_calls.output_tokens
    first: or_otel.CallRecord = llm_calls[0]
    print(cost, tokens, first)
