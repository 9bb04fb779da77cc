"""Writes what `docker compose up` needs and no repository holds: `.env` and the secret files.

`make stack-env` prepares for your account: put its key into `.secrets/openrouter_management_key` or
`.secrets/openrouter_api_key`. `make stack-demo-env` prepares for the simulated OpenRouter. What exists is never
overwritten. Compose mounts a secret with the mode it has here, for users of the containers' own, so the files can be
read by all; their folder lets nobody else on this machine reach them.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = "http://127.0.0.1:9/"
"""Alerts show in Alertmanager and Grafana; a webhook of yours in its place gets them sent."""
DEMO_KEYS = {
    "openrouter_api_key": "sk-or-v1-demo-search",
    "openrouter_management_key": "sk-or-v1-demo-management",
}
DEMO_ENV = """
# The simulated OpenRouter and its clients, beside the stack.
COMPOSE_PROFILES=demo
OR_OTEL_BASE_URL=http://demo:8080/api/v1
"""


def prepare(root: Path, *, is_demo: bool) -> list[str]:
    """Write what is missing.

    Args:
        root: The folder of docker-compose.yml and .env.example.
        is_demo: For the simulated OpenRouter.

    Returns:
        The names of the files written.
    """
    keys: Mapping[str, str] = DEMO_KEYS if is_demo else dict.fromkeys(DEMO_KEYS, "")
    texts = {
        ".env": (root / ".env.example").read_text() + (DEMO_ENV if is_demo else ""),
        ".secrets/grafana_password": secrets.token_urlsafe(24),
        ".secrets/alert_webhook": NOWHERE,
        **{f".secrets/{name}": text for name, text in keys.items()},
    }
    (root / ".secrets").mkdir(mode=0o700, exist_ok=True)
    written: list[str] = []
    for name, text in texts.items():
        path = root / name
        if not path.exists():
            path.write_text(text)
            path.chmod(0o644)
            written.append(name)
    return written


def main() -> int:
    """Prepare, and say what to do next."""
    parser = argparse.ArgumentParser(description="Write .env and .secrets for docker compose.")
    parser.add_argument("--demo", action="store_true", help="for the simulated OpenRouter: needs no key")
    is_demo = parser.parse_args().demo
    written = prepare(ROOT, is_demo=is_demo)
    print("Written: " + (", ".join(written) or "nothing, all was there"))
    if not is_demo:
        print("Put a key of your account into .secrets/openrouter_management_key (or .secrets/openrouter_api_key).")
    print("Then: docker compose up -d; Grafana's admin password is in .secrets/grafana_password.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
