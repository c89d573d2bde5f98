"""What needs an operator is found by its own indexes, so that a long history makes no incident slower to see."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Table, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.bookings.tables import bookings
from domain.ids import new_id
from domain.incidents import at_stake, incidents, sagas_of, unsettled
from domain.loyalty import EntryReason
from domain.loyalty.tables import loyalty_entries
from domain.payments.tables import payments
from domain.saga import SagaStatus
from domain.saga.tables import saga_steps, sagas
from domain.seats import SeatReservationStatus
from domain.seats.tables import seat_reservations
from tests.domain.incidents.ledger import Ledger
from tests.support.statements import executed, plan

FINISHED = 1_000
CHUNK_ROWS = 250
GROWING = (sagas, saga_steps, payments, bookings, loyalty_entries, seat_reservations)


async def test_no_statement_about_incidents_reads_the_history(ledger: Ledger) -> None:
    saga = await ledger.saga(status=SagaStatus.COMPLETED)
    await ledger.pays(saga)
    await ledger.enters(saga, EntryReason.AWARDED, 0, 1)
    await ledger.seats(saga, SeatReservationStatus.RELEASED)
    await ledger.cancellation(saga, SagaStatus.COMPLETED)
    await multiply(ledger)
    stuck = [await ledger.saga() for _ in range(3)]
    for each in stuck:
        await ledger.pays(each)
    await ledger.pays(await ledger.saga(status=SagaStatus.ABANDONED))
    await ledger.database.write(lambda connection: connection.execute(text("ANALYZE")))

    with executed(ledger.database, of="^SELECT") as seen:
        async with ledger.database.reading() as connection:
            (incident,) = await incidents(connection, at=ledger.now)
            assert len(await sagas_of(connection, incident, after=None, limit=21)) == 3
            assert len(await at_stake(connection, [each.id for each in stuck], at=ledger.now)) == 3
            assert (await unsettled(connection)).sagas == 1
    plans = [line for statement, given in seen for line in await plan(ledger.database, statement, given)]
    names = "|".join(table.name for table in GROWING)
    read = [line for line in plans if re.search(rf"\b({names}|paying)\b", line)]
    assert {name for name in names.split("|") if any(name in line for line in read)} == set(names.split("|"))
    assert [line for line in read if "Seq Scan" in line or re.search(r"SCAN \w+$", line)] == []
    # Of the sagas, only those that need an operator are walked through.
    for statement, given in seen:
        if "'STUCK'" in statement or "'ABANDONED'" in statement:
            lines = "\n".join(await plan(ledger.database, statement, given))
            assert re.search(r"ix_sagas_(troubled|unsettled)", lines), lines


async def multiply(ledger: Ledger) -> None:
    """Copy the rows of the sagas that there are, with ids of their own."""
    async with ledger.database.reading() as connection:
        rows = {table: (await connection.execute(table.select())).mappings().all() for table in GROWING}
    originals = [row["id"] for row in rows[sagas]]
    for table in GROWING:
        copies = [
            _copied(row, number, {id_: _id(number, place) for place, id_ in enumerate(originals)})
            for number in range(FINISHED // len(originals))
            for row in rows[table]
        ]
        for first in range(0, len(copies), CHUNK_ROWS):
            chunk = copies[first : first + CHUNK_ROWS]

            async def work(connection: AsyncConnection, to: Table = table, chunk: list[Any] = chunk) -> None:
                await connection.execute(insert(to), chunk)

            await ledger.database.write(work)


def _copied(row: Mapping[Any, Any], number: int, ids: Mapping[str, str]) -> dict[str, Any]:
    copy = dict(row)
    for name in ("id", "saga_id", "cancellation_id"):
        if copy.get(name) is not None:
            copy[name] = ids.get(copy[name]) or new_id()
    return copy | {name: new_id() for name in ("correlation_id",) if name in copy} | _reference(copy, number)


def _reference(row: Mapping[str, Any], number: int) -> dict[str, str]:
    return {"reference": f"R{number}"} if "reference" in row else {}


def _id(number: int, position: int) -> str:
    return f"0199f0c6-{position:04x}-7000-8000-{number:012x}"
