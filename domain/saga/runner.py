"""Drives all sagas of one replica: turn after turn, calls in between, takeover all the time.

One writer turns: take what is due, one transaction, then tell the feeds, send the calls, and
take what has become due meanwhile. While a turn commits, starts and answers gather; so the
batch grows with the load and a lone saga waits for nobody. On PostgreSQL a second turn runs beside
the first once enough has gathered: while the server works for one, Python does for the other; they
share no saga, and meet at the features' rows as two replicas do. What the agenda holds is only a
hint of what is in the database: everything is read again under the fence, and the poll finds
what memory has forgotten.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import ClockWatch, monotonic_now, wall_now
from domain.errors import PassedOverError
from domain.events import Feed, Notifier, SagaEvent
from domain.loops import Loop
from domain.outcome import Outcome, Refused, Succeeded, Unknown
from domain.saga.asking import answer_of, name_of
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.executor import BATCH_SAGAS_MAX, CallOrder, Completion, Executor, SagaEnd, TurnResult, Work
from domain.saga.replicas import CLAIM_SAGAS_MAX, Replica
from domain.saga.tables import sagas
from domain.saga.throughput import Throughput
from domain.storage import Database, Query, trouble_of
from domain.telemetry import Telemetry

__all__ = ["CallFinished", "Committed", "Runner", "TurnCommitted"]

POLL_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 3.0
RECOVERY_SECONDS: Final = 0.5
BUSY_SECONDS: Final = 0.01
#: For how long a saga is left alone that can neither be run nor parked.
PUT_OFF_SECONDS: Final = 30.0
#: Beside a turn that runs another begins only with so many: fewer are better off in the next one's batch.
TURN_BESIDE_SAGAS_MIN: Final = 64
#: As many as one turn takes where several may run.
TURN_BESIDE_SAGAS_MAX: Final = BATCH_SAGAS_MAX // 2
#: Of the lease, after how much of it it is renewed, and how much the renewal may take.
_RENEWED_AFTER: Final = 0.25
_TURNS: Final = ("turn", "turn beside")
_s = sagas.c
_due = Query(
    select(_s.id)
    .where(_s.replica == bindparam("replica_id"), _s.due_at <= bindparam("now"))
    .order_by(_s.due_at)
    .limit(bindparam("limit"))
)
_logger = logging.getLogger("seatsaga.runner")


@dataclass(frozen=True, slots=True)
class Committed:
    """Telemetry: these events are durable."""

    events: tuple[SagaEvent, ...]


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """Telemetry: a turn of so many sagas took so long, commit included; `ended` are those that it ended."""

    sagas: int
    seconds: float
    ended: tuple[SagaEnd, ...]


@dataclass(frozen=True, slots=True)
class CallFinished:
    """Telemetry: a call of `operation` for this saga took so long and came to this; `at` this machine's clock."""

    at: int
    correlation_id: str
    operation: str
    attempt: int
    outcome: Outcome
    seconds: float


