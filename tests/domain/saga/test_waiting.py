"""A saga that waits: it costs its rows alone, and a word, its deadline, a cancel or its own look ends the wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.actors import Actor, ActorRole
from domain.audit.saga import check_sagas
from domain.clock import SECOND, ManualClock
from domain.errors import DefinitionError
from domain.events import EventType
from domain.outcome import Busy, Refused, Succeeded, Unknown
from domain.saga import (
    WORD_CHARACTERS_MAX,
    Batch,
    Compensation,
    Local,
    NotAwaited,
    NotWaiting,
    Remote,
    RetryPolicy,
    SagaDefinition,
    SagaEngine,
    SagaQuery,
    SagaStatus,
    SettleVerdict,
    Simulation,
    Started,
    Step,
    StepStatus,
    TurnCommitted,
    WaitEnd,
    Waiting,
    WaitIsOver,
    WordJudged,
    WordSaid,
    WordStands,
    count,
    expire,
    in_flight_of,
    live,
    lock_unpinned,
    statistics,
)
from domain.saga.runner import BEHIND_SECONDS
from domain.saga.states import Phase
from domain.saga.tables import sagas
from domain.saga.work import Work
from domain.storage import Database
from domain.telemetry import Telemetry
from tests.domain.saga.till import ASKS, CARD, HOLDER, WAIT_SECONDS, Basket, Till, begin, till_engine, waits
from tests.domain.saga.toy import FAST, FAST_UNDO, Provider, ended, history, pause, reached, view
from tests.support.turning import turned
from tests.support.waiting import Gate, eventually

DECLINED = Refused("DECLINED", "The card was declined.", key_spent=True)
LOST = Unknown("TIMEOUT", "Nothing was heard.")
SOMEONE = Actor(ActorRole.CUSTOMER, "someone")
VISA, AMEX = '"visa"', '"amex"'


@pytest.fixture
def till(provider: Provider) -> Till:
    return Till(provider)


async def of_pay(engine: SagaEngine, started: Started) -> list[tuple[str, int | None]]:
    """What happened at PAY, and the attempts."""
    return [(event.type.value, event.attempt) for event in await history(engine, started) if event.step == "PAY"]


async def row_of(database: Database, started: Started) -> dict[str, Any]:
    async with database.reading() as connection:
        row = (await connection.execute(select(sagas).where(sagas.c.id == started.saga_id))).mappings().one()
    return dict(row)


async def is_sound(database: Database) -> None:
    """No check of the sagas' rows finds anything."""
    async with database.reading() as connection:
        assert [found.violations for found in await check_sagas(connection) if found.violations] == []


async def stand_still(engine: SagaEngine) -> None:
    """It turns no more, and no turn of it is under way."""
    pause(engine)
    await asyncio.gather(*(loop.stop() for loop in engine.runner._loops.values()))


@asynccontextmanager
async def another(database: Database, till: Till, **options: Any) -> AsyncIterator[SagaEngine]:
    """Another replica of the same database."""
    beside = Database(database.url, clock=database.clock)
    try:
        async with till_engine(beside, till, **options) as engine:
            yield engine
    finally:
        await beside.close()


@asynccontextmanager
async def a_wait(database: Database, till: Till, **options: Any) -> AsyncIterator[tuple[SagaEngine, Started]]:
    """A replica, and a saga of it that waits for a card."""
    async with till_engine(database, till, **options) as engine:
        started = await begin(engine, till)
        await waits(engine, started)
        yield engine, started


# ---------------------------------------------------------------------- a word


async def test_a_saga_waits_and_a_word_lets_it_go_on(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        found = await waits(engine, started)
        assert (found.steps[1].status, found.steps[1].attempt) == (StepStatus.WAITING, 0)
        assert (found.queue.executing, found.queue.compensations) == ("PAY", ("RELEASE",))
        assert found.awaiting is not None
        assert (found.awaiting.step, found.awaiting.failure) == ("PAY", None)
        assert found.awaiting.until - found.awaiting.since == WAIT_SECONDS * SECOND
        assert (found.queue.executing, found.queue.pending) == ("PAY", ("SHIP",))
        await is_sound(database)
        said = await engine.say(started.correlation_id, CARD, VISA.encode(), actor=SOMEONE)
        assert isinstance(said, WordSaid)
        assert [(event.type, event.actor) for event in said.events] == [(EventType.STEP_RESUMED, SOMEONE)]
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert till.words == [VISA]
        assert await of_pay(engine, started) == [
            ("STEP_WAITING", None),
            ("STEP_RESUMED", None),
            ("STEP_STARTED", 1),
            ("STEP_COMPLETED", 1),
        ]
        assert VISA not in str([event.message for event in await history(engine, started)])
        row = await row_of(database, started)
        assert (row["awaits"], row["word"], row["word_at"], row["awaited_until"]) == (None, None, None, None)
        await is_sound(database)


async def test_after_a_decline_another_card_is_tried_under_a_new_round(database: Database, till: Till) -> None:
    till.provider.script("PAY", DECLINED)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, card="empty")
        found = await waits(engine, started)
        assert found.awaiting is not None
        assert found.awaiting.failure is not None
        assert (found.awaiting.failure.code, found.awaiting.failure.step) == ("DECLINED", "PAY")
        assert found.failure is None
        row = await row_of(database, started)
        assert (row["round"], row["uncertain"], row["effects"]) == (2, 0, 0b001)
        await engine.say(started.correlation_id, CARD, VISA)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert till.rounds == [1, 2]
        assert await of_pay(engine, started) == [
            ("STEP_STARTED", 1),
            ("STEP_WAITING", 1),
            ("STEP_RESUMED", None),
            ("STEP_STARTED", 1),
            ("STEP_COMPLETED", 1),
        ]


