"""The fixtures `witness`, `merchant` and `stripe_gateway`: a conftest.py imports them, as that of this folder does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from domain.payments.stripe import StripeGateway
from tests.witness.handle import Merchant, Witness

__all__ = ["merchant", "stripe_gateway", "witness"]


@pytest.fixture(scope="session")
def witness() -> Iterator[Witness]:
    """One witness for all tests of this process. A test that sends it away runs one of its own."""
    with Witness.started() as witness:
        yield witness


@pytest.fixture
def merchant(witness: Witness) -> Merchant:
    """A new account at the witness."""
    return witness.merchant()


@pytest.fixture
async def stripe_gateway(merchant: Merchant) -> AsyncIterator[StripeGateway]:
    """A gateway to that account."""
    gateway = StripeGateway(merchant.api_key, api_base=merchant.witness.url, timeout_seconds=5.0)
    await gateway.start()
    yield gateway
    await gateway.close()
