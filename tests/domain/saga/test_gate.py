"""Calls pass a gate: a saga without a place begins nothing, keeps its budget, obeys its signals and its deadline."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
from sqlalchemy import func, select, update

from domain.clock import SECOND, ManualClock
from domain.events import EventType
from domain.gate import Entry, Lane
from domain.outcome import NotSent, Refused, Succeeded, Unknown
from domain.saga import (
    Batch,
    CommitPoint,
    CommitPoints,
    Compensation,
    Local,
    Member,
    Ready,
    Remote,
    SagaDefinition,
    SagaEngine,
    SagaStatus,
    Simulation,
    Started,
    StartRequest,
    Step,
    StepStatus,
)
from domain.saga.machine import LINE_SECONDS_MAX
from domain.saga.tables import sagas
from domain.storage import Database
from tests.domain.saga.test_machine import LOST, NOT_NOW, running, undoing
from tests.domain.saga.till import CARD, HOLDER, Till, begin, till_engine, waits
from tests.domain.saga.toll import Toll
from tests.domain.saga.toy import (
    FAST,
    Provider,
    ToyContext,
    Toys,
    effects_of,
    ended,
    history,
    opened,
    reached,
    start,
    view,
)
from tests.support.waiting import eventually

LINE_US: Final = round(LINE_SECONDS_MAX * SECOND)


def gated(definition: SagaDefinition, toll: Toll, **changes: Any) -> SagaDefinition:
    """The same saga, whose calls pass the toll."""

    def behind(operation: Any) -> Any:
        return replace(operation, gate=toll, **changes) if isinstance(operation, Remote) else operation

    def undo(compensation: Compensation | None) -> Compensation | None:
        return compensation and replace(compensation, operation=behind(compensation.operation))

    steps = [replace(s, action=behind(s.action), compensation=undo(s.compensation)) for s in definition.steps]
    return replace(definition, steps=tuple(steps))


@pytest.fixture
async def toll() -> Toll:
    return Toll()


@pytest.fixture
def trip(toys: Toys, toll: Toll) -> SagaDefinition:
    return gated(toys.definition, toll)


@pytest.fixture
async def engine(
    toy_database: Database, toys: Toys, trip: SagaDefinition, provider: Provider, points: CommitPoints
) -> AsyncIterator[SagaEngine]:
    async with replica(toy_database, trip, points=points) as engine:
        yield engine
        points.breaker = None
        for gate in provider.gates.values():
            gate.set()


@asynccontextmanager
async def replica(database: Database, *definitions: SagaDefinition, **options: Any) -> AsyncIterator[SagaEngine]:
    more = {"poll_seconds": 0.05, "lease_seconds": 3.0} | options
    engine = SagaEngine(database, definitions, **more)
    async with opened(engine):
        yield engine


async def row_of(database: Database, started: Started) -> dict[str, Any]:
    async with database.reading() as connection:
        row = (await connection.execute(select(sagas).where(sagas.c.id == started.saga_id))).one()
    return dict(row._mapping)


async def stands(toll: Toll, started: Started) -> None:
    """The saga stands in line."""
    await eventually(lambda: started.saga_id in toll.line)


async def in_line(engine: SagaEngine, toll: Toll, started: Started) -> dict[str, Any]:
    """The row of the saga once it stands in line, durably."""
    await stands(toll, started)

    async def pushed() -> bool:
        row = await row_of(engine.database, started)
        now = await now_of(engine.database)
        return bool(row["due_at"] is not None and row["due_at"] > now + LINE_US // 4)

    await eventually(pushed)
    return await row_of(engine.database, started)


async def polled(engine: SagaEngine) -> None:
    """The engine has polled once more."""
    lead = engine.runner._lead
    await eventually(lambda: engine.runner._lead != lead)


async def now_of(database: Database) -> int:
    async with database.reading() as connection:
        return await database.clock.now(connection)


# ---------------------------------------------------------------------- the machine


def behind_toll(run: Any, toll: Toll) -> Any:
    """The same run, of a saga whose calls pass a toll."""
    remote = replace(PAY_AT_ONCE, gate=toll)
    steps = tuple(
        replace(s, action=remote, compensation=s.compensation and replace(s.compensation, operation=remote))
        for s in run.definition.steps
    )
    run.definition = replace(run.definition, steps=steps)
    return run


async def _paid(member: Member[Any]) -> Any:
    return Succeeded()


PAY_AT_ONCE: Final = Remote(_paid)


async def test_standing_in_line_begins_nothing_and_ends_by_its_due_time(toll: Toll) -> None:
    run = behind_toll(running(7, 2, draw=lambda: 1.0), toll)
    assert run.stand_in_line()
    assert (run.attempt, run.events, run.changes, run.wait_changed) == (0, [], {}, False)
    assert (run.due_at, run.wait_us, run.is_ready) == (7 + LINE_US, LINE_US, False)
    run.take_place()
    assert run.is_ready
    soon = behind_toll(running(7, 2, draw=lambda: 0.0), toll)
    soon.stand_in_line()
    assert soon.due_at == 7 + LINE_US // 2


async def test_the_budget_stands_still_in_line(toll: Toll) -> None:
    run = behind_toll(running(0, 2), toll)
    run.start_attempt()
    run.start_call()
    run.at = 10 * SECOND
    run.fall_short(NOT_NOW, proven=True)
    run.stand_in_line()
    run.at = 3_600 * SECOND
    run.stand_in_line()
    run.at = 4_000 * SECOND
    run.start_attempt()
    assert run.attempted_since == 3_990 * SECOND
    run.start_call()
    run.at = 4_019 * SECOND
    run.fall_short(NOT_NOW, proven=True)
    assert (run.status, run.unsent_since) == (SagaStatus.RUNNING, None)


@pytest.mark.parametrize(
    ("position", "values", "turns_round_at"),
    [
        # The budget is 30 s.
        (2, {"deadline_at": 100 * SECOND}, 70 * SECOND + 1),
        (3, {"deadline_at": 100 * SECOND}, 100 * SECOND),
        (3, {"deadline_at": 100 * SECOND, "pinned_at": 5}, 130 * SECOND),
        (2, {}, None),
        (4, {"deadline_at": 100 * SECOND}, None),
    ],
)
async def test_a_saga_in_line_turns_round_when_its_step_could_not_finish(
    toll: Toll, position: int, values: dict[str, int], turns_round_at: int | None
) -> None:
    run = behind_toll(running(7, position, draw=lambda: 1.0, **values), toll)
    assert run.stand_in_line()
    assert run.due_at == 7 + LINE_US
    if turns_round_at is None:
        run.at = 10_000 * SECOND
        assert run.stand_in_line()
        return
    run.at = turns_round_at - 5
    assert run.stand_in_line()
    assert run.due_at == turns_round_at
    run.at = turns_round_at
    assert not run.stand_in_line()
    assert run.failure is not None
    assert (run.status, run.failure.code) == (SagaStatus.COMPENSATING, "HOLD_EXPIRED")


async def test_undoing_goes_first_and_looks_go_last(toll: Toll) -> None:
    assert running(7, 2).lane is Lane.BEGIN
    assert running(7, 3).lane is Lane.CONFIRM
    assert running(7, 4).lane is Lane.UNDO
    assert undoing(7, 2).lane is Lane.UNDO


async def test_a_saga_whose_line_is_forgotten_waits_only_for_what_else_it_waits_for(toll: Toll) -> None:
    run = behind_toll(running(7, 2), toll)
    run.stand_in_line()
    run.leave_line()
    assert run.is_ready
    backs_off = behind_toll(running(7, 2, draw=lambda: 1.0), toll)
    backs_off.start_attempt()
    backs_off.fall_short(LOST, proven=False)
    due_at = backs_off.due_at
    backs_off.leave_line()
    assert backs_off.due_at == due_at


# ---------------------------------------------------------------------- places


async def test_no_more_calls_are_out_than_there_are_places(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll, provider: Provider
) -> None:
    toll.places = 3
    gate = provider.hold("PAY")
    begun = [await start(engine, trip) for _ in range(20)]
    await eventually(lambda: len(provider.keys("PAY")) == 3 and len(toll.line) == 17)
    gate.set()
    for started in begun:
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert toll.most == 3
    await eventually(lambda: toll.is_empty)
    assert len(provider.keys("PAY")) == len(provider.keys("CONFIRM")) == 20
    outcomes = [outcome for _, outcome in toll.left]
    assert len(outcomes) == 40
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


async def test_a_saga_in_line_has_begun_nothing(engine: SagaEngine, trip: SagaDefinition, toll: Toll) -> None:
    toll.places = 0
    started = await start(engine, trip)
    row = await in_line(engine, toll, started)
    assert (row["status"], row["phase"], row["position"], row["attempt"]) == ("RUNNING", "READY", 1, 0)
    assert (row["effects"], row["pinned_at"], row["attempted_since"], row["awaited_since"]) == (0b1, None, None, None)
    assert (await view(engine, started)).steps[1].status is StepStatus.PENDING
    assert (await history(engine, started))[-1].type is EventType.STEP_COMPLETED
    assert engine.runner.active == 1
    toll.places = 1
    toll.open()
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_the_pin_waits_for_its_place_too(engine: SagaEngine, trip: SagaDefinition, toll: Toll) -> None:
    started = await start(engine, trip)
    toll.is_shut = True
    await stands(toll, started)
    if toll.line[started.saga_id] is Lane.BEGIN:
        toll.open()
        toll.is_shut = True
        await eventually(lambda: toll.line.get(started.saga_id) is Lane.CONFIRM)
    row = await in_line(engine, toll, started)
    assert (row["position"], row["pinned_at"], row["attempt"]) == (3, None, 0)
    await engine.cancel(started.correlation_id)
    await eventually(lambda: toll.line.get(started.saga_id) is Lane.UNDO)
    toll.open()
    assert (await ended(engine, started)).status is SagaStatus.COMPENSATED


async def test_before_a_shut_gate_a_saga_takes_no_place_among_those_in_flight(
    toy_database: Database, trip: SagaDefinition, toll: Toll
) -> None:
    toll.is_shut = True
    async with replica(toy_database, trip, active_sagas_max=3) as engine:
        begun = []
        for _ in range(10):
            begun.append(await start(engine, trip))
            await in_line(engine, toll, begun[-1])
            await eventually(lambda: engine.runner.active == 0)
        toll.open()
        for started in begun:
            assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_a_saga_in_line_does_not_turn_again_and_again(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll, points: CommitPoints
) -> None:
    toll.places = 0
    started = await start(engine, trip)
    await in_line(engine, toll, started)
    turns = 0

    def breaker(point: CommitPoint, details: tuple[str, ...]) -> None:
        nonlocal turns
        turns += point is CommitPoint.TURN_AFTER_COMMIT

    points.breaker = breaker
    before = len(toll.entries)
    for _ in range(5):
        await polled(engine)
    assert (turns, len(toll.entries)) == (0, before)


async def test_a_place_that_came_too_late_is_left(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll, provider: Provider
) -> None:
    toll.places = 0
    started = await start(engine, trip)
    await in_line(engine, toll, started)
    await engine.cancel(started.correlation_id)
    assert (await ended(engine, started)).status is SagaStatus.COMPENSATED
    await eventually(lambda: toll.is_empty)
    assert provider.calls == []
    # It is given one all the same.
    toll.passing[started.saga_id] = Lane.BEGIN
    engine.runner.give_place(toll, started.saga_id)
    assert toll.is_empty


async def test_a_saga_that_will_not_call_needs_no_place(
    toy_database: Database, toys: Toys, toll: Toll, provider: Provider
) -> None:
    toll.is_shut = True
    trip = gated(toys.definition, toll, needs_call=lambda member: member.context.refuse != ("free",))
    async with replica(toy_database, trip) as engine:
        assert (await ended(engine, await start(engine, trip, refuse=("free",)))).status is SagaStatus.COMPLETED
        started = await start(engine, trip)
        await in_line(engine, toll, started)
        toll.open()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_the_gate_hears_what_came_of_each_call(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll, provider: Provider
) -> None:
    away = NotSent("PROVIDER_UNREACHABLE", "Connection refused.")
    provider.answers["PAY"] = deque([away, Unknown("LOST", "Lost."), Refused("NO", "No.")])
    started = await start(engine, trip)
    assert (await ended(engine, started)).status is SagaStatus.COMPENSATED
    codes = [getattr(outcome, "code", None) for _, outcome in toll.left]
    assert codes == ["PROVIDER_UNREACHABLE", "LOST", "NO", None]
    assert [lane for _, lane, _ in toll.entries] == [Lane.BEGIN, Lane.BEGIN, Lane.BEGIN, Lane.UNDO]
    assert toll.is_empty


async def test_an_answer_that_a_simulation_loses_is_no_failure_of_the_provider(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll
) -> None:
    """Else one customer's simulations would open the breaker for all."""
    started = await start(engine, trip, simulation=Simulation(lose_answer_at=("PAY", "CONFIRM")))
    saga = await ended(engine, started)
    assert (saga.status, [step.attempt for step in saga.steps]) == (SagaStatus.COMPLETED, [1, 2, 1, 2])
    assert [type(outcome) for _, outcome in toll.left] == [Succeeded] * 4
    assert toll.is_empty