@pytest.mark.parametrize("keeps_effect", [False, True])
async def test_a_spent_round_is_undone_only_where_others_can_still_make_it_take_effect(
    database: Database, provider: Provider, keeps_effect: bool
) -> None:
    till = Till(provider, keeps_effect=keeps_effect)
    provider.script("PAY", DECLINED)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, card="empty")
        await waits(engine, started)
        await engine.cancel(started.correlation_id)
        found = await ended(engine, started)
        assert found.status is SagaStatus.COMPENSATED
        assert found.queue.compensated == (("UNPAY", "RELEASE") if keeps_effect else ("RELEASE",))


async def test_attempts_and_their_budget_are_counted_anew_after_a_wait(database: Database, till: Till) -> None:
    """With three attempts at most, a card whose third attempt is declined leaves three for the next card."""
    till.provider.script("PAY", LOST, LOST, DECLINED, LOST, LOST)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, card="empty")
        await waits(engine, started)
        await engine.say(started.correlation_id, CARD, VISA)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert till.rounds == [1, 1, 1, 2, 2, 2]
        attempts = [attempt for kind, attempt in await of_pay(engine, started) if kind == "STEP_STARTED"]
        assert attempts == [1, 2, 3, 1, 2, 3]
        assert till.words == [VISA], "a retry has no word"


async def test_a_word_is_judged_by_what_stands_on_the_row(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        at = started.correlation_id
        await waits(engine, started)
        await stand_still(engine)
        assert isinstance(await engine.say(at, HOLDER, VISA), NotAwaited)
        assert isinstance(await engine.say(at, CARD, VISA), WordSaid)
        before = await row_of(database, started)
        assert isinstance(await engine.say(at, CARD, VISA), WordStands)
        assert isinstance(await engine.say(at, CARD, AMEX), NotAwaited)
        assert isinstance(await engine.say(at, CARD), NotAwaited)
        assert await row_of(database, started) == before
        shown = await view(engine, started)
        assert (shown.status, shown.awaiting) == (SagaStatus.RUNNING, None)
        assert shown.steps[1].status is StepStatus.EXECUTING
        async with database.reading() as connection:
            assert await count(connection, SagaQuery(statuses=[SagaStatus.RUNNING])) == 1
            assert await count(connection, SagaQuery(statuses=[SagaStatus.WAITING])) == 0
        await turned(engine.runner._executor, [Work(started.saga_id)])
        assert isinstance(await engine.say(at, CARD, VISA), WordStands)
        assert isinstance(await engine.say(at, CARD, AMEX), NotAwaited)
        assert VISA not in str(await row_of(database, started)).replace('{"card":"visa"}', "")


async def test_the_same_card_may_be_tried_again_once_it_was_declined(database: Database, till: Till) -> None:
    till.provider.script("PAY", DECLINED, DECLINED)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        for tried in range(1, 4):
            await waits(engine, started)
            assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordSaid)
            await eventually(lambda: len(till.rounds) == tried)  # noqa: B023
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert till.rounds == [1, 2, 3]
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordStands)


async def test_of_two_cards_said_at_once_one_is_tried(database: Database, till: Till) -> None:
    gate = till.provider.hold("PAY")
    async with till_engine(database, till) as engine, another(database, till) as other:
        started = await begin(engine, till)
        await waits(engine, started)
        answers = await asyncio.gather(
            *(
                replica.say(started.correlation_id, CARD, word)
                for replica in (engine, other)
                for word in (VISA, AMEX, VISA)
            )
        )
        assert sum(isinstance(answer, WordSaid) for answer in answers) == 1
        assert sum(isinstance(answer, NotAwaited) for answer in answers) in (2, 4)
        gate.set()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert len(set(till.provider.keys("PAY"))) == len(set(till.words)) == 1


