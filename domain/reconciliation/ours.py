"""Our side, whole: each payment with its saga, its booking and the booking's cancellation, in one statement.

As the audit does, this module reads other rooms' tables, so that what belongs together is of one moment.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from sqlalchemy import BigInteger, Integer, bindparam, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings import BookingStatus
from domain.bookings.tables import bookings
from domain.money import Money
from domain.payments import PaymentStatus
from domain.payments.tables import payments
from domain.saga import SagaStatus
from domain.saga.tables import sagas
from domain.storage import AnyRow, Id, any_of

__all__ = ["OurPage", "OurPayment", "active_page", "ended_page", "known_sagas", "ours_by_references"]

E = TypeVar("E", bound=StrEnum)

#: Our payments in a page; each may be a request to the provider.
PAGE_PAYMENTS_MAX: Final = 100
_p, _s, _b = payments.c, sagas.c, bookings.c
_cancellations = sagas.alias("cancellations")
_OURS: Final = (
    select(
        _p.reference,
        _p.saga_id,
        _p.correlation_id,
        _p.amount_minor,
        _p.currency,
        _p.status,
        _s.status.label("saga"),
        _s.finished_at.label("ended_at"),
        _b.reference.label("booking"),
        _b.status.label("booking_status"),
        _cancellations.c.status.label("cancellation"),
        _cancellations.c.finished_at.label("cancelled_at"),
        _b.cancellation_id,
    )
    .select_from(
        payments.outerjoin(sagas, _s.id == _p.saga_id)
        .outerjoin(bookings, _b.saga_id == _p.saga_id)
        .outerjoin(_cancellations, _cancellations.c.id == _b.cancellation_id)
    )
    .where(_p.provider == bindparam("provider"), any_of(_p.reference, "references"))
)
_KNOWN_SAGAS: Final = select(_s.correlation_id).where(any_of(_s.correlation_id, "ids"))
_cancelled = bookings.alias("cancelled")
_of_saga: Final = func.coalesce(_cancelled.c.saga_id, _s.id)
#: A saga that has ended, or the cancellation of its booking: the payment is that of the booking's saga.
_ENDED: Final = (
    select(_p.reference, _p.created_at, _s.finished_at, _s.id)
    .select_from(
        sagas.outerjoin(_cancelled, _cancelled.c.cancellation_id == _s.id).join(payments, _p.saga_id == _of_saga)
    )
    .where(
        _s.finished_at >= bindparam("since", type_=BigInteger),
        _s.finished_at < bindparam("until", type_=BigInteger),
        tuple_(_s.finished_at, _s.id)
        > tuple_(bindparam("at", type_=BigInteger), bindparam("id", type_=Id), types=[BigInteger(), _s.id.type]),
        _p.provider == bindparam("provider"),
        _p.reference.is_not(None),
    )
    .order_by(_s.finished_at, _s.id)
    .limit(bindparam("page", type_=Integer))
)
_ACTIVE: Final = (
    select(_p.reference, _p.created_at, _s.id)
    .select_from(sagas.join(payments, _p.saga_id == _s.id))
    .where(
        _s.finished_at.is_(None),
        _s.started_at < bindparam("before", type_=BigInteger),
        _s.id > bindparam("id", type_=Id),
        _p.provider == bindparam("provider"),
        _p.reference.is_not(None),
    )
    .order_by(_s.id)
    .limit(bindparam("page", type_=Integer))
)
_FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class OurPage:
    """References of payments of ours, each with the time of its creation, and where the next page begins."""

    created_at: Mapping[str, int]
    after: str | None


@dataclass(frozen=True, slots=True)
class OurPayment:
    """A payment of ours, and what became of it; None where there is none. Times in microseconds.

    `status`, `saga`, `booking_status` and `cancellation` are also None if this release does not know the value; then
    `is_readable` is False.
    """

    reference: str
    saga_id: str
    correlation_id: str
    amount: Money
    status: PaymentStatus | None
    saga: SagaStatus | None
    ended_at: int | None = None
    booking: str | None = None
    booking_status: BookingStatus | None = None
    cancellation: SagaStatus | None = None
    cancelled_at: int | None = None
    is_readable: bool = True

    def is_settled(self, at: int) -> bool:
        """Whether saga and cancellation had ended before this moment: then only people change the payment."""
        if not self.is_readable or self.saga is None or not self.saga.is_terminal:
            return False
        if self.cancellation is not None and not self.cancellation.is_terminal:
            return False
        return max(self.ended_at or 0, self.cancelled_at or 0) <= at


async def ours_by_references(
    connection: AsyncConnection, provider: str, references: Collection[str]
) -> Mapping[str, OurPayment]:
    """Our payments with these references, by reference."""
    rows = await connection.execute(_OURS, {"provider": provider, "references": list(references)})
    return {row.reference: _read(row) for row in rows}


async def known_sagas(connection: AsyncConnection, correlation_ids: Collection[str]) -> set[str]:
    """Those of these correlation IDs that a saga of ours has."""
    return set((await connection.execute(_KNOWN_SAGAS, {"ids": list(correlation_ids)})).scalars())


async def ended_page(
    connection: AsyncConnection, provider: str, *, since: int, until: int, after: str | None
) -> OurPage:
    """A page of the payments whose saga, or its booking's cancellation, ended in that time."""
    at, id_ = after.split(":", 1) if after else ("-1", _FIRST_ID)
    wanted = {"since": since, "until": until, "at": int(at), "id": id_, "provider": provider, "page": PAGE_PAYMENTS_MAX}
    rows = (await connection.execute(_ENDED, wanted)).all()
    return OurPage(_times(rows), f"{rows[-1].finished_at}:{rows[-1].id}" if _is_full(rows) else None)


async def active_page(connection: AsyncConnection, provider: str, *, started_before: int, after: str | None) -> OurPage:
    """A page of the payments whose saga began before that moment and has not ended."""
    wanted = {"before": started_before, "id": after or _FIRST_ID, "provider": provider, "page": PAGE_PAYMENTS_MAX}
    rows = (await connection.execute(_ACTIVE, wanted)).all()
    return OurPage(_times(rows), str(rows[-1].id) if _is_full(rows) else None)


def _times(rows: Sequence[AnyRow]) -> Mapping[str, int]:
    return {row.reference: row.created_at for row in rows}


def _is_full(rows: Sequence[Any]) -> bool:
    return len(rows) == PAGE_PAYMENTS_MAX


def _read(row: AnyRow) -> OurPayment:
    saga = SagaStatus.read(row.saga) if row.saga is not None else None
    status, booking_status = _known(PaymentStatus, row.status), _known(BookingStatus, row.booking_status)
    cancellation = SagaStatus.read(row.cancellation) if row.cancellation is not None else None
    return OurPayment(
        reference=row.reference,
        saga_id=row.saga_id,
        correlation_id=row.correlation_id,
        amount=Money(row.amount_minor, row.currency),
        status=status,
        saga=saga,
        ended_at=row.ended_at,
        booking=row.booking,
        booking_status=booking_status,
        cancellation=cancellation,
        cancelled_at=row.cancelled_at,
        is_readable=(row.booking_status is None) == (booking_status is None)
        and (row.cancellation_id is None) == (cancellation is None)
        and status is not None,
    )


def _known(kind: type[E], value: str | None) -> E | None:
    return kind(value) if value in set(kind) else None
