"""One turn of a bulk action: one transaction signals its next sagas, marks them and sets when the next turn is due."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bulk import records
from domain.bulk.model import BulkAction, BulkActionKind, BulkActionStatus
from domain.bulk.records import Due
from domain.bulk.signalling import SignalAnswer, signal, why_passed_over
from domain.clock import SECOND
from domain.saga import NotWaiting, SagaEngine, lock_free, matching

__all__ = ["FaultyTarget", "Turn", "pass_over", "take_turn"]

#: A turn handles the sagas of about this time at the action's pace, and at least one.
TURN_SECONDS: Final = 0.25
#: If others have locked some sagas of a turn, the turn looks at further ones, so many times at most.
LOOKS_MAX: Final = 3
#: Why a saga is passed over that has changed since the start: what was decided then was not about it as it stands.
NO_MATCH: Final = "The saga does not match the filter any more."


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn: the action before and after it, and the answers of its sagas."""

    before: BulkAction
    action: BulkAction
    answers: Sequence[SignalAnswer]


class FaultyTarget(Exception):
    """The turn of a single saga failed; the cause says why."""

    def __init__(self, action_id: str, saga_id: str) -> None:
        super().__init__(f"bulk action {action_id}, saga {saga_id}")
        self.action_id = action_id
        self.saga_id = saga_id


async def take_turn(
    connection: AsyncConnection, engine: SagaEngine, *, calls_max: int, is_crowded: bool = False, alone: bool = False
) -> Turn | None:
    """Take a turn of the action whose turn has been due for longest; None if none is due.

    Guarantee: the signals, the marks of their sagas and the time of the next turn commit together. While the action is
    locked, no other replica takes a turn of it. If the action's sagas then call the provider, the turn has at most
    `calls_max` of them; if the line for the provider `is_crowded`, the next turn is due in a second. `alone`: only one
    saga, and its fault is a FaultyTarget.
    """
    clock = engine.database.clock
    at = await clock.now(connection)
    due = await records.lock_due(connection, at)
    if due is None:
        return None
    # Read again under the lock: the times of turns are compared with those of earlier ones.
    at = await clock.now(connection)
    share = 1 if alone else max(1, round(due.action.sagas_per_second * TURN_SECONDS))
    is_remote = due.action.kind != BulkActionKind.SKIP.value
    most = min(share, calls_max) if is_remote else share
    answers = await _signal_next(connection, engine, due, most, at, alone=alone)
    action = await _mark(connection, due.action, {saga_id: why_passed_over(it) for saga_id, it in answers.items()}, at)
    apart = SECOND if is_remote and is_crowded else math.ceil(share * SECOND / due.action.sagas_per_second)
    await records.move(connection, action, _next_at(due, apart, at))
    return Turn(due.action, action, list(answers.values()))


async def pass_over(connection: AsyncConnection, engine: SagaEngine, faulty: FaultyTarget, why: str) -> Turn | None:
    """Pass over this saga, if its turn has still not come."""
    action = await records.lock(connection, faulty.action_id)
    if action is None or action.status.is_over:
        return None
    if not await records.is_pending(connection, faulty.action_id, faulty.saga_id):
        return None
    at = await engine.database.clock.now(connection)
    passed = await _mark(connection, action, {faulty.saga_id: why}, at)
    await records.move(connection, passed)
    return Turn(action, passed, [])


async def _signal_next(
    connection: AsyncConnection, engine: SagaEngine, due: Due, most: int, at: int, *, alone: bool
) -> dict[str, SignalAnswer]:
    """Signal the next `most` sagas that still match.

    Those that others have locked keep their turn, and later ones fill their room.
    """
    answers: dict[str, SignalAnswer] = {}
    after: str | None = None
    for _ in range(LOOKS_MAX):
        saga_ids = await records.pending_after(connection, due.action.id, after, most - len(answers))
        if not saga_ids:
            break
        try:
            locked = await lock_free(connection, saga_ids)
            matched = await matching(connection, due.query, locked)
            answers.update((it, NotWaiting(it, NO_MATCH)) for it in locked if it not in matched)
            still = [it for it in locked if it in matched]
            answers.update(await signal(connection, engine, due.action, still, due.asked, at))
        except Exception as error:
            if alone:
                raise FaultyTarget(due.action.id, saga_ids[0]) from error
            raise
        after = saga_ids[-1]
        if len(answers) >= most:
            break
    return answers


async def _mark(connection: AsyncConnection, action: BulkAction, why: Mapping[str, str | None], at: int) -> BulkAction:
    """Mark these sagas as passed over for the reason, or as done if it is None; the action as it stands then."""
    await records.mark(connection, action.id, why)
    passed_over = sum(reason is not None for reason in why.values())
    moved = replace(action, done=action.done + len(why) - passed_over, passed_over=action.passed_over + passed_over)
    return replace(moved, status=BulkActionStatus.DONE, finished_at=at) if moved.pending == 0 else moved


def _next_at(due: Due, apart: int, at: int) -> int:
    """When the next turn is due: turns keep their distance, and a late one is not made up for."""
    is_late = not due.next_at <= at < due.next_at + apart
    return (at if is_late else due.next_at) + apart
