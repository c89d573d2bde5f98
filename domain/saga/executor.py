"""Drives one batch: fence, settle, begin, write, commit. One transaction is one turn."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import operators
from domain.events import Failure, SagaEvent
from domain.ids import new_id
from domain.operators import OperatorActionKind
from domain.outcome import Refused, Unknown
from domain.saga import store
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.machine import Run
from domain.saga.places import Places
from domain.saga.progress import begin, passes_gate, settle
from domain.saga.states import Direction, Phase
from domain.saga.store import Definitions
from domain.saga.turn import Turn
from domain.saga.work import TurnResult, Work
from domain.storage import Database, is_unavailable

__all__ = ["BATCH_SAGAS_MAX", "Executor"]

BATCH_SAGAS_MAX: Final = 256
_logger = logging.getLogger("seatsaga.executor")


class Executor:
    """Runs turns for one replica."""

    def __init__(
        self,
        database: Database,
        definitions: Definitions,
        replica_id: str,
        points: CommitPoints | None = None,
        on_fault: Callable[[str, str, BaseException], None] | None = None,
    ) -> None:
        self._database = database
        self._definitions = definitions
        self._order = {name: number for number, name in enumerate(definitions)}
        self._replica_id = replica_id
        self._points = points or CommitPoints()
        self._on_fault = on_fault
        #: Parallel turns count in separate rows (lanes): the free lanes, and the source of new lane numbers.
        self._lanes: list[int] = []
        self.places = Places()
        self._new_lanes = itertools.count()

    async def turns(self, work: Sequence[Work]) -> AsyncGenerator[TurnResult, None]:
        """Run one transaction for all of `work`, or as many as it takes to isolate a faulty member.

        Yields the result of each transaction once it has committed, so that durable results do not
        wait for the rest. Raises only if the database does not answer (or COMMIT's answer was lost):
        all work that was not `handled` must then be looked at again, under the fence.
        """
        waiting = deque([work])
        while waiting:
            part = waiting.popleft()
            try:
                turn = await self._commit(part, self.proceed)
            except Exception as error:
                if is_unavailable(error):
                    raise
                half = len(part) // 2
                if half:
                    waiting.extendleft((part[half:], part[:half]))
                else:
                    yield await self._record_fault(part[0], error)
                continue
            turn.tidy_places()
            yield turn.result()
            for saga in turn.unreadable:
                yield await self._park(turn.work[saga.saga_id], Failure(saga.code, saga.reason))

    async def _record_fault(self, work: Work, error: Exception) -> TurnResult:
        """Count the failed transaction of a single saga as a failed attempt, so that the saga still ends.

        If that cannot be written either, the saga is parked.
        """
        fault_id = new_id()
        _logger.error("saga %s: fault %s", work.saga_id, fault_id, exc_info=error)
        if self._on_fault is not None:
            self._on_fault(work.saga_id, fault_id, error)
        message = f"An internal error; the log names it {fault_id}."

        async def blame(turn: Turn) -> None:
            for run in turn.runs:
                if run.phase is Phase.CALLING:
                    run.fall_short(Unknown("INTERNAL", message), proven=False, is_fault=True)
                elif not run.is_ready:
                    continue
                elif run.wait is None:
                    run.start_attempt()
                    run.fall_short(Refused("INTERNAL", message, passing=True), proven=True, is_fault=True)
                elif run.wait.until > run.at or run.must_succeed:
                    # The word stands; it is obeyed by a later turn, but not after the deadline.
                    run.look_later()
                else:
                    run.expire()

        try:
            turn = await self._commit([work], blame)
        except Exception as again:
            if is_unavailable(again):
                raise
            _logger.error("saga %s: fault %s cannot be recorded", work.saga_id, fault_id, exc_info=again)
            return await self._park(
                work, Failure("FAULT", f"this release fails to run it; the log names it {fault_id}")
            )
        turn.tidy_places()
        return turn.result()

    async def _park(self, work: Work, failure: Failure) -> TurnResult:
        """Park the saga for an operator, in its own transaction; if that fails too, put it off."""
        self.places.leave(work.saga_id)
        if work.completion is not None and work.completion.place is not None:
            work.completion.place.leave(work.completion.outcome)

        async def transact(connection: AsyncConnection) -> SagaEvent | None:
            at = await self._database.clock.now(connection)
            event = await store.park(connection, self._replica_id, work.saga_id, failure, at)
            self._points.reach(CommitPoint.PARK_BEFORE_COMMIT)
            return event

        try:
            event = await self._database.write(transact)
        except Exception as error:
            if is_unavailable(error):
                raise
            _logger.error("saga %s cannot be parked: %s", work.saga_id, failure.message, exc_info=error)
            return TurnResult(handled={work.saga_id}, put_off=[work])
        self._points.reach(CommitPoint.PARK_AFTER_COMMIT)
        if event is not None:
            _logger.error("saga %s is parked: %s", event.correlation_id, failure.message)
        return TurnResult(handled={work.saga_id}, over={work.saga_id}, events=[event] if event is not None else [])

    @contextmanager
    def lane(self) -> Iterator[int]:
        """A lane to count in, for one transaction at a time."""
        lane = self._lanes.pop() if self._lanes else next(self._new_lanes)
        try:
            yield lane
        except Exception as error:
            # A transaction whose answer was lost may still hold the lane's rows, or may still change them.
            if not is_unavailable(error):
                self._lanes.append(lane)
            raise
        self._lanes.append(lane)

    async def _commit(self, work: Sequence[Work], proceed: Callable[[Turn], Any]) -> Turn:
        async def transact(connection: AsyncConnection) -> Turn:
            items = {item.saga_id: item for item in work}
            runs, unreadable = await store.fence(connection, self._definitions, self._replica_id, items)
            at = await self._database.clock.now(connection)
            turn = Turn(connection, self._database, at, runs, items, unreadable, self.places)
            if len(runs) + len(unreadable) < len(items):
                absent = items.keys() - {run.id for run in runs} - {saga.saga_id for saga in unreadable}
                locked = await store.still_owned(connection, self._replica_id, absent)
                turn.unsettled += [items[saga_id] for saga_id in locked]
            await _name_askers(turn)
            for run in runs:
                if run.parked_from is not None:
                    run.look_again()
            await proceed(turn)
            await store.flush(connection, self._replica_id, lane, at, runs)
            self._points.reach(CommitPoint.TURN_BEFORE_COMMIT, *turn.names)
            return turn

        with self.lane() as lane:
            turn = await self._database.write(transact)
        self._points.reach(CommitPoint.TURN_AFTER_COMMIT, *turn.names)
        return turn

    async def proceed(self, turn: Turn) -> None:
        """Settle the answers, then begin all steps that are due, until every saga must wait."""
        for group in self._groups(turn.take_settling()):
            await settle(turn, group, begun=True)
        while True:
            ready = [run for run in turn.runs if passes_gate(run)]
            if not ready:
                return
            await begin(turn, next(iter(self._groups(ready))))

    def _groups(self, runs: Iterable[Run]) -> list[list[Run]]:
        """The runs grouped by their step, in an order that lets those behind catch up with those ahead."""
        groups: dict[tuple[int, Direction, int], list[Run]] = {}
        for run in runs:
            depth = run.position if run.direction is Direction.FORWARD else -run.position
            order = self._order[run.definition.name, run.definition.version]
            groups.setdefault((order, run.direction, depth), []).append(run)
        return [groups[key] for key in sorted(groups)]


async def _name_askers(turn: Turn) -> None:
    """Set the actor of the retries and skips that stand on the runs; few turns have any."""
    signalled = {run.id: run for run in turn.runs if run.skip_step is not None or run.retry_requested_at is not None}
    if not signalled:
        return
    for asked in await operators.signals_asked(turn.connection, list(signalled)):
        run = signalled[asked.saga_id]
        # A release without this record may have left another signal since.
        if asked.kind is OperatorActionKind.RETRY_SAGA and asked.at == run.retry_requested_at:
            run.retry_by = asked.by
        elif asked.kind is OperatorActionKind.SKIP_STEP and asked.reason == run.skip_reason:
            run.skip_by = asked.by
