"""What the witness's books say, as a test reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

__all__ = ["AnswerRecord", "Books", "Calls", "PaymentRecord", "RefundRecord"]

RATE_LIMITED: Final = "429"


class RefundRecord(msgspec.Struct, frozen=True):
    """One refund of a payment."""

    id: str
    amount: int
    status: str


class PaymentRecord(msgspec.Struct, frozen=True):
    """One PaymentIntent. Amounts are in Stripe's unit of the currency.

    `authorized`: reserved now; `captured`: taken, whatever was given back of it; `refunded`: by refunds that have
    succeeded; `pending`: by those that are pending; `authorizations` and `captures` count how often it happened.
    """

    reference: str
    correlation_id: str
    amount: int
    currency: str
    status: str
    authorized: int
    captured: int
    refunded: int
    pending: int
    authorizations: int
    captures: int
    refunds: tuple[RefundRecord, ...]
    disputes: tuple[str, ...]

    @property
    def kept(self) -> int:
        """What the customer has paid in the end, or still may: taken or reserved, and not given back."""
        return self.authorized + self.captured - self.refunded


class AnswerRecord(msgspec.Struct, frozen=True):
    """The stored answer of an idempotency key; `status` is None while its request is running.

    `code` is the error's, or that of the card's bank; of an intent or a refund, its status.
    """

    key: str
    status: int | None
    code: str


class Calls(msgspec.Struct, frozen=True):
    """The requests: by operation and HTTP status ("0": not answered), by minute since 1970, and how many at once."""

    by_operation: dict[str, dict[str, int]]
    by_minute: dict[int, int]
    at_once_max: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(sum(answers.values()) for answers in self.by_operation.values())

    @property
    def rate_limited(self) -> int:
        """Those that were answered 429."""
        return self.of(RATE_LIMITED)

    def of(self, status: str) -> int:
        """Those that were answered with this status."""
        return sum(answers.get(status, 0) for answers in self.by_operation.values())


class Books(msgspec.Struct, frozen=True):
    """Everything that a merchant's requests came to."""

    payments: tuple[PaymentRecord, ...]
    answers: tuple[AnswerRecord, ...]
    calls: Calls

    def of(self, correlation_id: str) -> PaymentRecord:
        """The one payment of a saga; fails if there is none, or more."""
        (found,) = self.all_of(correlation_id)
        return found

    def all_of(self, correlation_id: str) -> list[PaymentRecord]:
        """Every payment of a saga, whether our database knows of it or not."""
        return [payment for payment in self.payments if payment.correlation_id == correlation_id]

    def assert_kept(self, expected: Mapping[str, int]) -> None:
        """What each saga's customer has paid in the end, by correlation ID; every other saga's has paid nothing.

        So many times captured once, nothing reserved, nothing pending.
        """
        for payment in self.payments:
            assert payment.kept == payment.captured - payment.refunded, f"still reserved: {payment}"
            assert payment.captures <= 1, payment
            assert payment.pending == 0, payment
        paid = [(payment.correlation_id, payment.kept) for payment in self.payments if payment.kept]
        assert sorted(paid) == sorted((saga, amount) for saga, amount in expected.items() if amount)

    def payment(self, reference: str) -> PaymentRecord:
        """The payment with this reference."""
        (found,) = [payment for payment in self.payments if payment.reference == reference]
        return found
