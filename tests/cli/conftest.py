from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from click.testing import CliRunner

from or_otel.cli import main
from or_otel.entries import to_line
from or_otel.simulator.account import MANAGEMENT_KEY
from or_otel.simulator.history import COMPANIES, entries_of_history, write_history
from or_otel.simulator.server import ScriptedOpenRouter

DAY_S = 86_400
NOON_S = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
CONFIG = """
[[keys]]
name = "north-*"
company = "North"
team = "ferries"

[[keys]]
name = "dry-*"
company = "Dock"
team = "yard"
"""


class Desk:
    """A scripted account whose clock stands until it is set, and the command before it at the same time."""

    def __init__(self, server, folder):
        self.server = server
        self.folder = folder
        self.config = folder / "or-otel.toml"
        self.config.write_text(CONFIG)
        self.now_s = NOON_S

    @property
    def account(self):
        return self.server.account

    def run(self, *arguments, management_key=MANAGEMENT_KEY, api_key=None, **environment):
        known = {
            "OPENROUTER_MANAGEMENT_KEY": management_key,
            "OPENROUTER_MANAGEMENT_KEY_FILE": None,
            "OPENROUTER_API_KEY": api_key,
            "OPENROUTER_API_KEY_FILE": None,
            "OR_OTEL_BASE_URL": self.server.base_url,
            "OR_OTEL_LEDGER": str(self.folder),
            "OR_OTEL_CONFIG": str(self.config),
        }
        return CliRunner().invoke(main, arguments, env={**known, **environment}, obj=lambda: self.now_s)

    def past(self, *, days=33, calls_per_day=12, keys=COMPANIES, is_ledger=False, **more):
        """Write a past that ends now, and on demand what our ledger holds of it."""
        history = write_history(
            self.account, until_s=self.now_s, days=days, calls_per_day=calls_per_day, keys=keys, **more
        )
        if is_ledger:
            lines = b"".join(map(to_line, entries_of_history(history)))
            (self.folder / "host-1-1.jsonl").write_bytes(lines)
        return history

    def billed(self, since_s=0.0, until_s=None, **wanted):
        """Add up the book: credits and bills over own keys."""
        until_s = self.now_s + DAY_S if until_s is None else until_s
        entries = [
            entry
            for entry in self.server.book.entries
            if since_s <= entry.created_at_s < until_s
            and all(getattr(entry, name) == value for name, value in wanted.items())
        ]
        byok = sum((entry.upstream for entry in entries if entry.is_byok), Decimal(0))
        return sum((entry.charged for entry in entries), Decimal(0)), byok


@pytest.fixture
def desk(tmp_path):
    with ScriptedOpenRouter(wall=lambda: desk.now_s) as server:
        desk = Desk(server, tmp_path)
        yield desk
