"""What operators are told of replicas: who is alive, what each holds, how late it is, and what nobody takes over."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import SECOND, ManualClock
from domain.ids import new_id
from domain.saga import ReplicaView, SagaDefinition, SagaEngine, UnclaimedSagas, list_replicas, list_unclaimed
from domain.saga.replicas import Replica
from domain.saga.roster import REPLICAS_LISTED_MAX
from domain.saga.tables import replicas, sagas
from domain.storage import Database
from tests.domain.saga.toy import Provider, Toys, ended, start
from tests.support.statements import executed, plan, reads
from tests.support.waiting import eventually

#: More than a table has before an index is of use.
FINISHED = 4_000


async def listed(database: Database) -> tuple[int, dict[str, ReplicaView]]:
    """The time, and the replicas by their id in the order in which they are told."""
    async with database.reading() as connection:
        now = await database.clock.now(connection)
        return now, {replica.id: replica for replica in await list_replicas(connection, now)}


async def change(database: Database, **values: Any) -> None:
    """Set these columns of all sagas that are not over."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(update(sagas).where(sagas.c.finished_at.is_(None)).values(**values))

    await database.write(work)


async def test_a_replica_is_told_with_the_sagas_that_it_holds_and_none_of_those_that_are_over(
    engine: SagaEngine, toys: Toys, provider: Provider
) -> None:
    await ended(engine, await start(engine, toys.definition))
    gate = provider.hold("PAY")
    for _ in range(3):
        await start(engine, toys.definition)
    await eventually(lambda: len(provider.keys("PAY")) == 4)
    now, found = await listed(engine.database)
    assert list(found) == [engine.replica.id]
    replica = found[engine.replica.id]
    assert replica.is_alive(now)
    # Calls are out: there is nothing to look at until they answer.
    assert (replica.sagas, replica.overdue, replica.lag_us(now)) == (3, 0, 0)
    gate.set()


async def test_the_lag_is_by_how_much_the_saga_that_is_due_since_longest_is_overdue(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    still = SagaEngine(toy_database, [toys.forward], lease_seconds=60)
    await still.replica.register()
    first, second, third = [await start(still, toys.forward) for _ in range(3)]
    now, _ = await listed(toy_database)

    async def make_due(connection: AsyncConnection) -> None:
        for started, due_at in ((first, now - 2 * SECOND), (second, now - 7 * SECOND), (third, now + 3_600 * SECOND)):
            await connection.execute(update(sagas).where(sagas.c.id == started.saga_id).values(due_at=due_at))

    await toy_database.write(make_due)
    _, found = await listed(toy_database)
    replica = found[still.replica.id]
    assert (replica.sagas, replica.overdue) == (3, 2)
    assert replica.oldest_due_at == now - 7 * SECOND
    assert replica.lag_us(now) == 7 * SECOND
    await change(toy_database, due_at=now + 3_600 * SECOND)
    _, found = await listed(toy_database)
    assert (found[still.replica.id].overdue, found[still.replica.id].lag_us(now)) == (0, 0)


async def test_who_is_alive_comes_before_who_lapsed_and_each_holds_its_own(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    lapsed = SagaEngine(toy_database, [toys.forward], lease_seconds=3)
    await lapsed.replica.register()
    await start(lapsed, toys.forward)
    long = Replica(toy_database, [], lease_seconds=600)
    await long.register()
    # A crash loop: each began after `long`.
    for _ in range(3):
        await Replica(toy_database, [], lease_seconds=3).register()
    clock.advance(10)
    now, found = await listed(toy_database)
    assert next(iter(found)) == long.id
    assert [replica.is_alive(now) for replica in found.values()] == [True, False, False, False, False]
    assert {id_: replica.sagas for id_, replica in found.items() if replica.sagas} == {lapsed.replica.id: 1}


async def test_no_more_replicas_are_told_than_somebody_can_read(toy_database: Database) -> None:
    rows = [
        {"id": new_id(), "host": "gone", "process_id": number, "started_at": 1, "lease_until": number}
        for number in range(REPLICAS_LISTED_MAX + 5)
    ]

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(insert(replicas), rows)

    await toy_database.write(work)
    _, found = await listed(toy_database)
    newest_first = [row["id"] for row in reversed(rows)]
    assert list(found) == newest_first[:REPLICAS_LISTED_MAX]


async def test_sagas_of_a_version_that_nobody_knows_are_told_by_definition_and_version(
    toy_database: Database, toys: Toys, clock: ManualClock
) -> None:
    newer = SagaDefinition(toys.forward.name, 2, toys.forward.context, toys.forward.steps, pivot=toys.forward.pivot)
    for definition, number in ((toys.forward, 2), (newer, 1)):
        gone = SagaEngine(toy_database, [definition], lease_seconds=3)
        await gone.replica.register()
        for _ in range(number):
            await start(gone, definition)
    clock.advance(70)
    async with toy_database.reading() as connection:
        found = await list_unclaimed(connection, await clock.now(connection))
    assert sorted(found, key=lambda item: item.version) == [
        UnclaimedSagas(toys.forward.name, 1, 2),
        UnclaimedSagas(toys.forward.name, 2, 1),
    ]


async def test_it_is_one_statement_which_does_not_go_through_the_sagas_that_are_over(
    engine: SagaEngine, toys: Toys
) -> None:
    database = engine.database
    await ended(engine, await start(engine, toys.forward))

    async def multiply(connection: AsyncConnection) -> None:
        (done,) = (await connection.execute(select(sagas))).mappings().all()
        copies = [dict(done) | {"id": new_id(), "correlation_id": new_id()} for _ in range(FINISHED)]
        await connection.execute(insert(sagas), copies)
        await connection.execute(text("ANALYZE"))

    await database.write(multiply)
    # The engine asks for other things meanwhile.
    with executed(reads(database), of=r"^SELECT[\s\S]*FROM replicas LEFT OUTER JOIN") as asked:
        await listed(database)
    ((statement, parameters),) = asked
    lines = await plan(database, statement, parameters)
    read = [line for line in lines if re.search(r"\b(on|SCAN|SEARCH) sagas\b", line)]
    assert read, lines
    assert not [line for line in read if "Seq Scan" in line or line.endswith("SCAN sagas")], lines