async def test_a_second_call_of_an_attempt_keeps_the_place(toy_database: Database, provider: Provider) -> None:
    toll = Toll(places=1)
    till = Till(provider)
    till.definition = gated(till.definition, toll)
    provider.answers["PAY"] = deque([Succeeded("again"), Succeeded("paid")])
    async with till_engine(toy_database, till) as engine:
        started = await begin(engine, till, card="4242")
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert [entry for *_, entry in toll.entries] == [Entry.PERMIT]
    assert [outcome for _, outcome in toll.left] == [Succeeded("paid")]


async def test_a_look_stands_in_line_like_a_call_that_begins(toy_database: Database, provider: Provider) -> None:
    toll = Toll()
    till = Till(provider, look_seconds=0.02)
    till.definition = gated(till.definition, toll)
    provider.answers["PAY"] = deque([Unknown("HOLDER", "The bank asks the card's holder.")])
    async with till_engine(toy_database, till) as engine:
        started = await begin(engine, till, card="4242")
        await waits(engine, started, HOLDER)
        toll.is_shut = True
        await stands(toll, started)
        assert toll.line[started.saga_id] is Lane.BEGIN
        assert (await waits(engine, started, HOLDER)).awaiting is not None
        provider.answers["LOOK"] = deque([Succeeded("confirmed")])
        toll.open()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert toll.is_empty


