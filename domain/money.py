"""Money: integer minor units and an ISO 4217 currency. Decimals exist only at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final

__all__ = ["CURRENCY_DEFAULT", "POINT_MINOR_UNITS", "Money", "minor_digits"]

CURRENCY_DEFAULT: Final = "USD"
#: One loyalty point pays 0.01 USD, which is one minor unit.
POINT_MINOR_UNITS: Final = 1
#: The largest integer of the databases.
MINOR_MAX: Final = 2**63 - 1
MINOR_DIGITS_MAX: Final = 19

_WHOLE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THOUSANDTHS: Final = "BHD IQD JOD KWD LYD OMR TND"
_MINOR_DIGITS: Final = dict.fromkeys(_WHOLE.split(), 0) | dict.fromkeys(_THOUSANDTHS.split(), 3)


def minor_digits(currency: str) -> int:
    """The number of decimals of `currency` (ISO 4217); 2 unless it is one of the exceptions."""
    return _MINOR_DIGITS.get(currency, 2)


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units (cents) of one currency."""

    minor: int
    currency: str = CURRENCY_DEFAULT

    @property
    def amount(self) -> Decimal:
        """The amount in major units, with exactly the currency's number of decimals."""
        return Decimal(self.minor).scaleb(-minor_digits(self.currency))

    def __str__(self) -> str:
        return f"{self.amount:,} {self.currency}"

    @classmethod
    def of(cls, amount: Decimal, currency: str) -> Money | None:
        """`amount` of `currency`, exactly.

        None if the amount is not finite, is finer than the currency's minor unit, or is larger than
        the databases' integers.
        """
        digits = minor_digits(currency)
        if not amount.is_finite() or amount.adjusted() + digits >= MINOR_DIGITS_MAX:
            return None
        # The default context would round numbers of more than 28 digits.
        minor = amount.scaleb(digits, Context(prec=len(amount.as_tuple().digits)))
        if minor != minor.to_integral_value() or not -MINOR_MAX - 1 <= minor <= MINOR_MAX:
            return None
        return cls(int(minor), currency)
