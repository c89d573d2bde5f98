"""Drives one batch: fence, settle, begin, write, commit. One transaction is one turn."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain import operators
from domain.clock import SECOND
from domain.events import Failure, SagaEvent
from domain.gate import Entry
from domain.ids import new_id
from domain.operators import OperatorActionKind
from domain.outcome import Busy, NotSent, Outcome, Refused, Succeeded, Unknown
from domain.saga import store
from domain.saga.asking import ask
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.definition import (
    Again,
    Batch,
    Local,
    Member,
    PrepareVerdict,
    Ready,
    Remote,
    RetryPolicy,
    SettleVerdict,
    Skipped,
    Waiting,
)
from domain.saga.machine import Footing, Run
from domain.saga.places import Place, Places
from domain.saga.states import Direction, Phase, SagaStatus, WaitEnd
from domain.saga.store import Definitions
from domain.storage import Database, is_unavailable

__all__ = ["BATCH_SAGAS_MAX", "CallOrder", "Completion", "Executor", "SagaEnd", "TurnResult", "WaitEnded", "Work"]

BATCH_SAGAS_MAX: Final = 256
_SIMULATED: Final = Refused("SIMULATED", "Failed as asked for by the simulation.")
_INTERRUPTED: Final = Unknown("INTERRUPTED", "The process ended before the answer to its call came.")
_OF_LOCAL: Final = (Succeeded, Refused, Unknown, Skipped, Busy)
_OF_SETTLE: Final = (*_OF_LOCAL, Again)
_OF_PREPARE: Final = (Ready, Succeeded, Refused, Skipped, Busy)
_OF_WAITING: Final[Mapping[tuple[type, ...], tuple[type, ...]]] = {
    allowed: (*allowed, Waiting) for allowed in (_OF_LOCAL, _OF_SETTLE, _OF_PREPARE)
}
_logger = logging.getLogger("seatsaga.executor")


@dataclass(frozen=True, slots=True)
class Completion:
    """The outcome of a call, and the exact attempt that made the call."""

    epoch: int
    direction: Direction
    position: int
    attempt: int
    outcome: Outcome
    before: Footing | None = None
    """None only of a call that has left."""
    place: Place | None = None
    """At the gate, until the answer is settled."""


@dataclass(frozen=True, slots=True)
class Work:
    """A saga to look at, with its call's completion if there is one.

    `orphaned`: nothing in this process waits for an answer. If the saga's row says that a call is
    out, its caller is gone and the outcome is unknown. `has_place`: a gate has a place for it now.
    """

    saga_id: str
    completion: Completion | None = None
    orphaned: bool = False
    has_place: bool = False


@dataclass(frozen=True, slots=True)
class CallOrder:
    """A call that may leave now, as its intent is durable."""

    member: Member[Any]
    operation: Remote
    policy: RetryPolicy
    epoch: int
    direction: Direction
    position: int
    loses_answer: bool
    before: Footing
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class SagaEnd:
    """How a saga of `definition` ended, and how long after its start, by the database's clock."""

    definition: str
    status: SagaStatus
    seconds: float


@dataclass(frozen=True, slots=True)
class WaitEnded:
    """A saga of `definition` waits no more for `wants`; `by`: what ended the wait."""

    definition: str
    wants: str
    by: WaitEnd


