"""A provider that answers at once and keeps no books, to measure the time without the sandbox's share."""

from __future__ import annotations

from domain.money import Money
from domain.outcome import Outcome, Succeeded
from domain.payments import PaymentOrder, ProviderPayment, ProviderState

__all__ = ["InstantGateway"]


class InstantGateway:
    """Says yes to everything. For measuring only."""

    name = "instant"
    takes_our_reference = True

    async def start(self) -> None:
        """There is nothing to connect to."""

    async def close(self) -> None:
        """There is nothing to finish."""

    async def open(self, order: PaymentOrder, key: str) -> Outcome:
        return Succeeded("opened")

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        return Succeeded("authorized")

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        return Succeeded("captured")

    async def void(self, reference: str, key: str) -> Outcome:
        return Succeeded("voided")

    async def refund(self, reference: str, key: str) -> Outcome:
        return Succeeded("refunded")

    async def read(self, reference: str) -> Outcome:
        return Succeeded(data=ProviderPayment(reference, ProviderState.VOIDED))
