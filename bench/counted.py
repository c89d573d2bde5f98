"""Measures `sagaStatistics` over a long history, and the migration that counts the history."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.migrations import upgrade
from domain import saga
from domain.clock import SECOND, wall_now
from domain.saga import recount
from domain.storage import Bounds, Database

__all__ = ["Counted", "counted_on"]

ASKED: Final = 20
DAY_SECONDS: Final = 86_400
#: Steps and events of each saga.
STEPS: Final = 4
EVENTS: Final = 10
_BOUNDS: Final = Bounds(2, statement_seconds=3_600.0, idle_transaction_seconds=None)


@dataclass(frozen=True, slots=True)
class Counted:
    """Medians in milliseconds, by what was asked; and the migration's seconds."""

    answers_ms: dict[str, float]
    migration_seconds: float


async def counted_on(url: str, sagas: int) -> Counted:
    """Fill the empty database at `url` with `sagas` of the last 24 hours, of which one in 2,000 is live, and ask."""
    await upgrade(url)
    database = Database(url, bounds=_BOUNDS)
    now = wall_now()
    await database.write(lambda connection: _fill(connection, sagas, now))
    began = time.perf_counter()
    await database.write(lambda connection: connection.run_sync(recount))
    migration_seconds = time.perf_counter() - began
    await database.write(lambda connection: connection.execute(text("ANALYZE")))

    async def asked(question: Callable[[AsyncConnection], Awaitable[Any]]) -> float:
        took = []
        for _ in range(ASKED):
            began = time.perf_counter()
            async with database.reading() as connection:
                await question(connection)
            took.append(time.perf_counter() - began)
        return median(took) * 1e3

    def since(seconds: float) -> int:
        return now - round(seconds * SECOND)

    answers = {
        "24 hours": await asked(lambda c: saga.statistics(c, since=since(DAY_SECONDS), at=now)),
        "all of it": await asked(lambda c: saga.statistics(c, since=0, at=now)),
        "24 hours by 5 minutes": await asked(lambda c: saga.buckets(c, since=since(DAY_SECONDS), at=now, seconds=300)),
        "5 hours by minutes": await asked(lambda c: saga.buckets(c, since=since(18_000), at=now, seconds=60)),
        "24 hours by hours": await asked(lambda c: saga.buckets(c, since=since(DAY_SECONDS), at=now, seconds=3_600)),
    }
    await database.close()
    return Counted(answers, migration_seconds)


async def _fill(connection: AsyncConnection, sagas: int, now: int) -> None:
    """All in SQL. Everything about saga `i` follows from its number."""
    is_sqlite = connection.dialect.name == "sqlite"
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :sagas)"
        if is_sqlite
        else "WITH n AS (SELECT i FROM generate_series(1::bigint, :sagas) AS i)"
    )
    id_ = (
        "printf('%08x-0000-7000-8000-000000000000', i)"
        if is_sqlite
        else "(lpad(to_hex(i), 8, '0') || '-0000-7000-8000-000000000000')::uuid"
    )
    replica = "'0000000' || (i % 3) || '-1111-1111-1111-111111111111'"
    if not is_sqlite:
        replica = f"({replica})::uuid"
    # Of twenty, one was undone; of 2,000, one is live, and some of these are stuck.
    is_live, is_undone = "i % 2000 = 0", "i % 20 = 1"
    status = (
        "CASE WHEN i % 10000 = 0 THEN 'STUCK' WHEN i % 2000 = 0 THEN 'RUNNING'"
        " WHEN i % 20 = 1 THEN 'COMPENSATED' ELSE 'COMPLETED' END"
    )
    failed = (
        f"CASE WHEN {is_undone} THEN CASE i % 3 WHEN 0 THEN 'AWARD_MILES' WHEN 1 THEN 'AUTHORIZE_PAYMENT'"
        " ELSE 'RESERVE_SEAT' END END"
    )
    # Spread over the day, and from 10 ms to 10 s long.
    ends, lasts = f"{now} - (i * 7919 % 86400) * 1000000 - i % 1000000", "10000 * (1 + i * 31 % 1000)"
    for statement in (
        "INSERT INTO sagas (id, correlation_id, definition, version, subject, fingerprint, status, direction, phase,"
        " position, attempt, round, uncertain, effects, context, given_up, replica, epoch, sequence, failure_step,"
        " started_at, updated_at, finished_at)"
        f" {numbers} SELECT {id_}, {id_}, CASE i % 3 WHEN 0 THEN 'BOOK_AND_REDEEM' ELSE 'BOOK_AND_EARN' END, 1,"
        f" 'someone', '1:x', {status}, 'FORWARD', 'READY', 3, 0, 1, 0, 15, '{{}}', 0, {replica}, 1, {EVENTS},"
        f" {failed}, {ends} - {lasts}, {ends}, CASE WHEN {is_live} THEN NULL ELSE {ends} END FROM n",
        "INSERT INTO saga_steps (saga_id, position, name, status, attempt, undo_status, undo_attempt)"
        f" {numbers}, p(position) AS (VALUES {', '.join(f'({number})' for number in range(STEPS))})"
        f" SELECT {id_}, position, 'STEP', CASE WHEN {is_undone} THEN 'FAILED' ELSE 'COMPLETED' END, 1,"
        f" CASE WHEN {is_undone} THEN 'COMPLETED' END, 0 FROM n, p",
        "INSERT INTO saga_events (saga_id, sequence, correlation_id, type, message, at)"
        f" {numbers}, p(position) AS (VALUES {', '.join(f'({number})' for number in range(1, EVENTS + 1))})"
        f" SELECT {id_}, position, {id_}, CASE WHEN position = {EVENTS} AND i % 10000 = 0 THEN 'SAGA_STUCK'"
        f" ELSE 'STEP_COMPLETED' END, 'A step of this saga is completed.', {ends} FROM n, p",
    ):
        await connection.execute(text(statement), {"sagas": sagas})
