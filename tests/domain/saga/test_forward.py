"""The way forward: order, intent before effect, exactly once."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from domain import events
from domain.clock import ManualClock
from domain.events import EventType
from domain.outcome import Refused, Succeeded, Unknown
from domain.saga import (
    CommitPoint,
    CommitPoints,
    CorrelationIdReused,
    Overloaded,
    RetryPolicy,
    SagaEngine,
    SagaStatus,
    Simulation,
    Started,
    StartRequest,
    StepStatus,
)
from domain.saga.starter import START_SAGAS_MAX
from domain.saga.throughput import RETRY_SECONDS_UNKNOWN
from domain.storage import Database
from tests.domain.saga.toy import (
    Provider,
    ToyContext,
    Toys,
    calling,
    effects_of,
    ended,
    history,
    opened,
    reached,
    start,
    view,
)
from tests.support.waiting import eventually


async def test_a_saga_runs_its_steps_in_order_and_completes(engine: SagaEngine, toys: Toys) -> None:
    started = await start(engine, toys.definition)
    saga = await ended(engine, started)
    assert saga.status is SagaStatus.COMPLETED
    log = await history(engine, started)
    assert [(event.type.value, event.step) for event in log] == [
        ("SAGA_STARTED", None),
        *(
            (kind, step)
            for step in ("RESERVE", "PAY", "AWARD", "CONFIRM")
            for kind in ("STEP_STARTED", "STEP_COMPLETED")
        ),
        ("SAGA_COMPLETED", None),
    ]
    assert [event.sequence for event in log] == list(range(1, len(log) + 1))
    assert saga.sequence == len(log)
    assert await effects_of(engine.database, started.saga_id) == {"RESERVE", "AWARD", "CONFIRM"}


async def test_intent_is_durable_before_a_call_leaves(engine: SagaEngine, toys: Toys, provider: Provider) -> None:
    gate, started = await calling(engine, toys.definition, provider)
    saga = await view(engine, started)
    assert saga.steps[1].status is StepStatus.EXECUTING
    assert saga.steps[1].attempt == 1
    assert (await history(engine, started))[-1].type is EventType.STEP_STARTED
    assert provider.keys("PAY") == [f"{started.correlation_id}:PAY:pay:1"]
    gate.set()
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED


async def test_no_call_leaves_when_its_intent_was_not_committed(
    engine: SagaEngine, toys: Toys, provider: Provider, points: CommitPoints
) -> None:
    """Neither that of the first call, which commits with the start, nor that of a turn."""
    refused: list[str] = []

    def breaker(point: CommitPoint, details: tuple[str, ...]) -> None:
        for operation in ("PAY", "CONFIRM"):
            if point.endswith("_BEFORE_COMMIT") and operation in details and refused.count(operation) < 3:
                assert not provider.keys(operation)
                refused.append(operation)
                raise RuntimeError("a step") if point is CommitPoint.START_BEFORE_COMMIT else OSError("the database")

    points.breaker = breaker
    started = await start(engine, toys.definition)
    saga = await ended(engine, started)
    assert sorted(refused) == ["CONFIRM"] * 3 + ["PAY"] * 3
    assert saga.status is SagaStatus.COMPLETED
    assert len(provider.keys("PAY")) == len(provider.keys("CONFIRM")) == 1


async def test_local_effects_and_their_events_commit_together_or_not_at_all(
    engine: SagaEngine, toys: Toys, points: CommitPoints
) -> None:
    """Neither in a start nor in a turn."""
    broken = asyncio.Event()

    def breaker(point: CommitPoint, details: tuple[str, ...]) -> None:
        if point is CommitPoint.START_BEFORE_COMMIT and "RESERVE" in details:
            raise RuntimeError("a step")
        if point is CommitPoint.TURN_BEFORE_COMMIT and "RESERVE" in details and not broken.is_set():
            broken.set()
            raise OSError("the database went away")

    points.breaker = breaker
    started = await start(engine, toys.definition)
    await broken.wait()
    assert await effects_of(engine.database, started.saga_id) == set()
    assert [event.type for event in await history(engine, started)] == [EventType.SAGA_STARTED]
    await ended(engine, started)
    log = await history(engine, started)
    assert [event.step for event in log if event.type is EventType.STEP_COMPLETED].count("RESERVE") == 1


async def test_an_unknown_answer_is_retried_under_the_same_key(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script("PAY", Unknown("TIMEOUT", "no answer"), Succeeded("paid"))
    started = await start(engine, toys.definition)
    assert (await ended(engine, started)).status is SagaStatus.COMPLETED
    keys = provider.keys("PAY")
    assert len(keys) == 2
    assert len(set(keys)) == 1


async def test_a_round_rises_only_once_everything_under_its_key_is_proven_without_effect(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script(
        "PAY",
        Unknown("TIMEOUT", "no answer"),
        Refused("RATE_LIMITED", "come back", passing=True),
        Succeeded("paid"),
    )
    first = await start(engine, toys.definition)
    await ended(engine, first)
    assert len(set(provider.keys("PAY"))) == 1

    provider.calls.clear()
    provider.script("PAY", Refused("PROVIDER_ERROR", "stored", passing=True, key_spent=True), Succeeded("paid"))
    second = await start(engine, toys.definition)
    await ended(engine, second)
    assert provider.keys("PAY") == [f"{second.correlation_id}:PAY:pay:1", f"{second.correlation_id}:PAY:pay:2"]


async def test_the_same_request_finds_its_saga_and_another_is_refused(engine: SagaEngine, toys: Toys) -> None:
    def request(subject: str = "someone", fingerprint: str = "1:a", correlation_id: str = "") -> StartRequest:
        return StartRequest(toys.definition, correlation_id or chosen, subject, fingerprint, ToyContext())

    chosen = str(uuid.uuid4())
    answers = await asyncio.gather(*(engine.start(request()) for _ in range(20)))
    first = [answer for answer in answers if isinstance(answer, Started)]
    assert len(first) == 20
    assert len({answer.saga_id for answer in first}) == 1
    assert sum(answer.new is not None for answer in first) == 1
    await ended(engine, first[0])
    assert await engine.start(request()) == Started(first[0].saga_id, chosen)
    assert await engine.find(chosen, "someone", "1:a") == Started(first[0].saga_id, chosen)
    assert await engine.start(request(fingerprint="1:b")) == CorrelationIdReused(chosen)
    assert await engine.start(request(subject="another")) == CorrelationIdReused(chosen)
    async with engine.database.reading() as connection:
        assert await events.newest_sequences(connection, [first[0].saga_id]) == {first[0].saga_id: 10}


async def test_overload_is_refused_at_the_door_and_burns_no_id(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    engine = SagaEngine(toy_database, [toys.definition], active_sagas_max=3, poll_seconds=0.1)
    gate = provider.hold("PAY")
    async with opened(engine):
        accepted = [await start(engine, toys.definition) for _ in range(3)]
        request = StartRequest(toys.definition, str(uuid.uuid4()), "someone", "1:x", ToyContext())
        refused = await engine.start(request)
        assert isinstance(refused, Overloaded)
        assert (refused.limit, refused.retry_after_seconds >= RETRY_SECONDS_UNKNOWN) == (3, True)
        assert await engine.find(request.correlation_id, "someone", "1:x") is None
        # What was started before is found whatever the load.
        found = await engine.find(accepted[0].correlation_id, "someone", "1:fingerprint")
        assert found == Started(accepted[0].saga_id, accepted[0].correlation_id)
        gate.set()
        for started in accepted:
            assert (await ended(engine, started)).status is SagaStatus.COMPLETED
        assert isinstance(await engine.start(request), Started)


async def test_no_more_starts_wait_than_sagas_may_be_in_flight_or_go_in_a_group(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    groups: list[CommitPoint] = []

    def note(point: CommitPoint, details: tuple[str, ...]) -> None:
        if point is CommitPoint.START_BEFORE_COMMIT:
            groups.append(point)

    engine = SagaEngine(toy_database, [toys.definition], active_sagas_max=3, points=CommitPoints(note))
    provider.hold("PAY").set()
    async with opened(engine):
        requests = [
            StartRequest(toys.definition, str(uuid.uuid4()), "someone", "1:x", ToyContext())
            for _ in range(START_SAGAS_MAX + 50)
        ]
        answers = await asyncio.gather(*(engine.start(request) for request in requests))
        assert [type(answer) for answer in answers] == [Started] * 3 + [Overloaded] * (len(requests) - 3)
        assert len(groups) == 1, "those beyond a group were refused without one"


async def test_cancelling_the_caller_does_not_take_a_start_back(engine: SagaEngine, toys: Toys) -> None:
    request = StartRequest(toys.definition, str(uuid.uuid4()), "someone", "1:x", ToyContext())
    caller = asyncio.create_task(engine.start(request))
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    saga = await engine.awaited(request.correlation_id)
    assert saga.correlation_id == request.correlation_id


async def test_a_lone_faulty_saga_fails_and_its_batch_goes_on(engine: SagaEngine, toys: Toys) -> None:
    started = await asyncio.gather(
        *(start(engine, toys.hasty, break_at=("AWARD",) if number == 5 else ()) for number in range(12))
    )
    sagas = [await ended(engine, item) for item in started]
    assert [saga.status for saga in sagas].count(SagaStatus.COMPLETED) == 11
    assert sagas[5].status is SagaStatus.COMPENSATED
    assert sagas[5].failure is not None
    assert sagas[5].failure.code == "INTERNAL"
    assert await effects_of(engine.database, started[5].saga_id) == set()


async def test_a_saga_is_read_whole_while_its_steps_commit(engine: SagaEngine, toys: Toys) -> None:
    started = [await start(engine, toys.definition, Simulation(delay_ms=100)) for _ in range(5)]
    seen = set()
    while True:
        statuses = set()
        for item in started:
            saga = await view(engine, item)
            log = (await history(engine, item))[: saga.sequence]
            done = [event.step for event in log if event.type is EventType.STEP_COMPLETED]
            assert [step.name for step in saga.steps if step.status is StepStatus.COMPLETED] == done
            assert saga.queue.completed == tuple(done)
            statuses.add(saga.status)
            seen.add(len(done))
        if statuses == {SagaStatus.COMPLETED}:
            break
    assert len(seen) > 2


async def test_every_status_is_reached_only_along_the_table(engine: SagaEngine, toys: Toys) -> None:
    started = await start(engine, toys.definition, Simulation(fail_at=("CONFIRM",)))
    assert (await reached(engine, started, SagaStatus.COMPENSATED)).status.is_terminal


async def test_a_wait_lasts_no_longer_than_it_was_to_though_the_clock_is_set_back(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    resting = await start(engine, toys.definition, Simulation(delay_ms=200))
    provider.script("PAY", Unknown("TIMEOUT", "No answer."))
    retrying = await start(engine, toys.definition)
    await eventually(lambda: provider.keys("PAY"))
    clock.advance(-7_200)
    assert (await ended(engine, resting)).status is SagaStatus.COMPLETED
    assert (await ended(engine, retrying)).status is SagaStatus.COMPLETED


async def test_as_many_starts_may_wait_as_sagas_may_be_in_flight(
    toy_database: Database, toys: Toys, provider: Provider
) -> None:
    limit = START_SAGAS_MAX + 20
    engine = SagaEngine(toy_database, [toys.definition], active_sagas_max=limit)
    provider.hold("PAY").set()
    async with opened(engine):
        requests = [
            StartRequest(toys.definition, str(uuid.uuid4()), "someone", "1:x", ToyContext()) for _ in range(limit + 5)
        ]
        answers = await asyncio.gather(*(engine.start(request) for request in requests))
        assert [type(answer) for answer in answers] == [Started] * limit + [Overloaded] * 5


def test_the_longest_wait_between_attempts_doubles_up_to_its_cap_and_the_shortest_is_its_floor() -> None:
    policy = RetryPolicy(floor_seconds=0.5, cap_seconds=3.0)
    assert [policy.backoff_seconds(attempt) for attempt in (1, 2, 3, 4, 5, 1_000_000)] == [1, 2, 3, 3, 3, 3]
    assert [policy.jittered_seconds(2, draw) for draw in (0, 0.5, 1)] == [0.5, 1.25, 2]
    assert policy.jittered_seconds(0, 1) == 1
    assert policy.jittered_seconds(99, 1) == 3
