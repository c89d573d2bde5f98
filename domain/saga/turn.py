"""One turn in memory: its sagas, their answers, their places at the gates, and the calls that may leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND
from domain.gate import Entry
from domain.outcome import NotSent, Unknown
from domain.saga import store
from domain.saga.definition import Batch, Remote
from domain.saga.machine import Footing, Run
from domain.saga.places import Place, Places
from domain.saga.states import Phase, SagaStatus
from domain.saga.work import CallOrder, Completion, SagaEnd, TurnResult, WaitEnded, Work
from domain.storage import Database

__all__ = ["INTERRUPTED", "Turn"]

INTERRUPTED: Final = Unknown("INTERRUPTED", "The process ended before the answer to its call came.")
_BUSY_WAIT_US: Final = 10_000


class Turn:
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

    def take(self, runs: list[Run]) -> None:
        """Begin with these new sagas."""
        self.runs = runs
        self.work = {run.id: Work(run.id) for run in runs}

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
                run.outcome = INTERRUPTED
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

    def forsake(self) -> None:
        """The transaction was rolled back, and its sagas do not exist: leave their places."""
        for saga_id in self.work:
            self._places.leave(saga_id)

    def _keeps_standing(self, saga_id: str, run: Run | None) -> bool:
        """Whether the saga still wants the place that it has, or stands in line for."""
        if run is None or run.status.is_terminal:
            return False
        if self._places.standing(saga_id) is Entry.PERMIT:
            # One that stood in line was given its place while this turn committed: the next turn uses it.
            return run.busy or saga_id in self._in_line
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
                    result.due[run.id] = _BUSY_WAIT_US
                elif run.wait is not None:
                    result.over.add(run.id)
                elif run.status is SagaStatus.STUCK or self._places.standing(run.id) is Entry.SHUT:
                    result.resting.add(run.id)
                elif self._places.standing(run.id) is Entry.LINE:
                    result.in_line.add(run.id)
                elif run.id in self._in_line and self._places.standing(run.id) is None:
                    # The gate gave it a place before its start was durable, and a turn could not see it yet.
                    result.unsettled.append(Work(run.id, orphaned=True))
                else:
                    result.due[run.id] = run.wait_us
        result.absent = result.handled - seen - calling
        result.over |= result.absent
        return result


def _belongs(completion: Completion, run: Run) -> bool:
    return (completion.epoch, completion.direction, completion.position, completion.attempt) == (
        run.epoch,
        run.direction,
        run.position,
        run.attempt,
    )
