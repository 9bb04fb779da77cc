"""Rules of the house that import-linter cannot say."""

from __future__ import annotations

import ast
from pathlib import Path

import or_otel

ROOT = Path(or_otel.__file__).parent


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_only_pipelines_the_exporter_and_commands_import_the_opentelemetry_sdk():
    found = {
        path.relative_to(ROOT).parts[0]
        for path in ROOT.rglob("*.py")
        if any(name.startswith(("opentelemetry.sdk", "opentelemetry.exporter")) for name in imported(path))
    }

    assert found <= {"pipelines.py", "exporter", "cli"}


def test_only_guard_catches_every_exception():
    found = [
        path.name
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception"
    ]

    assert set(found) == {"guard.py"}
