"""The neutral referee: openai-python's own tests, without us and with us switched on.

Its suite is downloaded from the package index, never kept here. Every test must end the same way; what ends differently
is run three times each way again, and counts as caused by us when it always fails with us and never without.

    python tools/referee.py [--version 3.52.0 …] [--only PATTERN]

Exit status 1 when we caused a failure. Left out: `tests/api_resources` and whatever needs the authors' mock server.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".cache" / "referee"
VERSIONS = ("3.52.0", "3.0.0", "2.54.0")
"""3.x as pinned here, the oldest 3.x, the last 2.x."""
BUILD = ("hatchling", "hatch-fancy-pypi-readme")
NEEDS = (
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "pytest-xdist",
    "inline-snapshot",
    "rich",
    "trio",
    "respx",
    "dirty-equals",
    "time-machine",
    "nest_asyncio",
    "azure-identity",
    "Pillow",
    "griffe",
    "mypy",
    "pyright",
    "botocore",
    "jsonschema",
)
REPEATS = 3
FEWEST = 500
"""A run in which fewer tests pass has judged nothing."""
PLUGIN = '''
"""Switches or-otel on for a test run, with exporters in memory."""

def pytest_configure(config):
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    import or_otel

    tracer_provider = TracerProvider(shutdown_on_exit=False)
    config.or_otel_spans = InMemorySpanExporter()
    tracer_provider.add_span_processor(SimpleSpanProcessor(config.or_otel_spans))
    meter_provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    or_otel.instrument(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        hosts="127.0.0.1:4010=openai,localhost=openai,127.0.0.1=openai,example.com=openai",
    )

def pytest_terminal_summary(terminalreporter, config):
    from or_otel import guard
    spans = len(config.or_otel_spans.get_finished_spans())
    terminalreporter.write_line(f"or-otel: spans={spans} faults={dict(guard.faults)}")
'''


def environment(version: str) -> tuple[Path, Path]:
    """Give the interpreter of an environment with this version, and the folder of its source with the tests."""
    folder = WORK / version
    python = folder / "venv" / "bin" / "python"
    source = folder / f"openai-{version}"
    if not (folder / "ready").exists():
        print(f"openai {version}: setting up …", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        venv.create(folder / "venv", with_pip=True)
        pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--upgrade", "pip>=25.1", *BUILD], check=True)
        download = [
            *pip,
            "download",
            "--no-deps",
            "--no-binary",
            ":all:",
            "--no-build-isolation",
            "--dest",
            str(folder),
        ]
        subprocess.run([*download, f"openai=={version}"], check=True)
        with tarfile.open(folder / f"openai-{version}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        subprocess.run([*pip, "install", f"openai[aiohttp,httpx2,realtime,datalib]=={version}", *NEEDS], check=True)
        subprocess.run([*pip, "install", "--editable", str(ROOT)], check=True)
        (folder / "referee_plugin.py").write_text(PLUGIN)
        (folder / "ready").touch()
    return python, source


def outcomes(python: Path, source: Path, *, is_on: bool, tests: list[str]) -> tuple[dict[str, str], str]:
    """Run tests; give {test: passed, failed, error or skipped} and the run's closing line of ours."""
    report = source.parent / ("on.xml" if is_on else "off.xml")
    command = [
        str(python),
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "--continue-on-collection-errors",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:or_otel",
        "-W",
        "error",
        "-W",
        "ignore::DeprecationWarning:pytest_asyncio",
        "--timeout=120",
        f"--junitxml={report}",
        "-o",
        "junit_family=xunit1",
    ]
    if is_on:
        command += ["-p", "referee_plugin"]
    path = {"PYTHONPATH": str(source.parent)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OR_OTEL_"))}
    run = subprocess.run(
        [*command, *(tests or ["tests", "--ignore=tests/api_resources"])],
        cwd=source,
        env={**kept, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        raise SystemExit(f"pytest did not run:\n{run.stdout[-3000:]}\n{run.stderr[-3000:]}")
    found = {}
    for case in ET.parse(report).getroot().iter("testcase"):  # noqa: S314 -- written by pytest a moment ago
        path_of = case.get("file") or case.get("classname", "").replace(".", "/") + ".py"
        inner = case.get("classname", "").split(path_of.removesuffix(".py").replace("/", "."))[-1].strip(".")
        name = "::".join(part for part in (path_of, inner.replace(".", "::"), case.get("name")) if part)
        children = {child.tag for child in case}
        found[name] = next((word for word in ("error", "failure", "skipped") if word in children), "passed")
    report.unlink()
    line = next((line for line in run.stdout.splitlines() if line.startswith("or-otel:")), "")
    return found, line


def count(found: dict[str, str]) -> str:
    """Say how many ended how."""
    words = sorted(set(found.values()))
    return ", ".join(f"{sum(1 for each in found.values() if each == word)} {word}" for word in words)


def judge(version: str, only: list[str]) -> dict[str, object]:
    """Run one version both ways; repeat what differs."""
    python, source = environment(version)
    off, _ = outcomes(python, source, is_on=False, tests=only)
    passed = sum(1 for word in off.values() if word == "passed")
    if not only and passed < FEWEST:
        raise SystemExit(f"openai {version}: only {passed} tests pass without us: the suite did not run")
    on, line = outcomes(python, source, is_on=True, tests=only)
    differing = sorted(name for name in off.keys() | on.keys() if off.get(name) != on.get(name))
    caused = []
    if differing:
        repeated = {True: [], False: []}
        for is_on in (True, False):
            for _ in range(REPEATS):
                repeated[is_on].append(outcomes(python, source, is_on=is_on, tests=differing)[0])
        bad = {"failure", "error"}
        always = [name for name in differing if all(run.get(name) in bad for run in repeated[True])]
        caused = [name for name in always if not any(run.get(name) in bad for run in repeated[False])]
    print(f"openai {version}: without us {count(off)}; with us {count(on)}")
    print(f"  differing {len(differing)}, caused by us {len(caused)}")
    print(f"  {line}")
    for name in caused:
        print(f"  caused: {name}")
    return {"version": version, "off": count(off), "on": count(on), "differing": differing, "caused": caused}


def main() -> None:
    """Judge every version."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--version", nargs="*", default=list(VERSIONS))
    parser.add_argument("--only", nargs="*", default=[], help="paths of tests, relative to the source")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = [judge(version, options.only) for version in options.version]
    if options.json:
        print(json.dumps(results, indent=1))
    sys.exit(1 if any(result["caused"] for result in results) else 0)


if __name__ == "__main__":
    main()
