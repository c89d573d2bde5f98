"""A small airline that is really served: a few flights, members, the sandbox, and a port."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.bootstrap import Backend
from app.client import Client
from app.main import create_app
from app.settings import load_settings
from domain import flights, loyalty, seats
from domain.clock import ManualClock, wall_now
from domain.outcome import Outcome
from domain.payments import PaymentOrder
from domain.storage import Database, Server
from sandbox import Books, PostgresBooks, SandboxGateway, SqliteBooks
from tests.domain.bookings.world import departures
from tests.support.serving import serving

__all__ = ["TOKEN", "Airline", "Exposition", "airline"]

TOKEN: Final = "the operators' token"
_FLIGHTS: Final = "{ flights(first: 1) { edges { node { id } } } }"
_BOOK: Final = """mutation($input: BookFlightInput!) { bookFlight(input: $input) {
  saga { correlationId } errors { __typename ... on UserError { message } } } }"""
_SAGA: Final = "query($id: UUID!) { saga(correlationId: $id) { status booking { reference } } }"


class GatedGateway(SandboxGateway):
    """The sandbox; calls to authorize stay out while `gate` is closed."""

    def __init__(self, books: Books) -> None:
        super().__init__(books)
        self.gate = asyncio.Event()
        self.gate.set()
        self.calling = 0

    async def authorize(self, reference: str, order: PaymentOrder, key: str) -> Outcome:
        self.calling += 1
        await self.gate.wait()
        self.calling -= 1
        return await super().authorize(reference, order, key)


class Exposition:
    """What a scrape has brought."""

    def __init__(self, exposed: str) -> None:
        self.text = exposed
        self._samples = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(exposed)
            for sample in family.samples
        }

    @property
    def names(self) -> set[str]:
        """The names of all samples, as queries use them."""
        return {name for name, _ in self._samples}

    def labels_of(self, name: str) -> dict[str, set[str]]:
        """The labels of the samples of a name, and the values that each has."""
        values: dict[str, set[str]] = {}
        for sample, labels in self._samples:
            for label, value in labels if sample == name else ():
                values.setdefault(label, set()).add(value)
        return values

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of one sample, or None where there is no such."""
        return self._samples.get((name, frozenset(labels.items())))

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """All samples of a name, by the values of these labels; those that are 0 are left out."""
        return {
            tuple(dict(found)[label] for label in labels): value
            for (sample, found), value in self._samples.items()
            if sample == name and value
        }


@dataclass
class Airline:
    """What is served, and clients of it: `api` and `http` bear the operators' token, `nobody` bears none."""

    backend: Backend
    gateway: GatedGateway
    clock: ManualClock
    api: Client
    http: httpx.AsyncClient
    nobody: httpx.AsyncClient

    async def book(self, simulate: dict[str, Any] | None = None, **changes: Any) -> str:
        """Start a booking of one seat for a member; its correlation ID."""
        (flight,) = (await self.api.query(_FLIGHTS))["flights"]["edges"]
        order = {
            "correlationId": str(uuid.uuid4()),
            "segments": [{"flightId": flight["node"]["id"]}],
            "passengers": [{"givenName": "Ada", "familyName": "Lovelace"}],
            "loyalty": {"memberNumber": "SS0000001"},
            "simulate": simulate,
            **changes,
        }
        answer = (await self.api.query(_BOOK, input=order))["bookFlight"]
        assert answer["errors"] == [], answer
        correlation_id: str = answer["saga"]["correlationId"]
        return correlation_id

    async def until(self, correlation_id: str, *types: str) -> None:
        """Follow the saga to its first event of one of these types, or to its end."""
        async with asyncio.timeout(20):
            async for event in self.api.follow(correlation_id):
                if event["type"] in types:
                    return

    async def ended(self, correlation_id: str) -> dict[str, Any]:
        """The saga once it is over."""
        await self.until(correlation_id)
        saga: dict[str, Any] = (await self.api.query(_SAGA, id=correlation_id))["saga"]
        return saga

    async def scrape(self) -> Exposition:
        """What /metrics says; its gauges of the database may be a second old."""
        response = await self.http.get("/metrics")
        assert response.status_code == 200, response.text
        return Exposition(response.text)

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database itself says."""
        async with self.backend.database.reading() as connection:
            return [tuple(row) for row in await connection.execute(text(statement))]


@asynccontextmanager
async def airline(database_url: str, folder: Path, **settings: Any) -> AsyncIterator[Airline]:
    """Three flights and a hundred members on a migrated database, served until the block ends."""
    database = Database(database_url)
    await flights.load(database, departures(wall_now()), add_seats=seats.add_seats)
    await loyalty.seed_members(database)
    await database.close()
    given = {"database_url": database_url, "log_dir": folder / "logs", "admin_token": TOKEN, **settings}
    gateway = GatedGateway(_books(database, folder))
    backend = Backend(load_settings({}, **given), console=io.StringIO(), gateway=gateway)
    backend.database.clock = clock = ManualClock()
    bearer = {"authorization": f"Bearer {TOKEN}"}
    async with (
        serving(create_app(backend=backend)) as served,
        Client(served.url, TOKEN) as api,
        httpx.AsyncClient(base_url=served.url, headers=bearer, timeout=10) as http,
        httpx.AsyncClient(base_url=served.url, timeout=10) as nobody,
    ):
        yield Airline(backend, gateway, clock, api, http, nobody)


def _books(database: Database, folder: Path) -> Books:
    if database.dialect == "sqlite":
        return SqliteBooks(folder / "sandbox.db")
    return PostgresBooks(Server(database.url))
