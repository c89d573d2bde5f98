"""The engine's interface for the features: start, signal, follow, read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Actor, Asked
from domain.errors import DefinitionError, UnknownSagaError
from domain.events import Feed, Hint, Notifier, SagaEvent
from domain.loops import rings
from domain.operators import Entry
from domain.saga import reader, signals, starter
from domain.saga.catalogue import catalogue_of, require_unchanged
from domain.saga.commit_points import CommitPoint, CommitPoints
from domain.saga.definition import SagaDefinition
from domain.saga.executor import Executor
from domain.saga.replicas import Replica
from domain.saga.runner import POLL_SECONDS, Runner
from domain.saga.signals import (
    CancelAnswer,
    CancelRequested,
    RetryAnswer,
    RetryRequested,
    SettleAnswer,
    SkipAnswer,
    SkipRequested,
    WordAnswer,
    WordSaid,
)
from domain.saga.starter import CorrelationIdReused, StartAnswer, Started, Starter, StartRequest, StartsCommitted
from domain.saga.views import SagaView
from domain.saga.work import TurnResult
from domain.storage import Database, SharedRead, patiently
from domain.telemetry import Telemetry

__all__ = ["HintsHeard", "SagaEngine", "WordJudged"]

T = TypeVar("T")
ACTIVE_SAGAS_MAX_DEFAULT: Final = 10_000
UNKNOWN_SAGA_WAIT_SECONDS: Final = 60.0
#: The number of parallel turns on PostgreSQL.
TURNS_MAX: Final = 2
_LOOKUP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class HintsHeard:
    """Telemetry: another replica has changed this many sagas; None: any saga may have changed."""

    sagas: int | None


@dataclass(frozen=True, slots=True)
class WordJudged:
    """Telemetry: a word for `wants`, or a mere look if `is_look`, was answered so."""

    wants: str
    is_look: bool
    answer: WordAnswer


class SagaEngine:
    """All operations of the domain on sagas, on one replica.

    `definitions` may hold several versions of one name: new sagas take the version that the
    feature passes to `start`, old ones keep theirs. `release` and `revision` describe this process.
    `hints`: whether replicas on one PostgreSQL database notify one another of changes. Changes
    without a notification are found within about a second.
    """

    def __init__(
        self,
        database: Database,
        definitions: Iterable[SagaDefinition],
        *,
        lease_seconds: float = 15.0,
        release: str | None = None,
        revision: str | None = None,
        active_sagas_max: int = ACTIVE_SAGAS_MAX_DEFAULT,
        poll_seconds: float = POLL_SECONDS,
        hints: bool = True,
        unknown_saga_wait_seconds: float = UNKNOWN_SAGA_WAIT_SECONDS,
        telemetry: Telemetry | None = None,
        points: CommitPoints | None = None,
    ) -> None:
        self.database = database
        self.definitions = catalogue_of(definitions)
        self.feed = Feed(database, reader.standing)
        self.notifier = Notifier(database.direct, self._hear) if hints and database.direct is not None else None
        self.telemetry = telemetry or Telemetry()
        self.points = points or CommitPoints()
        self.replica = Replica(
            database,
            self.definitions,
            lease_seconds=lease_seconds,
            release=release,
            revision=revision,
            points=self.points,
        )
        executor = Executor(database, self.definitions, self.replica.id, self.points)
        self.runner = Runner(
            database,
            executor,
            self.replica,
            self.feed,
            notifier=self.notifier,
            telemetry=self.telemetry,
            points=self.points,
            poll_seconds=poll_seconds,
            # SQLite has one writer.
            turns_max=1 if database.dialect == "sqlite" else TURNS_MAX,
        )
        for gate in {id(gate): gate for each in self.definitions.values() for gate in each.gates}.values():
            gate.attach(partial(self.runner.give_place, gate))
        self._starter = Starter(
            database,
            self.replica.id,
            executor,
            active=lambda: self.runner.active,
            active_sagas_max=active_sagas_max,
            retry_after_seconds=self.runner.throughput.retry_after_seconds,
            started=self._on_started,
            doubted=self.runner.doubt,
            telemetry=self.telemetry,
            points=self.points,
        )
        self._sagas = SharedRead(database, reader.by_correlation_ids)
        self._unknown_saga_wait_seconds = unknown_saga_wait_seconds
        #: One event for each caller that waits for the end of a saga.
        self._waiting: set[asyncio.Event] = set()
        self.telemetry.attach(self._note_begun)
        self._is_leaving = False
        self._awaited: dict[str, set[asyncio.Event]] = {}

    async def open(self, *, alone: bool = False) -> None:
        """Begin the lease and the turns. `alone`: no other process can be alive on this database.

        Raises DefinitionError if unfinished sagas began with other steps than these definitions have.
        """
        await require_unchanged(self.database, self.definitions)
        await self.runner.start(alone=alone)
        if self.notifier is not None:
            await self.notifier.start()

    async def close(self) -> None:
        """Refuse new starts, let calls that are out settle, stop."""
        await self._starter.close()
        await self.runner.stop()
        if self.notifier is not None:
            await self.notifier.stop()
        await self.feed.close()

    # ------------------------------------------------------------------ start

    async def find(
        self, correlation_id: str, subject: str | None, fingerprint: str
    ) -> Started | CorrelationIdReused | None:
        """The saga that this same request started before. Look it up before any check that depends on state or load.

        `subject` None finds it for any subject: only for an operator, who may see all.
        """
        found = await self.database.read(lambda connection: starter.known_starts(connection, [correlation_id]))
        known = found.get(correlation_id)
        return None if known is None else known.recognise(subject, fingerprint)

    async def start(self, request: StartRequest) -> StartAnswer:
        """Start a saga, durably and at most once under its correlation ID.

        Raises DefinitionError if this engine was not made with its definition.
        """
        definition = request.definition
        if self.definitions.get((definition.name, definition.version)) is not definition:
            raise DefinitionError(
                f"Saga definition {definition.name} version {definition.version} is not one of this engine's;"
                " pass it to the engine when you create it."
            )
        return await self._starter.start(request)

    def _on_started(self, result: TurnResult) -> None:
        self.runner.started(result)
        for event in result.events:
            for bell in self._awaited.get(event.correlation_id, ()):
                bell.set()

    def _note_begun(self, signal: object) -> None:
        if isinstance(signal, StartsCommitted):
            self.feed.begun({saga.correlation_id: saga.subject for saga in signal.sagas})

    # ------------------------------------------------------------------ signals

    async def cancel(self, correlation_id: str, asked: Asked | None = None) -> CancelAnswer:
        """Ask the saga to stop and undo its steps. The saga must exist. `asked`: the actor to record, if any."""
        answer = await self._signal(
            lambda connection, at: signals.request_cancel(connection, correlation_id, at, asked)
        )
        self.tell([answer])
        return answer

    async def retry(self, correlation_id: str, asked: Asked | None = None) -> RetryAnswer:
        """Try now the operation that the saga waits to try again. The saga must exist."""
        answer = await self._signal(
            lambda connection, at: signals.request_retry(
                connection, correlation_id, at, asked, replica_id=self.replica.id, known=self.definitions
            )
        )
        self.tell([answer])
        return answer

    async def skip(self, correlation_id: str, step: str, reason: str, asked: Asked | None = None) -> SkipAnswer:
        """Give up the operation that the saga is stuck at; it will end ABANDONED. The saga must exist."""
        answer = await self._signal(
            lambda connection, at: signals.request_skip(connection, correlation_id, step, reason, at, asked)
        )
        self.tell([answer])
        return answer

    async def settle(self, correlation_id: str, how: str, asked: Asked) -> SettleAnswer:
        """Record how something that an ABANDONED saga left behind was settled. The saga must exist."""
        return await self._signal(lambda connection, at: signals.settle(connection, correlation_id, how, at, asked))

    def tell(self, answers: Iterable[CancelAnswer | RetryAnswer | SkipAnswer]) -> None:
        """Let the owners look at the sagas that these signals have changed; after the commit of the signals."""
        for answer in answers:
            match answer:
                case CancelRequested(saga_id, told):
                    self.runner.publish(list(told))
                    self._wake(saga_id, told[0].correlation_id)
                case RetryRequested(saga_id, correlation_id, taken_up):
                    if taken_up:
                        self.runner.take_up(saga_id)
                    self._wake(saga_id, correlation_id)
                case SkipRequested(saga_id, correlation_id):
                    self._wake(saga_id, correlation_id)

    async def say(
        self,
        correlation_id: str,
        wants: str,
        word: str | bytes | None = None,
        *,
        actor: Actor | None = None,
        entry: Entry | None = None,
    ) -> WordAnswer:
        """End the saga's wait for `wants` with `word`, JSON text of at most 4,096 characters. The saga must exist.

        None: let its step look now whether the wait is over. Guarantee: the word is judged under the saga's lock, by
        a clock read after it. An accepted word counts once, also if the saga's owner dies; the same word said again
        changes nothing. `actor`: the actor to record in the event. `entry`: what to put on the record of operator
        actions, if the word or the look is accepted.
        """
        said = word.decode() if isinstance(word, bytes) else word
        clock = self.database.clock
        answer = await self._signal(
            lambda connection, _: signals.say(connection, clock, correlation_id, wants, said, actor, entry)
        )
        if isinstance(answer, WordSaid):
            self.runner.publish(list(answer.events))
            self._wake(answer.saga_id, correlation_id)
        self.telemetry.emit(WordJudged(wants, said is None, answer))
        return answer

    def _wake(self, saga_id: str, correlation_id: str) -> None:
        """Let the replica that runs the saga look at it soon."""
        self.runner.wake(saga_id)
        if self.notifier is not None:
            self.notifier.say(Hint(saga_id, correlation_id))

    def _hear(self, hints: Sequence[Hint] | None) -> None:
        """Another replica has changed these sagas; None: any saga may have changed."""
        self.feed.hear(hints)
        if hints is None:
            bells = [bell for waiting in self._awaited.values() for bell in waiting]
        else:
            self.runner.nudge(hints)
            bells = [bell for hint in hints for bell in self._awaited.get(hint.correlation_id, ())]
        for bell in bells:
            bell.set()
        self.telemetry.emit(HintsHeard(None if hints is None else len(hints)))

    async def _signal(self, write: Callable[[AsyncConnection, int], Awaitable[T]]) -> T:
        async def work(connection: AsyncConnection) -> T:
            answer = await write(connection, await self.database.clock.now(connection))
            self.points.reach(CommitPoint.SIGNAL_BEFORE_COMMIT)
            return answer

        answer = await self.database.write(work)
        self.points.reach(CommitPoint.SIGNAL_AFTER_COMMIT)
        return answer

    # ------------------------------------------------------------------ follow and read

    async def saga(self, correlation_id: str, *, subject: str | None = None) -> SagaView | None:
        """The saga with its steps, or None. `subject`: only a saga of this subject; None: of any."""
        return await self._sagas((correlation_id, subject))

    async def watched(self, correlation_id: str, *, subject: str | None = None) -> SagaView | None:
        """Like `saga`, for a live view: a short outage of the database does not end the view."""
        return await patiently(lambda: self.saga(correlation_id, subject=subject))

    async def awaited(self, correlation_id: str, *, subject: str | None = None) -> SagaView:
        """The saga; wait for it if it does not exist yet. A saga of another subject counts as not existing.

        Raises UnknownSagaError after the wait.
        """
        deadline = time.monotonic() + self._unknown_saga_wait_seconds
        bell = asyncio.Event()
        waiting = self._awaited.setdefault(correlation_id, set())
        waiting.add(bell)
        try:
            while True:
                bell.clear()
                saga = await self.watched(correlation_id, subject=subject)
                if saga is not None:
                    return saga
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise UnknownSagaError(correlation_id)
                await rings(bell, min(_LOOKUP_SECONDS, remaining))
        finally:
            waiting.discard(bell)
            if not waiting:
                self._awaited.pop(correlation_id, None)

    async def ended(self, correlation_id: str, *, seconds: float, subject: str | None = None) -> SagaView | None:
        """The saga once it is over or waits for its customer, or as it stands after `seconds`.

        If the saga does not exist or is not of `subject`, the answer is None, at once. `let_go` makes
        all waiting calls return the saga as it stands.
        """
        deadline = time.monotonic() + seconds
        with self.feed.end_of(correlation_id) as bell:
            self._waiting.add(bell)
            try:
                if seconds > 0 and not self._is_leaving and self.feed.goes_on(correlation_id, subject):
                    # A look now would find only that it goes on.
                    await rings(bell, min(_LOOKUP_SECONDS, seconds))
                while True:
                    bell.clear()
                    found = await self.saga(correlation_id, subject=subject)
                    if found is None:
                        return None
                    remaining = deadline - time.monotonic()
                    rests = found.status.is_terminal or found.awaiting is not None
                    # `let_go` has removed this bell from those that wait.
                    if rests or remaining <= 0 or bell not in self._waiting or self._is_leaving:
                        return found
                    await rings(bell, min(_LOOKUP_SECONDS, remaining))
            finally:
                self._waiting.discard(bell)

    def let_go(self, *, for_good: bool = False) -> None:
        """Make all calls that wait for a saga's end return it as it stands. `for_good`: later calls do not wait."""
        self._is_leaving = self._is_leaving or for_good
        waiting, self._waiting = self._waiting, set()
        for bell in waiting:
            bell.set()

    def follow(self, saga_id: str, *, after: int = 0) -> AsyncGenerator[SagaEvent, None]:
        """Every event of the saga after `after`, then live, to the terminal one."""
        return self.feed.follow(saga_id, after=after)
