"""Draws every board for the documents: five weeks of simulated traffic, a real Prometheus, Grafana's components.

`python tools/render/pictures.py [FOLDER]` writes one PNG a board, and fails where a panel fails or has nothing to show
that should have. Needs `.stack/bin` (`make stack`), Chromium, and here `npm ci --ignore-scripts` and `npm run build`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "dashboards"))

from live.recorded import STEP_S  # noqa: E402 -- found by the line above
from live.weeks import APART_S, live_through  # noqa: E402

EMPTY_IS_GOOD = ("or-otel-health/Folded", "or-otel-health/Collector: not delivered")
"""What did not go wrong in these weeks; of the last one the part about logs, which nobody sends here."""


def main() -> int:
    """Draw."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    with tempfile.TemporaryDirectory() as folder:
        weeks = live_through(Path(folder) / "weeks", is_dense=True, said=lambda text: print(f"… {text}", flush=True))
        try:
            excused = [word for panel in EMPTY_IS_GOOD for word in ("--may-be-empty", panel)]
            asked = [
                "--prometheus",
                weeks.prometheus.url,
                "--now",
                str(weeks.now_s),
                "--interval",
                str(STEP_S),
                "--span",
                # A graph whose steps are 20 minutes apart finds every second of them.
                str(2 * APART_S),
            ]
            command = ["node", "render.mjs", *asked, "--out", str(out.resolve()), *excused]
            return subprocess.run(command, cwd=HERE, check=False).returncode
        finally:
            weeks.stop()


if __name__ == "__main__":
    sys.exit(main())
