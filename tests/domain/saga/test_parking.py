"""A saga that cannot be read or run is parked alone: every other goes on, in the same turn and on every replica."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text, update

from domain.audit.saga import check_sagas, list_parked
from domain.clock import ManualClock
from domain.errors import DefinitionError
from domain.events import EventType
from domain.saga import (
    CommitPoint,
    Compensation,
    Local,
    NotWaiting,
    Remote,
    RetryRequested,
    SagaDefinition,
    SagaEngine,
    SagaStatus,
    Started,
    Step,
    StepStatus,
)
from domain.saga.tables import sagas
from domain.saga.work import Work
from domain.storage import Database
from tests.domain.saga.toy import (
    FAST,
    FAST_UNDO,
    HASTY,
    Provider,
    ToyContext,
    Toys,
    begun,
    calling,
    ended,
    history,
    opened,
    reached,
    start,
    view,
)
from tests.support.turning import turned
from tests.support.waiting import eventually

LEASE_SECONDS = 3

#: What may be wrong with a row, and what is said of it.
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "context is no JSON": ({"context": "{oops"}, "JSON is malformed"),
    "context is empty": ({"context": ""}, "truncated"),
    "context is of another type": ({"context": '{"refuse": 7}'}, "$.refuse"),
    "position is behind the last step": ({"position": 99}, "step 99 of 4"),
    "position is below the first step": ({"position": -1}, "step -1 of 4"),
    "effects of steps that there are not": ({"effects": 1 << 9}, "effects"),
    "effects below zero": ({"effects": -1}, "effects"),
    "simulation is no JSON": ({"simulation": "{"}, "truncated"),
    "sequence is behind its events": ({"sequence": 0}, "fails to run it"),
    "other steps": ({"definition_fingerprint": "0" * 16}, "other steps"),
}


async def damage(database: Database, started: Started, **values: Any) -> None:
    async def work(connection: Any) -> None:
        await connection.execute(update(sagas).where(sagas.c.id == started.saga_id).values(values))

    await database.write(work)


async def stopped_before_pay(engine: SagaEngine, toys: Toys, number: int) -> list[Started]:
    """Sagas whose next turn is due at once, with an engine that does not turn."""
    await quiet(engine)
    return [await begun(engine, toys.definition) for _ in range(number)]


async def quiet(engine: SagaEngine) -> None:
    """As a process that is paused."""
    for loop in engine.runner._loops.values():
        await loop.stop()


@asynccontextmanager
async def successor(
    engine: SagaEngine, clock: ManualClock, *definitions: SagaDefinition, opened: bool = True
) -> AsyncIterator[SagaEngine]:
    """A replica that takes over what the first one, which has stopped, left behind."""
    clock.advance(LEASE_SECONDS + 1)
    database = Database(engine.database.url, clock=engine.database.clock)
    second = SagaEngine(database, definitions, poll_seconds=0.05, lease_seconds=LEASE_SECONDS)
    try:
        if opened:
            await second.open()
        yield second
    finally:
        await second.close()
        await database.close()


@pytest.mark.parametrize("what", BROKEN)
async def test_a_row_that_cannot_be_read_is_parked_and_stops_no_other(
    engine: SagaEngine, toys: Toys, clock: ManualClock, what: str
) -> None:
    values, said = BROKEN[what]
    started = await stopped_before_pay(engine, toys, 5)
    await damage(engine.database, started[2], **values)
    async with successor(engine, clock, toys.definition, toys.forward, opened=False) as second:
        if "definition_fingerprint" in values:
            with pytest.raises(DefinitionError, match="1 unfinished saga began with"):
                await second.open()
            await second.runner.start()
        else:
            await second.open()
        for one in (*started[:2], *started[3:]):
            assert (await ended(second, one)).status is SagaStatus.COMPLETED
        parked = await reached(second, started[2], SagaStatus.PARKED)
        assert parked.parked is not None
        assert said in parked.parked.message
        log = await history(second, started[2])
        assert [item.type for item in log] == [EventType.SAGA_STARTED, EventType.SAGA_PARKED]
        assert log[-1].sequence == parked.sequence
        assert second.runner.active == 0
        assert second.runner.standstill is None


async def test_a_parked_saga_is_left_alone_by_every_replica_that_comes(
    engine: SagaEngine, toys: Toys, clock: ManualClock
) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    await damage(engine.database, started, context="{oops")
    for _ in range(3):
        async with successor(engine, clock, toys.definition, toys.forward) as replica:
            await reached(replica, started, SagaStatus.PARKED)
            assert await replica.runner.recover() == 0
    assert [item.type for item in await history(engine, started)].count(EventType.SAGA_PARKED) == 1


async def test_the_rest_of_the_batch_is_done_in_the_same_turn_and_its_calls_leave(
    engine: SagaEngine, toys: Toys
) -> None:
    started = await stopped_before_pay(engine, toys, 256)
    for number in (0, 100, 255):
        await damage(engine.database, started[number], context="{}" if number else "{oops", position=99)
    result = await turned(engine.runner._executor, [Work(item.saga_id) for item in started])
    assert len(result.calls) == 253
    assert len({order.member.saga_id for order in result.calls}) == 253
    assert [item.type for item in result.events].count(EventType.SAGA_PARKED) == 3
    assert result.over == {started[number].saga_id for number in (0, 100, 255)}


async def test_a_fault_that_cannot_even_be_recorded_parks_its_saga_alone(engine: SagaEngine, toys: Toys) -> None:
    started = await stopped_before_pay(engine, toys, 4)
    await forbid(engine.database, started[1], "saga_steps", "NEW.saga_id")
    result = await turned(engine.runner._executor, [Work(item.saga_id) for item in started])
    assert len(result.calls) == 3
    parked = await view(engine, started[1])
    assert parked.status is SagaStatus.PARKED
    assert parked.parked is not None
    assert parked.parked.code == "FAULT"


async def test_a_saga_that_cannot_even_be_parked_is_put_off_and_stops_no_other(engine: SagaEngine, toys: Toys) -> None:
    started = await stopped_before_pay(engine, toys, 4)
    await forbid(engine.database, started[3], "sagas", "NEW.id")
    result = await turned(engine.runner._executor, [Work(item.saga_id) for item in started])
    assert len(result.calls) == 3
    assert [work.saga_id for work in result.put_off] == [started[3].saga_id]
    assert (await view(engine, started[3])).status is SagaStatus.PENDING


async def test_what_is_put_off_takes_no_further_turns(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    gate, first = await calling(engine, toys.definition, provider)
    await forbid(engine.database, first, "sagas", "NEW.id")
    gate.set()
    await eventually(lambda: first.saga_id in engine.runner._put_off)
    others = [await start(engine, toys.definition) for _ in range(3)]
    for one in others:
        assert (await ended(engine, one)).status is SagaStatus.COMPLETED
    assert provider.keys("PAY").count(provider.keys("PAY")[0]) == 1


async def forbid(database: Database, started: Started, table: str, column: str) -> None:
    """From now on no row of this saga in `table` can be changed."""

    async def work(connection: Any) -> None:
        if connection.dialect.name == "sqlite":
            await connection.execute(
                text(
                    f"CREATE TRIGGER forbidden BEFORE UPDATE ON {table} WHEN {column} = '{started.saga_id}'"
                    " BEGIN SELECT RAISE(ABORT, 'forbidden'); END"
                )
            )
            return
        await connection.execute(
            text(
                "CREATE FUNCTION forbid() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN IF {column} = '{started.saga_id}' THEN RAISE 'forbidden'; END IF; RETURN NEW; END $$"
            )
        )
        await connection.execute(
            text(f"CREATE TRIGGER forbidden BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION forbid()")
        )

    await database.write(work)


# ---------------------------------------------------------------------- looking again


async def test_a_retry_looks_at_a_parked_saga_again(engine: SagaEngine, toys: Toys, clock: ManualClock) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    kept = (await view(engine, started)).context
    await damage(engine.database, started, context="{oops")
    async with successor(engine, clock, toys.definition, toys.forward) as second:
        await reached(second, started, SagaStatus.PARKED)
        assert isinstance(await second.retry(started.correlation_id), RetryRequested)

        async def parked_again() -> bool:
            kinds = [item.type for item in await history(second, started)]
            assert kinds.count(EventType.SAGA_PARKED) == 2
            return True

        await eventually(parked_again)
        await damage(engine.database, started, context=kept)
        assert isinstance(await second.retry(started.correlation_id), RetryRequested)
        saga = await ended(second, started)
    assert saga.status is SagaStatus.COMPLETED
    assert saga.parked is None
    kinds = [item.type for item in await history(engine, started)]
    assert kinds[3:5] == [EventType.SAGA_RESUMED, EventType.STEP_STARTED]
    assert [item.sequence for item in await history(engine, started)] == list(range(1, len(kinds) + 1))


async def test_a_call_that_was_out_when_its_saga_was_parked_is_found_out_under_its_key(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    kept = (await view(engine, started)).context
    await damage(engine.database, started, context="{oops")
    gate.set()
    await reached(engine, started, SagaStatus.PARKED)
    await damage(engine.database, started, context=kept)
    assert isinstance(await engine.retry(started.correlation_id), RetryRequested)
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert len(set(provider.keys("PAY"))) == 1
    assert len(provider.keys("PAY")) == 2


async def test_a_cancel_of_a_parked_saga_is_obeyed_once_it_can_be_read(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    kept = (await view(engine, started)).context
    await damage(engine.database, started, context="{oops")
    gate.set()
    await reached(engine, started, SagaStatus.PARKED)
    await engine.cancel(started.correlation_id)
    await damage(engine.database, started, context=kept)
    await engine.retry(started.correlation_id)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPENSATED
    assert saga.failure is not None
    assert saga.failure.code == "CANCELLED"


async def test_a_process_that_dies_while_it_looks_again_loses_nothing(
    engine: SagaEngine, toys: Toys, clock: ManualClock
) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    kept = (await view(engine, started)).context
    await damage(engine.database, started, context="{oops")
    await turned(engine.runner._executor, [Work(started.saga_id)])
    await damage(engine.database, started, context=kept)
    # Its runner stands still: the claim is durable, and nobody looks.
    assert isinstance(await engine.retry(started.correlation_id), RetryRequested)
    async with successor(engine, clock, toys.definition, toys.forward) as second:
        assert (await ended(second, started)).status is SagaStatus.COMPLETED


async def test_a_replica_that_does_not_know_the_version_refuses_to_look_again(
    engine: SagaEngine, toys: Toys, clock: ManualClock
) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    await damage(engine.database, started, context="{oops")
    await turned(engine.runner._executor, [Work(started.saga_id)])
    async with successor(engine, clock, toys.forward, opened=False) as second:
        answer = await second.retry(started.correlation_id)
    assert isinstance(answer, NotWaiting)
    assert "TOY version 1" in answer.reason


async def test_the_doctor_names_a_parked_saga_and_finds_nothing_wrong_with_it(engine: SagaEngine, toys: Toys) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    await damage(engine.database, started, context="{oops")
    await turned(engine.runner._executor, [Work(started.saga_id)])
    async with engine.database.reading() as connection:
        listing = await list_parked(connection)
        findings = await check_sagas(connection)
    assert [note.subject for note in listing.notes] == [f"saga {started.correlation_id}"]
    assert "UNREADABLE" in listing.notes[0].detail
    assert not [violation for finding in findings for violation in finding.violations]


# ---------------------------------------------------------------------- what has committed is followed up


async def test_a_half_that_has_committed_is_followed_up_though_the_database_goes_away_for_the_other(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    gate = provider.hold("PAY")
    faulty = await start(engine, toys.definition, break_at=("AWARD",))
    fine = await start(engine, toys.definition)
    await eventually(lambda: len(provider.keys("PAY")) == 2)
    failed = asyncio.Event()
    confirmed: list[str] = []

    def away(point: CommitPoint, details: tuple[str, ...]) -> None:
        # The first half's commit is followed by an outage.
        if point is CommitPoint.TURN_AFTER_COMMIT and "CONFIRM" in details and not failed.is_set():
            failed.set()
        elif point is CommitPoint.TURN_BEFORE_COMMIT and failed.is_set() and not confirmed:
            confirmed.append("once")
            raise ConnectionError("the database is away")

    engine.points.breaker = away
    gate.set()
    assert (await ended(engine, fine)).status is SagaStatus.COMPLETED
    assert (await ended(engine, faulty)).status is SagaStatus.COMPENSATED
    # Its call left once: it was not taken for interrupted.
    assert len([key for key in provider.keys("CONFIRM") if fine.correlation_id in key]) == 1


# ---------------------------------------------------------------------- definitions


def test_a_definition_that_cannot_be_run_is_refused_when_it_is_made(toys: Toys) -> None:
    steps = toys.definition.steps
    late = Step("LATE", Local(toys.settle), Compensation("UNDO_LATE", Local(toys.settle_undo)))
    no_operation: Any = toys.settle
    cases: dict[str, dict[str, Any]] = {
        "has 0 steps": {"steps": ()},
        "has 32 steps": {"steps": tuple(replace(steps[0], name=f"S{n}", compensation=None) for n in range(32))},
        "pivot NOWHERE is none of its steps": {"pivot": "NOWHERE"},
        "uses PAY, UNPAY twice": {"steps": (*steps, steps[1])},
        "uses RELEASE twice": {"steps": (*steps, replace(late, compensation=steps[0].compensation)), "pivot": "LATE"},
        "LATE comes after the pivot": {"steps": (*steps, late)},
        "more than one step pins": {"steps": (replace(steps[0], pins=True), *steps[1:])},
        "needs a name and a version": {"version": 0},
        "has no name": {"steps": (replace(steps[0], name=""), *steps[1:])},
        "must be a Local or a Remote": {"steps": (replace(steps[0], action=no_operation), *steps[1:])},
    }
    for fault, values in cases.items():
        with pytest.raises(DefinitionError, match=fault):
            replace(toys.definition, **values)


def test_an_engine_refuses_two_definitions_of_one_name_and_version(database: Database, toys: Toys) -> None:
    with pytest.raises(DefinitionError, match="TOY version 1 is given twice"):
        SagaEngine(database, [toys.definition, toys.forward, replace(toys.definition)])


async def test_a_start_with_a_definition_that_is_not_registered_is_refused(engine: SagaEngine, toys: Toys) -> None:
    with pytest.raises(DefinitionError, match="TOY version 2 is not one of this engine's"):
        await start(engine, replace(toys.definition, version=2))
    with pytest.raises(DefinitionError, match="TOY version 1 is not one of this engine's"):
        await start(engine, replace(toys.definition))


def test_the_fingerprint_changes_with_whatever_a_saga_relies_on(toys: Toys) -> None:
    steps = toys.definition.steps
    local = replace(steps[1], action=Local(toys.settle))
    other_undo = replace(steps[0], compensation=Compensation("FREE", Local(toys.settle_undo), FAST_UNDO))
    remote_undo = replace(steps[0], compensation=Compensation("RELEASE", Remote(toys.provider.call), FAST_UNDO))
    changed = [
        replace(toys.definition, steps=(steps[1], steps[0], *steps[2:])),
        replace(toys.definition, steps=(steps[0], local, *steps[2:])),
        replace(toys.definition, steps=(other_undo, *steps[1:])),
        replace(toys.definition, steps=(remote_undo, *steps[1:])),
        replace(toys.definition, steps=(*steps, Step("LAST", Local(toys.settle)))),
        replace(toys.definition, steps=(*steps[:3], replace(steps[3], compensation=None, pins=False)), pivot="CONFIRM"),
        replace(toys.definition, steps=(*steps[:3], replace(steps[3], pins=False))),
    ]
    assert len({item.fingerprint for item in (toys.definition, *changed)}) == len(changed) + 1
    assert replace(toys.definition, version=2, context=ToyContext).fingerprint == toys.definition.fingerprint
    assert replace(toys.definition, steps=tuple(replace(s, policy=FAST_UNDO) for s in steps)).fingerprint == (
        toys.definition.fingerprint
    )


async def test_a_start_with_other_steps_under_the_same_version_names_both(
    engine: SagaEngine, toys: Toys, clock: ManualClock
) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    inserted = Step("INSPECT", Local(toys.settle), Compensation("DISREGARD", Local(toys.settle_undo)))
    changed = replace(toys.definition, steps=(inserted, *toys.definition.steps))
    with pytest.raises(DefinitionError) as refused:
        async with successor(engine, clock, changed, toys.forward):
            pass
    message = str(refused.value)
    assert "\n" not in message
    assert toys.definition.outline in message
    assert changed.outline in message
    assert (await view(engine, started)).status is SagaStatus.PENDING


async def test_sagas_from_before_fingerprints_are_held_against_their_step_rows(
    engine: SagaEngine, toys: Toys, clock: ManualClock
) -> None:
    (started,) = await stopped_before_pay(engine, toys, 1)
    await damage(engine.database, started, definition_fingerprint=None)
    fewer = replace(toys.definition, steps=toys.definition.steps[1:])
    with pytest.raises(DefinitionError, match="began with RESERVE"):
        async with successor(engine, clock, fewer, toys.forward):
            pass
    async with successor(engine, clock, toys.definition, toys.forward) as third:
        assert (await ended(third, started)).status is SagaStatus.COMPLETED


async def test_a_definition_may_change_once_nothing_unfinished_began_with_the_old_one(
    engine: SagaEngine, toys: Toys, clock: ManualClock
) -> None:
    assert (await ended(engine, await start(engine, toys.definition))).status is SagaStatus.COMPLETED
    changed = replace(toys.definition, steps=toys.definition.steps[1:])
    async with successor(engine, clock, changed, toys.forward):
        pass


# ---------------------------------------------------------------------- step functions


PLACES = ["settle", "prepare", "settle of a call", "call"]


class Answers:
    """A step that answers, or raises, whatever it is told to; the others of its definition are well."""

    def __init__(self, toys: Toys, answer: Any, place: str, name: str = "WRONG") -> None:
        async def wrong(batch: Any) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer

        async def wrong_call(member: Any) -> Any:
            return await wrong(member)

        steps = {
            "settle": Step("WRONG", Local(wrong), policy=FAST),
            "prepare": Step("WRONG", Remote(toys.provider.call, wrong), policy=FAST),
            "settle of a call": Step("WRONG", Remote(toys.provider.call, settle=wrong), policy=FAST),
            "call": Step("WRONG", Remote(wrong_call), policy=HASTY),
        }
        self.definition = SagaDefinition(name, 1, ToyContext, (steps[place],), pivot="WRONG")


async def test_a_step_function_that_answers_something_else_is_named(
    toy_database: Database, toys: Toys, subtests: pytest.Subtests, caplog: pytest.LogCaptureFixture
) -> None:
    cases = [(answer, place) for answer in (None, [None], ["done"], [], 7) for place in PLACES]
    wrongs = [Answers(toys, answer, place, f"WRONG{number}") for number, (answer, place) in enumerate(cases)]
    engine = SagaEngine(
        toy_database, [toys.definition, *(wrong.definition for wrong in wrongs)], poll_seconds=0.1, lease_seconds=3
    )
    async with opened(engine):
        for (answer, place), wrong in zip(cases, wrongs, strict=True):
            with subtests.test(f"{answer} of {place}"):
                caplog.clear()
                bad = await start(engine, wrong.definition)
                good = await start(engine, toys.definition)
                assert (await ended(engine, good)).status is SagaStatus.COMPLETED
                saga = await ended(engine, bad)
                assert saga.status is SagaStatus.COMPENSATED
                assert saga.steps[0].status is StepStatus.FAILED
                assert "Answers.__init__.<locals>.wrong" in caplog.text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("raised", [asyncio.CancelledError, SystemExit])
async def test_a_step_function_that_raises_what_is_no_fault_ends_its_own_saga_alone(
    toy_database: Database,
    toys: Toys,
    place: str,
    raised: type[BaseException],
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = Answers(toys, raised(), place)
    engine = SagaEngine(toy_database, [wrong.definition, toys.definition], poll_seconds=0.1, lease_seconds=3)
    async with opened(engine):
        bad = await start(engine, wrong.definition)
        assert (await ended(engine, bad)).steps[0].status is StepStatus.FAILED
        good = await start(engine, toys.definition)
        assert (await ended(engine, good)).status is SagaStatus.COMPLETED
        assert engine.runner.standstill is None
    assert "Answers.__init__.<locals>.wrong" in caplog.text


async def test_nothing_of_this_leaves_a_saga_row_behind(engine: SagaEngine, toys: Toys) -> None:
    """A start whose `begin` answers nonsense is refused to its caller, and starts nothing."""

    async def begin(batch: Any) -> Any:
        return None

    definition = replace(toys.definition, name="NONSENSE", begin=begin)
    database = Database(engine.database.url, clock=engine.database.clock)
    other = SagaEngine(database, [definition], poll_seconds=0.1, lease_seconds=3)
    await other.open()
    try:
        with pytest.raises(TypeError, match="begin answered None"):
            await start(other, definition)
    finally:
        await other.close()
        await database.close()
    async with engine.database.reading() as connection:
        assert (await connection.execute(select(sagas.c.id))).all() == []
