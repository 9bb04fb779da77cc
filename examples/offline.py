"""Run an example without a key and without a network: `python examples/offline.py examples/agent.py`."""

from __future__ import annotations

import os
import runpy
import sys

from or_otel.simulator.account import SEARCH_KEY
from or_otel.simulator.server import ScriptedOpenRouter

with ScriptedOpenRouter() as server:
    os.environ["OPENROUTER_BASE_URL"] = server.base_url
    os.environ["OPENROUTER_API_KEY"] = SEARCH_KEY
    os.environ["OR_OTEL_HOSTS"] = f"127.0.0.1:{server.port}=openrouter"  # count it as OpenRouter
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
    print(f"The simulated OpenRouter billed ${server.book.total()}.")
