"""Mends a finding: makes sure that nothing is charged on its payment, under keys of its own."""

from __future__ import annotations

import logging
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.operators import Entry, OperatorActionKind, record_entry
from domain.outcome import Refused, Succeeded
from domain.payments import PaymentGateway, PaymentStatus, ensure_no_charge
from domain.reconciliation import findings
from domain.reconciliation.differences import Ending, Finding
from domain.saga import known_starts
from domain.storage import Database

__all__ = ["mend"]

_UNDONE: Final = frozenset({PaymentStatus.VOIDED, PaymentStatus.REFUNDED})
_logger = logging.getLogger("seatsaga.reconciliation")


async def mend(database: Database, gateway: PaymentGateway, finding: Finding, asked: Asked | None = None) -> bool:
    """Void or refund what is left on the finding's payment, and end it; whether the provider has confirmed that.

    Guarantee: the finding and the round of its keys are durable before the call leaves, and a repeated call, also
    by another process, has the same keys. If it fails, the finding stays, and the next look tries again. `asked`: the
    operator whose action it is; None: the job's.
    """

    def key(operation: str) -> str:
        return f"reconcile:{finding.id}:{operation}:{finding.round}"

    outcome = await ensure_no_charge(gateway, finding.reference, key, known=PaymentStatus.PENDING)
    match outcome:
        case Succeeded(_, PaymentStatus() as status) if status in _UNDONE:
            await _end(database, finding, status, asked)
            _logger.warning(
                "Payment %s of saga %s: %s, as its saga is undone. %s were at stake.",
                *(finding.reference, finding.correlation_id, status.value, finding.at_stake),
            )
            return True
        case Refused(code, message, key_spent=True):
            await database.write(lambda connection: findings.raise_round(connection, finding))
            _say_unmended(finding, f"{code}: {message}")
        case Succeeded(_, PaymentStatus() as status):
            _say_unmended(finding, f"it is {status.value} now.")
        case Succeeded(summary):
            _say_unmended(finding, f"{summary}.")
        case failed:
            _say_unmended(finding, f"{failed.code}: {failed.message}")
    return False


async def _end(database: Database, finding: Finding, status: PaymentStatus, asked: Asked | None) -> None:
    async def work(connection: AsyncConnection) -> None:
        now = await database.clock.now(connection)
        await findings.end(connection, finding, Ending.MENDED, at=now)
        if asked is not None:
            before = f"payment {finding.reference}: {finding.at_stake} at stake"
            entry = Entry(
                asked, OperatorActionKind.MEND_PAYMENT, before, f"payment {finding.reference}: {status.value}"
            )
            its = finding.correlation_id and (await known_starts(connection, [finding.correlation_id])).values()
            await record_entry(connection, entry, at=now, saga_id=next((start.saga_id for start in its or ()), None))

    await database.write(work)


def _say_unmended(finding: Finding, why: str) -> None:
    _logger.warning(
        "Payment %s of saga %s could not be undone: %s The next look tries again.",
        *(finding.reference, finding.correlation_id, why),
    )
