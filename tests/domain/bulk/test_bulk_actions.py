"""What an operator asks of many sagas is done to each of them once, at the pace set, and is on the record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bulk import (
    BulkAction,
    BulkActionEnded,
    BulkActionKind,
    BulkActions,
    BulkActionStarted,
    BulkActionStatus,
    BulkMatched,
    BulkRefused,
    UnknownBulkAction,
    passed_over_of,
    records,
    statuses_of,
)
from domain.bulk.service import TAKEN_SECONDS, follow_seconds
from domain.ids import new_id
from domain.saga import SagaEngine, SagaQuery, SagaStatus
from domain.saga.tables import NOBODY
from domain.storage import Database, Id
from tests.domain.bulk.office import GRACE, STUCK, Office
from tests.domain.saga.toy import ended, pause, reached, start
from tests.support.asking import operator

pytestmark = pytest.mark.asyncio


# ---------------------------------------------------------------------- the start


async def test_a_dry_run_counts_and_starts_nothing(office: Office) -> None:
    await office.stuck(3)

    assert await office.ask(is_dry_run=True) == BulkMatched(3)
    assert await office.entries() == []


async def test_a_start_writes_the_action_its_sagas_and_the_record(office: Office) -> None:
    await office.stuck(3)
    action = await office.begun(expected=3)

    assert (action.status, action.matched, action.done, action.pending) == (BulkActionStatus.RUNNING, 3, 0, 3)
    (entry,) = await office.entries()
    assert (entry.kind, entry.bulk_action_id, entry.by, entry.request_id) == (
        "BULK_START",
        action.id,
        GRACE.by,
        "request-7",
    )
    assert entry.reason == "The provider is back."
    assert entry.before == 'matched by {"status": ["STUCK"]}: 3'
    assert entry.after == "RETRY, at most 10 a second"


async def test_an_action_without_sagas_is_none(office: Office) -> None:
    assert await office.ask() == BulkMatched(0)
    assert await office.ask(query=None) == BulkMatched(0)
    assert await office.entries() == []


async def test_the_sagas_are_looked_for_before_anything_is_written(office: Office, backend: str) -> None:
    """A filter that no index answers takes long in a large database, and SQLite's one writer is the bookings'."""
    if backend == "postgresql":
        pytest.skip("PostgreSQL has as many writers as come")
    other = Database(office.engine.database.url)
    async with asyncio.timeout(20), other.writing():
        assert await office.ask() == BulkMatched(0)
        assert isinstance(await office.ask(expected=1), BulkRefused)
    await other.close()


async def test_sagas_that_several_statements_write_are_each_there_once(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "TARGETS_AT_ONCE", 2)
    sagas = await office.stuck(5)
    action = await office.finished(await office.begun(expected=5))

    assert (action.matched, action.done) == (5, 5)
    for each in sagas:
        assert len(await office.entries(saga_id=each.saga_id)) == 1


async def test_a_start_that_is_repeated_with_its_key_returns_the_action_whatever_has_happened_since(
    office: Office,
) -> None:
    """A client whose answer was lost sends it again: also once no saga matches, or more do."""
    await office.stuck(2)
    key = new_id()
    first = await office.begun(key=key, expected=2)
    assert await office.ask(key=key, expected=2) == first
    await office.finished(first)
    for each in await office.stuck(1):
        assert each
    again = await office.ask(key=key, expected=2)
    assert isinstance(again, BulkAction)
    assert (again.id, again.status) == (first.id, BulkActionStatus.DONE)
    assert len([entry for entry in await office.entries() if entry.kind == "BULK_START"]) == 1
    assert (await office.begun(key=new_id())).id != first.id


async def test_a_key_that_began_another_action_or_another_operators_starts_nothing(office: Office) -> None:
    await office.stuck(1)
    key = new_id()
    await office.begun(key=key)
    differing: list[dict[str, Any]] = [
        {"kind": BulkActionKind.CANCEL},
        {"reason": "Another."},
        {"sagas_per_second": 9},
        {"filter": '{"status": ["STUCK"], "stuckAt": "PAY"}'},
        {"by": operator("linus")},
    ]
    for each in differing:
        refused = await office.ask(**{"key": key, **each})
        assert isinstance(refused, BulkRefused), each
        assert (refused.path, refused.code) == (("idempotencyKey",), "IDEMPOTENCY_KEY_REUSED")
    assert isinstance(await office.ask(key=key, is_dry_run=True), BulkMatched)


async def test_two_starts_with_one_key_at_the_same_time_are_one(office: Office) -> None:
    await office.stuck(1)
    key = new_id()
    first, second = await asyncio.gather(office.begun(key=key), office.begun(key=key))
    assert first.id == second.id


async def test_a_different_number_than_expected_starts_nothing(office: Office) -> None:
    await office.stuck(2)

    for is_dry_run in (False, True):
        refused = await office.ask(expected=3, is_dry_run=is_dry_run)
        assert isinstance(refused, BulkRefused)
        assert (refused.path, refused.matched) == (("expected",), 2)
    assert await office.entries() == []
    assert isinstance(await office.begun(expected=2), BulkAction)


async def test_too_many_sagas_start_nothing(office: Office) -> None:
    bulk = BulkActions(office.engine, sagas_max=1)
    office.bulk, more = bulk, await office.stuck(2)
    assert len(more) == 2

    refused = await office.ask()

    assert isinstance(refused, BulkRefused)
    assert refused.path == ("filter",)
    assert "More than 1 sagas match" in refused.message


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "one\ntwo"}, "reason"),
        ({"kind": BulkActionKind.SKIP}, "step"),
        ({"step": "PAY"}, "step"),
        ({"sagas_per_second": 0}, "sagasPerSecond"),
        ({"sagas_per_second": 1_001}, "sagasPerSecond"),
        ({"query": SagaQuery()}, "filter"),
        ({"query": SagaQuery(statuses=[], label=[])}, "filter"),
    ],
)
async def test_what_is_asked_for_wrongly_is_refused_by_its_place(
    office: Office, changes: dict[str, object], path: str
) -> None:
    refused = await office.ask(**{"kind": BulkActionKind.RETRY, **changes})  # type: ignore[arg-type]

    assert isinstance(refused, BulkRefused)
    assert refused.path == (path,)


# ---------------------------------------------------------------------- each kind


async def test_a_retry_resumes_each_stuck_saga_in_the_operators_name(office: Office) -> None:
    sagas = await office.stuck(3)
    action = await office.finished(await office.begun())

    assert (action.status, action.done, action.passed_over) == (BulkActionStatus.DONE, 3, 0)
    for each in sagas:
        assert (await ended(office.engine, each)).status is SagaStatus.COMPENSATED
        (entry,) = await office.entries(saga_id=each.saga_id)
        assert (entry.kind, entry.bulk_action_id, entry.by) == ("RETRY_SAGA", action.id, GRACE.by)
        assert (entry.reason, entry.request_id) == ("The provider is back.", "request-7")
    async with office.engine.database.reading() as connection:
        assert await statuses_of(connection, [action.id]) == {action.id: {SagaStatus.COMPENSATED: 3}}


async def test_a_skip_gives_up_what_is_stuck_at_the_step_and_passes_over_the_rest(office: Office) -> None:
    sagas = await office.stuck(2)
    action = await office.finished(await office.begun(BulkActionKind.SKIP, step="PAY", reason="Voided by hand."))

    assert (action.done, action.passed_over) == (2, 0)
    for each in sagas:
        assert (await ended(office.engine, each)).status is SagaStatus.ABANDONED

    sagas = await office.stuck(2)
    action = await office.finished(await office.begun(BulkActionKind.SKIP, step="RESERVE"))
    assert (action.done, action.passed_over) == (0, 2)
    async with office.engine.database.reading() as connection:
        (why,) = (await passed_over_of(connection, [action.id]))[action.id]
    assert (why.why, why.sagas) == ("The saga is stuck at PAY, not at RESERVE.", 2)


async def test_a_saga_whose_cause_has_changed_since_the_start_is_passed_over(office: Office) -> None:
    # What was counted and given a reason was not this.
    same, other = await office.stuck(2)
    query = SagaQuery(statuses=[SagaStatus.STUCK], stuck_at="PAY", stuck_with=["SIMULATED"])
    action = await office.begun(BulkActionKind.SKIP, step="PAY", query=query, reason="Voided by hand.")
    changed = text("UPDATE saga_steps SET undo_failure_code = 'AWAY' WHERE saga_id = :saga AND undo_status = 'STUCK'")
    changed = changed.bindparams(bindparam("saga", other.saga_id, type_=Id))
    await office.engine.database.write(lambda connection: connection.execute(changed))

    action = await office.finished(action)

    assert (action.matched, action.done, action.passed_over) == (2, 1, 1)
    assert (await ended(office.engine, same)).status is SagaStatus.ABANDONED
    assert (await reached(office.engine, other, SagaStatus.STUCK)).status is SagaStatus.STUCK
    async with office.engine.database.reading() as connection:
        (why,) = (await passed_over_of(connection, [action.id]))[action.id]
    assert (why.why, why.sagas) == ("The saga does not match the filter any more.", 1)


async def test_a_cancel_passes_over_sagas_that_finish_meanwhile(office: Office) -> None:
    gate = office.provider.hold("PAY")
    sagas = [await start(office.engine, office.toys.definition) for _ in range(3)]
    for each in sagas:
        await reached(office.engine, each, SagaStatus.RUNNING)
    action = await office.begun(BulkActionKind.CANCEL, query=SagaQuery(statuses=[SagaStatus.RUNNING]))
    assert action.matched == 3
    gate.set()
    for each in sagas:
        await ended(office.engine, each)

    action = await office.finished(action)

    assert (action.done, action.passed_over) == (0, 3)


async def test_a_cancel_undoes_each_running_saga(office: Office) -> None:
    gate = office.provider.hold("PAY")
    sagas = [await start(office.engine, office.toys.definition) for _ in range(3)]
    for each in sagas:
        await reached(office.engine, each, SagaStatus.RUNNING)
    action = await office.finished(
        await office.begun(BulkActionKind.CANCEL, query=SagaQuery(statuses=[SagaStatus.RUNNING]))
    )
    gate.set()

    assert action.done == 3
    for each in sagas:
        assert (await ended(office.engine, each)).status is SagaStatus.COMPENSATED


# ---------------------------------------------------------------------- pace, stop, end


async def test_the_pace_is_kept_and_what_was_missed_is_not_made_up_for(office: Office) -> None:
    await office.stuck(12)
    async with office.still() as (bulk, clock):
        office.bulk = bulk
        action = await office.begun(sagas_per_second=8)

        async def done_after(seconds: float) -> int:
            clock.advance(seconds)
            # Another look at the same moment changes nothing.
            for _ in range(3):
                await bulk.turn()
            return (await office.now(action)).done

        assert await done_after(0) == 2
        assert await done_after(0.2) == 2
        assert await done_after(0.05) == 4
        # A turn that is late by less than the distance of two does not slow the pace.
        assert await done_after(0.3) == 6
        assert await done_after(0.2) == 8
        # An outage of an hour is followed by one turn and not by a burst; then the pace goes on from there.
        assert await done_after(3_600) == 10
        assert await done_after(0.25) == 12


@pytest.mark.parametrize(
    ("kind", "step", "expected"),
    [
        # Eight at first, then one a second while sagas stand in line, then twice as many each time.
        (BulkActionKind.RETRY, None, [8, 9, 9, 10, 12, 16, 20]),
        # A skip calls no provider.
        (BulkActionKind.SKIP, "PAY", [20] * 7),
    ],
)
async def test_customers_who_stand_in_line_for_the_provider_go_first(
    office: Office, kind: BulkActionKind, step: str | None, expected: list[int]
) -> None:
    await office.stuck(20)
    line: list[str] = []
    async with office.still(lambda: bool(line)) as (bulk, clock):
        office.bulk = bulk
        action = await office.begun(kind, step=step, sagas_per_second=100)
        found = []
        for seconds, waits in ((0, 0), (0.25, 1), (0.75, 1), (0.25, 1), (1, 0), (0.25, 0), (0.25, 0)):
            line[:] = ["a customer"] * waits
            clock.advance(seconds)
            await bulk.turn()
            found.append((await office.now(action)).done)

    assert found == expected


async def test_a_clock_that_was_ahead_stops_nothing(office: Office) -> None:
    await office.stuck(2)
    async with office.still() as (bulk, clock):
        office.bulk = bulk
        clock.advance(86_400)
        action = await office.begun(sagas_per_second=1)
        await bulk.turn()
        clock.advance(-86_400)
        await bulk.turn()

        assert (await office.now(action)).done == 2


async def test_a_stop_leaves_the_rest_and_is_on_the_record_once(office: Office) -> None:
    await office.stuck(3)
    action = await office.begun(sagas_per_second=1)
    await office.bulk.turn()

    stopped = await office.bulk.end(action.id, GRACE)

    assert isinstance(stopped, BulkAction)
    assert (stopped.status, stopped.done) == (BulkActionStatus.STOPPED, 1)
    assert await office.bulk.end(action.id, GRACE) == stopped
    assert await office.finished(action) == stopped
    begun, _, stop = await office.entries(subject="grace")
    assert (begun.kind, stop.kind, stop.bulk_action_id) == ("BULK_START", "BULK_STOP", action.id)
    assert (stop.before, stop.after) == (
        "RUNNING: 1 done, 0 passed over, of 3",
        "STOPPED: 1 done, 0 passed over, of 3",
    )
    unknown = new_id()
    assert await office.bulk.end(unknown, GRACE) == UnknownBulkAction(unknown)


async def test_its_start_and_its_end_are_told(office: Office) -> None:
    told: list[object] = []
    office.engine.telemetry.attach(told.append)
    await office.stuck(1)
    action = await office.begun()
    done = await office.finished(action)

    assert [each for each in told if isinstance(each, BulkActionStarted | BulkActionEnded)] == [
        BulkActionStarted(action),
        BulkActionEnded(done),
    ]


async def test_it_runs_by_itself_and_can_be_followed_to_its_end(office: Office, engine: SagaEngine) -> None:
    await office.stuck(2)
    office.bulk.start()
    action = await office.begun()
    async with asyncio.timeout(20):
        frames = [each async for each in office.bulk.follow(action.id)]

    assert frames[-1].status is BulkActionStatus.DONE
    assert len({(each.done, each.status) for each in frames}) == len(frames)
    assert [each async for each in office.bulk.follow(new_id())] == []


async def test_an_action_on_many_sagas_is_looked_at_seldom() -> None:
    """Each look reads the status of all of them: 0.4 s for 90,000 on a busy machine."""
    assert (follow_seconds(1), follow_seconds(10_000), follow_seconds(100_000)) == (0.5, 0.5, 5.0)


# ---------------------------------------------------------------------- one bad saga, two replicas


async def test_two_replicas_do_each_saga_once(office: Office) -> None:
    sagas = await office.stuck(5)
    other = BulkActions(office.engine)
    action = await office.finished(await office.begun(sagas_per_second=4, query=STUCK), other)

    assert action.done == 5
    for each in sagas:
        assert len(await office.entries(saga_id=each.saga_id)) == 1


async def test_a_replica_rests_while_another_one_takes_the_turn(office: Office, backend: str) -> None:
    """Another one may have stopped in the middle of its turn; then its lock stays until its connection is closed."""
    if backend == "sqlite":
        pytest.skip("SQLite has one writer, so no row is locked")
    await office.stuck(1)
    action = await office.begun()
    async with office.engine.database.writing() as connection:
        await connection.execute(text("SELECT 1 FROM bulk_actions WHERE id = :id FOR UPDATE"), {"id": action.id})
        await office.bulk.turn()
        assert office.bulk.pause_seconds == TAKEN_SECONDS
    assert (await office.finished(action)).done == 1


async def test_a_saga_that_cannot_be_read_is_passed_over_alone(office: Office) -> None:
    sagas = await office.stuck(5)
    await office.engine.database.write(
        lambda connection: connection.execute(
            text("DELETE FROM saga_steps WHERE saga_id = :saga"), {"saga": sagas[2].saga_id}
        )
    )
    action = await office.finished(await office.begun(BulkActionKind.SKIP, step="PAY"))

    assert (action.status, action.done, action.passed_over) == (BulkActionStatus.DONE, 4, 1)
    async with office.engine.database.reading() as connection:
        (why,) = (await passed_over_of(connection, [action.id]))[action.id]
    assert (why.why, why.sagas) == ("Its signal failed: KeyError.", 1)
    assert await office.entries(saga_id=sagas[2].saga_id) == []


async def test_a_saga_that_only_another_release_knows_keeps_its_turn_for_it(office: Office) -> None:
    """While a replica of another release is alive; once none is, nobody will come for the saga."""
    sagas = await office.stuck(3)
    engine = office.engine
    parked = "UPDATE sagas SET status = 'PARKED', parked_from = 'STUCK', replica = :nobody, parked_at = 1"

    async def park(connection: AsyncConnection) -> None:
        pause(engine)
        await connection.execute(text(parked), {"nobody": NOBODY})
        await connection.execute(text("UPDATE sagas SET version = 2 WHERE id <> :id"), {"id": sagas[2].saga_id})

    await engine.database.write(park)
    newer = replace(office.toys.definition, version=2)
    database = Database(engine.database.url, clock=engine.database.clock)
    other = SagaEngine(database, [office.toys.definition, newer], release="next", lease_seconds=600)
    await other.open()
    pause(other)
    query = SagaQuery(statuses=[SagaStatus.PARKED])
    action = await office.begun(BulkActionKind.UNPARK, query=query, sagas_per_second=1)
    await office.turns(10)
    meanwhile = await office.now(action)
    assert (meanwhile.status, meanwhile.done, meanwhile.passed_over) == (BulkActionStatus.RUNNING, 1, 0)

    there = BulkActions(other)
    while (found := await office.now(action)).done < 2:
        await there.turn()
        await office.turns(1)
    assert found.passed_over == 0

    await other.close()
    await database.close()
    left = await office.finished(action)
    assert (left.done, left.passed_over) == (2, 1)
    async with engine.database.reading() as connection:
        (why,) = (await passed_over_of(connection, [action.id]))[action.id]
    assert "does not know" in why.why


async def test_a_saga_that_is_locked_keeps_its_turn(office: Office, backend: str) -> None:
    if backend == "sqlite":
        pytest.skip("SQLite has one writer, so no row is locked")
    sagas = await office.stuck(3)
    action = await office.begun()
    async with office.engine.database.writing() as connection:
        await connection.execute(text("SELECT 1 FROM sagas WHERE id = :saga FOR UPDATE"), {"saga": sagas[0].saga_id})
        await office.bulk.turn()
        meanwhile = await office.now(action)
        assert 0 < meanwhile.done < 3
        assert await office.entries(saga_id=sagas[0].saga_id) == []

    assert (await office.finished(action)).done == 3
