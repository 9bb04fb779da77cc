"""A provider's own bill (CSV) beside the BYOK ledger: by UTC day and model, at contract prices.

Bytes of a file, the user's names for its columns and ledger entries come in; lines and comparisons go out. Every
provider exports other columns, so the user names them; dates, numbers and currency are read strictly, for a
misread bill is worse than none. Pure.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches

from or_otel.accounts import ActivityRow
from or_otel.entries import Entry
from or_otel.facts import EXACT, ZERO
from or_otel.reports.reconciliation import Comparison, Discounts, Tracked, compared, effective_usd, tracked_from

NEEDED = ("date", "model", "cost")
OPTIONAL = ("tokens",)
NUMBER = re.compile(r"-?(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?(?:[eE]-?\d{1,2})?")
"""With or without commas between thousands. A decimal comma is refused: 1,234 would be either."""
DOLLARS = re.compile(r"(-?)(?:US\$|USD|\$)?\s*(.*?)\s*(?:USD|US\$)?", re.IGNORECASE)
COMPACT_DAY = re.compile(r"\d{8}")
MAX_SHOWN = 40


class InvoiceError(Exception):
    """The file cannot be read as a bill; the message says where, what stands there, what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceLine:
    """One line of a bill.

    Attributes:
        day: UTC day.
        model: As the provider names it.
        cost_usd: What it costs.
        tokens: Of all kinds; None when the file does not say.
    """

    day: date
    model: str
    cost_usd: Decimal
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceComparison:
    """Ledger and bill.

    Attributes:
        rows: By day and model; the bill is the provider's side, on the BYOK ledger, and ours is at contract prices.
        wholes: By day.
        calls: BYOK calls of the ledger that this provider served.
        providers: Who served BYOK calls in that time.
    """

    rows: tuple[Comparison, ...]
    wholes: tuple[Comparison, ...]
    calls: int
    providers: tuple[str, ...]


def read_invoice(data: bytes, columns: str, *, where: str) -> tuple[InvoiceLine, ...]:
    """Read a bill.

    Args:
        data: The file: CSV with a header, split by comma, semicolon or tab.
        columns: `date=…,model=…,cost=…[,tokens=…]`: what the file calls them.
        where: Its name, for messages.

    Raises:
        InvoiceError: With the first line that is wrong.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvoiceError(f"{where}: not UTF-8 at byte {error.start}: expected a CSV file in UTF-8") from None
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        names = _names(columns, reader.fieldnames or (), where)
        return tuple(_line(row, names, f"{where}, line {reader.line_num}") for row in reader)
    except csv.Error as error:
        raise InvoiceError(f"{where}, line {reader.line_num}: no CSV: {error}") from None


def _names(columns: str, known: Sequence[str], where: str) -> dict[str, str]:
    names: dict[str, str] = {}
    for pair in columns.split(","):
        part, equals, name = (word.strip() for word in pair.partition("="))
        if not equals or part not in (*NEEDED, *OPTIONAL) or part in names:
            raise InvoiceError(f"--columns {pair.strip()!r}: expected date=…,model=…,cost=… and tokens=…, each once")
        if name not in known:
            near = get_close_matches(name.lower(), [each.lower() for each in known], 1)
            meant = next((each for each in known if near and each.lower() == near[0]), None)
            hint = f"did you mean {meant!r}?" if meant is not None else f"its columns are {', '.join(known) or 'none'}"
            raise InvoiceError(f"--columns {part}={name}: {where} has no such column; {hint}")
        names[part] = name
    missing = [part for part in NEEDED if part not in names]
    if missing:
        raise InvoiceError(f"--columns: {', '.join(missing)} missing: expected date=…,model=…,cost=…")
    return names


def _line(row: Mapping[str, str | None], names: Mapping[str, str], where: str) -> InvoiceLine:
    def told(part: str) -> str:
        return (row.get(names[part]) or "").strip()

    def wrong(part: str, expected: str) -> InvoiceError:
        return InvoiceError(f"{where}: {names[part]} = {told(part)[:MAX_SHOWN]!r}: expected {expected}")

    day = _day(told("date"))
    if day is None:
        raise wrong("date", "a UTC day as 2026-11-20 or 20261120, or a time as 2026-11-20T10:00:00Z; no line of totals")
    if not told("model"):
        raise wrong("model", "the name of a model")
    cost = _usd(told("cost"))
    if cost is None:
        raise wrong("cost", "US dollars with a decimal point, as 12.34, 1,234.50 or $0.02")
    tokens = _number(told("tokens")) if "tokens" in names and told("tokens") else None
    if "tokens" in names and told("tokens") and (tokens is None or tokens != int(tokens) or tokens < 0):
        raise wrong("tokens", "a whole number")
    return InvoiceLine(day=day, model=told("model"), cost_usd=cost, tokens=None if tokens is None else int(tokens))


def _day(text: str) -> date | None:
    # Others, as 11/20/2026, are read differently in different countries.
    if COMPACT_DAY.fullmatch(text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    try:
        at = datetime.fromisoformat(text.removesuffix(" UTC"))
    except ValueError:
        return None
    return at.date() if at.tzinfo is None else at.astimezone(UTC).date()


def _usd(text: str) -> Decimal | None:
    found = DOLLARS.fullmatch(text)
    amount = _number(found[2]) if found is not None else None
    if amount is None or found is None:
        return None
    return -amount if found[1] else amount


def _number(text: str) -> Decimal | None:
    return Decimal(text.replace(",", "")) if NUMBER.fullmatch(text) else None


def compared_invoice(
    entries: Iterable[Entry], lines: Sequence[InvoiceLine], *, provider: str, discounts: Discounts | None = None
) -> InvoiceComparison:
    """Put the ledger's BYOK calls beside a bill.

    Args:
        entries: Of the bill's days.
        lines: The bill.
        provider: Display name of who wrote it.
        discounts: What contracts take off list prices.
    """
    rows = [
        ActivityRow(day=line.day, model=line.model, provider=provider, byok_usd=line.cost_usd, input_tokens=line.tokens)
        for line in lines
    ]
    days = {line.day for line in lines}
    own: dict[str, list[Tracked]] = defaultdict(list)
    for each in tracked_from(entries, rows, {}):
        if each.day in days and each.entry.is_byok:
            own[(each.entry.served_provider or "").lower()].append(each)
    mine = own.get(provider.lower(), [])
    providers = {each.entry.served_provider or "" for several in own.values() for each in several}
    priced = [replace(each, entry=_priced(each.entry, provider, discounts or {})) for each in mine]
    return InvoiceComparison(
        rows=compared(priced, rows, days=days, by=("model",)),
        wholes=compared(priced, rows, days=days),
        calls=len(mine),
        providers=tuple(sorted(providers)),
    )


def _priced(entry: Entry, provider: str, discounts: Discounts) -> Entry:
    """Give a call as its provider bills it: nothing from the credits, the list price less the contract's discount."""
    upstream = effective_usd(entry.upstream or ZERO, provider, discounts)
    return replace(entry, charged=ZERO, upstream=EXACT.plus(upstream))
