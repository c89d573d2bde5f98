"""Batched reads: all that one operation asks for at once is one statement in one read transaction.

A read that fails is made again in halves, so that a row which cannot be read takes nothing from the others.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import cached_property, partial
from typing import Any, cast

from strawberry.dataloader import DataLoader

from domain import bookings, events, flights, loyalty, payments, saga, seats
from domain.bookings import Booking, Passenger
from domain.events import SagaEvent
from domain.flights import Airport, Flight
from domain.loyalty import LoyaltyAccount
from domain.payments import Payment
from domain.saga import SagaView
from domain.seats import CabinClass, Seat, SeatKey, SeatReservation
from domain.storage import Database, is_unavailable
from schema.turns import Pace

__all__ = ["Loaders"]


class _PacedLoader(DataLoader[Any, Any]):
    """Loads once the tasks of its operation have asked; then each goes on with what it asked for while there is time.

    All of them would go on in the same turn of the loop otherwise.
    """

    def __init__(self, load: Callable[[list[Any]], Awaitable[list[Any]]], pace: Pace) -> None:
        super().__init__(load_fn=load, loop=cast(AbstractEventLoop, pace))
        self._pace = pace

    def load(self, key: Any) -> Awaitable[Any]:
        """What `key` stands for; asked for at once, whether or not it is awaited."""
        return self._paced(super().load(key))

    async def _paced(self, found: Awaitable[Any]) -> Any:
        value = await found
        await self._pace.keep()
        return value


class Loaders:
    """The loaders of one operation, each made when it is first asked; nothing they have read outlives it.

    `subject`: whose sagas may be loaded; None, whosesoever. `pace`: the operation's, which says when to load.
    """

    def __init__(self, database: Database, subject: str | None, pace: Pace) -> None:
        self._database = database
        self._pace = pace
        self._subject = subject
        self._events: dict[tuple[int, int], DataLoader[str, list[SagaEvent]]] = {}

    @cached_property
    def flight(self) -> DataLoader[int, Flight | None]:
        """Flights by id."""
        return self._of(flights.flights_by_ids)

    @cached_property
    def airport(self) -> DataLoader[str, Airport | None]:
        """Airports by code."""
        return self._of(flights.airports_by_codes)

    @cached_property
    def available(self) -> DataLoader[int, Mapping[CabinClass, int] | None]:
        """Free seats by flight id, by cabin."""
        return self._of(seats.available_counts)

    @cached_property
    def seat_map(self) -> DataLoader[int, tuple[Seat, ...] | None]:
        """All seats by flight id."""
        return self._of(seats.seat_map)

    @cached_property
    def seat(self) -> DataLoader[SeatKey, Seat | None]:
        """Seats by key."""
        return self._of(seats.seats_by_ids)

    @cached_property
    def saga(self) -> DataLoader[str, SagaView | None]:
        """Sagas by id, where they are the subject's."""
        return self._of(partial(saga.by_ids, subject=self._subject))

    @cached_property
    def reservations(self) -> DataLoader[str, tuple[SeatReservation, ...] | None]:
        """Reservations by saga id."""
        return self._of(seats.reservations_of)

    @cached_property
    def reservation(self) -> DataLoader[str, SeatReservation | None]:
        """Reservations by id."""
        return self._of(seats.reservations_by_ids)

    @cached_property
    def passengers(self) -> DataLoader[str, tuple[Passenger, ...] | None]:
        """Passengers by saga id."""
        return self._of(bookings.passengers_of)

    @cached_property
    def payment_of_saga(self) -> DataLoader[str, Payment | None]:
        """Payments by saga id."""
        return self._of(payments.payments_of)

    @cached_property
    def booking_of_saga(self) -> DataLoader[str, Booking | None]:
        """Bookings by the id of the saga that made them."""
        return self._of(bookings.bookings_of_sagas)

    @cached_property
    def booking(self) -> DataLoader[str, Booking | None]:
        """Bookings by id."""
        return self._of(bookings.bookings_by_ids)

    @cached_property
    def account(self) -> DataLoader[str, LoyaltyAccount | None]:
        """Accounts by member number."""
        return self._of(loyalty.accounts_by_numbers)

    def events(self, after: int, limit: int) -> DataLoader[str, list[SagaEvent]]:
        """The loader of up to `limit` events above `after`, by saga id."""
        loader = self._events.get((after, limit))
        if loader is None:
            loader = self._events[after, limit] = self._of(partial(events.read_many, after=after, limit=limit))
        return loader

    def _of(self, read: Callable[[Any, Any], Coroutine[Any, Any, Mapping[Any, Any]]]) -> DataLoader[Any, Any]:
        async def load(keys: list[Any]) -> list[Any]:
            try:
                found = await self._database.read(lambda connection: read(connection, keys))
            except Exception as error:
                if is_unavailable(error):
                    raise
                if len(keys) == 1:
                    # The answer to this key alone.
                    return [error]
                half = len(keys) // 2
                return await load(keys[:half]) + await load(keys[half:])
            return [found.get(key) for key in keys]

        return _PacedLoader(load, self._pace)
