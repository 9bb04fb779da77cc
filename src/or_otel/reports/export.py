"""Charges → rows for finance, in FOCUS columns: one each, or added up; as CSV or JSON lines, one after the other.

Money is exact; what is not known is empty, though FOCUS wants a figure: an unknown price is no zero. Columns of
ours begin with `x_`, as FOCUS asks of custom ones. Pure.
Source: FOCUS 1.2, focus.finops.org/focus-specification/v1-2, seen 2026-11. (1.3 renames ProviderName.)
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from or_otel.facts import EXACT, ZERO
from or_otel.reports.charges import TOKENS, Charge
from or_otel.reports.money import exact
from or_otel.reports.tables import harmless

FOCUS_VERSION = "1.2"
Format = Literal["csv", "jsonl"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl")

SERVICE_CATEGORY = "AI and Machine Learning"
CURRENCY = "USD"
Row = dict[str, object]


class DimensionError(ValueError):
    """A charge cannot be grouped so; the message says what would be right."""


# Columns --------------------------------------------------------------------------------------------------------------

FOCUS_COLUMNS = (
    "BilledCost",
    "EffectiveCost",
    "ListCost",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ChargeCategory",
    "ChargeFrequency",
    "ChargeDescription",
    "ProviderName",
    "PublisherName",
    "InvoiceIssuerName",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "ConsumedQuantity",
    "ConsumedUnit",
    "Tags",
)
OUR_COLUMNS = (
    "x_ServedBy",
    "x_Requests",
    "x_InputTokens",
    "x_OutputTokens",
    "x_CacheReadTokens",
    "x_CacheWriteTokens",
    "x_ReasoningTokens",
    "x_Unpriced",
    "x_CreatorId",
    "x_WorkspaceId",
)
CALL_COLUMNS = (
    *FOCUS_COLUMNS,
    *OUR_COLUMNS,
    *("x_CallId", "x_AttemptId", "x_GenerationId", "x_Outcome", "x_Billing", "x_CostSource"),
)
ACTIVITY_COLUMNS = (*FOCUS_COLUMNS, *OUR_COLUMNS, "x_EndpointId", "x_Permaslug")


def row_of(charge: Charge) -> Row:
    """Write a charge under its columns; what is not known is left out."""
    described = " by ".join(name for name in (charge.model, charge.served_by) if name)
    tokens = [charge.input_tokens, charge.output_tokens]
    return _without_none(
        {
            **_money(charge.cost, charge.list_cost),
            **_times(charge.started_at_s, charge.ended_at_s),
            "ChargeDescription": described or None,
            "ProviderName": charge.seller,
            "PublisherName": publisher(charge.model),
            "InvoiceIssuerName": charge.issuer,
            "ServiceName": charge.seller,
            "SkuId": charge.model,
            "SubAccountId": charge.owner.key_hash,
            "SubAccountName": charge.owner.key_name,
            **_consumed(None if tokens == [None, None] else sum(each or 0 for each in tokens)),
            "Tags": json.dumps(dict(charge.tags), ensure_ascii=False, sort_keys=True) if charge.tags else None,
            "x_ServedBy": charge.served_by,
            "x_Requests": charge.requests,
            "x_InputTokens": charge.input_tokens,
            "x_OutputTokens": charge.output_tokens,
            "x_CacheReadTokens": charge.cache_read_tokens,
            "x_CacheWriteTokens": charge.cache_write_tokens,
            "x_ReasoningTokens": charge.reasoning_tokens,
            "x_Unpriced": charge.unpriced,
            "x_CreatorId": charge.owner.creator,
            "x_WorkspaceId": charge.owner.workspace,
            **charge.more,
        }
    )


def publisher(model: str | None) -> str | None:
    """Give who made a model, by its slug: `anthropic/claude…`; None where the name does not tell."""
    author, slash, _ = (model or "").lstrip("~").partition("/")
    return author if slash and author else None


def _money(cost: Decimal | None, list_cost: Decimal | None) -> Row:
    # Nothing here is paid ahead and spread over time: what is billed is what it effectively cost.
    return {
        "BilledCost": exact(cost),
        "EffectiveCost": exact(cost),
        "ListCost": exact(list_cost),
        "BillingCurrency": CURRENCY,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ServiceCategory": SERVICE_CATEGORY,
    }


def _times(started_at_s: float, ended_at_s: float) -> Row:
    begin = datetime.fromtimestamp(math.floor(started_at_s), UTC)
    end = datetime.fromtimestamp(max(math.ceil(ended_at_s), math.floor(started_at_s) + 1), UTC)
    month = begin.replace(day=1, hour=0, minute=0, second=0)
    return {
        "BillingPeriodStart": _iso(month),
        "BillingPeriodEnd": _iso(_next_month(month)),
        "ChargePeriodStart": _iso(begin),
        "ChargePeriodEnd": _iso(end),
    }


def _consumed(tokens: int | None) -> Row:
    return {"ConsumedQuantity": tokens, "ConsumedUnit": None if tokens is None else "Tokens"}


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _next_month(month: datetime) -> datetime:
    return (month + timedelta(days=31)).replace(day=1)


def _without_none(row: Mapping[str, object]) -> Row:
    return {name: value for name, value in row.items() if value is not None}


# Sums -----------------------------------------------------------------------------------------------------------------

Dimension = Callable[[Charge], str | None]
DIMENSIONS: Mapping[str, Dimension] = {
    "month": lambda charge: f"{datetime.fromtimestamp(charge.started_at_s, UTC):%Y-%m}",
    "day": lambda charge: f"{datetime.fromtimestamp(charge.started_at_s, UTC):%Y-%m-%d}",
    "model": lambda charge: charge.model,
    "provider": lambda charge: charge.served_by,
    "key": lambda charge: charge.owner.key_name or charge.owner.key_hash,
    "creator": lambda charge: charge.owner.creator,
    "workspace": lambda charge: charge.owner.workspace,
}
USUAL_TAGS = ("team", "feature", "customer", "workflow")
TAG_PREFIX = "tag:"


def dimension_of(name: str, *, has_tags: bool) -> Dimension:
    """Give what reads a dimension.

    Raises:
        DimensionError: There is none of that name.
    """
    if name in DIMENSIONS:
        return DIMENSIONS[name]
    if has_tags and (name in USUAL_TAGS or name.startswith(TAG_PREFIX)):
        tag = name.removeprefix(TAG_PREFIX)
        return lambda charge: charge.tags.get(tag)
    known = [*DIMENSIONS, *([*USUAL_TAGS, "tag:<name>"] if has_tags else [])]
    raise DimensionError(f"--by {name!r}: expected {', '.join(known)}")


class Sums:
    """Adds charges up by dimensions, and by invoice: sums of two issuers or two months are never mixed.

    Args:
        by: Names of dimensions.
        since_s, until_s: The period; no row tells of more.
        has_tags: Whether charges carry tags.
    """

    def __init__(self, by: Sequence[str], *, since_s: float, until_s: float, has_tags: bool) -> None:
        self._by = tuple(by)
        self._dimensions = [dimension_of(name, has_tags=has_tags) for name in by]
        self._period_s = (since_s, until_s)
        self._groups: dict[tuple[str | None, ...], _Sum] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of its rows."""
        shown = [name for name in FOCUS_COLUMNS if name not in NOT_OF_SUMS]
        dimensions = [column_of(name) for name in self._by]
        return (*dimensions, *shown, "x_Requests", "x_UnpricedCharges", *map(_token_column, TOKENS))

    def add(self, charge: Charge) -> None:
        """Add one charge."""
        invoice = (charge.issuer, charge.seller, DIMENSIONS["month"](charge))
        group = (*invoice, *(dimension(charge) for dimension in self._dimensions))
        self._groups.setdefault(group, _Sum()).add(charge)

    def rows(self) -> Iterator[Row]:
        """Give one row for each group, in the order of the dimensions, then by month and issuer."""
        for group in sorted(self._groups, key=lambda each: tuple(value or "" for value in (*each[3:], *each[2::-1]))):
            issuer, seller, month, *values = group
            told = dict(zip(self._by, values, strict=True))
            found = self._groups[group]
            tokens = [found.tokens[name] for name in TOKENS[:2] if name in found.tokens]
            yield _without_none(
                {
                    **_money(found.cost, found.list_cost),
                    **_times(*self._bounds(told.get("day"), month or "")),
                    "ProviderName": seller,
                    "InvoiceIssuerName": issuer,
                    "ServiceName": seller,
                    **_consumed(sum(tokens) if tokens else None),
                    **{column_of(name): value for name, value in told.items()},
                    "x_Requests": found.requests,
                    "x_UnpricedCharges": found.unpriced,
                    **{_token_column(name): number for name, number in found.tokens.items()},
                }
            )

    def _bounds(self, day: str | None, month: str) -> tuple[float, float]:
        """Give the charge period: the day or month of the row, as far as it was asked for."""
        since_s, until_s = self._period_s
        begin = datetime.fromisoformat(f"{day or f'{month}-01'}T00:00:00+00:00")
        end = begin + timedelta(days=1) if day else _next_month(begin)
        return max(begin.timestamp(), since_s), min(end.timestamp(), until_s)


