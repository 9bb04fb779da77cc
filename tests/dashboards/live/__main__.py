"""`python -m live FOLDER`: live through the weeks, tell where Prometheus is, keep it up until interrupted."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

from live.weeks import live_through


def main() -> int:
    """Run."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun_s = time.monotonic()
    weeks = live_through(Path(sys.argv[1]), is_dense=True, said=lambda text: sys.stderr.write(f"… {text}\n"))
    try:
        told = {"prometheus": weeks.prometheus.url, "now_s": weeks.now_s, "took_s": round(time.monotonic() - begun_s)}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        weeks.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
