"""What a process serves while it is killed: an airline whose provider can be scripted, and what a client asks of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from domain import flights
from domain.bookings import BookFlight, Bookings, SegmentWish, bookings_of_sagas
from domain.clock import ManualClock
from domain.money import Money
from domain.outcome import Outcome
from domain.payments import NeedsHolder, PaymentOrder
from domain.payments.stripe import StripeGateway
from domain.saga import SagaEngine, SagaView, Simulation
from domain.storage import Database
from sandbox import HOLDER_PATH, Books, SandboxGateway
from tests.domain.bookings.world import ADA, JOHN
from tests.witness import Merchant

__all__ = ["CUSTOMER", "FLIGHT", "Provider", "Sandbox", "Script", "Stage", "Stripe"]

CUSTOMER: Final = "someone"
FLIGHT: Final = "T100"

Answering = Callable[[Outcome], Awaitable[Outcome]]


@dataclass
class Script:
    """What happens between an effect and its answer, once, by operation.

    `looked` is told when a payment has been read: whoever undoes it is then in the middle of its call.
    """

    looked: Callable[[], None]
    answering: dict[str, Answering] = field(default_factory=dict)

    async def answer(self, operation: str, outcome: Outcome) -> Outcome:
        """What is answered in the end."""
        scripted = self.answering.pop(operation, None)
        return outcome if scripted is None else await scripted(outcome)


class Sandbox(SandboxGateway):
    """The sandbox."""

    def __init__(self, books: Books, script: Script) -> None:
        super().__init__(books)
        self.script = script

    async def holder_answers(self, asked: NeedsHolder, *, approves: bool) -> None:
        """The card's holder answers."""
        assert asked.url is not None
        assert await self.hear(asked.url.removeprefix(HOLDER_PATH), approves=approves) is not None

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        return await self.script.answer("authorize", await super().authorize(reference, order, key))

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        return await self.script.answer("capture", await super().capture(reference, amount, key))

    async def read(self, reference: str) -> Outcome:
        outcome = await super().read(reference)
        self.script.looked()
        return outcome


class Stripe(StripeGateway):
    """Stripe's gateway, at the witness."""

    def __init__(self, merchant: Merchant, script: Script) -> None:
        super().__init__(merchant.api_key, api_base=merchant.witness.url)
        self.merchant = merchant
        self.script = script

    async def holder_answers(self, asked: NeedsHolder, *, approves: bool) -> None:
        """The card's holder answers."""
        assert asked.client_secret is not None
        await self.merchant.holder(asked.client_secret.partition("_secret_")[0], approves=approves)

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        return await self.script.answer("authorize", await super().authorize(reference, order, key))

    async def capture(self, reference: str, amount: Money, key: str) -> Outcome:
        return await self.script.answer("capture", await super().capture(reference, amount, key))

    async def read(self, reference: str) -> Outcome:
        outcome = await super().read(reference)
        self.script.looked()
        return outcome


Provider = Sandbox | Stripe


@dataclass
class Stage:
    """One process's airline, and what the scenarios do with it."""

    database: Database
    clock: ManualClock
    provider: Provider
    engine: SagaEngine
    bookings: Bookings

    async def book(
        self,
        correlation_id: str,
        points: int,
        simulation: Simulation | None,
        *,
        card: str | None = None,
        pay_later: bool = False,
    ) -> SagaView:
        """Ask for one seat on FLIGHT, be it for the first time or again."""
        async with self.database.reading() as connection:
            page = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
        answer = await self.bookings.book(
            BookFlight(
                subject=CUSTOMER,
                segments=[SegmentWish(next(flight.id for flight in page if flight.number == FLIGHT))],
                passengers=[JOHN],
                correlation_id=correlation_id,
                member_number=ADA,
                points_to_redeem=points,
                payment_token=card,
                simulation=simulation,
                pay_later=pay_later,
            )
        )
        assert isinstance(answer, SagaView), answer
        return answer

    async def cancel(self, booked: str, correlation_id: str, simulation: Simulation | None) -> SagaView:
        """Ask for the cancellation of what `booked` has booked, be it for the first time or again."""
        made = await self.view(booked)
        async with self.database.reading() as connection:
            booking = (await bookings_of_sagas(connection, [made.id]))[made.id]
        answer = await self.bookings.cancel_booking(
            booking.reference,
            correlation_id=correlation_id,
            simulation=simulation,
            subject=CUSTOMER,
            by=CUSTOMER,
        )
        assert isinstance(answer, SagaView), answer
        return answer

    async def view(self, correlation_id: str) -> SagaView:
        """The saga, which exists."""
        found = await self.engine.saga(correlation_id)
        assert found is not None
        return found

    async def ended(self, saga_id: str) -> None:
        """Return once the saga is over."""
        async for _ in self.engine.follow(saga_id):
            pass

    async def until(self, correlation_id: str, check: Callable[[SagaView], bool]) -> SagaView:
        """The saga once `check` holds for it, or once it is over."""
        view = await self.view(correlation_id)
        if check(view):
            return view
        async with aclosing(self.engine.follow(view.id, after=view.sequence)) as events:
            async for _ in events:
                view = await self.view(correlation_id)
                if check(view):
                    return view
        return await self.view(correlation_id)

    async def rests(self, correlation_id: str) -> SagaView:
        """The saga once it waits for its customer, or once it is over."""
        return await self.until(correlation_id, lambda view: view.awaiting is not None)
