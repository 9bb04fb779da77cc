"""The simulated account: keys, limits, credits, and the endpoints that tell of them.

Every figure is computed from the book, so that account and calls always agree. Periods are UTC days,
weeks from Monday, months.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from or_otel.facts import ZERO
from or_otel.simulator.book import Book, Entry, fingerprint
from or_otel.simulator.market import MODELS
from or_otel.simulator.scenarios import USER_ID, Received, Scenario, forbidden, no_credits, unauthorized

Reset = Literal["daily", "weekly", "monthly"]

WORKSPACE_ID = "0df9e665-d932-5740-b2c7-b52af166bc11"
SEARCH_KEY = "sk-or-v1-demo-search"
SUPPORT_KEY = "sk-or-v1-demo-support"
BYOK_KEY = "sk-or-v1-demo-byok"
BROKE_KEY = "sk-or-v1-demo-broke"
MANAGEMENT_KEY = "sk-or-v1-demo-management"
ACTIVITY_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """An API key of the account, without the key.

    Attributes:
        hash: SHA-256 of the key, hex.
        label: The key, masked.
        name: For people.
        limit_usd: Spending limit; None for none.
        limit_reset: When the limit starts anew; None for never.
        byok: Display names of providers whose own key the owner brought.
        fee_rate: Part of the list price that BYOK costs in credits.
        is_management: Whether it may read the account and may not ask models.
        is_disabled: Whether it is switched off.
    """

    hash: str
    label: str
    name: str
    limit_usd: Decimal | None = None
    limit_reset: Reset | None = None
    byok: frozenset[str] = frozenset()
    fee_rate: Decimal = ZERO
    is_management: bool = False
    is_disabled: bool = False

    @property
    def fingerprint(self) -> str:
        """What the book knows it by."""
        return self.hash[:12]


class Account:
    """Keys and credits; unknown keys are taken in at their first use, as ordinary ones.

    Attributes:
        book: Where spending is read.
        credits_usd: Credits bought.
        page_size: Keys given at once by `/keys`.
    """

    def __init__(self, *, book: Book, wall: Callable[[], float]) -> None:
        self.book = book
        self.credits_usd = Decimal(110)
        self.page_size = 100
        self._wall = wall
        self._keys: dict[str, Key] = {}
        self._rejected: set[str] = set()
        self.add_key(SEARCH_KEY, name="search", limit_usd=Decimal(50), limit_reset="monthly")
        self.add_key(SUPPORT_KEY, name="support")
        self.add_key(BYOK_KEY, name="byok", byok=("Anthropic",), fee_rate=Decimal("0.05"))
        self.add_key(BROKE_KEY, name="broke", limit_usd=ZERO)
        self.add_key(MANAGEMENT_KEY, name="management", is_management=True)

    def add_key(
        self,
        key: str,
        *,
        name: str = "unnamed",
        limit_usd: Decimal | None = None,
        limit_reset: Reset | None = None,
        byok: Iterable[str] = (),
        fee_rate: Decimal = ZERO,
        is_management: bool = False,
        is_disabled: bool = False,
    ) -> Key:
        """Add a key or replace it."""
        record = Key(
            hash=hashlib.sha256(key.encode()).hexdigest(),
            label=f"{key[:12]}...{key[-3:]}",
            name=name,
            limit_usd=limit_usd,
            limit_reset=limit_reset,
            byok=frozenset(byok),
            fee_rate=fee_rate,
            is_management=is_management,
            is_disabled=is_disabled,
        )
        self._keys[record.fingerprint] = record
        return record

    def reject(self, key: str) -> None:
        """Answer this key with 401 from now on."""
        self._rejected.add(fingerprint(key))

    def authorised(self, request: Received) -> Key | Scenario:
        """Find the request's key, or the refusal it gets."""
        if request.key is None:
            return unauthorized()
        mark = fingerprint(request.key)
        record = self._keys.get(mark) or self.add_key(request.key)
        if mark in self._rejected or record.is_disabled:
            return unauthorized("User not found.")
        return record

    def may_spend(self, request: Received) -> Key | Scenario:
        """Find the key of a request to a model, or the refusal it gets."""
        key = self.authorised(request)
        if isinstance(key, Scenario):
            return key
        if key.is_management:
            return forbidden("Management keys cannot be used for inference")
        if self.remaining(key) <= 0 if key.limit_usd is not None else False:
            return no_credits("Key limit exceeded. Raise the limit of the key to continue.")
        return no_credits() if self.credits_usd <= self.book.total() else key

    def remaining(self, key: Key) -> Decimal:
        """What is left of a key's limit; zero without one."""
        if key.limit_usd is None:
            return ZERO
        since = self._since(key.limit_reset) if key.limit_reset else 0.0
        return key.limit_usd - sum((entry.charged for entry in self._of(key, since)), ZERO)

    def answer(self, path: str, query: dict[str, str], request: Received) -> Scenario | None:
        """Answer an account endpoint; None when the path is none."""
        tell = {
            "/key": self._key,
            "/credits": self._credits,
            "/keys": self._list_keys,
            "/activity": self._activity,
        }.get(path)
        if tell is None:
            return None
        key = self.authorised(request)
        if isinstance(key, Scenario):
            return key
        if path != "/key" and not key.is_management:
            return forbidden("Only management keys can perform this operation")
        return Scenario(body={"data": tell(key, query)})

    def _since(self, period: Reset) -> float:
        day = datetime.fromtimestamp(self._wall(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if period == "weekly":
            day -= timedelta(days=day.weekday())
        return (day.replace(day=1) if period == "monthly" else day).timestamp()

    def _of(self, key: Key, since: float) -> list[Entry]:
        return [e for e in self.book.entries if e.key == key.fingerprint and e.created_at_s >= since]

    def _usage(self, key: Key) -> dict[str, object]:
        usage: dict[str, object] = {}
        since = {"": 0.0} | {f"_{period}": self._since(period) for period in ("daily", "weekly", "monthly")}
        for suffix, start in since.items():
            entries = self._of(key, start)
            usage[f"usage{suffix}"] = sum((e.charged for e in entries), ZERO)
            usage[f"byok_usage{suffix}"] = sum((e.spend - e.charged for e in entries), ZERO)
        return usage

    def _common(self, key: Key) -> dict[str, object]:
        return {
            "label": key.label,
            "limit": key.limit_usd,
            "limit_remaining": None if key.limit_usd is None else self.remaining(key),
            "limit_reset": key.limit_reset,
            "include_byok_in_limit": False,
            **self._usage(key),
            "creator_user_id": USER_ID,
            "workspace_id": WORKSPACE_ID,
            "expires_at": None,
        }

    def _key(self, key: Key, query: dict[str, str]) -> dict[str, object]:
        del query
        budget = None
        if key.limit_usd is not None:
            left = self.remaining(key)
            budget = {
                "scope": "key_limit",
                "limit_usd": key.limit_usd,
                "spend_usd": key.limit_usd - left,
                "remaining_usd": left,
                "reset_interval": key.limit_reset,
                "resets_at": None,
                "include_byok": False,
                "budget_id": None,
                "guardrail_id": None,
            }
        free = sum(1 for e in self._of(key, self._since("daily")) if e.model.endswith(":free"))
        return self._common(key) | {
            "is_free_tier": False,
            "is_management_key": key.is_management,
            "is_provisioning_key": key.is_management,
            "rate_limit": {"requests": -1, "interval": "10s", "note": "deprecated"},
            "organization_id": None,
            "allowed_data_regions": ["global"],
            "budgets": [budget] if budget else [],
            "effective_budget": budget,
            "free_model_daily_requests": {"limit": 1000, "used": free, "remaining": 1000 - free},
        }

    def _credits(self, key: Key, query: dict[str, str]) -> dict[str, object]:
        del key, query
        return {"total_credits": self.credits_usd, "total_usage": self.book.total()}

    def _list_keys(self, key: Key, query: dict[str, str]) -> list[dict[str, object]]:
        del key
        offset = int(query.get("offset", "0"))
        listed = [k for k in self._keys.values() if not k.is_management]
        return [self._listed(k) for k in listed[offset : offset + self.page_size]]

    def _listed(self, key: Key) -> dict[str, object]:
        last = max((e.created_at_s for e in self._of(key, 0.0)), default=None)
        return self._common(key) | {
            "hash": key.hash,
            "name": key.name,
            "disabled": key.is_disabled,
            "created_at": "2026-01-05T09:00:00.000Z",
            "updated_at": None,
            "last_used_at": None if last is None else iso(last),
            "external_user": None,
        }

    def _activity(self, key: Key, query: dict[str, str]) -> list[dict[str, object]]:
        del key
        today = self._since("daily")
        first = today - ACTIVITY_DAYS * 86_400
        groups: dict[tuple[str, str, str], list[Entry]] = {}
        for entry in self.book.entries:
            date = iso(entry.created_at_s)[:10]
            if first <= entry.created_at_s < today and query.get("date", date) == date:
                groups.setdefault((date, entry.permaslug, entry.provider), []).append(entry)
        return [_day(*group, entries) for group, entries in sorted(groups.items())]


def iso(at_s: float) -> str:
    """Write Unix time as the API does."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _day(date: str, permaslug: str, provider: str, entries: list[Entry]) -> dict[str, object]:
    def tokens(name: str) -> int:
        return sum(getattr(entry.usage, name) or 0 for entry in entries)

    return {
        "date": date,
        "model": next((model.id for model in MODELS if model.permaslug == permaslug), entries[0].model),
        "model_permaslug": permaslug,
        "endpoint_id": endpoint_id(permaslug, provider),
        "provider_name": provider,
        "usage": sum((e.charged for e in entries), ZERO),
        "byok_usage_inference": sum((e.spend - e.charged for e in entries), ZERO),
        "requests": len(entries),
        "prompt_tokens": tokens("input_tokens"),
        "completion_tokens": tokens("output_tokens"),
        "reasoning_tokens": tokens("reasoning_tokens"),
        "cached_tokens": tokens("cache_read_tokens"),
    }


def endpoint_id(permaslug: str, provider: str) -> str:
    """Make the stable id of an endpoint."""
    text = hashlib.sha256(f"{provider}|{permaslug}".encode()).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"
