"""From hold to booking: the pin's question, and CONFIRM_BOOKING's effect."""

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
    """Whether each saga may still confirm: all of its seats HELD, and not lapsed now that they are locked.

    Nor may it, though its hold has not lapsed, from its `closes_at` on (by saga id; microseconds).

    Writes nothing; the caller pins the saga in the same transaction, and until that commits no
    sweep can touch these rows. The clock is read after the lock, in a statement of its own. Two
    statements for any number of sagas (one on SQLite); one answer each, in order.
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

    Expiry is not compared: the pin has decided that. A saga whose seats are confirmed already is
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
