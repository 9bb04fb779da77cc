"""When to ask which endpoint again: outcomes and times in, due times out.

Pure: knows no HTTP and reads no clock; times are Unix seconds, chance is a number 0…1 that comes in. The rule: after
an answer wait the endpoint's interval; after a failure wait twice as long as the time before, up to a cap, and never
shorter than the server asks; what this kind of key may not see is asked rarely.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from or_otel.days import DAY_S

Endpoint = Literal[
    "key",
    "workspaces",
    "keys",
    "credits",
    "activity",
    "models",
    "endpoints",
    "members",
    "guardrails",
    "analytics_meta",
    "providers",
]
MINUTE_S, HOUR_S = 60.0, 3_600.0
INTERVALS_S: Mapping[Endpoint, float] = {
    "key": MINUTE_S,
    "workspaces": 10 * MINUTE_S,
    "keys": MINUTE_S,
    "credits": MINUTE_S,
    "activity": HOUR_S,
    "models": 5 * MINUTE_S,  # their answer may be cached as long
    "endpoints": 5 * MINUTE_S,
    "members": 10 * MINUTE_S,
    "guardrails": 10 * MINUTE_S,
    "analytics_meta": DAY_S,
    "providers": DAY_S,
}
"""In the order of asking: keys are listed by workspace."""
AFTER_MIDNIGHT_S = 5 * MINUTE_S
"""When the day that ended is asked for: its last calls may be booked a little later."""
FIRST_BACKOFF_S = 30.0
MAX_BACKOFF_S = 15 * MINUTE_S
MAX_DOUBLINGS = 10
HIDDEN_S = HOUR_S
MAX_RETRY_AFTER_S = HOUR_S
"""A server that asks for more is asked again anyway: nobody would notice the silence."""
SPREAD = 0.05
"""Part of an interval that chance may add, so that many exporters do not ask in step."""


class Task(NamedTuple):
    """One thing to ask.

    Attributes:
        endpoint: What.
        subject: Of which model, or of which key's activity; empty for the whole account.
    """

    endpoint: Endpoint
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How asking one task goes.

    Attributes:
        due_s: When to ask next.
        asked_at_s: When it was asked last; None for never.
        succeeded_at_s: When it was answered last; None for never.
        failures: Failures in a row.
    """

    due_s: float = 0.0
    asked_at_s: float | None = None
    succeeded_at_s: float | None = None
    failures: int = 0

    def is_due(self, now_s: float) -> bool:
        """Whether to ask now, also when the clock was set back by more than some inexactness."""
        is_set_back = self.asked_at_s is not None and now_s < self.asked_at_s - MINUTE_S
        return self.due_s <= now_s or is_set_back


@dataclass(slots=True)
class Schedule:
    """The tasks and their progress.

    Attributes:
        intervals_s: Time between two answers, by endpoint.
        progress: By task.
    """

    intervals_s: Mapping[Endpoint, float] = field(default_factory=lambda: INTERVALS_S)
    progress: dict[Task, Progress] = field(default_factory=dict)

    def want(self, tasks: Iterable[Task]) -> None:
        """Take in new tasks, which are due at once, and drop those not named."""
        self.progress = {task: self.progress.get(task, Progress()) for task in tasks}

    def due(self, now_s: float) -> tuple[Task, ...]:
        """Give the tasks to ask now, in order."""
        return tuple(task for task, progress in self.progress.items() if progress.is_due(now_s))

    def next_due_s(self) -> float:
        """Give when the next task is due; infinite without tasks."""
        return min((progress.due_s for progress in self.progress.values()), default=math.inf)

    def succeeded(self, task: Task, now_s: float, *, chance: float) -> None:
        """Take in an answer."""
        due_s = now_s + self.intervals_s[task.endpoint] * (1 + SPREAD * chance)
        if task.endpoint == "activity":
            due_s = min(due_s, _after_midnight(now_s) + SPREAD * chance * HOUR_S)
        self.progress[task] = Progress(due_s=due_s, asked_at_s=now_s, succeeded_at_s=now_s)

    def failed(
        self, task: Task, now_s: float, *, chance: float, retry_after_s: float | None = None, is_hidden: bool = False
    ) -> None:
        """Take in a failure.

        Args:
            task: What was asked.
            now_s: When.
            chance: 0…1.
            retry_after_s: What the server asks to wait.
            is_hidden: This kind of key may not see it.
        """
        before = self.progress[task]
        wait_s = min(FIRST_BACKOFF_S * 2.0 ** min(before.failures, MAX_DOUBLINGS), MAX_BACKOFF_S)
        wait_s *= (1 + chance) / 2
        if is_hidden:
            wait_s = HIDDEN_S * (1 + SPREAD * chance)
        wait_s = max(wait_s, min(retry_after_s or 0.0, MAX_RETRY_AFTER_S))
        self.progress[task] = replace(before, due_s=now_s + wait_s, asked_at_s=now_s, failures=before.failures + 1)


def _after_midnight(now_s: float) -> float:
    """Give the next time at which a UTC day has just been closed."""
    at_s = now_s - now_s % DAY_S + AFTER_MIDNIGHT_S
    return at_s if at_s > now_s else at_s + DAY_S
