"""What is at stake in a saga, as SQL over its row, its payment, its member's entries and its seats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Join, and_, bindparam, case, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import DefinitionName, StepName
from domain.bookings.tables import bookings
from domain.loyalty import EntryReason
from domain.loyalty.tables import loyalty_entries
from domain.money import Money
from domain.payments import PaymentStatus
from domain.payments.tables import payments
from domain.saga import SagaStatus, StepStatus
from domain.saga.tables import saga_steps, sagas
from domain.seats import SeatReservationStatus
from domain.seats.tables import is_live, seat_reservations
from domain.storage import Query, any_of

__all__ = [
    "AT",
    "AtStake",
    "Unsettled",
    "at_stake",
    "has_stake",
    "money_minor",
    "points",
    "seats",
    "unsettled",
    "with_payment",
]

_s, _b, _p, _e, _r = sagas.c, bookings.c, payments.c, loyalty_entries.c, seat_reservations.c
_paying = saga_steps.alias("paying").c

#: The moment at which holds are compared with the clock.
AT: Final = "at"
_PAYING_STEPS: Final = (StepName.AUTHORIZE_PAYMENT, StepName.PROCESS_PAYMENT)
_GIVEN_BACK: Final = tuple(status for status in PaymentStatus if status.is_resolved)
_AWARDED: Final = (EntryReason.AWARDED, EntryReason.POSTED, EntryReason.REVERSED)
_REDEEMED: Final = (EntryReason.REDEEMED, EntryReason.REFUNDED)


@dataclass(frozen=True, slots=True)
class AtStake:
    """What would be lost; `money` is None if none is."""

    money: Money | None
    points: int
    seats: int


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The sagas that ended ABANDONED and that nobody has settled, and their money, one entry a currency."""

    sagas: int
    money: tuple[Money, ...]


# ---------------------------------------------------------------------- as SQL


def _is_one_of(column: ColumnElement[Any], values: Iterable[StrEnum]) -> ColumnElement[bool]:
    return or_(*(column == value.value for value in values))


#: The saga that owns payment, points and seats: the one that made the booking, if this one cancels it.
_owner: Final = func.coalesce(_b.saga_id, _s.id)

#: Each saga with the booking that it cancels and the payment at stake, if there is one.
with_payment: Final[Join] = sagas.outerjoin(bookings, _b.cancellation_id == _s.id).outerjoin(
    payments, _p.saga_id == _owner
)

#: A cancellation that was undone has left the booking as it was.
has_stake: Final = and_(
    _s.status != SagaStatus.COMPLETED.value,
    _s.settled_at.is_(None),
    or_(_s.status != SagaStatus.COMPENSATED.value, _s.definition != DefinitionName.CANCEL_BOOKING.value),
)

#: Whether a call that reserves money may have had its effect, although no answer has come: the engine keeps this until
#: the call is undone, or an operator gives its undoing up.
_may_be_reserved: Final = (
    select(_paying.position)
    .where(
        _paying.saga_id == _s.id,
        _is_one_of(_paying.name, _PAYING_STEPS),
        or_(
            _s.effects.bitwise_rshift(_paying.position).bitwise_and(1) == 1,
            _paying.undo_status == StepStatus.SKIPPED.value,
        ),
    )
    .exists()
)

#: Money in minor units; NULL if there is none. A status that only a newer release knows counts.
money_minor: Final[ColumnElement[Any]] = case(
    (_is_one_of(_p.status, _GIVEN_BACK), None),
    (and_(_p.status == PaymentStatus.PENDING.value, ~_may_be_reserved), None),
    else_=func.nullif(_p.amount_minor - func.coalesce(_p.refunded_minor, 0), 0),
)

#: Points that the member lacks, and miles that the airline has given for nothing.
points: Final[ColumnElement[Any]] = (
    select(
        func.coalesce(
            func.sum(
                case(
                    (_is_one_of(_e.reason, _AWARDED), _e.points + _e.pending_points),
                    (_is_one_of(_e.reason, _REDEEMED), -_e.points),
                    else_=0,
                )
            ),
            0,
        )
    )
    .where(_e.saga_id == _owner)
    .scalar_subquery()
)

#: Seats that nobody else can buy. A hold that has lapsed is the expiry's affair.
seats: Final[ColumnElement[Any]] = (
    select(func.count())
    .select_from(seat_reservations)
    .where(
        _r.saga_id == _owner,
        is_live,
        or_(_r.status != SeatReservationStatus.HELD.value, _r.expires_at > bindparam(AT, type_=BigInteger)),
    )
    .scalar_subquery()
)

_OF_SAGAS: Final = Query(
    select(
        _s.id,
        _p.currency,
        money_minor.label("minor"),
        points.label("points"),
        seats.label("seats"),
    )
    .select_from(with_payment)
    .where(any_of(_s.id, "ids"), has_stake)
)


_UNSETTLED: Final = Query(
    select(_p.currency, func.count().label("sagas"), func.sum(money_minor).label("minor"))
    .select_from(with_payment)
    # Repeats the partial index's condition.
    .where(text("sagas.status = 'ABANDONED' AND sagas.settled_at IS NULL"))
    .group_by(_p.currency)
)


async def at_stake(connection: AsyncConnection, saga_ids: Sequence[str], *, at: int) -> dict[str, AtStake]:
    """What is at stake in each of these sagas at this moment; sagas with nothing at stake are left out.

    One statement.
    """
    found = {}
    for row in await _OF_SAGAS(connection, ids=list(saga_ids), at=at):
        money = None if row.minor is None else Money(row.minor, row.currency)
        if money is not None or row.points or row.seats:
            found[row.id] = AtStake(money, int(row.points), row.seats)
    return found


async def unsettled(connection: AsyncConnection) -> Unsettled:
    """What operators gave up and nobody has settled. One statement."""
    rows = await _UNSETTLED(connection)
    money = (Money(int(row.minor), row.currency) for row in rows if row.minor)
    return Unsettled(sum(row.sagas for row in rows), tuple(sorted(money, key=lambda each: each.currency)))
