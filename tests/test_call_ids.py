"""Ids of calls and attempts are the ledger's keys: two alike would hide money."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, random, sys
import httpx, or_otel

random.seed(1)
or_otel.instrument(ledger="off")
answer = lambda request: httpx.Response(200, json={"id": "gen-1", "choices": []})
http = httpx.Client(transport=httpx.MockTransport(answer))
with or_otel.capture() as calls:
    def ask():
        random.seed(1)
        http.post("https://openrouter.ai/api/v1/chat/completions", json={"model": "m"})
    ask()
    child = os.fork()
    ask()
    ids = [each for call in calls[0 if child else 1:] for each in (call.id, call.attempts[0].id)]
    os.write(1, "".join(f"{each}\\n" for each in ids).encode())
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is nothing to fork with")
def test_no_id_comes_twice_in_forked_processes_or_where_the_host_seeds_its_random_numbers():
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60)

    ids = run.stdout.split()
    assert len(ids) == len(set(ids)) == 6
    assert {len(each) for each in ids} == {32}
