"""Statistics: each value on a history made by hand, whatever period is asked about, counted as sagas end."""

from __future__ import annotations

import asyncio
import random
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.migrations import downgrade, upgrade
from domain import saga
from domain.audit.saga import check_sagas
from domain.clock import SECOND, ManualClock, wall_now
from domain.events import EventType
from domain.ids import new_id
from domain.outcome import Refused, Unknown
from domain.saga import (
    LiveSagas,
    QueueTotals,
    SagaBucket,
    SagaEngine,
    SagaStatistics,
    SagaStatus,
    Simulation,
    StepStatus,
    counting,
)
from domain.saga.counting import count, count_for_the_gone, recount
from domain.saga.machine import Run
from domain.saga.sketch import ERROR, pack, quantiles, sketch_of, unpack
from domain.saga.starter import StartRequest, _new_run
from domain.saga.tables import NOBODY, replicas, saga_counts, saga_durations, saga_steps, sagas
from domain.storage import Database
from tests.domain.saga.toy import FAST_UNDO, Provider, ToyContext, Toys, ended, history, reached, start
from tests.support.asking import operator
from tests.support.statements import executed, plan, reads, statements, writes
from tests.support.waiting import eventually

MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
#: A day's beginning.
NIGHT: Final = 20_500 * DAY
OURS: Final = "11111111-1111-1111-1111-111111111111"
OTHERS: Final = "22222222-2222-2222-2222-222222222222"

DONE, FAILED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED
PENDING, EXECUTING, RETRYING, STUCK = (
    StepStatus.PENDING,
    StepStatus.EXECUTING,
    StepStatus.RETRYING,
    StepStatus.STUCK,
)
Step = tuple[StepStatus, StepStatus | None]


@dataclass(frozen=True)
class Told:
    """A saga as the history has it: `steps` are (status, status of the compensation)."""

    status: SagaStatus
    started_at: int
    finished_at: int | None = None
    failed_step: str | None = None
    steps: Sequence[Step] = ((DONE, None),)
    stuck_at: Sequence[int] = ()
    definition: str = "TOY"
    replica: str = OURS
    id: str = field(default_factory=new_id)


async def tell(database: Database, told: Iterable[Told]) -> None:
    """Write the sagas, and what they come to, as if they had happened."""
    told = list(told)

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(insert(sagas), [_saga(each) for each in told])
        await connection.execute(insert(saga_steps), [step for each in told for step in _steps(each)])
        stuck = [_stuck(each, number, at) for each in told for number, at in enumerate(each.stuck_at, start=2)]
        if stuck:
            await connection.execute(
                text(
                    "INSERT INTO saga_events (saga_id, sequence, correlation_id, type, message, at)"
                    " VALUES (:saga_id, :sequence, :saga_id, :type, '', :at)"
                ),
                stuck,
            )
        await connection.run_sync(recount)

    await database.write(work)


def _saga(told: Told) -> dict[str, Any]:
    return {
        "id": told.id,
        "correlation_id": str(uuid.uuid4()),
        "definition": told.definition,
        "version": 1,
        "subject": "someone",
        "fingerprint": "1:x",
        "status": told.status.value,
        "direction": "FORWARD",
        "phase": "READY",
        "position": 0,
        "attempt": 0,
        "round": 1,
        "uncertain": 0,
        "effects": 0,
        "context": "{}",
        "given_up": 0,
        "replica": told.replica,
        "epoch": 1,
        "sequence": 9,
        "failure_code": "NO" if told.failed_step else None,
        "failure_step": told.failed_step,
        "started_at": told.started_at,
        "updated_at": told.finished_at or told.started_at,
        "finished_at": told.finished_at,
    }


def _steps(told: Told) -> list[dict[str, Any]]:
    return [
        {
            "saga_id": told.id,
            "position": position,
            "name": f"STEP_{position}",
            "status": status.value,
            "attempt": 1,
            "undo_status": undo.value if undo else None,
            "undo_attempt": 0,
        }
        for position, (status, undo) in enumerate(told.steps)
    ]


def _stuck(told: Told, sequence: int, at: int) -> dict[str, Any]:
    return {"saga_id": told.id, "sequence": sequence, "type": EventType.SAGA_STUCK.value, "at": at}


async def since(database: Database, moment: int) -> SagaStatistics:
    async with database.reading() as connection:
        return await saga.statistics(connection, since=moment, at=NIGHT + DAY)


async def buckets(database: Database, first: int, at: int, seconds: int) -> list[SagaBucket]:
    async with database.reading() as connection:
        return await saga.buckets(connection, since=first, at=at, seconds=seconds)


