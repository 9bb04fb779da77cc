"""An attempt as it was told, and its generation record → what has to be corrected, and the entry as corrected.

Entries and generations come in, amendments go out; a journal's amendment line is read and written
here too: `{"amends": attempt id, …learned fields}`. An amendment holds all that is known then, not
a difference, so that applying it twice changes nothing. Knows no file, no clock and no server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, replace
from decimal import InvalidOperation

from or_otel.accounts import Generation
from or_otel.calls import Amendment
from or_otel.entries import BY_TYPE, ENCODE, Entry
from or_otel.facts import ZERO, Cost

ROUTERS = "openrouter/"
"""Models whose name says only who chooses one."""
MARK = b'"amends"'


def amendment_of(entry: Entry, generation: Generation, *, learned_at_s: float) -> Amendment | None:
    """Say what the account's record of an attempt adds to what is known.

    Args:
        entry: The attempt, as it stands in the ledger.
        generation: Its record.
        learned_at_s: Unix time.

    Returns:
        None when nothing is new: the record tells no money, or the same.
    """
    cost = Cost(
        charged=generation.charged_usd,
        upstream=generation.upstream_usd,
        is_byok=generation.is_byok,
        source="generation",
    )
    is_half_told = cost.is_byok is None and entry.unpriced == "billing_unknown"
    if cost.charged is None or is_half_told or (entry.unpriced is None and _is_same(entry, cost)):
        return None
    usage = generation.usage
    is_model_unknown = entry.model is None or (entry.response_model is None and entry.model.startswith(ROUTERS))
    return Amendment(
        amends=entry.attempt_id,
        generation_id=generation.id,
        learned_at_s=learned_at_s,
        call_started_at_s=entry.call_started_at_s,
        charged=cost.charged,
        upstream=cost.upstream,
        is_byok=cost.is_byok,
        billing=cost.billing,
        served_provider=generation.provider,
        response_model=generation.model if is_model_unknown else None,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


def _is_same(entry: Entry, cost: Cost) -> bool:
    if entry.is_byok is not None and cost.is_byok is not None and entry.is_byok != cost.is_byok:
        return False
    return entry.charged == cost.charged and (entry.upstream_bill or ZERO) == (cost.upstream_bill or ZERO)


def amended(entry: Entry, amendment: Amendment | None) -> Entry:
    """Give an entry as it reads with what was learned later."""
    if amendment is None:
        return entry
    learned = {name: value for name in LEARNED if (value := getattr(amendment, name)) is not None}
    if _is_same(entry, amendment.cost):
        return replace(entry, **learned, unpriced=None)
    # Parts told by the answer need not be parts of another amount.
    return replace(entry, **learned, unpriced=None, input=None, output=None, tools=None)


def newest(amendments: Iterable[Amendment]) -> dict[str, Amendment]:
    """Give the last learned amendment of each attempt, in whatever order they come."""
    found: dict[str, Amendment] = {}
    for amendment in sorted(amendments, key=to_order):
        found[amendment.amends] = amendment
    return found


def to_order(amendment: Amendment) -> tuple[float, bytes]:
    """Give what orders amendments of one attempt: the last is in force."""
    return amendment.learned_at_s, to_line(amendment)


def to_line(amendment: Amendment) -> bytes:
    """Write an amendment as one line of compact JSON; what is None is left out."""
    values = {name: value for name, _ in READERS if (value := getattr(amendment, name)) is not None}
    return ENCODE(values).encode("ascii") + b"\n"


def from_line(line: bytes) -> Amendment | None:
    """Read one line; None when it is broken or something else. Unknown fields are ignored."""
    if MARK not in line:
        return None
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict):
        return None
    known: dict[str, object] = {}
    for name, read in READERS:
        if (value := values.get(name)) is not None:
            try:
                known[name] = read(value)
            except (TypeError, ValueError, InvalidOperation):
                return None
    return Amendment(**known) if known.keys() >= REQUIRED else None  # type: ignore[arg-type]


_TYPES: Mapping[str, str] = {"CostSource": "str"}
READERS = tuple(
    (item.name, BY_TYPE[_TYPES.get(kind, kind)])
    for item in fields(Amendment)
    for kind in [str(item.type).removesuffix(" | None")]
)
REQUIRED = frozenset(item.name for item in fields(Amendment) if item.default is MISSING)
LEARNED = tuple(item.name for item in fields(Amendment) if item.name not in REQUIRED)