async def test_a_word_said_to_another_replica_is_obeyed_by_the_owner(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine, another(database, till) as other:
        started = await begin(engine, till)
        await waits(other, started)
        assert isinstance(await other.say(started.correlation_id, CARD, VISA), WordSaid)
        assert (await ended(other, started)).status is SagaStatus.COMPLETED
        assert (await row_of(database, started))["replica"] == engine.replica.id


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_the_owner_hears_of_a_word_at_another_replica_by_a_hint_alone(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine, another(database, till) as other:
        for replica in (engine, other):
            assert replica.notifier is not None
            await replica.notifier.listening()
        started = await begin(engine, till)
        await waits(other, started)
        await engine.runner._loops["poll"].stop()
        await other.say(started.correlation_id, CARD, VISA)
        assert (await ended(other, started)).status is SagaStatus.COMPLETED


async def test_a_word_outlives_the_owner_that_was_to_obey_it(
    database: Database, till: Till, clock: ManualClock
) -> None:
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordSaid)
        async with another(database, till) as other:
            clock.advance(4)
            assert (await ended(other, started)).status is SagaStatus.COMPLETED
            # The paused owner wakes: it finds that the saga is not its own, and the word is not obeyed again.
            result = await turned(engine.runner._executor, [Work(started.saga_id)])
            assert (result.calls, result.events) == ([], [])
        assert (till.words, len(till.provider.calls)) == ([VISA], 1)


async def test_a_turn_that_fails_or_must_come_back_keeps_the_word(
    database: Database, till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    till.troubles = [Busy(), RuntimeError("a fault"), Busy()]
    async with a_wait(database, till) as (engine, started):
        await engine.say(started.correlation_id, CARD, VISA)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        # One that fails is tried once more to see whose fault it is.
        assert len(till.words) >= 4
        assert len(till.provider.calls) == 1
        assert [kind for kind, _ in await of_pay(engine, started)].count("STEP_STARTED") == 1
        assert "fault" in caplog.text


async def test_a_word_that_is_too_long_is_refused(database: Database, till: Till) -> None:
    async with a_wait(database, till) as (engine, started):
        with pytest.raises(ValueError, match="4096 characters"):
            await engine.say(started.correlation_id, CARD, "x" * (WORD_CHARACTERS_MAX + 1))


# ---------------------------------------------------------------------- the deadline, and a cancel


async def test_a_cancel_turns_a_waiting_saga_round_at_once(database: Database, till: Till) -> None:
    async with a_wait(database, till) as (engine, started):
        await engine.cancel(started.correlation_id)
        found = await ended(engine, started)
        assert found.failure is not None
        assert (found.status, found.failure.code) == (SagaStatus.COMPENSATED, "CANCELLED")
        assert found.steps[1].status is StepStatus.FAILED
        assert await of_pay(engine, started) == [("STEP_WAITING", None), ("STEP_FAILED", None)]
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), NotAwaited)
        await is_sound(database)


@pytest.mark.parametrize("signal", ["cancel", "expire"])
async def test_a_waiting_saga_that_is_to_turn_round_asks_for_nothing_more(
    database: Database, till: Till, signal: str
) -> None:
    """So a client that waits for the end of a saga that it has cancelled is not told that the saga waits."""
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)

        async def lapses(connection: AsyncConnection) -> None:
            rows = await lock_unpinned(connection, [started.saga_id])
            await expire(connection, rows, await database.clock.now(connection), DECLINED)

        if signal == "cancel":
            await engine.cancel(started.correlation_id)
        else:
            await database.write(lapses)
        shown = await view(engine, started)
        assert (shown.status, shown.awaiting) == (SagaStatus.RUNNING, None)
        async with database.reading() as connection:
            assert await count(connection, SagaQuery(statuses=[SagaStatus.RUNNING])) == 1
            assert await count(connection, SagaQuery(statuses=[SagaStatus.WAITING])) == 0


async def test_a_cancel_comes_before_a_word_that_is_not_obeyed_yet(database: Database, till: Till) -> None:
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        await engine.say(started.correlation_id, CARD, VISA)
        await engine.cancel(started.correlation_id)
        await turned(engine.runner._executor, [Work(started.saga_id)])
        assert (await view(engine, started)).status is SagaStatus.COMPENSATED
        assert (await row_of(database, started))["word"] is None
        assert (till.words, till.provider.calls) == ([], [])


async def test_at_the_deadline_a_waiting_saga_turns_round_by_itself(database: Database, provider: Provider) -> None:
    till = Till(provider, wait_seconds=0.2)
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        found = await ended(engine, started)
        assert found.failure is not None
        assert (found.status, found.failure.code) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
        assert await of_pay(engine, started) == [
            ("STEP_WAITING", None),
            ("HOLD_EXPIRED", None),
            ("STEP_FAILED", None),
        ]
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WaitIsOver)


