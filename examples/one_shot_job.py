"""A script that cron runs. It knows nothing of teams or cost centres: whoever starts it says so.

    OR_OTEL_TAGS=team=finance,feature=digest OR_OTEL_METRIC_TAGS=team,feature python examples/one_shot_job.py

At its end a receipt is printed to standard error, and `or-otel report --by team,feature` knows the run later. With
`OTEL_EXPORTER_OTLP_ENDPOINT` set, spans and metrics are sent there before the process is gone.
An unchanged script does the same under `or-otel run -- python …`.
"""

from __future__ import annotations

import os

import openai

import or_otel

or_otel.start()

client = openai.OpenAI(
    base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
    api_key=os.environ["OPENROUTER_API_KEY"],
)
invoices = ["ACME, 4 licences, 1,200.00", "Globex, travel, 310.50"]
digest = client.chat.completions.create(
    model="openai/gpt-5-mini",
    messages=[{"role": "user", "content": "Summarise these invoices:\n" + "\n".join(invoices)}],
)
print(digest.choices[0].message.content)