# ---------------------------------------------------------------------- a history made by hand

NOON: Final = NIGHT + 12 * HOUR

HISTORY: Final = (
    # Before noon: only who asks further back sees these end.
    Told(SagaStatus.COMPLETED, NOON - 2 * HOUR, NOON - HOUR, steps=[(DONE, None)] * 7),
    # Began before, and ended after: counts as ended, not as started. It took 70 minutes.
    Told(SagaStatus.COMPLETED, NOON - HOUR, NOON + 10 * MINUTE, steps=[(DONE, None)] * 3, replica=OTHERS),
    Told(SagaStatus.COMPLETED, NOON, NOON + 100_000, steps=[(DONE, None), (SKIPPED, None), (DONE, None)]),
    Told(SagaStatus.COMPLETED, NOON + SECOND, NOON + SECOND + 200_000, definition="OTHER"),
    Told(
        SagaStatus.COMPENSATED,
        NOON + MINUTE,
        NOON + MINUTE + 400_000,
        "STEP_2",
        [(DONE, DONE), (DONE, DONE), (FAILED, DONE)],
        # It was stuck for a while, and is no longer.
        stuck_at=[NOON + MINUTE + 300_000],
    ),
    Told(SagaStatus.COMPENSATED, NOON + MINUTE, NOON + MINUTE + 800_000, "STEP_0", [(FAILED, None), (PENDING, None)]),
    Told(
        SagaStatus.ABANDONED,
        NOON + 2 * MINUTE,
        NOON + 3 * MINUTE,
        "STEP_1",
        [(DONE, SKIPPED), (FAILED, DONE)],
        stuck_at=[NOON + 2 * MINUTE, NOON + 2 * MINUTE + SECOND],
    ),
    # Live, whenever it started.
    Told(SagaStatus.STUCK, NOON - 9 * DAY, None, "STEP_1", [(DONE, STUCK), (FAILED, DONE)], stuck_at=[NOON - 8 * DAY]),
    Told(SagaStatus.STUCK, NOON + MINUTE, None, None, [(DONE, None), (STUCK, None)], stuck_at=[NOON + 2 * MINUTE]),
    Told(SagaStatus.RUNNING, NOON - 3 * DAY, None, None, [(DONE, None), (EXECUTING, None), (PENDING, None)]),
    Told(SagaStatus.RUNNING, NOON + MINUTE, None, None, [(RETRYING, None), (PENDING, None), (PENDING, None)]),
    Told(SagaStatus.PENDING, NOON + MINUTE, None, None, [(PENDING, None)] * 4),
    Told(SagaStatus.PARKED, NOON - 4 * DAY, None, None, [(DONE, None), (PENDING, None)]),
    Told(
        SagaStatus.COMPENSATING,
        NOON - MINUTE,
        None,
        "STEP_4",
        [(DONE, PENDING), (DONE, PENDING), (DONE, EXECUTING), (DONE, RETRYING), (FAILED, DONE), (PENDING, None)],
    ),
)


async def test_what_ended_since_and_what_is_live_is_counted(database: Database) -> None:
    await tell(database, HISTORY)
    found = await since(database, NOON)
    assert found.by_status == {
        SagaStatus.PENDING: 1,
        SagaStatus.RUNNING: 2,
        SagaStatus.WAITING: 0,
        SagaStatus.COMPENSATING: 1,
        SagaStatus.COMPLETED: 3,
        SagaStatus.COMPENSATED: 2,
        SagaStatus.STUCK: 2,
        SagaStatus.PARKED: 1,
        SagaStatus.ABANDONED: 1,
    }
    assert (found.since, found.finished, found.unfinished) == (NOON, 6, 7)
    # Five of those that ended, and three live ones.
    assert found.started == 8
    assert found.got_stuck == 4


async def test_rates_are_shares_of_what_they_say(database: Database) -> None:
    await tell(database, HISTORY)
    found = await since(database, NOON)
    assert found.success_rate == 3 / 6
    # Done: 3 of the compensated, 1 of the abandoned, 1 of the stuck, 1 of the compensating; skipped 1; stuck 1.
    assert found.compensation_success_rate == 6 / 8


async def test_queues_are_those_of_live_sagas_and_what_is_done_also_of_ended_ones(database: Database) -> None:
    await tell(database, HISTORY)
    found = await since(database, NOON)
    assert found.queue == QueueTotals(
        # Of sagas that go forward: 1 and 2 of the running, 4 of the pending, 1 of the parked.
        pending=8,
        executing=2,
        # Ended: 3 + 2 + 1 + 2 + 1. Live: 1 + 1 + 1 + 1 + 4.
        completed=17,
        # Ended: 1 + 1 + 1. Live: 1 + 1.
        failed=5,
        compensations_pending=2,
        compensating=2,
        stuck=2,
    )


