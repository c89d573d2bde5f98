"""Statements as a database gets them, and how it would run them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.storage import Database

__all__ = ["executed", "hearing", "plan", "reads", "statements", "transactions", "writes"]


@contextmanager
def hearing(hear: Callable[[str, Any], object], where: Database | Engine | AsyncConnection) -> Iterator[None]:
    """Call `hear` with every statement and one set of its parameters, before `where` gets it."""

    def pass_on(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        hear(statement, parameters[0] if many else parameters)

    targets: list[Any]
    match where:
        case Database():
            targets = [reads(where), writes(where)]
        case AsyncConnection():
            targets = [where.sync_connection]
        case _:
            targets = [where]
    for target in targets:
        event.listen(target, "before_cursor_execute", pass_on)
    try:
        yield
    finally:
        for target in targets:
            event.remove(target, "before_cursor_execute", pass_on)


@contextmanager
def executed(where: Database | Engine | AsyncConnection, of: str = "") -> Iterator[list[tuple[str, Any]]]:
    """The statements that match `of`, each with one set of its parameters."""
    heard: list[tuple[str, Any]] = []
    with hearing(lambda *each: heard.append(each) if re.search(of, each[0]) else None, where):
        yield heard


@contextmanager
def statements(where: Database | Engine | AsyncConnection, of: str = "") -> Iterator[list[str]]:
    """The statements that match `of`."""
    heard: list[str] = []
    with hearing(lambda statement, _: heard.append(statement) if re.search(of, statement) else None, where):
        yield heard


@contextmanager
def transactions(where: Engine) -> Iterator[list[list[str]]]:
    """The statements of each transaction by itself, however they run beside one another; BEGIN is none of them."""
    heard: list[list[str]] = []
    of: dict[Any, list[str]] = {}

    def hear(connection: Any, _cursor: Any, statement: str, _parameters: Any, _context: Any, _many: bool) -> None:
        if statement.startswith("BEGIN"):
            return
        transaction = connection.get_transaction()
        if transaction not in of:
            of[transaction] = []
            heard.append(of[transaction])
        of[transaction].append(statement)

    event.listen(where, "before_cursor_execute", hear)
    try:
        yield heard
    finally:
        event.remove(where, "before_cursor_execute", hear)


def writes(database: Database) -> Engine:
    """What alone gets the statements of writes."""
    return database._writer.sync_engine


def reads(database: Database) -> Engine:
    """What alone gets the statements of reads."""
    return database._readers.sync_engine


async def plan(database: Database, statement: str, parameters: Any) -> list[str]:
    """The lines of the statement's plan, on either database."""
    how = "EXPLAIN QUERY PLAN" if database.dialect == "sqlite" else "EXPLAIN"
    async with database.reading() as connection:
        return [str(row[-1]) for row in await connection.exec_driver_sql(f"{how} {statement}", parameters)]
