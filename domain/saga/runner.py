"""Drives all sagas of one replica: turns, the calls between them, and continuous takeover.

One writer takes turns: take the work that is due, run one transaction, then tell the feeds, send
the calls, and take the work that has become due meanwhile. While a turn commits, starts and answers
gather; so the batch grows with the load, and a lone saga does not wait for a full batch. On
PostgreSQL a second turn runs beside the first once enough work has gathered: Python works for one
while the server works for the other. The two share no saga, and compete for the features' rows like
two replicas. The agenda in memory is only a hint of the database's state: every saga is read again
under the fence, and the poll finds sagas that memory does not know.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import BigInteger, bindparam, case, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import STEP_NOTICED_US, ClockWatch, monotonic_now, wall_now
from domain.errors import PassedOverError
from domain.events import Feed, Hint, Notifier, SagaEvent
from domain.gate import Gate, caller
from domain.loops import Loop
from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.saga.asking import answer_of, name_of
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.executor import BATCH_SAGAS_MAX, Executor
from domain.saga.replicas import Replica
from domain.saga.tables import sagas
from domain.saga.throughput import Throughput
from domain.saga.work import CallOrder, Completion, SagaEnd, TurnResult, WaitEnded, Work
from domain.storage import Database, Query, trouble_of
from domain.telemetry import Telemetry

__all__ = ["CallFinished", "Committed", "Runner", "TurnCommitted"]

POLL_SECONDS: Final = 1.0
DRAIN_SECONDS: Final = 3.0
RECOVERY_SECONDS: Final = 0.5
BUSY_SECONDS: Final = 0.01
#: The next poll comes so soon if more sagas were due than a poll takes up.
BEHIND_SECONDS: Final = 0.05
#: A saga that can neither run nor be parked is left alone for this time.
PUT_OFF_SECONDS: Final = 30.0
#: How long sagas are looked for whose start may have been committed: a COMMIT that waits for a standby takes long.
IN_DOUBT_SECONDS: Final = 3_600.0
#: A second turn begins only with at least this many sagas: fewer are better off in the next batch.
TURN_BESIDE_SAGAS_MIN: Final = 64
#: The most sagas of one turn if several may run.
TURN_BESIDE_SAGAS_MAX: Final = BATCH_SAGAS_MAX // 2
#: A lease is renewed after this share of it; the renewal may take as long.
_RENEWED_AFTER: Final = 0.25
_TURNS: Final = ("turn", "turn beside")
_s = sagas.c
_due = Query(
    select(_s.id)
    .where(_s.replica == bindparam("replica_id"), _s.due_at <= bindparam("now"))
    .order_by(_s.due_at)
    .limit(bindparam("limit"))
)
#: Waits of ours that begin ahead of the clock. Like a hold (`domain.seats`), such a wait begins now, by the clock that
#: was set back, and is as long as it was: so it lasts no longer than that from now on.
_is_ahead = (
    _s.replica == bindparam("replica_id"),
    _s.finished_at.is_(None),
    _s.awaits.is_not(None),
    _s.awaited_since > bindparam("now", type_=BigInteger),
)
_ahead = Query(select(_s.id).where(*_is_ahead).limit(1))
_now = bindparam("now", type_=BigInteger)
_too_long = _s.awaited_since - _now
_until, _sooner = _s.awaited_until - _too_long, _s.due_at - _too_long
_bring_back = (
    update(sagas)
    .where(*_is_ahead)
    .values(
        awaited_since=_now,
        awaited_until=_until,
        # A turn may have looked meanwhile, and set the due time by the clock as it is now.
        due_at=case((_sooner >= _now, _sooner), (_s.due_at > _until, _until), else_=_s.due_at),
    )
)
#: Sagas of ours that were written ahead of the clock, as that was set back, and wait for no word. They may stand in
#: line or be stuck, so memory has no timer for them. All look at once; their turns know how long each may wait.
_is_written_ahead = (
    _s.replica == bindparam("replica_id"),
    _s.finished_at.is_(None),
    _s.awaits.is_(None),
    _s.updated_at > bindparam("now", type_=BigInteger),
    _s.due_at > _now,
)
_written_ahead = Query(select(_s.id).where(*_is_written_ahead).limit(1))
_let_look = update(sagas).where(*_is_written_ahead).values(due_at=_now)
_logger = logging.getLogger("seatsaga.runner")


@dataclass(frozen=True, slots=True)
class Committed:
    """Telemetry: these events are durable."""

    events: tuple[SagaEvent, ...]


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """Telemetry: a turn of this many sagas, its duration with the commit, and the sagas and `waits` that it ended."""

    sagas: int
    seconds: float
    ended: tuple[SagaEnd, ...]
    waits: tuple[WaitEnded, ...] = ()


@dataclass(frozen=True, slots=True)
class CallFinished:
    """Telemetry: a call of `operation` for this saga, its duration and its outcome; `at` this machine's clock."""

    at: int
    correlation_id: str
    operation: str
    attempt: int
    outcome: Outcome
    seconds: float