async def test_failures_are_counted_by_step_of_ended_and_of_live_sagas(database: Database) -> None:
    await tell(database, HISTORY)
    found = await since(database, NOON)
    assert found.failed_at == {"STEP_0": 1, "STEP_1": 2, "STEP_2": 1, "STEP_4": 1}


async def test_live_sagas_that_failed_at_one_step_are_counted_each(database: Database) -> None:
    steps: list[Step] = [(DONE, PENDING), (FAILED, None)]
    await tell(database, [Told(SagaStatus.COMPENSATING, NOON, None, "STEP_1", steps) for _ in range(3)])
    found = await since(database, NOON)
    assert found.failed_at == {"STEP_1": 3}
    assert (found.by_status[SagaStatus.COMPENSATING], found.unfinished, found.started) == (3, 3, 3)


async def test_a_compensation_that_a_live_saga_skipped_did_not_succeed(database: Database) -> None:
    steps: list[Step] = [(DONE, PENDING), (DONE, SKIPPED), (DONE, DONE), (FAILED, DONE)]
    await tell(database, [Told(SagaStatus.COMPENSATING, NOON, None, "STEP_3", steps)])
    assert (await since(database, NOON)).compensation_success_rate == 2 / 3


async def test_durations_are_those_of_all_that_ended_to_two_in_a_hundred(database: Database) -> None:
    await tell(database, HISTORY)
    found = await since(database, NOON)
    # 100, 200, 400, 800 ms, 1 and 70 minutes: the fourth and the sixth.
    assert found.duration_ms_p50 == pytest.approx(800, rel=ERROR)
    assert found.duration_ms_p95 == pytest.approx(70 * 60_000, rel=ERROR)


async def test_nothing_is_a_share_of_nothing(database: Database) -> None:
    found = await since(database, NOON)
    assert (found.success_rate, found.compensation_success_rate) == (None, None)
    assert (found.duration_ms_p50, found.duration_ms_p95) == (None, None)
    assert (found.started, found.finished, found.unfinished, found.failed_at) == (0, 0, 0, {})


async def test_what_is_live_is_told_by_definition_and_status_with_the_oldest(database: Database) -> None:
    other = Told(SagaStatus.RUNNING, NOON - 5 * DAY, definition="OTHER")
    await tell(database, [*HISTORY, other])
    async with database.reading() as connection:
        found = await saga.live(connection)
    assert sorted(found, key=lambda each: (each.definition, each.status)) == [
        LiveSagas("OTHER", SagaStatus.RUNNING, 1, NOON - 5 * DAY),
        LiveSagas("TOY", SagaStatus.COMPENSATING, 1, NOON - MINUTE),
        LiveSagas("TOY", SagaStatus.PARKED, 1, NOON - 4 * DAY),
        LiveSagas("TOY", SagaStatus.PENDING, 1, NOON + MINUTE),
        LiveSagas("TOY", SagaStatus.RUNNING, 2, NOON - 3 * DAY),
        LiveSagas("TOY", SagaStatus.STUCK, 2, NOON - 9 * DAY),
    ]


async def test_a_status_that_only_a_newer_release_has_is_counted_as_parked(database: Database) -> None:
    await tell(database, HISTORY)

    async def newer(connection: AsyncConnection) -> None:
        row = {"replica": OURS, "lane": 0, "definition": "TOY", "status": "PAUSED", "failed_step": "STEP_9", "sagas": 3}
        steps = {"steps_completed": 1, "steps_failed": 1, "undos_completed": 1, "undos_skipped": 1}
        await connection.execute(insert(saga_counts), {"seconds": 3_600, "starts_at": NOON, **row, **steps})

    before = await since(database, NOON)
    await database.write(newer)
    assert await since(database, NOON) == replace(
        before, unfinished=before.unfinished + 3, by_status=before.by_status | {SagaStatus.PARKED: 4}
    )


async def test_the_moment_is_rounded_down_to_the_minute(database: Database) -> None:
    await tell(database, HISTORY)
    found = await since(database, NOON + MINUTE - 1)
    assert found.since == NOON
    assert found == await since(database, NOON)
    later = await since(database, NOON + MINUTE)
    assert (later.since, later.finished, later.started) == (NOON + MINUTE, 4, 6)


