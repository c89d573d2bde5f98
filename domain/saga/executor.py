"""Drives one batch: fence, settle, begin, write, commit. One transaction is one turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.events import SagaEvent
from domain.ids import new_id
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.saga import store
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.definition import (
    Again,
    Batch,
    Busy,
    Local,
    Member,
    PrepareVerdict,
    Ready,
    Remote,
    RetryPolicy,
    SettleVerdict,
    Skipped,
)
from domain.saga.machine import Run
from domain.saga.states import Direction, Phase, SagaStatus
from domain.saga.store import Definitions
from domain.storage import Database, is_unavailable

__all__ = ["BATCH_SAGAS_MAX", "CallOrder", "Completion", "Executor", "SagaEnd", "TurnResult", "Work"]

BATCH_SAGAS_MAX: Final = 256
_SIMULATED: Final = Refused("SIMULATED", "Failed as asked for by the simulation.")
_INTERRUPTED: Final = Unknown("INTERRUPTED", "The process that called has ended before the answer came.")
_logger = logging.getLogger("seatsaga.executor")


@dataclass(frozen=True, slots=True)
class Completion:
    """What a call came to, and exactly which attempt made it."""

    epoch: int
    direction: Direction
    position: int
    attempt: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Work:
    """A saga to look at, with its call's completion where it has one.

    `orphaned`: nobody in this process waits for an answer. Where the saga's row says that a
    call is out, its caller is gone, and what the call came to is unknown.
    """

    saga_id: str
    completion: Completion | None = None
    orphaned: bool = False


@dataclass(frozen=True, slots=True)
class CallOrder:
    """A call that may leave now that its intent is durable."""

    member: Member[Any]
    operation: Remote
    policy: RetryPolicy
    epoch: int
    direction: Direction
    position: int
    loses_answer: bool


@dataclass(frozen=True, slots=True)
class SagaEnd:
    """How a saga of `definition` ended, and how long after its start, by the database's clock."""

    definition: str
    status: SagaStatus
    seconds: float


@dataclass(slots=True)
class TurnResult:
    """What a committed turn leaves to do: tell the feeds, send the calls, and look again when due.

    `due` maps saga ids to microseconds from now; `unsettled` is work whose rows were locked by
    another; `over` are sagas that ended or are no longer ours; `ended` tells of the former.
    """

    events: list[SagaEvent] = field(default_factory=list)
    calls: list[CallOrder] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    unsettled: list[Work] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    ended: list[SagaEnd] = field(default_factory=list)

    def join(self, other: TurnResult) -> None:
        """Take over what another part of the same batch came to."""
        self.events += other.events
        self.calls += other.calls
        self.due |= other.due
        self.unsettled += other.unsettled
        self.over |= other.over
        self.ended += other.ended


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

    async def turn(self, work: Sequence[Work]) -> TurnResult:
        """One transaction for all of `work`, or as many as it takes to leave a faulty member alone.

        Raises only where the database itself does not answer (or COMMIT's answer was lost):
        then the work is to be looked at again, under the fence.
        """
        try:
            return await self._commit(work, self._proceed)
        except store.FencedError:
            raise
        except Exception as error:
            if is_unavailable(error):
                raise
            if len(work) == 1:
                return await self._record_fault(work[0], error)
            half = len(work) // 2
            result = await self.turn(work[:half])
            result.join(await self.turn(work[half:]))
            return result

    async def _record_fault(self, work: Work, error: Exception) -> TurnResult:
        """A lone saga whose own transaction fails: a failed attempt, so that it ends one way or the other."""
        fault_id = new_id()
        _logger.error("saga %s: fault %s", work.saga_id, fault_id, exc_info=error)
        if self._on_fault is not None:
            self._on_fault(work.saga_id, fault_id, error)
        message = f"An internal error; the log names it {fault_id}."

        async def blame(turn: _Turn) -> None:
            for run in turn.runs:
                if run.phase is Phase.CALLING:
                    run.fall_short(Unknown("INTERNAL", message), proven=False)
                elif run.is_ready:
                    run.start_attempt()
                    run.fall_short(Refused("INTERNAL", message, passing=True), proven=True)

        return await self._commit([work], blame)

    async def _commit(self, work: Sequence[Work], proceed: Callable[[_Turn], Any]) -> TurnResult:
        async def transact(connection: AsyncConnection) -> _Turn:
            items = {item.saga_id: item for item in work}
            runs = await store.fence(connection, self._definitions, self._replica_id, items)
            at = await self._database.clock.now(connection)
            turn = _Turn(connection, self._database, at, runs, items)
            if len(runs) < len(items):
                absent = items.keys() - {run.id for run in runs}
                locked = await store.still_owned(connection, self._replica_id, absent)
                turn.unsettled += [items[saga_id] for saga_id in locked]
            await proceed(turn)
            await store.flush(connection, self._replica_id, at, runs)
            self._points.reach(CommitPoint.TURN_BEFORE_COMMIT, *turn.names)
            return turn

        turn = await self._database.write(transact)
        self._points.reach(CommitPoint.TURN_AFTER_COMMIT, *turn.names)
        return turn.result()

    async def _proceed(self, turn: _Turn) -> None:
        """Settle what was answered, then begin what is due, until every saga waits for something."""
        for group in self._groups(turn.take_settling()):
            await _settle(turn, group, begun=True)
        while True:
            ready = [run for run in turn.runs if _passes_gate(run)]
            if not ready:
                return
            await _begin(turn, next(iter(self._groups(ready))))

    def _groups(self, runs: Iterable[Run]) -> list[list[Run]]:
        """Runs by what they stand before, so that those behind catch up with those ahead."""
        groups: dict[tuple[int, Direction, int], list[Run]] = {}
        for run in runs:
            depth = run.position if run.direction is Direction.FORWARD else -run.position
            order = self._order[run.definition.name, run.definition.version]
            groups.setdefault((order, run.direction, depth), []).append(run)
        return [groups[key] for key in sorted(groups)]


