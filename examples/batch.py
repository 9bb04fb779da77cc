"""Many calls at once. Each is tagged with what it is for, and the batch knows what it spent and what got lost.

Plain threads start without tags; `or_otel.bind` carries them over.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import openai

import or_otel

or_otel.start()

client = openai.OpenAI(
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
)
REVIEWS = {
    "globex": ["Fast delivery.", "The handle broke after a day."],
    "acme": ["Works as told.", "Too loud, sent it back.", "My third one!"],
}


def classify(customer: str, review: str) -> str | None:
    with or_otel.tags(customer=customer):
        answer = client.chat.completions.create(
            model="anthropic/claude-haiku-4.5",
            messages=[{"role": "user", "content": f"Praise or complaint? {review}"}],
        )
    return answer.choices[0].message.content


with or_otel.capture() as calls, or_otel.tags(team="support", feature="review-triage"), ThreadPoolExecutor(4) as pool:
    work = or_otel.bind(classify)
    answers = [pool.submit(work, customer, text) for customer, texts in REVIEWS.items() for text in texts]

print(f"{sum(answer.exception() is None for answer in answers)} of {len(answers)} reviews classified")
for customer in sorted(REVIEWS):
    costs = [call.cost.total for call in calls if call.tags["customer"] == customer and call.cost is not None]
    print(f"{customer}: ${sum(filter(None, costs), Decimal(0))} for {len(costs)} calls")
unknown = [call for call in calls if call.unpriced is not None]
if unknown:  # never book these as free: `or-otel reconcile`, or OR_OTEL_RECONCILE=missing, asks for their price later
    print(f"{len(unknown)} calls of unknown cost, such as {unknown[0].generation_id}")
