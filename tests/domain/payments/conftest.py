from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandbox import SandboxGateway
from tests.domain.bookings.conftest import postgres_pool
from tests.domain.payments.bank import Bank

__all__ = ["postgres_pool"]


@pytest.fixture
def bank(backend: str, database_url: str, tmp_path: Path) -> Bank:
    """Empty books: in a file, and in a schema of the test's own database."""
    if backend == "sqlite":
        return Bank(backend, str(tmp_path / "sandbox.db"))
    return Bank(backend, database_url)


@pytest.fixture
async def sandbox(bank: Bank) -> AsyncIterator[SandboxGateway]:
    """A sandbox that does as it should until it is told otherwise."""
    async with bank.gateway() as gateway:
        yield gateway
