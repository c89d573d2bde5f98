"""A provider's bad day, compressed into seconds: slow, limited, failing, away; with news late, twice and in reverse.

The whole application serves it, on both databases, with Stripe's gateway. Who judges is the witness: each confirmed
booking has one capture of its price, and of everything else nothing is left, neither taken nor reserved.
"""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from app.bootstrap import Backend
from app.main import create_app
from app.settings import load_settings
from domain import flights
from domain.bookings import (
    BookFlight,
    Booking,
    CardConfirmationAwaited,
    PaymentsUnavailable,
    SegmentWish,
    awaited,
    bookings_of_sagas,
)
from domain.saga import SagaStatus, SagaView, Simulation
from tests.app.whole import fill
from tests.domain.bookings.world import JOHN
from tests.support.asking import AN_OPERATOR
from tests.support.serving import serving
from tests.support.waiting import eventually
from tests.witness import Merchant, Witness

SECRET: Final = "whsec_of_a_bad_day"
VISA: Final = "pm_card_visa"
#: Two of three cards are good. The others are declined, ask their holder, or belong to a booking that fails late.
CARDS: Final = (VISA, VISA, "pm_card_chargeDeclined", VISA, VISA, "pm_card_threeDSecure2Required")
FAILS_LATE: Final = Simulation(fail_at=("CONFIRM_BOOKING",))
BOOKINGS: Final = 24
WHILE_AWAY: Final = 6
CANCELLATIONS: Final = 5
REQUESTS_PER_SECOND: Final = 40
SHARE: Final = 0.03
DAY_SECONDS_MAX: Final = 90.0


@dataclass
class Day:
    """An airline in service, its account at the provider, and every saga of the day."""

    backend: Backend
    merchant: Merchant
    sagas: list[SagaView] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)

    async def book(
        self, cards: Sequence[str], simulation: Simulation | None = None, *, may_be_shut: bool = False
    ) -> list[SagaView]:
        """A booking for each card, all at once. `may_be_shut`: some are refused if the provider seems away."""
        async with self.backend.database.reading() as connection:
            page = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=10)
        wishes = [
            BookFlight(
                "someone",
                [SegmentWish(page[0].id)],
                [JOHN],
                str(uuid.uuid4()),
                payment_token=card,
                simulation=simulation,
            )
            for card in cards
        ]
        found = [await self.backend.bookings.book(wish) for wish in wishes]
        begun = [saga for saga in found if isinstance(saga, SagaView)]
        refused = [each for answer in found if isinstance(answer, tuple) for each in answer]
        assert all(may_be_shut and isinstance(each, PaymentsUnavailable) for each in refused), refused
        self.sagas += begun
        return begun

    async def cancel(self, booked: Sequence[SagaView]) -> None:
        """The customers give these bookings back."""
        made = await self.bookings()
        for saga in booked:
            begun = await self.backend.bookings.cancel_booking(
                made[saga.id].reference, correlation_id=None, simulation=None, subject=None, by="someone"
            )
            assert isinstance(begun, SagaView)
            self.sagas.append(begun)

    async def bookings(self) -> dict[str, Booking]:
        """What was booked, by the saga's ID."""
        async with self.backend.database.reading() as connection:
            return await bookings_of_sagas(connection, [saga.id for saga in self.sagas])

    async def view(self, saga: SagaView) -> SagaView:
        found = await self.backend.engine.saga(saga.correlation_id)
        assert found is not None
        return found

    async def are_over(self, sagas: Sequence[SagaView]) -> bool:
        """Whether they are; holders answer, the bank settles what is pending, an operator retries what is stuck."""
        views = [await self.view(saga) for saga in sagas]
        for view in views:
            match awaited(view):
                case CardConfirmationAwaited() if view.id not in self.answered:
                    self.answered.add(view.id)
                    for payment in (await self.merchant.books()).all_of(view.correlation_id):
                        await self.merchant.holder(payment.reference, approves=True)
                        await self.backend.bookings.look_now(payment.reference)
            if view.status is SagaStatus.STUCK:
                await self.backend.bookings.retry_saga(view.correlation_id, asked=AN_OPERATOR)
        return all(view.status.is_terminal for view in views)


@asynccontextmanager
async def opened(url: str, folder: Path, witness: Witness) -> AsyncIterator[Day]:
    """The whole application on this database, with the witness as its provider, which sends it events."""
    merchant = witness.merchant()
    await fill(url)
    given: dict[str, Any] = {
        "database_url": url,
        "log_dir": folder / "logs",
        "admin_token": "a token for operators",
        "payments": "stripe",
        "stripe_api_key": merchant.api_key,
        "stripe_api_base": witness.url,
        "stripe_webhook_secret": SECRET,
        "simulation": "on",
    }
    backend = Backend(load_settings({}, **given), console=io.StringIO())
    async with serving(create_app(backend=backend)) as served:
        await merchant.webhooks(f"{served.url}/webhooks/stripe", SECRET, held=True)
        yield Day(backend, merchant)


async def test_after_a_bad_day_each_booking_is_paid_once_and_nothing_else_is_charged(
    database_url: str, tmp_path: Path
) -> None:
    async with Witness.running() as witness, opened(database_url, tmp_path, witness) as day:
        early = await day.book([VISA] * CANCELLATIONS)
        await eventually(lambda: day.are_over(early), DAY_SECONDS_MAX)

        await day.merchant.set(requests_per_second=REQUESTS_PER_SECOND, answer_seconds=0.05)
        for what in ("ERROR", "RESET", "PAGE"):
            for after_effect in (False, True):
                await day.merchant.fault("*", what, after_effect=after_effect, share=SHARE)
        begun = await day.book([CARDS[number % len(CARDS)] for number in range(BOOKINGS)])
        await day.book([VISA] * 3, FAILS_LATE)
        await day.cancel(early)
        async with witness.away():
            unlucky = await day.book([VISA] * WHILE_AWAY, may_be_shut=True)
            await eventually(lambda: hold_seats(day, unlucky))

        await eventually(lambda: day.are_over(day.sagas), DAY_SECONDS_MAX)
        assert await day.merchant.release("REVERSED", times=2) > 0
        await eventually(lambda: day.are_over(day.sagas))
        await judge(day, early)
        assert await booked(day, begun), "on a day on which nothing is booked, nothing is shown"


async def hold_seats(day: Day, sagas: Sequence[SagaView]) -> bool:
    """Whether they have come to their payment."""
    return all([(await day.view(saga)).queue.completed or (await day.view(saga)).failure for saga in sagas])


async def booked(day: Day, sagas: Sequence[SagaView]) -> int:
    made = await day.bookings()
    return len([saga for saga in sagas if saga.id in made])


async def judge(day: Day, cancelled: Sequence[SagaView]) -> None:
    """By the witness's books, which know also what our database may not."""
    books = await day.merchant.books()
    given_back = {saga.id for saga in cancelled}
    made = await day.bookings()
    kept = [saga for saga in day.sagas if saga.id in made and saga.id not in given_back]
    books.assert_kept({saga.correlation_id: made[saga.id].total.minor for saga in kept})
