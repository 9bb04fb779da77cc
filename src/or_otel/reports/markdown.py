"""A digest → Markdown with GitHub's tables, for chats, wikis and issues. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from or_otel.reports.digest import Digest, alarm_lines
from or_otel.reports.sections import Section
from or_otel.reports.tables import Table, shown_cell
from or_otel.reports.words import tame

SPECIAL = re.compile(r"([\\`*_\[\]<>#|~@])")
"""What has a meaning in Markdown, or calls somebody by name: a tag's value comes from whoever made the call."""


def to_markdown(digest: Digest) -> str:
    """Write a digest."""
    blocks = [f"# {escaped(digest.title)}"]
    alarms = alarm_lines(digest)
    if alarms:
        blocks.append("\n".join(f"- **{escaped(line)}**" for line in alarms))
    for section in digest.sections:
        blocks += _section(section)
    return "\n\n".join(blocks) + "\n"


def sections_to_markdown(title: str, sections: Iterable[Section]) -> str:
    """Write sections below a title."""
    blocks = [f"# {escaped(title)}", *(block for section in sections for block in _section(section))]
    return "\n\n".join(blocks) + "\n"


def escaped(text: str) -> str:
    """Write text that stands for itself, on one line."""
    return SPECIAL.sub(r"\\\1", " ".join(tame(text).split()))


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    if section.lead is not None:
        yield escaped(section.lead)
    if section.table is not None and section.table.rows:
        table = _table(section.table)
        if table:
            yield table
    for note in section.notes:
        yield f"_{escaped(note)}_"


def _table(table: Table) -> str:
    shown = [place for place, column in enumerate(table.columns) if column.title]
    if not shown:
        return ""
    columns = [table.columns[place] for place in shown]
    lines = [
        "| " + " | ".join(escaped(column.title) for column in columns) + " |",
        "|" + "|".join("---" if column.kind == "text" else "--:" for column in columns) + "|",
    ]
    for number, row in enumerate(table.rows):
        cells = [shown_cell(table, number, place, row) for place in shown]
        lines.append("| " + " | ".join(map(escaped, cells)) + " |")
    return "\n".join(lines)
