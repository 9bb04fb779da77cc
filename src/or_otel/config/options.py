"""What the settings file says, part by part: frozen values with their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from or_otel.accounts import DEFAULT_BASE_URL
from or_otel.budgets import PeriodName

NoticeKind = Literal["threshold", "pace", "low_balance", "capture_gap", "key_exhausted", "digest"]
NOTICE_KINDS: tuple[NoticeKind, ...] = ("threshold", "pace", "low_balance", "capture_gap", "key_exhausted")
"""What happens by itself and may be chosen; a digest is sent by whoever asks for it."""

DEFAULT_PORT = 9877


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOptions:
    """`[account]`: whom to ask.

    Attributes:
        base_url: Of the account API, without a slash at its end.
        watch_models: Models whose prices and endpoints are watched.
        intervals_s: Endpoint → seconds between two questions; others keep their own.
    """

    base_url: str = DEFAULT_BASE_URL
    watch_models: tuple[str, ...] = ()
    intervals_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderContract:
    """`[byok.<provider>]`: what was agreed with a provider whose own key is used.

    Attributes:
        discount: Share of the list price that is not paid, 0 to 1.
        committed_usd: What is owed in each period, used or not.
        period: Of the commitment.
    """

    discount: Decimal = Decimal(0)
    committed_usd: Decimal | None = None
    period: PeriodName = "month"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterOptions:
    """`[exporter]`: how the exporter works.

    Attributes:
        host, port: Where Prometheus scrapes.
        has_otlp: Whether it pushes by OTLP, too.
        has_ledger: Whether the local ledger's sums are exported.
        has_reconciliation: Whether closed days are compared with what clients tracked.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    has_otlp: bool = False
    has_ledger: bool = False
    has_reconciliation: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyOptions:
    """`[notify]`: what is told to whom.

    Attributes:
        urls_file: File with one Apprise URL a line.
        url_variables: Names of environment variables that hold one each.
        kinds: What is told.
        low_balance_usd: Below it the credits are low; None tells only that they are used up.
        capture_gap: From which share of a closed day's bill on it matters that clients tracked another sum.
    """

    urls_file: Path | None = None
    url_variables: tuple[str, ...] = ()
    kinds: tuple[NoticeKind, ...] = NOTICE_KINDS
    low_balance_usd: Decimal | None = None
    capture_gap: Decimal = Decimal("0.05")
