"""Lists of sagas that want an operator are read by their own indexes, however many sagas have finished."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.saga import (
    SagaQuery,
    SagaStatus,
    SagaView,
    count,
    page,
    page_longest_stuck,
    page_oldest,
    stuck_key,
)
from domain.storage import Database
from tests.support.statements import executed, plan

#: So few stuck ones among so many, and they are the oldest: a walk along the key, newest first, would read them all.
FINISHED: Final = 12_000
STUCK: Final = 60
DECLINED: Final = 40
#: Stuck since before the column, as a release without it has left them.
OF_BEFORE: Final = 5

_NUMBERS: Final = {
    "sqlite": "WITH RECURSIVE g(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < {many})",
    "postgresql": "WITH g(n) AS (SELECT generate_series(1, {many}))",
}
_ID: Final = {
    "sqlite": "printf('00000000-0000-7000-8000-%012x', n)",
    "postgresql": "cast('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0') AS uuid)",
}


def is_stuck(number: str = "n") -> str:
    return f"{number} <= {STUCK}"


async def fill(database: Database, finished: int = FINISHED) -> None:
    """Sagas 1 to STUCK are stuck, the last one first; then DECLINED of them are undone; the others are completed."""
    many = finished + STUCK
    begin, identity = _NUMBERS[database.dialect].format(many=many), _ID[database.dialect]
    status = (
        f"CASE WHEN {is_stuck()} THEN 'STUCK' WHEN n <= {STUCK + DECLINED} THEN 'COMPENSATED'"
        " WHEN n % 1000 = 0 THEN 'ABANDONED' ELSE 'COMPLETED' END"
    )
    of_sagas = (
        "INSERT INTO sagas (id, correlation_id, definition, version, subject, fingerprint, status, direction, phase,"
        " position, attempt, round, uncertain, effects, context, given_up, replica, epoch, sequence, started_at,"
        " updated_at, finished_at, stuck_since, failure_code, failure_message, failure_step)"
        f" {begin} SELECT {identity}, {identity}, 'TRIP', 1, 'someone', 'x', {status},"
        f" CASE WHEN {is_stuck()} THEN 'BACKWARD' ELSE 'FORWARD' END, 'READY', 0, 1, 1, 0, 1, '{{}}', 0, {identity}, 1,"
        f" 1, n, {many} - n, CASE WHEN {is_stuck()} THEN NULL ELSE n END,"
        f" CASE WHEN {is_stuck()} AND n > {OF_BEFORE} THEN {many} - n END,"
        f" CASE WHEN {is_stuck()} THEN 'CANCELLED' WHEN n <= {STUCK + DECLINED} THEN 'DECLINED' END, 'x', 'PAY' FROM g"
    )
    of_steps = (
        "INSERT INTO saga_steps (saga_id, position, name, compensation, status, attempt, undo_status, undo_attempt,"
        f" undo_failure_code) {begin} SELECT {identity}, 0, 'PAY', 'REFUND', 'COMPLETED', 1,"
        f" CASE WHEN {is_stuck()} THEN 'STUCK' END, 1, CASE WHEN {is_stuck()} THEN 'AWAY' END FROM g"
    )

    async def work(connection: AsyncConnection) -> None:
        for statement in (of_sagas, of_steps):
            await connection.execute(text(statement))

    await database.write(work)
    await database.write(lambda connection: connection.execute(text("ANALYZE")))


def numbers(found: list[SagaView]) -> list[int]:
    return [int(view.id[-12:], 16) for view in found]


Read = Callable[[AsyncConnection], Awaitable[Any]]


async def plans(database: Database, read: Read) -> list[str]:
    """The plans of the statements over `sagas` that this sends."""
    with executed(database, r"FROM sagas|sagas\.id") as seen:
        async with database.reading() as connection:
            await read(connection)
    assert seen
    lines = []
    for statement, parameters in seen:
        lines += [line for line in await plan(database, statement, parameters) if "saga_steps" not in line]
    return lines


TROUBLED: Final = SagaQuery(statuses=(SagaStatus.STUCK,), stuck_at="PAY", stuck_with=("AWAY",))
LISTS: Final[dict[str, tuple[Read, set[str]]]] = {
    "an incident": (lambda c: page(c, TROUBLED, after=None, limit=21), {"ix_sagas_troubled"}),
    "an incident, oldest first": (lambda c: page_oldest(c, TROUBLED, after=None, limit=21), {"ix_sagas_troubled"}),
    "an incident, longest first": (
        lambda c: page_longest_stuck(c, TROUBLED, after=None, limit=21),
        {"ix_sagas_stuck_since"},
    ),
    "the longest stuck": (
        lambda c: page_longest_stuck(c, SagaQuery(), after=None, limit=21),
        {"ix_sagas_stuck_since"},
    ),
    "stuck": (
        lambda c: page(c, SagaQuery(statuses=(SagaStatus.STUCK, SagaStatus.PARKED)), after=None, limit=21),
        {"ix_sagas_troubled"},
    ),
    "stuck for long": (
        lambda c: page(c, SagaQuery(stuck_before=FINISHED), after=None, limit=21),
        {"ix_sagas_troubled"},
    ),
    "one code": (
        lambda c: page(c, SagaQuery(failure_codes=("DECLINED",)), after=None, limit=21),
        {"ix_sagas_failure_code", "ix_sagas_troubled"},
    ),
    "two codes, oldest first": (
        lambda c: page_oldest(c, SagaQuery(failure_codes=("DECLINED", "AWAY")), after=None, limit=21),
        {"ix_sagas_failure_code", "ix_sagas_troubled"},
    ),
    "unsettled": (
        lambda c: page(c, SagaQuery(is_unsettled=True), after=None, limit=21),
        {"ix_sagas_unsettled"},
    ),
}


BACKWARDS: Final[dict[str, Read]] = {
    "an incident": lambda c: page(c, TROUBLED, after=None, limit=21, reverse=True),
    "an incident, oldest first": lambda c: page_oldest(c, TROUBLED, after=None, limit=21, reverse=True),
    "the longest stuck": lambda c: page_longest_stuck(
        c, SagaQuery(), after=(FINISHED + STUCK, f"{0:08}-0000-7000-8000-{0:012}"), limit=21, reverse=True
    ),
    "two codes, oldest first": lambda c: page_oldest(
        c, SagaQuery(failure_codes=("DECLINED", "AWAY")), after=None, limit=21, reverse=True
    ),
    "unsettled": lambda c: page(c, SagaQuery(is_unsettled=True), after=None, limit=21, reverse=True),
}


@pytest.fixture
async def filled(database: Database) -> Database:
    await fill(database)
    return database


async def test_each_list_is_read_by_its_own_index(filled: Database) -> None:
    backwards = [(f"{name}, from the end", (read, LISTS[name][1])) for name, read in BACKWARDS.items()]
    for name, (read, indexes) in [*LISTS.items(), *backwards]:
        lines = await plans(filled, read)
        used = set(re.findall(r"ix_sagas_\w+", "\n".join(lines)))
        assert indexes <= used, (name, lines)
        whole = [line for line in lines if re.search(r"Seq Scan on sagas|SCAN sagas(?! USING)", line)]
        assert whole == [], (name, lines)


async def test_the_longest_stuck_come_first_whoever_let_them_get_stuck(filled: Database) -> None:
    async with filled.reading() as connection:
        found: list[SagaView] = []
        after = None
        while len(found) < STUCK + 10:
            rows = await page_longest_stuck(connection, SagaQuery(), after=after, limit=7)
            found += rows
            after = stuck_key(rows[-1])
    last = FINISHED + STUCK
    assert numbers(found[:STUCK]) == list(range(STUCK, 0, -1))
    assert [view.stuck_since for view in found[:STUCK]] == [last - number for number in range(STUCK, 0, -1)]
    assert numbers(found[STUCK : STUCK + 10]) == list(range(last, last - 10, -1))


@pytest.mark.parametrize("limit", [7, STUCK])
async def test_the_longest_stuck_are_read_backwards_as_forwards(filled: Database, limit: int) -> None:
    """Across the seam between those that are stuck and the others, and with `after` in either part."""
    async with filled.reading() as connection:
        forwards = await page_longest_stuck(connection, SagaQuery(), after=None, limit=STUCK + 10)
        after, found = stuck_key(forwards[-1]), list[SagaView]()
        while rows := await page_longest_stuck(connection, SagaQuery(), after=after, limit=limit, reverse=True):
            found += rows
            after = stuck_key(rows[-1])
    assert numbers(found) == numbers(forwards[:-1])[::-1]


async def test_a_code_is_that_of_the_failure_or_of_what_is_stuck(filled: Database) -> None:
    async with filled.reading() as connection:
        for codes, expected in {
            ("AWAY",): range(1, STUCK + 1),
            ("CANCELLED",): range(1, STUCK + 1),
            ("DECLINED",): range(STUCK + 1, STUCK + DECLINED + 1),
            ("AWAY", "CANCELLED", "DECLINED"): range(1, STUCK + DECLINED + 1),
        }.items():
            query = SagaQuery(failure_codes=codes)
            assert numbers(await page_oldest(connection, query, after=None, limit=101)) == list(expected)
            assert numbers(await page(connection, query, after=None, limit=101)) == list(expected)[::-1]
            assert await count(connection, query) == len(expected)
        assert await count(connection, SagaQuery(stuck_with=("AWAY",))) == STUCK
        assert await count(connection, SagaQuery(stuck_with=("CANCELLED",))) == 0
