"""Where a test's sandbox keeps its books: a SQLite file or a PostgreSQL schema, to open as often as one likes."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from domain.money import Money
from domain.outcome import NotSent, Outcome, Refused, Succeeded, Unknown
from domain.payments import PaymentOrder, ProviderPayment, ProviderState
from domain.storage import Server, database_url
from sandbox import Books, Entry, PostgresBooks, SandboxGateway, SqliteBooks

__all__ = ["PRICE", "Bank", "books_at", "code_of", "order", "state_of"]

PRICE = Money(12_345, "USD")


def books_at(kind: str, target: str) -> Books:
    """The books that `target` names: the path of a file, or the URL of a database."""
    return SqliteBooks(Path(target)) if kind == "sqlite" else PostgresBooks(Server(database_url(target)))


@dataclass(frozen=True)
class Bank:
    """Books that outlive those who have them open."""

    kind: str
    target: str

    @asynccontextmanager
    async def books(self) -> AsyncIterator[Books]:
        """The books, on a connection of their own, until the block ends."""
        books = books_at(self.kind, self.target)
        await books.open()
        try:
            yield books
        finally:
            await books.close()

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[SandboxGateway]:
        """A gateway with books of its own, until the block ends; everything late has arrived by then."""
        gateway = SandboxGateway(books_at(self.kind, self.target))
        await gateway.start()
        try:
            yield gateway
        finally:
            await gateway.close()

    async def entry(self, reference: str) -> Entry | None:
        """What the books hold about `reference`, read by somebody else."""
        async with self.books() as books:
            return (await books.entries([reference])).get(reference)

    async def plant(self, reference: str, state: ProviderState) -> None:
        """Write a reference in a state that no request leads to, into books that were opened before."""
        values = (reference, state.value, PRICE.minor, PRICE.currency)
        columns = "entries (reference, state, amount, currency, authorizations, captures, voids, refunds)"
        if self.kind == "sqlite":
            connection = sqlite3.connect(self.target, isolation_level=None)
            connection.execute(f"INSERT INTO {columns} VALUES (?, ?, ?, ?, 0, 0, 0, 0)", values)
            connection.close()
        else:
            server = await Server(database_url(self.target)).connect()
            await server.execute(f"INSERT INTO sandbox.{columns} VALUES ($1, $2, $3, $4, 0, 0, 0, 0)", *values)
            await server.close()

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Nobody can commit to the books until the block ends."""
        if self.kind == "sqlite":
            connection = sqlite3.connect(self.target, isolation_level=None)
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                connection.execute("ROLLBACK")
                connection.close()
        else:
            server = await Server(database_url(self.target)).connect()
            try:
                async with server.transaction():
                    await server.execute("LOCK TABLE sandbox.answers IN EXCLUSIVE MODE")
                    yield
            finally:
                await server.close()


def order(token: str | None = None, amount: Money = PRICE) -> PaymentOrder:
    """An order of PRICE, with the card of `token`."""
    return PaymentOrder("11111111-2222-4333-8444-555555555555", amount, token)


def code_of(outcome: Outcome) -> str:
    """The code of a refusal or of an unknown outcome, in words that tell the two apart; OK of a success."""
    match outcome:
        case Succeeded():
            return "OK"
        case Refused(code):
            return f"refused {code}"
        case Unknown(code):
            return f"unknown {code}"
        case NotSent(code):
            return f"not sent {code}"


async def state_of(gateway: SandboxGateway, reference: str) -> ProviderState:
    """What the provider says of `reference`."""
    outcome = await gateway.read(reference)
    assert isinstance(outcome, Succeeded), outcome
    payment: ProviderPayment = outcome.data
    assert payment.reference == reference
    return payment.state
