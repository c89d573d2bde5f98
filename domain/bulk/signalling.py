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
    """Signal these sagas; the answers by saga ID. Those that others have locked have none and keep their turn.

    So do parked sagas of a definition that only another release may know, while a replica of one is alive.
    """
    match kind := BulkActionKind(action.kind):
        case BulkActionKind.RETRY | BulkActionKind.UNPARK:
            of_parked = kind is BulkActionKind.UNPARK
            return await saga.request_retries(
                connection,
                saga_ids,
                at,
                asked,
                replica_id=engine.replica.id,
                known=engine.definitions,
                of_parked=of_parked,
                leaves_unknown=of_parked and await _others_may_know(connection, engine, at),
            )
        case BulkActionKind.SKIP:
            assert action.step is not None, "judged at the start"
            return await saga.request_skips(connection, saga_ids, action.step, action.reason, at, asked)
        case BulkActionKind.CANCEL:
            return await saga.request_cancels(connection, saga_ids, at, asked)


async def _others_may_know(connection: AsyncConnection, engine: SagaEngine, at: int) -> bool:
    """Whether a live replica of another release may know definitions that this one does not."""
    return any(each.release != engine.replica.release for each in await saga.live_replicas(connection, at=at))


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
