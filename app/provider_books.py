"""Opens the provider's books, those that belong to the gateway in use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.payments import PaymentGateway, ProviderBooks
from sandbox import SandboxGateway
from sandbox.reading import reading

__all__ = ["has_books", "provider_books"]


def has_books(gateway: PaymentGateway) -> bool:
    """Whether this provider's books can be read; a bench's gateway has none."""
    return isinstance(gateway, SandboxGateway) or gateway.name == "stripe"


@asynccontextmanager
async def provider_books(gateway: PaymentGateway) -> AsyncIterator[ProviderBooks]:
    """The books of `gateway`; it must be started, apart from the sandbox's."""
    if isinstance(gateway, SandboxGateway):
        async with reading(gateway.books.source) as books:
            yield books
        return
    # Its library is an extra.
    from domain.payments.stripe import StripeGateway
    from domain.payments.stripe_books import StripeBooks

    if not isinstance(gateway, StripeGateway):
        raise TypeError(f"the books of {gateway.name} cannot be read")
    yield StripeBooks(gateway)