class Runner:
    """Runs the engine's turns. Call `start`, then `wake` for each saga with news; `stop` drains."""

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
        # SQLite uses this machine's clock, which the scheduler watches.
        self._watch = ClockWatch("database", self._telemetry) if database.dialect == "postgresql" else None
        self._points = points or CommitPoints()
        self._poll_seconds = poll_seconds
        self._ready: dict[str, Work] = {}
        #: Of these, the sagas that the poll or a takeover has found: nobody has asked for them just now.
        self._found: set[str] = set()
        self._timers: list[tuple[float, str]] = []
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._turning: set[str] = set()
        #: Sagas whose turns have ended since the poll began to read; None while it does not read.
        self._turned: set[str] | None = None
        self._put_off: set[str] = set()
        #: Sagas whose start may have been committed, and until when they are looked for.
        self._doubted: dict[str, float] = {}
        self._bell = asyncio.Event()
        self._active: set[str] = set()
        self._stopping = False
        #: Whether the last poll has left due sagas behind.
        self._is_behind = False
        #: The database's clock minus the monotonic one at the last poll; None: it may have been set back.
        self._lead: int | None = None
        turns = {name: _loop(name, self._turn, self._idle_seconds, self._bell) for name in _TURNS[:turns_max]}
        self._lease = _loop("lease", self._renew, replica.lease_seconds * _RENEWED_AFTER)
        self._loops = {**turns, "poll": _loop("poll", self._poll, self._poll_pause), "lease": self._lease}
        self.throughput = Throughput()

    # ------------------------------------------------------------------ what others do with it

    @property
    def active(self) -> int:
        """How many sagas of this replica are in flight, as far as it knows. Those that wait are not."""
        return len(self._active)

    @property
    def put_off(self) -> int:
        """How many sagas can neither run nor be parked: each is tried again after a while."""
        return len(self._put_off)

    @property
    def standstill(self) -> str | None:
        """None while sagas make progress, else a description of the part that does not.

        It reports a runner that has stopped, or a loop without a successful turn for the length of a
        lease: after that time other replicas may take its sagas over.
        """
        if not all(loop.is_running for loop in self._loops.values()):
            return "the saga runner has stopped"
        for name, loop in self._loops.items():
            if loop.barren_seconds > self._replica.lease_seconds:
                return f"the saga runner's {name} has not succeeded for {loop.barren_seconds:.0f} s"
        return None

    async def start(self, *, alone: bool = False) -> None:
        """Begin the lease, take over the sagas of lapsed replicas, and take turns."""
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

    def started(self, result: TurnResult) -> None:
        """Tell of new sagas of ours, which are durable, and let their calls leave."""
        if not self._active:
            self.throughput.begin()
        self._active |= result.handled
        if self._turned is not None:
            self._turned |= result.handled
        self._follow_up(result)
        if result.due or result.unsettled:
            # The loop that takes turns has set its own timer before.
            self._bell.set()

    def doubt(self, saga_ids: Iterable[str]) -> None:
        """Look for these new sagas until they are seen: nobody knows whether they were committed, or still will be.

        If they were, their calls have not left. After IN_DOUBT_SECONDS they are left to a takeover.
        """
        self._doubted |= dict.fromkeys(saga_ids, time.monotonic() + IN_DOUBT_SECONDS)
        self._look_for_doubted()

    def _look_for_doubted(self) -> None:
        for saga_id, until in list(self._doubted.items()):
            if until < time.monotonic():
                del self._doubted[saga_id]
            elif saga_id not in self._turning and saga_id not in self._calls:
                self._find(Work(saga_id, orphaned=True))

    def take_up(self, saga_id: str) -> None:
        """Look at this parked saga, which this replica has just taken over for an operator."""
        self._active.add(saga_id)
        self._note(Work(saga_id, orphaned=True))
        self._bell.set()

    def wake(self, saga_id: str) -> None:
        """Look at this saga soon; has no effect if it is not ours or nothing is due."""
        if saga_id not in self._calls:
            self._note(Work(saga_id))
            self._bell.set()

    def give_place(self, gate: Gate, saga_id: str) -> None:
        """A gate has a place for this saga now. If the saga does not stand in line any more, it is left at once."""
        if not self._stopping and self._executor.places.is_in_line(saga_id, gate):
            self._note(Work(saga_id, has_place=True))
            self._bell.set()
        else:
            gate.leave(saga_id, None)

    def nudge(self, hints: Iterable[Hint]) -> None:
        """Look at those of these sagas that are ours: another process has changed them.

        A signal is rare, and may be the word that a saga waits for: all replicas look for such a saga, as none keeps
        in memory which ones wait.
        """
        for hint in hints:
            if hint.saga_id in self._active or hint.is_signal:
                self.wake(hint.saga_id)

    def _note(self, work: Work) -> None:
        """Add this work to the next turn, together with other work noted for the saga.

        An answer to a call of an older epoch is not valid: it neither replaces a newer call's answer nor
        hides that the saga was taken over.
        """
        self._found.discard(work.saga_id)
        noted = self._ready.get(work.saga_id)
        if noted is None:
            self._ready[work.saga_id] = work
            return
        answers = [item for item in (noted.completion, work.completion) if item is not None]
        newest = max(answers, key=lambda answer: answer.epoch, default=None)
        self._ready[work.saga_id] = Work(
            work.saga_id,
            newest,
            orphaned=noted.orphaned or work.orphaned,
            has_place=noted.has_place or work.has_place,
        )

    def _find(self, work: Work) -> None:
        """Add this work, which the poll or a takeover has found; work that is noted already keeps its turn."""
        is_asked_for = work.saga_id in self._ready and work.saga_id not in self._found
        self._note(work)
        if not is_asked_for:
            self._found.add(work.saga_id)
        self._bell.set()

    async def recover(self) -> int:
        """Take over sagas of lapsed replicas, one bounded claim after another; return how many."""
        total = 0
        while True:
            claim = await self._replica.claim()
            total += len(claim.sagas) + claim.resting
            self._active.update(claim.sagas)
            for saga_id in claim.sagas:
                self._find(Work(saga_id, orphaned=True))
            if claim.resting:
                # The clock may have been set back since their waits began.
                self._lead = None
            if claim.is_last:
                return total

    async def recover_and_announce(self) -> int:
        """Take over all sagas that can be, and report the others; for operators, beside the continuous takeover.

        Sagas that ended on a replica of a release that does not count are counted once it is gone.
        Raises PassedOverError, with all others taken over, if one cannot be.
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
        """Begin nothing new, let calls that are out settle for a few seconds, leave the rest to the lease's end."""
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
            _logger.warning("The lease could not be ended; it lapses by itself.", exc_info=True)

    async def _leave(self) -> None:
        """End all turns and calls, without waiting for any more."""
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
        unsettled, ended, waits = 0, list[SagaEnd](), list[WaitEnded]()
        began = time.perf_counter()
        try:
            async with aclosing(self._executor.turns(work)) as results:
                async for result in results:
                    for saga_id in result.handled:
                        del left[saga_id]
                    self._turning -= result.handled
                    if self._turned is not None:
                        self._turned |= result.handled
                    self._follow_up(result)
                    unsettled += len(result.unsettled)
                    ended += result.ended
                    waits += result.waits
        except BaseException:
            # The commit's outcome is not known; the fence will show it. No work is dropped.
            for item in left.values():
                self._note(Work(item.saga_id, item.completion, orphaned=True))
            raise
        finally:
            self._turning -= left.keys()
        if unsettled == len(work):
            # Other transactions hold the rows of all of them: wait a moment.
            await asyncio.sleep(BUSY_SECONDS)
        self._telemetry.emit(TurnCommitted(len(work), time.perf_counter() - began, tuple(ended), tuple(waits)))

    def _idle_seconds(self) -> float:
        """How long there is nothing to do: at most one poll interval, so that an idle loop shows that it is alive."""
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, saga_id = heapq.heappop(self._timers)
            if saga_id in self._active:
                self.wake(saga_id)
        if self._is_worth_a_turn():
            return 0.0
        return min(self._poll_seconds, self._timers[0][0] - now) if self._timers else self._poll_seconds

    def _is_worth_a_turn(self) -> bool:
        """Whether a turn should begin now: a second one only for many sagas."""
        least = TURN_BESIDE_SAGAS_MIN if self._turning else 1
        return len(self._ready) >= least and len(self._takeable()) >= least

    def _takeable(self) -> list[str]:
        """Work that is ready and in no running turn, in arrival order; while stopping, only work that settles calls."""
        return [
            saga_id
            for saga_id, work in self._ready.items()
            if saga_id not in self._turning
            and saga_id not in self._put_off
            and not (self._stopping and work.completion is None)
        ]

    def _take(self) -> list[Work]:
        """The next batch.

        After an outage or a takeover any number of sagas may be due, as those that wait are not limited. They get half
        of the batch at most while others are ready: a new saga, a word or an answer does not wait for all of them.
        """
        takeable, most = self._takeable(), self._batch_sagas_max
        if len(takeable) > most:
            asked_for = [saga_id for saga_id in takeable if saga_id not in self._found]
            found = [saga_id for saga_id in takeable if saga_id in self._found]
            found = found[: max(most // 2, most - len(asked_for))]
            takeable = asked_for[: most - len(found)] + found
        self._found.difference_update(takeable)
        return [self._orphaned_if_doubted(self._ready.pop(saga_id)) for saga_id in takeable]

    def _orphaned_if_doubted(self, work: Work) -> Work:
        """Whoever asks for it: the call of a saga whose start is in doubt has not left."""
        return replace(work, orphaned=True) if work.saga_id in self._doubted else work

    def _follow_up(self, result: TurnResult) -> None:
        self.publish(result.events)
        for saga_id in self._doubted.keys() & (result.handled - result.absent):
            del self._doubted[saga_id]
        left = self._active & result.over
        self._active -= left
        self._active -= result.resting
        self._active |= result.in_line
        if left:
            self.throughput.note(len(left))
        for order in result.calls:
            if self._stopping:
                # The call has not left and will not: the saga's next owner calls under the same key.
                if order.place is not None:
                    order.place.leave(None)
                continue
            saga_id = order.member.saga_id
            # A wake during the turn: the call's settle reads the signals itself. But if the saga was lost and taken
            # back meanwhile, this call's answer is not valid, and the note of that must be kept.
            noted = self._ready.get(saga_id)
            if noted is not None and not noted.orphaned:
                del self._ready[saga_id]
                self._found.discard(saga_id)
            # It was not in flight while it waited.
            self._active.add(saga_id)
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
        """Make one call to a gateway, bounded in time; a later turn settles its outcome in every case."""
        member = order.member
        caller.set(member.saga_id)
        began = time.perf_counter()
        try:
            self._points.reach(CommitPoint.CALL_BEFORE_EFFECT, member.operation)
            async with asyncio.timeout(order.policy.attempt_timeout_seconds):
                outcome: Any = await answer_of(order.operation.call, member)
            if not isinstance(outcome, Succeeded | Refused | Unknown | NotSent):
                raise TypeError(f"{name_of(order.operation.call)} answered {outcome!r}; it must answer an outcome.")
            self._points.reach(CommitPoint.CALL_AFTER_EFFECT, member.operation)
        except TimeoutError:
            outcome = Unknown("TIMEOUT", f"No answer within {order.policy.attempt_timeout_seconds:g} s.")
        except Exception as error:
            _logger.exception("saga %s: the call of %s failed.", member.correlation_id, member.operation)
            outcome = Unknown("GATEWAY_ERROR", f"The gateway failed: {type(error).__name__}.")
        if order.loses_answer and isinstance(outcome, Succeeded):
            if order.place is not None:
                order.place.heard = outcome
            outcome = Unknown("TIMEOUT", "The answer was lost, as asked for by the simulation.")
        completion = Completion(
            order.epoch, order.direction, order.position, member.attempt, outcome, order.before, order.place
        )
        if self._calls.get(member.saga_id) is asyncio.current_task():
            del self._calls[member.saga_id]
        self._note(Work(member.saga_id, completion))
        self._bell.set()
        seconds = time.perf_counter() - began
        self._telemetry.emit(
            CallFinished(wall_now(), member.correlation_id, member.operation, member.attempt, outcome, seconds)
        )

    async def _poll(self) -> None:
        """Find our sagas that are due and missing from memory, and sagas of lapsed replicas."""
        if self._stopping:
            return
        limit = BATCH_SAGAS_MAX + len(self._ready) + len(self._turning)

        lead_before = self._lead

        async def look(connection: AsyncConnection) -> tuple[list[str], int, bool]:
            asked_at = monotonic_now()
            now = await self._database.clock.now(connection)
            if self._watch is not None:
                self._watch.look(now, asked_at=asked_at)
            lead, ahead = now - monotonic_now(), None
            if lead_before is None or lead < lead_before - STEP_NOTICED_US:
                ahead = await _ahead.first(connection, replica_id=self._replica.id, now=now)
                ahead = ahead or await _written_ahead.first(connection, replica_id=self._replica.id, now=now)
            found = await _due.column(connection, replica_id=self._replica.id, now=now, limit=limit)
            return found, lead, ahead is not None

        turned = self._turned = set()
        try:
            due, self._lead, is_any_ahead = await self._database.read(look)
        finally:
            self._turned = None
        self._is_behind = len(due) >= limit
        # The read may have seen a saga before the commit of a turn that has ended meanwhile: that turn knows better.
        known = self._turning | self._calls.keys() | turned
        for saga_id in due:
            if saga_id not in known:
                self._active.add(saga_id)
                self._find(Work(saga_id))
        self._look_for_doubted()
        if is_any_ahead:
            await self._bring_back()
        if self._lease.barren_seconds > self._replica.lease_seconds:
            # All leases have lapsed in an outage: a live replica must not lose its sagas to another.
            await self._renew()
        await self.recover()

    def _poll_pause(self) -> float:
        return BEHIND_SECONDS if self._is_behind else self._poll_seconds

    async def _bring_back(self) -> None:
        """Let waits that begin ahead of the clock, which was set back, begin now with the same length.

        Sagas that wait for no word look at once.
        """

        async def work(connection: AsyncConnection) -> None:
            now = await self._database.clock.now(connection)
            for statement in (_bring_back, _let_look):
                await connection.execute(statement, {"replica_id": self._replica.id, "now": now})

        try:
            await self._database.write(work)
        except Exception:
            self._lead = None
            raise

    async def _renew(self) -> None:
        # A renewal is given up early enough to try again: one dead connection must not cost the lease.
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
