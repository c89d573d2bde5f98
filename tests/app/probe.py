"""A little schema that shows what a transport must get right, and an endpoint over it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import strawberry
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from strawberry.asgi import GraphQL

from app.http.auth import Authenticator, OpenAuthenticator
from app.http.connections import TransportLimits
from app.http.graphql import GraphQLEndpoint
from app.http.operations import Bodies
from app.http.places import Places
from app.http.request_id import RequestIdMiddleware, RequestNote
from app.http.room import Room
from app.http.service import ContextFactory
from app.http.subscribers import Subscribers
from schema.context import Viewer
from schema.execution import Executable
from schema.persisted import PersistedDocuments
from tests.support.serving import Served, serving

ADMIN_TOKEN = "the admin token"


@dataclass
class Context:
    """One operation's context."""

    viewer: Viewer
    note: RequestNote
    resume_after: int = 0


@dataclass
class Witness:
    """What the server did, as tests may ask."""

    contexts: list[Context] = field(default_factory=list)
    begun: int = 0
    ended: int = 0
    flooding: int = 0
    flooded: int = 0
    heard: list[Any] = field(default_factory=list)

    def forget(self) -> None:
        """Begin anew."""
        self.contexts.clear()
        self.heard.clear()


_witness: Witness = Witness()


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"hello {name}"

    @strawberry.field
    def me(self, info: strawberry.Info[Context, None]) -> str:
        return f"{info.context.viewer.subject} {info.context.viewer.is_operator}"

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("broken on purpose")


@strawberry.type
class Mutation:
    @strawberry.mutation
    def start(self, info: strawberry.Info[Context, None], correlation_id: str) -> str:
        info.context.note.correlation_ids.append(correlation_id)
        return correlation_id


@strawberry.type
class Drop:
    sequence: int
    filling: str


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(1, to + 1):
            yield number

    @strawberry.subscription
    async def forever(self) -> AsyncIterator[int]:
        _witness.begun += 1
        try:
            yield 0
            await asyncio.Event().wait()
        finally:
            _witness.ended += 1

    @strawberry.subscription
    async def flood(self, kilobytes: int = 8) -> AsyncIterator[Drop]:
        _witness.flooding += 1
        try:
            for number in itertools.count(1):
                yield Drop(sequence=number, filling="x" * kilobytes * 1024)
                _witness.flooded = number
                await asyncio.sleep(0)
        finally:
            _witness.flooding -= 1

    @strawberry.subscription
    async def faulty(self) -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken on purpose")


SCHEMA = strawberry.Schema(Query, Mutation, Subscription)


@asynccontextmanager
async def probing(
    *,
    authenticate: Authenticator | None = None,
    limits: TransportLimits | None = None,
    subscribers: Subscribers | None = None,
    bodies: Bodies | None = None,
    places: Places | None = None,
    room: Room | None = None,
    http: type[asyncio.Protocol] | None = None,
    origins: tuple[str, ...] = (),
    persisted: PersistedDocuments | None = None,
) -> AsyncIterator[tuple[Served, Witness]]:
    """Serve the little schema; answers where, and a witness of what it does."""
    witness, context_for = _watched()
    endpoint = GraphQLEndpoint(
        Executable(SCHEMA),
        context_for=context_for,
        authenticate=authenticate or OpenAuthenticator(ADMIN_TOKEN),
        allowed_origins=origins,
        limits=limits,
        subscribers=subscribers,
        bodies=bodies,
        places=places,
        hear=witness.heard.append,
        persisted=persisted,
    )
    async with serving(_app(endpoint, witness), http=http, room=room) as served:
        yield served, witness


@asynccontextmanager
async def probing_stock() -> AsyncIterator[tuple[Served, Witness]]:
    """The same behind Strawberry's own class."""
    witness, context_for = _watched()

    class Stock(GraphQL[Any, Any]):
        async def get_context(self, request: Any, response: Any) -> Context:
            context: Context = context_for(Viewer("anonymous", is_operator=False), RequestNote("stock"))
            return context

    async with serving(_app(Stock(SCHEMA), witness)) as served:
        yield served, witness


def _watched() -> tuple[Witness, ContextFactory]:
    global _witness
    witness = _witness = Witness()

    def context_for(viewer: Viewer, note: RequestNote, resume_after: int = 0) -> Context:
        context = Context(viewer, note, resume_after)
        witness.contexts.append(context)
        return context

    return witness, context_for


def _app(endpoint: ASGIApp, witness: Witness) -> ASGIApp:
    routes = [Route("/graphql", endpoint), WebSocketRoute("/graphql", endpoint)]
    return RequestIdMiddleware(Starlette(routes=routes), hear=witness.heard.append)
