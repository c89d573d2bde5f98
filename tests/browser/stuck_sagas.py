"""Sagas that are stuck because the provider went away, made quickly and as they come about.

::

    book ──▶ authorized at the provider ──▶ CONFIRM_BOOKING fails ──▶ CANCEL_PAYMENT stands before the dam
                                                      the provider goes away, and the dam opens
                                                                      └──▶ NotSent, at once STUCK

The engine is the real one, and each payment is real in the witness's books. Three things differ from a server. The
dam stands in the guard's place: the guard would keep the sagas in line, so that none would get stuck. A
compensation's budget is nothing instead of four hours. A payment is opened and authorized by one request of a plain
client: that takes a tenth of the time of the two of Stripe's library.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from typing import Any, Final, TypeVar

from app.migrations import upgrade
from domain import flights, seats
from domain.bookings import BookFlight, Bookings, Passenger, SegmentWish, build_definitions
from domain.clock import SECOND, wall_now
from domain.flights import Departure
from domain.gate import Entry, Lane
from domain.outcome import Outcome, Succeeded
from domain.payments import PaymentOrder
from domain.payments.stripe import StripeGateway
from domain.payments.stripe_amounts import units_of
from domain.saga import SagaDefinition, SagaEngine, SagaQuery, SagaStatus, SagaView, Simulation, count
from domain.storage import Database
from tests.support.waiting import eventually
from tests.witness import Merchant, Witness

__all__ = ["get_stuck"]

T = TypeVar("T")

BATCH_SAGAS: Final = 250
THREADS: Final = 4
BATCH_SECONDS_MAX: Final = 60.0
#: Also of the server that goes on with them.
HOLD_SECONDS: Final = 3_600
#: So long after they got stuck are they tried again: as after a night, and not within the test.
STUCK_SECONDS: Final = 900.0
SEATS_IN_ECONOMY: Final = 144
FAILS: Final = ("CONFIRM_BOOKING",)


class QuickGateway(StripeGateway):
    """Opens and authorizes by one request, on a few connections that are kept."""

    def __init__(self, merchant: Merchant) -> None:
        super().__init__(merchant.api_key, api_base=merchant.witness.url, calls_max=BATCH_SAGAS)
        self._headers = {"Authorization": f"Bearer {merchant.api_key}", "Content-Type": "application/json"}
        self._threads = ThreadPoolExecutor(THREADS)
        self._free = [HTTPConnection(merchant.witness.url.removeprefix("http://")) for _ in range(THREADS)]

    async def open(self, order: PaymentOrder, key: str) -> Outcome:
        opened = await asyncio.get_running_loop().run_in_executor(self._threads, self._post, order, key)
        assert opened["status"] == "requires_capture", opened
        return Succeeded(data=opened["id"])

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        return Succeeded("authorized")

    async def close(self) -> None:
        self._threads.shutdown()
        for connection in self._free:
            connection.close()
        await super().close()

    def _post(self, order: PaymentOrder, key: str) -> Any:
        wish = {
            "amount": units_of(order.amount),
            "currency": order.amount.currency.lower(),
            "capture_method": "manual",
            "confirm": "true",
            "payment_method": order.token,
            "metadata": {"correlation_id": order.correlation_id},
        }
        connection = self._free.pop()
        connection.request("POST", "/v1/payment_intents", json.dumps(wish), self._headers | {"Idempotency-Key": key})
        opened = json.load(connection.getresponse())
        self._free.append(connection)
        return opened


class Dam:
    """A gate that lets no compensation pass before it is opened for it."""

    def __init__(self) -> None:
        self.line: dict[str, None] = {}
        self._left = 0
        self._open: set[str] = set()
        self._on_place: Callable[[str], None] = lambda saga_id: None

    def enter(self, saga_id: str, lane: Lane) -> Entry:
        if lane is not Lane.UNDO or saga_id in self._open:
            return Entry.PERMIT
        self.line.setdefault(saga_id)
        return Entry.LINE

    def leave(self, saga_id: str, outcome: Outcome | None) -> None:
        self._left += saga_id in self._open and outcome is not None

    def attach(self, on_place: Callable[[str], None]) -> None:
        self._on_place = on_place

    def holds(self, number: int) -> bool:
        """Whether so many stand before it."""
        return len(self.line) == number

    def is_passed(self) -> bool:
        """Whether the calls of all sagas that may pass have ended."""
        return self._left == len(self._open)

    def open_for(self, saga_ids: Sequence[str]) -> None:
        """These may pass from now on."""
        self._open.update(saga_ids)
        for saga_id in saga_ids:
            self._on_place(saga_id)


async def get_stuck(url: str, witness: Witness, merchant: Merchant, number: int, *, twice: int) -> None:
    """Fill the database at `url` with `number` sagas that are stuck at CANCEL_PAYMENT; the witness is away then.

    Once their payment is undone, `twice` of them get stuck at CANCEL_SEAT, too.
    """
    await upgrade(url)
    database = Database(url)
    await flights.load(database, _departures(number), add_seats=seats.add_seats)
    dam = Dam()
    async with _airline(database, merchant, dam) as bookings:
        async with database.reading() as connection:
            page = await flights.flights_page(connection, flights.FlightQuery(), after=None, limit=100)
        wishes = [_wish(page[at % len(page)].id, is_hopeless=at >= number - twice) for at in range(number)]
        booked = 0
        for batch in _batches(wishes):
            begun = await asyncio.gather(*map(bookings.book, batch))
            assert all(isinstance(answer, SagaView) for answer in begun), begun
            booked += len(batch)
            await eventually(partial(dam.holds, booked), BATCH_SECONDS_MAX)
        await witness.go_away()
        for saga_ids in _batches(list(dam.line)):
            dam.open_for(saga_ids)
            await eventually(dam.is_passed, BATCH_SECONDS_MAX)

        async def stuck() -> bool:
            async with database.reading() as connection:
                return await count(connection, SagaQuery(statuses=[SagaStatus.STUCK])) == number

        await eventually(stuck, BATCH_SECONDS_MAX)


@asynccontextmanager
async def _airline(database: Database, merchant: Merchant, dam: Dam) -> AsyncIterator[Bookings]:
    gateway = QuickGateway(merchant)
    await gateway.start()
    built = build_definitions(gateway, hold_seconds=HOLD_SECONDS, gate=dam)
    definitions = replace(built, book_and_earn=_without_patience(built.book_and_earn))
    engine = SagaEngine(database, definitions.all)
    await engine.open(alone=True)
    try:
        yield Bookings(engine, definitions, simulation_allowed=True, default_token=None)
    finally:
        await engine.close()
        await gateway.close()
        await database.close()


def _without_patience(definition: SagaDefinition) -> SagaDefinition:
    """Its compensations are stuck as soon as one attempt has failed."""
    steps = [
        replace(step, compensation=replace(step.compensation, policy=policy))
        if step.compensation is not None
        and (policy := replace(step.compensation.policy, budget_seconds=0.0, stuck_seconds=STUCK_SECONDS))
        else step
        for step in definition.steps
    ]
    return replace(definition, steps=tuple(steps))


def _wish(flight_id: int, *, is_hopeless: bool) -> BookFlight:
    simulation = Simulation(fail_at=FAILS, fail_compensation_at=("CANCEL_SEAT",) if is_hopeless else ())
    return BookFlight(
        "someone",
        [SegmentWish(flight_id)],
        [Passenger("John", "Smith")],
        str(uuid.uuid4()),
        payment_token="pm_card_visa",
        simulation=simulation,
    )


def _batches(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[start : start + BATCH_SAGAS] for start in range(0, len(items), BATCH_SAGAS)]


def _departures(number: int) -> list[Departure]:
    """Seats enough for `number` passengers, the fullest flight left with some."""
    now = wall_now()
    return [
        Departure(
            f"N{at:04d}",
            "JFK",
            "LHR",
            now + (48 + at) * 3_600 * SECOND,
            now + (55 + at) * 3_600 * SECOND,
            100_00,
            300_00,
            500_00,
            "USD",
        )
        for at in range(number // (SEATS_IN_ECONOMY - 20) + 1)
    ]
