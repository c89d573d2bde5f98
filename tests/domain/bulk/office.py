"""Toy sagas that are stuck, and an operator who acts on all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Asked
from domain.bulk import BulkAction, BulkActionKind, BulkActions, BulkMatched, BulkRefused, BulkRequest
from domain.clock import SECOND, ManualClock, wall_now
from domain.operators import ActionQuery, OperatorAction, page_actions
from domain.saga import SagaEngine, SagaQuery, SagaStatus, Simulation, Started
from domain.storage import Database
from tests.domain.saga.toy import Provider, Toys, reached, start
from tests.support.asking import operator

__all__ = ["GRACE", "STUCK", "Office", "StillClock"]

GRACE: Final = operator("grace", request_id="request-7")
STUCK: Final = SagaQuery(statuses=[SagaStatus.STUCK])
_STUCK_UNDOING: Final = Simulation(fail_at=("AWARD",), fail_compensation_at=("UNPAY",))


class StillClock:
    """A clock that stands still unless the test moves it."""

    def __init__(self, now: int) -> None:
        self._now = now

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * SECOND)

    async def now(self, connection: AsyncConnection) -> int:
        return self._now


@dataclass
class Office:
    """What a test of bulk actions touches."""

    engine: SagaEngine
    bulk: BulkActions
    toys: Toys
    provider: Provider

    @asynccontextmanager
    async def still(
        self, is_crowded: Callable[[], bool] = lambda: False
    ) -> AsyncIterator[tuple[BulkActions, StillClock]]:
        """Bulk actions of another replica, whose clock stands still. It runs no sagas."""
        clock = StillClock(wall_now())
        database = Database(self.engine.database.url, clock=clock)
        engine = SagaEngine(database, self.engine.definitions.values())
        yield BulkActions(engine, is_crowded=is_crowded), clock
        await database.close()

    async def stuck(self, number: int) -> list[Started]:
        """So many sagas that are stuck at undoing PAY."""
        started = [await start(self.engine, self.toys.definition, _STUCK_UNDOING) for _ in range(number)]
        for each in started:
            await reached(self.engine, each, SagaStatus.STUCK)
        return started

    async def ask(
        self,
        kind: BulkActionKind = BulkActionKind.RETRY,
        *,
        is_dry_run: bool = False,
        by: Asked = GRACE,
        **changes: Any,
    ) -> BulkAction | BulkMatched | BulkRefused:
        request = BulkRequest(kind, STUCK, '{"status": ["STUCK"]}', "The provider is back.")
        return await self.bulk.begin(replace(request, **changes), by, is_dry_run=is_dry_run)

    async def begun(self, kind: BulkActionKind = BulkActionKind.RETRY, **changes: Any) -> BulkAction:
        answer = await self.ask(kind, **changes)
        assert isinstance(answer, BulkAction), answer
        return answer

    async def now(self, action: BulkAction) -> BulkAction:
        found = await self.bulk.action(action.id)
        assert found is not None
        return found

    async def finished(self, action: BulkAction, *others: BulkActions) -> BulkAction:
        """The action once it is over; its turns come quickly."""
        for _ in range(200):
            await self.turns(1, *others)
            found = await self.now(action)
            if found.status.is_over:
                return found
        raise AssertionError(found)

    async def turns(self, number: int, *others: BulkActions) -> None:
        """So many turns of this replica and the others, a second apart."""
        clock = self.engine.database.clock
        assert isinstance(clock, ManualClock)
        for _ in range(number):
            for bulk in (self.bulk, *others):
                await bulk.turn()
            clock.advance(1)

    async def entries(self, **query: Any) -> list[OperatorAction]:
        """The record, oldest first."""
        async with self.engine.database.reading() as connection:
            return (await page_actions(connection, ActionQuery(**query), after=None, limit=100))[::-1]
