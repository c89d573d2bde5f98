"""From hold to booking: the check before the pin, and the effect of CONFIRM_BOOKING."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.outcome import Busy
from domain.seats.locks import SagaSeats, lock_reservations
from domain.seats.model import Claimed, Closed, Confirmed, Lapsed, NotHeld
from domain.seats.moves import move_reservations
from domain.seats.states import SeatReservationStatus

__all__ = ["claim", "confirm"]


async def claim(
    connection: AsyncConnection, saga_ids: Sequence[str], *, clock: Clock, closes_at: Mapping[str, int] | None = None
) -> list[Claimed | Lapsed | Closed | Busy]:
    """Whether each saga may still confirm: all of its seats are HELD, and have not lapsed once they are locked.

    A saga may not confirm from its `closes_at` on either (by saga ID; microseconds).

    Writes nothing. The caller pins the saga in the same transaction; until that commits no sweep
    can touch these rows. The clock is read after the lock, in its own statement. Two statements
    for any number of sagas (one on SQLite); one answer each, in order.
    """
    locked = await lock_reservations(connection, saga_ids)
    now = await clock.now(connection)
    answers: list[Claimed | Lapsed | Closed | Busy] = []
    for saga_id in saga_ids:
        own = locked[saga_id]
        if own.busy:
            answers.append(Busy())
        elif not own.all_are(SeatReservationStatus.HELD) or own.expires_at <= now:
            answers.append(Lapsed())
        elif closes_at is not None and closes_at.get(saga_id, now + 1) <= now:
            answers.append(Closed())
        else:
            answers.append(Claimed(own.expires_at))
    return answers


async def confirm(connection: AsyncConnection, saga_ids: Sequence[str], *, at: int) -> list[Confirmed | NotHeld | Busy]:
    """Turn the holds of each saga into booked seats `at`, all of a saga's or none.

    Expiry is not checked: the pin has decided it. A saga whose seats are already confirmed is
    answered Confirmed again. At most three statements for any number of sagas; one answer each,
    in order.
    """
    locked = await lock_reservations(connection, saga_ids)
    ready = [own for own in locked.values() if not own.busy and own.all_are(SeatReservationStatus.HELD)]
    held = [reservation for own in ready for reservation in own.reservations]
    await move_reservations(connection, held, SeatReservationStatus.CONFIRMED, at=at)
    return [_confirmation(locked[saga_id]) for saga_id in saga_ids]


def _confirmation(own: SagaSeats) -> Confirmed | NotHeld | Busy:
    if own.busy:
        return Busy()
    if own.all_are(SeatReservationStatus.HELD) or own.all_are(SeatReservationStatus.CONFIRMED):
        return Confirmed(len(own.reservations))
    return NotHeld()
