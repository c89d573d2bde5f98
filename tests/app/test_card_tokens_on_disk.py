"""Once the money is reserved no file holds the card's token: no database, no log, no books, no backup."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.client import Client
from domain.storage import Database, Server, database_url, trim_log
from sandbox import PostgresBooks, SqliteBooks
from sandbox.ledger import Request
from tests.app.test_doctor import BOOK, FLIGHTS
from tests.domain.payments.bank import Bank
from tests.support.children import environment, seatsaga, serving_child
from tests.support.waiting import eventually

CARD = b"pm_card_mastercard"
GROUPS, BOOKINGS_OF_A_GROUP = 3, 40


def holding(folder: Path) -> list[str]:
    """The files in which the token stands."""
    return [str(path) for path in sorted(folder.rglob("*")) if path.is_file() and CARD in path.read_bytes()]


async def pay(client: Client, flight_id: str) -> str:
    """A booking that pays with the card."""
    order = {
        "correlationId": str(uuid.uuid4()),
        "segments": [{"flightId": flight_id}],
        "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
        "payment": {"token": CARD.decode()},
    }
    answer = (await client.query(BOOK, input=order))["bookFlight"]
    assert answer["errors"] == [], answer
    correlation_id: str = answer["saga"]["correlationId"]
    return correlation_id


async def test_no_file_holds_the_token_once_the_money_is_reserved(tmp_path: Path) -> None:
    env = environment(tmp_path)
    async with serving_child(tmp_path, env) as child, Client(child.url) as client:
        (flight,) = (await client.query(FLIGHTS))["flights"]["edges"]
        for _ in range(GROUPS):
            begun = await asyncio.gather(*(pay(client, flight["node"]["id"]) for _ in range(BOOKINGS_OF_A_GROUP)))
            for correlation_id in begun:
                async for _ in client.follow(correlation_id):
                    pass
        for name in ("seatsaga.db", "seatsaga.sandbox.db"):
            # As the server does by itself from time to time.
            await eventually(partial(trim_log, tmp_path / "data" / name))
        assert holding(tmp_path) == []
        made = await asyncio.to_thread(seatsaga, "backup", "backup.tar", env=env, folder=tmp_path)
        assert made.returncode == 0, made.stderr
        assert holding(tmp_path) == []


async def test_what_a_row_no_longer_says_is_not_in_the_file_either(tmp_path: Path) -> None:
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/some.db")
    token = CARD.decode()

    async def keep(connection: AsyncConnection) -> None:
        await connection.execute(text("CREATE TABLE some (id INTEGER PRIMARY KEY, context TEXT)"))
        for id_ in range(50):
            await connection.execute(
                text("INSERT INTO some VALUES (:id, :context)"), {"id": id_, "context": token * 20}
            )

    async def forget(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE some SET context = '' WHERE id % 2 = 0"))
        await connection.execute(text("DELETE FROM some WHERE id % 2 = 1"))

    await database.write(keep)
    trim_log(tmp_path / "some.db")
    assert holding(tmp_path) == [str(tmp_path / "some.db")]
    await database.write(forget)
    trim_log(tmp_path / "some.db")
    assert holding(tmp_path) == []
    await database.close()


async def test_the_books_know_a_repeated_request_without_its_token(bank: Bank) -> None:
    request = Request("authorize", "pi_1", "key", 100, "USD", CARD.decode())
    async with bank.books() as books:
        assert (await books.answer(request)).code == "OK"
        assert (await books.answer(request)).code == "OK"
        other = Request("authorize", "pi_1", "key", 100, "USD", "pm_card_visa")
        assert (await books.answer(other)).code == "IDEMPOTENCY_MISMATCH"
    assert CARD.decode() not in request.fingerprint


async def test_tokens_that_an_older_version_has_kept_in_the_books_are_taken_out_and_still_known(bank: Bank) -> None:
    request = Request("authorize", "pi_1", "key", 100, "USD", CARD.decode())
    older = f"authorize|pi_1|100|USD|{CARD.decode()}"
    async with bank.books() as books:
        assert (await books.answer(request)).code == "OK"
    statement = f"UPDATE {{}}answers SET request = '{older}'"
    if bank.kind == "sqlite":
        with closing(sqlite3.connect(bank.target, isolation_level=None)) as connection:
            connection.execute(statement.format(""))
    else:
        server = await Server(database_url(bank.target)).connect()
        await server.execute(statement.format("sandbox."))
        await server.close()
    async with bank.books() as books:
        assert isinstance(books, SqliteBooks | PostgresBooks)
        assert (await books.answer(request)).code == "OK"
    if bank.kind == "sqlite":
        with closing(sqlite3.connect(bank.target)) as connection:
            kept = [row[0] for row in connection.execute("SELECT request FROM answers")]
    else:
        server = await Server(database_url(bank.target)).connect()
        kept = [row["request"] for row in await server.fetch("SELECT request FROM sandbox.answers")]
        await server.close()
    assert kept == [request.fingerprint]


@pytest.fixture
def bank(backend: str, database_url: str, tmp_path: Path) -> Bank:
    """Empty books: in a file, and in a schema of the test's own database."""
    return Bank(backend, str(tmp_path / "sandbox.db") if backend == "sqlite" else database_url)