async def test_after_the_deadline_no_word_is_accepted_though_nobody_has_turned_round_yet(
    database: Database, till: Till, clock: ManualClock
) -> None:
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        clock.advance(WAIT_SECONDS)
        before = await row_of(database, started)
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WaitIsOver)
        assert await row_of(database, started) == before


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
async def test_a_word_that_waited_for_the_row_is_judged_by_the_time_after_that(
    database: Database, till: Till, clock: ManualClock
) -> None:
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        locked, gate = Gate(), Gate()

        async def hold(connection: Any) -> None:
            await connection.execute(select(sagas.c.id).where(sagas.c.id == started.saga_id).with_for_update())
            locked.open()
            await gate.passed()

        holding = asyncio.create_task(database.write(hold))
        await locked.passed()
        saying = asyncio.create_task(engine.say(started.correlation_id, CARD, VISA))
        await eventually(lambda: locks_waited_for(database))
        clock.advance(WAIT_SECONDS)
        gate.open()
        await holding
        assert isinstance(await saying, WaitIsOver)


async def locks_waited_for(database: Database) -> bool:
    """Whether a session waits for a lock."""
    async with database.reading() as connection:
        found = await connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(found.scalar_one())


async def test_a_word_in_time_that_leaves_too_little_of_the_deadline_undoes_the_saga(
    database: Database, provider: Provider, clock: ManualClock
) -> None:
    till = Till(provider, wait_seconds=100)
    till.deadline_seconds = 125
    async with a_wait(database, till, lease_seconds=300.0) as (engine, started):
        await stand_still(engine)
        # The step's budget is 30 s.
        clock.advance(97)
        await engine.say(started.correlation_id, CARD)
        await turned(engine.runner._executor, [Work(started.saga_id)])
        assert (await view(engine, started)).status is SagaStatus.WAITING, "a look needs no budget"
        clock.advance(1)
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordSaid)
        await turned(engine.runner._executor, [Work(started.saga_id)])
        found = await view(engine, started)
        assert found.failure is not None
        assert (found.status, found.failure.code) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
        assert (till.words, provider.calls) == ([], [])


async def test_the_poll_does_not_pause_while_more_are_due_than_it_takes_up(database: Database, till: Till) -> None:
    """With its own pause between them, 600 holds that lapse at once would take three seconds, and 10,000 a minute."""
    number = 600
    async with till_engine(database, till, poll_seconds=1.0) as engine:
        await asyncio.gather(*(begin(engine, till) for _ in range(number)))
        await eventually(lambda: waiting_of(database, number), 60)
        await engine.runner._loops["poll"].stop()
        assert engine.runner.active == 0
        now = await at_of(database)

        async def come_due(connection: Any) -> None:
            await connection.execute(update(sagas).values(awaited_until=now, due_at=now))

        await database.write(come_due)
        pauses: list[float] = []
        while not pauses or pauses[-1] < 1:
            await engine.runner._poll()
            pauses.append(engine.runner._poll_pause())
        assert pauses[:2] == [BEHIND_SECONDS] * 2
        await eventually(lambda: over_of(database, number), 60)


async def at_of(database: Database) -> int:
    async with database.reading() as connection:
        return await database.clock.now(connection)


async def waiting_of(database: Database, number: int) -> bool:
    async with database.reading() as connection:
        return await count(connection, SagaQuery(statuses=[SagaStatus.WAITING])) == number


async def over_of(database: Database, number: int) -> bool:
    async with database.reading() as connection:
        return await count(connection, SagaQuery(statuses=[SagaStatus.COMPENSATED])) == number


# ---------------------------------------------------------------------- looks


@pytest.fixture
def looking(provider: Provider) -> Till:
    """Its first answer asks for the holder, and it looks twenty times a second."""
    provider.script("PAY", ASKS)
    return Till(provider, look_seconds=0.05)


async def test_looks_are_quiet_until_one_finds_what_was_waited_for(database: Database, looking: Till) -> None:
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        await waits(engine, started, HOLDER)
        await eventually(lambda: looking.looks >= 3)
        found = await view(engine, started)
        assert (found.status, found.steps[1].attempt) == (SagaStatus.WAITING, 1)
        looking.provider.script("LOOK", Succeeded("paid"))
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert await of_pay(engine, started) == [
            ("STEP_STARTED", 1),
            ("STEP_WAITING", 1),
            ("STEP_RESUMED", None),
            ("STEP_COMPLETED", 1),
        ]
        await is_sound(database)


async def test_no_lost_or_passing_answer_of_a_look_ends_a_wait(database: Database, looking: Till) -> None:
    trouble = Refused("BUSY", "Come back later.", passing=True)
    for _ in range(5):
        looking.provider.script("LOOK", LOST, trouble)
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        before = await waits(engine, started, HOLDER)
        await eventually(lambda: looking.looks >= 4, 20)
        assert (await view(engine, started)).awaiting == before.awaiting
        looking.provider.answers["LOOK"].clear()
        looking.provider.script("LOOK", Succeeded())
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_a_look_that_is_refused_for_good_fails_the_step_and_undoes_it(database: Database, looking: Till) -> None:
    looking.provider.script("LOOK", Refused("REFUSED", "The holder said no."))
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        found = await ended(engine, started)
        assert found.failure is not None
        assert (found.status, found.failure.code) == (SagaStatus.COMPENSATED, "REFUSED")
        # What the attempt before the wait has opened at the provider is undone.
        assert [operation for operation, _ in looking.provider.calls] == ["PAY", "UNPAY"]