async def test_a_stretch_has_what_ended_and_got_stuck_in_it(database: Database) -> None:
    await tell(database, HISTORY)
    found = await buckets(database, NOON, NOON + 3 * MINUTE, 60)
    assert [(each.starts_at - NOON) // MINUTE for each in found] == [0, 1, 2, 3]
    assert [each.completed for each in found] == [2, 0, 0, 0]
    assert [each.compensated for each in found] == [0, 2, 0, 0]
    assert [each.abandoned for each in found] == [0, 0, 0, 1]
    # Once resumed and stuck again, and once stuck still.
    assert [each.stuck for each in found] == [0, 1, 3, 0]
    assert [found[0].duration_ms_p50, found[0].duration_ms_p95] == [pytest.approx(200, rel=ERROR)] * 2
    assert found[1].duration_ms_p50 == pytest.approx(800, rel=ERROR)
    assert (found[2].duration_ms_p50, found[2].duration_ms_p95) == (None, None)
    assert found[3].duration_ms_p95 == pytest.approx(60_000, rel=ERROR)


@pytest.mark.parametrize(
    ("seconds", "width"),
    [
        (1, 60),
        (60, 60),
        (61, 120),
        (299, 300),
        (300, 300),
        (301, 600),
        (3_599, 3_600),
        (3_601, 7_200),
        (86_400, 86_400),
    ],
)
async def test_a_stretch_is_rounded_up_to_whole_periods(database: Database, seconds: int, width: int) -> None:
    await tell(database, HISTORY)
    found = await buckets(database, NIGHT, NIGHT + DAY - 1, seconds)
    starts = [each.starts_at for each in found]
    assert {later - earlier for earlier, later in pairwise(starts)} <= {width * SECOND}
    assert len(starts) <= 300
    assert starts[-1] <= NIGHT + DAY - 1 < starts[-1] + width * SECOND
    if starts[0] <= NIGHT:
        assert sum(each.completed for each in found) == 4


# ---------------------------------------------------------------------- any history, any moment


async def test_any_moment_of_any_history_is_answered_as_if_every_saga_were_looked_at(database: Database) -> None:
    chance = random.Random(14)
    told = []
    for _ in range(400):
        finished_at = NIGHT + chance.randrange(-3 * DAY, DAY)
        status = chance.choice([SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.ABANDONED])
        failed_step = chance.choice(["STEP_0", "STEP_1"]) if status is not SagaStatus.COMPLETED else None
        duration = round(chance.lognormvariate(14, 2))
        replica = chance.choice([OURS, OTHERS])
        steps: list[Step] = [(DONE, chance.choice([None, DONE, SKIPPED])), (chance.choice([FAILED, DONE]), None)]
        told.append(Told(status, finished_at - duration, finished_at, failed_step, steps, replica=replica))
    await tell(database, told)
    moments = [NIGHT - chance.randrange(4 * DAY) for _ in range(15)]
    moments += [NIGHT, NIGHT - 1, NIGHT - HOUR, NIGHT - 5 * MINUTE, NIGHT - MINUTE, NIGHT - 61 * MINUTE, 0]
    for moment in moments:
        found, begin = await since(database, moment), moment - moment % MINUTE
        over = [each for each in told if each.finished_at is not None and each.finished_at >= begin]
        assert found.finished == len(over)
        assert found.started == sum(each.started_at >= begin for each in told)
        assert Counter(found.by_status) == Counter(each.status for each in over)
        assert found.failed_at == Counter(each.failed_step for each in over if each.failed_step)
        ran = Counter(step for each in over for step, _ in each.steps)
        assert (found.queue.completed, found.queue.failed) == (ran[DONE], ran[FAILED])
        undos = Counter(undo for each in over for _, undo in each.steps)
        tried = undos[DONE] + undos[SKIPPED]
        assert found.compensation_success_rate == (undos[DONE] / tried if tried else None)
        durations = sorted((each.finished_at or 0) - each.started_at for each in over)
        for share, quantile in ((0.5, found.duration_ms_p50), (0.95, found.duration_ms_p95)):
            assert quantile == pytest.approx(durations[int(share * len(durations))] / 1_000, rel=ERROR)


def test_sketches_tell_every_quantile_to_two_in_a_hundred_and_add_up() -> None:
    chance = random.Random(2)
    durations = [1_000 + round(chance.lognormvariate(13, 3)) for _ in range(2_000)]
    half = sketch_of(durations[:1_000])
    merged = unpack(pack(half)) + unpack(pack(sketch_of(durations[1_000:])))
    shares = [number / 100 for number in range(101)]
    ordered = sorted(durations)
    for share, told in zip(shares, quantiles(merged, shares), strict=True):
        assert told == pytest.approx(ordered[min(1_999, int(share * 2_000))] / 1_000, rel=ERROR + 1e-9)


def test_a_sketch_counts_each_duration_once_in_its_slot_of_32_bits() -> None:
    assert sketch_of([-5, 0, 500, 1_000]) == 4
    assert sketch_of([1_001, 1_040]) == 2 << 32
    assert sketch_of([1_000, 1_050]) == 1 + (1 << 64)
    assert [len(pack(sketch)) for sketch in (1, (1 << 32) - 1, 1 << 32)] == [4, 4, 8]


def test_a_sketch_takes_any_duration() -> None:
    assert quantiles(0, (0.5,)) == [None]
    for duration in (-5, 0, 1, 999, 1_000):
        assert quantiles(sketch_of([duration]), (0.0, 1.0)) == [pytest.approx(1, rel=ERROR + 1e-9)] * 2
    assert quantiles(sketch_of([10**18]), (0.5,)) != [None]
    assert len(pack(sketch_of([10**18]))) <= 4_004


# ---------------------------------------------------------------------- counted as it happens


async def kept(database: Database) -> tuple[dict[Any, tuple[int, ...]], dict[Any, int]]:
    """What is counted, and the sketches, by what they are about: over all lanes of a replica."""
    counts: dict[Any, tuple[int, ...]] = {}
    sketches: Counter[Any] = Counter()
    async with database.reading() as connection:
        for row in await connection.execute(select(saga_counts)):
            key = (row.seconds, row.starts_at, row.replica, row.definition, row.status, row.failed_step)
            values = tuple(map(int, row[-5:]))
            counts[key] = tuple(map(sum, zip(counts.get(key, (0,) * 5), values, strict=True)))
        for row in await connection.execute(select(saga_durations)):
            sketches[row.seconds, row.starts_at, row.replica] += unpack(row.sketch)
    return counts, dict(sketches)


async def recounted(database: Database) -> tuple[dict[Any, tuple[int, ...]], dict[Any, int]]:
    async def work(connection: AsyncConnection) -> None:
        await connection.execute(saga_counts.delete())
        await connection.execute(saga_durations.delete())
        await connection.run_sync(recount)

    await database.write(work)
    return await kept(database)


async def test_what_is_counted_as_sagas_end_is_what_their_rows_and_logs_tell(
    engine: SagaEngine, toys: Toys, provider: Provider, clock: ManualClock
) -> None:
    kinds = [
        Simulation(),
        Simulation(fail_at=("RESERVE",)),
        Simulation(fail_at=("PAY",)),
        Simulation(fail_at=("CONFIRM",)),
        Simulation(fail_at=("AWARD",), fail_compensation_at=("UNPAY",)),
    ]
    provider.script("REFUND", *[Unknown("NO_ANSWER", "Nobody answered.")] * 9)
    begun = [await start(engine, toys.definition, kind) for kind in kinds for _ in range(3)]
    forward = await start(engine, toys.forward)
    for started in begun[:12]:
        await ended(engine, started)
    clock.advance(7 * 60)
    for started in begun[12:]:
        await reached(engine, started, "STUCK")
    await reached(engine, forward, "STUCK")
    await engine.skip(begun[12].correlation_id, "PAY", "given up", operator("grace"))
    await engine.retry(begun[13].correlation_id, operator("grace"))
    for started in begun[12:14]:
        await ended(engine, started)
    found = await kept(engine.database)
    assert found == await recounted(engine.database)
    statuses = {key[4] for key in found[0]}
    assert statuses == {"PENDING", "COMPLETED", "COMPENSATED", "ABANDONED", "STUCK"}


async def test_a_saga_that_stays_stuck_counts_once_also_if_an_operator_had_it_retried(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    provider.script("REFUND", *[Refused("NO", "No.")] * FAST_UNDO.refusals_max)
    provider.script("REFUND", *[Unknown("NO_ANSWER", "Nobody answered.")] * 99)
    started = await start(engine, toys.forward)
    await reached(engine, started, "STUCK")

    async def hurry(connection: AsyncConnection) -> None:
        await connection.execute(update(sagas).values(due_at=0))

    async def tried_again(times: int) -> bool:
        kinds = [event.type for event in await history(engine, started)]
        return kinds[kinds.index(EventType.SAGA_STUCK) :].count(EventType.STEP_RETRYING) == times

    await engine.database.write(hurry)
    engine.runner.wake(started.saga_id)
    await eventually(partial(tried_again, 1))
    await engine.retry(started.correlation_id, operator("grace"))
    await eventually(partial(tried_again, 2))
    found = await since(engine.database, 0)
    assert (found.got_stuck, found.by_status[SagaStatus.STUCK], found.success_rate) == (1, 1, None)


async def eventually_called(provider: Provider, operation: str, times: int) -> None:
    await eventually(lambda: len(provider.keys(operation)) >= times)


async def test_a_turn_that_ends_nothing_counts_nothing_and_one_that_does_needs_few_statements(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    gate = provider.hold("PAY")
    with statements(writes(engine.database), of="saga_counts|saga_durations") as asked:
        started = await start(engine, toys.definition)
        await eventually_called(provider, "PAY", 1)
        assert asked == []
        gate.set()
        await ended(engine, started)
    # On SQLite rows go in statements of 1, 2, 4, ... rows: 8 at most here, of each table 4.
    assert 3 <= len(asked) <= 5


def one_that_ended(toys: Toys, started_at: int, at: int) -> Run:
    """A saga of four steps that went forward; the third was skipped."""
    request = StartRequest(toys.definition, str(uuid.uuid4()), "someone", "1:x", ToyContext(), (), None)
    found = _new_run(request, started_at)
    found.status, found.finished_at, found.effects = SagaStatus.COMPLETED, at, 0b1011
    return found


async def test_turns_add_up_in_every_period(database: Database, toys: Toys) -> None:
    """Also where periods of all lengths begin at the same moment."""
    moments = {NIGHT: 1, NIGHT + SECOND: 3, NIGHT + 61 * SECOND: 5, NIGHT + 6 * MINUTE: 7, NIGHT + 2 * HOUR: 9}
    for at, seconds in moments.items():
        run = one_that_ended(toys, at - seconds * SECOND, at)
        await database.write(partial(count, replica_id=OURS, lane=0, at=at, runs=[run]))
    found = await since(database, NIGHT)
    assert (found.finished, found.started, found.queue.completed) == (5, 3, 15)
    assert found.duration_ms_p50 == pytest.approx(5_000, rel=ERROR)
    for width, halves in ((60, {0: 3, 1: 5, 6: 7, 120: 9}), (300, {0: 3, 1: 7, 24: 9}), (3_600, {0: 5, 2: 9})):
        stretches = await buckets(database, NIGHT, NIGHT + 2 * HOUR, width)
        for number, seconds in halves.items():
            assert stretches[number].duration_ms_p50 == pytest.approx(seconds * 1_000, rel=ERROR)
        assert sum(each.completed for each in stretches) == 5


async def test_replicas_and_lanes_measure_in_rows_of_their_own(database: Database, toys: Toys) -> None:
    turns = [(OURS, 0, 1), (OURS, 1, 3), (OTHERS, 0, 5), (OURS, 0, 7), (OTHERS, 0, 9), (OURS, 1, 11)]
    for replica, lane, seconds in turns:
        run = one_that_ended(toys, NOON - seconds * SECOND, NOON)
        await database.write(partial(count, replica_id=replica, lane=lane, at=NOON, runs=[run]))
    async with database.reading() as connection:
        rows = (await connection.execute(select(saga_durations).where(saga_durations.c.seconds == 60))).all()
    assert {(row.replica, row.lane): unpack(row.sketch) for row in rows} == {
        (OURS, 0): sketch_of([SECOND, 7 * SECOND]),
        (OURS, 1): sketch_of([3 * SECOND, 11 * SECOND]),
        (OTHERS, 0): sketch_of([5 * SECOND, 9 * SECOND]),
    }


@pytest.mark.parametrize("backend", ["postgresql"])
async def test_turns_at_the_same_time_wait_for_no_row_of_each_other(database: Database, toys: Toys) -> None:
    """Two transactions of one replica count into one minute; the first is held open meanwhile."""
    at = NOON

    async def first(connection: AsyncConnection) -> None:
        await count(connection, OURS, 0, at, [one_that_ended(toys, at, at)])

        async def second(beside: AsyncConnection) -> None:
            await count(beside, OURS, 1, at, [one_that_ended(toys, at, at)] * 2)

        async with asyncio.timeout(20):
            await database.write(second)

    await database.write(first)
    assert (await since(database, at)).finished == 3


# ---------------------------------------------------------------------- what a release before has ended


async def test_what_a_replica_that_does_not_count_has_ended_is_counted_once_it_is_gone(
    engine: SagaEngine, toys: Toys
) -> None:
    database = engine.database
    for _ in range(3):
        await ended(engine, await start(engine, toys.definition))
    told = await kept(database)

    async def as_if_before(connection: AsyncConnection) -> None:
        """Its sagas belong to a replica of the release before, which is alive yet."""
        old = {"id": OTHERS, "host": "there", "process_id": 1, "started_at": 0, "lease_until": NIGHT + 999_999 * DAY}
        await connection.execute(insert(replicas).values(old))
        await connection.execute(update(sagas).values(replica=OTHERS))
        await connection.execute(saga_counts.delete())
        await connection.execute(saga_durations.delete())

    await database.write(as_if_before)
    await engine.runner.recover_and_announce()
    assert await kept(database) == ({}, {})
    await database.write(
        lambda connection: connection.execute(update(replicas).where(replicas.c.id == OTHERS).values(lease_until=1))
    )
    await engine.runner.recover_and_announce()
    counts, sketches = told
    assert await kept(database) == (of_others(counts), of_others(sketches))
    # Once, and without harm to what is counted by those who do.
    await ended(engine, await start(engine, toys.definition))
    both = await kept(database)
    assert await database.write(lambda connection: count_for_the_gone(connection, NIGHT + 999_999 * DAY)) == 0
    assert await kept(database) == both
    assert both == await recounted(database)


async def test_what_was_counted_until_a_moment_and_what_ended_from_it_on_add_up_to_all(database: Database) -> None:
    """Also where sagas ended, and got stuck, at that very moment; and once another replica's lane is there."""
    moment = NOON + 2 * MINUTE
    at_the_moment = [
        Told(SagaStatus.COMPLETED, NOON, moment, steps=[(DONE, None), (DONE, None)]),
        Told(SagaStatus.COMPLETED, NOON + MINUTE, moment - 1),
        # It got stuck before and at the moment, and ended after.
        Told(
            SagaStatus.ABANDONED, NOON, moment + SECOND, "STEP_0", [(DONE, SKIPPED)], stuck_at=[NOON + MINUTE, moment]
        ),
    ]
    ended_ones = [each for each in HISTORY if each.finished_at is not None]
    await tell(database, [*ended_ones, *at_the_moment])
    whole = await kept(database)

    async def until_the_moment(connection: AsyncConnection) -> None:
        await connection.execute(saga_counts.delete())
        await connection.execute(saga_durations.delete())
        await connection.run_sync(partial(recount, until=moment))
        row = {"host": "there", "process_id": 1, "started_at": 0, "counted_until": moment}
        ours = {"id": OURS, "lease_until": NOON, **row}
        others = {"id": OTHERS, "lease_until": NOON + DAY, **row}
        await connection.execute(insert(replicas), [ours, others])

    await database.write(until_the_moment)
    # One that was told above, and five of the history.
    assert (await since(database, NIGHT)).finished == 1 + 5
    # A lease that ends now has not lapsed yet.
    assert await database.write(lambda connection: count_for_the_gone(connection, NOON)) == 0
    assert await database.write(lambda connection: count_for_the_gone(connection, NOON + 1)) == 1
    # All but the one that the other replica ended since.
    assert (await since(database, NIGHT)).finished == len(at_the_moment) + len(ended_ones) - 1
    assert await database.write(lambda connection: count_for_the_gone(connection, NOON + 2 * DAY)) == 1
    assert await kept(database) == whole


async def test_what_a_replica_has_ended_is_not_counted_while_a_saga_of_its_own_is_live(database: Database) -> None:
    await tell(database, [HISTORY[0], Told(SagaStatus.RUNNING, NOON)])

    async def as_if_before(connection: AsyncConnection) -> None:
        old = {"id": OURS, "host": "there", "process_id": 1, "started_at": 0, "lease_until": 1}
        await connection.execute(insert(replicas).values(old))
        await connection.execute(saga_counts.delete())

    await database.write(as_if_before)
    assert await database.write(lambda connection: count_for_the_gone(connection, NOON)) == 0
    assert (await kept(database))[0] == {}


@pytest.mark.parametrize("rows", [1, 3])
async def test_durations_are_counted_anew_page_by_page(
    database: Database, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where more sagas end at one moment than a page has."""
    at_once = [Told(SagaStatus.COMPLETED, NOON - number * SECOND, NOON) for number in range(1, 9)]
    await tell(database, [*HISTORY, *at_once])
    whole = await kept(database)
    monkeypatch.setattr(counting, "_ROWS_READ", rows)
    monkeypatch.setattr(counting, "_ROWS_WRITTEN", rows)
    assert await recounted(database) == whole


def of_others(counted: dict[Any, Any]) -> dict[Any, Any]:
    return {(*key[:2], OTHERS, *key[3:]): value for key, value in counted.items()}


# ---------------------------------------------------------------------- plans

HISTORY_SAGAS: Final = 3_000


async def test_an_answer_reads_neither_sagas_that_are_over_nor_periods_that_were_not_asked_about(
    database: Database,
) -> None:
    chance = random.Random(5)
    told = [
        Told(SagaStatus.COMPLETED, moment, moment + SECOND)
        for moment in (NIGHT - chance.randrange(300 * DAY) for _ in range(HISTORY_SAGAS))
    ]
    await tell(database, [*told, *HISTORY])
    await database.write(lambda connection: connection.execute(text("ANALYZE")))
    with executed(reads(database), of="^SELECT") as asked:
        await since(database, NIGHT)
        await buckets(database, NIGHT, NIGHT + DAY, 300)
    assert len(asked) == 6
    plans = [line for statement, parameters in asked for line in await plan(database, statement, parameters)]
    for table in ("sagas", "saga_steps", "saga_counts", "saga_durations"):
        read = [line for line in plans if re.search(rf"\b(on|SCAN|SEARCH) {table}\b", line)]
        assert read, plans
        assert not [line for line in read if "Seq Scan" in line or re.search(r"SCAN \w+$", line)], plans


# ---------------------------------------------------------------------- what doctor asks


async def verdict(database: Database) -> list[str]:
    async with database.reading() as connection:
        (found,) = [finding for finding in await check_sagas(connection) if finding.check == "statistics"]
    return [f"{violation.subject}: {violation.detail}" for violation in found.violations]


async def test_the_doctor_compares_what_is_counted_with_what_is_over(database: Database) -> None:
    await tell(database, HISTORY)
    assert await verdict(database) == []

    async def forget(connection: AsyncConnection) -> None:
        await connection.execute(update(sagas).where(sagas.c.definition == "OTHER").values(status="COMPENSATED"))

    await database.write(forget)
    assert await verdict(database) == [
        f"replica {OURS}: OTHER COMPENSATED: 1 sagas of its own are over, 0 are counted",
        f"replica {OURS}: OTHER COMPLETED: 0 sagas of its own are over, 1 are counted",
    ]
    await database.write(lambda connection: connection.run_sync(recount))
    await database.write(
        lambda connection: connection.execute(
            update(saga_counts).where(saga_counts.c.seconds == 86_400, saga_counts.c.replica == OTHERS).values(sagas=9)
        )
    )
    assert await verdict(database) == [
        f"replica {OTHERS}: TOY COMPLETED: minutes, hours and days do not agree",
        f"replica {OTHERS}: TOY PENDING: minutes, hours and days do not agree",
    ]


async def test_the_doctor_leaves_out_what_a_release_before_has_not_counted_yet(database: Database) -> None:
    await tell(database, HISTORY)

    async def as_if_before(connection: AsyncConnection) -> None:
        old = {"id": OTHERS, "host": "there", "process_id": 1, "started_at": 0, "lease_until": 1}
        await connection.execute(insert(replicas).values(old))
        await connection.execute(saga_counts.delete().where(saga_counts.c.replica == OTHERS))

    await database.write(as_if_before)
    assert await verdict(database) == []
    await database.write(lambda connection: count_for_the_gone(connection, NOON))
    assert await verdict(database) == []
    await database.write(lambda connection: connection.execute(saga_counts.delete()))
    assert len(await verdict(database)) == 9


# ---------------------------------------------------------------------- what the migration counts


async def test_the_migration_counts_what_is_there(database: Database, database_url: str) -> None:
    """But for what a replica that serves meanwhile may just be ending: that is counted once it is gone."""
    now = wall_now()
    late = Told(SagaStatus.COMPLETED, now - 50 * MINUTE, now - 10 * MINUTE, replica=OTHERS)
    await tell(database, HISTORY)
    early = await kept(database)
    await tell(database, [late])
    all_of_it = await kept(database)
    alive = {"id": OTHERS, "host": "there", "process_id": 1, "started_at": 0, "lease_until": NIGHT + 999_999 * DAY}
    gone = alive | {"id": OURS, "lease_until": 1}
    await database.write(lambda connection: connection.execute(insert(replicas), [alive, gone]))
    await database.close()
    await downgrade(database_url, "0008")
    await upgrade(database_url)
    migrated = Database(database_url)
    # Nobody else is there on SQLite.
    assert await kept(migrated) == (all_of_it if database.dialect == "sqlite" else early)
    # OURS has a stuck saga that another replica takes over first.
    await migrated.write(lambda connection: connection.execute(update(sagas).values(replica=NOBODY).where(_is_live)))
    await migrated.write(lambda connection: count_for_the_gone(connection, NIGHT + 1_999_999 * DAY))
    assert await kept(migrated) == all_of_it
    await migrated.close()


_is_live: Final = sagas.c.finished_at.is_(None)