async def test_a_word_is_obeyed_once_there_is_a_place(toy_database: Database, provider: Provider) -> None:
    toll = Toll(is_shut=True)
    till = Till(provider)
    till.definition = gated(till.definition, toll, needs_call=lambda member: member.word is not None)
    async with till_engine(toy_database, till) as engine:
        started = await begin(engine, till)
        await waits(engine, started, CARD)
        assert toll.entries == []
        await engine.say(started.correlation_id, CARD, '"4242"')
        await stands(toll, started)
        assert till.words == []
        toll.open()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert till.words == ['"4242"']


# ---------------------------------------------------------------------- deadlines and signals


async def test_the_deadline_is_obeyed_in_line(toy_database: Database, provider: Provider, clock: ManualClock) -> None:
    toll = Toll(is_shut=True)
    till = Till(provider, policy=replace(FAST, budget_seconds=10))
    till.deadline_seconds = 600
    till.definition = gated(till.definition, toll)
    async with till_engine(toy_database, till) as engine:
        started = await begin(engine, till, card="4242")
        row = await in_line(engine, toll, started)
        # Not before: the step still has its budget.
        clock.advance(580)
        await eventually(lambda: len(toll.entries) >= 2)
        row = await in_line(engine, toll, started)
        assert row["due_at"] == row["deadline_at"] - 10 * SECOND + 1
        assert (await view(engine, started)).status is SagaStatus.RUNNING
        clock.advance(20)
        saga = await ended(engine, started)
    assert saga.failure is not None
    assert (saga.status, saga.failure.code) == (SagaStatus.COMPENSATED, "HOLD_EXPIRED")
    assert toll.is_empty
    assert provider.calls == []