async def test_a_look_may_find_that_something_else_is_wanted(database: Database, looking: Till) -> None:
    looking.provider.script("LOOK", DECLINED)
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        found = await eventually(lambda: waits(engine, started, CARD))
        assert found.awaiting is not None
        assert found.awaiting.failure is not None
        await engine.say(started.correlation_id, CARD, VISA)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert looking.rounds == [1, 2]


async def test_a_look_may_let_an_attempt_begin(database: Database, looking: Till) -> None:
    looking.provider.script("LOOK", Succeeded("again"))
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert await of_pay(engine, started) == [
            ("STEP_STARTED", 1),
            ("STEP_WAITING", 1),
            ("STEP_RESUMED", None),
            ("STEP_STARTED", 1),
            ("STEP_COMPLETED", 1),
        ]


async def test_a_look_can_be_asked_for_and_is_not_lost_while_another_is_out(database: Database, looking: Till) -> None:
    looking.look_seconds = WAIT_SECONDS
    gate = looking.provider.hold("LOOK")
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        await waits(engine, started, HOLDER)
        known = (await view(engine, started)).sequence
        assert isinstance(await engine.say(started.correlation_id, HOLDER), WordSaid)
        await eventually(lambda: looking.looks == 1)
        for _ in range(3):
            assert isinstance(await engine.say(started.correlation_id, HOLDER), WordSaid)
        gate.set()
        await eventually(lambda: looking.looks == 2)

        async def waits_on() -> bool:
            row = await row_of(database, started)
            return (row["phase"], row["due_at"], row["word_at"]) == ("READY", row["awaited_until"], None)

        await eventually(waits_on)
        assert (looking.looks, (await view(engine, started)).sequence) == (2, known)


@pytest.mark.parametrize("how", ["cancel", "deadline", "word"])
async def test_what_comes_while_a_look_is_out_is_obeyed_after_its_answer(
    database: Database, looking: Till, clock: ManualClock, how: str
) -> None:
    gate = looking.provider.hold("LOOK")
    async with till_engine(database, looking, lease_seconds=300.0) as engine:
        started = await begin(engine, looking, card="asks")
        await eventually(lambda: looking.looks == 1)
        match how:
            case "cancel":
                await engine.cancel(started.correlation_id)
            case "deadline":
                clock.advance(WAIT_SECONDS)
            case _:
                assert isinstance(await engine.say(started.correlation_id, HOLDER, VISA), WordSaid)
        assert (await row_of(database, started))["phase"] == Phase.CALLING.value
        gate.set()
        found = await ended(engine, started)
        expected = SagaStatus.COMPLETED if how == "word" else SagaStatus.COMPENSATED
        assert (found.status, looking.words) == (expected, [VISA] if how == "word" else [])


async def test_a_look_whose_process_died_is_made_again_by_the_next_owner(
    database: Database, looking: Till, clock: ManualClock
) -> None:
    gate = looking.provider.hold("LOOK")
    async with till_engine(database, looking) as engine:
        started = await begin(engine, looking, card="asks")
        await eventually(lambda: looking.looks == 1)
        await stand_still(engine)
        async with another(database, looking) as other:
            clock.advance(4)
            await eventually(lambda: looking.looks >= 2, 20)
            gate.set()
            looking.provider.script("LOOK", *[Succeeded("paid")] * 3)
            assert (await ended(other, started)).status is SagaStatus.COMPLETED
            kinds = [kind for kind, _ in await of_pay(other, started)]
            assert kinds == ["STEP_STARTED", "STEP_WAITING", "STEP_RESUMED", "STEP_COMPLETED"]


# ---------------------------------------------------------------------- what a wait costs


async def test_waiting_sagas_are_not_in_flight(database: Database, till: Till) -> None:
    async with till_engine(database, till, active_sagas_max=2) as engine:
        begun = []
        for _ in range(6):
            begun.append(await begin(engine, till))
            await waits(engine, begun[-1])
        await eventually(lambda: engine.runner.active == 0)
        assert (engine.runner._timers, engine.runner._ready, engine.runner._calls) == ([], {}, {})
        async with database.reading() as connection:
            at = await database.clock.now(connection)
            assert len(await in_flight_of(connection, ["someone"], at=at)) == 6
            assert [(item.status, item.sagas) for item in await live(connection)] == [(SagaStatus.WAITING, 6)]
            found = await statistics(connection, since=at - 60 * SECOND, at=at)
        assert (found.by_status[SagaStatus.WAITING], found.queue.executing, found.unfinished) == (6, 6, 6)