@dataclass(slots=True)
class TurnResult:
    """What remains to do after a committed turn: tell the feeds, send the calls, and look again when due.

    `handled` are the turn's sagas; `due` maps saga IDs to microseconds from now; `unsettled` is
    work whose rows were locked by another transaction; `over` are sagas that ended, are parked,
    have another owner, or wait for a word: only their rows know when they are due. So do the rows of `in_line`, which
    stand in line for a place, and of `resting`, which are stuck or stand before a gate that is shut; these are not in
    flight. `ended` describes
    the ended ones, `waits` the waits that ended. `put_off` is work whose failure cannot even be
    written: it is left alone for a while.
    """

    handled: set[str] = field(default_factory=set)

    events: list[SagaEvent] = field(default_factory=list)
    calls: list[CallOrder] = field(default_factory=list)
    due: dict[str, int] = field(default_factory=dict)
    unsettled: list[Work] = field(default_factory=list)
    over: set[str] = field(default_factory=set)
    in_line: set[str] = field(default_factory=set)
    resting: set[str] = field(default_factory=set)
    ended: list[SagaEnd] = field(default_factory=list)
    waits: list[WaitEnded] = field(default_factory=list)
    put_off: list[Work] = field(default_factory=list)


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
                turn = await self._commit(part, self._proceed)
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

        async def blame(turn: _Turn) -> None:
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

    async def _commit(self, work: Sequence[Work], proceed: Callable[[_Turn], Any]) -> _Turn:
        async def transact(connection: AsyncConnection) -> _Turn:
            items = {item.saga_id: item for item in work}
            runs, unreadable = await store.fence(connection, self._definitions, self._replica_id, items)
            at = await self._database.clock.now(connection)
            turn = _Turn(connection, self._database, at, runs, items, unreadable, self.places)
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

        lane = self._lanes.pop() if self._lanes else next(self._new_lanes)
        try:
            turn = await self._database.write(transact)
        except Exception as error:
            # A transaction whose answer was lost may still hold the lane's rows, or may still change them.
            if not is_unavailable(error):
                self._lanes.append(lane)
            raise
        self._lanes.append(lane)
        self._points.reach(CommitPoint.TURN_AFTER_COMMIT, *turn.names)
        return turn

    async def _proceed(self, turn: _Turn) -> None:
        """Settle the answers, then begin all steps that are due, until every saga must wait."""
        for group in self._groups(turn.take_settling()):
            await _settle(turn, group, begun=True)
        while True:
            ready = [run for run in turn.runs if _passes_gate(run)]
            if not ready:
                return
            await _begin(turn, next(iter(self._groups(ready))))

    def _groups(self, runs: Iterable[Run]) -> list[list[Run]]:
        """The runs grouped by their step, in an order that lets those behind catch up with those ahead."""
        groups: dict[tuple[int, Direction, int], list[Run]] = {}
        for run in runs:
            depth = run.position if run.direction is Direction.FORWARD else -run.position
            order = self._order[run.definition.name, run.definition.version]
            groups.setdefault((order, run.direction, depth), []).append(run)
        return [groups[key] for key in sorted(groups)]


class _Turn:
    """One transaction's sagas and their results."""

    def __init__(
        self,
        connection: AsyncConnection,
        database: Database,
        at: int,
        runs: list[Run],
        work: dict[str, Work],
        unreadable: list[store.Unreadable],
        places: Places,
    ) -> None:
        self.connection = connection
        self.clock = database.clock
        self.at = at
        self.runs = runs
        self.work = work
        self.unreadable = unreadable
        self.calls: list[CallOrder] = []
        self.unsettled: list[Work] = []
        self.names: set[str] = set()
        self._places = places
        self._in_line: set[str] = set()
        for run in runs:
            run.at = at
            if work[run.id].has_place and places.standing(run.id) is not None:
                run.take_place()
            elif work[run.id].orphaned:
                run.leave_line()

    def take_settling(self) -> list[Run]:
        """The sagas whose call was answered, and those whose caller is gone, each with its outcome.

        A call that was not sent had no effect, so there is nothing to settle.
        """
        settling = []
        for run in self.runs:
            if run.phase is not Phase.CALLING:
                continue
            work = self.work[run.id]
            completion = work.completion
            if completion is not None and _belongs(completion, run):
                if isinstance(completion.outcome, NotSent):
                    assert completion.before is not None
                    run.not_sent(completion.outcome, completion.before)
                    self.leave_place(run)
                    continue
                run.outcome = completion.outcome
                if completion.before is not None:
                    run.is_asked, run.attempt_by = completion.before.is_asked, completion.before.asked_by
            elif work.orphaned or run.parked_from is not None:
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

    def admit(self, runs: list[Run], operation: Remote) -> list[Run]:
        """Those of `runs` that may call now; the others stand in line, and nothing of them is begun."""
        if operation.gate is None:
            return runs
        admitted = []
        for run in runs:
            if operation.needs_call is not None and not operation.needs_call(run.member(next_attempt=True)):
                admitted.append(run)
                continue
            if self._places.enter(run.id, operation.gate, run.lane) is Entry.PERMIT:
                admitted.append(run)
            elif run.stand_in_line():
                self._in_line.add(run.id)
        return admitted

    def leave_place(self, run: Run) -> None:
        """The run's call is over, and no other call follows in the same attempt."""
        completion = self.work[run.id].completion
        if completion is not None and completion.place is not None:
            completion.place.leave(completion.outcome)

    def tidy_places(self) -> None:
        """After the commit: leave the places that this turn has not used, and those of answers that came too late."""
        runs = {run.id: run for run in self.runs}
        calling = {order.member.saga_id: order for order in self.calls}
        left_for_later = {work.saga_id for work in self.unsettled} | {saga.saga_id for saga in self.unreadable}
        for saga_id, work in self.work.items():
            if saga_id in left_for_later:
                continue
            order = calling.get(saga_id)
            completion = work.completion
            if completion is not None and completion.place is not None:
                if order is None or order.place is not completion.place:
                    completion.place.leave(completion.outcome)
            if order is not None:
                self._places.depart(saga_id)
            elif not self._keeps_standing(saga_id, runs.get(saga_id)):
                self._places.leave(saga_id)

    def _keeps_standing(self, saga_id: str, run: Run | None) -> bool:
        """Whether the saga still wants the place that it has, or stands in line for."""
        if run is None or run.status.is_terminal:
            return False
        if self._places.standing(saga_id) is Entry.PERMIT:
            return run.busy
        return saga_id in self._in_line or not run.touched

    def order_call(self, run: Run, operation: Remote, before: Footing) -> None:
        """Let the call leave once this turn has committed."""
        name, _, policy = run.operation
        simulation = run.simulation
        loses = simulation is not None and run.attempt == 1 and not run.is_looking and name in simulation.lose_answer_at
        member = run.member(next_attempt=False)
        place = self._place_of(run, operation)
        self.calls.append(
            CallOrder(member, operation, policy, run.epoch, run.direction, run.position, loses, before, place)
        )

    def _place_of(self, run: Run, operation: Remote) -> Place | None:
        """The place that the call leaves with; a second call of an attempt has that of the first."""
        if operation.gate is None:
            return None
        completion = self.work[run.id].completion
        if completion is not None and completion.place is not None and not completion.place.is_left:
            return completion.place
        return self._places.take(run.id, operation.gate, run.lane)

    def result(self) -> TurnResult:
        """What remains to do now that all of this is durable."""
        unreadable = {saga.saga_id for saga in self.unreadable}
        result = TurnResult(handled=self.work.keys() - unreadable, calls=self.calls, unsettled=self.unsettled)
        calling = {order.member.saga_id for order in self.calls} | {work.saga_id for work in self.unsettled}
        seen = set()
        for run in self.runs:
            seen.add(run.id)
            result.events += run.events
            for wants, by in run.wait_ends:
                result.waits.append(WaitEnded(run.definition.name, wants, by))
            if run.status.is_terminal:
                result.over.add(run.id)
                result.ended.append(SagaEnd(run.definition.name, run.status, (self.at - run.started_at) / SECOND))
            elif run.id not in calling and run.due_at is not None:
                if run.busy:
                    result.due[run.id] = BUSY_WAIT_US
                elif run.wait is not None:
                    result.over.add(run.id)
                elif run.status is SagaStatus.STUCK or self._places.standing(run.id) is Entry.SHUT:
                    result.resting.add(run.id)
                elif self._places.standing(run.id) is Entry.LINE:
                    result.in_line.add(run.id)
                else:
                    result.due[run.id] = run.wait_us
        result.over |= result.handled - seen - calling
        return result