class _Turn:
    """One transaction's sagas, and what becomes of them."""

    def __init__(
        self, connection: AsyncConnection, database: Database, at: int, runs: list[Run], work: dict[str, Work]
    ) -> None:
        self.connection = connection
        self.clock = database.clock
        self.at = at
        self.runs = runs
        self.work = work
        self.calls: list[CallOrder] = []
        self.unsettled: list[Work] = []
        self.names: set[str] = set()
        for run in runs:
            run.at = at

    def take_settling(self) -> list[Run]:
        """The sagas whose call was answered, and those whose caller is gone, each with its outcome."""
        settling = []
        for run in self.runs:
            if run.phase is not Phase.CALLING:
                continue
            work = self.work[run.id]
            if work.completion is not None and _belongs(work.completion, run):
                run.outcome = work.completion.outcome
            elif work.orphaned:
                run.outcome = _INTERRUPTED
            else:
                continue
            settling.append(run)
        return settling

    def batch(self, runs: Sequence[Run], *, next_attempt: bool) -> Batch[Any]:
        """`runs` as a step's functions see them."""
        self.names.add(runs[0].operation[0])
        members = [run.member(next_attempt=next_attempt) for run in runs]
        return Batch(self.connection, self.clock, self.at, members)

    def order_call(self, run: Run, operation: Remote) -> None:
        """Let the call leave once this turn has committed."""
        name, _, policy = run.operation
        simulation = run.simulation
        loses = simulation is not None and run.attempt == 1 and name in simulation.lose_answer_at
        member = run.member(next_attempt=False)
        self.calls.append(
            CallOrder(member, operation, policy, run.epoch, run.direction, run.position, loses_answer=loses)
        )

    def result(self) -> TurnResult:
        """What is left to do now that all of this is durable."""
        result = TurnResult(calls=self.calls, unsettled=self.unsettled)
        calling = {order.member.saga_id for order in self.calls} | {work.saga_id for work in self.unsettled}
        seen = set()
        for run in self.runs:
            seen.add(run.id)
            result.events += run.events
            if run.status.is_terminal:
                result.over.add(run.id)
                result.ended.append(SagaEnd(run.definition.name, run.status, (self.at - run.started_at) / SECOND))
            elif run.id not in calling and run.due_at is not None:
                result.due[run.id] = BUSY_WAIT_US if run.busy else run.wait_us
        result.over |= self.work.keys() - seen - calling
        return result


BUSY_WAIT_US: Final = 10_000


def _belongs(completion: Completion, run: Run) -> bool:
    return (completion.epoch, completion.direction, completion.position, completion.attempt) == (
        run.epoch,
        run.direction,
        run.position,
        run.attempt,
    )


