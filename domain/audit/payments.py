"""Checks whether payments are consistent; reads each saga's payment for the rules between rooms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.audit.findings import Finding, Slice, look, within
from domain.money import Money
from domain.payments import PaymentStatus
from domain.payments.tables import payments
from domain.storage import any_of, is_known

__all__ = ["RecordedPayment", "check_payments", "known_references", "payments_within"]

_p = payments.c
_SHARED: Final = (
    select(_p.reference, func.aggregate_strings(cast(_p.id, Text), ", ").label("ids"))
    .where(_p.reference.is_not(None))
    .group_by(_p.provider, _p.reference)
    .having(func.count() > 1)
    .order_by(_p.reference)
)
_MOVED: Final = [status.value for status in PaymentStatus if status is PaymentStatus.AUTHORIZED or status.is_taken]
_NAMELESS: Final = (
    select(_p.id, _p.correlation_id, _p.status).where(_p.reference.is_(None), _p.status.in_(_MOVED)).order_by(_p.id)
)
_WITHIN: Final = select(_p.saga_id, _p.id, _p.amount_minor, _p.currency, _p.provider, _p.reference, _p.status).where(
    within(_p.saga_id), is_known(_p.status, PaymentStatus)
)
_KNOWN: Final = select(_p.reference).where(any_of(_p.reference, "references"))


@dataclass(frozen=True, slots=True)
class RecordedPayment:
    """The compared fields of a payment."""

    id: str
    amount: Money
    provider: str
    reference: str | None
    status: PaymentStatus


async def check_payments(connection: AsyncConnection) -> list[Finding]:
    """Check every payment by itself."""
    reference = Finding("payment-reference", "Money that was moved has a reference, and no two payments share one.")
    await look(connection, reference, _SHARED, lambda row: (f"reference {row.reference}", f"payments {row.ids}"))
    await look(
        connection,
        reference,
        _NAMELESS,
        lambda row: (f"payment {row.id}", f"it is {row.status} without a reference, of saga {row.correlation_id}"),
    )
    return [reference]


async def payments_within(connection: AsyncConnection, part: Slice) -> Mapping[str, RecordedPayment]:
    """The payment of every saga of the slice that has one, by saga id."""
    rows = await connection.execute(_WITHIN, part.parameters)
    return {
        saga_id: RecordedPayment(id_, Money(minor, currency), provider, reference, PaymentStatus(status))
        for saga_id, id_, minor, currency, provider, reference, status in rows
    }


async def known_references(connection: AsyncConnection, references: Sequence[str]) -> set[str]:
    """Those of these references that one of our payments has."""
    return set((await connection.execute(_KNOWN, {"references": list(references)})).scalars())
