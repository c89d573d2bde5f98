"""Starts, stops, follows and runs bulk actions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import fields, replace
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain import operators, saga
from domain.actors import REASON_FACTS, Asked, reason_fault
from domain.bookings import RefusalCode
from domain.bulk import records
from domain.bulk.model import (
    BULK_SAGAS_MAX,
    SAGAS_PER_SECOND_MAX,
    BulkAction,
    BulkActionEnded,
    BulkActionKind,
    BulkActionStarted,
    BulkActionStatus,
    BulkMatched,
    BulkRefused,
    BulkRequest,
    BulkTurnTaken,
    UnknownBulkAction,
)
from domain.bulk.turns import FaultyTarget, Turn, pass_over, take_turn
from domain.clock import SECOND
from domain.ids import new_id
from domain.loops import Loop
from domain.operators import OperatorActionKind
from domain.saga import SagaEngine, SagaQuery
from domain.storage import is_unavailable, patiently, trouble_of

__all__ = ["BulkActions", "follow_seconds"]

#: The first turn signals so many sagas at most, if they call the provider: see the package, "Customers go first".
CALLS_AT_FIRST: Final = 8
#: The turns that one round of the loop takes at most, one after another.
TURNS_MAX: Final = 64
#: Another replica's start, or its turn, is seen after this time at most.
POLL_SECONDS: Final = 1.0
#: If another replica takes the turn that is due, the next look comes after this time.
TAKEN_SECONDS: Final = 0.25
#: A follower reads the report, whose cost grows with the number of sagas: so often while they are few.
FOLLOW_SECONDS: Final = 0.5
FOLLOW_SAGAS: Final = 10_000
_RETRY_SECONDS: Final = 1.0
_logger = logging.getLogger("seatsaga.bulk")


class BulkActions:
    """The bulk actions of one database, and this replica's share of their turns, from `start` to `stop`.

    `is_crowded`: whether sagas of this replica stand in line for the provider now. `sagas_max`: the most sagas of one
    action. `pause_seconds`: how long it rests before the next `turn`, unless an action starts.
    """

    def __init__(
        self, engine: SagaEngine, *, is_crowded: Callable[[], bool] = lambda: False, sagas_max: int = BULK_SAGAS_MAX
    ) -> None:
        self._engine = engine
        self._is_crowded = is_crowded
        self._calls_max = CALLS_AT_FIRST
        self._database = engine.database
        self._sagas_max = sagas_max
        self._bell = asyncio.Event()
        self.pause_seconds = 0.0
        self._loop = Loop(
            "bulk-actions",
            self.turn,
            pause_seconds=lambda: self.pause_seconds,
            on_fault=_say_fault,
            retry_seconds=_RETRY_SECONDS,
            bell=self._bell,
            at_once=True,
        )

    def start(self) -> None:
        """Take turns from now on."""
        self._loop.start()

    async def stop(self) -> None:
        """Take no more turns. A turn that is being written is completed."""
        await self._loop.stop()

    # ------------------------------------------------------------------ for operators

    async def begin(
        self, request: BulkRequest, asked: Asked, *, is_dry_run: bool = False
    ) -> BulkAction | BulkMatched | BulkRefused:
        """Start the action on all sagas that match now; a dry run only counts them.

        Guarantee: action, sagas and the entry on the record are written together, or none of them. A start that is
        repeated with its key returns its action at any later time, before anything that may have changed is checked.
        """
        fault = _fault(request)
        if fault is not None:
            return fault
        if not is_dry_run:
            begun = await self._begun_before(request, asked)
            if begun is not None:
                return begun
        query = request.query
        if query is None:
            return self._judge(request, 0) or BulkMatched(0)
        if is_dry_run:
            matched = await self._database.read(lambda connection: saga.count(connection, query))
            return self._judge(request, matched) or BulkMatched(matched)
        # Read before the transaction that writes: a filter that no index answers takes seconds in a large database, and
        # SQLite has one writer.
        saga_ids = await self._database.read(
            lambda connection: records.matching(connection, query, self._sagas_max + 1)
        )
        refusal = self._judge(request, len(saga_ids))
        if refusal is not None or not saga_ids:
            return refusal or BulkMatched(0)
        action_id = new_id()

        async def work(connection: AsyncConnection) -> BulkAction:
            at = await self._database.clock.now(connection)
            await records.insert_action(connection, action_id, request, saga_ids, asked, at)
            action = (await records.actions_by_ids(connection, [action_id]))[action_id]
            await _record(
                connection,
                replace(asked, reason=request.reason),
                OperatorActionKind.BULK_START,
                action,
                at,
                before=f"matched by {request.filter}: {action.matched}",
                after=f"{_verb(action)}, at most {request.sagas_per_second} a second",
            )
            return action

        try:
            action = await self._database.write(work)
        except IntegrityError:
            # The same start came twice at once.
            begun = await self._begun_before(request, asked)
            if begun is None:
                raise
            return begun
        self._bell.set()
        self._engine.telemetry.emit(BulkActionStarted(action))
        return action

    async def _begun_before(self, request: BulkRequest, asked: Asked) -> BulkAction | BulkRefused | None:
        """The action that this start began when it was sent before; a refusal if its key began something else."""
        key = request.key
        if key is None:
            return None
        action = await self._database.read(lambda connection: records.action_by_key(connection, key))
        if action is None or _is_start_of(action, request, asked):
            return action
        return BulkRefused(
            "The idempotency key began another bulk action; make a new key for a new action.",
            ("idempotencyKey",),
            RefusalCode.IDEMPOTENCY_KEY_REUSED,
        )

    async def end(self, action_id: str, asked: Asked) -> BulkAction | UnknownBulkAction:
        """Stop the action: no saga gets its turn any more. An action that is over stays as it is."""

        async def work(connection: AsyncConnection) -> tuple[BulkAction, bool] | None:
            action = await records.lock(connection, action_id)
            if action is None or action.status.is_over:
                return None if action is None else (action, False)
            at = await self._database.clock.now(connection)
            stopped = replace(action, status=BulkActionStatus.STOPPED, finished_at=at)
            await records.move(connection, stopped)
            await _record(
                connection, asked, OperatorActionKind.BULK_STOP, action, at, before=action.line, after=stopped.line
            )
            return stopped, True

        match await self._database.write(work):
            case None:
                return UnknownBulkAction(action_id)
            case action, is_new:
                if is_new:
                    self._engine.telemetry.emit(BulkActionEnded(action))
                return action

    async def action(self, action_id: str) -> BulkAction | None:
        """The action as it stands."""
        found = await self._database.read(lambda connection: records.actions_by_ids(connection, [action_id]))
        return found.get(action_id)

    async def follow(self, action_id: str) -> AsyncGenerator[BulkAction, None]:
        """The action now, and again after each change, until it is over. Ends at once if there is none."""
        shown: BulkAction | None = None
        while True:
            action = await patiently(lambda: self.action(action_id))
            if action is None:
                return
            if action != shown:
                yield action
            if action.status.is_over:
                return
            shown = action
            await asyncio.sleep(follow_seconds(action.matched))

    def _judge(self, request: BulkRequest, matched: int) -> BulkRefused | None:
        """Refuse an unexpected number of sagas, or too many."""
        if matched > self._sagas_max:
            return BulkRefused(
                f"More than {self._sagas_max} sagas match, the most of one bulk action; narrow the filter.",
                ("filter",),
                RefusalCode.TOO_MANY_MATCHES,
                facts={"max": self._sagas_max},
            )
        if request.expected is not None and matched != request.expected:
            return BulkRefused(
                f"{request.expected} sagas were expected, but {matched} match now; count again with dryRun.",
                ("expected",),
                RefusalCode.MATCHES_DIFFER,
                matched,
                facts={"expected": request.expected, "matched": matched},
            )
        return None

    # ------------------------------------------------------------------ turns

    async def turn(self) -> None:
        """Take the turns that are due, of all actions, and find out when the next one is."""
        for _ in range(TURNS_MAX):
            self.pause_seconds = await self._database.read(self._until_due)
            if self.pause_seconds > 0:
                return
            if not await self._take():
                self.pause_seconds = TAKEN_SECONDS
                return

    async def _until_due(self, connection: AsyncConnection) -> float:
        now = await self._database.clock.now(connection)
        due = await records.next_due(connection, now)
        if due is None:
            return POLL_SECONDS
        return min(max((due - now) / SECOND, 0.0), POLL_SECONDS)

    async def _take(self) -> bool:
        """Take the turn that is due first; return whether there was one. A faulty saga is passed over alone."""
        is_crowded = self._is_crowded()
        calls_max = 1 if is_crowded else self._calls_max
        try:
            turn = await self._database.write(
                lambda connection: take_turn(connection, self._engine, calls_max=calls_max, is_crowded=is_crowded)
            )
        except Exception as error:
            if is_unavailable(error):
                raise
            _logger.warning("A turn of a bulk action failed; its next saga is tried alone.", exc_info=error)
            turn = await self._take_alone()
        if turn is None:
            return False
        self._calls_max = min(calls_max * 2, SAGAS_PER_SECOND_MAX)
        self._engine.tell(turn.answers)
        before, after = turn.before, turn.action
        self._engine.telemetry.emit(
            BulkTurnTaken(after.kind, after.done - before.done, after.passed_over - before.passed_over)
        )
        if turn.action.status.is_over:
            self._engine.telemetry.emit(BulkActionEnded(turn.action))
        return True

    async def _take_alone(self) -> Turn | None:
        try:
            return await self._database.write(
                lambda connection: take_turn(connection, self._engine, calls_max=1, alone=True)
            )
        except FaultyTarget as faulty:
            if is_unavailable(faulty.__cause__ or faulty):
                raise
            found, why = faulty, f"Its signal failed: {type(faulty.__cause__).__name__}."
            _logger.error("Passed over: %s.", faulty, exc_info=faulty)
        return await self._database.write(lambda connection: pass_over(connection, self._engine, found, why))


def follow_seconds(matched: int) -> float:
    """How long a follower of an action on so many sagas waits between two looks."""
    return FOLLOW_SECONDS * max(1.0, matched / FOLLOW_SAGAS)


def _fault(request: BulkRequest) -> BulkRefused | None:
    """The first fault of a request that is not about its sagas."""
    fault = reason_fault(request.reason)
    if fault is not None:
        return BulkRefused(fault, ("reason",), RefusalCode.REASON_INVALID, facts=REASON_FACTS)
    if (request.kind is BulkActionKind.SKIP) != (request.step is not None):
        if request.step is None:
            message = "SKIP needs the step whose action or compensation is given up."
            return BulkRefused(message, ("step",), RefusalCode.STEP_MISSING)
        return BulkRefused("Only SKIP takes a step; leave it out.", ("step",), RefusalCode.STEP_NOT_TAKEN)
    if not 1 <= request.sagas_per_second <= SAGAS_PER_SECOND_MAX:
        return BulkRefused(
            f"sagasPerSecond must be 1 to {SAGAS_PER_SECOND_MAX}; got {request.sagas_per_second}.",
            ("sagasPerSecond",),
            RefusalCode.PACE_OUT_OF_RANGE,
            facts={"min": 1, "max": SAGAS_PER_SECOND_MAX, "given": request.sagas_per_second},
        )
    if request.query is not None and _matches_all(request.query):
        return BulkRefused(
            "The filter must not be empty: it would match every saga.", ("filter",), RefusalCode.FILTER_EMPTY
        )
    return None


def _is_start_of(action: BulkAction, request: BulkRequest, asked: Asked) -> bool:
    """Whether the action is what this operator asks for. The number of matches may have changed since."""
    wanted = (request.kind.value, request.filter, request.step, request.reason, request.sagas_per_second, asked.by)
    return wanted == (action.kind, action.filter, action.step, action.reason, action.sagas_per_second, action.by)


def _matches_all(query: SagaQuery) -> bool:
    """Whether the query restricts nothing: an empty list of values does not, whatever its type."""
    values = {field.name: getattr(query, field.name) for field in fields(query)}
    return SagaQuery(**{name: value for name, value in values.items() if value != []}) == SagaQuery()


async def _record(
    connection: AsyncConnection,
    asked: Asked,
    kind: OperatorActionKind,
    action: BulkAction,
    at: int,
    *,
    before: str,
    after: str,
) -> None:
    await operators.record(
        connection, replace(asked, bulk_action_id=action.id), kind, at=at, before=before, after=after
    )


def _verb(action: BulkAction) -> str:
    return f"{action.kind} of {action.step}" if action.step is not None else action.kind


def _say_fault(error: Exception) -> None:
    """Log one line if the database cannot be used now, as that is not our fault; else log the traceback."""
    trouble = trouble_of(error)
    if trouble is None:
        _logger.error("The turns of bulk actions failed; trying again soon.", exc_info=error)
    else:
        _logger.warning("The turns of bulk actions wait. The database: %s.", trouble)
