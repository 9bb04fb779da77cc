"""An account with a past on a clock of its own, and exporters over it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime

import httpx
import pytest

from or_otel.account.client import AccountClient
from or_otel.config import read_config
from or_otel.entries import to_line
from or_otel.exporter import Exporter
from or_otel.simulator.account import MANAGEMENT_KEY
from or_otel.simulator.history import entries_of_history, write_history
from or_otel.simulator.server import ScriptedOpenRouter

NOW_S = datetime(2026, 11, 20, 15, 30, tzinfo=UTC).timestamp()


class Scene:
    """A scripted account, the time, and what exporters over it tell."""

    def __init__(self, folder):
        self.now_s = NOW_S
        self.folder = folder
        self.server = ScriptedOpenRouter(wall=lambda: self.now_s)
        self._clients = []

    @property
    def account(self):
        return self.server.account

    def write_past(self, **options):
        options = {"days": 12, "calls_per_day": 40} | options
        return write_history(self.account, until_s=self.now_s, **options)

    def spend(self, key):
        """Make one call with a key."""
        body = {"model": "openai/gpt-5-mini", "messages": [{"role": "user", "content": "hello"}]}
        headers = {"authorization": f"Bearer {key}"}
        httpx.post(f"{self.server.base_url}/chat/completions", json=body, headers=headers).raise_for_status()

    def write_journal(self, entries, name="host-1-1.jsonl"):
        self.folder.mkdir(exist_ok=True)
        with (self.folder / name).open("ab") as journal:
            journal.write(b"".join(map(to_line, entries)))

    def write_ledger(self, history):
        self.write_journal(entries_of_history(history))

    def exporter(self, toml="", *, api_key=None, management_key=MANAGEMENT_KEY, **options):
        client = AccountClient(self.server.base_url, api_key, management_key)
        self._clients.append(client)
        held = [key for key in (api_key, management_key) if key]
        given = {"asking_key": api_key, "held_keys": held, "folder": self.folder}
        # Durations are added to times of the server's clock, which stands still.
        fixed = {"chance": lambda: 0.0, "clock": lambda: 0.0}
        return Exporter(client, read_config(toml, {}), **given | fixed | options)

    def told(self, exporter):
        """Make a round, and give {metric: {attributes: value}}."""
        exporter.round(self.now_s)
        return self.read(exporter)

    def read(self, exporter):
        found = defaultdict(dict)
        for reading in exporter.readings(self.now_s):
            key = tuple(sorted(reading.attributes.items()))
            assert key not in found[reading.metric.name], f"twice: {reading}"
            found[reading.metric.name][key] = reading.value
        return found

    @staticmethod
    def where(found, **wanted):
        """Choose of one metric's values those with these attributes; dots in names are written as underscores."""
        return [
            value
            for attributes, value in found.items()
            if wanted.items() <= {name.replace(".", "_"): each for name, each in attributes}.items()
        ]

    def asked(self, path):
        return [each for each in self.server.requests if each.path.partition("?")[0] == f"/api/v1{path}"]

    def close(self):
        for client in self._clients:
            client.close()


@pytest.fixture
def scene(tmp_path):
    scene = Scene(tmp_path / "ledger")
    with scene.server:
        yield scene
        scene.close()
