"""Amounts in Stripe's units."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal
from typing import Final

from domain.money import Money, minor_digits

__all__ = ["money_of", "units_of"]

#: Stripe's decimals, if they are not two: https://docs.stripe.com/currencies. ISK has two here, always 00.
_DIGITS: Final = dict.fromkeys(
    ("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"), 0
) | dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)


def units_of(amount: Money) -> int | None:
    """`amount` in Stripe's unit of the currency; None if the amount is finer than that."""
    units = amount.amount.scaleb(_DIGITS.get(amount.currency, 2))
    return int(units) if units == units.to_integral_value() else None


def money_of(units: int, currency: str) -> Money:
    """The money of so many of Stripe's units; rounded up if that is finer than our minor unit."""
    code = currency.upper()
    minor = Decimal(units).scaleb(minor_digits(code) - _DIGITS.get(code, 2))
    return Money(int(minor.to_integral_value(ROUND_UP)), code)
