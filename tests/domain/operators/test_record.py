"""The record of what operators did is only ever appended to, by the word of the database itself."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from domain.actors import Actor, ActorRole
from domain.clock import ManualClock
from domain.ids import new_id
from domain.operators import (
    ActionQuery,
    OperatorAction,
    OperatorActionKind,
    actions_by_ids,
    count_actions,
    page_actions,
    record,
)
from domain.storage import Database
from tests.support.asking import operator


async def put(database: Database, subject: str, kind: OperatorActionKind = OperatorActionKind.JOB_RUN) -> int:
    """One more entry; answers when."""
    async with database.writing() as connection:
        at = await database.clock.now(connection)
        asked = operator(subject, "Tests.", "request-1")
        await record(connection, asked, kind, at=at, job_id="sweep", before="on", after="off")
    return at


async def listed(
    database: Database, query: ActionQuery | None = None, *, after: tuple[int, str] | None = None, limit: int = 10
) -> list[OperatorAction]:
    async with database.reading() as connection:
        found = await page_actions(connection, query or ActionQuery(), after=after, limit=limit)
        if after is None and len(found) < limit:
            assert await count_actions(connection, query or ActionQuery()) == len(found)
    return found


async def test_an_entry_says_who_did_what_when_why_and_by_which_request(database: Database) -> None:
    at = await put(database, "ada")

    (entry,) = await listed(database)

    assert entry == OperatorAction(
        entry.id,
        at,
        Actor(ActorRole.OPERATOR, "ada"),
        "JOB_RUN",
        "Tests.",
        None,
        "sweep",
        None,
        "request-1",
        "on",
        "off",
    )
    async with database.reading() as connection:
        assert await actions_by_ids(connection, [entry.id, new_id()]) == {entry.id: entry}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE operator_actions SET subject = 'nobody'",
        "UPDATE operator_actions SET reason = NULL WHERE kind = 'JOB_RUN'",
        "DELETE FROM operator_actions",
        "INSERT INTO operator_actions (id, at, role, kind) SELECT id, 0, 'OPERATOR', 'JOB_RUN' FROM operator_actions",
        "REPLACE INTO operator_actions (id, at, role, kind) SELECT id, 0, 'OPERATOR', 'JOB_RUN' FROM operator_actions",
        "TRUNCATE operator_actions",
    ],
)
async def test_no_statement_changes_or_removes_an_entry(database: Database, statement: str) -> None:
    await put(database, "ada")
    before = await listed(database)

    with pytest.raises(DBAPIError) as refused:
        async with database.writing() as connection:
            await connection.execute(text(statement))

    says_so = "only ever appended to" in str(refused.value)
    # What one of the databases has no word for, or its primary key refuses, needs no trigger.
    assert says_so or statement.startswith(("INSERT", "REPLACE", "TRUNCATE"))
    assert await listed(database) == before


async def test_entries_are_listed_newest_first_page_by_page(database: Database, clock: ManualClock) -> None:
    for subject in ("ada", "grace", "ada", "mary"):
        await put(database, subject)
        clock.advance(1)

    first = await listed(database, limit=3)
    rest = await listed(database, after=(first[-1].at, first[-1].id), limit=3)

    assert [entry.by.subject for entry in first + rest] == ["mary", "ada", "grace", "ada"]


async def test_entries_are_found_by_who_did_what_and_when(database: Database, clock: ManualClock) -> None:
    await put(database, "ada", OperatorActionKind.JOB_PAUSE)
    clock.advance(10)
    later = await put(database, "grace", OperatorActionKind.JOB_RESUME)

    async def subjects(query: ActionQuery) -> list[str | None]:
        return [entry.by.subject for entry in await listed(database, query)]

    assert await subjects(ActionQuery(kinds=[OperatorActionKind.JOB_PAUSE])) == ["ada"]
    assert await subjects(ActionQuery(kinds=["JOB_PAUSE", "JOB_RESUME"])) == ["grace", "ada"]
    assert await subjects(ActionQuery(subject="grace")) == ["grace"]
    assert await subjects(ActionQuery(since=later)) == ["grace"]
    assert await subjects(ActionQuery(until=later)) == ["ada"]
    assert await subjects(ActionQuery(saga_id=new_id())) == []


async def test_an_entry_of_a_kind_that_a_newer_release_has_is_read(database: Database) -> None:
    async with database.writing() as connection:
        await connection.execute(
            text("INSERT INTO operator_actions (id, at, role, kind) VALUES (:id, 1, 'OPERATOR', 'BULK_START')"),
            {"id": new_id()},
        )

    (entry,) = await listed(database)

    assert (entry.kind, entry.reason, entry.before) == ("BULK_START", None, None)