async def test_a_takeover_of_waiting_sagas_looks_at_none_but_those_with_a_signal(
    database: Database, till: Till, clock: ManualClock
) -> None:
    number = 300
    turns: list[int] = []
    telemetry = Telemetry()
    telemetry.attach(lambda signal: turns.append(signal.sagas) if isinstance(signal, TurnCommitted) else None)
    async with till_engine(database, till) as engine:
        begun = await asyncio.gather(*(begin(engine, till) for _ in range(number)))
        await eventually(lambda: waiting_of(database, number), 30)
        await stand_still(engine)
        said, cancelled, waiting = begun[:3]
        assert isinstance(await engine.say(said.correlation_id, CARD, VISA), WordSaid)
        await engine.cancel(cancelled.correlation_id)
        async with another(database, till, telemetry=telemetry) as other:
            clock.advance(4)
            assert (await ended(other, said)).status is SagaStatus.COMPLETED
            assert (await ended(other, cancelled)).status is SagaStatus.COMPENSATED

            async def taken() -> bool:
                async with database.reading() as connection:
                    mine = select(sagas.c.id).where(sagas.c.replica == other.replica.id)
                    return len((await connection.execute(mine)).all()) == number

            await eventually(taken)
            assert sum(turns) < 10
            assert other.runner.active == 0
            assert isinstance(await other.say(waiting.correlation_id, CARD, VISA), WordSaid)
            assert (await ended(other, waiting)).status is SagaStatus.COMPLETED


# ---------------------------------------------------------------------- clocks that are set


async def test_a_clock_set_forward_ends_a_wait(database: Database, till: Till, clock: ManualClock) -> None:
    async with a_wait(database, till, lease_seconds=300.0) as (engine, started):
        clock.advance(WAIT_SECONDS + 1)
        found = await ended(engine, started)
        assert found.failure is not None
        assert found.failure.code == "HOLD_EXPIRED"


async def test_a_clock_set_back_makes_no_wait_longer_than_it_was_set_to(
    database: Database, till: Till, clock: ManualClock
) -> None:
    clock.advance(7_200)
    async with a_wait(database, till) as (engine, started):
        await eventually(lambda: engine.runner._lead is not None)
        clock.advance(-3_600)

        async def brought_back() -> bool:
            found, now = await view(engine, started), await at_of(database)
            return found.awaiting is not None and found.awaiting.since <= now

        await eventually(brought_back)
        found = await view(engine, started)
        assert found.awaiting is not None
        assert found.awaiting.until - found.awaiting.since == WAIT_SECONDS * SECOND
        assert (await row_of(database, started))["due_at"] == found.awaiting.until
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordSaid)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_a_look_by_the_new_time_is_not_brought_back_once_more(
    database: Database, till: Till, clock: ManualClock
) -> None:
    """The clock was set back, and a turn looks before the poll brings the wait back."""
    clock.advance(7_200)
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        clock.advance(-3_600)
        looked_at = await at_of(database)
        next_look = looked_at + (WAIT_SECONDS + 1) * SECOND
        await database.write(lambda connection: connection.execute(update(sagas).values(due_at=next_look)))

        await engine.runner._bring_back()

        row = await row_of(database, started)
        assert row["due_at"] == row["awaited_until"] >= looked_at + WAIT_SECONDS * SECOND


async def test_a_takeover_brings_waits_back_that_begin_ahead_of_the_clock(
    database: Database, till: Till, clock: ManualClock
) -> None:
    clock.advance(7_200)
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        async with another(database, till) as other:
            await eventually(lambda: other.runner._lead is not None)
            before = other.runner._lead
            assert before is not None
            clock.advance(-3_600)
            # It has noticed, and has no waits yet.
            await eventually(lambda: (other.runner._lead or before) < before - 3_000 * SECOND)
            # The first one's lease ends ahead of the clock: it is paused, and ends its lease by the new time.
            await engine.replica.resign()

            async def brought_back() -> bool:
                row, now = await row_of(database, started), await at_of(database)
                return bool(row["replica"] == other.replica.id and row["awaited_since"] <= now)

            await eventually(brought_back)


async def test_a_takeover_obeys_a_word_that_was_said_ahead_of_the_clock(
    database: Database, till: Till, clock: ManualClock
) -> None:
    async with a_wait(database, till) as (engine, started):
        await stand_still(engine)
        clock.advance(WAIT_SECONDS - 100)
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), WordSaid)
        clock.advance(-WAIT_SECONDS)
        await engine.replica.resign()
        async with another(database, till) as other:
            assert (await ended(other, started)).status is SagaStatus.COMPLETED


# ---------------------------------------------------------------------- readers, operators and the rest