BUSY_WAIT_US: Final = 10_000


def _belongs(completion: Completion, run: Run) -> bool:
    return (completion.epoch, completion.direction, completion.position, completion.attempt) == (
        run.epoch,
        run.direction,
        run.position,
        run.attempt,
    )


async def _name_askers(turn: _Turn) -> None:
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


def _passes_gate(run: Run) -> bool:
    """Whether the run's next attempt may begin now. Signals are obeyed here, under the saga's lock."""
    if run.busy or run.status.is_terminal or run.phase is not Phase.READY:
        return False
    if run.skip_step is not None:
        _obey_skip(run)
    if run.retry_requested_at is not None:
        run.retry_now()
    if run.direction is Direction.FORWARD and run.pinned_at is None and not run.is_past_pivot:
        if run.hold_expired_at is not None or run.is_wait_over or (run.is_ready and _outlasts_deadline(run)):
            run.expire()
        elif run.cancel_requested_at is not None:
            run.cancel()
    elif run.is_wait_over:
        run.overrun_wait()
    return run.is_ready


def _outlasts_deadline(run: Run) -> bool:
    """Whether the next attempt might still be running when the deadline passes. The pin checks this itself.

    A look is no attempt: a wait has its own deadline.
    """
    if run.deadline_at is None or run.step.pins or run.is_looking:
        return False
    return run.at + round(run.operation[2].budget_seconds * SECOND) > run.deadline_at


def _obey_skip(run: Run) -> None:
    step, reason = run.skip_step, run.skip_reason
    run.skip_step = run.skip_reason = None
    run.touched = True
    if run.status is SagaStatus.STUCK and run.step.name == step:
        run.skip(reason or "No reason was given.", given_up=True)


