"""Tasks in Celery workers: each task's calls are tagged with what came in its message.

    celery -A celery_tasks worker        with a broker in CELERY_BROKER_URL, in this folder

Tags are not sent by themselves: whoever asks for a task adds the header.
"""

from __future__ import annotations

import os

import openai
from celery import Celery

import or_otel
from or_otel.celery import tag_tasks

or_otel.start()
tag_tasks(lambda task, _args, _kwargs: {"feature": task.name}, headers={"tenant": "customer"})

app = Celery("examples", broker=os.environ.get("CELERY_BROKER_URL", "memory://"), backend="cache+memory://")
app.conf.broker_transport_options = {"polling_interval": 0.05}


@app.task(name="summarise")
def summarise(text: str) -> str | None:
    client = openai.OpenAI(
        base_url=os.environ.get("OPENROUTER_BASE_URL", "https://openrouter.ai/api/v1"),
        api_key=os.environ["OPENROUTER_API_KEY"],
    )
    answer = client.chat.completions.create(
        model="openai/gpt-5-mini", messages=[{"role": "user", "content": f"Summarise: {text}"}]
    )
    return answer.choices[0].message.content


if __name__ == "__main__":  # a worker and its customer in one process, to look at
    from celery.contrib.testing.worker import start_worker

    stop = or_otel.on_call(lambda call: print(f"{call.tags['customer']}: {call.tags['feature']} ${call.cost.total}"))
    with start_worker(app, perform_ping_check=False, pool="solo"):
        for tenant in ("acme", "globex"):
            summarise.apply_async(["A long story."], headers={"tenant": tenant}).get(timeout=30)
    or_otel.flush()
    stop()
