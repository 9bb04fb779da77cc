"""Builds the stack's programs from their Go modules: what `make stack` runs where no container can.

In: `builder.yaml` and the versions below. Out: binaries in `.stack/bin`, each with a stamp of what made it; what is
stamped so already is not built again. Needs Go and whatever module proxy Go is set up for.

Tempo cannot be had as a Go module, so it is not built; one that stands in `.stack/bin` or on the path is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

STACK = Path(__file__).resolve().parent
CACHE = STACK.parent / ".stack"
BIN = CACHE / "bin"
MANIFEST = STACK / "builder.yaml"

BUILDER = "go.opentelemetry.io/collector/cmd/builder@v0.155.0"
PROMETHEUS = "github.com/prometheus/prometheus@v0.314.0"
ALERTMANAGER = "github.com/prometheus/alertmanager@v0.34.0"
FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Programs that are built together.

    Attributes:
        binaries: Their names.
        made_from: What they depend on; a change builds them again.
        build: Puts them into the folder it is given.
    """

    binaries: tuple[str, ...]
    made_from: str
    build: Callable[[Path], None]

    @property
    def stamp(self) -> str:
        """What stands beside each binary made from this."""
        return hashlib.sha256(self.made_from.encode()).hexdigest()

    @property
    def is_built(self) -> bool:
        """Whether every binary is there, made from this."""
        return all(
            (BIN / name).exists() and _stamp_of(name).exists() and _stamp_of(name).read_text() == self.stamp
            for name in self.binaries
        )


def main() -> int:
    """Build what is missing, and say how long it took and how large it is."""
    if shutil.which("go") is None and not all(target.is_built for target in TARGETS):
        sys.exit("make stack: needs Go 1.25 or later on the path")
    BIN.mkdir(parents=True, exist_ok=True)
    for target in TARGETS:
        if target.is_built:
            print(f"{', '.join(target.binaries)}: up to date")
            continue
        began_s = time.monotonic()
        target.build(BIN)
        for name in target.binaries:
            _stamp_of(name).write_text(target.stamp)
        sizes = ", ".join(f"{name} {(BIN / name).stat().st_size / 1e6:.0f} MB" for name in target.binaries)
        print(f"{sizes}: built in {time.monotonic() - began_s:.0f} s", flush=True)
    return 0


def _build_collector(into: Path) -> None:
    source = CACHE / "otelcol"
    shutil.rmtree(source, ignore_errors=True)
    # The builder ends with `go mod tidy`, which wants the modules of the components' tests too. Not all of those are
    # in every proxy and none is needed: what it generated builds without, and if it generated nothing, `go` says so.
    generate = ("run", BUILDER, "--config", str(MANIFEST), "--skip-compilation")
    _go(*generate, cwd=CACHE, is_required=False)
    _go("build", "-mod=mod", *FLAGS, "-o", str(into / "otelcol"), ".", cwd=source)
    shutil.rmtree(source)


def _build_prometheus(into: Path) -> None:
    # Without its web pages and without service discovery: files and static targets are all the stack has.
    _build_module(PROMETHEUS, into, "prometheus", "promtool", tags="remove_all_sd")


def _build_alertmanager(into: Path) -> None:
    # The module leaves out the built web pages, but embeds their folder.
    page = {"ui/app/dist/index.html": "<!doctype html><title>Alertmanager</title>The API is at /api/v2.\n"}
    _build_module(ALERTMANAGER, into, "alertmanager", "amtool", files=page)


def _build_module(module: str, into: Path, *commands: str, tags: str = "", files: dict[str, str] | None = None) -> None:
    """Build commands of a module in a copy of it, as its main module: its own `replace` lines and sums apply."""
    told = _go("mod", "download", "-json", module, cwd=CACHE)
    source = CACHE / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(json.loads(told)["Dir"], source, copy_function=shutil.copyfile)
    for path in (source, *source.rglob("*")):
        path.chmod(0o755)
    for name, text in (files or {}).items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    packages = [f"./cmd/{command}" for command in commands]
    _go("build", *FLAGS, f"-tags={tags}", "-o", f"{into}/", *packages, cwd=source)
    shutil.rmtree(source)


def _go(*arguments: str, cwd: Path, is_required: bool = True) -> str:
    environ = os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"}
    done = subprocess.run(
        ("go", *arguments),  # noqa: S607 -- whichever Go is set up here
        cwd=cwd,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )
    if is_required and done.returncode:
        sys.exit(f"go {' '.join(arguments)}: failed\n{done.stderr[-4000:]}")
    return done.stdout


def _stamp_of(name: str) -> Path:
    return BIN / f"{name}.stamp"


TARGETS = (
    Target(
        binaries=("otelcol",),
        made_from=f"{BUILDER}{FLAGS}{MANIFEST.read_text()}",
        build=_build_collector,
    ),
    Target(binaries=("prometheus", "promtool"), made_from=f"{PROMETHEUS}{FLAGS}", build=_build_prometheus),
    Target(binaries=("alertmanager", "amtool"), made_from=f"{ALERTMANAGER}{FLAGS}", build=_build_alertmanager),
)

if __name__ == "__main__":
    sys.exit(main())
