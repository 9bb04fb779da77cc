"""What is kept of offers and providers."""

from __future__ import annotations

import stat
from decimal import Decimal

import pytest

from or_otel.account.offers import FILE, Offers, read_offers, seats_of, write_offers
from or_otel.accounts import ModelEndpoint, Prices, Provider

OFFER = ModelEndpoint(
    model="deepseek/deepseek-v3.2",
    provider="Novita",
    tag="novita/fp8",
    prices=Prices(input=Decimal("0.00000026"), cache_read=Decimal("1.3E-7"), output=Decimal("0.0000004")),
    context_length=163_840,
    uptime={"1d": 0.99},
)
OFFERS = Offers(
    providers=(
        Provider(name="Big AI", slug="big", headquarters="US", datacenters=("US", "DE")),
        Provider(name="Small"),
    ),
    providers_at_s=5.0,
).with_endpoints("deepseek/deepseek-v3.2", [OFFER], 7.0)


def test_what_was_kept_comes_back_exactly(tmp_path):
    write_offers(tmp_path / "ledger", OFFERS)

    assert read_offers(tmp_path / "ledger") == OFFERS
    assert stat.S_IMODE((tmp_path / "ledger" / FILE).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "ledger").iterdir()] == [FILE]


def test_a_model_told_again_replaces_what_was_told_before(tmp_path):
    write_offers(tmp_path, OFFERS.with_endpoints(OFFER.model, [], 9.0))

    assert read_offers(tmp_path).endpoints == {OFFER.model: ()}
    assert read_offers(tmp_path).endpoints_at_s == {OFFER.model: 9.0}


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"providers": [{}]}', '{"endpoints": {"a": 1}}', '{"providers": 5}', "[" * 100_000]
)
def test_a_damaged_file_counts_as_never_asked(tmp_path, text):
    (tmp_path / FILE).write_text(text)

    assert read_offers(tmp_path) == Offers()


def test_without_a_file_nothing_is_known(tmp_path):
    assert read_offers(tmp_path) == Offers()


def test_where_a_provider_sits_is_found_by_slug_and_by_name():
    assert seats_of(OFFERS.providers) == {"big-ai": "US", "big": "US"}
