"""A snapshot and the time → whether the exporter hears from OpenRouter, and if not, why. Pure; tells no key.

In order while what tells of money is young enough: the asking key, the keys, the credits, as far as the key at hand
may see them. A rejected key is told at once: waiting does not mend it. Other endpoints are listed beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from or_otel.account.poller import Snapshot
from or_otel.account.schedule import INTERVALS_S, Endpoint
from or_otel.accounts import KeyKind

State = Literal["ok", "waiting", "failing", "stale", "hidden"]

JUDGED: tuple[Endpoint, ...] = ("key", "keys", "credits")
"""What tells of money spent now. The list of models, public, would answer a revoked key, too."""
YOUNG_S = 300.0
MISSED_POLLS = 3
REJECTED = "401"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How asking one endpoint goes.

    Attributes:
        state: `waiting` for a first answer, `hidden` from this kind of key, `stale` when no answer is young.
        age_s: Since the last answer; None for never.
        reason: Why there is none now, for people.
    """

    state: State
    age_s: float | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How asking goes.

    Attributes:
        is_ok: Whether what is told about money can be believed.
        key_kind: What the keys at hand are worth; None while not known.
        endpoints: Each endpoint that was asked, or is judged.
        reasons: Why it is not in order, for people.
    """

    is_ok: bool
    key_kind: KeyKind | None
    endpoints: Mapping[Endpoint, EndpointHealth] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()


def health_of(snapshot: Snapshot, now_s: float, intervals_s: Mapping[Endpoint, float]) -> Health:
    """Say how it goes.

    Args:
        snapshot: As the account was last seen.
        now_s: Unix time.
        intervals_s: Time between two questions, where it is not the usual one.
    """
    intervals = {**INTERVALS_S, **intervals_s}
    asked = {task.endpoint for task in snapshot.troubles} | set(snapshot.succeeded_at_s)
    endpoints = {
        endpoint: _endpoint(snapshot, endpoint, now_s, intervals[endpoint])
        for endpoint in INTERVALS_S
        if endpoint in asked or endpoint in JUDGED
    }
    judged = [(endpoint, endpoints[endpoint]) for endpoint in JUDGED if endpoints[endpoint].state != "hidden"]
    reasons = []
    for endpoint, health in judged:
        if health.state == "ok" or (health.state == "failing" and not _is_rejected(snapshot, endpoint)):
            continue
        if health.state == "waiting" and health.reason is None:
            reasons.append(f"/{endpoint}: not answered yet")
        else:
            reasons.append(health.reason or f"/{endpoint}: no answer since {health.age_s:.0f} s")
    if not judged:
        reasons = [f"{', '.join(f'/{endpoint}' for endpoint in JUDGED)}: nothing that this key may see"]
    return Health(
        is_ok=not reasons,
        key_kind=snapshot.key_kind,
        endpoints=endpoints,
        reasons=tuple(dict.fromkeys(reasons)),
    )


def to_json(health: Health) -> dict[str, object]:
    """Give the page."""
    return {
        "status": "ok" if health.is_ok else "failing",
        "key_kind": health.key_kind,
        "reasons": list(health.reasons),
        "endpoints": {
            name: {
                "state": each.state,
                "age_s": None if each.age_s is None else round(each.age_s, 1),
                "reason": each.reason,
            }
            for name, each in health.endpoints.items()
        },
    }


def _endpoint(snapshot: Snapshot, endpoint: Endpoint, now_s: float, interval_s: float) -> EndpointHealth:
    troubles = [trouble for task, trouble in snapshot.troubles.items() if task.endpoint == endpoint]
    reason = troubles[0].message if troubles else None
    if endpoint in snapshot.hidden:
        return EndpointHealth(state="hidden", reason=reason)
    at_s = snapshot.succeeded_at_s.get(endpoint)
    if at_s is None:
        return EndpointHealth(state="waiting", reason=reason)
    age_s = max(0.0, now_s - at_s)
    if age_s > max(YOUNG_S, MISSED_POLLS * interval_s):
        return EndpointHealth(state="stale", age_s=age_s, reason=reason)
    return EndpointHealth(state="failing" if troubles else "ok", age_s=age_s, reason=reason)


def _is_rejected(snapshot: Snapshot, endpoint: Endpoint) -> bool:
    return any(
        task.endpoint == endpoint and trouble.error_type == REJECTED for task, trouble in snapshot.troubles.items()
    )
