"""Notes what became of money that was taken, where nobody of ours did it: a refund or a dispute at the provider.

A saga writes what it does itself. All else is read from the provider after a hint, as its object is the truth; who
hints may be wrong, late, or repeat themselves. A hint that says what our records say already is not followed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.payments.gateway import ProviderPayment, ProviderState
from domain.payments.records import Payment
from domain.payments.states import PaymentStatus
from domain.payments.tables import payments
from domain.storage import Database

__all__ = ["PaymentChanged", "is_news", "note"]

_p = payments.c
_SHOWN: Final[Mapping[ProviderState, PaymentStatus]] = {
    ProviderState.CAPTURED: PaymentStatus.CAPTURED,
    ProviderState.REFUND_PENDING: PaymentStatus.REFUND_PENDING,
    ProviderState.REFUNDED: PaymentStatus.REFUNDED,
    ProviderState.DISPUTED: PaymentStatus.DISPUTED,
    ProviderState.CHARGED_BACK: PaymentStatus.DISPUTED,
}
#: What a hint can say, and the statuses of ours to which it adds nothing.
_SAID: Final[Mapping[PaymentStatus, frozenset[PaymentStatus]]] = {
    PaymentStatus.CAPTURED: frozenset(status for status in PaymentStatus if status.is_taken),
    PaymentStatus.VOIDED: frozenset({PaymentStatus.VOIDED}),
    PaymentStatus.REFUND_PENDING: frozenset({PaymentStatus.REFUND_PENDING, PaymentStatus.REFUNDED}),
    PaymentStatus.REFUNDED: frozenset({PaymentStatus.REFUNDED}),
}
# The payment is written only if nobody has written it since it was read: a saga's own answer is newer.
_change = (
    update(payments)
    .where(_p.id == bindparam("payment"), _p.status == bindparam("was"), _p.updated_at == bindparam("read_at"))
    .values(status=bindparam("shown"), refunded_minor=bindparam("part"), updated_at=bindparam("noted_at"))
)
_logger = logging.getLogger("seatsaga.payments")


@dataclass(frozen=True, slots=True)
class PaymentChanged:
    """The provider shows a payment as `after`; our records had it as `before`, and no saga of ours has changed it."""

    before: PaymentStatus
    after: PaymentStatus


def is_news(payment: Payment, says: PaymentStatus | None) -> bool:
    """Whether a hint that `says` this of the payment (None: just that it has changed) is to be followed."""
    return says is None or payment.status not in _SAID.get(says, ())


async def note(database: Database, payment: Payment, shown: ProviderPayment) -> PaymentChanged | None:
    """Note what the provider shows of a payment whose money was taken, read after `payment`.

    None if nothing is to be noted, also if a saga has written the payment meanwhile.
    """
    if not payment.status.is_taken:
        return None
    status = _SHOWN.get(shown.state)
    part = shown.refunded.minor if shown.refunded is not None and status is not PaymentStatus.REFUNDED else None
    known = None if payment.status is PaymentStatus.REFUNDED else payment.refunded.minor or None
    if status is None or (status, part) == (payment.status, known):
        return None

    async def work(connection: AsyncConnection) -> bool:
        noted_at = max(await database.clock.now(connection), payment.updated_at + 1)
        values: dict[str, object] = {"payment": payment.id, "was": payment.status.value, "read_at": payment.updated_at}
        values |= {"shown": status.value, "part": part, "noted_at": noted_at}
        return (await connection.execute(_change, values)).rowcount == 1

    if not await database.write(work):
        return None
    _logger.warning(
        "Payment %s of saga %s is %s at the provider, and was %s with us; %s of %s refunded.",
        *(payment.reference, payment.correlation_id, status.value, payment.status.value),
        *(shown.refunded or "nothing", payment.amount),
    )
    return PaymentChanged(payment.status, status)
