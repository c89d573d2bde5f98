"""Any object by its id. If it belongs to someone else, the answer is the same as if it did not exist."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from domain import events, loyalty, operators, seats
from domain import saga as domain_saga
from domain.ids import canonical_uuid
from schema import ids
from schema.bulk_actions import BulkAction
from schema.context import RequestInfo, Scope, may_see_account
from schema.flights import Flight, Node, Seat
from schema.inputs import flight_id_of
from schema.loyalty import LoyaltyAccount, LoyaltyEntry
from schema.payments import Payment
from schema.sagas import Booking, OperatorAction, Saga, SagaEvent, SeatReservation
from schema.steps import SagaStep

__all__ = ["find_node"]


async def find_node(info: RequestInfo, node_id: str) -> Node | None:
    """The object with this id; None if there is none that the viewer may see."""
    decoded = ids.decode(node_id)
    if decoded is None or decoded[0] not in _FINDERS:
        return None
    return await _FINDERS[decoded[0]](info, decoded[1])


async def _flight(info: RequestInfo, key: str) -> Flight | None:
    flight_id = flight_id_of(ids.encode("Flight", key))
    found = None if flight_id is None else await info.context.loaders.flight.load(flight_id)
    return None if found is None else Flight.of(found)


async def _seat(info: RequestInfo, key: str) -> Seat | None:
    flight, _, number = key.partition("/")
    flight_id, seat = flight_id_of(ids.encode("Flight", flight)), seats.seat_index(number)
    if flight_id is None or seat is None or seats.seat_number(seat) != number:
        return None
    found = await info.context.loaders.seat.load(seats.SeatKey(flight_id, seat))
    return None if found is None else Seat.of(found)


async def _visible_saga(info: RequestInfo, saga_id: str) -> domain_saga.SagaView | None:
    return await info.context.loaders.saga.load(saga_id) if _is_uuid(saga_id) else None


async def _saga(info: RequestInfo, key: str) -> Saga | None:
    found = await _visible_saga(info, key)
    return None if found is None else Saga.of(found)


async def _step(info: RequestInfo, key: str) -> SagaStep | None:
    saga_id, _, position = key.partition("/")
    found, index = await _visible_saga(info, saga_id), ids.number_of(position)
    if found is None or index is None or index >= len(found.steps):
        return None
    return SagaStep.of(found.steps[index])


async def _event(info: RequestInfo, key: str) -> SagaEvent | None:
    saga_id, _, number = key.partition("/")
    found, sequence = await _visible_saga(info, saga_id), ids.number_of(number)
    if found is None or sequence is None or not 1 <= sequence <= found.sequence:
        return None
    async with info.context.services.database.reading() as connection:
        read = await events.read(connection, saga_id, after=sequence - 1, limit=1)
    return SagaEvent.of(read[0]) if read and read[0].sequence == sequence else None


async def _reservation(info: RequestInfo, key: str) -> SeatReservation | None:
    found = await info.context.loaders.reservation.load(key) if _is_uuid(key) else None
    # Read also without a reservation, so that the time does not reveal a reservation of someone else.
    saga = await _visible_saga(info, key if found is None else found.saga_id)
    return None if found is None or saga is None else SeatReservation.of(found)


async def _payment(info: RequestInfo, key: str) -> Payment | None:
    if await _visible_saga(info, key) is None:
        return None
    found = await info.context.loaders.payment_of_saga.load(key)
    return None if found is None else Payment.of(found)


async def _booking(info: RequestInfo, key: str) -> Booking | None:
    found = await info.context.loaders.booking.load(key) if _is_uuid(key) else None
    return Booking.of(found) if found is not None and info.context.viewer.may_see(found.subject) else None


async def _account(info: RequestInfo, key: str) -> LoyaltyAccount | None:
    found = await info.context.loaders.account.load(key) if may_see_account(info, key) else None
    return None if found is None else LoyaltyAccount.of(found)


async def _entry(info: RequestInfo, key: str) -> LoyaltyEntry | None:
    if not _is_uuid(key):
        return None
    async with info.context.services.database.reading() as connection:
        found = (await loyalty.entries_by_ids(connection, [key])).get(key)
    if found is None or not may_see_account(info, found.member_number):
        return None
    return LoyaltyEntry.of(found)


async def _action(info: RequestInfo, key: str) -> OperatorAction | None:
    if not info.context.viewer.may(Scope.SAGAS_READ) or not _is_uuid(key):
        return None
    async with info.context.services.database.reading() as connection:
        found = (await operators.actions_by_ids(connection, [key])).get(key)
    return None if found is None else OperatorAction.of(found)


async def _bulk_action(info: RequestInfo, key: str) -> BulkAction | None:
    if not info.context.viewer.may(Scope.SAGAS_READ) or not _is_uuid(key):
        return None
    found = await info.context.loaders.bulk_action.load(key)
    return None if found is None else BulkAction.of(found)


def _is_uuid(key: str) -> bool:
    return canonical_uuid(key) == key


_FINDERS: Final[Mapping[str, Callable[[RequestInfo, str], Awaitable[Node | None]]]] = {
    "Flight": _flight,
    "Seat": _seat,
    "Saga": _saga,
    "SagaStep": _step,
    "SagaEvent": _event,
    "SeatReservation": _reservation,
    "Payment": _payment,
    "Booking": _booking,
    "LoyaltyAccount": _account,
    "LoyaltyEntry": _entry,
    "OperatorAction": _action,
    "BulkAction": _bulk_action,
}
