"""The finished boards that an installed `or-otel` carries: nothing in, name and text out.

They are made by `make generate` into the repository's `dashboards/`, which the wheel takes along as `files/` beside
this module; a source tree reads them from where they were made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

RUNBOOKS = "docs/runbooks/README.md"
"""Where boards and alerts send a reader, below whatever address the owner publishes the documents at."""
_HERE = Path(__file__).parent
FOLDERS = (_HERE / "files", *(parent / "dashboards" for parent in _HERE.parents[2:3]))


def board_files(docs_url: str = "") -> Mapping[str, str]:
    """Give the boards: file name → JSON.

    Args:
        docs_url: Put before the documents' path in their links.

    Raises:
        FileNotFoundError: This installation carries no boards.
    """
    for folder in FOLDERS:
        found = sorted(folder.glob("or-otel-*.json"))
        if found:
            return {
                path.name: path.read_text(encoding="utf-8").replace(f'"{RUNBOOKS}"', f'"{docs_url}{RUNBOOKS}"')
                for path in found
            }
    raise FileNotFoundError(
        f"no boards in {' or '.join(map(str, FOLDERS))}: install the wheel, or run `make generate` in a source tree"
    )
