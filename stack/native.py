"""The stack as processes of this machine, on loopback, from the shipped files.

In: a folder for data, and where the binaries are (`build.py`). The files of this folder are used as they are; only
addresses and folders are put in their place. `python stack/native.py` runs it all until it is interrupted; the tests
start, stop and kill the parts.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STACK = Path(__file__).resolve().parent
ROOT = STACK.parent
BIN = ROOT / ".stack" / "bin"
READY_S = 60.0
STOP_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Where everything listens; as in docker-compose.yml unless said otherwise."""

    otlp_grpc: int = 4317
    otlp_http: int = 4318
    money: int = 4319
    collector_health: int = 13133
    collector_metrics: int = 8888
    prometheus: int = 9090
    alertmanager: int = 9093
    tempo: int = 3200
    tempo_grpc: int = 9095
    tempo_otlp: int = 14317
    content_otlp: int = 14318
    exporter: int = 9877
    demo: int = 8080

    @classmethod
    def free(cls) -> Ports:
        """Choose ports that nobody has now."""
        sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in cls.__slots__}
        ports = {name: each.getsockname()[1] for name, each in sockets.items()}
        for each in sockets.values():
            each.close()
        return cls(**ports)


class Stack:
    """The parts of the stack, each a process or not running."""

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports | None = None,
        rules: Path = ROOT / "dashboards" / "rules",
        is_content_kept: bool = False,
    ) -> None:
        """Write the configuration files; nothing runs yet.

        Args:
            folder: Gets configuration, data and logs.
            ports: Where to listen.
            rules: The folder of rule files.
            is_content_kept: As with compose.content.yml.
        """
        self.folder = folder
        self.ports = ports or Ports()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._collector_files = ["collector.yaml", "content.yaml"] if is_content_kept else ["collector.yaml"]
        self._replace(rules)

    def _replace(self, rules: Path) -> None:
        ports = self.ports
        own = {
            f"{name}:{inside}": f"127.0.0.1:{outside}"
            for name, inside, outside in (
                ("prometheus", 9090, ports.prometheus),
                ("alertmanager", 9093, ports.alertmanager),
                ("collector", 8888, ports.collector_metrics),
                ("exporter", 9877, ports.exporter),
                ("tempo", 3200, ports.tempo),
                ("tempo", 4317, ports.tempo_otlp),
            )
        }
        self._configure(
            "collector.yaml",
            {
                "0.0.0.0:4317": f"127.0.0.1:{ports.otlp_grpc}",
                "0.0.0.0:4318": f"127.0.0.1:{ports.otlp_http}",
                "127.0.0.1:4319": f"127.0.0.1:{ports.money}",
                "0.0.0.0:13133": f"127.0.0.1:{ports.collector_health}",
                "host: 0.0.0.0, port: 8888": f"host: 127.0.0.1, port: {ports.collector_metrics}",
                "/var/lib/otelcol": str(self.folder / "collector"),
                "http://prometheus:9090": f"http://127.0.0.1:{ports.prometheus}",
                "tempo:4317": own["tempo:4317"],
            },
        )
        self._configure("content.yaml", {"tempo-content:4317": f"127.0.0.1:{ports.content_otlp}"})
        scraped = {key: value for key, value in own.items() if key != "tempo:4317"}
        self._configure("prometheus.yml", scraped | {"/etc/prometheus/rules": str(rules)})
        self._configure("alertmanager.yml", {"/run/secrets/": f"{self.folder / 'secrets'}/"})
        self._configure(
            "tempo.yaml",
            {
                "http_listen_port: 3200": f"http_listen_address: 127.0.0.1\n  http_listen_port: {ports.tempo}",
                "grpc_listen_port: 9095": f"grpc_listen_address: 127.0.0.1\n  grpc_listen_port: {ports.tempo_grpc}",
                "0.0.0.0:4317": own["tempo:4317"],
                "/var/tempo": str(self.folder / "tempo"),
            },
        )

    def _configure(self, name: str, replacements: Mapping[str, str]) -> None:
        text = (STACK / name).read_text()
        for old, new in replacements.items():
            if old not in text:
                raise ValueError(f"stack/{name}: {old!r} is not in it; tell native.py what stands there now")
            text = text.replace(old, new)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def command(self, part: str) -> list[str]:
        """Give how a part is started."""
        folder, ports = self.folder, self.ports
        program, *arguments = {
            "collector": ["otelcol", *(f"--config={folder}/{name}" for name in self._collector_files)],
            "prometheus": [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/prometheus",
                f"--web.listen-address=127.0.0.1:{ports.prometheus}",
                "--web.enable-otlp-receiver",
                "--web.enable-lifecycle",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            "alertmanager": [
                "alertmanager",
                f"--config.file={folder}/alertmanager.yml",
                f"--storage.path={folder}/alertmanager",
                f"--web.listen-address=127.0.0.1:{ports.alertmanager}",
                "--cluster.listen-address=",
            ],
            "tempo": ["tempo", "-target=all", "-config.expand-env=true", f"-config.file={folder}/tempo.yaml"],
        }[part]
        # Only this one: another, which nobody starts, may not be there.
        return [binary(program), *arguments]

    def ready_url(self, part: str) -> str:
        """Give the page that answers 200 once the part is ready."""
        port, path = {
            "collector": (self.ports.collector_health, "/"),
            "prometheus": (self.ports.prometheus, "/-/ready"),
            "alertmanager": (self.ports.alertmanager, "/-/ready"),
            "tempo": (self.ports.tempo, "/ready"),
        }[part]
        return f"http://127.0.0.1:{port}{path}"

    def start(self, *parts: str) -> None:
        """Start parts and wait until they are ready.

        Raises:
            RuntimeError: One ended, or was not ready in time; the message holds the end of its log.
        """
        for part in parts:
            with (self.folder / f"{part}.log").open("ab") as log:
                command = self.command(part)
                self._processes[part] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        for part in parts:
            self._wait(part)

    def _wait(self, part: str) -> None:
        until_s = time.monotonic() + READY_S
        while not is_ready(self.ready_url(part)):
            if self._processes[part].poll() is not None or time.monotonic() > until_s:
                log = (self.folder / f"{part}.log").read_text(errors="replace")
                raise RuntimeError(f"{part} did not become ready:\n{log[-3000:]}")
            time.sleep(0.1)

    def stop(self, *parts: str) -> None:
        """End parts in order."""
        for part in parts:
            process = self._processes.pop(part, None)
            if process is not None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def kill(self, part: str) -> None:
        """End a part as a crash would."""
        process = self._processes.pop(part)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        """End what runs."""
        self.stop(*reversed(self._processes))


def binary(name: str) -> str:
    """Give the path of a program.

    Raises:
        FileNotFoundError: It is neither built nor installed.
    """
    if (BIN / name).exists():
        return str(BIN / name)
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name}: not in {BIN.relative_to(ROOT)} nor on the path; `make stack` builds it")
    return found


def is_ready(url: str) -> bool:
    """Whether a page answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)  # noqa: PLR2004 -- OK
    except (urllib.error.URLError, OSError):
        return False


def main() -> int:
    """Run the stack until interrupted."""
    folder = ROOT / ".stack" / "data"
    (folder / "secrets").mkdir(parents=True, exist_ok=True)
    webhook = folder / "secrets" / "alert_webhook"
    if not webhook.exists():
        webhook.write_text(os.environ.get("ALERT_WEBHOOK", "http://127.0.0.1:9/"))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stack = Stack(folder)
    parts = ["prometheus", "alertmanager", "collector"]
    if (BIN / "tempo").exists() or shutil.which("tempo"):
        parts.insert(0, "tempo")
    try:
        stack.start(*parts)
        print(f"OTLP http://127.0.0.1:{stack.ports.otlp_http}  Prometheus {stack.ready_url('prometheus')}")
        print("Ctrl-C ends it; data stays in .stack/data.", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        stack.stop_all()
    return 0


if __name__ == "__main__":
    sys.exit(main())
