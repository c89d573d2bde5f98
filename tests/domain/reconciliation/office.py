"""Who compares the books of the sandbox with ours, and who changes them behind our back."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from domain.bookings import SegmentWish
from domain.clock import ManualClock
from domain.payments import PaymentGateway, ProviderBooks
from domain.payments.stripe import StripeGateway
from domain.payments.stripe_books import StripeBooks
from domain.reconciliation import Difference, Finding, Reconciliation, open_findings
from domain.saga import SagaView, Simulation
from domain.storage import Server
from sandbox.reading import reading
from tests.domain.audit.test_examination import cancelled_booking
from tests.domain.bookings.world import World
from tests.witness import Merchant

__all__ = ["Office", "StripeOffice"]

#: The walks leave the newest minutes, and what ended just now.
LATER_SECONDS = 600


@dataclass
class Office:
    """A world, and what is done in it."""

    world: World
    folder: Path
    clock: ManualClock

    # ------------------------------------------------------------------ what happens

    async def booked(self, row: int = 10) -> tuple[SagaView, str]:
        """A booking, and the reference of its payment."""
        saga = await self.world.ended(await self.world.book(segments=[self._seat(row)]))
        return saga, await self.reference(saga)

    async def undone(self, row: int = 11) -> tuple[SagaView, str]:
        """A saga that failed at its last step and is COMPENSATED."""
        begun = await self.world.book(Simulation(fail_at=("CONFIRM_BOOKING",)), segments=[self._seat(row)])
        saga = await self.world.ended(begun)
        return saga, await self.reference(saga)

    async def cancelled(self, row: int = 12) -> tuple[SagaView, str]:
        """A booking that was cancelled."""
        saga, reference = await self.booked(row)
        await cancelled_booking(self.world, saga)
        return saga, reference

    async def reference(self, saga: SagaView) -> str:
        payment = await self.world.payment(saga)
        assert payment is not None
        assert payment.reference is not None
        return payment.reference

    def _seat(self, row: int) -> SegmentWish:
        return SegmentWish(self.world.flight_ids[0], seats=[f"{row}A"])

    async def elsewhere(self, reference: str, change: str) -> None:
        """Change the provider's entry as no request of ours does."""
        if isinstance(self.books_place, Path):
            with closing(sqlite3.connect(self.books_place, isolation_level=None)) as connection:
                changed = connection.execute(f"UPDATE entries SET {change} WHERE reference = ?", [reference]).rowcount
                assert changed == 1
            return
        served = await self.books_place.connect()
        await served.execute(f"UPDATE sandbox.entries SET {change} WHERE reference = $1", reference)
        await served.close()

    # ------------------------------------------------------------------ what is looked at

    @property
    def gateway(self) -> PaymentGateway:
        return self.world.gateway

    @property
    def books_place(self) -> Path | Server:
        if self.world.database.dialect == "sqlite":
            return self.folder / "sandbox.db"
        return Server(self.world.database.url)

    @asynccontextmanager
    async def books(self) -> AsyncIterator[ProviderBooks]:
        async with reading(self.books_place) as books:
            yield books

    def reconciliation(self, may_ask: Callable[[], bool] = lambda: True) -> Reconciliation:
        return Reconciliation(self.world.database, self.gateway, self.books, may_ask=may_ask)

    async def run_job(self) -> int:
        """A run of the job, some minutes later: turns until one finds nothing to look at."""
        self.clock.advance(LATER_SECONDS)
        reconciliation, looked_at = self.reconciliation(), 0
        while turned := await reconciliation.turn():
            looked_at += turned
        return looked_at

    async def findings(self) -> list[Finding]:
        """The open findings."""
        async with self.world.database.reading() as connection:
            return await open_findings(connection, self.gateway.name, limit=100)

    async def shown(self) -> set[tuple[Difference, str]]:
        """The open findings: what differs, and where."""
        return {(finding.kind, finding.reference) for finding in await self.findings()}


@dataclass
class StripeOffice(Office):
    """An office whose world has the witness as its provider."""

    merchant: Merchant
    stripe: StripeGateway

    @property
    def gateway(self) -> StripeGateway:
        return self.stripe

    async def run_job(self) -> int:
        await self.merchant.advance(LATER_SECONDS)
        return await super().run_job()

    @asynccontextmanager
    async def books(self) -> AsyncIterator[ProviderBooks]:
        yield StripeBooks(self.stripe)
