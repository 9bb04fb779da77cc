"""Words from outside → words that a terminal only shows.

Names of models, providers, errors and keys come from servers, tags from whoever made the call. Shown, they must not
steer the terminal (ESC and its kin), begin a line of their own, nor turn what stands beside them (the overriding and
isolating signs of bidirectional text, of which no name has need).
"""

from __future__ import annotations

import re

from rich.text import Text

STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+")
"""Lone surrogates are among them: they cannot be written at all."""


def tame(words: str) -> str:
    """Give a blank for what steers."""
    return STEERING.sub(" ", words)


def shown(words: str, style: str = "") -> Text:
    """Give what a rich console prints, on one line and without markup."""
    return Text(tame(words), style=style)


def escaped(json_text: str) -> str:
    """Write what steers within the strings of a JSON document as escapes, which mean the same."""
    return STEERING.sub(lambda found: "".join(map(_escape, found[0])), json_text)


def _escape(sign: str) -> str:
    return sign if sign == "\n" else f"\\u{ord(sign):04x}"
