"""The installed version of or-otel, as telemetry, servers and people are told it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache  # some milliseconds of reading files, and every emitter asks
def own_version() -> str:
    """Give the version; `0` where the package was never installed, as in a bare source tree."""
    try:
        return version("or-otel")
    except PackageNotFoundError:
        return "0"
