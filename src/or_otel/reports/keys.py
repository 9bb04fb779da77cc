"""Keys of the account, what clients saw of them, the settings file → whose each is, and which want a look.

Pure: values and the moment come in, a frozen `Review` goes out, the most important row first. What cannot be
matched stands in lists of its own and is counted, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from or_otel.accounts import AccountKey
from or_otel.config.keys import OWNER_FIELDS, Assignment
from or_otel.days import DAY_S
from or_otel.entries import Entry
from or_otel.facts import ZERO, plus
from or_otel.reports.account import HASH_DIGITS, NEAR, key_name
from or_otel.reports.money import exact, plural, usd
from or_otel.reports.sections import Section
from or_otel.reports.tables import Column, Table, Value

FindingName = Literal[
    "exhausted",
    "shared",
    "expiring",
    "near_limit",
    "no_limit",
    "unassigned",
    "unused",
    "never_expires",
    "expired",
    "disabled",
]
IMPORTANCE: Mapping[FindingName, int] = {
    "exhausted": 100,  # requests are refused now
    "shared": 80,  # nobody can say who spends, and rotating it breaks several
    "expiring": 70,
    "near_limit": 70,
    "no_limit": 50,
    "unassigned": 40,
    "unused": 35,
    "never_expires": 20,
    "expired": 5,
    "disabled": 5,
}
UNUSED_S = 30.0 * DAY_S
EXPIRING_S = 14.0 * DAY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What clients saw of one fingerprint.

    Attributes:
        fingerprint: The first 12 hex digits of the key's SHA-256.
        names: As the applications call the key.
        services: `service.name` of the programs that used it.
        calls: How many.
        last_used_at_s: When a call last began.
    """

    fingerprint: str
    names: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    calls: int = 0
    last_used_at_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something about a key that wants a look.

    Attributes:
        name: Which.
        text: For people.
    """

    name: FindingName
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedKey:
    """One key of the account.

    Attributes:
        key: As the account tells it.
        assignment: Whose it is.
        fingerprint: What clients know it by; None when that is not known.
        use: What clients saw; None when nothing.
        findings: The most important first.
    """

    key: AccountKey
    assignment: Assignment
    fingerprint: str | None = None
    use: Use | None = None
    findings: tuple[Finding, ...] = ()

    @property
    def importance(self) -> int:
        """Of its worst finding."""
        return max((IMPORTANCE[finding.name] for finding in self.findings), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """All keys.

    Attributes:
        keys: The most important first.
        unknown: Fingerprints that clients saw and that meet no key of the account.
        unseen: Keys of the account whose fingerprint is not known: nothing that clients tell can be held against them.
        ambiguities: Keys that meet several rows of the settings file, in sentences.
    """

    keys: tuple[ReviewedKey, ...] = ()
    unknown: tuple[Use, ...] = ()
    unseen: tuple[AccountKey, ...] = ()
    ambiguities: tuple[str, ...] = ()


@dataclass(slots=True)
class Uses:
    """Gathers what entries of the ledger tell of keys."""

    found: dict[str, Use] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        """Take one attempt."""
        if entry.key_id is None:
            return
        use = self.found.get(entry.key_id) or Use(fingerprint=entry.key_id)
        self.found[entry.key_id] = Use(
            fingerprint=use.fingerprint,
            names=use.names if entry.key_name is None else use.names | {entry.key_name},
            services=use.services if entry.service_name is None else use.services | {entry.service_name},
            calls=use.calls + entry.is_last,
            last_used_at_s=max(use.last_used_at_s, entry.call_started_at_s),
        )


def review(
    keys: Sequence[AccountKey],
    *,
    assign: Callable[[AccountKey, str | None], Assignment],
    fingerprint_of: Callable[[AccountKey], str | None],
    uses: Mapping[str, Use],
    now_s: float,
    is_whole: bool = True,
    ambiguities: Iterable[str] = (),
) -> Review:
    """Say whose each key is and which want a look.

    Args:
        keys: Of the account.
        assign: Key and fingerprint → whose it is.
        fingerprint_of: Key → what clients know it by, where that is known.
        uses: What clients saw, by fingerprint.
        now_s: The moment.
        is_whole: Whether these are all keys of the account; else other fingerprints are nothing strange.
        ambiguities: Of the settings file.
    """
    rows = []
    for key in keys:
        fingerprint = fingerprint_of(key)
        use = uses.get(fingerprint or "")
        assignment = assign(key, fingerprint)
        rows.append(
            ReviewedKey(
                key=key,
                assignment=assignment,
                fingerprint=fingerprint,
                use=use,
                findings=_findings(key, assignment, use, now_s),
            )
        )
    rows.sort(key=lambda row: (-row.importance, -len(row.findings), -(month_usd(row.key) or ZERO), key_name(row.key)))
    met = {row.fingerprint for row in rows}
    unknown = [use for mark, use in uses.items() if mark not in met] if is_whole else []
    return Review(
        keys=tuple(rows),
        unknown=tuple(sorted(unknown, key=lambda use: -use.calls)),
        unseen=tuple(row.key for row in rows if row.fingerprint is None),
        ambiguities=tuple(ambiguities),
    )


def month_usd(key: AccountKey) -> Decimal | None:
    """Give what a key spent this month over both ledgers."""
    return plus(key.credits.monthly_usd, key.byok.monthly_usd)


def _findings(key: AccountKey, assignment: Assignment, use: Use | None, now_s: float) -> tuple[Finding, ...]:
    if key.is_disabled:
        return (Finding(name="disabled", text="switched off; delete it if it is not needed"),)
    if key.expires_at_s is not None and key.expires_at_s <= now_s:
        return (Finding(name="expired", text=f"expired on {_day(key.expires_at_s)}"),)
    found = _of_limit(key) | _of_time(key, use, now_s)
    if use is not None and len(use.services) > 1:
        found["shared"] = f"used by {len(use.services)} services: {', '.join(sorted(use.services))}"
    if not assignment.labels:
        found["unassigned"] = "nobody's: no row of [[keys]] means it"
    ordered = sorted(found.items(), key=lambda each: -IMPORTANCE[each[0]])
    return tuple(Finding(name=name, text=text) for name, text in ordered)


def _of_limit(key: AccountKey) -> dict[FindingName, str]:
    limit, left = key.limit_usd, key.limit_remaining_usd
    if limit is None:
        return {"no_limit": "no limit: a leak or a loop may spend all credits"}
    # A limit of zero is a way to switch a key off.
    if left is None or limit <= 0 or limit - left < NEAR * limit:
        return {}
    if left <= 0:
        return {"exhausted": f"its limit of {usd(limit)} is reached, requests are refused"}
    return {"near_limit": f"{usd(left)} of {usd(limit)} left"}


def _of_time(key: AccountKey, use: Use | None, now_s: float) -> dict[FindingName, str]:
    found: dict[FindingName, str] = {}
    if key.expires_at_s is None:
        found["never_expires"] = "never expires"
    elif key.expires_at_s - now_s <= EXPIRING_S:
        found["expiring"] = f"expires on {_day(key.expires_at_s)}"
    last_used_s = max(key.last_used_at_s or 0.0, 0.0 if use is None else use.last_used_at_s)
    is_never_used = not last_used_s and not key.credits.lifetime_usd and not key.byok.lifetime_usd
    if is_never_used and key.created_at_s is not None and now_s - key.created_at_s >= UNUSED_S:
        found["unused"] = f"never used since {_day(key.created_at_s)}"
    elif last_used_s and now_s - last_used_s >= UNUSED_S:
        found["unused"] = f"not used since {_day(last_used_s)}"
    return found


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d}"


# For people and programs ----------------------------------------------------------------------------------------------


def table(shown: Review, *, is_for_people: bool = False) -> Table:
    """Give a row for each key; findings are sentences for people and names for programs."""
    owners = [name for name in OWNER_FIELDS if any(getattr(row.assignment, name) for row in shown.keys)]
    if not is_for_people:
        owners = list(OWNER_FIELDS)
    return Table(
        columns=(
            Column(name="key", title="key"),
            Column(name="key_hash", title="hash", is_whole=True, spare=1),
            *(Column(name=name, title=name, spare=2) for name in owners),
            Column(name="fingerprint", title=""),
            Column(name="month_usd", title="this month", kind="usd"),
            Column(name="limit_usd", title="limit", kind="usd", is_certain=True),
            Column(name="limit_remaining_usd", title="left", kind="usd", is_certain=True),
            Column(name="limit_reset", title=""),
            Column(name="expires_at_s", title="", kind="time"),
            Column(name="last_used_at_s", title="", kind="time"),
            Column(name="findings", title="findings"),
        ),
        rows=tuple(_row(row, owners, is_for_people=is_for_people) for row in shown.keys),
    )


def _row(row: ReviewedKey, owners: Sequence[str], *, is_for_people: bool) -> tuple[Value, ...]:
    key = row.key
    labels = row.assignment.labels
    told = " · ".join(each.text for each in row.findings) if is_for_people else " ".join(_names(row))
    return (
        key_name(key),
        key.hash[:HASH_DIGITS] if key.hash else None,
        *(labels.get(name, "" if is_for_people else None) for name in owners),
        row.fingerprint,
        month_usd(key),
        key.limit_usd,
        key.limit_remaining_usd,
        key.limit_reset,
        key.expires_at_s,
        key.last_used_at_s,
        told or ("in order" if is_for_people else None),
    )


def _names(row: ReviewedKey) -> list[str]:
    return [finding.name for finding in row.findings]


def sections(shown: Review) -> tuple[Section, ...]:
    """Give what a terminal shows."""
    bad = sum(1 for row in shown.keys if row.findings)
    lead = f"{plural(len(shown.keys), 'key')}, {bad} with findings." if shown.keys else "There are no keys."
    found = [
        Section(name="keys", title="Keys", lead=lead, table=table(shown, is_for_people=True), notes=shown.ambiguities)
    ]
    if shown.unknown:
        found.append(
            Section(
                name="unknown_fingerprints",
                title="Seen by clients, and no key of the account is known by it",
                lead=(
                    f"{plural(len(shown.unknown), 'fingerprint')}. Keys of the account are met by a row of [[keys]] "
                    "with hash and fingerprint; or set OPENROUTER_API_KEY beside the management key: one key at hand "
                    "may prove how hashes are made, and match them all."
                ),
                table=Table(
                    columns=(
                        Column(name="fingerprint", title="fingerprint"),
                        Column(name="names", title="called"),
                        Column(name="services", title="services"),
                        Column(name="calls", title="calls", kind="count"),
                        Column(name="last_used_at_s", title="last used (UTC)", kind="time"),
                    ),
                    rows=tuple(_use_row(use) for use in shown.unknown),
                ),
            )
        )
    if shown.unseen:
        names = ", ".join(map(key_name, shown.unseen))
        found.append(
            Section(
                name="unseen_keys",
                title="Keys that no client's fingerprint meets",
                lead=f"{plural(len(shown.unseen), 'key')}: {names}.",
            )
        )
    return tuple(found)


def _use_row(use: Use) -> tuple[Value, ...]:
    names, services = ", ".join(sorted(use.names)), ", ".join(sorted(use.services))
    return use.fingerprint, names or None, services or None, use.calls, use.last_used_at_s


def to_json(shown: Review) -> dict[str, object]:
    """Give what `json.dumps` takes: money as exact text, null for what is not known."""
    return {
        "version": 1,
        "keys": [
            {
                "key": key_name(row.key),
                "key_hash": row.key.hash[:HASH_DIGITS] if row.key.hash else None,
                "fingerprint": row.fingerprint,
                "assignment": row.assignment.labels,
                "month_usd": exact(month_usd(row.key)),
                "limit_usd": exact(row.key.limit_usd),
                "limit_remaining_usd": exact(row.key.limit_remaining_usd),
                "limit_reset": row.key.limit_reset,
                "expires_at_s": row.key.expires_at_s,
                "last_used_at_s": row.key.last_used_at_s,
                "services": sorted(row.use.services) if row.use is not None else [],
                "findings": [{"name": each.name, "text": each.text} for each in row.findings],
            }
            for row in shown.keys
        ],
        "unknown_fingerprints": [
            {
                "fingerprint": use.fingerprint,
                "names": sorted(use.names),
                "services": sorted(use.services),
                "calls": use.calls,
                "last_used_at_s": use.last_used_at_s,
            }
            for use in shown.unknown
        ],
        "unseen_keys": [key_name(key) for key in shown.unseen],
        "ambiguities": list(shown.ambiguities),
    }