async def _begin(turn: _Turn, runs: list[Run]) -> None:
    """Begin the next attempt of every run of one group: run local operations, and remote ones up to their call."""
    runs = [run for run in runs if not _does_as_simulated(run)]
    if not runs:
        return
    name, operation, _ = runs[0].operation
    turn.names.add(name)
    match operation:
        case Local(settle):
            batch = turn.batch(runs, next_attempt=True)
            for run, verdict in zip(runs, await ask(settle, batch, _may(runs, _OF_LOCAL)), strict=True):
                match verdict:
                    case Busy():
                        run.come_back()
                    case Waiting():
                        run.begin_wait(verdict)
                    case _:
                        _start_unless_looking(run)
                        _apply(turn, run, verdict, proven=True, batch=batch)
        case Remote(prepare=None):
            for run in turn.admit(runs, operation):
                _call(turn, run, operation)
        case Remote(prepare=prepare):
            assert prepare is not None
            runs = turn.admit(runs, operation)
            if not runs:
                return
            batch = turn.batch(runs, next_attempt=True)
            at_once: list[Run] = []
            for run, answer in zip(runs, await ask(prepare, batch, _may(runs, _OF_PREPARE)), strict=True):
                match answer:
                    case Busy():
                        run.come_back()
                    case Ready():
                        _call(turn, run, operation)
                    case Succeeded():
                        run.outcome = answer
                        at_once.append(run)
                    case Waiting():
                        run.begin_wait(answer)
                    case _:
                        _start_unless_looking(run)
                        _apply(turn, run, answer, proven=True, batch=batch)
            if at_once:
                await _settle(turn, at_once, begun=False)


def _may(runs: Sequence[Run], allowed: tuple[type, ...]) -> tuple[type, ...]:
    """The verdicts that the operation of these runs may answer."""
    run = runs[0]
    return _OF_WAITING[allowed] if run.definition.can_wait(run.position, run.direction) else allowed


def _call(turn: _Turn, run: Run, operation: Remote) -> None:
    before = run.footing
    if run.is_looking:
        run.start_look()
    else:
        run.start_attempt()
        _pin(run)
        run.start_call()
    turn.order_call(run, operation, before)


def _start_unless_looking(run: Run) -> None:
    """Begin the attempt that is settled at once. A look is no attempt."""
    if not run.is_looking:
        run.start_attempt()


def _pin(run: Run) -> None:
    if run.direction is Direction.FORWARD and run.step.pins and run.pinned_at is None:
        run.pin()


def _does_as_simulated(run: Run) -> bool:
    """Let the run pause or fail, if its simulation asks for that; the work of its attempt does not begin then."""
    simulation = run.simulation
    if simulation is None:
        return False
    if run.is_to_pause:
        run.start_pause()
        return True
    forward = run.direction is Direction.FORWARD
    if run.operation[0] not in (simulation.fail_at if forward else simulation.fail_compensation_at):
        return False
    run.start_attempt()
    run.fall_short(_SIMULATED, proven=True)
    return True


async def _settle(turn: _Turn, runs: list[Run], *, begun: bool) -> None:
    """Write the outcomes of one group's calls; if no call was needed, the attempt also begins here."""
    operation = runs[0].operation[1]
    assert isinstance(operation, Remote)
    batch = turn.batch(runs, next_attempt=not begun)
    verdicts: Sequence[SettleVerdict]
    if operation.settle is None:
        verdicts = [run.outcome or _INTERRUPTED for run in runs]
    else:
        verdicts = await ask(operation.settle, batch, _may(runs, _OF_SETTLE))
    for run, verdict in zip(runs, verdicts, strict=True):
        if isinstance(verdict, Busy):
            run.come_back()
            if begun:
                turn.unsettled.append(turn.work[run.id])
            continue
        if begun and not isinstance(verdict, Again):
            turn.leave_place(run)
        if isinstance(verdict, Waiting):
            run.begin_wait(verdict)
            continue
        if not begun:
            _start_unless_looking(run)
            _pin(run)
        if isinstance(verdict, Again):
            if run.is_looking:
                # What the wait was for has come, and the step goes on with an attempt.
                run.start_attempt()
            run.call_again()
            turn.order_call(run, operation, run.footing)
        else:
            _apply(turn, run, verdict, proven=not begun or isinstance(run.outcome, Refused), batch=batch)


def _apply(turn: _Turn, run: Run, verdict: PrepareVerdict | SettleVerdict, *, proven: bool, batch: Batch[Any]) -> None:
    match verdict:
        case Succeeded():
            run.deadline_at = batch.deadlines.get(run.id, run.deadline_at)
            run.complete(verdict)
        case Skipped(summary):
            run.skip(summary)
        case Refused() | Unknown():
            run.fall_short(verdict, proven=proven)
        case Ready() | Again() | Busy() | Waiting():
            raise AssertionError(f"{run.operation[0]} may not answer {type(verdict).__name__} here")
