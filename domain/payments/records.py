"""Our own records of payments: written in their step's transaction."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import new_id
from domain.money import Money
from domain.payments.states import PAYMENT_TRANSITIONS, PaymentStatus
from domain.payments.tables import payments
from domain.storage import AnyRow, BulkInsert, BulkUpdate, Query, any_of

__all__ = [
    "NewPayment",
    "Payment",
    "mark",
    "new_reference",
    "payment_of_reference",
    "payments_of",
    "record",
    "sagas_of_reference",
    "set_references",
]

METHOD = "CARD"
_p = payments.c


@dataclass(frozen=True, slots=True)
class NewPayment:
    """A payment to record before any call for it leaves."""

    saga_id: str
    correlation_id: str
    amount: Money
    reference: str | None
    provider: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment in our records; instants in microseconds."""

    id: str
    saga_id: str
    correlation_id: str
    amount: Money
    method: str
    provider: str
    reference: str | None = field(repr=False)
    status: PaymentStatus
    created_at: int
    updated_at: int
    refunded: Money
    """The amount that has been refunded for certain."""


_insert = BulkInsert(
    payments,
    _p.id,
    _p.saga_id,
    _p.correlation_id,
    _p.amount_minor,
    _p.currency,
    _p.method,
    _p.provider,
    _p.reference,
    _p.status,
    _p.created_at,
    _p.updated_at,
    skip_existing=True,
)
_set_reference = BulkUpdate(
    payments, key=(_p.saga_id,), change=(_p.reference, _p.updated_at), guard="payments.reference IS NULL"
)
_mark = {
    status: BulkUpdate(
        payments,
        key=(_p.saga_id,),
        change=(_p.status, _p.updated_at),
        guard="("
        + " OR ".join(
            f"payments.status = '{old.value}'" for old, after in PAYMENT_TRANSITIONS.items() if status in after
        )
        + ")",
    )
    for status in PaymentStatus
    if any(status in after for after in PAYMENT_TRANSITIONS.values())
}
_of_reference = Query(select(payments).where(_p.reference == bindparam("reference")).limit(1))
_saga_of_reference = Query(select(_p.saga_id).where(_p.reference == bindparam("reference")))
_of_sagas = Query(select(payments).where(any_of(_p.saga_id, "ids")))


def new_reference() -> str:
    """A reference made by us, for a provider that accepts it."""
    return f"pi_{uuid.uuid4().hex}"


async def record(connection: AsyncConnection, new: Sequence[NewPayment], *, at: int) -> None:
    """Write payments, PENDING. An existing payment of a saga stays as it is."""
    await _insert(
        connection,
        [
            (
                new_id(),
                item.saga_id,
                item.correlation_id,
                item.amount.minor,
                item.amount.currency,
                METHOD,
                item.provider,
                item.reference,
                PaymentStatus.PENDING.value,
                at,
                at,
            )
            for item in new
        ],
    )


async def set_references(connection: AsyncConnection, pairs: Sequence[tuple[str, str]], *, at: int) -> None:
    """Write references made by the provider: (saga ID, reference). An existing one stays."""
    await _set_reference(connection, [(saga_id, reference, at) for saga_id, reference in pairs])


async def mark(connection: AsyncConnection, marks: Sequence[tuple[str, PaymentStatus]], *, at: int) -> int:
    """Move payments, (saga ID, status), along PAYMENT_TRANSITIONS; return how many were moved.

    A payment stays if the table does not allow the move, or if it has the status already: a late
    answer is outdated.
    """
    moved = 0
    for status in {status for _, status in marks}:
        rows = [(saga_id, status.value, at) for saga_id, wanted in marks if wanted is status]
        moved += await _mark[status](connection, rows)
    return moved


async def payments_of(connection: AsyncConnection, saga_ids: Sequence[str]) -> dict[str, Payment]:
    """The payment of each saga that has one, by saga id."""
    rows = await _of_sagas(connection, ids=list(saga_ids))
    return {row.saga_id: _payment(row) for row in rows}


async def payment_of_reference(connection: AsyncConnection, reference: str) -> Payment | None:
    """The payment that has this reference at the provider; None if there is none."""
    rows = await _of_reference(connection, reference=reference)
    return _payment(rows[0]) if rows else None


async def sagas_of_reference(connection: AsyncConnection, reference: str) -> list[str]:
    """The IDs of the sagas whose payment has this reference at the provider."""
    return await _saga_of_reference.column(connection, reference=reference)


def _payment(row: AnyRow) -> Payment:
    status = PaymentStatus(row.status)
    refunded = row.amount_minor if status is PaymentStatus.REFUNDED else row.refunded_minor or 0
    return Payment(
        id=row.id,
        saga_id=row.saga_id,
        correlation_id=row.correlation_id,
        amount=Money(row.amount_minor, row.currency),
        method=row.method,
        provider=row.provider,
        reference=row.reference,
        status=status,
        created_at=row.created_at,
        updated_at=row.updated_at,
        refunded=Money(refunded, row.currency),
    )
