"""Put on the record what an operator did."""

from __future__ import annotations

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.ids import new_id
from domain.operators.model import OperatorActionKind
from domain.operators.tables import operator_actions

__all__ = ["record"]


async def record(
    connection: AsyncConnection,
    asked: Asked,
    kind: OperatorActionKind,
    *,
    at: int,
    saga_id: str | None = None,
    job_id: str | None = None,
    before: str,
    after: str,
) -> None:
    """Write one entry in the transaction of what was done; `at` by the database's clock.

    Guarantee: the entry is there if and only if what was done is.
    """
    await connection.execute(
        insert(operator_actions).values(
            id=new_id(),
            at=at,
            role=asked.by.role.value,
            subject=asked.by.subject,
            kind=kind.value,
            reason=asked.reason,
            saga_id=saga_id,
            job_id=job_id,
            request_id=asked.request_id,
            state_before=before,
            state_after=after,
        )
    )
