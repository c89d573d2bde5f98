"""The booking as a DBOS program: one workflow, four steps, each a transaction that writes the same tables.

`python -m bench.dbos.program BOOKINGS_URL SYSTEM_URL THREADS_MAX`, run by the Python of
`.venv-dbos`. It follows the documentation of DBOS: a datasource whose transactions store their own
checkpoint, so that a step commits once; workflows on threads; pools as large as the number of threads;
READ COMMITTED, as in the fenced loop.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from dbos import DBOS, SQLAlchemyDatasource
from sqlalchemy import TextClause, text

from bench.postgresql.booking import PlainBooking, Step
from bench.postgresql.contestants import Round, take_turns


async def main() -> None:
    """Book when told to, so many workflows at once."""
    bookings_url, system_url, threads_max = sys.argv[1], sys.argv[2], int(sys.argv[3])
    DBOS(
        config={
            "name": "bench",
            "system_database_url": system_url,
            "sys_db_pool_size": threads_max,
            "max_executor_threads": threads_max,
            "log_level": "ERROR",
        }
    )
    datasource = SQLAlchemyDatasource.create(
        bookings_url, engine_kwargs={"pool_size": threads_max, "max_overflow": 0, "pool_timeout": 30}
    )
    with datasource.engine.connect() as connection:
        flight_ids = list(connection.scalars(text("SELECT id FROM flights ORDER BY id")))
    book = _workflow(datasource, flight_ids)
    DBOS.launch()
    numbers, threads = itertools.count(), ThreadPoolExecutor(threads_max)

    async def run(round_: Round) -> dict[str, float]:
        left = iter([next(numbers) for _ in range(round_.bookings)])

        def buyer() -> None:
            for number in left:
                book(number)

        loop = asyncio.get_running_loop()
        began = time.perf_counter()
        await asyncio.gather(*(loop.run_in_executor(threads, buyer) for _ in range(round_.in_flight)))
        return {"rate": round_.bookings / (time.perf_counter() - began)}

    await take_turns(run)
    threads.shutdown()
    DBOS.destroy()


def _workflow(datasource: SQLAlchemyDatasource, flight_ids: list[int]) -> Callable[[int], None]:
    """The workflow that makes one booking; between its steps the booking is known by its number alone."""
    under_way: dict[int, PlainBooking] = {}

    @datasource.transaction(isolation_level="READ COMMITTED")
    def reserve(number: int) -> None:
        take(under_way[number].start())
        take(under_way[number].reserve())

    @datasource.transaction(isolation_level="READ COMMITTED")
    def authorize(number: int) -> None:
        take(under_way[number].authorize())

    @datasource.transaction(isolation_level="READ COMMITTED")
    def award(number: int) -> None:
        take(under_way[number].award())

    @datasource.transaction(isolation_level="READ COMMITTED")
    def confirm(number: int) -> None:
        take(under_way[number].confirm())

    def take(step: Step) -> None:
        session, value = datasource.sql_session(), None
        try:
            while True:
                statement, parameters = step.send(value)
                result = session.execute(_text(statement), parameters)
                value = result.scalar() if result.returns_rows else None
        except StopIteration:
            return

    def book(number: int) -> None:
        under_way[number] = PlainBooking(number, flight_ids, str(uuid.uuid4()))
        for step in (reserve, authorize, award, confirm):
            step(number)
        del under_way[number]

    workflow: Callable[[int], None] = DBOS.workflow()(book)
    return workflow


@cache
def _text(statement: str) -> TextClause:
    return text(statement)


if __name__ == "__main__":
    asyncio.run(main())
