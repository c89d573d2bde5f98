"""Payments."""

from __future__ import annotations

from typing import Self

import strawberry

from domain import payments as domain_payments
from schema import ids
from schema.enums import PaymentMethod, PaymentStatus
from schema.flights import Money, Node

__all__ = ["Payment"]


@strawberry.type(description="What is paid for a booking, and where that stands at the provider.")
class Payment(Node):
    status: PaymentStatus = strawberry.field(description="Where it stands at the provider.")
    amount: Money = strawberry.field(description="What is to be paid, after points.")
    method: PaymentMethod = strawberry.field(description="How it is paid.")
    provider_reference: str | None = strawberry.field(description="The provider's own id; null until it is known.")
    refunded: Money = strawberry.field(description="The amount that has been refunded for certain.")

    @classmethod
    def of(cls, payment: domain_payments.Payment) -> Self:
        """The domain's payment."""
        return cls(
            id=strawberry.ID(ids.encode("Payment", payment.saga_id)),
            status=payment.status,
            amount=Money.of(payment.amount),
            method=PaymentMethod(payment.method),
            provider_reference=payment.reference,
            refunded=Money.of(payment.refunded),
        )
