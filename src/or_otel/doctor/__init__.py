"""`or-otel doctor`: what is wrong here, as a list of checks with a sentence and a remedy each.

`surroundings` looks at this machine, `live` asks the account and makes one call. Both
give checks and print nothing. No check holds a credential, a prompt, a completion or what a
server said in words; of foreign JSON only the names of fields are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "info", "warn", "fail"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at.

    Attributes:
        topic: Group of the report, such as `clients`.
        name: What was looked at.
        state: `fail` is broken, `warn` costs something, `info` is for the reader to judge.
        sentence: What was found.
        remedy: What to do; None when there is nothing to do.
        came: Documented fields that an answer had; like the next two, for checks of answers only.
        lacked: Documented fields that it had not.
        new: Fields that it had and no document names.
    """

    topic: str
    name: str
    state: State
    sentence: str
    remedy: str | None = None
    came: tuple[str, ...] = ()
    lacked: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
