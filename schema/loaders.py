"""Batched reads: all that one operation asks for at once is one statement in one read transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from strawberry.dataloader import DataLoader

from domain import bookings, events, flights, loyalty, payments, saga, seats
from domain.bookings import Booking, Passenger
from domain.events import SagaEvent
from domain.flights import Airport, Flight
from domain.loyalty import LoyaltyAccount
from domain.payments import Payment
from domain.saga import SagaView
from domain.seats import CabinClass, Seat, SeatKey, SeatReservation
from domain.storage import Database

__all__ = ["Loaders"]


class Loaders:
    """The loaders of one operation; nothing they have read outlives it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._events: dict[tuple[int, int], DataLoader[str, list[SagaEvent]]] = {}
        self.flight: DataLoader[int, Flight | None] = self._of(flights.flights_by_ids)
        self.airport: DataLoader[str, Airport | None] = self._of(flights.airports_by_codes)
        self.available: DataLoader[int, Mapping[CabinClass, int] | None] = self._of(seats.available_counts)
        self.seat_map: DataLoader[int, tuple[Seat, ...] | None] = self._of(seats.seat_map)
        self.seat: DataLoader[SeatKey, Seat | None] = self._of(seats.seats_by_ids)
        self.saga: DataLoader[str, SagaView | None] = self._of(saga.by_ids)
        self.reservations: DataLoader[str, tuple[SeatReservation, ...] | None] = self._of(seats.reservations_of)
        self.reservation: DataLoader[str, SeatReservation | None] = self._of(seats.reservations_by_ids)
        self.passengers: DataLoader[str, tuple[Passenger, ...] | None] = self._of(bookings.passengers_of)
        self.payment_of_saga: DataLoader[str, Payment | None] = self._of(payments.payments_of)
        self.booking_of_saga: DataLoader[str, Booking | None] = self._of(bookings.bookings_of_sagas)
        self.booking: DataLoader[str, Booking | None] = self._of(bookings.bookings_by_ids)
        self.account: DataLoader[str, LoyaltyAccount | None] = self._of(loyalty.accounts_by_numbers)

    def events(self, after: int, limit: int) -> DataLoader[str, list[SagaEvent]]:
        """The loader of up to `limit` events above `after`, by saga id."""
        loader = self._events.get((after, limit))
        if loader is None:
            loader = self._events[after, limit] = self._of(partial(events.read_many, after=after, limit=limit))
        return loader

    def _of(self, read: Callable[[Any, Any], Awaitable[Mapping[Any, Any]]]) -> DataLoader[Any, Any]:
        async def load(keys: list[Any]) -> list[Any]:
            async with self._database.read() as connection:
                found = await read(connection, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load_fn=load)
