"""`semconv.py` holds literal strings, each once, and nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from or_otel import semconv

TREE = ast.parse(Path(semconv.__file__).read_text(encoding="utf-8"))


def test_it_holds_only_literal_strings():
    docstring, future, *rest = TREE.body

    assert isinstance(docstring, ast.Expr)
    assert isinstance(future, ast.ImportFrom)
    assert all(isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) for node in rest)


def test_every_name_is_there_once():
    values = [node.value.value for node in TREE.body if isinstance(node, ast.Assign)]

    assert len(values) == len(set(values))


def test_a_constant_is_called_like_its_name():
    for constant, name in vars(semconv).items():
        if constant.startswith(("GEN_AI_", "OPENROUTER_", "OR_OTEL_")):
            spelled = re.sub(r"[^a-z0-9]+", "_", name).strip("_").upper()
            assert constant.removesuffix("_PREFIX") == spelled
