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
OR_OTEL_TOML=./stack/demo.toml
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
    (root / ".secrets").mkdir(exist_ok=True)
    (root / ".secrets").chmod(0o700)
    # For a configuration of Alertmanager that wants more than the webhook's address.
    (root / ".secrets" / "alertmanager").mkdir(mode=0o755, exist_ok=True)
    written: list[str] = []
    for name, text in texts.items():
        path = root / name
        if not path.exists():
            path.write_text(text)
            path.chmod(0o600 if name == ".env" else 0o644)
            written.append(name)
    return written


def in_the_way(root: Path, *, is_demo: bool) -> str:
    """Say which files that were there are of the other kind, demo or not; "" for none."""
    was_demo = {
        ".env": "COMPOSE_PROFILES=demo" in (root / ".env").read_text(),
        **{
            f".secrets/{name}": (root / ".secrets" / name).read_text().strip() == key for name, key in DEMO_KEYS.items()
        },
    }
    others = [name for name, is_of_demo in was_demo.items() if is_of_demo is not is_demo]
    kind = "the demo's" if is_demo else "for your account"
    return f"{', '.join(others)}: not {kind}; to have them written anew, move them away first." if others else ""


def main() -> int:
    """Prepare, and say what to do next."""
    parser = argparse.ArgumentParser(description="Write .env and .secrets for docker compose.")
    parser.add_argument("--demo", action="store_true", help="for the simulated OpenRouter: needs no key")
    is_demo = parser.parse_args().demo
    written = prepare(ROOT, is_demo=is_demo)
    print("Written: " + (", ".join(written) or "nothing, all was there"))
    others = in_the_way(ROOT, is_demo=is_demo)
    if others:
        print(others)
    if not is_demo:
        print("Put a key of your account into .secrets/openrouter_management_key (or .secrets/openrouter_api_key).")
    print("Then: docker compose up -d; Grafana's admin password is in .secrets/grafana_password.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
