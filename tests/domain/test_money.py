"""Money is whole minor units: what does not fit is refused, never rounded."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.money import CURRENCY_DEFAULT, POINT_MINOR_UNITS, Money, minor_digits


@pytest.mark.parametrize(
    ("currency", "digits"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("BHD", 3), ("KWD", 3), ("JOD", 3)]
)
def test_a_currency_has_the_decimals_of_iso_4217(currency: str, digits: int) -> None:
    assert minor_digits(currency) == digits
    assert Money(1, currency).amount == Decimal(1).scaleb(-digits)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("123.45", "USD", 12_345),
        ("123.4", "USD", 12_340),
        ("123.4500", "USD", 12_345),
        ("1E+2", "USD", 10_000),
        ("0", "USD", 0),
        ("-0.01", "USD", -1),
        ("123", "JPY", 123),
        ("123.0", "JPY", 123),
        ("1.234", "BHD", 1_234),
    ],
)
def test_an_amount_that_fits_the_currency_is_kept_exactly(amount: str, currency: str, minor: int) -> None:
    money = Money.of(Decimal(amount), currency)
    assert money == Money(minor, currency)
    assert money is not None
    assert isinstance(money.minor, int)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.001", "USD"),
        ("123.456", "USD"),
        ("0.1", "JPY"),
        ("1.2345", "BHD"),
        ("1E-10", "USD"),
        ("NaN", "USD"),
        ("sNaN", "USD"),
        ("Infinity", "USD"),
        ("-Infinity", "USD"),
    ],
)
def test_an_amount_that_is_finer_than_the_minor_unit_or_not_finite_is_none(amount: str, currency: str) -> None:
    assert Money.of(Decimal(amount), currency) is None


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (12_345, "USD", "123.45 USD"),
        (12_300, "USD", "123.00 USD"),
        (5, "USD", "0.05 USD"),
        (0, "USD", "0.00 USD"),
        (-5, "USD", "-0.05 USD"),
        (123_456_789, "USD", "1,234,567.89 USD"),
        (1_234, "JPY", "1,234 JPY"),
        (1_234, "KWD", "1.234 KWD"),
    ],
)
def test_money_is_written_with_all_the_decimals_of_its_currency(minor: int, currency: str, text: str) -> None:
    assert str(Money(minor, currency)) == text


@settings(deadline=None, derandomize=True, database=None)
@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from(["USD", "JPY", "KWD"]))
def test_every_amount_that_the_books_can_hold_comes_back_as_it_went(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.of(money.amount, currency) == money
    assert money.amount.as_tuple().exponent == -minor_digits(currency)


@pytest.mark.parametrize(
    ("amount", "minor"),
    [
        ("92233720368547758.07", 2**63 - 1),
        ("92233720368547758.08", None),
        ("12345678901234567890123456789.01", None),
        ("1.00000000000000000000000000000000000", 100),
        ("1.0000000000000000000000000000000001", None),
        ("0.9999999999999999999999999999999999", None),
    ],
)
def test_an_amount_of_very_many_digits_is_not_rounded(amount: str, minor: int | None) -> None:
    assert Money.of(Decimal(amount), "USD") == (Money(minor) if minor is not None else None)


def test_an_amount_that_no_decimal_can_scale_is_none() -> None:
    assert Money.of(Decimal("1E+999999"), "USD") is None
    assert Money.of(Decimal("1E-999999"), "USD") is None


def test_money_is_equal_by_amount_and_currency_and_does_not_change() -> None:
    assert Money(1) == Money(1, CURRENCY_DEFAULT) == Money(1, "USD")
    assert Money(1, "USD") != Money(1, "EUR")
    assert len({Money(1), Money(1), Money(2)}) == 2
    for name in ("minor", "currency"):
        with pytest.raises(FrozenInstanceError):
            setattr(Money(1), name, 2)


def test_a_point_pays_one_cent() -> None:
    assert Money(POINT_MINOR_UNITS).amount == Decimal("0.01")