NOT_OF_SUMS = frozenset({"ChargeDescription", "PublisherName", "SkuId", "SubAccountId", "SubAccountName", "Tags"})
"""What differs within a sum; dimensions have columns of their own."""


@dataclass(slots=True)
class _Sum:
    cost: Decimal | None = None
    list_cost: Decimal | None = None
    requests: int = 0
    unpriced: int = 0
    tokens: dict[str, int] = field(default_factory=dict)

    def add(self, charge: Charge) -> None:
        if charge.cost is not None:
            self.cost = EXACT.add(self.cost or ZERO, charge.cost)
        if charge.list_cost is not None:
            self.list_cost = EXACT.add(self.list_cost or ZERO, charge.list_cost)
        self.requests += charge.requests
        self.unpriced += charge.cost is None or charge.unpriced is not None
        for name in TOKENS:
            number = getattr(charge, name)
            if number is not None:
                self.tokens[name] = self.tokens.get(name, 0) + number


def column_of(dimension: str) -> str:
    """Name the column of a dimension: `x_Model`, `x_TagCostCenter`."""
    words = [word for word in re.split(r"[^A-Za-z0-9]+", dimension) if word]
    return "x_" + "".join(word[:1].upper() + word[1:] for word in words)


def _token_column(name: str) -> str:
    return column_of(name)


# Text -----------------------------------------------------------------------------------------------------------------


def written(rows: Iterable[Row], columns: Sequence[str], form: Format) -> Iterator[str]:
    """Write rows as lines, one after the other.

    CSV has a header and quotes everything: a spreadsheet that splits at semicolons must not find a formula
    within a tag. JSON lines leave out what is not known and keep text as it is.
    """
    if form == "jsonl":
        for row in rows:
            yield json.dumps({name: row[name] for name in columns if name in row}, ensure_ascii=False) + "\n"
        return
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        yield _taken(text)
        writer.writerow(["" if (value := row.get(name)) is None else harmless(value) for name in columns])
    yield _taken(text)


def _taken(text: io.StringIO) -> str:
    line = text.getvalue()
    text.seek(0)
    text.truncate()
    return line
