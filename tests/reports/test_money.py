from decimal import Decimal

import pytest

from or_otel.reports.money import count, exact, plural, seconds, share, tokens, usd


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("0.00000009025", "$0.0000000903"),
        ("0.0000902", "$0.0000902"),
        ("0.5", "$0.50"),
        ("0.9999", "$1.00"),
        ("0.12345", "$0.123"),
        ("1", "$1.00"),
        ("1234.567", "$1,234.57"),
        ("-0.002", "-$0.002"),
        ("1E-7", "$0.0000001"),
        ("1E+3", "$1,000.00"),
    ],
)
def test_money_shows_the_digits_that_matter(amount, text):
    assert usd(Decimal(amount)) == text


def test_unknown_money_is_unknown_and_a_floor_says_so():
    assert usd(None) == "unknown"
    assert usd(Decimal("0.5"), is_floor=True) == "≥ $0.50"


def test_exact_money_has_every_digit_and_no_exponent():
    assert exact(Decimal("1E-7")) == "0.0000001"
    assert exact(Decimal("0.1230000")) == "0.123"
    assert exact(Decimal("1E+3")) == "1000"
    assert exact(Decimal(0)) == "0"
    assert exact(None) is None


def test_counts_tokens_times_and_shares_are_short():
    assert [tokens(number) for number in (None, 0, 9999, 12_345, 999_999, 4_560_000, 7_000_000_000)] == [
        "unknown",
        "0",
        "9,999",
        "12.3k",
        "1000k",
        "4.56M",
        "7B",
    ]
    assert [tokens(number) for number in (10_000, 1_000_000, 1_000_000_000)] == ["10k", "1M", "1B"]
    assert [seconds(value) for value in (None, 0.085, 1.239, 12.34, 185)] == [
        "unknown",
        "85 ms",
        "1.24 s",
        "12.3 s",
        "3 min 05 s",
    ]
    assert (share(None), share(0.456)) == ("unknown", "46%")
    assert (count(None), count(1234)) == ("unknown", "1,234")


def test_nouns_agree_with_their_number():
    assert [plural(1, "call"), plural(0, "call"), plural(2, "retry")] == ["1 call", "0 calls", "2 retries"]
    assert [plural(2, "day"), plural(1000, "key")] == ["2 days", "1,000 keys"]
