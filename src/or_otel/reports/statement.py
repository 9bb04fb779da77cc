"""Stored closed days of one company's keys → what it owes for a month, to the last digit.

Pure: rows, keys, contracts and the days that are missing come in, a frozen `Statement` goes out. Credits (what
OpenRouter took) and bills over own provider keys stay apart; the latter are list prices, beside them what the
contract leaves of them. A day that is not known is told and never estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import groupby

from or_otel.accounts import AccountKey, ActivityRow
from or_otel.days import ONE_DAY, begin_s
from or_otel.facts import ZERO, plus, total
from or_otel.reports.account import HASH_DIGITS, key_name
from or_otel.reports.activity import ActivitySums, RowDimension, add_rows, dearest_first, grouped
from or_otel.reports.money import exact, plural, usd
from or_otel.reports.reconciliation import Discounts, effective_usd
from or_otel.reports.sections import Section
from or_otel.reports.tables import Column, Table, Value, to_rows


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledKey:
    """A key of the company.

    Attributes:
        key: As it was last seen.
        is_gone: Whether the account lists it no more.
        rows: What was booked for it in the period.
        missing: Days of the period that are not known, or not for certain.
    """

    key: AccountKey
    is_gone: bool = False
    rows: tuple[ActivityRow, ...] = ()
    missing: tuple[date, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a company owes for a month.

    Attributes:
        company: Whose.
        since, until: Closed days that it is about, the second not included.
        is_running: Whether the month is not over yet.
        keys: Its keys, deleted ones too.
        discounts: Of contracts for own provider keys.
        left_over_usd: What the account was billed on known days for keys that nobody can name: it stands in no
            company's statement. None when the account's own days are not known.
        committed: Providers whose contract commits to a sum, which is not shared out here.
    """

    company: str
    since: date
    until: date
    is_running: bool = False
    keys: tuple[BilledKey, ...] = ()
    discounts: Discounts = field(default_factory=dict)
    left_over_usd: Decimal | None = None
    committed: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[ActivityRow, ...]:
        """What was booked, by day, key, model, provider."""
        return tuple(row for billed in self.keys for row in billed.rows)

    @property
    def is_complete(self) -> bool:
        """Whether every closed day of every key is known."""
        return not any(billed.missing for billed in self.keys) and not any(
            row.credits_usd is None or row.byok_usd is None for row in self.rows
        )

    def effective_usd(self, rows: Iterable[ActivityRow]) -> Decimal:
        """Give what rows cost over own provider keys after the contracts' discounts."""
        return total(effective_usd(row.byok_usd or ZERO, row.provider, self.discounts) for row in rows)


def of_days(key: AccountKey, days: Iterable[date]) -> tuple[date, ...]:
    """Leave out days before the key was made: nothing can be missing of them."""
    made = key.created_at_s
    return tuple(day for day in days if made is None or begin_s(day + ONE_DAY) > made)


# Sections -------------------------------------------------------------------------------------------------------------


def title(shown: Statement) -> str:
    """Name the document."""
    return f"Statement for {shown.company}, {shown.since:%B %Y}"


def sections(shown: Statement) -> tuple[Section, ...]:
    """Give what people read: sum, by model, by key, by day."""
    names = {billed.key.hash: _named(billed) for billed in shown.keys}
    by_model: RowDimension = lambda row: row.model  # noqa: E731 -- a row of the table below
    by_key: RowDimension = lambda row: names.get(row.key_hash)  # noqa: E731
    by_day: RowDimension = lambda row: row.day.isoformat()  # noqa: E731
    return (
        _sum_section(shown),
        Section(name="by_model", title="By model", table=_table(shown, "model", by_model)),
        Section(name="by_key", title="By key", table=_table(shown, "key", by_key)),
        Section(name="by_day", title="By day (UTC)", table=_table(shown, "day", by_day)),
    )


def _sum_section(shown: Statement) -> Section:
    sums, effective = add_rows(shown.rows), shown.effective_usd(shown.rows)
    credits_usd, byok_usd = sums.credits_usd or ZERO, sums.byok_usd or ZERO
    rows: list[tuple[Value, ...]] = [("OpenRouter credits", credits_usd), ("own provider keys, list price", byok_usd)]
    if shown.discounts:
        rows.append(("own provider keys, by contract", effective))
    rows.append(("sum", plus(credits_usd, effective)))
    last = shown.until - ONE_DAY
    days = (
        f"{shown.since.isoformat()} to {last.isoformat()} (UTC)" if shown.until > shown.since else "no closed day yet"
    )
    return Section(
        name="sum",
        title="Sum",
        lead=f"{days}, {plural(len(shown.keys), 'key')}, {plural(sums.requests or 0, 'request')}.",
        table=Table(
            columns=(Column(name="item", title="item"), Column(name="usd", title="US dollars")),
            # All digits: this is what is paid.
            rows=tuple((name, f"{'' if shown.is_complete else '≥ '}{_dollars(amount)}") for name, amount in rows),
        ),
        notes=tuple(notes(shown)),
        is_alarm=not shown.is_complete,
    )


def _dollars(amount: Value) -> str:
    text = exact(amount) if isinstance(amount, Decimal) else None
    whole, _, decimals = (text or "0").partition(".")
    return f"{whole}.{decimals.ljust(2, '0')}"