async def test_whoever_waits_for_a_sagas_end_is_answered_once_it_waits(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine, another(database, till) as other:
        gate = till.provider.hold("PAY")
        till.provider.script("PAY", DECLINED)
        started = await begin(engine, till, card="empty")
        waiting = [asyncio.create_task(each.ended(started.correlation_id, seconds=300)) for each in (engine, other)]
        await eventually(lambda: till.provider.calls)
        gate.set()
        async with asyncio.timeout(30):
            for found in await asyncio.gather(*waiting):
                assert found is not None
                assert found.status is SagaStatus.WAITING
        await engine.say(started.correlation_id, CARD, VISA)
        found = await other.ended(started.correlation_id, seconds=30)
        assert found is not None
        assert found.status is SagaStatus.COMPLETED


async def test_an_operator_cannot_retry_what_waits_for_its_customer(database: Database, till: Till) -> None:
    async with a_wait(database, till) as (engine, started):
        answer = await engine.retry(started.correlation_id)
        assert isinstance(answer, NotWaiting)
        assert answer.reason == "The saga waits for CARD, not for another attempt."


async def test_a_saga_parked_while_it_waits_waits_on_once_it_is_looked_at_again(
    database: Database, till: Till, caplog: pytest.LogCaptureFixture
) -> None:
    async with till_engine(database, till) as engine:
        started = await begin(engine, till)
        before = await waits(engine, started)

        async def damage(connection: Any, context: str = "{oops") -> None:
            await connection.execute(update(sagas).values(context=context))

        await database.write(damage)
        await engine.say(started.correlation_id, CARD)
        await reached(engine, started, "PARKED")
        assert isinstance(await engine.say(started.correlation_id, CARD, VISA), NotAwaited)
        await is_sound(database)
        await database.write(lambda connection: damage(connection, "{}"))
        await engine.retry(started.correlation_id)
        found = await waits(engine, started)
        assert found.awaiting == before.awaiting
        await engine.say(started.correlation_id, CARD, VISA)
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_a_step_that_can_wait_and_is_to_fail_fails_when_it_is_reached(database: Database, till: Till) -> None:
    async with till_engine(database, till) as engine:
        started = await begin(engine, till, simulation=Simulation(fail_at=("PAY",)))
        found = await ended(engine, started)
        assert found.failure is not None
        assert found.failure.code == "SIMULATED"
        assert await of_pay(engine, started) == [("STEP_STARTED", 1), ("STEP_FAILED", 1)]


async def test_telemetry_tells_of_words_and_of_what_ended_a_wait(database: Database, till: Till) -> None:
    heard: list[Any] = []
    telemetry = Telemetry()
    telemetry.attach(heard.append)
    async with till_engine(database, till, telemetry=telemetry) as engine:
        said, cancelled, lapsed = [await begin(engine, till) for _ in range(3)]
        for started in (said, cancelled, lapsed):
            await waits(engine, started)
        await engine.say(said.correlation_id, CARD, VISA)
        await engine.cancel(cancelled.correlation_id)
        over = {"awaited_until": sagas.c.awaited_since, "due_at": sagas.c.awaited_since}
        await database.write(
            lambda connection: connection.execute(update(sagas).where(sagas.c.id == lapsed.saga_id).values(over))
        )
        for started in (said, cancelled, lapsed):
            await ended(engine, started)

    def waits_ended() -> list[tuple[str, str, WaitEnd]]:
        turns = [signal for signal in heard if isinstance(signal, TurnCommitted)]
        return [(each.definition, each.wants, each.by) for turn in turns for each in turn.waits]

    await eventually(lambda: len(waits_ended()) == 3)
    ends = {("TILL", CARD, by) for by in (WaitEnd.WORD, WaitEnd.CANCEL, WaitEnd.DEADLINE)}
    assert set(waits_ended()) == ends
    (judged,) = [signal for signal in heard if isinstance(signal, WordJudged)]
    assert (judged.wants, judged.is_look, type(judged.answer)) == (CARD, False, WordSaid)


# ---------------------------------------------------------------------- local steps, and compensations


class Gatehouse:
    """ENTER (local) waits for a password; LEAVE goes on forward, and its provider takes its time."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.answer: SettleVerdict | None = None
        undo = Compensation("BACK", Remote(provider.call, settle=self.settle_slow), FAST_UNDO, can_wait=True)
        self.definition = SagaDefinition(
            "GATE",
            1,
            Basket,
            (
                Step("ENTER", Local(self.enter), undo, FAST, can_wait=True),
                Step("OPEN", Local(self.open), None, FAST),
                Step("LEAVE", Remote(provider.call, settle=self.settle_slow), None, FAST_UNDO, can_wait=True),
            ),
            pivot="OPEN",
        )

    async def enter(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        return [
            Succeeded("let in") if member.word is not None else Waiting(batch.at + 900 * SECOND, "PASSWORD")
            for member in batch.members
        ]

    async def open(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        return [Refused("SHUT", "It is shut.") if m.context.card == "shut" else Succeeded() for m in batch.members]

    async def settle_slow(self, batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        """Pending answers are to be looked at soon."""
        verdicts: list[SettleVerdict] = []
        for member in batch.members:
            assert member.outcome is not None
            is_pending = isinstance(member.outcome, Unknown) and member.outcome.code == "PENDING"
            soon = batch.at + SECOND // 20
            verdicts.append(Waiting(batch.at + 2 * SECOND, "REFUND", soon) if is_pending else member.outcome)
        return verdicts


PENDING = Unknown("PENDING", "It takes days.")


@pytest.fixture
async def gatehouse(database: Database, provider: Provider) -> AsyncIterator[tuple[Gatehouse, SagaEngine]]:
    gatehouse = Gatehouse(provider)
    engine = SagaEngine(database, [gatehouse.definition], poll_seconds=0.05)
    await engine.open()
    yield gatehouse, engine
    await engine.close()


async def test_a_local_step_waits_too(gatehouse: tuple[Gatehouse, SagaEngine]) -> None:
    gate, engine = gatehouse
    started = await begin(engine, gate)
    await waits(engine, started, "PASSWORD")
    await engine.say(started.correlation_id, "PASSWORD", '"friend"')
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_after_the_pivot_a_step_waits_for_its_provider_while_the_saga_runs(
    gatehouse: tuple[Gatehouse, SagaEngine], provider: Provider
) -> None:
    gate, engine = gatehouse
    provider.script("LEAVE", PENDING, PENDING, PENDING)
    started = await begin(engine, gate)
    await waits(engine, started, "PASSWORD")
    await engine.say(started.correlation_id, "PASSWORD", '"friend"')

    async def pending() -> bool:
        found = await view(engine, started)
        return (found.status, found.steps[2].status) == (SagaStatus.RUNNING, StepStatus.WAITING)

    await eventually(pending)
    assert isinstance(await engine.say(started.correlation_id, "REFUND", '"a word"'), NotAwaited)
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert len(set(provider.keys("LEAVE"))) == 1


async def test_a_compensation_without_a_final_answer_is_stuck_at_its_deadline(
    gatehouse: tuple[Gatehouse, SagaEngine], provider: Provider
) -> None:
    gate, engine = gatehouse
    provider.script("BACK", *[PENDING] * 200)
    started = await begin(engine, gate, card="shut")
    await waits(engine, started, "PASSWORD")
    await engine.say(started.correlation_id, "PASSWORD", '"friend"')

    async def pending() -> bool:
        found = (await view(engine, started)).steps[0].undo
        return found is not None and found.status is StepStatus.WAITING

    await eventually(pending)
    assert (await view(engine, started)).status is SagaStatus.COMPENSATING
    assert (await view(engine, started)).queue.compensating == "BACK"
    await is_sound(engine.database)
    found = await reached(engine, started, "STUCK")
    assert found.steps[0].undo is not None
    assert found.steps[0].undo.failure is not None
    assert found.steps[0].undo.failure.code == "NO_FINAL_ANSWER"
    provider.answers["BACK"].clear()
    await engine.retry(started.correlation_id)
    assert (await ended(engine, started)).status is SagaStatus.COMPENSATED
    kinds = {event.type for event in await history(engine, started)}
    assert EventType.COMPENSATION_WAITING in kinds
    assert len(set(provider.keys("BACK"))) == 1


# ---------------------------------------------------------------------- definitions


def test_a_definition_that_begins_to_wait_is_another_one(till: Till) -> None:
    """So it needs a new version, and a release that does not know waits never claims such a saga."""
    assert till.definition.outline == (
        "RESERVE undone by RELEASE, PAY (remote) (waits) undone by UNPAY (remote), SHIP (pivot) undone by UNSHIP"
    )


async def test_a_step_that_may_not_wait_and_does_is_at_fault(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def settle(batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        return [Waiting(batch.at + SECOND, "NOTHING") for _ in batch.members]

    policy = RetryPolicy(budget_seconds=0)
    definition = SagaDefinition("RASH", 1, Basket, (Step("WAIT", Local(settle), None, policy),), pivot="WAIT")
    engine = SagaEngine(database, [definition], poll_seconds=0.05)
    await engine.open()
    try:
        started = await begin(engine, definition)
        found = await ended(engine, started)
        assert found.failure is not None
        assert found.failure.code == "INTERNAL"
        assert "answered a Waiting for a saga" in caplog.text
    finally:
        await engine.close()


def test_a_step_cannot_both_pin_and_wait() -> None:
    async def never(batch: Batch[Basket]) -> Sequence[SettleVerdict]:
        raise AssertionError("no step is run here")

    with pytest.raises(DefinitionError, match="PAY pins and can wait"):
        SagaDefinition("BOTH", 1, Basket, (Step("PAY", Local(never), pins=True, can_wait=True),), pivot="PAY")
