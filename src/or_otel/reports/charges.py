"""Attempts of the ledger, or booked days of the account → charges: sums that stand on one invoice each.

Over an own provider key (BYOK) one attempt is two charges, OpenRouter's fee and the provider's bill; calls
and tokens stand with one of them, never with both. Pure: owners of keys come in as values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from or_otel.accounts import ActivityRow
from or_otel.days import DAY_S, begin_s
from or_otel.entries import Entry
from or_otel.facts import ZERO
from or_otel.reports.tables import Value

OPENROUTER = "OpenRouter"
UNKNOWN_PROVIDER = "unknown provider"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose key it is, as the account tells.

    Attributes:
        key_hash, key_name: Of the key; the name may be the client's own.
        creator, workspace: Ids of the user who made the key and of its workspace.
    """

    key_hash: str | None = None
    key_name: str | None = None
    creator: str | None = None
    workspace: str | None = None


NOBODY = Owner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One sum on one invoice.

    Attributes:
        started_at_s, ended_at_s: When it arose.
        cost: None when nobody told.
        list_cost: By list prices; None when not known.
        issuer: Whose invoice it is on: OpenRouter, or the provider under BYOK.
        seller: Who sold it: OpenRouter, or the server itself where it is none.
        served_by: Display name of who served.
        model: That answered.
        owner: Whose key.
        tags: Attribution.
        requests: Calls it stands for; 0 for the smaller part of a BYOK call, so that sums are right.
        input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens: None when not told,
            or told with the other part.
        unpriced: Why the cost is not known.
        more: Further columns of a single charge.
    """

    started_at_s: float
    ended_at_s: float
    cost: Decimal | None
    list_cost: Decimal | None = None
    issuer: str
    seller: str
    served_by: str | None = None
    model: str | None = None
    owner: Owner = NOBODY
    tags: Mapping[str, str] = field(default_factory=dict)
    requests: int = 1
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    unpriced: str | None = None
    more: Mapping[str, Value] = field(default_factory=dict)


TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def charges_of_attempt(entry: Entry, owner: Owner) -> Iterator[Charge]:
    """Give what one attempt of a call is charged with."""
    is_openrouter = entry.server == "openrouter"
    seller = OPENROUTER if is_openrouter else entry.server
    bill = entry.upstream_bill
    # A failed attempt that told no price and cannot have cost any is free, not unknown.
    cost = ZERO if entry.charged is None and bill is None and entry.unpriced is None else entry.charged
    more: dict[str, Value] = {
        "x_CallId": entry.call_id,
        "x_AttemptId": entry.attempt_id,
        "x_GenerationId": entry.generation_id,
        "x_Outcome": entry.attempt_outcome,
        "x_Billing": entry.billing,
        "x_CostSource": entry.source,
    }
    tokens = {name: getattr(entry, name) for name in TOKENS}

    def charge(cost: Decimal | None, issuer: str, *, is_main: bool) -> Charge:
        return Charge(
            started_at_s=entry.started_at_s,
            ended_at_s=entry.ended_at_s,
            cost=cost,
            list_cost=cost if entry.source == "catalog" else None,
            issuer=issuer,
            seller=seller,
            served_by=entry.provider,
            model=entry.model,
            owner=owner,
            tags=entry.tags,
            requests=int(is_main and entry.is_last),
            unpriced=entry.unpriced if is_main else None,
            more=more,
            **(tokens if is_main else {}),
        )

    if bill is not None:
        yield charge(bill, entry.provider, is_main=True)
        if entry.charged:
            yield charge(entry.charged, seller, is_main=False)
    else:
        yield charge(cost, seller, is_main=True)


def charges_of_day(row: ActivityRow, owner: Owner) -> Iterator[Charge]:
    """Give what OpenRouter booked for a day on one endpoint, and what the provider bills beside it."""
    day_s = begin_s(row.day)
    is_byok_main = bool(row.byok_usd) and not row.credits_usd
    more: dict[str, Value] = {"x_EndpointId": row.endpoint_id, "x_Permaslug": row.permaslug}

    def charge(cost: Decimal | None, issuer: str, *, is_main: bool) -> Charge:
        return Charge(
            started_at_s=day_s,
            ended_at_s=day_s + DAY_S,
            cost=cost,
            issuer=issuer,
            seller=OPENROUTER,
            served_by=row.provider,
            model=row.model,
            owner=owner,
            requests=(row.requests or 0) if is_main else 0,
            input_tokens=row.input_tokens if is_main else None,
            output_tokens=row.output_tokens if is_main else None,
            reasoning_tokens=row.reasoning_tokens if is_main else None,
            cache_read_tokens=row.cache_read_tokens if is_main else None,
            more=more,
        )

    if not is_byok_main:
        yield charge(row.credits_usd, OPENROUTER, is_main=True)
    if row.byok_usd:
        yield charge(row.byok_usd, row.provider or UNKNOWN_PROVIDER, is_main=is_byok_main)
