"""Batched reads: all keys that one operation requests at once are read by one statement in one read transaction.

A failed read is repeated in halves, so that one unreadable row does not affect the others.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import cached_property, partial
from typing import Any, Final, cast

from strawberry.dataloader import DataLoader

from domain import bookings, bulk, events, flights, incidents, loyalty, operators, payments, saga, seats
from domain.bookings import Booking, Passenger
from domain.bulk import BulkAction, PassedOver
from domain.events import SagaEvent
from domain.flights import Airport, Flight
from domain.incidents import AtStake
from domain.loyalty import LoyaltyAccount
from domain.operators import OperatorAction
from domain.payments import Payment
from domain.saga import SagaStatus, SagaView
from domain.seats import CabinClass, Seat, SeatKey, SeatReservation
from domain.storage import Database, is_unavailable
from schema.turns import Pace

__all__ = ["HIDDEN", "HIDDEN_PASSENGER", "Loaders"]

#: Shown for a name that the viewer may not see.
HIDDEN: Final = "*"
HIDDEN_PASSENGER: Final = Passenger(HIDDEN, HIDDEN, None)


class _PacedLoader(DataLoader[Any, Any]):
    """Loads once all tasks of its operation have requested their keys; the tasks then continue in paced turns.

    Otherwise all of them would continue in the same iteration of the event loop.
    """

    def __init__(self, load: Callable[[list[Any]], Awaitable[list[Any]]], pace: Pace) -> None:
        super().__init__(load_fn=load, loop=cast(AbstractEventLoop, pace))
        self._pace = pace

    def load(self, key: Any) -> Awaitable[Any]:
        """The value of `key`. It is requested at once, even if the result is not awaited."""
        return self._paced(super().load(key))

    async def _paced(self, found: Awaitable[Any]) -> Any:
        value = await found
        await self._pace.keep()
        return value


class Loaders:
    """The loaders of one operation. Each is created on first use; loaded data is dropped with the operation.

    `subject`: only this subject's sagas may be loaded; None: any. `pace`: the operation's; it decides when to load.
    `names_only`: the names of passengers are shown only in sagas of this subject, and are HIDDEN elsewhere; None: all
    are shown.
    """

    def __init__(
        self,
        database: Database,
        subject: str | None,
        pace: Pace,
        *,
        names_only: str | None = None,
    ) -> None:
        self._database = database
        self._pace = pace
        self._subject = subject
        self._names_only = names_only
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
        """Sagas by id, if they belong to the subject."""
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
        return self._of(self._passengers)

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
    def settlement(self) -> DataLoader[str, OperatorAction | None]:
        """The records of how sagas were settled, by saga id."""
        return self._of(operators.settlements_of)

    @cached_property
    def account(self) -> DataLoader[str, LoyaltyAccount | None]:
        """Accounts by member number."""
        return self._of(loyalty.accounts_by_numbers)

    @cached_property
    def at_stake(self) -> DataLoader[str, AtStake | None]:
        """What is at stake, by saga id."""

        async def read(connection: Any, saga_ids: list[str]) -> Mapping[str, AtStake]:
            at = await self._database.clock.now(connection)
            return await incidents.at_stake(connection, saga_ids, at=at)

        return self._of(read)

    @cached_property
    def bulk_action(self) -> DataLoader[str, BulkAction | None]:
        """Bulk actions by id."""
        return self._of(bulk.actions_by_ids)

    @cached_property
    def bulk_statuses(self) -> DataLoader[str, Mapping[SagaStatus, int] | None]:
        """How many of a bulk action's handled sagas have each status now, by its id."""
        return self._of(bulk.statuses_of)

    @cached_property
    def bulk_passed_over(self) -> DataLoader[str, list[PassedOver] | None]:
        """Why a bulk action passed over sagas, by its id."""
        return self._of(bulk.passed_over_of)

    def events(self, after: int, limit: int) -> DataLoader[str, list[SagaEvent]]:
        """The loader of up to `limit` events above `after`, by saga id."""
        loader = self._events.get((after, limit))
        if loader is None:
            loader = self._events[after, limit] = self._of(partial(events.read_many, after=after, limit=limit))
        return loader

    async def _passengers(self, connection: Any, saga_ids: list[str]) -> Mapping[str, tuple[Passenger, ...]]:
        found = await bookings.passengers_of(connection, saga_ids)
        if self._names_only is None:
            return found
        own = await saga.by_ids(connection, saga_ids, subject=self._names_only)
        return {key: people if key in own else (HIDDEN_PASSENGER,) * len(people) for key, people in found.items()}

    def _of(self, read: Callable[[Any, Any], Coroutine[Any, Any, Mapping[Any, Any]]]) -> DataLoader[Any, Any]:
        async def load(keys: list[Any]) -> list[Any]:
            try:
                found = await self._database.read(lambda connection: read(connection, keys))
            except Exception as error:
                if is_unavailable(error):
                    raise
                if len(keys) == 1:
                    # Only this key fails.
                    return [error]
                half = len(keys) // 2
                return await load(keys[:half]) + await load(keys[half:])
            return [found.get(key) for key in keys]

        return _PacedLoader(load, self._pace)
