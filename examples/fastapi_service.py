"""A service for many tenants: each call carries its tenant, and each tenant's bill grows as calls end.

    uvicorn fastapi_service:app          with OPENROUTER_API_KEY, in this folder

The header that names the tenant must come from your own gateway; what a client sends, it can invent.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

import openai
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import or_otel
from or_otel.middleware import TagsMiddleware

or_otel.start()

client = openai.OpenAI(
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
)
app = FastAPI()
app.add_middleware(TagsMiddleware, headers={"x-tenant": "customer"}, tags=lambda scope: {"feature": scope["path"]})

bills: defaultdict[str, Decimal] = defaultdict(Decimal)
unknown: Counter[str] = Counter()


def meter(call: or_otel.CallRecord) -> None:
    tenant = call.tags.get("customer", "nobody")
    if call.cost is not None and call.cost.total is not None:
        bills[tenant] += call.cost.total
    unknown[tenant] += call.unpriced is not None  # such as a stream that the browser left: not free, not known yet


or_otel.on_call(meter)  # for every call, when it ended, on a thread of its own


@app.get("/answer")
def answer(question: str) -> StreamingResponse:
    stream = client.chat.completions.create(
        model="openai/gpt-5-mini", messages=[{"role": "user", "content": question}], stream=True
    )

    def words() -> Iterator[str]:
        with stream:  # a client that leaves stops the answer, and the bill
            yield from (chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    return StreamingResponse(words(), media_type="text/plain")


@app.get("/bill/{tenant}")
def bill(tenant: str) -> dict[str, str | int]:
    return {"usd": str(bills[tenant]), "calls_of_unknown_cost": unknown[tenant]}
