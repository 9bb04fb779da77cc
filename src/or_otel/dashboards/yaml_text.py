"""Plain values in, YAML text out, in a layout that people can read and a diff can follow.

Only what rule, routing and manifest files need: mappings, sequences, text, numbers. Text of several lines becomes
a block, which PyYAML's emitter does only with a dumper of one's own; and this way nothing is needed at runtime.
Format: https://yaml.org/spec/1.2.2/, where every JSON string is a scalar.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

PLAIN = re.compile(r"[A-Za-z_/][\w./@%+-]*( [\w./@%+-]+)*")
"""Text that no YAML reader takes for anything else, the words below aside."""
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def to_yaml(value: object) -> str:
    """Give a value as a YAML document."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [line for key, each in value.items() for line in _entry(f"{_scalar(key)}:", each)]
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return [line for each in value for line in _item(each)]
    return [_scalar(value)]


def _entry(head: str, value: object) -> list[str]:
    if _is_block(value):
        return [f"{head} |{'' if str(value).endswith(chr(10)) else '-'}", *_block(str(value))]
    if isinstance(value, str) or not value or not isinstance(value, Mapping | Sequence):
        return [f"{head} {_scalar(value)}"]
    return [head, *(f"  {line}" for line in _lines(value))]


def _item(value: object) -> list[str]:
    if _is_block(value):
        return _entry("-", value)
    first, *rest = _lines(value)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _is_block(value: object) -> bool:
    """Whether a text reads best as a block, and comes back from one as it was."""
    if not isinstance(value, str) or "\n" not in value.rstrip("\n") or value.endswith("\n\n"):
        return False
    # A block drops nothing here: no space at a line's end, none before the first, no control character.
    lines = value.split("\n")
    return all(line.isprintable() and line == line.rstrip() for line in lines) and lines[0] != "" and lines[0][0] != " "


def _block(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in text.removesuffix("\n").split("\n")]


def _scalar(value: object) -> str:
    if value is None or isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, str):
        return value if PLAIN.fullmatch(value) and value.lower() not in WORDS else _quoted(value)
    if isinstance(value, Mapping | Sequence) and not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    raise TypeError(f"{type(value).__name__}: expected mappings, sequences, text, numbers, booleans or None")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in escaped) + '"'
