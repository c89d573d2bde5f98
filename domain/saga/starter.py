"""Starts sagas: idempotently, durably, many in one commit."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from types import NoneType
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Actor, ActorRole
from domain.errors import CommitUnknownError, FileGoneError
from domain.events import EventType, Failure, SagaEvent
from domain.ids import new_id
from domain.operators import Entry, record_entry
from domain.outcome import Refused
from domain.saga import store
from domain.saga.asking import ask
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.definition import Batch, Begin, Member, SagaDefinition, Simulation
from domain.saga.executor import Executor
from domain.saga.machine import Run, StepChange
from domain.saga.states import Direction, SagaStatus, StepStatus
from domain.saga.tables import sagas
from domain.saga.turn import Turn
from domain.saga.views import Awaiting, SagaView, StepView, UndoView
from domain.saga.work import SagaEnd, TurnResult
from domain.storage import Database, Query, any_of, is_unavailable
from domain.telemetry import Telemetry

__all__ = [
    "CorrelationIdReused",
    "KnownStart",
    "Overloaded",
    "SagaBegun",
    "StartRefused",
    "StartRequest",
    "Started",
    "Starter",
    "StartsCommitted",
    "StartsRefused",
    "known_starts",
]

START_SAGAS_MAX: Final = 256
_s = sagas.c
_logger = logging.getLogger("seatsaga.starter")


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A saga to start. `fingerprint` tells this request from any other under the same correlation ID.

    `by`: the actor, if it is not the saga's own subject. `entry`: what to put on the record of operator actions.
    """

    definition: SagaDefinition
    correlation_id: str
    subject: str
    fingerprint: str
    context: msgspec.Struct
    labels: Sequence[str] = ()
    simulation: Simulation | None = None
    by: Actor | None = None
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The saga is durable; `new` is the saga as its start left it, None if the same request had started it before."""

    saga_id: str
    correlation_id: str
    new: SagaView | None = None


@dataclass(frozen=True, slots=True)
class CorrelationIdReused:
    """The correlation ID belongs to a different request or subject; nothing was done."""

    correlation_id: str


@dataclass(frozen=True, slots=True)
class Overloaded:
    """This replica has as many sagas in flight as it takes on; nothing was done, and the ID can be used again."""

    limit: int
    retry_after_seconds: int


@dataclass(frozen=True, slots=True)
class StartRefused:
    """A feature refused the start within its transaction; nothing was done, and the ID can be used again."""

    refusal: Refused


@dataclass(frozen=True, slots=True)
class SagaBegun:
    """A saga of `definition` that belongs to `subject`."""

    correlation_id: str
    subject: str
    definition: SagaDefinition


@dataclass(frozen=True, slots=True)
class StartsCommitted:
    """Telemetry: the sagas that one commit began, and its duration. Emitted before their events.

    A saga does what it can before its first call in that same commit: `ended` are those that are over already.
    """

    sagas: tuple[SagaBegun, ...]
    seconds: float
    ended: tuple[SagaEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class StartsRefused:
    """Telemetry: this many starts were refused, as this replica takes on no more sagas for now."""

    sagas: int


StartAnswer = Started | CorrelationIdReused | Overloaded | StartRefused

_by_correlation = Query(
    select(_s.id, _s.correlation_id, _s.subject, _s.fingerprint).where(any_of(_s.correlation_id, "correlation_ids"))
)


@dataclass(frozen=True, slots=True)
class KnownStart:
    """The saga and the request under a correlation ID."""

    saga_id: str
    correlation_id: str
    subject: str
    fingerprint: str

    def recognise(self, subject: str | None, fingerprint: str) -> Started | CorrelationIdReused:
        """Whether it was this same request, of `subject`, or of any subject if None."""
        if subject in (None, self.subject) and self.fingerprint == fingerprint:
            return Started(self.saga_id, self.correlation_id)
        return CorrelationIdReused(self.correlation_id)


async def known_starts(connection: AsyncConnection, correlation_ids: Sequence[str]) -> dict[str, KnownStart]:
    """The starts under these correlation IDs. Look them up before any check that depends on state."""
    rows = await _by_correlation(connection, correlation_ids=list(set(correlation_ids)))
    return {row.correlation_id: KnownStart(*row) for row in rows}


class Starter:
    """Commits starts in groups: starts that arrive while a group is being committed form the next group.

    The new sagas go on to their first calls in the same transaction: the start is also their first turn. If that fails,
    they only begin in it, and turns isolate the faulty one.

    `started` is called with what remains to do of each committed group, and `doubted` with the IDs of sagas that may
    have been committed, as the answer was lost. `active` returns how many sagas are in flight; at `active_sagas_max`
    new ones are refused, and `retry_after_seconds` returns when the sagas then in flight will be over.
    """

    def __init__(
        self,
        database: Database,
        replica_id: str,
        executor: Executor,
        *,
        active: Callable[[], int],
        active_sagas_max: int,
        retry_after_seconds: Callable[[int], int],
        started: Callable[[TurnResult], None],
        doubted: Callable[[Iterable[str]], None],
        telemetry: Telemetry | None = None,
        points: CommitPoints | None = None,
    ) -> None:
        self._database = database
        self._replica_id = replica_id
        self._active = active
        self._active_sagas_max = active_sagas_max
        self._retry_after_seconds = retry_after_seconds
        self._executor = executor
        self._started = started
        self._doubted = doubted
        self._telemetry = telemetry or Telemetry()
        self._points = points or CommitPoints()
        self._waiting: deque[tuple[StartRequest, asyncio.Future[StartAnswer]]] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._closed = False

    async def start(self, request: StartRequest) -> StartAnswer:
        """Start a saga, or find the one that the same request has started; durable when this returns.

        Guarantee: at most one saga is ever started under one correlation ID. Cancelling the caller
        does not undo the start. If as many starts wait as sagas may be in flight, the start is refused
        at once, so that the queue is bounded; the caller has looked it up before.
        """
        if len(self._waiting) >= max(self._active_sagas_max, START_SAGAS_MAX):
            self._telemetry.emit(StartsRefused(1))
            return self._overloaded()
        future: asyncio.Future[StartAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_waiting(), name="saga-starts")
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Refuse new starts, and finish those that wait."""
        self._closed = True
        if self._committing is not None:
            await asyncio.gather(self._committing, return_exceptions=True)

    async def _commit_waiting(self) -> None:
        while self._waiting:
            group = [self._waiting.popleft() for _ in range(min(len(self._waiting), START_SAGAS_MAX))]
            await self._commit_or_part(group)

    async def _commit_or_part(self, group: list[tuple[StartRequest, asyncio.Future[StartAnswer]]]) -> None:
        """Commit a group; if one member's fault makes it fail, commit its halves, until the fault stands alone."""
        requests = [request for request, _ in group]
        try:
            try:
                answers = await self._commit(requests, proceeds=True)
            except Exception as error:
                if is_unavailable(error) and not isinstance(error, CommitUnknownError):
                    raise
                # Another replica has just committed one of these correlation IDs, or this one has and the answer was
                # lost: the lookup now finds it. Or a first step failed: the turns to come find out whose.
                answers = await self._commit(requests, proceeds=False)
        except Exception as error:
            if is_unavailable(error):
                # The database does not answer: it would fail the halves and the waiting starts too.
                for _, future in [*group, *self._waiting]:
                    if not future.done():
                        future.set_exception(error)
                self._waiting.clear()
            elif len(group) > 1:
                half = len(group) // 2
                await self._commit_or_part(group[:half])
                await self._commit_or_part(group[half:])
            elif not group[0][1].done():
                group[0][1].set_exception(error)
            return
        for (_, future), answer in zip(group, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _commit(self, requests: Sequence[StartRequest], *, proceeds: bool) -> list[StartAnswer]:
        """Commit the starts; if `proceeds`, with all that their sagas do before the first call."""
        turn: Turn | None = None

        async def work(connection: AsyncConnection) -> list[StartAnswer]:
            nonlocal turn
            if turn is not None:
                turn.forsake()
            at = await self._database.clock.now(connection)
            turn = Turn(connection, self._database, at, [], {}, [], self._executor.places)
            return await self._insert(turn, requests, lane, proceeds=proceeds)

        began = time.perf_counter()
        try:
            with self._executor.lane() as lane:
                answers = await self._database.write(work)
        except Exception as error:
            if turn is not None:
                turn.forsake()
                if isinstance(error, CommitUnknownError | FileGoneError):
                    self._doubted(turn.work)
            raise
        seconds = time.perf_counter() - began
        assert turn is not None
        self._points.reach(CommitPoint.START_AFTER_COMMIT, *turn.names)
        turn.tidy_places()
        if turn.runs:
            # Of several with one ID, the first began it.
            subject_of = {request.correlation_id: request.subject for request in reversed(requests)}
            begun = (SagaBegun(run.correlation_id, subject_of[run.correlation_id], run.definition) for run in turn.runs)
            result = turn.result()
            self._telemetry.emit(StartsCommitted(tuple(begun), seconds, tuple(result.ended)))
            self._started(result)
        refused = sum(isinstance(answer, Overloaded) for answer in answers)
        if refused:
            self._telemetry.emit(StartsRefused(refused))
        return answers

    async def _insert(
        self, turn: Turn, requests: Sequence[StartRequest], lane: int, *, proceeds: bool
    ) -> list[StartAnswer]:
        connection, at = turn.connection, turn.at
        taken = await known_starts(connection, [request.correlation_id for request in requests])
        room = max(0, self._active_sagas_max - self._active())
        answers: dict[int, StartAnswer] = {}
        fresh: dict[str, tuple[int, StartRequest, Run]] = {}
        repeated: list[int] = []
        for number, request in enumerate(requests):
            known = taken.get(request.correlation_id)
            if known is not None:
                answers[number] = known.recognise(request.subject, request.fingerprint)
            elif request.correlation_id in fresh:
                repeated.append(number)
            elif self._closed or len(fresh) >= room:
                answers[number] = self._overloaded()
            else:
                fresh[request.correlation_id] = (number, request, _new_run(request, at))
        # In correlation-ID order, so that two replicas with the same IDs lock in one order.
        accepted = [fresh[correlation_id] for correlation_id in sorted(fresh)]
        runs = []
        for number, _, run, refusal in await _begin(connection, self._database, at, accepted):
            if refusal is None:
                runs.append(run)
            else:
                answers[number] = StartRefused(refusal)
        if runs:
            # In arrival order, in which the steps decide.
            turn.take(sorted(runs, key=attrgetter("id")))
            if proceeds:
                await self._executor.proceed(turn)
            for number, request, run in accepted:
                if number not in answers:
                    answers[number] = Started(run.id, run.correlation_id, _view(run, request.subject))
            by_id = {run.id: request for _, request, run in accepted}
            await store.insert(
                connection,
                runs,
                {run.id: (by_id[run.id].subject, by_id[run.id].fingerprint) for run in runs},
                {run.id: by_id[run.id].labels for run in runs},
                self._replica_id,
                lane,
                at,
            )
            for run in runs:
                entry = by_id[run.id].entry
                if entry is not None:
                    await record_entry(connection, entry, at=at, saga_id=run.id)
        for number in repeated:
            first_number, first, _ = fresh[requests[number].correlation_id]
            answer = answers[first_number]
            same = (first.subject, first.fingerprint) == (requests[number].subject, requests[number].fingerprint)
            match answer:
                case Started(saga_id, correlation_id):
                    answers[number] = Started(saga_id, correlation_id) if same else CorrelationIdReused(correlation_id)
                case StartRefused() if not same:
                    answers[number] = StartRefused(Refused("BUSY", "Its ID was just asked for.", passing=True))
                case _:
                    answers[number] = answer
        self._points.reach(CommitPoint.START_BEFORE_COMMIT, *turn.names)
        return [answers[number] for number in range(len(requests))]

    def _overloaded(self) -> Overloaded:
        return Overloaded(self._active_sagas_max, self._retry_after_seconds(self._active()))


async def _begin(
    connection: AsyncConnection, database: Database, at: int, accepted: list[tuple[int, StartRequest, Run]]
) -> list[tuple[int, StartRequest, Run, Refused | None]]:
    """Let each definition's `begin` write its feature's rows; a refused member is not started."""
    begun: list[tuple[int, StartRequest, Run, Refused | None]] = []
    # In arrival order, and in one batch for all definitions with the same `begin`, so that limits see all members.
    alike: dict[Begin | None, list[tuple[int, StartRequest, Run]]] = {}
    for item in sorted(accepted, key=itemgetter(0)):
        alike.setdefault(item[1].definition.begin, []).append(item)
    for begin, items in alike.items():
        refusals: Sequence[Refused | None] = [None] * len(items)
        if begin is not None:
            members = [Member(run.id, run.correlation_id, run.context, 0, 1, "") for _, _, run in items]
            refusals = await ask(begin, Batch(connection, database.clock, at, members), (Refused, NoneType))
        begun += [(*item, refusal) for item, refusal in zip(items, refusals, strict=True)]
    return sorted(begun, key=lambda item: item[2].correlation_id)


def _new_run(request: StartRequest, at: int) -> Run:
    run = Run(
        definition=request.definition,
        id=new_id(),
        correlation_id=request.correlation_id,
        # A copy: if the transaction runs again, `begin` must find the same context.
        context=copy.copy(request.context),
        simulation=request.simulation,
        due_at=at,
        started_at=at,
        at=at,
    )
    run.events.append(
        SagaEvent(
            run.id,
            run.correlation_id,
            1,
            EventType.SAGA_STARTED,
            None,
            None,
            None,
            f"{request.definition.name} started.",
            None,
            at,
            request.by or Actor(ActorRole.CUSTOMER, request.subject),
        )
    )
    return run


def _view(run: Run, subject: str) -> SagaView:
    """The view of a saga as its start leaves it, made without reading it from the database."""
    wait = run.wait if run.status is SagaStatus.WAITING else None
    steps = tuple(_step_view(run, index) for index in range(len(run.definition.steps)))
    return SagaView(
        id=run.id,
        correlation_id=run.correlation_id,
        definition=run.definition.name,
        version=run.definition.version,
        subject=subject,
        status=run.status,
        context=store.encode_context(run),
        failure=run.failure,
        sequence=run.sequence,
        started_at=run.started_at,
        finished_at=run.finished_at,
        steps=steps,
        awaiting=None
        if wait is None
        else Awaiting(wait.wants, wait.since, wait.until, run.step.name, steps[run.position].failure),
        stuck_since=run.stuck_since,
    )


def _step_view(run: Run, index: int) -> StepView:
    step = run.definition.steps[index]
    compensation = step.compensation.name if step.compensation else None
    undo = run.changes.get((index, Direction.BACKWARD))
    return StepView(
        run.id,
        index,
        step.name,
        *_half(run.changes.get((index, Direction.FORWARD), store.NOT_BEGUN)),
        compensation,
        UndoView(compensation, *_half(undo)) if undo is not None and compensation is not None else None,
    )


_Half = tuple[StepStatus, int, int | None, int | None, int | None, str | None, Failure | None]


def _half(change: StepChange) -> _Half:
    """The values that a step's view and its compensation's have in common, in their order."""
    return (
        change.status,
        change.attempt,
        change.next_attempt_at,
        change.started_at,
        change.finished_at,
        change.summary,
        change.failure,
    )