def _passes_gate(run: Run) -> bool:
    """Whether the run's next attempt may begin now. Signals are obeyed here, under the saga's lock."""
    if run.busy or run.status.is_terminal or run.phase is not Phase.READY:
        return False
    if run.skip_step is not None:
        _obey_skip(run)
    if run.retry_requested_at is not None:
        run.retry_now()
    if run.direction is Direction.FORWARD and run.pinned_at is None and not run.is_past_pivot:
        if run.hold_expired_at is not None or (run.is_ready and _outlasts_hold(run)):
            run.expire()
        elif run.cancel_requested_at is not None:
            run.cancel()
    return run.is_ready


def _outlasts_hold(run: Run) -> bool:
    """Whether the next step might still be under way when the hold lapses. The pin judges for itself."""
    if run.deadline_at is None or run.step.pins:
        return False
    return run.at + round(run.step.policy.budget_seconds * SECOND) > run.deadline_at


def _obey_skip(run: Run) -> None:
    step, reason = run.skip_step, run.skip_reason
    run.skip_step = run.skip_reason = None
    run.touched = True
    if run.status is SagaStatus.STUCK and run.step.name == step:
        run.skip(reason or "No reason was given.", given_up=True)


async def _begin(turn: _Turn, runs: list[Run]) -> None:
    """The next attempt of every run of one group: local operations whole, remote ones up to their call."""
    runs = [run for run in runs if not _simulated_to_fail(run)]
    if not runs:
        return
    name, operation, _ = runs[0].operation
    turn.names.add(name)
    match operation:
        case Local(settle):
            batch = turn.batch(runs, next_attempt=True)
            for run, verdict in zip(runs, await settle(batch), strict=True):
                if isinstance(verdict, Busy):
                    run.come_back()
                    continue
                run.start_attempt()
                _apply(turn, run, verdict, proven=True, batch=batch)
        case Remote(prepare=None):
            for run in runs:
                _call(turn, run, operation)
        case Remote(prepare=prepare):
            assert prepare is not None
            batch = turn.batch(runs, next_attempt=True)
            at_once: list[Run] = []
            for run, answer in zip(runs, await prepare(batch), strict=True):
                match answer:
                    case Busy():
                        run.come_back()
                    case Ready():
                        _call(turn, run, operation)
                    case Succeeded():
                        run.outcome = answer
                        at_once.append(run)
                    case _:
                        run.start_attempt()
                        _apply(turn, run, answer, proven=True, batch=batch)
            if at_once:
                await _settle(turn, at_once, begun=False)


def _call(turn: _Turn, run: Run, operation: Remote) -> None:
    run.start_attempt()
    _pin(run)
    run.start_call()
    turn.order_call(run, operation)


def _pin(run: Run) -> None:
    if run.direction is Direction.FORWARD and run.step.pins and run.pinned_at is None:
        run.pin()


def _simulated_to_fail(run: Run) -> bool:
    simulation = run.simulation
    if simulation is None:
        return False
    forward = run.direction is Direction.FORWARD
    if run.operation[0] not in (simulation.fail_at if forward else simulation.fail_compensation_at):
        return False
    run.start_attempt()
    run.fall_short(_SIMULATED, proven=True)
    return True


async def _settle(turn: _Turn, runs: list[Run], *, begun: bool) -> None:
    """Write what the calls of one group came to; where none was needed, the attempt also begins here."""
    operation = runs[0].operation[1]
    assert isinstance(operation, Remote)
    batch = turn.batch(runs, next_attempt=not begun)
    verdicts: Sequence[SettleVerdict]
    if operation.settle is None:
        verdicts = [run.outcome or _INTERRUPTED for run in runs]
    else:
        verdicts = await operation.settle(batch)
    for run, verdict in zip(runs, verdicts, strict=True):
        if isinstance(verdict, Busy):
            run.come_back()
            if begun:
                turn.unsettled.append(turn.work[run.id])
            continue
        if not begun:
            run.start_attempt()
            _pin(run)
        if isinstance(verdict, Again):
            run.call_again()
            turn.order_call(run, operation)
        else:
            _apply(turn, run, verdict, proven=not begun or isinstance(run.outcome, Refused), batch=batch)


def _apply(turn: _Turn, run: Run, verdict: PrepareVerdict | SettleVerdict, *, proven: bool, batch: Batch[Any]) -> None:
    match verdict:
        case Succeeded(summary):
            run.deadline_at = batch.deadlines.get(run.id, run.deadline_at)
            run.complete(summary)
        case Skipped(summary):
            run.skip(summary)
        case Refused() | Unknown():
            run.fall_short(verdict, proven=proven)
        case Ready() | Again() | Busy():
            raise AssertionError(f"{run.operation[0]} may not answer {type(verdict).__name__} here")
