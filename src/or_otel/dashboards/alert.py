"""What an alert is, and the phrases that alerts share.

Each alert has an owner who can act, a page under `docs/runbooks/` of its name, and a board that shows why. Limits come
from metrics, shares and floors from `Choices`. A share needs a minimum count, a quotient a guarded divisor, a gauge a
few minutes of patience: one missed scrape ends no alert, one odd call begins none. Knows no board's inside, no file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from or_otel.catalogue import Metric
from or_otel.dashboards.promql import Series, of
from or_otel.dashboards.rules import Choices

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert.

    Attributes:
        name: `OrOtel…`; its runbook is named after the rest.
        severity: `critical` wakes somebody, `warning` is for today, `info` is for whoever looks.
        expr: When it is the case.
        for_: How long it must be the case.
        summary, description: For people; templates of Prometheus.
        board: The board that shows why.
        variables: Board variable → label of the alert that sets it.
    """

    name: str
    severity: Severity
    expr: str
    summary: str
    description: str
    board: str
    for_: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def runbook(self) -> str:
        """The name of its page, without ending."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", self.name.removeprefix("OrOtel")).lower()


def annotations_of(alert: Alert, choices: Choices) -> Mapping[str, str]:
    """Give what an alert says, with its links."""
    query = "&".join(f"var-{name}={{{{ $labels.{each} | urlquery }}}}" for name, each in alert.variables.items())
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{choices.docs_url}docs/runbooks/{alert.runbook}.md",
        "dashboard_url": f"{choices.grafana_url}/d/{alert.board}" + (f"?{query}" if query else ""),
    }


def shown(name: str) -> str:
    """Give the template of a label's value."""
    return f"{{{{ $labels.{name} }}}}"


VALUE = "{{ $value | humanize }}"
SHARE = "{{ $value | humanizePercentage }}"
DURATION = "{{ $value | humanizeDuration }}"


def latest(row: Metric, *grouping: str) -> str:
    """Give a gauge of the account, the same from whichever exporter, over a missed scrape or two."""
    grouped = f"max by ({', '.join(grouping)})" if grouping else "max"
    return f"{grouped} (last_over_time({of(row).name}[5m]))"


def lately(series: Series, window: str, grouping: tuple[str, ...], *matchers: str) -> str:
    """Give a recorded counter's growth in a window, in whole tiles of five minutes."""
    return f"sum by ({', '.join(grouping)}) (sum_over_time({series.where(*matchers)}[{window}:5m]))"