# ---------------------------------------------------------------------- crashes, takeovers, faults


async def test_after_a_crash_a_saga_that_stood_in_line_asks_again_at_once(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    lost, toll = Toll(is_shut=True), Toll()
    async with replica(toy_database, gated(toys.definition, lost)) as engine:
        started = await start(engine, engine.definitions["TOY", 1])
        await in_line(engine, lost, started)
    async with replica(toy_database, gated(toys.definition, toll)) as engine:
        # It was to look at itself half a minute later.
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_a_saga_in_line_that_is_taken_over_leaves_the_line_of_its_former_owner(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll
) -> None:
    toll.places = 0
    started = await start(engine, trip)
    await in_line(engine, toll, started)

    async def take_over(connection: Any) -> None:
        stranger = str(uuid.uuid4())
        await connection.execute(update(sagas).values(replica=stranger, epoch=sagas.c.epoch + 1))

    await engine.database.write(take_over)
    toll.places = 1
    toll.open()
    await eventually(lambda: toll.is_empty)
    assert toll.left == [(started.saga_id, None)]


async def test_a_turn_that_fails_keeps_the_places_and_uses_them_when_it_runs_again(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll, points: CommitPoints, provider: Provider
) -> None:
    failures = 0

    def breaker(point: CommitPoint, details: tuple[str, ...]) -> None:
        nonlocal failures
        if point is CommitPoint.TURN_BEFORE_COMMIT and "PAY" in details and failures < 3:
            failures += 1
            raise OSError("the database went away")

    points.breaker = breaker
    toll.places = 1
    started = await start(engine, trip)
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    assert failures == 3
    assert len(provider.keys("PAY")) == 1
    await eventually(lambda: toll.is_empty)
    assert [outcome is None for _, outcome in toll.left] == [False, False]


async def test_a_batch_that_is_bisected_leaks_no_place(
    toy_database: Database, toys: Toys, toll: Toll, provider: Provider
) -> None:
    toll.places = 2
    trip = gated(toys.definition, toll)

    async def prepare(batch: Batch[ToyContext]) -> Sequence[Any]:
        if any("PAY" in member.context.break_at for member in batch.members):
            raise ValueError("one of them is bad")
        return [Ready() for _ in batch.members]

    steps = list(trip.steps)
    policy = replace(FAST, budget_seconds=0.1)
    steps[1] = replace(steps[1], action=Remote(provider.call, prepare, gate=toll), policy=policy)
    trip = replace(trip, steps=tuple(steps))
    async with replica(toy_database, trip) as engine:
        answers = await asyncio.gather(
            *(
                engine.start(
                    StartRequest(
                        trip,
                        str(uuid.uuid4()),
                        "someone",
                        "1:x",
                        ToyContext(break_at=("PAY",) if number == 3 else ()),
                    )
                )
                for number in range(8)
            )
        )
        ends = [(await ended(engine, each)).status for each in answers if isinstance(each, Started)]
    assert sorted(ends) == sorted([SagaStatus.COMPLETED] * 7 + [SagaStatus.COMPENSATED])
    assert toll.most <= 2
    await eventually(lambda: toll.is_empty)


async def test_two_thousand_in_line_do_not_starve_the_others(
    toy_database: Database, toys: Toys, provider: Provider, points: CommitPoints
) -> None:
    toll = Toll(is_shut=True)
    trip = gated(toys.definition, toll)
    local = SagaDefinition("LOCAL", 1, ToyContext, (Step("DECIDE", Local(toys.settle)),), pivot="DECIDE")
    async with replica(toy_database, trip, local, points=points) as engine:
        for _ in range(8):
            await asyncio.gather(*(start(engine, trip) for _ in range(250)))

        async def all_stand() -> bool:
            async with engine.database.reading() as connection:
                now = await engine.database.clock.now(connection)
                due = select(func.count()).select_from(sagas).where(sagas.c.due_at <= now)
                return len(toll.line) == 2_000 and (await connection.execute(due)).scalar_one() == 0

        await eventually(all_stand, timeout_seconds=60)
        await eventually(lambda: engine.runner.active == 0)
        assert (await ended(engine, await start(engine, local))).status is SagaStatus.COMPLETED
        # Also while all of them are due, as after an outage.
        async with engine.database.reading() as connection:
            now = await engine.database.clock.now(connection)

        async def make_due(connection: Any) -> None:
            await connection.execute(update(sagas).where(sagas.c.finished_at.is_(None)).values(due_at=now))

        entries = len(toll.entries)
        await engine.database.write(make_due)
        assert (await ended(engine, await start(engine, local))).status is SagaStatus.COMPLETED
        assert len(toll.entries) - entries < 2_000
        assert provider.calls == []


async def test_a_clock_that_is_set_back_leaves_no_saga_in_line_asleep(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    toll = Toll(is_shut=True)
    trip = gated(toys.definition, toll)
    async with replica(toy_database, trip) as engine:
        await eventually(lambda: engine.runner._lead is not None)
        started = await start(engine, trip)
        await in_line(engine, toll, started)
        entries = len(toll.entries)
        clock.advance(-7_200)
        await eventually(lambda: len(toll.entries) > entries)

        async def is_due_soon() -> bool:
            row = await row_of(engine.database, started)
            return bool(row["due_at"] <= await now_of(engine.database) + LINE_US)

        await eventually(is_due_soon)
        toll.open()
        assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_on_sqlite_the_gate_is_asked_by_the_connections_thread(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll, database: Database
) -> None:
    await ended(engine, await start(engine, trip))
    main = {name for name in toll.threads if name == "MainThread"}
    assert bool(main) == (database.dialect == "postgresql")


async def test_what_was_done_in_the_turn_of_a_saga_in_line_stays(
    engine: SagaEngine, trip: SagaDefinition, toll: Toll
) -> None:
    toll.is_shut = True
    started = await start(engine, trip)
    await in_line(engine, toll, started)
    assert await effects_of(engine.database, started.saga_id) == {"RESERVE"}
    assert (await reached(engine, started, "RUNNING")).steps[0].status is StepStatus.COMPLETED
