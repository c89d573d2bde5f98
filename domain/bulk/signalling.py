"""The signals of a bulk action, by its kind, within the transaction of its turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import saga
from domain.actors import Asked
from domain.bulk.model import BulkAction, BulkActionKind
from domain.saga import CancelAnswer, NothingToUndo, NotWaiting, PivotDecided, RetryAnswer, SagaEngine, SkipAnswer

__all__ = ["SignalAnswer", "signal", "why_passed_over"]

SignalAnswer = CancelAnswer | RetryAnswer | SkipAnswer


async def signal(
    connection: AsyncConnection, engine: SagaEngine, action: BulkAction, saga_ids: Sequence[str], asked: Asked, at: int
) -> Mapping[str, SignalAnswer]:
    """Signal these sagas; the answers by saga ID. Sagas that others have locked have none."""
    match kind := BulkActionKind(action.kind):
        case BulkActionKind.RETRY | BulkActionKind.UNPARK:
            return await saga.request_retries(
                connection,
                saga_ids,
                at,
                asked,
                replica_id=engine.replica.id,
                known=engine.definitions,
                of_parked=kind is BulkActionKind.UNPARK,
            )
        case BulkActionKind.SKIP:
            assert action.step is not None, "judged at the start"
            return await saga.request_skips(connection, saga_ids, action.step, action.reason, at, asked)
        case BulkActionKind.CANCEL:
            return await saga.request_cancels(connection, saga_ids, at, asked)


def why_passed_over(answer: SignalAnswer) -> str | None:
    """Why the saga had nothing left to retry, skip or cancel; None if it has the signal."""
    match answer:
        case NotWaiting(reason=reason):
            return reason
        case PivotDecided():
            return "The saga's pivot has decided, or it is completed."
        case NothingToUndo():
            return "The saga already compensates, is asked to already, or is undone."
        case _:
            return None
