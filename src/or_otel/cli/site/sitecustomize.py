"""Python imports this at start in every program under `or-otel run`: it switches or-otel on there.

The command puts this folder in front of `PYTHONPATH`. The program may run in another
environment than the command (pipx, uv tool, another venv), so nothing but the standard
library is taken for granted, and whatever goes wrong is one line on standard error.
A `sitecustomize` that ours hides is loaded as if ours were not there.
"""  # noqa: INP001 -- a folder on PYTHONPATH, not a package

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path

SITE = "OR_OTEL_SITE"
"""`X.Y`, then the folders that the command's own packages come from, joined like a path."""
TOLD = "OR_OTEL_SITE_TOLD"
"""Set once a process has said why it is not watched, so that its children do not repeat it."""


def _load_hidden() -> None:
    """Load the `sitecustomize` that Python would have found without ours."""
    here = Path(__file__).resolve().parent
    others = [folder for folder in sys.path if Path(folder or ".").resolve() != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _switch_on() -> None:
    problem = _try()
    if problem is None:
        return
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    version, _, folders = os.environ.get(SITE, "").partition(os.pathsep)
    if version == own:
        # At the end: the program's own packages win.
        added = [folder for folder in folders.split(os.pathsep) if folder and folder not in sys.path]
        sys.path.extend(added)
        importlib.invalidate_caches()
        problem = _try()
        if problem is not None:
            sys.path[:] = [folder for folder in sys.path if folder not in added]
    elif version:
        problem += f", and it is Python {own} while the command's is {version}"
    if problem is not None:
        _tell(problem)


def _try() -> str | None:
    """Import and start; gives why that could not be done."""
    try:
        instrumentor = importlib.import_module("or_otel.instrumentor")
    except ImportError as error:
        for name in [name for name in sys.modules if name == "or_otel" or name.startswith("or_otel.")]:
            del sys.modules[name]
        return f"{error.name or 'a module'} cannot be imported there"
    instrumentor.start_run()
    return None


def _tell(problem: str) -> None:
    if os.environ.get(TOLD):
        return
    os.environ[TOLD] = "1"
    sys.stderr.write(f"or-otel: calls of {sys.executable} are not watched: {problem}. Install it there: {_remedy()}\n")


def _remedy() -> str:
    parts = Path(sys.prefix).parts
    if "pipx" in parts and "venvs" in parts[:-1]:
        return f"pipx inject {parts[-1]} or-otel"
    if parts[-3:-1] == ("uv", "tools"):
        return f"uv tool install --with or-otel {parts[-1]}"
    return f"{sys.executable} -m pip install or-otel"


try:
    _load_hidden()
finally:
    _switch_on()