class Runner:
    """The turning part of the engine. `start`, then `wake` with what is new; `stop` drains."""

    def __init__(
        self,
        database: Database,
        executor: Executor,
        replica: Replica,
        feed: Feed,
        *,
        notifier: Notifier | None = None,
        telemetry: Telemetry | None = None,
        points: CommitPoints | None = None,
        poll_seconds: float = POLL_SECONDS,
        turns_max: int = 1,
    ) -> None:
        self._database = database
        self._batch_sagas_max = BATCH_SAGAS_MAX if turns_max == 1 else TURN_BESIDE_SAGAS_MAX
        self._executor = executor
        self._replica = replica
        self._feed = feed
        self._notifier = notifier
        self._telemetry = telemetry or Telemetry()
        # A file's clock is this machine's, which the scheduler watches.
        self._watch = ClockWatch("database", self._telemetry) if database.dialect == "postgresql" else None
        self._points = points or CommitPoints()
        self._poll_seconds = poll_seconds
        self._ready: dict[str, Work] = {}
        self._timers: list[tuple[float, str]] = []
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._turning: set[str] = set()
        self._put_off: set[str] = set()
        self._bell = asyncio.Event()
        self._active: set[str] = set()
        self._stopping = False
        turns = {name: _loop(name, self._turn, self._idle_seconds, self._bell) for name in _TURNS[:turns_max]}
        self._lease = _loop("lease", self._renew, replica.lease_seconds * _RENEWED_AFTER)
        self._loops = {**turns, "poll": _loop("poll", self._poll, poll_seconds), "lease": self._lease}
        self.throughput = Throughput()

    # ------------------------------------------------------------------ what others do with it

    @property
    def active(self) -> int:
        """How many sagas of this replica are in flight, as far as it knows."""
        return len(self._active)

    @property
    def put_off(self) -> int:
        """How many sagas can neither be run nor parked: each is tried again after a while."""
        return len(self._put_off)

    @property
    def standstill(self) -> str | None:
        """None while sagas move, else what stands still.

        That is a runner that has stopped, or one of whose loops has come to nothing for as long as
        a lease lasts: by then its sagas are anybody's.
        """
        if not all(loop.is_running for loop in self._loops.values()):
            return "the saga runner has stopped"
        for name, loop in self._loops.items():
            if loop.barren_seconds > self._replica.lease_seconds:
                return f"the saga runner's {name} has not succeeded for {loop.barren_seconds:.0f} s"
        return None

    async def start(self, *, alone: bool = False) -> None:
        """Begin the lease, take over what lapsed replicas left, and turn."""
        await self._replica.register(alone=alone)
        await self.recover()
        for loop in self._loops.values():
            loop.start()

    def publish(self, events: list[SagaEvent]) -> None:
        """Tell feeds, other replicas and telemetry of committed events."""
        if events:
            self._feed.publish(events)
            if self._notifier is not None:
                self._notifier.tell(events)
            self._telemetry.emit(Committed(tuple(events)))

    def started(self, events: list[SagaEvent], saga_ids: list[str]) -> None:
        """New sagas of ours are durable: tell of them and begin."""
        if not self._active:
            self.throughput.begin()
        self._active.update(saga_ids)
        self.publish(events)
        for saga_id in saga_ids:
            self.wake(saga_id)

    def take_up(self, saga_id: str) -> None:
        """This replica has just taken over a parked saga, for an operator: look at it."""
        self._active.add(saga_id)
        self._note(Work(saga_id, orphaned=True))
        self._bell.set()

    def wake(self, saga_id: str) -> None:
        """Look at this saga soon; harmless where it is not ours or nothing is due."""
        if saga_id not in self._calls:
            self._ready.setdefault(saga_id, Work(saga_id))
            self._bell.set()

    def nudge(self, saga_ids: Iterable[str]) -> None:
        """Somebody elsewhere has changed these sagas, perhaps by a signal: look at those that are ours."""
        for saga_id in saga_ids:
            if saga_id in self._active:
                self.wake(saga_id)

    def _note(self, work: Work) -> None:
        """Let the next turn look at this work, besides what is noted of the saga already.

        An answer to a call of an older epoch, which will not be believed, neither takes the place
        of a newer one's nor hides that the saga was taken over.
        """
        noted = self._ready.get(work.saga_id)
        if noted is None:
            self._ready[work.saga_id] = work
            return
        answers = [item for item in (noted.completion, work.completion) if item is not None]
        newest = max(answers, key=lambda answer: answer.epoch, default=None)
        self._ready[work.saga_id] = Work(work.saga_id, newest, orphaned=noted.orphaned or work.orphaned)

    async def recover(self) -> int:
        """Take over sagas whose replica's lease has lapsed; returns how many. One bounded claim after another."""
        total = 0
        while True:
            claimed = await self._replica.claim()
            total += len(claimed)
            self._active.update(claimed)
            for saga_id in claimed:
                self._note(Work(saga_id, orphaned=True))
            self._bell.set()
            if len(claimed) < CLAIM_SAGAS_MAX:
                return total

    async def recover_and_announce(self) -> int:
        """Take over what can be, and say loudly what nobody can: for operators, besides the continuous takeover.

        What a replica of a release that does not count has ended is counted once it is gone. Raises
        PassedOverError, with all others taken over, where one cannot be.
        """
        taken = await self.recover()
        await self._replica.count_for_the_gone()
        for waiting in await self._replica.unclaimed():
            _logger.warning(
                "Sagas of %s version %d are run by nobody, as no process knows that version: %d.",
                waiting.definition,
                waiting.version,
                waiting.sagas,
            )
        if self._replica.unclaimable:
            raise PassedOverError("saga", taken, self._replica.unclaimable)
        return taken

    async def stop(self) -> None:
        """Begin nothing new, let calls that are out settle for a few seconds, leave the rest to the lease."""
        self._stopping = True
        self._bell.set()
        deadline = time.monotonic() + DRAIN_SECONDS
        while (self._calls or self._turning or self._takeable()) and time.monotonic() < deadline:
            pending = list(self._calls.values())
            if pending:
                await asyncio.wait(pending, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0.005)
        await self._leave()
        try:
            await self._replica.resign()
        except Exception:
            _logger.warning("The lease could not be given up; it lapses by itself.", exc_info=True)

    async def _leave(self) -> None:
        """Take no turn and wait for no call any more."""
        for loop in self._loops.values():
            loop.cancel()
        calls = list(self._calls.values())
        for call in calls:
            call.cancel()
        await asyncio.gather(*(loop.stop() for loop in self._loops.values()), *calls, return_exceptions=True)

    # ------------------------------------------------------------------ the loops

    async def _turn(self) -> None:
        if not self._is_worth_a_turn():
            return
        work = self._take()
        left = {item.saga_id: item for item in work}
        self._turning |= left.keys()
        unsettled, ended = 0, list[SagaEnd]()
        began = time.perf_counter()
        try:
            async with aclosing(self._executor.turns(work)) as results:
                async for result in results:
                    for saga_id in result.handled:
                        del left[saga_id]
                    self._turning -= result.handled
                    self._follow_up(result)
                    unsettled += len(result.unsettled)
                    ended += result.ended
        except BaseException:
            # Whether more was committed is not known; the fence will show. Nothing is forgotten.
            for item in left.values():
                self._note(Work(item.saga_id, item.completion, orphaned=True))
            raise
        finally:
            self._turning -= left.keys()
        if unsettled == len(work):
            # All of them are held by somebody else, who needs a moment.
            await asyncio.sleep(BUSY_SECONDS)
        self._telemetry.emit(TurnCommitted(len(work), time.perf_counter() - began, tuple(ended)))

    def _idle_seconds(self) -> float:
        """For how long there is nothing to do: at most as a poll waits, so that an idle loop shows that it lives."""
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, saga_id = heapq.heappop(self._timers)
            if saga_id in self._active:
                self.wake(saga_id)
        if self._is_worth_a_turn():
            return 0.0
        return min(self._poll_seconds, self._timers[0][0] - now) if self._timers else self._poll_seconds

    def _is_worth_a_turn(self) -> bool:
        """Whether a turn should begin now: beside another one only for many."""
        least = TURN_BESIDE_SAGAS_MIN if self._turning else 1
        return len(self._ready) >= least and len(self._takeable()) >= least

    def _takeable(self) -> list[str]:
        """What is ready and in no turn that runs, in arrival order; while stopping, only what settles a call."""
        return [
            saga_id
            for saga_id, work in self._ready.items()
            if saga_id not in self._turning
            and saga_id not in self._put_off
            and not (self._stopping and work.completion is None)
        ]

    def _take(self) -> list[Work]:
        """The next batch."""
        return [self._ready.pop(saga_id) for saga_id in self._takeable()[: self._batch_sagas_max]]

    def _follow_up(self, result: TurnResult) -> None:
        self.publish(result.events)
        self._active -= result.over
        if result.over:
            self.throughput.note(len(result.over))
        for order in result.calls:
            if self._stopping:
                # It has not left, and will not: whoever takes the saga over calls under the same key.
                continue
            saga_id = order.member.saga_id
            # A wake that came during the turn: the call's settle looks at the signals itself. But if the saga was
            # lost and taken back meanwhile, this call's answer will not be believed, and that must stay known.
            noted = self._ready.get(saga_id)
            if noted is not None and not noted.orphaned:
                del self._ready[saga_id]
            self._calls[saga_id] = asyncio.create_task(self._call(order), name=f"call-{order.member.operation}")
        now = time.monotonic()
        for work in result.unsettled:
            self._note(work)
        for work in result.put_off:
            self._put_off.add(work.saga_id)
            self._note(work)
            asyncio.get_running_loop().call_later(PUT_OFF_SECONDS, self._put_off.discard, work.saga_id)
        for saga_id, wait_us in result.due.items():
            self._active.add(saga_id)
            if wait_us <= 0:
                self.wake(saga_id)
            else:
                heapq.heappush(self._timers, (now + wait_us / 1_000_000, saga_id))

    async def _call(self, order: CallOrder) -> None:
        """One call to a gateway, bounded in time; what it came to is settled in a later turn, whatever happens."""
        member = order.member
        began = time.perf_counter()
        try:
            self._points.reach(CommitPoint.CALL_BEFORE_EFFECT, member.operation)
            async with asyncio.timeout(order.policy.attempt_timeout_seconds):
                outcome: Any = await answer_of(order.operation.call, member)
            if not isinstance(outcome, Succeeded | Refused | Unknown):
                raise TypeError(f"{name_of(order.operation.call)} answered {outcome!r}; it must answer an outcome.")
            self._points.reach(CommitPoint.CALL_AFTER_EFFECT, member.operation)
        except TimeoutError:
            outcome = Unknown("TIMEOUT", f"No answer within {order.policy.attempt_timeout_seconds:g} s.")
        except Exception as error:
            _logger.exception("saga %s: the call of %s failed.", member.correlation_id, member.operation)
            outcome = Unknown("GATEWAY_ERROR", f"The gateway failed: {type(error).__name__}.")
        if order.loses_answer and isinstance(outcome, Succeeded):
            outcome = Unknown("TIMEOUT", "The answer was lost, as asked for by the simulation.")
        completion = Completion(order.epoch, order.direction, order.position, member.attempt, outcome)
        if self._calls.get(member.saga_id) is asyncio.current_task():
            del self._calls[member.saga_id]
        self._note(Work(member.saga_id, completion))
        self._bell.set()
        seconds = time.perf_counter() - began
        self._telemetry.emit(
            CallFinished(wall_now(), member.correlation_id, member.operation, member.attempt, outcome, seconds)
        )

    async def _poll(self) -> None:
        """Find sagas of ours that are due and that memory does not know of, and whatever has lapsed elsewhere."""
        if self._stopping:
            return
        limit = BATCH_SAGAS_MAX + len(self._ready) + len(self._turning)

        async def look(connection: AsyncConnection) -> list[str]:
            asked_at = monotonic_now()
            now = await self._database.clock.now(connection)
            if self._watch is not None:
                self._watch.look(now, asked_at=asked_at)
            return await _due.column(connection, replica_id=self._replica.id, now=now, limit=limit)

        for saga_id in await self._database.read(look):
            if saga_id not in self._turning:
                self._active.add(saga_id)
                self.wake(saga_id)
        if self._lease.barren_seconds > self._replica.lease_seconds:
            # After an outage all have lapsed: who lives takes nothing from one another.
            await self._renew()
        await self.recover()

    async def _renew(self) -> None:
        # Given up in time for another try before it lapses: one dead connection must not cost the lease.
        async with asyncio.timeout(self._replica.lease_seconds * _RENEWED_AFTER):
            await self._replica.renew()


def _loop(
    name: str,
    turn: Callable[[], Awaitable[None]],
    pause_seconds: float | Callable[[], float],
    bell: asyncio.Event | None = None,
) -> Loop:
    def tell(error: Exception) -> None:
        trouble = trouble_of(error)
        if trouble is None:
            _logger.error("The runner's %s failed; it goes on.", name, exc_info=error)
        else:
            _logger.warning("The runner's %s waits for the database: %s.", name, trouble)

    return Loop(
        f"saga-{name}",
        turn,
        pause_seconds=pause_seconds,
        on_fault=tell,
        retry_seconds=RECOVERY_SECONDS,
        bell=bell,
    )