def notes(shown: Statement) -> Iterator[str]:
    """Say what must be known to read the figures right."""
    for billed in shown.keys:
        if billed.missing:
            yield (
                f"Not known for {_named(billed)}: {_spans(billed.missing)}. OpenRouter tells 30 closed days back, and "
                "nothing older was stored: the sums are what is known at least."
            )
    if shown.is_running:
        yield "The month is not over: today and the days to come are not in it."
    gone = [_named(billed) for billed in shown.keys if billed.is_gone]
    if gone:
        yield f"Deleted since, and billed all the same: {', '.join(gone)}."
    if any(row.credits_usd is None or row.byok_usd is None for row in shown.rows):
        yield "Some rows do not say their money: the sums are what is known at least."
    if shown.committed:
        yield f"Commitments to {', '.join(shown.committed)} are owed beside this and are not shared out here."
    if shown.left_over_usd is None:
        yield "Whether other keys were billed that nobody can name is not known: the account's own days are missing."
    elif shown.left_over_usd:
        yield (
            f"On these days the account was billed {usd(shown.left_over_usd)} for keys that or-otel never saw "
            "(deleted before it looked): they are in no company's statement."
        )


def _named(billed: BilledKey) -> str:
    """Name a key so that two of the same name are told apart."""
    key = billed.key
    mark = f" ({key.hash[:HASH_DIGITS]})" if key.hash and key.name else ""
    return f"{key_name(key)}{mark}"


def _spans(days: Sequence[date]) -> str:
    """Write days as spans."""
    ordered = sorted(days)
    spans = []
    for _, group in groupby(enumerate(ordered), key=lambda each: each[1] - each[0] * ONE_DAY):
        run = [day for _, day in group]
        spans.append(run[0].isoformat() if len(run) == 1 else f"{run[0].isoformat()} to {run[-1].isoformat()}")
    return ", ".join(spans)


FIGURES = (
    Column(name="requests", title="requests", kind="count"),
    Column(name="input_tokens", title="in", kind="tokens"),
    Column(name="output_tokens", title="out", kind="tokens"),
    Column(name="credits_usd", title="credits", kind="usd"),
    Column(name="byok_usd", title="own keys, list", kind="usd"),
    Column(name="byok_effective_usd", title="own keys, by contract", kind="usd"),
    Column(name="total_usd", title="sum", kind="usd"),
)
"""The sum is credits and what contracts leave of list prices."""


def _table(shown: Statement, name: str, dimension: RowDimension) -> Table:
    groups = dearest_first(grouped(shown.rows, (dimension,)))
    if name == "day":
        groups.sort(key=lambda each: each[0][0] or "")
    by_group: dict[str | None, list[ActivityRow]] = {}
    for row in shown.rows:
        by_group.setdefault(dimension(row), []).append(row)
    return Table(
        columns=(Column(name=name, title=name), *FIGURES),
        rows=tuple((group, *_figures(sums, shown.effective_usd(by_group[group]))) for (group,), sums in groups),
        floors=frozenset(place for place, (_, sums) in enumerate(groups) if sums.is_floor),
    )


def _figures(sums: ActivitySums, effective: Decimal) -> tuple[Value, ...]:
    return (
        sums.requests,
        sums.input_tokens,
        sums.output_tokens,
        sums.credits_usd,
        sums.byok_usd,
        effective,
        plus(sums.credits_usd, effective),
    )


def lines(shown: Statement) -> Table:
    """Give every row: day, key, model, provider; for CSV and JSON."""
    keys = {billed.key.hash: billed for billed in shown.keys}
    order: Callable[[ActivityRow], tuple[str, ...]] = lambda row: (  # noqa: E731
        row.day.isoformat(),
        key_name(keys[row.key_hash].key),
        row.key_hash or "",
        row.model or "",
        row.provider or "",
    )
    return Table(
        columns=(
            *(Column(name=name, title=name) for name in ("company", "day", "key", "key_hash", "model", "provider")),
            *FIGURES,
        ),
        rows=tuple(
            (
                shown.company,
                row.day.isoformat(),
                key_name(keys[row.key_hash].key),
                (row.key_hash or "")[:HASH_DIGITS] or None,
                row.model,
                row.provider,
                *_figures(add_rows((row,)), shown.effective_usd((row,))),
            )
            for row in sorted(shown.rows, key=order)
        ),
    )


def to_json(shown: Statement) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    sums, effective = add_rows(shown.rows), shown.effective_usd(shown.rows)
    tables = {section.name: to_rows(section.table) for section in sections(shown)[1:] if section.table is not None}
    return {
        "version": 1,
        "company": shown.company,
        "since": shown.since.isoformat(),
        "until": shown.until.isoformat(),
        "is_running": shown.is_running,
        "is_complete": shown.is_complete,
        "total": {
            "requests": sums.requests or 0,
            "input_tokens": sums.input_tokens,
            "output_tokens": sums.output_tokens,
            "credits_usd": exact(sums.credits_usd or ZERO),
            "byok_usd": exact(sums.byok_usd or ZERO),
            "byok_effective_usd": exact(effective),
            "total_usd": exact(plus(sums.credits_usd or ZERO, effective)),
        },
        "missing_days": {
            _named(billed): [day.isoformat() for day in billed.missing] for billed in shown.keys if billed.missing
        },
        "left_over_usd": exact(shown.left_over_usd),
        "notes": list(notes(shown)),
        **tables,
        "lines": to_rows(lines(shown)),
    }


def companies(labels: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Name the companies that own a key."""
    return tuple(sorted({told["company"] for told in labels if "company" in told}))
