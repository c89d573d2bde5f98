"""Frees lapsed holds. A hold lasts for its length and never longer, unless its saga is pinned."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import saga, seats
from domain.bookings.closing import HOLD_EXPIRED
from domain.events import SagaEvent
from domain.saga import CommitPoint, SagaEngine
from domain.seats import SeatKey
from domain.storage import Sweep

__all__ = ["SWEEP_SAGAS_MAX", "HoldsExpired", "release_expired"]

SWEEP_SAGAS_MAX: Final = 256
BATCHES_MAX: Final = 16
_logger = logging.getLogger("seatsaga.expiry")


@dataclass(frozen=True, slots=True)
class HoldsExpired:
    """Telemetry: this many reservations expired in one commit."""

    reservations: int


async def release_expired(engine: SagaEngine, *, sagas_max: int = SWEEP_SAGAS_MAX) -> int:
    """Expire lapsed holds, `sagas_max` sagas a transaction, until none is left; return how many reservations expired.

    Guarantee: each transaction locks the sagas and leaves out pinned ones, then locks their holds,
    and only then compares them with the clock. Each hold becomes EXPIRED and its seat AVAILABLE,
    once. Each saga that still goes forward is signalled with its event, and compensates with
    HOLD_EXPIRED. All holds of a saga expire together, in any status of the saga.
    A transaction that fails runs again in halves; a saga that cannot be expired is passed over, and
    all others are freed in this same sweep. Then it raises PassedOverError at the end.
    Bounded: at most 16 batches; the next sweep does the rest.
    """
    await _bring_back(engine, holds_max=sagas_max)
    sweep = Sweep("saga")
    passed_over: list[str] = []

    async def expire(saga_ids: Sequence[str]) -> dict[str, tuple[SeatKey, ...]]:
        return await _expire(engine, saga_ids)

    for _ in range(BATCHES_MAX):
        async with engine.database.reading() as connection:
            at = await engine.database.clock.now(connection)
            lapsed = await seats.lapsed(connection, at=at, sagas_max=sagas_max, besides=passed_over)
        if not lapsed:
            break
        expired = {saga_id: freed for part in await sweep.batch(lapsed, expire) for saga_id, freed in part.items()}
        sweep.done += sum(len(freed) for freed in expired.values())
        # These are pinned, locked by another, or cannot be expired: they must not hide the others behind the limit.
        passed_over += [saga_id for saga_id in lapsed if saga_id not in expired]
    return sweep.end()


async def _bring_back(engine: SagaEngine, *, holds_max: int) -> None:
    """Restart holds that began ahead of the clock: they must not last longer because the clock was set back."""
    database = engine.database
    async with database.reading() as connection:
        at = await database.clock.now(connection)
        ahead = await seats.begun_ahead(connection, at=at, holds_max=holds_max)
    if not ahead:
        return

    async def work(connection: AsyncConnection) -> int:
        unpinned = await saga.lock_unpinned(connection, ahead)
        moved = await seats.bring_back(connection, [row.id for row in unpinned], clock=database.clock)
        await saga.set_deadlines(connection, moved)
        return len(moved)

    moved = await database.write(work)
    if moved:
        _logger.warning("The clock was set back: the holds of %d sagas start again now, with the same length.", moved)


async def _expire(engine: SagaEngine, saga_ids: Sequence[str]) -> dict[str, tuple[SeatKey, ...]]:
    database = engine.database

    async def work(connection: AsyncConnection) -> tuple[dict[str, tuple[SeatKey, ...]], list[SagaEvent]]:
        unpinned = await saga.lock_unpinned(connection, saga_ids)
        expired = await seats.expire(connection, [row.id for row in unpinned], clock=database.clock)
        at = await database.clock.now(connection)
        told = await saga.expire(connection, [row for row in unpinned if row.id in expired], at, HOLD_EXPIRED)
        engine.points.reach(CommitPoint.SIGNAL_BEFORE_COMMIT, "EXPIRE")
        return expired, told

    expired, told = await database.write(work)
    engine.points.reach(CommitPoint.SIGNAL_AFTER_COMMIT, "EXPIRE")
    engine.runner.publish(told)
    for event in told:
        engine.runner.wake(event.saga_id)
    if expired:
        engine.telemetry.emit(HoldsExpired(sum(map(len, expired.values()))))
    return expired
