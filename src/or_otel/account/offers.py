"""Who offers a model at what price, and where providers sit: kept as one JSON file beside the ledger.

Answers of the account API and times come in; they come back as told, with the time, also when nothing can be asked.
A file and no table: a program that is watched reads the providers when it starts, and never opens the ledger.
What cannot be read counts as never asked. Prices are exact text.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from or_otel.accounts import ModelEndpoint, Prices, Provider
from or_otel.policies import slug

FILE = "offers.json"
MONEY = tuple(item.name for item in fields(Prices) if item.name != "is_variable")
WRONG = (ValueError, TypeError, KeyError, AttributeError, InvalidOperation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offers:
    """What was told last.

    Attributes:
        providers: All of them.
        providers_at_s: When; None when never.
        endpoints: Model → who offers it.
        endpoints_at_s: Model → when.
    """

    providers: tuple[Provider, ...] = ()
    providers_at_s: float | None = None
    endpoints: Mapping[str, tuple[ModelEndpoint, ...]] = field(default_factory=dict)
    endpoints_at_s: Mapping[str, float] = field(default_factory=dict)

    def with_endpoints(self, model: str, endpoints: Iterable[ModelEndpoint], at_s: float) -> Offers:
        """Give the same with what was told of one model."""
        return replace(
            self,
            endpoints={**self.endpoints, model: tuple(endpoints)},
            endpoints_at_s={**self.endpoints_at_s, model: at_s},
        )


def seats_of(providers: Iterable[Provider]) -> dict[str, str]:
    """Give where providers sit: by slug, and by name as one, → country code."""
    return {
        slug(name): provider.headquarters
        for provider in providers
        if provider.headquarters is not None
        for name in (provider.name, provider.slug)
        if name is not None
    }


def read_offers(folder: Path) -> Offers:
    """Read what was kept; nothing where there is no file, or it is damaged."""
    try:
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        models = told.get("endpoints", {})
        return Offers(
            providers=tuple(_provider(row) for row in told.get("providers", ())),
            providers_at_s=told.get("providers_at_s"),
            endpoints={model: tuple(map(_endpoint, each["rows"])) for model, each in models.items()},
            endpoints_at_s={model: float(each["at_s"]) for model, each in models.items()},
        )
    except (OSError, RecursionError, *WRONG):
        return Offers()


def write_offers(folder: Path, offers: Offers) -> None:
    """Keep what was told; readers see the old file or the new one, never a part.

    Raises:
        OSError: It cannot be written.
    """
    told = {
        "providers": [asdict(provider) for provider in offers.providers],
        "providers_at_s": offers.providers_at_s,
        "endpoints": {
            model: {"at_s": offers.endpoints_at_s[model], "rows": [asdict(row) for row in rows]}
            for model, rows in offers.endpoints.items()
        },
    }
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=FILE, dir=folder)  # readable by its owner alone
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(told, file, default=str)
        Path(name).replace(folder / FILE)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise


def _provider(row: dict[str, Any]) -> Provider:
    return Provider(
        name=str(row["name"]),
        slug=row.get("slug"),
        headquarters=row.get("headquarters"),
        datacenters=tuple(row.get("datacenters") or ()),
    )


def _endpoint(row: dict[str, Any]) -> ModelEndpoint:
    known = {item.name for item in fields(ModelEndpoint)}
    told = {name: value for name, value in row.items() if name in known}
    prices = told.get("prices") or {}
    money = {name: Decimal(prices[name]) for name in MONEY if prices.get(name) is not None}
    told["prices"] = Prices(is_variable=bool(prices.get("is_variable")), **money)
    return ModelEndpoint(**told)
